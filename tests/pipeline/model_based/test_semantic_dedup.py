"""Embeddings in whole numbers, k-means and pairs: exact, the same in any batch, and right."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model_based.clusters import BLOCK, fit, fit_split, nearest, parents
from pipeline.model_based.embedding import (
    FEATURES,
    PASSAGES,
    CorpusEmbedder,
    document_frequencies,
    levels,
    passages,
    quantised,
    weights_of,
)
from pipeline.model_based.semantic_dedup import SemanticDedup

TEXTS = [
    "The river rises in the hills, and flows for ninety miles to the sea. It floods the meadows in spring.",
    "It floods the meadows in spring. The river rises in the hills, and flows for ninety miles to the sea.",
    "这条河发源于山区，流经七座城镇和一座磨坊，最后注入大海。沿岸的居民世代以捕鱼为生。",
    "沿岸的居民世代以捕鱼为生。这条河发源于山区，流经七座城镇和一座磨坊，最后注入大海。",
    "Mix the butter with the flour, add two eggs, and bake for an hour.",
    "",
    "… — !?",
]


def embedder(dimensions: int = 384) -> CorpusEmbedder:
    return CorpusEmbedder(weights_of(*document_frequencies(TEXTS), len(TEXTS)), dimensions)


def cosines(vectors: Any) -> Any:
    wide = vectors.astype(np.float64)
    lengths = np.maximum(np.sqrt((wide**2).sum(1)), 1e-9)
    return wide @ wide.T / np.outer(lengths, lengths)


def test_order_of_sentences_does_not_matter_and_words_do() -> None:
    vectors = embedder().embed(TEXTS)
    like = cosines(vectors)
    assert like[0, 1] > 0.97
    assert like[2, 3] > 0.9  # a pair of characters where the sentences meet
    assert abs(like[0, 4]) < 0.5
    assert abs(like[0, 2]) < 0.2
    assert not vectors[5:].any()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(TEXTS) | st.text(max_size=60), max_size=6))
def test_a_vector_does_not_hang_on_what_stands_beside_it(texts: list[str]) -> None:
    small = embedder(64)
    together = small.embed(texts)
    assert together.shape == (len(texts), 64)
    for text, vector in zip(texts, together, strict=True):
        assert np.array_equal(small.embed([text])[0], vector)


def words(text: str) -> set[str]:
    """The words of a text of letters, digits, spaces and Chinese, as the docstring has them."""
    out = {w.lower() for w in re.findall("[A-Za-z0-9é]+", text)}
    for run in re.findall("[\u4e00-\u9fff]+", text):
        out |= set(run) | {a + b for a, b in pairwise(run)}
    return out


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="aB7é 。,河水山", max_size=25), min_size=1, max_size=5))
def test_document_frequencies_are_of_the_words(texts: list[str]) -> None:
    hashed, n = document_frequencies(texts)
    wanted: dict[str, int] = {}
    for text in texts:
        for word in words(text):
            wanted[word] = wanted.get(word, 0) + 1
    assert len(hashed) == len(wanted)  # of so few no two share a hash
    assert sorted(n.tolist()) == sorted(wanted.values())
    assert (np.diff(hashed) > 0).all()


def test_frequent_words_weigh_less() -> None:
    weights = weights_of(np.array([3, 9], np.int32), np.array([100, 1]), 100)
    assert weights.shape == (FEATURES,)
    assert weights[3] < weights[9] == weights[0]
    assert weights[3] == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("dimensions", [64, 384, 1024, 4096])
def test_products_of_vectors_are_exact(dimensions: int) -> None:
    assert levels(dimensions) ** 2 * dimensions <= 1 << 24
    chance = np.random.default_rng(0)
    vectors = quantised(np.sign(chance.normal(size=(50, dimensions))).astype(np.float32))  # the largest there are
    exact = vectors.astype(np.int64) @ vectors.astype(np.int64).T
    wide = vectors.astype(np.float32)
    assert np.array_equal(wide @ wide.T, exact)
    assert np.array_equal(wide[7:8] @ wide.T, exact[7:8])


def test_quantised_vectors_keep_their_direction() -> None:
    floats = np.random.default_rng(1).normal(size=(40, 384)).astype(np.float32)
    floats[3] = 0
    whole = quantised(floats)
    assert not whole[3].any()
    for a, b in zip(np.delete(floats, 3, 0), np.delete(whole, 3, 0).astype(np.float32), strict=True):
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.9999
    assert np.array_equal(quantised(floats * np.float32(4)), whole)


def blobs(n: int, centres: int, noise: float, seed: int = 2, dimensions: int = 64) -> Any:
    chance = np.random.default_rng(seed)
    middle = chance.normal(size=(centres, dimensions))
    vectors = middle[np.arange(n) % centres] + noise * chance.normal(size=(n, dimensions))
    return quantised(vectors.astype(np.float32))


def test_k_means_finds_what_is_plainly_apart() -> None:
    vectors = blobs(600, 6, 0.05)
    # It begins with the first vectors, here one of each.
    centres = fit(vectors, 6)
    assert np.array_equal(nearest(vectors, centres, 1)[:, 0], np.arange(600) % 6)
    assert np.array_equal(fit(vectors, 6), centres)
    assert len(fit(vectors[[0, 0, 0, 1]], 3)) == 2  # there are no more different ones


def test_nearest_is_the_nearest_in_any_batch() -> None:
    vectors, centres = blobs(3 * BLOCK + 5, 9, 0.8), blobs(9, 9, 0)
    closest = nearest(vectors, centres, 3)
    wide, targets = vectors.astype(np.float64), centres.astype(np.float64)
    like = wide @ targets.T / np.linalg.norm(targets, axis=1)
    assert np.array_equal(closest, np.argsort(-like, axis=1, kind="stable")[:, :3])
    assert np.array_equal(nearest(vectors[5:9], centres, 3), closest[5:9])
    assert nearest(vectors[:2], centres, 20).shape == (2, 9)


def test_large_clusters_are_split_as_far_as_they_can_be() -> None:
    vectors = np.concatenate([blobs(900, 1, 0.6), blobs(90, 3, 0.05, seed=3)])
    centres = fit_split(vectors, 2, 120)
    sizes = np.bincount(nearest(vectors, centres, 1)[:, 0])
    assert sizes.max() < 300
    assert len(centres) > 8
    same = np.repeat(blobs(1, 1, 0), 500, axis=0)
    assert len(fit_split(same, 3, 50)) == 1


@pytest.mark.parametrize("new", [0, 40, BLOCK + 3])
def test_parents_are_the_first_that_are_similar_enough(new: int) -> None:
    vectors = blobs(BLOCK + 700, 150, 0.12)
    children, theirs, of_pairs = parents(vectors, 0.985, new)
    like = cosines(vectors)
    wanted = {}
    for i in range(new, len(vectors)):
        similar = np.flatnonzero(like[i, :i] >= 0.985)
        if len(similar):
            wanted[i] = int(similar[0])
    assert len(wanted) > 300
    assert dict(zip(children.tolist(), theirs.tolist(), strict=True)) == wanted
    assert np.allclose(of_pairs, like[children, theirs])
    assert (np.diff(children) > 0).all()


def test_nothing_similar_and_nothing_at_all() -> None:
    for vectors in (blobs(50, 50, 0), blobs(0, 1, 0)):
        assert [len(column) for column in parents(vectors, 0.99)] == [0, 0, 0]


def test_passages_reach_from_the_beginning_to_the_end() -> None:
    text = "".join(chr(0x4E00 + i) for i in range(1000))
    pieces = passages(text, 100)
    assert len(pieces) == PASSAGES
    assert [len(p) for p in pieces] == [100] * PASSAGES
    assert text.startswith(pieces[0])
    assert text.endswith(pieces[-1])
    assert passages(" ab ", 100) == ["ab"]
    assert passages(" ", 100) == []


def test_bounds_and_clusters_go_by_embedder_and_size() -> None:
    assert SemanticDedup().bound == 0.75
    assert SemanticDedup(embedder="BAAI/bge-m3").bound == 0.95
    assert SemanticDedup(threshold=0.9).bound == 0.9
    assert SemanticDedup().clusters(500) == 1
    assert SemanticDedup().clusters(10**6) == 1000
    assert SemanticDedup().clusters(10**9) == 2500
    more = SemanticDedup().cost(10**6, 10**9)
    assert more.shuffle_bytes > 2 * 384 * 10**6
    assert more.cpu_seconds > SemanticDedup().cost(10**5, 10**8).cpu_seconds


def test_an_embedder_that_is_not_there(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match=r"embedder '.*' (needs the extra `hf`|is neither 'corpus' nor a sentence)"):
        SemanticDedup(embedder=str(tmp_path / "none")).check()
