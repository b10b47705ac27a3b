"""Lines of a scan as Markdown: headings, lists, quotations, fenced code, tables, a blank line between blocks.

Links are their text, and there is no emphasis. Signs that Markdown might take for its own stay as the page has them, but
in the cells of tables, where a `|` would end the cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from extraction.lines import tags as t
from extraction.lines.code import MAX_TAG, CodeBlock, code_lines
from extraction.lines.columns import E, K, L
from extraction.lines.near import N, near
from extraction.lines.scan import Scan
from extraction.lines.structure import Structure
from extraction.lines.tables import MAX_SPAN, Row, Table, table_rows
from extraction.lines.text import is_clean, text_of
from extraction.result import CODE_SPACES
from extraction.text import clean_characters

MAX_FILLED = 8
"""Cells of a table, beside those that it has, that are filled in for one of its own: spans can ask for millions."""

MAX_NESTING = 20
"""Lists in lists, and quotations in quotations, that are told apart."""

_LI, _OL = t.TAG["li"], t.TAG["ol"]


class MarkdownLine(NamedTuple):
    """A line of the text: the number of the line of the scan whose score it has, text, tag, whether it is kept."""

    number: int
    text: str
    tag: str
    kept: bool


@dataclass(slots=True)
class _Block:
    """What blank lines stand around: its lines with their tags, and what it stands in."""

    number: int
    lines: list[tuple[str, str]]
    kept: bool
    indent: str = ""
    quotes: tuple[int, ...] = ()
    outer_list: int = 0  # of an item with a marker: the outermost list, so that items follow without a blank line
    followed: int = 0  # the list whose items follow without a blank line
    element: int = -1  # of a paragraph: the block element that it stands in
    breaks: int = 0  # of a paragraph: <br> before it


def markdown_of(
    html: bytes, page: Scan, structure: Structure, kept: npt.NDArray[np.bool_], every: bool = True
) -> list[MarkdownLine]:
    """Write the lines of a page.

    :param kept: which lines of the scan are kept, shape (lines,); units as a whole.
    :param every: write those too that are not kept.
    """
    around = structure.around if len(structure.around) else near(page)
    blocks: list[_Block] = []
    wanted = np.ones(len(page.lines), np.bool_) if every else kept.copy()
    for code in structure.code:
        if wanted[code.last - 1]:
            blocks.append(_code(html, page, around, code, bool(kept[code.last - 1])))
        wanted[code.first : code.last] = False
    for table in structure.tables:
        if wanted[table.last - 1]:
            blocks += _table(html, page, around, table, bool(kept[table.last - 1]))
        wanted[table.first : table.last] = False
    for number, text, tag in text_of(html, page, np.flatnonzero(wanted)):
        text = _tidy(text, tag)
        if text:
            blocks.append(_line(page, around, number, text, tag, bool(kept[number])))
    blocks.sort(key=lambda block: block.number)
    return list(_joined(blocks))


def _tidy(text: str, tag: str) -> str:
    if not is_clean(text):
        text = clean_characters(text).replace("\n", " ")
    return text.rstrip() if tag == "code" else " ".join(text.split())


# --- Blocks ----------------------------------------------------------------------------------------------------------


def _items(page: Scan, around: npt.NDArray[np.int32], e: int) -> list[int]:
    """Items of lists around an element, outermost first."""
    items: list[int] = []
    for _ in range(MAX_NESTING):
        item = int(around[e, N.ITEM])
        if not item:
            break
        if page.elements[item, E.TAG] == _LI:  # not <dd> or <dt>
            items.append(item)
        e = int(page.elements[item, E.PARENT])
    return items[::-1]


def _quotes(page: Scan, around: npt.NDArray[np.int32], e: int) -> tuple[int, ...]:
    quotes: list[int] = []
    while len(quotes) < MAX_NESTING and (quote := int(around[e, N.QUOTE])):
        quotes.append(quote)
        e = int(page.elements[quote, E.PARENT])
    return tuple(quotes[::-1])


def _marker(page: Scan, item: int) -> str:
    ordered = page.elements[page.elements[item, E.PARENT], E.TAG] == _OL
    return f"{page.elements[item, E.INDEX] + 1}. " if ordered else "- "


def _place(page: Scan, around: npt.NDArray[np.int32], e: int) -> tuple[list[int], str, tuple[int, ...]]:
    """Items around an element, the indentation of what is in the innermost, and the quotations around it."""
    items = _items(page, around, e)
    return items, " " * sum(len(_marker(page, item)) for item in items), _quotes(page, around, e)


def _line(page: Scan, around: npt.NDArray[np.int32], number: int, text: str, tag: str, kept: bool) -> _Block:
    line = page.lines[number]
    items, indent, quotes = _place(page, around, int(line[L.ELEMENT]))
    block = _Block(number, [(text, tag)], kept, indent, quotes)
    kind = line[L.KIND]
    if kind >= K.H1:
        block.lines = [(f"{'#' * (kind - K.H1 + 1)} {text}", tag)]
    elif kind == K.ROW:
        block.lines = [(" | ".join(cell for cell in text.split("\t") if cell), tag)]
    elif line[L.MARKER] and items:
        marker = _marker(page, items[-1])
        block.indent = indent[: len(indent) - len(marker)]
        block.lines = [(marker + text, tag)]
        block.outer_list = block.followed = int(page.elements[items[0], E.PARENT])
    if kind < K.H1:
        block.element, block.breaks = int(line[L.BLOCK]), int(line[L.BREAKS])
    return block


def _code(html: bytes, page: Scan, around: npt.NDArray[np.int32], code: CodeBlock, kept: bool) -> _Block:
    lines: list[str] = []
    for line in code_lines(html, code):
        text = _tidy(CODE_SPACES.sub(" ", line), "code")
        if text or (lines and lines[-1]):
            lines.append(text)
    while lines and not lines[-1]:
        lines.pop()
    number = code.last - 1
    _, indent, quotes = _place(page, around, int(page.lines[number, L.ELEMENT]))
    longest = max((len(run) for line in lines for run in _TICKS.findall(line)), default=0)
    fence = "`" * max(3, longest + 1)
    lines = [fence + code.language, *lines, fence] if lines else []
    return _Block(number, [(line, "code") for line in lines], kept, indent, quotes)


_TICKS = re.compile("`{3,}")


def _table(html: bytes, page: Scan, around: npt.NDArray[np.int32], table: Table, kept: bool) -> list[_Block]:
    rows = table_rows(html, page, around, table)
    _, indent, quotes = _place(page, around, table.element)
    blocks = [
        _Block(row.first, [(_tidy(row.cells[0], "p"), "p")], kept, indent, quotes) for row in rows if row.element < 0
    ]
    grid = _grid(html, page, around, table, [row for row in rows if row.element >= 0])
    lines = [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in grid]
    if lines:
        lines.insert(1, f"|{' --- |' * len(grid[0])}")
        number = next(row.first for row in rows if row.element >= 0)
        blocks.append(_Block(number, [(line, "tr") for line in lines], kept, indent, quotes))
    return blocks


def _escaped(cell: str) -> str:
    return _tidy(cell, "tr").replace("|", r"\|")


_SPAN = re.compile(rb"\s(col|row)span\s*=\s*[\"']?\s*(\d{1,4})", re.IGNORECASE)


def _grid(html: bytes, page: Scan, around: npt.NDArray[np.int32], table: Table, rows: list[Row]) -> list[list[str]]:
    """Cells of the rows, as many in each, where a cell that spans several has empty ones beside and below it."""
    end = int(page.lines[table.last - 1, L.ELEMENT]) + MAX_SPAN
    inside = page.elements[table.element : end]
    is_cell = (t.TRAITS[inside[:, E.TAG]] & t.T.CELL != 0) & (around[table.element : end, N.TABLE] == table.element)
    cells: dict[int, list[int]] = {}
    for cell in (np.flatnonzero(is_cell) + table.element).tolist():
        cells.setdefault(int(page.elements[cell, E.PARENT]), []).append(cell)
    room = MAX_FILLED * int(is_cell.sum()) + 100
    below: dict[int, int] = {}  # column: rows that a cell above still spans
    grid: list[list[str]] = []
    for row in rows:
        out: list[str] = []
        for column, cell in enumerate(cells.get(row.element, [])):
            room -= _fill(out, below, room)
            spans = {"col": 1, "row": 1}
            start = int(page.elements[cell, E.START])
            for name, value in _SPAN.findall(html, start, max(start, html.find(b">", start, start + MAX_TAG))):
                spans[name.decode().lower()] = min(max(1, int(value)), MAX_SPAN)
            for i in range(spans["col"]):
                if i == 0 or room > 0:
                    if spans["row"] > 1:
                        below[len(out)] = spans["row"] - 1
                    out.append(row.cells.get(column, "") if i == 0 else "")
                    room -= i > 0
        room -= _fill(out, below, room)
        grid.append(out or list(row.cells.values()))
    width = max(map(len, grid), default=0)
    for line in grid:
        missing = width - len(line)
        if missing <= room:
            line += [""] * missing
            room -= missing
    return grid


def _fill(out: list[str], below: dict[int, int], room: int) -> int:
    """Add the empty cells, at most `room`, that stand next in a row for cells above it; their number."""
    n = 0
    while n < room and below.get(len(out), 0) > 0:
        below[len(out)] -= 1
        out.append("")
        n += 1
    return n


# --- Blank lines -----------------------------------------------------------------------------------------------------


def _joined(blocks: list[_Block]) -> list[MarkdownLine]:
    """Lines of the blocks, with blank lines between them. What is cut brings its own, so that it can be put back."""
    out: list[MarkdownLine] = []
    before: _Block | None = None  # the last block of all
    before_kept: _Block | None = None
    for block in blocks:
        if not block.lines:
            continue
        last = before_kept if block.kept else before
        tight = last is not None and _is_tight(last, block)
        if last is not None and tight:
            block.followed = block.followed or last.followed
        elif last is not None:
            shared = 0
            while shared < min(len(last.quotes), len(block.quotes)) and last.quotes[shared] == block.quotes[shared]:
                shared += 1
            tag = "quote" if shared else "p"
            out.append(MarkdownLine(block.number, ("> " * shared).rstrip(), tag, block.kept))
        prefix = "> " * len(block.quotes) + block.indent
        for text, tag in block.lines:
            out.append(MarkdownLine(block.number, (prefix + text).rstrip(), tag, block.kept))
        before = block
        before_kept = block if block.kept else before_kept
    return out


def _is_tight(last: _Block, block: _Block) -> bool:
    """Whether a block follows without a blank line: an item of the same list, or a line behind a <br>."""
    if last.quotes != block.quotes:
        return False
    if block.outer_list and block.outer_list == last.followed:
        return True
    return block.breaks == 1 and block.element == last.element
