"""Prepare a page for parsing: cut parts without text, and refuse pages that would take a parser minutes.

Scripts, style sheets, vector graphics and comments are a large part of a page. Cutting them costs less than parsing them,
and leaves a short head in which the page's signals are found quickly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_CHARACTERS = 3_000_000
MAX_TAGS = 30_000
"""Guards: beyond them trees get so deep or wide that parsers and rules take minutes. No page of the sample comes near."""

_OPENERS = re.compile(r"<(?:!--|(?:[sS](?:[cC][rR][iI][pP][tT]|[tT][yY][lL][eE]|[vV][gG]))(?=[\s>/]))")
_CLOSERS = {
    "script": re.compile(r"</[sS][cC][rR][iI][pP][tT](?=[\s>/])"),
    "style": re.compile(r"</[sS][tT][yY][lL][eE](?=[\s>/])"),
    "svg": re.compile(r"</[sS][vV][gG](?=[\s>/])"),
}
_RUBY = re.compile(
    r"<r(?:tc|[tp])\b[^>]{0,200}>[^<]{0,200}(?:</r(?:tc|[tp])>)?|</?(?:ruby|rbc?)\b[^>]{0,200}>", re.IGNORECASE
)


class TooLarge(Exception):
    """A page beyond the guards. `reason` is a drop reason, `value` what was measured."""

    def __init__(self, reason: str, value: int) -> None:
        super().__init__(f"{reason}: {value}")
        self.reason = reason
        self.value = value


@dataclass(frozen=True, slots=True)
class Prepared:
    """A page without scripts, style sheets, vector graphics and comments, and its JSON-LD scripts."""

    html: str
    json_ld: list[str]


def check_size(html: str) -> None:
    """:raises TooLarge: if the page is beyond the guards (`html_too_large`: characters, `too_many_tags`)."""
    if len(html) > MAX_CHARACTERS:
        raise TooLarge("html_too_large", len(html))
    tags = html.count("<")
    if tags > MAX_TAGS:
        raise TooLarge("too_many_tags", tags)


def prepare(html: str) -> Prepared:
    """Cut what carries no text, and the readings of ruby.

    Linear in the size of the page, whatever is in it; what is not closed stays.
    """
    kept: list[str] = []
    json_ld: list[str] = []
    position = 0
    unclosed: set[str] = set()
    for opener in _OPENERS.finditer(html):
        start = opener.start()
        if start < position:
            continue
        name = opener[0][1:].lower()
        if name in unclosed:
            continue
        if name == "!--":
            end = html.find("-->", start + 2)  # `<!-->` is a whole comment
            if end < 0:
                unclosed.add(name)
                continue
            kept.append(html[position:start])
            position = end + 3
            continue
        closer = _CLOSERS[name].search(html, opener.end())
        end = -1 if closer is None else html.find(">", closer.end())
        if closer is None or end < 0:
            unclosed.add(name)
            continue
        if name == "script":
            tag_end = html.find(">", start, closer.start())
            if tag_end > 0 and "ld+json" in html[start:tag_end]:
                json_ld.append(html[tag_end + 1 : closer.start()])
        kept.append(html[position:start])
        position = end + 1
    kept.append(html[position:])
    html = "".join(kept) if position else html
    if "<ruby" in html:  # the reading would stand in the middle of the word, and engines lose the word around it
        html = _RUBY.sub("", html)
    return Prepared(html, json_ld)
