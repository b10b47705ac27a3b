"""Line-wise deduplication: occurrences of lines, and the comparison in one process."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.comparison.base import Rows, marks_in_process, sorted_by, starts_of
from pipeline.comparison.equal import LAST
from pipeline.rule_based.line_dedup import LineDedup

OCCURRENCES = pa.schema(
    [
        pa.field("key", pa.binary(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("time", pa.int64(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("file_no", pa.int64(), nullable=False),
        pa.field("row_no", pa.int64(), nullable=False),
        pa.field("line", pa.int32(), nullable=False),
    ]
)
ORDER = ["generation", "time", "doc_id", "file_no", "row_no", "line"]
STATE = pa.schema([pa.field("key", pa.binary(), nullable=False), pa.field("n", pa.int64(), nullable=False)])


def columns_of(step: LineDedup) -> list[str]:
    """Document columns that `occurrences_of` reads."""
    return [*step.columns, "crawl_time", "generation", "doc_id"]


def occurrences_of(step: LineDedup, rows: pa.Table) -> pa.Table:
    """Rows of `OCCURRENCES`: the lines of documents that are counted."""
    at, numbers, keys = step.occurrences(rows)
    taken = rows.select(["generation", "crawl_time", "doc_id", "file_no", "row_no"]).take(pa.array(at, pa.int64()))
    columns = {
        **{n: taken[n] for n in ("generation", "doc_id", "file_no", "row_no")},
        "time": pa.compute.fill_null(taken["crawl_time"].cast(pa.int64()), LAST),
        "key": pa.array(keys, pa.binary()),
        "line": pa.array(numbers, pa.int32()),
    }
    return pa.table({n: columns[n] for n in OCCURRENCES.names}).cast(OCCURRENCES)


@marks_in_process.register
def line_marks(step: LineDedup, rows: Rows) -> tuple[pa.Table | None, list[str]] | None:
    """Marks that cut the surplus occurrences; state: how often each line occurred in this pass."""
    table = sorted_by(occurrences_of(step, rows.read(columns_of(step))), ["key", *ORDER])
    starts = starts_of(table["key"])
    sizes = np.diff(np.append(starts, table.num_rows))
    place = np.arange(table.num_rows) - np.repeat(starts, sizes)
    surplus = table.filter(pa.array(place >= step.max_occurrences)).select(["file_no", "row_no", "line"])
    by_row = sorted_by(surplus, ["file_no", "row_no", "line"])
    cut = by_row.group_by(["file_no", "row_no"], use_threads=False).aggregate([("line", "list")])
    marks = pa.table({"file_no": cut["file_no"], "row_no": cut["row_no"], "cut_lines": cut["line_list"]})
    counts = pa.table([table["key"].take(pa.array(starts)), pa.array(sizes, pa.int64())], schema=STATE)
    return marks, rows.write_state(counts)
