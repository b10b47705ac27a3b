"""Options of a training run: one YAML file, typed, closed, stored beside what it made.

    config = load("configs/model/tiny.yaml", ["train.tokens=1e5", "model.hidden_size=64"])

Sizes of the model are in `model` (model/architecture/config.py), what is read in `data` (model/data/config.py), the shapes of a
sequence and of batches in `train`. No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from model.architecture.config import ModelOptions
from model.base.config import Options, load_as
from model.data.config import DataOptions


class BalanceOptions(Options):
    """Options of balancing. The report gives neither number; both are DeepSeek-V3's (arXiv:2412.19437, 4.2)."""

    bias_rate: float = Field(
        1e-3, ge=0, description="gamma: what an expert's bias moves by after each step; 0: no balancing"
    )
    sequence_loss: float = Field(1e-4, ge=0, description="alpha of the sequence-wise balance loss; 0: none")


class Stage(Options):
    """Stage of the learning rate's course, from where the last one ended (0 at the beginning)."""

    name: str = Field(min_length=1)
    until_tokens: float = Field(gt=0, description="of the whole run")
    rate: float = Field(gt=0, description="at its end")
    shape: Literal["linear", "cosine"] = Field("linear", description="between the rates; the report does not say")


class Batch(Options):
    """Size of the global batch from a number of tokens on."""

    from_tokens: float = Field(0, ge=0)
    sequences: int = Field(ge=1)


Kind = Literal["embedding", "head", "router", "experts", "others"]


class OptimizerOptions(Options):
    """Options of AdamW (report, 2.4)."""

    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(1e-8, gt=0, description="the report does not say")
    weight_decay: float = Field(0.1, ge=0, description="of matrices: embedding, head and router too; norms have none")
    clip: float = Field(1.0, gt=0, description="of the gradient's norm over all parameters")
    rates: dict[Kind, float] = Field(
        default_factory=dict,
        description="kind of parameters -> factor of the learning rate, else 1; Hunyuan-Large has 0.31 for experts",
    )
    expert_noise_tokens: float | None = Field(
        None,
        gt=0,
        description="B_noise in tokens: the rate of routed experts is lowered once more by `expert_rate`; null: it is not",
    )


class SpikeOptions(Options):
    """Options of spikes: losses above median + `deviations` x the median absolute deviation of the last `window` steps."""

    window: int = Field(100, ge=4)
    deviations: float = Field(10, gt=0)
    skip: bool = Field(
        False, description="leave weights, moments and biases as they were; the batch counts as consumed"
    )


class EvaluationOptions(Options):
    """Options of the evaluation: loss of the validation split, by document."""

    every_tokens: float | None = Field(None, gt=0, description="and at the end; null: at the end")
    tokens: int | None = Field(None, ge=1, description="of the split, from its beginning; null: all")


class TrainOptions(Options):
    """Options of how a model is trained."""

    seed: int = Field(0, ge=0, description="of the weights")
    tokens: float = Field(gt=0, description="places that the run consumes")
    sequence_length: int = Field(8192, ge=8)
    micro_batch: int = Field(1, ge=1, description="sequences that a rank computes at once")
    batches: tuple[Batch, ...] = Field(min_length=1, description="the ramp; each a multiple of ranks x micro_batch")
    stages: tuple[Stage, ...] = Field(min_length=1, description="of the learning rate; the last lasts to the end")
    optimizer: OptimizerOptions = OptimizerOptions()
    balance: BalanceOptions = BalanceOptions()
    spikes: SpikeOptions = SpikeOptions()
    evaluation: EvaluationOptions = EvaluationOptions()
    precision: Literal["fp32", "bf16"] = Field(
        "bf16", description="of products (autocast); weights and router are FP32"
    )
    activation_checkpointing: bool = Field(
        False, description="of each layer; computes it twice and keeps its input only"
    )
    attention: Literal["sdpa", "eager"] = Field("sdpa", description="transformers' implementation")
    experts: Literal["grouped_mm", "batched_mm", "eager"] = Field(
        "grouped_mm", description="transformers' implementation"
    )
    expert_parallel: int = Field(
        1, ge=1, description="ranks that share the experts of a layer; divides the ranks and the experts"
    )
    head_tokens: int = Field(1024, ge=1, description="places whose logits exist at one time")
    checkpoint_tokens: float | None = Field(None, gt=0, description="between checkpoints; null: at the end only")
    keep_checkpoints: int | None = Field(None, ge=1, description="the last so many; null: all")
    workers: int = Field(0, ge=0, description="processes that read and pack, per rank")
    threads: int | None = Field(None, ge=1, description="of torch on a CPU; null: as many as cores")
    peak_tflops: float | None = Field(
        None, gt=0, description="of one device in this precision, for MFU: 989 for an H100"
    )
    tensorboard: bool = True

    @field_validator("batches")
    @classmethod
    def _ramp(cls, batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
        starts = [b.from_tokens for b in batches]
        if starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
            raise ValueError(f"from_tokens must begin with 0 and rise, found {starts}")
        return batches

    @field_validator("stages")
    @classmethod
    def _rising(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        ends = [s.until_tokens for s in stages]
        if any(a >= b for a, b in pairwise(ends)):
            raise ValueError(f"until_tokens must rise, found {ends}")
        return stages


class RunConfig(Options):
    """Options of one run: what `python -m model.train --config FILE` reads."""

    out: str = Field(description="folder of checkpoints, metrics and export")
    model: ModelOptions
    data: DataOptions
    train: TrainOptions

    @model_validator(mode="after")
    def _positions(self) -> RunConfig:
        if self.train.sequence_length > self.model.max_position_embeddings:
            raise ValueError(
                f"sequences of {self.train.sequence_length}, the model has {self.model.max_position_embeddings} positions"
            )
        return self


def load(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read the options of a training run; see `load_as`."""
    return load_as(RunConfig, path, overrides)
