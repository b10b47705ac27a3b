"""Decode the bytes of a page: choose the encoding, and handle bytes that do not fit.

The order was found best on real pages (UTF-8, GBK, GB 18030, Big5, 8-bit, each also with bad bytes put in): a byte
order mark; UTF-16 that every second byte tells; strict UTF-8; UTF-8 with a few bad bytes; the declared encoding (HTTP header,
then <meta>) if what it makes of the bytes reads as a text; detection by statistics; what reads best. Labels lie: every
byte is a letter in a single-byte encoding, and most pairs are characters in a double-byte one. A bad byte costs one
character, never the page.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from extraction import doubled
from extraction.plausible import plausibility

UTF8_BAD_SHARE = 0.05
"""Largest share of bad sequences among non-ASCII characters at which a page still counts as UTF-8."""

PLAUSIBLE, SURE = 0.5, 0.9
"""`plausibility` from which an encoding that is named, or that statistics find, is believed: one of East Asia, another one."""

LEAST_GAIN = 0.1
"""What another encoding must read better."""

MAX_SAMPLE, MAX_LOOKED_AT = 6_000, 500_000
"""Bytes by which encodings are told apart, and bytes of a page among which they are looked for."""

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_META = re.compile(rb"""<(?:meta|\?xml)[^>]{0,500}?(?:charset|encoding)\s*=\s*["']?\s*([\w:.-]{2,40})""", re.IGNORECASE)
_META_BYTES = 4096  # the HTML standard says 1,024; real pages put long scripts and comments first
_BRACKETS, _HIGH = re.compile(rb"[<>]"), re.compile(rb"[\x80-\xff]")
_EAST_ASIAN = frozenset(("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949", "iso2022_jp", "hz"))
_OTHERS = ("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949", "cp1252", "cp1251", "koi8-r", "cp1250")
_UTF16_BYTES = 4096
_UTF16_SHARE = 0.2
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "euc_kr": "cp949", "shift_jis": "cp932"}
"""WHATWG decoders are supersets of what Python calls by the same name (https://encoding.spec.whatwg.org/#indexes)."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded page.

    `charset` is the Python codec used, with ` read as cp1252` or ` read as gb18030` behind it where a second encoding was undone;
    `replaced_share` the share of bad sequences (U+FFFD in `text`) among the
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
    """Decode a page; an encoding that was applied twice is undone (`extraction.doubled`).

    :param declared: label of the HTTP header's charset parameter, if any.
    """
    decoded = _decode(html, declared)
    text, how = doubled.mended(decoded.text.encode("utf-8", "surrogatepass"))
    if how is None:
        return decoded
    return replace(decoded, text=text.decode("utf-8", "replace"), charset=f"{decoded.charset} read as {how}")


def _decode(html: bytes, declared: str | None) -> Decoded:
    for bom, codec in BOMS:
        if html.startswith(bom):
            return _decoded(html[len(bom) :], codec)
    wide = utf16(html)
    if wide is not None:
        return _decoded(html, wide)
    try:
        text = html.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        if b"\x1b$" in html and _declares(html, declared, "iso2022_jp"):  # 7-bit, so it passes as UTF-8
            return _decoded(html, "iso2022_jp")
        return Decoded(text, "utf-8", 0.0)

    sample = _sample(html)
    if _decoded(sample, "utf-8").replaced_share <= 3 * UTF8_BAD_SHARE:  # else it is not worth looking at all of it
        utf8 = _decoded(html, "utf-8")
        if utf8.replaced_share <= UTF8_BAD_SHARE:
            return utf8
    return _decoded(html, _likeliest(html, sample, declared))


def utf16(html: bytes) -> str | None:
    """UTF-16 without a mark: every second byte of the markup is 0."""
    head = html[:_UTF16_BYTES]
    if head.count(0) < _UTF16_SHARE * len(head) or len(head) < 8:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    codec = "utf-16-le" if odd > even else "utf-16-be"
    if min(even, odd) > 0.02 * len(head) or b"<" not in head:
        return None
    text = html[: _UTF16_BYTES & ~1].decode(codec, "replace")
    return codec if "<" in text and text.count("\ufffd") <= 1 and "\0" not in text else None


def _likeliest(html: bytes, sample: bytes, declared: str | None) -> str:
    """The codec of a page that is not UTF-8: the one that it or its server names, if what it makes of the bytes reads as a text,
    else the one whose text reads best."""
    values: dict[str, float] = {}
    for codec in filter(None, map(codec_for, (declared, declared_in_head(html)))):
        if codec not in values:
            values[codec] = _value(sample, codec)
            if values[codec] >= (PLAUSIBLE if codec in _EAST_ASIAN else SURE):
                return codec
    labelled = max(values, key=lambda codec: values[codec]) if values else None
    # Only the bytes that are not ASCII tell encodings apart, but detectors want them in their context.
    detected = codec_for(detect_encoding(sample))
    if detected is not None:
        values.setdefault(detected, _value(sample, detected))
        if values[detected] >= (PLAUSIBLE if detected in _EAST_ASIAN else SURE) and (
            labelled is None or values[detected] > values[labelled] + LEAST_GAIN
        ):
            return detected
    for codec in _OTHERS:
        values.setdefault(codec, _value(sample, codec))
    best = max(values, key=lambda codec: values[codec])
    first = labelled or detected
    return best if first is None or values[best] > values[first] + LEAST_GAIN else first


def _sample(html: bytes) -> bytes:
    """Pieces of text and of attributes with bytes that are not ASCII, one behind the other."""
    pieces: list[bytes] = []
    size = 0
    for piece in _BRACKETS.split(html[:MAX_LOOKED_AT]):
        if piece.isascii():
            continue
        place = _HIGH.search(piece)
        start = max(0, place.start() - 40) if place else 0
        pieces.append(piece[start : start + 400])
        size += len(pieces[-1])
        if size > MAX_SAMPLE:
            break
    return b"\n".join(pieces)[:MAX_SAMPLE]


def _value(sample: bytes, codec: str) -> float:
    """How well a sample reads in an encoding, 0 to 1."""
    text = sample.decode(codec, "replace")
    bad = sum(text.count(c) for c in "\ufffd\x80\x81\x8d\x8f\x90\x9d")
    return max(0.0, plausibility(text, codec) - 5 * bad / max(1, len(text)))


def to_utf8(html: bytes, declared: str | None = None) -> tuple[bytes, str]:
    """A page in UTF-8, and the encoding that it had: what `decode` makes of it, encoded again. Most pages are UTF-8
    already, and are only looked through."""
    plain = not html.startswith(codecs.BOM_UTF8) and b"\x1b" not in html and b"\0" not in html
    if not plain or not _is_utf8(html):
        decoded = decode(html, declared)
        return decoded.text.encode("utf-8", "replace"), decoded.charset
    mended, how = doubled.mended(html)
    return mended, "utf-8" if how is None else f"utf-8 read as {how}"


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
