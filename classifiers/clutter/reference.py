"""Block-level lines of a page by a real parser (lexbor's tree): what annotators read, and what their line numbers count."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

BLOCK = frozenset([
    "address", "article", "aside", "blockquote", "body", "button", "caption", "center", "dd", "details", "dialog",
    "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5",
    "h6", "header", "hgroup", "hr", "html", "legend", "li", "main", "menu", "nav", "ol", "optgroup", "option", "p",
    "pre", "search", "section", "select", "summary", "table", "tbody", "td", "textarea", "tfoot", "th", "thead",
    "title", "tr", "ul", "br", "iframe", "video", "audio",
])  # fmt: skip
SKIP = frozenset(["script", "style", "template", "noscript", "head", "svg", "iframe", "textarea"])

KINDS = {
    "m": "main text",
    "h": "headline",
    "y": "by-line",
    "p": "caption",
    "c": "comments",
    "r": "related",
    "n": "navigation",
    "l": "legal",
    "f": "form",
    "a": "advertisement",
    "b": "boilerplate",
    "d": "metadata",
}
"""Kinds of regions, by the letter that annotations use (GUIDE.md)."""

KEPT = "mhyp"
"""Kinds that are content."""

FAR = 20_000
"""Characters that a line may lie behind the one before."""


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


def letters(regions: str) -> str:
    """`0-2 n,3 h` as "nnnh": the kind of each line, from the first without gaps.

    :raises ValueError: if a range does not begin where the one before ends, or a kind is not known.
    """
    out: list[str] = []
    for part in filter(None, regions.split(",")):
        span, _, kind = part.partition(" ")
        first, _, last = span.partition("-")
        if int(first) != len(out) or kind not in KINDS:
            raise ValueError(f"{part!r}: expected a range from {len(out)} on and one of {' '.join(KINDS)}")
        out += kind * (int(last or first) + 1 - int(first))
    return "".join(out)


def kinds_of(texts: Sequence[str], lines: Sequence[str], kinds: str) -> list[str]:
    """Kind of each text, "" where it is not known: texts are the same page's lines with other borders, in its order.

    :param lines: the page's `reference_lines`; :param kinds: one letter for each of them.
    """
    squeezed = ["".join(line.split()) for line in lines]
    page = "".join(squeezed)
    of_character = "".join(kind * len(line) for kind, line in zip(kinds, squeezed, strict=True))
    out = []
    position = 0
    for text in texts:
        wanted = "".join(text.split())
        place = page.find(wanted, position, position + len(wanted) + FAR) if wanted else -1
        if place < 0:
            out.append("")
            continue
        position = place + len(wanted)
        out.append(Counter(of_character[place:position]).most_common(1)[0][0])
    return out
