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
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipeline import storage
from pipeline.config import StageConfig
from pipeline.executor import Unit
from pipeline.schema import DOCUMENT
from pipeline.spark.run import CrossContext, compute_marks, live_rows
from pipeline.strict import UserError
from pipeline.tokenization import shards as shard_files
from pipeline.tokenization.document_steps import Shards, Tokenize
from pipeline.tokenization.mixture import Count, solve
from pipeline.tokenization.shards import SHARD, SPLITS, ShardHeader, ShardInfo, Split

ROWS = SHARD.append(pa.field("shard_index", pa.int32(), nullable=False)).append(
    pa.field("shuffle", pa.int64(), nullable=False)
)
DOCUMENT_COLUMNS = ("doc_id", "url", "domain", "source", "language", "generation")


@compute_marks.register
def plan_mixture(step: Shards, context: CrossContext) -> tuple[DataFrame | None, list[str]]:
    """No marks: the plans, one a generation, go into the record, and `Shards.decide` applies them.

    The counts on the driver are one row for each combination of the mixture's columns.
    """
    axes = step.mixture.axes
    unknown = [a for a in axes if a not in DOCUMENT.names]
    if unknown:
        raise UserError(f"mixture: no column {', '.join(unknown)}; documents have {', '.join(DOCUMENT.names)}")
    schema = pa.schema(
        [pa.field("validation", pa.bool_()), *(DOCUMENT.field(n) for n in ("generation", *axes, "n_tokens"))]
    )

    def project(rows: pa.Table) -> pa.Table:
        domains, ids = rows["domain"].to_pylist(), rows["doc_id"].to_pylist()
        validation = shard_files.is_validation(step.seed, domains, ids, step.validation_share)
        return rows.append_column("validation", pa.array(validation))

    rows = context.rows([*schema.names[1:], "domain", "doc_id"], project, schema)
    counted = rows.groupBy("validation", "generation", *axes).agg(
        F.count("*").alias("n"), F.sum("n_tokens").alias("tokens")
    )
    counts: dict[int, dict[tuple[str | None, ...], Count]] = {}
    validation: dict[str, int] = {}
    for row in counted.collect():
        of_generation = counts.setdefault(row["generation"], {})
        if row["validation"]:
            validation[str(row["generation"])] = validation.get(str(row["generation"]), 0) + row["tokens"]
        else:
            of_generation[tuple(row[a] for a in axes)] = Count(row["n"], row["tokens"])
    plans = {g: solve(step.mixture, axes, cells) for g, cells in sorted(counts.items())}
    context.record["plans"] = {str(g): plan.as_dict() for g, plan in plans.items()}
    context.record["tables"] = {str(g): plan.table() for g, plan in plans.items()}
    context.record["validation_tokens"] = validation
    return None, []


def write_shards(
    spark: SparkSession, config: StageConfig, work: str, units: list[Unit], record: dict[str, Any]
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
            info = shard_files.write_shard(output, header, [], step.row_group_tokens)
            storage.create(receipt, json.dumps(dataclasses.asdict(info)).encode())
        infos.append(ShardInfo(**storage.read_json(receipt)))
    old: tuple[ShardInfo, ...] = ()
    if storage.exists(storage.join(output, shard_files.MANIFEST)):
        mine = {i.path for i in infos}
        old = tuple(s for s in shard_files.read_manifest(output).shards if s.path not in mine)
    manifest = shard_files.Manifest(tokenizer.as_dict(), config_sha256(config), step.seed, (*old, *infos))
    shard_files.write_manifest(output, manifest, tokenizer)
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
    units: list[Unit],
    record: dict[str, Any],
    headers: list[ShardHeader],
    done: set[int],
) -> DataFrame:
    """Rows of the shards that are still to be written, with the index of their shard and their place in it."""
    first: dict[tuple[str, int], tuple[int, int]] = {}  # split, generation -> index of its first shard, their number
    for i, header in enumerate(headers):
        first.setdefault((header.split, header.generation), (i, header.n_shards))
    names = list(dict.fromkeys([*DOCUMENT_COLUMNS, *step.mixture.axes, "input_ids", "row_no"]))

    def make(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for unit_no in batch.column(0).to_pylist():
                for documents in live_rows(work, units[unit_no], names, {}):
                    yield from table_rows(documents).to_batches()

    def table_rows(documents: pa.Table) -> pa.Table:
        columns = {n: documents[n].to_pylist() for n in names if n != "input_ids"}
        copies, validation, _ = step.copies(columns, record)
        pieces = []
        for split, chosen in (("train", ~validation), ("validation", validation)):
            for generation in sorted(set(columns["generation"])):
                here = chosen & (np.array(columns["generation"]) == generation)
                if not here.any() or (split, generation) not in first:
                    continue
                rows = shard_files.shard_rows(documents.filter(pa.array(here)), copies[here], step, cut_scores)
                keys = shard_files.shuffle_key(step.seed, rows)
                start, n = first[split, generation]
                index = (start + shard_files.shard_number(keys, n)).astype(np.int32)
                # Spark has no unsigned integers: flipping the top bit keeps the order.
                signed = (keys ^ np.uint64(1 << 63)).view(np.int64)
                table = rows.append_column(ROWS.field("shard_index"), pa.array(index))
                pieces.append(table.append_column(ROWS.field("shuffle"), pa.array(signed)))
        out = pa.concat_tables(pieces) if pieces else ROWS.empty_table()
        if done:
            out = out.filter(
                pa.compute.invert(pa.compute.is_in(out["shard_index"], pa.array(sorted(done), pa.int32())))
            )
        return out

    n = len(units)
    numbers = spark.range(0, n, 1, max(1, min(config.spark.partitions or n, n)))
    return numbers.mapInArrow(make, from_arrow_schema(ROWS))


def _write(
    frame: DataFrame, step: Shards, output: str, folder: str, headers: list[ShardHeader], partitions: int
) -> None:
    """Shuffle rows to their shards and write each, with a receipt."""

    def save(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # Whole shards, sorted: rows of one come together, a batch may hold the end of one and the beginning of the next.
        pending = _by_shard(batches)
        for index, tables in pending:
            info = shard_files.write_shard(output, headers[index], tables, step.row_group_tokens)
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
