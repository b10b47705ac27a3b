"""Write docs/categories.md: forty annotated pages and what the category classifier says of them, right and wrong as they fall.

    python scripts/category_pages.py --data DATA

The pages are of the final fold, and the model is trained without it: it has seen no page of their sources. Twenty English and
twenty Chinese pages, drawn by a hash of seed and record id.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xxhash

from classifiers.category.evaluate import by_others, labelled
from classifiers.category.labels import GROUP_OF, LABELS
from classifiers.category.model import WordModel
from classifiers.category.train import WEIGHTS, extras, read_vectors
from classifiers.labelled import LabelledPage
from classifiers.training import SEED as TRAINING_SEED

SEED, NUMBER, SHOWN, EXCERPT = 6, 20, 3, 170
OUT = Path(__file__).resolve().parent.parent / "docs" / "categories.md"
UNSHOWN = ("gambling_adult", "seo_spam")

HEAD = """# Forty pages and their categories

What the category classifier says of forty annotated pages, and what the annotation says: twenty English and twenty Chinese
ones of the final fold, drawn by a hash with a fixed seed. The model was trained without the final fold, so it has seen no page
of their sources (`python scripts/category_pages.py --data DATA`). Right (✓), of the right group (≈) and wrong (✗) ones, as
they fall, with the three likeliest classes and their probabilities.
"""


def drawn(pages: list[LabelledPage], language: str) -> list[int]:
    """Numbers of the pages of a language that are shown."""
    of_language = [i for i, page in enumerate(pages) if page.language == language]
    return sorted(of_language, key=lambda i: xxhash.xxh3_64_intdigest(f"{SEED} {pages[i].record_id}".encode()))[:NUMBER]


def excerpt(page: LabelledPage) -> str:
    assert page.annotation is not None
    if page.annotation["category"] in UNSHOWN:
        return "(left out)"
    text = " / ".join(line.strip() for line in page.extraction.text.split("\n") if line.strip())
    half = EXCERPT // 2
    start = max(len(text) // 2 - half // 2, EXCERPT)
    short = text if len(text) <= 2 * EXCERPT else f"{text[:EXCERPT]} … {text[start : start + half]}"
    return short.replace("|", "\\|").replace("`", "'").replace("<", "&lt;")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder that holds html/, warc/ and labels/"
    )
    options = parser.parse_args()
    everything, vectors = labelled(options.data), read_vectors(WEIGHTS / WordModel.FILE)
    pages = [page for page in everything if page.is_final]
    others = [page for page in everything if not page.is_final]
    p = by_others(others, pages, vectors, extras(options.data, vectors, TRAINING_SEED))[0]
    parts, summary = [HEAD], []
    for name, code in (("English", "en"), ("Chinese", "zh")):
        blocks, marks = [], ""
        for n, i in enumerate(drawn(pages, code)):
            page = pages[i]
            assert page.annotation is not None
            wanted, order = page.annotation["category"], np.argsort(-p[i], kind="stable")
            said = [LABELS[k] for k in order[:SHOWN]]
            mark = "✓" if said[0] == wanted else "≈" if GROUP_OF[said[0]] == GROUP_OF[wanted] else "✗"
            marks += mark
            place = int(np.flatnonzero(order == LABELS.index(wanted))[0])
            likeliest = ", ".join(f"`{label}` {p[i][LABELS.index(label)]:.2f}" for label in said)
            title = (page.extraction.title or "(no title)")[:80].strip().replace("|", "\\|")
            blocks.append(
                f"**{n + 1}.** {mark} {(page.url or page.source)[:100]} · {title}\n\n> {excerpt(page)}\n\n"
                f"said: {likeliest}; annotated: `{wanted}` ({place + 1}. of 200, {p[i][LABELS.index(wanted)]:.2f})\n"
            )
        summary.append(
            f"{name}: {marks.count('✓')} right, {marks.count('≈')} of the right group, {marks.count('✗')} wrong."
        )
        parts += [f"## {name}\n", *blocks]
    parts.insert(1, " ".join(summary) + "\n")
    OUT.write_text("\n".join(parts), encoding="utf-8")
    print(" ".join(summary))


if __name__ == "__main__":
    main()
