"""Work of one task: a unit from its source to a chunk and a receipt. No Spark here.

`run_unit` reads the rows of a unit (`pipeline.units`), passes them through the document steps of one round, writes all of them
(kept and dropped) to one chunk and then commits a *receipt* that names the chunk. The first receipt of a unit wins, so a retried
or zombie task can do no harm, and a unit with a receipt is finished for good: counts come from receipts, which retries cannot
inflate.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.config import StageConfig, parse
from pipeline.lines import cut_lines
from pipeline.outputs import ByteCount, StepCount, Verdict
from pipeline.readers.inputs import read_records
from pipeline.removal import RemovalList
from pipeline.schema import CHUNK, SCHEMA_VERSION, VERDICT_COLUMNS, Cut, Document, Drop, from_table, to_table
from pipeline.steps import CrossDocumentStep, DocumentStep, Rule, apply_step
from pipeline.units import MAX_EXAMPLES, Receipt, Unit, receipt_path

READ = "read"
REMOVAL = "removal"
ERRORS = ("step_error", "unreadable")
"""Drop reasons that mean a failure rather than a judgement: counted against `max_error_fraction`."""
VERDICTS: tuple[Verdict, Verdict] = ("kept", "dropped")
ROWS_AT_ONCE = 1024

MARK_ROWS = pa.schema(
    [
        pa.field("file_no", pa.int64(), nullable=False),
        pa.field("row_no", pa.int64(), nullable=False),
        pa.field("reason", pa.string()),  # null: the row stays, without the lines of `cut_lines`
        pa.field("value", pa.string()),
        pa.field("duplicate_of", pa.string()),
        pa.field("cut_lines", pa.list_(pa.int32())),
    ]
)
"""A cross-document step's result: which rows it drops and why, or which of their lines it cuts; sorted by row key, in files
by range of `file_no`."""

FILES_PER_BUCKET = 64


def bucket_of(file_no: int) -> int:
    return file_no // FILES_PER_BUCKET


@dataclass(frozen=True)
class Task:
    """Settings that the units of a round share; small, JSON-able, sent with each task."""

    config: dict[str, Any]
    work: str
    round_no: int
    mark_folders: dict[str, str] = field(default_factory=dict)
    """Folders of the marks that the round before made, by label, in order."""

    def folder(self, name: str) -> str:
        return storage.join(self.work, f"round-{self.round_no}", name)

    @property
    def receipts(self) -> str:
        return self.folder("receipts")


@functools.lru_cache(maxsize=4)
def _parsed(config_json: str) -> StageConfig:
    return parse(json.loads(config_json))


_LOADED: dict[str, DocumentStep] = {}


def loaded(step: DocumentStep) -> DocumentStep:
    """The worker process's one instance of a step, with its lists and weights in memory."""
    key = step.model_dump_json()
    if key not in _LOADED:
        step.load()
        _LOADED[key] = step
    return _LOADED[key]


@functools.lru_cache(maxsize=4)
def removal_list(paths: tuple[str, ...]) -> RemovalList:
    """The worker process's one copy of a set of lists."""
    return RemovalList.load(paths)


def stage_config(task: Task) -> StageConfig:
    return _parsed(json.dumps(task.config, sort_keys=True))


@dataclass(frozen=True)
class UnitMarks:
    """Marks that one cross-document step made on the rows of one unit."""

    label: str
    step: CrossDocumentStep
    by_row: dict[int, Drop | Cut]
    record: dict[str, Any]


def read_marks(folder: str, file_no: int, start: int = 0, stop: int | None = None) -> dict[int, Drop | Cut]:
    """Marks of rows [start, stop) of a file, by row number. The file is sorted, so row-group statistics skip the rest."""
    table = read_rows(folder, MARK_ROWS, file_no, start, stop)
    return {r["row_no"]: _mark(r) for r in table.to_pylist()}


def read_rows(folder: str, schema: pa.Schema, file_no: int, start: int = 0, stop: int | None = None) -> pa.Table:
    """Rows [start, stop) of an input file from a table that is kept by row key, sorted by it."""
    path = storage.join(folder, f"bucket-{bucket_of(file_no):06d}.parquet")
    if not storage.exists(path):
        return schema.empty_table()
    where = [("file_no", "==", file_no), ("row_no", ">=", start)]
    if stop is not None:
        where.append(("row_no", "<", stop))
    with storage.open_read(path) as f:
        return pq.read_table(f, filters=where)


def _mark(row: dict[str, Any]) -> Drop | Cut:
    if row["reason"] is None:
        return Cut(tuple(row["cut_lines"]))
    return Drop(row["reason"], row["value"], row["duplicate_of"])


def unit_marks(task: Task, config: StageConfig, unit: Unit) -> list[UnitMarks]:
    """The marks that the round before `task` made, for one unit."""
    if task.round_no == 0:
        return []
    found = []
    for label, step in config.rounds()[task.round_no - 1].cross:
        folder = task.mark_folders[label]
        record = storage.read_json(storage.join(folder, "done.json"))["record"]
        found.append(UnitMarks(label, step, read_marks(folder, unit.file_no, unit.start, unit.stop), record))
    return found


class UnitRows:
    """Rows of a unit as they are stored: in its chunk, or in a published file of the stage before. A context manager.

    `unit` is the unit with its true range: of a published file, whole row groups.
    """

    def __init__(self, work: str, unit: Unit) -> None:
        self._source = unit.chunk is None
        self._file = storage.open_read(unit.path if unit.chunk is None else storage.join(work, unit.chunk))
        self._parquet = pq.ParquetFile(self._file)
        metadata = self._parquet.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        base = 0 if self._source else _first_row(metadata)
        firsts = [base, *(base + n for n in itertools.accumulate(sizes))]
        stop = firsts[-1] if unit.stop is None else unit.stop
        if self._source:
            self._groups = [i for i in range(len(sizes)) if unit.start <= firsts[i] < stop]
            start = firsts[self._groups[0]] if self._groups else unit.start
            stop = firsts[self._groups[-1] + 1] if self._groups else start
        else:
            start = unit.start
            self._groups = [i for i in range(len(sizes)) if firsts[i] < stop and firsts[i + 1] > start]
        self._at = firsts[self._groups[0]] if self._groups else start
        self.unit = dataclasses.replace(unit, start=start, stop=stop)

    def __enter__(self) -> UnitRows:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def tables(self, columns: list[str] | None = None, rows: int = ROWS_AT_ONCE) -> Iterator[pa.Table]:
        """The rows in order, `rows` of them at a time, with the row keys of this stage."""
        start, stop, at = self.unit.start, self.unit.stop, self._at
        assert stop is not None
        names = columns or self._parquet.schema_arrow.names
        stored = [n for n in names if not (self._source and n in ("file_no", "row_no", "generation"))]
        for batch in self._parquet.iter_batches(batch_size=rows, row_groups=self._groups, columns=stored):
            first, at = at, at + batch.num_rows
            table = pa.Table.from_batches([batch])
            if self._source:
                table = self._with_keys(table, first).select(names)
            if first < start or at > stop:
                table = table.slice(max(0, start - first), min(at, stop) - max(first, start))
            if table.num_rows:
                yield table

    def _with_keys(self, table: pa.Table, first: int) -> pa.Table:
        n = table.num_rows
        table = table.append_column("file_no", pa.array(np.full(n, self.unit.file_no)))
        table = table.append_column("row_no", pa.array(np.arange(first, first + n)))
        return table.append_column("generation", pa.array(np.full(n, self.unit.generation, np.int32)))


def _first_row(metadata: pq.FileMetaData) -> int:
    """Row number of a chunk's first row, from its statistics: rows are in order and none is missing."""
    if not metadata.num_rows:
        return 0
    group = metadata.row_group(0)
    columns = (group.column(i) for i in range(group.num_columns))
    return int(next(c.statistics.min for c in columns if c.path_in_schema == "row_no"))


def live_rows(work: str, unit: Unit, columns: list[str], marks: dict[str, str]) -> Iterator[pa.Table]:
    """Columns of a unit's rows that no step has dropped so far, some at a time."""
    with UnitRows(work, unit) as rows:
        unit = rows.unit
        marked: list[int] = []
        for folder in marks.values():
            marks_here = read_marks(folder, unit.file_no, unit.start, unit.stop)
            marked += [row for row, mark in marks_here.items() if isinstance(mark, Drop)]
        for table in rows.tables([*columns, "drop_step"], 4096):
            live = table["drop_step"].is_null()
            if marked:
                live = pa.compute.and_(live, pa.array(~np.isin(table["row_no"].to_numpy(), marked)))
            table = table.drop_columns(["drop_step"]).filter(live)
            if table.num_rows:
                yield table


class StepCounts:
    """Passes batches of documents through steps and counts what happens."""

    def __init__(self) -> None:
        self.steps: dict[str, StepCount] = {}
        self.errors: list[dict[str, str]] = []
        self.own_seconds = 0.0  # CPU seconds of this process that are in a step's count

    def count(self, label: str) -> StepCount:
        return self.steps.setdefault(label, StepCount())

    def spent(self, label: str, since: float) -> None:
        """Count the CPU seconds of this process since `since` for a step."""
        seconds = time.process_time() - since
        self.count(label).cpu_seconds += seconds
        self.own_seconds += seconds

    def record(self, label: str, docs: list[Document], verdicts: Iterable[Document | Drop]) -> list[Document]:
        """Documents after a step's verdicts: replaced by its copy, or marked."""
        count = self.count(label)
        out = []
        for doc, verdict in zip(docs, verdicts, strict=True):
            count.rows_in += 1
            characters = len(doc.text) if doc.text is not None else 0
            count.characters_in += characters
            if isinstance(verdict, Drop):
                count.dropped[verdict.reason] += 1
                value = verdict.value_text()
                if verdict.reason in ERRORS and len(self.errors) < MAX_EXAMPLES:
                    self.errors.append(
                        {"step": label, "doc_id": doc.doc_id, "url": doc.url or doc.source_file, "error": value or ""}
                    )
                doc = (verdict.document or doc).evolve(
                    drop_step=label, drop_reason=verdict.reason, drop_value=value, duplicate_of=verdict.duplicate_of
                )
            else:
                count.characters_out += len(verdict.text) if verdict.text is not None else 0
                doc = verdict
            out.append(doc)
        return out

    def apply(self, label: str, step: DocumentStep, docs: list[Document]) -> list[Document]:
        """One document step over the live documents of a batch."""
        live = [i for i, d in enumerate(docs) if not d.is_dropped]
        if not live:
            self.count(label)
            return docs
        cpu, child = time.process_time(), step.child_cpu_seconds()
        chosen = [docs[i] for i in live]
        changed = self.record(label, chosen, apply_step(step, chosen))
        self.spent(label, cpu)
        self.count(label).cpu_seconds += step.child_cpu_seconds() - child
        return _replace(docs, live, changed)

    def audit(self, label: str, step: DocumentStep, docs: list[Document]) -> list[Document]:
        """`apply`, with every row's measured value, and with dropped rows going on: they keep the first step's verdict."""
        if not step.audited:
            return self.apply(label, step, docs)
        values: list[float | None] = []
        cpu = time.process_time()
        dropped = [i for i, d in enumerate(docs) if d.is_dropped]
        after = apply_step(step, [docs[i].evolve(**NO_VERDICT) for i in dropped])
        self.spent(label, cpu)
        docs = self.apply(label, step, docs)
        for i, verdict in zip(dropped, after, strict=True):
            left = verdict.document if isinstance(verdict, Drop) else verdict
            if left is not None:
                docs[i] = left.evolve(**{n: getattr(docs[i], n) for n in VERDICT_COLUMNS})
        if isinstance(
            step, Rule
        ):  # after the step: rules change no text, and those of classifiers have stored their scores
            values = [_measured(step, d) for d in docs]
        else:  # 1: the step drops the row, or would have
            drops = {i for i, verdict in zip(dropped, after, strict=True) if isinstance(verdict, Drop)}
            values = [float(i in drops or d.drop_step == label) for i, d in enumerate(docs)]
        if values:
            docs = [
                d.evolve(rule_values=[*(d.rule_values or ()), {"rule": label, "value": v}])
                for d, v in zip(docs, values, strict=True)
            ]
        return docs

    def apply_marks(self, marks: UnitMarks, docs: list[Document]) -> list[Document]:
        """A cross-document step's verdicts on the live documents of a batch: its marks, then its `decide` on the rest."""
        live = [i for i, d in enumerate(docs) if not d.is_dropped]
        chosen = [docs[i] for i in live]
        verdicts = [_marked(doc, marks) for doc in chosen]
        unmarked = {i: v for i, v in enumerate(verdicts) if isinstance(v, Document)}
        for i, verdict in zip(unmarked, marks.step.decide(list(unmarked.values()), marks.record), strict=True):
            verdicts[i] = verdict
        return _replace(docs, live, self.record(marks.label, chosen, verdicts))


NO_VERDICT: dict[str, Any] = dict.fromkeys(VERDICT_COLUMNS)


def _measured(step: Rule, doc: Document) -> float | None:
    """A rule's value; None where it fails, which the verdict of a live row tells as step_error."""
    try:
        return step.measure(doc)
    except Exception:
        return None


def _marked(doc: Document, marks: UnitMarks) -> Document | Drop:
    mark = marks.by_row.get(doc.row_no, doc)
    if not isinstance(mark, Cut):
        return mark
    cut = cut_lines(doc, marks.step.step, mark.lines)
    return cut if (cut.text or "").strip() else Drop("no_text_left", value=len(mark.lines))


def _replace(docs: list[Document], at: list[int], new: list[Document]) -> list[Document]:
    out = list(docs)
    for i, doc in zip(at, new, strict=True):
        out[i] = doc
    return out


def _source_rows(
    unit: Unit, config: StageConfig, rows: StepCounts, skipped: Counter[str], byte_count: ByteCount
) -> Iterator[Document]:
    """Records of a crawl file, in the first round."""
    cpu = time.process_time()
    for record in read_records(unit.path, config.input, skipped=skipped, count=byte_count):
        doc = record.doc.evolve(file_no=unit.file_no, row_no=record.doc.record_no, generation=unit.generation)
        (doc,) = rows.record(READ, [doc], [record.drop or doc])
        rows.spent(READ, cpu)
        yield doc
        cpu = time.process_time()
    rows.spent(READ, cpu)


def _stored_rows(
    stored: UnitRows, task: Task, config: StageConfig, rows: StepCounts, needs_html: bool
) -> Iterator[Document]:
    """Rows of a chunk or of the stage before, with the marks of the last round applied and, where a step asks for it, the
    HTML of live rows read from the crawl file again. Reading a record costs 0.4 ms, extracting it 40: storing the HTML would
    only move bytes."""
    unit = stored.unit
    marks = unit_marks(task, config, unit)
    bodies: Iterator[Any] | None = None
    if needs_html:
        bodies = read_records(
            unit.path,
            config.input,
            start_record=unit.start,
            start_offset=unit.offset,
            stop_record=unit.stop,
            skipped=Counter(),
        )
    for table in stored.tables():
        docs = from_table(table)
        for step_marks in marks:
            docs = rows.apply_marks(step_marks, docs)
        for doc in docs:
            if bodies is not None:
                cpu = time.process_time()
                record = next(bodies, None)
                rows.spent(READ, cpu)
                if record is None or record.doc.doc_id != doc.doc_id:
                    raise OSError(
                        f"{unit.path}: record {doc.record_no} is not what it was when the stage began: found "
                        f"{record.doc.doc_id if record else 'the end of the file'}, expected {doc.doc_id}"
                    )
                if not doc.is_dropped:
                    doc = doc.evolve(html=record.doc.html)
            yield doc


def _batches(docs: Iterator[Document], max_documents: int, max_bytes: int) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for doc in docs:
        batch.append(doc)
        size += len(doc.html or b"") + 4 * len(doc.text or "")
        if len(batch) >= max_documents or size >= max_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class RemovalStep(DocumentStep):
    """Drops what the removal lists name; the first step of every stage that has lists."""

    step: str = REMOVAL
    lists: tuple[str, ...]

    def process(self, docs: list[Document]) -> list[Document | Drop]:
        matches = removal_list(self.lists).match([d.doc_id for d in docs], [d.url for d in docs])
        return [d if m is None else Drop("removed", value=m) for d, m in zip(docs, matches, strict=True)]


def _round_steps(task: Task, config: StageConfig) -> list[tuple[str, DocumentStep]]:
    steps: list[tuple[str, DocumentStep]] = []
    if task.round_no == 0 and config.removal_lists:
        steps.append((REMOVAL, RemovalStep(lists=tuple(config.removal_lists))))
    steps += config.rounds()[task.round_no].steps
    return [(label, loaded(step)) for label, step in steps]


def run_unit(task: Task, unit: Unit) -> int:
    """Do one unit of a round and commit its receipt. Does nothing if it has one. :returns: rows done now."""
    if storage.exists(receipt_path(task.receipts, unit.unit_id)):
        return 0
    config = stage_config(task)
    steps = _round_steps(task, config)
    began = time.process_time()  # loading models and compiling is no cost of rows: a process does it once
    cross = [step for _, step in config.rounds()[task.round_no].cross]
    rows, skipped = StepCounts(), Counter[str]()
    byte_count = ByteCount() if unit.chunk is None and config.kind.reads_crawl else None
    chunk = storage.join(f"round-{task.round_no}", "chunks", f"{unit.unit_id}-{uuid.uuid4().hex[:12]}.parquet")
    n = live = characters = 0
    start = unit.start
    offsets: list[tuple[int, int | None]] = []
    with contextlib.ExitStack() as stack:
        if byte_count is not None:
            source = _source_rows(unit, config, rows, skipped, byte_count)
        else:
            stored = stack.enter_context(UnitRows(task.work, unit))
            start = stored.unit.start
            source = _stored_rows(stored, task, config, rows, any(s.needs_html for _, s in steps))
        f = stack.enter_context(storage.open_atomic(storage.join(task.work, chunk)))
        writer = stack.enter_context(documents_writer(f, CHUNK))
        for batch in _batches(source, config.run.batch_documents, config.run.batch_bytes):
            if unit.stop is None:
                offsets += [(d.row_no, d.offset) for d in batch if d.row_no % config.run.unit_records == 0]
            for label, step in steps:
                batch = rows.audit(label, step, batch) if config.output.audit else rows.apply(label, step, batch)
            batch = _prepare(cross, batch)
            n += len(batch)
            live += sum(not d.is_dropped for d in batch)
            characters += sum(len(d.text or "") for d in batch)
            writer.write_table(to_table(batch))
    receipt = Receipt(
        unit_id=unit.unit_id,
        chunk=chunk,
        start=start,
        rows=n,
        live=live,
        characters=characters,
        steps=rows.steps,
        skipped=dict(sorted(skipped.items())),
        errors=rows.errors,
        offsets=offsets,
        byte_count=byte_count,
        cpu_seconds=time.process_time() - began - rows.own_seconds,
    )
    storage.create(receipt_path(task.receipts, unit.unit_id), receipt.to_bytes())
    return n


def _prepare(cross: list[CrossDocumentStep], docs: list[Document]) -> list[Document]:
    for step in cross:
        docs = [d if d.is_dropped else step.prepare(d) for d in docs]
    return docs


def documents_writer(f: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """A Parquet writer for document rows: zstd, dictionaries where values repeat, statistics on the keys."""
    metadata = {**(schema.metadata or {}), b"corpusmill.schema_version": str(SCHEMA_VERSION).encode()}
    return pq.ParquetWriter(
        f,
        schema.with_metadata(metadata),
        compression="zstd",
        use_dictionary=[
            "source",
            "source_file",
            "domain",
            "language",
            "category",
            "charset",
            "drop_step",
            "drop_reason",
        ],
        write_statistics=["file_no", "row_no", "doc_id"],
    )
