"""Checkpoints of a run, by tokens: torch's distributed format for tensors, JSON for the rest.

    checkpoints/tokens-000000000065536/
      __*.distcp, .metadata     model (with the routers' biases) and optimizer; any number of ranks reads them
      state.json                tokens, step, the loader's state, the spike window, random states by rank

A checkpoint is written beside its place and renamed when whole, so what has its name is complete; a run that is killed goes on
from the last of them.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from model.base.errors import InUseError
from model.training.run_folder import PREFIX, STATE, checkpoints


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep a run's folder for this process; the kernel lets go of it when the process ends, however it ends.

    :raises InUseError: another process has it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(
                f"another process trains into {out}; wait for it, stop it, or choose another out"
            ) from None
        yield


def rank_and_world() -> tuple[int, int]:
    """Give the rank of this process and the number of ranks."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def random_state() -> dict[str, str]:
    """Give the states of torch's generators of this process, base64."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return {k: base64.b64encode(v.numpy().tobytes()).decode() for k, v in states.items()}


def set_random_state(states: dict[str, str]) -> None:
    """Set torch's generators of this process to what `random_state` gave."""

    def tensor(text: str) -> torch.Tensor:
        return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)

    torch.set_rng_state(tensor(states["cpu"]))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensor(states["cuda"]))


def save(out: Path, tokens: int, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> Path:
    """Write a checkpoint; all ranks call this.

    :param state: plain numbers and strings, the same on every rank.
    """
    rank, world = rank_and_world()
    place = out / "checkpoints" / f"{PREFIX}{tokens:015d}"
    part = place.with_name(place.name + ".part")
    if rank == 0:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    random: list[Any] = [random_state()]
    if world > 1:
        random = [None] * world
        dist.all_gather_object(random, random_state())
    weights, moments = get_state_dict(model, optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state_dict_saver.save({"model": weights, "optimizer": moments}, checkpoint_id=part, no_dist=world == 1)
    if rank == 0:
        (part / STATE).write_text(json.dumps(state | {"random": random}))
        for path in part.iterdir():
            with path.open("rb") as f:
                os.fsync(f.fileno())
        shutil.rmtree(place, ignore_errors=True)
        part.rename(place)
    if world > 1:
        dist.barrier()
    return place


def load(place: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Read a checkpoint into a model and its optimizer.

    :returns: what `save` was given as `state`.
    """
    rank, world = rank_and_world()
    weights, moments = get_state_dict(model, optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state_dict_loader.load({"model": weights, "optimizer": moments}, checkpoint_id=place, no_dist=world == 1)
    set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=moments)
    state: dict[str, Any] = json.loads((place / STATE).read_text())
    random = state.pop("random")
    if rank < len(random):
        set_random_state(random[rank])
    return state


def prune(out: Path, keep: int | None) -> None:
    """Remove all but the last `keep` checkpoints, and what a killed run left half written."""
    for path in (out / "checkpoints").glob("*.part"):
        shutil.rmtree(path, ignore_errors=True)
    if keep is not None:
        for path in checkpoints(out)[:-keep]:
            shutil.rmtree(path)
