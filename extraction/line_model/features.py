"""What the line model knows of a line: numbers computed from a scanned page, in compiled passes.

Three groups of columns, in this order:

- `TEXT`: of the line's own words and of its place among the lines. All that the model's `text` form has.
- `DOM`: of the element that it stands in, of its ancestors, of the lines with the same path, of what lies around it.
- `context_names`: of two scores by hashed words and attributes (see `linear`), around the line and around its element.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from extraction.kernels import FNV_START, compiled, fnv1a
from extraction.lines import tags as t
from extraction.lines.columns import (
    E_COLUMNS,
    E_DEPTH,
    E_PARENT,
    E_PATH,
    E_TAG,
    E_TOKEN0,
    E_TOKEN1,
    L_BLOCK,
    L_BOLD,
    L_BREAKS,
    L_CHARACTERS,
    L_CJK,
    L_CJK_PUNCTUATION,
    L_COLUMNS,
    L_COMMAS,
    L_DIGITS,
    L_ELEMENT,
    L_FIRST,
    L_HASH,
    L_IMAGES,
    L_INPUTS,
    L_KIND,
    L_LAST,
    L_LINK_CHARACTERS,
    L_LINKS,
    L_LISTS,
    L_MARKER,
    L_PIPES,
    L_PUNCTUATION,
    L_SENTENCE_ENDS,
    L_STOP_WORDS,
    L_TITLE,
    L_UPPER,
    L_WORD0,
    L_WORD1,
    L_WORDS,
)

# fmt: off
TEXT = (
    "characters", "length", "characters per word", "stop words", "upper case", "digits", "signs", "CJK",
    "commas", "sentence ends",
    "first character", "last character", "bars", "marks per word", "times on the page", "times before",
    "title words", "title share",
    "place", "lines before", "lines after", "text before", "lines of the page", "text of the page",
    "CJK of the page", "prose of the page",
    "prose share of the page", "marks per line of the page", "lines since prose", "lines to prose", "lines since first prose",
    "lines to last prose",
)
LEVELS = 5
"""Ancestors that are looked at: the line's block, its parent, and so on."""

_OF_LEVEL = ("text", "link share", "lines", "marks per word", "share of the page", "stop words")
DOM = (
    "link share", "links", "bold", "breaks before", "images before", "fields before", "kind", "marker", "lists around", "depth",
    "element", "block", "parent", "grandparent",
    *(f"in {names}" for names in t.FLAGS), "hidden", "aria-hidden", "in a link with address",
    "lines of this path", "line share of this path", "text share of this path", "link share of this path", "marks of this path",
    "length of this path", "lines since this path", "lines to this path",
    *(f"{what} of ancestor {level}" for level in range(LEVELS) for what in _OF_LEVEL),
    "steps up to the main half", "steps up to the main 80 %", "below the main 80 %", "depth of the main half",
    "depth of the main 80 %",
    "depth shared with the main half", "depth shared with the line before", "steps down from the line before",
    "depth shared with the next",
    "steps down to the next", "h1 before", "headings before", "lines since a heading", "level of that heading", "h1 of the page",
    "link share of the page", "children lines of the block",
)
# fmt: on
N_TEXT, N_DOM = len(TEXT), len(DOM)

MAIN_TRAITS = 2
"""Commas and sentence ends from which a line without many links counts as prose."""

BITS = 18
"""Hashed words and attributes fall on 2**BITS weights."""

_MASK = (1 << BITS) - 1
_N_FLAGS = t.N_FLAGS
_LEVELS = LEVELS
_E, _L = E_COLUMNS, L_COLUMNS
_HEADING, _H1_BIT, _H1_TAG = t.IN_HEADING, t.FLAG["h1"], t.TAG["h1"]


@numba.njit
def _marks(line: Any) -> Any:
    return float(line[L_COMMAS] + line[L_SENTENCE_ENDS])


@numba.njit
def _length(line: Any) -> Any:
    """Words; a Chinese character counts as 0.6."""
    return line[L_WORDS] + 0.6 * line[L_CJK]


@numba.njit
def _is_prose(line: Any) -> Any:
    return line[L_COMMAS] + line[L_SENTENCE_ENDS] >= MAIN_TRAITS and 2 * line[L_LINK_CHARACTERS] < line[L_CHARACTERS]


@numba.njit
def _slot(keys: Any, key: Any) -> Any:
    """Place of a key (not 0) in an open-addressed table, taken if it is new."""
    slot = np.int64(key % len(keys))
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) % len(keys)
    keys[slot] = key
    return slot


@numba.njit
def _table_size(n: Any) -> Any:
    size = 64
    while size < 2 * n:
        size *= 2
    return size


@compiled("in:i4* io:f4*")
def text_features(lines, out):  # type: ignore[no-untyped-def]
    """Fill columns [0, N_TEXT) of `out`, float32 (lines, columns), from a scan's `lines`."""
    n = len(lines)
    size = _table_size(n)
    keys = np.zeros(size, np.uint64)
    count = np.zeros(size, np.int64)
    slots = np.zeros(n, np.int64)
    total = 1.0
    cjk = 0.0
    prose = 0.0
    marks = 0.0
    first = -1
    last = -1
    for i in range(n):
        line = lines[i]
        slots[i] = _slot(keys, np.uint64(np.uint32(line[L_HASH])) + np.uint64(1))
        out[i, 15] = min(count[slots[i]], 50)
        count[slots[i]] += 1
        total += line[L_CHARACTERS]
        cjk += line[L_CJK]
        marks += _marks(line)
        if _is_prose(line):
            prose += line[L_CHARACTERS] - line[L_LINK_CHARACTERS]
            first = i if first < 0 else first
            last = i
    before = 0.0
    since = 99.0
    for i in range(n):
        line = lines[i]
        x = out[i]
        characters = max(1.0, float(line[L_CHARACTERS]))
        length = max(1.0, _length(line))
        words = max(1.0, float(line[L_WORDS]))
        known = max(1.0, float(line[L_WORD1] - line[L_WORD0]))
        x[0] = np.log(characters)
        x[1] = np.log(length)
        x[2] = characters / length
        x[3] = line[L_STOP_WORDS] / words
        x[4] = line[L_UPPER] / characters
        x[5] = line[L_DIGITS] / characters
        x[6] = (line[L_PUNCTUATION] + line[L_CJK_PUNCTUATION]) / characters
        x[7] = line[L_CJK] / characters
        x[8] = line[L_COMMAS]
        x[9] = line[L_SENTENCE_ENDS]
        x[10] = line[L_FIRST]
        x[11] = line[L_LAST]
        x[12] = line[L_PIPES] / characters
        x[13] = _marks(line) / length
        x[14] = min(count[slots[i]], 50)
        x[16] = line[L_TITLE]
        x[17] = line[L_TITLE] / known
        x[18] = i / n
        x[19] = np.log(i + 1.0)
        x[20] = np.log(float(n - i))
        x[21] = before / total
        before += line[L_CHARACTERS]
        x[22] = np.log(float(n))
        x[23] = np.log(total)
        x[24] = cjk / total
        x[25] = np.log(prose + 1.0)
        x[26] = prose / total
        x[27] = marks / n
        since = 0.0 if _is_prose(line) else min(since + 1.0, 99.0)
        x[28] = since
        x[30] = -99.0 if first < 0 else max(-99.0, min(99.0, float(i - first)))
        x[31] = -99.0 if first < 0 else max(-99.0, min(99.0, float(last - i)))
    since = 99.0
    for i in range(n - 1, -1, -1):
        since = 0.0 if _is_prose(lines[i]) else min(since + 1.0, 99.0)
        out[i, 29] = since


@numba.njit
def _common(elements: Any, a: Any, b: Any) -> Any:
    """Lowest common ancestor; parents have smaller numbers."""
    while a != b:
        if a > b:
            a = elements[a, E_PARENT]
        else:
            b = elements[b, E_PARENT]
    return a


@compiled("in:i4* in:i8 in:i4* io:f4*")
def dom_features(elements, flags, lines, out):  # type: ignore[no-untyped-def]
    """Fill columns [N_TEXT, N_TEXT + N_DOM) of `out` from a scan's `elements`, `flags` and `lines`."""
    n = len(lines)
    m = len(elements)
    # sums over subtrees: characters, link characters, lines, marks, length, stop words, prose
    sums = np.zeros((m, 7), np.float32)
    own = np.zeros(m, np.int32)
    size = _table_size(n)
    keys = np.zeros(size, np.uint64)
    path = np.zeros((size, 4), np.float32)
    recent = np.full(size, -1, np.int64)
    slots = np.zeros(n, np.int64)
    headings = 0
    for i in range(n):
        line = lines[i]
        e = line[L_ELEMENT]
        own[line[L_BLOCK]] += 1
        sums[e, 0] += line[L_CHARACTERS]
        sums[e, 1] += line[L_LINK_CHARACTERS]
        sums[e, 2] += 1
        sums[e, 3] += _marks(line)
        sums[e, 4] += _length(line)
        sums[e, 5] += line[L_STOP_WORDS]
        if _is_prose(line):
            sums[e, 6] += line[L_CHARACTERS] - line[L_LINK_CHARACTERS]
        slots[i] = _slot(keys, np.uint64(np.uint32(elements[e, E_PATH])) + np.uint64(1))
        path[slots[i], 0] += 1
        path[slots[i], 1] += line[L_CHARACTERS]
        path[slots[i], 2] += line[L_LINK_CHARACTERS]
        path[slots[i], 3] += _marks(line)
        if flags[e] & _H1_BIT:
            headings += 1
    for e in range(m - 1, 0, -1):
        p = elements[e, E_PARENT]
        for k in range(7):
            sums[p, k] += sums[e, k]
    total = max(np.float32(1.0), sums[0, 0])
    half = 0
    most = 0
    if sums[0, 6] > 0:
        for e in range(m):
            if sums[e, 6] >= 0.5 * sums[0, 6] and elements[e, E_DEPTH] >= elements[half, E_DEPTH]:
                half = e
            if sums[e, 6] >= 0.8 * sums[0, 6] and elements[e, E_DEPTH] >= elements[most, E_DEPTH]:
                most = e
    seen_h1 = 0
    seen_headings = 0
    last_heading = -1
    last_level = 0
    for i in range(n):
        line = lines[i]
        x = out[i]
        e = line[L_ELEMENT]
        block = line[L_BLOCK]
        characters = max(np.float32(1.0), np.float32(line[L_CHARACTERS]))
        k = N_TEXT
        x[k] = line[L_LINK_CHARACTERS] / characters
        x[k + 1] = line[L_LINKS]
        x[k + 2] = line[L_BOLD] / characters
        x[k + 3] = line[L_BREAKS]
        x[k + 4] = line[L_IMAGES]
        x[k + 5] = line[L_INPUTS]
        x[k + 6] = line[L_KIND]
        x[k + 7] = line[L_MARKER]
        x[k + 8] = line[L_LISTS]
        x[k + 9] = elements[e, E_DEPTH]
        x[k + 10] = elements[e, E_TAG]
        x[k + 11] = elements[block, E_TAG]
        parent = max(0, elements[block, E_PARENT])
        x[k + 12] = elements[parent, E_TAG]
        x[k + 13] = elements[max(0, elements[parent, E_PARENT]), E_TAG]
        k += 14
        for bit in range(_N_FLAGS):
            x[k + bit] = flags[e] >> bit & 1
        k += _N_FLAGS
        s = slots[i]
        x[k] = np.log(path[s, 0])
        x[k + 1] = path[s, 0] / n
        x[k + 2] = path[s, 1] / total
        x[k + 3] = path[s, 2] / max(np.float32(1.0), path[s, 1])
        x[k + 4] = path[s, 3] / path[s, 0]
        x[k + 5] = np.log(path[s, 1] / path[s, 0] + 1)
        x[k + 6] = min(i - recent[s], 99) if recent[s] >= 0 else 99
        x[k + 7] = 99
        if recent[s] >= 0:
            out[recent[s], k + 7] = min(i - recent[s], 99)
        recent[s] = i
        k += 8
        a = block
        for _level in range(_LEVELS):
            x[k] = np.log(max(np.float32(1.0), sums[a, 0]))
            x[k + 1] = sums[a, 1] / max(np.float32(1.0), sums[a, 0])
            x[k + 2] = np.log(sums[a, 2] + 1)
            x[k + 3] = sums[a, 3] / max(np.float32(1.0), sums[a, 4])
            x[k + 4] = sums[a, 0] / total
            x[k + 5] = sums[a, 5] / max(np.float32(1.0), sums[a, 4])
            k += 6
            a = max(0, elements[a, E_PARENT])
        a = e
        up = 0
        to_half = -1
        to_most = -1
        while a >= 0:
            if a == half and to_half < 0:
                to_half = up
            if a == most and to_most < 0:
                to_most = up
            a = elements[a, E_PARENT]
            up += 1
        x[k] = to_half
        x[k + 1] = to_most
        x[k + 2] = to_most >= 0
        x[k + 3] = elements[half, E_DEPTH]
        x[k + 4] = elements[most, E_DEPTH]
        x[k + 5] = elements[_common(elements, e, half), E_DEPTH] - elements[half, E_DEPTH]
        if i > 0:
            before = lines[i - 1, L_ELEMENT]
            shared = elements[_common(elements, e, before), E_DEPTH]
            x[k + 6] = shared
            x[k + 7] = elements[e, E_DEPTH] - shared
            out[i - 1, k + 8] = shared
            out[i - 1, k + 9] = elements[before, E_DEPTH] - shared
        else:
            x[k + 6] = -1
            x[k + 7] = -1
        x[k + 8] = -1
        x[k + 9] = -1
        if flags[e] & _H1_BIT:
            seen_h1 += 1
        x[k + 10] = seen_h1
        x[k + 11] = seen_headings
        x[k + 12] = min(i - last_heading, 99) if last_heading >= 0 else 99
        x[k + 13] = last_level
        if flags[e] & _HEADING:
            seen_headings += 1
            last_heading = i
            last_level = line[L_KIND]
        x[k + 14] = headings
        x[k + 15] = sums[0, 1] / total
        x[k + 16] = own[block]


@compiled("in:i4* in:u4 in:i4* io:u4 io:i8")
def attribute_hashes(elements, tokens, lines, out, starts):  # type: ignore[no-untyped-def]
    """Weights that a line's attributes fall on: `out[starts[i]:starts[i + 1]]`; for training. `linear` sums the same."""
    k = 0
    for i in range(len(lines)):
        starts[i] = k
        e = lines[i, L_ELEMENT]
        level = 0
        below = 0
        while e > 0:
            if level < 6:
                out[k] = _of_tag(elements[e, E_TAG], below, level)
                k += 1
            below = elements[e, E_TAG]
            for q in range(elements[e, E_TOKEN0], elements[e, E_TOKEN1]):
                out[k] = fnv1a(tokens[q], 0x51) & np.uint32(_MASK)
                k += 1
                if level < 3:
                    out[k] = fnv1a(tokens[q], 0x1234567) & np.uint32(_MASK)
                    k += 1
            e = elements[e, E_PARENT]
            level += 1
    starts[len(lines)] = k


@numba.njit
def _of_tag(tag: Any, below: Any, level: Any) -> Any:
    return fnv1a(fnv1a(FNV_START, tag + 1000 * level), below + 500) & np.uint32(_MASK)


@compiled("in:i4* in:u4 io:u4 io:i8")
def word_hashes(lines, words, out, starts):  # type: ignore[no-untyped-def]
    """Weights that a line's words, pairs of words, and whole if it is short, fall on: as `attribute_hashes`."""
    k = 0
    for i in range(len(lines)):
        starts[i] = k
        k = _words_of(lines[i], words, out, k)
    starts[len(lines)] = k


@numba.njit
def _words_of(line: Any, words: Any, out: Any, k: Any) -> Any:
    first, last = line[L_WORD0], line[L_WORD1]
    for q in range(first, last):
        out[k] = fnv1a(words[q], 3) & np.uint32(_MASK)
        k += 1
        if q > first:
            out[k] = fnv1a(fnv1a(words[q], words[q - 1]), 9) & np.uint32(_MASK)
            k += 1
    if 0 < last - first < 8:
        out[k] = fnv1a(np.uint32(line[L_HASH]), 5) & np.uint32(_MASK)
        out[k + 1] = fnv1a(words[first], 11) & np.uint32(_MASK)
        k += 2
    return k


@compiled("in:i4* in:u4 in:i4* in:f4 f4 io:f4")
def score_attributes(elements, tokens, lines, weights, bias, out):  # type: ignore[no-untyped-def]
    """The linear score of each line's attributes, `out` (lines,): sum of its weights / sqrt(their number) + `bias`.

    Summed down the tree, so that an ancestor is looked at once for all its lines.
    """
    m = len(elements)
    far = np.zeros(m, np.float64)  # of the tokens of an element and all its ancestors
    near = np.zeros(m, np.float64)  # of its own, as one of the nearest three
    number = np.zeros(m, np.int64)
    for e in range(1, m):
        p = elements[e, E_PARENT]
        total = far[p]
        for q in range(elements[e, E_TOKEN0], elements[e, E_TOKEN1]):
            total += weights[fnv1a(tokens[q], 0x51) & np.uint32(_MASK)]
            near[e] += weights[fnv1a(tokens[q], 0x1234567) & np.uint32(_MASK)]
        far[e] = total
        number[e] = number[p] + elements[e, E_TOKEN1] - elements[e, E_TOKEN0]
    for i in range(len(lines)):
        e = lines[i, L_ELEMENT]
        total = far[e]
        count = number[e]
        below = 0
        a = e
        for level in range(6):
            if a <= 0:
                break
            total += weights[_of_tag(elements[a, E_TAG], below, level)]
            count += 1
            if level < 3:
                total += near[a]
                count += elements[a, E_TOKEN1] - elements[a, E_TOKEN0]
            below = elements[a, E_TAG]
            a = elements[a, E_PARENT]
        out[i] = bias + (total / np.sqrt(float(count)) if count else 0.0)


@compiled("in:i4* in:u4 in:f4 f4 io:f4")
def score_words(lines, words, weights, bias, out):  # type: ignore[no-untyped-def]
    """The linear score of each line's words, as `score_attributes`."""
    found = np.zeros(256, np.uint32)
    for i in range(len(lines)):
        line = lines[i]
        last = line[L_WORD1]
        first = line[L_WORD0]
        total = 0.0
        count = 0
        q = first
        if last - first <= 100:
            count = _words_of(line, words, found, 0)
            for k in range(count):
                total += weights[found[k]]
        else:  # a row of many cells
            for q in range(first, last):
                total += weights[fnv1a(words[q], 3) & np.uint32(_MASK)]
                count += 1
                if q > first:
                    total += weights[fnv1a(fnv1a(words[q], words[q - 1]), 9) & np.uint32(_MASK)]
                    count += 1
        out[i] = bias + (total / np.sqrt(float(count)) if count else 0.0)


WINDOW = 3
"""Lines before and after whose columns a line has too."""

NEAR, FAR = 5, 15
"""Radii, in lines, of the running means."""

_OF_SCORE = (
    f"mean of {2 * NEAR + 1} lines",
    f"mean of {2 * FAR + 1} lines",
    "mean of the page",
    "mean of the page's text",
    "rank",
)
_OF_TREE = (
    "mean of this path",
    "mean of the block",
    "mean of the parent",
    "mean of the grandparent",
    "mean of 3 steps up",
)
N_OF_SCORE, N_OF_TREE = len(_OF_SCORE), len(_OF_TREE)

WINDOW_TEXT = ("characters", "sentence ends", "CJK", "bars")
WINDOW_DOM = (
    "characters",
    "link share",
    "sentence ends",
    "block",
    "lines of this path",
    "depth shared with the line before",
)


def context_names(scores: tuple[str, ...], dom: bool) -> tuple[str, ...]:
    """Names of the columns behind `TEXT` and `DOM`."""
    window = (*(WINDOW_DOM if dom else WINDOW_TEXT), *scores)
    shifts = [s for s in range(-WINDOW, WINDOW + 1) if s]
    return (
        *scores,
        *(f"{score}, {what}" for score in scores for what in _OF_SCORE),
        *(f"{score}, {what}" for score in scores if dom for what in _OF_TREE),
        *(f"{name}, {shift:+d}" for shift in shifts for name in window),
    )


def window_columns(dom: bool) -> npt.NDArray[np.int64]:
    """Numbers of the dense columns that are looked at in the lines around."""
    names = [*TEXT, *DOM]
    return np.array([names.index(name) for name in (WINDOW_DOM if dom else WINDOW_TEXT)], np.int64)


_NEAR, _FAR, _WINDOW = NEAR, FAR, WINDOW
_N_OF_SCORE, _N_OF_TREE = N_OF_SCORE, N_OF_TREE


@compiled("in:f4* in:i8 i8 io:f4*")
def context_features(scores, columns, start, out):  # type: ignore[no-untyped-def]
    """Fill the columns of `context_names` but those of the tree, from `start` on.

    :param scores: float32 (scores, lines).
    :param columns: `window_columns`.
    """
    channels, n = scores.shape
    weights = np.zeros(n, np.float64)
    total_weight = 0.0
    for i in range(n):
        weights[i] = np.exp(np.float64(out[i, 0]))
        total_weight += weights[i]
    sums = np.zeros(n + 1, np.float64)
    for c in range(channels):
        weighted = 0.0
        for i in range(n):
            sums[i + 1] = sums[i] + scores[c, i]
            weighted += scores[c, i] * weights[i]
        order = np.argsort(scores[c], kind="mergesort")
        k = start + channels + c * _N_OF_SCORE
        for r in range(n):
            out[order[r], k + 4] = r / n
        for i in range(n):
            out[i, start + c] = scores[c, i]
            a, b = max(0, i - _NEAR), min(n, i + _NEAR + 1)
            out[i, k] = (sums[b] - sums[a]) / (b - a)
            a, b = max(0, i - _FAR), min(n, i + _FAR + 1)
            out[i, k + 1] = (sums[b] - sums[a]) / (b - a)
            out[i, k + 2] = sums[n] / n
            out[i, k + 3] = weighted / total_weight
    width = len(columns) + channels
    k = out.shape[1] - 2 * _WINDOW * width
    for shift in range(-_WINDOW, _WINDOW + 1):
        if shift == 0:
            continue
        for i in range(n):
            j = i + shift
            if 0 <= j < n:
                for q in range(len(columns)):
                    out[i, k + q] = out[j, columns[q]]
                for c in range(channels):
                    out[i, k + len(columns) + c] = scores[c, j]
            else:
                for q in range(width):
                    out[i, k + q] = -50.0
        k += width


@compiled("in:f4* in:i4* in:i4* i8 io:f4*")
def tree_features(scores, elements, lines, start, out):  # type: ignore[no-untyped-def]
    """Fill the means of each score over the lines of a path, of a block, and of what holds it, from column `start` on."""
    channels, n = scores.shape
    m = len(elements)
    sums = np.zeros((m, channels + 1), np.float64)
    size = _table_size(n)
    keys = np.zeros(size, np.uint64)
    path = np.zeros((size, channels + 1), np.float64)
    slots = np.zeros(n, np.int64)
    for i in range(n):
        e = lines[i, L_ELEMENT]
        weight = np.sqrt(1.0 + lines[i, L_CHARACTERS])
        slots[i] = _slot(keys, np.uint64(np.uint32(elements[e, E_PATH])) + np.uint64(1))
        for c in range(channels):
            sums[e, c] += weight * scores[c, i]
            path[slots[i], c] += weight * scores[c, i]
        sums[e, channels] += weight
        path[slots[i], channels] += weight
    for e in range(m - 1, 0, -1):
        for c in range(channels + 1):
            sums[elements[e, E_PARENT], c] += sums[e, c]
    for i in range(n):
        for c in range(channels):
            k = start + c * _N_OF_TREE
            out[i, k] = path[slots[i], c] / path[slots[i], channels]
            a = lines[i, L_BLOCK]
            for level in range(1, _N_OF_TREE):
                out[i, k + level] = sums[a, c] / max(sums[a, channels], 1e-9)
                a = max(0, elements[a, E_PARENT])
