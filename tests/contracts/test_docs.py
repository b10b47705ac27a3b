"""Every committed result is shown in the documentation; `test_generated.py` holds the tables to them."""

from __future__ import annotations

from benchmarks.tables import __main__ as tables


def test_every_result_is_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in tables.PAGES)
    results = {path.stem for path in (tables.ROOT / "benchmarks" / "results").glob("*.json")}
    assert {name for _, name, _ in tables.MARK.findall(text)} == {"headline", *results} == set(tables.NAMES)
