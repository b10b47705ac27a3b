"""Signatures against their definition, datasketch, the closed form and exact Jaccard, on synthetic and on real texts."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasketch  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest

from extraction.text import identity_form
from pipeline.rule_based import minhash
from pipeline.rule_based.minhash import (
    MinHasher,
    MinHashParams,
    candidate_probability,
    jaccard,
    multipliers,
    sketch_similarity,
)

GOLD = Path(__file__).resolve().parents[3] / "data" / "sample" / "gold.jsonl.gz"
HASHER = MinHasher(MinHashParams())


@pytest.fixture(scope="module")
def sample() -> dict[str, list[str]]:
    """Main texts of the sample pages by language, those of at least 1,000 characters."""
    texts: dict[str, list[str]] = {"en": [], "zh": []}
    with gzip.open(GOLD, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if len(row["main_content"]) >= 1000 and row["language"] in texts:
                texts[row["language"]].append(row["main_content"])
    return texts


def edited(text: str, seed: int) -> str:
    """The text with a piece cut out and another one moved to its end."""
    chance = random.Random(seed)
    cut, moved = sorted(chance.sample(range(len(text)), 2))
    size = chance.randrange(len(text) // 4)
    return (
        text[:cut]
        + text[cut + size : moved + size]
        + text[moved + size + size // 2 :]
        + text[moved : moved + size // 2]
    )


def real_pairs(texts: list[str]) -> list[str]:
    """Original, edited copy, original, edited copy, ..."""
    return [t for i, text in enumerate(texts) for t in (text, edited(text, i))]


def synthetic(s: float, union: int, pairs: int, seed: int) -> tuple[Any, Any, float]:
    """Shingles of documents 0, 1 (a pair of similarity s), 2, 3 (another) and so on; and s as it came out."""
    chance = np.random.default_rng(seed)
    common = round(s * union)
    half = (union - common) // 2
    sets = []
    for _ in range(pairs):
        x = chance.choice(1 << 32, union, replace=False).astype(np.uint32)
        sets += [np.sort(x[: common + half]), np.sort(np.concatenate([x[:common], x[common + half :]]))]
    offsets = np.concatenate([[0], np.cumsum([len(x) for x in sets])]).astype(np.int64)
    return np.concatenate(sets), offsets, common / union


def mixed(sample: dict[str, list[str]]) -> list[str]:
    return ["", "too short", *sample["en"][:20], *sample["zh"][:20], "\U0001f600" * 40, *sample["en"][:3]]


# --- shingles ---


def test_a_worked_example() -> None:
    hasher = MinHasher(MinHashParams(min_tokens=5))
    # a b c d e f | the same | one other word | the first two 5-grams and a third | the words of Chinese
    texts = ["A b, c-1 d e F!", "a b c1 d e f", "a b c1 d e g", "a b c1 d e f g", "我爱北京天安门", "a b c d"]
    flat, offsets, n_tokens = hasher.shingles(texts)
    assert n_tokens.tolist() == [6, 6, 6, 7, 4, 4]
    assert np.diff(offsets).tolist() == [2, 2, 2, 3, 0, 0]
    left, right = np.array([0, 0, 0, 2, 0, 4]), np.array([1, 2, 3, 3, 4, 5])
    assert jaccard(flat, offsets, left, right).tolist() == [1.0, 1 / 3, 2 / 3, 1 / 4, 0.0, 0.0]


def test_shingles_are_sorted_distinct_ngrams(sample: dict[str, list[str]]) -> None:
    texts = mixed(sample)
    flat, offsets, _ = HASHER.shingles(texts)
    assert [str(x.dtype) for x in (flat, offsets)] == ["uint32", "int64"]
    for text, start, end in zip(texts, offsets[:-1], offsets[1:], strict=True):
        assert (np.diff(flat[start:end].astype(np.int64)) > 0).all()
        if text.isascii() and end > start:  # words of an English text, counted in Python
            words = identity_form(text).split(" ")
            assert end - start == len({tuple(words[i : i + 5]) for i in range(len(words) - 4)})


def test_short_texts_have_no_shingles() -> None:
    words = "one two three four five six seven eight nine ten eleven twelve thirteen"
    _, offsets, n_tokens = HASHER.shingles([words, words.rpartition(" ")[0]])
    assert n_tokens.tolist() == [13, 12]
    assert np.diff(offsets).tolist() == [9, 0]


def test_no_texts() -> None:
    flat, offsets, n_tokens = HASHER.shingles([])
    signatures = HASHER.signatures(flat, offsets)
    assert (len(flat), offsets.tolist(), len(n_tokens), signatures.shape) == (0, [0], 0, (0, 2048))
    assert HASHER.band_keys(signatures).shape == (0, 128)
    assert HASHER.sketches(signatures).shape == (0, 1024)


@pytest.mark.parametrize(
    ("text", "tokens", "shingles"),
    [
        ("", 0, 0),
        ("。，！", 0, 0),
        ("\U0001f600", 1, 0),
        (" ".join(["\U0001f600"] * 13), 13, 1),
        ("\ud800 " * 20, 20, 1),
        ("x" * 1_000_000, 1, 0),
        ("a " * 500_000, 500_000, 1),
        ("a b " * 250_000, 500_000, 2),
        ("中" * 333_333, None, 2),
        (" ".join(map(str, range(150_000))), 150_000, 149_996),
    ],
)
def test_odd_and_huge_texts(text: str, tokens: int | None, shingles: int) -> None:
    flat, offsets, n_tokens = HASHER.shingles(["before " * 20, text, "behind " * 20])
    assert tokens is None or n_tokens[1] == tokens
    # Of a million n-grams some share a 32-bit hash, the ends of a run of one character may be segmented otherwise
    assert shingles - 5 <= offsets[2] - offsets[1] <= shingles + 8
    signatures = HASHER.signatures(flat, offsets)
    assert (signatures[0] != signatures[2]).any()


# --- signatures ---


def test_multipliers_are_splitmix64() -> None:
    a, b = multipliers(1234567, 3)  # the first outputs for this seed, as published with the generator
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert a.tolist() == [z >> 32 | 1 for z in outputs]
    assert b.tolist() == [z & 0xFFFFFFFF for z in outputs]


@pytest.mark.parametrize(("bands", "rows"), [(2, 4), (128, 16), (3, 2)])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 100])
def test_signatures_by_their_definition(bands: int, rows: int, n: int) -> None:
    hasher = MinHasher(MinHashParams(bands=bands, rows=rows, seed=5))
    flat, _, _ = synthetic(0.5, 200, 1, seed=n)
    values = hasher.signatures(flat[:n], np.array([0, 0, n]))
    quarter = math.ceil(bands * rows / 4)
    a, b = multipliers(5, quarter)
    half = 1 << 31
    expected = []
    for column in range(bands * rows):
        kind, k = divmod(column, quarter)
        places = [(int(a[k]) * x + int(b[k])) % (1 << 32) for x in flat[:n].tolist()]
        if kind == 0:
            expected.append(min(places))
        elif kind == 1:
            expected.append(max(places))
        elif kind == 2:  # the first after half the circle
            expected.append(min(places, key=lambda p: (p - half) % (1 << 32)))
        else:
            expected.append(max(places, key=lambda p: (p - half) % (1 << 32)))
    assert values[1].tolist() == expected


def test_golden_values() -> None:
    """The same on every machine, for good: what was stored yesterday is compared with what is computed today."""
    texts = [
        "The quick brown fox jumps over the lazy dog; then it sleeps, as foxes do, until the evening comes.",
        "北京大学的研究人员使用 Python 编程语言处理了一万两千篇中文网页，并公布了全部的结果与代码。",
    ]
    flat, offsets, n_tokens = HASHER.shingles(texts)
    signatures = HASHER.signatures(flat, offsets)
    keys, sketches = HASHER.band_keys(signatures), HASHER.sketches(signatures)
    assert n_tokens.tolist() == GOLDEN["n_tokens"]
    assert flat[[0, offsets[1]]].tolist() == GOLDEN["first_shingles"]
    assert signatures[:, [0, 512, 1024, 1536]].tolist() == GOLDEN["values"]
    assert keys[:, 0].tolist() == GOLDEN["keys"]
    assert digest(signatures.astype("<u4")) == GOLDEN["signatures"]
    assert digest(keys.astype("<u8")) == GOLDEN["band_keys"]
    assert digest(sketches) == GOLDEN["sketches"]


def digest(values: npt.NDArray[Any]) -> str:
    return hashlib.md5(values.tobytes(), usedforsecurity=False).hexdigest()


GOLDEN: dict[str, Any] = {
    "n_tokens": [19, 21],
    "first_shingles": [10224444, 530256437],
    "values": [[210435275, 4262448859, 2455518253, 1279537674], [180043413, 4187718353, 2219604821, 2146278700]],
    "keys": [5517634375466170631, 14850677372700989088],
    "signatures": "5a2fd81db079776ebb8521273ea8b9fd",
    "band_keys": "de4a775917410cde28ab963909745f93",
    "sketches": "b13b06e78884ef0c6ff875a80d965f84",
}


def test_batches_do_not_matter(sample: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    texts = mixed(sample)

    def everything(texts: list[str]) -> list[Any]:
        flat, offsets, n_tokens = HASHER.shingles(texts)
        signatures = HASHER.signatures(flat, offsets)
        sets = [flat[i:j].tolist() for i, j in pairwise(offsets)]
        keys, sketches = HASHER.band_keys(signatures), HASHER.sketches(signatures)
        return list(zip(sets, n_tokens.tolist(), signatures.tolist(), keys.tolist(), sketches.tolist(), strict=True))

    together = everything(texts)
    assert [row for text in texts for row in everything([text])] == together
    assert everything(texts[::-1]) == together[::-1]
    monkeypatch.setattr(minhash, "_CHUNK", 3000)
    assert everything(texts) == together


def test_equal_texts_have_equal_signatures_and_others_differ(sample: dict[str, list[str]]) -> None:
    texts = [
        sample["en"][0],
        sample["zh"][0],
        sample["en"][0].upper(),
        sample["zh"][0].replace("，", " ，"),
        sample["en"][1],
    ]
    flat, offsets, _ = HASHER.shingles(texts)
    signatures = HASHER.signatures(flat, offsets)
    keys = HASHER.band_keys(signatures)
    assert (keys[0] == keys[2]).all()
    assert (signatures[0] == signatures[2]).all()
    assert (keys[0] != keys[1]).all()
    assert (keys[0] != keys[4]).all()
    assert len(set(keys[0].tolist())) == 128
    other_seed = MinHasher(MinHashParams(seed=2)).signatures(flat, offsets)
    assert (other_seed != signatures).mean() > 0.99


def test_the_band_number_is_in_the_key() -> None:
    assert len(set(HASHER.band_keys(np.zeros((1, 2048), np.uint32))[0].tolist())) == 128


@pytest.mark.parametrize("language", ["en", "zh"])
def test_estimates_on_real_pairs_beside_datasketch(sample: dict[str, list[str]], language: str) -> None:
    """Implementations that disagree: text-dedup#88, #71."""
    flat, offsets, _ = HASHER.shingles(real_pairs(sample[language][:40]))
    n = len(offsets) - 1
    exact = jaccard(flat, offsets, np.arange(0, n, 2), np.arange(1, n, 2))
    assert exact.min() < 0.7
    assert exact.max() > 0.9
    signatures = HASHER.signatures(flat, offsets)
    error = np.sqrt(exact * (1 - exact) / 2048)
    estimates = (signatures[::2] == signatures[1::2]).mean(axis=1)
    theirs = []
    for i in range(0, n, 2):
        pair = [datasketch.MinHash(num_perm=2048, hashfunc=int) for _ in range(2)]
        for j, m in enumerate(pair):
            m.update_batch(flat[offsets[i + j] : offsets[i + j + 1]].tolist())
        theirs.append(pair[0].jaccard(pair[1]))
    for ours in (estimates, np.array(theirs)):
        assert (np.abs(ours - exact) <= 4.5 * error).all()
        assert abs((ours - exact).mean()) <= 4.5 * math.sqrt((error**2).sum()) / len(exact)
    sketches = HASHER.sketches(signatures)
    assert (np.abs(sketch_similarity(sketches[::2], sketches[1::2]) - exact) <= 4.5 * sketch_error(exact)).all()


def sketch_error(s: Any, places: int = 2048) -> Any:
    p = s + (1 - s) / 16
    return 16 / 15 * np.sqrt(p * (1 - p) / places)


@pytest.mark.parametrize("union", [40, 400])
@pytest.mark.parametrize("s", [0.6, 0.7, 0.75, 0.8])
def test_candidates_follow_the_closed_form(s: float, union: int) -> None:
    pairs = 1000
    flat, offsets, s = synthetic(s, union, pairs, seed=union)
    keys = HASHER.band_keys(HASHER.signatures(flat, offsets))
    share = (keys[::2] == keys[1::2]).any(axis=1).mean()
    expected = candidate_probability(s, 128, 16)
    assert abs(share - expected) <= 4.5 * math.sqrt(expected * (1 - expected) / pairs) + 1e-9


@pytest.mark.parametrize("s", [0.0, 0.3, 0.5, 0.8, 0.95])
def test_estimators_are_unbiased_with_the_stated_error(s: float) -> None:
    pairs = 400
    flat, offsets, s = synthetic(s, 200, pairs, seed=7)
    signatures = HASHER.signatures(flat, offsets)
    sketches = HASHER.sketches(signatures)
    for estimate, error in (
        ((signatures[::2] == signatures[1::2]).mean(axis=1), math.sqrt(s * (1 - s) / 2048)),
        (sketch_similarity(sketches[::2], sketches[1::2]), float(sketch_error(s))),
    ):
        assert abs(estimate.mean() - s) <= 4.5 * error / math.sqrt(pairs)
        assert estimate.std() <= 1.15 * error


def test_a_sketch_of_the_same_signature_is_alike() -> None:
    flat, offsets, _ = synthetic(0.5, 100, 1, seed=3)
    sketches = HASHER.sketches(HASHER.signatures(flat, offsets))
    assert sketch_similarity(sketches, sketches).tolist() == [1.0, 1.0]
    assert sketches.shape == (2, 1024)


def test_jaccard_is_that_of_the_sets(sample: dict[str, list[str]]) -> None:
    texts = ["", *real_pairs(sample["zh"][:5]), *sample["en"][:5], *sample["en"][:2], ""]
    flat, offsets, _ = HASHER.shingles(texts)
    sets = [set(flat[i:j].tolist()) for i, j in pairwise(offsets)]
    left, right = (x.ravel().astype(np.int64) for x in np.indices((len(texts), len(texts))))
    expected = [len(sets[i] & sets[j]) / max(1, len(sets[i] | sets[j])) for i, j in zip(left, right, strict=True)]
    assert jaccard(flat, offsets, left, right).tolist() == expected


def test_arrays_that_cannot_be_written_are_taken() -> None:
    flat, offsets, _ = synthetic(0.5, 100, 1, seed=3)
    expected = HASHER.band_keys(HASHER.signatures(flat, offsets)), HASHER.sketches(HASHER.signatures(flat, offsets))
    flat.flags.writeable = offsets.flags.writeable = False  # as Arrow's are
    signatures = HASHER.signatures(flat, offsets)
    signatures.flags.writeable = False
    keys, sketches = HASHER.band_keys(signatures), HASHER.sketches(signatures)
    assert (keys == expected[0]).all()
    assert (sketches == expected[1]).all()
    sketches.flags.writeable = False
    assert sketch_similarity(sketches, sketches)[0] == 1.0
    assert jaccard(flat, offsets, np.array([0]), np.array([1]))[0] == 0.5


def test_candidate_probability() -> None:
    assert round(candidate_probability(0.8, 128, 16), 5) == 0.97413  # dots.llm1 C.2 says 97.42 %
    assert candidate_probability(0.0, 128, 16) == 0.0
    assert candidate_probability(1.0, 128, 16) == 1.0
    assert candidate_probability(0.5, 1, 1) == 0.5
    with pytest.raises(ValueError, match=r"similarity is 1\.5"):
        candidate_probability(1.5, 128, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segmenter": "mecab"}, "segmenter is 'mecab', expected one of rjieba, jieba"),
        ({"ngram": 0}, "ngram is 0, expected at least 1"),
        ({"bands": 0}, "bands is 0"),
        ({"rows": -1}, "rows is -1"),
        ({"bands": 3, "rows": 5}, "bands . rows is 15, expected an even number"),
        ({"min_tokens": 4}, "min_tokens is 4, expected at least ngram, 5"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_parameters_are_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MinHashParams(**change)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 10\), expected \(n, 2048\)"):
        HASHER.band_keys(np.zeros((1, 10), np.uint32))
    with pytest.raises(ValueError, match=r"shape \(2048,\)"):
        HASHER.sketches(np.zeros(2048, np.uint32))
    with pytest.raises(ValueError, match=r"\(1, 4\) and \(2, 4\)"):
        sketch_similarity(np.zeros((1, 4), np.uint8), np.zeros((2, 4), np.uint8))


def test_types_are_checked() -> None:
    flat, offsets, _ = synthetic(0.5, 100, 1, seed=3)
    with pytest.raises(ValueError, match="flat has type int64, expected uint32"):
        HASHER.signatures(flat.astype(np.int64), offsets)
    with pytest.raises(ValueError, match="left has type int32, expected int64"):
        jaccard(flat, offsets, np.zeros(1, np.int32), np.zeros(1, np.int64))
