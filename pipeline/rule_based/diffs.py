"""Diffs of wikis and of code (dots.llm1 C.2)."""

from __future__ import annotations

from typing import ClassVar, Literal
from urllib.parse import unquote

import regex

from pipeline.rule_based.phrases_of import phrases_of
from pipeline.rule_based.statistics import statistics
from pipeline.rule_based.stories import EN, story, story_zh
from pipeline.schema import Document
from pipeline.steps import Example, Examples, Limits, Rule

SOURCE = "dots.llm1 C.2 (wiki and code diffs)"
_WIKI_URL = regex.compile(
    r"[?&](?:diff|oldid)=|[?&]action=(?:diff|history)(?:&|$)|/Special:(?:Diff|History|MobileDiff)|(?:特殊|特別):(?:差异|差異)",
    regex.I,
)
_HUNK = regex.compile(r"(?m)^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@|^diff --git |^Index: \S+$|^--- \S.*\n\+\+\+ ")
_PATCH = "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n-old = 1\n+new = 1\n same = 2"


class WikiDiff(Rule):
    """Drop pages that compare revisions of a wiki page: two signs of it or more, the URL counting as two.

    Signs are distinct phrases such as "Revision as of", "Difference between revisions", 版本间的差异.
    """

    step: Literal["wiki_diff"] = "wiki_diff"
    unit: ClassVar[str] = "signs"
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "wiki_diff"
    max: Limits | None = {"default": 1}
    drops: ClassVar[Examples] = (
        Example(
            f"Revision as of 10:02, 4 May 2019\nLatest revision as of 11:30, 6 May 2019\nLine 1:\n{story('forge')}\n"
            f"{story('bakery')}",
            reason="wiki_diff",
            url="https://wiki.made.example/index.php?title=Mill&diff=201&oldid=187",
            title="Mill: Difference between revisions",
        ),
        Example(
            "2019年5月4日 (六) 10:02的版本\n2019年5月6日 (一) 11:30的最新修订版本\n未显示2个用户的3个中间版本\n"
            + story_zh("油坊") * 2,
            "zh",
            "wiki_diff",
            url="https://wiki.made.example/%E7%A3%A8%E5%9D%8A",
            title="“磨坊”的版本间的差异",
        ),
        Example("Difference between revisions\nLatest revision as of 10:22, 3 May 2019", "en", "wiki_diff"),
    )
    keeps: ClassVar[Examples] = (
        Example(EN, url="https://en.wikipedia.org/wiki/Difference"),
        Example("The revision history of the manuscript is long."),
        Example("软件当前版本修复了历史版本的问题。", "zh"),
    )

    def measure(self, doc: Document) -> float:
        phrases = {match.phrase for match in phrases_of(doc.text or "").get("wiki_diff", ())}
        return len(phrases) + 2 * bool(_WIKI_URL.search(unquote((doc.url or "")[:2000])))

    def evidence(self, doc: Document) -> str | None:
        matches = phrases_of(doc.text or "").get("wiki_diff")
        return matches[0].phrase if matches else doc.url


class CodeDiff(Rule):
    """Drop documents of which more than 40 % of the lines are lines of a unified diff (+, -, @@), where one is marked as such."""

    step: Literal["code_diff"] = "code_diff"
    unit: ClassVar[str] = "share of lines"
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "code_diff"
    max: Limits | None = {"default": 0.4}
    drops: ClassVar[Examples] = (
        Example(
            "This is the change that was asked for.\n"
            "diff --git a/mill/wheel.py b/mill/wheel.py\nindex 83db48f..bf2a1c0 100644\n--- a/mill/wheel.py\n"
            "+++ b/mill/wheel.py\n@@ -1,14 +1,15 @@\n"
            + "".join(
                f"-    the wheel of the mill is turned with hand {i}\n"
                f"+    the wheel of the mill is turned by the water {i}\n"
                for i in range(14)
            )
            + "+    and that is to be tested with the gate closed",
            reason="code_diff",
            url="https://code.made.example/mill/commit/83db48f",
            title="Turn the wheel by water",
            line_tags=("p", *["pre"] * 34),
        ),
        Example(_PATCH, "en", "code_diff"),
    )
    keeps: ClassVar[Examples] = (
        Example(f"{EN}\n" * 10 + _PATCH),  # an article that shows a patch
        Example("- milk\n- bread\n+ maybe eggs\n- butter"),  # a list
        Example("---\n+++\n- a\n- b"),
    )

    def measure(self, doc: Document) -> float | None:
        text = doc.text or ""
        if not _HUNK.search(text):
            return 0.0
        text_lines = statistics(text, doc.language).lines
        marks = ("+", "-", "@@", "diff --git", "index ", "Index: ")
        return sum(line.startswith(marks) for line in text_lines) / len(text_lines) if text_lines else None
