"""Blocks of code: lines, indentation, language, without line numbers, in the layouts of highlighters and of old pages."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction import extract
from extraction.line_model.blocks import groups, kept_whole, united
from extraction.lines import scan
from extraction.lines import tags as t
from extraction.lines.code import code_lines
from extraction.lines.structure import Structure, structure_of, text_in

CODE = ["def f(x):", "    if x:", "        return 1", "", "    return 2"]
SOURCE = "\n".join(CODE)


def blocks(html: str) -> list[tuple[str, list[str]]]:
    """Language and lines of the blocks of a page."""
    data = html.encode()
    return [(block.language, code_lines(data, block)) for block in structure_of(data, scan(data)).code]


def shown(html: str) -> list[tuple[str, str]]:
    data = html.encode()
    page = scan(data)
    return [(tag, text) for _, text, tag in text_in(data, page, structure_of(data, page))]


def numbered(piece: str) -> str:
    """`piece` for each line of CODE, with its number and text."""
    return "".join(piece.replace("#", str(n)).replace("@", line) for n, line in enumerate(CODE, 1))


NUMBERS = "\n".join(map(str, range(1, len(CODE) + 1)))

LAYOUTS = {
    "plain": f"<pre>{SOURCE}</pre>",
    "first line end": f"<pre><code>\n{SOURCE}\n</code></pre>",
    "windows line ends": "<pre>" + SOURCE.replace("\n", "\r\n") + "</pre>",
    "spans": "<pre><code>" + SOURCE.replace("    ", "<span>    </span>") + "</code></pre>",
    "breaks": "<pre>" + SOURCE.replace("\n", "<br>") + "</pre>",
    "pygments, inline": "<pre>" + numbered('<span class="lineno">#</span>@\n') + "</pre>",
    "pygments, inline, newer": "<pre>" + numbered('<span class="linenos"> # </span>@\n') + "</pre>",
    "pygments, table": '<table class="highlighttable"><tr><td class="linenos"><div class="linenodiv"><pre>'
    f'{NUMBERS}</pre></div></td><td class="code"><div class="highlight"><pre><span></span>{SOURCE}\n</pre></div></table>',
    "chroma, table": '<table class="lntable"><tr><td class="lntd"><pre class="chroma"><code>'
    + numbered('<span class="lnt">#\n</span>')
    + f'</code></pre></td><td class="lntd"><pre class="chroma"><code>{SOURCE}</code></pre></td></tr></table>',
    "chroma, inline": "<pre><code>"
    + numbered('<span class="line"><span class="ln">#</span><span class="cl">@\n</span></span>')
    + "</code></pre>",
    "chroma, styles": "<pre><code>"
    + numbered('<span style="display:flex"><span style="user-select:none">#</span><span>@\n</span></span>')
    + "</code></pre>",
    "rouge": '<pre><code><table class="rouge-table"><tbody><tr><td class="rouge-gutter gl"><pre class="lineno">'
    f'{NUMBERS}\n</pre></td><td class="rouge-code"><pre>{SOURCE}\n</pre></td></tr></tbody></table></code></pre>',
    "hexo": '<figure class="highlight"><table><tr><td class="gutter"><pre>'
    + "<br>".join(f'<span class="line">{n}</span>' for n in range(1, len(CODE) + 1))
    + '</pre></td><td class="code"><pre>'
    + "<br>".join(f'<span class="line">{line}</span>' for line in CODE)
    + "</pre></td></tr></table></figure>",
    "highlight.js with numbers": '<pre><code class="hljs"><table class="hljs-ln"><tbody>'
    + numbered(
        '<tr><td class="hljs-ln-line hljs-ln-numbers" data-line-number="#"><div class="hljs-ln-n" data-line-number="#">'
        '</div></td><td class="hljs-ln-line hljs-ln-code">@</td></tr>'
    )
    + "</tbody></table></code></pre>",
    "react": '<pre><code style="white-space:pre">'
    + numbered(
        '<span style="display:block"><span class="linenumber react-syntax-highlighter-line-number">#</span>@\n</span>'
    )
    + "</code></pre>",
    "react, numbers first": "<pre><code>"
    + numbered('<span class="react-syntax-highlighter-line-number">#\n</span>')
    + f"</code><code><span>{SOURCE}</span></code></pre>",
    "github": '<table class="highlight js-file-line-container">'
    + numbered(
        '<tr>\n<td class="blob-num" data-line-number="#"></td>\n<td class="blob-code blob-code-inner">@</td>\n</tr>'
    )
    + "</table>",
    "github, numbers as text": '<table class="highlight">'
    + numbered('<tr>\n<td class="blob-num">#</td>\n<td class="blob-code">@</td>\n</tr>')
    + "</table>",
    "flex rows": "<pre>" + numbered("<div><span>#</span><div>@</div></div>") + "</pre>",
    "lines in blocks": "<pre>" + numbered('<div class="line">@</div>') + "</pre>",
    "lines in blocks, line ends between": "<pre>" + numbered('<div class="line">@</div>\n') + "</pre>",
    "lines in spans": "<pre>" + numbered('<span style="display: block">@</span>') + "</pre>",
    "lines in items": "<pre><ol>" + numbered("<li>@</li>") + "</ol></pre>",
    "numbers in their own elements": "<pre>" + numbered("<i>#</i> @\n").replace(" \n", "\n") + "</pre>",
    "gutter beside": f'<div class="gutter"><pre>{NUMBERS}</pre></div><div><pre>{SOURCE}</pre></div>',
    "list of numbers before": "<ul>" + numbered("<li>#</li>") + f"</ul><pre>{SOURCE}</pre>",
    "list of numbers within": f'<pre><code>{SOURCE}</code><ul class="pre-numbering">'
    + numbered("<li>#</li>")
    + "</ul></pre>",
    "line numbers as attributes": "<pre>" + numbered('<span data-line-number="#">@</span>\n') + "</pre>",
    "items of a list": "<ol class=code-lines>" + numbered("<li><code>@</code></li>") + "</ol>",
    "copy button": f"<pre><button>Copy</button><code>{SOURCE}</code></pre>",
    "no-break spaces": '<code class="block">'
    + SOURCE.replace("    ", "&nbsp;&nbsp;&nbsp;&nbsp;").replace("\n", "<br>\n")
    + "</code>",
    "no-break spaces in a block": '<div class="code">'
    + SOURCE.replace("    ", "&nbsp;&nbsp;&nbsp;&nbsp;").replace("\n", "<br>\n")
    + "</div>",
    "style": f'<code style="white-space: pre">\n{SOURCE}\n</code>',
    "block with a language": f'<div class="code-block" data-lang="python">{SOURCE}</div>',
    "syntaxhighlighter": '<div class="syntaxhighlighter"><table><tr><td class="gutter">'
    + numbered('<div class="line number#">#</div>')
    + '</td><td class="code"><div class="container">'
    + "".join(
        '<div class="line"><code class="spaces">'
        f'{"&nbsp;" * (len(line) - len(line.lstrip()))}</code><code class="plain">{line.strip()}</code></div>'
        for line in CODE
    )
    + "</div></td></tr></table></div>",
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name: str) -> None:
    """All give the same code, whatever stands before and behind it."""
    found = blocks(f"<p>Before.</p>{LAYOUTS[name]}<p>Behind it.</p>")
    assert [[line.replace("\xa0", " ") for line in lines] for _, lines in found] == [CODE]
    texts = shown(f"<p>Before.</p>{LAYOUTS[name]}<p>Behind it.</p>")
    assert texts[0] == ("p", "Before.")
    assert texts[-1] == ("p", "Behind it.")
    assert {tag for tag, _ in texts[1:-1]} == {"code"}


@pytest.mark.parametrize(
    ("html", "language"),
    [
        ('<pre><code class="language-python">x = 1</code></pre>', "python"),
        ('<pre class="lang-js">x = 1</pre>', "js"),
        ('<pre class="brush: csharp; toolbar: false">x = 1</pre>', "csharp"),
        ('<pre class="brush:php;">x = 1</pre>', "php"),
        ('<div class="sourceCode"><pre class="sourceCode haskell"><code>x = 1</code></pre></div>', "haskell"),
        ('<div class="highlight-python3 notranslate"><div class="highlight"><pre>x = 1</pre></div></div>', "python3"),
        ('<div class="highlight highlight-source-shell"><pre>x = 1</pre></div>', "shell"),
        ('<div class="language-c++ highlighter-rouge"><div class="highlight"><pre>x = 1</pre></div></div>', "c++"),
        ('<figure class="highlight java"><table><tr><td class="code"><pre>x = 1</pre></table></figure>', "java"),
        ('<pre><code class="hljs rust">x = 1</code></pre>', "rust"),
        ('<pre data-language="go"><code>x = 1</code></pre>', "go"),
        ('<pre lang="ruby">x = 1</pre>', "ruby"),
        ('<code class="hl lean block">x = 1</code>', "lean"),
        ('<pre class="language-html"><span class="token style language-css">x = 1</span></pre>', "html"),
        # what names no language
        ('<pre><code class="language-none">x = 1</code></pre>', ""),
        ('<pre class="highlight-wrap">x = 1</pre>', ""),
        ('<pre lang="en">x = 1</pre>', ""),
        ('<div class="language-switch"></div><pre>x = 1</pre>', ""),
        ('<article class="language-java"><pre>x = 1</pre></article>', ""),
    ],
)
def test_languages(html: str, language: str) -> None:
    assert blocks(html) == [(language, ["x = 1"])]


@pytest.mark.parametrize(
    "html",
    [
        "<p>Call <code>f(x)</code> here.</p>",
        "<p><code>npm install</code></p>",
        "<p><code>a wrapped\n  name</code></p>",
        "<p><code>first</code> is a word<br>and <code>second</code> another</p>",
        '<div class="highlight">The mill was built<br>by the river in the year of the flood</div>',
        '<div class="promo-code">SAVE10<br>Free delivery</div>',
        '<table><tr><td class="code">DE</td><td>Germany</td></tr><tr><td class="code">FR</td><td>France</td></tr></table>',
        '<table class="highlight"><tr><td>1</td><td>Rover</td></tr><tr><td>2</td><td>Rex</td></tr></table>',
    ],
)
def test_what_is_no_block_of_code(html: str) -> None:
    assert blocks(html) == []


@pytest.mark.parametrize(
    ("html", "lines"),
    [
        ("<pre>1\n2\n3</pre>", ["1", "2", "3"]),
        ("<pre><b>1</b> a\n<b>7</b> b</pre>", ["1 a", "7 b"]),
        ("<pre><b>1</b> a\nb</pre>", ["1 a", "b"]),
        ('<pre><span class="ln">x</span> = 1\ny</pre>', ["x = 1", "y"]),
        ('<pre><span style="user-select:none">$ </span>ls</pre>', ["$ ls"]),
        ("<pre>10 PRINT\n20 GOTO 10</pre>", ["10 PRINT", "20 GOTO 10"]),
        ("<pre>a &lt; b &amp;&amp; c</pre>", ["a < b && c"]),
        ("<pre>a<script>b</script><style>c</style><!-- d -->e</pre>", ["ae"]),
        ("<pre>a <b>b</pre>", ["a b"]),
        ("<xmp><b>a</b>\n  c</xmp>", ["<b>a</b>", "  c"]),
    ],
)
def test_what_stays_in_code(html: str, lines: list[str]) -> None:
    assert blocks(html) == [("", lines)]


@pytest.mark.parametrize(
    "before",
    [
        "<ul><li>1<li>2<li>3</ul>",
        "<ul><li>2<li>3<li>4<li>5<li>6</ul>",
        "<ol><li>1<li>2<li>3<li>4<li>five</ol>",
        "<p>1<p>2<p>3<p>4<p>5",
    ],
)
def test_a_list_that_numbers_no_lines_stays(before: str) -> None:
    texts = [text for _, text in shown(f"{before}<pre>{SOURCE}</pre>")]
    assert len(texts) == before.count("<li>") + before.count("<p>") + len(CODE)


@pytest.mark.parametrize(
    "style",
    [
        "white-space:pre-wrap",
        "white-space: pre-line",
        "white-space:break-spaces",
        "font-family:serif;white-space:pre-wrap",
    ],
)
def test_prose_that_keeps_its_white_space_is_no_code(style: str) -> None:
    for prose in ("The mill stands by the river.\nNobody knows who built it.", "磨坊在河边。\n没有人知道是谁建的。"):
        for tag in ("div", "p", "span"):
            assert blocks(f"<{tag} style='{style}'>{prose}</{tag}>") == []


def test_units_are_decided_as_one() -> None:
    html = b"<p>a b c<pre>d</pre><table class=lntable><tr><td><pre>1\n2</pre><td><pre>e f\ng</pre></table>"
    page = scan(html)
    units = groups(page, structure_of(html, page))
    assert units.tolist() == [-1, 0, 1, 1]
    scores = np.array([10, 20, 30, 50], np.uint16)
    assert united(scores, page, units).tolist() == [10, 20, 50, 50]  # numbers of lines weigh nothing
    kept = np.array([True, False, False, True])
    assert kept_whole(kept, page, units).tolist() == [True, False, True, True]
    nothing = groups(page, Structure())
    assert united(scores, page, nothing) is scores
    assert kept_whole(kept, page, nothing) is kept


def test_code_that_the_model_keeps_in_part_is_kept_whole() -> None:
    prose = (
        "<p>The river rises in the hills, and flows for ninety miles to the sea, past seven towns and a mill.</p>" * 6
    )
    result = extract(f"<article><h1>The mill</h1>{prose}{LAYOUTS['github']}{prose}</article>")
    at = result.line_tags.index("code")
    assert result.line_tags.count("code") == len(CODE)
    assert result.text.split("\n")[at : at + len(CODE)] == CODE
    assert len(set((result.line_scores or [])[at : at + len(CODE)])) == 1


PIECES = [
    f"<{name}>" for name in ("pre", "code", "span", "div", "table", "tr", "td", "br", "li", "button", "svg", "xmp")
]
PIECES += [piece.replace("<", "</") for piece in PIECES]
PIECES += [
    "<td class=blob-code>",
    "<td class=gutter>",
    "<div class=code>",
    "<span class=ln>",
    "<span style='display:block'>",
]
PIECES += [
    "<",
    "<!--",
    "-->",
    "&nbsp;",
    "&amp;",
    "1",
    "2",
    "x = 1;",
    " ",
    "\n",
    "\r\n",
    "\x01",
    "\x04",
    "<code class='",
    "好",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_markup(html: str) -> None:
    data = html.encode()
    page = scan(data)
    structure = structure_of(data, page)
    last = 0
    for block in structure.code:
        assert last <= block.first < block.last <= len(page.lines)
        assert 0 <= block.start <= block.end <= len(data)
        last = block.last
    for _, text, tag in text_in(data, page, structure):
        assert "\n" not in text
        assert tag in ("p", "li", "quote", "code", "tr")
    units = groups(page, structure)
    assert len(units) == len(page.lines)


HOSTILE = {
    "pre": "<pre>x",
    "pre, closed": "<pre>1</pre>",
    "rows of code": "<tr><td class=blob-num>1<td class=blob-code>x",
    "tables of code": "<table><td class=code>x;<br>y;",
    "code": "<code>x;<br>y;",
    "gutters": "<pre><b class=ln>",
    "numbers": "<pre>1<i></i>",
    "blocks of code": "<div class=code>x;<br>y;</div>",
    "spans": "<pre><span style=display:block>",
    "no-break spaces": "<div class=code>&nbsp;&nbsp;",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear(name: str) -> None:
    def seconds(n: int) -> float:
        html = (HOSTILE[name] * n).encode()
        page = scan(html)
        started = time.process_time()
        structure = structure_of(html, page)
        text_in(html, page, structure)
        return time.process_time() - started

    seconds(100)
    small, large = (min(seconds(n) for _ in range(2)) for n in (2_000, 8_000))
    assert large < 8 * small + 0.2


def test_the_words_of_classes_are_found() -> None:
    html = b"<div class='my-codeBlock'>a</div><div class=codeblock>b</div>"
    assert t.TAG["div"]
    assert not structure_of(html, scan(html)).code
