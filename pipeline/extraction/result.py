"""What an engine returns, and how lines become a text with parallel arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict

from pipeline.text import clean_characters

TAGS = ("p", "h1", "h2", "h3", "h4", "h5", "h6", "li", "tr", "code", "quote")
"""Tags of lines: paragraph, headings, list item, table row (cells joined by a tab), line of code, quotation."""

_CODE_SPACES = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")


class PageSignals(TypedDict):
    """What a page says of itself, outside its text."""

    canonical_url: str | None
    og_type: str | None
    schema_types: list[str]
    html_lang: str | None


class Line(NamedTuple):
    """A block of the page on its way to becoming a line. `link_share`: link characters / characters, white space
    aside."""

    text: str
    tag: str
    link_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Extraction:
    """The main content of a page.

    `text` has one line per block; `line_tags` (of `TAGS`) and `line_link_share` (0 to 1) have exactly one entry for
    each of `text.split("\\n")`. A page without content has the empty text and empty arrays.
    """

    text: str
    line_tags: list[str]
    line_link_share: list[float]
    title: str | None = None
    page_signals: PageSignals = field(
        default_factory=lambda: PageSignals(canonical_url=None, og_type=None, schema_types=[], html_lang=None)
    )


def assemble(lines: Iterable[Line]) -> tuple[str, list[str], list[float]]:
    """Join lines to a text that `pipeline.text.clean` leaves as it is, with its tags and link shares.

    White space inside a line collapses, but a tab between the cells of a row stays, and lines of code keep their
    indentation (blank lines between them too, one at a time). Empty lines go.
    """
    texts: list[str] = []
    tags: list[str] = []
    shares: list[float] = []
    blank: Line | None = None
    for line in lines:
        text = clean_characters(line.text).replace("\n", " ")
        if line.tag == "code":
            text = _CODE_SPACES.sub(" ", text).rstrip()
            if not text:
                blank = line if tags and tags[-1] == "code" else None
                continue
        elif line.tag == "tr":
            text = "\t".join(" ".join(cell.split()) for cell in text.split("\t")).rstrip("\t")
            text = text.strip() and text
        else:
            text = " ".join(text.split())
        if not text:
            continue
        if blank is not None and line.tag == "code":
            texts.append("")
            tags.append("code")
            shares.append(0.0)
        blank = None
        texts.append(text)
        tags.append(line.tag)
        shares.append(round(min(1.0, line.link_share), 4))
    return "\n".join(texts), tags, shares
