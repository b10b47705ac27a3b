"""A language model of words to compare with: how usual a text's words are after one another, as CCNet asks (arXiv:1911.00359)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from extraction.characters import HAN_AND_HEXAGRAMS

WORD = re.compile(rf"[{HAN_AND_HEXAGRAMS}]|[a-z]+(?:'[a-z]+)?|\d+|[^\s\w]")
MAX_WORDS = 1500
SHARES = (0.6, 0.3, 0.1)
"""Shares of the bigram, the word, and chance among `VOCABULARY` words (Jelinek-Mercer)."""

VOCABULARY = 100_000


class BigramModel:
    """Interpolated bigrams of words; a Chinese character is a word."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.words: Counter[str] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()
        for text in texts:
            words = ["\n", *WORD.findall(text.lower())]
            self.words.update(words)
            self.pairs.update(pairwise(words))
        self.total = sum(self.words.values())

    def perplexity(self, text: str) -> float:
        """Perplexity of the first MAX_WORDS words; infinite for a text without words."""
        words = ["\n", *WORD.findall(text.lower())[:MAX_WORDS]]
        if len(words) < 2:
            return math.inf
        pair, word, chance = SHARES
        bits = 0.0
        for a, b in pairwise(words):
            p = chance / VOCABULARY + word * self.words[b] / self.total
            if self.words[a]:
                p += pair * self.pairs[a, b] / self.words[a]
            bits -= math.log2(p)
        return float(2 ** (bits / (len(words) - 1)))
