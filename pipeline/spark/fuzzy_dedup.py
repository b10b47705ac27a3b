"""Near-duplicates over the corpus: the Spark part of `fuzzy_dedup`.

    rank       documents sorted by the step's order; the rank, 64 bits, stands for the document from here on
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
import pyarrow.compute as pc
from pyspark import StorageLevel, TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipeline import storage
from pipeline.executor import read_rows
from pipeline.rule_based import components
from pipeline.rule_based.fuzzy_dedup import FuzzyDedup
from pipeline.rule_based.minhash import jaccard, sketch_similarity
from pipeline.spark.components import star
from pipeline.spark.exact_dedup import LAST
from pipeline.spark.packed import (
    PACKED,
    Array,
    Blobs,
    Parts,
    batches,
    exchange,
    exchange_rows,
    pack,
    pack_payloads,
    unpack,
    unpack_payloads,
)
from pipeline.spark.run import CrossContext, compute_marks, write_rows
from pipeline.strict import UserError

META = pa.schema(
    [
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("shortness", pa.int64(), nullable=False),  # minus the characters: the longest comes first
        pa.field("time", pa.int64(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("file_no", pa.int64(), nullable=False),
        pa.field("row_no", pa.int64(), nullable=False),
        pa.field("domain", pa.string()),
    ]
)
ORDER = ["generation", "shortness", "time", "doc_id", "file_no", "row_no"]
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

PAYLOAD, PAIR, REQUEST, REPLY, DOCUMENT_ID, ENTRY = range(6)  # kinds of blobs; ENTRY + g for band group g
ENTRY_RECORD = np.dtype([("key", "<u8"), ("rank", "<i8")])
PAIR_RECORD = np.dtype([("rank", "<i8"), ("candidate", "<i8")])
REQUEST_RECORD = np.dtype([("rank", "<i8"), ("part", "<i8")])
ID_RECORD = np.dtype([("rank", "<i8"), ("doc_id", "S32"), ("survivor", "S32")])

DOCUMENTS_A_PART = 40_000
"""At 128 bands 5 million entries: 80 MB, and a few times that while they are sorted."""
DOCUMENTS_AT_ONCE = 512  # signatures of 8 kB
TOLD = 20


@compute_marks.register
def near_duplicates(step: FuzzyDedup, context: CrossContext) -> tuple[DataFrame | None, list[str]]:
    """Marks of near-duplicates; state: entries, sketches and survivors of the documents of this pass."""
    if context.state and step.keep != "parent":
        raise UserError(
            f"{context.label}: keep: {step.keep} would revoke documents that are published; it is for a single batch. "
            "Make the output again (--set run.overwrite=true) or use keep: parent"
        )
    known = _known(context)
    base = 0
    if known is not None:
        base = 1 + int(known.agg(F.max("rank").alias("rank")).collect()[0].rank)
    ranked, n = _rank(context, base)
    folder = storage.join(context.work, "ranks", context.label)
    write_rows(ranked, RANKS, folder, context.partitions)
    parts = max(context.spark.sparkContext.defaultParallelism * 2, -(-(base + n) // DOCUMENTS_A_PART))
    packed = _packed(step, context, folder, parts)
    everything = packed
    if context.state:
        old = context.read_state(PACKED, [("kind", "!=", DOCUMENT_ID)])
        everything = packed.unionByName(_split_again(old, parts, _dtype(step)))
    pairs = _pairs(step, context, everything, parts, base)
    edges = _verified(step, context, pairs, everything, parts)
    decided = _decided(step, context, edges)
    found = _named(decided, ranked, known)
    found.persist(StorageLevel.DISK_ONLY)
    context.persisted.append(found)
    context.record.update(_report(step, found, ranked, n, pairs))
    similar = F.format_string("%.3f", F.col("similarity"))
    through = F.concat(similar, F.lit(" to "), F.col("parent_id"))
    marks = found.select(
        "file_no",
        "row_no",
        F.lit("near_duplicate").alias("reason"),
        F.when(F.col("parent_id") == F.col("duplicate_of"), similar).otherwise(through).alias("value"),
        "duplicate_of",
    )
    state = context.write(packed, storage.join(context.work, "state", context.label))
    state += context.write(_state_ids(ranked, found), storage.join(context.work, "state", context.label))
    return marks, state


def _rank(context: CrossContext, base: int) -> tuple[DataFrame, int]:
    """Documents with their place in the order, from `base` on. :returns: columns of `RANKED`; how many there are."""

    def project(rows: pa.Table) -> pa.Table:
        columns = {
            **{n: rows[n] for n in ("generation", "doc_id", "file_no", "row_no", "domain")},
            "shortness": pc.negate(pc.fill_null(pc.utf8_length(rows["text"]), 0).cast(pa.int64())),
            "time": pc.fill_null(rows["crawl_time"].cast(pa.int64()), LAST),
        }
        return pa.table({n: columns[n] for n in META.names})

    meta = context.rows(["text", "crawl_time", "generation", "doc_id", "domain"], project, META)
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


def _packed(step: FuzzyDedup, context: CrossContext, ranks: str, parts: int) -> DataFrame:
    """Entries and payloads of all documents that take part."""

    def project(rows: pa.Table) -> pa.Table:
        file_no, row_nos = rows["file_no"][0].as_py(), rows["row_no"].to_numpy()
        table = read_rows(ranks, RANKS, file_no, int(row_nos[0]), int(row_nos[-1]) + 1)
        of_rows = table["rank"].to_numpy()[np.searchsorted(table["row_no"].to_numpy(), row_nos)]
        made: list[pa.RecordBatch] = []
        for start in range(0, rows.num_rows, DOCUMENTS_AT_ONCE):
            texts = [t or "" for t in rows["text"].slice(start, DOCUMENTS_AT_ONCE).to_pylist()]
            made += batches(_hashed(step, texts, of_rows[start : start + DOCUMENTS_AT_ONCE], parts))
        return pa.Table.from_batches(made, PACKED)

    return context.rows(["text"], project, PACKED)


def _hashed(step: FuzzyDedup, texts: list[str], ranks: Parts, parts: int) -> Iterator[tuple[int, int, bytes]]:
    hasher = step.hasher()
    flat: Array
    flat, offsets, n_tokens = hasher.shingles(texts)
    used = np.flatnonzero((n_tokens >= step.min_tokens) & (np.diff(offsets) > 0))
    if len(used) < len(texts):
        flat = np.concatenate([flat[:0], *(flat[offsets[i] : offsets[i + 1]] for i in used.tolist())])
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.diff(offsets)[used])])
        ranks = ranks[used]
    if not len(used):
        return
    signatures = hasher.signatures(flat, offsets)
    keys = hasher.band_keys(signatures)
    entries = np.empty(keys.shape, ENTRY_RECORD)
    entries["key"], entries["rank"] = keys, ranks[:, None]
    destination = (keys % np.uint64(parts)).astype(np.int64)
    for group in range(step.band_groups):
        bands = slice(group, None, step.band_groups)
        yield from pack(ENTRY + group, destination[:, bands].ravel(), entries[:, bands].ravel())
    if step.verify == "sketch":
        sketches = hasher.sketches(signatures)
        offsets = np.arange(len(sketches) + 1, dtype=np.int64) * sketches.shape[1]
        flat = sketches.ravel()
    if step.verify != "none":
        yield from pack_payloads(PAYLOAD, ranks % parts, ranks, flat, offsets[:-1], offsets[1:])


def _dtype(step: FuzzyDedup) -> Any:
    return np.uint8 if step.verify == "sketch" else np.uint32


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
        entries = unpack([b for found in blobs.values() for b in found], ENTRY_RECORD)
        found = bucket_pairs(entries, step.candidates, base)
        yield from pack(PAIR, found["rank"] % parts, found)

    def collect(part: int, blobs: Blobs) -> Iterator[tuple[int, int, bytes]]:
        found = np.unique(unpack(blobs[PAIR], PAIR_RECORD))
        yield PAIR, part, found.tobytes()
        if step.verify != "none":
            needed = np.unique(np.concatenate([found["rank"], found["candidate"]]))
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


def bucket_pairs(entries: Array, candidates: int, base: int) -> Array:
    """(document, candidate) of all documents from rank `base` on and the first members of their buckets before them.

    :param entries: `ENTRY_RECORD`s, the buckets in any order.
    :returns: distinct `PAIR_RECORD`s.
    """
    entries = entries[np.lexsort((entries["rank"], entries["key"]))]
    key, rank = entries["key"], entries["rank"]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(starts, len(key)))
    first = np.repeat(starts, sizes)
    place = np.arange(len(key)) - first
    found = []
    for n in range(candidates):
        later = np.flatnonzero((place > n) & (rank >= base))
        if not len(later):
            break
        one = np.empty(len(later), PAIR_RECORD)
        one["rank"], one["candidate"] = rank[later], rank[first[later] + n]
        found.append(one)
    return np.unique(np.concatenate(found)) if found else np.empty(0, PAIR_RECORD)


def _verified(step: FuzzyDedup, context: CrossContext, pairs: DataFrame, packed: DataFrame, parts: int) -> DataFrame:
    """Pairs that count: of each document the first similar candidate, or every similar one for `keep: component`.

    :returns: columns of `VERIFIED`.
    """
    dtype = _dtype(step)

    def reply(part: int, blobs: Blobs) -> Iterator[tuple[int, int, bytes]]:
        if REQUEST not in blobs:
            return
        ranks, flat, offsets = unpack_payloads(blobs[PAYLOAD], dtype)
        order = np.argsort(ranks)
        asked = unpack(blobs[REQUEST], REQUEST_RECORD)
        at = order[np.searchsorted(ranks, asked["rank"], sorter=order)]
        yield from pack_payloads(REPLY, asked["part"], asked["rank"], flat, offsets[at], offsets[at + 1])

    def compare(part: int, blobs: Blobs) -> Iterator[pa.RecordBatch]:
        found = unpack(blobs[PAIR], PAIR_RECORD)
        similarity: Array | None = None
        if step.verify != "none":
            ranks, flat, offsets = unpack_payloads(blobs[REPLY], dtype)
            order = np.argsort(ranks)
            left = order[np.searchsorted(ranks, found["rank"], sorter=order)]
            right = order[np.searchsorted(ranks, found["candidate"], sorter=order)]
            similarity = _similarity(step, flat, offsets, left, right)
            alike = similarity >= step.threshold
            found, similarity = found[alike], similarity[alike]
        if step.keep != "component":  # pairs are sorted: the first of a document is its first candidate
            _, firsts = np.unique(found["rank"], return_index=True)
            found, similarity = found[firsts], None if similarity is None else similarity[firsts]
        arrays = [
            pa.array(found["rank"].astype(np.int64)),
            pa.array(found["candidate"].astype(np.int64)),
            pa.nulls(len(found), pa.float64()) if similarity is None else pa.array(similarity),
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=VERIFIED)

    incoming = pairs.where(F.col("kind") == PAIR)
    if step.verify != "none":
        asking = pairs.where(F.col("kind") == REQUEST).unionByName(packed.where(F.col("kind") == PAYLOAD))
        incoming = incoming.unionByName(exchange(asking, reply))
    edges = exchange_rows(incoming, compare, VERIFIED).persist(StorageLevel.DISK_ONLY)
    context.persisted.append(edges)
    return edges


def _similarity(step: FuzzyDedup, flat: Array, offsets: Parts, left: Parts, right: Parts) -> Array:
    """Jaccard similarity of pairs of payloads, estimated or exact."""
    if step.verify == "exact":
        return jaccard(flat, offsets, left, right)
    sketches = flat.reshape(len(offsets) - 1, -1)
    found = np.empty(len(left), np.float64)
    for start in range(0, len(left), 50_000):  # 50 MB of sketches on either side
        some = slice(start, start + 50_000)
        found[some] = sketch_similarity(sketches[left[some]], sketches[right[some]])
    return found


def _decided(step: FuzzyDedup, context: CrossContext, edges: DataFrame) -> DataFrame:
    """Documents that are not the first of their component. :returns: columns rank, root, parent, similarity.

    Under `keep: parent` a component is a tree whose least rank is its root: following parents or joining components is the
    same.
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


def _known(context: CrossContext) -> DataFrame | None:
    """Documents of earlier generations and their survivors: columns of `KNOWN`."""
    if not context.state:
        return None

    def work(incoming: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in incoming:
            found = unpack(batch.column("data").to_pylist(), ID_RECORD)
            arrays = [
                pa.array(found["rank"].astype(np.int64)),
                *(pa.array(found[n].tolist(), pa.binary()).cast(pa.string()) for n in ("doc_id", "survivor")),
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=KNOWN)

    old = context.read_state(PACKED, [("kind", "=", DOCUMENT_ID)])
    frame = old.mapInArrow(work, from_arrow_schema(KNOWN)).persist(StorageLevel.DISK_ONLY)
    context.persisted.append(frame)
    return frame


def _named(decided: DataFrame, ranked: DataFrame, known: DataFrame | None) -> DataFrame:
    """Decided documents with their row keys and the names of survivor and parent.

    :returns: columns file_no, row_no, rank, domain, root, duplicate_of, parent_id, similarity.
    """
    ids = ranked.select("rank", "doc_id", F.col("doc_id").alias("survivor"))
    if known is not None:
        ids = ids.unionByName(known)
    # Named once each, then told to all that have them: a root has up to all documents of a cluster.
    roots = decided.select(F.col("root").alias("rank")).distinct().join(ids, "rank")
    parents = decided.select(F.col("parent").alias("rank")).distinct().join(ids, "rank")
    roots = roots.select(F.col("rank").alias("root"), F.col("survivor").alias("duplicate_of"))
    parents = parents.select(F.col("rank").alias("parent"), F.col("doc_id").alias("parent_id"))
    places = ranked.select("rank", "file_no", "row_no", "domain")
    columns = ["file_no", "row_no", "rank", "domain", "root", "duplicate_of", "parent_id", "similarity"]
    return decided.join(places, "rank").join(roots, "root").join(parents, "parent").select(columns)


def _state_ids(ranked: DataFrame, found: DataFrame) -> DataFrame:
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

    survivors = ranked.select("rank", "doc_id").join(found.select("rank", "duplicate_of"), "rank", "left")
    named = survivors.select("rank", "doc_id", F.coalesce("duplicate_of", "doc_id").alias("survivor"))
    return named.mapInArrow(work, from_arrow_schema(PACKED))


def _report(step: FuzzyDedup, found: DataFrame, ranked: DataFrame, n: int, pairs: DataFrame) -> dict[str, Any]:
    """What people should know of a pass: sizes, the largest clusters, domains that lost much, and alarms."""
    size = F.sum(F.length("data")).alias("bytes")
    compared = pairs.where(F.col("kind") == PAIR).agg(size).collect()[0].bytes or 0
    clusters = found.groupBy("duplicate_of").agg(
        (F.count("*") + 1).alias("documents"), F.count_distinct("domain").alias("domains")
    )
    largest = clusters.orderBy(F.desc("documents"), "duplicate_of").limit(TOLD).collect()
    giant = clusters.where(F.col("documents") > step.alarm_cluster).count()
    of_domain = ranked.groupBy("domain").agg(F.count("*").alias("documents"))
    lost = found.groupBy("domain").agg(F.count("*").alias("dropped"))
    enough = of_domain.where(F.col("documents") >= step.alarm_domain_documents).join(lost, "domain")
    share = F.col("dropped") / F.col("documents")
    vanishing = enough.where(share > step.alarm_domain_share).withColumn("share", share)
    domains = vanishing.orderBy(F.desc("dropped"), "domain").limit(TOLD).collect()
    alarms = []
    if giant:
        alarms.append(
            f"{giant} clusters have more than {step.alarm_cluster:,} documents, the largest {largest[0].documents:,} "
            f"(near duplicates of {largest[0].duplicate_of})"
        )
    alarms += [f"domain {r.domain} loses {r.dropped:,} of {r.documents:,} documents ({r.share:.0%})" for r in domains]
    return {
        "documents": n,
        "pairs_compared": compared // PAIR_RECORD.itemsize,
        "dropped": found.count(),
        "clusters": clusters.count(),
        "largest_clusters": [r.asDict() for r in largest],
        "alarms": alarms,
    }


__all__ = ["near_duplicates"]
