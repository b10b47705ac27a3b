"""Text whose line breaks a page keeps without saying so by `<pre>`: `style="white-space: pre"`, and code in `<br>` and `&nbsp;`.

An element that its own style shows as it is written keeps its lines: code becomes a `<pre>`, other text gets `<br>` for its line
breaks. A paragraph of lines between `<br>` that are indented by `&nbsp;` and look like code becomes a `<pre>` too. Style sheets
are not read. Only elements without an element of the same name in them are looked at. Linear in the size of the page.
"""

from __future__ import annotations

import html as references
import itertools
import re

from extraction.lines.code import looks_like_code, reads_as_prose

MIN_LINES, INDENTED = 3, 0.25
"""Lines of a paragraph of code, and how many of them must be indented."""

_STYLE = re.compile(rb"(?:white-space|WHITE-SPACE)\s*:\s*(?:pre|break-spaces)")
_OPENER = re.compile(rb"<(div|p|span|td|section)(\s[^<>]{0,2000})>", re.IGNORECASE)
_OF_STYLE = re.compile(rb"\sstyle\s*=\s*(?:\"[^\"<>]{0,1000}|'[^'<>]{0,1000})\Z", re.IGNORECASE)
MAX_STYLED, MAX_ATTRIBUTES = 1000, 1000
"""Styles of a page that are looked at, and bytes of a tag before one."""

_PARAGRAPH = re.compile(
    rb"<(p|div|td|blockquote)\b([^<>]{0,1000})>((?:[^<]|<(?!/?(?:p|div|td|blockquote)\b)){0,100000}?)</\1\s*>",
    re.IGNORECASE,
)
_SUSPECT = re.compile(rb"<br[\s/]*>\s*(?:&nbsp;|\xc2\xa0|&#160;){2}", re.IGNORECASE)
_TWO_SPACES = (b"&nbsp;&nbsp;", b"\xc2\xa0\xc2\xa0", b"&#160;&#160;")
_BREAK = re.compile(rb"[\r\n]*<br[\s/]*>[\r\n]*", re.IGNORECASE)
_SPACE = re.compile(rb"&nbsp;|\xc2\xa0|&#160;", re.IGNORECASE)
_TAG = re.compile(rb"<[^<>]*>")
_LINE_END = re.compile(rb"(<[^<>]*>)|\r\n|[\r\n]")


def with_lines_kept(html: bytes) -> bytes:
    """The page with such elements as `<pre>` or with `<br>`; a page without any is the same object."""
    # What is looked for first are plain bytes: patterns that ignore case cost ten times as much.
    if b"white-space" in html or b"WHITE-SPACE" in html:
        html = _as_written(html)
    if any(two in html for two in _TWO_SPACES) and _SUSPECT.search(html):
        html = _PARAGRAPH.sub(_as_code, html)
    return html


def _as_written(html: bytes) -> bytes:
    kept: list[bytes] = []
    at = 0
    for style in itertools.islice(_STYLE.finditer(html), MAX_STYLED):
        tag = html.rfind(b"<", max(at, style.start() - MAX_ATTRIBUTES), style.start())
        opener = _OPENER.match(html, tag) if tag >= at else None
        if opener is None or opener.end() < style.end() or _OF_STYLE.search(html, tag, style.start()) is None:
            continue
        name = opener[1].lower()
        closer = re.compile(rb"<(/?)%s(?=[\s>/])" % name, re.IGNORECASE).search(html, opener.end())
        if closer is None or not closer[1]:
            continue
        content = html[opener.end() : closer.start()].strip(b"\r\n")
        if b"\n" not in content and b"\r" not in content:
            continue
        end = html.find(b">", closer.end()) + 1
        if not end:
            break
        kept.append(html[at : opener.start()])
        if _is_code(_TAG.sub(b"", content)):
            kept += (b"<pre", opener[2], b">", content, b"</pre>")
        else:
            kept += (opener[0], _LINE_END.sub(lambda m: m[1] or b"<br>\n", content), html[closer.start() : end])
        at = end
    return b"".join((*kept, html[at:])) if kept else html


def _as_code(match: re.Match[bytes]) -> bytes:
    content = match[3]
    if not _SUSPECT.search(content):
        return match[0]
    text = _SPACE.sub(b" ", _BREAK.sub(b"\n", content)).strip(b"\r\n")
    lines = [line for line in _TAG.sub(b"", text).split(b"\n") if line.strip()]
    indented = sum(line.startswith(b"  ") for line in lines)
    if len(lines) < MIN_LINES or indented < INDENTED * len(lines) or not _is_code(b"\n".join(lines)):
        return match[0]
    return b"<pre%s>%s</pre>" % (match[2], text)


def _is_code(content: bytes) -> bool:
    text = references.unescape(content.decode("utf-8", "replace"))
    return looks_like_code(text) and not reads_as_prose(text)
