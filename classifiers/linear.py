"""Multinomial logistic regression over hashed words, one field of a page at a time, by AdaGrad."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from classifiers.features import BITS, FIELDS, Features, field_hashes
from extraction.kernels import compiled

Floats = npt.NDArray[np.float32]
EPOCHS = 6
L2 = 1e-5
RATES = {"address": 0.15, "title": 0.15, "signals": 0.15, "text": 0.1}


def fit(
    features: Features, rows: list[int], targets: Floats, weights: Floats, seed: int
) -> tuple[npt.NDArray[np.float16], Floats]:
    """Coefficients (2**BITS, classes), which the fields share, and biases (fields, classes).

    :param targets: wanted probabilities of `rows`, float32 (len(rows), classes).
    :param weights: of `rows`, float32.
    """
    classes = targets.shape[1]
    out = np.zeros((1 << BITS, classes), np.float32)
    biases = np.zeros((len(FIELDS), classes), np.float32)
    for field, name in enumerate(FIELDS):
        hashes, starts = field_hashes(features, rows, field)
        random = np.random.default_rng(seed + field)
        orders = np.stack([random.permutation(len(rows)) for _ in range(EPOCHS)]).astype(np.int64)
        _fit(hashes, starts, targets, weights, orders, RATES[name], L2, out, biases[field])
    return out.astype(np.float16), biases


def score(features: Features, coefficients: Floats, biases: Floats) -> Floats:
    """Linear scores of all pages, float32 (n, fields * classes): the sum of a field's coefficients / sqrt(their number)
    + its bias; 0 for fields that are empty."""
    out = np.zeros((len(features.dense), biases.size), np.float32)
    _score(features.hashes, features.starts, coefficients, biases, out)
    return out


@compiled("in:u4 in:i8 in:f4* in:f4* io:f4*")
def _score(hashes, starts, coefficients, biases, out):  # type: ignore[no-untyped-def]
    fields, classes = biases.shape
    for page in range(len(out)):
        for field in range(fields):
            first, last = starts[page * fields + field], starts[page * fields + field + 1]
            if last == first:
                continue
            scale = np.float32(1.0 / np.sqrt(float(last - first)))
            scores = out[page, field * classes : (field + 1) * classes]
            for q in range(first, last):
                row = coefficients[hashes[q]]
                for c in range(classes):
                    scores[c] += row[c]
            for c in range(classes):
                scores[c] = scores[c] * scale + biases[field, c]


@compiled("in:u4 in:i8 in:f4* in:f4 in:i8* f8 f8 io:f4* io:f4")
def _fit(hashes, starts, targets, weights, orders, rate, l2, out, bias):  # type: ignore[no-untyped-def]
    classes = targets.shape[1]
    squares = np.full(out.shape, 1e-2, np.float32)
    bias_squares = np.full(classes, 1e-2)
    logits = np.empty(classes)
    for epoch in range(len(orders)):
        for i in orders[epoch]:
            first, last = starts[i], starts[i + 1]
            if last == first:
                continue
            scale = 1.0 / np.sqrt(float(last - first))
            logits[:] = 0.0
            for q in range(first, last):
                for c in range(classes):
                    logits[c] += out[hashes[q], c]
            for c in range(classes):
                logits[c] = logits[c] * scale + bias[c]
            top = logits.max()
            total = 0.0
            for c in range(classes):
                logits[c] = np.exp(logits[c] - top)
                total += logits[c]
            for c in range(classes):
                logits[c] = (logits[c] / total - targets[i, c]) * weights[i]  # the gradient
            for q in range(first, last):
                j = hashes[q]
                for c in range(classes):
                    step = logits[c] * scale + l2 * out[j, c]
                    squares[j, c] += step * step
                    out[j, c] -= rate * step / np.sqrt(squares[j, c])
            for c in range(classes):
                bias_squares[c] += logits[c] * logits[c]
                bias[c] -= rate * logits[c] / np.sqrt(bias_squares[c])
