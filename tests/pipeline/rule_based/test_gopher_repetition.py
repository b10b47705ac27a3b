"""Gopher's repetition rules at their bounds, in Chinese and English."""

from __future__ import annotations

import itertools
import math
import string

import pytest

from pipeline.rule_based.gopher_repetition import (
    Duplicate5Grams,
    Duplicate6Grams,
    Duplicate7Grams,
    Duplicate8Grams,
    Duplicate9Grams,
    Duplicate10Grams,
    DuplicateLineCharacters,
    DuplicateLines,
    DuplicateParagraphCharacters,
    DuplicateParagraphs,
    Top2Gram,
    Top3Gram,
    Top4Gram,
)
from pipeline.steps import Rule, bound
from tests.pipeline.rule_based.helpers import reason

N = 1000
TOP = (Top2Gram(), Top3Gram(), Top4Gram())
DUPLICATE = (
    Duplicate5Grams(),
    Duplicate6Grams(),
    Duplicate7Grams(),
    Duplicate8Grams(),
    Duplicate9Grams(),
    Duplicate10Grams(),
)
PIECES = (DuplicateLines(), DuplicateParagraphs())
CHARACTERS = (DuplicateLineCharacters(), DuplicateParagraphCharacters())


def name(value: object) -> str | None:
    return value.step if isinstance(value, Rule) else None


def most(step: Rule, language: str) -> float:
    limit = bound(step.max, language)
    assert limit is not None
    return limit


def gram(n: int, characters: int) -> list[str]:
    """`n` distinct words with so many characters together."""
    short, longer = divmod(characters, n)
    return [letter.upper() * (short + (i < longer)) for i, letter in zip(range(n), string.ascii_letters, strict=False)]


def filled(words: list[str], size: int) -> str:
    """The words and further ones, none twice, in a text of exactly `size` characters."""
    text = " ".join(words)
    for further in itertools.product(string.ascii_lowercase, repeat=3):
        if len(text) + 9 > size:
            break
        text += " " + "".join(further)
    return text + " " + "z" * (size - len(text) - 1)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("n", "step"), list(enumerate(TOP, 2)), ids=name)
def test_commonest_ngram(n: int, step: Rule, language: str) -> None:
    k = math.floor(most(step, language) * N + 1e-9)  # twice k characters of 2 N
    repeated = gram(n, k)
    words = [*repeated, "between", *repeated]
    assert reason(step, filled(words, 2 * N), language) is None
    assert reason(step, filled(words, 2 * N - 3), language) == step.above
    assert reason(step, filled(repeated, 2 * N), language) is None


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("n", "step"), list(enumerate(DUPLICATE, 5)), ids=name)
def test_repeated_ngrams(n: int, step: Rule, language: str) -> None:
    k = math.floor(most(step, language) * N + 1e-9)  # k characters of N: the first occurrence is no repetition
    repeated = gram(n, k)
    words = [*repeated, "between", *repeated]
    assert reason(step, filled(words, N), language) is None
    assert reason(step, filled(words, N - 3), language) == step.above
    assert reason(step, filled(repeated, N), language) is None


@pytest.mark.parametrize("step", [*TOP, *DUPLICATE], ids=name)
@pytest.mark.parametrize(
    ("repeated", "language"),
    [(e.text[: len(e.text) // 30], e.language) for e in Duplicate5Grams.drops if e.text],
)
def test_repeated_sentence(step: Rule, repeated: str, language: str) -> None:
    if step in TOP:
        repeated = {"en": "Cheap shoes online! ", "zh": repeated[-4:]}[language]
    assert reason(step, repeated * 30, language) == step.above
    assert reason(step, repeated, language) is None
    assert reason(step, "", language) is None


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("step", PIECES, ids=name)
def test_repeated_lines_and_paragraphs(step: Rule, language: str) -> None:
    between = "\n" if isinstance(step, DuplicateLines) else "\n\n"
    some = {"en": "a line", "zh": "一行文字"}[language]
    k = math.floor(most(step, language) * N + 1e-9)

    def pieces(k: int) -> str:
        return between.join([some] * (k + 1) + [f"{some} {i}" for i in range(N - k - 1)])

    assert reason(step, pieces(k), language) is None
    assert reason(step, pieces(k + 1), language) == step.above
    assert reason(step, some, language) is None
    assert reason(step, "", language) is None


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("step", CHARACTERS, ids=name)
def test_characters_in_repeated_lines_and_paragraphs(step: Rule, language: str) -> None:
    between = "\n" if isinstance(step, DuplicateLineCharacters) else "\n\n"
    k = math.floor(most(step, language) * N + 1e-9)
    repeated = {"en": "x", "zh": "长"}[language] * k

    def text(size: int) -> str:
        beginning = between.join([repeated, repeated, ""])
        return beginning + "y" * (size - len(beginning))

    assert reason(step, text(N), language) is None
    assert reason(step, text(N - 1), language) == step.above
    assert reason(step, repeated, language) is None
    assert reason(step, "", language) is None


def test_lines_that_repeat_within_a_paragraph_are_no_repeated_paragraphs() -> None:
    example = DuplicateParagraphs.keeps[-1].document()
    assert reason(DuplicateLines(), example.text or "", "en") == "duplicate_lines"
    assert reason(DuplicateParagraphs(), example.text or "", "en") is None


@pytest.mark.parametrize("step", [*TOP, *DUPLICATE], ids=name)
def test_ngrams_of_other_languages_pass(step: Rule) -> None:
    assert reason(step, "le même mot " * 50, None) is None
