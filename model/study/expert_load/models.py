"""Models to look into: the last checkpoint of a run, one of its checkpoints, or an export."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError
from torch import nn
from torch.distributed.checkpoint import state_dict_loader
from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict
from transformers import Dots1Config, Dots1ForCausalLM

from model.architecture.build import build, initialise
from model.architecture.dots1 import dots1_config
from model.base.errors import AnalysisError
from model.training.config import RunConfig
from model.training.run_folder import CONFIG, STATE, checkpoints


@dataclass(frozen=True)
class Loaded:
    """Model to look into.

    :ivar body: what gives hidden states; the head is not needed.
    :ivar layers: numbers of the layers with experts, and their routers.
    """

    body: nn.Module
    layers: list[int]
    routers: list[nn.Module]
    experts: int
    chosen: int
    vocabulary: int
    sequence_length: int
    device: torch.device
    autocast: bool
    about: dict[str, Any]


def open_model(folder: Path, device: torch.device, precision: str, sequence_length: int | None = None) -> Loaded:
    """Open the last checkpoint of a run, one of its checkpoints, or a model in Hugging Face's format.

    :param precision: `fp32`, or `bf16` (of products in a run; of the weights in an export).
    :raises AnalysisError: it is none of these, or not of this architecture.
    """
    if (folder / STATE).exists():
        return _from_checkpoint(folder, device, precision, sequence_length)
    if (folder / "config.yaml").exists():
        complete = checkpoints(folder)
        if not complete:
            raise AnalysisError(f"{folder}: a run without a complete checkpoint")
        return _from_checkpoint(complete[-1], device, precision, sequence_length)
    if (folder / CONFIG).exists():
        return _from_export(folder, device, precision, sequence_length)
    raise AnalysisError(
        f"{folder}: expected a run (config.yaml, checkpoints/), one of its checkpoints, or an export (config.json)"
    )


def _from_checkpoint(place: Path, device: torch.device, precision: str, sequence_length: int | None) -> Loaded:
    """Load a checkpoint's weights into the model of its run."""
    run = place.parent.parent
    try:
        config = RunConfig.model_validate(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")))
    except (OSError, ValidationError) as error:
        raise AnalysisError(f"{run / 'config.yaml'}: {' '.join(str(error).split())}") from None
    t = config.train
    model = build(dots1_config(config.model), attention=t.attention, experts=t.experts)
    model.to_empty(device=device)
    initialise(model, 0, config.model.initializer_range)  # rotary frequencies; the weights are replaced
    weights = get_model_state_dict(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state_dict_loader.load({"model": weights}, checkpoint_id=place, no_dist=True)
    set_model_state_dict(model, weights)
    state = json.loads((place / STATE).read_text(encoding="utf-8"))
    about = {"path": str(place), "trained_tokens": state["tokens"], "step": state["step"]}
    return _loaded(model, device, precision == "bf16", sequence_length or t.sequence_length, about)


def _from_export(folder: Path, device: torch.device, precision: str, sequence_length: int | None) -> Loaded:
    """Load an export."""
    kind = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("model_type")
    if kind != "dots1":
        raise AnalysisError(f"{folder}: a model of type {kind!r}, expected 'dots1'")
    spread: dict[str, Any] = {"device_map": "auto"} if device.type == "cuda" else {}
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    model = Dots1ForCausalLM.from_pretrained(folder, dtype=dtype, **spread)
    length = sequence_length or min(8192, model.config.max_position_embeddings)
    return _loaded(model, device, False, length, {"path": str(folder)})


def _loaded(
    model: Dots1ForCausalLM, device: torch.device, autocast: bool, sequence_length: int, about: dict[str, Any]
) -> Loaded:
    """Find the layers with experts, and check the length of sequences."""
    gates = [(i, layer.mlp.gate) for i, layer in enumerate(model.model.layers) if hasattr(layer.mlp, "gate")]
    if not gates:
        raise AnalysisError(f"{about['path']}: no layer with experts")
    config: Dots1Config = model.config
    if sequence_length > config.max_position_embeddings:
        raise AnalysisError(
            f"sequences of {sequence_length:,}, the model has {config.max_position_embeddings:,} positions"
        )
    model.train(False)
    return Loaded(
        body=model.model,
        layers=[i for i, _ in gates],
        routers=[router for _, router in gates],
        experts=int(config.n_routed_experts or 0),
        chosen=int(config.num_experts_per_tok or 0),
        vocabulary=config.vocab_size,
        sequence_length=sequence_length,
        device=device,
        autocast=autocast,
        about=about | {"layers": len(gates), "experts": config.n_routed_experts, "chosen": config.num_experts_per_tok},
    )
