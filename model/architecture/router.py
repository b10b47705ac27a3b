"""What transformers' Dots1 lacks for training: a router in FP32, balancing, load counters, a head that keeps few logits.

    model = build(options.dots1(), attention="sdpa", experts="grouped_mm")    # on the meta device
    initialise(model, seed=0, std=0.006)                                      # after sharding and `to_empty`
    balance = Balance(model)
    for batch in step:
        balance.begin(counted, alpha / sequences)
        total, losses = model(**batch)
        balance.end()
        (total / targets).backward()
    load, loss = balance.take()
    balance.update(load, gamma)

Parameters, buffers and their names are those of the stock model, so a checkpoint is one of `Dots1ForCausalLM`.

- **Router** (report, 2.1): scores s = sigmoid(x W^T) in FP32 also under autocast, which would else take the product to bf16.
- **Balance without auxiliary loss** (Wang et al., arXiv:2408.15664): after each step b += gamma x sign(mean load - load). The
  load is of all ranks and all batches of the step. b decides which experts are chosen, not their weights.
- **Sequence-wise loss** (DeepSeek-V3, arXiv:2412.19437, 17-20): alpha x E x sum f P, with f the share of a sequence's choices
  that fall on an expert and P its mean normalised score. It enters at the routers' output as a gradient, so nothing has to be
  carried past checkpointed or sharded layers.
- **Counting once**: activation checkpointing runs a router a second time, during `backward`. A router counts between
  `Balance.begin` and `Balance.end` alone, which enclose the forward pass.

Shapes: B sequences, T places, N = B x T, H hidden, E experts, K chosen ones, L layers with experts, V vocabulary.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import Dots1Config, Dots1ForCausalLM
from transformers.models.dots1.modeling_dots1 import Dots1MoE, Dots1RotaryEmbedding, Dots1TopkRouter

from model.parallel import Experts, box, draw

IGNORE = -100


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
    """E x sum f P of each sequence, without alpha.

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
        self.keys: torch.Tensor | None = None  # of the sequences, for model/layers.py
        self.scale = 0.0

    def forward(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
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


class _Head(torch.autograd.Function):
    """Cross-entropy of a linear head, some places at a time, so that all logits never exist together.

    Gradients are made with the logits, in forward; backward scales them. The losses come from the probabilities: in bf16 each is
    off by up to 0.004, either way, less than what bf16 logits are off by.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: torch.Tensor,
        head_VH: torch.Tensor,
        targets_N: torch.Tensor,
        chunk: int,
        dtype: torch.dtype,
        need: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        head = head_VH.to(dtype)
        losses = torch.zeros(len(hidden_NH), dtype=torch.float32, device=hidden_NH.device)
        grad_hidden = torch.zeros_like(hidden_NH, dtype=torch.float32) if need else None
        grad_head = torch.zeros_like(head_VH, dtype=torch.float32) if need else None
        for begin in range(0, len(hidden_NH), chunk):
            part = slice(begin, begin + chunk)
            hidden, targets = hidden_NH[part].to(dtype), targets_N[part]
            valid = targets != IGNORE
            safe = targets.masked_fill(~valid, 0)[:, None]
            p = torch.softmax(hidden @ head.T, 1)  # sums in FP32, rounds to `dtype`
            losses[part] = p.gather(1, safe)[:, 0].float().clamp_(min=1e-38).log_().neg_().masked_fill_(~valid, 0.0)
            if grad_hidden is None or grad_head is None:
                continue
            # The gradient of the logits is p less 1 at the target, and none where there is no target. One place a row is
            # touched, and rows without a target fall out of the products: nothing goes over all of p again, as
            # `scatter_add_` does on a CPU.
            p[torch.arange(len(p), device=p.device), safe[:, 0]] -= 1
            none = ~valid[:, None]
            grad_hidden[part] = (p @ head).masked_fill_(none, 0.0)
            grad_head += p.T @ hidden.masked_fill(none, 0.0)
        if need:
            ctx.save_for_backward(grad_hidden, grad_head)
        ctx.dtypes = hidden_NH.dtype, head_VH.dtype
        ctx.mark_non_differentiable(losses)
        return losses.sum(), losses

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, head = ctx.saved_tensors
        hidden_type, head_type = ctx.dtypes
        return (hidden * grad).to(hidden_type), head.mul_(grad).to(head_type), None, None, None, None


def head_loss(
    hidden_NH: torch.Tensor, head_VH: torch.Tensor, targets_N: torch.Tensor, chunk: int = 1024
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of a head's logits, `chunk` places at a time, in autocast's precision.

    :returns: sum of the losses, in nats, FP32; and each `(N,)`, 0 where the target is -100.
    """
    device = hidden_NH.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
    with torch.autocast(device, enabled=False):
        return cast(
            "tuple[torch.Tensor, torch.Tensor]",
            _Head.apply(hidden_NH, head_VH, targets_N, chunk, dtype, torch.is_grad_enabled()),  # type: ignore[no-untyped-call]
        )


class Trained(Dots1ForCausalLM):  # type: ignore[no-untyped-call]
    """`Dots1ForCausalLM` whose forward gives the loss alone, without keeping the logits."""

    head_tokens = 1024

    @classmethod
    def _can_set_experts_implementation(cls) -> bool:
        return True  # transformers looks for a decorator in the source of the class's module, which is here another one

    def forward(
        self, input_ids: torch.Tensor, labels: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        :param input_ids: `(B, T)`, as are labels (same positions, -100 for none) and position_ids (restart at each document).
        :returns: sum of the losses, in nats, FP32; and the loss of each target `(B, T)`, 0 where there is none.
        """
        hidden_BTH = self.model(input_ids=input_ids, position_ids=position_ids, use_cache=False).last_hidden_state
        targets_BT = F.pad(labels[:, 1:], (0, 1), value=IGNORE)
        total, losses_N = head_loss(
            hidden_BTH.flatten(0, 1), self.lm_head.weight, targets_BT.flatten(), self.head_tokens
        )
        losses_BT = F.pad(losses_N.view(labels.shape)[:, :-1], (1, 0))
        return total, losses_BT


def build(config: Dots1Config, *, attention: str, experts: str, head_tokens: int = 1024) -> Trained:
    """The model on the meta device, with this module's routers, or the routers and attention of model/layers.py.

    The experts are model/parallel.py's.
    """
    from model import layers  # which builds on this module

    config = type(config).from_dict(config.to_dict())
    config._attn_implementation = attention
    config._experts_implementation = experts
    with torch.device("meta"):
        model = Trained(config)
        layers.share(model)
        for number, layer in enumerate(model.model.layers):
            if isinstance(layer.mlp, Dots1MoE):
                layer.mlp.gate = layers.router(config, number)
                layer.mlp.experts = Experts(config)
    model.head_tokens = head_tokens
    return model


@torch.no_grad()
def initialise(model: nn.Module, seed: int, std: float) -> None:
    """Matrices N(0, std), norms 1, biases 0, and rotary frequencies, which `to_empty` loses.

    A rank draws what it holds; the weights do not depend on the number of ranks (model/parallel.py).
    """
    for name, parameter in model.named_parameters():
        local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
        if parameter.dim() == 1:
            local.fill_(1.0)
        else:
            draw(local, f"init/{seed}/{name}", parameter.shape, *box(parameter), std)
    for module in model.modules():
        if isinstance(module, Dots1RotaryEmbedding):
            fresh = Dots1RotaryEmbedding(module.config)
            module.inv_freq.copy_(fresh.inv_freq)
            module.original_inv_freq.copy_(fresh.original_inv_freq)
        elif isinstance(module, Router):
            module.e_score_correction_bias.zero_()
            module.load.zero_()
            module.loss.zero_()


class Balance:
    """The routers of a model: counting, and the bias.

    :ivar layers: numbers of the layers with experts, `L` of them.
    """

    def __init__(self, model: Dots1ForCausalLM) -> None:
        found = [(i, layer.mlp.gate) for i, layer in enumerate(model.model.layers) if isinstance(layer.mlp, Dots1MoE)]
        self.layers = [i for i, _ in found]
        self.routers = [cast(Router, router) for _, router in found]

    def begin(self, counted_BT: torch.Tensor, scale: float = 0.0, keys_B: torch.Tensor | None = None) -> None:
        """Before a forward pass.

        :param counted_BT: False for padding.
        :param scale: gradient of the sequence-wise loss of one sequence: alpha over sequences of the step.
        :param keys_B: `layers.keys`, for routers that recycle; None: they do not.
        """
        for router in self.routers:
            router.counting, router.counted, router.scale, router.keys = True, counted_BT, scale, keys_B

    def end(self) -> None:
        """After a forward pass, before backward, which may run routers again."""
        for router in self.routers:
            router.counting = False

    def forget(self) -> None:
        """Leave balancing out of what follows (evaluation)."""
        for router in self.routers:
            router.counting, router.counted, router.keys = False, None, None

    @torch.no_grad()
    def take(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Loads and losses since the last call, of all ranks; the counters begin again.

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
        """b += rate x sign(mean load - load)."""
        for router, load_E in zip(self.routers, load_LE, strict=True):
            load = load_E.to(torch.float64)
            router.e_score_correction_bias.add_((rate * torch.sign(load.mean() - load)).float())

    def bias(self) -> torch.Tensor:
        """`(L, E)`, FP32, a copy."""
        if not self.routers:
            return torch.zeros(0, 1)
        return torch.stack([r.e_score_correction_bias.detach().clone() for r in self.routers])


def worst_violation(load_LE: torch.Tensor) -> torch.Tensor:
    """MaxVio of each layer: (largest load - mean load) / mean load (arXiv:2408.15664, 3); 0 where nothing was counted."""
    load = load_LE.to(torch.float64)
    mean = load.mean(1)
    return torch.where(mean > 0, (load.amax(1) - mean) / mean.clamp(min=1e-12), 0.0)
