"""Boosted trees: trained by LightGBM, evaluated without it.

A row does not walk down a tree. Every node of a tree is asked, of many rows at once, and takes the leaves that are out of
reach from a mask of bits, one a leaf; the lowest bit left is the row's leaf (Lucchese et al., QuickScorer, SIGIR 2015).
Nothing branches and nothing waits for a step before, so that processors do eight rows an instruction.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from extraction.kernels import compiled

MAX_LEAVES = 32
"""Leaves of a tree: the bits of a mask."""

_DE_BRUIJN = 0x077CB531
"""Times a power of two, its five highest bits are another number for each of the 32."""


@dataclass(frozen=True)
class Trees:
    """Boosted trees, one after the other, each breadth first. Node i asks whether column `feature[i]` is greater
    than `threshold[i]`; the next node is `child[i]` if not, the one behind it if so, both counted within the tree. A leaf
    points to itself; its value is in `leaves[i]`. `roots` (trees + 1) says where trees begin."""

    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float32]
    child: npt.NDArray[np.int16]
    leaves: npt.NDArray[np.float32]
    roots: npt.NDArray[np.int32]

    @functools.cached_property
    def masked(self) -> tuple[npt.NDArray[np.generic], ...]:
        """What `_evaluate` takes: of every node that asks, column, threshold, and a mask of the leaves that are left if the
        answer is yes; where each tree's nodes begin; values of its leaves, MAX_LEAVES a tree, by the highest bits of their
        bit times `_DE_BRUIJN`.

        :raises ValueError: if a tree has more than MAX_LEAVES leaves.
        """
        nodes: list[tuple[int, float, int]] = []
        starts = [0]
        values = np.zeros((len(self.roots) - 1, MAX_LEAVES), np.float32)
        for tree, (root, end) in enumerate(zip(self.roots[:-1].tolist(), self.roots[1:].tolist(), strict=True)):
            leaf = 0

            def leaves_of(node: int, root: int = root, tree: int = tree) -> int:
                """Mask of the leaves below a node, which are numbered from left to right."""
                nonlocal leaf
                if self.child[node] == node - root:
                    if leaf == MAX_LEAVES:
                        raise ValueError(f"tree {tree} has more than {MAX_LEAVES} leaves")
                    values[tree, ((1 << leaf) * _DE_BRUIJN & 0xFFFFFFFF) >> 27] = self.leaves[node]
                    leaf += 1
                    return 1 << leaf - 1
                child = root + int(self.child[node])
                left = leaves_of(child)
                right = leaves_of(child + 1)
                nodes.append((int(self.feature[node]), float(self.threshold[node]), ~left & 0xFFFFFFFF))
                return left | right

            if end > root:
                leaves_of(root)
            if len(nodes) % 2:
                nodes.append((0, np.inf, 0xFFFFFFFF))  # nodes are asked in pairs
            starts.append(len(nodes))
        features, thresholds, masks = zip(*nodes, strict=True) if nodes else ((), (), ())
        return (
            np.array(features, np.int32),
            np.array(thresholds, np.float32),
            np.array(masks, np.uint32),
            np.array(starts, np.int32),
            values,
        )


NAMES = tuple(field.name for field in dataclasses.fields(Trees))
"""Names of the arrays of `Trees`."""


def evaluate(trees: Trees, columns: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The sum of the trees' values for each row of `columns`, shape (rows,)."""
    out = np.zeros(len(columns), np.float64)
    _evaluate(columns, *trees.masked, out)
    return out


_BLOCK = 64
_ALL = np.uint32(0xFFFFFFFF)
_FACTOR = np.uint32(_DE_BRUIJN)
_SHIFT = np.uint32(27)


@compiled("in:f4* in:i4 in:f4 in:u4 in:i4 in:f4* io:f8")
def _evaluate(x, feature, threshold, mask, starts, leaves, out):  # type: ignore[no-untyped-def]
    """Add the trees' values for each row of `x` to `out`, in blocks of rows that stay in the nearest cache while all
    trees go over them."""
    n, m = x.shape
    columns = np.zeros((m, _BLOCK), np.float32)
    left = np.zeros(_BLOCK, np.uint32)
    total = np.zeros(_BLOCK, np.float64)
    for first in range(0, n, _BLOCK):
        rows = min(n - first, _BLOCK)
        padded = (rows + 7) & ~7
        for i in range(rows):
            for k in range(m):
                columns[k, i] = x[first + i, k]
        total[:] = 0
        for tree in range(len(leaves)):
            left[:] = _ALL
            for node in range(starts[tree], starts[tree + 1], 2):
                one, other = columns[feature[node]], columns[feature[node + 1]]
                bound, other_bound = threshold[node], threshold[node + 1]
                if_so, if_other = mask[node], mask[node + 1]
                for i in range(padded):
                    left[i] &= (if_so if one[i] > bound else _ALL) & (if_other if other[i] > other_bound else _ALL)
            values = leaves[tree]
            for i in range(padded):
                left[i] &= ~left[i] + np.uint32(1)  # the lowest bit
                left[i] *= _FACTOR  # stored in 32 bits, which numba's own arithmetic is not
                left[i] >>= _SHIFT
            for i in range(rows):
                total[i] += values[left[i]]
        for i in range(rows):
            out[first + i] += total[i]
