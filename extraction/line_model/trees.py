"""Boosted trees: trained by LightGBM, evaluated without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from extraction.kernels import compiled


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees, one after the other, each breadth first. Node i asks whether column `feature[i]` is greater
    than `threshold[i]`; the next node is `child[i]` if not, the one behind it if so, both counted within the tree. A leaf
    points to itself, so that every row takes `depths[tree]` steps and nothing branches; its value is in `leaves[i]`. `roots`
    (trees + 1) says where trees begin."""

    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float32]
    child: npt.NDArray[np.int16]
    leaves: npt.NDArray[np.float32]
    roots: npt.NDArray[np.int32]
    depths: npt.NDArray[np.int32]


def evaluate(trees: Trees, columns: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The sum of the trees' values for each row of `columns`, shape (rows,)."""
    out = np.zeros(len(columns), np.float64)
    _evaluate(columns, *_arrays(trees), out)
    return out


def _arrays(trees: Trees) -> tuple[npt.NDArray[np.generic], ...]:
    return tuple(getattr(trees, name) for name in Trees.__slots__)


_BLOCK = 64


@compiled("in:f4* in:i2 in:f4 in:i2 in:f4 in:i4 in:i4 io:f8")
def _evaluate(x, feature, threshold, child, leaves, roots, depths, out):  # type: ignore[no-untyped-def]
    """Add the trees' values for each row of `x` to `out`. In blocks of rows that stay in the nearest cache while all
    trees go over them, four rows at a time: their steps do not wait for one another."""
    n = len(x)
    for first in range(0, n, _BLOCK):
        last = min(n, first + _BLOCK)
        fours = last - (last - first) % 4
        for tree in range(len(depths)):
            root = roots[tree]
            for i in range(first, fours, 4):
                a = b = c = d = root
                for _ in range(depths[tree]):
                    a = root + child[a] + (x[i, feature[a]] > threshold[a])
                    b = root + child[b] + (x[i + 1, feature[b]] > threshold[b])
                    c = root + child[c] + (x[i + 2, feature[c]] > threshold[c])
                    d = root + child[d] + (x[i + 3, feature[d]] > threshold[d])
                out[i] += leaves[a]
                out[i + 1] += leaves[b]
                out[i + 2] += leaves[c]
                out[i + 3] += leaves[d]
            for i in range(fours, last):
                a = root
                for _ in range(depths[tree]):
                    a = root + child[a] + (x[i, feature[a]] > threshold[a])
                out[i] += leaves[a]
