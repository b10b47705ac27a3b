"""The rates that come nearest to a mixture.

    counts = {("zh", "a"): Count(60, 30_000), ("en", "a"): Count(240, 130_000)}
    plan = solve(Mixture(shares={"language": {"zh": 1, "en": 1}}), ("language", "source"), counts)
    print(plan.table())

**What is solved.** With T_c the tokens of cell c, r_c its rate and N the total: find 0 <= r_c <= max_copies with
sum r_c T_c = N whose share of every value named in `shares` is as wished for. Where none does, take those whose shares are
nearest (least sum over the axes of the Kullback-Leibler divergence of reached from target shares); the plan then says
which bound was in the way. Both come from one iteration over d_c, which starts from the worths: r_c = min(max_copies,
k d_c) with k such that the total holds; multiply d_c by the geometric mean, over the axes, of target share / present share. This
is mirror descent (dual averaging) with the entropy as its potential, whose projection that clipping is. Unlike raking
(iterative proportional fitting) one axis after another, it converges too when targets contradict each other; without
bounds it is SMART (Byrne, IEEE Trans. Image Processing 2 (1993) 96). Rates keep the form min(max_copies, worth times one
factor a value), so that where the targets can be reached it ends at the mixture nearest to the worths. Run without `max_copies`
it gives the targets of all values that `shares` do not name.

**Total.** Without a budget N is the number of tokens there are (in cells that are not dropped): zh 30 and en 100
become 65 and 65. So nothing is repeated only to keep all of another language, and a corpus with hardly any Chinese is
not thrown away for the sake of 1 : 1: its Chinese is repeated `max_copies` times, and the rest stays English. With
`prefer: shares` the total shrinks instead until the mixture holds.

Everything is computed in a fixed order of the cells (sorted), so the same counts give the same plan in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.tokenization.mixture import Mixture
from pipeline.tokenization.plan import NONE, Cell, CellPlan, Count, Plan, ShareReport

Floats = npt.NDArray[np.float64]

MAX_SWEEPS = 20_000
TOLERANCE = 1e-9  # of a share; a sweep that moves no share by more ends the iteration
_RATE_DIGITS = 9  # stored digits of a rate: what differs between two machines' powers is far below
_MISSED = 1e-4  # a share that misses its target by more is reported
_UNBOUNDED = 1e300  # a bound on copies that never binds; finite, since 0 times infinity is no number
_LEAST = 1e-200  # of the largest rate: what is pulled down without end stays a number
_NAMED = 10  # values of a weighted axis whose bound is named one by one


def solve(mixture: Mixture, axes: Sequence[str], counts: Mapping[Cell, Count]) -> Plan:
    """The plan for `counts`, whose cells give one value for each of `axes`.

    Axes that the mixture does not name are allowed: they are reported only.

    :raises ValueError: if the mixture names a column that is not among `axes`, or a count is negative.
    """
    unknown = sorted(mixture.steered - set(axes))
    if unknown:
        raise ValueError(f"the mixture names the axes {unknown}, but documents are counted by {list(axes)}")
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
    extra = _extra(axes, cells, [counts[cell].documents for cell in cells], rates)
    plans = tuple(
        CellPlan(cell, counts[cell].documents, counts[cell].tokens, float(rate), extra[cell])
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


def _extra(axes: Sequence[str], cells: Sequence[Cell], documents: Sequence[int], rates: Floats) -> dict[Cell, int]:
    """Documents of each cell that get a copy more than the whole part of its rate.

    Rounded cumulatively over the cells, those of a class (or of the first axis, if classes are not counted) together: any run
    of cells has what its rates say to less than one document, and a cell its exact number rounded down or up.
    """
    first = axes.index("category") if "category" in axes else 0
    order = sorted(range(len(cells)), key=lambda i: (cells[i][first : first + 1] == (None,), cells[i][first] or ""))
    unit = 10**_RATE_DIGITS
    sought = given = 0  # sought in units of 10**-_RATE_DIGITS documents: whole numbers, so that nothing drifts
    out = {}
    for i in order:
        sought += round(float(rates[i]) * unit) % unit * documents[i]
        out[cells[i]] = (2 * sought + unit) // (2 * unit) - given
        given += out[cells[i]]
    return out


@dataclass(frozen=True)
class _Axis:
    """A steered or weighted axis. Cells of values that are not named have group -1."""

    name: str
    values: tuple[str | None, ...]  # (G,)
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


def _worth(mixture: Mixture, axes: Sequence[str], cells: Sequence[Cell], tokens: Floats) -> Floats:
    """The product of the weights of each cell's values, and of what temperatures make of their shares, (n_cells,)."""
    worth = np.ones(len(cells))
    for column, axis in enumerate(axes):
        values = [cell[column] for cell in cells]
        weights = mixture.weights.get(axis, {})
        worth *= np.array([1.0 if v is None else weights.get(v, 1.0) for v in values], dtype=np.float64)
        if axis not in mixture.temperature:
            continue
        totals: dict[str | None, float] = {}
        for v, n in zip(values, tokens.tolist(), strict=True):
            totals[v] = totals.get(v, 0.0) + n
        totals.pop(None, None)  # documents without a value keep their share
        whole = sum(totals.values())
        powers = {v: (n / whole) ** mixture.temperature[axis] for v, n in totals.items() if n}
        norm = sum(powers.values())
        factor: dict[str | None, float] = {v: p / norm / (totals[v] / whole) for v, p in powers.items()}
        worth *= np.array([factor.get(v, 1.0) for v in values], dtype=np.float64)
    return worth


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
        self.start = _worth(mixture, axes, cells, tokens)
        self.allowed = self.start > 0
        for name in sorted(mixture.shares):
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
        self.ideal = self.fit(float(tokens[self.allowed].sum()), _UNBOUNDED).rates * tokens
        self.weighted = [
            self._weighted(name) for name in axes if name in {*mixture.weights, *mixture.temperature} and cells
        ]

    def _weighted(self, name: str) -> _Axis:
        """An axis whose targets are those of the mixture without bounds."""
        column = self.axes.index(name)
        values = tuple(sorted({cell[column] for cell in self.cells}, key=lambda v: (v is None, v or "")))
        groups = np.array([values.index(cell[column]) for cell in self.cells], dtype=np.int64)
        axis = _Axis(name, values, groups, np.zeros(len(values)), np.zeros(len(values)))
        target = axis.shares(self.ideal)
        return _Axis(name, values, groups, target, target)

    def fit(self, total: float, max_copies: float | None = None) -> _Fit:
        """The best rates that write `total` tokens, or as many as `max_copies` allows."""
        at_most = self.max_copies if max_copies is None else max_copies
        drive = np.where(self.allowed, self.start, 0.0)  # the rates before total and bounds
        rates = self._bounded(drive, total, at_most)
        if not self.steered or not drive.any():
            return _Fit(rates, True, 0)
        before = [axis.shares(rates * self.tokens) for axis in self.steered]
        for sweep in range(1, MAX_SWEEPS + 1):
            factor = np.ones_like(rates)
            for axis, shares in zip(self.steered, before, strict=True):
                pull = np.divide(axis.target, shares, out=np.ones_like(shares), where=shares > 0)
                factor *= np.where(axis.groups >= 0, pull[axis.groups], 1.0) ** (1.0 / len(self.steered))
            drive = drive * factor
            drive = np.maximum(drive / drive.max(), np.where(self.allowed, _LEAST, 0.0))
            rates = self._bounded(drive, total, at_most)
            after = [axis.shares(rates * self.tokens) for axis in self.steered]
            moved = max(float(np.abs(a - b).max()) for a, b in zip(after, before, strict=True))
            before = after
            if moved <= TOLERANCE:
                return _Fit(rates, True, sweep)
        return _Fit(rates, False, MAX_SWEEPS)

    def _bounded(self, rates: Floats, total: float, at_most: float) -> Floats:
        """min(at_most, k * rates) with k such that `total` tokens come of it, or all at the bound if none does."""
        free = (rates > 0) & (self.tokens > 0)
        if float(self.tokens[free].sum()) * at_most <= total:
            return np.where(rates > 0, at_most, 0.0)
        out = rates.copy()
        full = np.zeros_like(free)
        while True:  # each round fixes at least one more cell at the bound, so it ends
            remaining = total - float(self.tokens[full].sum()) * at_most
            k = remaining / float((rates[free & ~full] * self.tokens[free & ~full]).sum())
            out = np.where(full, at_most, k * rates)
            over = ~full & (out > at_most)
            if not (over & free).any():
                return np.minimum(out, at_most)
            full |= over & free

    def misses(self, rates: Floats) -> bool:
        """Tell whether a share of a value that has tokens is not its target."""
        written = rates * self.tokens
        return any(
            np.abs(a.shares(written) - a.target).max(initial=0.0) > _MISSED for a in [*self.steered, *self.weighted]
        )

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
        """Report every value of each axis: named ones in order of their name, then the others."""
        out = []
        steered = {a.name: a for a in self.steered}
        for column, name in enumerate(self.axes):
            axis = steered.get(name)
            named: dict[str | None, float] = dict(zip(axis.values, axis.wished.tolist(), strict=True)) if axis else {}
            others = {cell[column] for cell in self.cells} - set(named)
            values: list[str | None] = [*named, *sorted(others, key=lambda v: (v is None, v or ""))]
            rows = {v: np.array([cell[column] == v for cell in self.cells], dtype=bool) for v in values}
            part = np.array([not named or cell[column] in named for cell in self.cells], dtype=bool)
            before, after = float(self.tokens[part].sum()), float((rates * self.tokens)[part].sum())
            ideal = float(self.ideal.sum())
            for v, row in rows.items():
                is_part = not named or v in named
                tokens_before, tokens_after = float(self.tokens[row].sum()), float((rates * self.tokens)[row].sum())
                target = named.get(v) if named else float(self.ideal[row].sum()) / ideal if ideal else None
                out.append(
                    ShareReport(
                        axis=name,
                        value=v,
                        documents=sum(counts[cell].documents for cell in self.cells if cell[column] == v),
                        tokens_before=round(tokens_before),
                        tokens_after=round(tokens_after),
                        share_before=round(tokens_before / before, 6) if is_part and before else None,
                        target=None if target is None else round(target, 6),
                        share_after=round(tokens_after / after, 6) if is_part and after else None,
                    )
                )
        return out

    def _missed(self, axis: _Axis, rates: Floats) -> list[tuple[int, str]]:
        """Values of an axis that miss their targets, by number, with the bound that was in the way."""
        out = []
        shares = axis.shares(rates * self.tokens)
        full = rates >= self.max_copies * (1 - 1e-6)
        for i in range(len(axis.values)):
            target = float(axis.wished[i])
            if abs(float(shares[i]) - target) <= _MISSED:
                continue
            cells = (axis.groups == i) & (self.tokens > 0) & self.allowed
            at_bound, n = int(full[cells].sum()), int(cells.sum())
            reached = f"reaches {shares[i]:.4f} of {target:.4f} by {axis.name}"
            if not n:
                out.append((i, f"has no tokens: {reached}"))
            elif shares[i] > target:
                out.append((i, f"fills up what others lack: {reached}"))
            elif at_bound == n:
                out.append((i, f"is limited by max_copies={self.max_copies:g}: {reached}"))
            elif at_bound and axis in self.weighted:
                out.append((i, f"is limited by max_copies={self.max_copies:g} in {at_bound} of {n} cells: {reached}"))
            else:
                out.append((i, f"is limited by the targets of other values or columns: {reached}"))
        return out

    def notes(self, rates: Floats, wanted: int, converged: bool) -> list[str]:
        """Notes on what was not reached, and the bound that was in the way."""
        out = []
        written = rates * self.tokens
        for axis in self.steered:
            for i, text in self._missed(axis, rates):
                out.append(f"{axis.values[i]} {text}")
        for axis in self.weighted:
            # What one class lacks all others share out: only those that lack are named, the largest gaps first.
            short = [(i, text) for i, text in self._missed(axis, rates) if "fills up" not in text]
            gaps = (axis.target - axis.shares(written)).tolist()
            short.sort(key=lambda missed: (-gaps[missed[0]], missed[0]))
            out += [f"{axis.values[i] or NONE} {text}" for i, text in short[:_NAMED]]
            if len(short) > _NAMED:
                out.append(f"{len(short) - _NAMED} more values of {axis.name} are limited, each by less")
        total = float(written.sum())
        if total < wanted * (1 - _MISSED):
            why = f"max_copies={self.max_copies:g} allows no more"
            if total < float(self.tokens[self.allowed].sum()) * self.max_copies * (1 - _MISSED):
                why = "a larger total would break the shares (prefer: shares)"
            out.append(f"{total:,.0f} of {wanted:,} tokens: {why}")
        if not converged:
            out.append(f"not converged after {MAX_SWEEPS:,} sweeps: shares still moved by more than {TOLERANCE:g}")
        return out
