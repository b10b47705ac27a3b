"""Metadata that a page declares: title, canonical URL, og:type, schema.org types, language. Read by regular
expressions, without a parse."""

from __future__ import annotations

import html as html_entities
import re

from extraction.headline import without_site
from extraction.prepare import Prepared
from extraction.result import PageSignals
from extraction.text import clean

MAX_HEAD = 100_000
"""Characters looked at for the head, which is without scripts and style sheets here."""

MAX_JSON = 200_000
MAX_TYPES = 20
MAX_VALUE = 1000

_HEAD_END = re.compile(r"<body[\s>]|</head", re.IGNORECASE)
_TITLE = re.compile(r"<title\b[^>]{0,500}>(.*?)(?:</title|$)", re.DOTALL | re.IGNORECASE)
_HTML_TAG = re.compile(r"<html\b([^>]{0,2000})>", re.IGNORECASE)
_META_OR_LINK = re.compile(r"<(meta|link)\b([^>]{0,3000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([a-zA-Z:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_ITEMTYPE = re.compile(r"""itemtype\s*=\s*["']?https?://(?:www\.)?schema\.org/(\w+)""")
_TYPE_VALUE = re.compile(r'"@type"\s*:\s*(?:"([^"]+)"|\[([^\]]{0,500})\])')
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")


def page_signals(page: Prepared, whole: str | None = None) -> tuple[str | None, PageSignals]:
    """Title (without the site's name, where the page tells it) and signals of a decoded page. Where `page` is its head alone,
    `whole` is all of it.

    Schema types come from JSON-LD (`@type`, nested ones too) and microdata (`itemtype`), without repetition, in page
    order, at most 20.
    """
    head = page.html[:MAX_HEAD]
    end = _HEAD_END.search(head)
    head = head[: end.start()] if end else head

    match = _TITLE.search(head)
    title = _value(match[1]) if match else None
    tag = _HTML_TAG.search(head)
    attributes = _attributes(tag[1]) if tag else {}
    language = attributes.get("lang") or attributes.get("xml:lang")
    canonical = og_url = og_type = og_title = site = None
    for name, markup in _META_OR_LINK.findall(head):
        if name in ("link", "LINK"):
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
    return without_site(title or og_title, site, og_title), PageSignals(
        canonical_url=canonical or og_url,
        og_type=og_type,
        schema_types=_schema_types(page, page.html if whole is None else whole),
        html_lang=language if language and _LANGUAGE.fullmatch(language) else None,
    )


def _attributes(text: str) -> dict[str, str]:
    return {m[1].lower(): m[2] or m[3] or m[4] or "" for m in _ATTRIBUTE.finditer(text)}


def _value(text: str | None) -> str | None:
    """An attribute's or the title's text as one clean line, at most 1,000 characters."""
    if not text:
        return None
    return clean(" ".join(html_entities.unescape(text).split()))[:MAX_VALUE].strip() or None


def _schema_types(page: Prepared, html: str) -> list[str]:
    types: dict[str, None] = {}
    for script in page.json_ld:
        # Not json.loads: JSON-LD on the web is often not JSON, and "@type" says the same without a parse.
        for one, several in _TYPE_VALUE.findall(script[:MAX_JSON]):
            types.update(dict.fromkeys([one] if one else (name.strip(' "\r\n\t') for name in several.split(","))))
    types.update(dict.fromkeys(_ITEMTYPE.findall(html)))
    cleaned = (_value(name.rpartition("/")[2]) for name in types)
    return list(dict.fromkeys(name for name in cleaned if name))[:MAX_TYPES]
