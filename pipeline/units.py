"""Units of work, and what is said of them when they are done. No Spark here.

A *unit* is a range of rows of one input file: a whole crawl file in the first round (its length is not yet known), else some
thousand rows. When it is done it leaves a *receipt*, a small file. The driver holds units and receipts in columns and sums, about
100 bytes a unit; a task reads its own units from a table of the round, so nothing that it is sent grows with the corpus.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.outputs import InputFile, PublishedFile, StepCount

MAX_EXAMPLES = 3
ROW_GROUP_UNITS = 512
"""Units a row group of a table of units: what a task reads to find its own."""


@dataclass(frozen=True)
class Unit:
    """Rows [start, stop) of one input file; `stop` is None where the length is not yet known.

    Of a stage's output as input, before the first receipt, the rows are those of the row groups that begin in [start, stop).

    `offset` is the byte offset of row `start` in a crawl file, where known; `chunk` the chunk of the round before, in the work
    folder; where there is none the rows are read from the file.
    """

    path: str
    file_no: int
    generation: int
    start: int = 0
    stop: int | None = None
    offset: int | None = None
    chunk: str | None = None

    @property
    def unit_id(self) -> str:
        return f"{self.file_no:06d}-{self.start:09d}"


@dataclass(frozen=True)
class Group:
    """Chunks of one generation that are published together, in row-key order."""

    unit_id: str
    generation: int
    chunks: Sequence[Unit]


@dataclass
class Receipt:
    """The proof that a unit is done: where its chunk is and what happened in it."""

    unit_id: str
    chunk: str
    start: int
    rows: int
    live: int
    characters: int
    steps: dict[str, StepCount]
    skipped: dict[str, int]
    errors: list[dict[str, str]]
    offsets: list[tuple[int, int | None]]
    """Row number and byte offset of every `unit_records`-th row of a crawl file: where units of later rounds begin."""
    cpu_seconds: float = 0.0
    """Of reading, making and writing rows: what is in no step."""
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


@dataclass
class Sums:
    """Receipts added up."""

    units: int = 0
    rows: int = 0
    live: int = 0
    cpu_seconds: float = 0.0
    steps: dict[str, StepCount] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    errors: list[dict[str, str]] = field(default_factory=list)
    """The first few."""
    files: list[PublishedFile] = field(default_factory=list)

    def add(self, other: Receipt | Sums) -> None:
        self.units += other.units if isinstance(other, Sums) else 1
        self.rows += other.rows
        self.live += other.live
        self.cpu_seconds += other.cpu_seconds
        for label, count in other.steps.items():
            self.steps.setdefault(label, StepCount()).add(count)
        self.skipped.update(other.skipped)
        self.errors = [*self.errors, *other.errors][:MAX_EXAMPLES]
        self.files += other.files

    def to_json(self) -> str:
        data = {
            **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)},
            "steps": {k: v.to_json() for k, v in self.steps.items()},
            "files": [dataclasses.asdict(f) for f in self.files],
        }
        return json.dumps(data, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Sums:
        raw = json.loads(text)
        raw["steps"] = {k: StepCount.from_json(v) for k, v in raw["steps"].items()}
        raw["skipped"] = Counter(raw["skipped"])
        raw["files"] = [PublishedFile(**f) for f in raw["files"]]
        return cls(**raw)


DONE = pa.schema(
    [
        pa.field("start", pa.int64(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("characters", pa.int64(), nullable=False),
        pa.field("chunk", pa.string(), nullable=False),
        pa.field("offset_rows", pa.list_(pa.int64()), nullable=False),
        pa.field("offsets", pa.list_(pa.int64()), nullable=False),
    ]
)
"""What is kept of each receipt, in the order of the units."""


@dataclass
class Done:
    """What the receipts of a round say: a row of `DONE` for each unit, and the sums of all."""

    table: pa.Table
    sums: Sums

    @classmethod
    def together(cls, parts: Sequence[tuple[pa.Table, Sums]]) -> Done:
        sums = Sums()
        for _, other in parts:
            sums.add(other)
        return cls(pa.concat_tables([DONE.empty_table(), *(table for table, _ in parts)]).combine_chunks(), sums)


def read_receipts(folder: str, unit_ids: Sequence[str]) -> tuple[pa.Table, Sums]:
    """Receipts of units, in order, as rows of `DONE` and as sums.

    :raises OSError: if one is not there.
    """
    sums = Sums()
    rows: list[tuple[Any, ...]] = []
    with ThreadPoolExecutor(16) as pool:  # on an object store this is waiting, not work
        contents = pool.map(storage.read_bytes, [receipt_path(folder, unit_id) for unit_id in unit_ids])
        for content in contents:
            r = Receipt.from_bytes(content)
            sums.add(r)
            rows.append(
                (r.start, r.rows, r.characters, r.chunk, [row for row, _ in r.offsets], [o for _, o in r.offsets])
            )
    columns = zip(*rows, strict=True) if rows else [[] for _ in DONE]
    arrays = [pa.array(list(column), f.type) for column, f in zip(columns, DONE, strict=True)]
    return pa.Table.from_arrays(arrays, schema=DONE), sums


def receipt_path(folder: str, unit_id: str) -> str:
    return storage.join(folder, f"{unit_id}.json")


STORED_UNIT = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("file_no", pa.int64(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("stop", pa.int64()),
        pa.field("offset", pa.int64()),
        pa.field("chunk", pa.string()),
    ]
)
STORED_GROUP = pa.schema(
    [
        pa.field("unit_id", pa.string(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("first", pa.int64(), nullable=False),
        pa.field("stop", pa.int64(), nullable=False),
    ]
)
Indices = npt.NDArray[np.int64]


class Units:
    """The units of a round, in order: `files` of the pass, and for each unit the place of its file and its range."""

    def __init__(self, files: Sequence[InputFile], table: pa.Table) -> None:
        """:param table: columns file (int32, place in `files`), start, stop, offset, chunk."""
        self.files, self.table = files, table

    @classmethod
    def make(
        cls,
        files: Sequence[InputFile],
        file: Sequence[int],
        start: Sequence[int],
        stop: Sequence[int | None],
        offset: Sequence[int | None] | None = None,
        chunk: Sequence[str | None] | None = None,
    ) -> Units:
        n = len(file)
        columns = {
            "file": pa.array(file, pa.int32()),
            "start": pa.array(start, pa.int64()),
            "stop": pa.array(stop, pa.int64()),
            "offset": pa.nulls(n, pa.int64()) if offset is None else pa.array(offset, pa.int64()),
            "chunk": pa.nulls(n, pa.string()) if chunk is None else pa.array(chunk, pa.string()),
        }
        return cls(files, pa.table(columns))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Unit]:
        for batch in self.table.to_batches(max_chunksize=ROW_GROUP_UNITS):
            for file, start, stop, offset, chunk in zip(*(c.to_pylist() for c in batch.columns), strict=True):
                f = self.files[file]
                yield Unit(f.path, f.file_no, f.generation, start, stop, offset, chunk)

    def __getitem__(self, number: int) -> Unit:
        return next(iter(Units(self.files, self.table.slice(number, 1))))

    def take(self, numbers: Indices) -> Units:
        return Units(self.files, self.table.take(pa.array(numbers)))

    @property
    def generations(self) -> list[int]:
        """Of each unit, in order."""
        of_file = np.array([f.generation for f in self.files], np.int64)
        generations: list[int] = of_file[self.table["file"].to_numpy()].tolist()
        return generations

    def stored(self) -> Iterator[pa.Table]:
        """Rows of `STORED_UNIT`, some at a time: paths are written out."""
        for batch in self.table.to_batches(max_chunksize=ROW_GROUP_UNITS):
            files = [self.files[i] for i in batch.column("file").to_pylist()]
            columns = {
                "path": [f.path for f in files],
                "file_no": [f.file_no for f in files],
                "generation": [f.generation for f in files],
                **{name: batch.column(name) for name in ("start", "stop", "offset", "chunk")},
            }
            yield pa.table(columns, schema=STORED_UNIT)


@dataclass(frozen=True)
class Groups:
    """Consecutive units that fill a published file each: ids, generations, and the units [first, stop) of each."""

    units: Units
    table: pa.Table
    """Rows of `STORED_GROUP`."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Group]:
        for row in self.table.to_pylist():
            units = Units(self.units.files, self.units.table.slice(row["first"], row["stop"] - row["first"]))
            yield Group(row["unit_id"], row["generation"], list(units))

    def stored(self) -> Iterator[pa.Table]:
        yield self.table


def write_work(path: str, tables: Iterator[pa.Table], schema: pa.Schema) -> None:
    """Write a table of units or groups where tasks read theirs."""
    with (
        storage.open_atomic(path) as f,
        pq.ParquetWriter(f, schema, compression="zstd", write_statistics=False) as writer,
    ):
        for table in tables:
            writer.write_table(table, row_group_size=ROW_GROUP_UNITS)


def read_work(path: str, start: int, stop: int) -> list[dict[str, Any]]:
    """Rows [start, stop) of such a table."""
    with storage.open_read(path) as f:
        file = pq.ParquetFile(f)
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        firsts = [0, *itertools.accumulate(sizes)]
        groups = [i for i, size in enumerate(sizes) if firsts[i] < stop and firsts[i] + size > start]
        if not groups:
            return []
        table = file.read_row_groups(groups)
        rows: list[dict[str, Any]] = table.slice(start - firsts[groups[0]], stop - start).to_pylist()
        return rows


def read_units(path: str, start: int, stop: int) -> list[Unit]:
    """Units [start, stop) of a table of units."""
    return [Unit(**row) for row in read_work(path, start, stop)]


def stage_units(files: Sequence[InputFile], unit_records: int) -> Units:
    """Ranges of the published files of the stage before, `unit_records` rows each, by the rows that its manifest names."""
    place: list[int] = []
    start: list[int] = []
    stop: list[int | None] = []
    for i, f in enumerate(files):
        starts = range(0, max(1, int(f.fingerprint["rows"])), unit_records)
        place += [i] * len(starts)
        start += starts
        stop += [s + unit_records for s in starts]
    return Units.make(files, place, start, stop)


def crawl_units(files: Sequence[InputFile]) -> Units:
    """Whole crawl files: how many records each has is known when it has been read."""
    return Units.make(files, range(len(files)), [0] * len(files), [None] * len(files))


def after_round(units: Units, done: Done, split: bool) -> Units:
    """The units of the next round, each with its chunk.

    :param split: whether crawl files are cut into ranges of rows, at the offsets that their first round noted.
    """
    starts = done.table["start"].to_numpy()
    rows = done.table["rows"].to_numpy()
    if not split:
        columns = {
            "file": units.table["file"],
            "start": pa.array(starts),
            "stop": pa.array(starts + rows),
            "offset": units.table["offset"],
            "chunk": done.table["chunk"],
        }
        return Units(units.files, pa.table(columns))
    files = units.table["file"].to_pylist()
    chunks = done.table["chunk"].to_pylist()
    place: list[int] = []
    start: list[int] = []
    stop: list[int | None] = []
    offset: list[int | None] = []
    chunk: list[str | None] = []
    for i, (firsts, offsets) in enumerate(
        zip(done.table["offset_rows"].to_pylist(), done.table["offsets"].to_pylist(), strict=True)
    ):
        if not firsts:
            firsts, offsets = [0], [None]
        if None in offsets:  # not seekable: each piece would read the file from its start
            firsts, offsets = firsts[:1], offsets[:1]
        place += [files[i]] * len(firsts)
        start += firsts
        stop += [*firsts[1:], int(rows[i])]
        offset += offsets
        chunk += [chunks[i]] * len(firsts)
    return Units.make(units.files, place, start, stop, offset, chunk)


def groups_of(units: Units, characters: Sequence[int], file_characters: int, pass_id: str) -> Groups:
    """Consecutive units of a generation, as many as fill a file: decided by what is in them, not by who did them."""
    ids: list[str] = []
    generations: list[int] = []
    first: list[int] = []
    counts: Counter[int] = Counter()
    filled = 0
    for i, (generation, size) in enumerate(zip(units.generations, characters, strict=True)):
        if generations and generations[-1] == generation and filled + size <= file_characters:
            filled += size
            continue
        ids.append(f"g{generation:04d}-{counts[generation]:05d}-{pass_id}")
        counts[generation] += 1
        generations.append(generation)
        first.append(i)
        filled = size
    stop = [*first[1:], len(units)] if first else []
    return Groups(units, pa.table([ids, generations, first, stop], schema=STORED_GROUP))
