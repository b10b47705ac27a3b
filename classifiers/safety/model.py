"""A lexicon and a logistic model over its hits: adult, gambling, spam, in Chinese and English.

Of each class, and apart for title, address and text, the weights of the different terms found are added up; of the text also all
occurrences, by its length. Four numbers a class, one set of coefficients for all classes, a bias for each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import ahocorasick_rs
import numpy as np
import numpy.typing as npt

from classifiers.base import Batch, Probabilities, StoredClassifier
from classifiers.small import softmax
from extraction.characters import HAN_AND_HEXAGRAMS as _HAN

MAX_CHARACTERS = 10_000
NUMBERS = ("title", "address", "text", "density")
_BETWEEN = re.compile(rf"[^0-9a-z{_HAN}]+|(?<=[0-9a-z])(?=[{_HAN}])|(?<=[{_HAN}])(?=[0-9a-z])")
_CJK = re.compile(f"[{_HAN}]")


@dataclass(frozen=True, eq=False)
class LexiconModel(StoredClassifier):
    """:param terms: by class, by language (`en`: whole words), weight of each term.
    :param coefficients: of NUMBERS; `biases` of each class but `safe`.
    """

    FILE: ClassVar[str] = "lexicon.json"
    labels: tuple[str, ...]
    terms: dict[str, dict[str, dict[str, float]]]
    coefficients: tuple[float, ...]
    biases: tuple[float, ...]
    meta: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def _patterns(self) -> tuple[Any, list[tuple[int, float]]]:
        patterns: dict[str, tuple[int, float]] = {}
        for number, label in enumerate(self.labels[1:]):
            for language, terms in self.terms[label].items():
                for term, weight in terms.items():
                    patterns[f" {_plain(term)} " if language == "en" else _plain(term)] = (number, weight)
        return ahocorasick_rs.AhoCorasick(list(patterns)), list(patterns.values())

    def numbers(self, pages: Batch | Sequence[str]) -> npt.NDArray[np.float64]:
        """Numbers that the model sees, float64 (n, classes - 1, NUMBERS)."""
        batch = Batch.of(pages)
        nothing: list[None] = [None] * len(batch)
        urls, titles = batch.urls or nothing, batch.titles or nothing
        out = np.zeros((len(batch), len(self.labels) - 1, len(NUMBERS)))
        for i, text in enumerate(batch.texts):
            text = text[:MAX_CHARACTERS]
            for place, part in enumerate((titles[i] or "", urls[i] or "", text)):
                sums, all_sums = self._hits(part)
                out[i, :, place] = np.log1p(sums)
                if place == 2:
                    words = len(text.split()) + 0.6 * len(_CJK.findall(text))
                    out[i, :, 3] = np.log1p(100 * all_sums / max(words, 50))
        return out

    def _hits(self, text: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Summed weights of the different terms, and of all occurrences, by class."""
        machine, values = self._patterns
        counts: dict[int, int] = {}
        for number, *_ in machine.find_matches_as_indexes(f" {_plain(text)} ", overlapping=True):
            counts[number] = counts.get(number, 0) + 1
        sums = np.zeros((2, len(self.labels) - 1))
        for number, count in counts.items():
            label, weight = values[number]
            sums[0, label] += weight
            sums[1, label] += weight * count
        return sums[0], sums[1]

    def predict_proba(self, pages: Batch | Sequence[str]) -> Probabilities:
        return self.from_numbers(self.numbers(pages))

    def from_numbers(self, numbers: npt.NDArray[np.float64]) -> Probabilities:
        """`predict_proba` of numbers that are known already."""
        logits = numbers @ np.array(self.coefficients) + np.array(self.biases)
        return softmax(np.concatenate([np.zeros((len(logits), 1)), logits], axis=1))

    def to_bytes(self) -> bytes:
        data = {
            **self.meta,
            "labels": self.labels,
            "terms": self.terms,
            "coefficients": self.coefficients,
            "biases": self.biases,
        }
        return (json.dumps(data, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> LexiconModel:
        raw = json.loads(data)
        return cls(
            labels=tuple(raw.pop("labels")),
            terms=raw.pop("terms"),
            coefficients=tuple(raw.pop("coefficients")),
            biases=tuple(raw.pop("biases")),
            meta=raw,
        )


Model = LexiconModel
"""The model that `classifiers.registry` loads."""


def _plain(text: str) -> str:
    """Lower-case words, two spaces between them: neighbours share none, so that each can be found. "The赌场" is "the  赌场"."""
    return _BETWEEN.sub("  ", text.lower())
