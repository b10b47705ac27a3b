"""Labels of lines: which lines of a page stand in its gold text.

Gold texts are texts, not choices of lines: copied by hand or cleaned up, with other line breaks, often in the order of the page
and sometimes not. Two passes:

1. The longest common subsequence of the page's words and the gold's words, in order, over lines of which at least 40 % of the
   neighbouring word pairs occur in the gold. Runs count more than lone words, so that a word of the navigation does not take the
   place of the same word in the text.
2. Lines left over match gold words that are left over, wherever they stand.

The label is the share of the line's words that were found, 0 to 1; from 0.6 a line counts as content.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

import numba
import numpy as np
import numpy.typing as npt

from extraction.characters import HAN_AND_HEXAGRAMS

CONTENT = 0.6
"""Share of a line's words in the gold text from which it is content."""

MAX_CELLS = 400_000_000
"""Product of the two lengths in words up to which the subsequence is computed (a byte each); longer pages take pass 2 alone."""

RUN = 0.6
"""Extra weight of a match if the word before it matched too."""

_TOKEN = re.compile(rf"[{HAN_AND_HEXAGRAMS}]|[^\W_{HAN_AND_HEXAGRAMS}]+")


def tokens(text: str) -> list[str]:
    """Words in lower case; each Chinese character is one."""
    return _TOKEN.findall(text.lower())


def label(lines: Sequence[str], gold: str) -> npt.NDArray[np.float32]:
    """Share of each line's words that stand in the gold text, shape (lines,)."""
    out = np.zeros(len(lines), np.float32)
    gold_tokens = tokens(gold)
    if not gold_tokens:
        return out
    of_line = [tokens(line) for line in lines]
    pairs = set(itertools.pairwise(gold_tokens))
    single = set(gold_tokens)
    candidates = [i for i, line in enumerate(of_line) if _may_be_content(line, pairs, single)]
    used = np.zeros(len(gold_tokens), np.bool_)
    flat = [token for i in candidates for token in of_line[i]]
    if flat and len(flat) * len(gold_tokens) <= MAX_CELLS:
        numbers: dict[str, int] = {}
        a = np.array([numbers.setdefault(t, len(numbers)) for t in flat], np.int32)
        b = np.array([numbers.setdefault(t, len(numbers)) for t in gold_tokens], np.int32)
        matches = _subsequence(a, b)
        start = 0
        for i in candidates:
            match = matches[start : start + len(of_line[i])]
            start += len(of_line[i])
            places = match[match >= 0]
            share = len(places) / len(match)
            if len(places) > 1 and places[-1] - places[0] + 1 > 3 * len(match) + 4:
                share *= 0.5  # its words are strewn over the gold
            out[i] = share
            if share >= CONTENT:
                used[places] = True
    _match_rest(out, of_line, gold, gold_tokens, used)
    return out


def _may_be_content(line: list[str], pairs: set[tuple[str, str]], single: set[str]) -> bool:
    if len(line) < 2:
        return bool(line) and line[0] in single
    return sum(p in pairs for p in itertools.pairwise(line)) >= 0.4 * (len(line) - 1)


@numba.njit(cache=False)
def _subsequence(a: npt.NDArray[np.int32], b: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Place in `b` of each of `a`, or -1, by the heaviest common subsequence, in which runs weigh more."""
    n, m = len(a), len(b)
    back = np.zeros((n + 1, m + 1), np.uint8)
    before = np.zeros(m + 1, np.float32)
    now = np.zeros(m + 1, np.float32)
    for i in range(1, n + 1):
        now[0] = 0
        for j in range(1, m + 1):
            best, step = before[j], 1
            if now[j - 1] > best:
                best, step = now[j - 1], 2
            if a[i - 1] == b[j - 1]:
                weight = before[j - 1] + (1.0 + RUN if back[i - 1, j - 1] == 3 else 1.0)
                if weight >= best:
                    best, step = weight, 3
            now[j] = best
            back[i, j] = step
        before, now = now, before
    out = np.full(n, -1, np.int64)
    i, j = n, m
    while i > 0 and j > 0:
        if back[i, j] == 3:
            out[i - 1] = j - 1
            i -= 1
            j -= 1
        elif back[i, j] == 1:
            i -= 1
        else:
            j -= 1
    return out


def _match_rest(
    out: npt.NDArray[np.float32],
    of_line: list[list[str]],
    gold: str,
    gold_tokens: list[str],
    used: npt.NDArray[np.bool_],
) -> None:
    grams: Counter[tuple[str, ...]] = Counter(
        tuple(gold_tokens[i : i + 4]) for i in range(len(gold_tokens) - 3) if not used[i : i + 4].any()
    )
    whole: Counter[tuple[str, ...]] = Counter()
    position = 0
    for text in gold.split("\n"):
        size = len(tokens(text))
        if size and not used[position : position + size].any():
            whole[tuple(gold_tokens[position : position + size])] += 1
        position += size
    for i, line in enumerate(of_line):
        if out[i] >= CONTENT or not line:
            continue
        if whole[tuple(line)] > 0:
            whole[tuple(line)] -= 1
            out[i] = 1
        elif len(line) >= 6:
            line_grams = Counter(tuple(line[k : k + 4]) for k in range(len(line) - 3))
            if (line_grams & grams).total() >= 0.7 * line_grams.total():
                grams -= line_grams
                out[i] = 0.9
