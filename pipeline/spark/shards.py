"""The Spark part of the `shards` step: count tokens, solve the mixture, shuffle rows to shards.

This is the one place where content shuffles: a global shuffle of the training data is what it is for. Rows go to shards by
ranges of a hash, never by a sampled range partitioning, so the same rows make the same shards on any cluster.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipeline import storage
from pipeline.comparison.mixture import put_plans
from pipeline.config import StageConfig
from pipeline.executor import live_rows
from pipeline.schema import DOCUMENT
from pipeline.spark.run import CrossContext, compute_marks, units_of
from pipeline.tokenization.document_steps import Shards, Tokenize
from pipeline.tokenization.plan import Cell, Count, cells_of, copy_hash
from pipeline.tokenization.shard_files import SPLITS, ShardHeader, ShardInfo, Split, write_shard
from pipeline.tokenization.shard_rows import SHARD, is_validation, shard_number, shard_rows, shuffle_key
from pipeline.tokenization.shards import MANIFEST, Manifest, read_manifest, write_manifest
from pipeline.tokenization.solver import solve
from pipeline.units import Units

ROWS = SHARD.append(pa.field("shard_index", pa.int32(), nullable=False)).append(
    pa.field("shuffle", pa.int64(), nullable=False)
)
DOCUMENT_COLUMNS = ("doc_id", "url", "domain", "source", "language", "category", "generation")


@compute_marks.register
def plan_mixture(step: Shards, context: CrossContext) -> tuple[DataFrame | None, list[str]]:
    """No marks: the plans, one a generation, go into the record, and `Shards.decide` applies them.

    What comes to the driver is one row for each cell, a combination of the mixture's axes: its documents and tokens, and the
    hash of the last document that gets one copy more.
    """
    axes = step.mixture.axes
    schema = pa.schema(
        [
            pa.field("validation", pa.bool_()),
            DOCUMENT.field("generation"),
            *(pa.field(a, pa.string()) for a in axes),
            DOCUMENT.field("n_tokens"),
            pa.field("hash", pa.int64()),
        ]
    )

    def project(rows: pa.Table) -> pa.Table:
        domains, ids = rows["domain"].to_pylist(), rows["doc_id"].to_pylist()
        validation = is_validation(step.seed, domains, ids, step.validation_share)
        values = step.mixture.table(rows)
        hashes = _signed(copy_hash(ids, step.seed))
        columns = [pa.array(validation), rows["generation"], *values.columns, rows["n_tokens"], pa.array(hashes)]
        return pa.table(columns, schema=schema)

    rows = context.rows([*step.columns, "n_tokens"], project, schema)
    counted = rows.groupBy("validation", "generation", *axes).agg(
        F.count("*").alias("n"), F.sum("n_tokens").alias("tokens")
    )
    counts: dict[int, dict[Cell, Count]] = {}
    validation: dict[str, int] = {}
    for row in counted.collect():
        of_generation = counts.setdefault(row["generation"], {})
        if row["validation"]:
            validation[str(row["generation"])] = validation.get(str(row["generation"]), 0) + row["tokens"]
        else:
            of_generation[tuple(row[a] for a in axes)] = Count(row["n"], row["tokens"])
    plans = {g: solve(step.mixture, axes, cells) for g, cells in sorted(counts.items())}
    sought = {(g, cell): extra for g, plan in plans.items() for cell, extra in plan.sought().items()}
    last = _last_hashes(context.spark, rows, axes, sought)
    for g, plan in plans.items():
        plans[g] = plan.with_hashes({cell: last[g, cell] for cell in plan.sought()})
    put_plans(context.record, plans, validation)
    return None, []


def _last_hashes(
    spark: SparkSession, rows: DataFrame, axes: tuple[str, ...], sought: dict[tuple[int, Cell], int]
) -> dict[tuple[int, Cell], int]:
    """The k-th least hash of cells, exactly, without their hashes on the driver.

    First the documents of each cell are counted by the upper 16 bits of the hash: running sums tell in which of these buckets the
    k-th is. Then the hashes of that one bucket, a 65,536th of the cell, are ordered.

    :param rows: validation, generation, the axes, and the hash with its top bit flipped, so that signed order is its order.
    :param sought: k of each generation and cell, 1 <= k <= documents.
    """
    if not sought:
        return {}
    keys = list(sought)
    numbers = {key: i for i, key in enumerate(keys)}

    def number(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            table = table.filter(pa.compute.invert(table["validation"]))
            keys = zip(table["generation"].to_pylist(), cells_of(table.select(axes)), strict=True)
            ids = pa.array([numbers.get(key) for key in keys], pa.int32())
            yield from pa.table({"cell": ids, "hash": table["hash"]}).filter(ids.is_valid()).to_batches()

    hashes = rows.mapInArrow(number, "cell int, hash long").withColumn("bucket", F.shiftright("hash", 48))
    wanted = spark.createDataFrame([(i, sought[key]) for i, key in enumerate(keys)], "cell int, k long")
    sizes = hashes.groupBy("cell", "bucket").agg(F.count("*").alias("n"))
    sizes = sizes.withColumn("up_to", F.sum("n").over(Window.partitionBy("cell").orderBy("bucket")))
    at = sizes.join(F.broadcast(wanted), "cell").where("up_to >= k and up_to - n < k")
    places = at.selectExpr("cell", "bucket", "k - (up_to - n) as place").collect()
    of_place = spark.createDataFrame([tuple(p) for p in places], "cell int, bucket long, place long")
    order = F.row_number().over(Window.partitionBy("cell").orderBy("hash"))
    inside = hashes.join(F.broadcast(of_place), ["cell", "bucket"]).withColumn("rank", order)
    return {keys[r["cell"]]: r["hash"] + (1 << 63) for r in inside.where("rank = place").collect()}


def _signed(hashes: Any) -> Any:
    """uint64 as int64 in the same order, (n,): Spark has no unsigned integers, so the top bit is flipped."""
    return (hashes ^ np.uint64(1 << 63)).view(np.int64)


def write_shards(
    spark: SparkSession, config: StageConfig, work: str, units: Units, record: dict[str, Any]
) -> dict[str, Any]:
    """Write the shards of a pass and its manifest. Finished shards are not written again after a kill.

    :param units: units of the last round, each with its chunk.
    :param record: what `plan_mixture` left.
    :returns: totals per split, for the run record.
    """
    step = next(s for s in config.steps if isinstance(s, Shards))
    tokenizer = next(s for s in config.steps if isinstance(s, Tokenize)).get()
    output = config.output.path
    headers = _headers(step, config, record, tokenizer.sha256, tokenizer.eod_id)
    folder = storage.join(work, "shards")
    done = {int(n.removesuffix(".json")) for n in storage.names(folder)}
    if len(done) < len(headers):
        frame = _rows(spark, config, step, tokenizer.cut_scores, work, units, record, headers, done)
        _write(frame, step, output, folder, headers, len(headers) - len(done))
    infos = []
    for i, header in enumerate(headers):
        receipt = storage.join(folder, f"{i:06d}.json")
        if not storage.exists(receipt):  # no row came to this shard
            info = write_shard(output, header, [], step.row_group_tokens)
            storage.create(receipt, json.dumps(dataclasses.asdict(info)).encode())
        infos.append(ShardInfo(**storage.read_json(receipt)))
    old: tuple[ShardInfo, ...] = ()
    if storage.exists(storage.join(output, MANIFEST)):
        mine = {i.path for i in infos}
        old = tuple(s for s in read_manifest(output).shards if s.path not in mine)
    manifest = Manifest(tokenizer.as_dict(), config_sha256(config), step.seed, (*old, *infos))
    write_manifest(output, manifest, tokenizer)
    return manifest.totals()


def config_sha256(config: StageConfig) -> str:
    """Hash of everything that the shards depend on, apart from the input."""
    return hashlib.sha256(json.dumps(config.fingerprint(), sort_keys=True).encode()).hexdigest()


def _headers(
    step: Shards, config: StageConfig, record: dict[str, Any], tokenizer_sha256: str, eod_id: int
) -> list[ShardHeader]:
    """All shards of a pass, in order: as many a split and generation as its planned tokens need."""
    headers = []
    for generation, plan in sorted((int(g), p) for g, p in record["plans"].items()):
        tokens: dict[Split, int] = {
            "train": plan["tokens_after"],
            "validation": record["validation_tokens"].get(str(generation), 0),
        }
        for split in SPLITS:
            n = step.shard_count(tokens[split]) if tokens[split] else 0
            headers += [
                ShardHeader(split, generation, i, n, step.seed, eod_id, tokenizer_sha256, config_sha256(config))
                for i in range(n)
            ]
    return headers


def _rows(
    spark: SparkSession,
    config: StageConfig,
    step: Shards,
    cut_scores: Any,
    work: str,
    units: Units,
    record: dict[str, Any],
    headers: list[ShardHeader],
    done: set[int],
) -> DataFrame:
    """Rows of the shards that are still to be written, with the index of their shard and their place in it."""
    first: dict[tuple[str, int], tuple[int, int]] = {}  # split, generation -> index of its first shard, their number
    for i, header in enumerate(headers):
        first.setdefault((header.split, header.generation), (i, header.n_shards))
    names = list(dict.fromkeys([*DOCUMENT_COLUMNS, *step.columns, "input_ids", "row_no"]))

    def make(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for unit in units_of(path, batches):
            for documents in live_rows(work, unit, names, {}):
                yield from table_rows(documents).to_batches()

    def table_rows(documents: pa.Table) -> pa.Table:
        copies, validation, _ = step.copies(documents, record)
        generations = documents["generation"].to_numpy()
        pieces = []
        for split, chosen in (("train", ~validation), ("validation", validation)):
            for generation in sorted(set(generations.tolist())):
                here = chosen & (generations == generation)
                if not here.any() or (split, generation) not in first:
                    continue
                rows = shard_rows(documents.filter(pa.array(here)), copies[here], step, cut_scores)
                keys = shuffle_key(step.seed, rows)
                start, n = first[split, generation]
                index = (start + shard_number(keys, n)).astype(np.int32)
                signed = _signed(keys)
                table = rows.append_column(ROWS.field("shard_index"), pa.array(index))
                pieces.append(table.append_column(ROWS.field("shuffle"), pa.array(signed)))
        out = pa.concat_tables(pieces) if pieces else ROWS.empty_table()
        if done:
            out = out.filter(
                pa.compute.invert(pa.compute.is_in(out["shard_index"], pa.array(sorted(done), pa.int32())))
            )
        return out

    context = CrossContext(spark, step.step, work, units, {}, [], config.spark.partitions)
    path = context.units_file()
    return context.numbers().mapInArrow(make, from_arrow_schema(ROWS))


def _write(
    frame: DataFrame, step: Shards, output: str, folder: str, headers: list[ShardHeader], partitions: int
) -> None:
    """Shuffle rows to their shards and write each, with a receipt."""

    def save(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # Whole shards, sorted: rows of one come together, a batch may hold the end of one and the beginning of the next.
        pending = _by_shard(batches)
        for index, tables in pending:
            info = write_shard(output, headers[index], tables, step.row_group_tokens)
            storage.create(storage.join(folder, f"{index:06d}.json"), json.dumps(dataclasses.asdict(info)).encode())
            yield pa.RecordBatch.from_pydict({"id": pa.array([index], pa.int64())})

    shuffled = frame.repartition(partitions, "shard_index")
    ordered = shuffled.sortWithinPartitions("shard_index", "shuffle", "doc_id", "copy", "part")
    ordered.mapInArrow(save, "id long").collect()


def _by_shard(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, Iterator[pa.Table]]]:
    """Runs of rows of one shard, each an iterator of tables that must be used up before the next run is asked for."""
    held: list[tuple[int, pa.Table]] = []

    def pieces() -> Iterator[tuple[int, pa.Table]]:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            index = table["shard_index"].to_numpy()
            cuts = [0, *(np.flatnonzero(index[1:] != index[:-1]) + 1).tolist(), len(index)]
            for a, b in itertools.pairwise(cuts):
                if b > a:
                    yield int(index[a]), table.slice(a, b - a).select(SHARD.names).cast(SHARD)

    source = pieces()

    def run(index: int, first: pa.Table) -> Iterator[pa.Table]:
        yield first
        for i, table in source:
            if i != index:
                held.append((i, table))
                return
            yield table

    for i, table in source:
        held.append((i, table))
        while held:
            index, head = held.pop()
            yield index, run(index, head)
