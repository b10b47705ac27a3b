"""Metadata that a page declares: title, canonical URL, og:type, schema.org types, language. Read by regular
expressions in the tags of its head, without a parse."""

from __future__ import annotations

import html as html_entities
import re
from collections.abc import Iterable

from extraction.headline import without_site
from extraction.lines.scan import Scan
from extraction.prepare import Prepared
from extraction.result import PageSignals
from extraction.text import clean_characters

MAX_HEAD = 100_000
"""Characters looked at for the head, which is without scripts and style sheets here."""

MAX_TAG = 3000
"""Bytes of a tag that are looked at."""

MAX_JSON = 200_000
MAX_TYPES = 20
MAX_VALUE = 1000

_HEAD_END = re.compile(r"<body[\s>]|</head", re.IGNORECASE)
_TITLE = re.compile(r"<title\b[^>]{0,500}>(.*?)(?:</title|$)", re.DOTALL | re.IGNORECASE)
_HTML_TAG = re.compile(r"<html\b([^>]{0,2000})>", re.IGNORECASE)
_META_OR_LINK = re.compile(r"<(meta|link)\b([^>]{0,3000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([a-zA-Z:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_ITEMTYPE = re.compile(r"""itemtype\s*=\s*["']?https?://(?:www\.)?schema\.org/(\w+)""")
_ITEMTYPE_VALUE = re.compile(rb"https?://(?:www\.)?schema\.org/(\w+)")
_TYPE_VALUE = re.compile(r'"@type"\s*:\s*(?:"([^"]+)"|\[([^\]]{0,500})\])')
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")


def page_signals(page: Prepared) -> tuple[str | None, PageSignals]:
    """Title (without the site's name, where the page tells it) and signals of a decoded page.

    Schema types come from JSON-LD (`@type`, nested ones too) and microdata (`itemtype`), without repetition, in page
    order, at most 20.
    """
    head = page.html[:MAX_HEAD]
    end = _HEAD_END.search(head)
    head = head[: end.start()] if end else head
    title = _TITLE.search(head)
    tag = _HTML_TAG.search(head)
    return _signals(
        title[1] if title else None,
        tag[1] if tag else "",
        ((name.lower(), markup) for name, markup in _META_OR_LINK.findall(head)),
        page.json_ld,
        _ITEMTYPE.findall(page.html),
    )


def signals_of_scan(html: bytes, page: Scan) -> tuple[str | None, PageSignals]:
    """The same of a scanned page, whose tags are found already.

    :param html: UTF-8.
    """
    of_html = ""
    others: list[tuple[str, str]] = []
    for start, end in page.head.tolist():
        markup = html[start + 1 : min(end, start + MAX_TAG)]
        name = markup[:4].lower()
        if name == b"html":
            of_html = of_html or markup[4:].decode("utf-8", "replace")
        elif (b"canonical" in markup) if name == b"link" else (b"og:" in markup):
            others.append((name.decode(), markup[4:].decode("utf-8", "replace")))
    start, end = page.title
    return _signals(
        html[start:end].decode("utf-8", "replace"),
        of_html,
        others,
        [html[start : min(end, start + MAX_JSON)].decode("utf-8", "replace") for start, end in page.json_ld.tolist()],
        [
            found[1].decode()
            for start, end in page.item_types.tolist()
            if (found := _ITEMTYPE_VALUE.match(html, start, min(end, start + MAX_TAG)))
        ],
    )


def _signals(
    title: str | None, of_html: str, tags: Iterable[tuple[str, str]], json_ld: Iterable[str], types: Iterable[str]
) -> tuple[str | None, PageSignals]:
    """Title and signals of the markup of a head.

    :param of_html: attributes of <html>; :param tags: name and attributes of each <meta> and <link>.
    """
    attributes = _attributes(of_html)
    language = attributes.get("lang") or attributes.get("xml:lang")
    canonical = og_url = og_type = og_title = site = None
    for name, markup in tags:
        if name == "link":
            if canonical is None and "canonical" in markup:
                attributes = _attributes(markup)
                if attributes.get("rel", "").lower() == "canonical":
                    canonical = _value(attributes.get("href"))
        elif "og:" in markup:
            attributes = _attributes(markup)
            key = attributes.get("property") or attributes.get("name")
            if key == "og:type":
                og_type = og_type or _value(attributes.get("content"))
            elif key == "og:url":
                og_url = og_url or _value(attributes.get("content"))
            elif key == "og:title":
                og_title = og_title or _value(attributes.get("content"))
            elif key == "og:site_name":
                site = site or _value(attributes.get("content"))
    return without_site(_value(title) or og_title, site, og_title), PageSignals(
        canonical_url=canonical or og_url,
        og_type=og_type,
        schema_types=_schema_types(json_ld, types),
        html_lang=language if language and _LANGUAGE.fullmatch(language) else None,
    )


def _attributes(text: str) -> dict[str, str]:
    return {m[1].lower(): m[2] or m[3] or m[4] or "" for m in _ATTRIBUTE.finditer(text)}


def _value(text: str | None) -> str | None:
    """An attribute's or the title's text as one clean line, at most 1,000 characters."""
    if not text:
        return None
    return clean_characters(" ".join(html_entities.unescape(text).split()))[:MAX_VALUE].strip() or None


def _schema_types(json_ld: Iterable[str], microdata: Iterable[str]) -> list[str]:
    types: dict[str, None] = {}
    for script in json_ld:
        # Not json.loads: JSON-LD on the web is often not JSON, and "@type" says the same without a parse.
        for one, several in _TYPE_VALUE.findall(script[:MAX_JSON]):
            types.update(dict.fromkeys([one] if one else (name.strip(' "\r\n\t') for name in several.split(","))))
    types.update(dict.fromkeys(microdata))
    cleaned = (_value(name.rpartition("/")[2]) for name in types)
    return list(dict.fromkeys(name for name in cleaned if name))[:MAX_TYPES]
