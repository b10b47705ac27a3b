"""What the line model knows of a line: numbers computed from a scanned page, in compiled passes.

Three groups of columns, in this order:

- `TEXT`: of the line's own words and of its place among the lines. All that the model's `text` form has.
- `DOM`: of the element that it stands in, of its ancestors, of the lines with the same path, of what lies around it.
- `context_names`: of two scores by hashed words and attributes (see `linear`), around the line and around its element.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from extraction.kernels import FNV_START, compiled, fnv1a
from extraction.lines import tags as t
from extraction.lines.columns import E, L

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

FAR_AWAY = 99
"""Lines from which a distance counts as that."""

MANY_TIMES = 50
"""Repetitions from which their number counts as that."""

BITS = 18
"""Hashed words and attributes fall on 2**BITS weights."""


class Sums(NamedTuple):
    """Columns of sums over the lines of an element, or of a path."""

    CHARACTERS: int = 0
    LINK_CHARACTERS: int = 1
    LINES: int = 2
    MARKS: int = 3
    LENGTH: int = 4
    STOP_WORDS: int = 5
    PROSE: int = 6


U = Sums()
_MASK = (1 << BITS) - 1
_N_FLAGS = t.N_FLAGS
_LEVELS = LEVELS
_HEADING, _H1_BIT, _H1_TAG = t.IN_HEADING, t.FLAG["h1"], t.TAG["h1"]


@numba.njit
def _marks(line: Any) -> Any:
    return float(line[L.COMMAS] + line[L.SENTENCE_ENDS])


@numba.njit
def _length(line: Any) -> Any:
    """Words; a Chinese character counts as 0.6."""
    return line[L.WORDS] + 0.6 * line[L.CJK]


@numba.njit
def _is_prose(line: Any) -> Any:
    return line[L.COMMAS] + line[L.SENTENCE_ENDS] >= MAIN_TRAITS and 2 * line[L.LINK_CHARACTERS] < line[L.CHARACTERS]


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
        slots[i] = _slot(keys, np.uint64(np.uint32(line[L.HASH])) + np.uint64(1))
        out[i, 15] = min(count[slots[i]], MANY_TIMES)
        count[slots[i]] += 1
        total += line[L.CHARACTERS]
        cjk += line[L.CJK]
        marks += _marks(line)
        if _is_prose(line):
            prose += line[L.CHARACTERS] - line[L.LINK_CHARACTERS]
            first = i if first < 0 else first
            last = i
    before = 0.0
    since = float(FAR_AWAY)
    for i in range(n):
        line = lines[i]
        x = out[i]
        characters = max(1.0, float(line[L.CHARACTERS]))
        length = max(1.0, _length(line))
        words = max(1.0, float(line[L.WORDS]))
        known = max(1.0, float(line[L.WORD1] - line[L.WORD0]))
        x[0] = np.log(characters)
        x[1] = np.log(length)
        x[2] = characters / length
        x[3] = line[L.STOP_WORDS] / words
        x[4] = line[L.UPPER] / characters
        x[5] = line[L.DIGITS] / characters
        x[6] = (line[L.PUNCTUATION] + line[L.CJK_PUNCTUATION]) / characters
        x[7] = line[L.CJK] / characters
        x[8] = line[L.COMMAS]
        x[9] = line[L.SENTENCE_ENDS]
        x[10] = line[L.FIRST]
        x[11] = line[L.LAST]
        x[12] = line[L.PIPES] / characters
        x[13] = _marks(line) / length
        x[14] = min(count[slots[i]], MANY_TIMES)
        x[16] = line[L.TITLE]
        x[17] = line[L.TITLE] / known
        x[18] = i / n
        x[19] = np.log(i + 1.0)
        x[20] = np.log(float(n - i))
        x[21] = before / total
        before += line[L.CHARACTERS]
        x[22] = np.log(float(n))
        x[23] = np.log(total)
        x[24] = cjk / total
        x[25] = np.log(prose + 1.0)
        x[26] = prose / total
        x[27] = marks / n
        since = 0.0 if _is_prose(line) else min(since + 1.0, float(FAR_AWAY))
        x[28] = since
        x[30] = -float(FAR_AWAY) if first < 0 else max(-float(FAR_AWAY), min(float(FAR_AWAY), float(i - first)))
        x[31] = -float(FAR_AWAY) if first < 0 else max(-float(FAR_AWAY), min(float(FAR_AWAY), float(last - i)))
    since = float(FAR_AWAY)
    for i in range(n - 1, -1, -1):
        since = 0.0 if _is_prose(lines[i]) else min(since + 1.0, float(FAR_AWAY))
        out[i, 29] = since


@numba.njit
def _common(elements: Any, a: Any, b: Any) -> Any:
    """Lowest common ancestor; parents have smaller numbers."""
    while a != b:
        if a > b:
            a = elements[a, E.PARENT]
        else:
            b = elements[b, E.PARENT]
    return a


@compiled("in:i4* in:i8 in:i4* io:f4*")
def dom_features(elements, flags, lines, out):  # type: ignore[no-untyped-def]
    """Fill columns [N_TEXT, N_TEXT + N_DOM) of `out` from a scan's `elements`, `flags` and `lines`."""
    n = len(lines)
    m = len(elements)
    sums = np.zeros((m, len(U)), np.float32)  # over subtrees
    block_lines = np.zeros(m, np.int32)
    size = _table_size(n)
    keys = np.zeros(size, np.uint64)
    path = np.zeros((size, len(U)), np.float32)
    recent = np.full(size, -1, np.int64)
    slots = np.zeros(n, np.int64)
    headings = 0
    for i in range(n):
        line = lines[i]
        e = line[L.ELEMENT]
        block_lines[line[L.BLOCK]] += 1
        sums[e, U.CHARACTERS] += line[L.CHARACTERS]
        sums[e, U.LINK_CHARACTERS] += line[L.LINK_CHARACTERS]
        sums[e, U.LINES] += 1
        sums[e, U.MARKS] += _marks(line)
        sums[e, U.LENGTH] += _length(line)
        sums[e, U.STOP_WORDS] += line[L.STOP_WORDS]
        if _is_prose(line):
            sums[e, U.PROSE] += line[L.CHARACTERS] - line[L.LINK_CHARACTERS]
        slots[i] = _slot(keys, np.uint64(np.uint32(elements[e, E.PATH])) + np.uint64(1))
        path[slots[i], U.LINES] += 1
        path[slots[i], U.CHARACTERS] += line[L.CHARACTERS]
        path[slots[i], U.LINK_CHARACTERS] += line[L.LINK_CHARACTERS]
        path[slots[i], U.MARKS] += _marks(line)
        if flags[e] & _H1_BIT:
            headings += 1
    for e in range(m - 1, 0, -1):
        p = elements[e, E.PARENT]
        for k in range(len(U)):
            sums[p, k] += sums[e, k]
    total = max(np.float32(1.0), sums[0, U.CHARACTERS])
    half = 0
    most = 0
    if sums[0, U.PROSE] > 0:
        for e in range(m):
            if sums[e, U.PROSE] >= 0.5 * sums[0, U.PROSE] and elements[e, E.DEPTH] >= elements[half, E.DEPTH]:
                half = e
            if sums[e, U.PROSE] >= 0.8 * sums[0, U.PROSE] and elements[e, E.DEPTH] >= elements[most, E.DEPTH]:
                most = e
    seen_h1 = 0
    seen_headings = 0
    last_heading = -1
    last_level = 0
    for i in range(n):
        line = lines[i]
        x = out[i]
        e = line[L.ELEMENT]
        block = line[L.BLOCK]
        characters = max(np.float32(1.0), np.float32(line[L.CHARACTERS]))
        k = N_TEXT
        x[k] = line[L.LINK_CHARACTERS] / characters
        x[k + 1] = line[L.LINKS]
        x[k + 2] = line[L.BOLD] / characters
        x[k + 3] = line[L.BREAKS]
        x[k + 4] = line[L.IMAGES]
        x[k + 5] = line[L.INPUTS]
        x[k + 6] = line[L.KIND]
        x[k + 7] = line[L.MARKER]
        x[k + 8] = line[L.LISTS]
        x[k + 9] = elements[e, E.DEPTH]
        x[k + 10] = elements[e, E.TAG]
        x[k + 11] = elements[block, E.TAG]
        parent = max(0, elements[block, E.PARENT])
        x[k + 12] = elements[parent, E.TAG]
        x[k + 13] = elements[max(0, elements[parent, E.PARENT]), E.TAG]
        k += 14
        for bit in range(_N_FLAGS):
            x[k + bit] = flags[e] >> bit & 1
        k += _N_FLAGS
        s = slots[i]
        x[k] = np.log(path[s, U.LINES])
        x[k + 1] = path[s, U.LINES] / n
        x[k + 2] = path[s, U.CHARACTERS] / total
        x[k + 3] = path[s, U.LINK_CHARACTERS] / max(np.float32(1.0), path[s, U.CHARACTERS])
        x[k + 4] = path[s, U.MARKS] / path[s, U.LINES]
        x[k + 5] = np.log(path[s, U.CHARACTERS] / path[s, U.LINES] + 1)
        x[k + 6] = min(i - recent[s], FAR_AWAY) if recent[s] >= 0 else FAR_AWAY
        x[k + 7] = FAR_AWAY
        if recent[s] >= 0:
            out[recent[s], k + 7] = min(i - recent[s], FAR_AWAY)
        recent[s] = i
        k += 8
        a = block
        for _level in range(_LEVELS):
            x[k] = np.log(max(np.float32(1.0), sums[a, U.CHARACTERS]))
            x[k + 1] = sums[a, U.LINK_CHARACTERS] / max(np.float32(1.0), sums[a, U.CHARACTERS])
            x[k + 2] = np.log(sums[a, U.LINES] + 1)
            x[k + 3] = sums[a, U.MARKS] / max(np.float32(1.0), sums[a, U.LENGTH])
            x[k + 4] = sums[a, U.CHARACTERS] / total
            x[k + 5] = sums[a, U.STOP_WORDS] / max(np.float32(1.0), sums[a, U.LENGTH])
            k += 6
            a = max(0, elements[a, E.PARENT])
        a = e
        up = 0
        to_half = -1
        to_most = -1
        while a >= 0:
            if a == half and to_half < 0:
                to_half = up
            if a == most and to_most < 0:
                to_most = up
            a = elements[a, E.PARENT]
            up += 1
        x[k] = to_half
        x[k + 1] = to_most
        x[k + 2] = to_most >= 0
        x[k + 3] = elements[half, E.DEPTH]
        x[k + 4] = elements[most, E.DEPTH]
        x[k + 5] = elements[_common(elements, e, half), E.DEPTH] - elements[half, E.DEPTH]
        if i > 0:
            before = lines[i - 1, L.ELEMENT]
            shared = elements[_common(elements, e, before), E.DEPTH]
            x[k + 6] = shared
            x[k + 7] = elements[e, E.DEPTH] - shared
            out[i - 1, k + 8] = shared
            out[i - 1, k + 9] = elements[before, E.DEPTH] - shared
        else:
            x[k + 6] = -1
            x[k + 7] = -1
        x[k + 8] = -1
        x[k + 9] = -1
        if flags[e] & _H1_BIT:
            seen_h1 += 1
        x[k + 10] = seen_h1
        x[k + 11] = seen_headings
        x[k + 12] = min(i - last_heading, FAR_AWAY) if last_heading >= 0 else FAR_AWAY
        x[k + 13] = last_level
        if flags[e] & _HEADING:
            seen_headings += 1
            last_heading = i
            last_level = line[L.KIND]
        x[k + 14] = headings
        x[k + 15] = sums[0, U.LINK_CHARACTERS] / total
        x[k + 16] = block_lines[block]


@compiled("in:i4* in:u4 in:i4* io:u4 io:i8")
def attribute_hashes(elements, tokens, lines, out, starts):  # type: ignore[no-untyped-def]
    """Weights that a line's attributes fall on: `out[starts[i]:starts[i + 1]]`; for training. `linear` sums the same."""
    k = 0
    for i in range(len(lines)):
        starts[i] = k
        e = lines[i, L.ELEMENT]
        level = 0
        below = 0
        while e > 0:
            if level < 6:
                out[k] = _of_tag(elements[e, E.TAG], below, level)
                k += 1
            below = elements[e, E.TAG]
            for q in range(elements[e, E.TOKEN0], elements[e, E.TOKEN1]):
                out[k] = fnv1a(tokens[q], 0x51) & np.uint32(_MASK)
                k += 1
                if level < 3:
                    out[k] = fnv1a(tokens[q], 0x1234567) & np.uint32(_MASK)
                    k += 1
            e = elements[e, E.PARENT]
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
    first, last = line[L.WORD0], line[L.WORD1]
    for q in range(first, last):
        out[k] = fnv1a(words[q], 3) & np.uint32(_MASK)
        k += 1
        if q > first:
            out[k] = fnv1a(fnv1a(words[q], words[q - 1]), 9) & np.uint32(_MASK)
            k += 1
    if 0 < last - first < 8:
        out[k] = fnv1a(np.uint32(line[L.HASH]), 5) & np.uint32(_MASK)
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
        p = elements[e, E.PARENT]
        total = far[p]
        for q in range(elements[e, E.TOKEN0], elements[e, E.TOKEN1]):
            total += weights[fnv1a(tokens[q], 0x51) & np.uint32(_MASK)]
            near[e] += weights[fnv1a(tokens[q], 0x1234567) & np.uint32(_MASK)]
        far[e] = total
        number[e] = number[p] + elements[e, E.TOKEN1] - elements[e, E.TOKEN0]
    for i in range(len(lines)):
        e = lines[i, L.ELEMENT]
        total = far[e]
        count = number[e]
        below = 0
        a = e
        for level in range(6):
            if a <= 0:
                break
            total += weights[_of_tag(elements[a, E.TAG], below, level)]
            count += 1
            if level < 3:
                total += near[a]
                count += elements[a, E.TOKEN1] - elements[a, E.TOKEN0]
            below = elements[a, E.TAG]
            a = elements[a, E.PARENT]
        out[i] = bias + (total / np.sqrt(float(count)) if count else 0.0)


@compiled("in:i4* in:u4 in:f4 f4 io:f4")
def score_words(lines, words, weights, bias, out):  # type: ignore[no-untyped-def]
    """The linear score of each line's words, as `score_attributes`."""
    hashes = np.zeros(256, np.uint32)
    for i in range(len(lines)):
        line = lines[i]
        last = line[L.WORD1]
        first = line[L.WORD0]
        total = 0.0
        count = 0
        q = first
        if last - first <= 100:
            count = _words_of(line, words, hashes, 0)
            for k in range(count):
                total += weights[hashes[k]]
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
        e = lines[i, L.ELEMENT]
        weight = np.sqrt(1.0 + lines[i, L.CHARACTERS])
        slots[i] = _slot(keys, np.uint64(np.uint32(elements[e, E.PATH])) + np.uint64(1))
        for c in range(channels):
            sums[e, c] += weight * scores[c, i]
            path[slots[i], c] += weight * scores[c, i]
        sums[e, channels] += weight
        path[slots[i], channels] += weight
    for e in range(m - 1, 0, -1):
        for c in range(channels + 1):
            sums[elements[e, E.PARENT], c] += sums[e, c]
    for i in range(n):
        for c in range(channels):
            k = start + c * _N_OF_TREE
            out[i, k] = path[slots[i], c] / path[slots[i], channels]
            a = lines[i, L.BLOCK]
            for level in range(1, _N_OF_TREE):
                out[i, k + level] = sums[a, c] / max(sums[a, channels], 1e-9)
                a = max(0, elements[a, E.PARENT])
