"""Spherical k-means and pairs by cosine over whole-number vectors (`embedding`): exact, so the same in any order and batch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.model_based.embedding import Floats, Vectors, quantised

Ids = npt.NDArray[np.int64]

ROUNDS = 12
BLOCK = 2048
"""Vectors that are compared with as many at a time: 16 MB of products."""


def fit(vectors: Vectors, k: int) -> Vectors:
    """Centres of k-means by cosine, int8 (at most k, d). It begins with the first k different vectors.

    :param vectors: int8 (n, d), none all zeros, in an order that says nothing about them.
    """
    _, first = np.unique(vectors, axis=0, return_index=True)
    centres = vectors[np.sort(first)[:k]]
    before = None
    for _ in range(ROUNDS):
        cluster = nearest(vectors, centres, 1)[:, 0]
        if before is not None and np.array_equal(cluster, before):
            break
        before = cluster
        order = np.argsort(cluster, kind="stable")
        starts = np.flatnonzero(np.diff(cluster[order], prepend=-1))
        # Each vector counts with its length of one: 2^20 steps of it, in whole numbers.
        unit = np.rint(vectors * ((1 << 20) / _lengths(vectors))[:, None]).astype(np.int64)
        sums = np.add.reduceat(unit[order], starts, axis=0)
        moved = centres.copy()  # a centre that has no vector left stays where it is
        moved[cluster[order][starts]] = quantised(sums.astype(np.float32))
        centres = moved
    return centres


def fit_split(vectors: Vectors, k: int, most: int) -> Vectors:
    """Centres as of `fit`; clusters with more than `most` of the vectors are split, again and again, as far as they can be."""
    done: list[Vectors] = []
    todo = [(vectors, fit(vectors, k))]
    while todo:
        members, centres = todo.pop()
        cluster = nearest(members, centres, 1)[:, 0]
        sizes = np.bincount(cluster, minlength=len(centres))
        fine = sizes <= most if len(centres) > 1 or len(members) <= most else np.zeros(1, np.bool_)
        done.append(centres[fine])
        for c in np.flatnonzero(~fine).tolist():
            inside = members[cluster == c]
            parts = fit(inside, 2 * -(-len(inside) // most))
            if len(parts) < 2 or len(inside) == len(members):
                done.append(parts)
            else:
                todo.append((inside, parts))
    return np.concatenate(done)


def nearest(vectors: Vectors, centres: Vectors, number: int) -> Ids:
    """The nearest centres of each vector, the nearest first, equals by place: int64 (n, min(number, centres))."""
    number = min(number, len(centres))
    out = np.empty((len(vectors), number), np.int64)
    targets = centres.astype(np.float32).T
    lengths = _lengths(centres)
    for start in range(0, len(vectors), BLOCK):
        products = (vectors[start : start + BLOCK].astype(np.float32) @ targets).astype(np.float64) / lengths
        for i in range(number):
            best = products.argmax(1)
            out[start : start + BLOCK, i] = best
            products[np.arange(len(best)), best] = -np.inf
    return out


def parents(vectors: Vectors, threshold: float, new: int = 0) -> tuple[Ids, Ids, npt.NDArray[np.float64]]:
    """The first vector before each one whose cosine with it reaches the threshold.

    :param vectors: int8 (n, d), in their order.
    :param new: the first vector that is asked about; those before it are only there to be found.
    :returns: places of vectors that have one, ascending; the places of those; cosines: shape (found,) each.
    """
    wide, lengths = vectors.astype(np.float32), _lengths(vectors)
    loose = (lengths * (threshold * (1 - 1e-5))).astype(np.float32)
    pairs: list[tuple[Ids, Ids, npt.NDArray[np.float64]]] = []
    for start in range(new, len(vectors), BLOCK):
        open_ = np.arange(start, min(start + BLOCK, len(vectors)))
        for other in range(0, start + BLOCK, BLOCK):
            those = slice(other, min(other + BLOCK, len(vectors)))
            products = wide[open_] @ wide[those].T
            hit = products >= loose[open_, None] * lengths[those].astype(np.float32)
            if other + BLOCK > start:  # only those before it
                hit &= np.arange(those.start, those.stop) < open_[:, None]
            rows, columns = np.nonzero(hit)
            cosines = products[rows, columns].astype(np.float64)
            cosines /= lengths[open_[rows]] * lengths[other + columns]
            sure = cosines >= threshold
            rows, columns, cosines = rows[sure], columns[sure], cosines[sure]
            rows, first = np.unique(rows, return_index=True)  # of each row the first column
            if len(rows):
                pairs.append((open_[rows], other + columns[first], cosines[first]))
                open_ = np.delete(open_, rows)
            if not len(open_):
                break
    if not pairs:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64)
    children, theirs, cosines = (np.concatenate(column) for column in zip(*pairs, strict=True))
    order = np.argsort(children)
    return children[order], theirs[order], cosines[order]


def _lengths(vectors: Vectors) -> npt.NDArray[np.float64]:
    """Lengths of vectors, exact but for the root's last bit, and that is the same everywhere (IEEE 754)."""
    wide = vectors.astype(np.float32)
    squares: Floats = np.einsum("nd,nd->n", wide, wide)
    return np.sqrt(squares.astype(np.float64))
