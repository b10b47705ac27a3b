"""Semantic deduplication: which documents are learned from, and the records that are compared and kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.model_based.clusters import fit_split
from pipeline.model_based.embedding import Vectors
from pipeline.model_based.semantic_dedup import SemanticDedup
from pipeline.packed import Array

MEMBER, WEIGHTS, CENTRES, SAMPLE = range(4)  # kinds of blobs; 4 is DOCUMENT_ID of documents and survivors
MODULUS = 1 << 32


def member_dtype(dimensions: int) -> np.dtype[Any]:
    """A document in a cluster."""
    return np.dtype([("rank", "<i8"), ("vector", "i1", (dimensions,))])


def id_hashes(rows: pa.Table) -> Array:
    """A number below MODULUS for each row, from its id."""
    return np.array([int(i[-8:], 16) for i in rows["doc_id"].to_pylist()], np.int64)


def sample_limit(step: SemanticDedup, n: int) -> int:
    """The hash below which a document of the first generation is of the sample, if that has `n` documents."""
    return MODULUS if n <= step.sample else step.sample * MODULUS // n


def sampled(step: SemanticDedup, rows: pa.Table, generation: int, limit: int) -> Array:
    """Which rows are of the sample, bool (n,)."""
    first = rows["generation"].to_numpy() == generation
    return np.asarray(first & (id_hashes(rows) < limit) & takes_part(step, rows))


def takes_part(step: SemanticDedup, rows: pa.Table) -> Array:
    """Which rows have text enough to be compared, bool (n,)."""
    lengths = pc.fill_null(pc.utf8_length(rows["text"]), 0).to_numpy()
    return np.asarray(lengths >= step.min_characters)


def centres_of(step: SemanticDedup, sample: Vectors, n: int, dimensions: int) -> Vectors:
    """Centres of k-means on a sample, in its order, of `n` documents."""
    if not len(sample):  # nothing to learn from: all in one cluster
        return np.ones((1, dimensions), np.int8)
    members = max(n, len(sample))
    most = max(50, step.max_cluster * len(sample) // max(1, members * step.nearest))
    return fit_split(np.ascontiguousarray(sample), step.clusters(members), most)


def largest_cluster_alarm(step: SemanticDedup, largest: int) -> list[str]:
    """A warning about a cluster of vectors with too many members."""
    if largest <= 4 * step.max_cluster:
        return []
    return [
        f"a cluster of vectors has {largest:,} members; comparing takes the square of that: raise sample, or split the run"
    ]
