"""Markdown of a page: what each part becomes, where blank lines stand, that the columns fit the lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction import Extraction, extract
from extraction.engines import Options
from extraction.lines import scan
from extraction.lines.markdown import markdown_of
from extraction.lines.structure import structure_of
from extraction.result import all_lines
from extraction.text import clean

PROSE = "The river rises in the hills, and flows for ninety miles to the sea, past seven towns and a mill."


def written(html: str, cut: tuple[int, ...] = ()) -> str:
    """Markdown of all lines, those of these numbers aside."""
    data = html.encode()
    page = scan(data)
    kept = np.ones(len(page.lines), np.bool_)
    kept[list(cut)] = False
    return "\n".join(line.text for line in markdown_of(data, page, structure_of(data, page), kept) if line.kept)


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h1>a</h1><h4>b</h4><p>c", "# a\n\n#### b\n\nc"),
        ("<p>a<p>b", "a\n\nb"),
        ("<p>a<br>b<br><br>c", "a\nb\n\nc"),
        ("<p>a <a href=x>link</a>, <b>bold</b> and <code>x</code>", "a link, bold and x"),
        # lists
        ("<p>a<ul><li>b<li>c</ul><p>d", "a\n\n- b\n- c\n\nd"),
        ("<ol start=3><li>a<li>b</ol>", "3. a\n4. b"),
        ("<ul><li>a<ul><li>b<ol><li>c</ol></ul><li>d</ul>", "- a\n  - b\n    1. c\n- d"),
        ("<ol><li>a<ul><li>b</ul></ol>", "1. a\n   - b"),
        ("<ul><li><p>a<p>b<li>c</ul>", "- a\n\n  b\n\n- c"),
        ("<ul><li>a<br>b<li>c</ul>", "- a\n  b\n- c"),
        ("<ul><li>a</ul><ul><li>b</ul>", "- a\n\n- b"),
        ("<dl><dt>a<dd>b</dl>", "a\n\nb"),
        ("<ul><li>a<pre>x\n  y</pre><li>b</ul>", "- a\n\n  ```\n  x\n    y\n  ```\n\n- b"),
        # quotations
        ("<p>a<blockquote><p>b<p>c</blockquote><p>d", "a\n\n> b\n>\n> c\n\nd"),
        ("<blockquote>a<blockquote>b</blockquote></blockquote>", "> a\n>\n> > b"),
        ("<blockquote><ul><li>a<li>b</ul><pre>x</pre></blockquote>", "> - a\n> - b\n>\n> ```\n> x\n> ```"),
        # code
        ("<pre><code class=language-py>a\n\n\n  b</code></pre><p>c", "```py\na\n\n  b\n```\n\nc"),
        ("<pre>a ``` b</pre>", "````\na ``` b\n````"),
        ("<pre>a</pre><pre>b</pre>", "```\na\n```\n\n```\nb\n```"),
        ("<pre> \n </pre>a", "a"),
        # tables
        ("<table><tr><th>A<th>B<tr><td>1<td>2|3</table>", "| A | B |\n| --- | --- |\n| 1 | 2\\|3 |"),
        ("<table><tr><td>1<td>2<tr><td>3</table>", "| 1 | 2 |\n| --- | --- |\n| 3 |  |"),
        ("<table><tr><td><td>2<tr><td>3<td>4</table>", "|  | 2 |\n| --- | --- |\n| 3 | 4 |"),
        (
            "<table><tr><th colspan=2>A<th>B<tr><td>1<td>2<td>3</table>",
            "| A |  | B |\n| --- | --- | --- |\n| 1 | 2 | 3 |",
        ),
        (
            "<table><tr><td rowspan=2>a<td>b<tr><td>c<tr><td>d<td>e</table>",
            "| a | b |\n| --- | --- |\n|  | c |\n| d | e |",
        ),
        ("<table><caption>C<tr><td>1<td>2<tr><td>3<td>4</table>", "C\n\n| 1 | 2 |\n| --- | --- |\n| 3 | 4 |"),
        ("<table><tr><td>a<td><p>b<p>c<tr><td>d<td>e</table>", "| a | b c |\n| --- | --- |\n| d | e |"),
        # white space
        ("<p>  a \n b<p>&nbsp;<p>\u200bc", "a b\n\nc"),
        ("", ""),
    ],
)
def test_markdown(html: str, markdown: str) -> None:
    assert written(html) == markdown


def test_what_is_cut_leaves_no_gap() -> None:
    assert written("<p>a<p>b<p>c", (1,)) == "a\n\nc"
    assert written("<p>a<p>b<p>c", (0,)) == "b\n\nc"
    assert written("<ul><li>a<li>b<li>c</ul>", (1,)) == "- a\n- c"
    assert written("<p>a<ul><li>b<li>c</ul>", (1,)) == "a\n\n- c"


def check(result: Extraction) -> None:
    n = len(result.text.split("\n")) if result.text else 0
    assert len(result.line_tags) == len(result.line_link_share) == n
    assert result.line_scores is None or len(result.line_scores) == n
    assert clean(result.text) == result.text


PAGE = (
    "<title>River</title><nav><ul><li><a href=/>Home</a><li><a href=/a>About</a></ul></nav>"
    f"<article><h1>River</h1>{f'<p>{PROSE}</p>' * 4}"
    f"<pre class=lang-py>x = 1\n\ny = 2</pre><h2>Towns</h2><table><tr><th>Town<th>No<tr><td>Upton<td>3</table>"
    f"<ul><li>{PROSE}<li>{PROSE}</ul>{f'<p>{PROSE}</p>' * 2}</article><footer>All rights reserved.</footer>"
)


def test_columns_fit_the_lines() -> None:
    result = extract(PAGE, format="markdown")
    check(result)
    assert f"{PROSE}\n\n{PROSE}\n\n" in result.text
    assert (
        "\n\n```py\nx = 1\n\ny = 2\n```\n\n## Towns\n\n| Town | No |\n| --- | --- |\n| Upton | 3 |\n\n- " in result.text
    )
    tags = dict(zip(result.text.split("\n"), result.line_tags, strict=True))
    assert (tags["```py"], tags["## Towns"], tags["| Upton | 3 |"], tags[f"- {PROSE}"]) == ("code", "h2", "tr", "li")
    assert extract(PAGE, format="markdown", headings="markdown", list_markers=True) == result
    bare = extract(PAGE, format="markdown", cut_lines=False)
    assert (bare.text, bare.line_scores, bare.cut_lines) == (result.text, result.line_scores, None)


def test_all_lines_together_are_the_markdown_of_all() -> None:
    lines = [line.text for line in all_lines(extract(PAGE, format="markdown"))]
    assert lines[:4] == ["- Home", "- About", "# River", ""]
    assert lines[-2:] == ["", "All rights reserved."]


def test_text_carried_as_data() -> None:
    body = "\\n".join([PROSE] * 6)
    script = f'<script type="application/ld+json">{{"@type": "Article", "articleBody": "{body}"}}</script>'
    result = extract(f"<html><head>{script}</head><body><div id=app></div></body></html>", format="markdown")
    check(result)
    assert result.text.split("\n")[0] == PROSE


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown format 'html'; expected one of: text, markdown"):
        Options(format="html")  # type: ignore[arg-type]


NAMES = [
    "p",
    "div",
    "h2",
    "ul",
    "ol",
    "li",
    "dl",
    "dd",
    "blockquote",
    "pre",
    "code",
    "table",
    "tr",
    "td",
    "th",
    "caption",
]
NAMES += ["br", "b", "a", "span", "button"]
PIECES = [f"<{name}>" for name in NAMES] + [f"</{name}>" for name in NAMES]
PIECES += [
    "word",
    "| a",
    "```",
    "#",
    "好的，",
    " ",
    "\n",
    "&nbsp;",
    "\u200b ",
    "e\u0301",
    "\x00",
    "\x1c",
    "<td colspan=9>",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_markup(html: str) -> None:
    result = extract(html, format="markdown")
    check(result)
    assert extract(html, format="markdown") == result
    text = written(html)
    assert clean(text) == text
