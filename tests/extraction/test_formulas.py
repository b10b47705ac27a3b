"""Formulas as TeX between dollars, from every form that pages carry them in."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction import extract
from extraction.formulas import MAX_TAGS, asciimath, delimited, mathml, with_formula
from extraction.formulas.source import clean_tex, looks_like_tex
from extraction.lines import scan, text_of
from extraction.lines.formulas import scan_with_formulas


def shown(html: str) -> list[str]:
    data, page = scan_with_formulas(html.encode())
    return [text for _, text, _ in delimited(data, text_of(data, page))]


def annotated(tex: str, rest: str = "") -> str:
    return (
        f"<math{rest}><semantics><mrow><mi>E</mi></mrow><annotation encoding='application/x-tex'>{tex}"
        "</annotation></semantics></math>"
    )


KATEX = (
    '<span class="katex"><span class="katex-mathml">%s</span><span class="katex-html" aria-hidden="true"><span class="base">'
    '<span class="mord mathnormal">E</span></span></span></span>'
)
WIKIPEDIA = (
    '<span class="mwe-math-element"><span class="mwe-math-mathml-inline mwe-math-mathml-a11y" style="display: none;">%s</span>'
    '<img src="/svg/abc" class="mwe-math-fallback-image-inline" alt="{\\displaystyle E=mc^{2}}"></span>'
)
ASSISTIVE = '<span class="MJX_Assistive_MathML"><math><msup><mi>c</mi><mn>2</mn></msup></math></span>'


@pytest.mark.parametrize(
    ("html", "lines"),
    [
        # MathML with the TeX in an annotation
        (f"<p>Energy is {annotated('E=mc^2')}, said he.", ["Energy is $E=mc^2$, said he."]),
        (f"<p>能量由{annotated('E=mc^2')}给出。", ["能量由$E=mc^2$给出。"]),
        (f"<p>a {KATEX % annotated('a &lt; b &amp; c')} b", ["a $a < b & c$ b"]),
        (f"<p>a <span class='katex-display'>{KATEX % annotated('E')}</span>, b", ["a", "$$E$$,", "b"]),
        (f"<span class='katex--inline'>{KATEX % annotated('E')}</span>", ["$E$"]),
        ("<p>" + annotated("x\n  + y % a note\n= z"), ["$x + y = z$"]),
        (f"<p>{annotated('E', ' display=block')}", ["$$E$$"]),
        # alttext, and MathML alone
        ("<p><math alttext='a^{2}'><mi>b</mi></math>", ["$a^{2}$"]),
        ("<p>so <math><mfrac><mn>1</mn><mi>x</mi></mfrac></math>.", [r"so $\frac{1}{x}$."]),
        ("<MATH><MI>x</MI></math>y", ["$x$y"]),
        # Wikipedia hides its MathML, and shows an image
        (
            "<p>能量由" + WIKIPEDIA % annotated(r"{\displaystyle E=mc^{2}}") + "给出。",
            ["能量由$E=mc^{2}$给出。"],
        ),
        (f"<p>{WIKIPEDIA % ''} is", ["$E=mc^{2}$ is"]),
        # MathJax 2: preview, rendering, script
        ("<p>The sum <script type='math/tex'>a+\\beta_1</script> is", [r"The sum $a+\beta_1$ is"]),
        ("<p>a<script type='math/tex; mode=display'>x < y</script>b", ["a", "$$x < y$$", "b"]),
        (
            '<p>a <span class="MathJax_Preview">[x]</span><span class="MathJax" id="e-1"><nobr><span>x</span></nobr></span>'
            '<script type="math/tex" id="e">x</script> b',
            ["a $x$ b"],
        ),
        (
            '<p>a <span class="MathJax_Preview"></span><div class="MathJax_Display"><span class="MathJax">x</span></div>'
            '<script type="math/tex; mode=display">x^2</script> b',
            ["a", "$$x^2$$", "b"],
        ),
        (f'<p>a <span class="MathJax"><span>c2</span>{ASSISTIVE}</span> b', ["a $c^{2}$ b"]),
        (f'<p>a <span class="MathJax">c2{ASSISTIVE}</span><script type="math/tex">c^2</script> b', ["a $c^2$ b"]),
        ('<p><span class="MathJax" data-mathml="<math><mi>x</mi></math>"><span>x</span></span>', ["$x$"]),
        ("<script type='math/asciimath'>sum_(i=1)^n i</script>", [r"$\sum_{i = 1}^{n} i$"]),
        ("<script type='math/mml'><math><mi>x</mi></math></script>", ["$x$"]),
        ("<script type='math/tex'>% <![CDATA[\na < b %]]></script>", ["$a < b$"]),
        # MathJax 3
        (
            '<mjx-container class="MathJax" display="true"><mjx-math><mjx-mi>x</mjx-mi></mjx-math>'
            "<mjx-assistive-mml><math display='block'><mi>x</mi></math></mjx-assistive-mml></mjx-container>",
            ["$$x$$"],
        ),
        # a rendering without its source stays
        ('<p>a <span class="MathJax"><span>x2</span></span> b', ["a x2 b"]),
        ('<p>a <span class="katex"><span class="katex-html">x2</span></span> b', ["a x2 b"]),
        ('<p><span class="MathJax_Preview">x</span> y <script type="math/tex"></script>', ["x y"]),
        # images
        ('<p>a <img class="latex" src="//s0.wp.com/latex.php?latex=x%5E2&bg=ffffff" alt="x^2"> b', ["a $x^2$ b"]),
        ('<p><img src="https://latex.codecogs.com/png.latex?%5Cinline%20%5Calpha&space;+1">', [r"$\alpha +1$"]),
        ('<img src="/cgi-bin/mimetex.cgi?\\Re(z)&lt;0">', [r"$\Re(z)<0$"]),
        ('<img class="ee_img" eeimg="1" src="//www.zhihu.com/equation?tex=a%2Bb" alt="[公式]">', ["$a+b$"]),
        ('<img class="tex" alt="x">', ["$x$"]),
        (
            '<img alt="\\begin{align*} a &amp;= b \\end{align*}" src="e.svg">',
            [r"$$\begin{align*} a &= b \end{align*}$$"],
        ),
        ('<img src="https://chart.apis.google.com/chart?cht=tx&chl=%5Calpha%2B%5Cbeta">', [r"$\alpha+\beta$"]),
        # attributes
        ('<p>因此<span class="ztext-math" data-eeimg="1" data-tex="a_1">a1</span>，', ["因此$a_1$，"]),
        ('<p class="hurmet-tex" data-entry="E = mc^2"><math><mi>E</mi></math></p>', ["$$E = mc^2$$"]),
        # powers
        ("<p>10<sup>6</sup> litres, 5<sup>-3</sup>, 2<sup>n</sup>", ["10^6 litres, 5^-3, 2^n"]),
        ("<p>约3×10<sup>8</sup>米，共有2<sup>10</sup>块", ["约3×10^8米，共有2^10块"]),
    ],
)
def test_forms(html: str, lines: list[str]) -> None:
    assert shown(html) == lines


@pytest.mark.parametrize(
    "html",
    [
        "<p>It costs $5, not $10.",
        "<p>价格从$5涨到$10。",
        "<p>$x$ and \\(y\\) stay where no script renders them.",
        "<p>$19<sup>99</sup> and € 5<sup>50</sup>",
        "<p>in 1999<sup>2</sup>, in 1<sup>st</sup> place, x<sup>2</sup>, 42<sup>3</sup>",
        "<p>C++11<sup>7</sup>, IP68<sup>2</sup>, $1,000<sup>6</sup>, $10<sup>99</sup>, 1.2<sup>3</sup>",
        '<img src="/texture/math-teacher.jpg" alt="A math teacher">x',
        '<img src="a.png" alt="C:\\pictures\\cat_1.png">x',
        '<img class="equation" src="a.png" alt="Equation 3">x',
        '<div data-math="true"><p>text</p></div>',
        '<div data-formula="{&quot;a&quot;: 1}">text</div>',
        '<div class="katex-container"><p>one</p><p>two</p></div>',
        "<math></math>x",
        "<math><mi>unclosed<p>x",
        "<textarea><math><mi>x</mi></math></textarea>y",
        "<!-- <math><mi>x</mi></math> -->y",
        "<script>'<math><mi>x</mi></math>'</script>y",
        '<a title="<math><mi>x</mi></math>">y</a>',
    ],
)
def test_what_is_no_formula_stays(html: str) -> None:
    data = html.encode()
    assert shown(html) == [text for _, text, _ in text_of(data, scan(data))]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (r"<p>so \(a \ne 0\) and \[b\] hold", [r"so $a \ne 0$ and $$b$$ hold"]),
        (r"<p>若\(a\)，则\(b\)。", ["若$a$，则$b$。"]),
        (r"<p>\[<br>x \\[2pt] y<br>\]", ["$$", r"x \\[2pt] y", "$$"]),
        (r"<p>an open \( and a lone \] stay", [r"an open \( and a lone \] stay"]),
        (r"<pre>\(a\)</pre>", [r"\(a\)"]),
        (r"<p>$a$, $$b$$, \begin{align} c \end{align}", [r"$a$, $$b$$, \begin{align} c \end{align}"]),
    ],
)
def test_delimiters_that_the_page_renders(text: str, lines: list[str]) -> None:
    assert shown(f"<script src='/mathjax/MathJax.js'></script>{text}") == lines


def test_asciimath_between_backticks() -> None:
    html = "<script src='ASCIIMathML.js'></script><p>`x^2/2` is, \\`x\\` is not<pre>`b`</pre>"
    assert shown(html) == [r"$\frac{x^{2}}{2}$ is, \`x\` is not", "`b`"]
    assert shown("<p>run `make all` first") == ["run `make all` first"]


@pytest.mark.parametrize(
    ("source", "tex"),
    [
        ("<mi>x</mi><mo>=</mo><mn>1</mn>", "x = 1"),
        ("<msqrt><mi>x</mi></msqrt><mroot><mn>8</mn><mn>3</mn></mroot>", r"\sqrt{x}\sqrt[3]{8}"),
        ("<msub><mi>x</mi><mn>1</mn></msub><msubsup><mi>y</mi><mi>i</mi><mn>2</mn></msubsup>", "x_{1}y_{i}^{2}"),
        (
            "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover><mi>i</mi>",
            r"\sum_{i = 1}^{n}i",
        ),
        ("<mover><mi>x</mi><mo>→</mo></mover><mover><mi>y</mi><mo>¯</mo></mover>", r"\vec{x}\overline{y}"),
        ("<mi>α</mi><mi>x</mi><mi>sin</mi><mo>⁡</mo><mi>θ</mi>", r"\alpha x\sin\theta"),
        (
            "<mi mathvariant='normal'>d</mi><mi mathvariant='double-struck'>R</mi><mi>𝐯</mi>",
            r"\mathrm{d}\mathbb{R}\mathbf{v}",
        ),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", "(a, b)"),
        (
            "<mo>(</mo><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr><mtr><mtd><mn>3</mn></mtd><mtd><mn>4</mn></mtd>"
            "</mtr></mtable><mo>)</mo>",
            r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
        ),
        (
            "<mo>{</mo><mtable><mtr><mtd><mi>a</mi></mtd></mtr><mtr><mtd><mi>b</mi></mtd></mtr></mtable>",
            r"\begin{cases} a \\ b \end{cases}",
        ),
        ("<mtext>if </mtext><mi>x</mi><mo>&lt;</mo><mn>0</mn>", r"\text{if}x < 0"),
        ("<mmultiscripts><mi>C</mi><mn>6</mn><none/><mprescripts/><none/><mn>14</mn></mmultiscripts>", "{}^{14}C_{6}"),
        ("<m:mi>x</m:mi></m:mrow><mfrac><mi>y", r"x\frac{y}{}"),
        ("", ""),
    ],
)
def test_mathml(source: str, tex: str) -> None:
    assert mathml.to_tex(source) == tex


@pytest.mark.parametrize(
    ("source", "tex"),
    [
        ("E=mc^2", "E = m c^{2}"),
        ("x=(-b +- sqrt(b^2 - 4ac))/(2a)", r"x = \frac{- b \pm \sqrt{b^{2} - 4 a c}}{2 a}"),
        ("int_0^1 f(x)dx", r"\int_{0}^{1} f (x) \mathrm{dx}"),
        ("e^(2x) alpha in RR", r"e^{2 x} \alpha \in \mathbb{R}"),
        ("[[a,b],[c,d]]", r"\begin{bmatrix} a & b \\ c & d \end{bmatrix}"),
        ('f(x)={(x, "if" x>=0),(-x, x<0):}', r"f (x) = \begin{cases} x & \text{if} x \ge 0 \\ - x & x < 0 \end{cases}"),
        ("root(3)(x) hat x \\ ", r"\sqrt[3]{x} \hat{x}"),
        ("(x", "(x"),
        ("", ""),
    ],
)
def test_asciimath(source: str, tex: str) -> None:
    assert asciimath.to_tex(source) == tex


def test_clean_tex() -> None:
    assert clean_tex("{\\displaystyle a+{b}}") == "a+{b}"
    assert clean_tex("{\\displaystyle a}+{b}") == "{\\displaystyle a}+{b}"
    assert clean_tex("  $ a\n+ b $ ") == clean_tex("\\(a + b\\)") == "a + b"
    assert clean_tex("50\\% of % a note\nx") == "50\\% of x"
    assert looks_like_tex("\\frac{a}{b}")
    assert not looks_like_tex("C:\\fractions")


def test_option() -> None:
    html = f"<article><h1>Energy</h1><p>{'The energy of a body at rest is known. ' * 8}It is {annotated('E=mc^2')}.</p></article>"
    for engine in ("lines", "trafilatura"):
        assert "It is $E=mc^2$." in extract(html, engine=engine).text, engine
        assert "$" not in extract(html, engine=engine, formulas="off").text


def test_pages_without_formulas_come_back_as_they_were() -> None:
    html = b"<p>one<p>two <img src=a.png alt='three'>"
    data, page = scan_with_formulas(html)
    assert data is html
    assert not len(page.formulas)


MARKUP = """
<math> </math> <mi>x</mi> <mfrac> </mfrac> <span> </span> <p> $ \\( \\) ` 10 <sup>2</sup> <script> </script> </ " ' text 好 < >
</annotation> <span/class=katex> <span/class=MathJax_Preview> <script/type=math/tex> <img/alt=\\frac{a}{b}> <span/data-tex=x>
<div/class=MathJax_Display> <span/class=mwe-math-element> mathjax asciimath <math/display=block/alttext=x>
<mjx-container/class=MathJax> <annotation/encoding=application/x-tex>
"""


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(MARKUP.split()), max_size=50).map("".join))
def test_any_markup(html: str) -> None:
    assert all("\n" not in text for text in shown(html))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="<>/mifracrow ()[]{}^_`\\\"':,|xy12", max_size=80))
def test_converters_take_anything(text: str) -> None:
    mathml.to_tex(text)
    asciimath.to_tex(text)


HOSTILE: dict[str, Callable[[int], str]] = {
    "open math": lambda n: "<math>" * n,
    "nested math": lambda n: "<math>" * n + "x" + "</math>" * n,
    "many formulas": lambda n: "<math><mi>x</mi></math>" * n,
    "nested rows": lambda n: "<math>" + "<mrow><mi>x</mi>" * n + "</mrow>" * n + "</math>",
    "open annotations": lambda n: "<math>" + '<annotation encoding="application/x-tex"' * n + "</math>",
    "comments": lambda n: "<math>" + "<!--" * n + "</math>",
    "open renderings": lambda n: '<span class="katex">' * n,
    "nested renderings": lambda n: '<span class="katex">' * n + f"<math><mi></mi>{' ' * n}</math>" + "</span>" * n,
    "open ends": lambda n: '<span class="katex">' + "</span" * n,
    "previews": lambda n: '<span class="MathJax_Preview">x</span>' * n,
    "previews around an empty script": lambda n: (
        "<div class=MathJax>" * n + "</div>" * n + "<script type=math/tex></script>"
    ),
    "images": lambda n: '<img alt="\\frac{a}{b}">' * n,
    "queries": lambda n: '<img src="/tex?' + "&latex=" * n + '">',
    "attributes": lambda n: '<span data-tex="x">' * n + "</span>" * n,
    "powers": lambda n: "1<sup>1</sup>" * n,
    "delimiters": lambda n: "<script src=mathjax></script><p>" + "\\(" * n + "\\)" * n,
    "backticks": lambda n: "<script src=asciimath></script><p>" + "`((((x`" * n,
    "brackets": lambda n: "<script type=math/asciimath>" + "[[" * n + "</script>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_end_and_stay_small(name: str) -> None:
    html = HOSTILE[name](20_000)
    start = time.process_time()
    texts = shown(html)
    assert time.process_time() - start < 10  # some seconds if quadratic in 10,000 tags, minutes in the size of the page
    assert sum(map(len, texts)) <= 3 * len(html)


def test_tags_beyond_the_bound_stay() -> None:
    html = "<math><mi>x</mi></math> " * (MAX_TAGS + 10)
    assert shown(html) == [" ".join(["$x$"] * MAX_TAGS)]


@pytest.mark.parametrize(
    ("text", "tag", "expected"),
    [
        ("The sum of $9$ and $-16$.", "p", True),
        ("$$x = y$$", "p", True),
        ("$-7$", "li", True),
        ("It cost $5, or $10 with a lid.", "p", False),
        ("From $5 to $ 10", "p", False),
        (r"\$5 and 6\$", "p", False),
        ("echo $HOME$PATH$", "code", False),
        ("No formula at all.", "p", False),
    ],
)
def test_lines_with_formulas(text: str, tag: str, expected: bool) -> None:
    rendered, prices = b"<script src='/MathJax.js'></script>", b"<script src='/shop.js'></script>"
    assert with_formula(rendered, rendered, [(3, text, tag)]) == ([3] if expected else [])
    assert with_formula(prices, prices, [(3, text, tag)]) == []
    assert with_formula(prices, prices + b"$e=mc^2$", [(3, text, tag)]) == ([3] if expected else [])
