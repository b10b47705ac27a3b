"""Advertisement and registration prompts (dots.llm1 C.2), in Chinese and English."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from extraction.text import lines
from pipeline.rule_based.c4 import LineStep, prose
from pipeline.rule_based.phrases_of import Found, phrases_of
from pipeline.rule_based.stories import EN, ZH, story
from pipeline.schema import Document
from pipeline.steps import Example, Examples, Limits, Rule, bound

SOURCE = "dots.llm1 C.2 (advertisement and registration prompts); values measured"
COVERED = 0.2
"""Share of a line that must be phrases: a sentence that merely mentions one has less."""


def share_of_lines(doc: Document, kind: str, longest: int) -> tuple[float | None, str | None]:
    """Share of a document's characters in lines that phrases of a kind make out, and the first such phrase.

    Such a line has at most `longest` characters, of which at least 20 % are in phrases.
    """
    text = doc.text or ""
    if not text.strip():
        return None, None
    matches = phrases_of(text).get(kind)
    if not matches:
        return 0.0, None
    all_lines = lines(text)
    held = [f for f in matches if f.covered >= COVERED * (size := len(all_lines[f.line])) and size <= longest]
    return sum(len(all_lines[f.line]) for f in held) / len(text), held[0].phrase if held else None


_SENTENCE = ("。", "？", "?", "。”", "。」", "？”", "？」")


class CutPrompts(LineStep):
    """Cut lines that are a call to register, buy, follow or share: a phrase of `phrases.yaml` that is most of a short line.

    A phrase within a sentence does not count: it must be `min_share` of a line of at most `longest` characters. Headings, code,
    cells of tables and lines that end as a Chinese sentence or a question does stay.
    """

    step: Literal["cut_prompts"] = "cut_prompts"
    source: ClassVar[str] = SOURCE
    longest: Limits = Field({"default": 60, "zh": 24}, description="characters of a line that is looked at")
    min_share: float = Field(0.4, gt=0, le=1, description="of the line's characters in phrases")
    drops: ClassVar[Examples] = (Example("Sign up now\nSubscribe now\n立即注册", "en", "no_text_left"),)
    keeps: ClassVar[Examples] = (
        Example(f"{EN}\nShould you buy now?"),
        Example(f"{ZH}\n他点击下载。", "zh"),  # a sentence
    )
    changes: ClassVar[Examples] = (
        Example(f"{EN}\nSign up for our newsletter\n{EN}", left=f"{EN}\n{EN}"),
        Example(f"{ZH}\n扫描二维码关注公众号", "zh", left=ZH),
    )

    def unwanted(self, doc: Document) -> list[int]:
        longest = bound(self.longest, doc.language) or 0
        matches: list[Found] = phrases_of(doc.text or "").get("prompt", [])
        if not matches:
            return []
        may_go = {i: line.strip() for i, line in prose(doc)}
        return [
            f.line
            for f in matches
            if (line := may_go.get(f.line)) is not None
            and len(line) <= longest
            and f.covered >= self.min_share * len(line)
            and not line.endswith(_SENTENCE)
        ]


class PromptShare(Rule):
    """Drop documents of which more than 25 % of the characters are in lines (of up to 200 characters) with such a phrase."""

    step: Literal["prompt_share"] = "prompt_share"
    unit: ClassVar[str] = "share of characters"
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "advertisement"
    max: Limits | None = {"default": 0.25}
    longest: int = Field(200, gt=0, description="characters of a line that is looked at")
    drops: ClassVar[Examples] = (
        Example(
            f"{story('station')}\n"
            "Sign up now for the letter of the mill and claim your free sack of flour, with free shipping on all orders. "
            "Buy now!\nLimited time offer: order now, save up to a half of the cost, or get your free visit. Don't miss "
            "out, subscribe today!",
            reason="advertisement",
            url="https://offer.made.example/flour",
            title="Flour of the mill",
        ),
        Example(
            f"{EN}\nSign up now to claim your discount, with free shipping on all orders. Buy now!",
            "en",
            "advertisement",
        ),
        Example(f"{ZH}\n立即注册，注册送优惠，扫码关注公众号，免费领取", "zh", "advertisement"),
    )
    keeps: ClassVar[Examples] = (
        Example(f"{EN}\n{EN}\n{EN}\nSubscribe now!"),
        Example(f"{ZH}\n{ZH}\n立即注册", "zh"),
    )

    def measure(self, doc: Document) -> float | None:
        return share_of_lines(doc, "prompt", self.longest)[0]

    def evidence(self, doc: Document) -> str | None:
        return share_of_lines(doc, "prompt", self.longest)[1]
