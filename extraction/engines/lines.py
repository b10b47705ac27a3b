"""This project's own extractor: the lines of a page in one pass over its bytes, each scored by the line model
(dots.llm1 C.3), and those kept that together are worth most.

What trafilatura loses, no later model brings back; here the model sees every line of the page, where it stands, and what stands
around it. No tree is built, nothing backtracks: time and memory are bounded by the size of the page, and no child
process is needed. Quality and cost beside trafilatura's: `docs/lines.md`.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from extraction import engines
from extraction.decode import to_utf8
from extraction.embedded import embedded_html
from extraction.footnotes import without_footnote_marks
from extraction.formulas import delimited, with_formula
from extraction.headline import without_site
from extraction.line_model.blocks import groups, kept_whole, united
from extraction.line_model.kinds import KINDS
from extraction.line_model.model import LineModel, load, sha256
from extraction.line_model.regions import headline
from extraction.lines import Scan, scan
from extraction.lines.columns import K, L
from extraction.lines.formulas import scan_with_formulas
from extraction.lines.markdown import MarkdownLine, markdown_of
from extraction.lines.part import texts_of_part
from extraction.lines.preformatted import with_lines_kept
from extraction.lines.structure import Structure, structure_of, text_in
from extraction.lines.text import is_clean
from extraction.lines.textareas import with_code_of_textareas
from extraction.prepare import Prepared, TooLarge
from extraction.result import SCALE, Extraction, Line, assemble, joined, tidy, without_empty
from extraction.signals import signals_of_scan
from extraction.text import clean_characters
from extraction.xhtml import as_html, is_xhtml

MAX_BYTES = 10_000_000
MAX_LINES = 50_000
"""Guards: beyond them a page is data, not text. They bound what a page costs: about 500 MB and 3 seconds at the worst."""

EMBEDDED_BELOW = 250
"""Characters below which text in JSON-LD or preloaded data is looked for."""


class Judged(NamedTuple):
    """What is known of the lines of a page: scores, whether they are kept, numbers of `KINDS`, and which is the headline (-1:
    none)."""

    scores: npt.NDArray[np.uint16]
    kept: npt.NDArray[np.bool_]
    kinds: npt.NDArray[np.int8]
    headline: int = -1


class Engine(engines.Engine):
    """Both profiles are the same."""

    bounded = True
    model: LineModel | None = None
    """Another line model than the shipped one, as evaluation has it."""

    def load(self) -> None:
        self.extract("<p>compiles everything</p>")

    def weights(self) -> dict[str, str]:
        return {"clutter/dom": sha256("dom")}

    def extract(self, html: str, url: str | None = None) -> Extraction:
        """Extract from a decoded page, as `engines.Engine` says; `cut_lines` are those that the model cut."""
        return self._extract(html.encode("utf-8", "replace"))

    def extract_bytes(
        self, html: bytes, declared_charset: str | None, url: str | None, content_type: str | None = None
    ) -> tuple[Extraction, str]:
        data, charset = to_utf8(html, declared_charset)
        if is_xhtml(data, content_type):
            data = as_html(data)
        return self._extract(data), charset

    def _extract(self, html: bytes) -> Extraction:
        if len(html) > MAX_BYTES:
            raise TooLarge("html_too_large", len(html))
        as_it_came = html
        html, page = self._scan(html)
        if len(page.lines) > MAX_LINES:
            raise TooLarge("too_many_lines", len(page.lines))
        model = self.model or load("dom")
        structure = structure_of(html, page)
        units = groups(page, structure)
        first, kinds = model.judge(page)
        scores = united(first, page, units)
        kept = kept_whole(model.choose(page, scores), page, units)
        judged = Judged(scores, kept, kinds)
        if self.options.formulas == "dollars":
            likely = np.flatnonzero(_may_be_formula(judged, units, model.floor))
            texts = self._texts(html, page, structure, likely) if len(likely) else []
            kept[with_formula(as_it_came, html, texts)] = True
        judged = self._as_asked(page, units, judged)
        title, signals = signals_of_scan(html, page)
        content = self._embedded(html, page, judged) or self._content(html, page, structure, judged)
        if title and judged.headline >= 0:
            of_headline = texts_of_part(html, page, judged.headline, judged.headline + 1)
            title = without_site(title, None, of_headline[0][1] if of_headline else None)
        return dataclasses.replace(content, title=title, page_signals=signals)

    def _as_asked(self, page: Scan, units: npt.NDArray[np.int32], judged: Judged) -> Judged:
        """Keep or cut kinds as the options say, and the headline."""
        kept = judged.kept
        for name, choice in (
            ("comments", self.options.comments),
            ("caption", self.options.captions),
            ("by-line", self.options.bylines),
        ):
            if choice != "auto":
                of_kind = (judged.kinds == KINDS.index(name)) & (units < 0)
                kept = kept | of_kind if choice == "keep" else kept & ~of_kind
        found = _headline(page, judged.kinds) if kept.any() else -1
        if found >= 0 and units[found] >= 0:
            found = -1
        if found >= 0 and self.options.title == "prepend":
            same = page.lines[:, L.HASH] == page.lines[found, L.HASH]
            kept = kept & ~(same & (page.lines[:, L.CHARACTERS] == page.lines[found, L.CHARACTERS]))
            kept[found] = True
        return judged._replace(kept=kept, headline=found)

    def _embedded(self, html: bytes, page: Scan, judged: Judged) -> Extraction | None:
        """Text that the page carries as data, where there is more of it than of content."""
        size = int(page.lines[judged.kept, L.CHARACTERS].sum())
        if size >= EMBEDDED_BELOW:
            return None
        json_ld = [html[start:end].decode("utf-8", "replace") for start, end in page.json_ld.tolist()]
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
            texts = [line.text for line in lines]
            return Extraction("\n".join(texts), [line.tag for line in lines], [0.0] * len(lines))
        return assemble(Line(text, tag) for _, text, tag in self._texts(data, embedded_page, structure, None))

    def _content(self, data: bytes, page: Scan, structure: Structure, judged: Judged) -> Extraction:
        if self.options.format == "markdown":
            return self._markdown(data, page, structure, judged)
        of_text = self._texts(data, page, structure, None if self.options.cut_lines else np.flatnonzero(judged.kept))
        if self.options.title == "prepend":
            of_text = _headline_first(of_text, judged)
        if not of_text:
            return Extraction("", [], [], [])
        numbers, texts, tags = (list(column) for column in zip(*of_text, strict=True))
        texts = _clean(texts, tags)
        if structure.code or not all(texts):
            stay = without_empty(texts, tags)
            numbers, texts, tags = ([column[i] for i in stay] for column in (numbers, texts, tags))
        return joined(texts, tags, *_known(numbers, page, judged))

    def _scan(self, html: bytes) -> tuple[bytes, Scan]:
        if self.options.footnote_marks == "cut":
            html = without_footnote_marks(html)
        html = with_lines_kept(with_code_of_textareas(html))
        return scan_with_formulas(html) if self.options.formulas == "dollars" else (html, scan(html))

    def _markdown(self, data: bytes, page: Scan, structure: Structure, judged: Judged) -> Extraction:
        lines = markdown_of(data, page, structure, judged.kept, self.options.cut_lines)
        if self.options.title == "prepend":
            lines = _markdown_headline_first(lines, judged.headline)
        if not lines:
            return Extraction("", [], [], [])
        texts = self._delimited(data, [(line.number, line.text, line.tag) for line in lines])
        shares, scores, kinds, _ = _known([line.number for line in lines], page, judged)
        kept = [line.kept for line in lines]
        return joined([text for _, text, _ in texts], [line.tag for line in lines], shares, scores, kinds, kept)

    def _texts(
        self, data: bytes, page: Scan, structure: Structure, numbers: npt.NDArray[np.int64] | None
    ) -> list[tuple[int, str, str]]:
        texts = text_in(data, page, structure, numbers, self.options.headings, self.options.list_markers)
        return self._delimited(data, texts)

    def _delimited(self, data: bytes, texts: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
        return delimited(data, texts) if self.options.formulas == "dollars" else texts


def _may_be_formula(judged: Judged, units: npt.NDArray[np.int32], floor: float) -> npt.NDArray[np.bool_]:
    """Which of the cut lines are kept if they hold a formula, bool (lines,): those of the main text and those between kept ones.

    Most formulas are short and have no words, so the model is not sure of them; a text without them has holes.
    """
    kept = judged.kept
    between = np.zeros(len(kept), np.bool_)
    between[1:-1] = kept[:-2] & kept[2:]
    main = (judged.kinds == KINDS.index("main text")) & kept.any()
    likely: npt.NDArray[np.bool_] = ~kept & (units < 0) & (judged.scores >= floor * SCALE) & (main | between)
    return likely


def _headline(page: Scan, kinds: npt.NDArray[np.int8]) -> int:
    """The line that is the page's headline, or -1: the first of that kind, or a heading that repeats the title."""
    of_kind = np.flatnonzero(kinds == KINDS.index("headline"))
    if len(of_kind):
        return int(of_kind[0])
    found = int(headline(page.flags, page.lines))
    return found if found >= 0 and page.lines[found, L.KIND] >= K.H1 else -1


def _headline_first(of_text: list[tuple[int, str, str]], judged: Judged) -> list[tuple[int, str, str]]:
    """Put the headline before the first line that is kept."""
    place = next((i for i, (number, _, _) in enumerate(of_text) if number == judged.headline), -1)
    first = next((i for i, (number, _, _) in enumerate(of_text) if judged.kept[number]), -1)
    if place > first >= 0:
        of_text.insert(first, of_text.pop(place))
    return of_text


def _markdown_headline_first(lines: list[MarkdownLine], headline: int) -> list[MarkdownLine]:
    """The same, with a blank line behind it."""
    first = next((i for i, line in enumerate(lines) if line.kept), -1)
    of_headline = [line for line in lines if line.number == headline and line.text]
    if first < 0 or not of_headline or lines[first].number == headline:
        return lines
    before = [line for line in lines[:first] if line.number != headline]
    behind = [line for line in lines[first:] if line.number != headline]
    return [*before, *of_headline, MarkdownLine(headline, "", "p", True), *behind]


def _known(numbers: list[int], page: Scan, judged: Judged) -> tuple[list[float], list[int], list[str], list[bool]]:
    """Shares of links, scores, kinds, and whether they are kept, of lines by their numbers."""
    places = np.array(numbers, np.int64)
    counts = page.lines[places]
    shares = np.round(counts[:, L.LINK_CHARACTERS] / np.maximum(1, counts[:, L.CHARACTERS]), 4)
    kinds = [KINDS[kind] for kind in judged.kinds[places].tolist()]
    return shares.tolist(), judged.scores[places].tolist(), kinds, judged.kept[places].tolist()


def _clean(texts: list[str], tags: list[str]) -> list[str]:
    """The lines as they are stored; nearly all are so already."""
    whole = "\n".join(texts)
    if is_clean(whole):
        cleaned = texts
    else:
        cleaned = clean_characters(whole).split("\n")
        if len(cleaned) != len(texts):  # a character became the end of a line
            cleaned = [clean_characters(text).replace("\n", " ") for text in texts]
    return [
        text if text == as_it_was and tag != "code" else tidy(text, tag)
        for text, as_it_was, tag in zip(cleaned, texts, tags, strict=True)
    ]
