"""Marks of footnotes in a page, cut on request: `[1]`, `[1-2]`, `[注 1]`, a raised number with a link, a link back to the text.

Pages mark notes in many ways: `<sup>[1]</sup>` (wikis, Baidu Baike), `<sup><a href="#fn1">1</a></sup>` (Hugo, GitHub,
WordPress), `<a href="#fn1"><sup>1</sup></a>` (Pandoc), a link without `<sup>` (Sphinx, Word). A raised number without brackets,
link or class may be an exponent or the mass of an isotope: it is a mark only behind a sign that ends a clause, and before no
letter. Ordinals (`1<sup>st</sup>`) and signs (`™`) are none. Nor is a `[12]` that the text has without markup.

Linear in the size of the page: a tag and what it holds are looked at up to a bound.
"""

from __future__ import annotations

import html as references
import re

MAX_TAG, MAX_MARK = 1000, 600
"""Bytes of a tag, and of what a mark holds, its own tags included."""

MAX_BEFORE = 300
"""Bytes before a raised number in which the sign before it is looked for."""

_OPENER = re.compile(rb"<(sup|a)(?=[\s>])([^<>]{0,%d})>" % MAX_TAG, re.IGNORECASE)
_TAG = re.compile(rb"<[^<>]*>")
_CUT_TAG = re.compile(rb"\A[^<>]*>")
_RAISED = re.compile(rb"\s*<sup(?=[\s>])[^<>]*>.*</sup\s*>\s*", re.IGNORECASE | re.DOTALL)
_SPACE_BEFORE = re.compile(rb"(?:\s|&nbsp;|&#160;|\xc2\xa0){1,20}\Z")
_CLOSES = re.compile(rb"\s|&nbsp;|[.,;:!?)\]]|</?(?:p|li|td|div|br)\b|\Z", re.IGNORECASE)
_WIDE_SIGNS = frozenset("，。、；：！？）」』”’")

_NUMBERS = r"\d{1,3}(?:\s?[-–—~,，、;]\s?\d{1,3}){0,9}"
_NAME = r"(?:(?:注释?|註釋?|备注|備註|参|參|footnote|notes?|fn|nb|n)\.?\s?)"
_BRACKETED = re.compile(rf"[\[［〔【]\s?(?:{_NAME}?{_NUMBERS}|{_NAME}[a-z]{{1,2}})\s?[\]］〕】]", re.IGNORECASE)
_LINKED = re.compile(
    rf"[\[［〔【(（]?\s?{_NAME}?(?:{_NUMBERS}|[a-z]|[ivx]{{1,6}}|[*†‡§¶◊∆±#]{{1,4}})\s?[\]］〕】)）]?|[\[［〔【][a-z]{{2}}[\]］〕】]",
    re.IGNORECASE,
)
_NUMBERED = re.compile(rf"[\[［〔【(（]?\s?{_NAME}?{_NUMBERS}\s?[\]］〕】)）]?|[*†‡]{{1,4}}", re.IGNORECASE)
_EDITORIAL = re.compile(r"[\[［][^\]］]{1,40}[\]］]")
_BETWEEN = re.compile(r"\s*[,，、;–-]\s*")
_ARROW = re.compile(
    r"[\s^↑↩↵⤴⏎\ufe0e\ufe0f]{1,6}|(?:jump|back|return)(?: up| to text)?[\s:^↑]{0,3}|返回(?:正文|原文)?|跳转至[:：]?"
)
_CLAUSE = tuple(".,;:!?。，；：！？、…")
_WIDE_CLOSING, _CLOSING = "”’」』》", "\"'”’」』》"
_PRICE = re.compile(r"[$€£¥￥]\s?\d[\d,]*[.,]\Z")

_SAYS_NOTE = re.compile(
    rb"footnote|noteref|endnote|easy-note|fn-?ref|[\"'\s]fn[\"'\s]|[\"'\s]reference\b|cite_ref|sup--normal|data-(?:numero|sup|fn)\b"
    rb"|note_mark",
    re.IGNORECASE,
)
_SAYS_EDITORIAL = re.compile(rb"inline-template|noprint|reference", re.IGNORECASE)
_TO_NOTE = re.compile(
    rb"href\s*=\s*[\"']?[^\"'\s>#]{0,500}#(?:user-content-)?_?(?:fn|ftn|edn|footnote|endnote|note|cite_note)"
    rb"(?!ref|[-_:]?(?:back|ref))",
    re.IGNORECASE,
)
_TO_TEXT = re.compile(
    rb"backref|backlink|footnote-?back|reversefootnote|href\s*=\s*[\"']?[^\"'\s>#]{0,500}#(?:user-content-)?_?(?:(?:fn|ftn|footnote)-?ref|cite_ref)",
    re.IGNORECASE,
)


def without_footnote_marks(html: bytes) -> bytes:
    """The page without its marks of footnotes, and without the arrows that lead from a note back to the text."""
    kept: list[bytes] = []
    at = 0
    for opener in _OPENER.finditer(html):
        start = opener.start()
        if start < at:
            continue
        end = _end_of_mark(html, opener)
        if not end:
            continue
        gap = html[at:start] if kept else b""
        if len(gap) < MAX_BEFORE and _BETWEEN.fullmatch(_text(gap)):
            start = at
        else:
            space = _SPACE_BEFORE.search(html, max(at, start - MAX_BEFORE), start)
            if space and _needs_no_space(html, space.start(), end):
                start = space.start()
        kept.append(html[at:start])
        at = end
    return b"".join((*kept, html[at:])) if kept else html


def _end_of_mark(html: bytes, opener: re.Match[bytes]) -> int:
    """Behind the element that `opener` opens if it is a mark, else 0."""
    name, attributes = opener[1].lower(), opener[2]
    close = _END[name].search(html, opener.end(), opener.end() + MAX_MARK)
    if close is None:
        return 0
    content = html[opener.end() : close.start()]
    text = _text(content)
    if name == b"sup":
        is_mark = _is_raised_mark(html, opener, close.end(), content, text)
    elif _RAISED.fullmatch(content):
        is_mark = _LINKED.fullmatch(text) is not None
    elif not text:
        is_mark = b"sup-anchor" in attributes  # Baidu Baike
    elif _TO_TEXT.search(attributes):
        is_mark = _ARROW.fullmatch(text.lower()) is not None
    else:
        says = _SAYS_NOTE.search(attributes) or _TO_NOTE.search(attributes)
        is_mark = says is not None and _NUMBERED.fullmatch(text) is not None
    return close.end() if is_mark else 0


_END = {name: re.compile(rb"</%s\s*>" % name, re.IGNORECASE) for name in (b"sup", b"a")}


def _is_raised_mark(html: bytes, opener: re.Match[bytes], end: int, content: bytes, text: str) -> bool:
    attributes = opener[2]
    linked = b"<a" in content.lower()
    if _BRACKETED.fullmatch(text):
        return True
    if linked or _SAYS_NOTE.search(attributes):
        return _LINKED.fullmatch(text) is not None or _EDITORIAL.fullmatch(text) is not None
    if _SAYS_EDITORIAL.search(attributes):
        return _EDITORIAL.fullmatch(text) is not None
    if not re.fullmatch(_NUMBERS, text) or html[end : end + 1].isalpha():
        return False
    window = html[max(0, opener.start() - MAX_BEFORE) : opener.start()]
    before = _text(_CUT_TAG.sub(b"", window))
    if _PRICE.search(before):
        return False
    return before.endswith(tuple(_WIDE_CLOSING)) or before.rstrip(_CLOSING).endswith(_CLAUSE)


def _needs_no_space(html: bytes, before: int, behind: int) -> bool:
    """Whether the space that a mark stood behind goes too: nothing, a sign or another space follows, or Han follows Han."""
    if _CLOSES.match(html, behind):
        return True
    follows = html[behind : behind + 3].decode("utf-8", "ignore")
    if follows in _WIDE_SIGNS:
        return True
    return _is_han(follows) and _is_han(html[max(0, before - 3) : before].decode("utf-8", "ignore"))


def _is_han(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff"


def _text(markup: bytes) -> str:
    return references.unescape(_TAG.sub(b"", markup).decode("utf-8", "ignore")).replace("\u200b", "").strip()
