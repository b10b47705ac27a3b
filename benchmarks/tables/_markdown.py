"""Shared parts of the renderers: tables, and the line that says where a result was taken."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

RESULTS = Path(__file__).resolve().parent.parent / "results"
Json: TypeAlias = dict[str, Any]
"""A result, or an object within one."""


def load(name: str) -> Json:
    """Read `results/<name>.json`."""
    result: Json = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def cells(*values: object) -> str:
    """One row of a table, without its outer bars."""
    return " | ".join(map(str, values))


def table(header: str, rows: Iterable[str]) -> str:
    """A Markdown table of rows made by `cells`: the first column to the left, the others to the right."""
    return "\n".join([f"| {header} |", "|---" + "|---:" * header.count(" | ") + "|", *(f"| {row} |" for row in rows)])


def blocks(*parts: str) -> str:
    """Parts with an empty line between them."""
    return "\n\n".join(parts) + "\n"


def taken_on(result: Json, script: str, measure: str = "CPU time, one core") -> str:
    """The line below a table: command, machine, commit, and what the times are."""
    machine = result["machine"]
    return (
        f"`python benchmarks/{script}.py`, {machine['processor']} ({machine['cores']} cores), Python {machine['python']}, "
        f"commit {machine['commit'][:10]}{measure and f'; {measure}'}."
    )


def device(result: Json) -> str:
    """Device of a benchmark of the model: a GPU, or one core."""
    return result["device"] if result["gpu"] else "no GPU: CPU time, one core"
