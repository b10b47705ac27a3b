"""Decode the bytes of a page: choose the encoding, and handle bytes that do not fit.

The order was found best on real pages (UTF-8, GBK, GB 18030, Big5, 8-bit, each also with bad bytes put in): a byte
order mark; strict UTF-8; UTF-8 with a few bad bytes; the declared encoding (HTTP header, then <meta>) if it fits;
detection by statistics. A bad byte costs one character, never the page.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

UTF8_BAD_SHARE = 0.05
"""Largest share of bad sequences among non-ASCII characters at which a page still counts as UTF-8."""

DECLARED_BAD_SHARE = 0.01
"""Largest share of bad sequences among non-ASCII characters at which a declared encoding is believed."""

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META = re.compile(rb"""<(?:meta|\?xml)[^>]{0,500}?(?:charset|encoding)\s*=\s*["']?\s*([\w:.-]{2,40})""", re.IGNORECASE)
_META_BYTES = 4096  # the HTML standard says 1,024; real pages put long scripts and comments first
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "euc_kr": "cp949", "shift_jis": "cp932"}
"""WHATWG decoders are supersets of what Python calls by the same name (https://encoding.spec.whatwg.org/#indexes)."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded page.

    `charset` is the Python codec used; `replaced_share` the share of bad sequences (U+FFFD in `text`) among the
    characters that are not ASCII, 0 to 1.
    """

    text: str
    charset: str
    replaced_share: float


def codec_for(label: str | None) -> str | None:
    """Python codec of an encoding label, by the WHATWG table (`gb2312` -> `gb18030`, `latin1` -> `cp1252`), or None."""
    if not label:
        return None
    name = map_encoding_to_html5(label.strip(" \t\r\n\"';"), fallback_utf8=False)
    if name is None:
        return None
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        return None
    return _WIDER.get(codec, codec)


def declared_in_head(html: bytes) -> str | None:
    """Encoding label that the page itself declares (<meta charset>, <meta http-equiv>, <?xml encoding>), or None."""
    declaration = _META.search(html[:_META_BYTES])
    return declaration[1].decode("ascii", "replace") if declaration else None


def decode(html: bytes, declared: str | None = None) -> Decoded:
    """Decode a page.

    :param declared: label of the HTTP header's charset parameter, if any.
    """
    for bom, codec in _BOMS:
        if html.startswith(bom):
            return _decoded(html[len(bom) :], codec)
    try:
        text = html.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        if b"\x1b$" in html and _declares(html, declared, "iso2022_jp"):  # 7-bit, so it passes as UTF-8
            return _decoded(html, "iso2022_jp")
        return Decoded(text, "utf-8", 0.0)

    utf8 = _decoded(html, "utf-8")
    if utf8.replaced_share <= UTF8_BAD_SHARE:
        return utf8
    tried = {"utf-8"}
    for label in (declared, declared_in_head(html)):
        codec_name = codec_for(label)
        if codec_name is not None and codec_name not in tried:
            tried.add(codec_name)
            decoded = _decoded(html, codec_name)
            if decoded.replaced_share <= DECLARED_BAD_SHARE:
                return decoded
    # Only the bytes that are not ASCII tell encodings apart, but detectors want them in their context.
    detected = codec_for(detect_encoding(html)) or "utf-8"
    return _decoded(html, detected)


def to_utf8(html: bytes, declared: str | None = None) -> tuple[bytes, str]:
    """A page in UTF-8, and the encoding that it had: what `decode` makes of it, encoded again. Most pages are UTF-8
    already, and are only looked through."""
    if _is_utf8(html) and not html.startswith(codecs.BOM_UTF8) and b"\x1b" not in html:
        return html, "utf-8"
    decoded = decode(html, declared)
    return decoded.text.encode("utf-8", "replace"), decoded.charset


def _is_utf8(html: bytes) -> bool:
    if html.isascii():
        return True
    offsets = pa.py_buffer(np.array([0, len(html)], np.int64))
    try:  # Arrow's validation is ten times faster than decoding
        pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(html)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _declares(html: bytes, declared: str | None, codec_name: str) -> bool:
    return codec_name in (codec_for(declared), codec_for(declared_in_head(html)))


def _decoded(html: bytes, codec: str) -> Decoded:
    text = html.decode(codec, "replace")
    bad = text.count("\ufffd")
    if not bad:
        return Decoded(text, codec, 0.0)
    not_ascii = len(text) - len(text.encode("ascii", "ignore"))  # U+FFFD among them
    return Decoded(text, codec, bad / not_ascii)
