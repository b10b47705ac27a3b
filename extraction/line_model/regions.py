"""The decision over regions: lines that stand or fall together are scored by what all of them are worth.

A list of sixty teasers is one decision, not sixty. The first trees score each line by itself and its surroundings; here
those scores are pooled over what holds a line: its block and six ancestors, its siblings (elements of one path under one
parent: entries of a list, posts of a thread, paragraphs of a text), all lines of its path, the run of lines of probable
content that it stands in, and the page. Second trees see the pools and score the line again.

Which lines to keep is decided by expected F1 over samples in which the lines of a path are content together or not at all
(`cut`): that a region is probable does not make its every line so.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from extraction.kernels import compiled
from extraction.lines import tags as t
from extraction.lines.columns import E, L

LEVELS = 7
"""Elements looked at: the line's block, its parent, and so on."""

RADII = (1, 2, 5, 15)
"""Lines before and after over which probabilities are averaged."""

BOUNDS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Probabilities; the share of the page's words above each is a column."""

FAR_AWAY = 99
"""Lines from which a distance counts as that."""

SURE, LOW = 0.9, 0.3
"""Probabilities from which a line is surely content, and below which it is probably none."""

NEXT_LINES = 8
"""Lines behind the headline that tell whether a text follows it."""

_OF_LEVEL = (
    "score", "share of the content", "share of the words", "lines", "link share", "siblings", "score of the siblings",
    "spread of the siblings", "place among the siblings", "tag",
)  # fmt: skip
_OF_LINE = ("score", "probability", "characters", "link share", "kind", "marks", "title share")
_OF_PATH = (
    "score of the path", "lines of the path", "share of the words of the path", "share of the content of the path",
    "link share of the path",
)  # fmt: skip
_OF_PAGE = (
    "lines of the page", "words of the page", "content of the page", *(f"words above {bound}" for bound in BOUNDS),
    "words from here up", "content from here up", "rank",
)  # fmt: skip
_OF_MAIN = (
    "steps up to the half", "steps up to the main", "depth of the half", "depth of the main", "shared with the half",
    "shared with the main", "lines since the main", "lines to the main's end", "words of the main",
    "probability of the main",
)  # fmt: skip
_OF_RUN = (
    "content of the run", "is the longest run", "lines to the longest run", "words of the run", "runs",
    "content of the longest run",
)  # fmt: skip
_OF_PLACE = (
    "headings before", "h1 before", "lines since a heading", "score of that heading", "level of that heading", "article",
    "articles of the page", "words before", "content before",
)  # fmt: skip
_OF_HEADLINE = (
    "lines since the headline", "words since the headline", "low lines since the headline", "shared with the headline",
    "steps up to the headline's", "title share of the headline", "probability behind the headline",
)  # fmt: skip
_OF_SURE = (
    "lines since a sure one", "low lines since a sure one", "lines to a sure one", "low lines to a sure one",
    "share of sure words", "share of sure words before", "sure words", "steps down from the sure one before",
)  # fmt: skip
COLUMNS = (
    *_OF_LINE,
    *(f"{name}, {level} up" for level in range(LEVELS) for name in _OF_LEVEL),
    *_OF_PATH,
    *(f"probability of {2 * radius + 1} lines" for radius in RADII),
    *_OF_PAGE,
    *_OF_MAIN,
    *_OF_RUN,
    *_OF_PLACE,
    *_OF_HEADLINE,
    *_OF_SURE,
)
"""Names of the columns of `region_features`."""


class Pools(NamedTuple):
    """Columns of sums over the lines of an element, of siblings, or of a path."""

    SCORE: int = 0  # weighed by the root of the characters
    WEIGHT: int = 1
    SQUARE: int = 2  # of scores
    WORDS: int = 3
    CONTENT: int = 4  # words times probability
    LINES: int = 5
    CHARACTERS: int = 6
    LINK_CHARACTERS: int = 7


U = Pools()
_TINY = 1e-9
_N_LINE, _N_LEVEL, _N_PATH, _N_RADII, _N_BOUNDS = (len(x) for x in (_OF_LINE, _OF_LEVEL, _OF_PATH, RADII, BOUNDS))
_N_PAGE, _N_MAIN, _N_RUN = len(_OF_PAGE), len(_OF_MAIN), len(_OF_RUN)
_N_PLACE, _N_HEADLINE = len(_OF_PLACE), len(_OF_HEADLINE)
_AT_PAGE = _N_LINE + LEVELS * _N_LEVEL + _N_PATH + _N_RADII
_LEVELS, _RADII, _BOUNDS = LEVELS, RADII, BOUNDS
_SURE, _LOW, _NEXT_LINES = SURE, LOW, NEXT_LINES
_ARTICLE, _HEADING, _H1 = t.TAG["article"], t.IN_HEADING, t.FLAG["h1"]
_PRIME = np.uint64(11400714819323198485)
_SPREAD = np.uint64(2654435761)


@numba.njit
def _slot(keys: Any, key: Any) -> Any:
    """Place of a key (not 0) in an open-addressed table whose size is a power of two, taken if it is new."""
    last = np.uint64(len(keys) - 1)
    slot = (key * _PRIME >> np.uint64(32)) & last
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + np.uint64(1)) & last
    keys[slot] = key
    return np.int64(slot)


@numba.njit
def _path_key(path: Any) -> Any:
    return np.uint64(np.uint32(path)) + np.uint64(1)


@numba.njit
def _table_size(n: Any) -> Any:
    size = 64
    while size < 2 * n:
        size *= 2
    return size


@numba.njit
def _add_line(pool: Any, line: Any, score: Any, words: Any, probability: Any) -> None:
    weight = np.sqrt(1.0 + line[L.CHARACTERS])
    pool[U.SCORE] += weight * score
    pool[U.WEIGHT] += weight
    pool[U.SQUARE] += weight * score * score
    pool[U.WORDS] += words
    pool[U.CONTENT] += words * probability
    pool[U.LINES] += 1
    pool[U.CHARACTERS] += line[L.CHARACTERS]
    pool[U.LINK_CHARACTERS] += line[L.LINK_CHARACTERS]


@numba.njit
def _score(pool: Any) -> Any:
    return pool[U.SCORE] / max(pool[U.WEIGHT], _TINY)


@numba.njit
def _link_share(pool: Any) -> Any:
    return pool[U.LINK_CHARACTERS] / max(1.0, pool[U.CHARACTERS])


@numba.njit
def _depth_shared(elements: Any, a: Any, b: Any) -> Any:
    """Depth of the lowest common ancestor; parents have smaller numbers."""
    while a != b:
        if a > b:
            a = elements[a, E.PARENT]
        else:
            b = elements[b, E.PARENT]
    return elements[a, E.DEPTH]


@numba.njit
def _holder(elements: Any, pools: Any, share: Any) -> Any:
    """The deepest element with at least `share` of the page's content."""
    found = 0
    for e in range(len(elements)):
        if pools[e, U.CONTENT] >= share * pools[0, U.CONTENT] and elements[e, E.DEPTH] >= elements[found, E.DEPTH]:
            found = e
    return found


@numba.njit
def _steps_up(elements: Any, e: Any, ancestor: Any) -> Any:
    """Steps from `e` up to `ancestor`, or -1."""
    steps = 0
    while e > ancestor:
        e = elements[e, E.PARENT]
        steps += 1
    return steps if e == ancestor else -1


@numba.njit
def _between(value: Any, low: Any, high: Any) -> Any:
    return max(low, min(high, value))


@numba.njit
def _title_share(line: Any) -> Any:
    return line[L.TITLE] / max(1, line[L.WORD1] - line[L.WORD0])


@numba.njit
def _headline(flags: Any, lines: Any) -> Any:
    """The line that has most of the title's words, and few others, or -1: a heading rather than another line."""
    found = -1
    most = 0.0
    for i in range(len(lines)):
        share = _title_share(lines[i])
        value = lines[i, L.TITLE] * share + (0.5 if flags[lines[i, L.ELEMENT]] & _HEADING else 0.0)
        if share >= 0.5 and lines[i, L.TITLE] >= 2 and value > most:
            found = i
            most = value
    return found


@compiled("in:i8 in:i4*")
def headline(flags, lines):  # type: ignore[no-untyped-def]
    """The line that repeats the page's title, or -1."""
    return _headline(flags, lines)


@numba.njit
def _of_headline(
    elements: Any, flags: Any, lines: Any, probability: Any, words_before: Any, content_before: Any, out: Any
) -> None:
    """Fill the columns of the line's place beside the headline."""
    n = len(lines)
    k = _AT_PAGE + _N_PAGE + _N_MAIN + _N_RUN + _N_PLACE
    h = _headline(flags, lines)
    if h < 0:
        for i in range(n):
            for c in range(_N_HEADLINE):
                out[i, k + c] = -FAR_AWAY - 1
        return
    e = lines[h, L.ELEMENT]
    last = min(n, h + 1 + _NEXT_LINES)
    behind = 0.0
    if last > h + 1:
        behind = (content_before[last] - content_before[h + 1]) / (words_before[last] - words_before[h + 1])
    low = 0
    for i in range(n):
        x = out[i]
        if i > h and probability[i] < _LOW:
            low += 1
        other = lines[i, L.ELEMENT]
        shared = _depth_shared(elements, e, other)
        x[k] = _between(i - h, -FAR_AWAY, FAR_AWAY)
        x[k + 1] = (words_before[i] - words_before[h]) / words_before[n]
        x[k + 2] = min(low, FAR_AWAY)
        x[k + 3] = shared - elements[e, E.DEPTH]
        x[k + 4] = elements[other, E.DEPTH] - shared
        x[k + 5] = _title_share(lines[h])
        x[k + 6] = behind


@numba.njit
def _of_sure_lines(elements: Any, lines: Any, probability: Any, words: Any, out: Any) -> None:
    """Fill the columns of the line's place beside the lines that are surely content."""
    n = len(lines)
    k = _AT_PAGE + _N_PAGE + _N_MAIN + _N_RUN + _N_PLACE + _N_HEADLINE
    sure = 0.0
    everything = 0.0
    for i in range(n):
        everything += words[i]
        if probability[i] > _SURE:
            sure += words[i]
    before = 0.0
    low = 0
    last = -1
    for i in range(n):
        x = out[i]
        if probability[i] > _SURE:
            last = i
            low = 0
            before += words[i]
        elif probability[i] < _LOW:
            low += 1
        x[k] = min(i - last, FAR_AWAY) if last >= 0 else FAR_AWAY
        x[k + 1] = min(low, FAR_AWAY) if last >= 0 else FAR_AWAY
        x[k + 4] = sure / everything
        x[k + 5] = before / max(sure, _TINY)
        x[k + 6] = np.log(1.0 + sure)
        e = lines[i, L.ELEMENT]
        x[k + 7] = -1
        if last >= 0:
            x[k + 7] = elements[e, E.DEPTH] - _depth_shared(elements, e, lines[last, L.ELEMENT])
    low = 0
    last = -1
    for i in range(n - 1, -1, -1):
        if probability[i] > _SURE:
            last = i
            low = 0
        elif probability[i] < _LOW:
            low += 1
        out[i, k + 2] = min(last - i, FAR_AWAY) if last >= 0 else FAR_AWAY
        out[i, k + 3] = min(low, FAR_AWAY) if last >= 0 else FAR_AWAY


@compiled("in:i4* in:i8 in:i4* in:f8 io:f4*")
def region_features(elements, flags, lines, scores, out):  # type: ignore[no-untyped-def]
    """Fill `out`, float32 (lines, len(COLUMNS)), from a scan's arrays and the lines' first scores (log odds)."""
    n = len(lines)
    m = len(elements)
    probability = 1.0 / (1.0 + np.exp(-scores))
    words = np.empty(n)
    for i in range(n):
        words[i] = lines[i, L.WORDS] + lines[i, L.CJK] + 1e-3

    pools = np.zeros((m, len(U)))
    size = _table_size(n)
    path_keys = np.zeros(size, np.uint64)
    path_slots = np.zeros(n, np.int64)
    paths = np.zeros((size, len(U)))
    for i in range(n):
        e = lines[i, L.ELEMENT]
        path_slots[i] = _slot(path_keys, _path_key(elements[e, E.PATH]))
        _add_line(pools[e], lines[i], scores[i], words[i], probability[i])
        _add_line(paths[path_slots[i]], lines[i], scores[i], words[i], probability[i])
    for e in range(m - 1, 0, -1):
        for k in range(len(U)):
            pools[elements[e, E.PARENT], k] += pools[e, k]

    size = _table_size(m)
    keys = np.zeros(size, np.uint64)
    groups = np.zeros((size, 4))  # score, weight, square, number of siblings
    of_group = np.zeros(m, np.int64)
    place = np.zeros(m, np.int64)
    article = np.zeros(m, np.int64)
    articles = 0
    for e in range(1, m):
        parent = elements[e, E.PARENT]
        article[e] = article[parent]
        if pools[e, U.LINES] == 0:
            continue
        if elements[e, E.TAG] == _ARTICLE:
            articles += 1
            article[e] = articles
        group = _slot(keys, (np.uint64(parent) * _SPREAD << np.uint64(32)) + _path_key(elements[e, E.PATH]))
        of_group[e] = group
        place[e] = np.int64(groups[group, 3])
        groups[group, 0] += pools[e, U.SCORE]
        groups[group, 1] += pools[e, U.WEIGHT]
        groups[group, 2] += pools[e, U.SQUARE]
        groups[group, 3] += 1

    half = _holder(elements, pools, 0.5)
    main = _holder(elements, pools, 0.8)
    first = -1
    last = -1
    for i in range(n):
        if probability[i] > 0.5 and _steps_up(elements, lines[i, L.ELEMENT], main) >= 0:
            first = i if first < 0 else first
            last = i

    run = np.full(n, -1, np.int64)
    run_content = np.zeros(n + 1)
    run_words = np.zeros(n + 1)
    run_first = np.zeros(n + 1, np.int64)
    run_last = np.zeros(n + 1, np.int64)
    runs = 0
    for i in range(n):
        if probability[i] > 0.5:
            if i == 0 or run[i - 1] < 0:
                run_first[runs] = i
                runs += 1
            run[i] = runs - 1
            run_content[runs - 1] += words[i] * probability[i]
            run_words[runs - 1] += words[i]
            run_last[runs - 1] = i
    longest = 0
    for r in range(runs):
        if run_content[r] > run_content[longest]:
            longest = r

    words_before = np.zeros(n + 1)
    content_before = np.zeros(n + 1)
    above = np.zeros(_N_BOUNDS)
    for i in range(n):
        words_before[i + 1] = words_before[i] + words[i]
        content_before[i + 1] = content_before[i] + words[i] * probability[i]
        for k in range(_N_BOUNDS):
            if probability[i] > _BOUNDS[k]:
                above[k] += words[i]
    all_words = max(words_before[n], _TINY)
    content = max(content_before[n], _TINY)
    order = np.argsort(-probability, kind="mergesort")
    words_up = 0.0
    content_up = 0.0
    at = _AT_PAGE + 3 + _N_BOUNDS
    for r in range(n):
        i = order[r]
        words_up += words[i]
        content_up += words[i] * probability[i]
        out[i, at] = words_up / all_words
        out[i, at + 1] = content_up / content
        out[i, at + 2] = r / n

    headings = 0
    h1 = 0
    heading = -1
    for i in range(n):
        line = lines[i]
        x = out[i]
        e = line[L.ELEMENT]
        characters = max(1.0, float(line[L.CHARACTERS]))
        x[0] = scores[i]
        x[1] = probability[i]
        x[2] = np.log(characters)
        x[3] = line[L.LINK_CHARACTERS] / characters
        x[4] = line[L.KIND]
        x[5] = line[L.COMMAS] + line[L.SENTENCE_ENDS]
        x[6] = line[L.TITLE] / max(1, line[L.WORD1] - line[L.WORD0])
        k = _N_LINE
        a = line[L.BLOCK]
        for _level in range(_LEVELS):
            pool = pools[a]
            group = of_group[a]
            x[k] = _score(pool)
            x[k + 1] = pool[U.CONTENT] / content
            x[k + 2] = pool[U.WORDS] / all_words
            x[k + 3] = np.log(pool[U.LINES] + 1)
            x[k + 4] = _link_share(pool)
            x[k + 5] = x[k + 6] = x[k + 7] = x[k + 8] = 0
            if a > 0:
                weight = max(groups[group, 1], _TINY)
                mean = groups[group, 0] / weight
                x[k + 5] = groups[group, 3]
                x[k + 6] = mean
                x[k + 7] = np.sqrt(max(0.0, groups[group, 2] / weight - mean * mean))
                x[k + 8] = place[a]
            x[k + 9] = elements[a, E.TAG]
            k += _N_LEVEL
            a = max(0, elements[a, E.PARENT])
        pool = paths[path_slots[i]]
        x[k] = _score(pool)
        x[k + 1] = pool[U.LINES]
        x[k + 2] = pool[U.WORDS] / all_words
        x[k + 3] = pool[U.CONTENT] / content
        x[k + 4] = _link_share(pool)
        k += _N_PATH
        for r in range(_N_RADII):
            low = max(0, i - _RADII[r])
            high = min(n, i + _RADII[r] + 1)
            x[k + r] = (content_before[high] - content_before[low]) / (words_before[high] - words_before[low])
        k += _N_RADII
        x[k] = np.log(n)
        x[k + 1] = np.log(all_words)
        x[k + 2] = content / all_words
        for r in range(_N_BOUNDS):
            x[k + 3 + r] = above[r] / all_words
        k += _N_PAGE
        x[k] = _steps_up(elements, e, half)
        x[k + 1] = _steps_up(elements, e, main)
        x[k + 2] = elements[half, E.DEPTH]
        x[k + 3] = elements[main, E.DEPTH]
        x[k + 4] = _depth_shared(elements, e, half) - elements[half, E.DEPTH]
        x[k + 5] = _depth_shared(elements, e, main) - elements[main, E.DEPTH]
        x[k + 6] = _between(i - first, -FAR_AWAY, FAR_AWAY) if first >= 0 else -FAR_AWAY - 1
        x[k + 7] = _between(last - i, -FAR_AWAY, FAR_AWAY) if first >= 0 else -FAR_AWAY - 1
        x[k + 8] = pools[main, U.WORDS] / all_words
        x[k + 9] = pools[main, U.CONTENT] / max(pools[main, U.WORDS], _TINY)
        k += _N_MAIN
        r = run[i]
        x[k] = run_content[r] / content if r >= 0 else 0.0
        x[k + 1] = -1 if r < 0 else 1 if r == longest else 0
        x[k + 2] = 0
        if runs > 0 and i > run_last[longest]:
            x[k + 2] = min(FAR_AWAY, i - run_last[longest])
        elif runs > 0 and i < run_first[longest]:
            x[k + 2] = max(-FAR_AWAY, i - run_first[longest])
        x[k + 3] = np.log(run_words[r] + 1) if r >= 0 else 0.0
        x[k + 4] = runs
        x[k + 5] = run_content[longest] / content
        k += _N_RUN
        x[k] = headings
        x[k + 1] = h1
        x[k + 2] = min(FAR_AWAY, i - heading) if heading >= 0 else FAR_AWAY
        x[k + 3] = scores[heading] if heading >= 0 else -20.0
        x[k + 4] = lines[heading, L.KIND] if heading >= 0 else -1
        x[k + 5] = article[e]
        x[k + 6] = articles
        x[k + 7] = words_before[i] / all_words
        x[k + 8] = content_before[i] / content
        if flags[e] & _HEADING:
            headings += 1
            heading = i
        if flags[e] & _H1:
            h1 += 1
    _of_headline(elements, flags, lines, probability, words_before, content_before, out)
    _of_sure_lines(elements, lines, probability, words, out)


@numba.njit
def path_numbers(elements: Any, lines: Any, out: Any) -> Any:
    """Fill `out` with the number of each line's path, from 0 in the order that paths come; how many there are."""
    size = _table_size(len(lines))
    keys = np.zeros(size, np.uint64)
    number = np.full(size, -1, np.int64)
    paths = 0
    for i in range(len(lines)):
        slot = _slot(keys, _path_key(elements[lines[i, L.ELEMENT], E.PATH]))
        if number[slot] < 0:
            number[slot] = paths
            paths += 1
        out[i] = number[slot]
    return paths


SAMPLES = 64
"""Samples of what is content. In half of them one draw decides for all lines of the page, in the others one for each path."""

_SAMPLES = SAMPLES


@compiled("in:i4* in:i4* in:f8 f8 io:f8")
def expected_f1(elements, lines, probability, floor, out):  # type: ignore[no-untyped-def]
    """Expected F1, over words, of the lines from each probability up; -1 for lines below `floor`.

    In a sample, the lines of probability above a draw from 0 to 1 are content: those of a path by the same draw, so that they
    are so together. Draws are spread evenly, by the number of the path: nothing is random.

    :param probability: float64 (lines,); :param out: the same shape.
    """
    n = len(lines)
    of_line = np.zeros(n, np.int64)
    paths = path_numbers(elements, lines, of_line)
    draws = np.empty((paths, _SAMPLES))
    for path in range(paths):
        mixed = np.uint64(path + 1) * _PRIME
        shift = np.int64(mixed >> np.uint64(40))
        step = 2 * np.int64(mixed >> np.uint64(52) & np.uint64(15)) + 1
        for s in range(_SAMPLES // 2):
            draws[path, s] = (s + 0.5) / (_SAMPLES // 2)
            draws[path, _SAMPLES // 2 + s] = ((shift + s * step) % (_SAMPLES // 2) + 0.5) / (_SAMPLES // 2)
    content = np.full(_SAMPLES, _TINY)
    for i in range(n):
        words = lines[i, L.WORDS] + lines[i, L.CJK] + _TINY
        for s in range(_SAMPLES):
            if draws[of_line[i], s] < probability[i]:
                content[s] += words
    found = np.zeros(_SAMPLES)
    kept = 0.0
    order = np.argsort(-probability, kind="mergesort")
    r = 0
    while r < n:
        value = probability[order[r]]
        last = r
        while last < n and probability[order[last]] == value:
            i = order[last]
            words = lines[i, L.WORDS] + lines[i, L.CJK] + _TINY
            kept += words
            for s in range(_SAMPLES):
                if draws[of_line[i], s] < value:
                    found[s] += words
            last += 1
        f1 = -1.0
        if value >= floor:
            f1 = 0.0
            for s in range(_SAMPLES):
                f1 += 2 * found[s] / (kept + content[s])
        for k in range(r, last):
            out[order[k]] = f1 / _SAMPLES if f1 >= 0 else -1.0
        r = last


Floats = npt.NDArray[np.float64]


def cut(
    elements: npt.NDArray[np.int32], lines: npt.NDArray[np.int32], probability: Floats, floor: float
) -> npt.NDArray[np.bool_]:
    """Choose the lines to keep, bool (lines,): those from the probability up whose expected F1 is largest, none below `floor`."""
    if not len(lines):
        return np.zeros(0, np.bool_)
    values = np.zeros(len(lines), np.float64)
    expected_f1(elements, lines, np.clip(probability, 1e-4, 1 - 1e-4), floor, values)
    best = int(values.argmax())
    if values[best] < 0:
        return np.zeros(len(lines), np.bool_)
    kept: npt.NDArray[np.bool_] = probability >= probability[best]
    return kept
