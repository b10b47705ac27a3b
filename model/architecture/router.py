"""Routers of the mixture of experts, and how experts are kept equally busy.

    balance = Balance(model)
    for batch in step:
        balance.begin(counted, alpha / sequences)
        total, losses = model(**batch)
        balance.end()
        (total / targets).backward()
    load, loss = balance.take()
    balance.update(load, gamma)

- **Router** (report, 2.1): scores s = sigmoid(x W^T) in FP32 also under autocast, which would else take the product to bf16.
- **Balance without auxiliary loss** (Wang et al., arXiv:2408.15664): after each step b += gamma x sign(mean load - load). The
  load is of all ranks and all batches of the step. b decides which experts are chosen, not their weights.
- **Sequence-wise loss** (DeepSeek-V3, arXiv:2412.19437, 17-20): alpha x E x sum f P, with f the share of a sequence's choices
  that fall on an expert and P its mean normalised score. It enters at the routers' output as a gradient, so nothing has to be
  carried past checkpointed or sharded layers.
- **Counting once**: activation checkpointing runs a router a second time, during `backward`. A router counts between
  `Balance.begin` and `Balance.end` alone, which enclose the forward pass.

Shapes: B sequences, T places, N = B x T, H hidden, E experts, K chosen ones, L layers with experts.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import nn
from transformers import Dots1Config, Dots1ForCausalLM
from transformers.models.dots1.modeling_dots1 import Dots1MoE, Dots1TopkRouter


class _Extra(torch.autograd.Function):
    """Identity on `x`; its backward gives `loss` a gradient of `scale`, as if scale x loss had been added to the loss."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, loss: torch.Tensor, scale: float) -> torch.Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        return grad, torch.full((), ctx.scale, dtype=torch.float32, device=grad.device), None


def _with_loss(x: torch.Tensor, loss: torch.Tensor, scale: float) -> torch.Tensor:
    return cast(torch.Tensor, _Extra.apply(x, loss, scale))  # type: ignore[no-untyped-call]


def sequence_loss(scores_BTE: torch.Tensor, chosen_BTK: torch.Tensor, counted_BT: torch.Tensor) -> torch.Tensor:
    """Compute E x sum f P of each sequence, without alpha.

    :param scores_BTE: sigmoid scores, before the bias.
    :param chosen_BTK: numbers of the experts chosen.
    :param counted_BT: False for padding; a sequence of padding alone has loss 0.
    :returns: `(B,)`; 1 for perfect balance.
    """
    experts, chosen = scores_BTE.shape[-1], chosen_BTK.shape[-1]
    weight_BT = counted_BT.to(scores_BTE.dtype)
    places_B = weight_BT.sum(1).clamp(min=1)
    hits_BE = torch.zeros_like(scores_BTE[:, 0]).scatter_add_(
        1, chosen_BTK.flatten(1), weight_BT[..., None].expand_as(chosen_BTK).flatten(1)
    )
    f_BE = hits_BE / (chosen * places_B)[:, None]
    share_BTE = scores_BTE / (scores_BTE.sum(-1, keepdim=True) + 1e-20)
    p_BE = (share_BTE * weight_BT[..., None]).sum(1) / places_B[:, None]
    return experts * (f_BE * p_BE).sum(-1)


class Router(Dots1TopkRouter):
    """The stock router in FP32, with a load counter and the sequence-wise loss.

    :ivar load: `(E,)` int64, choices of counted places since the last update.
    :ivar loss: E x sum f P, summed over the sequences counted since the last update; FP32.
    """

    def __init__(self, config: Dots1Config) -> None:
        super().__init__(config)
        self.load = nn.Buffer(torch.zeros(self.num_experts, dtype=torch.int64), persistent=False)
        self.loss = nn.Buffer(torch.zeros((), dtype=torch.float32), persistent=False)
        self.counting = False
        self.counted: torch.Tensor | None = None
        self.keys: torch.Tensor | None = None  # of the sequences, for model/architecture/recycling.py
        self.scale = 0.0

    def forward(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Choose experts for each place.

        :param hidden_states: `(B, T, H)`.
        :returns: logits `(N, E)`, weights `(N, K)`, experts `(N, K)`; the first two FP32.
        """
        with torch.autocast(hidden_states.device.type, enabled=False):
            logits, weights, chosen = super().forward(hidden_states)  # type: ignore[no-untyped-call]
            if self.counted is None or not torch.is_grad_enabled() or not self.training:
                if self.counting and self.counted is not None:
                    self._count(chosen, self.counted)
                return logits, weights, chosen
            shape = hidden_states.shape[:-1]
            scores = logits.sigmoid().view(*shape, -1)
            loss = sequence_loss(scores, chosen.view(*shape, -1), self.counted).sum()
            if self.counting:
                self._count(chosen, self.counted)
                self.loss.add_(loss.detach())
            return logits, _with_loss(weights, loss, self.scale), chosen

    def _count(self, chosen_NK: torch.Tensor, counted_BT: torch.Tensor) -> None:
        hits = counted_BT.flatten()[:, None].expand_as(chosen_NK).flatten().to(torch.int64)
        self.load.scatter_add_(0, chosen_NK.flatten(), hits)


class Balance:
    """Balance of a model's routers: counting, and the bias.

    :ivar layers: numbers of the layers with experts, `L` of them.
    """

    def __init__(self, model: Dots1ForCausalLM) -> None:
        gates = [(i, layer.mlp.gate) for i, layer in enumerate(model.model.layers) if isinstance(layer.mlp, Dots1MoE)]
        self.layers = [i for i, _ in gates]
        self.routers = [cast(Router, router) for _, router in gates]

    def begin(self, counted_BT: torch.Tensor, scale: float = 0.0, keys_B: torch.Tensor | None = None) -> None:
        """Begin to count, before a forward pass.

        :param counted_BT: False for padding.
        :param scale: gradient of the sequence-wise loss of one sequence: alpha over sequences of the step.
        :param keys_B: `recycling.keys`, for routers that recycle; None: they do not.
        """
        for router in self.routers:
            router.counting, router.counted, router.scale, router.keys = True, counted_BT, scale, keys_B

    def end(self) -> None:
        """Stop counting, after a forward pass and before backward, which may run routers again."""
        for router in self.routers:
            router.counting = False

    def forget(self) -> None:
        """Leave balancing out of what follows (evaluation)."""
        for router in self.routers:
            router.counting, router.counted, router.keys = False, None, None

    @torch.no_grad()
    def take(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Give loads and losses since the last call, of all ranks; the counters begin again.

        :returns: choices `(L, E)` int64, and the summed sequence-wise loss of each layer `(L,)`.
        """
        if not self.routers:
            return torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0)
        load_LE = torch.stack([r.load for r in self.routers])
        loss_L = torch.stack([r.loss for r in self.routers])
        if dist.is_initialized():
            dist.all_reduce(load_LE)
            dist.all_reduce(loss_L)
        for router in self.routers:
            router.load.zero_()
            router.loss.zero_()
        return load_LE, loss_L

    @torch.no_grad()
    def update(self, load_LE: torch.Tensor, rate: float) -> None:
        """Update the biases: b += rate x sign(mean load - load)."""
        for router, load_E in zip(self.routers, load_LE, strict=True):
            load = load_E.to(torch.float64)
            router.e_score_correction_bias.add_((rate * torch.sign(load.mean() - load)).float())

    def bias(self) -> torch.Tensor:
        """Copy the biases, `(L, E)`, FP32."""
        if not self.routers:
            return torch.zeros(0, 1)
        return torch.stack([r.e_score_correction_bias.detach().clone() for r in self.routers])


def worst_violation(load_LE: torch.Tensor) -> torch.Tensor:
    """Compute MaxVio of each layer: (largest load - mean load) / mean load (arXiv:2408.15664, 3); 0 without any count."""
    load = load_LE.to(torch.float64)
    mean = load.mean(1)
    return torch.where(mean > 0, (load.amax(1) - mean) / mean.clamp(min=1e-12), 0.0)
