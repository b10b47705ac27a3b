"""How often each document is written, so that the tokens have the wished-for mixture.

A *cell* is a combination of values, such as (recipe, food, zh), of the axes (`pipeline/tokenization/axes.py`). `solve` turns
documents and tokens of the cells into one rate a cell, the copies of its documents on average; `copies` applies it by a hash of
(seed, doc_id).

    counts = {("zh", "a"): Count(60, 30_000), ("en", "a"): Count(240, 130_000)}
    plan = solve(Mixture(shares={"language": {"zh": 1, "en": 1}}), ("language", "source"), counts)
    print(plan.table())

**What is wished for.** `weights` and `temperature` say what a document is worth beside others: the product, over the axes, of its
values' weights, and of p^t / p for an axis with temperature t, p being the value's present share. `shares` say what whole
values shall have. The wished-for mixture is, of those with these shares, the nearest (least Kullback-Leibler divergence) to the
present tokens times their worth. So without `shares` on other axes a value's target is its present share times its weight,
renormalised; with them this holds within each of the values that they name: with language at 1 : 1, the weights work within
Chinese and within English.

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

**max_copies** defaults to 4: training on up to 4 epochs of the same data was found to change the loss hardly at all
against unique data, with quickly falling returns after (Muennighoff et al., arXiv:2305.16264).

**Whole documents.** A rate of 1.3 gives every document of the cell one copy, and the 30 % with the least hashes a second. How
many that is, is rounded cumulatively over the cells, those of a class together: so the sum of copies of a class is what was
planned, to one document.

Everything is computed in a fixed order of the cells (sorted), so the same counts give the same plan in any order.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
import yaml
from pydantic import Field, ValidationInfo, model_validator

from classifiers.category.labels import BALANCE_OF, GROUP_OF, GROUPS, LABELS
from pipeline import storage
from pipeline.strict import Strict
from pipeline.tokenization.axes import (
    AXES,
    REPORTED,
    axis_columns,
    check_axis,
    check_value,
    closed,
    columns_of,
    unbounded,
)

Cell = tuple[str | None, ...]
"""One value an axis, in the order of the axes; None where a document has no value."""

Floats = npt.NDArray[np.float64]

MAX_SWEEPS = 20_000
TOLERANCE = 1e-9  # of a share; a sweep that moves no share by more ends the iteration
_RATE_DIGITS = 9  # stored digits of a rate: what differs between two machines' powers is far below
_MISSED = 1e-4  # a share that misses its target by more is reported
_UNBOUNDED = 1e300  # a bound on copies that never binds; finite, since 0 times infinity is no number
_LEAST = 1e-200  # of the largest rate: what is pulled down without end stays a number
_HASH_RANGE = 1 << 64
NONE = "(none)"  # shown where documents have no value
_TOLD = 10  # values of a weighted axis whose bound is named one by one

PRESETS: dict[str, dict[str, Any]] = {
    "natural": {},
    # dots.llm1 C.3 turns knowledge up and fiction and product pages down, and does not say how far: the factors are ours.
    "report": {
        "weights": {
            "balance": {
                "encyclopaedic": 2.0,
                "teaching": 2.0,
                "scholarly": 2.0,
                "popular_science": 2.0,
                "technology": 1.5,
                "fiction": 0.5,
                "product_and_commerce": 0.5,
            }
        }
    },
    "uniform-groups": {"shares": {"group": {g.id: 1.0 for g in GROUPS}}},
    "temperature": {"temperature": {"category": 0.5}},
}
"""What `preset` stands for: keys of a mixture, under those that are written."""


class Mixture(Strict):
    """Weights or target shares, and the bounds within which they are sought.

    Keys are taken from `preset`, over them those of `file`, over them those written beside it, value by value; null for an axis
    takes it out.
    """

    file: str | None = Field(
        None,
        description="a YAML file with keys of this section, relative to the config; read once, its keys are stored",
    )
    preset: str | None = Field(None, description=f"keys to begin with, stored as such: {', '.join(PRESETS)}")
    shares: dict[str, dict[str, float]] = Field(
        default_factory=lambda: {"language": {"zh": 1.0, "en": 1.0}},
        description="per axis the wished-for proportions of its values by tokens; {language: {zh: 1, en: 1}} is 1:1",
    )
    weights: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="per axis factors on the present shares of its values, 1 where not named; those of several axes multiply",
    )
    temperature: dict[str, float] = Field(
        default_factory=dict,
        description="per axis an exponent t: shares become share^t, normalised; 0: all equal; a number alone: of category",
    )
    quality_bands: list[float] = Field(
        [0.5, 0.8],
        min_length=1,
        description="bounds of the axis quality_band, ascending, each the least score of its band",
    )
    missing: Literal["keep", "drop"] = Field(
        "keep", description="documents whose value `shares` do not name: left in proportion as they are, or not written"
    )
    max_copies: float = Field(4.0, ge=1, description="most copies of one document, on average over its cell")
    token_budget: int | None = Field(None, gt=0, description="tokens to write; null: as many as the documents have")
    prefer: Literal["total", "shares"] = Field(
        "total",
        description="what holds if max_copies allows not both: total (others fill up), or shares (fewer tokens)",
    )

    @model_validator(mode="before")
    @classmethod
    def _layers(cls, data: Any, info: ValidationInfo) -> Any:
        """Read `file` and lay the keys over it and over the preset, so that what is stored needs neither."""
        if not isinstance(data, dict):
            return data
        data = _plain(data)
        path = data.pop("file", None)
        if path is not None:
            data = _laid(_read(str(path), (info.context or {}).get("folders", ())), data)
        preset = data.pop("preset", None)
        if preset is not None:
            if preset not in PRESETS:
                close = difflib.get_close_matches(str(preset), PRESETS, n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                raise ValueError(f"unknown preset {preset!r}{hint}; there are: {', '.join(PRESETS)}")
            data = _laid(PRESETS[preset], data)
        for key in ("shares", "weights", "temperature"):
            if isinstance(data.get(key), dict):
                data[key] = {axis: values for axis, values in data[key].items() if values is not None}
        return data

    @model_validator(mode="after")
    def _names_and_numbers(self) -> Mixture:
        bands = self.quality_bands
        if not (bands[0] > 0 and bands[-1] <= 1 and all(a < b for a, b in itertools.pairwise(bands))):
            raise ValueError(f"quality_bands: expected ascending numbers above 0, at most 1, found {bands}")
        for key, table in (("shares", self.shares), ("weights", self.weights)):
            for axis, values in table.items():
                _told_at(key, check_axis, axis)
                for value, number in values.items():
                    _told_at(f"{key}.{axis}", check_value, axis, value, bands)
                    if not (number >= 0 and math.isfinite(number)):
                        raise ValueError(f"{key}.{axis}.{value}: expected a number >= 0, found {number}")
                if key == "shares" and not sum(values.values()) > 0:
                    raise ValueError(f"shares.{axis}: expected at least one value with a share above 0, found {values}")
        for axis, exponent in self.temperature.items():
            _told_at("temperature", check_axis, axis)
            if unbounded(axis):
                raise ValueError(
                    f"temperature.{axis}: only named values of this axis are told apart; give them weights"
                )
            if not 0 <= exponent <= 10:
                raise ValueError(f"temperature.{axis}: expected a number from 0 to 10, found {exponent}")
        both = sorted(set(self.shares) & {*self.weights, *self.temperature})
        if both:
            raise ValueError(
                f"{both[0]} has target shares and weights (or a temperature): its shares are set by one of them"
            )
        return self

    @property
    def steered(self) -> set[str]:
        """The axes that the mixture names."""
        return {*self.shares, *self.weights, *self.temperature}

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes to count by: those that the mixture names, and those that are always reported."""
        return tuple(a for a in AXES if a in REPORTED or a in self.steered)

    @property
    def columns(self) -> list[str]:
        """The document columns that `table` reads."""
        return columns_of(self.axes)

    def table(self, rows: pa.Table) -> pa.Table:
        """The axes of documents: a string column for each of `axes`, n rows. See `pipeline/tokenization/axes.py`."""
        named = {
            a: {*self.shares.get(a, ()), *self.weights.get(a, ())}
            for a in self.axes
            if unbounded(a) or (a in self.steered and a not in self.temperature and not closed(a))
        }
        return axis_columns(rows, self.axes, named, self.quality_bands)

    def taxonomy(self) -> list[tuple[str, str, str]]:
        """Classes with their groups, as far as the plan depends on them: empty if it does not."""
        if not self.steered & {"group", "balance"}:
            return []
        return [(label, GROUP_OF[label], BALANCE_OF[label]) for label in LABELS]


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    """A temperature that is a number is one of the classes."""
    number = data.get("temperature")
    if isinstance(number, int | float) and not isinstance(number, bool):
        return {**data, "temperature": {"category": number}}
    return dict(data)


def _laid(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of `over` over those of `under`, mappings key by key."""
    out = dict(under)
    for key, value in over.items():
        old = out.get(key)
        out[key] = _laid(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out


def _read(path: str, folders: Sequence[str]) -> dict[str, Any]:
    """A mixture's keys from a file, looked for in folders. :raises ValueError: if there is none, or it holds something else."""
    places = list(dict.fromkeys([*(storage.join(f, path) for f in folders if "://" not in path), path]))
    found = [p for p in places if storage.exists(p)]
    if not found:
        raise ValueError(f"file: there is no {' nor '.join(repr(p) for p in places)}")
    try:
        data = yaml.safe_load(storage.read_bytes(found[0]))
    except yaml.YAMLError as e:
        raise ValueError(f"file: {found[0]!r} is not YAML: {' '.join(str(e).split())}") from e
    if not isinstance(data, dict) or "file" in data:
        raise ValueError(f"file: {found[0]!r}: expected keys of a mixture such as preset, weights, shares")
    return _plain(data)


def _told_at(place: str, check: Any, *arguments: Any) -> None:
    try:
        check(*arguments)
    except ValueError as e:
        raise ValueError(f"{place}: {e}") from e


class Count(NamedTuple):
    """What a cell holds."""

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
    """What became of one value of one axis.

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
            rest = total - float(self.tokens[full].sum()) * at_most
            k = rest / float((rates[free & ~full] * self.tokens[free & ~full]).sum())
            out = np.where(full, at_most, k * rates)
            over = ~full & (out > at_most)
            if not (over & free).any():
                return np.minimum(out, at_most)
            full |= over & free

    def misses(self, rates: Floats) -> bool:
        """Whether a share of a value that has tokens is not its target."""
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
        """One entry a value of each axis: named ones in order of their name, then the others."""
        out = []
        steered = {a.name: a for a in self.steered}
        for column, name in enumerate(self.axes):
            axis = steered.get(name)
            named: dict[str | None, float] = dict(zip(axis.values, axis.wished.tolist(), strict=True)) if axis else {}
            found = {cell[column] for cell in self.cells} - set(named)
            values: list[str | None] = [*named, *sorted(found, key=lambda v: (v is None, v or ""))]
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
        """What was not reached, and the bound that was in the way."""
        out = []
        written = rates * self.tokens
        for axis in self.steered:
            for i, text in self._missed(axis, rates):
                out.append(f"{axis.values[i]} {text}")
        for axis in self.weighted:
            # What one class lacks all others share out: only those that lack are named, the largest gaps first.
            short = [(i, text) for i, text in self._missed(axis, rates) if "fills up" not in text]
            gaps = (axis.target - axis.shares(written)).tolist()
            short.sort(key=lambda found: (-gaps[found[0]], found[0]))
            out += [f"{axis.values[i] or NONE} {text}" for i, text in short[:_TOLD]]
            if len(short) > _TOLD:
                out.append(f"{len(short) - _TOLD} more values of {axis.name} are limited, each by less")
        total = float(written.sum())
        if total < wanted * (1 - _MISSED):
            why = f"max_copies={self.max_copies:g} allows no more"
            if total < float(self.tokens[self.allowed].sum()) * self.max_copies * (1 - _MISSED):
                why = "a larger total would break the shares (prefer: shares)"
            out.append(f"{total:,.0f} of {wanted:,} tokens: {why}")
        if not converged:
            out.append(f"not converged after {MAX_SWEEPS:,} sweeps: shares still moved by more than {TOLERANCE:g}")
        return out


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
