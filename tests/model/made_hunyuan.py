"""A small model with Hunyuan-Large's layers, and batches for it."""

from __future__ import annotations

from typing import Any

import torch

from model.architecture import cross_layer
from model.architecture.build import Trained, build, initialise
from model.architecture.config import ModelOptions
from model.architecture.dots1 import dots1_config
from model.base.arrays import IGNORE

SMALL: dict[str, Any] = {
    **{"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 8, "eos_token_id": 0},
    **{"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
    **{"n_routed_experts": 4, "num_experts_per_tok": 1, "n_shared_experts": 1, "max_position_embeddings": 64},
    **{"first_k_dense_replace": 0, "norm_topk_prob": False, "routed_scaling_factor": 1.0},
    **{"cross_layer": 2, "capacity_factor": 1.25},
}


def options(**changed: Any) -> ModelOptions:
    return ModelOptions.model_validate(SMALL | changed)


def small(attention: str = "eager", **changed: Any) -> Trained:
    model = build(dots1_config(options(**changed)), attention=attention, experts="eager", head_tokens=5)
    model.to_empty(device="cpu")
    initialise(model, 0, 0.3)
    return model.train()


def generating(model: Trained) -> Any:
    """Give a model of the same weights, with logits and a cache."""
    other = cross_layer.causal(model.config)
    other.load_state_dict(model.state_dict())
    other.config._attn_implementation = model.config._attn_implementation
    return other.eval()


def batch(seed: int = 0, rows: int = 2, length: int = 24) -> dict[str, Any]:
    ids = torch.randint(1, 40, (rows, length), generator=torch.Generator().manual_seed(seed))
    positions = torch.arange(length).repeat(rows, 1)
    positions[:, 7:] -= 7
    return {"input_ids": ids, "labels": ids.masked_fill(positions == 0, IGNORE), "position_ids": positions}


def everything(inputs: dict[str, Any]) -> Any:
    return torch.ones_like(inputs["input_ids"], dtype=torch.bool)
