"""RefinedWeb's unwanted lines, in Chinese and English."""

from __future__ import annotations

import math
import time

import pytest

from pipeline.lines import restore_lines
from pipeline.rule_based.refinedweb import _LONGEST_NOTICE, CutUnwantedLines, UnwantedLines, _notices, notices
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
    # notices: the whole line, not a sentence that speaks of such things
    ("责任编辑：张三", "zh", True),
    ("（责编：张三、李小四）", "zh", True),
    ("【責任編輯：王五】", "zh", True),
    ("[责任编辑:Li Si NF123]", "zh", True),
    ("责任编辑：", "zh", True),
    ("作者：张三 责任编辑：李四", "zh", True),
    ("本书的责任编辑张三说，这条河很长。", "zh", False),
    ("责任编辑：他说这本书要再改一遍", "zh", False),
    ("责任编辑的工作", "zh", False),
    ("编辑：张三", "zh", True),
    ("作者：张三 编辑：李四", "zh", True),
    ("作者 张三　编辑 李四", "zh", True),
    ("来源：新河日报 编辑：李四", "zh", True),
    ("编辑：您为什么写这条河？", "zh", False),
    ("编辑部的故事", "zh", False),
    ("作者：张三", "zh", False),
    ("来源：新河网", "zh", True),
    ("文章来源：《新河日报》", "zh", True),
    ("本文来源：新河新闻网 2024-01-31", "zh", True),
    ("（來源：新河網）", "zh", True),
    ("来源：植物的根", "zh", False),
    ("这条河的来源：一处泉水。", "zh", False),
    ("本文来源：作者的日记，写于一九三一年。", "zh", False),
    ("来自Android客户端", "zh", True),
    ("来自 iPhone 客户端", "zh", True),
    ("來自新河客戶端", "zh", True),
    ("发自我的 iPhone", "zh", True),
    ("来自客户端的请求会先排队。", "zh", False),
    ("来自客户端的请求", "zh", False),
    ("请记住本书首发域名：www.made.example。手机版阅读网址：m.made.example", "zh", True),
    ("天才一秒记住本站地址：[made.example]最快更新！", "zh", True),
    ("手机用户请浏览m.made.example阅读，更优质的阅读体验。", "zh", True),
    ("他请记住本书的读者写信来。", "zh", False),
    ("请记住本书的教训。", "zh", False),
    ("天才一秒记住了整张地图。", "zh", False),
    ("手机用户请浏览说明书后再阅读协议。", "zh", False),
    ("点击上方蓝字关注我们", "zh", True),
    ("▲点击上方“蓝字”关注", "zh", True),
    ("长按二维码", "zh", True),
    ("长按识别二维码，关注公众号", "zh", True),
    ("扫描二维码进入考场，考生须出示证件。", "zh", False),
    ("二维码", "zh", False),
    ("转载请注明出处", "zh", True),
    ("（转载请注明出处！）", "zh", True),
    ("本文为原创文章，转载请注明来源：新河网", "zh", True),
    ("未经授权禁止转载", "zh", True),
    ("版权所有，侵权必究", "zh", True),
    ("未經許可，不得轉載。", "zh", True),
    ("他在信里写道，转载请注明出处。", "zh", False),
    ("未经授权禁止转载这条规定有三年了。这是后话。", "zh", False),
    ("Sent from my iPhone", "en", True),
    ("-- Sent from my Samsung Galaxy smartphone.", "en", True),
    ("Sent from Mail for Windows 10", "en", True),
    ("Sent from my window, the signal was clear.", "en", False),
    ("It was sent from my iPhone.", "en", False),
    ("(Reporting by Ann Miller in Upton; Editing by Bob Weir)", "en", True),
    ("Editing by Bob Weir ; Reporting by Ann Miller and J. R. Wells", "en", True),
    ("Reporting and writing by Ann Miller, Bob Weir; additional reporting by Cy O'Neil.", "en", True),
    ("Reporting by phone is faster than by letter.", "en", False),
    ("Editing by Bob Weir made the book shorter.", "en", False),
    ("Share this:", "en", True),
    ("Read more:", "en", True),
    ("Read more: the mills of the upper river", "en", False),
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


@pytest.mark.parametrize(
    ("table", "cut"),
    [
        ("Open | High | Low\n10 | 11 | 9", []),
        ("开盘 | 最高\n10 | 11\n12 | 13", []),
        ("| Open | High |\n| --- | --- |\n| 10 | 11 |", []),
        ("Open | High\n1 | 2 | 3", [2]),
        ("1 | 2 | 3\n1 | 2 | 3", [1, 2]),
        ("Pages\n1 | 2 | 3", [2]),
        ("OPEN | HIGH | LOW AND CLOSE\n10 | 11 | 9", [1, 2]),  # whole or gone
    ],
)
def test_numbers_stay_below_their_header(table: str, cut: list[int]) -> None:
    doc = document(f"{KEEP['en']}\n{table}", "en")
    verdict = CutUnwantedLines()(doc)
    assert isinstance(verdict, Document)
    assert [line["line"] for line in verdict.removed_lines or ()] == cut


def test_a_speaker_is_no_editor_but_at_the_end() -> None:
    at_the_end = document("\n".join([*[KEEP["zh"]] * 5, "编辑：张三"]), "zh")
    before = document("\n".join(["编辑：张三", *[KEEP["zh"]] * 5]), "zh")
    cut = CutUnwantedLines()(at_the_end)
    assert isinstance(cut, Document)
    assert cut.text == "\n".join([KEEP["zh"]] * 5)
    assert CutUnwantedLines()(before) is before


def test_notices_are_no_reason_to_drop_a_page() -> None:
    doc = document(f"{KEEP['zh']}\n责任编辑：张三\n转载请注明出处", "zh")
    assert UnwantedLines().measure(doc) == 0.0


def test_every_kind_of_notice_has_cases() -> None:
    text = "\n".join(line for line, _, cut in CASES if cut)
    assert all(any(notice.pattern.fullmatch(line) for line in text.split("\n")) for notice in _notices())


PIECES = [
    "责任编辑：张三、",
    "作者 张三 编辑 李四 ",
    "来源：网、",
    "未经转载请注明",
    "Editing by A ",
    "sent from my lg ",
    "来自a b 客户端",
]


@pytest.mark.parametrize("piece", PIECES)
def test_patterns_are_looked_up_quickly(piece: str) -> None:
    """No pattern tries the same characters over and over: twice the line costs no more than a few times as much."""

    def seconds(length: int) -> float:
        text = "\n".join([(piece * length)[: length - 1] + "。"] * 100)
        began = time.process_time()
        assert notices(text, None) == []
        return time.process_time() - began

    seconds(_LONGEST_NOTICE)
    half, whole = (min(seconds(length) for _ in range(3)) for length in (_LONGEST_NOTICE // 2, _LONGEST_NOTICE))
    assert whole < 16 * half + 0.05


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
