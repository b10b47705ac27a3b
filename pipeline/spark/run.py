"""Send units of work to Spark, and read rows back for the cross-document steps.

Each unit is one Spark task: a number in, nothing of the corpus through the JVM. Only keys of cross-document steps shuffle.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

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
from pipeline.executor import (
    MARK_ROWS,
    Group,
    Receipt,
    Task,
    Unit,
    bucket_of,
    committed_receipts,
    live_rows,
    publish_group,
    run_unit,
)
from pipeline.progress import Progress
from pipeline.steps import CrossDocumentStep

Work = TypeVar("Work", Unit, Group)


def map_each(
    spark: SparkSession, items: Sequence[Any], call: Callable[[Any], Any], partitions: int | None
) -> list[Any]:
    """Call a function on each item in Spark tasks: one task an item, or `partitions` tasks in all.

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


def run_units(
    spark: SparkSession, task: Task, units: list[Unit], progress: Progress, config: Any
) -> dict[str, Receipt]:
    """Do the units that have no receipt yet, in waves. :returns: the receipts of all, by unit id, in order."""
    return _run(spark, task, units, functools.partial(run_unit, task), progress, config)


def publish_groups(
    spark: SparkSession, task: Task, groups: list[Group], output: str, progress: Progress, config: Any
) -> dict[str, Receipt]:
    """Publish the groups that have no receipt yet."""
    return _run(spark, task, groups, _Publish(task, output), progress, config)


@dataclass(frozen=True)
class _Publish:
    task: Task
    output: str

    def __call__(self, group: Group) -> None:
        publish_group(self.task, group, self.output)


def _run(
    spark: SparkSession, task: Task, work: list[Work], call: Callable[[Work], None], progress: Progress, config: Any
) -> dict[str, Receipt]:
    wanted = {w.unit_id for w in work}
    done = {k: r for k, r in committed_receipts(task).items() if k in wanted}
    todo = [w for w in work if w.unit_id not in done]
    with progress.units(task.folder("receipts"), total=len(work), done=len(done)):
        for i in range(0, len(todo), config.run.wave_units):
            map_each(spark, todo[i : i + config.run.wave_units], call, config.spark.partitions)
    receipts = committed_receipts(task) if todo else done
    missing = [w.unit_id for w in work if w.unit_id not in receipts]
    if missing:
        raise OSError(f"{len(missing)} units ended without a receipt, the first {missing[0]}: the store lost a file")
    return {w.unit_id: receipts[w.unit_id] for w in work}


@dataclass
class CrossContext:
    """Context of a cross-document step's Spark part."""

    spark: SparkSession
    label: str
    work: str
    units: list[Unit]
    """Units of the round just done, each with its chunk."""
    earlier_mark_folders: dict[str, str]
    """Marks of cross-document steps of the same round that come before this one."""
    state: list[str]
    """This step's state files of earlier generations, full paths."""
    partitions: int | None
    record: dict[str, Any] = field(default_factory=dict)
    """Entries of the step for `_run.json`."""
    persisted: list[DataFrame] = field(default_factory=list)

    def rows(self, columns: Sequence[str], project: Callable[[pa.Table], pa.Table], schema: pa.Schema) -> DataFrame:
        """Live rows of the round as a DataFrame of `schema`, made by `project` from chunk columns inside the tasks."""
        units, work, marks = self.units, self.work, self.earlier_mark_folders
        names = list(dict.fromkeys([*columns, "file_no", "row_no"]))

        def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for i in batch.column(0).to_pylist():
                    for table in live_rows(work, units[i], names, marks):
                        yield from project(table).select(schema.names).cast(schema).to_batches()

        # Read once, used for marks and for state: what is kept on the executors' disks are keys, never text.
        frame = self._numbers(len(units)).mapInArrow(read, from_arrow_schema(schema))
        frame.persist(StorageLevel.DISK_ONLY)
        self.persisted.append(frame)
        return frame

    def _numbers(self, n: int) -> DataFrame:
        """0..n-1 in as many tasks as keep the cluster busy: 16 small files a task where there are many."""
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
