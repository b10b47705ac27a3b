"""Texts to tokens for fuzzy deduplication: normalised, segmented and hashed a batch at a time, without a string a token.

The steps of dots.llm1 C.2: the normalisation of identity removal (`extraction.text.identity_form`, the same result), jieba
words for Chinese, words between spaces for the rest. No language is asked for: a page in two languages gives the words of
both.
"""

from __future__ import annotations

import functools
import sys
import unicodedata
from collections.abc import Callable
from typing import Any, Literal

import numba
import numpy as np
import numpy.typing as npt

from extraction.kernels import (
    FNV64_START,
    compiled,
    fnv1a_64,
    is_han_of_jieba,
    is_unspaced_or_symbol,
    utf8_point,
    utf8_size,
)
from extraction.text import identity_form

Segmenter = Literal["rjieba", "jieba"]
Bytes = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.int64]

_KEEP, _DROP, _SPACE, _MAP, _ODD = range(5)


@functools.cache
def _tables(unify_scripts: bool) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint64], Bytes, int]:
    """Tables of what `identity_form` does to each character, from one call of it (0.4 s, once a process).

    :returns: for each byte of ASCII what to write (32: white space; -1: nothing), shape (128,); for each code point
        its kind (bits 0-2), the canonical combining classes of the first and last character of its decomposition (bits
        8-15 and 16-23), length (bits 24-31) and place (bits 32-63) of what is written instead, shape (0x110000,); what
        is written, UTF-8; the largest ratio of written to read bytes, rounded up.
    """
    # The characters are held apart by NULs, which the normalisation lets through and which no accent attaches to.
    points = [p for p in range(1, sys.maxunicode + 1) if not 0xD800 <= p <= 0xDFFF]
    characters = list(map(chr, points))
    forms = identity_form("\0".join(characters), unify_scripts).split("\0")
    # White space between two NULs is a space in the result, punctuation nothing; anything else is what replaces it.
    entries = np.zeros(sys.maxunicode + 1, np.uint64)
    classes = np.fromiter(map(unicodedata.combining, characters), np.uint64, len(characters))
    entries[points] = classes << np.uint64(8) | classes << np.uint64(16)
    written, ratio, size = [], 1, 0
    for point, character, form in zip(points, characters, forms, strict=True):
        if form == character:
            continue
        if form in ("", " "):
            entries[point] = _SPACE if form else _DROP
            continue
        parts, utf8 = unicodedata.normalize("NFD", character), form.encode()
        first, last = unicodedata.combining(parts[0]), unicodedata.combining(parts[-1])
        entries[point] = _MAP | first << 8 | last << 16 | len(utf8) << 24 | size << 32
        written.append(utf8)
        size += len(utf8)
        ratio = max(ratio, -(-len(utf8) // len(character.encode())))
    entries[ord("Σ")] = _ODD  # lower case depends on its neighbours: "ς" at the end of a word
    ascii_map = np.arange(128, dtype=np.int16)
    for point in range(1, 128):
        form = forms[point - 1]
        ascii_map[point] = ord(form) if form else -1
    return ascii_map, entries, np.frombuffer(b"".join(written), np.uint8), ratio


@compiled("in:u1 in:i8 in:i2 in:u8 in:u1 io:u1 io:i8 io:b1")
def _normalise(data, offsets, ascii_map, entries, written, out, out_offsets, odd):  # type: ignore[no-untyped-def]
    """`identity_form` of each document, but for those marked in `odd`: a capital sigma, or accents to be put in order."""
    o = 0
    out_offsets[0] = 0
    for d in range(len(offsets) - 1):
        start, i, end = o, offsets[d], offsets[d + 1]
        gap = False  # white space since the last character written
        ccc = np.uint64(0)  # combining class of the last character
        odd[d] = False
        while i < end:
            c = data[i]
            if c < 128:
                m = ascii_map[c]
                i += 1
                if m == 32:
                    gap = True
                    ccc = np.uint64(0)
                elif m >= 0:
                    if gap and o > start:
                        out[o] = 32
                        o += 1
                    gap = False
                    ccc = np.uint64(0)
                    out[o] = m
                    o += 1
                continue
            size = utf8_size(c)
            entry = entries[utf8_point(data, i, size)]
            kind = entry & np.uint64(7)
            if kind == _DROP:
                i += size
                continue
            if kind == _SPACE:
                gap = True
                ccc = np.uint64(0)
                i += size
                continue
            first = (entry >> np.uint64(8)) & np.uint64(255)
            if kind == _ODD or (first != 0 and first < ccc):
                odd[d] = True
                o = start
                break
            ccc = (entry >> np.uint64(16)) & np.uint64(255)
            if gap and o > start:
                out[o] = 32
                o += 1
            gap = False
            if kind == _KEEP:
                for j in range(size):
                    out[o + j] = data[i + j]
                o += size
            else:
                place = np.int64(entry >> np.uint64(32))
                for j in range(place, place + np.int64((entry >> np.uint64(24)) & np.uint64(255))):
                    out[o] = written[j]
                    o += 1
            i += size
        out_offsets[d + 1] = o


def _joined(parts: list[bytes]) -> tuple[Bytes, Ids]:
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)), out=offsets[1:])
    return np.frombuffer(b"".join(parts), np.uint8), offsets


def identity_forms(texts: list[str], unify_scripts: bool = False) -> tuple[Bytes, Ids]:
    """`identity_form` of many texts.

    :param texts: n texts; lone surrogates are let through.
    :param unify_scripts: as in `identity_form`; it costs nothing, since the table of characters is another one.
    :returns: the normalised texts in UTF-8, one after the other, shape (n_bytes,), and where each starts and ends,
        shape (n + 1,).
    """
    data, offsets = _joined([t.encode("utf-8", "surrogatepass") for t in texts])
    ascii_map, entries, written, ratio = _tables(unify_scripts)
    out = np.empty(ratio * len(data), np.uint8)
    out_offsets, odd = np.empty(len(texts) + 1, np.int64), np.empty(len(texts), np.bool_)
    _normalise(data, offsets, ascii_map, entries, written, out, out_offsets, odd)
    if not odd.any():
        return out[: out_offsets[-1]], out_offsets
    return _joined(
        [
            identity_form(text, unify_scripts).encode("utf-8", "surrogatepass") if slow else out[start:end].tobytes()
            for text, slow, start, end in zip(texts, odd, out_offsets[:-1], out_offsets[1:], strict=True)
        ]
    )


# Runs of `is_han_of_jieba` alone go to the segmenter, so that what it makes of letters, of later blocks of ideographs
# (where rjieba and jieba differ) or of a neighbouring script does not matter.
@numba.njit
def _is_han(data, i):  # type: ignore[no-untyped-def]
    return 0xE4 <= data[i] <= 0xE9 and is_han_of_jieba(utf8_point(data, i, 3))


@compiled("in:u1 in:i8 io:u1")
def _han_runs(data, offsets, out):  # type: ignore[no-untyped-def]
    """Writes the runs of Chinese characters, each with a newline behind it; returns the bytes written."""
    o = 0
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        while i < end:
            if not _is_han(data, i):
                i += 1
                continue
            while i < end and _is_han(data, i):
                for j in range(3):
                    out[o + j] = data[i + j]
                o += 3
                i += 3
            out[o] = 10
            o += 1
    return o


@functools.cache
def _cut(segmenter: Segmenter) -> Callable[[str], Any]:
    if segmenter == "rjieba":
        import rjieba

        rust: Callable[[str], Any] = rjieba.cut
        return rust
    import logging

    import jieba  # type: ignore[import-untyped]

    jieba.setLogLevel(logging.WARNING)  # it reports the loading of its dictionary at DEBUG, on stderr
    python: Callable[[str], Any] = jieba.cut
    return python


@numba.njit
def mix64(x):  # type: ignore[no-untyped-def]
    """The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): every bit of `x` reaches every bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled("in:u1 in:i8 in:u1 io:u8 io:i8")
def _tokens(data, offsets, words, out, out_offsets):  # type: ignore[no-untyped-def]
    """Hashes of the tokens of each document; `words` are the runs of `_han_runs`, words parted by spaces."""
    o, w = 0, 0
    out_offsets[0] = 0
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        h = FNV64_START  # of the open token, `mix64` at its end; none is open while it is this
        while i < end:
            c = data[i]
            if c < 0xE0 and c != 32:
                h = fnv1a_64(h, c)
                i += 1
                continue
            size, alone = 1, False  # of scripts without spaces each character is a token
            if c != 32:
                size = utf8_size(c)
                alone = is_unspaced_or_symbol(utf8_point(data, i, size))
            if not (alone or c == 32):
                for j in range(size):
                    h = fnv1a_64(h, data[i + j])
                i += size
                continue
            if h != FNV64_START:
                out[o] = mix64(h)
                o += 1
                h = FNV64_START
            if alone and _is_han(data, i):
                while i < end and _is_han(data, i):
                    i += 3
                while w < len(words):
                    c = words[w]
                    w += 1
                    if c != 32 and c != 10:
                        h = fnv1a_64(h, c)
                        continue
                    if h != FNV64_START:
                        out[o] = mix64(h)
                        o += 1
                        h = FNV64_START
                    if c == 10:
                        break
                continue
            if alone:
                for j in range(size):
                    h = fnv1a_64(h, data[i + j])
                out[o] = mix64(h)
                o += 1
                h = FNV64_START
            i += size
        if h != FNV64_START:
            out[o] = mix64(h)
            o += 1
        out_offsets[d + 1] = o


def segment(data: Bytes, offsets: Ids, segmenter: Segmenter) -> Bytes:
    """The words of all runs of Chinese characters (U+4E00 to U+9FD5) in n documents, in UTF-8.

    :param data: normalised texts in UTF-8, shape (n_bytes,).
    :param offsets: where each document starts and ends, shape (n + 1,).
    :returns: words parted by spaces, a newline after each run.
    """
    runs = np.empty(len(data) + len(data) // 3 + 1, np.uint8)
    size = _han_runs(data, offsets, runs)
    if not size:
        return np.empty(0, np.uint8)
    return np.frombuffer(" ".join(_cut(segmenter)(runs[:size].tobytes().decode())).encode(), np.uint8)


def token_hashes(data: Bytes, offsets: Ids, words: Bytes) -> tuple[npt.NDArray[np.uint64], Ids]:
    """64-bit hashes of the tokens of normalised documents.

    A token is a jieba word, a single character of another script without spaces, or what stands between these and white
    space.

    :param data: normalised texts in UTF-8, shape (n_bytes,).
    :param offsets: where each of n documents starts and ends, shape (n + 1,).
    :param words: `segment` of the same.
    :returns: hashes, shape (n_tokens,), and where each document's start and end, shape (n + 1,).
    """
    out = np.empty(len(data) // 2 + len(offsets), np.uint64)  # the densest text is "a b c"
    out_offsets = np.empty(len(offsets), np.int64)
    _tokens(data, offsets, words, out, out_offsets)
    return out[: out_offsets[-1]], out_offsets
