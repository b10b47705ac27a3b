"""XHTML: pages that browsers parse as XML, turned into what a parser of HTML reads the same.

In XML `<script/>`, `<title/>`, `<iframe/>` and `<div/>` are empty elements, and the text of a CDATA section is text. To a
parser of HTML the first three swallow the rest of the page, and the last is no text.
"""

from __future__ import annotations

import html as references
import re

VOID = frozenset(
    b"area base basefont bgsound br col embed frame hr image img input keygen link meta param source track wbr".split()
)
MAX_TAG = 10_000
"""Bytes of an empty element's tag."""

_XML_TYPE = re.compile(r"xml", re.IGNORECASE)
_DECLARED = re.compile(rb"\s*<\?xml\b", re.IGNORECASE)
_NAMESPACE = re.compile(rb"<html\b[^>]{0,2000}\bxmlns\s*=", re.IGNORECASE)
_OPEN, _CLOSE = b"<![CDATA[", b"]]>"
_RAW = re.compile(rb"<(script|style)\b[^>]*(?<!/)>", re.IGNORECASE)
_NAME = re.compile(rb"<([A-Za-z][^\s/>]*)")
_HEAD = 4096


def is_xhtml(html: bytes, content_type: str | None) -> bool:
    """Whether browsers parse a page as XML: served as such, and written so. What is served as text/html is HTML, whatever its
    doctype; of a page without a type the XML declaration and the namespace tell.

    :param html: UTF-8; :param content_type: media type of the HTTP header, if known.
    """
    if content_type is not None and not _XML_TYPE.search(content_type):
        return False
    head = html[:_HEAD].removeprefix(b"\xef\xbb\xbf")
    declared, namespace = _DECLARED.match(head) is not None, _NAMESPACE.search(head) is not None
    return (declared and namespace) if content_type is None else (declared or namespace)


def may_be_xhtml(html: str) -> bool:
    """A quick look at a decoded page."""
    return "<?xml" in html[:_HEAD] or "xmlns" in html[:_HEAD]


def as_html(html: bytes) -> bytes:
    """An XHTML page as HTML: empty elements with an end tag, CDATA sections as text. Linear in the size of the page."""
    if b"<![CDATA[" in html:
        html = _without_cdata(html)
    pieces: list[bytes] = []
    at = 0
    place = html.find(b"/>")
    while place >= 0:
        start = html.rfind(b"<", max(at, place - MAX_TAG), place)
        name = _NAME.match(html, start, place) if start >= 0 else None
        if name and name[1].lower() not in VOID and _is_tag(html[start:place]):
            pieces += (html[at:place].rstrip(), b"></", name[1], b">")
            at = place + 2
        place = html.find(b"/>", place + 2)
    return b"".join((*pieces, html[at:])) if pieces else html


def _is_tag(tag: bytes) -> bool:
    """Whether all quotes of a tag are closed, and it does not end before."""
    return (
        tag.count(b'"') % 2 == 0 and tag.count(b"'") % 2 == 0 and b">" not in re.sub(rb"\"[^\"]*\"|'[^']*'", b"", tag)
    )


def _without_cdata(html: bytes) -> bytes:
    """The sections as text; in scripts and style sheets, which are no markup in HTML, they stay."""
    pieces: list[bytes] = []
    lower = html.lower()
    at = behind_raw = 0
    openers = _RAW.finditer(html)
    opener = next(openers, None)
    start = html.find(_OPEN)
    while start >= 0:
        end = html.find(_CLOSE, start)
        if end < 0:
            break
        while opener is not None and opener.start() < start:
            if opener.start() >= behind_raw:
                behind_raw = lower.find(b"</" + opener[1].lower(), opener.end())
                behind_raw = len(html) if behind_raw < 0 else behind_raw
            opener = next(openers, None)
        if start >= behind_raw:
            text = html[start + len(_OPEN) : end].decode("utf-8", "replace")
            pieces += (html[at:start], references.escape(text, quote=False).encode())
            at = end + len(_CLOSE)
        start = html.find(_OPEN, end)
    return b"".join((*pieces, html[at:]))
