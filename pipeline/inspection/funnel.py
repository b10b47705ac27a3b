"""The funnel table: what happened to every page, step by step; under it the mixture of the tokens, before and after.

python -m pipeline.inspection.funnel out/demo          all stages under a folder
python -m pipeline.inspection.funnel out/demo/preparation
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from pipeline import storage
from pipeline.outputs import RUN
from pipeline.stage import STAGES
from pipeline.strict import UserError

HEADER = ("stage / step", "pages in", "kept", "dropped", "characters out", "CPU s", "pages/CPU s")


def total_steps(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Counts per step of a run record, added over its passes."""
    total: dict[str, dict[str, Any]] = {}
    for one in record["passes"]:
        for label, count in one["steps"].items():
            into = total.setdefault(
                label, {"rows_in": 0, "kept": 0, "characters_out": 0, "cpu_seconds": 0.0, "dropped": {}}
            )
            for key in ("rows_in", "kept", "characters_out", "cpu_seconds"):
                into[key] += count[key]
            for reason, n in count["dropped"].items():
                into["dropped"][reason] = into["dropped"].get(reason, 0) + n
    return total


def funnel_lines(records: Sequence[dict[str, Any]]) -> list[str]:
    """The table, as lines. Widths follow the longest entry of each column."""
    rows: list[tuple[str, ...]] = [HEADER]
    notes: dict[int, list[str]] = {}
    for record in records:
        passes = record["passes"]
        rows_in, kept = sum(p["rows_in"] for p in passes), sum(p["kept"] for p in passes)
        steps = total_steps(record)
        cpu = sum(c["cpu_seconds"] for c in steps.values())
        rows.append(
            (record["stage"], f"{rows_in:,}", f"{kept:,}", f"{rows_in - kept:,}", "", f"{cpu:.2f}", _rate(rows_in, cpu))
        )
        for label, c in steps.items():
            dropped = c["rows_in"] - c["kept"]
            seconds = c["cpu_seconds"]
            rows.append(
                (
                    f"  {label}",
                    f"{c['rows_in']:,}",
                    f"{c['kept']:,}",
                    f"{dropped:,}",
                    f"{c['characters_out']:,}" if c["characters_out"] else "",
                    f"{seconds:.2f}" if seconds >= 0.005 else "",
                    _rate(c["rows_in"], seconds),
                )
            )
            notes[len(rows) - 1] = [
                f"      {n:>7,}  {reason}" for reason, n in sorted(c["dropped"].items(), key=lambda x: (-x[1], x[0]))
            ]
        others: dict[str, int] = {}
        for p in passes:
            for kind, n in p["other_records"].items():
                others[kind] = others.get(kind, 0) + n
        if others:
            told = ", ".join(f"{n:,} {kind}" for kind, n in sorted(others.items()))
            notes.setdefault(len(rows) - 1, []).append(f"    (other records, not pages: {told})")
    widths = [max(len(r[i]) for r in rows) for i in range(len(HEADER))]
    lines = []
    for i, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
        if i == 0:
            lines.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
        lines += notes.get(i, [])
    return lines


def mixture_lines(records: Sequence[dict[str, Any]]) -> list[str]:
    """The mixture of the last pass of tokenization, before and after, by language, group and class; empty without one."""
    lines: list[str] = []
    for record in records:
        tables = record["passes"][-1].get("notes", {}).get("shards", {}).get("tables", {})
        for generation, table in tables.items():
            lines += ["", f"mixture of generation {generation}, in tokens", *table.splitlines()]
    return lines


def _rate(rows: int, seconds: float) -> str:
    return f"{rows / seconds:,.0f}" if seconds >= 0.005 and rows else ""


def print_funnel(records: Sequence[dict[str, Any]]) -> None:
    print("\n".join([*funnel_lines(records), *mixture_lines(records)]))


def read_records(path: str) -> list[dict[str, Any]]:
    """Run records of a stage's output, or of the stages under a folder, in stage order.

    :raises UserError: if there is none.
    """
    if storage.exists(storage.join(path, RUN)):
        return [storage.read_json(storage.join(path, RUN))]
    names = storage.names(path)
    found = [storage.join(path, s, RUN) for s in STAGES if s in names]
    records = [storage.read_json(p) for p in found if storage.exists(p)]
    if not records:
        raise UserError(f"{path!r}: no {RUN} here nor in {', '.join(STAGES)} under it; run a stage first")
    return records


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.inspection.funnel", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("path", help="a stage's output, or a folder with the outputs of several stages")
    try:
        print_funnel(read_records(parser.parse_args(argv).path))
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
