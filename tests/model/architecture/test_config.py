"""Options and presets of the model."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("torchdata", reason=REASON)
pytest.importorskip("tensorboard", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)


from model.architecture.build import build  # noqa: E402
from model.architecture.config import ModelOptions  # noqa: E402
from model.architecture.dots1 import dots1_config  # noqa: E402
from model.architecture.router import Balance  # noqa: E402
from tests.model.made_hunyuan import options  # noqa: E402


def preset(name: str) -> ModelOptions:
    return ModelOptions.model_validate(name)


@pytest.mark.parametrize("preset", ["tiny", "one-gpu", "dots.llm1"])
def test_other_presets_are_stock(preset: str) -> None:
    from transformers import Dots1Config
    from transformers.models.dots1.modeling_dots1 import Dots1DecoderLayer

    from model.architecture.router import Router

    m = ModelOptions.model_validate(preset)
    config = dots1_config(m)
    assert type(config) is Dots1Config
    assert not {"cross_layer", "capacity_factor"} & config.to_dict().keys()
    model = build(config, attention="sdpa", experts="grouped_mm")
    assert {type(x) for x in model.model.layers} == {Dots1DecoderLayer}
    assert {type(x) for x in Balance(model).routers} == {Router}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cross_layer": 4}, "cross_layer 4 of 3 layers"),
        ({"cross_layer": 0}, "greater than or equal to 1"),
        ({"capacity_factor": 0.9}, "greater than or equal to 1"),
        ({"num_experts_per_tok": 2}, "for num_experts_per_tok 1, found 2"),
        ({"norm_topk_prob": True}, "false expected"),
    ],
)
def test_options_that_do_not_fit(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        options(**changed)


def test_every_field_of_the_architecture_is_said() -> None:
    """Dots1Config's own defaults are not the published model's."""

    config = dots1_config(preset("dots.llm1")).to_dict()
    expected = {
        **{"hidden_size": 4096, "num_hidden_layers": 62, "num_attention_heads": 32, "num_key_value_heads": 32},
        **{"intermediate_size": 10944, "moe_intermediate_size": 1408, "n_routed_experts": 128, "n_shared_experts": 2},
        **{"num_experts_per_tok": 6, "first_k_dense_replace": 1, "norm_topk_prob": True, "routed_scaling_factor": 2.5},
        **{
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-5,
            "sliding_window": None,
            "tie_word_embeddings": False,
        },
        **{"vocab_size": 152064, "eos_token_id": 151643, "initializer_range": 0.006, "attention_bias": False},
        **{"scoring_func": "sigmoid", "topk_method": "noaux_tc", "moe_layer_freq": 1, "n_group": 1, "topk_group": 1},
    }
    assert {k: config[k] for k in expected} == expected
    assert config["rope_parameters"]["rope_theta"] == 1e7
    assert set(config["layer_types"]) == {"full_attention"}
