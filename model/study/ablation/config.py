"""Options of an ablation."""

from __future__ import annotations

import re

from pydantic import Field, model_validator

from model.architecture.config import ModelOptions
from model.base.config import Options
from model.study.ablation.corpora import Corpus, HeldoutSource, OverlapOptions
from model.study.ablation.proxy import Recipe, steps_of


class HeldoutOptions(Options):
    """Options of the text that models are held to."""

    sources: tuple[HeldoutSource, ...] = Field(min_length=1)
    seed: int = Field(0, ge=0, description="of the sites drawn")
    min_bytes: int = Field(200, ge=1, description="shorter texts are left out")
    max_bytes: int = Field(4096, ge=1, description="of a text, from its beginning: many texts rather than long ones")


class TokenizerOptions(Options):
    """Options of the tokenizer, which all corpora share. Bits per byte do not depend on its size; what a model learns does."""

    path: str | None = Field(None, description="a tokenizer.json; null: a byte-level BPE is trained on the corpora")
    vocabulary: int = Field(8192, ge=257, description="of the trained one")
    bytes: float = Field(
        4e6, gt=0, description="of each corpus and language that it is trained on; all give as much as the smallest"
    )


class Group(Options):
    """Group of models that are compared with one another: what they are made of beside the corpus."""

    name: str = Field(pattern=r"^[\w.-]+$")
    tokens: float = Field(gt=0, description="that each model reads; a corpus with fewer is read again")
    shares: dict[str, float] | None = Field(
        None,
        description="language -> its share of the tokens, the same for every corpus, so that a language's amount is not "
        "mistaken for cleaning; null: the languages as each corpus has them",
    )
    corpora: tuple[str, ...] | None = Field(None, min_length=1, description="null: all")

    @model_validator(mode="after")
    def _positive(self) -> Group:
        if self.shares is not None and (not self.shares or min(self.shares.values()) <= 0):
            raise ValueError(f"shares must be above 0, found {self.shares}")
        return self


class IntervalOptions(Options):
    """Options of the intervals."""

    level: float = Field(0.95, gt=0, lt=1)
    draws: int = Field(10_000, ge=100)
    seed: int = Field(0, ge=0)


class AblationConfig(Options):
    """Options of an ablation: what `python -m model.ablate --config FILE` reads."""

    out: str
    corpora: dict[str, Corpus] = Field(min_length=1)
    heldout: HeldoutOptions
    languages: tuple[str, ...] = Field(min_length=1, description="that count; documents of others are not looked at")
    overlap: OverlapOptions = OverlapOptions()
    tokenizer: TokenizerOptions = TokenizerOptions()
    model: ModelOptions = Field(description="its vocabulary becomes the tokenizer's")
    recipe: Recipe = Recipe()
    groups: tuple[Group, ...] = Field(min_length=1)
    compare: tuple[tuple[str, str], ...] = Field(description="pairs [A, B]: B minus A is reported")
    seeds: tuple[int, ...] = Field((0, 1, 2, 3, 4), min_length=2)
    interval: IntervalOptions = IntervalOptions()
    processes: int = Field(1, ge=1, description="models trained at the same time, each on one core")

    @model_validator(mode="after")
    def _known(self) -> AblationConfig:
        known = set(self.corpora)
        for name in known:
            if not re.fullmatch(r"[\w.-]+", name) or name == "heldout":
                raise ValueError(f"corpora: {name!r} is no name for files; letters, digits, _ . - expected")
        for pair in self.compare:
            if not set(pair) <= known:
                raise ValueError(f"compare: {list(pair)}, known corpora: {', '.join(self.corpora)}")
        for group in self.groups:
            if not set(group.corpora or ()) <= known:
                raise ValueError(f"groups: {group.corpora}, known corpora: {', '.join(self.corpora)}")
            if not set(group.shares or ()) <= set(self.languages):
                raise ValueError(f"groups: shares of {sorted(group.shares or ())}, languages are {self.languages}")
            steps_of(self.recipe, group.tokens)
        if len({g.name for g in self.groups}) < len(self.groups) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("two groups of one name, or a seed twice")
        if self.recipe.sequence_length > self.model.max_position_embeddings:
            raise ValueError(
                f"sequences of {self.recipe.sequence_length}, the model has {self.model.max_position_embeddings} positions"
            )
        return self
