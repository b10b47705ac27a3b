"""The processes of a run: those that torchrun started, or one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Place:
    """Rank of this process, number of ranks, device."""

    rank: int
    world: int
    device: torch.device


@contextlib.contextmanager
def processes() -> Iterator[Place]:
    """Join the ranks that torchrun started, or compute in this process alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if world == 1:
        yield Place(0, 1, device)
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        yield Place(dist.get_rank(), world, device)
    finally:
        dist.destroy_process_group()
