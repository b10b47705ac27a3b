"""FineWeb's rules at their bounds, in Chinese and English."""

from __future__ import annotations

import math

import pytest

from pipeline.rule_based.fineweb import TERMINAL, LineDuplicateCharacters, LinePunctuation, LinesPerWord, ShortLines
from pipeline.steps import Rule, bound
from tests.pipeline.rule_based.helpers import document, reason

N = 1000


def most(step: Rule, language: str) -> int:
    """The upper bound in thousandths."""
    limit = bound(step.max, language)
    assert limit is not None
    return math.floor(limit * N + 1e-9)


def with_share(k: int, some: str, other: str) -> str:
    """`N` lines, `k` of them `some`."""
    return "\n".join([some] * k + [other] * (N - k))


@pytest.mark.parametrize(("language", "line"), [("en", "A line of text"), ("zh", "一行文字")])
@pytest.mark.parametrize("sign", TERMINAL)
def test_lines_that_end_a_sentence(sign: str, language: str, line: str) -> None:
    step = LinePunctuation()
    least = bound(step.min, language)
    assert least is not None
    k = math.ceil(least * N - 1e-9)
    assert reason(step, with_share(k, line + sign, line), language) is None
    assert reason(step, with_share(k - 1, line + sign, line), language) == "too_few_lines_end_a_sentence"


@pytest.mark.parametrize(("language", "sign"), [("en", "x"), ("zh", "字")])
def test_short_lines(language: str, sign: str) -> None:
    step = ShortLines()
    length = bound(step.length, language)
    assert length is not None
    short, longer = sign * int(length), sign * (int(length) + 1)
    k = most(step, language)
    assert reason(step, with_share(k, short, longer), language) is None
    assert reason(step, with_share(k + 1, short, longer), language) == "too_many_short_lines"
    assert reason(step, with_share(k + 1, f" {short} ", longer), language) == "too_many_short_lines"


def test_chinese_lines_are_short_at_fewer_characters() -> None:
    line = "他在北京学习汉语已经有三年了，每天看书。"
    assert len(line) <= 30
    text = "\n".join([line] * 5)
    assert reason(ShortLines(), text, "zh") is None
    assert ShortLines().measure(document(text, "zh")) == 0.0
    assert ShortLines().measure(document(text, "en")) == 1.0


@pytest.mark.parametrize(("language", "sign"), [("en", "x"), ("zh", "字")])
def test_characters_in_repeated_lines(language: str, sign: str) -> None:
    step = LineDuplicateCharacters()
    k = most(step, language)
    repeated = sign * k

    def text(size: int) -> str:  # newlines do not count
        return "\n".join([repeated, repeated, "y" * (size - 2 * k)])

    assert reason(step, text(N), language) is None
    assert reason(step, text(N - 1), language) == "line_duplicate_characters"
    assert reason(step, repeated, language) is None


@pytest.mark.parametrize(("language", "word"), [("en", "word"), ("zh", "北京")])
def test_line_breaks_per_word(language: str, word: str) -> None:
    step = LinesPerWord()
    k = most(step, language)

    def text(breaks: int) -> str:
        return "\n".join([word] * breaks + [" ".join([word] * (N - breaks))])

    assert reason(step, text(k), language) is None
    assert reason(step, text(k + 1), language) == "list"
    assert reason(step, word, language) is None


@pytest.mark.parametrize("step", [LinePunctuation(), ShortLines(), LineDuplicateCharacters(), LinesPerWord()])
@pytest.mark.parametrize("text", ["", "\n\n", " \n"])
def test_text_without_lines_is_not_judged(step: Rule, text: str) -> None:
    assert reason(step, text, "en") is None
    assert reason(step, text, "zh") is None
