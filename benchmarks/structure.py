r"""What extraction keeps of the structure of pages: `python benchmarks/structure.py [--data DIR]`.

Formulas: of those between dollars in the gold Markdown of llm-webkit-bench and defuddle-fixtures (code aside), the share that
is in the scanner's lines, whether or not the line model keeps them, the share in the kept text, and the share in
trafilatura's text (default settings). One formula of the text counts for one of the gold. Compared without what changes no
formula: white space and the spacing of TeX (`\,` `\;` `\:` `\!` `\quad` `\ ` `~`), braces, `\left` and `\right`, `\displaystyle`,
`\limits`, `\operatorname`, parentheses (a matrix may have its own), the number of dollars; names for the same sign count as one
(`\le` and `\leq`, `\to` and `\rightarrow`, `-` and `−`). A formula of 8 characters or more also counts where the text has it
without dollars (`\begin{align}` needs none).

`by_form` says what the page carries the formula in. `missed` lists every formula that is not in the lines, `WRONG_GOLD` says
of those that no extractor can have why: read by hand.

A measure is a function of pages to a result, named in `MEASURES`.
"""

from __future__ import annotations

import html as references
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import machine
import trafilatura
from gold import rows

from classifiers.clutter.pages import read_html
from extraction import extract
from extraction.decode import decode
from extraction.formulas import delimited
from extraction.lines import text_of
from extraction.lines.formulas import scan_with_formulas

SETS = ("llm-webkit-bench", "defuddle-fixtures")


@dataclass(frozen=True)
class Page:
    """A page: its set and address, its bytes (UTF-8), what is to be found in it, and what was."""

    source: str
    url: str
    html: bytes
    gold: str
    lines: str
    kept: str
    trafilatura: str


def load(data: Path) -> list[Page]:
    """Every page of `SETS`, extracted."""
    out = []
    for name in SETS:
        pages = dict(read_html(data / "html" / f"{name}.warc.gz"))
        for row in rows(data / "html" / f"{name}.gold.jsonl.gz"):
            html = pages[row["record_id"]]
            written, scanned = scan_with_formulas(html)
            lines = "\n".join(text for _, text, _ in delimited(written, text_of(written, scanned)))
            theirs = trafilatura.extract(decode(html, "utf-8").text) or ""
            out.append(Page(name, row["url"], html, row["main_content"], lines, extract(html).text, theirs))
    return out


# --- Formulas ---------------------------------------------------------------------------------------------------------

_CODE = re.compile(r"^(`{3,})[^\n]*\n.*?^\1|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_FORMULA = re.compile(
    r"(?<!\\)\$\$(.+?)(?<!\\)\$\$|(?<![\\$])\$((?:[^$\n\\]|\\.)+?)(?<!\\)\$(?!\d)"
    r"|\\\((.+?)\\\)|\\\[(.+?)\\\]|(\\begin\{(\w+\*?)\}.*?\\end\{\6\})",
    re.DOTALL,
)
_GOLD_FORMULA = re.compile(
    r"(?<!\\)\$\$(.+?)(?<!\\)\$\$|(?<![\\$])\$(?!\s)((?:[^$\n\\]|\\.|\\\n|\n(?!\s*\n))+?)(?<!\\)\$(?!\d)", re.DOTALL
)
_SPACING = re.compile(
    r"(\\\\)|\\(?:[,;:! ]|(?:quad|qquad|displaystyle|limits|left|right|nonumber|operatorname\*?)(?![a-zA-Z]))|[\s~{}]"
)
_SAME = {
    r"\leq": r"\le", r"\geq": r"\ge", r"\neq": r"\ne", r"\rightarrow": r"\to", r"\lt": "<", r"\gt": ">", "−": "-",
    r"\ast": "*", r"\rm": r"\mathrm", r"\&": "&",
}  # fmt: skip
_SAME_SIGN = re.compile("|".join(rf"{re.escape(name)}(?![a-zA-Z])" for name in _SAME))
LONG = 8
"""Characters from which a formula is not found in a text by chance."""

_ASCIIMATH, _FORUM = "/ASCIIMathTutorial.html", "/probability-theoretic-inequality.246150/"
WRONG_GOLD = (
    (_ASCIIMATH, r"\setminus", r"the gold reads `\ `, a space of AsciiMath, as a set difference"),
    (_ASCIIMATH, r"\sin=\frac\textopp", "the gold reads quoted text as quotation marks"),
    (_ASCIIMATH, "|x|=", "the gold reads the cases as a tuple"),
    (_ASCIIMATH, ".f:,", "the gold reads the matrix without brackets as a tuple"),
    (_ASCIIMATH, "e^x=1+x+", "the gold has the source of the formula, not TeX"),
)
"""End of a page's address, what a formula has, as `bare` writes it, and why no extractor can meet that."""


def bare(tex: str) -> str:
    """A formula without what changes nothing."""
    tex = _SAME_SIGN.sub(lambda match: _SAME[match[0]], references.unescape(tex))
    tex = _SPACING.sub(lambda match: match[1] or "", tex.replace("{pmatrix}", "{matrix}"))
    return tex.replace("(", "").replace(")", "")


def formulas_of(text: str) -> list[str]:
    """Formulas of a text, bare."""
    matches = (next(group for group in match.groups() if group is not None) for match in _FORMULA.finditer(text))
    return [formula for formula in map(bare, matches) if formula]


def gold_formulas(markdown: str) -> list[str]:
    """Formulas between dollars of a gold text, bare; those of code aside."""
    matches = (match[1] or match[2] for match in _GOLD_FORMULA.finditer(_CODE.sub(" ", markdown)))
    return [formula for formula in map(bare, matches) if formula]


def found(formulas: Iterable[str], text: str) -> list[bool]:
    """Which of the formulas a text has."""
    there = Counter(formulas_of(text))
    squeezed = bare(text)
    out = []
    for formula in formulas:
        out.append(there[formula] > 0 or (len(formula) >= LONG and formula in squeezed))
        there[formula] -= 1
    return out


_FORMS: dict[str, re.Pattern[str]] = {
    "Wikipedia": re.compile(r"class=\"mwe-math-element.*?(?:alttext|alt)=\"([^\"]*)\"", re.DOTALL),
    "KaTeX": re.compile(r"class=\"katex-mathml\".*?<annotation[^>]*>([^<]*)<", re.DOTALL),
    "MathML annotation": re.compile(r"<annotation[^>]*>([^<]*)<"),
    "script": re.compile(r"<script[^>]*type=[\"']?math/[^>]*>([^<]*)"),
    "attribute": re.compile(r"data-(?:tex|latex|entry|formula)=\"([^\"]*)\""),
    "image alt": re.compile(r"<img[^>]*\balt=\"([^\"]*)\""),
}
_ADDRESS = re.compile(r"<img[^>]*\bsrc=\"([^\"]*(?:tex|cht=tx|%5C)[^\"]*)\"")


def form_of(formula: str, sources: dict[str, set[str]], addresses: str, text: str, page: Page) -> str:
    """What the page carries a formula in; bare: the addresses of its images, its text."""
    for name, there in sources.items():
        if formula in there:
            return name
    if formula in addresses:
        return "image address"
    if formula in text:
        return "TeX in the text"
    return "AsciiMath" if b"ASCIIMath" in page.html else "MathML" if b"<math" in page.html else "nowhere"


def formulas(pages: list[Page]) -> dict[str, Any]:
    """Formulas of the gold and where they are."""
    by_form: dict[str, Counter[str]] = {}
    by_set: dict[str, Counter[str]] = {}
    missed = []
    for page in pages:
        gold = gold_formulas(page.gold)
        if not gold:
            continue
        html = page.html.decode("utf-8", "replace")
        text = bare(re.sub(r"<[^>]*>", "", html))
        addresses = bare(unquote(" ".join(_ADDRESS.findall(html))))
        sources = {name: {bare(tex) for tex in form.findall(html)} for name, form in _FORMS.items()}
        where = {"lines": page.lines, "kept": page.kept, "trafilatura": page.trafilatura}
        hits = {name: found(gold, there) for name, there in where.items()}
        by_set.setdefault(page.source, Counter())["pages"] += 1
        for i, formula in enumerate(gold):
            form = form_of(formula, sources, addresses, text, page)
            counts = Counter(formulas=1) + Counter({name: int(hit[i]) for name, hit in hits.items()})
            if not hits["lines"][i]:
                reason = wrong(page.url, formula)
                counts["wrong_gold"] = int(bool(reason))
                missed.append({"page": page.url, "formula": formula[:120], "form": form, "reason": reason})
            by_form.setdefault(form, Counter()).update(counts)
            by_set[page.source].update(counts)
    return {
        "total": dict(sum(by_set.values(), Counter())),
        "by_set": by_set,
        "by_form": dict(sorted(by_form.items(), key=lambda item: -item[1]["formulas"])),
        "missed": missed,
    }


def wrong(url: str, formula: str) -> str:
    """Why the gold is wrong, or nothing."""
    return next((why for end, part, why in WRONG_GOLD if url.endswith(end) and part in formula), "")


MEASURES: dict[str, Callable[[list[Page]], dict[str, Any]]] = {"formulas": formulas}


def main() -> None:
    data = machine.parser(__doc__, data="folder that holds html/").parse_args().data
    pages = load(data)
    result = {name: measure(pages) for name, measure in MEASURES.items()}
    machine.save("structure", {"trafilatura": version("trafilatura"), "pages": len(pages), **result})


if __name__ == "__main__":
    main()
