"""transformers' configuration of the model.

config = dots1_config(ModelOptions(preset="tiny"))
"""

from __future__ import annotations

from typing import Any

from transformers import Dots1Config

from model.architecture.config import ModelOptions


class CrossLayerConfig(Dots1Config):  # type: ignore[no-untyped-call]
    """Configuration of Dots1 with a type of its own, which stock code refuses."""

    model_type = "corpusmill_cross_layer"
    cross_layer: int = 2

    @property
    def kv_sharing_modes(self) -> list[str | None]:
        """Modes that transformers' caches read: layers that reuse have no tensors."""
        return [None if i % self.cross_layer == 0 else "reuse" for i in range(self.num_hidden_layers)]


def dots1_config(options: ModelOptions) -> Dots1Config:
    """Make the configuration of transformers' model, every field said.

    vLLM (to 0.23) and llama.cpp read `topk_method`, `scoring_func` and `moe_layer_freq`, which transformers does not. With
    `cross_layer` the type is our own: stock code would load such weights and invent what they lack.
    """
    fields = options.model_dump(exclude={"preset", "rope_theta", "cross_layer", "capacity_factor"})
    read_elsewhere: dict[str, Any] = {"scoring_func": "sigmoid", "topk_method": "noaux_tc", "moe_layer_freq": 1}
    kind = Dots1Config
    if options.capacity_factor is not None:
        read_elsewhere["capacity_factor"] = options.capacity_factor
    if options.cross_layer > 1:
        kind, read_elsewhere["cross_layer"] = CrossLayerConfig, options.cross_layer
    return kind(
        **fields,
        hidden_act="silu",
        n_group=1,
        topk_group=1,
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": options.rope_theta},
        attention_bias=False,
        attention_dropout=0.0,
        sliding_window=None,
        max_window_layers=options.num_hidden_layers,
        layer_types=["full_attention"] * options.num_hidden_layers,
        use_cache=True,
        output_router_logits=False,
        pad_token_id=None,
        bos_token_id=None,
        **read_elsewhere,
    )
