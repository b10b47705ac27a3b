"""Result of an engine, and the text with parallel arrays that is made from its lines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict

from extraction.text import clean_characters

TAGS = ("p", "h1", "h2", "h3", "h4", "h5", "h6", "li", "tr", "code", "quote")
"""Tags of lines: paragraph, headings, list item, table row (cells joined by a tab), line of code, quotation."""

CODE_SPACES = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")


SCALE = 65535
"""Stored scores are whole numbers of 16 bits, `round(SCALE * probability)`: a threshold can change without scoring again."""


class PageSignals(TypedDict):
    """What a page says of itself, outside its text."""

    canonical_url: str | None
    og_type: str | None
    schema_types: list[str]
    html_lang: str | None


class Line(NamedTuple):
    """A block of the page on its way to becoming a line.

    `link_share`: link characters / characters, white space aside. `score`: what the line is worth, 0 to 65,535, and `kind`: the
    kind of region that it stands in (`line_model.kinds.KINDS`), if the engine says. A line that is not `kept` is cut, and
    told of.
    """

    text: str
    tag: str
    link_share: float = 0.0
    score: int | None = None
    kept: bool = True
    kind: str | None = None


class CutLine(TypedDict):
    """A line that the engine cut: its number (from 0, among all lines), and what is known of it."""

    line: int
    text: str
    tag: str
    link_share: float
    score: int | None
    kind: str | None


@dataclass(frozen=True, slots=True)
class Extraction:
    """The main content of a page.

    `text` has one line per block; `line_tags` (of `TAGS`), `line_link_share` (0 to 1) and, of engines that score lines,
    `line_scores` (0 to 65,535) and `line_kinds` (see `Line`) have exactly one entry for each of `text.split("\\n")`. A page
    without content has the empty text and empty arrays. `cut_lines` are those that the engine cut, ascending, if it tells.
    """

    text: str
    line_tags: list[str]
    line_link_share: list[float]
    line_scores: list[int] | None = None
    line_kinds: list[str] | None = None
    cut_lines: list[CutLine] | None = None
    title: str | None = None
    page_signals: PageSignals = field(
        default_factory=lambda: PageSignals(canonical_url=None, og_type=None, schema_types=[], html_lang=None)
    )


def assemble(lines: Iterable[Line]) -> Extraction:
    """Join lines to a text that `extraction.text.clean` leaves as it is, with its tags, link shares and scores.

    White space inside a line collapses, but a tab between the cells of a row stays, and lines of code keep their
    indentation (blank lines between them too, one at a time). Empty lines go.
    """
    kept: list[Line] = []
    cut: list[CutLine] = []
    blank: Line | None = None
    code = False  # the line before is one of code
    number = 0
    for line in lines:
        text = clean_characters(line.text).replace("\n", " ")
        if line.tag == "code":
            text = CODE_SPACES.sub(" ", text).rstrip()
            if not text:
                blank = line if code else None
                continue
        elif line.tag == "tr":
            text = "\t".join(" ".join(cell.split()) for cell in text.split("\t")).rstrip("\t")
            text = text.strip() and text
        else:
            text = " ".join(text.split())
        if not text:
            continue
        finished = [line._replace(text=text, link_share=round(min(1.0, line.link_share), 4))]
        if blank is not None and line.tag == "code":
            finished.insert(0, line._replace(text="", link_share=0.0))
        blank = None
        code = line.tag == "code"
        for done in finished:
            if done.kept:
                kept.append(done)
            else:
                cut.append(cut_line(number, done))
            number += 1
    kinds = [line.kind for line in kept if line.kind is not None]
    scores = [line.score for line in kept if line.score is not None]
    return Extraction(
        text="\n".join(line.text for line in kept),
        line_tags=[line.tag for line in kept],
        line_link_share=[line.link_share for line in kept],
        line_scores=scores if len(scores) == len(kept) and (kept or cut) else None,
        line_kinds=kinds if kinds and len(kinds) == len(kept) else None,
        cut_lines=cut or None,
    )


def cut_line(number: int, line: Line) -> CutLine:
    """What is told of a line that is cut."""
    return CutLine(
        line=number, text=line.text, tag=line.tag, link_share=line.link_share, score=line.score, kind=line.kind
    )


def all_lines(extraction: Extraction) -> list[Line]:
    """The lines of a page, kept and cut, in its order."""
    kept = zip(
        extraction.text.split("\n"),
        extraction.line_tags,
        extraction.line_link_share,
        extraction.line_scores or itertools.repeat(None),
        itertools.repeat(True),
        extraction.line_kinds or itertools.repeat(None),
        strict=False,
    )
    cut = {
        c["line"]: Line(c["text"], c["tag"], c["link_share"], c["score"], False, c["kind"])
        for c in extraction.cut_lines or ()
    }
    out: list[Line] = []
    for line in kept:
        while len(out) in cut:
            out.append(cut[len(out)])
        out.append(Line(*line))
    return [*out, *(cut[number] for number in sorted(cut) if number >= len(out))]
