"""Gopher's quality rules (Rae et al. 2021, Scaling Language Models, A1.1), by language.

English values are the paper's. For Chinese, word lengths, words with letters and stop words start from FineWeb2's values
(huggingface/fineweb-2, configs/cmn_Hani.yml) over words from segmentation; what was changed is said at the rule.
Other languages have no bounds by default where words or their lengths count: they pass, or get theirs in the config.
"""

from __future__ import annotations

import functools
import re
from typing import ClassVar, Literal

from pydantic import Field

from extraction.text import lines
from pipeline.rule_based.statistics import LONGEST_TEXT, prose_statistics, statistics, word_list
from pipeline.rule_based.stories import EN, PROSE, ZH, story
from pipeline.schema import Document
from pipeline.steps import Example, Examples, Limits, Rule

GOPHER = "Gopher (Rae et al. 2021), A1.1"


class WordCount(Rule):
    """Drop documents of fewer than 50 (Chinese: 40, tuned) or more than 100,000 words."""

    version: ClassVar[int] = 2

    step: Literal["word_count"] = "word_count"
    unit: ClassVar[str] = "words"
    source: ClassVar[str] = GOPHER
    below: ClassVar[str] = "too_few_words"
    above: ClassVar[str] = "too_many_words"
    min: Limits | None = {"en": 50, "zh": 40}
    max: Limits | None = {"en": 100_000, "zh": 100_000}
    drops: ClassVar[Examples] = (Example(EN, "en", "too_few_words"), Example(ZH, "zh", "too_few_words"))
    keeps: ClassVar[Examples] = (*PROSE, Example("城市的东边有一条河。" * 12, "zh"))  # without a space

    def measure(self, doc: Document) -> float:
        return len(statistics(doc.text or "", doc.language).words)


class MeanWordLength(Rule):
    """Drop documents whose words have fewer than 3 or more than 10 characters in the mean; in Chinese, 1 and 5."""

    version: ClassVar[int] = 2

    step: Literal["mean_word_length"] = "mean_word_length"
    unit: ClassVar[str] = "characters"
    source: ClassVar[str] = f"{GOPHER}; zh: FineWeb2"
    below: ClassVar[str] = "words_too_short"
    above: ClassVar[str] = "words_too_long"
    min: Limits | None = {"en": 3, "zh": 1}
    max: Limits | None = {"en": 10, "zh": 5}
    drops: ClassVar[Examples] = (
        Example(
            "Wassermühlenradwellenlagerschmierung and Getreidemühlenbetriebsgenossenschaft of "
            "Flussuferbefestigungsmaßnahmen\ninternationalization-of-millworking\n"
            + " ".join(word * 3 for word in story("ferry").split()),
            reason="words_too_long",
            url="https://words.made.example/mill",
            title="Millwork",
        ),
        Example("a b c d e f", "en", "words_too_short"),
    )
    keeps: ClassVar[Examples] = (
        Example("我们在北京学习汉语，每天看书写字。", "zh"),
        Example("我們在北京學習漢語，每天看書寫字。", "zh"),
    )

    def measure(self, doc: Document) -> float | None:
        stats = statistics(doc.text or "", doc.language)
        return float(stats.lengths.mean()) if stats.words else None


class HashRatio(Rule):
    """Drop documents with more than one hash sign in ten words."""

    version: ClassVar[int] = 2

    step: Literal["hash_ratio"] = "hash_ratio"
    unit: ClassVar[str] = "hash signs per word"
    source: ClassVar[str] = GOPHER
    above: ClassVar[str] = "too_many_hash_signs"
    max: Limits | None = {"en": 0.1, "zh": 0.1}
    drops: ClassVar[Examples] = (
        Example(
            " ".join(f"#{word}" for word in story("stable").split()) + f"\n{story('cellar')}",
            reason="too_many_hash_signs",
            url="https://hash.made.example/mill",
            title="#mill",
        ),
    )
    keeps: ClassVar[Examples] = PROSE

    def measure(self, doc: Document) -> float | None:
        stats = statistics(doc.text or "", doc.language)
        return stats.text.count("#") / len(stats.words) if stats.words else None


_ELLIPSIS = re.compile(r"\.{3,}|…+")


class EllipsisRatio(Rule):
    """Drop documents with more than one ellipsis in ten words: a run of points, or of the sign, is one."""

    version: ClassVar[int] = 2

    step: Literal["ellipsis_ratio"] = "ellipsis_ratio"
    unit: ClassVar[str] = "ellipses per word"
    source: ClassVar[str] = GOPHER
    above: ClassVar[str] = "too_many_ellipses"
    max: Limits | None = {"en": 0.1, "zh": 0.1}
    drops: ClassVar[Examples] = (
        Example(
            " ... ".join(story("granary").split()[:60]) + f"\n{story('lighthouse')}",
            reason="too_many_ellipses",
            url="https://ellipsis.made.example/mill",
            title="The mill",
        ),
    )
    keeps: ClassVar[Examples] = PROSE

    def measure(self, doc: Document) -> float | None:
        stats = statistics(doc.text or "", doc.language)
        text = stats.text
        ellipses = len(_ELLIPSIS.findall(text)) if "..." in text or "…" in text else 0
        return ellipses / len(stats.words) if stats.words else None


BULLETS = ("•", "-", "*", "·", "●", "○", "■", "□", "◆", "★", "※", "‣", "▪", "–", "—")


LONGEST_ITEM = 60


class BulletLines(Rule):
    """Drop documents of which more than 90 % of the lines begin with a bullet, or were short items of a list.

    Extraction leaves the bullets of a page's lists out; their tags tell. Items of over 60 characters are prose: comments,
    steps, answers.
    """

    step: Literal["bullet_lines"] = "bullet_lines"
    unit: ClassVar[str] = "share of lines"
    source: ClassVar[str] = GOPHER
    above: ClassVar[str] = "too_many_bullet_lines"
    max: Limits | None = {"default": 0.9}
    drops: ClassVar[Examples] = (
        Example("• an item\n- an item\n– an item", "en", "too_many_bullet_lines"),
        Example("一项\n一项\n一项", "zh", "too_many_bullet_lines", line_tags=("li", "li", "li")),
    )
    keeps: ClassVar[Examples] = (Example(f"{EN}\n- an item\n- an item"), Example(f"{EN}", line_tags=("li",)))

    def measure(self, doc: Document) -> float | None:
        text_lines = statistics(doc.text or "", doc.language).lines
        if not text_lines:
            return None
        bullets = sum(line.startswith(BULLETS) for line in text_lines)
        items = 0
        if doc.line_tags and "li" in doc.line_tags:
            tagged = zip(lines((doc.text or "")[:LONGEST_TEXT]), doc.line_tags, strict=False)
            items = sum(tag == "li" and 0 < len(line) <= LONGEST_ITEM for line, tag in tagged)
        return min(1.0, max(bullets, items) / len(text_lines))


class EllipsisLines(Rule):
    """Drop documents of which more than 30 % of the lines end in an ellipsis: texts that were cut off, lists of teasers."""

    step: Literal["ellipsis_lines"] = "ellipsis_lines"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "share of lines"
    source: ClassVar[str] = GOPHER
    above: ClassVar[str] = "too_many_lines_cut_off"
    max: Limits | None = {"default": 0.3}
    drops: ClassVar[Examples] = (
        Example(f"{EN}\nIt is cut off...", "en", "too_many_lines_cut_off"),
        Example(f"{ZH}\n今天天气很好……", "zh", "too_many_lines_cut_off"),
    )
    keeps: ClassVar[Examples] = (Example(f"{EN}\n{EN}\n{EN}\nIt is cut off..."), Example("...word\n...word"))

    def measure(self, doc: Document) -> float | None:
        lines = prose_statistics(doc).lines
        return sum(line.endswith(("...", "…")) for line in lines) / len(lines) if lines else None


class AlphabeticWords(Rule):
    """Drop documents of which fewer than 80 % of the words hold a letter (Chinese characters are letters).

    The paper's words stand between spaces; punctuation is no word here either. In Chinese 0.7, a little under FineWeb2's
    0.735 (which counts punctuation as words): numbers are words of their own there.
    """

    version: ClassVar[int] = 2

    step: Literal["alphabetic_words"] = "alphabetic_words"
    unit: ClassVar[str] = "share of words"
    source: ClassVar[str] = f"{GOPHER}; zh: FineWeb2, tuned"
    below: ClassVar[str] = "too_few_words_with_letters"
    min: Limits | None = {"en": 0.8, "zh": 0.7}
    drops: ClassVar[Examples] = (
        Example("word 7 word 3.14", "en", "too_few_words_with_letters"),
        Example("北京 2024 北京 2024", "zh", "too_few_words_with_letters"),
    )
    keeps: ClassVar[Examples] = (Example("A1 b2 c3"), Example("Größe Ω"), Example("北京大学", "zh"))

    def measure(self, doc: Document) -> float | None:
        stats = statistics(doc.text or "", doc.language)
        if not stats.words:
            return None
        # isalpha is true for most words at once; the others are looked at letter by letter.
        without = {w for w in stats.vocabulary if not w.isalpha() and not any(map(str.isalpha, w))}
        return 1 - sum(map(without.__contains__, stats.words)) / len(stats.words) if without else 1.0


class StopWords(Rule):
    """Drop documents that hold fewer than two of the language's stop words: they are not running text.

    English has Gopher's eight words; Chinese a longer list of simplified and traditional function words
    (`word_lists/stop_words.yaml`).
    """

    version: ClassVar[int] = 2

    step: Literal["stop_words"] = "stop_words"
    unit: ClassVar[str] = "distinct stop words"
    source: ClassVar[str] = GOPHER
    below: ClassVar[str] = "too_few_stop_words"
    min: Limits | None = {"en": 2, "zh": 2}
    extra: dict[str, list[str]] = Field(default_factory=dict, description="further stop words by language")
    drops: ClassVar[Examples] = (
        Example("The the THE cat", "en", "too_few_stop_words"),
        Example("Buy shoes online cheap", "en", "too_few_stop_words"),
        Example("皮鞋 运动鞋 女鞋 童鞋", "zh", "too_few_stop_words"),
    )
    keeps: ClassVar[Examples] = (
        Example("The cat and a dog"),
        Example("我的书在桌上", "zh"),
        Example("我們與他們說話", "zh"),
        Example("Der Hund und die Katze", "de"),
    )

    def measure(self, doc: Document) -> float | None:
        stop = _stop_words(doc.language or "", tuple(self.extra.get(doc.language or "", ())))
        if not stop:
            return None
        return len({w.lower() for w in stop & statistics(doc.text or "", doc.language).vocabulary})


@functools.lru_cache(maxsize=64)
def _stop_words(language: str, extra: tuple[str, ...]) -> frozenset[str]:
    """The stop words as they can be written: in lower case, with a capital, in capitals."""
    words = {*word_list("stop_words").get(language, ()), *extra}
    return frozenset(form for w in words for form in (w.lower(), w.capitalize(), w.upper()))
