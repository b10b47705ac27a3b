"""The recipe of the report, what a device holds, the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model import calculator as calculator_command
from model.architecture.config import PRESETS, ModelOptions
from model.architecture.costs import parameters, training_flops
from model.base.errors import ConfigError
from model.study import calculator
from model.training.config import load

CONFIGS = sorted(
    p for p in (Path(__file__).resolve().parents[3] / "configs" / "model").glob("*.yaml") if p.stem in PRESETS
)


def preset(name: str) -> ModelOptions:
    return ModelOptions.model_validate(name)


def test_recipe_of_the_report() -> None:
    """Warm-up of 4,000 steps; 64, 96 and 128 Mi tokens a batch; 11.2T tokens."""
    config = load(next(p for p in CONFIGS if p.stem == "dots.llm1"))
    segments = calculator.recipe(config.train)
    assert [(s.stage, s.batch_tokens >> 20) for s in segments] == [
        ("warm-up", 64),
        ("stable", 64),
        ("stable", 96),
        ("stable", 128),
        ("anneal-1", 128),
        ("anneal-2", 128),
    ]
    assert segments[0].steps == 4000
    assert sum(s.steps * s.batch_tokens for s in segments) == pytest.approx(11.2e12)
    assert (segments[3].rate_to, segments[4].rate_to, segments[5].rate_to) == pytest.approx((3e-4, 3e-5, 1e-5))


def test_memory_and_traffic_of_a_device_by_hand() -> None:
    values: dict[str, Any] = {
        **{"vocab_size": 10, "hidden_size": 8, "intermediate_size": 16, "moe_intermediate_size": 8, "eos_token_id": 0},
        **{"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4},
        **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    }
    m = ModelOptions.model_validate(values)
    base = 8 * 8 + 2 * 8 * 4 + 8 * 8 + 2 * 4 + 2 * 8 + 4 * 8 + 192  # attention, norms, router, shared expert
    total = 2 * 80 + 8 + (base - 4 * 8 - 192 + 384) + (base + 4 * 192)
    device = calculator.devices(m, 8, 2)
    assert device.state == 16 * total / 8
    assert device.root == 4 * 2 * 80
    assert device.layer == device.moved == 4 * (base + 2 * 192)
    assert calculator.devices(m, 8, 1).layer == 4 * (base + 4 * 192)
    assert calculator.devices(m, 2, 2).moved == 4 * base, "each has its experts whole"
    assert calculator.devices(m, 1, 1).moved == 0
    assert device.exchanged == 2 * 8 * 2 / 2, "two rows of 8 in bf16, half of them to the other rank"
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


def test_one_gpu_has_about_a_billion() -> None:
    assert 0.9e9 < parameters(preset("one-gpu")).total < 1.2e9


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
    common = 2 * 10 * 8 + 8 + 2 * layer + dense + router + expert
    p = parameters(m)
    assert (p.total, p.active) == (common + 4 * expert, common + 2 * expert)
    # scores and their sum of values: 2 x 2 x 8 FLOPs a place seen, half of 6 places on average, 2 layers
    assert training_flops(m, 6) == 3 * (2 * (p.active - 80) + 2 * 2 * 8 * 3 * 2)
    assert calculator.hunyuan_flops(52e9, 7e12) == pytest.approx(9.59 * 52e9 * 7e12 + 2.3e8 * 7e12)
