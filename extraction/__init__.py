"""HTML bytes to text: decoding, engines, line structure. Usable alone:

    from extraction import extract
    extract(open("page.html", "rb").read()).text

or `corpusmill extract page.html`.
"""

from __future__ import annotations

from typing import Any

from extraction.result import Extraction

__all__ = ["Extraction", "extract"]


def extract(
    html: bytes | str,
    url: str | None = None,
    engine: str = "lines",
    charset: str | None = None,
    content_type: str | None = None,
    **options: Any,
) -> Extraction:
    """Main content of a page, in this process (no deadline: see `extraction.sandbox` for pages of strangers).

    :param html: the page; bytes are decoded as `decode` describes, with `charset` as the declared encoding.
    :param content_type: media type of the HTTP header, if known: XHTML is read as XML.
    :param engine: a module of `extraction.engines`.
    :param options: fields of `extraction.engines.Options`: `profile`, `formulas`, `footnote_marks`,
        `format` (`text`, `markdown`), `title`, `comments`, `captions`, `bylines`, `headings`, `list_markers`, `cut_lines`.
    :raises ValueError: for an unknown engine, profile or format.
    :raises extraction.prepare.TooLarge: if the page is beyond the guards.
    """
    from extraction.engines import Options, get_engine

    extractor = get_engine(engine, Options(**options))
    if isinstance(html, str):
        return extractor.extract(html, url)
    return extractor.extract_bytes(html, charset, url, content_type)[0]
