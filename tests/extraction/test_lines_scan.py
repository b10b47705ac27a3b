"""The scanner of lines: what a browser's tree would show, line by line."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.clutter.pages import read_html
from extraction.lines import Scan, scan, scan_text, text_of
from extraction.lines import tags as t
from extraction.lines.columns import MAX_DEPTH, E, L

SAMPLES = sorted(Path("data/sample/pages").glob("*.warc.gz"))


def shown(html: str | bytes, **options: Any) -> list[str]:
    data = html.encode() if isinstance(html, str) else html
    return [text for _, text, _ in text_of(data, scan(data), **options)]


def tagged(html: str) -> list[tuple[str, str]]:
    data = html.encode()
    return [(tag, text) for _, text, tag in text_of(data, scan(data))]


@pytest.mark.parametrize(
    ("html", "lines"),
    [
        # blocks and line breaks
        ("<p>One<p>Two", ["One", "Two"]),
        ("<div>a<div>b</div>c</div>", ["a", "b", "c"]),
        ("<p>one<br>two<br/>three</p>", ["one", "two", "three"]),
        ("<h1>one<br>two</h1>", ["one two"]),
        ("a <b>b</b>c <i>d</i>\n e", ["a bc d e"]),
        ("<p>  white \n\t space </p>", ["white space"]),
        ("<p>不<b>分</b>开</p>", ["不分开"]),
        # ends that are implied
        ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>e", ["a", "b", "c", "d", "e"]),
        ("<dl><dt>a<dd>b<dt>c</dl>", ["a", "b", "c"]),
        ("<select><option>a<option>b</select>c", ["c"]),
        ("<p>a<table><tr><td>b</table>c", ["a", "b", "c"]),
        ("<p>a<h2>b<h3>c</h3>", ["a", "b", "c"]),
        # formatting across blocks, ends without beginnings
        ("<b><p>a</b>b</p>c", ["ab", "c"]),
        ("<a href=x>a<a href=y>b", ["ab"]),
        ("a</p>b</div>c", ["a", "bc"]),
        ("</br>a", ["a"]),
        # tables: a row of texts is one line
        ("<table><tr><th>A<th>B<tr><td>1<td>2</table>", ["A\tB", "1\t2"]),
        ("<table><tr><td>1<td><td>3</table>", ["1\t\t3"]),
        ("<table><tr><td>a<br>b<td>c</table>", ["a b\tc"]),
        ("<table><tr><td><p>a<p>b</td><td>c</table>", ["a", "b", "c"]),
        ("<table><tr><td>a<table><tr><td>b<td>c</table><td>d</table>", ["a", "b\tc", "d"]),
        # character references
        ("<p>a&amp;b &lt;c&gt; &quot;d&quot; &#39;e&#x27; &copy;", ["a&b <c> \"d\" 'e' ©"]),
        ("<p>a&nbsp;&nbsp;b&#160;c&ensp;d", ["a b c d"]),
        ("<p>AT&T &copy2024 &notanentity; &", ["AT&T ©2024 ¬anentity; &"]),
        ("<p>&#128512; &#x4e2d; &#0; &#x80;", ["😀 中 \ufffd €"]),
        ("<p>&nbsp;</p><p>&#8203;x", ["\u200bx"]),
        # what is not shown
        ("<script>a</script><style>b</style><template>c</template><svg><text>d</text></svg>e", ["e"]),
        ("<script>if (a<b) '</div>' </script>x", ["x"]),
        ("<script><!-- <script> </script> --> </script>x", ["x"]),
        ("<textarea><p>a</textarea>b", ["b"]),
        ("<iframe>a</iframe><noembed>b</noembed>c", ["c"]),
        ("<!-- a <p> b -->c<!-->d<!--->e<!--f--!>g", ["cdeg"]),
        ("<!doctype html><?xml a?><p>b", ["b"]),
        ("<svg><![CDATA[<p>a]]></svg>b", ["b"]),
        ("<video>no video</video><canvas>c</canvas>d", ["d"]),
        ("<head><title>t</title><meta a=b></head>b", ["b"]),
        # shown though a browser with scripts would not
        ("<noscript><p>a</noscript>b", ["a", "b"]),
        ("<div hidden>a</div>b", ["a", "b"]),
        # readings of ruby
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>字", ["漢字"]),
        # preformatted
        ("<xmp><b>a</b></xmp>c", ["<b>a</b>", "c"]),
        ("a<plaintext><b>c", ["a", "<b>c"]),
        # odd bytes
        ("a < b <3 c <> d", ["a < b <3 c <> d"]),
        ("<p>a<", ["a<"]),
        ("<p>a<b", ["a"]),
        ("<p>a<b title='>'>c</b>", ["ac"]),
        ("<p>a<b title=\">\" x='y'z>c", ["ac"]),
        ("<P CLASS=A>Upper</P>", ["Upper"]),
        ("", []),
        ("\n \t", []),
        (b"<p>\xff\xfea\x00b", ["\ufffd\ufffda\x00b"]),
    ],
)
def test_lines(html: str | bytes, lines: list[str]) -> None:
    assert shown(html) == lines


@pytest.mark.parametrize(
    ("html", "lines"),
    [
        ("<pre>\n  a\n    b\n</pre>c", ["  a", "    b", "c"]),
        ("<pre>a\n\n\tb</pre>", ["a", "", "\tb"]),
        ("<pre><span>  a</span>\n<span>b</span></pre>", ["  a", "b"]),
        ("<pre>  <b>a</b>\n  b</pre>", ["  a", "  b"]),
        ("<pre>\n<code>  <i>x</i> = &lt;1&gt;\n</code></pre>", ["  x = <1>"]),
        ("<pre>a<br>b<div>c</div>d</pre>e", ["a", "b", "c", "d", "e"]),
        ("<pre>a\r\nb\rc</pre>", ["a", "b", "c"]),
        ("<p>x <code>a  b</code> y</p>", ["x a b y"]),
    ],
)
def test_code_keeps_its_white_space(html: str, lines: list[str]) -> None:
    assert shown(html) == lines


def test_tags_of_lines() -> None:
    html = (
        "<h1>a</h1><h6>b</h6><p>c<ul><li>d</ul><blockquote><p>e</blockquote><pre>f</pre><table><tr><td>g<td>h</table>"
    )
    assert tagged(html) == [
        ("h1", "a"),
        ("h6", "b"),
        ("p", "c"),
        ("li", "d"),
        ("quote", "e"),
        ("code", "f"),
        ("tr", "g\th"),
    ]


def test_markers_of_lists_and_headings() -> None:
    html = "<h2>T</h2><ol start=3><li>a<li><p>b<p>more<ul><li>c</ul><li value=9>d<li>e</ol><ul><li>f</ul><p>g"
    marked = shown(html, headings="markdown", list_markers=True)
    assert marked == ["## T", "3. a", "4. b", "more", "  - c", "9. d", "10. e", "- f", "g"]
    assert shown(html) == ["T", "a", "b", "more", "c", "d", "e", "f", "g"]


def test_lines_by_number() -> None:
    html = b"<p>a<pre>b\nc</pre><p>d"
    page = scan(html)
    assert text_of(html, page, [2, 0]) == [(2, "d", "p"), (0, "a", "p")]
    assert text_of(html, page, [1]) == [(1, "b", "code"), (1, "c", "code")]
    assert text_of(html, page, []) == []


def test_counts() -> None:
    html = "<title>The mill</title><p>The <a href=x>old mill</a>, 12 米。".encode()
    line = scan(html).lines[0]
    assert line[L.CHARACTERS] == len("Theoldmill,12米。")
    assert line[L.LINK_CHARACTERS] == len("oldmill")
    assert (line[L.WORDS], line[L.STOP_WORDS], line[L.TITLE]) == (4, 1, 2)


def test_plain_lines_count_as_those_of_a_page() -> None:
    texts = ["The old mill, 12 米。", "首页 | 联系我们", "", "Copyright © 2024"]
    page = scan("".join(f"<p>{text}" for text in texts).encode())
    plain = scan_text(texts)
    same = slice(L.CHARACTERS, None)
    assert len(plain.lines) == 4
    lines = plain.lines[[0, 1, 3], same].copy()
    for column in (L.WORD0, L.WORD1):  # where the words lie, not what they are
        lines[:, column - L.CHARACTERS] = page.lines[:, column]
    assert (lines == page.lines[:, same]).all()
    assert plain.words.tolist() == page.words.tolist()


def test_elements_and_flags() -> None:
    html = b"<body class='main navBar'><nav id=top><a href=/>x</a></nav><my-tag><p hidden>y</my-tag>"
    page = scan(html)
    names = [t.NAMES[e - 1] if e else None for e in page.elements[:, E.TAG]]
    assert names == ["html", "body", "nav", "a", None, "p"]
    assert page.elements[1, E.TOKEN1] - page.elements[1, E.TOKEN0] == 3  # main, nav, Bar
    assert [bool(page.flags[e] & t.FLAG["nav"]) for e in page.lines[:, L.ELEMENT]] == [True, False]
    assert [bool(page.flags[e] & t.HIDDEN) for e in page.lines[:, L.ELEMENT]] == [False, True]


def check(html: bytes, page: Scan) -> None:
    """What holds for every scan."""
    n, m = len(page.lines), len(page.elements)
    parents = page.elements[1:, E.PARENT]
    assert (parents >= 0).all()
    assert (parents < np.arange(1, m)).all()
    assert (page.elements[1:, E.DEPTH] == page.elements[parents, E.DEPTH] + 1).all()
    assert page.elements[:, E.DEPTH].max() <= MAX_DEPTH
    tokens = page.elements[:, [E.TOKEN0, E.TOKEN1]]
    assert (tokens[:, 0] <= tokens[:, 1]).all()
    assert tokens.max(initial=0) <= len(page.tokens)
    starts, ends = page.chunks[:, 0], page.chunks[:, 1]
    assert (starts < ends).all()
    assert (ends[:-1] <= starts[1:]).all()
    assert ends.max(initial=0) <= len(html)
    if n:
        assert page.lines[:, [L.ELEMENT, L.BLOCK]].min() >= 0
        assert page.lines[:, [L.ELEMENT, L.BLOCK]].max() < m
        assert (page.lines[:, L.CHUNK0] < page.lines[:, L.CHUNK1]).all()
        assert (page.lines[:-1, L.CHUNK1] <= page.lines[1:, L.CHUNK0]).all()
        assert page.lines[-1, L.CHUNK1] <= len(page.chunks)
        assert (page.lines[:, L.WORD0] <= page.lines[:, L.WORD1]).all()
        assert page.lines[-1, L.WORD1] <= len(page.words)
        assert (page.lines[:, L.LINK_CHARACTERS] <= page.lines[:, L.CHARACTERS]).all()
    tags = page.formulas
    assert (tags[:, 0] < tags[:, 1]).all()
    assert (tags[:-1, 1] <= tags[1:, 0]).all()
    assert all(html[start] == ord("<") and html[end] == ord(">") for start, end in tags.tolist())
    texts = text_of(html, page, headings="markdown", list_markers=True)
    assert all("\n" not in text for _, text, _ in texts)
    again = scan(html)
    for field in dataclasses.fields(Scan):
        assert np.array_equal(getattr(page, field.name), getattr(again, field.name)), field.name


PIECES = [f"<{name}>" for name in t.NAMES] + [f"</{name}>" for name in t.NAMES]
PIECES += ["<", ">", "<!--", "-->", "<![CDATA[", "&", "&amp;", "&#x41", '"', "'", "=", "<a href='", "<p class=x id=y"]
PIECES += ["text", "好", " ", "\n", "\x00"]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_markup(html: str) -> None:
    check(html.encode(), scan(html.encode()))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(html: bytes) -> None:
    check(html, scan(html))


def mutated(pages: list[bytes], rounds: int) -> None:
    """Real pages with spans cut, doubled, swapped and overwritten."""
    random = np.random.default_rng(0)
    for page in pages:
        for _ in range(rounds):
            data = bytearray(page[:60_000])
            for _ in range(int(random.integers(1, 12))):
                a, b, size = (int(v) for v in random.integers(0, [len(data) + 1, len(data) + 1, 400]))
                piece = bytes(data[a : a + size])
                match int(random.integers(4)):
                    case 0:
                        del data[a : a + size]
                    case 1:
                        data[b:b] = piece
                    case 2:
                        data[b : b + size] = piece
                    case _:
                        data[a : a + 3] = random.bytes(3)
            check(bytes(data), scan(bytes(data)))


def sample_pages(each: int) -> list[bytes]:
    return [html for file in SAMPLES for _, html in list(read_html(file))[:each]]


def test_real_pages() -> None:
    for html in sample_pages(5):
        check(html, scan(html))


def test_mutated_pages() -> None:
    mutated(sample_pages(3), 4)


def html5lib_tests() -> list[dict[str, Any]]:
    """Those that begin in the data state: the others need a tokenizer that is told its state by a parser."""
    with gzip.open("tests/golden/html5lib/tokenizer.jsonl.gz", "rt") as f:
        tests = [json.loads(line) for line in f]
    return [t for t in tests if "Data state" in t.get("initialStates", ["Data state"])]


def test_html5lib_tokenizer() -> None:
    """The characters that html5lib's tests expect are the text, white space and what no text may hold aside."""

    def plain(text: str) -> str:
        # Control characters, and code points that are no characters by definition, are cut from texts on purpose.
        nothing = (c for c in text if unicodedata.category(c) not in {"Cc", "Cn"} and not c.isspace() and c != "\u200b")
        return "".join(nothing)

    def read(text: str, test: dict[str, Any]) -> str:
        return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), text) if test.get("doubleEscaped") else text

    tests, wrong = 0, []
    for test in html5lib_tests():
        expected = read("".join(token[1] for token in test["output"] if token[0] == "Character"), test)
        try:
            text = "".join(shown(read(test["input"], test)))
        except UnicodeEncodeError:  # a lone surrogate: bytes in UTF-8 cannot say it
            continue
        tests += 1
        if plain(text) != plain(expected):
            wrong.append((test["file"], test["description"], expected, text))
    assert not wrong
    assert tests == 6_625


@pytest.mark.long
def test_no_access_out_of_bounds(tmp_path: Path) -> None:
    """The same with numba's bounds checks, in a process of its own."""
    env = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "CORPUSMILL_CACHE": str(tmp_path / "cache")}
    run = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__, "-k", "not out_of_bounds"]
    done = subprocess.run(run, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


HOSTILE = {
    "attributes": lambda n: "<p " + "a=b class='c d' " * n + ">x",
    "nested divs": lambda n: "<div>" * n + "x",
    "nested formatting": lambda n: "<b><i>" * n + "x" + "</b>" * n,
    "wrong ends": lambda n: "<span>" * n + "</b></i></p>" * n + "x",
    "one long text": lambda n: "word " * 10 * n,
    "open comments": lambda n: "<!--" * n,
    "open scripts": lambda n: "<script>" * n,
    "open tags": lambda n: "<a" * n,
    "open quotes": lambda n: "<a b='" * n,
    "tables in tables": lambda n: "<table><tr><td>" * n + "x",
    "rows": lambda n: "<table>" + "<tr><td>a<td>b" * n,
    "lists in lists": lambda n: "<ul><li>x" * n,
    "options": lambda n: "<select>" + "<option>x" * n,
    "ampersands": lambda n: "<p>" + "&" * 10 * n,
    "references": lambda n: "<p>" + "&amp;&#x1F600;&CounterClockwiseContourIntegral;" * n,
    "lines": lambda n: "<p>x" * n,
    "breaks": lambda n: "x<br>" * n,
    "closing tags": lambda n: "</p" * n,
    "less-than signs": lambda n: "<" * 10 * n,
    "formulas": lambda n: "<math><img alt='\\\\' src=tex>1<sup>" * n,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_end_and_stay_small(name: str) -> None:
    html = HOSTILE[name](20_000).encode()
    page = scan(html)
    n = html.count(b"<") + 2
    assert len(page.elements) <= n
    assert len(page.lines) <= n
    assert len(page.chunks) <= n
    assert page.elements[:, E.DEPTH].max() <= MAX_DEPTH
    assert sum(len(text) for _, text, _ in text_of(html, page)) <= 2 * len(html)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 127, 128, 129, 1000])
def test_what_is_passed_over_may_have_any_length(size: int) -> None:
    filler = "x" * size
    for before in range(0, 70, 23):
        start = f"<p>{'y' * before}</p>"
        for skipped in (
            f"<script>{filler}</script>",
            f"<!--{filler}-->",
            f"<style>{filler}<x></style>",
            f"<!--{filler}--!>",
        ):
            assert shown(f"{start}{skipped}<p>a</p>")[-1] == "a", skipped
        assert shown(f"{start}<p>a</p><script>{filler}") == ([] if before == 0 else ["y" * before]) + ["a"]


@pytest.mark.parametrize(
    ("html", "lines"),
    [
        # what is hidden within a line is none of it; a long text is one that a button shows
        ("<p>The rain h<span style='display:none'>KZ7</span>ad stopped.</p>", ["The rain had stopped."]),
        ("<p>a <i hidden>b</i>c</p>", ["a c"]),
        ("<p>a<span style='visibility: hidden'>k3</span></p>", ["a"]),
        ("<p>Open<span class='sr-only'> in a new window</span></p>", ["Open"]),
        ("<p>x<span class='btn visually-hidden'>y</span></p>", ["x"]),
        ("<h2 class='sr-only'>Comments</h2>", ["Comments"]),
        ("<p>打开<span class='govuk-visually-hidden'>（新窗口）</span></p>", ["打开"]),
        ("<p>Open<span class='Link_visuallyHidden__x1'> in a new window</span></p>", ["Open"]),
        (
            "<p>Open<i class='u-sr-only'>b</i><i class='screen-reader-text'>b</i><i class='show-for-sr'>b</i></p>",
            ["Open"],
        ),
        ("<p>Open<i class='element-invisible'>b</i><i class='slds-assistive-text'>b</i></p>", ["Open"]),
        ("<p>Open<i class='not-sr-only'> b</i><i class='hidden-text'> c</i></p>", ["Open b c"]),
        # by a style that leaves nothing to be seen; a block may be shown by a button, and a text may fade in
        ("<p>The rain h<span style='font-size:0'>KZ7</span>ad stopped.</p>", ["The rain had stopped."]),
        ("<p>雨<font style='color:#fff;FONT-SIZE: 0px;'>乱码</font>停了</p>", ["雨停了"]),
        ("<p>a<i style='position:absolute; left:-9999px'>b</i><i style='text-indent: -999em'>b</i></p>", ["a"]),
        (
            "<p>a<i style='position:absolute;clip:rect(0,0,0,0)'>b</i><i style='clip: rect(1px 1px 1px 1px)'>b</i></p>",
            ["a"],
        ),
        ("<p>a<i style='clip-path: inset(50%)'>b</i><i style='left:-9999px;display:block'>b</i></p>", ["a"]),
        ("<p>a<i style='font-size:0.9em'>b</i><i style='font-size:10px'>c</i><i style='left:-9px'>d</i></p>", ["abcd"]),
        ("<p>a<i style='clip:rect(0,10px,10px,0)'>b</i><i style='clip:auto'>c</i><i style=';clip'>d</i></p>", ["abcd"]),
        ("<p>a<i style='opacity:0'>b</i><i style='content:\"left:-9999px\"'>c</i></p>", ["abc"]),
        ("<div style='font-size:0'>a<span style='font-size:14px'>b</span></div>", ["ab"]),
        ("<div style='left:-9999px'>a menu</div>", ["a menu"]),
        (f"<p>a<span style='display:none'> {'more ' * 60}</span></p>", ["a " + ("more " * 60).strip()]),
        # marks of editors and of links at headlines
        ("<h2>History<span class='mw-editsection'>[<a href='/e'>edit</a>]</span></h2>", ["History"]),
        ("<h2>历史[<a href='/e'>编辑</a>]</h2>", ["历史"]),
        ("<h2>历史[编辑 | 编辑源代码]</h2>", ["历史"]),
        ("<h2>Usage<a class='headerlink' href='#u'>¶</a></h2>", ["Usage"]),
        ("<h2>Usage <a href='#u'>#</a></h2>", ["Usage"]),
        ("<h2>历史［编辑］</h2><h2>历史 [ 编辑源代码 ]</h2><h2>歷史【編輯】</h2>", ["历史", "历史", "歷史"]),
        ("<h2>歴史[ソースを編集]</h2><h2>歴史[編集]</h2><h2>역사[편집]</h2>", ["歴史", "歴史", "역사"]),
        ("<h2>Geschichte[Bearbeiten | Quelltext bearbeiten]</h2>", ["Geschichte"]),
        ("<h2>Histoire [modifier | modifier le code]</h2>", ["Histoire"]),
        ("<h2>История[править | править код]</h2>", ["История"]),
        ("<h2>Historia[editar]</h2><h2>Storia[modifica wikitesto]</h2>", ["Historia", "Storia"]),
        ("<h2>王五（编辑）</h2><h2>Array[edit 1]</h2><h2>编辑</h2>", ["王五（编辑）", "Array[edit 1]", "编辑"]),
        ("<p>[编辑] is a link of wikis, [edit] another.</p>", ["[编辑] is a link of wikis, [edit] another."]),
        ("<h2>Usage<a class='hash-link' href='#u'>#</a></h2>", ["Usage"]),
        ("<h2><a class='anchor' aria-hidden='true' href='#u'>#</a>Usage</h2>", ["Usage"]),
        ("<h2><a class='heading-anchor' href='#u'><span> # </span></a> 用法</h2>", ["用法"]),
        ("<h2><a href='#u'>§</a> Usage <a href='#u'>&para;</a></h2>", ["Usage"]),
        ("<h2>Usage<a href='#u'>🔗</a></h2>", ["Usage"]),
        ("<h2><a class='header-anchor' href='#u'><span>Usage</span></a></h2>", ["Usage"]),
        ("<h2><a href='/c'>C#</a></h2><h2><a href='/f'>F</a>#</h2>", ["C#", "F#"]),
        ("<h2><a href='/p'>§ 5</a> and #1</h2><p><a href='/x'>#</a>1</p>", ["§ 5 and #1", "#1"]),
        ("<h2>C#</h2>", ["C#"]),
        ("<h2>¶</h2>", ["¶"]),
        # the end of a line in the source, between Han characters or kana
        ("<p>卖豆\n腐的</p>", ["卖豆腐的"]),
        ("<p>卖豆\r\n\t <b>\n腐</b>的</p>", ["卖豆腐的"]),
        ("<p>卖豆 腐的</p>", ["卖豆 腐的"]),
        ("<p>卖\nbeans\n腐</p>", ["卖 beans 腐"]),
        ("<p>カタ\nカナ、\n「x」</p>", ["カタカナ、「x」"]),
        ("<p>한국\n어</p>", ["한국 어"]),
        ("<p>卖豆&amp;\n腐</p>", ["卖豆& 腐"]),
        ("<p>卖豆&emsp14;\n腐&copy</p>", ["卖豆腐©"]),
        # blocks by style, one custom element after another, fallbacks, shadow roots
        ("<p><span style='display:block'>a.</span><span style='display: flex'>b.</span></p>", ["a.", "b."]),
        ("<p>a<span style='display:inline-block'>b</span></p>", ["ab"]),
        ("<pre><span style='display:block'>a</span></pre>", ["a"]),
        ("<div><x-p>a.</x-p><x-p>b.</x-p> <x-p>c.</x-p></div>", ["a.", "b.", "c."]),
        ("<p>at <g-time>noon</g-time> and <g-time>one</g-time></p>", ["at noon and one"]),
        ("<object data='a'><p>a</p></object><applet><p>b</p></applet>", ["a", "b"]),
        ("<video><p>no video</p></video><p>c</p>", ["c"]),
        ("<x-a><template shadowrootmode='open'><p>seen</p></template></x-a>", ["seen"]),
        ("<template><p>unseen</p></template><p>d</p>", ["d"]),
    ],
)
def test_what_is_seen(html: str, lines: list[str]) -> None:
    assert shown(html) == lines
