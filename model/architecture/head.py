"""Cross-entropy of the model's head, in parts, so that all logits never exist together.

Shapes: N places, H hidden, V vocabulary.
"""

from __future__ import annotations

from typing import Any, cast

import torch

from model.base.arrays import IGNORE


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
    """Compute the cross-entropy of a head's logits, `chunk` places at a time, in autocast's precision.

    :returns: sum of the losses, in nats, FP32; and each `(N,)`, 0 where the target is -100.
    """
    device = hidden_NH.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
    with torch.autocast(device, enabled=False):
        return cast(
            "tuple[torch.Tensor, torch.Tensor]",
            _Head.apply(hidden_NH, head_VH, targets_N, chunk, dtype, torch.is_grad_enabled()),  # type: ignore[no-untyped-call]
        )
