"""Near-duplicates: entries of buckets, candidate pairs, similarities. Pure; `pipeline/spark/fuzzy_dedup.py` and
`pipeline/in_process/similar.py` bring the records together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.packed import Array, Parts, pack, pack_payloads
from pipeline.rule_based.fuzzy_dedup import FuzzyDedup
from pipeline.rule_based.minhash import jaccard, sketch_similarity

PAYLOAD, PAIR, REQUEST, REPLY, _, ENTRY = range(
    6
)  # kinds of blobs; 4 is DOCUMENT_ID of documents and survivors; ENTRY + g for band group g
ENTRY_RECORD = np.dtype([("key", "<u8"), ("rank", "<i8")])
PAIR_RECORD = np.dtype([("rank", "<i8"), ("candidate", "<i8")])
REQUEST_RECORD = np.dtype([("rank", "<i8"), ("part", "<i8")])

DOCUMENTS_A_PART = 40_000
"""At 128 bands 5 million entries: 80 MB, and a few times that while they are sorted."""
DOCUMENTS_AT_ONCE = 512  # signatures of 8 kB


def hashed(step: FuzzyDedup, texts: list[str], ranks: Parts, parts: int) -> Iterator[tuple[int, int, bytes]]:
    """Packed entries and payloads of documents, for `parts` parts."""
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


def payload_dtype(step: FuzzyDedup) -> Any:
    return np.uint8 if step.verify == "sketch" else np.uint32


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
    pieces = []
    for n in range(candidates):
        later = np.flatnonzero((place > n) & (rank >= base))
        if not len(later):
            break
        one = np.empty(len(later), PAIR_RECORD)
        one["rank"], one["candidate"] = rank[later], rank[first[later] + n]
        pieces.append(one)
    return np.unique(np.concatenate(pieces)) if pieces else np.empty(0, PAIR_RECORD)


def similarity(step: FuzzyDedup, flat: Array, offsets: Parts, left: Parts, right: Parts) -> Array:
    """Jaccard similarity of pairs of payloads, estimated or exact."""
    if not len(left):
        return np.zeros(0)
    if step.verify == "exact":
        return jaccard(flat, offsets, left, right)
    sketches = flat.reshape(len(offsets) - 1, -1)
    similarities = np.empty(len(left), np.float64)
    for start in range(0, len(left), 50_000):  # 50 MB of sketches on either side
        some = slice(start, start + 50_000)
        similarities[some] = sketch_similarity(sketches[left[some]], sketches[right[some]])
    return similarities
