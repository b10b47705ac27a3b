"""Tables of data: one decision each, their rows as lines; tables that arrange the page are none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction import extract
from extraction.line_model.blocks import groups
from extraction.lines import scan
from extraction.lines.markdown import markdown_of
from extraction.lines.structure import structure_of, text_in

PROSE = "<p>The river rises in the hills, and flows for ninety miles to the sea, past seven towns and a mill.</p>" * 4


def tables(html: str) -> list[list[tuple[str, str]]]:
    """Tag and text of the lines of each table of data."""
    data = html.encode()
    page = scan(data)
    structure = structure_of(data, page)
    lines = text_in(data, page, structure)
    return [[(tag, text) for n, text, tag in lines if u.first <= n < u.last] for u in structure.tables]


def of_rows(*rows: str) -> list[tuple[str, str]]:
    return [("tr", row) for row in rows]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<table><tr><th>A<th>B<tr><td>1<td>2</table>", of_rows("A\tB", "1\t2")),
        ("<table><caption>C<tr><td>1<td>2<tr><td>3<td>4</table>", [("p", "C"), *of_rows("1\t2", "3\t4")]),
        ("<table><tr><td colspan=2>All<tr><td>1<td>2<tr><td>3<td>4</table>", of_rows("All", "1\t2", "3\t4")),
        ("<table><thead><tr><th>A<th>B<tbody><tr><td>1<td>2<tr><td><td>4</table>", of_rows("A\tB", "1\t2", "4")),
        # cells of many lines
        ("<table><tr><td>a<td><p>b<p>c<tr><td>d<td><p>e</table>", of_rows("a\tb c", "d\te")),
        (
            "<table><tr><td>a<td>1<br>2<br>3<br>4<tr><td>d<td>1<br>2<br>3<br>4</table>",
            of_rows("a\t1 2 3 4", "d\t1 2 3 4"),
        ),
        (
            "<table><tr><td>a<td>b<tr><td>c<td><ul><li>1<li>2<li>3<li>4<li>5</ul><tr><td>d<td>e</table>",
            of_rows("a\tb", "c\t1 2 3 4 5", "d\te"),
        ),
        ("<table><tr><td>a<br>b<td>c<tr><td>d<td>e</table>", of_rows("a b\tc", "d\te")),
        # a header and one row of numbers
        ("<table><tr><th>开盘<th>最高<tr><td>10.2<td>11.3</table>", of_rows("开盘\t最高", "10.2\t11.3")),
        ("<table><tr><td>Open<td>High<tr><td>10.2<td>11.3</table>", of_rows("Open\tHigh", "10.2\t11.3")),
        ("<table role=presentation><tr><td>Open<td>High<tr><td>10<td>11</table>", of_rows("Open\tHigh", "10\t11")),
        ("<table role=none><tr><td>开盘<td>最高<tr><td>10<td>11</table>", of_rows("开盘\t最高", "10\t11")),
        ("<table><tr><th><h3>Open</h3><th><h3>High</h3><tr><td>10<td>11</table>", of_rows("Open\tHigh", "10\t11")),
        ("<table><tr><th><p>Open<th><p>High<tr><td><p>10<td><p>11</table>", of_rows("Open\tHigh", "10\t11")),
        ("<table><tr><th colspan=2>Prices<tr><td>10<td>11</table>", of_rows("Prices", "10\t11")),
        ("<table><tr><td>10<td>11</table>", of_rows("10\t11")),
    ],
)
def test_rows(html: str, expected: list[tuple[str, str]]) -> None:
    assert tables(f"<p>Before</p>{html}<p>Behind</p>") == [expected]


@pytest.mark.parametrize(
    "html",
    [
        "<table><tr><td>One column<tr><td>and no more</table>",
        "<table><tr><td><p>a<p>b<p>c<p>d</td><td><h2>e</h2><p>f</table>",
        "<table><tr><td>author<br>joined<td><p>a post<p>of two lines</table>",
        "<table role=presentation><tr><td>1<td>2<tr><td>3<td>4</table>",
        "<table role=presentation><tr><td>Home<td>News<tr><td>About<td>Contact</table>",
        "<table role=presentation><tr><td>首页<td>新闻<tr><td>关于<td>联系</table>",
        "<table role=presentation><tr><td>10<td>11<tr><td>Open<td>High</table>",
        "<table><tr><td><h3>Open</h3><td><h3>High</h3><tr><td>10<td>11</table>",
        "<table><tr><th>Total<tr><td>10</table>",
        "<table><tr><td><pre>x</pre><td>2<tr><td>3<td>4</table>",
        f"<table><tr><td>Menu<td>{'long text ' * 300}<tr><td>a<td>b</table>",
        f"<table><tr><td>{'two columns ' * 20}<td>{'of text alone ' * 20}</table>",
        "<p>no table at all",
    ],
)
def test_layout(html: str) -> None:
    assert tables(html) == []


def test_a_table_that_holds_another_is_layout_and_the_inner_one_is_not() -> None:
    inner = "<table><tr><td>1<td>2<tr><td>3<td>4</table>"
    assert tables(f"<table><tr><td>Menu<td>x<tr><td>y<td>{inner}</table>") == [of_rows("1\t2", "3\t4")]


def test_tables_are_kept_whole() -> None:
    rows = "".join(f"<tr><td>{town}<td>{n}<td>{'a ferry and a mill' if n % 2 else ''}" for n, town in enumerate(TOWNS))
    result = extract(f"<article><h1>Towns</h1>{PROSE}<table><caption>The towns<tr><th>Town<th>No<th>Has{rows}</table>")
    texts = result.text.split("\n")
    assert texts[5:7] == ["The towns", "Town\tNo\tHas"]
    assert [text.split("\t")[0] for text in texts[7:]] == TOWNS
    assert len(set((result.line_scores or [])[5:])) == 1
    assert result.line_tags[5:] == ["p"] + ["tr"] * (1 + len(TOWNS))


@pytest.mark.parametrize("format", ["text", "markdown"])
def test_a_header_and_one_row_of_numbers_are_one_decision(format: str) -> None:
    for header, cell in (
        ("<th>Open<th>High<th>Low", "td"),
        ("<th><h4>开盘</h4><th><h4>最高</h4><th><h4>最低</h4>", "td"),
    ):
        table = f"<table><tr>{header}<tr>" + "".join(f"<{cell}>{n}" for n in (1024, 1131, 987)) + "</table>"
        result = extract(f"<article><h1>Prices</h1>{PROSE}{table}{PROSE}</article>", format=format)
        cut = " ".join(line["text"] for line in result.cut_lines or ())
        assert ("1131" in result.text) != ("1131" in cut)
        assert ("1131" in result.text) == ("High" in result.text or "最高" in result.text)


TOWNS = [f"{name}{end}" for name in ("Up", "Mil", "Nor", "Wes") for end in ("ton", "ham", "field")]


def test_groups_number_units_in_their_order() -> None:
    html = b"<pre>x</pre><table><tr><td>1<td>2<tr><td>3<td>4</table><p>a<table><tr><td>5<td>6<tr><td>7<td>8</table>"
    page = scan(html)
    assert groups(page, structure_of(html, page)).tolist() == [0, 1, 1, -1, 2, 2]


PIECES = [f"<{name}>" for name in ("table", "caption", "thead", "tr", "td", "th", "p", "li", "pre", "br", "h2", "code")]
PIECES += [piece.replace("<", "</") for piece in PIECES]
PIECES += ["<td colspan=3>", "<td rowspan=99>", "<table role=none>", "a", "b | c", "1", " ", "\n", "&nbsp;", "好"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_markup(html: str) -> None:
    data = html.encode()
    page = scan(data)
    structure = structure_of(data, page)
    last = 0
    for table in structure.tables:
        assert last <= table.first < table.last <= len(page.lines)
        last = table.last
    for _, text, tag in text_in(data, page, structure):
        assert "\n" not in text
        assert text or tag == "code"


HOSTILE = {
    "rows": "<tr><td>a<td>b",
    "tables": "<table><tr><td>a<td>b</table>",
    "tables in tables": "<table><tr><td>a<td>b<tr><td>",
    "spans": "<tr><td colspan=9999 rowspan=9999>a<td>b",
    "cells": "<td>a",
    "captions": "<table><caption>a",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_and_size_are_linear(name: str) -> None:
    def seconds(n: int) -> float:
        html = ("<table><tr><td>x<td>y<tr>" + HOSTILE[name] * n).encode()
        page = scan(html)
        started = time.process_time()
        structure = structure_of(html, page)
        text_in(html, page, structure)
        out = markdown_of(html, page, structure, page.lines[:, 0] >= 0)
        spent = time.process_time() - started
        assert sum(len(line.text) for line in out) < 40 * len(html)
        return spent

    seconds(100)
    small, large = (min(seconds(n) for _ in range(2)) for n in (2_000, 8_000))
    assert large < 8 * small + 0.2
