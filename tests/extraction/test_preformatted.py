"""Line breaks that a page keeps by its style, and code in breaks and fixed spaces."""

import time

import pytest

from extraction import extract
from extraction.lines.preformatted import with_lines_kept

PROSE = "<p>" + "The wheel turns in the stream, and the miller looks at it every morning. " * 5 + "</p>"
CODE = "def mill(n):\n    total = 0\n    for i in range(n):\n        total += i\n    return total"


def text_of(part: str) -> list[str]:
    page = f"<html><body><article><h1>The mill</h1>{PROSE}{part}{PROSE}</article></body></html>"
    return extract(page.encode()).text.split("\n")[2:-1]


@pytest.mark.parametrize(
    "style", ["white-space: pre", "color: red; white-space:pre-wrap", "WHITE-SPACE : break-spaces"]
)
@pytest.mark.parametrize("tag", ["div", "p"])
def test_code_in_a_styled_element(style: str, tag: str) -> None:
    assert text_of(f'<{tag} class="x" style="{style}">{CODE}</{tag}>') == CODE.split("\n")


def test_lines_of_other_text_stay_lines() -> None:
    verse = ["The first line of the verse,", "the second line of it, with <b>more</b> to say,", "and the third."]
    kept = text_of(f'<div style="white-space: pre-line">{chr(10).join(verse)}</div>')
    assert kept == [line.replace("<b>", "").replace("</b>", "") for line in verse]


def test_code_in_breaks_and_fixed_spaces() -> None:
    part = "<p>for (i = 0; i &lt; 9; i++) {<br>&nbsp;&nbsp;&nbsp;&nbsp;turn(i);<br />\n&nbsp;&nbsp;&nbsp;&nbsp;grind(i);<br>}</p>"
    assert text_of(part) == ["for (i = 0; i < 9; i++) {", "    turn(i);", "    grind(i);", "}"]


@pytest.mark.parametrize(
    "part",
    [
        '<div style="white-space: nowrap">a\nb</div>',
        '<div style="white-space: normal">a\nb</div>',
        '<div data-style="white-space: pre">a\nb</div>',
        '<div style="white-space: pre">one line</div>',
        '<div style="white-space: pre">a<div>b</div>\nc</div>',
        '<style>.x { white-space: pre }</style><div class="x">a\nb</div>',
        "<p>&nbsp;&nbsp;磨坊的水轮一直在转。<br>&nbsp;&nbsp;我们看着它转了很久。<br>&nbsp;&nbsp;后来天黑了。</p>",
        "<p>Dear reader,<br>&nbsp;&nbsp;the mill is closed today.<br>&nbsp;&nbsp;Come back to us tomorrow.</p>",
    ],
)
def test_what_is_no_such_text_stays(part: str) -> None:
    page = part.encode()
    assert with_lines_kept(page) == page


def test_a_page_without_any_is_the_same_object() -> None:
    page = PROSE.encode()
    assert with_lines_kept(page) is page


@pytest.mark.parametrize(
    "page",
    [
        b'<div style="white-space: pre">' * 40_000,
        b"<br>&nbsp;&nbsp;" + b"<p>" * 200_000,
        b"<br>&nbsp;&nbsp;<p>" + b"x" * 2_000_000,
        b'<div style="' + b"white-space: pre;" * 100_000 + b'">a\nb</div>',
    ],
)
def test_hostile_pages_take_no_time(page: bytes) -> None:
    began = time.process_time()
    with_lines_kept(page)
    assert time.process_time() - began < 5
