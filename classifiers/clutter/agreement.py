"""Agreement of two annotations of the same pages, and the preferred text: `python -m classifiers.clutter.agreement`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

from classifiers.clutter.pages import ANNOTATIONS, annotation_rows
from classifiers.clutter.reference import KEPT, letters, numbers
from classifiers.metrics import kappa


def agreement(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, float]:
    """Share of equal labels and Cohen's kappa over the lines of pages that were annotated twice."""
    kept: tuple[list[bool], list[bool]] = [], []
    for pair in pairs:
        for lines, row in zip(kept, pair, strict=True):
            chosen = set(numbers(row["kept"]))
            lines += [n in chosen for n in range(pair[0]["lines"])]
    same = sum(a == b for a, b in zip(*kept, strict=True))
    n = len(kept[0])
    return {"pages": len(pairs), "lines": n, "agreement": round(same / n, 4), "kappa": round(kappa(*kept), 4)}


def pairs() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """First and second annotation of each page that has two."""
    rows = [{row["record_id"]: row for row in annotation_rows(name)} for name in ("pages", "second")]
    return [(rows[0][record_id], row) for record_id, row in rows[1].items()]


def region_agreement(language: str = "") -> dict[str, float]:
    """Agreement of the two annotations by regions: Cohen's kappa of kept against cut, and the share of lines of equal kind.

    :param language: `zh`, `en`, or "other"; "" for all.
    """
    first = {row["record_id"]: row for row in annotation_rows("regions")}
    kinds: tuple[list[str], list[str]] = [], []
    pages = 0
    for row in annotation_rows("regions_second"):
        known = row["language"] if row["language"] in ("zh", "en") else "other"
        if language in ("", known):
            pages += 1
            kinds[0].extend(letters(first[row["record_id"]]["regions"]))
            kinds[1].extend(letters(row["regions"]))
    kept = [[kind in KEPT for kind in side] for side in kinds]
    same = sum(a == b for a, b in zip(*kinds, strict=True))
    n = len(kinds[0])
    return {"pages": pages, "lines": n, "kappa": round(kappa(*kept), 4), "same_kind": round(same / n, 4)}


def preferences() -> dict[str, int]:
    """Pages by the text preferred in the blind reading of two, `clear` ones apart."""
    with (ANNOTATIONS / "preference.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    tally = Counter(f"{row['better']}{', clearly' if row['clear'] else ''}" for row in rows)
    return {"pages": len(rows), **dict(sorted(tally.items()))}


def main() -> int:
    every = pairs()
    for name, annotated in (
        ("all", every),
        *((language, [p for p in every if p[0]["language"] == language]) for language in ("zh", "en")),
    ):
        print(name, json.dumps(agreement(annotated)))
    for language in ("", "zh", "en", "other"):
        print("regions", language or "all", json.dumps(region_agreement(language)))
    print("preferred", json.dumps(preferences()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
