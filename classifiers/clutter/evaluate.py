"""Evaluate the line model by cross-validation over hosts: what `benchmarks/clutter.py` runs.

Five folds by site (registered domain; CWCE by the site that its links name). For each fold a model is trained on the other
four, as `train` does it, and judged on this one. Pages without a gold text count as they do in WCXB's own evaluation: right
if nothing is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.clutter.examples import Example
from classifiers.clutter.pages import FOLDS
from classifiers.clutter.train import fit
from classifiers.metrics import auc
from extraction.line_model.model import Form, Scores
from extraction.line_model.regions import cut
from extraction.result import SCALE

BINS = 10
JUDGED = ("wcxb-dev", "zh-gold", "aed-424", "zh-pages")
"""Sources whose gold texts tell what the whole content is."""

FLOORS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)


def cross_validated(
    examples: Sequence[Example], form: Form, seed: int, tell: Callable[[str], None] = lambda _: None
) -> list[Scores]:
    """Scores of every example, by a model that has not seen its site."""
    scores: list[Scores] = [np.zeros(0, np.uint16)] * len(examples)
    for fold in range(FOLDS):
        model = fit([e for e in examples if e.page.fold != fold], form, seed)
        tell(f"{form}: fold {fold + 1} of {FOLDS}")
        for i, example in enumerate(examples):
            if example.page.fold == fold:
                scores[i] = model.score(example.scan)
    return scores


def chosen_lines(
    examples: Sequence[Example], scores: Sequence[Scores]
) -> tuple[list[npt.NDArray[np.bool_]], list[float]]:
    """The lines kept of every example, and the floor of each fold, which is chosen on the judged pages of the other folds."""
    judged = [i for i, e in enumerate(examples) if e.page.source in JUDGED]
    cuts = {
        floor: [cut(e.scan.elements, e.scan.lines, s / SCALE, floor) for s, e in zip(scores, examples, strict=True)]
        for floor in FLOORS
    }
    values = np.stack([page_f1([examples[i] for i in judged], [cuts[floor][i] for i in judged]) for floor in FLOORS])
    folds = np.array([examples[i].page.fold for i in judged])
    floors = [FLOORS[int(values[:, folds != fold].mean(1).argmax())] for fold in range(FOLDS)]
    return [cuts[floors[e.page.fold]][i] for i, e in enumerate(examples)], floors


def line_quality(examples: Sequence[Example], scores: Sequence[Scores]) -> dict[str, Any]:
    """AUC over lines, plain and with lines weighed by their words; calibration over words: expected calibration error and the
    share of content in each tenth of the scores."""
    p = np.concatenate(list(scores)).astype(np.float64) / SCALE
    labels = np.concatenate([e.labels for e in examples]) >= 0.5
    words = np.concatenate([e.lengths for e in examples]).astype(np.float64)
    bins = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    mass = np.bincount(bins, words, BINS)
    share = np.bincount(bins, words * labels, BINS) / np.maximum(mass, 1e-9)
    mean = np.bincount(bins, words * p, BINS) / np.maximum(mass, 1e-9)
    return {
        "lines": len(p),
        "auc": round(auc(p, labels), 4),
        "auc_by_words": round(auc(p, labels, words), 4),
        "calibration_error": round(float((mass * np.abs(share - mean)).sum() / mass.sum()), 4),
        "content_by_tenth_of_score": [round(float(v), 3) for v in share],
    }


def page_f1(examples: Sequence[Example], kept: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.float64]:
    """F1 of the chosen text of each page against its gold text."""
    return np.array(
        [
            e.f1("\n".join(text for text, keep in zip(e.texts, k, strict=True) if keep), e.page.gold)
            for e, k in zip(examples, kept, strict=True)
        ]
    )


def by_kind(examples: Sequence[Example], values: npt.NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Mean over the pages of each source, of each kind of page in it, with their number."""
    groups: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for e, value in zip(examples, values, strict=True):
        groups[e.page.source]["all"].append(value)
        groups[e.page.source][e.page.kind].append(value)
    return {
        source: {f"{kind} ({len(v)})": round(float(np.mean(v)), 4) for kind, v in sorted(kinds.items())}
        for source, kinds in sorted(groups.items())
    }
