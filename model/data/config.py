"""Options of the data: shards, order, packing, mixture, Untie the Knots. No torch here."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from model.base.config import Options
from model.data.packing import Method
from model.data.utk import UtkOptions

Column = Literal["language", "source", "category", "domain"]
Table = dict[Column, dict[str, float]]


class Phase(Options):
    """A phase of the mixture: how much of which rows, up to a number of tokens."""

    until_tokens: float | None = Field(
        None, gt=0, description="of the whole run, consumed when the next phase begins; null for the last: for ever"
    )
    weights: Table = Field(
        default_factory=dict,
        description="column -> value -> how often its rows are taken: 0.5 every other, 2 twice; those of several columns "
        "multiply; 'unknown' is null, '*' stands for all values not named, which are else taken once",
    )
    shares: dict[Literal["language"], dict[str, float]] = Field(
        default_factory=dict,
        description="column -> value -> what the values named shall have of their tokens, in proportion; the manifest says "
        "what they have",
    )

    @model_validator(mode="after")
    def _positive(self) -> Phase:
        for table in (self.weights, self.shares):
            for column, values in table.items():
                for value, number in values.items():
                    if not 0 <= number <= 1000:
                        raise ValueError(f"{column}.{value} must be 0 to 1000, found {number}")
        if any(sum(values.values()) <= 0 for values in self.shares.values()):
            raise ValueError("shares must not all be 0")
        return self


class DataOptions(Options):
    """Options of what the model is fed."""

    shards: str = Field(description="folder of manifest.json, or a URI of it")
    seed: int = Field(0, ge=0, description="of order, mixture and knots")
    lanes: int = Field(
        64,
        ge=1,
        description="a multiple of all numbers of ranks that a run may have; 5 MB each at row groups of 1M tokens",
    )
    packing: Method = Field("best_fit", description="model/data/packing.py")
    window_tokens: int = Field(
        524_288, ge=1, description="places packed together, at least 8 sequences; less where a lane has less"
    )
    pad_below: float = Field(1 / 256, ge=0, lt=1, description="best_fit pads gaps of at most this share of a sequence")
    epochs: int | None = Field(None, ge=1, description="null: for ever")
    mixture: tuple[Phase, ...] = Field((), description="phases, one after the other; none: all rows once")
    utk: UtkOptions | None = Field(None, description="tie sequences (Untie the Knots)")

    @model_validator(mode="after")
    def _rising(self) -> DataOptions:
        ends = [p.until_tokens for p in self.mixture]
        if None in ends[:-1]:
            raise ValueError("until_tokens may be null in the last phase only")
        numbers = [e for e in ends if e is not None]
        if any(a >= b for a, b in pairwise(numbers)):
            raise ValueError(f"until_tokens must rise, found {numbers}")
        return self
