"""Measures of page classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
BINS = 10


def auc(scores: npt.NDArray[Any], labels: npt.NDArray[np.bool_], weights: Floats | None = None) -> float:
    """Area under the ROC curve; ties count half. NaN if one class is missing."""
    weights = np.ones(len(scores)) if weights is None else weights
    values, place = np.unique(scores, return_inverse=True)
    positive = np.bincount(place, weights * labels, len(values))
    negative = np.bincount(place, weights * ~labels, len(values))
    below = np.cumsum(negative) - negative
    pairs = float(positive.sum() * negative.sum())
    return float((positive * (below + negative / 2)).sum() / pairs) if pairs else float("nan")


def interval(
    statistic: Callable[..., float],
    columns: Sequence[npt.NDArray[Any]],
    groups: Sequence[str],
    times: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % bootstrap interval, to four places, of a statistic of columns (n,): sites are drawn with replacement, not pages."""
    names, place = np.unique(np.array(groups), return_inverse=True)
    rows = [np.flatnonzero(place == i) for i in range(len(names))]
    random = np.random.default_rng(seed)
    values = []
    for _ in range(times):
        drawn = np.concatenate([rows[i] for i in random.integers(0, len(names), len(names))])
        values.append(statistic(*(column[drawn] for column in columns)))
    low, high = np.nanquantile(values, [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)


def accuracy(predicted: Ints, wanted: Ints) -> float:
    """Share of equal labels: [0, 1, 1] and [0, 1, 0] agree in 2/3."""
    return float((predicted == wanted).mean())


def by_class(predicted: Ints, wanted: Ints, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support of each class."""
    out = {}
    for i, label in enumerate(labels):
        right = int(((predicted == i) & (wanted == i)).sum())
        said, there = int((predicted == i).sum()), int((wanted == i).sum())
        out[label] = {
            "precision": round(right / said, 4) if said else 0.0,
            "recall": round(right / there, 4) if there else 0.0,
            "f1": round(2 * right / (said + there), 4) if said + there else 0.0,
            "support": there,
        }
    return out


def macro_f1(predicted: Ints, wanted: Ints, classes: Sequence[int]) -> float:
    """Mean F1 over `classes`."""
    values = []
    for i in classes:
        right = int(((predicted == i) & (wanted == i)).sum())
        total = int((predicted == i).sum() + (wanted == i).sum())
        values.append(2 * right / total if total else 0.0)
    return float(np.mean(values))


def calibration(p: Floats, right: npt.NDArray[np.bool_]) -> tuple[float, list[dict[str, float]]]:
    """Expected calibration error over ten bins of equal width, and for each bin that is not empty the mean of `p`, the share that
    is right, and the number."""
    bins = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    table = []
    error = 0.0
    for i in range(BINS):
        inside = bins == i
        if inside.any():
            mean, share, n = float(p[inside].mean()), float(right[inside].mean()), int(inside.sum())
            table.append({"said": round(mean, 3), "true": round(share, 3), "pages": n})
            error += n * abs(mean - share)
    return error / max(1, len(p)), table


def kappa(a: Sequence[Any], b: Sequence[Any], order: Sequence[Any] | None = None) -> float:
    """Cohen's kappa of two annotators; with `order` (all values, ascending) weighted by the square of the distance."""
    values = list(order) if order is not None else sorted({*a, *b}, key=str)
    n = len(values)
    place = {value: i for i, value in enumerate(values)}
    seen = np.zeros((n, n))
    for x, y in zip(a, b, strict=True):
        seen[place[x], place[y]] += 1
    seen /= max(1.0, seen.sum())
    chance = np.outer(seen.sum(1), seen.sum(0))
    distance = np.subtract.outer(np.arange(n), np.arange(n)).astype(float) ** 2
    weight = distance if order is not None else 1.0 - np.eye(n)
    by_chance = float((weight * chance).sum())
    return 1.0 - float((weight * seen).sum()) / by_chance if by_chance else 1.0


def precision_at_recall(scores: Floats, labels: npt.NDArray[np.bool_], recall: float) -> tuple[float, float]:
    """The best precision of a threshold with at least that recall, and the threshold."""
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(labels[order])
    said = np.arange(1, len(scores) + 1)
    last = np.append(scores[order][1:] != scores[order][:-1], True)  # a threshold takes all of equal scores
    fit = last & (right >= recall * labels.sum() - 1e-9)
    precision = np.where(fit, right / said, -1.0)
    best = int(precision.argmax())
    return float(precision[best]), float(scores[order][best])
