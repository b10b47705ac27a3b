"""Lines of gold pages that are notices."""

from __future__ import annotations

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on

COLUMNS = (
    "kept by extraction, not in the gold",
    "kept by extraction, in the gold",
    "cut by extraction, not in the gold",
    "cut by extraction, in the gold",
)


def render(result: Json) -> str:
    rows = (cells(kind, *(str(of.get(c, 0)) for c in COLUMNS)) for kind, of in result["lines"].items())
    return blocks(
        table(" | ".join(("kind, language", *COLUMNS)), rows),
        f"Lines of {result['pages']['zh']} Chinese and {result['pages']['other']:,} other pages with a gold main text.",
        taken_on(result, "notices", ""),
    )
