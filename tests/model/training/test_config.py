"""Options of a run: configs, overrides, what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from model.architecture.config import PRESETS, ModelOptions
from model.base.config import dump
from model.base.errors import ConfigError
from model.training.config import RunConfig, load

CONFIGS = sorted(
    p for p in (Path(__file__).resolve().parents[3] / "configs" / "model").glob("*.yaml") if p.stem in PRESETS
)


def preset(name: str) -> ModelOptions:
    return ModelOptions.model_validate(name)


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
    with pytest.raises(ConfigError, match=said) as error:
        load(CONFIGS[-1], [override])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a: [", "x.yaml: not YAML: while parsing a flow node"),
        (b"a: 2026-13-45", "x.yaml: not YAML: month must be in 1..12"),
        (b"a: !!timestamp 99", "x.yaml: not YAML"),
        (b"a: " + b"[" * 3000, "x.yaml: nested too deep"),
        (b"a: \xff", "x.yaml: not UTF-8: invalid start byte at byte 3"),
        (b"- a", "x.yaml: expected a mapping, found list"),
    ],
)
def test_what_is_no_config_is_told_in_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "x.yaml").write_bytes(data)
    with pytest.raises(ConfigError, match=said) as error:
        load(tmp_path / "x.yaml")
    assert "\n" not in str(error.value)


def test_overrides_reach_a_preset() -> None:
    config = load(CONFIGS[-1], ["model.hidden_size=128", "train.tokens=1e6"])
    assert (config.model.hidden_size, config.model.n_routed_experts, config.train.tokens) == (128, 16, 1e6)


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
