"""Lines of a scan as text."""

from __future__ import annotations

import functools
import html as references
import unicodedata
from collections.abc import Iterable
from html.entities import html5
from typing import Any, Literal

import numba
import numpy as np
import numpy.typing as npt

from extraction.characters import fnv1a_of
from extraction.kernels import compiled
from extraction.lines.columns import (
    JOINED,
    K_CODE,
    K_H1,
    K_ROW,
    L_CHUNK0,
    L_CHUNK1,
    L_KIND,
    L_LISTS,
    L_MARKER,
    NEW_CELL,
    NEW_LINE,
    TAGS,
)
from extraction.lines.scan import Scan

_BETWEEN = {JOINED: b"", NEW_LINE: b"\n"}


def text_of(
    html: bytes,
    found: Scan,
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
    chosen = np.arange(len(found.lines)) if numbers is None else np.fromiter(numbers, np.int64)
    if not len(chosen):
        return []
    texts = _written(html, found, chosen)
    columns = np.stack(
        [found.lines[:, c][chosen] for c in (L_CHUNK0, L_CHUNK1, L_KIND, L_MARKER, L_LISTS)], axis=1
    ).tolist()
    out: list[tuple[int, str, str]] = []
    for number, text, (first, last, kind, marker, depth) in zip(chosen.tolist(), texts, columns, strict=True):
        tag = TAGS[kind]
        if text is None:
            chunks = found.chunks[first:last].tolist()
            if kind == K_CODE:
                out += [(number, line, tag) for line in _code_lines(_decode(html, chunks))]
                continue
            text = _row(html, chunks) if kind == K_ROW else " ".join(_decode(html, chunks).split())
        if not text or text.isspace():
            continue
        if kind >= K_H1 and headings == "markdown":
            text = f"{'#' * (kind - K_H1 + 1)} {text}"
        elif marker and list_markers:
            text = f"{'  ' * (depth - 1)}{f'{marker}.' if marker > 0 else '-'} {text}"
        out.append((number, text, tag))
    return out


def _written(html: bytes, found: Scan, chosen: npt.NDArray[np.int64]) -> list[str | None]:
    """Text of the chosen lines, all of them in one pass; None for code and for what only Python's own rules for
    character references can tell."""
    sizes = found.chunks[:, 1].astype(np.int64) - found.chunks[:, 0] + 4
    total = np.concatenate([[0], np.cumsum(sizes)])
    cells = 100 * len(found.chunks)  # a chunk stands behind at most 100 empty cells
    first, last = found.lines[:, L_CHUNK0][chosen], found.lines[:, L_CHUNK1][chosen]
    room = int((total[last] - total[first]).sum()) * 2 + len(chosen)
    if (found.lines[:, L_KIND] == K_ROW).any():
        room += cells
    out = np.empty(room, np.uint8)
    hard = np.zeros(len(chosen), np.bool_)
    names, values = _references()
    end = _write(np.frombuffer(html, np.uint8), found.chunks, found.lines, chosen, names, values, out, hard)
    texts: list[str | None] = list(out[:end].tobytes().decode("utf-8", "replace").split("\n"))
    texts.pop()  # behind the last line's end
    for i in np.flatnonzero(hard).tolist():
        texts[i] = None
    return texts


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


@numba.njit
def _is_space(html: Any, p: Any, end: Any) -> Any:
    """Bytes of the white space at `p` (as `str.split` knows it), or 0."""
    c = html[p]
    if c == 32 or 9 <= c <= 13 or 28 <= c <= 31:
        return 1
    if c == 0xC2 and p + 1 < end and (html[p + 1] == 0xA0 or html[p + 1] == 0x85):
        return 2
    if p + 2 < end:
        if c == 0xE3:
            return 3 if html[p + 1] == 0x80 and html[p + 2] == 0x80 else 0
        if c == 0xE2:
            a, b = html[p + 1], html[p + 2]
            if a == 0x80 and (0x80 <= b <= 0x8A or b == 0xA8 or b == 0xA9 or b == 0xAF):
                return 3
            return 3 if a == 0x81 and b == 0x9F else 0
        if c == 0xE1:
            return 3 if html[p + 1] == 0x9A and html[p + 2] == 0x80 else 0
    return 0


@numba.njit
def _reference(html: Any, p: Any, end: Any, names: Any) -> Any:
    """The character reference at `p`: its end, and the slot of its name or, below 0, -1 - its code point. End 0: not for here."""
    q = p + 1
    if q < end and html[q] == 35:
        q += 1
        hexadecimal = q < end and html[q] | 32 == 120
        if hexadecimal:
            q += 1
        value = 0
        start = q
        while q < end and q - start < 8:
            c = html[q]
            if 48 <= c <= 57:
                digit = c - 48
            elif hexadecimal and 97 <= c | 32 <= 102:
                digit = (c | 32) - 87
            else:
                break
            value = value * (16 if hexadecimal else 10) + digit
            q += 1
        usual = 32 <= value < 127 or 160 <= value < 0xD800 or 0xE000 <= value < 0xFDD0 or 0x10000 <= value <= 0x1FFFD
        if q == start or q >= end or html[q] != 59 or not usual:
            return 0, 0
        return q + 1, -1 - value
    if q >= end or not (97 <= html[q] | 32 <= 122):
        if q >= end or html[q] == 32:  # a lone ampersand
            return p + 1, -1 - 38
        return 0, 0
    key = np.uint32(2166136261)
    start = q
    while q < end and q - start < 32 and (97 <= html[q] | 32 <= 122 or 48 <= html[q] <= 57):
        key = np.uint32((key ^ np.uint32(html[q])) * np.uint32(16777619))
        q += 1
    if q >= end or html[q] != 59:
        return 0, 0
    slot = np.int64(key) % len(names)
    while names[slot, 2] != 0:
        if names[slot, 0] == np.int64(key):
            return q + 1, slot
        slot = (slot + 1) % len(names)
    return 0, 0


@compiled("in:u1 in:i4* in:i4* in:i8 in:i8* in:u1 io:u1 io:b1")
def _write(html, chunks, lines, chosen, names, values, out, hard):  # type: ignore[no-untyped-def]
    n = 0
    for i in range(len(chosen)):
        line = lines[chosen[i]]
        start = n
        if line[L_KIND] == K_CODE:
            hard[i] = True
            out[n] = 10
            n += 1
            continue
        row = line[L_KIND] == K_ROW
        space = False  # before the next character
        begun = False  # the line, or the cell, has a character
        for k in range(line[L_CHUNK0], line[L_CHUNK1]):
            before = chunks[k, 2]
            if k > line[L_CHUNK0] and before != JOINED:
                if row and before >= NEW_CELL:
                    for _cell in range(before - NEW_CELL + 1):
                        out[n] = 9
                        n += 1
                    space = False
                    begun = False
                else:
                    space = True
            p = chunks[k, 0]
            end = chunks[k, 1]
            while p < end:
                c = html[p]
                plain = (32 < c < 128 and c != 38) or c > 0xE3
                if not plain:
                    size = _is_space(html, p, end)
                    if size > 0:
                        space = True
                        p += size
                        continue
                if c != 38:
                    if space and begun:
                        out[n] = 32
                        n += 1
                    space = False
                    begun = True
                    out[n] = c
                    n += 1
                    p += 1
                    continue
                after, found = _reference(html, p, end, names)
                if after == 0:
                    hard[i] = True
                    break
                p = after
                if found >= 0:
                    at, stop = names[found, 1], names[found, 1] + names[found, 2]
                    if _is_space(values, at, stop) > 0:
                        space = True
                        continue
                    if space and begun:
                        out[n] = 32
                        n += 1
                    space = False
                    begun = True
                    for q in range(at, stop):
                        out[n] = values[q]
                        n += 1
                    continue
                c = -1 - found
                if (
                    c == 32
                    or c == 160
                    or c == 0x1680
                    or 0x2000 <= c <= 0x200A
                    or c == 0x2028
                    or c == 0x2029
                    or c == 0x202F
                ):
                    space = True
                    continue
                if c == 0x205F or c == 0x3000:
                    space = True
                    continue
                if space and begun:
                    out[n] = 32
                    n += 1
                space = False
                begun = True
                if c < 128:
                    out[n] = c
                    n += 1
                elif c < 0x800:
                    out[n] = 0xC0 | c >> 6
                    out[n + 1] = 0x80 | (c & 63)
                    n += 2
                elif c < 0x10000:
                    out[n] = 0xE0 | c >> 12
                    out[n + 1] = 0x80 | (c >> 6 & 63)
                    out[n + 2] = 0x80 | (c & 63)
                    n += 3
                else:
                    out[n] = 0xF0 | c >> 18
                    out[n + 1] = 0x80 | (c >> 12 & 63)
                    out[n + 2] = 0x80 | (c >> 6 & 63)
                    out[n + 3] = 0x80 | (c & 63)
                    n += 4
            if hard[i]:
                break
        if hard[i]:
            n = start
        out[n] = 10
        n += 1
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
    return "\t".join(" ".join(_decode(html, cell).split()) for cell in cells)


def _code_lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    return lines
