"""Semantic duplicates over the corpus: the Spark part of `semantic_dedup`.

    rank       documents sorted by the step's order (`forest`)
    learn      from a sample of the first generation, once: word weights (embedder `corpus`), centres of k-means
    vectors    a byte a number, written once beside the work: a rerun embeds no document twice
    members    (cluster, rank, vector), two for each document: all that shuffles
    parents    within each cluster the first document before each that is similar enough; the first over its clusters counts

Kept for later generations: weights, centres, members and survivors.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline import storage
from pipeline.model_based.clusters import nearest, parents
from pipeline.model_based.embedding import (
    FEATURES,
    CorpusEmbedder,
    Embedder,
    Vectors,
    document_frequencies,
    weights_of,
)
from pipeline.model_based.semantic_dedup import SemanticDedup
from pipeline.model_based.semantic_records import (
    CENTRES,
    MEMBER,
    SAMPLE,
    WEIGHTS,
    centres_of,
    id_hashes,
    largest_cluster_alarm,
    member_dtype,
    sample_limit,
    sampled,
    takes_part,
)
from pipeline.packed import PACKED, Blobs, Parts, batches, pack, unpack
from pipeline.spark import forest
from pipeline.spark.exchange import exchange_rows
from pipeline.spark.run import CrossContext, compute_marks

FREQUENCIES = pa.schema([pa.field("word", pa.int32(), nullable=False), pa.field("n", pa.int64(), nullable=False)])


@compute_marks.register
def semantic_duplicates(step: SemanticDedup, context: CrossContext) -> tuple[DataFrame | None, list[str]]:
    """Marks of semantic duplicates; state: what was learned, members of clusters and survivors of this pass."""
    known = forest.known_documents(context)
    base = forest.first_rank(known)
    ranked, n = forest.rank_documents(context, base)
    ranks = forest.write_ranks(context, ranked)
    state_folder = storage.join(context.work, "state", context.label)
    learned_files: list[str] = []
    if context.state:
        embedder, centres = _remembered(step, context)
    else:
        learned_files, embedder, centres = _learned(step, context, ranks, state_folder)
    packed = _members(step, context, ranks, embedder, centres)
    everything = packed
    if context.state:
        everything = packed.unionByName(context.read_state(PACKED, [("kind", "=", MEMBER)]))
    edges = _edges(step, everything, base).persist(StorageLevel.DISK_ONLY)
    context.persisted.append(edges)
    # One parent each, the first: two would join their trees, and the later of them would fall for a document after it.
    first = edges.groupBy("rank").agg(F.min(F.struct("parent", "similarity")).alias("first"))
    decisions = forest.named(forest.decided(step, context, first.select("rank", "first.*")), ranked, known)
    decisions.persist(StorageLevel.DISK_ONLY)
    context.persisted.append(decisions)
    sizes = [
        int(r.size) // member_dtype(embedder.dimensions).itemsize
        for r in packed.groupBy("part").agg(F.sum(F.length("data")).alias("size")).orderBy(F.desc("size")).collect()
    ]
    context.record.update(
        {"clusters_of_vectors": len(centres), "largest_cluster_of_vectors": max(sizes, default=0)}
        | forest.report(step, decisions, ranked, n)
    )
    context.record["alarms"] += largest_cluster_alarm(step, max(sizes, default=0))
    state = learned_files + context.write(packed, state_folder)
    state += context.write(forest.state_ids(ranked, decisions), state_folder)
    return forest.marks_of(decisions, "semantic_duplicate"), state


def _remembered(step: SemanticDedup, context: CrossContext) -> tuple[Embedder, Vectors]:
    """Embedder and centres of the first generation."""
    rows = context.read_state(PACKED, [("kind", "in", (WEIGHTS, CENTRES))]).toArrow().to_pylist()
    blobs = {row["kind"]: row["data"] for row in rows}
    model = step.model()
    embedder: Embedder = model or CorpusEmbedder(np.frombuffer(blobs[WEIGHTS], np.float32), step.dimensions)
    return embedder, np.frombuffer(blobs[CENTRES], np.int8).reshape(-1, embedder.dimensions)


def _learned(
    step: SemanticDedup, context: CrossContext, ranks: str, state_folder: str
) -> tuple[list[str], Embedder, Vectors]:
    """Learn from a sample of the first generation. On the driver: `sample` vectors, and FEATURES weights.

    :returns: the state files that hold it, embedder, centres.
    """
    generation = min(context.units.generations, default=0)
    counted = context.rows(["generation"], _counted, _COUNT).where(F.col("generation") == generation)
    n = int(counted.agg(F.sum("n").alias("n")).collect()[0].n or 0)
    limit = sample_limit(step, n)
    embedder: Embedder | None = step.model()
    rows = []
    if embedder is None:
        embedder = _corpus_embedder(step, context, generation, limit)
        rows.append((WEIGHTS, 0, embedder.weights.tobytes()))
    chosen_embedder, folder = embedder, _vectors_folder(context)

    def sample_of(table: pa.Table) -> pa.Table:
        taken = np.flatnonzero(sampled(step, table, generation, limit))
        vectors = _vectors(step, folder, chosen_embedder, table)[taken]
        keys = id_hashes(table)[taken]
        some = vectors.any(1)
        records = np.empty(int(some.sum()), member_dtype(chosen_embedder.dimensions))
        records["rank"], records["vector"] = keys[some], vectors[some]
        blobs = [(SAMPLE, 0, records.tobytes())] if len(records) else []
        return pa.Table.from_batches(list(batches(iter(blobs))), PACKED)

    blobs = context.rows(_COLUMNS, sample_of, PACKED).toArrow()["data"].to_pylist()
    sample = unpack(blobs, member_dtype(chosen_embedder.dimensions))
    sample = sample[np.lexsort((*sample["vector"].T[::-1], sample["rank"]))]
    centres = centres_of(step, sample["vector"], n, chosen_embedder.dimensions)
    rows.append((CENTRES, 0, centres.tobytes()))
    table = pa.Table.from_batches(list(batches(iter(rows))), PACKED)
    files = context.write(context.spark.createDataFrame(table), state_folder)
    return files, chosen_embedder, centres


_COLUMNS = ["text", "doc_id", "generation"]
_COUNT = pa.schema([pa.field("generation", pa.int32(), nullable=False), pa.field("n", pa.int64(), nullable=False)])


def _counted(rows: pa.Table) -> pa.Table:
    return rows.group_by("generation").aggregate([([], "count_all")]).rename_columns(["generation", "n"])


def _corpus_embedder(step: SemanticDedup, context: CrossContext, generation: int, limit: int) -> CorpusEmbedder:
    """Weights from the sample's documents that have each hashed word."""

    def frequencies(rows: pa.Table) -> pa.Table:
        texts = rows.filter(pa.array(sampled(step, rows, generation, limit)))["text"].to_pylist()
        words, n = document_frequencies(step.read(texts))
        documents = pa.table({"word": pa.array([-1], pa.int32()), "n": pa.array([len(texts)], pa.int64())})
        return pa.concat_tables([documents, pa.table({"word": pa.array(words), "n": pa.array(n)})])

    summed = context.rows(_COLUMNS, frequencies, FREQUENCIES).groupBy("word").agg(F.sum("n").alias("n")).toArrow()
    words, n = summed["word"].to_numpy(), summed["n"].to_numpy()
    documents = int(n[words < 0].sum())
    assert len(words) <= FEATURES + 1
    return CorpusEmbedder(weights_of(words[words >= 0], n[words >= 0], documents), step.dimensions)


def _vectors_folder(context: CrossContext) -> str:
    return storage.join(context.work, "vectors", context.label)


def _vectors(step: SemanticDedup, folder: str, embedder: Embedder, rows: pa.Table) -> Vectors:
    """Embeddings of rows of one file: computed once, and written beside the work; zeros where a document takes no part."""
    name = f"{rows['file_no'][0].as_py():09d}-{rows['row_no'][0].as_py():09d}-{rows.num_rows}.npy"
    path = storage.join(folder, name)
    if storage.exists(path):
        return np.asarray(np.load(io.BytesIO(storage.read_bytes(path))), np.int8)
    texts = rows["text"].to_pylist()
    taken = np.flatnonzero(takes_part(step, rows))
    vectors = np.zeros((len(texts), embedder.dimensions), np.int8)
    vectors[taken] = embedder.embed(step.read([texts[i] for i in taken]))
    buffer = io.BytesIO()
    np.save(buffer, vectors)
    storage.write_bytes(path, buffer.getvalue())
    return vectors


def _members(step: SemanticDedup, context: CrossContext, ranks: str, embedder: Embedder, centres: Vectors) -> DataFrame:
    """Each document that takes part in its nearest clusters: a part is a cluster."""

    folder = _vectors_folder(context)

    def project(rows: pa.Table) -> pa.Table:
        of_rows = forest.ranks_of(ranks, rows)
        vectors = _vectors(step, folder, embedder, rows)
        used = np.flatnonzero(vectors.any(1))
        clusters = nearest(vectors[used], centres, step.nearest)
        records = np.empty(clusters.shape, member_dtype(vectors.shape[1]))
        records["rank"], records["vector"] = of_rows[used, None], vectors[used, None]
        return pa.Table.from_batches(list(batches(pack(MEMBER, clusters.ravel(), records.ravel()))), PACKED)

    # What was learned in this pass was learned after all vectors had been written: no text is read again.
    return context.rows(["text"] if context.state else [], project, PACKED)


def _edges(step: SemanticDedup, members: DataFrame, base: int) -> DataFrame:
    """Within each cluster the first document before each new one that is similar enough: columns of `forest.VERIFIED`."""
    bound = step.bound
    dimensions = step.dimensions if (model := step.model()) is None else model.dimensions

    def compare(cluster: int, blobs: Blobs) -> Iterator[pa.RecordBatch]:
        records = unpack(blobs[MEMBER], member_dtype(dimensions))
        records = records[np.argsort(records["rank"])]
        new = int(np.searchsorted(records["rank"], base))
        children, theirs, cosines = parents(np.ascontiguousarray(records["vector"]), bound, new)
        ranks: Parts = records["rank"].astype(np.int64)
        arrays = [pa.array(ranks[children]), pa.array(ranks[theirs]), pa.array(cosines)]
        yield pa.RecordBatch.from_arrays(arrays, schema=forest.VERIFIED)

    return exchange_rows(members, compare, forest.VERIFIED)


__all__ = ["semantic_duplicates"]
