"""Bounds of the step type_and_quality: chosen in folds by site, judged on the final fold by source.

    python benchmarks/type_and_quality.py [--data DIR]

A page is worth keeping if it is annotated as good, as safe, and as an article, documentation, an encyclopaedia entry or a
thread. Each page is judged by models that have not seen its site (folds) or its source (final). For each language, the four
bounds with the best F1 over the folds' pages are taken from a grid of tenths. Beside them: the report's own rule, detail pages
alone, with the bounds of the steps web_type and quality.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import machine
import numpy as np
import numpy.typing as npt

from classifiers.base import INPUTS
from classifiers.evaluation import LANGUAGES, cross_validated, development, final_fold
from classifiers.labelled import LabelledPage, is_worth_keeping, load_pages
from classifiers.quality import train as quality
from classifiers.small import taken
from classifiers.training import views_of
from classifiers.web_type import train as web_type
from classifiers.web_type.labels import DETAIL, LABELS

GRID = [round(0.1 * n, 1) for n in range(1, 10)]
DETAILS, FORUM = [LABELS.index(label) for label in DETAIL], LABELS.index("forum")
TYPE_BOUND, QUALITY_BOUND = 0.5, 0.2
"""Bounds of the steps web_type and quality."""

Scores = npt.NDArray[np.float64]
"""Probability to be a detail page, a thread, good, (3, n) for one kind of input, (3, views, n) for all."""


def by_rule(scores: Scores, bounds: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Tell which pages stay.

    :param scores: (3, n).
    :param bounds: type and quality of detail pages, type and quality of threads.
    """
    detail, forum, good = scores
    a, b, c, d = bounds
    out: npt.NDArray[np.bool_] = ((detail >= a) & (good >= b)) | ((forum >= c) & (good >= d))
    return out


def figures(kept: npt.NDArray[np.bool_], worth: npt.NDArray[np.bool_]) -> dict[str, Any]:
    both = int((kept & worth).sum())
    return {
        "kept": int(kept.sum()),
        "precision": round(both / max(1, int(kept.sum())), 4),
        "recall": round(both / max(1, int(worth.sum())), 4),
        "f1": f1(kept, worth),
    }


def f1(kept: npt.NDArray[np.bool_], worth: npt.NDArray[np.bool_]) -> float:
    return round(2 * float((kept & worth).sum()) / max(1, int(kept.sum() + worth.sum())), 4)


def joined(
    pages: Sequence[LabelledPage], types: tuple[Sequence[int], Any], good: tuple[Sequence[int], Any], language: str
) -> tuple[Scores, npt.NDArray[np.bool_]]:
    """Scores of the annotated pages of a language that both models judged, and which of these are worth keeping."""
    place = {row: k for k, row in enumerate(good[0])}
    rows = [(k, row) for k, row in enumerate(types[0]) if row in place and pages[row].language == language]
    p = types[1][:, [k for k, _ in rows]]
    q = good[1][:, [place[row] for _, row in rows], 1]
    scores = np.stack([p[:, :, DETAILS].sum(2), p[:, :, FORUM], q])
    return scores, np.array([is_worth_keeping(pages[row].annotation or {}) for _, row in rows])


def main() -> None:
    options = machine.parser(__doc__, data="folder that holds html/ and warc/").parse_args()
    pages = load_pages(options.data)
    views = views_of(pages)
    folds, final = [], []
    for trainer in (web_type, quality):
        rows = development(pages, trainer.chosen(pages))
        folds.append((rows, cross_validated(trainer, [pages[i] for i in rows], taken(views, rows))))
        final.append(final_fold(trainer, pages, views))
    result: dict[str, Any] = {}
    for name, code in LANGUAGES.items():
        scores, worth = joined(pages, *folds, code)
        chosen = max(itertools.product(GRID, repeat=4), key=lambda bounds: f1(by_rule(scores[:, 0], bounds), worth))
        report = (TYPE_BOUND, QUALITY_BOUND, 2.0, 2.0)
        result[name] = {"chosen": list(chosen), "pages": {}}
        for part, (own, right) in {"folds": (scores, worth), "final": joined(pages, *final, code)}.items():
            result[name]["pages"][part] = {"pages": len(right), "worth": int(right.sum())} | {
                kind: {
                    "report": figures(by_rule(own[:, view], report), right),
                    "chosen": figures(by_rule(own[:, view], chosen), right),
                }
                for view, kind in enumerate(INPUTS)
            }
    machine.save("type_and_quality", result)


if __name__ == "__main__":
    main()
