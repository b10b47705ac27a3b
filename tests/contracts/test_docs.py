"""The tables in the documentation are those of the committed results."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    str(p.relative_to(ROOT))
    for p in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "classifiers").glob("*/CARD.md")]
)


@pytest.fixture(scope="module")
def tables() -> Any:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_those_of_the_results(page: str, tables: Any) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert tables.filled(text) == text, "run `python benchmarks/tables.py --write`"


def test_every_result_is_shown(tables: Any) -> None:
    text = "".join((ROOT / p).read_text(encoding="utf-8") for p in PAGES)
    shown = set(tables.MARK.findall(text))
    assert {name for _, name, _ in shown} == {"headline", *tables.TABLES}
