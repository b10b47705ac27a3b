"""What kind of region a line stands in: the text, its headline, comments, related stories, navigation, and so on.

A linear model, one against the rest for each kind, over hashed marks of a line: words of class, id and role of the elements that
hold it, their tags, its own words, and where it stands beside the headline and the main text (columns of `regions`, in steps).
The scores of the lines of a path are averaged with a line's own: a list of teasers is of one kind.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from extraction.kernels import FNV_START, compiled, fnv1a, helper
from extraction.line_model.regions import COLUMNS, path_numbers
from extraction.lines.columns import E, L
from extraction.lines.scan import Scan

KINDS = (
    "main text", "headline", "by-line", "caption", "comments", "related", "navigation", "legal", "form", "advertisement",
    "boilerplate", "metadata",
)  # fmt: skip
CONTENT = KINDS[:4]
"""Kinds that are content."""

KIND_BITS = 15
"""Marks fall on 2**KIND_BITS weights a kind."""

LEVELS = 3
"""Nearest elements around a line whose attributes count as theirs, too; those of all around it count."""

TAG_LEVELS = 5
"""Nearest elements whose tags count."""

MAX_WORDS = 12
"""Words of a line that count."""

MAX_OWN = 128
"""Room for the marks of a line without those of attributes."""

PATH_SHARE = 0.5
"""What the mean of the lines of its path counts beside a line's own score."""


def _column(name: str) -> int:
    return COLUMNS.index(name)


_PROBABILITY, _LINK, _CHARACTERS, _MARKS, _TITLE = (
    _column(name) for name in ("probability", "link share", "characters", "marks", "title share")
)
_SINCE_MAIN, _TO_END, _SINCE_HEADLINE, _LOW_SINCE, _BEHIND = (
    _column(name)
    for name in (
        "lines since the main", "lines to the main's end", "lines since the headline", "low lines since the headline",
        "probability behind the headline",
    )
)  # fmt: skip
_SIBLINGS, _SIBLINGS_UP, _PLACE, _RUN, _SHARED, _SINCE_SURE, _TO_SURE, _OF_PATH = (
    _column(name)
    for name in (
        "siblings, 0 up", "siblings, 1 up", "words before", "is the longest run", "shared with the main",
        "lines since a sure one", "lines to a sure one", "lines of the path",
    )
)  # fmt: skip
_MASK = np.uint32((1 << KIND_BITS) - 1)
_N_KINDS, _LEVELS, _TAG_LEVELS, _MAX_WORDS, _MAX_OWN, _PATH_SHARE = (
    len(KINDS),
    LEVELS,
    TAG_LEVELS,
    MAX_WORDS,
    MAX_OWN,
    PATH_SHARE,
)


@helper
def _mark(column: Any, step: Any) -> Any:
    return fnv1a(fnv1a(fnv1a(FNV_START, 0x5EED), column), step + 1000) & _MASK


@helper
def _far(distance: Any) -> Any:
    """A signed distance in lines, in steps: 0 to 7, 3 is here."""
    if distance < 0:
        return 0 if distance <= -20 else 1 if distance <= -5 else 2
    if distance == 0:
        return 3
    return 4 if distance <= 2 else 5 if distance <= 8 else 6 if distance <= 30 else 7


@helper
def _at_most(value: Any, most: Any) -> Any:
    return most if value > most else np.int64(value)


@helper
def _doublings(number: Any) -> Any:
    """A number in steps: 0, 1, 2 to 3, 4 to 7, and so on."""
    step = 0
    while number >= 1:
        number /= 2
        step += 1
    return step


@helper
def _of_element(token: Any, level: Any) -> Any:
    """Mark of a word of class, id or role: `level` elements above the line's own, or (-1) anywhere above."""
    return fnv1a(token, 0x100 + level) & _MASK


@helper
def _of_tag(tag: Any, below: Any, level: Any) -> Any:
    return fnv1a(fnv1a(fnv1a(FNV_START, tag), below), level) & _MASK


@helper
def _own_marks(elements: Any, line: Any, words: Any, x: Any, out: Any) -> Any:
    """Fill `out` with the marks of a line, but those of the attributes around it; their number."""
    n = 0
    e = line[L.ELEMENT]
    below = 0
    for level in range(_TAG_LEVELS):
        if e <= 0:
            break
        tag = elements[e, E.TAG]
        out[n] = _of_tag(tag, below, level)
        n += 1
        below = tag
        e = elements[e, E.PARENT]
    last: Any = min(line[L.WORD1], line[L.WORD0] + _MAX_WORDS)
    for q in range(line[L.WORD0], last):
        out[n] = fnv1a(words[q], 3) & _MASK
        n += 1
        if q > line[L.WORD0]:
            out[n] = fnv1a(fnv1a(words[q], words[q - 1]), 9) & _MASK
            n += 1
    if 0 < line[L.WORD1] - line[L.WORD0] < 8:
        out[n] = fnv1a(np.uint32(line[L.HASH]), 5) & _MASK
        n += 1
    probability = np.int64(x[_PROBABILITY] * 6)
    link = np.int64(x[_LINK] * 3.99)
    characters = np.int64(x[_CHARACTERS])
    since = _far(x[_SINCE_MAIN])
    end = _far(x[_TO_END])
    inside = 0 if x[_SINCE_MAIN] < 0 else 2 if x[_TO_END] < 0 else 1
    headline = _far(x[_SINCE_HEADLINE])
    steps = (
        probability, 10 + link, 20 + characters, 40 + _at_most(x[_MARKS], 3), 50 + np.int64(x[_TITLE] * 3.99), 60 + since,
        70 + end, 80 + headline, 90 + _at_most(_doublings(x[_LOW_SINCE]), 8), 100 + np.int64(x[_BEHIND] * 3.99),
        110 + _doublings(x[_SIBLINGS]), 130 + _doublings(x[_SIBLINGS_UP]), 150 + np.int64(x[_PLACE] * 7.99),
        160 + np.int64(x[_RUN]), 170 - _at_most(-x[_SHARED], 6), 180 + _doublings(x[_SINCE_SURE]),
        190 + _doublings(x[_TO_SURE]), 200 + _doublings(x[_OF_PATH]), 220 + line[L.KIND], 240 + _at_most(line[L.INPUTS], 2),
        250 + _at_most(line[L.IMAGES], 2), 260 + np.int64(3.99 * line[L.DIGITS] / max(1, line[L.CHARACTERS])), 270 + line[L.LAST],
        1000 + 10 * probability + link, 2000 + 10 * inside + link, 3000 + 20 * inside + characters,
        4000 + 10 * inside + headline, 5000 + 10 * line[L.KIND] + inside, 6000 + 20 * characters + link,
    )  # fmt: skip
    for step in steps:
        out[n] = _mark(0, step)
        n += 1
    return n


@compiled("in:i4* in:u4 in:i4* in:u4 in:f4* io:u4 io:i8")
def kind_marks(elements, tokens, lines, words, columns, out, starts):  # type: ignore[no-untyped-def]
    """Marks of lines, `out[starts[i]:starts[i + 1]]`; for training. `kind_scores` sums the same."""
    n = 0
    for i in range(len(lines)):
        starts[i] = n
        e = lines[i, L.ELEMENT]
        level = 0
        while e > 0:
            for q in range(elements[e, E.TOKEN0], elements[e, E.TOKEN1]):
                out[n] = _of_element(tokens[q], -1)
                n += 1
                if level < _LEVELS:
                    out[n] = _of_element(tokens[q], level)
                    n += 1
            e = elements[e, E.PARENT]
            level += 1
        n += _own_marks(elements, lines[i], words, columns[i], out[n:])
    starts[len(lines)] = n


@numba.njit
def _add(total: Any, row: Any) -> None:
    for k in range(_N_KINDS):
        total[k] += row[k]


@numba.njit
def _of_elements(elements: Any, tokens: Any, lines: Any, weights: Any, far: Any, near: Any, number: Any) -> None:
    """Sums of the weights of each element's attributes and of all around it, `far` (elements, kinds), of its own as one of
    the nearest, `near` (elements, LEVELS, kinds), and how many there are; of elements that hold lines."""
    holds = np.zeros(len(elements), np.bool_)
    for i in range(len(lines)):
        e = lines[i, L.ELEMENT]
        while e > 0 and not holds[e]:
            holds[e] = True
            e = elements[e, E.PARENT]
    for e in range(1, len(elements)):
        if not holds[e]:
            continue
        parent = elements[e, E.PARENT]
        number[e] = number[parent] + elements[e, E.TOKEN1] - elements[e, E.TOKEN0]
        _add(far[e], far[parent])
        for q in range(elements[e, E.TOKEN0], elements[e, E.TOKEN1]):
            _add(far[e], weights[_of_element(tokens[q], -1)])
            for level in range(_LEVELS):
                _add(near[e, level], weights[_of_element(tokens[q], level)])


@numba.njit
def _linear(
    elements: Any, tokens: Any, lines: Any, words: Any, columns: Any, weights: Any, bias: Any, out: Any
) -> None:
    far = np.zeros((len(elements), _N_KINDS), np.float32)
    near = np.zeros((len(elements), _LEVELS, _N_KINDS), np.float32)
    number = np.zeros(len(elements), np.int64)
    _of_elements(elements, tokens, lines, weights, far, near, number)
    marks = np.zeros(_MAX_OWN, np.uint32)
    total = np.zeros(_N_KINDS, np.float32)
    for i in range(len(lines)):
        e = lines[i, L.ELEMENT]
        total[:] = far[e]
        n = number[e]
        for level in range(_LEVELS):
            if e <= 0:
                break
            _add(total, near[e, level])
            n += elements[e, E.TOKEN1] - elements[e, E.TOKEN0]
            e = elements[e, E.PARENT]
        own = _own_marks(elements, lines[i], words, columns[i], marks)
        for q in range(own):
            _add(total, weights[marks[q]])
        root = np.float32(1.0 / np.sqrt(float(n + own)))
        for k in range(_N_KINDS):
            out[i, k] = total[k] * root + bias[k]


@compiled("in:i4* in:u4 in:i4* in:u4 in:f4* in:f4* in:f4 io:f4*")
def kind_scores(elements, tokens, lines, words, columns, weights, bias, out):  # type: ignore[no-untyped-def]
    """Scores (log odds) of every kind, `out` float32 (lines, kinds): a line's own, and the mean of those of its path."""
    n = len(lines)
    _linear(elements, tokens, lines, words, columns, weights, bias, out)
    of_line = np.zeros(n, np.int64)
    paths = path_numbers(elements, lines, of_line)
    means = np.zeros((paths, _N_KINDS))
    counts = np.zeros(paths)
    for i in range(n):
        counts[of_line[i]] += 1
        for k in range(_N_KINDS):
            means[of_line[i], k] += out[i, k]
    for i in range(n):
        for k in range(_N_KINDS):
            out[i, k] += _PATH_SHARE * (means[of_line[i], k] / counts[of_line[i]] - out[i, k])


N_CONTENT = len(CONTENT)


def scores(
    page: Scan, columns: npt.NDArray[np.float32], weights: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Scores of every kind, float32 (lines, len(KINDS)).

    :param columns: `region_columns` of the page; :param weights: (2**KIND_BITS, len(KINDS)); :param bias: (len(KINDS),).
    """
    out = np.zeros((len(page.lines), len(KINDS)), np.float32)
    kind_scores(page.elements, page.tokens, page.lines, page.words, columns, weights, bias, out)
    return out
