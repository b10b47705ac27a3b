"""Options of a training run: one YAML file, typed, closed, stored beside what it made.

    config = load("configs/model/tiny.yaml", ["train.tokens=1e5", "model.hidden_size=64"])

`model` is a preset's name, or a mapping with `preset` and what differs from it. Shapes of a sequence and of batches are in
`train`, what is read in `data` (model/data.py). No torch here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from model.stream import DataOptions

if TYPE_CHECKING:
    from transformers import Dots1Config


class ConfigError(ValueError):
    """A file or value that cannot be used: what was found, what was expected."""


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelOptions(Options):
    """The architecture of dots.llm1 (report, section 2.1) in any size; `transformers`' own defaults are used for nothing."""

    preset: str | None = Field(None, description="the preset that these options began from")
    vocab_size: int = Field(152_064, ge=1, description="rows of embedding and head; at least the tokenizer's ids")
    hidden_size: int = Field(4096, ge=8, multiple_of=8, description="grouped_mm wants strides of 16 bytes")
    intermediate_size: int = Field(10_944, ge=8, multiple_of=8, description="of the dense layers")
    moe_intermediate_size: int = Field(1408, ge=8, multiple_of=8, description="of one expert")
    num_hidden_layers: int = Field(62, ge=1)
    num_attention_heads: int = Field(32, ge=1)
    num_key_value_heads: int = Field(32, ge=1)
    head_dim: int = Field(128, ge=2, multiple_of=2)
    n_shared_experts: int = Field(2, ge=1)
    n_routed_experts: int = Field(128, ge=2)
    num_experts_per_tok: int = Field(6, ge=1)
    first_k_dense_replace: int = Field(
        1, ge=0, description="layers with a dense network before the first one of experts"
    )
    routed_scaling_factor: float = Field(
        2.5, gt=0, description="of the routed experts' sum; the shared part is not scaled"
    )
    norm_topk_prob: bool = Field(True, description="weights of the chosen experts sum to 1 before the factor")
    rope_theta: float = Field(1e7, gt=1)
    max_position_embeddings: int = Field(32_768, ge=1)
    rms_norm_eps: float = Field(1e-5, gt=0)
    initializer_range: float = Field(0.006, gt=0, description="standard deviation of all matrices (report, 2.4)")
    eos_token_id: int = Field(151_643, ge=0)
    # Hunyuan-Large's (model/layers.py); off in dots.llm1
    cross_layer: int = Field(
        1, ge=1, description="layers in a row that have the keys and values of the first of them; 1: each its own"
    )
    capacity_factor: float | None = Field(
        None,
        ge=1,
        description="in training an expert takes this x tokens / experts of a sequence, the rest goes to others; null: all",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = {"preset": data}
        if isinstance(data, dict) and data.get("preset") is not None:
            if data["preset"] not in PRESETS:
                raise ValueError(f"unknown preset {data['preset']!r}; known presets: {', '.join(PRESETS)}")
            return PRESETS[data["preset"]] | data
        return data

    @model_validator(mode="after")
    def _fits(self) -> ModelOptions:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(f"{self.num_key_value_heads} KV heads do not divide {self.num_attention_heads} heads")
        if self.num_experts_per_tok > self.n_routed_experts:
            raise ValueError(f"top {self.num_experts_per_tok} of {self.n_routed_experts} experts")
        if self.first_k_dense_replace > self.num_hidden_layers:
            raise ValueError(f"{self.first_k_dense_replace} dense layers of {self.num_hidden_layers}")
        if self.eos_token_id >= self.vocab_size:
            raise ValueError(f"eos_token_id {self.eos_token_id} is not among {self.vocab_size} ids")
        if self.cross_layer > self.num_hidden_layers:
            raise ValueError(f"cross_layer {self.cross_layer} of {self.num_hidden_layers} layers")
        if self.capacity_factor is not None and self.num_experts_per_tok != 1:
            raise ValueError(f"capacity_factor is for num_experts_per_tok 1, found {self.num_experts_per_tok}")
        if self.capacity_factor is not None and self.norm_topk_prob:
            raise ValueError(
                "norm_topk_prob gives the one expert weight 1, which teaches a router nothing: false expected"
            )
        return self

    @property
    def moe_layers(self) -> int:
        return self.num_hidden_layers - self.first_k_dense_replace

    @property
    def kv_layers(self) -> int:
        """Layers that make keys and values, and have them in a cache."""
        return -(-self.num_hidden_layers // self.cross_layer)

    def dots1(self) -> Dots1Config:
        """The configuration of transformers' model, every field said.

        vLLM (to 0.23) and llama.cpp read `topk_method`, `scoring_func` and `moe_layer_freq`, which transformers does not. With
        `cross_layer` the type is our own: stock code would load such weights and invent what they lack.
        """
        from transformers import Dots1Config

        fields = self.model_dump(exclude={"preset", "rope_theta", "cross_layer", "capacity_factor"})
        read_elsewhere: dict[str, Any] = {"scoring_func": "sigmoid", "topk_method": "noaux_tc", "moe_layer_freq": 1}
        kind = Dots1Config
        if self.capacity_factor is not None:
            read_elsewhere["capacity_factor"] = self.capacity_factor
        if self.cross_layer > 1:
            from model.layers import CrossLayerConfig

            kind, read_elsewhere["cross_layer"] = CrossLayerConfig, self.cross_layer
        return kind(
            **fields,
            hidden_act="silu",
            n_group=1,
            topk_group=1,
            tie_word_embeddings=False,
            rope_parameters={"rope_type": "default", "rope_theta": self.rope_theta},
            attention_bias=False,
            attention_dropout=0.0,
            sliding_window=None,
            max_window_layers=self.num_hidden_layers,
            layer_types=["full_attention"] * self.num_hidden_layers,
            use_cache=True,
            output_router_logits=False,
            pad_token_id=None,
            bos_token_id=None,
            **read_elsewhere,
        )


PRESETS: dict[str, dict[str, Any]] = {
    # For a CPU: embedding and head hold 98 % of the parameters, so the width is as small as still learns.
    "tiny": {
        **{"vocab_size": 151_936, "hidden_size": 64, "intermediate_size": 256, "moe_intermediate_size": 32},
        **{"num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 16},
        **{"n_routed_experts": 16, "num_experts_per_tok": 2, "n_shared_experts": 1, "max_position_embeddings": 4096},
        "initializer_range": 0.03,  # 0.006 is for a width of 4,096; by the root of the width this would be 0.048
    },
    # About 1B parameters: with Adam in FP32 16 GB, beside activations, on one GPU.
    "one-gpu": {
        **{"vocab_size": 152_064, "hidden_size": 1024, "intermediate_size": 2736, "moe_intermediate_size": 352},
        **{"num_hidden_layers": 14, "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 64},
        **{"n_routed_experts": 48, "num_experts_per_tok": 6, "n_shared_experts": 2, "max_position_embeddings": 32_768},
    },
    # The published model: the defaults above.
    "dots.llm1": {},
    # `tiny` with Hunyuan-Large's features. Neither paper nor code give a capacity factor that was trained with.
    "hunyuan-tiny": {
        **{"vocab_size": 151_936, "hidden_size": 64, "intermediate_size": 256, "moe_intermediate_size": 64},
        **{"num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 8},
        **{"n_routed_experts": 16, "num_experts_per_tok": 1, "n_shared_experts": 1, "max_position_embeddings": 4096},
        **{"first_k_dense_replace": 0, "norm_topk_prob": False, "routed_scaling_factor": 1.0},
        **{"cross_layer": 2, "capacity_factor": 1.25, "initializer_range": 0.03},
    },
    # Hunyuan-Large's shape (arXiv:2411.02265, table 1); docs/model_layers.md says what of it is another there.
    "hunyuan-large": {
        **{"vocab_size": 129_024, "hidden_size": 6400, "intermediate_size": 18_304, "moe_intermediate_size": 18_304},
        **{"num_hidden_layers": 64, "num_attention_heads": 80, "num_key_value_heads": 8, "head_dim": 80},
        **{"n_routed_experts": 16, "num_experts_per_tok": 1, "n_shared_experts": 1, "max_position_embeddings": 32_768},
        **{"first_k_dense_replace": 0, "norm_topk_prob": False, "routed_scaling_factor": 1.0, "rope_theta": 1e4},
        **{"cross_layer": 2, "capacity_factor": 1.25, "eos_token_id": 0},
    },
}


class BalanceOptions(Options):
    """How experts are kept equally busy. The report gives neither number; both are DeepSeek-V3's (arXiv:2412.19437, 4.2)."""

    bias_rate: float = Field(
        1e-3, ge=0, description="gamma: what an expert's bias moves by after each step; 0: no balancing"
    )
    sequence_loss: float = Field(1e-4, ge=0, description="alpha of the sequence-wise balance loss; 0: none")


class Stage(Options):
    """A part of the learning rate's course, from where the last one ended (0 at the beginning)."""

    name: str = Field(min_length=1)
    until_tokens: float = Field(gt=0, description="of the whole run")
    rate: float = Field(gt=0, description="at its end")
    shape: Literal["linear", "cosine"] = Field("linear", description="between the rates; the report does not say")


class Batch(Options):
    """The global batch from a number of tokens on."""

    from_tokens: float = Field(0, ge=0)
    sequences: int = Field(ge=1)


Kind = Literal["embedding", "head", "router", "experts", "others"]


class OptimizerOptions(Options):
    """AdamW (report, 2.4)."""

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
    """A spike is a loss above median + `deviations` x the median absolute deviation of the last `window` steps."""

    window: int = Field(100, ge=4)
    deviations: float = Field(10, gt=0)
    skip: bool = Field(
        False, description="leave weights, moments and biases as they were; the batch counts as consumed"
    )


class EvaluationOptions(Options):
    """Loss of the validation split, by document."""

    every_tokens: float | None = Field(None, gt=0, description="and at the end; null: at the end")
    tokens: int | None = Field(None, ge=1, description="of the split, from its beginning; null: all")


class TrainOptions(Options):
    """How a model is trained."""

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
    """One run: what `python -m model.train --config FILE` reads."""

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

    def dump(self) -> str:
        """YAML that `load` reads back."""
        return dump(self)


def dump(options: Options) -> str:
    """YAML that `load_as` reads back."""
    return yaml.safe_dump(json.loads(options.model_dump_json()), sort_keys=False, allow_unicode=True)


Read = TypeVar("Read", bound=Options)


def load(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """A training run; see `load_as`."""
    return load_as(RunConfig, path, overrides)


def load_as(kind: type[Read], path: str | Path, overrides: Sequence[str] = ()) -> Read:
    """Read a file, then `key=value` overrides; keys are dotted, values YAML.

    :raises ConfigError: no such file, not a mapping, or values that the options do not take.
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping, found {type(data).__name__}")
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign:
            raise ConfigError(f"expected key=value, found {override!r}")
        *parents, last = key.split(".")
        place = data
        for name in parents:
            if isinstance(place.get(name), str) and name == "model":
                place[name] = {"preset": place[name]}
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{override}: {name} is no mapping")
        place[last] = number(yaml.safe_load(value))
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        lines = [_told(kind, e) for e in error.errors()]
        origin = f"{path} with {', '.join(overrides)}" if overrides else f"{path}"
        raise ConfigError(f"{origin}: " + "; ".join(lines)) from None


def _told(kind: type[BaseModel], error: Any) -> str:
    """What is wrong with a value; of an unknown key, the known ones."""
    place = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden" and (known := _keys(kind, error["loc"][:-1])):
        return f"{place}: no such key; known are {', '.join(known)}"
    return f"{place}: {error['msg']}" if place else str(error["msg"])


def _keys(kind: type[BaseModel], place: Sequence[Any]) -> list[str]:
    """Keys of the options at a place within others; none where that cannot be told."""
    for name in place:
        if isinstance(name, int):
            continue
        if name not in kind.model_fields:
            return []
        waiting, found = [kind.model_fields[name].annotation], None
        while waiting and found is None:
            one = waiting.pop(0)
            found = one if isinstance(one, type) and issubclass(one, BaseModel) else None
            waiting += get_args(one)
        if found is None:
            return []
        kind = found
    return list(kind.model_fields)


def number(value: Any) -> Any:
    """A float where YAML 1.1 sees a string: `1e5` has no point."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def learning_rate(stages: Sequence[Stage], tokens: float) -> float:
    """The rate of the step that ends at `tokens`; after the last stage, its rate."""
    begin, rate = 0.0, 0.0
    for stage in stages:
        if tokens <= stage.until_tokens:
            part = (tokens - begin) / (stage.until_tokens - begin)
            if stage.shape == "cosine":
                part = (1 - math.cos(math.pi * part)) / 2
            return rate + (stage.rate - rate) * part
        begin, rate = stage.until_tokens, stage.rate
    return rate


def expert_rate(batch_tokens: float, seen: float, noise_tokens: float) -> float:
    """Rate of an expert that sees a part of the batch, as a factor of the rate of those that see all of it.

    Adam's best rate for a batch of B is 2 e / (sqrt(N / B) + sqrt(B / N)) with e its highest, at B = N (Li et al.,
    arXiv:2405.14578, which Hunyuan-Large, arXiv:2411.02265, 2.2.3, applies to the tokens of one expert). The factor goes
    from sqrt(seen), for batches far below N, to 1 / sqrt(seen), far above.

    :param batch_tokens: B, places of a step.
    :param seen: share of them that one expert sees on average: chosen / experts.
    :param noise_tokens: N, B_noise; a property of model and data, which nobody has measured here.
    """

    def best(tokens: float) -> float:
        return 2 / (math.sqrt(noise_tokens / tokens) + math.sqrt(tokens / noise_tokens))

    return best(batch_tokens * seen) / best(batch_tokens)


def stage_name(stages: Sequence[Stage], tokens: float) -> str:
    """The stage that the step that ends at `tokens` is in."""
    return next((s.name for s in stages if tokens <= s.until_tokens), stages[-1].name)


def batch_sequences(batches: Sequence[Batch], tokens: float) -> int:
    """Sequences of the global batch that begins after `tokens`."""
    return [b.sequences for b in batches if b.from_tokens <= tokens][-1]
