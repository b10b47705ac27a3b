"""Work of one task: a unit from its source to a chunk and a receipt. No Spark here.

A *unit* is a file, or in later passes a range of a file's rows. `run_unit` reads its rows, passes them through the document
steps of one round, writes all of them (kept and dropped) to one chunk and then commits a *receipt* that names the chunk.
The first receipt of a unit wins, so a retried or zombie task can do no harm, and a unit with a receipt is finished for good:
counts come from receipts, which retries cannot inflate.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipeline import storage
from pipeline.config import StageConfig, parse
from pipeline.lines import cut_lines
from pipeline.outputs import InputFile, PublishedFile, StepCount, Verdict
from pipeline.readers.inputs import read_records
from pipeline.removal import RemovalList
from pipeline.schema import CHUNK, DOCUMENT, SCHEMA_VERSION, VERDICT_COLUMNS, Cut, Document, Drop, from_table, to_table
from pipeline.steps import CrossDocumentStep, DocumentStep, Rule, apply_step

READ = "read"
REMOVAL = "removal"
MAX_EXAMPLES = 3
ERRORS = ("step_error", "unreadable")
"""Drop reasons that mean a failure rather than a judgement: counted against `max_error_fraction`."""
VERDICTS: tuple[Verdict, Verdict] = ("kept", "dropped")
ROW_GROUP_ROWS = 2048
ROW_GROUP_BYTES = 64_000_000
PUBLISH = "publish"

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
class Unit:
    """Rows [start, stop) of one input file; `stop` is None in the first round, when the length is not yet known.

    `offset` is the byte offset of row `start` in the source, where known; `chunk` the chunk of the round before.
    """

    unit_id: str
    file: InputFile
    start: int = 0
    stop: int | None = None
    offset: int | None = None
    chunk: str | None = None


@dataclass
class Receipt:
    """The proof that a unit is done: where its chunk is and what happened in it."""

    unit_id: str
    file_no: int
    chunk: str
    rows: int
    live: int
    characters: int
    steps: dict[str, StepCount]
    skipped: dict[str, int]
    errors: list[dict[str, str]]
    offsets: list[tuple[int, int | None]]
    """Row number and byte offset of every `unit_records`-th row: where later units of this file begin."""
    files: list[PublishedFile] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        data = {
            **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)},
            "steps": {k: v.to_json() for k, v in self.steps.items()},
            "files": [dataclasses.asdict(f) for f in self.files],
        }
        return json.dumps(data, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Receipt:
        raw = json.loads(data)
        raw["steps"] = {k: StepCount.from_json(v) for k, v in raw["steps"].items()}
        raw["offsets"] = [(a, b) for a, b in raw["offsets"]]
        raw["files"] = [PublishedFile(**f) for f in raw["files"]]
        return cls(**raw)


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

    def receipt_path(self, unit_id: str) -> str:
        return storage.join(self.folder("receipts"), f"{unit_id}.json")


def committed_receipts(task: Task) -> dict[str, Receipt]:
    """Receipts of a round by unit id. About 1 kB a unit on the driver: 90,000 files are 90 MB."""
    folder = task.folder("receipts")
    names = storage.names(folder)
    with ThreadPoolExecutor(32) as pool:  # on an object store this is waiting, not work
        contents = pool.map(lambda name: storage.read_bytes(storage.join(folder, name)), names)
        return {
            name.removesuffix(".json"): Receipt.from_bytes(content)
            for name, content in zip(names, contents, strict=True)
        }


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


def _unit_marks(task: Task, config: StageConfig, unit: Unit) -> list[UnitMarks]:
    """The marks that the round before `task` made, for one unit."""
    if task.round_no == 0:
        return []
    unit_marks = []
    for label, step in config.rounds()[task.round_no - 1].cross:
        folder = task.mark_folders[label]
        record = storage.read_json(storage.join(folder, "done.json"))["record"]
        unit_marks.append(UnitMarks(label, step, read_marks(folder, unit.file.file_no, unit.start, unit.stop), record))
    return unit_marks


def live_rows(work: str, unit: Unit, columns: list[str], marks: dict[str, str]) -> Iterator[pa.Table]:
    """Columns of a chunk's rows that no step has dropped so far, a row group at a time."""
    assert unit.chunk is not None
    marked: set[int] = set()
    for folder in marks.values():
        marks_here = read_marks(folder, unit.file.file_no, unit.start, unit.stop)
        marked |= {row for row, mark in marks_here.items() if isinstance(mark, Drop)}
    with storage.open_read(storage.join(work, unit.chunk)) as f:
        for batch in pq.ParquetFile(f).iter_batches(batch_size=4096, columns=[*columns, "drop_step"]):
            table = pa.Table.from_batches([batch])
            table = table.filter(pa.compute.is_null(table["drop_step"])).drop_columns(["drop_step"])
            if marked:
                table = table.filter(pa.array([r not in marked for r in table["row_no"].to_pylist()], pa.bool_()))
            if table.num_rows:
                yield table


class _Rows:
    """Passes batches of documents through steps and counts what happens."""

    def __init__(self) -> None:
        self.steps: dict[str, StepCount] = {}
        self.errors: list[dict[str, str]] = []

    def count(self, label: str) -> StepCount:
        return self.steps.setdefault(label, StepCount())

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
        self.count(label).cpu_seconds += time.process_time() - cpu + step.child_cpu_seconds() - child
        return _replace(docs, live, changed)

    def audit(self, label: str, step: DocumentStep, docs: list[Document]) -> list[Document]:
        """`apply`, with every row's measured value, and with dropped rows going on: they keep the first step's verdict."""
        if not step.audited:
            return self.apply(label, step, docs)
        values: list[float | None] = []
        cpu = time.process_time()
        dropped = [i for i, d in enumerate(docs) if d.is_dropped]
        after = apply_step(step, [docs[i].evolve(**NO_VERDICT) for i in dropped])
        self.count(label).cpu_seconds += time.process_time() - cpu
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


def _source_rows(unit: Unit, config: StageConfig, rows: _Rows, skipped: Counter[str]) -> Iterator[Document]:
    """Rows of a first-round unit: crawl records, or the kept rows of an earlier stage."""
    if not config.kind.reads_crawl:
        yield from _stage_rows(unit)
        return
    cpu = time.process_time()
    for record in read_records(unit.file.path, config.input, skipped=skipped):
        doc = record.doc.evolve(file_no=unit.file.file_no, row_no=record.doc.record_no, generation=unit.file.generation)
        (doc,) = rows.record(READ, [doc], [record.drop or doc])
        rows.count(READ).cpu_seconds += time.process_time() - cpu
        yield doc
        cpu = time.process_time()
    rows.count(READ).cpu_seconds += time.process_time() - cpu


def _stage_rows(unit: Unit) -> Iterator[Document]:
    row_no = 0
    with storage.open_read(unit.file.path) as f:
        for batch in pq.ParquetFile(f).iter_batches(batch_size=1024):
            for doc in from_table(pa.Table.from_batches([batch])):
                yield doc.evolve(file_no=unit.file.file_no, row_no=row_no, generation=unit.file.generation)
                row_no += 1


def _chunk_rows(unit: Unit, task: Task, config: StageConfig, rows: _Rows, needs_html: bool) -> Iterator[Document]:
    """Rows of a later-round unit: from the chunk of the round before, with its marks applied and, where a step asks for
    it, the HTML of live rows read from the source again. Reading a record costs 0.4 ms, extracting it 40: storing the HTML
    would only move bytes."""
    assert unit.chunk is not None
    assert unit.stop is not None
    marks = _unit_marks(task, config, unit)
    bodies: Iterator[Any] | None = None
    if needs_html:
        bodies = read_records(
            unit.file.path,
            config.input,
            start_record=unit.start,
            start_offset=unit.offset,
            stop_record=unit.stop,
            skipped=Counter(),
        )
    with storage.open_read(storage.join(task.work, unit.chunk)) as f:
        table = pq.read_table(f, filters=[("row_no", ">=", unit.start), ("row_no", "<", unit.stop)])
    for piece in table.to_batches(max_chunksize=1024):
        docs = from_table(pa.Table.from_batches([piece]))
        for step_marks in marks:
            docs = rows.apply_marks(step_marks, docs)
        for doc in docs:
            if bodies is not None:
                cpu = time.process_time()
                record = next(bodies, None)
                rows.count(READ).cpu_seconds += time.process_time() - cpu
                if record is None or record.doc.doc_id != doc.doc_id:
                    raise OSError(
                        f"{unit.file.path}: record {doc.record_no} is not what it was when the stage began: found "
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


def run_unit(task: Task, unit: Unit) -> None:
    """Do one unit of a round and commit its receipt. Does nothing if it has one."""
    if storage.exists(task.receipt_path(unit.unit_id)):
        return
    config = stage_config(task)
    steps = _round_steps(task, config)
    cross = [step for _, step in config.rounds()[task.round_no].cross]
    rows, skipped = _Rows(), Counter[str]()
    if unit.chunk is None:
        source = _source_rows(unit, config, rows, skipped)
    else:
        source = _chunk_rows(unit, task, config, rows, any(s.needs_html for _, s in steps))
    chunk = storage.join(f"round-{task.round_no}", "chunks", f"{unit.unit_id}-{uuid.uuid4().hex[:12]}.parquet")
    n = live = characters = 0
    offsets: list[tuple[int, int | None]] = []
    with storage.open_atomic(storage.join(task.work, chunk)) as f, documents_writer(f, CHUNK) as writer:
        for batch in _batches(source, config.run.batch_documents, config.run.batch_bytes):
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
        file_no=unit.file.file_no,
        chunk=chunk,
        rows=n,
        live=live,
        characters=characters,
        steps=rows.steps,
        skipped=dict(sorted(skipped.items())),
        errors=rows.errors,
        offsets=offsets,
    )
    storage.create(task.receipt_path(unit.unit_id), receipt.to_bytes())


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


@dataclass(frozen=True)
class Group:
    """Chunks of one generation that are published together, in row-key order."""

    unit_id: str
    generation: int
    chunks: list[Unit]


def publish_group(task: Task, group: Group, output: str) -> None:
    """Write the final files of a group of chunks, apply the last marks and commit a receipt."""
    if storage.exists(task.receipt_path(group.unit_id)):
        return
    config = stage_config(task)
    rows = _Rows()
    paths: dict[Verdict, str] = {v: f"documents/verdict={v}/part-{group.unit_id}.parquet" for v in VERDICTS}
    written: Counter[Verdict] = Counter()
    total = characters = 0
    with (
        storage.open_atomic(storage.join(output, paths["kept"])) as kept_file,
        storage.open_atomic(storage.join(output, paths["dropped"])) as dropped_file,
    ):
        with documents_writer(kept_file, DOCUMENT) as kept, documents_writer(dropped_file, DOCUMENT) as dropped:
            source = itertools.chain.from_iterable(_published_rows(unit, task, config, rows) for unit in group.chunks)
            # Fixed sizes, not the config's: row groups, and so the bytes, are the same however the rows were worked on.
            for batch in _batches(source, ROW_GROUP_ROWS, ROW_GROUP_BYTES):
                for verdict, writer in zip(VERDICTS, (kept, dropped), strict=True):
                    docs = [d for d in batch if d.is_dropped == (verdict == "dropped")]
                    docs = [_as_published(d, config) for d in docs]
                    if docs:
                        writer.write_table(to_table(docs).select(DOCUMENT.names))
                    written[verdict] += len(docs)
                total += len(batch)
                characters += sum(len(d.text or "") for d in batch if not d.is_dropped)
        files = [
            PublishedFile(paths[v], v, written[v], f.size, f.sha256, group.generation)
            for v, f in zip(VERDICTS, (kept_file, dropped_file), strict=True)
        ]
    receipt = Receipt(
        unit_id=group.unit_id,
        file_no=group.chunks[0].file.file_no,
        chunk="",
        rows=total,
        live=written["kept"],
        characters=characters,
        steps=rows.steps,
        skipped={},
        errors=[],
        offsets=[],
        files=files,
    )
    storage.create(task.receipt_path(group.unit_id), receipt.to_bytes())


def _published_rows(unit: Unit, task: Task, config: StageConfig, rows: _Rows) -> Iterator[Document]:
    assert unit.chunk is not None
    marks = _unit_marks(task, config, unit)
    with storage.open_read(storage.join(task.work, unit.chunk)) as f:
        for piece in pq.ParquetFile(f).iter_batches(batch_size=1024, columns=DOCUMENT.names):
            docs = from_table(pa.Table.from_batches([piece]))
            for step_marks in marks:
                docs = rows.apply_marks(step_marks, docs)
            yield from docs


def _as_published(doc: Document, config: StageConfig) -> Document:
    """A row as it is stored: text of dropped rows as the config says, by hash where it is a sample; no text in the last
    stage's table, whose shards hold it as tokens."""
    if doc.text is None:
        return doc
    if doc.is_dropped:
        policy = config.output.dropped_text
        share = {"full": 1.0, "sample": config.output.dropped_text_share, "none": 0.0}[policy]
        with_text = xxhash.xxh3_64_intdigest(doc.doc_id.encode()) < share * 2**64
    else:
        with_text = not config.kind.writes_shards
    return doc if with_text else doc.evolve(text=None, line_tags=None, line_link_share=None, line_scores=None)
