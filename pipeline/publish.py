"""Publish a group of chunks: the last marks applied, kept and dropped rows in files of their own. No Spark here.

Rows stay in Arrow's columns: only those whose lines are cut now, or that a comparison decides by its record, become documents.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipeline import storage
from pipeline.config import StageConfig
from pipeline.executor import (
    VERDICTS,
    StepCounts,
    Task,
    UnitMarks,
    UnitRows,
    documents_writer,
    stage_config,
    unit_marks,
)
from pipeline.outputs import PublishedFile, Verdict
from pipeline.schema import DOCUMENT, Cut, Drop, from_table, to_table
from pipeline.steps import CrossDocumentStep
from pipeline.units import Group, Receipt, receipt_path

ROW_GROUP_ROWS = 2048
ROW_GROUP_CHARACTERS = 16_000_000
TEXT_COLUMNS = ("text", "line_tags", "line_link_share", "line_scores")


def publish_group(task: Task, group: Group, output: str) -> int:
    """Write the final files of a group of chunks, apply the last marks and commit a receipt. :returns: rows written now."""
    if storage.exists(receipt_path(task.receipts, group.unit_id)):
        return 0
    began = time.process_time()
    config = stage_config(task)
    counts = StepCounts()
    paths: dict[Verdict, str] = {v: f"documents/verdict={v}/part-{group.unit_id}.parquet" for v in VERDICTS}
    total = characters = 0
    with (
        storage.open_atomic(storage.join(output, paths["kept"])) as kept_file,
        storage.open_atomic(storage.join(output, paths["dropped"])) as dropped_file,
    ):
        with documents_writer(kept_file, DOCUMENT) as kept, documents_writer(dropped_file, DOCUMENT) as dropped:
            written = {"kept": _RowGroups(kept), "dropped": _RowGroups(dropped)}
            for unit in group.chunks:
                with UnitRows(task.work, unit) as rows:
                    marks = unit_marks(task, config, rows.unit)
                    for table in rows.tables(DOCUMENT.names):
                        table = _marked(table, marks, counts)
                        total += table.num_rows
                        is_kept = table["drop_step"].is_null()
                        of_kept = table.filter(is_kept)
                        characters += pc.sum(pc.utf8_length(of_kept["text"])).as_py() or 0
                        written["kept"].add(_as_published(of_kept, config, is_kept=True))
                        written["dropped"].add(_as_published(table.filter(pc.invert(is_kept)), config, is_kept=False))
            for groups in written.values():
                groups.close()
        files = [
            PublishedFile(paths[v], v, written[v].rows, f.size, f.sha256, group.generation)
            for v, f in zip(VERDICTS, (kept_file, dropped_file), strict=True)
        ]
    receipt = Receipt(
        unit_id=group.unit_id,
        chunk="",
        start=group.chunks[0].start,
        rows=total,
        live=written["kept"].rows,
        characters=characters,
        steps=counts.steps,
        skipped={},
        errors=[],
        offsets=[],
        cpu_seconds=time.process_time() - began - counts.own_seconds,
        files=files,
    )
    storage.create(receipt_path(task.receipts, group.unit_id), receipt.to_bytes())
    return total


class _RowGroups:
    """Rows of one file, written in row groups whose bounds depend on the rows alone, not on how they come."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._held: list[pa.Table] = []
        self._n = self._characters = 0
        self.rows = 0

    def add(self, table: pa.Table) -> None:
        sizes = pc.fill_null(pc.utf8_length(table["text"]), 0).to_numpy()
        while table.num_rows:
            filled = self._characters + np.cumsum(sizes)
            # Up to the row that fills the group, or its last one.
            n = min(table.num_rows, ROW_GROUP_ROWS - self._n, 1 + int(np.searchsorted(filled, ROW_GROUP_CHARACTERS)))
            self._held.append(table.slice(0, n))
            self._n, self._characters = self._n + n, int(filled[n - 1])
            table, sizes = table.slice(n), sizes[n:]
            if self._n == ROW_GROUP_ROWS or self._characters >= ROW_GROUP_CHARACTERS:
                self.close()

    def close(self) -> None:
        """Write what is held as a row group."""
        if self._n:
            self._writer.write_table(pa.concat_tables(self._held).combine_chunks())
        self.rows += self._n
        self._held, self._n, self._characters = [], 0, 0


def _marked(table: pa.Table, marks: list[UnitMarks], counts: StepCounts) -> pa.Table:
    """Rows after the verdicts of the round's comparisons."""
    for of_step in marks:
        rows = table["row_no"].to_numpy()
        here = [of_step.by_row.get(row) for row in rows.tolist()] if of_step.by_row else []
        decides = type(of_step.step).decide is not CrossDocumentStep.decide
        if decides or any(isinstance(mark, Cut) for mark in here):
            docs = counts.apply_marks(of_step, from_table(table))
            table = to_table(docs).select(DOCUMENT.names)
        else:
            table = _dropped(table, of_step.label, [m if isinstance(m, Drop) else None for m in here], counts)
    return table


def _dropped(table: pa.Table, label: str, drops: list[Drop | None], counts: StepCounts) -> pa.Table:
    """Rows with the drops of one step on those that are live; `drops` is empty where there are none."""
    live = table["drop_step"].is_null().to_numpy()
    lengths = pc.fill_null(pc.utf8_length(table["text"]), 0).to_numpy()
    count = counts.count(label)
    count.rows_in += int(live.sum())
    count.characters_in += int(lengths[live].sum())
    hit = live & np.array([d is not None for d in drops], np.bool_) if drops else np.zeros(len(live), np.bool_)
    count.characters_out += int(lengths[live & ~hit].sum())
    if not hit.any():
        return table
    chosen = [d if d is not None and h else None for d, h in zip(drops, hit.tolist(), strict=True)]
    count.dropped.update(d.reason for d in chosen if d is not None)
    values: dict[str, list[str | None]] = {
        "drop_step": [label if d else None for d in chosen],
        "drop_reason": [d.reason if d else None for d in chosen],
        "drop_value": [d.value_text() if d else None for d in chosen],
        "duplicate_of": [d.duplicate_of if d else None for d in chosen],
    }
    for name, column in values.items():
        new = pc.if_else(pa.array(hit), pa.array(column, pa.string()), table[name])
        table = table.set_column(table.column_names.index(name), DOCUMENT.field(name), new)
    return table


def _as_published(table: pa.Table, config: StageConfig, is_kept: bool) -> pa.Table:
    """Rows as they are stored: text of dropped rows as the config says, by hash where it is a sample; no text in the last
    stage's table, whose shards hold it as tokens."""
    if is_kept:
        share = 0.0 if config.kind.writes_shards else 1.0
    else:
        share = {"full": 1.0, "sample": config.output.dropped_text_share, "none": 0.0}[config.output.dropped_text]
    if share == 1.0 or not table.num_rows:
        return table
    with_text = [xxhash.xxh3_64_intdigest(i.encode()) < share * 2**64 for i in table["doc_id"].to_pylist()]
    chosen = pa.array(with_text, pa.bool_())
    for name in TEXT_COLUMNS:
        field: Any = DOCUMENT.field(name)
        shown = pc.if_else(chosen, table[name], pa.scalar(None, field.type))
        table = table.set_column(table.column_names.index(name), field, shown)
    return table


__all__ = ["publish_group"]
