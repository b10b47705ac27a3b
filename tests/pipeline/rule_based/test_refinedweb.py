"""RefinedWeb's unwanted lines, in Chinese and English."""

from __future__ import annotations

import math

import pytest

from pipeline.lines import restore_lines
from pipeline.rule_based.refinedweb import CutUnwantedLines, UnwantedLines
from pipeline.schema import Document, Drop
from pipeline.steps import bound
from tests.pipeline.rule_based.helpers import document

KEEP = {"en": "They have lived by the river for years.", "zh": "他们在河边住了很多年。"}


CASES = [
    ("WE SELL THE BEST SHOES", "en", True),
    ("BUY NOW AND SAVE 50 %", "en", True),
    ("We SELL the best shoes", "en", False),
    ("UNESCO", "en", False),
    ("NATO and the EU met.", "en", False),
    ("A B C D", "en", False),
    ("GDP: 2001年 3.1, 2002年 4.5, 2003年 GDP", "zh", False),
    ("128", "en", True),
    ("1 2 3", "en", True),
    ("1 | 2 | 3", "zh", True),
    ("[12]", "en", True),
    ("2024-01-31 12:30", "en", False),
    ("$ 19.99", "en", False),
    ("¥128", "zh", False),
    ("3.14 is a number", "en", False),
    ("2024年1月31日", "zh", False),
    ("---", "en", False),
    ("3 likes", "en", True),
    ("1.2K views", "en", True),
    ("12 Comments", "en", True),
    ("Views: 128", "en", True),
    ("3 likes and I was happy.", "en", False),
    ("閱讀(128)", "zh", True),
    ("阅读数：1.2万", "zh", True),
    ("128次浏览", "zh", True),
    ("12条评论", "zh", True),
    ("12則評論", "zh", True),
    ("评论", "zh", True),
    ("Read more", "en", True),
    ("READ MORE »", "en", True),
    ("« Previous", "en", True),
    ("Sign in to continue", "en", True),
    ("Skip to content", "en", True),
    ("Read more books.", "en", False),
    ("下一篇", "zh", True),
    ("下一篇：", "zh", True),
    ("返回顶部", "zh", True),
    ("返回首页 >", "zh", True),
    ("上一頁", "zh", True),
    ("首頁", "zh", True),
    ("下一篇文章讲河流。", "zh", False),
    ("河流", "zh", False),
    ("", "en", False),
]


@pytest.mark.parametrize(("line", "language", "cut"), CASES)
def test_unwanted_lines_are_cut(line: str, language: str, cut: bool) -> None:
    step, keep = CutUnwantedLines(), KEEP[language]
    doc = document(f"{keep}\n{line}\n{keep}", language, ["p", "li", "p"])
    verdict = step(doc)
    assert isinstance(verdict, Document)
    if not cut:
        assert verdict is doc
        return
    assert verdict.text == f"{keep}\n{keep}"
    assert verdict.removed_lines == [
        {
            "step": "cut_unwanted_lines",
            "line": 1,
            "text": line,
            "tag": "li",
            "link_share": 0.0,
            "score": None,
            "kind": None,
        }
    ]
    assert restore_lines(verdict) == doc


@pytest.mark.parametrize("tag", ["code", "pre", "tr", "h1", "h2", "h3", "h4", "h5", "h6"])
@pytest.mark.parametrize(("line", "language"), [(line, language) for line, language, cut in CASES if cut][::5])
def test_code_tables_and_headings_stay(tag: str, line: str, language: str) -> None:
    doc = document(f"{KEEP[language]}\n{line}", language, ["p", tag])
    assert CutUnwantedLines(one_word=True)(doc) is doc
    assert UnwantedLines().measure(doc) == 0.0


@pytest.mark.parametrize(("line", "cut"), [("Hamlet", True), ("apples", True), ("it's", False), ("苹果", False)])
def test_lines_of_one_word_are_cut_where_that_is_asked_for(line: str, cut: bool) -> None:
    doc = document(f"{KEEP['en']}\n{line}\nREAD MORE\n{KEEP['en']}", "en")
    by_default, asked = CutUnwantedLines()(doc), CutUnwantedLines(one_word=True)(doc)
    assert isinstance(by_default, Document)
    assert isinstance(asked, Document)
    assert [r["line"] for r in by_default.removed_lines or ()] == [2]
    assert [r["line"] for r in asked.removed_lines or ()] == ([1, 2] if cut else [2])
    assert restore_lines(asked) == doc


@pytest.mark.parametrize(
    ("unwanted", "language", "wanted"),
    [("1", "en", "x y"), ("1", "zh", "字"), ("READ MORE", "en", "x y"), ("下一篇", "zh", "长文")],
)
def test_share_of_unwanted_lines(unwanted: str, language: str, wanted: str) -> None:
    step = UnwantedLines()
    most = bound(step.max, language)
    assert most is not None
    k = 1000
    size = math.ceil(k * len(unwanted) * (1 / most - 1) - 1e-6)  # characters of wanted text at the bound

    def text(size: int) -> str:
        return "\n".join([unwanted] * k + [wanted + "长" * (size - len(wanted))])

    at, past = document(text(size), language), document(text(size - 1), language)
    assert step(at) is at
    drop = step(past)
    assert isinstance(drop, Drop)
    assert drop.reason == "too_many_unwanted_lines"


def test_document_of_which_no_line_stays_is_dropped() -> None:
    for example in CutUnwantedLines.drops:
        assert CutUnwantedLines()(example.document()) == Drop("no_text_left", value=2)


@pytest.mark.parametrize("text", [None, "", "\n \n"])
def test_text_without_lines_is_not_judged(text: str | None) -> None:
    doc = document(text, "en")
    assert UnwantedLines()(doc) is doc
    assert CutUnwantedLines()(doc) is doc
