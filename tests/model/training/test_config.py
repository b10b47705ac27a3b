"""Options, presets, the learning rate and the batch by tokens, the calculator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from model import calculator as calculator_command
from model.architecture.config import PRESETS, ModelOptions
from model.architecture.costs import parameters, training_flops
from model.base.config import dump
from model.base.errors import ConfigError
from model.study import calculator
from model.training.config import Batch, RunConfig, Stage, load
from model.training.schedule import batch_sequences, learning_rate, stage_name

CONFIGS = sorted(
    p for p in (Path(__file__).resolve().parents[3] / "configs" / "model").glob("*.yaml") if p.stem in PRESETS
)


def preset(name: str) -> ModelOptions:
    return ModelOptions.model_validate(name)


def test_dots_llm1_has_the_published_sizes() -> None:
    """142,774,373,888 parameters, 14,016,581,120 active: counted on the published configuration."""
    torch = pytest.importorskip("torch", reason="needs the extra `model`")
    pytest.importorskip("transformers", reason="needs the extra `model`")
    from model.architecture.build import build
    from model.architecture.dots1 import dots1_config

    options = preset("dots.llm1")
    model = build(dots1_config(options), attention="sdpa", experts="grouped_mm")
    assert all(p.device == torch.device("meta") for p in model.parameters())
    found = sum(p.numel() for p in model.parameters())
    experts = sum(p.numel() for n, p in model.named_parameters() if ".experts." in n)
    active = found - experts + experts * options.num_experts_per_tok // options.n_routed_experts
    assert (found, active) == (142_774_373_888, 14_016_581_120)
    counted = parameters(options)
    assert (counted.total, counted.active) == (found, active)


@pytest.mark.parametrize("name", PRESETS)
def test_the_calculator_counts_what_torch_counts(name: str) -> None:
    pytest.importorskip("transformers", reason="needs the extra `model`")
    from model.architecture.build import build
    from model.architecture.dots1 import dots1_config

    model = build(dots1_config(preset(name)), attention="sdpa", experts="grouped_mm")
    assert parameters(preset(name)).total == sum(p.numel() for p in model.parameters())


def test_every_field_of_the_architecture_is_said() -> None:
    """Dots1Config's own defaults are not the published model's."""
    pytest.importorskip("transformers", reason="needs the extra `model`")
    from model.architecture.dots1 import dots1_config

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


def test_one_gpu_has_about_a_billion() -> None:
    assert 0.9e9 < parameters(preset("one-gpu")).total < 1.2e9


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_configs_load_and_come_back(path: Path) -> None:
    config = load(path)
    assert RunConfig.model_validate(yaml.safe_load(dump(config))) == config
    assert config.model == preset(path.stem)
    assert config.train.stages[-1].until_tokens == config.train.tokens


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.tokns=5", "tokns"),
        ("model=dots2", "known presets: tiny, one-gpu, dots.llm1"),
        ("model.num_experts_per_tok=17", "top 17 of 16 experts"),
        ("train.sequence_length=8192", "the model has 4096 positions"),
        ("train.batches=[{from_tokens: 5, sequences: 4}]", "must begin with 0"),
        ("nothing", "expected key=value"),
    ],
)
def test_what_does_not_fit_is_said(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(CONFIGS[-1], [override])


def test_overrides_reach_a_preset() -> None:
    config = load(CONFIGS[-1], ["model.hidden_size=128", "train.tokens=1e6"])
    assert (config.model.hidden_size, config.model.n_routed_experts, config.train.tokens) == (128, 16, 1e6)


STAGES = (
    Stage(name="warm-up", until_tokens=10, rate=1.0),
    Stage(name="stable", until_tokens=30, rate=1.0),
    Stage(name="anneal-1", until_tokens=40, rate=0.1),
    Stage(name="anneal-2", until_tokens=50, rate=0.05, shape="cosine"),
)


@pytest.mark.parametrize(
    ("tokens", "rate", "name"),
    [
        (1, 0.1, "warm-up"),
        (10, 1.0, "warm-up"),
        (11, 1.0, "stable"),
        (30, 1.0, "stable"),
        (35, 0.55, "anneal-1"),
        (40, 0.1, "anneal-1"),
        (45, 0.075, "anneal-2"),
        (50, 0.05, "anneal-2"),
        (99, 0.05, "anneal-2"),
    ],
)
def test_learning_rate(tokens: float, rate: float, name: str) -> None:
    assert learning_rate(STAGES, tokens) == pytest.approx(rate)
    assert stage_name(STAGES, tokens) == name


def test_batch_ramp() -> None:
    ramp = (Batch(from_tokens=0, sequences=2), Batch(from_tokens=100, sequences=6))
    assert [batch_sequences(ramp, t) for t in (0, 99, 100, 1000)] == [2, 2, 6, 6]


def test_unknown_keys_are_errors() -> None:
    with pytest.raises(ValidationError, match="extra"):
        ModelOptions.model_validate({"hiden_size": 64})
    tiny = next(p for p in CONFIGS if p.stem == "tiny")
    with pytest.raises(
        ConfigError, match=r"tiny.yaml with train.tokenz=1: train.tokenz: no such key; known are seed, tok"
    ):
        load(tiny, ["train.tokenz=1"])
    with pytest.raises(
        ConfigError, match=r"train.stages.0.rte: no such key; known are name, until_tokens, rate, shape"
    ):
        load(tiny, ["train.stages=[{name: a, until_tokens: 1, rate: 1, rte: 2}]"])


def test_recipe_of_the_report() -> None:
    """Warm-up of 4,000 steps; 64, 96 and 128 Mi tokens a batch; 11.2T tokens."""
    config = load(next(p for p in CONFIGS if p.stem == "dots.llm1"))
    found = calculator.recipe(config.train)
    assert [(s.stage, s.batch_tokens >> 20) for s in found] == [
        ("warm-up", 64),
        ("stable", 64),
        ("stable", 96),
        ("stable", 128),
        ("anneal-1", 128),
        ("anneal-2", 128),
    ]
    assert found[0].steps == 4000
    assert sum(s.steps * s.batch_tokens for s in found) == pytest.approx(11.2e12)
    assert (found[3].rate_to, found[4].rate_to, found[5].rate_to) == pytest.approx((3e-4, 3e-5, 1e-5))


def test_flops_by_hand() -> None:
    values: dict[str, Any] = {
        **{"vocab_size": 10, "hidden_size": 8, "intermediate_size": 16, "moe_intermediate_size": 8, "eos_token_id": 0},
        **{"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4},
        **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    }
    m = ModelOptions.model_validate(values)
    attention = 8 * 8 + 2 * 8 * 4 + 8 * 8 + 2 * 4  # q, k and v, o, norms of a head
    layer = attention + 2 * 8
    dense, expert, router = 3 * 8 * 16, 3 * 8 * 8, 4 * 8
    rest = 2 * 10 * 8 + 8 + 2 * layer + dense + router + expert
    p = parameters(m)
    assert (p.total, p.active) == (rest + 4 * expert, rest + 2 * expert)
    # scores and their sum of values: 2 x 2 x 8 FLOPs a place seen, half of 6 places on average, 2 layers
    assert training_flops(m, 6) == 3 * (2 * (p.active - 80) + 2 * 2 * 8 * 3 * 2)
    assert calculator.hunyuan_flops(52e9, 7e12) == pytest.approx(9.59 * 52e9 * 7e12 + 2.3e8 * 7e12)


def test_memory_and_traffic_of_a_device_by_hand() -> None:
    values: dict[str, Any] = {
        **{"vocab_size": 10, "hidden_size": 8, "intermediate_size": 16, "moe_intermediate_size": 8, "eos_token_id": 0},
        **{"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4},
        **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    }
    m = ModelOptions.model_validate(values)
    base = 8 * 8 + 2 * 8 * 4 + 8 * 8 + 2 * 4 + 2 * 8 + 4 * 8 + 192  # attention, norms, router, shared expert
    total = 2 * 80 + 8 + (base - 4 * 8 - 192 + 384) + (base + 4 * 192)
    found = calculator.devices(m, 8, 2)
    assert found.state == 16 * total / 8
    assert found.root == 4 * 2 * 80
    assert found.layer == found.moved == 4 * (base + 2 * 192)
    assert calculator.devices(m, 8, 1).layer == 4 * (base + 4 * 192)
    assert calculator.devices(m, 2, 2).moved == 4 * base, "each has its experts whole"
    assert calculator.devices(m, 1, 1).moved == 0
    assert found.exchanged == 2 * 8 * 2 / 2, "two rows of 8 in bf16, half of them to the other rank"
    assert calculator.devices(m, 8, 1).exchanged == 0
    # dots.llm1, 16 of 128 experts here: 16 x 3 x 4096 x 1408, attention 4 x 4096^2 + 2 x 128, two norms, router, two shared
    m = preset("dots.llm1")
    assert calculator.devices(m, 256, 8).layer == 4 * (18 * 3 * 4096 * 1408 + 4 * 4096**2 + 256 + 2 * 4096 + 128 * 4096)
    assert calculator.devices(m, 256, 8).exchanged == 6 * 4096 * 2 * 7 / 8
    with pytest.raises(ConfigError, match="12 ranks are no multiple of expert_parallel 8"):
        calculator.devices(m, 12, 8)
    with pytest.raises(ConfigError, match="128 experts are no multiple of expert_parallel 3"):
        calculator.devices(m, 12, 3)


def test_the_command_prints_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert calculator_command.main(["--config", str(next(p for p in CONFIGS if p.stem == "dots.llm1"))]) == 0
    assert "142,774,373,888" in capsys.readouterr().out
    shared = ["--ranks", "256", "--expert-parallel"]
    assert calculator_command.main([*shared, "8"]) == 0
    page = capsys.readouterr().out
    assert "43,008 B" in page
    assert "1.41 GiB    with 16 of its 128 experts" in page
    assert calculator_command.main([*shared, "3"]) == 2
    assert "256 ranks are no multiple of expert_parallel 3" in capsys.readouterr().err
    assert calculator_command.main(["--config", "none.yaml"]) == 2
    assert "none.yaml: no such file" in capsys.readouterr().err
