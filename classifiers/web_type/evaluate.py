"""Evaluate the web-type classifier: `python -m classifiers.web_type.evaluate --data DATA`.

Five folds by site. Three questions: the twelve types, against the annotations; the decision to keep a page; and
WCXB's seven types,
against people's labels, by the shipped model (its twelve translated) and by the same kind of model trained on the seven.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers import evaluation
from classifiers.base import INPUTS
from classifiers.evaluation import (
    LANGUAGES,
    cross_validated,
    development,
    final_fold,
    largest_site,
    of_language,
    outer_folds,
)  # fmt: skip
from classifiers.features import FIELDS, Features
from classifiers.labelled import WCXB_TYPES, LabelledPage
from classifiers.metrics import accuracy, auc, by_class, calibration, interval, macro_f1, precision_at_recall
from classifiers.small import SmallModel, Target, fit, take, taken
from classifiers.training import SEED
from classifiers.web_type import train
from classifiers.web_type.labels import DETAIL, LABELS
from classifiers.web_type.train import SETTINGS, by_wcxb_type, chosen

KEEP_BOUND = 0.5
"""The shipped bound of the step (pipeline/model_based/web_type.py)."""

ENOUGH = 10
"""Pages from which a class counts in a macro mean."""


def evaluate(pages: list[LabelledPage], views: Sequence[Features], data: Path) -> dict[str, Any]:
    """Compute all figures of the card."""
    final = by_input(pages, *final_fold(train, pages, views))
    rows = development(pages, chosen(pages))
    pages, views = [pages[i] for i in rows], taken(views, rows)
    features = views[0]
    seven = np.zeros((len(pages), len(WCXB_TYPES)))
    fields = np.zeros((len(FIELDS), len(pages), len(LABELS)))

    def also(_: int, trained: list[int], judged: list[int], model: SmallModel) -> None:
        shares = by_wcxb_type([pages[i] for i in trained])
        number = {kind: sum(p.wcxb_type == kind for p in (pages[i] for i in trained)) for kind in WCXB_TYPES}
        joint = np.stack([shares[kind] * number[kind] for kind in WCXB_TYPES], axis=1) + 1e-9
        features_judged = take(features, judged)
        seven[judged] = model.from_features(features_judged) @ (joint / joint.sum(1, keepdims=True))
        columns = model.columns(features_judged)[:, -len(FIELDS) * len(LABELS) :]
        for f in range(len(FIELDS)):
            fields[f, judged] = columns[:, f * len(LABELS) : (f + 1) * len(LABELS)]

    by_view = cross_validated(train, pages, views, also=also)
    p = by_view[0]
    wanted = np.array([LABELS.index(page.annotation["web_type"]) if page.annotation else -1 for page in pages])
    keep = np.array([label in DETAIL for label in LABELS])
    p_keep = p[:, keep].sum(1)
    out: dict[str, Any] = {"final": final, "inputs": by_input(pages, range(len(pages)), by_view)}
    out |= {"annotated": {}, "keep": {}}
    for language, code in {"all": "", **LANGUAGES}.items():
        of = of_language(pages, code) if code else np.flatnonzero(wanted >= 0)
        groups = [pages[i].group for i in of]
        said, true = p[of].argmax(1), wanted[of]
        classes = [i for i in range(len(LABELS)) if (true == i).sum() >= ENOUGH]
        error, table = calibration(p[of].max(1), said == true)
        majority = np.full(len(of), np.bincount(true).argmax())
        out["annotated"][language] = {
            "pages": len(of),
            "sites": len(set(groups)),
            "largest_site": round(largest_site(pages, of), 3),
            "accuracy": round(accuracy(said, true), 4),
            "accuracy_interval": list(interval(accuracy, (said, true), groups)),
            "macro_f1": round(macro_f1(said, true, classes), 4),
            "classes_in_macro": [LABELS[i] for i in classes],
            "classes": by_class(said, true, LABELS),
            "calibration_error": round(error, 4),
            "calibration": table,
            "baselines": {
                "majority": _pair(majority, true, classes),
                **{
                    f"linear, {name} alone": _pair(fields[f, of].argmax(1), true, classes)
                    for f, name in enumerate(FIELDS)
                },
                "linear, all fields": _pair(fields[:, of].sum(0).argmax(1), true, classes),
            },
        }
        right = keep[true]
        chosen_pages = p_keep[of] >= KEEP_BOUND
        best, threshold = precision_at_recall(p_keep[of], right, 0.9)
        keep_error, _ = calibration(p_keep[of], right)
        out["keep"][language] = {
            "pages": len(of),
            "share_to_keep": round(float(right.mean()), 4),
            "at_shipped_bound": {
                "bound": KEEP_BOUND,
                "precision": round(float(right[chosen_pages].mean()), 4),
                "recall": round(float(chosen_pages[right].mean()), 4),
            },
            "best_precision_at_recall_0.9": round(best, 4),
            "threshold": round(threshold, 4),
            "auc": round(auc(p_keep[of], right), 4),
            "auc_interval": list(interval(auc, (p_keep[of], right), groups)),
            "calibration_error": round(keep_error, 4),
        }
    out["wcxb"] = _seven(pages, features, seven)
    return out


def by_input(
    pages: Sequence[LabelledPage], rows: Sequence[int], views: npt.NDArray[np.float64]
) -> dict[str, dict[str, Any]]:
    """Figures of annotated pages by language and kind of input.

    :param rows: numbers of the pages that `views`, float64 (views, rows, classes), is of.
    """
    keep = np.array([label in DETAIL for label in LABELS])
    out: dict[str, dict[str, Any]] = {}
    for language, code in LANGUAGES.items():
        own = [(place, pages[i]) for place, i in enumerate(rows) if pages[i].annotation and pages[i].language == code]
        places, groups = [place for place, _ in own], [page.group for _, page in own]
        true = np.array([LABELS.index((page.annotation or {})["web_type"]) for _, page in own])
        right = keep[true]
        table: dict[str, Any] = {
            "pages": len(own),
            "sites": len(set(groups)),
            "share_to_keep": round(float(right.mean()), 4),
        }
        for name, p in zip(INPUTS, views[:, places], strict=True):
            said, kept = p.argmax(1), p[:, keep].sum(1)
            chosen_pages = kept >= KEEP_BOUND
            table[name] = {
                "accuracy": [round(accuracy(said, true), 4), *interval(accuracy, (said, true), groups)],
                "keep_auc": [round(auc(kept, right), 4), *interval(auc, (kept, right), groups)],
                "keep_precision": round(float(right[chosen_pages].mean()), 4),
                "keep_recall": round(float(chosen_pages[right].mean()), 4),
            }
        out[language] = table
    return out


def _pair(said: Any, true: Any, classes: list[int]) -> dict[str, float]:
    return {"accuracy": round(accuracy(said, true), 4), "macro_f1": round(macro_f1(said, true, classes), 4)}


def _seven(pages: list[LabelledPage], features: Features, translated: Any) -> dict[str, Any]:
    """Compute figures of WCXB's seven types on all its pages."""
    rows = [i for i, page in enumerate(pages) if page.wcxb_type]
    features, wcxb = take(features, rows), [pages[i] for i in rows]
    true = np.array([WCXB_TYPES.index(page.wcxb_type or "") for page in wcxb])
    target = Target(
        np.eye(len(WCXB_TYPES), dtype=np.float32)[true], np.ones(len(rows), np.float32), [page.group for page in wcxb]
    )
    parts = outer_folds(wcxb)
    p = np.zeros((len(rows), len(WCXB_TYPES)))
    for fold in range(evaluation.FOLDS):
        trained, judged = np.flatnonzero(parts != fold).tolist(), np.flatnonzero(parts == fold).tolist()
        model = fit([take(features, trained)], target.take(trained), WCXB_TYPES, SETTINGS, SEED)
        p[judged] = model.from_features(take(features, judged))
    classes = list(range(len(WCXB_TYPES)))
    out: dict[str, Any] = {"pages": len(rows), "sites": len({page.group for page in wcxb})}
    for name, scores in (("trained on the seven", p), ("shipped form, translated", translated[rows])):
        said = scores.argmax(1)
        out[name] = {
            "accuracy": round(accuracy(said, true), 4),
            "macro_f1": round(macro_f1(said, true, classes), 4),
            "macro_f1_interval": list(
                interval(partial(macro_f1, classes=classes), (said, true), [page.group for page in wcxb])
            ),
            "classes": by_class(said, true, WCXB_TYPES),
        }
    return out


if __name__ == "__main__":
    sys.exit(evaluation.main(train, evaluate))
