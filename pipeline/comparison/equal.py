"""Duplicates by equal key: keys and order of every `DuplicateStep`, and the comparison in one process."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.comparison.base import Rows, marks_in_process, sorted_by, starts_of
from pipeline.steps import DuplicateStep

KEYS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("time", pa.int64(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("file_no", pa.int64(), nullable=False),
        pa.field("row_no", pa.int64(), nullable=False),
    ]
)
ORDER = ["generation", "time", "doc_id", "file_no", "row_no"]
LAST = 2**62  # a row without crawl time sorts after all that have one
STATE = pa.schema([KEYS.field("key"), KEYS.field("generation"), KEYS.field("doc_id")])


def columns_of(step: DuplicateStep) -> list[str]:
    """Document columns that `keys_of` reads."""
    return [*step.columns, "crawl_time", "generation", "doc_id"]


def keys_of(step: DuplicateStep, rows: pa.Table) -> pa.Table:
    """Rows of `KEYS` of those rows that have a key."""
    time = rows["crawl_time"].cast(pa.int64())
    if step.newest_first:
        time = pa.compute.negate(time)
    columns = {
        **{n: rows[n] for n in ("generation", "doc_id", "file_no", "row_no")},
        "key": step.keys(rows),
        "time": pa.compute.fill_null(time, LAST),
    }
    table = pa.table({n: columns[n] for n in KEYS.names})
    return table.filter(pa.compute.is_valid(table["key"])).cast(KEYS)


@marks_in_process.register
def duplicates(step: DuplicateStep, rows: Rows) -> tuple[pa.Table | None, list[str]] | None:
    """Marks for all but the first row of each key; state: key and `doc_id` of the first."""
    table = sorted_by(keys_of(step, rows.read(columns_of(step))), ["key", *ORDER])
    starts = starts_of(table["key"])
    first = np.repeat(starts, np.diff(np.append(starts, table.num_rows)))
    later = np.flatnonzero(first != np.arange(table.num_rows))
    marked, kept = table.take(pa.array(later)), table.take(pa.array(first[later]))
    marks = pa.table(
        {
            "file_no": marked["file_no"],
            "row_no": marked["row_no"],
            "reason": pa.array([step.reason] * len(later), pa.string()),
            "value": marked["key"],
            "duplicate_of": kept["doc_id"],
        }
    )
    return marks, rows.write_state(table.take(pa.array(starts)).select(STATE.names))
