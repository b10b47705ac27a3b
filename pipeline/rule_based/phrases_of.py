"""Phrases of pages that are not content (`phrases/phrases.yaml`): where they stand in a text, found in one pass for all rules."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from typing import Any

import ahocorasick_rs
import yaml

from extraction.text import lines


@dataclass(frozen=True, slots=True)
class Found:
    """A phrase in a line: number of the line, the phrase, and the characters of the line that phrases of this kind cover."""

    line: int
    phrase: str
    covered: int


@functools.cache
def _phrases() -> tuple[Any, list[str], list[str]]:
    text = resources.files("pipeline.rule_based").joinpath("phrases", "phrases.yaml").read_text(encoding="utf-8")
    kinds, phrases = [], []
    for kind, by_language in yaml.safe_load(text).items():
        for of_language in by_language.values():
            for phrase in dict.fromkeys(map(str, of_language)):
                kinds.append(kind)
                phrases.append(phrase.lower())
    return ahocorasick_rs.AhoCorasick(phrases, matchkind=ahocorasick_rs.MatchKind.Standard), kinds, phrases


@functools.lru_cache(maxsize=512)
def phrases_of(text: str) -> dict[str, list[Found]]:
    """Lines with phrases, by kind, in order. A phrase that begins or ends inside a Latin word does not count."""
    matcher, kinds, phrases = _phrases()
    lower = text.lower()
    if len(lower) != len(text):  # a few letters grow in lower case ("İ"): then only the others are lowered
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    lower = lower.replace("’", "'")
    spans: dict[str, list[tuple[int, int, int]]] = {}
    for which, start, end in matcher.find_matches_as_indexes(lower, overlapping=True):
        if _inside_word(lower, start, end):
            continue
        spans.setdefault(kinds[which], []).append((start, end, which))
    if not spans:
        return {}
    starts = [0]
    for line in lines(text):
        starts.append(starts[-1] + len(line) + 1)
    out: dict[str, list[Found]] = {}
    for kind, of_kind in spans.items():
        by_line: dict[int, list[tuple[int, int, int]]] = {}
        number = 0
        for span in sorted(of_kind):
            while starts[number + 1] <= span[0]:
                number += 1
            by_line.setdefault(number, []).append(span)
        out[kind] = [
            Found(at, phrases[max(in_line, key=lambda s: s[1] - s[0])[2]], _covered(in_line))
            for at, in_line in by_line.items()
        ]
    return out


def _inside_word(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return (before.isascii() and before.isalnum() and text[start].isalnum() and text[start].isascii()) or (
        after.isascii() and after.isalnum() and text[end - 1].isascii() and text[end - 1].isalnum()
    )


def _covered(spans: list[tuple[int, int, int]]) -> int:
    """Characters that at least one of the spans, sorted by start, covers."""
    total, reached = 0, -1
    for start, end, _ in spans:
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total
