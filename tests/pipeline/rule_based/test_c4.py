"""C4's rules, line by line and document by document, in Chinese and English."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from pipeline.lines import restore_lines
from pipeline.rule_based.c4 import (
    C4Javascript,
    C4PolicyLines,
    C4Sentences,
    C4ShortLines,
    C4TerminalPunctuation,
    LineStep,
)
from pipeline.rule_based.statistics import word_list
from pipeline.schema import Document, Drop
from pipeline.steps import bound
from tests.pipeline.rule_based.helpers import document, reason

GOLD = Path(__file__).resolve().parents[3] / "data" / "sample" / "gold.jsonl.gz"


def is_cut(step: LineStep, line: str, language: str | None, tag: str = "p") -> bool:
    """Whether the step cuts the line out from between two that stay; what it cuts can be put back."""
    keep = {"zh": "他在北京学习汉语已经三年了。"}.get(language or "", "They have lived by the river for years.")
    doc = document(f"{keep}\n{line}\n{keep}", language, ["p", tag, "p"])
    cut = step(doc)
    assert isinstance(cut, Document)
    if cut is doc:
        return False
    assert cut.text == f"{keep}\n{keep}"
    assert cut.line_tags == ["p", "p"]
    assert cut.removed_lines == [
        {"step": step.step, "line": 1, "text": line, "tag": tag, "link_share": 0.0, "score": None, "kind": None}
    ]
    assert restore_lines(cut) == doc
    return True


@pytest.mark.parametrize(
    ("line", "language", "cut"),
    [
        ("It ends here!", "en", False),
        ('"It ends here"', "en", False),
        ("It ends in a point.  ", "en", False),
        ("It does not end", "en", True),
        ("It is cut off...", "en", True),
        ("It is cut off…", "en", True),
        ("今天天气很好。", "zh", False),
        ("今天天气很好！", "zh", False),
        ("天气好吗？", "zh", False),
        ("「今天天氣很好」", "zh", False),
        ("今天天气很好，", "zh", True),
        ("今天天气很好", "zh", True),
        ("", "zh", False),
    ],
)
def test_terminal_punctuation(line: str, language: str, cut: bool) -> None:
    assert is_cut(C4TerminalPunctuation(), line, language) is cut


@pytest.mark.parametrize(("language", "word"), [("en", "word "), ("zh", "字")])
def test_short_lines(language: str, word: str) -> None:
    step = C4ShortLines()
    least = bound(step.min_words, language)
    assert least is not None
    n = int(least)
    assert not is_cut(step, (word * n).strip(), language)
    assert is_cut(step, (word * (n - 1)).strip(), language)
    assert is_cut(C4ShortLines(min_words={"default": 5, "zh": 8, language: n + 1}), (word * n).strip(), language)
    assert not is_cut(step, "", language)


@pytest.mark.parametrize("tag", ["code", "pre", "tr", "h1", "h2", "h3", "h4", "h5", "h6"])
def test_short_lines_that_are_no_prose_stay(tag: str) -> None:
    for line, language in (("x = 1", "en"), ("第一章", "zh"), ("第壹章", "zh")):
        assert not is_cut(C4ShortLines(), line, language, tag)
        assert is_cut(C4ShortLines(), line, language, "li")


@pytest.mark.parametrize(
    ("line", "language", "cut"),
    [
        ("Please enable JavaScript in your browser.", "en", True),
        ("JavaScript is disabled.", "en", True),
        ("JavaScript must be enabled to use this site", "en", True),
        ("Your browser does not support JavaScript!", "en", True),
        ("This page requires JavaScript to work.", "en", True),
        ("You need to turn on java script", "en", True),
        ("请启用JavaScript", "zh", True),
        ("请在浏览器中开启 JavaScript 后重试", "zh", True),
        ("JavaScript 已被禁用", "zh", True),
        ("We write our front end in JavaScript and our back end in Python.", "en", False),
        ("本章介绍 JavaScript 的对象。", "zh", False),
        ("本章介紹 JavaScript 的物件。", "zh", False),
        ("Enable the coffee machine.", "en", False),
    ],
)
def test_javascript(line: str, language: str, cut: bool) -> None:
    assert is_cut(C4Javascript(), line, language) is cut


def test_long_lines_are_not_looked_at_for_javascript() -> None:
    step = C4Javascript()
    line = "Please enable JavaScript. "
    assert is_cut(step, line + "x" * (step.longest - len(line)), "en")
    assert not is_cut(step, line + "x" * (step.longest - len(line) + 1), "en")


@pytest.mark.parametrize(
    ("phrase", "language"), [(p, k) for k, phrases in word_list("policy_phrases").items() for p in phrases]
)
def test_policy_lines(phrase: str, language: str) -> None:
    step = C4PolicyLines()
    longest = bound(step.longest, language)
    assert longest is not None
    assert is_cut(step, phrase, language)
    assert is_cut(step, phrase.upper() + "x" * (int(longest) - len(phrase)), language)
    assert not is_cut(step, phrase + "x" * (int(longest) - len(phrase) + 1), language)


def test_a_line_without_a_phrase_stays() -> None:
    assert not is_cut(C4PolicyLines(), "Our policy on rivers is new.", "en")


@pytest.mark.parametrize(
    ("step", "lines"), [(C4TerminalPunctuation(), 2), (C4ShortLines(), 3), (C4Javascript(), 1), (C4PolicyLines(), 1)]
)
def test_document_of_which_no_line_stays_is_dropped(step: LineStep, lines: int) -> None:
    assert step(step.drops[0].document()) == Drop("no_text_left", value=lines)


@pytest.mark.parametrize("text", [None, "", "\n", "你好"])
@pytest.mark.parametrize("step", [C4Javascript(), C4PolicyLines()], ids=lambda s: s.step)
def test_document_with_nothing_to_cut_is_the_same_object(step: LineStep, text: str | None) -> None:
    doc = document(text, "zh")
    assert step(doc) is doc


@pytest.mark.parametrize(
    ("sentence", "between", "language"),
    [
        ("The river is long.", " ", "en"),
        ("Is the river long?", "\n", "en"),
        ("The river is very long and wide", "\n", "en"),
        ("河很长。", "", "zh"),
        ("河很长吗？", "\n", "zh"),
        ("東邊的河很長！", "", "zh"),
        ("城市的东边有一条很长的河", "\n", "zh"),
    ],
)
def test_sentences(sentence: str, between: str, language: str) -> None:
    step = C4Sentences()
    least = bound(step.min, language)
    assert least is not None
    n = int(least)
    assert step.measure(document(between.join([sentence] * n), language)) == n
    assert reason(step, between.join([sentence] * n), language) is None
    assert reason(step, between.join([sentence] * (n - 1)), language) == "too_few_sentences"


@pytest.mark.parametrize(
    ("text", "language"), [("Home\nShop\nCart", "en"), ("首页\n商店\n登录", "zh"), ("v3.14 is out", "en"), ("", "en")]
)
def test_fragments_are_no_sentences(text: str, language: str) -> None:
    assert C4Sentences().measure(document(text, language)) == 0


def test_c4_keeps_chinese_lines() -> None:
    """C4's line filter, made for Latin punctuation and spaces, keeps none of these ten lines."""
    text = (
        "今天天气很好。\n我们去公园散步吧！\n你想喝茶还是咖啡？\n他说：“明天再来。”\n书里写着许多故事；\n"
        "今天天氣真的很好。\n我們去公園散步吧！\n你想喝茶還是咖啡？\n她說：「明天再來。」\n（全文完，谢谢阅读。）"
    )
    assert text.count("\n") == 9
    doc = document(text, "zh")
    for step in (C4TerminalPunctuation(), C4ShortLines(), C4Javascript(), C4PolicyLines()):
        verdict = step(doc)
        assert isinstance(verdict, Document)
        lines = (verdict.text or "").split("\n")
        assert len(lines) >= (10 if not isinstance(step, C4ShortLines) else 8), (step.step, verdict.removed_lines)


def test_c4_rules_keep_real_chinese_paragraphs() -> None:
    with gzip.open(GOLD, "rt", encoding="utf-8") as f:
        pages = [json.loads(line) for line in f]
    texts = [p["main_content"] for p in pages if p["language"] == "zh" and p["page_type"] == "article"]
    total = kept = 0
    for text in texts:
        verdict = C4TerminalPunctuation()(document(text, "zh"))
        for line in text.split("\n"):
            total += len(line) if len(line) >= 50 else 0
        if isinstance(verdict, Document):
            kept += sum(len(line) for line in (verdict.text or "").split("\n") if len(line) >= 50)
    assert total > 10_000
    assert kept >= 0.75 * total
