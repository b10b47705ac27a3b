"""Empty content (dots.llm1 C.2)."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pipeline.rule_based.stories import EN, ZH
from pipeline.schema import Document
from pipeline.steps import Example, Examples, Limits, Rule

_OTHER = re.compile(r"[\W_]+")
COUNTED = 400
"""Characters of a text that are looked at first."""


class ContentCharacters(Rule):
    """Drop documents with hardly any content: fewer than 150 letters and digits, in Chinese 60.

    Counted in the first 400 characters, and in the whole text where these hold fewer than 200.
    """

    step: Literal["content_characters"] = "content_characters"
    unit: ClassVar[str] = "letters and digits"
    source: ClassVar[str] = "dots.llm1 C.2 (empty content); value measured"
    below: ClassVar[str] = "empty_content"
    min: Limits | None = {"default": 150, "zh": 60}
    drops: ClassVar[Examples] = (
        Example(EN, "en", "empty_content"),
        Example(ZH, "zh", "empty_content"),
        Example("-" * 5000, "en", "empty_content"),
    )
    keeps: ClassVar[Examples] = (
        Example(EN * 3),
        Example(ZH * 3, "zh"),
        Example("- " * 300 + EN * 3),  # the beginning alone would say empty
    )

    def measure(self, doc: Document) -> float:
        # The bound is small: the beginning of a long text is mostly enough to be above it.
        n = len(_OTHER.sub("", (doc.text or "")[:COUNTED]))
        return n if n >= COUNTED // 2 else len(_OTHER.sub("", doc.text or ""))
