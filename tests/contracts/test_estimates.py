"""Estimates come from measured constants: they give what the committed benchmark measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.rule_based.fuzzy_dedup import FuzzyDedup

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "fuzzy_dedup.json"


def test_estimate_of_fuzzy_dedup_is_what_was_measured() -> None:
    run = json.loads(RESULT.read_text(encoding="utf-8"))["runs"][-1]
    n = run["documents"]
    assert n == 1_000_000
    cost = FuzzyDedup().cost(n, n * run["mean_characters"])
    assert cost.shuffle_bytes == pytest.approx(run["shuffle"]["shuffle_bytes"], rel=0.1)
    assert cost.cpu_seconds == pytest.approx(run["cpu_seconds"]["fuzzy_dedup"], rel=0.2)
