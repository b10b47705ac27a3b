"""Texts of a few lines of a scan, at a cost that knows nothing of the rest of the page."""

from __future__ import annotations

import dataclasses

from extraction.lines.columns import L
from extraction.lines.scan import Scan
from extraction.lines.text import text_of


def texts_of_part(html: bytes, page: Scan, first: int, last: int) -> list[tuple[int, str]]:
    """Number and text of the lines [first, last), as `text_of` writes them."""
    lines = page.lines[first:last].copy()
    start, end = int(lines[0, L.CHUNK0]), int(lines[-1, L.CHUNK1])
    lines[:, [L.CHUNK0, L.CHUNK1]] -= start
    part = dataclasses.replace(page, lines=lines, chunks=page.chunks[start:end])
    return [(first + number, text) for number, text, _ in text_of(html, part)]
