"""Filter of records that are no HTML page: by status, size, media type and first bytes, before anything that costs time."""

from __future__ import annotations

import json
import re
from typing import ClassVar, Literal

from pydantic import Field

from extraction.decode import BOMS, utf16
from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep, Example, Examples

# First bytes of files that are not text, longest first where one starts another. What is common on the web; anything
# else shows by its share of control characters.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "pdf"),
    (b"\x89PNG\r\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"PK\x03\x04", "zip"),  # docx, xlsx, pptx, epub, jar, apk too
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),  # doc, xls, ppt
    (b"{\\rtf", "rtf"),
    (b"%!PS", "postscript"),
    (b"\x7fELF", "elf"),
    (b"MZ\x90\x00", "exe"),
    (b"\xca\xfe\xba\xbe", "java_class"),
    (b"CWS", "flash"),
    (b"FWS", "flash"),
    (b"ZWS", "flash"),
    (b"OggS", "ogg"),
    (b"ID3", "mp3"),
    (b"fLaC", "flac"),
    (b"FLV\x01", "flv"),
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"wOFF", "font"),
    (b"wOF2", "font"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
)
_HTML_START = re.compile(
    rb"<(?:!doctype\s+html|!--|html|head|body|title|meta|link|script|style|div|span|p|h[1-6]|table|center|font|a|b|br|ul|ol"
    rb"|article|section|main|nav|header|form|frameset|iframe|img)\b|<!--",
    re.IGNORECASE,
)
_CONTROLS = bytes(c for c in range(32) if c not in b"\t\n\x0b\x0c\r\x1b") + b"\x7f"  # ESC: ISO-2022-JP
_WIDE_BOMS = tuple(bom for bom, codec in BOMS if codec != "utf-8")
_XML_TYPES = ("text/xml", "application/xml")
_XHTML = re.compile(rb"<html\b[^>]{0,2000}\bxmlns\s*=", re.IGNORECASE)
_FEED = re.compile(
    rb"(?>\s+|<\?[^>]{0,500}\?>|<!--.{0,2000}?-->|<!DOCTYPE\s+(?!html)[^>\[]{0,500}>)*+"  # nothing is tried twice
    rb"<(rss|feed|rdf:rdf|urlset|sitemapindex|opml)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_MHTML = re.compile(rb"(?>[A-Za-z-]+:[^\n]*\n|[ \t][^\n]*\n)*?Content-Type:[ \t]*multipart/", re.IGNORECASE)
_SNIFF_BYTES = 4096
MAX_CONTROL_SHARE = 0.02
"""Share of control bytes in the first 4,096 from which a body is binary. Pages have next to none; in compressed data each
of the 28 counts is one byte value of 256: a tenth."""

_GENERIC = {
    "application/octet-stream",
    "binary/octet-stream",
    "application/x-unknown-content-type",
    "unknown/unknown",
    "*/*",
}
_GENERIC |= {"text/plain", "text"}


def magic_type(body: bytes) -> str | None:
    """Kind of a body that is no text, by its first bytes: a name such as `pdf`, or `control_bytes`; None for text."""
    head = body[:_SNIFF_BYTES]
    start = head.lstrip(b" \t\r\n")
    for magic, name in _MAGIC:
        if start.startswith(magic) or head.startswith(magic):
            return name
    if head[:4] == b"RIFF" or head[4:8] == b"ftyp":
        return "media"
    if _is_wide(head):
        return None
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return "control_bytes" if controls > MAX_CONTROL_SHARE * len(head) else None


def looks_like_html(body: bytes) -> bool:
    """Whether an HTML tag stands in the first 4,096 bytes."""
    return _HTML_START.search(_narrow(body)) is not None


def other_type(body: bytes) -> str | None:
    """Kind of a text that is no page, whatever its media type: a feed or a list of pages by its root (as browsers tell them, MIME
    Sniffing 8), JSON, a saved mail or MHTML; None for all others."""
    head = _narrow(body).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"<"):
        feed = _FEED.match(head)
        return feed[1].decode().lower() if feed else None
    if head.startswith((b"{", b"[")):
        try:
            return "json" if isinstance(json.loads(body), dict | list) else None
        except (ValueError, RecursionError):
            return None
    return "mhtml" if _MHTML.match(head) else None


def _is_wide(body: bytes) -> bool:
    """Whether a body is UTF-16 or UTF-32, with a mark or without."""
    return body.startswith(_WIDE_BOMS) or utf16(body) is not None


def _narrow(body: bytes) -> bytes:
    """The first bytes, of UTF-16 and UTF-32 those of ASCII."""
    head = body[:_SNIFF_BYTES]
    if not _is_wide(head):
        return head
    for bom in _WIDE_BOMS:
        head = head.removeprefix(bom)
    return head.replace(b"\0", b"")


_PAGE = "<!DOCTYPE html><html><body><p>hello 你好</p></body></html>".encode()


class RecordFilter(DocumentStep):
    """Keep HTML pages that were really delivered, and rows that carry text already.

    Drops: `status` (value: the code), `empty_body`, `too_large` (bytes), `binary` (what the first bytes say) and
    `not_html` (the media type, or what it is: `rss`, `json`, `mhtml` ...). The bytes decide where the media type is missing or
    says nothing (`application/octet-stream`, `text/plain`) or is that of XML, of which XHTML is kept; and against it where they
    are plainly binary, a feed, JSON or a saved mail: servers do send PDF and feeds as `text/html`.
    """

    needs_html: ClassVar[bool] = True
    version: ClassVar[int] = 2

    step: Literal["record_filter"] = "record_filter"
    statuses: tuple[int, ...] = Field((200,), min_length=1, description="HTTP status codes kept")
    without_status: bool = Field(True, description="keep records that have no status: resources, ARC, rows")
    media_types: tuple[str, ...] = Field(
        ("text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"),
        description="media types kept, lower case",
    )
    max_bytes: int = Field(5_000_000, gt=0, description="largest body, in bytes; real pages: 99 % under 1.0 MB")
    drops: ClassVar[Examples] = (
        Example(html=_PAGE, http_status=404, content_type="text/html", reason="status"),
        Example(html=b" \r\n\t", http_status=200, content_type="text/html", reason="empty_body"),
        Example(html=b"%PDF-1.7 ...", http_status=200, content_type="text/html", reason="binary"),
        Example(html=b"{}", http_status=200, content_type="application/json", reason="not_html"),
        Example(
            html=b'<?xml version="1.0"?><rss version="2.0"><channel><title>News</title></channel></rss>',
            http_status=200,
            content_type="text/html",
            reason="not_html",
        ),
    )
    keeps: ClassVar[Examples] = (
        Example(html=_PAGE, http_status=200, content_type="text/html"),
        Example(html=_PAGE, http_status=200, content_type="text/plain"),  # HTML that a server calls plain text
        Example(html="<p>中文网页</p>".encode("gbk"), http_status=200, content_type="text/html"),
        Example("text of a WET record", content_type="text/plain"),
    )

    def __call__(self, doc: Document) -> Document | Drop:
        if doc.http_status is None:
            if not self.without_status:
                return Drop("status", value="none")
        elif doc.http_status not in self.statuses:
            return Drop("status", value=doc.http_status)
        if doc.html is None:
            return self._text_row(doc)
        body = doc.html
        if len(body) > self.max_bytes:
            return Drop("too_large", value=len(body))
        if not body.strip():
            return Drop("empty_body", value=len(body))
        binary = magic_type(body)
        if binary is not None:
            return Drop("binary", value=binary)
        kind = doc.content_type
        if kind in self.media_types:
            is_page = True
        elif kind in _XML_TYPES:
            is_page = _XHTML.search(_narrow(body)) is not None
        else:
            is_page = (not kind or kind in _GENERIC) and looks_like_html(body)
        other = other_type(body) if is_page else None
        if is_page and other is None:
            return doc
        return Drop("not_html", value=other or kind or "unknown")

    def _text_row(self, doc: Document) -> Document | Drop:
        """WET records and rows of text: there is no body to look at."""
        if not (doc.text or "").strip():
            return Drop("empty_body", value=len(doc.text or ""))
        size = len(doc.text or "")
        return doc if size <= self.max_bytes else Drop("too_large", value=size)
