"""The funnel table: what happened to every page, step by step; under it the mixture of the tokens, before and after."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.outputs import RunRecord

HEADER = ("stage / step", "pages in", "kept", "dropped", "characters out", "CPU s", "pages/CPU s")


def funnel_lines(records: Sequence[RunRecord]) -> list[str]:
    """The table, as lines. Widths follow the longest entry of each column."""
    rows: list[tuple[str, ...]] = [HEADER]
    notes: dict[int, list[str]] = {}
    for record in records:
        cpu = sum(count.cpu_seconds for count in record.steps.values())
        pages = (f"{n:,}" for n in (record.rows_in, record.kept, record.dropped))
        rows.append((record.stage, *pages, "", f"{cpu:.2f}", _rate(record.rows_in, cpu)))
        for label, count in record.steps.items():
            seconds = count.cpu_seconds
            rows.append(
                (
                    f"  {label}",
                    f"{count.rows_in:,}",
                    f"{count.kept:,}",
                    f"{count.rows_in - count.kept:,}",
                    f"{count.characters_out:,}" if count.characters_out else "",
                    f"{seconds:.2f}" if seconds >= 0.005 else "",
                    _rate(count.rows_in, seconds),
                )
            )
            reasons = sorted(count.dropped.items(), key=lambda x: (-x[1], x[0]))
            notes[len(rows) - 1] = [f"      {n:>7,}  {reason}" for reason, n in reasons]
        if record.other_records:
            kinds = ", ".join(f"{n:,} {kind}" for kind, n in record.other_records.items())
            notes.setdefault(len(rows) - 1, []).append(f"    (other records, not pages: {kinds})")
        if record.byte_count is not None:
            notes.setdefault(len(rows) - 1, []).append(f"    ({record.byte_count.line()})")
    widths = [max(len(r[i]) for r in rows) for i in range(len(HEADER))]
    lines = []
    for i, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
        if i == 0:
            lines.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
        lines += notes.get(i, [])
    return lines


def mixture_lines(records: Sequence[RunRecord]) -> list[str]:
    """The mixture of the last pass of tokenization, before and after, by language, group and class; empty without one."""
    lines: list[str] = []
    for record in records:
        tables = record.last_pass.notes.get("shards", {}).get("tables", {}) if record.passes else {}
        for generation, table in tables.items():
            lines += ["", f"mixture of generation {generation}, in tokens", *table.splitlines()]
    return lines


def _rate(rows: int, seconds: float) -> str:
    return f"{rows / seconds:,.0f}" if seconds >= 0.005 and rows else ""


def print_funnel(records: Sequence[RunRecord]) -> None:
    """Print the funnel and the mixture of these stages."""
    print("\n".join([*funnel_lines(records), *mixture_lines(records)]))
