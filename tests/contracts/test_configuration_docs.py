"""The reference of the configuration has every step and parameter; the sizing is in proportion."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.stage import STAGES
from pipeline.steps import discover
from scripts import configuration, sizing

ROOT = Path(__file__).resolve().parents[2]


def test_every_step_and_parameter_is_in_the_reference() -> None:
    page = configuration.reference()
    for stage in STAGES:
        for name, step in discover(stage).items():
            start = page.index(f"### `{name}`\n")
            section = page[start : page.find("\n### ", start + 1)]
            for key in set(step.model_fields) - {"step"} - set(configuration.unused_bounds(step)):
                assert f"| `{key}` |" in section, f"{name}.{key}"


def test_every_stage_has_its_table() -> None:
    for stage, path in configuration.STAGE_PAGES.items():
        assert f"<!-- steps:{stage} -->" in (ROOT / path).read_text(encoding="utf-8")


def test_sizing_is_in_proportion() -> None:
    rows, twice = sizing.rows(10_000_000), sizing.rows(20_000_000)
    assert list(dict.fromkeys(r.stage for r in rows)) == list(STAGES)
    assert all(0 < r.pages <= 10_000_000 for r in rows)
    for one, two in zip(rows, twice, strict=True):
        assert two.core_hours >= 1.99 * one.core_hours, one.what
        assert two.disk_bytes == pytest.approx(2 * one.disk_bytes, rel=0.01), one.what
