"""Bytes of the keys and values that generation keeps, measured.

    python -m model.cache --preset hunyuan-large

A model with the preset's layers, heads and sharing computes a prompt and decodes tokens; the tensors in its cache are then
counted, and those of the same heads as plain multi-head attention, every layer with its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from model.calculator import cache_bytes
from model.config import PRESETS, ModelOptions
from model.layers import causal


def narrow(options: ModelOptions) -> ModelOptions:
    """The same layers, heads and sharing with little else, since a cache depends on nothing else."""
    little = {
        **{"vocab_size": 64, "hidden_size": 32, "intermediate_size": 32, "moe_intermediate_size": 8, "eos_token_id": 0},
        **{"n_routed_experts": 2, "num_experts_per_tok": 1, "n_shared_experts": 1},
    }
    return ModelOptions.model_validate(options.model_dump(exclude={"preset"}) | little)


def multi_head(options: ModelOptions) -> ModelOptions:
    """The same heads and layers, each with keys and values of its own."""
    own = {"num_key_value_heads": options.num_attention_heads, "cross_layer": 1}
    return ModelOptions.model_validate(options.model_dump(exclude={"preset"}) | own)


@torch.no_grad()
def measured(options: ModelOptions, prompt: int, new: int, dtype: torch.dtype = torch.bfloat16) -> int:
    """Bytes of the tensors that a cache holds of one sequence, after a prompt and tokens decoded one by one.

    The weights are random, and the model `narrow`.
    """
    config = narrow(options).dots1()
    config._attn_implementation, config._experts_implementation = "sdpa", "eager"
    model = cast(nn.Module, causal(config)).to(dtype)
    model.train(False)
    ids = torch.arange(prompt)[None] % config.vocab_size
    out = model(ids, use_cache=True)
    for _ in range(new):
        out = model(out.logits[:, -1:].argmax(-1), cache=out.cache, use_cache=True)
    tensors = [t for layer in out.cache.layers for t in (layer.keys, layer.values) if t is not None]
    return sum(t.untyped_storage().nbytes() for t in tensors)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.cache",
        description="Measure the key-value cache of a preset against one of all heads and layers, in bf16 on the CPU. Width, "
        "experts and vocabulary are cut down, which a cache does not depend on.",
    )
    parser.add_argument("--preset", default="hunyuan-tiny", help=f"one of {', '.join(PRESETS)}; hunyuan-tiny")
    parser.add_argument("--prompt", type=int, default=256, help="places computed at once; 256")
    parser.add_argument("--new", type=int, default=16, help="tokens decoded after them; 16")
    given = parser.parse_args(arguments)
    if given.preset not in PRESETS:
        print(f"error: unknown preset {given.preset!r}; known presets: {', '.join(PRESETS)}", file=sys.stderr)
        return 2
    if given.prompt < 1 or given.new < 0:
        print(f"error: found --prompt {given.prompt} --new {given.new}, expected at least 1 and 0", file=sys.stderr)
        return 2
    own = ModelOptions.model_validate(given.preset)
    found = {}
    for name, options in (("this model", own), ("all heads, all layers", multi_head(own))):
        found[name] = measured(options, given.prompt, given.new)
        by_formula = cache_bytes(options, given.prompt + given.new)
        print(
            f"{name:<22}{options.kv_layers:>4} of {options.num_hidden_layers} layers"
            f"{options.num_key_value_heads:>5} KV heads of {options.head_dim:<4}"
            f"{found[name]:>14,} bytes measured{by_formula:>14,} by formula"
        )
    first, second = found.values()
    print(f"{first / second:.4f} of it: {1 - first / second:.1%} less, after {given.prompt} + {given.new} places")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
