"""The web-type filter: text-rich detail pages stay; tools, sound and video, forums, adult pages and the like go
(dots.llm1 C.3)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from classifiers.web_type.labels import LABELS
from pipeline.model_based.scoring import Scored
from pipeline.steps import Limits


def _known(types: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [label for label in types if label not in LABELS]
    if unknown or not types:
        raise ValueError(
            f"unknown web types {', '.join(unknown) or '(none given)'}; the types are: {', '.join(LABELS)}"
        )
    return types


Types = Annotated[tuple[str, ...], AfterValidator(_known)]
"""Names of web types, one or more."""


class WebType(Scored):
    """Drop documents that are, with a probability over 1 - `min`, of a type that is not kept; the reason is the
    likeliest of these types."""

    step: Literal["web_type"] = "web_type"
    unit: ClassVar[str] = "probability of the kept types"
    source: ClassVar[str] = "dots.llm1 C.3 (web-type classifier); bound measured (classifiers/web_type/CARD.md)"
    below: ClassVar[str] = "web_type"

    keep: Types = Field(
        ("article", "documentation", "encyclopedia"), description=f"types that stay, of: {', '.join(LABELS)}"
    )
    min: Limits | None = Field(
        {"default": 0.5},
        description="probability that the page is of a kept type, at least; for all languages or by language; null: scores are "
        "stored, and type_and_quality decides",
    )

    def number(self, scores: dict[str, float]) -> float:
        return sum(score for label, score in scores.items() if label in self.keep)

    def reason(self, scores: dict[str, float], reason: str) -> str:
        return max(
            (label for label in scores if label not in self.keep), key=lambda label: scores[label], default=reason
        )
