"""HTML bytes to text: decoding, engines, line structure. Usable alone:

    from pipeline.extraction import extract
    extract(open("page.html", "rb").read()).text

or `python -m pipeline.extraction page.html`.
"""

from __future__ import annotations

from pipeline.extraction.result import Extraction

__all__ = ["Extraction", "extract"]


def extract(
    html: bytes | str,
    url: str | None = None,
    engine: str = "trafilatura",
    profile: str = "full",
    charset: str | None = None,
) -> Extraction:
    """Main content of a page, in this process (no deadline: see `pipeline.extraction.sandbox` for pages of strangers).

    :param html: the page; bytes are decoded as `decode` describes, with `charset` as the declared encoding.
    :param engine: a module of `pipeline.extraction.engines`.
    :param profile: `full` or `fast`.
    :raises ValueError: for an unknown engine or profile.
    :raises pipeline.extraction.prepare.TooLarge: if the page is beyond the guards.
    """
    from pipeline.extraction.decode import decode
    from pipeline.extraction.work import Job, extract_text

    text = html if isinstance(html, str) else decode(html, charset).text
    return extract_text(text, url, Job(engine, profile))
