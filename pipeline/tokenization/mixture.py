"""How often each document is written, so that the tokens have the wished-for mixture.

A *cell* is a combination of values, such as (zh, crawl-2024), of the columns that the mixture names (*axes*). `solve`
turns token counts of the cells into one rate a cell: the expected number of copies of its documents. `copies` applies
a rate by a hash of (seed, doc_id).

    counts = {("zh", "a"): Count(60, 30_000), ("en", "a"): Count(240, 130_000)}
    plan = solve(Mixture(shares={"language": {"zh": 1, "en": 1}}), ("language", "source"), counts)
    print(plan.table())
    copies(copy_hash(doc_ids, seed), plan.rates()["zh", "a"].base, plan.rates()["zh", "a"].threshold)

**What is solved.** With T_c the tokens of cell c, r_c its rate and N the total: find 0 <= r_c <= max_copies with
sum r_c T_c = N whose share of every named value is as wished for. Where none does, take those whose shares are
nearest (least sum over the axes of the Kullback-Leibler divergence of reached from target shares); the plan then says
which bound was in the way. Both come from one iteration that starts from "as it is": multiply each rate by the
geometric mean, over the axes, of target share / present share, then restore total and bounds with min(max_copies, k
r_c). This is mirror descent with the entropy as its potential, whose projection that clipping is. Unlike raking
(iterative proportional fitting) one axis after another, it converges too when targets contradict each other; without
bounds it is SMART (Byrne, IEEE Trans. Image Processing 2 (1993) 96) and ends at the mixture nearest to the start, as
raking does.

**Total.** Without a budget N is the number of tokens there are (in cells that are not dropped): zh 30 and en 100
become 65 and 65. So nothing is repeated only to keep all of another language, and a corpus with hardly any Chinese is
not thrown away for the sake of 1 : 1: its Chinese is repeated `max_copies` times, and the rest stays English. With
`prefer: shares` the total shrinks instead until the shares hold.

**max_copies** defaults to 4: training on up to 4 epochs of the same data was found to change the loss hardly at all
against unique data, with quickly falling returns after (Muennighoff et al., arXiv:2305.16264).

Everything is computed in a fixed order of the cells (sorted), so the same counts give the same plan in any order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash
from pydantic import Field, field_validator

from pipeline.strict import Strict

Cell = tuple[str | None, ...]
"""One value an axis, in the order of the axes; None where a document has no value."""

Floats = npt.NDArray[np.float64]

MAX_SWEEPS = 20_000
TOLERANCE = 1e-9  # of a share; a sweep that moves no share by more ends the iteration
_RATE_DIGITS = 9  # stored digits of a rate: what differs between two machines' powers is far below
_MISSED = 1e-4  # a share that misses its target by more is reported
_HASH_RANGE = 1 << 64


class Mixture(Strict):
    """Target shares by tokens, and the bounds within which they are sought."""

    shares: dict[str, dict[str, float]] = Field(
        default_factory=lambda: {"language": {"zh": 1.0, "en": 1.0}},
        description="per column the wished-for proportions of its values by tokens; {language: {zh: 1, en: 1}} is 1:1",
    )
    missing: Literal["keep", "drop"] = Field(
        "keep", description="documents whose value is not named: left in proportion as they are, or not written"
    )
    max_copies: float = Field(4.0, ge=1, description="most copies of one document, on average over its cell")
    token_budget: int | None = Field(None, gt=0, description="tokens to write; null: as many as the documents have")
    prefer: Literal["total", "shares"] = Field(
        "total",
        description="what holds if max_copies allows not both: total (others fill up), or shares (fewer tokens)",
    )

    @field_validator("shares")
    @classmethod
    def _positive(cls, shares: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for axis, values in shares.items():
            for value, weight in values.items():
                if not (weight >= 0 and math.isfinite(weight)):
                    raise ValueError(f"shares.{axis}.{value}: expected a number >= 0, found {weight}")
            if not sum(values.values()) > 0:
                raise ValueError(f"shares.{axis}: expected at least one value with a share above 0, found {values}")
        return shares

    @property
    def axes(self) -> tuple[str, ...]:
        """The columns that the mixture names, sorted: those to count by."""
        return tuple(sorted(self.shares))


class Count(NamedTuple):
    """What a cell holds."""

    documents: int
    tokens: int


@dataclass(frozen=True)
class CellPlan:
    """A cell's rate: `rate` expected copies of each of its `documents`, which have `tokens` tokens.

    A document gets floor(rate) copies, and one more if its hash is below `threshold` (out of 2**64).
    """

    cell: Cell
    documents: int
    tokens: int
    rate: float

    @property
    def base(self) -> int:
        """Copies that every document of the cell gets."""
        return math.floor(self.rate)

    @property
    def threshold(self) -> int:
        """Documents whose `copy_hash` is below it get one copy more; 0 to 2**64."""
        return round((self.rate - self.base) * _HASH_RANGE)


@dataclass(frozen=True)
class ShareReport:
    """What became of one value of one axis; shares are of the tokens of the axis's named values, None if not named."""

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
        """A text table: one line a value of each axis, before, target and after; then the notes."""
        rows: list[tuple[str, ...]] = [
            ("", "documents", "tokens", "share", "target", "after", "tokens after", "copies")
        ]
        for s in self.shares:
            copies = s.tokens_after / s.tokens_before if s.tokens_before else 0.0
            shares = [_percent(s.share_before), _percent(s.target), _percent(s.share_after)]
            name = f"{s.axis} {s.value if s.value is not None else '(none)'}"
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


def solve(mixture: Mixture, axes: Sequence[str], counts: Mapping[Cell, Count]) -> Plan:
    """The plan for `counts`, whose cells give one value for each of `axes`.

    Axes without target shares (to count by source, say, without steering it) are allowed: they are reported only.

    :raises ValueError: if the mixture names a column that is not among `axes`, or a count is negative.
    """
    unknown = sorted(set(mixture.shares) - set(axes))
    if unknown:
        raise ValueError(f"the mixture names the columns {unknown}, but documents are counted by {list(axes)}")
    cells = sorted(counts, key=lambda cell: [(v is None, v or "") for v in cell])
    for cell in cells:
        if len(cell) != len(axes):
            raise ValueError(f"cell {cell} has {len(cell)} values, expected one for each of {list(axes)}")
        if min(counts[cell]) < 0:
            raise ValueError(f"cell {cell}: negative count {counts[cell]}")
    tokens = np.array([counts[cell].tokens for cell in cells], dtype=np.float64)
    problem = _Problem(mixture, tuple(axes), cells, tokens)
    available = int(tokens[problem.allowed].sum())
    wanted = available if mixture.token_budget is None else mixture.token_budget
    fit = problem.fit(float(wanted))
    if mixture.prefer == "shares" and problem.misses(fit.rates):
        fit = problem.largest_with_shares(float(wanted))
    rates = np.round(fit.rates, _RATE_DIGITS)
    plans = tuple(
        CellPlan(cell, counts[cell].documents, counts[cell].tokens, float(rate))
        for cell, rate in zip(cells, rates, strict=True)
    )
    return Plan(
        axes=tuple(axes),
        cells=plans,
        shares=tuple(problem.report(rates, counts)),
        tokens_before=int(tokens.sum()),
        tokens_wanted=wanted,
        tokens_after=round(float(rates @ tokens)),
        converged=fit.converged,
        sweeps=fit.sweeps,
        notes=tuple(problem.notes(rates, wanted, fit.converged)),
    )


@dataclass(frozen=True)
class _Axis:
    """A steered axis. Cells of values that are not named have group -1."""

    name: str
    values: tuple[str, ...]  # (G,)
    groups: npt.NDArray[np.int64]  # (n_cells,), index into values
    target: Floats  # (G,), shares, sum 1; of the values that have tokens
    wished: Floats  # (G,), shares as configured

    def totals(self, tokens: Floats) -> Floats:
        """Tokens of each named value, (G,)."""
        named = self.groups >= 0
        return np.bincount(self.groups[named], tokens[named], len(self.values)).astype(np.float64)

    def shares(self, tokens: Floats) -> Floats:
        """Share of each named value in the tokens of all named values, (G,); zeros if there are none."""
        totals = self.totals(tokens)
        whole = totals.sum()
        return totals / whole if whole > 0 else totals


class _Fit(NamedTuple):
    rates: Floats
    converged: bool
    sweeps: int


class _Problem:
    def __init__(self, mixture: Mixture, axes: tuple[str, ...], cells: list[Cell], tokens: Floats) -> None:
        self.max_copies = mixture.max_copies
        self.axes = axes
        self.cells = cells
        self.tokens = tokens
        self.steered: list[_Axis] = []
        self.allowed = np.ones(len(cells), dtype=bool)
        for name in mixture.axes:
            values = tuple(sorted(mixture.shares[name]))
            place: dict[str | None, int] = {v: i for i, v in enumerate(values)}
            column = axes.index(name)
            groups = np.array([place.get(cell[column], -1) for cell in cells], dtype=np.int64)
            wished = np.array([mixture.shares[name][v] for v in values], dtype=np.float64)
            wished /= wished.sum()
            self.allowed &= np.where(groups >= 0, wished[groups] > 0, mixture.missing == "keep")
            self.steered.append(_Axis(name, values, groups, wished, wished))
        # A value without tokens cannot have a share: the nearest mixture gives it to the others in proportion.
        live = np.where(self.allowed, tokens, 0.0)
        for i, axis in enumerate(self.steered):
            target = np.where(axis.totals(live) > 0, axis.wished, 0.0)
            if target.sum() > 0:
                target = target / target.sum()
            self.steered[i] = _Axis(axis.name, axis.values, axis.groups, target, axis.wished)

    def fit(self, total: float) -> _Fit:
        """The best rates that write `total` tokens, or as many as `max_copies` allows."""
        rates = self._bounded(np.where(self.allowed, 1.0, 0.0), total)
        if not self.steered:
            return _Fit(rates, True, 0)
        before = [axis.shares(rates * self.tokens) for axis in self.steered]
        for sweep in range(1, MAX_SWEEPS + 1):
            factor = np.ones_like(rates)
            for axis, shares in zip(self.steered, before, strict=True):
                pull = np.divide(axis.target, shares, out=np.ones_like(shares), where=shares > 0)
                factor *= np.where(axis.groups >= 0, pull[axis.groups], 1.0) ** (1.0 / len(self.steered))
            rates = self._bounded(rates * factor, total)
            after = [axis.shares(rates * self.tokens) for axis in self.steered]
            moved = max(float(np.abs(a - b).max()) for a, b in zip(after, before, strict=True))
            before = after
            if moved <= TOLERANCE:
                return _Fit(rates, True, sweep)
        return _Fit(rates, False, MAX_SWEEPS)

    def _bounded(self, rates: Floats, total: float) -> Floats:
        """min(max_copies, k * rates) with k such that `total` tokens come of it, or all at max_copies if none does."""
        at_most = self.max_copies
        free = (rates > 0) & (self.tokens > 0)
        if float(self.tokens[free].sum()) * at_most <= total:
            return np.where(rates > 0, at_most, 0.0)
        out = rates.copy()
        full = np.zeros_like(free)
        while True:  # each round fixes at least one more cell at the bound, so it ends
            rest = total - float(self.tokens[full].sum()) * at_most
            k = rest / float((rates[free & ~full] * self.tokens[free & ~full]).sum())
            out = np.where(full, at_most, k * rates)
            over = ~full & (out > at_most)
            if not (over & free).any():
                return np.minimum(out, at_most)
            full |= over & free

    def misses(self, rates: Floats) -> bool:
        """Whether a share of a value that has tokens is not its target."""
        return any(np.abs(a.shares(rates * self.tokens) - a.target).max(initial=0.0) > _MISSED for a in self.steered)

    def largest_with_shares(self, total: float) -> _Fit:
        """The fit with the largest total, of at most `total`, whose shares are the targets.

        Where even the smallest total misses them, because the targets contradict each other, no bound is to blame and
        the total stays.
        """
        best = self.fit(_MISSED * total)
        if self.misses(best.rates):
            return self.fit(total)
        low, high = _MISSED, 1.0  # of `total`: low holds the shares, high does not
        for _ in range(30):
            middle = (low + high) / 2
            fit = self.fit(middle * total)
            if self.misses(fit.rates):
                high = middle
            else:
                low, best = middle, fit
        return best

    def report(self, rates: Floats, counts: Mapping[Cell, Count]) -> list[ShareReport]:
        """One entry a value of each axis: named ones in order of their name, then the others."""
        out = []
        steered = {a.name: a for a in self.steered}
        for column, name in enumerate(self.axes):
            axis = steered.get(name)
            named = dict(zip(axis.values, axis.wished.tolist(), strict=True)) if axis else {}
            found = {cell[column] for cell in self.cells} - set(named)
            values: list[str | None] = [*named, *sorted(found, key=lambda v: (v is None, v or ""))]
            rows = {v: np.array([cell[column] == v for cell in self.cells], dtype=bool) for v in values}
            part = np.array([not named or cell[column] in named for cell in self.cells], dtype=bool)
            before, after = float(self.tokens[part].sum()), float((rates * self.tokens)[part].sum())
            for v, row in rows.items():
                is_part = not named or v in named
                tokens_before, tokens_after = float(self.tokens[row].sum()), float((rates * self.tokens)[row].sum())
                out.append(
                    ShareReport(
                        axis=name,
                        value=v,
                        documents=sum(counts[cell].documents for cell in self.cells if cell[column] == v),
                        tokens_before=round(tokens_before),
                        tokens_after=round(tokens_after),
                        share_before=round(tokens_before / before, 6) if is_part and before else None,
                        target=round(named[v], 6) if v in named and v is not None else None,
                        share_after=round(tokens_after / after, 6) if is_part and after else None,
                    )
                )
        return out

    def notes(self, rates: Floats, wanted: int, converged: bool) -> list[str]:
        """What was not reached, and the bound that was in the way."""
        out = []
        written = rates * self.tokens
        for axis in self.steered:
            shares = axis.shares(written)
            for i, value in enumerate(axis.values):
                target = float(axis.wished[i])
                if abs(float(shares[i]) - target) <= _MISSED:
                    continue
                cells = (axis.groups == i) & (self.tokens > 0) & self.allowed
                reached = f"reaches {shares[i]:.4f} of {target:.4f} by {axis.name}"
                if not cells.any():
                    out.append(f"{value} has no tokens: {reached}")
                elif shares[i] < target and (rates[cells] >= self.max_copies * (1 - 1e-6)).all():
                    out.append(f"{value} is limited by max_copies={self.max_copies:g}: {reached}")
                elif shares[i] < target:
                    out.append(f"{value} is limited by the targets of other values or columns: {reached}")
                else:
                    out.append(f"{value} fills up what others lack: {reached}")
        total = float(written.sum())
        if total < wanted * (1 - _MISSED):
            why = f"max_copies={self.max_copies:g} allows no more"
            if total < float(self.tokens[self.allowed].sum()) * self.max_copies * (1 - _MISSED):
                why = "a larger total would break the shares (prefer: shares)"
            out.append(f"{total:,.0f} of {wanted:,} tokens: {why}")
        if not converged:
            out.append(f"not converged after {MAX_SWEEPS:,} sweeps: shares still moved by more than {TOLERANCE:g}")
        return out


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


def exact_threshold(hashes: npt.NDArray[np.uint64], weights: npt.NDArray[np.int64], fraction: float) -> int:
    """The threshold at which documents of `weights` (their tokens, or ones) below it weigh nearest to `fraction` of
    all.

    A cell's own threshold in place of the expected one: what is written then misses the plan by half a document at most
    (weights: ones) or half the largest document (tokens), where independent choices miss it by a random sum. Equal
    hashes stay together.

    :param hashes: `copy_hash` of all documents of the cell, shape (n,), any order.
    """
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    ends = np.nonzero(np.append(ordered[1:] != ordered[:-1], True))[0] if len(order) else order  # last of equal hashes
    below = np.concatenate([[0], np.cumsum(weights[order], dtype=np.int64)[ends]])
    taken = int(np.argmin(np.abs(below - fraction * below[-1])))
    return 0 if taken == 0 else int(ordered[ends[taken - 1]]) + 1


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"
