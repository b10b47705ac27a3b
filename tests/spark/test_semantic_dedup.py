"""Semantic deduplication over Spark against the same thing done one document after the other."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from pipeline.model_based.embedding import CorpusEmbedder, Embedder, SentenceEmbedder, document_frequencies, weights_of
from pipeline.model_based.semantic_dedup import SemanticDedup
from pipeline.schema import Document, from_table
from tests.spark.helpers import prepared, reasons, rows, run, stage_config
from tests.spark.test_fuzzy_dedup import CHINESE, ENGLISH, document, edited


def framed(words: list[str], chance: random.Random, chinese: bool) -> list[str]:
    """Sentences in another order, some words changed, another beginning: what shares few 5-grams with the original."""
    pieces = [words[k : k + 5] for k in range(0, len(words), 5)]
    chance.shuffle(pieces)
    frame = [chance.choice(CHINESE if chinese else ENGLISH) for _ in range(8)]
    return frame + edited([w for piece in pieces for w in piece], 0.04, chance)


def pages(seed: int, n: int) -> list[dict[str, Any]]:
    """Documents with a vocabulary of their own each, rearrangements of them, and short ones."""
    chance = random.Random(seed)
    base = random.Random(98)
    originals = []
    for i in range(12):
        vocabulary = [f"{base.choice(ENGLISH)}{base.choice(ENGLISH)}" for _ in range(60)]
        if i % 2 == 0:
            vocabulary = [a + b for a, b in zip(base.choices(CHINESE, k=60), base.choices(CHINESE, k=60), strict=True)]
        originals.append([base.choice(vocabulary) for _ in range(200)])
    made = []
    for i in range(n):
        which = chance.randrange(12)
        words = document(chance, chinese=i % 2 == 0) * 2
        if (kind := chance.random()) < 0.6:
            words = framed(originals[which], chance, which % 2 == 0)
        elif kind < 0.65:
            words = ["short", "page"]
        joint = "" if words[0][0] in CHINESE else " "
        lines = [joint.join(words[k : k + 20]) for k in range(0, len(words), 20)]
        made.append({"url": f"http://d{i % 3}.example.com/{seed}/{i}", "text": "\n".join(lines)})
    return made


@pytest.fixture(scope="module")
def source(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("semantic")
    return prepared(spark, folder, {f"f{i}": pages(i, 60) for i in range(4)})


def config(source: list[str], output: Path, **parameters: Any) -> Any:
    sections = {k: parameters.pop(k) for k in ("spark", "run") if k in parameters}
    step = {"step": "semantic_dedup", "min_characters": 50, **parameters}
    return stage_config("model_based", source, output, steps=[step], **sections)


def by_hand(docs: list[Document], step: SemanticDedup) -> dict[str, str]:
    """doc_id of every dropped document and of its survivor: every document against every one before it."""
    docs = sorted(docs, key=lambda d: (d.generation, -len(d.text or ""), d.doc_id, d.file_no, d.row_no))
    part = [d for d in docs if len(d.text or "") >= step.min_characters]
    embedder: Embedder | None = step.model()
    if embedder is None:
        first = [d.text or "" for d in part if d.generation == 0]
        embedder = CorpusEmbedder(weights_of(*document_frequencies(first), len(first)), step.dimensions)
    vectors = embedder.embed([d.text or "" for d in part]).astype(np.float64)
    lengths = np.sqrt((vectors**2).sum(1))
    root = list(range(len(part)))
    for i in range(len(part)):
        cosines = vectors[:i] @ vectors[i] / (lengths[:i] * lengths[i])
        similar = np.flatnonzero(cosines >= step.bound)
        root[i] = root[similar[0]] if len(similar) else i
    return {part[i].doc_id: part[r].doc_id for i, r in enumerate(root) if r != i}


def dropped(output: Path) -> dict[str, str]:
    return {d.doc_id: d.duplicate_of or "" for d in from_table(rows(output, "dropped"))}


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        pytest.param(
            {"spark": {"partitions": 7}, "run": {"unit_records": 7}, "driver_edges": 0}, marks=pytest.mark.long
        ),
        pytest.param({"spark": {"partitions": 1}, "threshold": 0.5, "dimensions": 1024}, marks=pytest.mark.long),
        {"cluster_documents": 20, "nearest": 20, "spark": {"partitions": 3}},
    ],
    ids=str,
)
def test_equal_to_one_document_after_the_other(
    spark: Any, source: str, tmp_path: Path, parameters: dict[str, Any]
) -> None:
    output = tmp_path / "out"
    record = run(config([source], output, **dict(parameters)), spark)
    step = SemanticDedup(
        **{k: v for k, v in parameters.items() if k not in ("spark", "run")},
        min_characters=50,
    )
    wanted = by_hand(from_table(rows(output)), step)
    assert dropped(output) == wanted
    assert reasons(record, "semantic_dedup") == {"semantic_duplicate": len(wanted)}
    assert len(wanted) > 40
    notes = record["passes"][0]["notes"]["semantic_dedup"]
    assert notes["documents"] == 240
    assert notes["dropped"] == len(wanted)
    assert notes["clusters_of_vectors"] == (1 if "nearest" not in parameters else 12)


@pytest.mark.long
def test_few_clusters_lose_little(spark: Any, source: str, tmp_path: Path) -> None:
    """Two clusters of a dozen a document: what is found is right, and nearly all is found."""
    output = tmp_path / "out"
    record = run(config([source], output, cluster_documents=20), spark)
    assert record["passes"][0]["notes"]["semantic_dedup"]["clusters_of_vectors"] == 12
    wanted = by_hand(from_table(rows(output)), SemanticDedup(min_characters=50))
    duplicates = dropped(output)
    assert set(duplicates) <= set(wanted)
    assert len(duplicates) >= 0.95 * len(wanted)


def test_clusters_that_are_too_large_are_split(spark: Any, source: str, tmp_path: Path) -> None:
    record = run(config([source], tmp_path / "out", max_cluster=1), spark)
    assert record["passes"][0]["notes"]["semantic_dedup"]["clusters_of_vectors"] > 2


def test_minhash_does_not_see_them(spark: Any, source: str, tmp_path: Path) -> None:
    fuzzy = stage_config("rule_based", [source], tmp_path / "fuzzy", steps=[{"step": "fuzzy_dedup"}])
    few = reasons(run(fuzzy, spark), "fuzzy_dedup")
    many = reasons(run(config([source], tmp_path / "out"), spark), "semantic_dedup")
    assert few.get("near_duplicate", 0) < 0.1 * many["semantic_duplicate"]


def test_a_then_b_equals_both_at_once_for_semantic_duplicates(spark: Any, source: str, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    b = prepared(spark, tmp_path / "b", {"g": pages(7, 60), "h": pages(8, 60)})
    (tmp_path / "c").mkdir()
    c = prepared(spark, tmp_path / "c", {"i": pages(9, 50)})
    output, few = tmp_path / "out", {"cluster_documents": 20}
    run(config([source], output, **few), spark)
    first = rows(output)
    run(config([source, b], output, **few), spark)
    second = rows(output)
    assert second.filter(pc.equal(second["generation"], 0)).equals(first)
    run(config([source, b, c], output, spark={"partitions": 3}, **few), spark)
    third = rows(output)
    assert third.filter(pc.less(third["generation"], 2)).equals(second)
    run(config([source, b, c], output, run={"overwrite": True}, **few), spark)
    assert rows(output).equals(third)
    late = [d for d in from_table(third) if d.generation == 2 and d.is_dropped]
    generation = {d.doc_id: d.generation for d in from_table(third)}
    assert 0 in {generation[d.duplicate_of or ""] for d in late}, "a new page is dropped for an old one"


def test_a_checkpoint_made_on_the_spot(spark: Any, source: str, tmp_path: Path) -> None:
    """The real loading path of sentence-transformers, pooling and all, on random weights."""
    pytest.importorskip("sentence_transformers")
    from tests.encoders import write_sentence_encoder

    write_sentence_encoder(str(tmp_path / "encoder"), ENGLISH + CHINESE)
    parameters = {"embedder": str(tmp_path / "encoder"), "threshold": 0.9999}
    run(config([source], tmp_path / "out", **parameters), spark)
    wanted = by_hand(from_table(rows(tmp_path / "out")), SemanticDedup(min_characters=50, **parameters))
    assert dropped(tmp_path / "out") == wanted
    assert wanted
    embedder = SentenceEmbedder(str(tmp_path / "encoder"))
    texts = rows(source)["text"].to_pylist()[:40]
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert np.array_equal(embedder.embed(texts), alone), "a vector must not depend on what else is in the batch"
