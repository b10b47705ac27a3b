"""Formulas of a page as TeX between dollars.

Pages carry formulas in many forms: MathML with the TeX in an annotation (KaTeX, Wikipedia), scripts of type `math/tex` beside a
rendering (MathJax), images with the TeX as their `alt` or in their address, attributes (`data-tex`). `in_dollars` writes
each into the page as text, `$...$` or `$$...$$`, once: renderings of it go. A rendering whose source the page does not carry
stays as it is. `delimited` does the same for TeX between `\\(` and `\\)` and AsciiMath between backticks, which stand
in the text already.

Linear in the size of the page: the scanner names the tags to look at, each byte is taken at most once, and what a search
found missing is not searched for again.
"""

from __future__ import annotations

import bisect
import functools
import html as references
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from extraction.formulas import asciimath, mathml
from extraction.formulas.images import tex_of_image
from extraction.formulas.source import clean_tex, looks_like_tex

MAX_FORMULA = 200_000
"""Bytes of markup, rendering and all, beyond which an element is no formula."""

MAX_TAGS = 30_000
"""Tags looked at on a page, at about 0.04 ms each."""

MAX_MATHML, MAX_ASCIIMATH = 1_000_000, 30_000
"""Characters of a page that are converted, at 1 and 30 microseconds each; what comes behind stays as it is. No page of the shared
data has a tenth of any of these."""

_ATTRIBUTE = re.compile(rb"(?<![^\s/\"'])([^\s/>=\"']++)(?:\s*+=\s*+(?:\"([^\"]*)\"|'([^']*)'|([^\s>]++)))?+")
_NAME = re.compile(rb"<([^\s/>]++)")
_SPACE = re.compile(rb"(?:\s|&nbsp;)*+")
_BLOCK = re.compile(
    rb"<(?:p|h[1-6]|li|tr|td|table|section|article|main|ul|ol|dl|blockquote|form|header|footer|nav|aside|body)(?=[\s/>])",
    re.IGNORECASE,
)
_ANNOTATION = re.compile(
    r"<(?:\w++:)?annotation(?=[^>]{0,200}?encoding\s*+=\s*+[\"']?(?:application/(?:x-)?(?:la)?tex|text/(?:x-)?(?:la)?tex|(?:la)?tex)\b)[^>]{0,300}+>",
    re.IGNORECASE,
)
_END_ANNOTATION = re.compile(r"</(?:\w++:)?annotation", re.IGNORECASE)
_KATEX = frozenset(
    (b"katex", b"katex-display", b"katex--inline", b"katex--display", b"katex-inline", b"katex-block", b"katex-mathml")
)
_DISPLAY_CLASSES = re.compile(
    rb"(?:katex-{1,2}display|katex-block|MathJax(?:_SVG)?_Display|MJXc-display|mwe-math-\w+-(?:display|block)|mwe-math-element-block)\b"
)
_DATA = (b"data-tex", b"data-latex", b"data-katex")
_LOOSE_DATA = (b"data-entry", b"data-formula", b"data-math", b"data-equation", b"data-expr")
_PAIRED = frozenset((b"span", b"div", b"p", b"mjx-container", b"i", b"em", b"code", b"nobr"))
_POWER = re.compile(
    rb"<[sS][uU][pP][^<>]*+>\s*+(?:((?:-|\xe2\x88\x92|\xe2\x80\x93|&minus;)\d{1,3}|[nk])|(\d{1,3}))\s*+</[sS][uU][pP]\s*+>"
)
_BASE = re.compile(
    rb"(?:\A|[^\w.,$+\x80-\xff]|\xc3\x97|\xe2\x89\x88|[\xe3-\xef][\x80-\xbf]{2})(10|2|\d{1,3})\Z", re.ASCII
)
_PUNCTUATION = re.compile(rb"\s*+(?:[.,;:!?)]|\xe3\x80\x82|\xef\xbc\x8c|\xef\xbc\x9b)")


class Formula(NamedTuple):
    """TeX, and the bytes of the page that it stands for."""

    tex: str
    display: bool
    start: int
    end: int


def in_dollars(html: bytes, tags: Sequence[tuple[int, int]]) -> bytes:
    """The page with its formulas as text.

    :param tags: first byte and `>` of the start tags to look at, in the order of the page: `Scan.formulas`.
    """
    tags = tags[:MAX_TAGS]
    page = _Page(html, tags)
    kept: list[bytes] = []
    at = 0
    for start, end in tags:
        if start < at:
            continue
        written = page.power(start)
        if written is None:
            formula = page.formula(start, end)
            if formula is None:
                continue
            written = _written(formula, html)
        text, first, after = written
        kept += (html[at:first], text)
        at = after
    return b"".join((*kept, html[at:])) if kept else html


def _written(formula: Formula, html: bytes) -> tuple[bytes, int, int]:
    """Text for a formula, and the bytes that it stands for. One that is set off stands on a line of its own, with the full
    stop or comma behind it."""
    text = references.escape(formula.tex, quote=False).encode("utf-8", "replace")
    if not formula.display:
        return b"$%s$" % text, formula.start, formula.end
    behind = _PUNCTUATION.match(html, formula.end)
    end = behind.end() if behind else formula.end
    mark = behind[0].strip() if behind else b""
    return b"<br>$$%s$$%s<br>" % (text, mark), formula.start, end


class _Page:
    """A page, the tags to look at, and where its elements end."""

    def __init__(self, html: bytes, tags: Sequence[tuple[int, int]]) -> None:
        self.html = html
        self.tags = dict(tags)
        self.starts = sorted(self.tags)
        self.maths = [
            start
            for start in self.starts
            if html[start : start + 5].lower() == b"<math" and html[start + 5 : start + 6] in b" \t\r\n/>"
        ]
        self.images = [start for start in self.starts if html[start : start + 4].lower() == b"<img"]
        self.no_more_maths = len(html)
        self.mathml_left, self.asciimath_left = MAX_MATHML, MAX_ASCIIMATH
        self.maths_read: dict[int, Formula | None] = {}
        self.images_read: dict[int, tuple[str, bool] | None] = {}

    @functools.cached_property
    def blocks(self) -> list[int]:
        """Where blocks begin: none may be part of a formula."""
        return [m.start() for m in _BLOCK.finditer(self.html)]

    @functools.cached_property
    def _ends(self) -> dict[bytes, dict[int, int]]:
        return {}

    def end_of(self, start: int, name: bytes) -> int:
        """Behind the end tag of the element at `start`; 0 if it has none, or cannot be one formula."""
        if name not in _PAIRED:
            return 0
        if name not in self._ends:
            self._ends[name] = _pairs(self.html, name)
        end = self._ends[name].get(start, 0)
        if not end or end - start > MAX_FORMULA:
            return 0
        block = bisect.bisect_right(self.blocks, start)
        return 0 if block < len(self.blocks) and self.blocks[block] < end else end

    def attributes(self, start: int) -> dict[bytes, bytes]:
        """Attributes of the tag at `start`, the first of each name."""
        tag = self.html[start : self.tags[start]]
        name = _NAME.match(tag)
        out: dict[bytes, bytes] = {}
        for m in _ATTRIBUTE.finditer(tag, name.end() if name else 1):
            out.setdefault(m[1].lower(), m[2] or m[3] or m[4] or b"")
        return out

    def power(self, start: int) -> tuple[bytes, int, int] | None:
        """`10<sup>6</sup>` as `10^6`: powers of 10 and 2, and of other numbers where the raised part can be no note."""
        if self.html[start : start + 4].lower() != b"<sup":
            return None
        power = _POWER.match(self.html, start, start + 300)
        base = _BASE.search(self.html[max(0, start - 8) : start]) if power else None
        if power is None or base is None or not (power[1] or base[1] in (b"10", b"2")):
            return None
        return b"^" + (power[1] or power[2]), start, power.end()

    def formula(self, start: int, end: int) -> Formula | None:
        """The formula whose first tag is at `start`."""
        match = _NAME.match(self.html, start)
        if match is None:
            return None
        name = match[1].lower()
        if name == b"math":
            return self._math(start)
        attributes = self.attributes(start)
        if name == b"script":
            return self._script(start, end, attributes)
        if name == b"img":
            found = self._image(start)
            return Formula(*found, start, end + 1) if found else None
        return self._by_class(start, name, attributes) or self._by_data(start, end, name, attributes)

    def _math(self, start: int) -> Formula | None:
        """`<math>`: its annotation, its `alttext`, or else its own elements."""
        if start not in self.maths_read:
            self.maths_read[start] = self._read_math(start)
        return self.maths_read[start]

    def _from_mathml(self, source: str) -> str:
        self.mathml_left -= len(source)
        return mathml.to_tex(source) if self.mathml_left >= 0 else ""

    def _image(self, start: int) -> tuple[str, bool] | None:
        if start not in self.images_read:
            self.images_read[start] = tex_of_image(self.attributes(start))
        return self.images_read[start]

    def _read_math(self, start: int) -> Formula | None:
        end = self.html.find(b"</math", start) if start < self.no_more_maths else -1
        if end < 0:
            self.no_more_maths = min(self.no_more_maths, start)
            return None
        attributes = self.attributes(start)
        content = self.html[self.tags[start] + 1 : end].decode("utf-8", "replace")
        tex = _annotated(content)
        if not tex and b"alttext" in attributes:
            tex = clean_tex(_value(attributes[b"alttext"]))
        if not tex:
            tex = self._from_mathml(content)
        display = attributes.get(b"display") == b"block" or attributes.get(b"mode") == b"display"
        after = self.html.find(b">", end)
        return Formula(tex, display, start, after + 1 if after >= 0 else len(self.html)) if tex else None

    def _script(self, start: int, end: int, attributes: dict[bytes, bytes]) -> Formula | None:
        """A script of MathJax 2."""
        kind = attributes.get(b"type", b"").lower().replace(b" ", b"")
        close = _END_SCRIPT.search(self.html, end, end + MAX_FORMULA)
        if close is None or not kind.startswith(b"math/"):
            return None
        content = self.html[end + 1 : close.start()].decode("utf-8", "replace")
        if kind.startswith(b"math/tex"):
            tex = clean_tex(content)
        elif kind.startswith(b"math/asciimath"):
            self.asciimath_left -= len(content)
            tex = asciimath.to_tex(references.unescape(content)) if self.asciimath_left >= 0 else ""
        elif kind.startswith(b"math/mml"):
            tex = self._from_mathml(content)
        else:
            return None
        display = b"mode=display" in kind or (kind.startswith(b"math/mml") and 'display="block"' in content)
        return Formula(tex, display, start, close.end()) if tex else None

    def _by_class(self, start: int, name: bytes, attributes: dict[bytes, bytes]) -> Formula | None:
        """An element that a renderer made: the source stands in it, or in the script behind it."""
        classes = attributes.get(b"class", b"")
        first = classes.split(None, 1)[0] if classes.split() else b""
        if first in _KATEX or first.startswith(b"mwe-math-element"):
            end = self.end_of(start, name)
            return self._inside(start, end, bool(_DISPLAY_CLASSES.search(classes))) if end else None
        if not (first.lower().startswith((b"mathjax", b"mjx")) or name == b"mjx-container"):
            return None
        if b"data-mathml" in attributes and (found := self._by_mathml(start, name, attributes)):
            return found
        at = start
        display = attributes.get(b"display") == b"true"
        for _ in range(4):  # preview, rendering, another of its forms, script
            tag = self.html[at : at + 8].lower()
            if at not in self.tags:
                break
            if tag.startswith(b"<script"):
                found = self._script(at, self.tags[at], self.attributes(at))
                return found._replace(start=start, display=display or found.display) if found else None
            name_of = _NAME.match(self.html, at)
            end = self.end_of(at, name_of[1].lower()) if name_of else 0
            if not end:
                return None
            classes = self.attributes(at).get(b"class", b"")
            display = display or bool(_DISPLAY_CLASSES.search(classes))
            found = self._inside(start, end, display, at)
            if found:
                behind = self._next(end)
                script = (
                    self._script(behind, self.tags[behind], self.attributes(behind))
                    if self._is_script(behind)
                    else None
                )
                return script._replace(start=start, display=display or script.display) if script else found
            at = self._next(end)
        return None

    def _next(self, at: int) -> int:
        space = _SPACE.match(self.html, at)
        return space.end() if space else at

    def _is_script(self, at: int) -> bool:
        return at in self.tags and self.html[at : at + 7].lower() == b"<script"

    def _by_mathml(self, start: int, name: bytes, attributes: dict[bytes, bytes]) -> Formula | None:
        """A rendering of MathJax 2 that has its MathML as an attribute."""
        end = self.end_of(start, name)
        if not end:
            return None
        behind = self._next(end)
        if self._is_script(behind):
            script = self._script(behind, self.tags[behind], self.attributes(behind))
            if script:
                return script._replace(start=start)
        source = _value(attributes[b"data-mathml"])
        tex = _annotated(source) or self._from_mathml(source)
        return Formula(tex, 'display="block"' in source, start, end) if tex else None

    def _inside(self, start: int, end: int, display: bool, first: int = -1) -> Formula | None:
        """The one formula in [first, end)."""
        first = max(first, start)
        at = bisect.bisect_left(self.maths, first)
        if at < len(self.maths) and self.maths[at] < end:
            if at + 1 < len(self.maths) and self.maths[at + 1] < end:
                return None
            found = self._math(self.maths[at])
            return found._replace(start=start, end=end, display=display or found.display) if found else None
        at = bisect.bisect_left(self.images, first)
        if at < len(self.images) and self.images[at] < end:
            image = self._image(self.images[at])
            return Formula(image[0], display or image[1], start, end) if image else None
        return None

    def _by_data(self, start: int, end: int, name: bytes, attributes: dict[bytes, bytes]) -> Formula | None:
        """An element that has the TeX as an attribute. Blocks stay, around the formula."""
        tex = next((_value(attributes[key]) for key in _DATA if attributes.get(key)), "")
        if not tex:
            tex = next((_value(attributes[key]) for key in _LOOSE_DATA if attributes.get(key)), "")
            is_tex = (
                looks_like_tex(tex)
                or b"hurmet" in attributes.get(b"class", b"")
                or re.fullmatch(r"[^{}<>]{0,40}[\^_=][^{}<>]{1,60}", tex)
            )
            if not tex or tex.lstrip()[:1] in ("{", "[") or not is_tex:
                return None
        finish = self.end_of(start, name)
        tex = clean_tex(tex)
        if not finish or not tex:
            return None
        block = name in (b"p", b"div")
        first = end + 1 if block else start
        return Formula(tex, block, first, self.html.rfind(b"</", start, finish) if block else finish)


_END_SCRIPT = re.compile(rb"</script[^>]{0,100}>", re.IGNORECASE)


def _value(attribute: bytes) -> str:
    return references.unescape(attribute.decode("utf-8", "replace"))


def _annotated(source: str) -> str:
    """TeX in an annotation of MathML, or nothing."""
    annotation = _ANNOTATION.search(source)
    if annotation is None:
        return ""
    behind = _END_ANNOTATION.search(source, annotation.end())
    return clean_tex(references.unescape(source[annotation.end() : behind.start() if behind else len(source)]))


def _pairs(html: bytes, name: bytes) -> dict[int, int]:
    """Place behind the end tag of each element of that name, by the place of its start tag."""
    out: dict[int, int] = {}
    still_open: list[int] = []
    for tag in re.finditer(rb"<(/?)" + re.escape(name) + rb"(?=[\s/>])", html, re.IGNORECASE):
        if not tag[1]:
            still_open.append(tag.start())
        elif still_open:
            end = html.find(b">", tag.end())
            if end < 0:
                break
            out[still_open.pop()] = end + 1
    return out


# --- Delimiters in the text -------------------------------------------------------------------------------------------

_RENDERERS = (b"mathjax", b"katex", b"data-math")
_ASCIIMATH = (b"asciimath", b"am_htmlormml", b"am_chtml")
_DELIMITER = re.compile(r"\\\\|\\([()\[\]])")
_IN_DOLLARS = re.compile(r"(?<![\\$])\$\$?+(?=\S)[^$\n]{1,1000}(?<=\S)\$(?!\d)")
_BACKTICKS = re.compile(r"(?<!\\)`([^`\n]{1,500})(?<!\\)`")


def delimited(html: bytes, texts: Iterable[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """Number, text and tag of lines, with `\\(...\\)` as `$...$`, `\\[...\\]` as `$$...$$` and AsciiMath in backticks as TeX:
    where a script of the page would have rendered them."""
    rows = list(texts)
    whole = "\n".join([text for _, text, _ in rows])
    if ("\\(" in whole or "\\[" in whole) and _names_one(html, _RENDERERS):
        rows = _with_dollars(rows)
    if "`" in whole and _names_one(html, _ASCIIMATH):
        rows = _with_asciimath(rows)
    return rows


def with_formula(html: bytes, written: bytes, texts: Iterable[tuple[int, str, str]]) -> list[int]:
    """Numbers of the lines that hold a formula between dollars. A page without formulas has none: its dollars are prices.

    :param html: the page as it came; :param written: as `in_dollars` left it.
    :param texts: number, text and tag of lines, `delimited`.
    """
    found = [number for number, text, tag in texts if "$" in text and tag != "code" and _IN_DOLLARS.search(text)]
    if found and (written.count(b"$") > html.count(b"$") or _names_one(html, _RENDERERS)):
        return found
    return []


def _names_one(html: bytes, names: Sequence[bytes]) -> bool:
    """Whether a page names one of these, in any case: ten times as fast as a regular expression."""
    in_lower_case = html.lower()
    return any(name in in_lower_case for name in names)


def _with_asciimath(rows: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    left = MAX_ASCIIMATH

    def written(match: re.Match[str]) -> str:
        nonlocal left
        left -= len(match[1])
        if left < 0:
            return match[0]
        tex = asciimath.to_tex(match[1])
        return f"${tex}$" if tex else " "

    out = []
    for number, text, tag in rows:
        if "`" in text and tag != "code":
            text = re.sub(" {2,}", " ", _BACKTICKS.sub(written, text)).strip(" ")
        out.append((number, text, tag))
    return out


def _with_dollars(rows: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """Delimiters in pairs, within a line or, set off, over the lines of a paragraph."""
    out = [text for _, text, _ in rows]
    changes: list[list[tuple[int, int, str]]] = [[] for _ in rows]
    opened: tuple[int, re.Match[str]] | None = None
    for i, (_, text, tag) in enumerate(rows):
        if opened and (opened[1][1] == "(" or tag == "code" or i - opened[0] > 40):
            opened = None
        if tag == "code" or "\\" not in text:
            continue
        for mark in _DELIMITER.finditer(text):
            if mark[1] is None:
                continue
            if mark[1] in "([":
                opened = i, mark
            elif opened and opened[1][1] == ("(" if mark[1] == ")" else "["):
                dollars = "$" if mark[1] == ")" else "$$"
                changes[opened[0]].append((opened[1].start(), opened[1].end(), dollars))
                changes[i].append((mark.start(), mark.end(), dollars))
                opened = None
    for i, places in enumerate(changes):
        pieces: list[str] = []
        at = 0
        for start, end, dollars in places:
            pieces += (out[i][at:start], dollars)
            at = end
        out[i] = "".join((*pieces, out[i][at:]))
    return [(number, text, tag) for (number, _, tag), text in zip(rows, out, strict=True)]
