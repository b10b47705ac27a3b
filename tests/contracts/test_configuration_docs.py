"""The reference of the configuration, the tables of steps and the sizing are those that the code and the results make."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.stage import STAGES
from pipeline.steps import discover

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def configuration() -> ModuleType:
    return script("configuration")


def test_pages_are_those_of_the_code(configuration: ModuleType) -> None:
    for path, text in configuration.pages().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path}: run `python scripts/configuration.py`"


def test_every_step_and_parameter_is_in_the_reference(configuration: ModuleType) -> None:
    page = configuration.reference()
    for stage in STAGES:
        for name, step in discover(stage).items():
            start = page.index(f"### `{name}`\n")
            section = page[start : page.find("\n### ", start + 1)]
            for key in set(step.model_fields) - {"step"} - set(configuration.unused_bounds(step)):
                assert f"| `{key}` |" in section, f"{name}.{key}"


def test_every_stage_has_its_table(configuration: ModuleType) -> None:
    for stage, path in configuration.STAGE_PAGES.items():
        assert f"<!-- steps:{stage} -->" in (ROOT / path).read_text(encoding="utf-8")


def test_sizing_is_that_of_the_results() -> None:
    sizing = script("sizing")
    text = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    assert sizing.MARK.search(text), "docs/cluster.md has no place for the sizing"
    assert sizing.filled(text) == text, "run `python scripts/sizing.py`"


def test_sizing_is_in_proportion() -> None:
    sizing = script("sizing")
    rows, twice = sizing.rows(10_000_000), sizing.rows(20_000_000)
    assert list(dict.fromkeys(r.stage for r in rows)) == list(STAGES)
    assert all(0 < r.pages <= 10_000_000 for r in rows)
    for one, two in zip(rows, twice, strict=True):
        assert two.core_hours >= 1.99 * one.core_hours, one.what
        assert two.disk_bytes == pytest.approx(2 * one.disk_bytes, rel=0.01), one.what
