"""This project's own extractor: the lines of a page in one pass over its bytes, each scored by the line model
(dots.llm1 C.3), and those kept that together are worth most.

What trafilatura loses, no later model brings back; here the model sees every line of the page, where it stands, and what stands
around it. No tree is built, nothing backtracks: time and memory are bounded by the size of the page, and no child
process is needed. Quality and cost beside trafilatura's: `docs/lines.md`.
"""

from __future__ import annotations

import dataclasses
import re
from itertools import repeat

import numpy as np
import numpy.typing as npt

from extraction import engines
from extraction.decode import to_utf8
from extraction.embedded import embedded_html
from extraction.formulas import delimited
from extraction.line_model.blocks import groups, kept_whole, united
from extraction.line_model.model import load, sha256
from extraction.lines import Scan, scan
from extraction.lines.columns import L
from extraction.lines.formulas import scan_with_formulas
from extraction.lines.markdown import markdown_of
from extraction.lines.structure import Structure, structure_of, text_in
from extraction.lines.text import is_clean
from extraction.prepare import Prepared, TooLarge, prepare
from extraction.result import CODE_SPACES, CutLine, Extraction, Line, assemble
from extraction.signals import MAX_HEAD, page_signals
from extraction.text import clean_characters

MAX_BYTES = 10_000_000
MAX_LINES = 50_000
"""Guards: beyond them a page is data, not text. They bound what a page costs: about 500 MB and 3 seconds at the worst."""

EMBEDDED_BELOW = 250
"""Characters below which text in JSON-LD or preloaded data is looked for."""

_HEAD_END = re.compile(rb"<body[\s>]|</head", re.IGNORECASE)


class Engine(engines.Engine):
    """Both profiles are the same."""

    bounded = True

    def load(self) -> None:
        self.extract("<p>compiles everything</p>")

    def weights(self) -> dict[str, str]:
        return {"clutter/dom": sha256("dom")}

    def extract(self, html: str, url: str | None = None) -> Extraction:
        """Extract from a decoded page, as `engines.Engine` says; `cut_lines` are those that the model cut."""
        return self._extract(html.encode("utf-8", "replace"))

    def extract_bytes(self, html: bytes, declared_charset: str | None, url: str | None) -> tuple[Extraction, str]:
        data, charset = to_utf8(html, declared_charset)
        return self._extract(data), charset

    def _extract(self, html: bytes) -> Extraction:
        if len(html) > MAX_BYTES:
            raise TooLarge("html_too_large", len(html))
        html, page = self._scan(html)
        if len(page.lines) > MAX_LINES:
            raise TooLarge("too_many_lines", len(page.lines))
        model = load("dom")
        structure = structure_of(html, page)
        units = groups(page, structure)
        scores = united(model.score(page), page, units)
        kept = kept_whole(model.choose(page, scores), page, units)
        json_ld = [html[start:end].decode("utf-8", "replace") for start, end in page.json_ld.tolist()]
        whole = html.decode("utf-8", "replace") if b"itemtype" in html else ""
        title, signals = page_signals(Prepared(_head(html), json_ld), whole)
        content = self._embedded(html, json_ld, page, kept) or self._content(html, page, structure, scores, kept)
        return dataclasses.replace(content, title=title, page_signals=signals)

    def _embedded(self, html: bytes, json_ld: list[str], page: Scan, kept: npt.NDArray[np.bool_]) -> Extraction | None:
        """Text that the page carries as data, where there is more of it than of content."""
        size = int(page.lines[kept, L.CHARACTERS].sum())
        if size >= EMBEDDED_BELOW:
            return None
        embedded = embedded_html(Prepared(html.decode("utf-8", "replace"), json_ld))
        if embedded is None:
            return None
        data, embedded_page = self._scan(embedded.encode("utf-8", "replace"))
        if int(embedded_page.lines[:, L.CHARACTERS].sum()) <= size or len(embedded_page.lines) > MAX_LINES:
            return None
        structure = structure_of(data, embedded_page)
        if self.options.format == "markdown":
            every = np.ones(len(embedded_page.lines), np.bool_)
            lines = markdown_of(data, embedded_page, structure, every)
            return Extraction("\n".join(line.text for line in lines), [line.tag for line in lines], [0.0] * len(lines))
        return assemble(Line(text, tag) for _, text, tag in self._texts(data, embedded_page, structure, None))

    def _content(
        self,
        data: bytes,
        page: Scan,
        structure: Structure,
        scores: npt.NDArray[np.uint16],
        kept: npt.NDArray[np.bool_],
    ) -> Extraction:
        if self.options.format == "markdown":
            return _of_rows(self._markdown(data, page, structure, scores, kept))
        numbers = None if self.options.cut_lines else np.flatnonzero(kept)
        of_text = self._texts(data, page, structure, numbers)
        if not of_text:
            return Extraction("", [], [], [])
        shares, line_scores, keeps = _known([number for number, _, _ in of_text], page, scores, kept)
        joined = "\n".join(text for _, text, _ in of_text)
        cleaned = joined if is_clean(joined) else clean_characters(joined)
        if len(cleaned) != len(joined) or cleaned.count("\n") != len(of_text) - 1:
            # a character went, which can leave white space behind, or became the end of a line
            made = assemble(
                Line(text, tag, share, score, keep)
                for (_, text, tag), share, score, keep in zip(of_text, shares, line_scores, keeps, strict=True)
            )
            return dataclasses.replace(made, line_scores=made.line_scores or [])  # of a line that vanished too
        rows = list(zip(cleaned.split("\n"), (tag for _, _, tag in of_text), shares, line_scores, keeps, strict=True))
        if structure.code:
            rows = _code(rows)
        return _of_rows(rows)

    def _scan(self, html: bytes) -> tuple[bytes, Scan]:
        return scan_with_formulas(html) if self.options.formulas == "dollars" else (html, scan(html))

    def _markdown(
        self,
        data: bytes,
        page: Scan,
        structure: Structure,
        scores: npt.NDArray[np.uint16],
        kept: npt.NDArray[np.bool_],
    ) -> list[_Row]:
        lines = markdown_of(data, page, structure, kept, self.options.cut_lines)
        shares, line_scores, _ = _known([line.number for line in lines], page, scores, kept)
        texts = self._delimited(data, [(line.number, line.text, line.tag) for line in lines])
        return [
            (text, line.tag, share if text else 0.0, score, line.kept)
            for line, (_, text, _), share, score in zip(lines, texts, shares, line_scores, strict=True)
        ]

    def _texts(
        self, data: bytes, page: Scan, structure: Structure, numbers: npt.NDArray[np.int64] | None
    ) -> list[tuple[int, str, str]]:
        texts = text_in(data, page, structure, numbers, self.options.headings, self.options.list_markers)
        return self._delimited(data, texts)

    def _delimited(self, data: bytes, texts: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
        return delimited(data, texts) if self.options.formulas == "dollars" else texts


_Row = tuple[str, str, float, int, bool]
"""Text, tag, share of links, score and whether it is kept of a line."""


def _known(
    numbers: list[int], page: Scan, scores: npt.NDArray[np.uint16], kept: npt.NDArray[np.bool_]
) -> tuple[list[float], list[int], list[bool]]:
    """Shares of links, scores and whether they are kept, of lines by their numbers."""
    places = np.array(numbers, np.int64)
    counts = page.lines[places]
    shares = np.round(counts[:, L.LINK_CHARACTERS] / np.maximum(1, counts[:, L.CHARACTERS]), 4).tolist()
    return shares, scores[places].tolist(), kept[places].tolist()


def _of_rows(rows: list[_Row]) -> Extraction:
    chosen = [row for row in rows if row[4]]
    cut = [
        CutLine(line=number, text=text, tag=tag, link_share=share, score=score)
        for number, (text, tag, share, score, keep) in enumerate(rows)
        if not keep
    ]
    texts, tags, link_shares, kept_scores, _ = zip(*chosen, strict=True) if chosen else repeat((), 5)
    return Extraction("\n".join(texts), list(tags), list(link_shares), list(kept_scores), cut or None)


def _code(rows: list[_Row]) -> list[_Row]:
    """Put code as `assemble` does: of blank lines one between two lines of code, no wide spaces."""
    out: list[_Row] = []
    blank = False
    for row in rows:
        if row[1] != "code":
            blank = False
        elif not row[0] or row[0].isspace():
            blank = bool(out) and out[-1][1] == "code"
            continue
        else:
            if blank:
                out.append(("", "code", 0.0, *row[3:]))
                blank = False
            if not row[0].isascii():
                row = (CODE_SPACES.sub(" ", row[0]).rstrip(), *row[1:])
        out.append(row)
    return out


def _head(html: bytes) -> str:
    end = _HEAD_END.search(html, 0, 10 * MAX_HEAD)
    return prepare(html[: end.end() if end else MAX_HEAD].decode("utf-8", "replace")).html
