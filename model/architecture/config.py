"""Sizes of the model: options, presets, and transformers' configuration of them.

`model` in a run's YAML is a preset's name, or a mapping with `preset` and what differs from it. No torch here.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from model.base.config import Options


class ModelOptions(Options):
    """Options of the architecture of dots.llm1 (report, 2.1) in any size; `transformers`' own defaults are used for nothing."""

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
    # Hunyuan-Large's (model/architecture/cross_layer.py, recycling.py); off in dots.llm1
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
        """Number of layers with experts."""
        return self.num_hidden_layers - self.first_k_dense_replace

    @property
    def kv_layers(self) -> int:
        """Number of layers that make keys and values, and have them in a cache."""
        return -(-self.num_hidden_layers // self.cross_layer)


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
