"""Line structure, state, and what strange pages do to each engine."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction import Extraction
from extraction import extract as extract_by
from extraction.blocks import lines_of_reduced_html
from extraction.engines import Options, engine_names, get_engine
from extraction.engines.trafilatura import is_chinese
from extraction.prepare import TooLarge
from extraction.result import TAGS
from extraction.text import clean, lines

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "pages"
extract = functools.partial(extract_by, engine="trafilatura")
WORDS = "This sentence is here to give the page enough running text, so that every engine takes it for content. " * 3
ZH_WORDS = "这一句话是为了让网页有足够的正文，这样每一个抽取引擎都会把它当作内容，而不会把它当作导航。" * 4


def page(body: str, words: str = WORDS) -> str:
    return (
        "<!doctype html><html><head><title>T</title></head><body><nav><a href=/>Home</a> <a href=/b>About</a></nav>"
        f'<article class="post"><h1>Heading</h1><p>{words}</p>{body}<p>999 {words}</p></article></body></html>'
    )


def rows(result: Extraction) -> list[tuple[str, str]]:
    return list(zip(result.line_tags, lines(result.text), strict=True))


def check(result: Extraction) -> None:
    """What holds for every extraction."""
    if result.text:
        assert len(result.line_tags) == len(result.line_link_share) == len(lines(result.text))
    else:
        assert result.line_tags == result.line_link_share == []
    assert set(result.line_tags) <= set(TAGS)
    assert all(0 <= share <= 1 for share in result.line_link_share)
    assert clean(result.text) == result.text


STRUCTURE = [
    ("<h3>Sub <em>title</em></h3><p>x y</p>", [("h3", "Sub title"), ("p", "x y")]),
    ("<p>one<br>two<br/><br>three</p>", [("p", "one"), ("p", "two"), ("p", "three")]),
    ("<p>caf&eacute; &#x1F600; &lt;b&gt; a&nbsp;b</p>", [("p", "café 😀 <b> a b")]),
    ("<p>汉<ruby>漢<rt>kan</rt></ruby>字</p>", [("p", "汉漢字")]),
    (
        "<ul><li>first item</li><li>second item<ul><li>nested item</li></ul></li></ul>",
        [("li", "first item"), ("li", "second item"), ("li", "nested item")],
    ),
    ("<ol><li><p>paragraph in item</p></li></ol>", [("li", "paragraph in item")]),
    ("<dl><dt>Term</dt><dd>Meaning</dd></dl>", [("li", "Term"), ("li", "Meaning")]),
    (
        "<table><tr><th>Name</th><th>Value</th></tr><tr><td>alpha</td><td>1</td></tr><tr><td></td><td>2 <b>x</b></td></tr>"
        "</table>",
        [("tr", "Name\tValue"), ("tr", "alpha\t1"), ("tr", "\t2 x")],
    ),
    ("<blockquote><p>Quoted words.</p></blockquote>", [("quote", "Quoted words.")]),
    (
        "<pre>for i in range(3):\n\tprint(i)\n\n\n    done   ok\n</pre>",
        [("code", "for i in range(3):"), ("code", "\tprint(i)"), ("code", ""), ("code", "    done   ok")],
    ),
    (
        '<figure class="highlight"><table><tr><td class="gutter"><pre>1<br>2</pre></td><td class="code"><pre>'
        "<span>def f(x):</span><br><span>    return x &lt; 1</span></pre></td></tr></table></figure>",
        [("code", "def f(x):"), ("code", "    return x < 1")],
    ),
    ("<p>Inline <code>code()</code> stays in its line.</p>", [("p", "Inline code() stays in its line.")]),
    ("<p>broken <b>nesting <i>of</b> tags</i> here</p>", [("p", "broken nesting of tags here")]),
]


# readability, which reads Chinese pages, drops short lists and tables as navigation.
FOR_CHINESE = [case for case in STRUCTURE if not case[0].startswith(("<ul", "<table"))]


@pytest.mark.parametrize(("html", "expected"), STRUCTURE)
def test_line_structure(html: str, expected: list[tuple[str, str]]) -> None:
    result = extract(page(html))
    check(result)
    assert rows(result)[2:-1] == expected


@pytest.mark.parametrize(("html", "expected"), FOR_CHINESE)
def test_line_structure_of_chinese_pages(html: str, expected: list[tuple[str, str]]) -> None:
    result = extract(page(html, ZH_WORDS))
    check(result)
    assert rows(result)[2:-1] == expected


def test_a_layout_table_is_not_a_row() -> None:
    body = f"<table><tr><td><p>{WORDS}</p><p>second</p></td></tr></table>"
    result = extract(page(body))
    assert "tr" not in result.line_tags
    assert ("p", "second") in rows(result)


def test_link_share_counts_characters_of_links() -> None:
    result = extract(page('<p>1234 <a href="x">5678</a></p>'))
    assert dict(zip(lines(result.text), result.line_link_share, strict=True))["1234 5678"] == 0.5


def test_navigation_and_comments_go() -> None:
    result = extract(page('<div class="comments"><p>A reader says something rude here.</p></div>'))
    assert "Home" not in result.text
    assert "rude" not in result.text


def test_engines_and_profiles_by_name() -> None:
    assert {"trafilatura", "resiliparse", "readability"} <= set(engine_names())
    for name in engine_names():
        result = extract(page("<p>x</p>"), engine=name, profile="fast")
        check(result)
        assert WORDS.strip() in result.text
    with pytest.raises(ValueError, match=r"unknown engine 'nope'; known engines: .*trafilatura"):
        get_engine("nope")
    with pytest.raises(ValueError, match="unknown profile 'slow'; expected one of: full, fast"):
        Options(profile="slow")


def sample_pages(name: str, n: int) -> list[bytes]:
    with (SAMPLE / name).open("rb") as stream:
        records = ArchiveIterator(stream, record_types=WarcRecordType.response)
        return [record.reader.read() for record, _ in zip(records, range(n), strict=False)]


def test_a_page_gives_the_same_text_at_any_time() -> None:
    """Five rounds over Chinese and English pages, in turning order: nothing may be remembered between pages."""
    bodies = (
        sample_pages("zh-cwce.warc.gz", 4)
        + sample_pages("wcxb-forum.warc.gz", 4)
        + sample_pages("wcxb-article-1.warc.gz", 4)
    )
    first = [extract(body) for body in bodies]
    for result in first:
        check(result)
    assert sum(len(result.text) > 500 for result in first) >= 10
    for turn in range(4):
        order = list(range(len(bodies)))[:: -1 if turn % 2 else 1]
        for i in order[turn:] + order[:turn]:
            assert extract(bodies[i]) == first[i]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ZH_WORDS, True),
        ("繁體中文的網頁也是中文。", True),
        ("中文 mixed with words of English", False),
        ("产品 Model X-100 说明书", True),
        (WORDS, False),
        ("日本語のページには仮名があります。", False),
        ("", False),
    ],
)
def test_is_chinese(text: str, expected: bool) -> None:
    assert is_chinese(text) is expected


def test_chinese_pages_take_readability_and_fall_back_where_it_finds_nothing() -> None:
    long = page("<p>第二段文字。</p>", ZH_WORDS)
    assert extract(long) == extract(long, engine="readability")
    short = "<html><head><title>T</title></head><body><div><h1>标题</h1><p>只有一句话的网页。</p></div></body></html>"
    assert extract(short, engine="readability") != extract(short)
    assert "只有一句话的网页。" in extract(short).text


@pytest.mark.parametrize("engine", engine_names())
@pytest.mark.parametrize(
    "html",
    [
        "",
        " ",
        "x",
        "\x00",
        "<",
        "<html>",
        "<!-- ",
        "<p",
        "&#0;&#xD800;&bogus;",
        "<body></body>",
        "<table><tr><td>",
        "</p></div>",
    ],
)
def test_scraps_do_not_raise(engine: str, html: str) -> None:
    check(extract(html, engine=engine))


BASE = page("<table><tr><td>a</td><td>b</td></tr></table><pre>x\n  y</pre><ul><li>i<li>j</ul>")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_mutated_pages_do_not_raise(data: st.DataObject) -> None:
    html = BASE
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(html)))
        to = data.draw(st.integers(at, min(len(html), at + 40)))
        html = (
            html[:at]
            + data.draw(
                st.sampled_from(
                    ["", "<", "</div>", "<pre>", "<td>", "<a href=x>", "\x00", "&", "<!--", "漢", "<li><p>"]
                )
            )
            + html[to:]
        )
    result = extract(html, profile=data.draw(st.sampled_from(["full", "fast"])))
    check(result)
    assert extract(html, profile="full") == extract(html, profile="full")


def test_guards_raise_in_this_process() -> None:
    with pytest.raises(TooLarge, match="too_many_tags: 50"):
        extract("<br>" * 50_000)


def test_an_empty_link_makes_no_link_of_what_follows() -> None:
    """resiliparse writes no end for a link without text; line_link_share was 1 down to the next link."""
    reduced = '<a href="/x">\n\n<p>prose after a picture</p>\n\n<a href="/y">\nlinked\n</a>\n\n<p>1234 <a href="z">5678</a></p>'
    result = [(line.text, line.link_share) for line in lines_of_reduced_html(reduced)]
    assert result == [("prose after a picture", 0.0), ("linked", 1.0), ("1234 5678", 0.5)]
