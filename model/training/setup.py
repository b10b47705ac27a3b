"""The model and the optimizer of a run at its beginning."""

from __future__ import annotations

import torch
from torch import nn

from model.architecture.build import Trained, build, initialise
from model.architecture.dots1 import dots1_config
from model.architecture.parallel import AdamW, shard
from model.training.config import Kind, RunConfig
from model.training.ranks import Place


def prepare(config: RunConfig, place: Place) -> Trained:
    """Make the model with its first weights, sharded over the ranks."""
    t = config.train
    model = build(dots1_config(config.model), attention=t.attention, experts=t.experts, head_tokens=t.head_tokens)
    if t.activation_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if place.world > 1:
        shard(model, place.device, place.world, t.expert_parallel)
    model.to_empty(device=place.device)
    initialise(model, t.seed, config.model.initializer_range)
    model.train()
    return model


def kind_of(name: str) -> Kind:
    """Tell what a parameter is, by its name."""
    if name == "model.embed_tokens.weight":
        return "embedding"
    if name == "lm_head.weight":
        return "head"
    if name.endswith(".mlp.gate.weight"):
        return "router"
    return "experts" if ".mlp.experts." in name else "others"


def optimizer_for(model: nn.Module, config: RunConfig) -> tuple[AdamW, list[float]]:
    """Make AdamW; matrices decay (embedding, head and routers too), norms do not.

    :returns: the optimizer, and the factor of the learning rate of each of its groups.
    """
    o = config.train.optimizer
    kinds: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decay, kind = o.weight_decay if parameter.dim() > 1 else 0.0, kind_of(name)
        apart = o.expert_noise_tokens is not None and kind == "experts"
        kinds.setdefault((decay, o.rates.get(kind, 1.0), apart), []).append(parameter)
    groups = [{"params": parameters, "weight_decay": decay} for (decay, _, _), parameters in kinds.items()]
    return AdamW(groups, lr=0.0, betas=o.betas, eps=o.eps, fused=True), [factor for _, factor, _ in kinds]


def of_experts(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[bool]:
    """Tell which of the optimizer's groups begin with routed experts."""
    experts = {id(p) for name, p in model.named_parameters() if kind_of(name) == "experts"}
    return [id(group["params"][0]) in experts for group in optimizer.param_groups]
