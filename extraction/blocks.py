"""Markup to lines: one line per block. Reads trees of HTML and of trafilatura's own tags, and resiliparse's reduced
HTML."""

from __future__ import annotations

import html as html_entities
import itertools
import re
from typing import Any

from lxml import etree

from extraction.result import Line

HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_CONTEXT = {"li": "li", "item": "li", "dd": "li", "dt": "li", "blockquote": "quote", "quote": "quote", "q": "quote"}
_BLOCKS = frozenset(
    (  # noqa: SIM905
        "address article aside body caption center dir div dl fieldset figcaption figure footer form header "
        "hgroup html list main menu nav ol p section summary details table tbody tfoot thead ul"
    ).split()
)
_ROWS = frozenset(("tr", "row"))
_CELLS = frozenset(("td", "th", "cell"))
_BREAKS = frozenset(("br", "lb", "hr"))
_LINKS = frozenset(("a", "ref"))
_CODE = frozenset(("pre", "code"))
_SKIPPED = frozenset(("rt", "rp", "rtc", "script", "style", "noscript", "template", "textarea", "select", "option"))
_LAYOUT_BLOCKS = tuple("p div li item head quote blockquote h1 h2 h3 h4 h5 h6 ul ol list".split())  # noqa: SIM905
MAX_CELL_BLOCKS = 3
"""A cell with more blocks than this is page layout, not a table's: each block becomes a line of its own."""


class _Writer:
    """Collects text until a block ends."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.context = ["p"]
        self.links = 0
        self.cells: list[str] | None = None
        self._parts: list[str] = []
        self._link_parts: list[str] = []

    def add(self, text: str | None) -> None:
        if text:
            self._parts.append(text)
            if self.links:
                self._link_parts.append(text)

    def space(self) -> None:
        if self._parts:
            self._parts.append(" ")

    def flush(self) -> None:
        """End the line, if there is one."""
        if self.cells is not None:
            self._end_cell()
            self._write("\t".join(self.cells), "tr")
            self.cells = []
        elif self._parts:
            self._write("".join(self._parts), self.context[-1])
        self._parts.clear()
        self._link_parts.clear()

    def _end_cell(self) -> None:
        assert self.cells is not None
        if self._parts:
            self.cells.append(" ".join("".join(self._parts).split()))
            self._parts.clear()

    def end_cell(self) -> None:
        if self.cells is not None:
            if not self._parts:
                self._parts.append(" ")  # an empty cell keeps its place
            self._end_cell()

    def code(self, text: str) -> None:
        self.flush()
        self.lines.extend(Line(line, "code") for line in text.strip("\n").splitlines())

    def _write(self, text: str, tag: str) -> None:
        size = _size(text)
        if size:
            self.lines.append(Line(text, tag, _size("".join(self._link_parts)) / size))


def _size(text: str) -> int:
    """Characters, white space aside."""
    return len("".join(text.split()))


def lines_of(root: Any) -> list[Line]:
    """The lines of an lxml element. Walks without recursion: pages nest thousands deep."""
    writer = _Writer()
    walk = etree.iterwalk(root, events=("start", "end"))
    skip_tail_of: list[Any] = []
    for event, element in walk:
        tag = element.tag
        if not isinstance(tag, str):
            if event == "start":
                walk.skip_subtree()
            elif element is not root:
                writer.add(element.tail)
            continue
        if event == "start":
            if tag in _SKIPPED:
                walk.skip_subtree()
            elif tag in _CODE and _is_block_code(element, root):
                writer.code(_code_text(element))
                walk.skip_subtree()
                skip_tail_of.append(element)
            else:
                _start(writer, element, tag)
                writer.add(element.text)
        else:
            if skip_tail_of and skip_tail_of[-1] is element:
                skip_tail_of.pop()
            elif tag not in _SKIPPED:
                _end(writer, tag)
            if element is not root:
                writer.add(element.tail)
    writer.cells = None
    writer.flush()
    return writer.lines


def _start(writer: _Writer, element: Any, tag: str) -> None:
    if tag in _LINKS:
        writer.links += 1
    elif tag in _BREAKS:
        if writer.cells is not None or writer.context[-1] in HEADINGS:
            writer.space()
        else:
            writer.flush()
    elif tag in _ROWS:
        writer.flush()
        writer.cells = None if _is_layout(element) else []
    elif tag in _CELLS:
        if writer.cells is None:
            writer.flush()
    elif tag in HEADINGS or tag == "head" or tag in _CONTEXT or tag in _BLOCKS:
        if writer.cells is not None:
            writer.space()
        else:
            writer.flush()
        writer.context.append(_line_tag(element, tag, writer.context[-1]))


def _end(writer: _Writer, tag: str) -> None:
    if tag in _LINKS:
        writer.links -= 1
    elif tag in _ROWS:
        writer.flush()
        writer.cells = None
    elif tag in _CELLS:
        if writer.cells is None:
            writer.flush()
        else:
            writer.end_cell()
    elif tag in HEADINGS or tag == "head" or tag in _CONTEXT or tag in _BLOCKS:
        if writer.cells is not None:
            writer.space()
        else:
            writer.flush()
        writer.context.pop()


def _line_tag(element: Any, tag: str, around: str) -> str:
    if tag in HEADINGS:
        return tag
    if tag == "head":  # trafilatura's heading; `rend` holds the HTML name
        rend = element.get("rend")
        return rend if rend in HEADINGS else "h2"
    return _CONTEXT.get(tag, around)


def _is_layout(row: Any) -> bool:
    """A row that arranges the page: with a nested table, many blocks in a cell, or blocks in its only cell."""
    filled = 0
    blocks = 0
    for cell in row:
        if cell.tag not in _CELLS:
            continue
        if next(cell.iter("table"), None) is not None or next(cell.iter("pre"), None) is not None:
            return True
        here = sum(1 for _ in cell.iter(*_LAYOUT_BLOCKS))
        if here > MAX_CELL_BLOCKS:
            return True
        if here or (cell.text and cell.text.strip()) or len(cell):
            filled += 1
            blocks += here
    return filled <= 1 and blocks > 0


def _is_block_code(element: Any, root: Any) -> bool:
    if element.tag == "pre":
        return True
    if element.getparent() is root:
        return True
    return any("\n" in text.strip() for text in element.itertext()) or next(element.iter("br", "lb"), None) is not None


def _code_text(element: Any) -> str:
    """Text of preformatted code: line breaks as they are, `<br>` and block elements as line ends."""
    parts: list[str] = []
    for event, node in etree.iterwalk(element, events=("start", "end")):
        tag = node.tag
        if event == "start" and isinstance(tag, str):
            if tag in _BREAKS or (
                (tag in _BLOCKS or tag in _ROWS or tag == "li") and parts and not parts[-1].endswith("\n")
            ):
                parts.append("\n")
            if node.text:
                parts.append(node.text)
        elif event == "end" and node is not element and node.tail:
            parts.append(node.tail)
    return "".join(parts)


_TOKEN = re.compile(r"<(/?)(h[1-6]|p|ul|ol|li|pre|br|a|blockquote)\b[^>]*>|\n")


def _closed_links(tokens: list[re.Match[str]]) -> set[int]:
    """Numbers of the `<a>` that have an end: resiliparse leaves it out where a link holds no text."""
    links = [(number, token[1] == "/") for number, token in enumerate(tokens) if token[2] == "a"]
    return {number for (number, closing), (_, then) in itertools.pairwise(links) if then and not closing}


def lines_of_reduced_html(text: str) -> list[Line]:
    """The lines of what resiliparse writes with `preserve_formatting="minimal_html"`: a flat text with a few tags,
    escaped, one block a line, cells separated by tabs."""
    writer = _Writer()
    position = 0
    code: list[str] | None = None
    tokens = list(_TOKEN.finditer(text))
    closed = _closed_links(tokens)

    def take(end: int) -> None:
        piece = html_entities.unescape(text[position:end]) if "&" in text[position:end] else text[position:end]
        if code is not None:
            code.append(piece)
        elif "\t" in piece.strip():
            writer.flush()
            writer.cells = [" ".join(cell.split()) for cell in re.split(r"\t\t?", piece.strip("\n"))]
            writer.flush()
            writer.cells = None
        else:
            writer.add(piece)

    for number, token in enumerate(tokens):
        take(token.start())
        position = token.end()
        closing, name = token[1] == "/", token[2]
        if code is not None:
            if name == "pre" and closing:
                writer.code("".join(code))
                code = None
            elif name == "br" or token[0] == "\n":
                code.append("\n")
            continue
        if name == "a":
            writer.links = 0 if closing else int(number in closed)
        elif name is None or name == "br":
            writer.flush()
        elif name == "pre" and not closing:
            writer.flush()
            code = []
        elif name in HEADINGS or name in _CONTEXT:
            writer.flush()
            if not closing:
                writer.context.append(name if name in HEADINGS else _CONTEXT[name])
            elif len(writer.context) > 1:
                writer.context.pop()
        else:
            writer.flush()
    take(len(text))
    if code is not None:
        writer.code("".join(code))
    writer.flush()
    return writer.lines
