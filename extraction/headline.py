"""A page's title without what the site adds to it: "Floods in the north | Example News" is "Floods in the north"."""

from __future__ import annotations

import re

_SEPARATOR = re.compile(r"\s*[|_»›·•–—~]\s*|\s+-+\s+|(?<=[\u3400-\u9fff])-+(?=[\u3400-\u9fff])|\s*--+\s*|\s*::\s*")

LEAST_SHARE = 0.3
"""Share of the title that must be left, unless the headline says what it is."""

LEAST_CHARACTERS = 4


def without_site(title: str | None, site: str | None = None, headline: str | None = None) -> str | None:
    """The title without the site's name.

    :param site: the site's name, where the page gives it (`og:site_name`).
    :param headline: the page's headline as it stands in its text: where the title begins with it, it is the title.
    """
    if not title:
        return title
    wanted = _plain(headline or "")
    parts = _SEPARATOR.split(title)
    separators = [match.span() for match in _SEPARATOR.finditer(title)]
    if len(parts) == 1:
        return title
    if wanted:
        for start, end in reversed(separators):
            if _plain(title[:start]) == wanted:
                return title[:start]
            if _plain(title[end:]) == wanted:
                return title[end:]
    if site:
        name = _plain(site)
        start, end = separators[-1]
        if _plain(parts[-1]) == name and _enough(title[:start], title):
            return title[:start]
        start, end = separators[0]
        if _plain(parts[0]) == name and _enough(title[end:], title):
            return title[end:]
    return title


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


def _enough(left: str, title: str) -> bool:
    return len(left) >= LEAST_CHARACTERS and len(left) >= LEAST_SHARE * len(title)
