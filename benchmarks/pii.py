"""Personal data found in labelled snippets: `python benchmarks/pii.py`.

`pii_snippets.jsonl` has 480 snippets, Chinese and English, half of them lookalikes, with every piece of personal data in
them, the form that it has and the standard or habit that defines the form. A language model wrote them without seeing the
step; names and numbers are invented. A find counts as right if it is of that kind and covers the piece but for signs at its
ends. Numbers and signs were mended on half of the snippets (by a hash of the text); the figures of the other half are
stated apart.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import machine
import xxhash

from pipeline.rule_based.pii import KINDS, find

SNIPPETS = Path(__file__).parent / "pii_snippets.jsonl"
_SIGNS = " ()（）+-/_.:：,，"


def is_held_out(row: dict[str, Any]) -> bool:
    """Whether nothing was mended on a snippet."""
    return bool(xxhash.xxh3_64_intdigest(row["text"].encode()) % 2)


def judged(row: dict[str, Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[tuple[str, str]]]:
    """Kind and text of what was found rightly, found wrongly, and missed."""
    text = row["text"]
    wanted = [(kind, piece.strip(_SIGNS)) for kind, piece in row["found"]]
    right, wrong = [], []
    for start, end, kind in find(text):
        one = (kind, text[start:end].strip(_SIGNS))
        if one in wanted:
            wanted.remove(one)
            right.append(one)
        else:
            wrong.append(one)
    return right, wrong, wanted


def measured(rows: list[dict[str, Any]], show: bool) -> dict[str, dict[str, float]]:
    """Precision, recall and their counts by kind."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in ("all", *KINDS)}
    for row in rows:
        for name, found in zip(("right", "wrong", "missed"), judged(row), strict=True):
            for kind, piece in found:
                counts[kind][name] += 1
                counts["all"][name] += 1
                if show and name != "right":
                    machine.tell(f"  {name} {kind} {piece!r} in {row['text']!r} ({row['form']})")
    return {
        kind: {
            **c,
            "precision": round(c["right"] / max(1, c["right"] + c["wrong"]), 4),
            "recall": round(c["right"] / max(1, c["right"] + c["missed"]), 4),
        }
        for kind, c in counts.items()
    }


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--show", action="store_true", help="print what is wrong, of the half that was mended on")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in SNIPPETS.read_text(encoding="utf-8").splitlines()]
    halves = {"held out": [r for r in rows if is_held_out(r)], "mended on": [r for r in rows if not is_held_out(r)]}
    machine.save(
        "pii",
        {
            "snippets": {name: len(half) for name, half in halves.items()},
            "halves": {name: measured(half, arguments.show and name == "mended on") for name, half in halves.items()},
        },
    )


if __name__ == "__main__":
    main()
