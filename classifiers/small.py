"""The small backend of all page classifiers: linear scores over hashed words of four fields, and, over these and numbers about
the page's lines, boosted trees. Predicting takes numpy and numba; training LightGBM (the extra `train`)."""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from classifiers import linear
from classifiers.base import Batch, Probabilities, StoredClassifier
from classifiers.boosting import LIGHTGBM, exported
from classifiers.features import BITS, COLUMNS, FIELDS, Features, features_of
from extraction.line_model.trees import NAMES, Trees, evaluate

Floats = npt.NDArray[np.float32]
INNER, HELD = 5, 2
"""Parts of the training set: the trees see linear scores of models that have not seen the page's site; and how many of them are
held out in turn to choose the temperature."""

TREES: dict[str, Any] = {
    **LIGHTGBM,
    "num_leaves": 10,
    "max_depth": 5,
    "learning_rate": 0.06,
    "min_data_in_leaf": 10,
    "feature_fraction": 0.35,
    "lambda_l2": 3.0,
    "extra_trees": True,  # thresholds by chance: steadier where there are a thousand pages (measured: the cards)
}


@dataclass(frozen=True)
class Settings:
    """Settings that differ between classifiers."""

    rounds: int = 100
    """Boosting rounds; each has a tree for every class (one for two classes)."""

    trees: dict[str, Any] = field(default_factory=dict)
    """Changes to TREES."""


@dataclass(frozen=True, slots=True)
class Target:
    """Lesson of n pages: `wanted` float32 (n, classes), rows that sum to 1; `weights` float32 (n,); `groups`,
    the sites, which are never split."""

    wanted: Floats
    weights: Floats
    groups: Sequence[str]

    def take(self, rows: Sequence[int]) -> Target:
        return Target(self.wanted[list(rows)], self.weights[list(rows)], [self.groups[i] for i in rows])


@dataclass(frozen=True, eq=False)
class SmallModel(StoredClassifier):
    """:param coefficients: float16 (2**BITS, classes); `biases` float32 (fields, classes).
    :param trees: one set a class; for two classes one set, for the second.
    :param temperature: what logits are divided by.
    """

    FILE: ClassVar[str] = "small.safetensors"
    labels: tuple[str, ...]
    coefficients: npt.NDArray[np.float16]
    biases: Floats
    trees: tuple[Trees, ...]
    temperature: float = 1.0
    meta: dict[str, Any] = field(default_factory=dict)
    _wide: Floats = field(init=False, repr=False)
    """`coefficients` as float32, widened once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_wide", self.coefficients.astype(np.float32))

    def predict_proba(self, pages: Batch | Sequence[str]) -> Probabilities:
        return self.from_features(features_of(Batch.of(pages)))

    def from_features(self, features: Features) -> Probabilities:
        """`predict_proba` of features that are known already."""
        return softmax(self.logits(features) / self.temperature)

    def logits(self, features: Features) -> npt.NDArray[np.float64]:
        """Logits before the temperature, float64 (n, classes)."""
        rows = self.columns(features)
        raw = np.stack([evaluate(trees, rows) for trees in self.trees], axis=1)
        return raw if len(self.trees) > 1 else np.column_stack([np.zeros(len(raw)), raw[:, 0]])

    def columns(self, features: Features) -> Floats:
        """Columns that the trees see: dense numbers, then the linear scores; float32 (n, columns)."""
        scores = linear.score(features, self._wide, self.biases)
        return np.concatenate([features.dense, scores], axis=1)

    def to_bytes(self) -> bytes:
        tensors: dict[str, npt.NDArray[np.generic]] = {"coefficients": self.coefficients, "biases": self.biases}
        for number, trees in enumerate(self.trees):
            tensors |= {f"trees.{number}.{name}": getattr(trees, name) for name in NAMES}
        header = {
            **self.meta,
            "labels": list(self.labels),
            "temperature": self.temperature,
            "columns": list(COLUMNS),
            "fields": list(FIELDS),
            "bits": BITS,
        }
        return safetensors.numpy.save(tensors, {"model": json.dumps(header, ensure_ascii=False, sort_keys=True)})

    @classmethod
    def from_bytes(cls, data: bytes) -> SmallModel:
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["model"])
        if (header.pop("columns"), header.pop("fields"), header.pop("bits")) != (list(COLUMNS), list(FIELDS), BITS):
            raise ValueError("the model was trained on other features than this version computes: train it again")
        tensors = safetensors.numpy.load(data)
        labels = tuple(header.pop("labels"))
        return cls(
            labels=labels,
            coefficients=tensors["coefficients"],
            biases=tensors["biases"],
            trees=tuple(
                Trees(**{name: tensors[f"trees.{number}.{name}"] for name in NAMES})
                for number in range(1 if len(labels) == 2 else len(labels))
            ),
            temperature=header.pop("temperature"),
            meta=header,
        )


Model = SmallModel
"""The model that `classifiers.registry` loads for classifiers without a `model.py` of their own."""


def softmax(logits: npt.NDArray[np.float64]) -> Probabilities:
    """Softmax of logits, float32 (n, classes): rows sum to 1."""
    raised = np.exp(logits - logits.max(1, keepdims=True))
    out: Probabilities = (raised / raised.sum(1, keepdims=True)).astype(np.float32)
    return out


def fit(views: Sequence[Features], target: Target, labels: Sequence[str], settings: Settings, seed: int) -> SmallModel:
    """Train on n pages: the same data and seed give the same weights.

    The temperature is chosen on pages whose sites the model had not seen: HELD parts of the training set, held out in turn.

    :param views: features of the pages, one entry for each kind of input; the first with all that is known.
    """
    parts = folds(target.groups, INNER, f"temperature {seed}")
    logits: list[npt.NDArray[np.float64]] = []
    rows: list[int] = []
    for part in range(HELD):
        train = np.flatnonzero(parts != part).tolist()
        test = np.flatnonzero(parts == part).tolist()
        if train and test:
            model = _fit(taken(views, train), target.take(train), labels, settings, seed)
            logits += [model.logits(take(view, test)) for view in views]
            rows += test * len(views)
    model = _fit(views, target, labels, settings, seed)
    divisor = temperature(np.concatenate(logits), target.take(rows)) if rows else 1.0
    return dataclasses.replace(model, temperature=divisor)


def _fit(views: Sequence[Features], target: Target, labels: Sequence[str], settings: Settings, seed: int) -> SmallModel:
    """Words are learned from the first view, which has them all; trees from all views."""
    features = views[0]
    n = len(target.weights)
    parts = folds(target.groups, INNER, f"linear {seed}")
    classes = len(labels)
    scores = np.zeros((len(views), n, len(FIELDS) * classes), np.float32)
    for part in range(INNER):
        others, held_out = np.flatnonzero(parts != part).tolist(), np.flatnonzero(parts == part).tolist()
        if held_out:
            coefficients, biases = linear.fit(features, others, target.wanted[others], target.weights[others], seed)
            for score, view in zip(scores, views, strict=True):
                score[held_out] = linear.score(take(view, held_out), coefficients.astype(np.float32), biases)
    coefficients, biases = linear.fit(features, list(range(n)), target.wanted, target.weights, seed)
    rows = np.concatenate([np.concatenate([v.dense, s], axis=1) for v, s in zip(views, scores, strict=True)])
    everything = target.take(list(range(n)) * len(views))
    everything = dataclasses.replace(everything, weights=everything.weights / np.float32(len(views)))
    trees = _trees(rows, everything, classes, settings, seed)
    return SmallModel(tuple(labels), coefficients, biases, trees)


def _trees(rows: Floats, target: Target, classes: int, settings: Settings, seed: int) -> tuple[Trees, ...]:
    import lightgbm

    parameters = {**TREES, **settings.trees, "seed": seed % (1 << 31)}
    rows = np.ascontiguousarray(rows)
    if classes == 2:
        data = lightgbm.Dataset(rows, target.wanted[:, 1].copy(), weight=target.weights)
        booster = lightgbm.train({**parameters, "objective": "cross_entropy"}, data, settings.rounds)
        return (exported(booster.dump_model()["tree_info"]),)
    # A page with several possible labels (a row with several shares) stands there once for each, by its share.
    page, label = np.nonzero(target.wanted > 0)
    data = lightgbm.Dataset(rows[page], label, weight=target.weights[page] * target.wanted[page, label])
    booster = lightgbm.train({**parameters, "objective": "multiclass", "num_class": classes}, data, settings.rounds)
    info = booster.dump_model()["tree_info"]
    return tuple(exported(info[number::classes]) for number in range(classes))


def temperature(logits: npt.NDArray[np.float64], target: Target) -> float:
    """Choose the temperature of a grid with the least cross entropy."""

    def loss(by: float) -> float:
        p = np.clip(softmax(logits / by).astype(np.float64), 1e-9, 1.0)
        return float((target.weights * -(target.wanted * np.log(p)).sum(1)).sum())

    return min((round(float(v), 3) for v in np.geomspace(0.4, 3.0, 41)), key=loss)


def folds(groups: Sequence[str], n: int, salt: str) -> npt.NDArray[np.int64]:
    """Fold of each page, 0 to n - 1, by a hash of its group: sites are never split."""
    import xxhash

    return np.array([xxhash.xxh3_64_intdigest(f"{salt} {group}".encode()) % n for group in groups], np.int64)


def taken(views: Sequence[Features], rows: Sequence[int]) -> list[Features]:
    """`take` of each view."""
    return [take(view, rows) for view in views]


def take(features: Features, rows: Sequence[int]) -> Features:
    """Features of some pages, in that order."""
    n = len(FIELDS)
    spans = [(features.starts[n * i + f], features.starts[n * i + f + 1]) for i in rows for f in range(n)]
    starts = np.cumsum([0, *(b - a for a, b in spans)]).astype(np.int64)
    parts = [features.hashes[a:b] for a, b in spans]
    return Features(features.dense[list(rows)], np.concatenate(parts) if parts else features.hashes[:0], starts)
