"""Words of texts as rows of a vocabulary, against a plain reference."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.words import WORD_LENGTH, Vocabulary, keys_of

WORDS = ["river", "the", "café", "b0", "c", "河", "河水", "水", "春天", "中华人民共和", "中华", "𠮷野", "た", "한국"]
VOCABULARY = Vocabulary(keys_of(WORDS))
CJK = "[\u3400-\u9fff\u3040-\u30ff\uac00-\ud7af\U00020000-\U0002ffff]"


def plain(text: str, limit: int) -> list[str]:
    """The module's first paragraph, word for word."""
    words: list[str] = []
    place = 0
    while place < len(text) and len(words) < limit:
        run = re.compile("[A-Za-z0-9\u0080-\u07ff]+").match(text, place)
        if run:
            word = re.sub("[0-9]", "0", re.sub("[A-Z]", lambda m: m[0].lower(), run[0]))
            words += [word] if word in WORDS else []
            place = run.end()
            continue
        size = 1
        if re.match(CJK, text[place]):
            for length in range(WORD_LENGTH, 0, -1):
                if text[place : place + length] in WORDS:
                    words.append(text[place : place + length])
                    size = length
                    break
        place += size
    return words


def rows(texts: list[str], limits: list[int]) -> list[list[str]]:
    out, starts = VOCABULARY.rows([text.encode() for text in texts], limits)
    return [[WORDS[r] for r in out[a:b]] for a, b in pairwise(starts)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The RIVER, the river's b7 B9", ["the", "river", "the", "river", "b0", "b0"]),
        ("河水在春天漫过草地", ["河水", "春天"]),
        ("中华人民共和国", ["中华人民共和"]),
        ("中华民国 river河", ["中华", "river", "河"]),
        ("café CAFé rivers", ["café", "café"]),
        ("𠮷野家た", ["𠮷野", "た"]),
        ("", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert rows([text], [100]) == [words]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from([*WORDS, " ", "-", "國", "A", "…", "é", "9", "國民"]), max_size=12).map("".join)
                  | st.text(max_size=20), st.integers(0, 6)),
        max_size=5,
    )
)  # fmt: skip
def test_as_the_reference_whatever_stands_beside_it(texts: list[tuple[str, int]]) -> None:
    texts = [(text.encode("utf-8", "replace").decode(), limit) for text, limit in texts]
    assert rows([t for t, _ in texts], [n for _, n in texts]) == [plain(t, n) for t, n in texts]


def test_bytes_that_are_cut_off_end_the_text() -> None:
    cut = "river 河水".encode()[:-1]
    out, starts = VOCABULARY.rows([cut, b"the"], [9, 9])
    assert [WORDS[r] for r in out] == ["river", "河", "the"]
    assert starts.tolist() == [0, 2, 3]
    assert np.array_equal(VOCABULARY.rows([], [])[1], [0])
