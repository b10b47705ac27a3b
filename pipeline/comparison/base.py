"""What a comparison in one process reads and writes."""

from __future__ import annotations

import functools
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.executor import MARK_ROWS, bucket_of, live_rows
from pipeline.passes import Comparison, Marked
from pipeline.steps import CrossDocumentStep


@dataclass
class Rows:
    """The live documents of a comparison, and where its state goes."""

    comparison: Comparison
    record: dict[str, Any] = field(default_factory=dict)
    """Entries of the step for `_run.json`."""

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Columns of all live rows, in row-key order, with `file_no` and `row_no`."""
        names = list(dict.fromkeys([*columns, "file_no", "row_no"]))
        c = self.comparison
        tables = [t for unit in c.units for t in live_rows(c.work, unit, names, c.earlier_mark_folders)]
        if not tables:
            from pipeline.schema import CHUNK

            return CHUNK.empty_table().select(names)
        return pa.concat_tables(tables).combine_chunks()

    def write_state(self, *tables: pa.Table) -> list[str]:
        """Write state files of this pass. :returns: their paths; tables without rows make none."""
        paths = []
        for table in tables:
            if table.num_rows:
                name = f"{uuid.uuid4().hex}.parquet"
                path = storage.join(self.comparison.work, "state", self.comparison.label, name)
                with storage.open_atomic(path) as f:
                    pq.write_table(table, f, compression="zstd")
                paths.append(path)
        return paths


@functools.singledispatch
def marks_in_process(step: CrossDocumentStep, rows: Rows) -> tuple[pa.Table | None, list[str]] | None:
    """Decide which rows a cross-document step drops or cuts, as `pipeline.spark.run.compute_marks` does.

    :returns: columns of `MARK_ROWS` (None if the step decides by its record alone) and the state files; None if the step, as it
        is set, can be compared by Spark alone.
    """
    return None


def compare_in_process(comparison: Comparison) -> Marked | None:
    """Compare few documents, of which no earlier generation is to be regarded. :returns: None if Spark must do it."""
    began = time.process_time()
    rows = Rows(comparison)
    result = marks_in_process(comparison.step, rows)
    if result is None:
        return None
    marks, state = result
    if marks is not None:
        write_marks(marks, comparison.folder)
    n = None if marks is None else marks.num_rows
    return Marked(n, state, time.process_time() - began, rows.record)


def write_marks(marks: pa.Table, folder: str) -> None:
    """Write marks by row key, in files by range of `file_no`; columns that the table lacks are null."""
    columns = [
        marks[f.name].cast(f.type) if f.name in marks.column_names else pa.nulls(marks.num_rows, f.type)
        for f in MARK_ROWS
    ]
    table = pa.table(columns, schema=MARK_ROWS).sort_by([("file_no", "ascending"), ("row_no", "ascending")])
    buckets = np.array([bucket_of(n) for n in table["file_no"].to_pylist()], np.int64)
    for bucket in np.unique(buckets).tolist():
        path = storage.join(folder, f"bucket-{bucket:06d}.parquet")
        with storage.open_atomic(path) as f:
            pq.write_table(table.filter(pa.array(buckets == bucket)), f, compression="zstd", row_group_size=64 * 1024)


def sorted_by(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Rows in ascending order of columns."""
    return table.take(pc.sort_indices(table, [(name, "ascending") for name in columns])).combine_chunks()


def starts_of(column: pa.ChunkedArray) -> Any:
    """Where runs of equal values begin, int64 (runs,)."""
    n = len(column)
    if not n:
        return np.zeros(0, np.int64)
    changed = pc.not_equal(column.slice(1), column.slice(0, n - 1)).to_numpy()
    return np.concatenate([[0], np.flatnonzero(changed) + 1])


def three_decimals(value: float) -> str:
    """A number as Spark's `format_string("%.3f")` writes it: half up."""
    return str(Decimal(repr(float(value))).quantize(Decimal("0.001"), ROUND_HALF_UP))
