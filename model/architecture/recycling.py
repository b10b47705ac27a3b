"""Recycle routing (Hunyuan-Large, arXiv:2411.02265, 2.2) as an option of the model: `capacity_factor`.

In training an expert takes ceil(factor x tokens / experts) tokens of each sequence. Where more have chosen it, chance says who
stays; the others get free places of other experts, each place with the same chance, at most one token each. So nothing is
dropped. The weight is the score of the expert that one gets. Chance is a hash of (seed, number of the sequence in the run,
layer, place): the same after a resume, when a checkpointed layer runs again, and for any micro-batches and ranks. Padding takes
no place. Evaluation and generation know no capacity, where the model is that of top-1 choices.

Shapes: B sequences, T places, N = B x T, H hidden, E experts, S places of one expert, L layers with experts.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from transformers import Dots1Config

from model.architecture.router import Balance, Router
from model.base import hashing


def keys(seed: int, numbers: Any) -> torch.Tensor:
    """Hash the numbers of sequences, from which their chances go on.

    :param numbers: of the sequences in the run, `(B,)`.
    :returns: `(B,)`, int64: `hashing.mix(seed, numbers)`.
    """
    return torch.from_numpy(hashing.mix(seed, numbers).view("int64"))


def mixed(state: torch.Tensor, value: torch.Tensor | int) -> torch.Tensor:
    """Go on with `hashing.mix` by one more value, on the device of the tensors: int64 with the bits of its uint64."""

    def shifted(x: torch.Tensor, bits: int) -> torch.Tensor:
        return x ^ ((x >> bits) & ((1 << (64 - bits)) - 1))  # without the sign's copies

    state = state + value + (0x9E3779B97F4A7C15 - (1 << 64))
    state = shifted(state, 30) * (0xBF58476D1CE4E5B9 - (1 << 64))
    return shifted(shifted(state, 27) * (0x94D049BB133111EB - (1 << 64)), 31)


def capacity(counted_B: torch.Tensor, experts: int, factor: float) -> torch.Tensor:
    """Compute ceil(factor x tokens / experts), for tokens of each sequence `(B,)`."""
    return torch.ceil(counted_B.to(torch.float64) * factor / experts - 1e-9).to(torch.int64)


def recycle(
    chosen_BT: torch.Tensor, counted_BT: torch.Tensor, experts: int, factor: float, keys_B: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Recycle the choices of experts, each sequence by itself.

    :param chosen_BT: expert of each place.
    :param counted_BT: False for padding, which takes no place of an expert and stays where it is.
    :param keys_B: int64; the same keys give the same result.
    :returns: experts `(B, T)`, and True where it is another than chosen `(B, T)`.
    """
    length = chosen_BT.shape[1]
    allowed_B = capacity(counted_BT.sum(1), experts, factor)
    # Of those who chose an expert, the first `allowed` in an order of chance stay.
    chance_BT = mixed(keys_B[:, None], torch.arange(length, device=chosen_BT.device))
    order_BT = chance_BT.argsort(dim=1, stable=True)
    chosen_there = chosen_BT.gather(1, order_BT)
    hits_BTE = F.one_hot(chosen_there, experts) * counted_BT.gather(1, order_BT)[..., None]
    before = (hits_BTE.cumsum(1) - hits_BTE).gather(2, chosen_there[..., None])[..., 0]
    over = (before >= allowed_B[:, None]) & counted_BT.gather(1, order_BT)
    over_BT = torch.zeros_like(over).scatter(1, order_BT, over)
    # Free places of all experts, in an order of chance; the others go last.
    size = math.ceil(factor * length / experts)
    place_S = torch.arange(size, device=chosen_BT.device)
    load_BE = hits_BTE.sum(1)
    free_BES = (place_S >= load_BE[..., None]) & (place_S < allowed_B[:, None, None])
    slots = torch.arange(length, length + experts * size, device=chosen_BT.device)  # other numbers than the places have
    chance_BF = mixed(keys_B[:, None], slots)
    chance_BF = chance_BF.masked_fill(~free_BES.flatten(1), torch.iinfo(torch.int64).max)
    given_BF = chance_BF.argsort(dim=1, stable=True) // size
    turn_BT = (over_BT.cumsum(1) - 1).clamp(min=0)  # the free places are at least as many: factor >= 1
    return torch.where(over_BT, given_BF.gather(1, turn_BT), chosen_BT), over_BT


class Recycling(Router):
    """A top-1 router with recycle routing in training, between `Balance.begin` with keys and `Balance.forget`.

    `load` counts what the routers chose, as without recycling; what experts took of it is at most the capacity.

    :ivar moved: tokens that were given another expert since `recycled` last asked; None for none.
    """

    def __init__(self, config: Dots1Config, layer: int) -> None:
        super().__init__(config)
        self.layer, self.factor = layer, float(config.capacity_factor)
        self.moved: torch.Tensor | None = None

    def forward(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Choose an expert for each place.

        :param hidden_states: `(B, T, H)`.
        :returns: logits `(N, E)`, weights `(N, 1)`, experts `(N, 1)`.
        """
        logits, weights, chosen = super().forward(hidden_states)
        if not self.training or self.keys is None or self.counted is None:
            return logits, weights, chosen
        with torch.autocast(hidden_states.device.type, enabled=False):
            shape = hidden_states.shape[:-1]
            experts_BT, moved_BT = recycle(
                chosen.view(shape), self.counted, self.num_experts, self.factor, mixed(self.keys, self.layer)
            )
            if self.counting:
                moved = moved_BT.sum()
                self.moved = moved if self.moved is None else self.moved + moved
            chosen = experts_BT.view(-1, 1)
            scores = logits.sigmoid().gather(1, chosen) * self.routed_scaling_factor
            return logits, torch.where(moved_BT.view(-1, 1), scores, weights), chosen


def router(config: Dots1Config, layer: int) -> Router:
    """Make the router of a layer, as the configuration wants it."""
    return Router(config) if getattr(config, "capacity_factor", None) is None else Recycling(config, layer)


@torch.no_grad()
def recycled(balance: Balance, load_LE: torch.Tensor) -> dict[str, float]:
    """Compute the shares of tokens that went to another expert since the last call, of all ranks; the counters begin again.

    :param load_LE: choices of the same steps.
    :returns: `recycled`, of all layers, and `recycled_worst`, of the layer with the largest; nothing without recycling.
    """
    routers = [r for r in balance.routers if isinstance(r, Recycling)]
    if not routers:
        return {}
    moved_L = torch.stack(
        [torch.zeros((), dtype=torch.int64, device=load_LE.device) if r.moved is None else r.moved for r in routers]
    )
    if dist.is_initialized():
        dist.all_reduce(moved_L)
    for r in routers:
        r.moved = None
    share_L = moved_L / load_LE.sum(1).clamp(min=1)
    return {"recycled": float(moved_L.sum() / load_LE.sum().clamp(min=1)), "recycled_worst": float(share_L.max())}
