"""Language identification: speed, and what it is shown: `python benchmarks/language.py [--data DIR]`.

Pages are those of `DIR/html` with gold text. A page counts as right if it is kept (score >= 0.65) in the language of
its set: English for wcxb-dev (6 of whose pages are in other languages), Chinese for zh-gold and zh-blogs. Bar: 10,000
documents a second, one core.

Times are CPU seconds of one process, the best of three passes over batches of 2,000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import gold
import machine

from pipeline.preparation import language
from pipeline.preparation.language import Language, visible
from pipeline.schema import Document, Drop

BATCH = 2_000


def texts(data: Path) -> list[tuple[str, str, str]]:
    """Set, expected language and text of every page with text."""
    return [
        (name, expected, row[field])
        for name, file, field, expected in gold.SETS
        for row in gold.rows(data / "html" / file)
        if row[field].strip()
    ]


def one_line(text: str) -> str:
    return " ".join(text.split())


def main() -> None:
    parser = machine.parser(__doc__, data="folder with html/*.jsonl.gz")
    rows = texts(parser.parse_args().data)
    docs = [Document(doc_id=f"{i:032x}", source_file="-", text=text) for i, (_, _, text) in enumerate(rows)]
    everything = max(len(t) for _, _, t in rows)
    variants: dict[str, tuple[Language, Callable[[str], str]]] = {
        "whole text, as CCNet": (Language(head=everything, second_look=everything, merge={}), one_line),
        "first 400 characters": (Language(head=400, second_look=400), one_line),
        "first 400, without ASCII in mainly CJK text": (Language(head=400, second_look=400), visible),
        "the same, 5,000 where unsure (the default)": (Language(), visible),
    }
    results = {}
    for name, (step, shown) in variants.items():
        with patch.object(language, "visible", shown):
            seconds, verdicts = machine.fastest(
                lambda s=step: [v for i in range(0, len(docs), BATCH) for v in s.process(docs[i : i + BATCH])]
            )
        right: Counter[str] = Counter()
        wrong: Counter[str] = Counter()
        for (source, expected, _), verdict in zip(rows, verdicts, strict=True):
            if not isinstance(verdict, Drop):
                (right if verdict.language == expected else wrong)[source] += 1
        results[name] = {
            "docs_per_s": round(len(docs) / seconds),
            "kept_in_the_expected_language": dict(right),
            "kept_in_the_other_language": dict(wrong),
        }
    pages = Counter(source for source, _, _ in rows)
    characters = sum(len(t) for _, _, t in rows)
    machine.save(
        "language",
        {"data": {"pages_with_text": dict(pages), "mean_characters": round(characters / len(rows))}, "shown": results},
    )


if __name__ == "__main__":
    main()
