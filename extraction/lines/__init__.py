"""Lines straight from HTML: one pass over the bytes, no tree.

`scan` finds the block-level lines of a page with what the line model (`classifiers.clutter`) wants to know of them; `text_of`
writes them as text.
"""

from __future__ import annotations

from extraction.lines.scan import Scan, scan, scan_text
from extraction.lines.text import text_of

__all__ = ["Scan", "scan", "scan_text", "text_of"]
