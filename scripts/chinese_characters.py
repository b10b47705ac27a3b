"""Write extraction/chinese/characters.tsv: which Han characters stand in one script alone, and their simplified forms.

    python scripts/chinese_characters.py --opencc DIR

DIR is `data/dictionary` of OpenCC (https://github.com/BYVoid/OpenCC, tag ver.1.4.1, Apache-2.0); the SHA-256 of each file is
checked.

- *Simplified form*: OpenCC's first candidate (TSCharacters); of a regional form (TWVariants, HKVariants) that OpenCC does not
  simplify, that of the form it stands for. Applied until nothing changes.
- *Hant*: OpenCC simplifies the character and names it itself as no candidate; GB 2312 lacks it.
- *Hans*: OpenCC makes it traditional (STCharacters) and names it itself as no candidate; it has no simplified form, and the
  frequently used level of Big5 lacks it.
- *Jpan*: JIS X 0208 has it; GB 2312, Big5 and OpenCC's tables lack it. Japanese alone writes it.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
from pathlib import Path

SHA256 = {
    "TSCharacters.txt": "737c21c66f55a419dd6956cb3089476cdefc5a36877452631617696df1e5d925",
    "STCharacters.txt": "81c27e6364fd164181276197b9215cf95f7f12a050aa207375248a5badf8d6fc",
    "TWVariants.txt": "48e694ad1ac43fd5927285e4fb3aa8a8dc9d9c065d6d3d314527c021a12839e2",
    "HKVariants.txt": "e5cd4345303224587102f2c9e4d2b67d2b7e349c6ce9152e4a118f4656cf7302",
}
OUT = Path(__file__).resolve().parent.parent / "extraction" / "chinese" / "characters.tsv"
FREQUENT = range(0xA440, 0xC67F)
"""Codes of Big5 that hold the frequently used characters."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opencc", type=Path, required=True, help="folder data/dictionary of OpenCC, tag ver.1.4.1")
    folder = parser.parse_args().opencc
    to_simplified, to_traditional, taiwan, hongkong = (dictionary(folder / name) for name in SHA256)
    forms = simplified_forms(to_simplified, to_traditional, (taiwan, hongkong))
    scripts = {c: "Hant" for c, forms_of in to_simplified.items() if c not in forms_of and not encoded(c, "gb2312")}
    simplified = {c for c, forms_of in to_traditional.items() if c not in forms_of and not is_frequent(c)}
    scripts |= dict.fromkeys(simplified - forms.keys(), "Hans")
    known = {
        *forms,
        *to_simplified,
        *to_traditional,
        *itertools.chain(*to_simplified.values(), *to_traditional.values()),
    }
    scripts |= {c: "Jpan" for c in of_jis() if c not in known and not encoded(c, "gb2312") and not encoded(c, "big5")}
    rows = (f"{c}\t{scripts.get(c, '')}\t{forms.get(c, '')}\n" for c in sorted({*scripts, *forms}))
    OUT.write_text("".join(rows), encoding="utf-8")
    print(f"{OUT.name}: SHA-256 {hashlib.sha256(OUT.read_bytes()).hexdigest()}")


def dictionary(path: Path) -> dict[str, list[str]]:
    """Candidates of each character. :raises SystemExit: if the file is another."""
    data = path.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != SHA256[path.name]:
        raise SystemExit(f"{path}: SHA-256 is {found}, expected {SHA256[path.name]} (OpenCC ver.1.4.1)")
    pairs = (line.split("\t") for line in data.decode().splitlines() if line and not line.startswith("#"))
    return {pair[0]: pair[1].partition("#")[0].split() for pair in pairs}


def simplified_forms(
    to_simplified: dict[str, list[str]], to_traditional: dict[str, list[str]], regions: tuple[dict[str, list[str]], ...]
) -> dict[str, str]:
    """Characters that are written otherwise in simplified text, and how."""
    forms = {c: candidates[0] for c, candidates in to_simplified.items() if candidates[0] != c}
    for region in regions:
        for standard, variants in region.items():
            for variant in variants:
                if variant not in forms and variant not in to_traditional:
                    forms[variant] = standard
    for character in forms:
        while forms[character] in forms:
            forms[character] = forms[forms[character]]
    return {c: form for c, form in forms.items() if form != c}


def encoded(character: str, codec: str) -> bytes:
    return character.encode(codec, "ignore")


def is_frequent(character: str) -> bool:
    return int.from_bytes(encoded(character, "big5"), "big") in FREQUENT


def of_jis() -> set[str]:
    """Han characters of JIS X 0208."""
    rows = (bytes([row, cell]) for row in range(0xB0, 0xF5) for cell in range(0xA1, 0xFF))
    return {c for pair in rows for c in pair.decode("euc_jp", "ignore")}


if __name__ == "__main__":
    main()
