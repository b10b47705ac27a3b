"""The made pages of the sample are what their script makes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_made_pages_are_those_of_the_script() -> None:
    spec = importlib.util.spec_from_file_location("made_pages", ROOT / "scripts" / "made_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with (ROOT / "data" / "sample" / "made" / "pages.jsonl").open(encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    assert {r["url"]: r["html"] for r in rows if "html" in r} == module.pages()
    assert {r["url"]: r["text"] for r in rows if "text" in r} == module.texts()
    assert len(rows) == len({r["url"] for r in rows}) >= 20
