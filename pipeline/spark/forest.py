"""Common part of deduplication by similarity: documents in order, a forest of parents, survivors at its roots.

A document's parent comes before it in the order, so a tree's root is the first of its documents, and what is kept depends on
earlier documents alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel, TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipeline import storage
from pipeline.comparison.similar import DOCUMENT_ID, ID_RECORD, META, META_COLUMNS, ORDER, TOLD, alarms_of, meta_of
from pipeline.executor import read_rows
from pipeline.packed import PACKED, Parts, batches, unpack
from pipeline.rule_based import components
from pipeline.spark.components import star
from pipeline.spark.run import CrossContext, write_rows
from pipeline.steps import NearDuplicateStep

RANKS = pa.schema([META.field("file_no"), META.field("row_no"), pa.field("rank", pa.int64(), nullable=False)])
RANKED = pa.schema([*RANKS, META.field("doc_id"), META.field("domain")])
VERIFIED = pa.schema(
    [
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("parent", pa.int64(), nullable=False),
        pa.field("similarity", pa.float64()),
    ]
)
KNOWN = pa.schema([RANKS.field("rank"), META.field("doc_id"), pa.field("survivor", pa.string(), nullable=False)])


def rank_documents(context: CrossContext, base: int) -> tuple[DataFrame, int]:
    """Documents with their place in the order, from `base` on: 64 bits that stand for the document from here on.

    :returns: columns of `RANKED`; how many there are.
    """

    meta = context.rows(META_COLUMNS, meta_of, META)
    # Where ranges end is sampled; what place a document has in the whole does not depend on it.
    tasks = int(context.spark.conf.get("spark.sql.shuffle.partitions"))  # type: ignore[arg-type]
    ordered = meta.repartitionByRange(tasks, *ORDER).sortWithinPartitions(*ORDER).persist(StorageLevel.DISK_ONLY)
    context.persisted.append(ordered)

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = sum(b.num_rows for b in batches)
        yield pa.RecordBatch.from_pydict({"part": [_partition()], "rows": [rows]})

    counts = {r.part: r.rows for r in ordered.mapInArrow(count, "part long, rows long").collect()}
    starts = {part: base + sum(counts[p] for p in counts if p < part) for part in counts}

    def number(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        start = starts[_partition()]
        for batch in batches:
            ranks = pa.array(np.arange(start, start + batch.num_rows))
            start += batch.num_rows
            columns = {**{n: batch.column(n) for n in ("file_no", "row_no", "doc_id", "domain")}, "rank": ranks}
            yield pa.RecordBatch.from_arrays([columns[n] for n in RANKED.names], schema=RANKED)

    return ordered.mapInArrow(number, from_arrow_schema(RANKED)), sum(counts.values())


def _partition() -> int:
    here = TaskContext.get()
    assert here is not None
    return int(here.partitionId())


def write_ranks(context: CrossContext, ranked: DataFrame) -> str:
    """Write the ranks where tasks find those of their rows. :returns: the folder, for `ranks_of`."""
    folder = storage.join(context.work, "ranks", context.label)
    write_rows(ranked, RANKS, folder, context.partitions)
    return folder


def ranks_of(folder: str, rows: pa.Table) -> Parts:
    """Ranks of rows of one file, ascending by row, int64 (n,)."""
    file_no, row_nos = rows["file_no"][0].as_py(), rows["row_no"].to_numpy()
    table = read_rows(folder, RANKS, file_no, int(row_nos[0]), int(row_nos[-1]) + 1)
    return np.asarray(table["rank"].to_numpy()[np.searchsorted(table["row_no"].to_numpy(), row_nos)])


def first_rank(known: DataFrame | None) -> int:
    """The rank of the first document of this pass: after all that are known."""
    return 0 if known is None else 1 + int(known.agg(F.max("rank").alias("rank")).collect()[0].rank)


def marks_of(decisions: DataFrame, reason: str) -> DataFrame:
    """Marks of what `named` returns; the value is the similarity to the parent, and the parent if it was dropped itself."""
    similar = F.format_string("%.3f", F.col("similarity"))
    through = F.concat(similar, F.lit(" to "), F.col("parent_id"))
    return decisions.select(
        "file_no",
        "row_no",
        F.lit(reason).alias("reason"),
        F.when(F.col("parent_id") == F.col("duplicate_of"), similar).otherwise(through).alias("value"),
        "duplicate_of",
    )


def decided(step: NearDuplicateStep, context: CrossContext, edges: DataFrame) -> DataFrame:
    """Documents that are not the first of their component. :returns: columns rank, root, parent, similarity.

    Where each document has one parent, before it, a component is a tree whose least rank is its root: following parents or
    joining components is the same.
    """
    if edges.count() <= step.driver_edges:
        table = edges.select("rank", "parent").toArrow()
        nodes, roots = components.roots(table["rank"].to_numpy(), table["parent"].to_numpy())
        moved = nodes != roots
        labels = context.spark.createDataFrame(pa.table({"rank": nodes[moved], "root": roots[moved]}))
    else:
        labels = star(edges.select(F.col("rank").alias("a"), F.col("parent").alias("b")), context.store)
        labels = labels.select(F.col("node").alias("rank"), F.col("root")).where("rank != root")
    best = edges.groupBy("rank").agg(F.min(F.struct("parent", "similarity")).alias("best"))
    joined = labels.join(best, "rank", "left")
    # A document can be joined to a component by later ones alone: its parent is then the root.
    parent = F.coalesce(F.col("best.parent"), F.col("root")).alias("parent")
    return joined.select("rank", "root", parent, F.col("best.similarity").alias("similarity"))


def known_documents(context: CrossContext) -> DataFrame | None:
    """Documents of earlier generations and their survivors: columns of `KNOWN`."""
    if not context.state:
        return None

    def work(incoming: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in incoming:
            records = unpack(batch.column("data").to_pylist(), ID_RECORD)
            arrays = [
                pa.array(records["rank"].astype(np.int64)),
                *(pa.array(records[n].tolist(), pa.binary()).cast(pa.string()) for n in ("doc_id", "survivor")),
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=KNOWN)

    old = context.read_state(PACKED, [("kind", "=", DOCUMENT_ID)])
    frame = old.mapInArrow(work, from_arrow_schema(KNOWN)).persist(StorageLevel.DISK_ONLY)
    context.persisted.append(frame)
    return frame


def named(trees: DataFrame, ranked: DataFrame, known: DataFrame | None) -> DataFrame:
    """Documents that are not roots, with their row keys and the names of survivor and parent.

    :returns: columns file_no, row_no, rank, domain, root, duplicate_of, parent_id, similarity.
    """
    ids = ranked.select("rank", "doc_id", F.col("doc_id").alias("survivor"))
    if known is not None:
        ids = ids.unionByName(known)
    # Named once each, then told to all that have them: a root has up to all documents of a cluster.
    roots = trees.select(F.col("root").alias("rank")).distinct().join(ids, "rank")
    parents = trees.select(F.col("parent").alias("rank")).distinct().join(ids, "rank")
    roots = roots.select(F.col("rank").alias("root"), F.col("survivor").alias("duplicate_of"))
    parents = parents.select(F.col("rank").alias("parent"), F.col("doc_id").alias("parent_id"))
    places = ranked.select("rank", "file_no", "row_no", "domain")
    columns = ["file_no", "row_no", "rank", "domain", "root", "duplicate_of", "parent_id", "similarity"]
    return trees.join(places, "rank").join(roots, "root").join(parents, "parent").select(columns)


def state_ids(ranked: DataFrame, decisions: DataFrame) -> DataFrame:
    """Documents of this pass and their survivors, packed."""

    def work(incoming: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        def rows() -> Iterator[tuple[int, int, bytes]]:
            for batch in incoming:
                records = np.empty(batch.num_rows, ID_RECORD)
                records["rank"] = batch.column("rank").to_numpy()
                for name in ("doc_id", "survivor"):
                    records[name] = batch.column(name).cast(pa.binary()).to_pylist()
                yield DOCUMENT_ID, 0, records.tobytes()

        yield from batches(rows())

    survivors = ranked.select("rank", "doc_id").join(decisions.select("rank", "duplicate_of"), "rank", "left")
    named = survivors.select("rank", "doc_id", F.coalesce("duplicate_of", "doc_id").alias("survivor"))
    return named.mapInArrow(work, from_arrow_schema(PACKED))


def report(step: NearDuplicateStep, decisions: DataFrame, ranked: DataFrame, n: int) -> dict[str, Any]:
    """Summary of a pass for people: sizes, the largest clusters, domains that lost much, and alarms."""
    clusters = decisions.groupBy("duplicate_of").agg(
        (F.count("*") + 1).alias("documents"), F.count_distinct("domain").alias("domains")
    )
    largest = clusters.orderBy(F.desc("documents"), "duplicate_of").limit(TOLD).collect()
    giant = clusters.where(F.col("documents") > step.alarm_cluster).count()
    of_domain = ranked.groupBy("domain").agg(F.count("*").alias("documents"))
    lost = decisions.groupBy("domain").agg(F.count("*").alias("dropped"))
    enough = of_domain.where(F.col("documents") >= step.alarm_domain_documents).join(lost, "domain")
    share = F.col("dropped") / F.col("documents")
    vanishing = enough.where(share > step.alarm_domain_share).withColumn("share", share)
    domains = vanishing.orderBy(F.desc("dropped"), "domain").limit(TOLD).collect()
    alarms = alarms_of(
        step, [r.asDict() for r in largest], giant, [(r.domain, r.dropped, r.documents) for r in domains]
    )
    return {
        "documents": n,
        "dropped": decisions.count(),
        "clusters": clusters.count(),
        "largest_clusters": [r.asDict() for r in largest],
        "alarms": alarms,
    }
