"""Plan how often each document is written: the rate of each cell, and the copies that a document gets of it.

A *cell* is a combination of values, such as (recipe, food, zh), of the axes (`pipeline/tokenization/axes.py`). `solver.solve`
turns documents and tokens of the cells into one rate a cell, the copies of its documents on average; `copies` applies it by a
hash of (seed, doc_id).

**Whole documents.** A rate of 1.3 gives every document of the cell one copy, and the 30 % with the least hashes a second. How
many that is, is rounded cumulatively over the cells, those of a class together: so the sum of copies of a class is what was
planned, to one document.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

Cell = tuple[str | None, ...]
"""One value an axis, in the order of the axes; None where a document has no value."""

NONE = "(none)"  # shown where documents have no value
_HASH_RANGE = 1 << 64


class Count(NamedTuple):
    """Documents and tokens of a cell."""

    documents: int
    tokens: int


@dataclass(frozen=True)
class CellPlan:
    """A cell's rate: `rate` copies on average of its `documents`, which have `tokens` tokens.

    A document gets floor(rate) copies, and one more if its hash is below `threshold` (0 to 2**64), which `extra` documents
    do. The plan of `solve` knows how many; `Plan.with_hashes` knows which.
    """

    cell: Cell
    documents: int
    tokens: int
    rate: float
    extra: int
    threshold: int = 0

    @property
    def base(self) -> int:
        """Copies that every document of the cell gets."""
        return math.floor(self.rate)


@dataclass(frozen=True)
class ShareReport:
    """Shares of one value of one axis, before and after.

    Shares are of all tokens; on an axis with target shares, of the tokens of its named values, and None for the others.
    """

    axis: str
    value: str | None
    documents: int
    tokens_before: int
    tokens_after: int  # expected
    share_before: float | None
    target: float | None
    share_after: float | None


@dataclass(frozen=True)
class Plan:
    """The solved mixture."""

    axes: tuple[str, ...]
    cells: tuple[CellPlan, ...]  # sorted by cell
    shares: tuple[ShareReport, ...]
    tokens_before: int
    tokens_wanted: int
    tokens_after: int  # expected
    converged: bool
    sweeps: int
    notes: tuple[str, ...]  # what could not be reached and why; empty if everything was

    def rates(self) -> dict[Cell, CellPlan]:
        """The plan of each cell."""
        return {c.cell: c for c in self.cells}

    def sought(self) -> dict[Cell, int]:
        """Cells some but not all of whose documents get one copy more, with the number that do."""
        return {c.cell: c.extra for c in self.cells if 0 < c.extra < c.documents}

    def with_hashes(self, last: Mapping[Cell, int]) -> Plan:
        """The plan with thresholds.

        :param last: of the cells `sought` the hash of the last document to get one copy more: the extra-th least.
        """
        cells = []
        for c in self.cells:
            threshold = 0 if c.extra == 0 else _HASH_RANGE if c.extra == c.documents else last[c.cell] + 1
            cells.append(dataclasses.replace(c, threshold=threshold))
        return dataclasses.replace(self, cells=tuple(cells))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the run record."""
        return {
            "axes": list(self.axes),
            "tokens_before": self.tokens_before,
            "tokens_wanted": self.tokens_wanted,
            "tokens_after": self.tokens_after,
            "converged": self.converged,
            "sweeps": self.sweeps,
            "notes": list(self.notes),
            "shares": [vars(s) for s in self.shares],
            "cells": [{**vars(c), "cell": list(c.cell)} for c in self.cells],
        }

    def table(self) -> str:
        """A text table: one line a value of each axis, the axes with fewest values first; then the notes."""
        sizes = {axis: sum(s.axis == axis for s in self.shares) for axis in self.axes}
        rows: list[tuple[str, ...]] = [
            ("", "documents", "tokens", "before", "target", "after", "tokens after", "copies")
        ]
        for s in sorted(self.shares, key=lambda s: (sizes[s.axis], self.axes.index(s.axis))):
            copies = s.tokens_after / s.tokens_before if s.tokens_before else 0.0
            shares = [_percent(s.share_before), _percent(s.target), _percent(s.share_after)]
            name = f"{s.axis} {s.value if s.value is not None else NONE}"
            before, after = f"{s.tokens_before:,}", f"{s.tokens_after:,}"
            rows.append((name, f"{s.documents:,}", before, *shares, after, f"{copies:.3f}"))
        documents = f"{sum(c.documents for c in self.cells):,}"
        rate = self.tokens_after / self.tokens_before if self.tokens_before else 0.0
        rows.append(("all", documents, f"{self.tokens_before:,}", "", "", "", f"{self.tokens_after:,}", f"{rate:.3f}"))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(
                [row[0].ljust(widths[0]), *(v.rjust(w) for v, w in zip(row[1:], widths[1:], strict=True))]
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, *(f"note: {n}" for n in self.notes)])


def cells_of(axes: pa.Table) -> list[Cell]:
    """The cell of each document, n of them, from the columns that `Mixture.table` makes."""
    return list(zip(*(column.to_pylist() for column in axes.columns), strict=True))


def copy_hash(doc_ids: Sequence[str], seed: int) -> npt.NDArray[np.uint64]:
    """The number that decides on a document's fractional copy: XXH3-64 of "copies/{seed}/{doc_id}", shape (n,)."""
    prefix = f"copies/{seed}/"
    return np.array([xxhash.xxh3_64_intdigest((prefix + d).encode()) for d in doc_ids], dtype=np.uint64)


def copies(hashes: npt.NDArray[np.uint64], base: int, threshold: int) -> npt.NDArray[np.int32]:
    """Copies of the documents of one cell, int32, shape (n,): `base`, and one more where the hash is below `threshold`.

    A document's copies depend on its id, the seed and the cell's plan alone; at a higher rate it never has fewer.

    :param hashes: `copy_hash` of the documents, shape (n,).
    """
    return (base + (hashes < threshold)).astype(np.int32)


def kth_least(hashes: npt.NDArray[np.uint64], k: int) -> int:
    """The k-th least of the hashes of a cell, 1 <= k <= n: what `Plan.with_hashes` takes.

    Documents are told apart by their hash alone: two of a cell with the same 64 bits, just at this place, both get the copy.
    That happens to a document that is there twice, and by chance in n / 2**64 of cells with n documents.
    """
    return int(np.partition(hashes, k - 1)[k - 1])


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"
