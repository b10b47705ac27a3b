"""The model that is trained: stock `Dots1ForCausalLM` with this package's routers, experts, layers and loss.

    model = build(dots1_config(options), attention="sdpa", experts="grouped_mm")    # on the meta device
    initialise(model, seed=0, std=0.006)                                       # after sharding and `to_empty`
    total, losses = model(**batch)

Parameters, buffers and their names are those of the stock model, so a checkpoint is one of `Dots1ForCausalLM`.

Shapes: B sequences, T places, N = B x T, H hidden.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import Dots1Config, Dots1ForCausalLM
from transformers.models.dots1.modeling_dots1 import Dots1MoE, Dots1RotaryEmbedding

from model.architecture.cross_layer import share
from model.architecture.head import head_loss
from model.architecture.parallel import Experts, box, draw
from model.architecture.recycling import router
from model.architecture.router import Router
from model.base.arrays import IGNORE


class Trained(Dots1ForCausalLM):  # type: ignore[no-untyped-call]
    """`Dots1ForCausalLM` whose forward gives the loss alone, without keeping the logits."""

    head_tokens = 1024

    @classmethod
    def _can_set_experts_implementation(cls) -> bool:
        return True  # transformers looks for a decorator in the source of the class's module, which is here another one

    def forward(
        self, input_ids: torch.Tensor, labels: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the loss.

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
    """Make the model on the meta device: routers, experts and attention are this package's, all else is stock."""
    config = type(config).from_dict(config.to_dict())
    config._attn_implementation = attention
    config._experts_implementation = experts
    with torch.device("meta"):
        model = Trained(config)
        share(model)
        for number, layer in enumerate(model.model.layers):
            if isinstance(layer.mlp, Dots1MoE):
                layer.mlp.gate = router(config, number)
                layer.mlp.experts = Experts(config)
    model.head_tokens = head_tokens
    return model


@torch.no_grad()
def initialise(model: nn.Module, seed: int, std: float) -> None:
    """Draw first weights: matrices N(0, std), norms 1, biases 0, and rotary frequencies, which `to_empty` loses.

    A rank draws what it holds; the weights do not depend on the number of ranks (model/architecture/parallel.py).
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
