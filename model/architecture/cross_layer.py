"""Cross-layer attention (Brandon et al., arXiv:2405.12981; Hunyuan-Large, arXiv:2411.02265, 2.2) on transformers' Dots1.

    options = ModelOptions(preset="hunyuan-tiny")                      # `cross_layer` is 2
    model = load("out/model/hunyuan-tiny/export")                     # an export: logits, generate()

With `cross_layer` above 1 the first of so many layers in a row makes keys and values, those after it have queries only. What is
shared travels from layer to layer as argument and result, beside the hidden states: FSDP2 and activation checkpointing know of
nothing else. A cache stores it once.

Shapes: B sequences, T places, H hidden.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, Dots1Config, Dots1ForCausalLM
from transformers.cache_utils import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.dots1.modeling_dots1 import (
    Dots1Attention,
    Dots1DecoderLayer,
    apply_rotary_pos_emb,
    eager_attention_forward,
    rotate_half,
)

from model.architecture.dots1 import CrossLayerConfig
from model.base.errors import ConfigError

Shared = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Hidden states `(B, T, H)`, keys and values `(B, KV heads, places so far, head size)`."""


class CrossLayerAttention(Dots1Attention):
    """Attention with keys and values of its own (`makes`), or of the layer that makes them."""

    def __init__(self, config: CrossLayerConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.makes = layer_idx % config.cross_layer == 0
        if not self.makes:
            del self.k_proj, self.v_proj, self.k_norm

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor | None,
        cache: Cache | None = None,
        shared: tuple[torch.Tensor, torch.Tensor] | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor, torch.Tensor]:
        """Attend.

        :param shared: keys, with their positions, and values; of the cached places too.
        :returns: the result `(B, T, H)`, attention weights where the implementation has them, keys, values.
        """
        shape = (*hidden_states.shape[:-1], -1, self.head_dim)
        query = self.q_norm(self.q_proj(hidden_states).view(shape)).transpose(1, 2)
        cos, sin = position_embeddings
        if self.makes:
            key = self.k_norm(self.k_proj(hidden_states).view(shape)).transpose(1, 2)
            value = self.v_proj(hidden_states).view(shape).transpose(1, 2)
            query, key = apply_rotary_pos_emb(query, key, cos, sin)  # type: ignore[no-untyped-call]
            if cache is not None:
                key, value = cache.update(key, value, self.layer_idx)
        elif shared is None:
            raise ValueError(f"layer {self.layer_idx} has no keys and values of its own, and was given none")
        else:
            key, value = shared
            rotated = rotate_half(query)  # type: ignore[no-untyped-call]
            query = query * cos.unsqueeze(1) + rotated * sin.unsqueeze(1)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        out, weights = attend(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=0.0 if not self.training else self.attention_dropout,
            scaling=self.scaling,
            sliding_window=self.sliding_window,
            **kwargs,
        )
        return self.o_proj(out.reshape(*hidden_states.shape[:-1], -1).contiguous()), weights, key, value


class CrossLayer(Dots1DecoderLayer):  # type: ignore[no-untyped-call]
    """The stock layer, whose argument and result are `Shared` within a group of layers, hidden states alone between groups.

    So the stock model's loop over layers serves as it is.
    """

    def __init__(self, config: CrossLayerConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.self_attn = CrossLayerAttention(config, layer_idx)
        self.passes = (layer_idx + 1) % config.cross_layer != 0 and layer_idx + 1 < config.num_hidden_layers

    def forward(self, hidden_states: torch.Tensor | Shared, **kwargs: Any) -> torch.Tensor | Shared:
        """Compute the layer.

        :param hidden_states: `Shared`, but for the first layer of a group.
        :returns: `Shared`, but for the last layer of a group.
        """
        shared = None
        if isinstance(hidden_states, tuple):
            hidden_states, *shared = hidden_states
        residual = hidden_states
        hidden, _, key, value = self.self_attn(self.input_layernorm(hidden_states), shared=shared, **kwargs)
        residual = residual + hidden
        hidden = residual + self.mlp(self.post_attention_layernorm(residual))
        return (hidden, key, value) if self.passes else hidden


class CrossLayerForCausalLM(Dots1ForCausalLM):  # type: ignore[no-untyped-call]
    """The model of an export with `cross_layer`: logits, a cache, `generate`."""

    config_class = CrossLayerConfig

    def __init__(self, config: CrossLayerConfig) -> None:
        super().__init__(config)
        share(self)


AutoConfig.register(CrossLayerConfig.model_type, CrossLayerConfig, exist_ok=True)
AutoModelForCausalLM.register(CrossLayerConfig, CrossLayerForCausalLM, exist_ok=True)


def share(model: Dots1ForCausalLM) -> None:
    """Give a model the layers of its `cross_layer`, on the current device and without weights; none where that is 1."""
    if isinstance(model.config, CrossLayerConfig):
        for number in range(model.config.num_hidden_layers):
            model.model.layers[number] = CrossLayer(model.config, number)


def causal(config: Dots1Config) -> Dots1ForCausalLM:
    """Make the model of a configuration, for logits and generation."""
    return CrossLayerForCausalLM(config) if isinstance(config, CrossLayerConfig) else Dots1ForCausalLM(config)


def load(folder: str | Path, dtype: torch.dtype = torch.float32) -> Dots1ForCausalLM:
    """Load an export of this package, with `cross_layer` or without.

    :raises ConfigError: no such folder, or a model of another type.
    """
    path = Path(folder) / "config.json"
    if not path.exists():
        raise ConfigError(f"{path}: no such file")
    model_type = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    kinds = {CrossLayerConfig.model_type: CrossLayerForCausalLM, Dots1Config.model_type: Dots1ForCausalLM}
    if model_type not in kinds:
        raise ConfigError(f"{path}: found model_type {model_type!r}, expected {' or '.join(kinds)}")
    return kinds[model_type].from_pretrained(folder, dtype=dtype)
