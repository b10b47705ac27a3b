"""Training on many ranks: experts shared among ranks, first weights by shard, one norm over all shards.

**Expert parallelism** (`train.expert_parallel: P`; GShard, arXiv:2006.16668). The ranks are a mesh of world / P x P, "data" x
"expert": rank r = d P + e. A rank computes E / P whole experts of each layer, from number e E / P on, for the tokens of the P
ranks of its row; their weights are cut in world / P shares (FSDP2), of which it keeps number d. All else is sharded over all
ranks (FSDP2), and each rank has sequences of its own.

    rank's N tokens, K choices each, sorted by expert --all-to-all--> R rows of E / P experts
      --grouped products--> R rows --all-to-all--> N K rows --weights, sum over K--> N

Counts travel first, then exactly as many rows as there are: none is dropped or padded, whatever the load, and a rank that gets
none still takes part, backward too. Under autocast rows travel in its dtype, which is the one that the products take.

**Gradients.** The loss of a rank is scaled by the number of ranks, since FSDP2 divides by it. An expert's gradient holds the
tokens of P ranks already and is summed over world / P: FSDP2 is told to divide it by all ranks too (`Experts.spread`).

**First weights.** A matrix is drawn by blocks of `BLOCK` rows, each from (seed, name, expert, first row), and a rank draws the
blocks that its shard overlaps: the same weights for any number of ranks, and no full matrix on any.

Shapes: N tokens, K choices of each, H hidden, F of an expert, E experts, R rows received; `rows` are one choice of one token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset
from transformers import Dots1Config, Dots1ForCausalLM
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS
from transformers.models.dots1.modeling_dots1 import Dots1Experts

BLOCK = 64
"""Rows that are drawn together: what a rank draws beyond its shard is less than two blocks of each matrix."""


class _AllToAll(torch.autograd.Function):
    """Exchange of rows; the gradients go the way back."""

    @staticmethod
    def forward(
        ctx: Any, rows: torch.Tensor, sent: list[int], received: list[int], group: dist.ProcessGroup
    ) -> torch.Tensor:
        ctx.way = sent, received, group
        return _all_to_all(rows, sent, received, group)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        sent, received, group = ctx.way
        return _all_to_all(grad, received, sent, group), None, None, None


def _all_to_all(rows: torch.Tensor, sent: list[int], received: list[int], group: dist.ProcessGroup) -> torch.Tensor:
    out = rows.new_empty(sum(received), *rows.shape[1:])
    dist.all_to_all_single(out, rows.contiguous(), received, sent, group=group)
    return out


def all_to_all(rows: torch.Tensor, sent: list[int], received: list[int], group: dist.ProcessGroup) -> torch.Tensor:
    """Exchange rows within a group, differentiably.

    :param rows: `(sum of sent, ...)`, in the order of the ranks that they go to.
    :param sent: rows for each rank.
    :param received: rows from each rank.
    :returns: `(sum of received, ...)`, in the order of the ranks that they come from.
    """
    return cast(torch.Tensor, _AllToAll.apply(rows, sent, received, group))  # type: ignore[no-untyped-call]


class Experts(Dots1Experts):  # type: ignore[misc]
    """The stock experts, with weights in autocast's dtype, and shared among ranks after `spread`.

    Autocast does not know the grouped product, which would take FP32 weights as they are.

    :ivar gate_up_proj: `(E, 2F, H)`, gate first; down_proj `(E, H, F)`: names and shapes of the stock model.
    """

    def __init__(self, config: Dots1Config) -> None:
        super().__init__(config)  # type: ignore[no-untyped-call]
        self.group: dist.ProcessGroup | None = None
        self.here = self.num_experts

    def spread(self, mesh: DeviceMesh) -> None:
        """Keep the experts of this rank, on the meta device as yet, and shard them over the rest of the mesh.

        :param mesh: "data" x "expert".
        """
        data, expert = mesh["data"], mesh["expert"]
        self.group = expert.get_group()
        self.here = self.num_experts // expert.size()
        for name in ("gate_up_proj", "down_proj"):
            whole = getattr(self, name)
            local = whole.detach()[: self.here].contiguous()
            placed = DTensor.from_local(
                local, expert, [Shard(0)], run_check=False, shape=whole.shape, stride=whole.stride()
            )
            setattr(self, name, nn.Parameter(placed))
        sharded = fully_shard(self, mesh=data, shard_placement_fn=placement(data.size(), rows_first=True))
        sharded.set_gradient_divide_factor(mesh.size())
        # Division is left to NCCL otherwise, which gloo cannot; with one rank FSDP2 divides by itself, with both twice.
        sharded.set_force_sum_reduction_for_comms(data.size() > 1)

    def forward(self, hidden_NH: torch.Tensor, chosen_NK: torch.Tensor, weights_NK: torch.Tensor) -> torch.Tensor:
        """Compute the experts, on the ranks that hold them.

        :param chosen_NK: numbers of experts, of all E.
        :returns: `(N, H)`, the weighted sum of the chosen experts.
        """
        device = hidden_NH.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_NH.dtype
        if self.group is None:
            return self._compute(dtype, hidden_NH, chosen_NK, weights_NK)
        (tokens, hidden), choices, ranks = hidden_NH.shape, chosen_NK.shape[1], self.group.size()
        order = chosen_NK.flatten().argsort(stable=True)
        counts_PE = torch.bincount(chosen_NK.flatten(), minlength=self.num_experts).view(ranks, self.here)
        received_PE = torch.empty_like(counts_PE)
        dist.all_to_all_single(received_PE, counts_PE, group=self.group)
        sent, received = torch.stack([counts_PE.sum(1), received_PE.sum(1)]).tolist()
        rows_RH = all_to_all(hidden_NH[order // choices].to(dtype), sent, received, self.group)
        expert_R = torch.arange(self.here, device=hidden_NH.device).repeat(ranks)
        expert_R = expert_R.repeat_interleave(received_PE.flatten(), output_size=sum(received))
        made_RH = self._compute(dtype, *_one_at_least(rows_RH, expert_R))[: len(rows_RH)]
        back = all_to_all(made_RH, received, sent, self.group)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        weighted = back[place].view(tokens, choices, hidden) * weights_NK[..., None]
        return weighted.sum(1).to(hidden_NH.dtype)

    def _compute(
        self, dtype: torch.dtype, rows: torch.Tensor, chosen: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Call the stock function of `train.experts` on the experts that are here."""
        held = _Held(self, *(_local(w).to(dtype) for w in (self.gate_up_proj, self.down_proj)))
        eager = cast(Any, Dots1Experts.forward).__wrapped__
        function = ALL_EXPERTS_FUNCTIONS.get_interface(cast(Any, self.config)._experts_implementation, eager)
        return cast(torch.Tensor, function(held, rows, chosen, weights))


def _one_at_least(rows_RH: torch.Tensor, expert_R: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give a rank that got no row one of zeros: without a product the way back would not be recorded, nor the weights have a
    gradient, and the other ranks would wait for both in backward.

    :returns: rows, experts `(R, 1)`, weights `(R, 1)` of 1.
    """
    if not len(rows_RH):
        rows_RH = torch.cat([rows_RH, rows_RH.new_zeros(1, rows_RH.shape[1])])
        expert_R = expert_R.new_zeros(1)
    return rows_RH, expert_R[:, None], rows_RH.new_ones(len(rows_RH), 1)


class _Held:
    """Module that the stock functions are given: its settings, with the experts that are here."""

    def __init__(self, module: Experts, gate_up: torch.Tensor, down: torch.Tensor) -> None:
        self.module, self.num_experts, self.gate_up_proj, self.down_proj = module, module.here, gate_up, down

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def placement(ranks: int, *, rows_first: bool = False) -> Callable[[nn.Parameter], Shard | None]:
    """Choose how FSDP2 cuts experts: into whole ones, or each by its rows, as can be dealt evenly; all else by rows.

    128 experts on 256 ranks, dealt whole, would give half of the ranks twice their part. Experts that are shared among ranks
    already are cut by rows first: cut twice by one dimension, their parts would not lie in the order of the ranks.
    """

    def of(parameter: nn.Parameter) -> Shard | None:
        if parameter.dim() != 3:
            return None
        experts, rows, _ = _local(parameter).shape
        possible = [dimension for dimension, n in ((0, experts), (1, rows)) if n % ranks == 0] or [0]
        return Shard(possible[-1 if rows_first else 0])

    return of


def shard(model: Dots1ForCausalLM, device: torch.device, world: int, expert_parallel: int) -> None:
    """Shard a model on the meta device over all ranks, layer by layer."""
    if expert_parallel > 1:
        shape = world // expert_parallel, expert_parallel
        mesh = init_device_mesh(device.type, shape, mesh_dim_names=("data", "expert"))
        for module in list(model.modules()):
            if isinstance(module, Experts):
                module.spread(mesh)
    cut = placement(world)
    for layer in model.model.layers:
        fully_shard(layer, shard_placement_fn=cut)
    fully_shard(model, shard_placement_fn=cut)


def by_mesh(parameters: Iterable[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Group parameters by device mesh: torch's operations on lists take those of one mesh alone."""
    groups: dict[DeviceMesh | None, list[torch.Tensor]] = {}
    for parameter in parameters:
        groups.setdefault(parameter.device_mesh if isinstance(parameter, DTensor) else None, []).append(parameter)
    return list(groups.values())


class AdamW(torch.optim.AdamW):
    """torch's AdamW, a mesh at a time. The groups, and with them a checkpoint, are the same for any number of ranks."""

    param_groups: list[dict[str, Any]]

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        groups: list[dict[str, Any]] = self.param_groups
        self.param_groups = [group | {"params": some} for group in groups for some in by_mesh(group["params"])]
        try:
            return super().step(closure)
        finally:
            self.param_groups = groups


@torch.no_grad()
def clip(parameters: Iterable[torch.Tensor], limit: float) -> float:
    """Scale gradients to a norm of at most `limit`. Each parameter lies in shards on all ranks, whatever its mesh.

    :returns: the norm of all gradients before.
    """
    gradients = [_local(p.grad) for p in parameters if p.grad is not None]
    square = torch.nn.utils.get_total_norm(gradients).to(torch.float64).square()
    if dist.is_initialized():
        dist.all_reduce(square)
    norm = square.sqrt().float()
    torch._foreach_mul_(gradients, torch.clamp(limit / (norm + 1e-6), max=1.0))
    return float(norm)


def box(parameter: torch.Tensor) -> tuple[Sequence[int], Sequence[int]]:
    """Locate what this rank holds of a parameter: size and first element, by dimension."""
    if isinstance(parameter, DTensor):
        size_and_first = compute_local_shape_and_global_offset(
            parameter.shape, parameter.device_mesh, parameter.placements
        )
        return cast("tuple[Sequence[int], Sequence[int]]", size_and_first)
    return parameter.shape, [0] * parameter.dim()


def block(key: str, rows: int, columns: int, std: float) -> torch.Tensor:
    """Draw `(rows, columns)` of N(0, std) in FP32; the bits follow from `key` alone."""
    digest = hashlib.sha256(key.encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))
    return torch.from_numpy(generator.standard_normal((rows, columns), dtype=np.float32)).mul_(std)


def draw(
    out: torch.Tensor, key: str, shape: Sequence[int], size: Sequence[int], first: Sequence[int], std: float
) -> None:
    """Fill a shard with its part of a matrix, or of a stack of matrices, of N(0, std).

    :param out: the shard, of `size`; any dtype and device.
    :param key: seed and name.
    :param shape: of the whole, `(rows, columns)` or `(matrices, rows, columns)`.
    :param first: where in the whole the shard begins.
    """
    if len(shape) == 2:
        out, shape, size, first = out[None], (1, *shape), (1, *size), (0, *first)
    if 0 in size:
        return
    _, rows, columns = shape
    wanted = slice(first[2], first[2] + size[2])
    end = first[1] + size[1]
    for matrix in range(size[0]):
        for begin in range(first[1] // BLOCK * BLOCK, end, BLOCK):
            made = block(f"{key}/{first[0] + matrix}/{begin}", min(BLOCK, rows - begin), columns, std)
            here = slice(max(begin, first[1]), min(begin + BLOCK, end))
            part = made[here.start - begin : here.stop - begin, wanted]
            out[matrix, here.start - first[1] : here.stop - first[1]].copy_(part)
