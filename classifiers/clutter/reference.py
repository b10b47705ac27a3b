"""Block-level lines of a page by a real parser (lexbor's tree): what annotators read, and what their line numbers count."""

from __future__ import annotations

import hashlib
from typing import Any

BLOCK = frozenset([
    "address", "article", "aside", "blockquote", "body", "button", "caption", "center", "dd", "details", "dialog",
    "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5",
    "h6", "header", "hgroup", "hr", "html", "legend", "li", "main", "menu", "nav", "ol", "optgroup", "option", "p",
    "pre", "search", "section", "select", "summary", "table", "tbody", "td", "textarea", "tfoot", "th", "thead",
    "title", "tr", "ul", "br", "iframe", "video", "audio",
])  # fmt: skip
SKIP = frozenset(["script", "style", "template", "noscript", "head", "svg", "iframe", "textarea"])


def reference_lines(html: str) -> list[str]:
    """Lines of a page, white space collapsed, without empty ones."""
    from selectolax.lexbor import LexborHTMLParser

    root = LexborHTMLParser(html).body
    lines: list[str] = []
    parts: list[str] = []

    def end_line() -> None:
        text = " ".join("".join(parts).split())
        parts.clear()
        if text:
            lines.append(text)

    stack: list[tuple[Any, bool]] = [] if root is None else [(root, False)]
    while stack:
        node, at_end = stack.pop()
        name = node.tag or ""
        if at_end:
            if name in BLOCK:
                end_line()
        elif name == "-text":
            parts.append(node.text_content or "")
        elif name not in SKIP and not name.startswith(("-", "!")):
            if name in BLOCK:
                end_line()
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(list(node.iter(include_text=True))))
    end_line()
    return lines


def digest(lines: list[str]) -> str:
    """Fingerprint of lines, 16 hex characters: whether they are those that were annotated."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def numbers(ranges: str) -> list[int]:
    """`0-2,5` as 0, 1, 2, 5."""
    out: list[int] = []
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        out += range(int(first), int(last or first) + 1)
    return out
