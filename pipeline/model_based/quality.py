"""The quality filter (dots.llm1 C.3): fluency, coherence, redundancy, repetition, information, as one score."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.model_based.scoring import Scored
from pipeline.steps import Limits


class Quality(Scored):
    """Drop documents whose probability to be good (`classifiers/quality/GUIDE.md`) is below a bound."""

    step: Literal["quality"] = "quality"
    unit: ClassVar[str] = "probability to be good"
    source: ClassVar[str] = "dots.llm1 C.3 (quality model); bound measured (classifiers/quality/CARD.md)"
    below: ClassVar[str] = "low_quality"

    min: Limits | None = Field(
        {"default": 0.2},
        description="probability to be good, at least; for all languages or by language; null: scores are stored, and "
        "type_and_quality decides",
    )

    def number(self, scores: dict[str, float]) -> float:
        return scores["good"]
