"""Deduplication by similarity: documents in order, and the comparisons of `fuzzy_dedup` and `semantic_dedup` in one process.

A document's parent comes before it in the order; survivors are the roots of the trees.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.comparison.base import Rows, marks_in_process, three_decimals
from pipeline.comparison.equal import LAST
from pipeline.model_based.clusters import nearest, parents
from pipeline.model_based.embedding import CorpusEmbedder, document_frequencies, weights_of
from pipeline.model_based.semantic_dedup import SemanticDedup
from pipeline.model_based.semantic_records import (
    CENTRES,
    MEMBER,
    WEIGHTS,
    centres_of,
    id_hashes,
    largest_cluster_alarm,
    member_dtype,
    sample_limit,
    sampled,
    takes_part,
)
from pipeline.packed import PACKED, Array, Parts, batches, pack, unpack, unpack_payloads
from pipeline.rule_based import components, fuzzy_pairs
from pipeline.rule_based.fuzzy_dedup import FuzzyDedup
from pipeline.steps import NearDuplicateStep

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
META_COLUMNS = ["text", "crawl_time", "generation", "doc_id", "domain"]
ORDER = ["generation", "shortness", "time", "doc_id", "file_no", "row_no"]
DOCUMENT_ID = 4
"""The kind of blobs of a step's state that name documents and their survivors."""
ID_RECORD = np.dtype([("rank", "<i8"), ("doc_id", "S32"), ("survivor", "S32")])
TOLD = 20
"""Clusters and domains that a record names."""


def meta_of(rows: pa.Table) -> pa.Table:
    """Rows of `META` of documents."""
    columns = {
        **{n: rows[n] for n in ("generation", "doc_id", "file_no", "row_no", "domain")},
        "shortness": pc.negate(pc.fill_null(pc.utf8_length(rows["text"]), 0).cast(pa.int64())),
        "time": pc.fill_null(rows["crawl_time"].cast(pa.int64()), LAST),
    }
    return pa.table({n: columns[n] for n in META.names}).cast(META)


def alarms_of(
    step: NearDuplicateStep, largest: list[dict[str, Any]], giant: int, domains: list[tuple[str, int, int]]
) -> list[str]:
    """Warnings of a pass.

    :param largest: the largest clusters, with `documents` and `duplicate_of`.
    :param giant: how many have more than `alarm_cluster` documents.
    :param domains: name, documents lost, documents of the domains that lost too large a share.
    """
    alarms = []
    if giant:
        alarms.append(
            f"{giant} clusters have more than {step.alarm_cluster:,} documents, the largest {largest[0]['documents']:,} "
            f"(near duplicates of {largest[0]['duplicate_of']})"
        )
    alarms += [f"domain {name} loses {lost:,} of {n:,} documents ({lost / n:.0%})" for name, lost, n in domains]
    return alarms


@marks_in_process.register
def near_duplicates(step: FuzzyDedup, rows: Rows) -> tuple[pa.Table | None, list[str]] | None:
    """Marks of near-duplicates; state: entries, sketches and survivors of the documents of this pass."""
    documents = sorted_by_order(rows.read(META_COLUMNS))
    n = documents.num_rows
    blobs: list[tuple[int, int, bytes]] = []
    for start in range(0, n, fuzzy_pairs.DOCUMENTS_AT_ONCE):
        texts = [t or "" for t in documents["text"].slice(start, fuzzy_pairs.DOCUMENTS_AT_ONCE).to_pylist()]
        blobs += fuzzy_pairs.hashed(step, texts, np.arange(start, start + len(texts)), 1)
    of_kind: dict[int, list[bytes]] = {}
    for kind, _, data in blobs:
        of_kind.setdefault(kind, []).append(data)
    found = [
        fuzzy_pairs.bucket_pairs(
            unpack(of_kind.get(fuzzy_pairs.ENTRY + g, []), fuzzy_pairs.ENTRY_RECORD), step.candidates, 0
        )
        for g in range(step.band_groups)
    ]
    pairs = np.unique(np.concatenate(found))
    rows.record["pairs_compared"] = len(pairs)
    similarity: Any = None
    if step.verify != "none":
        ranks, flat, offsets = unpack_payloads(of_kind.get(fuzzy_pairs.PAYLOAD, []), fuzzy_pairs.payload_dtype(step))
        order = np.argsort(ranks)
        left, right = (order[np.searchsorted(ranks, pairs[end], sorter=order)] for end in ("rank", "candidate"))
        similarity = fuzzy_pairs.similarity(step, flat, offsets, left, right)
        alike = similarity >= step.threshold
        pairs, similarity = pairs[alike], similarity[alike]
    if step.keep != "component":  # pairs are sorted: the first of a document is its first candidate
        _, firsts = np.unique(pairs["rank"], return_index=True)
        pairs, similarity = pairs[firsts], None if similarity is None else similarity[firsts]
    marks, ids = _decided(step, rows, documents, pairs["rank"], pairs["candidate"], similarity, "near_duplicate")
    packed = pa.Table.from_batches(list(batches(iter(blobs))), PACKED)
    return marks, rows.write_state(packed, ids)


@marks_in_process.register
def semantic_duplicates(step: SemanticDedup, rows: Rows) -> tuple[pa.Table | None, list[str]] | None:
    """Marks of semantic duplicates; state: what was learned, members of clusters and survivors of this pass."""
    if step.model() is not None:
        return None  # a model's batches belong to the workers and their GPUs
    documents = sorted_by_order(rows.read(META_COLUMNS))
    n = documents.num_rows
    texts = documents["text"].to_pylist()
    generation = min(rows.comparison.units.generations, default=0)
    of_first = int((documents["generation"].to_numpy() == generation).sum())
    limit = sample_limit(step, of_first)
    chosen = sampled(step, documents, generation, limit)
    words, counts = document_frequencies(step.read([texts[i] for i in np.flatnonzero(chosen)]))
    embedder = CorpusEmbedder(weights_of(words, counts, int(chosen.sum())), step.dimensions)
    used = np.flatnonzero(takes_part(step, documents))
    vectors = np.zeros((n, embedder.dimensions), np.int8)
    if len(used):
        vectors[used] = embedder.embed(step.read([texts[i] for i in used]))
    some = vectors.any(1)
    learned = chosen & some
    sample = vectors[learned]
    sample = sample[np.lexsort((*sample.T[::-1], id_hashes(documents)[learned]))]
    centres = centres_of(step, sample, of_first, embedder.dimensions)
    ranks = np.flatnonzero(some)
    clusters = nearest(vectors[ranks], centres, step.nearest)
    records = np.empty(clusters.shape, member_dtype(embedder.dimensions))
    records["rank"], records["vector"] = ranks[:, None], vectors[ranks, None]
    members = list(pack(MEMBER, clusters.ravel(), records.ravel()))
    edges: list[tuple[Parts, Parts, Array]] = []
    sizes: list[int] = []
    for _, _, data in members:
        of_cluster = unpack([data], member_dtype(embedder.dimensions))
        sizes.append(len(of_cluster))
        of_cluster = of_cluster[np.argsort(of_cluster["rank"])]
        children, theirs, cosines = parents(np.ascontiguousarray(of_cluster["vector"]), step.bound, 0)
        edges.append((of_cluster["rank"][children], of_cluster["rank"][theirs], cosines))
    child = np.concatenate([np.zeros(0, np.int64), *(of_cluster[0] for of_cluster in edges)])
    parent = np.concatenate([np.zeros(0, np.int64), *(of_cluster[1] for of_cluster in edges)])
    cosine = np.concatenate([np.zeros(0), *(of_cluster[2] for of_cluster in edges)])
    order = np.lexsort([cosine, parent, child])
    _, firsts = np.unique(child[order], return_index=True)  # one parent each, the first
    first = order[firsts]
    rows.record.update({"clusters_of_vectors": len(centres), "largest_cluster_of_vectors": max(sizes, default=0)})
    marks, ids = _decided(step, rows, documents, child[first], parent[first], cosine[first], "semantic_duplicate")
    rows.record["alarms"] += largest_cluster_alarm(step, max(sizes, default=0))
    of_step = [(WEIGHTS, 0, embedder.weights.tobytes()), (CENTRES, 0, centres.tobytes())]
    tables = [pa.Table.from_batches(list(batches(iter(blobs))), PACKED) for blobs in (of_step, members)]
    return marks, rows.write_state(*tables, ids)


def sorted_by_order(rows: pa.Table) -> pa.Table:
    """Documents by their order: a row's place is its rank."""
    meta = meta_of(rows)
    place = pc.sort_indices(meta, [(name, "ascending") for name in ORDER])
    return rows.take(place).combine_chunks()


def _decided(
    step: NearDuplicateStep, rows: Rows, documents: pa.Table, child: Parts, parent: Parts, similarity: Any, reason: str
) -> tuple[pa.Table, pa.Table]:
    """Marks from edges to parents, and the state that names documents and survivors; the record gets the summary."""
    n = documents.num_rows
    child, parent = np.asarray(child, np.int64), np.asarray(parent, np.int64)
    nodes, roots = components.roots(child, parent) if len(child) else (child, child)
    survivor = np.arange(n)
    survivor[nodes] = roots
    dropped = np.flatnonzero(survivor != np.arange(n))
    order = np.lexsort((parent, child))
    of_child, firsts = np.unique(child[order], return_index=True)
    best = order[firsts]
    # A document can be joined to a component by later ones alone: its parent is then the root, and nothing was measured.
    at = np.searchsorted(of_child, dropped)
    has = (
        (at < len(of_child)) & (of_child[np.minimum(at, len(of_child) - 1)] == dropped)
        if len(of_child)
        else dropped < 0
    )
    edge = [int(best[a]) if h else None for a, h in zip(at.tolist(), has.tolist(), strict=True)]
    parents_of = [int(parent[e]) if e is not None else int(r) for e, r in zip(edge, survivor[dropped], strict=True)]
    ids = documents["doc_id"].to_pylist()
    values = []
    for e, p, root in zip(edge, parents_of, survivor[dropped].tolist(), strict=True):
        alike = "null" if e is None or similarity is None else three_decimals(similarity[e])
        values.append(alike if ids[p] == ids[root] else f"{alike} to {ids[p]}")
    marked = documents.take(pa.array(dropped))
    survivors = [ids[root] for root in survivor[dropped].tolist()]
    marks = pa.table(
        {
            "file_no": marked["file_no"],
            "row_no": marked["row_no"],
            "reason": pa.array([reason] * len(dropped), pa.string()),
            "value": pa.array(values, pa.string()),
            "duplicate_of": pa.array(survivors, pa.string()),
        }
    )
    rows.record.update(_summary(step, documents, marked["domain"].to_pylist(), survivors))
    records = np.empty(n, ID_RECORD)
    records["rank"] = np.arange(n)
    records["doc_id"] = [i.encode() for i in ids]
    records["survivor"] = [ids[root].encode() for root in survivor.tolist()]
    state = [(DOCUMENT_ID, 0, records.tobytes())] if n else []
    return marks, pa.Table.from_batches(list(batches(iter(state))), PACKED)


def _summary(
    step: NearDuplicateStep, documents: pa.Table, domains: list[str | None], survivors: list[str]
) -> dict[str, Any]:
    """For people: sizes, the largest clusters, domains that lost much, and alarms."""
    sizes = Counter(survivors)
    of_cluster: dict[str, set[str]] = {}
    for domain, survivor in zip(domains, survivors, strict=True):
        of_cluster.setdefault(survivor, set()).update([domain] if domain is not None else [])
    largest = [
        {"duplicate_of": survivor, "documents": lost + 1, "domains": len(of_cluster[survivor])}
        for survivor, lost in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:TOLD]
    ]
    giant = sum(lost + 1 > step.alarm_cluster for lost in sizes.values())
    of_domain, lost_of = Counter(documents["domain"].to_pylist()), Counter(domains)
    vanishing = [
        (domain, lost, of_domain[domain])
        for domain, lost in sorted(lost_of.items(), key=lambda item: (-item[1], item[0] or ""))
        if domain is not None
        and of_domain[domain] >= step.alarm_domain_documents
        and lost / of_domain[domain] > step.alarm_domain_share
    ][:TOLD]
    return {
        "documents": documents.num_rows,
        "dropped": len(survivors),
        "clusters": len(sizes),
        "largest_clusters": largest,
        "alarms": alarms_of(step, largest, giant, vanishing),
    }
