"""The mixture that is wished for: target shares and weights of the axes (`pipeline/tokenization/axes.py`), and the bounds.

    plan = solve(Mixture(shares={"language": {"zh": 1, "en": 1}}), ("language", "source"), counts)      # solver.py

`weights` and `temperature` say what a document is worth beside others: the product, over the axes, of its
values' weights, and of p^t / p for an axis with temperature t, p being the value's present share. `shares` say what whole
values shall have. The wished-for mixture is, of those with these shares, the nearest (least Kullback-Leibler divergence) to the
present tokens times their worth. So without `shares` on other axes a value's target is its present share times its weight,
renormalised; with them this holds within each of the values that they name: with language at 1 : 1, the weights work within
Chinese and within English.

**max_copies** defaults to 4: training on up to 4 epochs of the same data was found to change the loss hardly at all
against unique data, with quickly falling returns after (Muennighoff et al., arXiv:2305.16264).
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import yaml
from pydantic import Field, ValidationInfo, model_validator

from classifiers.category.labels import BALANCE_OF, GROUP_OF, GROUPS, LABELS
from pipeline import storage
from pipeline.strict import Strict, read_yaml
from pipeline.tokenization.axes import (
    AXES,
    CLASSES,
    REPORTED,
    axis_columns,
    check_axis,
    check_value,
    closed,
    columns_of,
    unbounded,
)

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
"""Keys of a mixture that `preset` stands for, under those that are written."""


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
    min_probability: float = Field(
        0.5,
        ge=0,
        le=1,
        description="weights of classes and groups act where the document's class, or its group in sum, has this stored "
        "probability at least; the others are `(unsure)`, with weight 1; 0: on all",
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
                _check_at(key, check_axis, axis)
                for value, number in values.items():
                    _check_at(f"{key}.{axis}", check_value, axis, value, bands)
                    if not (number >= 0 and math.isfinite(number)):
                        raise ValueError(f"{key}.{axis}.{value}: expected a number >= 0, found {number}")
                if key == "shares" and not sum(values.values()) > 0:
                    raise ValueError(f"shares.{axis}: expected at least one value with a share above 0, found {values}")
        for axis, exponent in self.temperature.items():
            _check_at("temperature", check_axis, axis)
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
        return columns_of(self.axes, self._bounds)

    @property
    def _bounds(self) -> dict[str, float]:
        """Least probability of each axis of classes that weights act on."""
        return {a: self.min_probability for a in CLASSES if a in self.weights and a not in self.temperature}

    def table(self, rows: pa.Table) -> pa.Table:
        """The axes of documents: a string column for each of `axes`, n rows. See `pipeline/tokenization/axes.py`."""
        named = {
            a: {*self.shares.get(a, ()), *self.weights.get(a, ())}
            for a in self.axes
            if unbounded(a) or (a in self.steered and a not in self.temperature and not closed(a))
        }
        return axis_columns(rows, self.axes, named, self.quality_bands, self._bounds)

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
    files = [p for p in places if storage.exists(p)]
    if not files:
        raise ValueError(f"file: there is no {' nor '.join(repr(p) for p in places)}")
    try:
        data = read_yaml(storage.read_bytes(files[0]))
    except yaml.YAMLError as e:
        raise ValueError(f"file: {files[0]!r} is not YAML: {' '.join(str(e).split())}") from e
    if not isinstance(data, dict) or "file" in data:
        raise ValueError(f"file: {files[0]!r}: expected keys of a mixture such as preset, weights, shares")
    return _plain(data)


def _check_at(place: str, check: Any, *arguments: Any) -> None:
    try:
        check(*arguments)
    except ValueError as e:
        raise ValueError(f"{place}: {e}") from e
