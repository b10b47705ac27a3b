"""Textareas: code that a page shows in them is a block of code; what readers type into is nothing."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction import extract
from extraction.lines import scan
from extraction.lines.code import code_lines
from extraction.lines.structure import structure_of
from extraction.lines.textareas import with_code_of_textareas

CODE = ["def f(x):", "    if x < 1:", "", "        return '<b>'", "    return g(x) && 2"]
SOURCE = "\n".join(CODE).replace("&", "&amp;").replace("<", "&lt;")


def blocks(html: str) -> list[tuple[str, list[str]]]:
    data = with_code_of_textareas(html.encode())
    return [(block.language, code_lines(data, block)) for block in structure_of(data, scan(data)).code]


@pytest.mark.parametrize(
    ("html", "language"),
    [
        (f"<textarea readonly>{SOURCE}</textarea>", ""),
        (f"<textarea readonly='readonly' rows=5>\n{SOURCE}\n</textarea>", ""),
        (f"<TEXTAREA cols='50' DISABLED>{SOURCE}</TEXTAREA>", ""),
        ("<textarea readonly>" + "\n".join(CODE) + "</textarea>", ""),  # `<` need not be written as a reference here
        (f"<textarea cols=50 rows=15 name='code' class='python'>{SOURCE}</textarea>", "python"),
        (f'<textarea class="brush: python; gutter: true">{SOURCE}</textarea>', "python"),
        (f"<textarea readonly class='language-python' title='a > b'>{SOURCE}</textarea>", "python"),
        ("<form><textarea readonly wrap=off>" + SOURCE.replace("\n", "\r\n") + "</textarea></form>", ""),
    ],
)
def test_code(html: str, language: str) -> None:
    assert blocks(f"<p>代码如下：</p>{html}<p>Behind it.</p>") == [(language, CODE)]


def test_one_line_where_the_page_says_that_it_is_code() -> None:
    assert blocks("<textarea name='code' class='sh'>npm install mill</textarea>") == [("sh", ["npm install mill"])]
    assert blocks("<textarea readonly>npm install mill</textarea>") == []


@pytest.mark.parametrize(
    "html",
    [
        "<textarea></textarea>",
        "<textarea readonly> \n </textarea>",
        "<textarea name='comment' placeholder='Your comment'></textarea>",
        "<textarea name='comment'>Write your comment here;\nbe kind;</textarea>",
        f"<textarea>{SOURCE}</textarea>",  # an editor: what readers try out
        f"<textarea class='crayon-plain print-no' readonly>{SOURCE}</textarea>",  # a copy: the code stands beside
        f"<textarea readonly>{SOURCE}</textarea><pre>{SOURCE}</pre>",
        f"<textarea readonly style='display:none'>{SOURCE}</textarea>",
        "<textarea readonly>[url=https://a.example/p][img]https://a.example/p.png[/img][/url]\n[b]x[/b]</textarea>",
        "<textarea readonly>&lt;iframe src='https://a.example/e'&gt;\n&lt;/iframe&gt;</textarea>",
        "<textarea readonly name='code'>&lt;a href='https://a.example'&gt;&lt;img src='x'&gt;&lt;/a&gt;</textarea>",
        "<textarea readonly>https://a.example/page/1</textarea>",
        "<textarea readonly>By using this site you agree to the terms;\nany use of the text is at your own risk;\n"
        "the owner of the site is not liable;</textarea>",
        "<textarea readonly>使用本站即表示您同意以下条款（全文）；\n本站不对任何损失负责；\n请仔细阅读；</textarea>",
        "<textarea readonly>" + SOURCE,
        "<p>&lt;textarea readonly&gt;x = 1;&lt;/textarea&gt;",
    ],
)
def test_what_is_no_code(html: str) -> None:
    data = html.encode()
    assert with_code_of_textareas(data) is data


def test_code_in_a_text_is_kept() -> None:
    prose = (
        "<p>The river rises in the hills, and flows for ninety miles to the sea, past seven towns and a mill.</p>" * 4
    )
    code, box = f"<textarea readonly>{SOURCE}</textarea>", "<textarea name=comment>Say it</textarea>"
    page = f"<article><h1>The river</h1>{prose}{code}{prose}{box}</article>"
    text = extract(page).text
    assert "\n".join(line for line in CODE) in text
    assert "Say it" not in text
    assert f"```\n{chr(10).join(CODE)}\n```" in extract(page, format="markdown").text


PIECES = [
    "<textarea readonly>",
    "<textarea name='code'>",
    "</textarea>",
    "<textarea",
    "x = 1;\n",
    "<b>",
    "&lt;",
    "'",
    '"',
    ">",
    "</pre>",
    "好",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_markup(html: str) -> None:
    left = with_code_of_textareas(html.encode())
    scan(left)
    assert with_code_of_textareas(left).count(b"<pre") >= left.count(b"<pre")


@pytest.mark.parametrize(
    "piece", [b"<textarea readonly>", b"<textarea '", b"<textarea readonly>x;\ny;\n</textarea>", b"</textarea>"]
)
def test_time_is_linear(piece: bytes) -> None:
    def seconds(n: int) -> float:
        began = time.process_time()
        with_code_of_textareas(piece * n)
        return time.process_time() - began

    small, large = (min(seconds(n) for _ in range(2)) for n in (2_000, 8_000))
    assert large < 8 * small + 0.2
