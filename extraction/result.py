"""Result of an engine, and the text with parallel arrays that is made from its lines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict, overload

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


CUT_LINE = ("line", "text", "tag", "link_share", "score", "kind")
"""What is told of a line that the engine cut: its number (from 0, among all lines), and what is known of it, as in `Line`."""


class Rows(Sequence[dict[str, Any]]):
    """Rows of the same keys, held by column: a list of dicts to read, at a tenth of its objects. Not changed once made.

    :raises ValueError: if columns are not equally long.
    """

    __slots__ = ("_columns",)

    def __init__(self, columns: Mapping[str, list[Any]]) -> None:
        self._columns = dict(columns)
        if len({len(values) for values in self.columns.values()}) != 1:
            raise ValueError(
                f"columns of {[len(values) for values in self.columns.values()]} rows; expected as many in each"
            )

    @property
    def columns(self) -> dict[str, list[Any]]:
        """Values of each key, one a row."""
        return self._columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> Rows: ...
    def __getitem__(self, place: int | slice) -> dict[str, Any] | Rows:
        if isinstance(place, slice):
            return Rows({name: values[place] for name, values in self.columns.items()})
        return {name: values[place] for name, values in self.columns.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for values in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, values, strict=True))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Rows):
            return self.columns == other.columns
        return list(self) == other if isinstance(other, list) else NotImplemented

    def __repr__(self) -> str:
        return repr(list(self))


@dataclass(frozen=True, slots=True)
class Extraction:
    """The main content of a page.

    `text` has one line per block; `line_tags` (of `TAGS`), `line_link_share` (0 to 1) and, of engines that score lines,
    `line_scores` (0 to 65,535) and `line_kinds` (see `Line`) have exactly one entry for each of `text.split("\\n")`. A page
    without content has the empty text and empty arrays. `cut_lines` (rows of the keys `CUT_LINE`) are those that the engine cut,
    ascending, if it tells.
    """

    text: str
    line_tags: list[str]
    line_link_share: list[float]
    line_scores: list[int] | None = None
    line_kinds: list[str] | None = None
    cut_lines: Sequence[dict[str, Any]] | None = None
    title: str | None = None
    page_signals: PageSignals = field(
        default_factory=lambda: PageSignals(canonical_url=None, og_type=None, schema_types=[], html_lang=None)
    )


def assemble(lines: Iterable[Line]) -> Extraction:
    """Join lines to a text that `extraction.text.clean` leaves as it is, with its tags, link shares and scores.

    White space inside a line collapses, but a tab between the cells of a row stays, and lines of code keep their
    indentation (blank lines between them too, one at a time). Empty lines go.
    """
    rows = list(lines)
    texts = [tidy(clean_characters(line.text).replace("\n", " "), line.tag) for line in rows]
    stay = without_empty(texts, [line.tag for line in rows])
    rows = [rows[i] for i in stay]
    scores = [line.score for line in rows if line.score is not None]
    kinds = [line.kind for line in rows if line.kind is not None]
    return joined(
        [texts[i] for i in stay],
        [line.tag for line in rows],
        [round(min(1.0, line.link_share), 4) for line in rows],
        scores if rows and len(scores) == len(rows) else None,
        kinds if rows and len(kinds) == len(rows) else None,
        [line.kept for line in rows],
    )


def tidy(text: str, tag: str) -> str:
    """A line with its white space as it is stored: collapsed, but for tabs between cells and the indentation of code."""
    if tag == "code":
        return CODE_SPACES.sub(" ", text).rstrip()
    if tag == "tr":
        text = "\t".join(" ".join(cell.split()) for cell in text.split("\t")).rstrip("\t")
        return text.strip() and text
    return " ".join(text.split())


def without_empty(texts: Sequence[str], tags: Sequence[str]) -> list[int]:
    """Which lines stay: those with text, and one of the blank lines between two lines of code."""
    out: list[int] = []
    blank = -1
    code = False  # the line before is one of code
    for i, (text, tag) in enumerate(zip(texts, tags, strict=True)):
        if tag == "code":
            if not text:
                blank = i if code else -1
                continue
            if blank >= 0:
                out.append(blank)
        elif not text:
            continue
        code = tag == "code"
        blank = -1
        out.append(i)
    return out


def joined(
    texts: list[str],
    tags: list[str],
    link_shares: list[float],
    scores: list[int] | None,
    kinds: list[str] | None,
    kept: Sequence[bool],
) -> Extraction:
    """The extraction of lines that are tidy, with what is known of each; those that are not `kept` become its `cut_lines`.
    The link share of a line without text is 0."""
    shares = [share if text else 0.0 for share, text in zip(link_shares, texts, strict=True)]
    if all(kept):
        return Extraction("\n".join(texts), tags, shares, scores, kinds)
    gone = [not keep for keep in kept]
    numbers = list(itertools.compress(range(len(texts)), gone))
    columns: tuple[list[Any] | None, ...] = (texts, tags, shares, scores, kinds)
    cut = [[None] * len(numbers) if c is None else list(itertools.compress(c, gone)) for c in columns]
    return Extraction(
        text="\n".join(itertools.compress(texts, kept)),
        line_tags=list(itertools.compress(tags, kept)),
        line_link_share=list(itertools.compress(shares, kept)),
        line_scores=None if scores is None else list(itertools.compress(scores, kept)),
        line_kinds=None if kinds is None else list(itertools.compress(kinds, kept)),
        cut_lines=Rows(dict(zip(CUT_LINE, (numbers, *cut), strict=True))),
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
