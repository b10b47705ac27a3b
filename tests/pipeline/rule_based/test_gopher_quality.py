"""Gopher's quality rules at their bounds, in Chinese and English."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pipeline.rule_based.gopher_quality import (
    BULLETS,
    AlphabeticWords,
    BulletLines,
    EllipsisLines,
    EllipsisRatio,
    HashRatio,
    MeanWordLength,
    StopWords,
    WordCount,
)
from pipeline.schema import Drop
from pipeline.steps import Rule, bound
from tests.pipeline.rule_based.helpers import document, reason

N = 1000
"""Lines or words of a made text: bounds are multiples of a thousandth."""

WORD = {"en": "word", "zh": "北京"}


def limit(step: Rule, name: str, language: str) -> float:
    value = bound(getattr(step, name), language)
    assert value is not None
    return value


def thousandths(limit: float) -> int:
    return math.floor(limit * N + 1e-9)


def words(n: int, language: str) -> str:
    return " ".join([WORD[language]] * n)


def of_length(total: int) -> str:
    """`N` words with `total` characters together."""
    short, longer = divmod(total, N)
    return " ".join(["a" * (short + 1)] * longer + ["a" * short] * (N - longer))


def with_share(k: int, some: str, other: str, between: str = "\n") -> str:
    """`N` pieces, `k` of them `some`."""
    return between.join([some] * k + [other] * (N - k))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_word_count(language: str) -> None:
    step = WordCount()
    low, high = int(limit(step, "min", language)), int(limit(step, "max", language))
    assert reason(step, words(low, language), language) is None
    assert reason(step, words(low - 1, language), language) == "too_few_words"
    assert reason(step, words(high, language), language) is None
    assert reason(step, words(high + 1, language), language) == "too_many_words"
    assert reason(step, "", language) == "too_few_words"


def test_chinese_words_are_not_those_between_spaces() -> None:
    """A Chinese paragraph has hardly a space: counted between spaces it is a few words (datatrove#202, #273)."""
    text = "城市的东边有一条河。" * 12
    assert len(text.split()) == 1
    assert reason(WordCount(), text.replace("东边", "東邊").replace("条", "條"), "zh") is None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_mean_word_length(language: str) -> None:
    step = MeanWordLength()
    high = thousandths(limit(step, "max", language))
    assert reason(step, of_length(high), language) is None
    assert reason(step, of_length(high + 1), language) == "words_too_long"
    low = thousandths(limit(step, "min", language))
    assert reason(step, of_length(low), language) is None
    if low > N:  # no word is shorter than a character
        assert reason(step, of_length(low - 1), language) == "words_too_short"
    assert reason(step, "", language) is None


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("step", "sign", "expected"),
    [
        (HashRatio(), "#", "too_many_hash_signs"),
        (EllipsisRatio(), "...", "too_many_ellipses"),
        (EllipsisRatio(), "…", "too_many_ellipses"),
        (EllipsisRatio(), "……", "too_many_ellipses"),
    ],
)
def test_signs_per_word(step: Rule, sign: str, expected: str, language: str) -> None:
    some = WORD[language]
    k = thousandths(limit(step, "max", language))
    assert reason(step, with_share(k, f"{some} {sign}", some, " "), language) is None
    assert reason(step, with_share(k + 1, f"{some} {sign}", some, " "), language) == expected
    assert reason(step, some, language) is None
    assert reason(step, sign, language) is None  # no words: does not apply


@pytest.mark.parametrize("bullet", BULLETS)
def test_bullets(bullet: str) -> None:
    step = BulletLines()
    k = thousandths(limit(step, "max", "en"))
    for some, language in (("an item", "en"), ("一项", "zh")):
        assert reason(step, with_share(k, f"{bullet} {some}", some), language) is None
        assert reason(step, with_share(k + 1, f"  {bullet}{some}", some), language) == "too_many_bullet_lines"


def test_items_of_lists_are_bullets_by_their_tags() -> None:
    step = BulletLines()
    k = thousandths(limit(step, "max", "zh"))
    doc = document(with_share(N, "一项", ""), "zh")
    at = doc.evolve(line_tags=["li"] * k + ["p"] * (N - k))
    past = doc.evolve(line_tags=["li"] * (k + 1) + ["p"] * (N - k - 1))
    assert step(at) is at
    assert step(past) == Drop("too_many_bullet_lines", value=(k + 1) / N)
    assert step(doc) is doc


@pytest.mark.parametrize(
    ("sign", "language"),
    [("...", "en"), ("…", "en"), ("……", "zh"), (" ...  ", "en")],
    ids=["points", "sign", "zh", "blank"],
)
def test_lines_that_end_in_an_ellipsis(sign: str, language: str) -> None:
    step = EllipsisLines()
    k = thousandths(limit(step, "max", language))
    some = WORD[language]
    assert reason(step, with_share(k, some + sign, some), language) is None
    assert reason(step, with_share(k + 1, some + sign, some), language) == "too_many_lines_cut_off"
    assert reason(step, with_share(N, f"{sign}{some}", ""), language) is None
    assert reason(step, "", language) is None


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("number", ["7", "3.14", "2024"])
def test_words_with_letters(language: str, number: str) -> None:
    step = AlphabeticWords()
    k = math.ceil(limit(step, "min", language) * N - 1e-9)
    some = WORD[language]
    assert reason(step, with_share(k, some, number, " "), language) is None
    assert reason(step, with_share(k - 1, some, number, " "), language) == "too_few_words_with_letters"
    assert reason(step, "?!", language) is None


def test_letters_of_all_scripts_are_letters() -> None:
    assert [AlphabeticWords().measure(e.document()) for e in AlphabeticWords.keeps] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("THE cat AND a dog", "en", None),
        ("the the the cat", "en", "too_few_stop_words"),
        ("", "en", "too_few_stop_words"),
        ("皮鞋 運動鞋 女鞋 童鞋", "zh", "too_few_stop_words"),
        ("Buy shoes", None, None),
    ],
)
def test_stop_words(text: str, language: str | None, expected: str | None) -> None:
    assert reason(StopWords(), text, language) == expected


def test_stop_words_can_be_added() -> None:
    extra: dict[str, Any] = {"de": ["der", "und"]}
    step = StopWords(extra=extra, min={"de": 2})
    assert reason(step, "Der Hund und die Katze", "de") is None
    assert reason(step, "Hund und Katze", "de") == "too_few_stop_words"
    assert StopWords(extra={"en": ["cat"]}).measure(document("Cat of mine", "en")) == 2


@pytest.mark.parametrize("step", [WordCount(), MeanWordLength(), AlphabeticWords(), StopWords()], ids=lambda s: s.step)
def test_languages_without_a_bound_pass(step: Rule) -> None:
    for language in ("th", None):
        assert reason(step, "สวัสดี", language) is None
