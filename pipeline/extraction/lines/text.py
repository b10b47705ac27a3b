"""Lines of a scan as text."""

from __future__ import annotations

import html as references
from collections.abc import Iterable
from typing import Literal

from pipeline.extraction.lines.scan import (
    JOINED,
    K_CODE,
    K_H1,
    K_ROW,
    L_CHUNK0,
    L_CHUNK1,
    L_KIND,
    L_LISTS,
    L_MARKER,
    NEW_CELL,
    NEW_LINE,
    TAGS,
    Scan,
)

_BETWEEN = {JOINED: b"", NEW_LINE: b"\n"}


def text_of(
    html: bytes,
    found: Scan,
    numbers: Iterable[int] | None = None,
    headings: Literal["plain", "markdown"] = "plain",
    list_markers: bool = False,
) -> list[tuple[int, str, str]]:
    """Number, text and tag of lines: those of `numbers`, in that order, or all.

    White space is collapsed, but in code, of which each line of text is one here, so that its number comes up again. Cells stand
    between tabs. Lines without text (only references to white space) are left out.

    :param headings: `markdown` puts `#` before headings, by their level.
    :param list_markers: put "- " or "1. " before the items of lists, indented by their depth.
    """
    out: list[tuple[int, str, str]] = []
    columns = found.lines[:, [L_CHUNK0, L_CHUNK1, L_KIND, L_MARKER, L_LISTS]].tolist()
    chunks = found.chunks.tolist()
    for number in range(len(columns)) if numbers is None else numbers:
        first, last, kind, marker, depth = columns[number]
        tag = TAGS[kind]
        if kind == K_CODE:
            text = _decode(html, chunks[first:last], " ")
            out += [(number, line, tag) for line in _code_lines(text)]
            continue
        if last - first == 1:
            text = html[chunks[first][0] : chunks[first][1]].decode("utf-8", "replace")
            text = " ".join((references.unescape(text) if "&" in text else text).split())
        elif kind == K_ROW:
            text = _row(html, chunks[first:last])
        else:
            text = " ".join(_decode(html, chunks[first:last], " ").split())
        if not text.strip():
            continue
        if kind >= K_H1 and headings == "markdown":
            text = f"{'#' * (kind - K_H1 + 1)} {text}"
        elif marker and list_markers:
            text = f"{'  ' * (depth - 1)}{f'{marker}.' if marker > 0 else '-'} {text}"
        out.append((number, text, tag))
    return out


def _decode(html: bytes, chunks: list[list[int]], space: str) -> str:
    pieces = []
    for i, (start, end, before) in enumerate(chunks):
        if i:
            pieces.append(_BETWEEN.get(before, space.encode()))
        pieces.append(html[start:end])
    text = b"".join(pieces).decode("utf-8", "replace")
    return references.unescape(text) if "&" in text else text


def _row(html: bytes, chunks: list[list[int]]) -> str:
    cells: list[list[list[int]]] = [[]]
    for i, chunk in enumerate(chunks):
        if i and chunk[2] >= NEW_CELL:
            cells += [[] for _ in range(chunk[2] - NEW_CELL + 1)]
        cells[-1].append(chunk)
    return "\t".join(" ".join(_decode(html, cell, " ").split()) for cell in cells)


def _code_lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    return lines
