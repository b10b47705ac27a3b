"""What the small classifiers see of a page, against a plain Python reference."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.base import Batch
from classifiers.features import (
    BITS,
    COLUMNS,
    FIELDS,
    MAX_CHARACTERS,
    MAX_WORDS,
    Features,
    address_words,
    features_of,
    field_hashes,
    page_numbers,
    signal_words,
)

WORD = re.compile("[a-zA-Z0-9\u0080-\u07ff]+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00010000-\U0010ffff]")
ODD = [
    "",
    "\x00",
    "a\x00b\x00\x00c",
    "\u0301",
    "\u0301\u0327\u20dd",
    "e\u0301t\u00e9",
    "😀😀 𠮷",
    "\U0010ffff",
    "\ufeff\u200b\u2028",
    "&amp; &lt &#65; &",
    "\n\n\n",
    "\r\n \t",
    "�",
]


def mixed(value: int, other: int) -> int:
    return (value ^ other) * 16777619 & 0xFFFFFFFF


def word_hash(word: str) -> int:
    """FNV over UTF-8; letters in lower case, all digits alike."""
    out = 2166136261
    for byte in word.encode():
        letter = 65 <= byte <= 90 or 97 <= byte <= 122
        out = mixed(out, byte | 32 if letter else 48 if 48 <= byte <= 57 else byte)
    return out


def spread(value: int) -> int:
    value ^= value >> 16
    value = value * 2246822507 & 0xFFFFFFFF
    value ^= value >> 13
    value = value * 3266489909 & 0xFFFFFFFF
    return value ^ value >> 16


def finished(value: int) -> int:
    return spread(value) % 2**BITS


def reference_hashes(text: str, field: int) -> list[int]:
    """Hashes of words and pairs, each once, ascending."""
    words = [word_hash(word) for word in WORD.findall(text)[:MAX_WORDS]]
    single = {finished(mixed(word, 7 + field)) for word in words}
    pairs = {finished(mixed(mixed(spread(a), b), 77 + field)) for a, b in pairwise(words)}
    return sorted(single | pairs)


def hashes_of(features: Features, page: int, field: int) -> list[int]:
    first, last = features.starts[4 * page + field : 4 * page + field + 2]
    return [int(h) for h in features.hashes[first:last]]


def text_hashes(text: str) -> set[int]:
    return set(hashes_of(features_of(Batch([text])), 0, FIELDS.index("text")))


def dense(text: str, **columns: Any) -> dict[str, float]:
    features = features_of(Batch([text], **{name: [value] for name, value in columns.items()}))
    assert features.dense.shape == (1, len(COLUMNS))
    return dict(zip(COLUMNS, features.dense[0].tolist(), strict=True))


def test_names_and_sizes() -> None:
    assert len(set(COLUMNS)) == len(COLUMNS)
    features = features_of(Batch(["one", "two three", ""]))
    assert features.dense.shape == (3, len(COLUMNS))
    assert features.dense.dtype == np.float32
    assert features.hashes.dtype == np.uint32
    assert features.starts.shape == (3 * len(FIELDS) + 1,)
    assert features.starts[-1] == len(features.hashes) == 1 + 3
    nothing = features_of(Batch([]))
    assert (nothing.dense.shape, len(nothing.hashes), nothing.starts.tolist()) == ((0, len(COLUMNS)), 0, [0])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=60) | st.sampled_from(ODD), min_size=1, max_size=4), st.text(max_size=30))
def test_hashes_are_those_of_the_reference(texts: list[str], title: str) -> None:
    features = features_of(Batch(texts, titles=[title] * len(texts)))
    for i, text in enumerate(texts):
        assert hashes_of(features, i, FIELDS.index("text")) == reference_hashes(text, FIELDS.index("text"))
        assert hashes_of(features, i, FIELDS.index("title")) == reference_hashes(title, FIELDS.index("title"))
        assert hashes_of(features, i, FIELDS.index("address")) == []
        assert hashes_of(features, i, FIELDS.index("signals")) == []


def test_a_word_is_hashed_without_regard_to_its_neighbours() -> None:
    river, floods = text_hashes("river"), text_hashes("floods")
    assert len(river) == len(floods) == 1
    both = text_hashes("river floods")
    assert river | floods < both
    assert len(both) == 3
    assert text_hashes("…, river;\n(floods)!") == both, "signs and line breaks only part words"
    assert text_hashes("river river river") > river
    assert len(text_hashes("river river river")) == 2


def test_case_and_digits() -> None:
    assert text_hashes("RIVER River") == text_hashes("river river")
    assert text_hashes("page 12") == text_hashes("page 98") != text_hashes("page 123")
    assert text_hashes("Été") != text_hashes("été"), "letters of two bytes keep their case"
    assert text_hashes("e\u0301") != text_hashes("\u00e9"), "texts are not normalised here"


def test_a_chinese_character_is_a_word() -> None:
    assert len(text_hashes("河")) == 1
    assert len(text_hashes("河水")) == 3
    assert text_hashes("河水") == text_hashes("河 水")
    assert text_hashes("河，水。") == text_hashes("河水"), "Chinese signs are no words"
    assert text_hashes("river河") == text_hashes("river 河")


def test_fields_are_told_apart() -> None:
    features = features_of(
        Batch(
            ["river"],
            urls=["https://river.org/river"],
            titles=["river"],
            page_signals=[{"schema_types": ["river"], "og_type": "river"}],
        )
    )
    title, text = (set(hashes_of(features, 0, FIELDS.index(name))) for name in ("title", "text"))
    assert len(title) == len(text) == 1
    assert title.isdisjoint(text)
    assert all(len(hashes_of(features, 0, field)) > 0 for field in range(len(FIELDS)))


def test_words_of_an_address() -> None:
    assert address_words(None) == address_words("") == b""
    assert address_words("https://www.My-Shop.co.uk/de/shoes/red_shoe-12.html?id=3&ref=x").split() == (
        b"atmy atshop atco inde inshoes de shoes red shoe 12.html askid askref filehtml".split()
    )
    assert address_words("http://example.org/").split() == b"atexample nofile".split()
    assert address_words("https://example.org/2016/河流").decode().split() == [
        "atexample",
        "in2016",
        "2016",
        "河流",
        "nofile",
    ]
    assert address_words("no address") == address_words("://")
    features = features_of(Batch(["x"], urls=["https://example.org/a?b"]))
    assert hashes_of(features, 0, 0) == reference_hashes(address_words("https://example.org/a?b").decode(), 0)


def test_words_of_signals() -> None:
    assert signal_words(None) == signal_words({}) == signal_words({"schema_types": None, "og_type": None}) == b""
    signals = {"schema_types": ["Product", "Offer"], "og_type": "og:video.movie", "html_lang": "en"}
    assert signal_words(signals) == b"schemaProduct schemaOffer ogogvideomovie"
    features = features_of(Batch(["x"], page_signals=[signals]))
    assert hashes_of(features, 0, 2) == reference_hashes("schemaProduct schemaOffer ogogvideomovie", 2)


def test_numbers_of_a_page() -> None:
    names = COLUMNS[-14:]
    got = dict(
        zip(
            names,
            page_numbers("https://example.org/blog/2016/03/a-b-c.html?p=1", "Title", {"schema_types": ["A", "B"]}),
            strict=True,
        )
    )
    assert got == {
        "address known": 1,
        "address depth": 4,
        "address length": len("blog/2016/03/a-b-c.html"),
        "address digits": 6,
        "query": 1,
        "root": 0,
        "hyphens": 2,
        "file": 1,
        "year in address": 1,
        "title known": 1,
        "title length": 5,
        "signals known": 1,
        "schema types": 2,
        "og type": 0,
    }
    root = dict(zip(names, page_numbers("https://example.org", "", {"og_type": "website"}), strict=True))
    assert {name for name, value in root.items() if value} == {"address known", "root", "signals known", "og type"}
    assert page_numbers(None, None, None) == [0.0] * 14


def test_lines_of_a_small_page() -> None:
    """Five lines: a heading, a text, a link, a list item, the link again."""
    prose = "The river rises in the hills, and flows for ninety miles to the sea."
    lines = ["The river:", prose, "Read more", "1999 floods", "Read more"]
    shares = [0.0, 0.25, 1.0, 0.0, 1.0]
    x = dense("\n".join(lines), line_tags=["h1", "p", "p", "li", "p"], line_link_share=shares)
    words = [2, 14, 2, 2, 2]
    characters = [len(line.replace(" ", "")) for line in lines]
    all_characters, all_words = sum(characters), sum(words)
    # "1999 floods": a word of digits is one too
    every = re.findall("[a-z0-9]+", "\n".join(lines).lower())
    times = Counter(every)
    assert len(every) == all_words
    stop = [w for w in every if w in ("the", "in", "and", "for", "to", "more")]
    expected = {
        "lines": math.log1p(5),
        "characters": math.log1p(all_characters),
        "length": math.log1p(all_words),
        "CJK": 0,
        "stop words": len(stop) / all_words,
        "upper case": 4 / all_characters,
        "digits": 4 / all_characters,
        "signs": 3 / all_characters,
        "commas": 1 / all_words,
        "sentence ends": 1 / all_words,
        "pipes": 0,
        "lines that end as a sentence": 1 / 5,
        "prose lines": 1 / 5,
        "characters in prose": characters[1] / all_characters,
        "short lines": 4 / 5,
        "length 10 %": math.log1p(2),
        "length 50 %": math.log1p(2),
        "length 90 %": math.log1p(14),
        "longest": math.log1p(14),
        "spread": float(np.std(words)) / (all_words / 5 + 1),
        "link share": sum(shares) / 5,
        "link lines": 2 / 5,
        "characters in links": sum(s * c for s, c in zip(shares, characters, strict=True)) / all_characters,
        "known tags": 1,
        "p": 3 / 5,
        "li": 1 / 5,
        "quote": 0,
        "headings": 1 / 5,
        "characters in li": characters[3] / all_characters,
        "repeated lines": 1 / 5,
        "characters in repeated lines": characters[4] / all_characters,
        "different words": len(times) / all_words,
        "different words in 300": len(times) / all_words,
        "repeated 4-grams": 0,
        "commonest word": times["the"] / all_words,
        "lines that end with a colon": 1 / 5,
        "lines that begin with a digit": 1 / 5,
        "first line": math.log1p(2),
        "last line": math.log1p(2),
        "longest run of prose": 1 / 5,
        "length per heading": math.log1p(all_words / 2),
        "words hashed": math.log1p(all_words),
    }
    assert {name: x[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_lines_of_a_chinese_page() -> None:
    x = dense("大桥\n这条河发源于山区，流经七座城镇和一座磨坊，最后注入大海。\n12 人")
    characters = 2 + 28 + 3
    cjk = 2 + 25 + 1
    assert x["characters"] == pytest.approx(math.log1p(characters))
    assert x["CJK"] == pytest.approx(cjk / characters)
    assert x["signs"] == pytest.approx(3 / characters)
    assert x["length"] == pytest.approx(math.log1p(0.6 * cjk + 1))
    assert x["lines that end as a sentence"] == x["prose lines"] == pytest.approx(1 / 3)
    assert x["known tags"] == x["link share"] == 0


def test_tags_and_links_of_too_few_lines_are_not_used() -> None:
    text = "one\ntwo\nthree"
    unknown = dense(text)
    assert dense(text, line_tags=["h1", "p"], line_link_share=[1.0]) == unknown
    assert dense(text, line_tags=[], line_link_share=[]) == unknown
    assert dense(text, line_tags=["h1", "p", "p"])["headings"] == pytest.approx(1 / 3)
    assert dense(text, line_link_share=[1.0, 0.0, 0.0])["link share"] == pytest.approx(1 / 3)


def reference_words(text: str) -> tuple[float, float, float, float]:
    """Share of different words, the same of 300, of repeated 4-grams, of the commonest word."""
    words = [word_hash(word) for word in WORD.findall(text)[:MAX_WORDS]]
    grams = [
        mixed(mixed(mixed(spread(words[i]), words[i + 1]), words[i + 2]), words[i + 3]) for i in range(len(words) - 3)
    ]
    return (
        len(set(words)) / len(words),
        len(set(words[:300])) / len(words[:300]),
        (len(grams) - len(set(grams))) / len(grams),
        max(Counter(words).values()) / len(words),
    )


@pytest.mark.parametrize("seed", range(4))
def test_repetition_is_that_of_the_reference(seed: int) -> None:
    random = np.random.default_rng(seed)
    vocabulary = ["river", "hill", "sea", "mill", "town", "dyke", "河", "水", "桥", "城", "floods", "farmers"][
        : 4 + 2 * seed
    ]
    text = " ".join(random.choice(vocabulary, 100 + 900 * seed))
    x = dense(text)
    got = tuple(x[name] for name in ("different words", "different words in 300", "repeated 4-grams", "commonest word"))
    assert got == pytest.approx(reference_words(text), rel=1e-5)
    assert x["words hashed"] == pytest.approx(math.log1p(len(WORD.findall(text)[:MAX_WORDS])))


def test_only_the_beginning_of_long_texts_is_looked_at() -> None:
    words = [f"w{'abcdefghij'[i % 10]}{'x' * (i // 10 % 9)}{'河' if i % 7 == 0 else ''}" for i in range(3000)]
    text = " ".join(words)
    assert len(text) < MAX_CHARACTERS
    long = features_of(Batch([text]))
    assert hashes_of(long, 0, 3) == reference_hashes(text, 3)
    assert dense(text)["words hashed"] == pytest.approx(math.log1p(MAX_WORDS))
    line = "河水。" * 10 + "\n"
    huge = line * 100_000
    assert dense(huge) == dense(huge[:MAX_CHARACTERS]) != dense(huge[: MAX_CHARACTERS // 2])
    tags, shares = ["p"] * 100_000, [0.5] * 100_000
    x = dense(huge, line_tags=tags, line_link_share=shares)
    assert (x["p"], x["link share"]) == (1.0, 0.5), "the text is cut, its lines' tags are still known"
    assert np.isfinite(features_of(Batch(["x" * 1_000_000])).dense).all()


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_odd_texts(text: str) -> None:
    x = dense(text, titles=text, urls=text or None)
    assert all(math.isfinite(value) for value in x.values())
    assert x["lines"] == pytest.approx(math.log1p(text.count("\n") + 1))


def test_words_part_at_nul_and_keep_combining_marks() -> None:
    assert text_hashes("a\x00b") == text_hashes("a b")
    assert text_hashes("\x00") == set()
    assert len(text_hashes("\u0301")) == 1
    assert text_hashes("caf\u0065\u0301") != text_hashes("cafe")
    assert text_hashes("\ud800") == text_hashes("?") == set()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=50) | st.sampled_from(ODD), min_size=1, max_size=8), st.data())
def test_features_do_not_depend_on_the_batch(texts: list[str], data: Any) -> None:
    n = len(texts)
    batch = Batch(
        texts,
        urls=[f"https://example.org/{i}/{text}" for i, text in enumerate(texts)],
        titles=texts[::-1],
        line_tags=[["p", "h2"] * (i + 1) for i in range(n)],
        line_link_share=[[0.3] * (i + 1) for i in range(n)],
        page_signals=[{"og_type": text[:3]} for text in texts],
    )
    order = data.draw(st.permutations(range(n)))
    whole, other = features_of(batch), features_of(batch.take(order))
    for place, i in enumerate(order):
        alone = features_of(batch.take([i]))
        assert alone.dense[0].tobytes() == whole.dense[i].tobytes() == other.dense[place].tobytes()
        for field in range(len(FIELDS)):
            assert hashes_of(alone, 0, field) == hashes_of(whole, i, field) == hashes_of(other, place, field)


def test_hashes_of_one_field() -> None:
    texts = ["river floods", "", "mill"]
    features = features_of(Batch(texts, titles=["a b", None, "c"]))
    rows: Sequence[int] = [2, 0, 1]
    for field in (1, 3):
        hashes, starts = field_hashes(features, rows, field)
        assert starts[-1] == len(hashes)
        for place, i in enumerate(rows):
            assert hashes[starts[place] : starts[place + 1]].tolist() == hashes_of(features, i, field)
    hashes, starts = field_hashes(features, [], 0)
    assert (len(hashes), starts.tolist()) == (0, [0])
