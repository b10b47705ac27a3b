"""Logistic regression over hashed words or attributes, by AdaGrad: seconds for half a million lines, the same at each run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from extraction.kernels import compiled
from extraction.line_model.features import BITS


@dataclass(frozen=True, slots=True)
class Hashed:
    """The hashes of many lines: those of line i are `hashes[starts[i]:starts[i + 1]]`."""

    hashes: npt.NDArray[np.uint32]
    starts: npt.NDArray[np.int64]

    @classmethod
    def joined(cls, parts: list[Hashed]) -> Hashed:
        """The lines of all parts, one after the other."""
        offsets = np.cumsum([0, *(len(part.hashes) for part in parts)])
        starts = [part.starts[:-1] + offset for part, offset in zip(parts, offsets, strict=False)]
        return cls(np.concatenate([part.hashes for part in parts]), np.concatenate([*starts, offsets[-1:]]))


def fit(
    data: Hashed,
    labels: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    *,
    rate: float,
    epochs: int = 2,
    l2: float = 1e-6,
    seed: int = 0,
) -> tuple[npt.NDArray[np.float32], float]:
    """Weights (2**BITS,) and bias. The score of a line is the sum of its weights / sqrt(their number) + the bias."""
    coefficients = np.zeros(1 << BITS, np.float32)
    random = np.random.default_rng(seed)
    orders = np.stack([random.permutation(len(labels)) for _ in range(epochs)]).astype(np.int64)
    bias = _fit(data.hashes, data.starts, labels, weights, orders, rate, l2, coefficients)
    return coefficients, float(bias)


@compiled("in:u4 in:i8 in:f4 in:f4 in:i8* f8 f8 io:f4")
def _fit(hashes: Any, starts: Any, labels: Any, weights: Any, orders: Any, rate: Any, l2: Any, out: Any) -> Any:
    squares = np.full(len(out), 1e-2, np.float32)
    bias = 0.0
    bias_square = 1e-2
    for epoch in range(len(orders)):
        for i in orders[epoch]:
            first, last = starts[i], starts[i + 1]
            scale = 1.0 / np.sqrt(float(last - first)) if last > first else 1.0
            score = bias
            for q in range(first, last):
                score += out[hashes[q]] * scale
            gradient = (1.0 / (1.0 + np.exp(-score)) - labels[i]) * weights[i]
            for q in range(first, last):
                j = hashes[q]
                step = gradient * scale + l2 * out[j]
                squares[j] += step * step
                out[j] -= rate * step / np.sqrt(squares[j])
            bias_square += gradient * gradient
            bias -= rate * gradient / np.sqrt(bias_square)
    return bias
