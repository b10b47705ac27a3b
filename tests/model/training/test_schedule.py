"""Learning rate, batch and rate of experts by tokens."""

from __future__ import annotations

import pytest

from model.training.config import Batch, Stage
from model.training.schedule import batch_sequences, expert_rate, learning_rate, stage_name


def test_rate_of_experts() -> None:
    """The paper's 0.31 for 1 of 16 is the formula's at B = 0.26 B_noise; the paper gives no B_noise to check it by."""
    assert expert_rate(0.26, 1 / 16, 1) == pytest.approx(0.31, abs=5e-4)
    assert expert_rate(512, 1 / 16, 2048) == pytest.approx(0.3077, abs=1e-4), "hunyuan-tiny.yaml's first batch"
    assert expert_rate(1, 1 / 16, 1) == pytest.approx(2 / (4 + 1 / 4)), "at the noise scale"
    assert expert_rate(1, 1 / 16, 1e9) == pytest.approx(1 / 4, rel=1e-6), "below it by the root of the share"
    assert expert_rate(1e9, 1 / 16, 1) == pytest.approx(4, rel=1e-6), "above it the smaller batch is the better"
    assert expert_rate(1000, 1, 5) == 1


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
