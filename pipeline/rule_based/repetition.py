"""Content repeated inside a document (dots.llm1 C.2), by characters: the same in every script, and without segmentation.

Repeated lines and paragraphs, counted and by characters, and repeated n-grams of words are Gopher's (`gopher_repetition.py`).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from extraction.kernels import compiled
from pipeline.rule_based.c4 import prose
from pipeline.rule_based.stories import EN, PROSE, ZH, story, story_zh
from pipeline.schema import Document
from pipeline.steps import Example, Examples, Limits, Rule, bound

SOURCE = "dots.llm1 C.2 (repeated content); values measured"
LONGEST = 1_000_000
"""Characters of a text that are looked at."""


@compiled("in:u4 i8 io:i8")
def _repeated(codes, n, out):  # type: ignore[no-untyped-def]
    """Characters covered by n-grams that occurred before, each character once."""
    length = len(codes)
    if length <= n:
        return
    size = 16
    while size < 2 * length:
        size *= 2
    mask = np.uint64(size - 1)
    table = np.zeros(size, np.uint64)
    base = np.uint64(0x9E3779B97F4A7C15)
    power = np.uint64(1)
    for _ in range(n - 1):
        power *= base
    h = np.uint64(0)
    for i in range(n):
        h = h * base + np.uint64(codes[i]) + np.uint64(1)
    covered = 0
    reached = 0
    for i in range(length - n + 1):
        key = h ^ (h >> np.uint64(31))
        if key == np.uint64(0):
            key = np.uint64(1)
        slot = (key * base) >> np.uint64(16) & mask
        while table[slot] != np.uint64(0) and table[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        if table[slot] == key:
            start = i if i > reached else reached
            covered += i + n - start
            reached = i + n
        else:
            table[slot] = key
        if i + n < length:
            h = (h - (np.uint64(codes[i]) + np.uint64(1)) * power) * base + np.uint64(codes[i + n]) + np.uint64(1)
    out[0] = covered


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


class RepeatedCharacters(Rule):
    """Drop documents of which more than 45 % (Chinese 50 %) of the characters are in stretches that occurred before.

    A stretch is 40 characters or more, in Chinese 15, whatever words or lines it cuts: pasted blocks, machine-made text.
    """

    step: Literal["repeated_characters"] = "repeated_characters"
    unit: ClassVar[str] = "share of characters"
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "repeated_content"
    max: Limits | None = {"default": 0.45, "zh": 0.5}
    stretch: Limits = Field({"default": 40, "zh": 15}, description="characters that make a stretch")
    drops: ClassVar[Examples] = (
        Example(
            "\n".join([story("school")] * 4),
            reason="repeated_content",
            url="https://again.made.example/mill",
            title="The mill again",
        ),
        Example(
            "\n".join([story_zh("染坊")] * 4),
            "zh",
            "repeated_content",
            url="https://again.made.example/mofang",
            title="又见磨坊",
        ),
    )
    keeps: ClassVar[Examples] = (*PROSE, Example(EN), Example(ZH, "zh"))

    def measure(self, doc: Document) -> float | None:
        text = (doc.text or "")[:LONGEST]
        n = bound(self.stretch, doc.language)
        if not text or n is None:
            return None
        out = np.zeros(1, np.int64)
        _repeated(_codes(text), int(n), out)
        return float(out[0]) / len(text)


@compiled("in:u4 i8 io:i8")
def _runs(codes, n, out):  # type: ignore[no-untyped-def]
    """Characters in runs of `n` or more of one that is neither white space nor a digit nor a leader."""
    total = 0
    start = 0
    for i in range(1, len(codes) + 1):
        if i == len(codes) or codes[i] != codes[start]:
            c = codes[start]
            blank = c <= 32 or c == 0x3000 or c == 0xA0
            # Digits are numbers; leaders ("......", "____") lead to page numbers and leave room in forms.
            if i - start >= n and not blank and not 48 <= c <= 57 and c != 0x2E and c != 0x5F and c != 0x2026:
                total += i - start
            start = i
    out[0] = total


SHORTEST_RUN = 8


class CharacterRuns(Rule):
    """Drop documents of which more than 10 % of the characters are runs of one character.

    A run is eight or more, such as ======== or 哈哈哈哈哈哈哈哈; of white space, digits, points and underscores none count,
    and none in code.
    """

    step: Literal["character_runs"] = "character_runs"
    unit: ClassVar[str] = "share of characters"
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "character_runs"
    max: Limits | None = {"default": 0.1}
    drops: ClassVar[Examples] = (
        Example(
            f"{story('harbour')}\n{'~' * 240}\n{story('market')}\n{'哈' * 60}\n{story('garden')}",
            reason="character_runs",
            url="https://runs.made.example/mill",
            title="The mill, drawn",
        ),
        Example("=" * 30 + EN, "en", "character_runs"),
        Example("哈" * 20 + ZH, "zh", "character_runs"),
    )
    keeps: ClassVar[Examples] = (
        Example("Chapter one" + "." * 60 + "7"),  # leaders of a table of contents
        Example("Name: " + "_" * 40),  # a form
        Example("#" * 60 + " begin", line_tags=("code",)),
    )

    def measure(self, doc: Document) -> float | None:
        text = (doc.text or "")[:LONGEST]
        if not text:
            return None
        tags = doc.line_tags
        if tags and "code" in tags:
            text = "\n".join(line for _, line in prose(doc))[:LONGEST]
        out = np.zeros(1, np.int64)
        _runs(_codes(text), SHORTEST_RUN, out)
        return float(out[0]) / max(1, min(LONGEST, len(doc.text or "")))
