"""Gopher's repetition rules (Rae et al. 2021, table A1), by language; Chinese from FineWeb2's values over segmented words.

For repeated 5- to 10-grams Gopher has 15 to 10 %; here 20 to 15 %, which 1 % of good English pages exceed (2 to 3 % exceed
Gopher's: documentation that repeats its examples).

n-grams are of words; shares are of the text's characters. An n-gram that occurs once is not repeated: its share is 0.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pipeline.rule_based.statistics import prose_statistics
from pipeline.rule_based.stories import EN, PROSE, ZH
from pipeline.schema import Document
from pipeline.steps import Example, Examples, Limits, Rule

TABLE = "Gopher (Rae et al. 2021), table A1"
WITH_CHINESE = f"{TABLE}; zh: FineWeb2"
TUNED = f"{TABLE}, tuned; zh: FineWeb2"


class DuplicateLines(Rule):
    """Drop documents of which more than 45 % of the lines repeat an earlier one; in Chinese 35 %.

    Gopher has 30 %: 1.5 % of good English pages lie above it, for the lines of their code and tables.
    """

    step: Literal["duplicate_lines"] = "duplicate_lines"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "share of lines"
    source: ClassVar[str] = f"{TABLE} (0.3; FineWeb2 zh 0.287), tuned"
    above: ClassVar[str] = "duplicate_lines"
    max: Limits | None = {"default": 0.45, "zh": 0.35}
    drops: ClassVar[Examples] = (
        Example(f"{EN}\n{EN}", "en", "duplicate_lines"),
        Example(f"{ZH}\n{ZH}", "zh", "duplicate_lines"),
    )
    keeps: ClassVar[Examples] = PROSE

    def measure(self, doc: Document) -> float | None:
        stats = prose_statistics(doc)
        return stats.duplicate_lines[0] / len(stats.lines) if stats.lines else None


class DuplicateLineCharacters(Rule):
    """Drop documents of which more than 20 % of the characters are in lines that repeat an earlier one."""

    step: Literal["duplicate_line_characters"] = "duplicate_line_characters"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "share of characters"
    source: ClassVar[str] = TABLE
    above: ClassVar[str] = "duplicate_line_characters"
    max: Limits | None = {"default": 0.2, "zh": 0.22}
    drops: ClassVar[Examples] = (
        Example(f"{EN}\n{EN}", "en", "duplicate_line_characters"),
        Example(f"{ZH}\n{ZH}", "zh", "duplicate_line_characters"),
    )
    keeps: ClassVar[Examples] = PROSE

    def measure(self, doc: Document) -> float | None:
        stats = prose_statistics(doc)
        return stats.duplicate_lines[1] / len(stats.text) if stats.text else None


class DuplicateParagraphs(Rule):
    """Drop documents of which more than 40 % (Gopher: 30 %, tuned) of the paragraphs repeat an earlier one."""

    step: Literal["duplicate_paragraphs"] = "duplicate_paragraphs"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "share of paragraphs"
    source: ClassVar[str] = f"{TABLE} (0.3), tuned"
    above: ClassVar[str] = "duplicate_paragraphs"
    max: Limits | None = {"default": 0.4}
    drops: ClassVar[Examples] = (Example(f"{EN}\n\n{EN}", "en", "duplicate_paragraphs"),)
    keeps: ClassVar[Examples] = (*PROSE, Example("\n".join(["the same"] * 20)))  # lines of one paragraph

    def measure(self, doc: Document) -> float | None:
        stats = prose_statistics(doc)
        return stats.duplicate_paragraphs[0] / len(stats.paragraphs) if stats.paragraphs else None


class DuplicateParagraphCharacters(Rule):
    """Drop documents of which more than 20 % of the characters are in paragraphs that repeat an earlier one."""

    step: Literal["duplicate_paragraph_characters"] = "duplicate_paragraph_characters"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "share of characters"
    source: ClassVar[str] = TABLE
    above: ClassVar[str] = "duplicate_paragraph_characters"
    max: Limits | None = {"default": 0.2}
    drops: ClassVar[Examples] = (Example(f"{EN}\n\n{EN}", "en", "duplicate_paragraph_characters"),)
    keeps: ClassVar[Examples] = (*PROSE, Example("\n".join(["the same"] * 20)))  # lines of one paragraph

    def measure(self, doc: Document) -> float | None:
        stats = prose_statistics(doc)
        return stats.duplicate_paragraphs[1] / len(stats.text) if stats.text else None


class _Ngrams(Rule):
    n: ClassVar[int]
    unit: ClassVar[str] = "share of characters"
    source: ClassVar[str] = WITH_CHINESE
    keeps: ClassVar[Examples] = (*PROSE, Example("le même mot " * 50, "fr"))  # a language without a bound

    def measure(self, doc: Document) -> float | None:
        stats = prose_statistics(doc)
        return float(stats.repeated_ngrams[self.n - 2]) if stats.words else None


def _repeated(reason: str) -> Examples:
    return (
        Example("Click here to see more of our cheap shoes in the shop online. " * 30, "en", reason),
        Example("点击这里查看本店更多的便宜皮鞋，欢迎光临我们的网上商店。" * 30, "zh", reason),
        Example("點擊這裡查看本店更多的便宜皮鞋，歡迎光臨我們的網上商店。" * 30, "zh", reason),
    )


class Top2Gram(_Ngrams):
    """Drop documents of which one 2-gram makes up more than 20 % of the characters."""

    step: Literal["top_2_gram"] = "top_2_gram"
    version: ClassVar[int] = 3
    n: ClassVar[int] = 2
    above: ClassVar[str] = "top_2_gram"
    max: Limits | None = {"en": 0.2, "zh": 0.256}
    drops: ClassVar[Examples] = (
        Example(
            " ".join(f"the mill {w}" for w in ["wheel", "stone", "gate", "sack", "flour"] * 14),
            reason="top_2_gram",
            url="https://one-word.made.example/mill",
            title="mill " * 9,
        ),
        Example("欢迎光临！" * 30, "zh", "top_2_gram"),
    )


class Top3Gram(_Ngrams):
    """Drop documents of which one 3-gram makes up more than 18 % of the characters."""

    step: Literal["top_3_gram"] = "top_3_gram"
    version: ClassVar[int] = 3
    n: ClassVar[int] = 3
    above: ClassVar[str] = "top_3_gram"
    max: Limits | None = {"en": 0.18, "zh": 0.201}
    drops: ClassVar[Examples] = (Example("Cheap shoes online! " * 30, "en", "top_3_gram"),)


class Top4Gram(_Ngrams):
    """Drop documents of which one 4-gram makes up more than 16 % of the characters."""

    step: Literal["top_4_gram"] = "top_4_gram"
    version: ClassVar[int] = 3
    n: ClassVar[int] = 4
    above: ClassVar[str] = "top_4_gram"
    max: Limits | None = {"en": 0.16, "zh": 0.171}
    drops: ClassVar[Examples] = (Example("Cheap shoes online! " * 30, "en", "top_4_gram"),)


class Duplicate5Grams(_Ngrams):
    """Drop documents of which more than 20 % of the characters are in 5-grams that occurred before."""

    step: Literal["duplicate_5_grams"] = "duplicate_5_grams"
    version: ClassVar[int] = 3
    source: ClassVar[str] = TUNED
    n: ClassVar[int] = 5
    above: ClassVar[str] = "duplicate_5_grams"
    max: Limits | None = {"en": 0.2, "zh": 0.198}
    drops: ClassVar[Examples] = _repeated("duplicate_5_grams")


class Duplicate6Grams(_Ngrams):
    """Drop documents of which more than 19 % of the characters are in 6-grams that occurred before."""

    step: Literal["duplicate_6_grams"] = "duplicate_6_grams"
    version: ClassVar[int] = 3
    source: ClassVar[str] = TUNED
    n: ClassVar[int] = 6
    above: ClassVar[str] = "duplicate_6_grams"
    max: Limits | None = {"en": 0.19, "zh": 0.182}
    drops: ClassVar[Examples] = _repeated("duplicate_6_grams")


class Duplicate7Grams(_Ngrams):
    """Drop documents of which more than 18 % of the characters are in 7-grams that occurred before."""

    step: Literal["duplicate_7_grams"] = "duplicate_7_grams"
    version: ClassVar[int] = 3
    source: ClassVar[str] = TUNED
    n: ClassVar[int] = 7
    above: ClassVar[str] = "duplicate_7_grams"
    max: Limits | None = {"en": 0.18, "zh": 0.167}
    drops: ClassVar[Examples] = _repeated("duplicate_7_grams")


class Duplicate8Grams(_Ngrams):
    """Drop documents of which more than 17 % of the characters are in 8-grams that occurred before."""

    step: Literal["duplicate_8_grams"] = "duplicate_8_grams"
    version: ClassVar[int] = 3
    source: ClassVar[str] = TUNED
    n: ClassVar[int] = 8
    above: ClassVar[str] = "duplicate_8_grams"
    max: Limits | None = {"en": 0.17, "zh": 0.154}
    drops: ClassVar[Examples] = _repeated("duplicate_8_grams")


class Duplicate9Grams(_Ngrams):
    """Drop documents of which more than 16 % of the characters are in 9-grams that occurred before."""

    step: Literal["duplicate_9_grams"] = "duplicate_9_grams"
    version: ClassVar[int] = 3
    source: ClassVar[str] = TUNED
    n: ClassVar[int] = 9
    above: ClassVar[str] = "duplicate_9_grams"
    max: Limits | None = {"en": 0.16, "zh": 0.14}
    drops: ClassVar[Examples] = _repeated("duplicate_9_grams")


class Duplicate10Grams(_Ngrams):
    """Drop documents of which more than 15 % of the characters are in 10-grams that occurred before."""

    step: Literal["duplicate_10_grams"] = "duplicate_10_grams"
    version: ClassVar[int] = 3
    source: ClassVar[str] = TUNED
    n: ClassVar[int] = 10
    above: ClassVar[str] = "duplicate_10_grams"
    max: Limits | None = {"en": 0.15, "zh": 0.127}
    drops: ClassVar[Examples] = _repeated("duplicate_10_grams")
