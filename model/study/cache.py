"""Bytes of the keys and values that generation keeps, measured.

A model with the preset's layers, heads and sharing computes a prompt and decodes tokens; the tensors in its cache are then
counted.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from model.architecture.config import PRESETS, ModelOptions
from model.architecture.costs import cache_bytes
from model.architecture.cross_layer import causal
from model.architecture.dots1 import dots1_config
from model.base.errors import ConfigError


def narrow(options: ModelOptions) -> ModelOptions:
    """Keep layers, heads and sharing, and cut down all else, since a cache depends on nothing else."""
    little = {
        **{"vocab_size": 64, "hidden_size": 32, "intermediate_size": 32, "moe_intermediate_size": 8, "eos_token_id": 0},
        **{"n_routed_experts": 2, "num_experts_per_tok": 1, "n_shared_experts": 1},
    }
    return ModelOptions.model_validate(options.model_dump(exclude={"preset"}) | little)


def multi_head(options: ModelOptions) -> ModelOptions:
    """Give every head and layer keys and values of its own."""
    heads = {"num_key_value_heads": options.num_attention_heads, "cross_layer": 1}
    return ModelOptions.model_validate(options.model_dump(exclude={"preset"}) | heads)


@torch.no_grad()
def measured(options: ModelOptions, prompt: int, new: int, dtype: torch.dtype = torch.bfloat16) -> int:
    """Count the bytes of the tensors that a cache holds of one sequence, after a prompt and tokens decoded one by one.

    The weights are random, and the model `narrow`.
    """
    config = dots1_config(narrow(options))
    config._attn_implementation, config._experts_implementation = "sdpa", "eager"
    model = cast(nn.Module, causal(config)).to(dtype)
    model.train(False)
    ids = torch.arange(prompt)[None] % config.vocab_size
    out = model(ids, use_cache=True)
    for _ in range(new):
        out = model(out.logits[:, -1:].argmax(-1), cache=out.cache, use_cache=True)
    tensors = [t for layer in out.cache.layers for t in (layer.keys, layer.values) if t is not None]
    return sum(t.untyped_storage().nbytes() for t in tensors)


def report(preset: str, prompt: int, new: int) -> str:
    """Compare the cache of a preset with that of all heads and layers, measured and by formula.

    :param prompt: places computed at once; `new`: tokens decoded after them.
    :raises ConfigError: an unknown preset, or too few places.
    """
    if preset not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}; known presets: {', '.join(PRESETS)}")
    if prompt < 1 or new < 0:
        raise ConfigError(f"found --prompt {prompt} --new {new}, expected at least 1 and 0")
    options = ModelOptions.model_validate(preset)
    lines, sizes = [], []
    for name, sized in (("this model", options), ("all heads, all layers", multi_head(options))):
        sizes.append(measured(sized, prompt, new))
        lines.append(
            f"{name:<22}{sized.kv_layers:>4} of {sized.num_hidden_layers} layers"
            f"{sized.num_key_value_heads:>5} KV heads of {sized.head_dim:<4}"
            f"{sizes[-1]:>14,} bytes measured{cache_bytes(sized, prompt + new):>14,} by formula"
        )
    share = sizes[0] / sizes[1]
    return "\n".join([*lines, f"{share:.4f} of it: {1 - share:.1%} less, after {prompt} + {new} places"])
