"""Type and quality decided together: a good thread stays, a poor article goes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from classifiers.web_type.labels import DETAIL, LABELS
from pipeline.model_based.scoring import of_classifier
from pipeline.model_based.web_type import Types
from pipeline.schema import Document, Drop
from pipeline.steps import Limits, Rule
from pipeline.strict import Strict


class Alternative(Strict):
    """One way to stay: the page is of these types with a probability of at least `type`, and good with one of `quality`."""

    types: Types = Field(description=f"types whose probabilities are added, of: {', '.join(LABELS)}")
    type: float = Field(gt=0, le=1, description="probability to be of one of them, at least")
    quality: float = Field(gt=0, le=1, description="probability to be good, at least")


def _alternatives(detail: tuple[float, float], forum: tuple[float, float]) -> list[Alternative]:
    """Detail pages, and talk, each with its bounds of type and quality."""
    return [
        Alternative(types=DETAIL, type=detail[0], quality=detail[1]),
        Alternative(types=("forum",), type=forum[0], quality=forum[1]),
    ]


class TypeAndQuality(Rule):
    """Drop documents for which no alternative of their language holds: each asks for types with a probability, and for a
    probability to be good. `web_type` and `quality`, before it, store what it reads.

    The number is that of the best alternative: the smaller of its two ratios of probability and bound. The reason is
    `low_quality` where quality is the weaker, else the likeliest type that no alternative names.
    """

    step: Literal["type_and_quality"] = "type_and_quality"
    unit: ClassVar[str] = "weaker probability of the best alternative / its bound"
    source: ClassVar[str] = (
        "dots.llm1 C.3, both filters as one; bounds chosen in folds by site (benchmarks/type_and_quality.py)"
    )
    below: ClassVar[str] = "web_type"
    needs: ClassVar[tuple[str, ...]] = ("web_type", "quality")

    alternatives: dict[str, list[Alternative]] = Field(
        {"default": _alternatives((0.5, 0.1), (0.1, 0.4)), "zh": _alternatives((0.6, 0.3), (0.1, 0.7))},
        description="ways to stay, by language; `default` is for all others",
    )
    min: Limits | None = Field({"default": 1.0}, description="1: all bounds as they are; 0.8: each a fifth lower")

    @model_validator(mode="after")
    def _has_alternatives(self) -> TypeAndQuality:
        for language, own in self.alternatives.items():
            if not own:
                raise ValueError(f"alternatives.{language} is empty: expected one or more")
        if "default" not in self.alternatives:
            raise ValueError(f"alternatives has {', '.join(self.alternatives) or 'nothing'}: expected default too")
        return self

    def measure(self, doc: Document) -> float | None:
        best = self._best(doc)
        return None if best is None else min(best)

    def __call__(self, doc: Document) -> Document | Drop:
        best = self._best(doc)
        if best is None or self.judge(min(best), doc.language) is None:
            return doc
        by_type, by_quality = best
        if by_quality < by_type:
            return Drop("low_quality", value=by_quality)
        kept = {label for one in self._own(doc) for label in one.types}
        types = {label: p for label, p in of_classifier(doc, "web_type").items() if label not in kept}
        return Drop(max(types, key=lambda label: types[label], default="web_type"), value=by_type)

    def _own(self, doc: Document) -> list[Alternative]:
        return self.alternatives.get(doc.language or "") or self.alternatives["default"]

    def _best(self, doc: Document) -> tuple[float, float] | None:
        """Probability / bound of type and of quality, of the best alternative; None for a document without both scores."""
        types, quality = of_classifier(doc, "web_type"), of_classifier(doc, "quality")
        if not types or not quality:
            return None
        ratios = [
            (sum(types.get(label, 0.0) for label in one.types) / one.type, quality["good"] / one.quality)
            for one in self._own(doc)
        ]
        return max(ratios, key=min)
