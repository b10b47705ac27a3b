"""Agreement of two annotations of the same pages: `python -m classifiers.agreement`.

Cohen's kappa of the labels, and of classes and groups of the category; of the dimensions of quality it is weighted by the square
of the distance. ROC AUC says how well the second annotator's score gives the first one's verdict: no model can be expected to do
much better.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from classifiers.category.labels import GROUP_OF
from classifiers.labelled import ANNOTATIONS, CATEGORIES, PAGES, read_annotations
from classifiers.metrics import auc, kappa
from classifiers.quality.labels import DIMENSIONS, is_good, score
from classifiers.web_type.labels import DETAIL

Row = dict[str, Any]
LAST = 3
"""The last round of annotation: pages of many sites, drawn without regard to a type."""


def pairs(name: str = PAGES, other: str = "second.jsonl") -> list[tuple[Row, Row]]:
    """First and second annotation of each page that has two, from two files of annotations."""
    first = {(row["source"], row["id"]): row for row in read_annotations(ANNOTATIONS / name)}
    second = read_annotations(ANNOTATIONS / other)
    return [(first[row["source"], row["id"]], row) for row in second]


def agreement(rows: list[tuple[Row, Row]]) -> dict[str, Any]:
    """Compute figures over pairs of annotations."""
    a, b = zip(*rows, strict=True)
    good = np.array([is_good(row["quality"]) for row in a])
    return {
        "pages": len(rows),
        "share_good": [round(float(good.mean()), 4), round(sum(is_good(r["quality"]) for r in b) / len(b), 4)],
        "web_type": round(kappa([r["web_type"] for r in a], [r["web_type"] for r in b]), 4),
        "keep": round(kappa([r["web_type"] in DETAIL for r in a], [r["web_type"] in DETAIL for r in b]), 4),
        "good": round(kappa(good.tolist(), [is_good(r["quality"]) for r in b]), 4),
        "dimensions": {
            name: round(kappa([r["quality"][i] for r in a], [r["quality"][i] for r in b], order=[0, 1, 2, 3]), 4)
            for i, name in enumerate(DIMENSIONS)
        },
        "auc_of_second_score": round(auc(np.array([score(r["quality"]) for r in b]), good), 4),
        "safety": round(kappa([r["safety"] for r in a], [r["safety"] for r in b]), 4),
    }


def agreement_of_category(rows: list[tuple[Row, Row]]) -> dict[str, Any]:
    """Compute figures over pairs of annotations of the category."""
    out: dict[str, Any] = {"pages": len(rows)}
    for name, of in (("class", lambda label: label), ("group", GROUP_OF.__getitem__)):
        a, b = ([of(row["category"]) for row in side] for side in zip(*rows, strict=True))
        same = sum(x == y for x, y in zip(a, b, strict=True)) / len(rows)
        out[name] = {"agree": round(same, 4), "kappa": round(kappa(a, b), 4)}
    return out


def report() -> dict[str, Any]:
    """Compute all figures, for all pages, by language, and for the last round of annotation alone."""
    every, categories = pairs(), pairs(CATEGORIES, "second_categories.jsonl")
    out = {}
    for title, code in (("all", None), ("English", "en"), ("Chinese", "zh")):
        for name, least in ((title, 0), (f"{title}, last round", LAST)):

            def own(rows: list[tuple[Row, Row]], code: str | None = code, least: int = least) -> list[tuple[Row, Row]]:
                return [p for p in rows if code in (None, p[0]["language"]) and p[0].get("round", 1) >= least]

            out[name] = agreement(own(every)) | {"category": agreement_of_category(own(categories))}
    return out


def main() -> int:
    print(json.dumps(report(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
