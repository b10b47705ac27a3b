"""Judgement of a text against the gold text of its page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_WORD = re.compile(r"\w+")


def multiset_f1(extracted: Iterable[str], gold: Iterable[str]) -> float:
    """F1 of two multisets: "a a b" and "a b c" share two of three, 2/3. It is 1 if both are empty, 0 if one is."""
    a, b = Counter(extracted), Counter(gold)
    if not a or not b:
        return float(not a and not b)
    both = sum((a & b).values())
    return 2 * both / (sum(a.values()) + sum(b.values()))


def word_f1(extracted: str, gold: str) -> float:
    """F1 over multisets of lower-cased words, as WCXB counts."""
    return multiset_f1(_WORD.findall(extracted.lower()), _WORD.findall(gold.lower()))


def gram_f1(extracted: str, gold: str) -> float:
    """F1 over multisets of 4-character grams, white space aside: for texts without spaces between words."""
    return multiset_f1(*(_grams("".join(text.split())) for text in (extracted, gold)))


class Found(NamedTuple):
    """Segments over pages: wanted ones that are there, wanted ones that are not, unwanted ones that are there."""

    found: int
    missed: int
    wrong: int

    @property
    def f1(self) -> float:
        return 2 * self.found / max(1, 2 * self.found + self.missed + self.wrong)


def segments_found(texts: Iterable[str], wanted: Iterable[Sequence[str]], unwanted: Iterable[Sequence[str]]) -> Found:
    """Count the segments of pages in their texts, white space aside, as trafilatura's own evaluation does."""
    found = missed = wrong = 0
    for text, yes, no in zip(texts, wanted, unwanted, strict=True):
        squeezed = "".join(text.split())
        there = sum("".join(segment.split()) in squeezed for segment in yes)
        found += there
        missed += len(yes) - there
        wrong += sum("".join(segment.split()) in squeezed for segment in no)
    return Found(found, missed, wrong)


def _grams(text: str) -> list[str]:
    return [text[i : i + 4] for i in range(len(text) - 3)]
