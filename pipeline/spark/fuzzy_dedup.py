"""Near-duplicates over the corpus: the Spark part of `fuzzy_dedup`.

    rank       documents sorted by the step's order (`forest`)
    entries    per document and band (band key, rank): 16 bytes, all that shuffles of every document but its sketch
    pairs      from each bucket (document, one of the first few members): star edges, never all pairs
    sketches   asked for by those who hold a pair: a task gets one copy of a sketch, however many pairs need it
    parents    the first candidate that is similar enough; survivors are the roots of the forest they form

Buckets need no end of memory for being large, since a member is compared with the first few alone; tasks hold one part of
the records at a time, and the parts are many.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipeline import storage
from pipeline.comparison.similar import DOCUMENT_ID
from pipeline.packed import PACKED, Blobs, batches, pack, pack_payloads, unpack, unpack_payloads
from pipeline.rule_based import fuzzy_pairs
from pipeline.rule_based.fuzzy_dedup import FuzzyDedup
from pipeline.rule_based.fuzzy_pairs import (
    DOCUMENTS_A_PART,
    DOCUMENTS_AT_ONCE,
    ENTRY,
    ENTRY_RECORD,
    PAIR,
    PAIR_RECORD,
    PAYLOAD,
    REPLY,
    REQUEST,
    REQUEST_RECORD,
    bucket_pairs,
    hashed,
    payload_dtype,
)
from pipeline.spark import forest
from pipeline.spark.exchange import exchange, exchange_rows
from pipeline.spark.run import CrossContext, compute_marks
from pipeline.strict import UserError


@compute_marks.register
def near_duplicates(step: FuzzyDedup, context: CrossContext) -> tuple[DataFrame | None, list[str]]:
    """Marks of near-duplicates; state: entries, sketches and survivors of the documents of this pass."""
    if context.state and step.keep != "parent":
        raise UserError(
            f"{context.label}: keep: {step.keep} would revoke documents that are published; it is for a single batch. "
            "Make the output again (--set run.overwrite=true) or use keep: parent"
        )
    known = forest.known_documents(context)
    base = forest.first_rank(known)
    ranked, n = forest.rank_documents(context, base)
    folder = forest.write_ranks(context, ranked)
    parts = max(context.spark.sparkContext.defaultParallelism * 2, -(-(base + n) // DOCUMENTS_A_PART))
    packed = _packed(step, context, folder, parts)
    everything = packed
    if context.state:
        old = context.read_state(PACKED, [("kind", "!=", DOCUMENT_ID)])
        everything = packed.unionByName(_split_again(old, parts, payload_dtype(step)))
    pairs = _pairs(step, context, everything, parts, base)
    edges = _verified(step, context, pairs, everything, parts)
    decisions = forest.named(forest.decided(step, context, edges), ranked, known)
    decisions.persist(StorageLevel.DISK_ONLY)
    context.persisted.append(decisions)
    size = F.sum(F.length("data")).alias("bytes")
    compared = pairs.where(F.col("kind") == PAIR).agg(size).collect()[0].bytes or 0
    context.record.update(
        {"pairs_compared": compared // PAIR_RECORD.itemsize} | forest.report(step, decisions, ranked, n)
    )
    state = context.write(packed, storage.join(context.work, "state", context.label))
    state += context.write(forest.state_ids(ranked, decisions), storage.join(context.work, "state", context.label))
    return forest.marks_of(decisions, "near_duplicate"), state


def _packed(step: FuzzyDedup, context: CrossContext, ranks: str, parts: int) -> DataFrame:
    """Entries and payloads of all documents that take part."""

    def project(rows: pa.Table) -> pa.Table:
        of_rows = forest.ranks_of(ranks, rows)
        made: list[pa.RecordBatch] = []
        for start in range(0, rows.num_rows, DOCUMENTS_AT_ONCE):
            texts = [t or "" for t in rows["text"].slice(start, DOCUMENTS_AT_ONCE).to_pylist()]
            made += batches(hashed(step, texts, of_rows[start : start + DOCUMENTS_AT_ONCE], parts))
        return pa.Table.from_batches(made, PACKED)

    return context.rows(["text"], project, PACKED)


def _split_again(old: DataFrame, parts: int, dtype: Any) -> DataFrame:
    """Blobs of an earlier pass, which had another number of parts."""

    def work(incoming: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        def rows() -> Iterator[tuple[int, int, bytes]]:
            for batch in incoming:
                for kind, blob in zip(batch.column("kind").to_pylist(), batch.column("data").to_pylist(), strict=True):
                    if kind >= ENTRY:
                        entries = unpack([blob], ENTRY_RECORD)
                        yield from pack(kind, (entries["key"] % np.uint64(parts)).astype(np.int64), entries)
                    else:
                        ranks, flat, offsets = unpack_payloads([blob], dtype)
                        yield from pack_payloads(PAYLOAD, ranks % parts, ranks, flat, offsets[:-1], offsets[1:])

        yield from batches(rows())

    return old.mapInArrow(work, from_arrow_schema(PACKED))


def _pairs(step: FuzzyDedup, context: CrossContext, packed: DataFrame, parts: int, base: int) -> DataFrame:
    """Each document's candidates, once, at the document's part; and the requests for what comparing them needs."""

    def buckets(part: int, blobs: Blobs) -> Iterator[tuple[int, int, bytes]]:
        entries = unpack([b for of_kind in blobs.values() for b in of_kind], ENTRY_RECORD)
        pairs = bucket_pairs(entries, step.candidates, base)
        yield from pack(PAIR, pairs["rank"] % parts, pairs)

    def collect(part: int, blobs: Blobs) -> Iterator[tuple[int, int, bytes]]:
        pairs = np.unique(unpack(blobs[PAIR], PAIR_RECORD))
        yield PAIR, part, pairs.tobytes()
        if step.verify != "none":
            needed = np.unique(np.concatenate([pairs["rank"], pairs["candidate"]]))
            asked = np.empty(len(needed), REQUEST_RECORD)
            asked["rank"], asked["part"] = needed, part
            yield from pack(REQUEST, needed % parts, asked)

    of_groups = []
    for group in range(step.band_groups):
        one = exchange(packed.where(F.col("kind") == ENTRY + group), buckets)
        if step.band_groups > 1:  # one after the other: that is what groups are for
            one = one.persist(StorageLevel.DISK_ONLY)
            context.persisted.append(one)
            one.count()
        of_groups.append(one)
    together = of_groups[0]
    for one in of_groups[1:]:
        together = together.unionByName(one)
    pairs = exchange(together, collect).persist(StorageLevel.DISK_ONLY)
    context.persisted.append(pairs)
    return pairs


def _verified(step: FuzzyDedup, context: CrossContext, pairs: DataFrame, packed: DataFrame, parts: int) -> DataFrame:
    """Pairs that count: of each document the first similar candidate, or every similar one for `keep: component`.

    :returns: columns of `forest.VERIFIED`.
    """
    dtype = payload_dtype(step)

    def reply(part: int, blobs: Blobs) -> Iterator[tuple[int, int, bytes]]:
        if REQUEST not in blobs:
            return
        ranks, flat, offsets = unpack_payloads(blobs[PAYLOAD], dtype)
        order = np.argsort(ranks)
        asked = unpack(blobs[REQUEST], REQUEST_RECORD)
        at = order[np.searchsorted(ranks, asked["rank"], sorter=order)]
        yield from pack_payloads(REPLY, asked["part"], asked["rank"], flat, offsets[at], offsets[at + 1])

    def compare(part: int, blobs: Blobs) -> Iterator[pa.RecordBatch]:
        pairs = unpack(blobs[PAIR], PAIR_RECORD)
        similarity: Any = None
        if step.verify != "none":
            ranks, flat, offsets = unpack_payloads(blobs[REPLY], dtype)
            order = np.argsort(ranks)
            left = order[np.searchsorted(ranks, pairs["rank"], sorter=order)]
            right = order[np.searchsorted(ranks, pairs["candidate"], sorter=order)]
            similarity = fuzzy_pairs.similarity(step, flat, offsets, left, right)
            alike = similarity >= step.threshold
            pairs, similarity = pairs[alike], similarity[alike]
        if step.keep != "component":  # pairs are sorted: the first of a document is its first candidate
            _, firsts = np.unique(pairs["rank"], return_index=True)
            pairs, similarity = pairs[firsts], None if similarity is None else similarity[firsts]
        arrays = [
            pa.array(pairs["rank"].astype(np.int64)),
            pa.array(pairs["candidate"].astype(np.int64)),
            pa.nulls(len(pairs), pa.float64()) if similarity is None else pa.array(similarity),
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=forest.VERIFIED)

    incoming = pairs.where(F.col("kind") == PAIR)
    if step.verify != "none":
        asking = pairs.where(F.col("kind") == REQUEST).unionByName(packed.where(F.col("kind") == PAYLOAD))
        incoming = incoming.unionByName(exchange(asking, reply))
    edges = exchange_rows(incoming, compare, forest.VERIFIED).persist(StorageLevel.DISK_ONLY)
    context.persisted.append(edges)
    return edges


__all__ = ["near_duplicates"]
