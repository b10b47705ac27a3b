"""Tables of data in a scan, and their cells.

A table is data if half of its rows have two cells or more of a few lines each. One that holds another table, paragraphs, or
headings elsewhere than in header cells arranges the page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from extraction.lines import tags as t
from extraction.lines.code import MAX_TAG, MAX_UNITS
from extraction.lines.columns import MAX_CELL_LINES, E, K, L
from extraction.lines.near import N
from extraction.lines.part import texts_of_part
from extraction.lines.scan import Scan

MAX_ROW = 1500
"""Characters of the longest row of a table without header cells: more is a column of prose beside a menu."""

MAX_ONLY_ROW = 300
"""The same of a table of one row."""

MAX_SHORT_LINES, MAX_SHORT_ROW = 8, 200
"""Lines of a cell in a row of so few characters: addresses, lists of names. In longer rows as many as make one line."""

MAX_SPAN = 50
"""Columns that a cell is taken to span at most."""

_TABLE, _TH = t.TAG["table"], t.TAG["th"]
_PRESENTATION = re.compile(rb"\srole\s*=\s*[\"']?(?:presentation|none)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """Lines [first, last) of a scan that are one table of data: the element `element`."""

    first: int
    last: int
    element: int


def data_tables(html: bytes, page: Scan, around: npt.NDArray[np.int32], taken: npt.NDArray[np.bool_]) -> list[Table]:
    """Find the tables of data of a page, in its order.

    :param around: `near.near` of the page.
    :param taken: lines of code, shape (lines,): a table that holds one of them is none of data.
    """
    of_line = around[page.lines[:, L.ELEMENT], N.TABLE]
    is_table = page.elements[:, E.TAG] == _TABLE
    outer = set(around[page.elements[is_table, E.PARENT], N.TABLE].tolist())
    ends = np.flatnonzero(np.diff(of_line, append=-1)) + 1
    found: dict[int, Table | None] = {}
    first = 0
    for last in ends.tolist():
        element = int(of_line[first])
        if element > 0 and element not in outer:
            is_data = (
                element not in found
                and not taken[first:last].any()
                and _is_data(html, page, around, element, first, last)
            )
            found[element] = Table(first, last, element) if is_data else None
            if len(found) >= MAX_UNITS:
                break
        first = last
    return [table for table in found.values() if table is not None]


def _is_data(html: bytes, page: Scan, around: npt.NDArray[np.int32], element: int, first: int, last: int) -> bool:
    lines = page.lines[first:last]
    of_row, of_cell = (around[lines[:, L.ELEMENT], column] for column in (N.ROW, N.CELL))
    inside = of_cell > 0
    rows, row = np.unique(of_row[inside], return_inverse=True)
    if not len(rows):
        return False
    _, row_of_cell, n_lines = np.unique(of_cell[inside], return_index=True, return_counts=True)
    row_of_cell = row[row_of_cell]
    longest = np.zeros(len(rows), np.int64)
    np.maximum.at(longest, row_of_cell, n_lines)
    characters = np.bincount(row, lines[inside, L.CHARACTERS])
    of_text = longest <= np.where(characters <= MAX_SHORT_ROW, MAX_SHORT_LINES, MAX_CELL_LINES)
    of_text &= np.bincount(row_of_cell, minlength=len(rows)) > 1
    alone = np.zeros(len(rows), np.bool_)  # one line of text in each cell
    alone[row[lines[inside, L.KIND] == K.ROW]] = True
    n_text = int((of_text | alone).sum())
    if 2 * n_text < len(rows) or (n_text < 2 and (not alone.any() or characters.max() > MAX_ONLY_ROW)):
        return False
    in_header = page.elements[of_cell, E.TAG] == _TH
    headings = int(((lines[:, L.KIND] >= K.H1) & ~in_header).sum())
    if 4 * headings > len(lines):
        return False
    if characters.max() > MAX_ROW:
        tags = page.elements[element : int(lines[-1, L.ELEMENT]) + 1, E.TAG]
        if not (tags == _TH).any():
            return False
    if alone.all() and (len(rows) > 2 or (len(rows) == 2 and _ends_in_numbers(lines))):
        return True  # whatever its role says
    start = int(page.elements[element, E.START])
    return _PRESENTATION.search(html, start, max(start, html.find(b">", start, start + MAX_TAG))) is None


def _ends_in_numbers(lines: npt.NDArray[np.int32]) -> bool:
    """Whether the last row is mostly digits, and the first is not: a header and its numbers."""
    digits = 2 * lines[:, L.DIGITS] >= lines[:, L.CHARACTERS]
    return bool(digits[-1] and not digits[0])


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: the lines [first, last) of the scan, and the text of its cells by column of the row's own cells.

    `element` is its <tr>; -1 for a caption, and for text between rows, which has one cell.
    """

    first: int
    last: int
    element: int
    cells: dict[int, str]

    @property
    def text(self) -> str:
        """Its cells between tabs."""
        return "\t".join(self.cells.get(i, "") for i in range(min(self.cells), max(self.cells) + 1))


def table_rows(html: bytes, page: Scan, around: npt.NDArray[np.int32], table: Table) -> list[Row]:
    """The rows of a table that have text, in its order. Lines of one cell are joined by a space."""
    lines = page.lines
    by_number: dict[int, list[str]] = {}
    for number, text in texts_of_part(html, page, table.first, table.last):
        by_number.setdefault(number, []).append(text)
    rows: list[Row] = []
    for number, texts in by_number.items():
        element, block = int(lines[number, L.ROW]), int(lines[number, L.BLOCK])
        if element >= 0 and around[block, N.ROW] != element:
            element = -1
        cell = int(around[block, N.CELL])
        column = int(page.elements[cell, E.INDEX]) if element >= 0 and cell else 0
        if rows and element >= 0 and rows[-1].element == element:
            row = Row(rows[-1].first, number + 1, element, rows[-1].cells)
            rows[-1] = row
        else:
            row = Row(number, number + 1, element, {})
            rows.append(row)
        pieces = texts[0].split("\t") if lines[number, L.KIND] == K.ROW else [" ".join(texts)]
        for i, piece in enumerate(pieces, column):
            row.cells[i] = f"{row.cells[i]} {piece}" if i in row.cells else piece
    return rows
