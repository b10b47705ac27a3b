"""Send units of work to Spark, and read rows back for the cross-document steps.

A task gets numbers of units and reads what they are from a table of the round: nothing of the corpus goes through the JVM, and no
task is sent more than its own. Only keys of cross-document steps shuffle.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import StorageLevel, TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, from_arrow_type, to_arrow_schema
from pyspark.sql.types import LongType, StructField, StructType

from classifiers.base import DEVICE
from pipeline import storage
from pipeline.executor import MARK_ROWS, Task, bucket_of, live_rows, run_unit
from pipeline.progress import Progress
from pipeline.publish import publish_group
from pipeline.steps import CrossDocumentStep
from pipeline.units import (
    STORED_GROUP,
    STORED_UNIT,
    Done,
    Group,
    Groups,
    Indices,
    Sums,
    Unit,
    Units,
    read_receipts,
    read_units,
    read_work,
    write_work,
)

TASKS = 20_000
"""Tasks of a round, unless there are more cores: Spark's driver spends a millisecond and some kB on each."""
RECEIPTS_AT_ONCE = 1_000
"""Receipts that one task, or the driver, reads and adds up."""


def map_each(
    spark: SparkSession, items: Sequence[Any], call: Callable[[Any], Any], partitions: int | None
) -> list[Any]:
    """Call a function on each item in Spark tasks: one task an item, or `partitions` tasks in all. For few items: each task gets
    them all.

    :returns: the results in order, through JSON; for results of a few bytes, such as None or a file's name and size.
    """
    if not items:
        return []
    items = list(items)

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        assign_gpu()
        for batch in batches:
            for i in batch.column(0).to_pylist():
                yield pa.RecordBatch.from_pydict({"id": [i], "result": [json.dumps(call(items[i]))]})

    numbers = spark.range(0, len(items), 1, min(partitions or len(items), len(items)))
    results = {r.id: json.loads(r.result) for r in numbers.mapInArrow(work, "id long, result string").collect()}
    return [results[i] for i in range(len(items))]


def assign_gpu() -> None:
    """Tell this worker process's models which GPU they have, if Spark gave its task one (`spark.task.resource.gpu.amount`).

    Once a process: a model stays where it was loaded. A device that the environment names already is left.
    """
    here = TaskContext.get()
    gpu = here.resources().get("gpu") if here is not None else None
    if gpu is not None and gpu.addresses:
        os.environ.setdefault(DEVICE, f"cuda:{gpu.addresses[0]}")


def run_units(spark: SparkSession, task: Task, units: Units, progress: Progress, partitions: int | None) -> Done:
    """Do the units that have no receipt yet. :returns: what the receipts of all say."""
    work = _Work(
        task,
        [unit.unit_id for unit in units],
        lambda numbers: (units if len(numbers) == len(units) else units.take(numbers)).stored(),
        STORED_UNIT,
        lambda row: Unit(**row).unit_id,
        lambda row: run_unit(task, Unit(**row)),
    )
    return _run(spark, work, progress, partitions)


def publish_groups(
    spark: SparkSession, task: Task, groups: Groups, output: str, progress: Progress, partitions: int | None
) -> Done:
    """Publish the groups that have no receipt yet. :returns: what the receipts of all say."""
    path = storage.join(task.folder("work"), "units.parquet")
    write_work(path, groups.units.stored(), STORED_UNIT)

    def publish(row: dict[str, Any]) -> int:
        units = read_units(path, row["first"], row["stop"])
        return publish_group(task, Group(row["unit_id"], row["generation"], units), output)

    work = _Work(
        task,
        groups.table["unit_id"].to_pylist(),
        lambda numbers: iter([groups.table.take(pa.array(numbers))]),
        STORED_GROUP,
        lambda row: str(row["unit_id"]),
        publish,
    )
    return _run(spark, work, progress, partitions)


@dataclass(frozen=True)
class _Work:
    """Units of a round or groups to publish: their ids, and their rows for tasks."""

    task: Task
    ids: list[str]
    rows: Callable[[Indices], Iterator[pa.Table]]
    """Rows of the items of these numbers."""
    schema: pa.Schema
    unit_id: Callable[[dict[str, Any]], str]
    """Id of the item of a row."""
    do: Callable[[dict[str, Any]], int]
    """Do the item of a row. :returns: documents that it has."""

    def write(self, numbers: Indices) -> str:
        """Write rows where tasks read them."""
        path = storage.join(self.task.folder("work"), f"{uuid.uuid4().hex[:12]}.parquet")
        write_work(path, self.rows(numbers), self.schema)
        return path


def _run(spark: SparkSession, work: _Work, progress: Progress, partitions: int | None) -> Done:
    receipts, do, name = work.task.receipts, work.do, work.unit_id
    finished = {f.removesuffix(".json") for f in storage.names(receipts)}
    todo = np.array([i for i, unit_id in enumerate(work.ids) if unit_id not in finished], np.int64)
    del finished
    n, total = len(todo), len(work.ids)
    units_done, rows_done = spark.sparkContext.accumulator(0), spark.sparkContext.accumulator(0)  # for people alone
    with progress.units(total, total - n, lambda: (units_done.value, rows_done.value)):
        if n:
            path = work.write(todo)

            def call(row: dict[str, Any]) -> None:
                rows_done.add(do(row))
                units_done.add(1)

            tasks = max(1, min(n, partitions or max(TASKS, 4 * spark.sparkContext.defaultParallelism)))
            spark.range(0, n, 1, tasks).mapInArrow(_each(path, call), "id long").collect()
    if total <= RECEIPTS_AT_ONCE:
        return Done.together([read_receipts(receipts, work.ids)])
    path = work.write(np.arange(total))

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            numbers = batch.column(0).to_numpy()
            rows = read_work(path, int(numbers[0]), int(numbers[-1]) + 1)
            table, sums = read_receipts(receipts, [name(row) for row in rows])
            columns = {"id": [int(numbers[0])], "rows": [_serialised(table)], "sums": [sums.to_json()]}
            yield pa.RecordBatch.from_pydict(columns)

    parts = spark.range(0, total, 1, -(-total // RECEIPTS_AT_ONCE)).mapInArrow(
        read, "id long, rows binary, sums string"
    )
    ordered = sorted(parts.collect(), key=lambda part: int(part.id))
    return Done.together([(pa.ipc.open_stream(p.rows).read_all(), Sums.from_json(p.sums)) for p in ordered])


def _each(
    path: str, call: Callable[[dict[str, Any]], None]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A task's function: `call` on its rows of a table of units or groups."""

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        assign_gpu()
        for batch in batches:
            numbers = batch.column(0).to_numpy()
            for row in read_work(path, int(numbers[0]), int(numbers[-1]) + 1):
                call(row)
            yield batch.slice(0, 0)

    return work


def _serialised(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@dataclass
class CrossContext:
    """Context of a cross-document step's Spark part."""

    spark: SparkSession
    label: str
    work: str
    units: Units
    """Units of the round just done, each with its chunk, or with the file of the stage before."""
    earlier_mark_folders: dict[str, str]
    """Marks of cross-document steps of the same round that come before this one."""
    state: list[str]
    """This step's state files of earlier generations, full paths."""
    partitions: int | None
    record: dict[str, Any] = field(default_factory=dict)
    """Entries of the step for `_run.json`."""
    persisted: list[DataFrame] = field(default_factory=list)
    _units_file: str = ""

    def rows(self, columns: Sequence[str], project: Callable[[pa.Table], pa.Table], schema: pa.Schema) -> DataFrame:
        """Live rows of the round as a DataFrame of `schema`, made by `project` from chunk columns inside the tasks."""
        path, work, marks = self.units_file(), self.work, self.earlier_mark_folders
        names = list(dict.fromkeys([*columns, "file_no", "row_no"]))

        def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for unit in units_of(path, batches):
                for table in live_rows(work, unit, names, marks):
                    yield from project(table).select(schema.names).cast(schema).to_batches()

        # Read once, used for marks and for state: what is kept on the executors' disks are keys, never text.
        frame = self.numbers().mapInArrow(read, from_arrow_schema(schema))
        frame.persist(StorageLevel.DISK_ONLY)
        self.persisted.append(frame)
        return frame

    def units_file(self) -> str:
        """The table of units, where tasks read theirs (`units_of`)."""
        if not self._units_file:
            self._units_file = storage.join(self.work, "tables", self.label, "units.parquet")
            write_work(self._units_file, self.units.stored(), STORED_UNIT)
        return self._units_file

    def numbers(self) -> DataFrame:
        """Numbers of the units in as many tasks as keep the cluster busy: 16 units a task where there are many."""
        return self._numbers(len(self.units))

    def _numbers(self, n: int) -> DataFrame:
        enough = max(2 * self.spark.sparkContext.defaultParallelism, n // 16)
        return self.spark.range(0, n, 1, max(1, min(self.partitions or enough, n)))

    def close(self) -> None:
        """Let go of what is kept on the executors."""
        for frame in self.persisted:
            frame.unpersist()

    def read_state(self, schema: pa.Schema, where: Any = None) -> DataFrame:
        """The step's state of earlier generations; `where` as pyarrow's `filters`."""
        return self._read(self.state, schema, where)

    def _read(self, files: list[str], schema: pa.Schema, where: Any = None) -> DataFrame:
        def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for i in batch.column(0).to_pylist():
                    with storage.open_read(files[i]) as f:
                        yield from pq.read_table(f, columns=schema.names, filters=where).cast(schema).to_batches()

        return self._numbers(len(files)).mapInArrow(read, from_arrow_schema(schema))

    def store(self, frame: DataFrame) -> DataFrame:
        """A small table written down and read back, so that plans do not grow from round to round."""
        schema = to_arrow_schema(frame.schema)
        files = self.write(frame, storage.join(self.work, "tables", self.label))
        return self._read(files, schema) if files else frame.limit(0)

    def write(self, frame: DataFrame, folder: str) -> list[str]:
        """Write a DataFrame to Parquet files in a folder, one a partition. :returns: their paths, complete and exact."""
        attempt = uuid.uuid4().hex[:12]
        schema = pa.schema([pa.field("path", pa.string())])

        def save(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            tables = [b for b in batches if b.num_rows]
            if tables:
                path = storage.join(folder, f"{attempt}-{uuid.uuid4().hex[:12]}.parquet")
                with storage.open_atomic(path) as f:
                    pq.write_table(pa.Table.from_batches(tables), f, compression="zstd")
                yield pa.RecordBatch.from_pydict({"path": [path]}, schema=schema)

        return sorted(r.path for r in frame.mapInArrow(save, from_arrow_schema(schema)).collect())


def units_of(path: str, batches: Iterator[pa.RecordBatch]) -> Iterator[Unit]:
    """The units whose numbers a task got, from `CrossContext.units_file`."""
    for batch in batches:
        numbers = batch.column(0).to_numpy()
        if len(numbers):
            yield from read_units(path, int(numbers[0]), int(numbers[-1]) + 1)


@functools.singledispatch
def compute_marks(step: CrossDocumentStep, context: CrossContext) -> tuple[DataFrame | None, list[str]]:
    """Decide which rows a cross-document step drops.

    :returns: a DataFrame of schema `MARK_ROWS` (None if the step decides by its record alone), and the state files that this
        pass adds.
    """
    raise TypeError(f"step {step.step!r} has no Spark part: register one with pipeline.spark.run.compute_marks")


def write_marks(frame: DataFrame, folder: str, partitions: int | None) -> int:
    """Write marks by row key; columns that the frame lacks are null. :returns: rows written."""
    missing = [f for f in MARK_ROWS if f.name not in frame.columns]
    nulls = (F.lit(None).cast(from_arrow_type(f.type)).alias(f.name) for f in missing)
    return write_rows(frame.select("*", *nulls), MARK_ROWS, folder, partitions)


def write_rows(frame: DataFrame, schema: pa.Schema, folder: str, partitions: int | None) -> int:
    """Write a table to bucket files sorted by row key, so that a task reads only its file's rows. :returns: rows written."""

    def save(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # A partition holds whole buckets, sorted; a bucket is a few million rows at most (64 input files).
        current: int | None = None
        held: list[pa.Table] = []

        def flush() -> int:
            if current is None:
                return 0
            table = pa.concat_tables(held)
            with storage.open_atomic(storage.join(folder, f"bucket-{current:06d}.parquet")) as f:
                pq.write_table(table, f, compression="zstd", row_group_size=64 * 1024)
            return int(table.num_rows)

        rows = 0
        for batch in batches:
            table = pa.Table.from_batches([batch])
            numbers = table["bucket"].to_numpy()
            starts = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist(), len(numbers)]
            for start, stop in itertools.pairwise(starts):
                if start == stop:
                    continue
                if numbers[start] != current:
                    rows += flush()
                    current, held = int(numbers[start]), []
                held.append(table.slice(start, stop - start).select(schema.names).cast(schema))
        rows += flush()
        yield pa.RecordBatch.from_pydict({"id": pa.array([rows], pa.int64())})

    bucketed = frame.withColumn("bucket", F.expr(f"cast(floor(file_no / {_files_per_bucket()}) as bigint)"))
    shuffled = bucketed.repartition(partitions, "bucket") if partitions else bucketed.repartition("bucket")
    ordered = shuffled.sortWithinPartitions("bucket", "file_no", "row_no")
    counts = ordered.mapInArrow(save, StructType([StructField("id", LongType())])).collect()
    return sum(r.id for r in counts)


def _files_per_bucket() -> int:
    """The smallest file number of bucket 1."""
    n = 1
    while bucket_of(n) == 0:
        n *= 2
    return n


def local_cpu_seconds(spark: SparkSession) -> float:
    """CPU seconds so far of the driver's JVM and all its descendants: with a local master that is everything.

    On a cluster it is the driver's part alone; on a system without /proc it is 0.
    """
    pid = int(spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid())  # type: ignore[union-attr]
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as f:
                    fields = f.read().rsplit(b")", 1)[1].split()
            except OSError:  # gone since the listing
                continue
            parents[int(entry)] = int(fields[1])
            ticks[int(entry)] = sum(map(int, fields[11:15]))  # own and reaped children's, user and system
    total = 0
    for process, used in ticks.items():
        ancestor = process
        while ancestor not in (0, pid):
            ancestor = parents.get(ancestor, 0)
        total += used if ancestor == pid else 0
    return total / os.sysconf("SC_CLK_TCK")


__all__ = ["CrossContext", "compute_marks", "map_each", "run_units", "write_marks"]
