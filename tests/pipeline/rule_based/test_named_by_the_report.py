"""The rules that the report names (dots.llm1 C.2): empty content, prompts, URL and title, diffs, anomalies, repetition.

Each table has pages that stay beside pages that go, in Chinese and English; what stays is often what a plainer rule took.
"""

from __future__ import annotations

import time

import pytest

from pipeline.lines import restore_lines
from pipeline.rule_based.anomalies import (
    Calendar,
    ConsentWall,
    ErrorPage,
    KeywordStuffing,
    LinkShare,
    LoginWall,
    MarkupGarbage,
    Mojibake,
    NumberShare,
    Placeholder,
)
from pipeline.rule_based.diffs import CodeDiff, WikiDiff
from pipeline.rule_based.empty import ContentCharacters
from pipeline.rule_based.page_rules import ParkedDomain, TitlePattern, UrlPattern
from pipeline.rule_based.phrases_of import phrases_of
from pipeline.rule_based.prompts import CutPrompts, PromptShare
from pipeline.rule_based.repetition import CharacterRuns, RepeatedCharacters
from pipeline.rule_based.stories import EN, ZH
from pipeline.schema import Document, Drop
from pipeline.steps import Rule
from tests.pipeline.rule_based.helpers import document, reason

ALL = [
    *(
        Calendar,
        CharacterRuns,
        CodeDiff,
        ConsentWall,
        ContentCharacters,
        ErrorPage,
        KeywordStuffing,
        LinkShare,
        LoginWall,
    ),
    *(MarkupGarbage, Mojibake, NumberShare, ParkedDomain, Placeholder, PromptShare, RepeatedCharacters, TitlePattern),
    *(UrlPattern, WikiDiff),
]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("text", [None, "", " \n\n ", "😀", "İ" * 50])
def test_any_text_is_judged(kind: type[Rule], text: str | None) -> None:
    for language in (None, "zh", "en"):
        verdict = kind()(document(text, language))
        assert isinstance(verdict, (Document, Drop))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    "piece", ["a", "- ", "--- a\n", "@@ ", "  ", ",", "中", "<a ", "/login", "â€™", "····", "19 20 "]
)
def test_time_grows_with_the_length_only(kind: type[Rule], piece: str) -> None:
    """40 times the text takes not 1,600 times as long. 8 allows for a busy machine; 50 ms for what does not grow."""

    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        doc = document(
            text, "zh" if piece == "中" else "en", url=text, title=text, shares=[1.0] * (text.count("\n") + 1)
        )
        start = time.process_time()
        kind()(doc)
        return time.process_time() - start

    seconds(1000)  # compiles and loads
    assert seconds(400_000) < 0.05 + 8 * 40 * max(seconds(10_000), 0.0005)


# --- empty content ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [EN * 2, None])
def test_empty_content(text: str | None) -> None:
    assert reason(ContentCharacters(), document(text)) == "empty_content"


# --- phrases ---------------------------------------------------------------------------------------------------------


def test_phrases_are_found_by_line_and_kind() -> None:
    matches = phrases_of("Nothing.\nSign up now and buy now!\n页面不存在")
    assert [(f.line, f.covered) for f in matches["prompt"]] == [(1, len("sign up now") + len("buy now"))]
    assert [(f.line, f.phrase) for f in matches["error"]] == [(2, "页面不存在")]


@pytest.mark.parametrize(
    ("text", "kind", "is_there"),
    [
        ("You can’t miss it: the page can’t be found", "error", True),  # the typographic apostrophe
        ("resign up nowhere", "prompt", False),  # inside words
        ("SIGN UP NOW", "prompt", True),
        ("İİİ sign up now", "prompt", True),  # a letter that grows in lower case shifts nothing
        ("立即注册", "prompt", True),
    ],
)
def test_phrases_begin_and_end_at_words(text: str, kind: str, is_there: bool) -> None:
    assert (kind in phrases_of(text)) == is_there


# --- prompts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "language", "tag", "cut"),
    [
        ("Subscribe now!", "en", "p", True),
        ("Add to cart", "en", "li", True),
        ("All rights reserved", "en", "p", True),
        ("Create an account", "en", "h2", False),  # a heading of documentation
        ("create an account", "en", "code", False),
        ("Buy now\t$9.99", "en", "tr", False),
        ("To sign up for our newsletter, send a letter to the editor and wait for the reply.", "en", "p", False),
        ("立即注册", "zh", "p", True),
        ("分享到微信", "zh", "li", True),
        ("立即注册", "zh", "h2", False),
        ("微信公众号运营指南", "zh", "p", False),
        ("优惠券", "zh", "p", False),
        ("版权所有是一个法律概念，指作者对其作品享有的全部权利", "zh", "p", False),
    ],
)
def test_prompts_are_cut(line: str, language: str, tag: str, cut: bool) -> None:
    keep = {"zh": ZH, "en": EN}[language]
    doc = document(f"{keep}\n{line}\n{keep}", language, tags=["p", tag, "p"])
    verdict = CutPrompts()(doc)
    assert isinstance(verdict, Document)
    assert verdict.text == (f"{keep}\n{keep}" if cut else doc.text)
    assert restore_lines(verdict) == doc


# --- URL, title, domain ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/users/sign_in",
        "https://example.com/account/register.php?next=/",
        "https://example.com/cart/",
        "https://example.com/search?q=rivers",
        "https://example.com/?s=rivers",
        "https://example.com/feed/",
        "https://example.com/?feed=rss2",
        "https://example.com/calendar/2019-05/",
        "https://example.com/story/print",
        "https://example.com/tags/",
        "https://example.com/category/news/page/7",
        "https://wiki.example.com/w/index.php?title=A&action=edit",
    ],
)
def test_urls_of_no_content(url: str) -> None:
    assert reason(UrlPattern(), document(EN, url=url)) == "url_pattern"


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "https://example.com/docs/login",
        "https://example.com/en/latest/topics/",
        "https://example.com/labels/",
        "https://example.com/2019/05/calendar-reform.html",
        "https://example.com/tags/rivers",
        "https://example.com/searching-for-rivers",
        "https://example.com/print-shops-of-london",
        "https://example.com/story?sort=new&s=1",
    ],
)
def test_urls_that_only_look_like_it(url: str | None) -> None:
    assert reason(UrlPattern(), document(EN, url=url)) is None


@pytest.mark.parametrize(
    "title",
    [
        *("404", "404 Not Found", "Error 404", "403 Forbidden", "500 Internal Server Error", "404 - Page not found"),
        *(
            "Page not found",
            "Page Not Found | Example",
            "Access Denied",
            "Just a moment...",
        ),
        *(
            "Log in",
            "Sign Up - Example",
            "Shopping Cart",
            "Search results for rivers",
            "Index of /pub",
            "Untitled Document",
        ),
        *(
            "页面不存在",
            "404 页面不存在",
            "用户登录",
            "登录 - 论坛",
            "购物车",
            "系统提示",
            "标签：河流",
            "无标题文档",
        ),
    ],
)
def test_titles_of_no_content(title: str) -> None:
    assert reason(TitlePattern(), document(EN, title=title)) == "title_pattern"


@pytest.mark.parametrize(
    "title",
    [
        *(
            None,
            "",
            "500 Days of Summer",
            "The 404 Media Company",
            "Register files in CPUs",
        ),
        *(
            "Search results are not what they were",
            "Results for the 2012 election",
            "Log in to the future",
            "Forbidden City",
        ),
        *(
            "验证码识别的原理与实现",
            "出错了怎么办：调试的艺术",
            "提高网站在搜索结果里的排名",
            "找不到页面错误的处理方法",
            "购物车功能设计",
        ),
    ],
)
def test_titles_that_only_look_like_it(title: str | None) -> None:
    assert reason(TitlePattern(), document(EN, title=title)) is None


def test_patterns_of_ones_own() -> None:
    rule = UrlPattern(extra=["/amp/?$"])
    assert reason(rule, document(EN, url="https://example.com/story/AMP/")) == "url_pattern"
    assert reason(rule, document(EN, url="https://example.com/story/")) is None


# --- diffs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url", "expected"),
    [
        (EN, "https://en.wikipedia.org/w/index.php?title=A&diff=1&oldid=2", "wiki_diff"),
        (EN, "https://en.wikipedia.org/w/index.php?title=A&action=history", "wiki_diff"),
        (ZH, "https://zh.wikipedia.org/wiki/%E7%89%B9%E6%AE%8A:%E5%B7%AE%E5%BC%82/123", "wiki_diff"),
        ("版本间的差异\n2019年5月3日 (五) 10:22的修订版本", None, "wiki_diff"),
        (EN, "https://example.com/?different=1", None),
        (EN, "https://example.com/?diffuse=1", None),
    ],
)
def test_wiki_diffs(text: str, url: str | None, expected: str | None) -> None:
    assert reason(WikiDiff(), document(text, url=url)) == expected


# --- anomalies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        EN.replace("river", "river’s café – “old”").encode().decode("cp1252", "replace"),
        "你好，世界。今天，天气很好。我们，去公园。".encode().decode("gb18030", "replace"),
        "Привет, это русский текст".encode().decode("latin-1"),
        "Καλημέρα κόσμε".encode().decode("latin-1"),
        "مرحبا بالعالم".encode().decode("latin-1"),
        "so good 😀😀".encode().decode("cp1252", "replace"),
        "烫烫烫烫 屯屯屯",
        "half of \ufffd\ufffd it",
    ],
)
def test_mojibake(text: str) -> None:
    doc = document(text)
    assert reason(Mojibake(), doc) == "mojibake"
    assert Mojibake().evidence(doc)


@pytest.mark.parametrize(
    "text",
    [
        EN,
        ZH,
        "····················",
        "××××××××××××",
        "3 × 4 × 5 ± 0,1 °C · m² · µ · ½ · ¼ · ¾",
        "Ægir Þór Sæmundsson, Øresund, Ñandú, Übergröße, ÄÖÜ",
        "Ð is a letter of Icelandic, Ø one of Danish, Σ and Ω are Greek.",
        "Привет, это русский текст",
    ],
)
def test_no_mojibake(text: str) -> None:
    assert reason(Mojibake(), document(text)) is None


KEYWORDS = (
    "red shoes, blue shoes, cheap shoes, best shoes, buy shoes, men shoes, kids shoes, sale shoes, new shoes, top shoes"
)


@pytest.mark.parametrize(
    ("text", "language", "tag", "expected"),
    [
        (KEYWORDS, "en", "p", "keyword_stuffing"),
        (f"{KEYWORDS}.", "en", "p", None),  # a sentence
        (f"“{KEYWORDS}.”", "en", "p", None),
        (KEYWORDS, "en", "code", None),
        (KEYWORDS.replace(", ", "\t"), "en", "tr", None),
        (EN, "en", "p", None),
    ],
)
def test_keyword_stuffing(text: str, language: str, tag: str, expected: str | None) -> None:
    assert reason(KeywordStuffing(), document(text, language, tags=[tag])) == expected


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([1.0, 1.0, 0.0], "link_list"),
        ([], None),
    ],
)
def test_link_lists(shares: list[float], expected: str | None) -> None:
    assert reason(LinkShare(), document("first\nother\nthird", shares=shares)) == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("May 2019\nMo Tu We Th Fr Sa Su\n" + "\n".join(map(str, range(1, 32))), "en", "calendar"),
        ("2019年5月\n" + " ".join(f"{n:02}" for n in range(1, 32)), "zh", "calendar"),
    ],
)
def test_calendars(text: str, language: str, expected: str | None) -> None:
    assert reason(Calendar(), document(text, language)) == expected


@pytest.mark.parametrize("kind", [Placeholder, ConsentWall, LoginWall, ErrorPage])
def test_pages_of_phrases_are_dropped_with_the_phrase(kind: type[Rule]) -> None:
    assert all(kind().evidence(example.document()) for example in kind.drops)


def test_code_is_no_markup() -> None:
    code = "var x = $('#a'); function () {}"
    assert reason(MarkupGarbage(), document(code, tags=["code"])) is None
    assert reason(MarkupGarbage(), document(code, tags=["p"])) == "markup"


# --- repetition ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (f"{EN}\n" * 3, "en", "repeated_content"),
        (f"{ZH}\n" * 3, "zh", "repeated_content"),
        (
            f"{EN} " * 2 + "".join(f"Sentence number {n} is not like the ones before {n * 37}. " for n in range(20)),
            "en",
            None,
        ),
    ],
)
def test_repeated_stretches(text: str, language: str, expected: str | None) -> None:
    assert reason(RepeatedCharacters(), document(text, language)) == expected


def test_share_of_repeated_characters_is_exact() -> None:
    once = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # 62 different characters
    assert RepeatedCharacters().measure(document(once + once)) == 0.5
    assert RepeatedCharacters().measure(document(once + "." + once[:39])) == 0  # shorter than a stretch
    assert RepeatedCharacters().measure(document(once + "." + once[:40])) == 40 / 103


@pytest.mark.parametrize(
    ("text", "tag", "expected"),
    [
        ("a" * 7 + EN, "p", None),
        ("0" * 40, "p", None),
    ],
)
def test_runs(text: str, tag: str, expected: str | None) -> None:
    assert reason(CharacterRuns(), document(text, tags=[tag])) == expected


def test_runs_are_counted_against_the_whole_text() -> None:
    text = "=" * 10 + "\n" + "=" * 10 + "\n" + "x y" * 26 + "z"  # 10 + 1 + 10 + 1 + 79
    assert CharacterRuns().measure(document(text)) == 20 / 101
    assert CharacterRuns().measure(document(text, tags=["p", "code", "p"])) == 10 / 101
