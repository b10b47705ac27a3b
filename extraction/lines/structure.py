"""What of a page stands or falls together: blocks of code and tables of data; and the text of chosen lines with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from extraction.lines.code import CodeBlock, code_blocks, code_lines
from extraction.lines.near import CODE, TABLES, N, near, what_may_be
from extraction.lines.scan import Scan
from extraction.lines.tables import Table, data_tables, table_rows
from extraction.lines.text import text_of


@dataclass(frozen=True, slots=True)
class Structure:
    """Blocks of code and tables of data of a scan, in its order; no line is in two of them.

    `around` is `near.near` of the page, or has no rows where there is neither.
    """

    code: list[CodeBlock] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    around: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, len(N)), np.int32))


def structure_of(html: bytes, page: Scan) -> Structure:
    """Find the blocks of code and the tables of data of a page."""
    what = what_may_be(page)
    if not what:
        return Structure()
    around = near(page)
    code = code_blocks(html, page, around) if what & CODE else []
    taken = np.zeros(len(page.lines), np.bool_)
    for block in code:
        taken[block.first : block.last] = True
    tables = data_tables(html, page, around, taken) if what & TABLES else []
    return Structure(code, tables, around)


def text_in(
    html: bytes,
    page: Scan,
    structure: Structure,
    numbers: Iterable[int] | None = None,
    headings: Literal["plain", "markdown"] = "plain",
    list_markers: bool = False,
) -> list[tuple[int, str, str]]:
    """`text_of` with the blocks of code and tables of data as units: each is written if its last line is chosen.

    A line of code has the number of its block's last line. Rows whose cells hold several lines are one line too.

    :param numbers: ascending.
    """
    if not structure.code and not structure.tables:
        return text_of(html, page, numbers, headings, list_markers)
    chosen = np.zeros(len(page.lines), np.bool_)
    chosen[slice(None) if numbers is None else np.fromiter(numbers, np.int64)] = True
    units: list[tuple[int, str, str]] = []
    for block in structure.code:
        if chosen[block.last - 1]:
            units += [(block.last - 1, line, "code") for line in code_lines(html, block)]
        chosen[block.first : block.last] = False
    for table in structure.tables:
        if chosen[table.last - 1]:
            rows = table_rows(html, page, structure.around, table)
            units += [(row.first, row.text, "tr" if row.element >= 0 else "p") for row in rows if row.text.strip()]
        chosen[table.first : table.last] = False
    rest = text_of(html, page, np.flatnonzero(chosen), headings, list_markers)
    return sorted(rest + units, key=lambda line: line[0])
