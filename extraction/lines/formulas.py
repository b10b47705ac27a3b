"""Scan of a page whose formulas have become text."""

from __future__ import annotations

from extraction.formulas import in_dollars
from extraction.lines.scan import Scan, scan


def scan_with_formulas(html: bytes) -> tuple[bytes, Scan]:
    """The page with its formulas as TeX between dollars, and its scan. A page without formulas is scanned once, and comes
    back as it was.

    :param html: UTF-8; at most 2**31 - 1 bytes.
    """
    page = scan(html)
    if not len(page.formulas):
        return html, page
    written = in_dollars(html, page.formulas.tolist())
    return (html, page) if written is html else (written, scan(written))
