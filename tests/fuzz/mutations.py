"""What is done to bytes, pages and values: each takes the randomness and the old, and gives the new."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

Bytes = Callable[[random.Random, bytes], bytes]

MOST = 4_000_000
"""Bytes that a page is blown up to: below `record_filter.max_bytes`, so that extraction sees it."""


# --- bytes -----------------------------------------------------------------------------------------------------------


def _slice(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + int(2 ** rng.uniform(0, 12)))


def _flipped(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(int(2 ** rng.uniform(0, 8))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwritten(rng: random.Random, data: bytes) -> bytes:
    start, end = _slice(rng, data)
    return data[:start] + rng.randbytes(end - start) + data[end:]


def _cut_out(rng: random.Random, data: bytes) -> bytes:
    start, end = _slice(rng, data)
    return data[:start] + data[end:]


def _truncated(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _doubled(rng: random.Random, data: bytes) -> bytes:
    start, end = _slice(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 50)) + data[end:]


def _moved(rng: random.Random, data: bytes) -> bytes:
    start, end = _slice(rng, data)
    rest = data[:start] + data[end:]
    place = rng.randrange(len(rest) + 1)
    return rest[:place] + data[start:end] + rest[place:]


_PIECES = (
    b"\0", b"\0" * 64, b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\x0b", b"\x0c", b"\x1b", b"\x1b$B", b"\x1f\x8b\x08", b"\x7f",
    b"\x85", b"\xc0\x80", b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80", b"WARC/1.0\r\n", b"\r\n\r\nWARC/1.0\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\x28\xb5\x2f\xfd",
    b"0\r\n\r\n", b"<", b">", b"&", b'"', b"'", b"--", b"]]>", b"%", b"\\", b"{", b"}", b"[", b"-1", b"9" * 40,
)  # fmt: skip


def _inserted(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.choice((1, 1, 3, 20))):
        place = rng.randrange(len(data) + 1)
        data = data[:place] + rng.choice(_PIECES) + data[place:]
    return data


def _other_line_ends(rng: random.Random, data: bytes) -> bytes:
    end = rng.choice((b"\r", b"\r\n", b"\n\r", b"\x0b", b"\x0c", b"\xc2\x85", b"\xe2\x80\xa8", b"\0", b" ", b""))
    return data.replace(b"\r\n", b"\n").replace(b"\n", end)


def spliced(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """The beginning of one behind which the end of another follows."""
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


BYTES: tuple[Bytes, ...] = (
    _flipped, _overwritten, _cut_out, _truncated, _doubled, _moved, _inserted, _other_line_ends,
)  # fmt: skip


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Bytes with one to three of the damages above."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(BYTES)(rng, data)
    return data


# --- text ------------------------------------------------------------------------------------------------------------


def _points(rng: random.Random) -> str:
    first, last = rng.choice(((0, 0x2FF), (0x300, 0x36F), (0x378, 0x3FF), (0x600, 0x8FF), (0x900, 0xDFF), (0x1100, 0x11FF),
        (0x2000, 0x206F), (0x2E80, 0x33FF), (0xAC00, 0xD7FF), (0xE000, 0xF8FF), (0xF900, 0xFAFF), (0xFB00, 0xFFFF),
        (0x1D100, 0x1D7FF), (0x1F000, 0x1FAFF), (0x2F800, 0x2FA1F), (0x40000, 0x40040), (0xE0000, 0xE01EF),
        (0x10FFF0, 0x10FFFF)))  # fmt: skip
    return chr(rng.randint(first, last)) * rng.choice((1, 1, 1, 3))


def odd_text(rng: random.Random) -> str:
    """A run of hard text: stacks of marks, overrides of direction, what is not assigned, forms that NFC changes."""
    match rng.randrange(10):
        case 0:
            return "e" + "".join(chr(rng.randint(0x300, 0x36F)) for _ in range(int(2 ** rng.uniform(1, 14))))
        case 1:
            return "".join(rng.choice("\u202a\u202b\u202d\u202e\u2066\u2067\u2068") + "ab " for _ in range(300))
        case 2:
            return "".join(chr(rng.choice((0xFFFE, 0xFFFF, 0xFDD0, 0xFDEF, 0x1FFFE, 0x10FFFF))) for _ in range(40))
        case 3:
            return rng.choice(
                ("\u0958", "\u2126", "\u0344", "\u212b", "\uac01\u11a8", "\u1100\u1161\u11a8", "İi̇", "ﬁ", "\ufb1d")
            )
        case 4:
            return "👩" + "\u200d👩" * rng.choice((1, 3, 5000))
        case 5:
            return rng.choice(
                ("\u200b", "\u200d", "\u2060", "\ufeff", "\xad", "\u3000", "\xa0", "\u2028", "\x85", "\x1c")
            ) * rng.choice((1, 7, 9000))
        case 6:
            return rng.choice(("\ue000", "\U000e0041", "\U00040000", "\ufffd", "\x80", "\x00")) * rng.choice((1, 50))
        case 7:
            return "的" * int(2 ** rng.uniform(1, 16))
        case 8:
            return rng.choice("a.-_ ，1=$\\`*#|~\t") * int(2 ** rng.uniform(1, 18))
        case _:
            return "".join(_points(rng) for _ in range(rng.choice((5, 100, 3000))))


# --- pages -----------------------------------------------------------------------------------------------------------

_TAGS = (
    "div", "span", "p", "b", "a", "ul", "ol", "li", "dl", "dt", "table", "tr", "td", "th", "tbody", "blockquote", "pre", "code",
    "h1", "h6", "section", "article", "main", "nav", "form", "select", "option", "button", "font", "center", "q", "sup", "svg",
    "math", "template", "noscript", "object", "iframe", "frameset", "ruby", "rt", "details", "x-y", "o:p", "details", "label",
)  # fmt: skip
_OPENINGS = (
    "<!--", "<![CDATA[", "<!DOCTYPE", "<?xml ", "<script>", "<style>", "<textarea>", "<plaintext>", "<title>", "<noscript>",
    "<template>", "<xmp>", "<p class=\"", "<a href='", "<p ", "</", "<", "&", "&#", "&#x", "<svg><style>", "<pre>", "<code>",
    "<select><option>", "<math><mtext>", "$$", "\\(", "\\begin{align}", "```",
)  # fmt: skip
_ENTITIES = (
    "&#0;", "&#x110000;", "&#xD800;", "&#xdfff;", "&#x80;", "&#xfdd0;", "&#xffff;", "&#99999999999999999999;", "&#x;", "&#;",
    "&;", "&amp", "&ampamp;", "&notin;", "&notit;", "&nbsp;", "&NotEqualTilde;", "&#13;", "&#10;", "&#8232;", "&zwnj;",
    "&#x1F600;",
    "&lt;script&gt;", "&#x0000000000000000000041;", "&copy", "&#38;lt;", "&" + "a" * 5000 + ";",
)  # fmt: skip


def _times(rng: random.Random, piece: str, most: int = MOST) -> int:
    """How often a piece is repeated: seldom as often as goes."""
    top = max(1, most // max(1, len(piece)))
    return top if rng.random() < 0.03 else min(top, int(2 ** rng.uniform(0, 14)))


def _nested(rng: random.Random) -> str:
    tags = [rng.choice(_TAGS) for _ in range(rng.choice((1, 1, 2, 5)))]
    opening = "".join(f"<{tag}>" for tag in tags)
    closing = "".join(f"</{tag}>" for tag in reversed(tags))
    n = _times(rng, opening + closing)
    return opening * n + "inside of them" + rng.choice((closing * n, closing * (n // 2), closing * 2 * n, ""))[:MOST]


def _repeated(rng: random.Random) -> str:
    tag = rng.choice(_TAGS)
    piece = rng.choice(
        (f"<{tag}>x</{tag}>", f"<{tag}>", f"</{tag}>", f"<{tag}>word 字</{tag}>\n", "<br>", "<p>", "<!---->", "<>")
    )
    return piece * _times(rng, piece)


def _attributes(rng: random.Random) -> str:
    name = rng.choice(
        ("class", "id", "style", "href", "alt", "title", "onclick", "lang", "data-x", "colspan", "=", "\0")
    )
    value = rng.choice(
        ("a ", "b" * 100, "\"'", "&amp;", "javascript:", "content main ", "display:none;", "1", "\ud7ff")
    )
    value *= _times(rng, value, MOST // 2)
    many = f' {name}{rng.randrange(9)}="{value[:20]}"'
    quote = rng.choice(("'", '"', ""))
    return rng.choice((f"<p {name}={quote}{value}{quote}>text</p>", f"<div{many * _times(rng, many)}>text</div>"))


def _table(rng: random.Random) -> str:
    cell = rng.choice(
        (
            "<td>1</td>",
            "<td>",
            "<th>a<td>b",
            '<td rowspan="65535" colspan="1000">x</td>',
            "<td><table><tr><td>y</table></td>",
        )
    )
    row = "<tr>" + cell * _times(rng, cell, 20_000)
    return "<table>" + row * _times(rng, row, MOST // 2) + rng.choice(("</table>", ""))


def _formulas(rng: random.Random) -> str:
    piece = rng.choice(("<mrow>", "<mfrac><mi>a</mi>", "<msup>", "<mtable><mtr><mtd>", "<msqrt>", "\\frac{", "{",
        "\\left(", "$", "$$ x", "\\(", "\\[ a",
        "`a/b`", "\\begin{matrix}", '<img alt="\\sqrt{x}" class="tex">', '<script type="math/tex">x^2</script>'))  # fmt: skip
    start = rng.choice(
        (
            "<math>",
            "",
            "<p>",
            "<span class=katex>",
            "<script type='math/tex'>",
            "<annotation encoding='application/x-tex'>",
        )
    )
    return start + piece * _times(rng, piece, 400_000) + rng.choice(("", "</math>", "x^2$", "</script>"))


def _data(rng: random.Random) -> str:
    piece = rng.choice(("[", '{"a":', '{"articleBody":"', '"', "\\u0000", "\\ud800", "1e999,", "<p>", "&quot;"))
    kind = rng.choice(("application/ld+json", "application/json", "text/x", ""))
    start = rng.choice(
        ("", '{"@type":"NewsArticle","articleBody":"', "window.__DATA__=", '{"props":{"pageProps":{"html":"')
    )
    return f'<script id="__NEXT_DATA__" type="{kind}">{start}{piece * _times(rng, piece, 1_000_000)}' + rng.choice(
        ("</script>", '"}</script>', "")
    )


_ENTITY_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE html [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    + ']><html xmlns="http://www.w3.org/1999/xhtml"><body><p>&a11;</p></body></html>'
)
_XHTML = '<?xml version="1.0" encoding="utf-8"?>\n<html xmlns="http://www.w3.org/1999/xhtml">'


def _markup(rng: random.Random) -> str:
    match rng.randrange(9):
        case 0:
            return _nested(rng)
        case 1:
            return _repeated(rng)
        case 2:
            return _attributes(rng)
        case 3:
            return "".join(rng.choice(_ENTITIES) for _ in range(rng.choice((1, 5, 2000))))
        case 4:
            return _table(rng)
        case 5:
            return rng.choice(_OPENINGS) * rng.choice((1, 1, 2, 3000))
        case 6:
            return _formulas(rng)
        case 7:
            return _data(rng)
        case _:
            return odd_text(rng)


_CODECS = (
    "gb18030", "gbk", "big5", "big5hkscs", "shift_jis", "euc_jp", "euc_kr", "iso2022_jp", "hz", "utf-16", "utf-16-le",
    "utf-16-be",
    "utf-32", "utf-7", "utf-8-sig", "cp1252", "cp1251", "koi8-r", "latin-1", "cp037",
)  # fmt: skip


def page(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A mutated page.

    :param other: another page, to be spliced with.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        match rng.randrange(10):
            case 0 | 1:
                data = damaged(rng, data)
            case 2:
                data = spliced(rng, data, other)
            case 3:
                data = data.decode("utf-8", "replace").encode(rng.choice(_CODECS), "replace")
            case 4:
                data = rng.choice(
                    (_ENTITY_BOMB.encode(), _XHTML.encode() + data, _markup(rng).encode(), b"", b" \n" * 500)
                )
            case 5:
                data = b" ".join(data.split())  # a page of one line
            case _:
                place = rng.randrange(len(data) + 1)
                if rng.random() < 0.7:  # between tags rather than within one
                    place = data.find(b">", place) + 1
                data = data[:place] + _markup(rng).encode("utf-8", "surrogatepass") + data[place:]
    return data[: MOST + (1 << 20)]


# --- URLs ------------------------------------------------------------------------------------------------------------

_URL_PIECES = (
    "//", "/", "\\", "?", "#", "@", ":", ":80", ":443", ":99999999999999999999", ":0x50", "%", "%00", "%2e", "%2E%2e",
    "%e4%bd%a0", "%ff",
    "%C3", "..", "/./", "/../", "www.", ".", "xn--", "xn--a", "xn--55qx5d", "例子.测试", "bücher.example", "ß", "\u3002",
    "\uff0e", "\u00ad",
    "\u200d", "[::1]", "[", "]", "127.0.0.1", "0x7f.1", "user:pass@", "javascript:", "data:text/html,", "urn:", "http:",
    "HTTPS://",
    "file:///", "mailto:", "\t", "\n", "\r", " ", "\0", "\x7f", "\ud800", "\udfff", "😀", "ﬁ", "İ", "ı", "K", "a" * 64,
    "a" * 300,
    "x." * 130, "&a=b", ";", "+", "!", "host:casino", "<", ">", '"', "'", "澳门赌场", "casino", "sex", "porn", "\ufeff", "｡",
    "％４１", "/" * 3000,
)  # fmt: skip


def url(rng: random.Random, text: str) -> str:
    """A mutated URL."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(text) + 1)
        match rng.randrange(7):
            case 0:
                text = text[:place]
            case 1:
                text = text[place:]
            case 2:
                text = text[:place] + _points(rng) + text[place:]
            case 3:
                text = text[:place] + rng.choice(_URL_PIECES) + text[place + rng.randrange(5) :]
            case 4:
                text = text.replace(rng.choice((".", "/", ":", "e", "a", "-")), rng.choice(_URL_PIECES), 3)
            case 5:
                text = text.upper() if rng.random() < 0.5 else text[::-1]
            case _:
                text = text[:place] + rng.choice(_URL_PIECES) + text[place:]
    return text[:20_000]


# --- values of JSON, YAML and tables -----------------------------------------------------------------------------------


def value(rng: random.Random, deep: bool = True) -> Any:
    """Any value that JSON or YAML may hold."""
    plain: list[Any] = [
        None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, math.inf, -math.inf, math.nan,
            "", " ", "x",
        "0", "-1", "1e5", "null", "true", "utf-8", "\0", "\ud800", "\u202e", "文", "a" * 300, "2024-01-01",
        "9999-99-99T99:99:99Z",
        "http://[", "../..", "/", "~", "{", "%s", "word_count", "language",
    ]  # fmt: skip
    if deep and rng.random() < 0.35:
        inner = value(rng, deep=rng.random() < 0.3)
        return rng.choice(([inner], {"x": inner}, [], {}, [inner] * 50, {"step": inner}, {str(inner)[:20]: inner}))
    return rng.choice(plain)


Path = tuple[Any, ...]


def paths(data: Any, above: Path = ()) -> list[Path]:
    """Places of all values within plain data."""
    found = [above] if above else []
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, inner in items:
        found += paths(inner, (*above, key))
    return found


def at(data: Any, path: Path) -> Any:
    """The value at a place."""
    for key in path:
        data = data[key]
    return data
