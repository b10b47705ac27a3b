"""Judgement of a text against the gold text of its page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

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


def _grams(text: str) -> list[str]:
    return [text[i : i + 4] for i in range(len(text) - 3)]
