"""The tables in the documentation are those of the committed results."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.tables import __main__ as tables


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: str(page.relative_to(tables.ROOT)))
def test_tables_are_those_of_the_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert tables.filled(text) == text, "run `python -m benchmarks.tables --write`"


def test_every_result_is_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in tables.PAGES)
    results = {path.stem for path in (tables.ROOT / "benchmarks" / "results").glob("*.json")}
    assert {name for _, name, _ in tables.MARK.findall(text)} == {"headline", *results} == set(tables.NAMES)
