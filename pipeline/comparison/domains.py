"""Documents, and those of them that a step hits, counted by registered domain and generation; comparisons in one process."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.comparison.base import Rows, marks_in_process, three_decimals
from pipeline.model_based.safety import UnsafeSites
from pipeline.rule_based.pii import PiiDomains

ROWS = pa.schema(
    [
        pa.field("domain", pa.string(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("file_no", pa.int64(), nullable=False),
        pa.field("row_no", pa.int64(), nullable=False),
        pa.field("hit", pa.int64(), nullable=False),
    ]
)
Verdict = Callable[[str, int, int], tuple[str, str] | None]
"""Reason and value for the documents of a domain, from how many there are and how many were hit; or None."""


def state_schema(names: tuple[str, str]) -> pa.Schema:
    """Schema of the state: counts by domain and generation, under these names."""
    counts = [pa.field(name, pa.int64(), nullable=False) for name in names]
    return pa.schema([ROWS.field("domain"), ROWS.field("generation"), *counts])


def rows_of(rows: pa.Table, hits: Callable[[pa.Table], pa.Array]) -> pa.Table:
    """Rows of `ROWS` of the documents that have a domain."""
    table = rows.select(["domain", "generation", "file_no", "row_no"])
    table = table.append_column("hit", pc.cast(hits(rows), pa.int64()))
    return table.filter(pc.is_valid(table["domain"])).cast(ROWS)


def _judged(
    rows: Rows,
    columns: tuple[str, ...],
    hits: Callable[[pa.Table], pa.Array],
    names: tuple[str, str],
    verdict: Verdict,
) -> tuple[pa.Table, list[str]]:
    """Marks on the documents of domains that `verdict` drops, by their counts up to and with each generation; and the state."""
    table = rows_of(rows.read([*columns, "generation"]), hits)
    counted = table.group_by(["domain", "generation"], use_threads=False).aggregate([("hit", "count"), ("hit", "sum")])
    counted = counted.sort_by([("domain", "ascending"), ("generation", "ascending")])
    verdicts: dict[tuple[str, int], tuple[str, str]] = {}
    last, documents, hit = None, 0, 0
    for row in counted.to_pylist():
        if row["domain"] != last:
            last, documents, hit = row["domain"], 0, 0
        documents, hit = documents + row["hit_count"], hit + row["hit_sum"]
        found = verdict(row["domain"], documents, hit)
        if found is not None:
            verdicts[row["domain"], row["generation"]] = found
    keys = zip(table["domain"].to_pylist(), table["generation"].to_pylist(), strict=True)
    judged = [verdicts.get(key) for key in keys]
    marked = table.filter(pa.array([j is not None for j in judged], pa.bool_()))
    marks = pa.table(
        {
            "file_no": marked["file_no"],
            "row_no": marked["row_no"],
            "reason": pa.array([j[0] for j in judged if j is not None], pa.string()),
            "value": pa.array([j[1] for j in judged if j is not None], pa.string()),
        }
    )
    state = pa.table(
        [counted[n] for n in ("domain", "generation", "hit_count", "hit_sum")], names=state_schema(names).names
    )
    return marks, rows.write_state(state.cast(state_schema(names)))


@marks_in_process.register
def pii_domain_marks(step: PiiDomains, rows: Rows) -> tuple[pa.Table | None, list[str]] | None:
    """Marks for all documents of domains with too many hits; state: documents and hits by domain and generation."""

    def verdict(domain: str, documents: int, hits: int) -> tuple[str, str] | None:
        share = hits / documents
        too_many = documents >= step.min_documents and share > step.max_share
        return ("pii_domain", three_decimals(share)) if too_many else None

    return _judged(rows, step.columns, step.hits, ("documents", "hits"), verdict)


@marks_in_process.register
def unsafe_site_marks(step: UnsafeSites, rows: Rows) -> tuple[pa.Table | None, list[str]] | None:
    """Marks for all documents of unsafe sites; state: pages and flagged pages by site and generation."""

    def verdict(domain: str, pages: int, flagged: int) -> tuple[str, str] | None:
        reason = step.verdict(domain, pages, flagged)
        return None if reason is None else (reason, step.value(pages, flagged))

    return _judged(rows, step.columns, step.flags, ("pages", "flagged"), verdict)
