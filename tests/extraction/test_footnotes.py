"""Marks of footnotes: kept as the page shows them, or cut; what is raised for another reason stays either way."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction import extract
from extraction.engines import Options
from extraction.footnotes import without_footnote_marks
from extraction.lines import scan, text_of
from extraction.lines.formulas import scan_with_formulas


def shown(html: bytes) -> list[str]:
    data, page = scan_with_formulas(html)
    return [text for _, text, _ in text_of(data, page)]


def cut(html: str) -> str:
    return " / ".join(shown(without_footnote_marks(html.encode())))


MARKS = [
    # wikis
    "<sup>[1]</sup>",
    '<sup class="reference" id="cite_ref-1"><a href="#cite_note-1">[1]</a></sup>',
    '<sup id="cite_ref-2" class="reference"><a href="#cite_note-2"><span>&#91;</span>12<span>&#93;</span></a></sup>',
    '<sup class="reference"><a href="#cite_note-a-3">[a]</a></sup>',
    '<sup class="reference"><a href="#cite_note-4">[注 1]</a></sup>',
    '<sup class="reference"><a href="#cite_note-4">[註1]</a></sup>',
    "<sup>[note 3]</sup>",
    '<sup class="noprint Inline-Template">[<i><a href="/wiki/C">citation needed</a></i>]</sup>',
    '<sup class="noprint Template-Fact"><a href="/wiki/C">[来源请求]</a></sup>',
    # Baidu Baike, Zhihu
    '<sup class="sup--normal" data-sup="1-2" data-ctrmap=":1,:2,">[1-2]</sup><a class="sup-anchor" name="ref_[1]_7">&nbsp;</a>',
    "<sup>[1-2]</sup>",
    "<sup>［3］</sup>",
    "<sup>〔3〕</sup>",
    '<sup data-text="A book" data-numero="1" data-draft-type="reference">[1]</sup>',
    # Hugo and kramdown, Pandoc, GitHub, WordPress, Sphinx, Word
    '<sup id="fnref:1"><a href="#fn:1" class="footnote-ref" role="doc-noteref">1</a></sup>',
    '<sup><a href="#fn1">1</a></sup>',
    '<a href="#fn1" class="footnote-ref" id="fnref1" role="doc-noteref"><sup>1</sup></a>',
    '<sup><a href="#user-content-fn-1-8a" data-footnote-ref aria-describedby="footnote-label">1</a></sup>',
    '<sup data-fn="8f0c" class="fn"><a href="#8f0c" id="8f0c-link">1</a></sup>',
    '<sup class="modern-footnotes-footnote"><a href="javascript:void(0)">1</a></sup>',
    '<a class="footnote-reference brackets" href="#id2" id="id1" role="doc-noteref"><span>[</span>1<span>]</span></a>',
    '<a style="x" href="#_ftn1" name="_ftnref1" title=""><span>[1]</span></a>',
    '<sup><a href="https://a.example/paper">7</a></sup>',
    '<sup><a href="#note1">*</a></sup>',
    '<sup><a href="#nb">b</a></sup>',
    # several
    "<sup>[1]</sup><sup>[2]</sup>",
    '<sup><a href="#1">1</a></sup>,&nbsp;<sup><a href="#2">2</a></sup>',
    "<sup>[1]</sup>、<sup>[2]</sup>",
    "<sup>[1,&nbsp;3–5]</sup>",
    " <sup>[1]</sup>",
    "&nbsp;<sup>[1]</sup>",
]


@pytest.mark.parametrize("mark", MARKS)
def test_marks_go(mark: str) -> None:
    assert cut(f"<p>The mill was built in 1807{mark}.</p><p>磨坊建于一八〇七年{mark}。</p>") == (
        "The mill was built in 1807. / 磨坊建于一八〇七年。"
    )
    assert (
        cut(f"<p>The mill{mark} stands by <b>the river{mark}</b> still.</p>") == "The mill stands by the river still."
    )
    assert cut(f"<p>磨坊{mark}在河边{mark}</p>") == "磨坊在河边"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        # behind the sign that ends a clause, a number without more is a mark
        ("<p>It was built in 1807.<sup>1</sup> It burnt.<sup>2,3</sup></p>", "It was built in 1807. It burnt."),
        ("<p>He said “no.”<sup>4</sup></p>", "He said “no.”"),
        ("<p>它建于一八〇七年。<sup>1</sup>后来失火。”<sup>2</sup></p>", "它建于一八〇七年。后来失火。”"),
        ("<p><b>It burnt.</b> <sup>2</sup></p>", "It burnt."),
        # links from a note back to the text
        ('<li>A book. <a href="#fnref:1" class="footnote-backref" role="doc-backlink">↩︎</a></li>', "A book."),
        ('<li><a href="#cite_ref-1">^</a> A book.</li>', "A book."),
        ('<li>一本书。<a href="#fnref1" class="footnote-back">↩</a></li>', "一本书。"),
    ],
)
def test_marks_by_what_stands_around_them(html: str, text: str) -> None:
    assert cut(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        # exponents, isotopes, ordinals, signs, prices
        ("<p>10<sup>6</sup> and 10<sup>−3</sup></p>", "10^6 and 10^−3"),
        ("<p>2<sup>10</sup>, x<sup>2</sup> and (a + b)<sup>2</sup></p>", "2^10, x2 and (a + b)2"),
        ("<p>40 m<sup>2</sup>，四十米<sup>2</sup>，（a＋b）<sup>2</sup></p>", "40 m2，四十米2，（a＋b）2"),
        ("<p>碳，<sup>14</sup>C；<sup>12</sup>C</p>", "碳，14C；12C"),
        ("<p>carbon, <sup>14</sup>C</p>", "carbon, 14C"),
        ("<p>the 1<sup>st</sup> and the 2<sup>nd</sup>, M<sup>me</sup></p>", "the 1st and the 2nd, Mme"),
        ('<p>Corpus<sup><a href="/tm">TM</a></sup>, Mill<sup>®</sup>, A<sup>*</sup></p>', "CorpusTM, Mill®, A*"),
        ("<p>only $9.<sup>99</sup></p>", "only $9.99"),
        ("<p>x<sup>n</sup> + x<sup>n+1</sup>, f<sup>(2)</sup>, a<sup>ij</sup></p>", "xn + xn+1, f(2), aij"),
        ("<p>H<sub>2</sub>O, Ca<sup>2+</sup></p>", "H2O, Ca2+"),
        # links
        ('<p>see <a href="#fn1">the first note</a></p>', "see the first note"),
        ('<p><a href="/m2">40 m<sup>2</sup></a></p>', "40 m2"),
        ('<p><a href="#c12">12</a> rows, <a href="/page/2">2</a></p>', "12 rows, 2"),
        ('<p><a href="#top">↑</a></p>', "↑"),
        ('<p><a href="#notes">Notes</a></p>', "Notes"),
        # without markup
        ("<p>as in a[12] and [13]</p>", "as in a[12] and [13]"),
        ("<p>见文献[12]。</p>", "见文献[12]。"),
        ("<p>1 &lt;sup&gt;[1]&lt;/sup&gt;</p>", "1 <sup>[1]</sup>"),
        ("<p>a<sup>[1]", "a[1]"),
    ],
)
def test_what_is_no_mark_stays(html: str, text: str) -> None:
    assert cut(html) == text
    assert without_footnote_marks(html.encode()) == html.encode()


def test_a_page_without_marks_is_the_same_object() -> None:
    page = b"<p>No marks, <a href='/x'>a link</a>, x<sup>2</sup>"
    assert without_footnote_marks(page) is page


PROSE = (
    "<p>The river rises in the hills<sup>[1]</sup>, and flows for ninety miles to the sea, past seven towns and a mill.</p>"
    "<p>这条河发源于山区<sup>[2]</sup>，流经七座城镇和一座磨坊，面积 10<sup>6</sup> 亩，最后注入大海。</p>"
) * 3


@pytest.mark.parametrize("engine", ["lines", "trafilatura"])
def test_option(engine: str) -> None:
    page = f"<html><body><article><h1>The river</h1>{PROSE}</article></body></html>"
    by_default = extract(page, engine=engine).text
    kept = extract(page, engine=engine, footnote_marks="keep").text
    gone = extract(page, engine=engine, footnote_marks="cut").text
    assert by_default == kept
    assert kept.count("hills[1], and") == kept.count("山区[2]，流经") == 3
    assert gone.count("hills, and") == gone.count("山区，流经") == 3
    assert "[" not in gone
    assert gone == kept.replace("[1]", "").replace("[2]", "")


def test_an_unknown_value_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown value 'auto' of footnote_marks; expected one of: keep, cut"):
        Options(footnote_marks="auto")  # type: ignore[arg-type]


PIECES = [
    "<sup>",
    "</sup>",
    "<sup",
    "<a href='#fn1'>",
    "</a>",
    "[1]",
    "1",
    ", ",
    ".",
    " ",
    "a",
    "↩",
    "<a href='#fnref1'>",
    "&nbsp;",
    "好",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_markup(html: str) -> None:
    """Nothing but marks goes: what is left is a part of the page, in its order, and a page without marks stays."""
    data = html.encode()
    left = without_footnote_marks(data)
    rest = iter(data)
    assert all(byte in rest for byte in left)
    assert without_footnote_marks(left) is left or len(without_footnote_marks(left)) < len(left)
    scan(left)


@pytest.mark.parametrize(
    "piece",
    ["<sup>", "<a href='#fn'>", "<sup>[1]", "<sup>[1]</sup>,", "<a><sup>", "<sup x", "[1", "<a href=#fn>1</a> "],
)
def test_time_is_linear(piece: str) -> None:
    def seconds(times: int) -> float:
        page = (piece * times).encode()
        began = time.process_time()
        without_footnote_marks(page)
        return time.process_time() - began

    small, large = min(seconds(2_000) for _ in range(3)), min(seconds(20_000) for _ in range(2))
    assert large < 40 * max(small, 0.001)
