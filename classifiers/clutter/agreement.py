"""How far two annotations of the same pages agree, and whose text was preferred: `python -m classifiers.clutter.agreement`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

from classifiers.clutter.pages import ANNOTATIONS
from classifiers.clutter.reference import numbers


def kappa(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, float]:
    """Cohen's kappa over the lines of pages that were annotated twice."""
    both = first_only = second_only = neither = 0
    for first, second in pairs:
        a, b = (set(numbers(row["kept"])) for row in (first, second))
        both += len(a & b)
        first_only += len(a - b)
        second_only += len(b - a)
        neither += first["lines"] - len(a | b)
    n = both + first_only + second_only + neither
    observed = (both + neither) / n
    expected = ((both + first_only) * (both + second_only) + (second_only + neither) * (first_only + neither)) / n**2
    return {
        "pages": len(pairs),
        "lines": n,
        "agreement": round(observed, 4),
        "kappa": round((observed - expected) / (1 - expected), 4),
    }


def pairs() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """First and second annotation of each page that has two."""
    rows = []
    for name in ("pages", "second"):
        with (ANNOTATIONS / f"{name}.jsonl").open(encoding="utf-8") as file:
            rows.append({row["record_id"]: row for row in map(json.loads, file)})
    return [(rows[0][record_id], row) for record_id, row in rows[1].items()]


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
        print(name, json.dumps(kappa(annotated)))
    print("preferred", json.dumps(preferences()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
