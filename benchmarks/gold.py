"""Gold pages as the benchmarks read them: `*.jsonl.gz`, a row a page."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SETS = (
    ("wcxb-dev", "wcxb-dev.gold.jsonl.gz", "main_content", "en"),
    ("zh-gold", "zh-gold.gold.jsonl.gz", "main_content", "zh"),
    ("zh-blogs", "zh-blogs.pages.jsonl.gz", "container_text", "zh"),
)
"""Name, file in `html/`, field of the text and language of the sets that are measured most."""


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of one file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def gold_rows(data: Path) -> list[dict[str, Any]]:
    """Rows with a gold main text, of every gold file below a folder."""
    return [row for path in sorted(data.rglob("*gold*.jsonl.gz")) for row in rows(path) if row.get("main_content")]


def page_texts(data: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Row and text, perhaps empty, of every gold and page file below a folder: the main text, or that of the container."""
    for path in sorted(data.rglob("*.jsonl.gz")):
        if "gold" in path.name or "pages" in path.name:
            for row in rows(path):
                yield row, row.get("main_content") or row.get("container_text") or ""
