"""Evaluate the quality model: `python -m classifiers.quality.evaluate --data DATA`.

Five folds by site, against the annotations; ROC AUC of good against poor texts, with bootstrap intervals over sites. Beside
it, in the same folds: the numbers of a page without its words, the length, and the perplexity under a bigram model of the
gold texts of other sites.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers import evaluation
from classifiers.base import INPUTS
from classifiers.clutter.pages import group_of
from classifiers.evaluation import (
    FOLDS,
    LANGUAGES,
    cross_validated,
    development,
    final_fold,
    largest_site,
    of_language,
    outer_folds,
)  # fmt: skip
from classifiers.features import LINE_COLUMNS, Features
from classifiers.labelled import LabelledPage
from classifiers.metrics import auc, calibration, interval
from classifiers.quality import train
from classifiers.quality.labels import DIMENSIONS, LABELS, is_good, score
from classifiers.quality.perplexity import BigramModel
from classifiers.quality.train import SETTINGS, chosen, target
from classifiers.small import fit, folds, take, taken
from classifiers.training import SEED

BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
GOLD = ("html/wcxb-dev", "html/zh-gold")


def evaluate(pages: list[LabelledPage], views: Sequence[Features], data: Path) -> dict[str, Any]:
    """Compute all figures of the card. `data` holds html/: the perplexity model is made of its gold texts."""
    final = by_input(pages, *final_fold(train, pages, views))
    rows = development(pages, chosen(pages))
    pages, views = [pages[i] for i in rows], taken(views, rows)
    features = views[0]
    quality = [page.annotation["quality"] for page in pages if page.annotation]
    good = np.array([is_good(row) for row in quality])
    scores = np.array([score(row) for row in quality])
    by_view = cross_validated(train, pages, views)
    systems = {"model": by_view[0, :, 1], "numbers alone": _numbers_alone(pages, features)}
    systems["length"] = features.dense[:, LINE_COLUMNS.index("length")].astype(np.float64)
    systems["perplexity"] = -_perplexities(pages, data)
    out: dict[str, Any] = {"final": final, "inputs": by_input(pages, range(len(pages)), by_view), "folds": {}}
    for language, code in LANGUAGES.items():
        of = of_language(pages, code)
        groups = [pages[i].group for i in of]
        p, right = systems["model"][of], good[of]
        error, table = calibration(p, right)
        out["folds"][language] = {
            "pages": len(of),
            "sites": len(set(groups)),
            "largest_site": round(largest_site(pages, of), 3),
            "share_good": round(float(right.mean()), 4),
            "auc": {
                name: [round(auc(v[of], right), 4), *interval(auc, (v[of], right), groups)]
                for name, v in systems.items()
            },
            "rank_correlation_with_score": round(_spearman(p, scores[of]), 4),
            "auc_of_dimensions": {
                name: round(auc(p, np.array([quality[i][d] >= 2 for i in of])), 4) for d, name in enumerate(DIMENSIONS)
            },
            "calibration_error": round(error, 4),
            "calibration": table,
            "bounds": [
                {
                    "bound": bound,
                    "good_kept": round(float((p[right] >= bound).mean()), 4),
                    "poor_dropped": round(float((p[~right] < bound).mean()), 4),
                    "dropped": round(float((p < bound).mean()), 4),
                }
                for bound in BOUNDS
            ],
        }
    return out


def by_input(
    pages: Sequence[LabelledPage], rows: Sequence[int], views: npt.NDArray[np.float64]
) -> dict[str, dict[str, Any]]:
    """AUC of good against poor pages by language and kind of input, with its interval.

    :param rows: numbers of the pages that `views`, float64 (views, rows, classes), is of.
    """
    out: dict[str, dict[str, Any]] = {}
    for language, code in LANGUAGES.items():
        own = [(place, pages[i]) for place, i in enumerate(rows) if pages[i].language == code]
        places, groups = [place for place, _ in own], [page.group for _, page in own]
        right = np.array([is_good((page.annotation or {})["quality"]) for _, page in own])
        table: dict[str, Any] = {
            "pages": len(own),
            "sites": len(set(groups)),
            "share_good": round(float(right.mean()), 4),
        }
        for name, p in zip(INPUTS, views[:, places, 1], strict=True):
            table[name] = [round(auc(p, right), 4), *interval(auc, (p, right), groups)]
        out[language] = table
    return out


def _numbers_alone(pages: Sequence[LabelledPage], features: Features) -> npt.NDArray[np.float64]:
    """Probabilities to be good by the same trees without words, float64 (n,)."""
    blank = Features(features.dense, np.zeros(0, np.uint32), np.zeros_like(features.starts))
    wanted = target(pages)
    parts = outer_folds(pages)
    out = np.zeros(len(pages))
    for fold in range(FOLDS):
        trained, judged = np.flatnonzero(parts != fold).tolist(), np.flatnonzero(parts == fold).tolist()
        model = fit([take(blank, trained)], wanted.take(trained), LABELS, SETTINGS, SEED)
        out[judged] = model.from_features(take(blank, judged))[:, 1]
    return out


def _perplexities(pages: Sequence[LabelledPage], data: Path) -> npt.NDArray[np.float64]:
    """Perplexity of each text, float64 (n,), by a model of its language made of the gold texts of other folds' sites."""
    parts = outer_folds(pages)
    out = np.full(len(pages), np.inf)
    for name, code in zip(GOLD, ("en", "zh"), strict=True):
        with gzip.open(data / f"{name}.gold.jsonl.gz", "rt", encoding="utf-8") as f:
            rows = [row for row in map(json.loads, f) if row["main_content"]]
        of_gold = folds([group_of(row) for row in rows], FOLDS, "evaluation")
        for fold in range(FOLDS):
            model = BigramModel(row["main_content"] for row, part in zip(rows, of_gold, strict=True) if part != fold)
            for i in np.flatnonzero(parts == fold).tolist():
                if pages[i].language == code:
                    out[i] = model.perplexity(pages[i].extraction.text)
    return np.where(out < 1e9, out, 1e9)


def _spearman(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    def ranks(v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        _, place, counts = np.unique(v, return_inverse=True, return_counts=True)
        middle: npt.NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[place]
        return middle

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


if __name__ == "__main__":
    sys.exit(evaluation.main(train, evaluate))
