"""Code in `<textarea>`: sites show snippets to copy in them, and old highlighters take their code from them.

Browsers show what stands in a textarea as plain text, so that it can become a `<pre>`. Most textareas are for readers to type
into: they are empty, hold a hint or a draft. Code is what a page says is code (`name="code"`, the class of a highlighter), or
what nobody can type into (`readonly`, `disabled`) and looks like code. The links that sites offer for embedding are none.
Linear in the size of the page, but for a search of the page for each of a few textareas.
"""

from __future__ import annotations

import html as references
import re

from extraction.lines.code import looks_like_code, named_language, reads_as_prose

MAX_TEXTAREAS = 200
"""Textareas of a page that are looked at."""

_OPENER = re.compile(rb"<textarea(?=[\s>])((?:[^<>\"']|\"[^<\"]{0,300}\"|'[^<']{0,300}'){0,1000})>", re.IGNORECASE)
_END = re.compile(rb"</textarea\s*>", re.IGNORECASE)
_FIXED = re.compile(rb"\s(?:readonly|disabled)(?=[\s=/]|\Z)", re.IGNORECASE)
_NAMED_CODE = re.compile(
    rb"\sname\s*=\s*[\"']?code[\"'\s]|\sclass\s*=\s*(?:\"[^\"]*|'[^']*)\b(?:brush:|prettyprint|sh_|syntaxhighlighter|code-?block|sourcecode)",
    re.IGNORECASE,
)
_COPY = re.compile(
    rb"crayon-plain|display\s*:\s*none|visibility\s*:\s*hidden|\shidden(?=[\s=/]|\Z)|clipboard", re.IGNORECASE
)
_EMBEDDED = re.compile(
    r"\s*(?:\[/?(?:url|img|b|i|quote|flash|media|video|align|center)\b|<(?:a\s|iframe|embed|object|img\s|blockquote\s+class)|https?://\S*\s*$)",
    re.IGNORECASE,
)


def with_code_of_textareas(html: bytes) -> bytes:
    """The page with its textareas of code as `<pre>`; a page without any is the same object."""
    if b"<textarea" not in html and b"<TEXTAREA" not in html:
        return html
    kept: list[bytes] = []
    at = looked = end = 0
    for opener in _OPENER.finditer(html):
        if opener.start() < end:
            continue
        closing = _END.search(html, opener.end())
        looked += 1
        if closing is None or looked > MAX_TEXTAREAS:
            break
        end = closing.end()
        content = html[opener.end() : closing.start()]
        if _is_code(opener[1], content, html):
            kept += (html[at : opener.start()], b"<pre%s>" % opener[1], content.replace(b"<", b"&lt;"), b"</pre>")
            at = end
    return b"".join((*kept, html[at:])) if kept else html


def _is_code(attributes: bytes, content: bytes, html: bytes) -> bool:
    text = references.unescape(content.decode("utf-8", "replace")).strip()
    if not text or _COPY.search(attributes) or _EMBEDDED.match(text):
        return False
    says = _NAMED_CODE.search(attributes) is not None
    if not says and _FIXED.search(attributes) is None:
        return False
    says = says or named_language(b"<pre" + attributes) != ""
    if reads_as_prose(text) or not (says or looks_like_code(text)):
        return False
    return html.count(content.strip()) == 1  # else the page shows it beside
