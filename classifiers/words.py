"""Words of texts as rows of a table of vectors: what the category classifier sees. numpy and numba alone.

A Latin word is a run of ASCII letters, digits (each as 0) and letters of two bytes, in lower case. A run of CJK characters is cut
greedily, the longest word of the vocabulary first, at most WORD_LENGTH characters. What the vocabulary lacks is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from extraction.kernels import FNV_START, compiled, fnv1a, helper, is_cjk_or_supplementary, utf8_point, utf8_size
from extraction.lines import tags as t

WORD_LENGTH = 6
"""Characters of the longest CJK word."""

_SPREAD = np.uint32(2654435769)
_LOWER, _UPPER, _DIGIT, _LEAD = t.LOWER, t.UPPER, t.DIGIT, t.LEAD


class Vocabulary:
    """:param keys: hash of each word, uint32 (n,), each once; a word's row is its place."""

    def __init__(self, keys: npt.NDArray[np.uint32]) -> None:
        self.keys = keys
        size = 1 << max(4, (2 * len(keys)).bit_length())
        self._slots = np.zeros(size, np.uint32)
        self._rows = np.full(size, -1, np.int32)
        _fill(keys, self._slots, self._rows)

    def __len__(self) -> int:
        return len(self.keys)

    def rows(
        self, pieces: Sequence[bytes], limits: Sequence[int]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Rows of the words of UTF-8 texts, in their order: int32 (words,), and where each text's begin: int64 (texts + 1).

        :param limits: how many words of each text are taken.
        """
        lengths = np.array([len(piece) for piece in pieces], np.int64)
        bounds = np.asarray(limits, np.int64)
        out = np.empty(int(np.minimum(bounds, lengths).sum()) + 1, np.int32)
        starts = np.zeros(len(pieces) + 1, np.int64)
        data = np.frombuffer(b"".join(pieces), np.uint8)
        _look_up(data, np.cumsum(lengths), bounds, t.CLASSES, self._slots, self._rows, out, starts)
        return out[: starts[-1]].copy(), starts


def keys_of(words: Sequence[str]) -> npt.NDArray[np.uint32]:
    """Hash of each word, uint32 (n,). Words that are read alike (`Run`, `run`) have the same."""
    pieces = [word.encode("utf-8", "replace") for word in words]
    out = np.zeros(len(words), np.uint32)
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    _hash(np.frombuffer(b"".join(pieces), np.uint8), ends, t.CLASSES, out)
    return out


@compiled("in:u4 io:u4 io:i4")
def _fill(keys, slots, rows):  # type: ignore[no-untyped-def]
    mask = len(slots) - 1
    for i in range(len(keys)):
        at = np.int64((keys[i] * _SPREAD) >> np.uint32(5)) & mask
        while rows[at] >= 0:
            at = (at + 1) & mask
        slots[at] = keys[i]
        rows[at] = i


@compiled("in:u1 in:i8 in:u1 io:u4")
def _hash(data, ends, classes, out):  # type: ignore[no-untyped-def]
    begin = 0
    for i in range(len(ends)):
        h = FNV_START
        for p in range(begin, ends[i]):
            c = np.uint32(data[p])
            kind = classes[data[p]]
            if kind == _UPPER:
                c |= np.uint32(32)
            elif kind == _DIGIT:
                c = np.uint32(48)
            h = fnv1a(h, c)
        out[i] = h
        begin = ends[i]


@helper
def _row(slots: Any, rows: Any, key: Any) -> Any:
    """Row of the word with a hash, or -1."""
    mask = len(slots) - 1
    at = np.int64((key * _SPREAD) >> np.uint32(5)) & mask
    while rows[at] >= 0 and slots[at] != key:
        at = (at + 1) & mask
    return rows[at]


@compiled("in:u1 in:i8 in:i8 in:u1 in:u4 in:i4 io:i4 io:i8")
def _look_up(data, ends, bounds, classes, slots, rows, out, starts):  # type: ignore[no-untyped-def]
    k = 0
    begin = 0
    for piece in range(len(ends)):
        starts[piece] = k
        limit = k + bounds[piece]
        p = begin
        end = ends[piece]
        begin = end
        h = FNV_START
        inside = False
        while p < end and k < limit:
            c = np.uint32(data[p])
            kind = classes[data[p]]
            size = 0
            point = np.int64(0)
            if kind == _LOWER or kind == _UPPER:
                h = fnv1a(h, c | np.uint32(32))
                inside = True
                p += 1
                continue
            if kind == _DIGIT:
                h = fnv1a(h, 48)
                inside = True
                p += 1
                continue
            if kind == _LEAD:
                size = utf8_size(c)
                if p + size > end:
                    break
                if size == 2:
                    h = fnv1a(fnv1a(h, c), data[p + 1])
                    inside = True
                    p += 2
                    continue
                point = utf8_point(data, p, size)
            if inside:
                row = _row(slots, rows, h)
                if row >= 0:
                    out[k] = row
                    k += 1
                inside = False
                h = FNV_START
                continue
            if not is_cjk_or_supplementary(point):
                p += max(size, 1)
                continue
            # The longest word that begins here.
            longest = np.int64(-1)
            h = FNV_START
            q = p
            after = p + size
            for _ in range(WORD_LENGTH):
                if q >= end or data[q] < 0xE0:
                    break
                size = utf8_size(data[q])
                if q + size > end:
                    break
                for b in range(q, q + size):
                    h = fnv1a(h, data[b])
                q += size
                row = _row(slots, rows, h)
                if row >= 0:
                    longest = row
                    after = q
            if longest >= 0:
                out[k] = longest
                k += 1
            h = FNV_START
            p = after
        if inside and k < limit:
            row = _row(slots, rows, h)
            if row >= 0:
                out[k] = row
                k += 1
    starts[len(ends)] = k


__all__ = ["Vocabulary", "keys_of"]
