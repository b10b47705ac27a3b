"""Diffs of wikis and of code (dots.llm1 C.2)."""

from __future__ import annotations

from typing import ClassVar, Literal
from urllib.parse import unquote

import regex

from pipeline.rule_based.phrases_of import phrases_of
from pipeline.rule_based.statistics import statistics
from pipeline.schema import Document
from pipeline.steps import Limits, Rule

SOURCE = "dots.llm1 C.2 (wiki and code diffs)"
_WIKI_URL = regex.compile(
    r"[?&](?:diff|oldid)=|[?&]action=(?:diff|history)(?:&|$)|/Special:(?:Diff|History|MobileDiff)|(?:特殊|特別):(?:差异|差異)",
    regex.I,
)
_HUNK = regex.compile(r"(?m)^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@|^diff --git |^Index: \S+$|^--- \S.*\n\+\+\+ ")


class WikiDiff(Rule):
    """Drop pages that compare revisions of a wiki page: two signs of it or more, the URL counting as two.

    Signs are distinct phrases such as "Revision as of", "Difference between revisions", 版本间的差异.
    """

    step: Literal["wiki_diff"] = "wiki_diff"
    unit: ClassVar[str] = "signs"
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "wiki_diff"
    max: Limits | None = {"default": 1}

    def measure(self, doc: Document) -> float:
        phrases = {found.phrase for found in phrases_of(doc.text or "").get("wiki_diff", ())}
        return len(phrases) + 2 * bool(_WIKI_URL.search(unquote((doc.url or "")[:2000])))

    def evidence(self, doc: Document) -> str | None:
        found = phrases_of(doc.text or "").get("wiki_diff")
        return found[0].phrase if found else doc.url


class CodeDiff(Rule):
    """Drop documents of which more than 40 % of the lines are lines of a unified diff (+, -, @@), where one is marked as such."""

    step: Literal["code_diff"] = "code_diff"
    unit: ClassVar[str] = "share of lines"
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "code_diff"
    max: Limits | None = {"default": 0.4}

    def measure(self, doc: Document) -> float | None:
        text = doc.text or ""
        if not _HUNK.search(text):
            return 0.0
        found = statistics(text, doc.language).lines
        marks = ("+", "-", "@@", "diff --git", "index ", "Index: ")
        return sum(line.startswith(marks) for line in found) / len(found) if found else None
