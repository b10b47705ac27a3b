from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from extraction.embedded import embedded_html
from extraction.lines import scan
from extraction.prepare import MAX_CHARACTERS, MAX_TAGS, Prepared, TooLarge, check_size, prepare
from extraction.signals import page_signals, signals_of_scan

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "pages"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>a</p>", "<p>a</p>"),
        ("a<script>if (a < b) '<!--'</script>b<!-- <script> -->c", "abc"),
        ("a<STYLE type=x>p{}</StYlE >b<svg><path/></svg>c", "abc"),
        ("a<!-->b", "ab"),
        ("a<!-- never closed", "a<!-- never closed"),
        ("a<script>never closed", "a<script>never closed"),
        ("<scripted>a</scripted>", "<scripted>a</scripted>"),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>字", "漢字"),
        ("<ruby>漢<rt>kan字</ruby>", "漢"),
    ],
)
def test_prepare_cuts_what_carries_no_text(html: str, expected: str) -> None:
    assert prepare(html).html == expected


def test_prepare_keeps_json_ld() -> None:
    page = prepare('<script type="application/ld+json">{"@type": "A"}</script><script>x</script>')
    assert page.json_ld == ['{"@type": "A"}']


@pytest.mark.parametrize(
    "piece", ["<!--", "<script>", "<script></script", "<svg ", "<style", "<ruby><rt>", "<ruby><rt "]
)
def test_prepare_is_linear(piece: str) -> None:
    start = time.process_time()
    prepare(piece * 200_000)
    assert time.process_time() - start < 3


@pytest.mark.parametrize("piece", ["<title ", "<html ", "<meta ", "<link rel=canonical ", '"@type":[', "a" * 10 + "="])
def test_signals_are_linear(piece: str) -> None:
    start = time.process_time()
    page_signals(Prepared(piece * 30_000, [piece * 30_000]))
    page_signals(Prepared(f"<meta {piece * 30_000}>", []))
    _of_scan(piece * 30_000)
    _of_scan(f"<meta {piece * 30_000}>")
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("x" * MAX_CHARACTERS, None),
        ("x" * (MAX_CHARACTERS + 1), "html_too_large"),
        ("<p>" * MAX_TAGS, None),
        ("<p>" * (MAX_TAGS + 1), "too_many_tags"),
    ],
)
def test_guards(html: str, reason: str | None) -> None:
    if reason is None:
        check_size(html)
    else:
        with pytest.raises(TooLarge, match=reason):
            check_size(html)


def test_the_guards_are_far_from_real_pages() -> None:
    pages = 0
    for file in sorted(SAMPLE.glob("*.warc.gz")):
        with file.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                body = record.reader.read()
                pages += 1
                assert len(body) < MAX_CHARACTERS / 2
                assert body.count(b"<") < MAX_TAGS / 1.5
    assert pages == 269


def _of_scan(html: str) -> tuple[str | None, Any]:
    data = html.encode()
    return signals_of_scan(data, scan(data))


def _of_tree(html: str) -> tuple[str | None, Any]:
    return page_signals(prepare(html))


both_ways = pytest.mark.parametrize("read", [_of_tree, _of_scan])


@both_ways
def test_signals(read: Callable[[str], tuple[str | None, Any]]) -> None:
    title, signals = read(
        """<!doctype html><html lang="zh-CN"><head><title>
            标题 &amp; Title</title><link href=https://a.example/p rel="canonical">
            <meta content="article" property="og:type">
            <script type="application/ld+json">{"@context": "https://schema.org", "@graph": [{"@type": ["WebPage", "FAQPage"]},
              {"@type": "Question"}], broken</script></head>
            <body itemtype="https://schema.org/BlogPosting" itemscope><title>not this</title></body></html>"""
    )
    assert title == "标题 & Title"
    assert signals == {
        "canonical_url": "https://a.example/p",
        "og_type": "article",
        "schema_types": ["WebPage", "FAQPage", "Question", "BlogPosting"],
        "html_lang": "zh-CN",
    }


@both_ways
def test_signals_of_a_page_that_says_nothing(read: Callable[[str], tuple[str | None, Any]]) -> None:
    assert read("<p>text</p>") == (
        None,
        {"canonical_url": None, "og_type": None, "schema_types": [], "html_lang": None},
    )


@both_ways
def test_signals_fall_back_on_open_graph(read: Callable[[str], tuple[str | None, Any]]) -> None:
    title, signals = read(
        '<head><meta property="og:title" content="T"><meta property="og:url" content="https://b.example/"></head>'
    )
    assert (title, signals["canonical_url"]) == ("T", "https://b.example/")


def test_embedded_text_of_json_ld_and_discourse() -> None:
    body = '{"@graph": [{"articleBody": "First.\\n\\nSecond &lt;b&gt;."}, {"articleBody": "First.\\n\\nSecond &lt;b&gt;."}]}'
    page = prepare(f'<script type="application/ld+json">{body}</script>')
    assert embedded_html(page) == "<div>First.\n\nSecond <b>.</div>"
    posts = '{"topic_1": "{\\"post_stream\\": {\\"posts\\": [{\\"cooked\\": \\"<p>Hi</p>\\"}]}}", "site": "{}"}'
    page = prepare(f'<div id="data-preloaded" data-preloaded="{posts.replace(chr(34), "&quot;")}"></div>')
    assert embedded_html(page) == "<p>Hi</p>"
    assert embedded_html(prepare('<div data-preloaded="not json"></div>')) is None


def test_a_scanned_page_tells_what_stands_in_a_script_from_its_head() -> None:
    """The expressions of a parsed page end the head at the first `<body`, wherever it stands."""
    html = """<head><script>document.write("<body>")</script><title>T</title><meta property=og:type content=article></head>
        <body><meta property="og:type" content="not this"><p>x</p>"""
    title, signals = _of_scan(html)
    assert (title, signals["og_type"]) == ("T", "article")
