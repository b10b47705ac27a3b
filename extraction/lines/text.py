"""Lines of a scan as text."""

from __future__ import annotations

import functools
import html as references
import re
import unicodedata
from collections.abc import Iterable
from html.entities import html5
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from extraction.characters import fnv1a_of
from extraction.kernels import FNV_START, compiled, fnv1a, helper, utf8_point
from extraction.lines.columns import JOINED, NEW_CELL, NEW_LINE, TAGS, K, L
from extraction.lines.counts import number_reference
from extraction.lines.markup import B, is_digit, is_letter
from extraction.lines.scan import Scan
from extraction.text import unwrapped

_BETWEEN = {JOINED: b"", NEW_LINE: b"\n"}


def text_of(
    html: bytes,
    page: Scan,
    numbers: Iterable[int] | None = None,
    headings: Literal["plain", "markdown"] = "plain",
    list_markers: bool = False,
) -> list[tuple[int, str, str]]:
    """Number, text and tag of lines: those of `numbers`, in that order, or all.

    White space is collapsed, but in code, of which each line of text is one here, so that its number comes up again. Cells stand
    between tabs. Lines without text (only references to white space) are left out.

    :param headings: `markdown` puts `#` before headings, by their level.
    :param list_markers: put "- " or "1. " before the items of lists, indented by their depth.
    """
    chosen = np.arange(len(page.lines)) if numbers is None else np.fromiter(numbers, np.int64)
    if not len(chosen):
        return []
    texts = _written(html, page, chosen)
    kinds = page.lines[chosen, L.KIND]
    if headings == "plain" and not list_markers and None not in texts:
        tags = [TAGS[kind] for kind in kinds.tolist()]
        for i in np.flatnonzero(kinds >= K.H1).tolist():
            texts[i] = without_marks(cast(str, texts[i]))
        rows = zip(chosen.tolist(), cast(list[str], texts), tags, strict=True)
        return [row for row in rows if row[1] and not row[1].isspace()]
    columns = np.stack(
        [page.lines[:, c][chosen] for c in (L.CHUNK0, L.CHUNK1, L.KIND, L.MARKER, L.LISTS)], axis=1
    ).tolist()
    out: list[tuple[int, str, str]] = []
    for number, text, (first, last, kind, marker, depth) in zip(chosen.tolist(), texts, columns, strict=True):
        tag = TAGS[kind]
        if text is None:
            chunks = page.chunks[first:last].tolist()
            if kind == K.CODE:
                out += [(number, line, tag) for line in _code_lines(_decode(html, chunks))]
                continue
            text = _row(html, chunks) if kind == K.ROW else _collapsed(_decode(html, chunks))
        if not text or text.isspace():
            continue
        if kind >= K.H1:
            text = without_marks(text)
        if kind >= K.H1 and headings == "markdown":
            text = f"{'#' * (kind - K.H1 + 1)} {text}"
        elif marker and list_markers:
            text = f"{'  ' * (depth - 1)}{f'{marker}.' if marker > 0 else '-'} {text}"
        out.append((number, text, tag))
    return out


def _written(html: bytes, page: Scan, chosen: npt.NDArray[np.int64]) -> list[str | None]:
    """Text of the chosen lines, all of them in one pass; None for code and for what only Python's own rules for
    character references can tell."""
    out = np.empty(_room(page.chunks, page.lines, chosen), np.uint8)
    hard = np.zeros(len(chosen), np.bool_)
    names, values = _references()
    end = _write(np.frombuffer(html, np.uint8), page.chunks, page.lines, chosen, names, values, out, hard)
    texts: list[str | None] = list(out[:end].tobytes().decode("utf-8", "replace").split("\n"))
    texts.pop()  # behind the last line's end
    for i in np.flatnonzero(hard).tolist():
        texts[i] = None
    return texts


@compiled("in:i4* in:i4* in:i8")
def _room(chunks, lines, chosen):  # type: ignore[no-untyped-def]
    """Bytes that the text of the chosen lines has at most."""
    room = len(chosen)
    for i in range(len(chosen)):
        line = lines[chosen[i]]
        for k in range(line[L.CHUNK0], line[L.CHUNK1]):
            room += 2 * (chunks[k, 1] - chunks[k, 0] + 4)
            if line[L.KIND] == K.ROW:
                room += 100  # a chunk stands behind at most 100 empty cells
    return room


@functools.cache
def _references() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """The character references that end in a semicolon: an open-addressed table of hash, first byte and length, and the bytes."""
    size = 8192
    table = np.zeros((size, 3), np.int64)
    values = bytearray()
    for name, value in html5.items():
        if not name.endswith(";"):
            continue
        key = fnv1a_of(name[:-1].encode())
        slot = key % size
        while table[slot, 2]:
            if table[slot, 0] == key:
                raise AssertionError(f"two references with the hash of {name}")
            slot = (slot + 1) % size
        utf8 = value.encode()
        table[slot] = key, len(values), len(utf8)
        values += utf8
    return table, np.frombuffer(bytes(values), np.uint8)


@helper
def _space_size(html: Any, p: Any, end: Any) -> Any:
    """Bytes of the white space at `p` (as `str.split` knows it), or 0."""
    c = html[p]
    if c == B.SPACE or B.TAB <= c <= B.RETURN or 0x1C <= c <= 0x1F:
        return 1
    if c == 0xC2 and p + 1 < end and (html[p + 1] == 0xA0 or html[p + 1] == 0x85):
        return 2
    if c < 0xE1 or c > 0xE3 or p + 2 >= end or html[p + 1] & 0xC0 != 0x80 or html[p + 2] & 0xC0 != 0x80:
        return 0
    return 3 if _is_wide_space(utf8_point(html, p, 3)) else 0


@helper
def _is_wide_space(point: Any) -> Any:
    """Whether a code point from U+1000 on is white space."""
    return 0x2000 <= point <= 0x200A or point in (0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)


@helper
def _reference(html: Any, p: Any, end: Any, names: Any) -> Any:
    """The character reference at `p`: its end, and the slot of its name or, below 0, -1 - its code point. End 0: not for here."""
    q = p + 1
    if q < end and html[q] == B.HASH:
        point, q = number_reference(html, q + 1, end)
        usual = 32 <= point < 127 or 160 <= point < 0xD800 or 0xE000 <= point < 0xFDD0 or 0x10000 <= point <= 0x1FFFD
        if q >= end or html[q] != B.SEMICOLON or not usual:
            return 0, 0
        return q + 1, -1 - point
    if q >= end or html[q] == B.SPACE:  # a lone ampersand
        return p + 1, -1 - B.AMPERSAND
    if not is_letter(html[q]):
        return 0, 0
    key = FNV_START
    start = q
    while q < end and q - start < 32 and (is_letter(html[q]) or is_digit(html[q])):
        key = fnv1a(key, html[q])
        q += 1
    if q >= end or html[q] != B.SEMICOLON:
        return 0, 0
    slot = np.int64(key) % len(names)
    while names[slot, 2] != 0:
        if names[slot, 0] == np.int64(key):
            return q + 1, slot
        slot = (slot + 1) % len(names)
    return 0, 0


@helper
def _is_unspaced_lead(byte: Any, second: Any) -> Any:
    """Whether these begin the UTF-8 of Han, kana, or their signs, which stand without spaces: U+3000 to 30FF, 3400 to 9FFF, FF00
    to FFEF, 20000 on. Not Hangul."""
    if byte == 0xE3:
        return second <= 0x83 or second >= 0x90
    return 0xE4 <= byte <= 0xE9 or (byte == 0xEF and second >= 0xBC) or (byte == 0xF0 and second >= 0xA0)


@helper
def _ends_unspaced(out: Any, n: Any) -> Any:
    """Whether the first `n` bytes end with such a character."""
    p = n - 1
    while p > 0 and out[p] & 0xC0 == 0x80:
        p -= 1
    return n - p >= 3 and _is_unspaced_lead(out[p], out[p + 1])


@helper
def _put(out: Any, n: Any, byte: Any) -> Any:
    """Write a byte behind the first `n`; the new n."""
    out[n] = byte
    return n + 1


@helper
def _put_point(out: Any, n: Any, point: Any) -> Any:
    """Write a code point in UTF-8 behind the first `n` bytes; the new n."""
    if point < 0x80:
        return _put(out, n, point)
    if point < 0x800:
        n = _put(out, n, 0xC0 | point >> 6)
    else:
        if point < 0x10000:
            n = _put(out, n, 0xE0 | point >> 12)
        else:
            n = _put(out, n, 0xF0 | point >> 18)
            n = _put(out, n, 0x80 | (point >> 12 & 0x3F))
        n = _put(out, n, 0x80 | (point >> 6 & 0x3F))
    return _put(out, n, 0x80 | (point & 0x3F))


@helper
def _write_chunk(html: Any, p: Any, end: Any, names: Any, values: Any, out: Any, n: Any, space: Any, begun: Any) -> Any:
    """Write the bytes [p, end) of a page, white space collapsed: the new number of bytes (-1: not for here), whether white
    space comes next (2: with the end of a line of the source), whether the line, or the cell, has a character.

    Between two Han characters the end of a line is none of the text: editors wrap there.
    """
    while p < end:
        c = html[p]
        point = np.int64(-1)
        slot = np.int64(-1)
        size = 1
        if c == B.AMPERSAND:
            after, reference = _reference(html, p, end, names)
            if after == 0:
                return -1, space, begun
            size = after - p
            if reference >= 0:
                slot = reference
                blank = _space_size(values, names[slot, 1], names[slot, 1] + names[slot, 2]) > 0
            else:
                point = -1 - reference
                blank = point == B.SPACE or point == 0xA0 or _is_wide_space(point)
        else:
            blank = False
            if c <= B.SPACE or B.DELETE < c <= 0xE3:
                spaces = _space_size(html, p, end)
                blank = spaces > 0
                size = max(spaces, 1)
        if blank:
            space = 2 if c == B.NEWLINE or c == B.RETURN else max(space, 1)
            p += size
            continue
        if space > 0 and begun:
            wrapped = space == 2 and p + 2 < end and _is_unspaced_lead(c, html[p + 1])
            if not (wrapped and _ends_unspaced(out, n)):
                n = _put(out, n, B.SPACE)
        p += size
        space = 0
        begun = True
        if c != B.AMPERSAND:
            n = _put(out, n, c)
        elif slot >= 0:
            for q in range(names[slot, 1], names[slot, 1] + names[slot, 2]):
                n = _put(out, n, values[q])
        else:
            n = _put_point(out, n, point)
    return n, space, begun


@compiled("in:u1 in:i4* in:i4* in:i8 in:i8* in:u1 io:u1 io:b1")
def _write(html, chunks, lines, chosen, names, values, out, hard):  # type: ignore[no-untyped-def]
    n = 0
    for i in range(len(chosen)):
        line = lines[chosen[i]]
        start = n
        hard[i] = line[L.KIND] == K.CODE
        space = 0  # before the next character
        begun = False  # the line, or the cell, has a character
        k = line[L.CHUNK0]
        while k < line[L.CHUNK1] and not hard[i]:
            before = chunks[k, 2]
            if k > line[L.CHUNK0] and before != JOINED:
                cells = before - NEW_CELL + 1 if line[L.KIND] == K.ROW and before >= NEW_CELL else 0
                for _ in range(cells):
                    n = _put(out, n, B.TAB)
                space = 1 if cells == 0 else 0
                begun = begun and cells == 0
            n, space, begun = _write_chunk(html, chunks[k, 0], chunks[k, 1], names, values, out, n, space, begun)
            hard[i] = n < 0
            k += 1
        n = _put(out, start if hard[i] else n, B.NEWLINE)
    return n


def is_clean(text: str) -> bool:
    """Whether `extraction.text.clean_characters` leaves a text of such lines as it is, but for its "\\n"; False also
    where that is not told quickly."""
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        return False
    return not _has_noise(np.frombuffer(text.encode("utf-8", "replace"), np.uint8))


@compiled("in:u1")
def _has_noise(text):  # type: ignore[no-untyped-def]
    """Whether there may be a character that `clean_characters` removes or changes: told by the first two bytes alone."""
    for i in range(len(text)):
        c = text[i]
        if (c >= 32 and c < 0x7F) or c == 10 or c == 9:
            continue
        if c < 0x80:
            return True
        if c < 0xC3:
            if c == 0xC2 and (text[i + 1] < 0xA0 or text[i + 1] == 0xAD):
                return True
        elif c == 0xD8:
            if text[i + 1] == 0x9C:
                return True
        elif c == 0xE1:
            if text[i + 1] == 0xA0 and text[i + 2] == 0x8E:
                return True
        elif c == 0xE2:
            if text[i + 1] == 0x80 and (
                text[i + 2] == 0x8B or 0x8E <= text[i + 2] <= 0x8F or 0xA8 <= text[i + 2] <= 0xAE
            ):
                return True
            if text[i + 1] == 0x81 and text[i + 2] >= 0xA0:
                return True
        elif c == 0xEF and (
            text[i + 1] == 0xB7 or text[i + 1] == 0xBB or (text[i + 1] == 0xBF and text[i + 2] != 0xBD)
        ):
            return True
    return False


def _decode(html: bytes, chunks: list[list[int]]) -> str:
    pieces = []
    for i, (start, end, before) in enumerate(chunks):
        if i:
            pieces.append(_BETWEEN.get(before, b" "))
        pieces.append(html[start:end])
    text = b"".join(pieces).decode("utf-8", "replace")
    return references.unescape(text) if "&" in text else text


def _row(html: bytes, chunks: list[list[int]]) -> str:
    cells: list[list[list[int]]] = [[]]
    for i, chunk in enumerate(chunks):
        if i and chunk[2] >= NEW_CELL:
            cells += [[] for _ in range(chunk[2] - NEW_CELL + 1)]
        cells[-1].append(chunk)
    return "\t".join(_collapsed(_decode(html, cell)) for cell in cells)


def _collapsed(text: str) -> str:
    return " ".join(unwrapped(text).split())


_EDIT = (
    r"(?:edit(?: source| section)?|编辑(?:源代码|本段)?|編輯(?:原始碼|本段)?|(?:ソースを)?編集|(?:원본 )?편집"
    r"|bearbeiten|quelltext bearbeiten|modifier(?: le (?:code|wikicode))?|editar(?: código)?|modifica(?: wikitesto)?"
    r"|править(?: код)?|bewerken|brontekst bewerken|edytuj(?: kod)?)"
)
_MARKS = re.compile(
    rf"\s*(?:[\[【［]\s*{_EDIT}(?:\s*[|｜]\s*{_EDIT})*\s*[\]】］]|[¶§🔗⚓]|(?<=\S)\s+#)\s*$", re.IGNORECASE
)


def without_marks(headline: str) -> str:
    """A headline without what editors and links put behind it: `[edit]`, `¶`."""
    return _MARKS.sub("", headline) or headline


def _code_lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    return lines
