"""FineWeb's quality rules (Penedo et al. 2024, 3.6), by language; Chinese from FineWeb2's values where it has one, then tuned."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.rule_based.statistics import ends_sentence, prose_statistics
from pipeline.rule_based.stories import EN, PROSE, ZH
from pipeline.schema import Document
from pipeline.steps import Example, Examples, Limits, Rule, bound

FINEWEB = "FineWeb (Penedo et al. 2024), 3.6"
TERMINAL = tuple(".!?\"'”’…。！？；」』》）)】．｡")
"""Signs that a sentence or a quotation ends with, in Chinese and English. FineWeb's are . ' \" ! ?"""


class LinePunctuation(Rule):
    """Drop documents of which fewer than 5 % of the lines end in a terminal punctuation mark; in Chinese 3 %.

    FineWeb has 12 %, FineWeb2 10.6 % for Chinese. Pages with code, tables and lists kept as lines of their own have less: 2 % of
    good English pages lie under 12 %, 1 % under 5 %.
    """

    step: Literal["line_punctuation"] = "line_punctuation"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "share of lines"
    source: ClassVar[str] = f"{FINEWEB} (0.12; zh 0.106), tuned"
    below: ClassVar[str] = "too_few_lines_end_a_sentence"
    min: Limits | None = {"en": 0.05, "zh": 0.03}
    drops: ClassVar[Examples] = (
        Example("Home\nShop\nCart", "en", "too_few_lines_end_a_sentence"),
        Example("皮鞋\n运动鞋\n女鞋，", "zh", "too_few_lines_end_a_sentence"),
    )
    keeps: ClassVar[Examples] = (
        Example(EN),
        Example("今天天气很好。\n真的吗？\n她说：“是的。”", "zh"),
        Example("今天天氣很好！\n「真的嗎？」\n她說：『是的。』", "zh"),
    )

    def measure(self, doc: Document) -> float | None:
        lines = prose_statistics(doc).lines
        return sum(ends_sentence(line, TERMINAL) for line in lines) / len(lines) if lines else None


class ShortLines(Rule):
    """Drop documents of which more than 80 % of the lines have at most 30 characters; in Chinese 75 % at most 10.

    FineWeb has 67 %, FineWeb2 leaves the rule out for Chinese. 30 Latin letters are five words; ten Chinese characters say as
    much. 1 % of good pages lie above 80 %.
    """

    step: Literal["short_lines"] = "short_lines"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "share of lines"
    source: ClassVar[str] = f"{FINEWEB} (0.67), tuned"
    above: ClassVar[str] = "too_many_short_lines"
    max: Limits | None = {"en": 0.8, "zh": 0.75}
    length: Limits = Field({"default": 30, "zh": 10}, description="characters that a short line has at most")
    drops: ClassVar[Examples] = (
        Example("Home\nShop\nCart", "en", "too_many_short_lines"),
        Example("皮鞋\n运动鞋\n女鞋，", "zh", "too_many_short_lines"),
    )
    keeps: ClassVar[Examples] = (Example(EN), Example("他在北京学习汉语已经有三年了，每天看书。", "zh"))

    def measure(self, doc: Document) -> float | None:
        length = bound(self.length, doc.language)
        lines = prose_statistics(doc).lines
        return sum(len(line) <= length for line in lines) / len(lines) if lines and length is not None else None


class LineDuplicateCharacters(Rule):
    """Drop documents of which more than a share of the characters are in repeated lines.

    FineWeb has 10 % (datatrove's code 1 %). Texts that keep code and tables, whose lines do repeat, have more: the default here
    is 20 %, in Chinese 22 %, which makes it nearly Gopher's rule (benchmarks/rules.py).
    """

    step: Literal["line_duplicate_characters"] = "line_duplicate_characters"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "share of characters"
    source: ClassVar[str] = f"{FINEWEB} (0.1), tuned"
    above: ClassVar[str] = "line_duplicate_characters"
    max: Limits | None = {"default": 0.2, "zh": 0.22}
    drops: ClassVar[Examples] = (
        Example(f"{EN}\n{EN}", "en", "line_duplicate_characters"),
        Example(f"{ZH}\n{ZH}", "zh", "line_duplicate_characters"),
    )
    keeps: ClassVar[Examples] = PROSE

    def measure(self, doc: Document) -> float | None:
        stats = prose_statistics(doc)
        characters = len(stats.text) - stats.text.count("\n")
        return stats.duplicate_lines[1] / characters if characters else None


class LinesPerWord(Rule):
    """Drop documents with more than 0.45 line breaks a word: lists (FineWeb 0.3, FineWeb2 for Chinese 0.178)."""

    step: Literal["lines_per_word"] = "lines_per_word"
    version: ClassVar[int] = 3
    unit: ClassVar[str] = "line breaks per word"
    source: ClassVar[str] = "FineWeb's code in datatrove (0.3), FineWeb2 (zh 0.178), tuned"
    above: ClassVar[str] = "list"
    max: Limits | None = {"en": 0.45, "zh": 0.45}
    drops: ClassVar[Examples] = (Example("Home\nShop\nCart", "en", "list"), Example("首页\n商店\n登录", "zh", "list"))
    keeps: ClassVar[Examples] = PROSE

    def measure(self, doc: Document) -> float | None:
        stats = prose_statistics(doc)
        return stats.text.count("\n") / len(stats.words) if stats.words else None
