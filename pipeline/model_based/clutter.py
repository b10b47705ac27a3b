"""Web-clutter removal by a line-level model (dots.llm1 C.3): every line gets a score from 0 to 1 for what it is
worth to the page, and the lines below a threshold go."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from extraction.line_model.model import load, sha256
from extraction.result import SCALE
from extraction.text import lines
from pipeline.lines import cut_lines
from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep, Limits, bound


class Clutter(DocumentStep):
    """Cut lines whose score is below `min_score`; drop documents of which too little is left.

    Scores that extraction made (`extract_text` with the engine `lines`) are taken as they are: that model saw the page. Other
    texts are scored by the form `text` of the model, which knows the words of the lines alone, and little of a row of numbers:
    rows that follow each other have one score, the mean by letters. Its scores are stored in `line_scores`. Cut lines are kept
    in `removed_lines`, with their scores. Drops: `clutter_share` (share of the text's characters that is left),
    `clutter_length` (characters that are left).
    """

    version: ClassVar[int] = 2

    step: Literal["clutter"] = "clutter"
    min_score: Limits = Field(
        {"default": 0.15, "zh": 0.2},
        description="score below which a line of a text is cut, for all languages or by language",
    )
    min_extracted_score: float = Field(
        0.0, ge=0, le=1, description="the same for scores that extraction made, which has cut already"
    )
    min_share: float = Field(0.3, ge=0, le=1, description="share of a text's characters that must be left")
    min_chars: int = Field(1, ge=0, description="characters that must be left")
    source: ClassVar[str] = "dots.llm1 C.3 (web clutter removal); thresholds measured (classifiers/clutter/CARD.md)"

    def fingerprint(self) -> dict[str, Any]:
        return super().fingerprint() | {"resources": {"clutter/text": sha256("text")}}

    def load(self) -> None:
        load("text").score_lines(["compiles everything"])

    def __call__(self, doc: Document) -> Document | Drop:
        text = doc.text or ""
        scores, threshold = doc.line_scores, self.min_extracted_score
        if scores is None:
            scores = rows_as_one(load("text").score_lines(lines(text)).tolist(), lines(text), doc.line_tags)
            threshold = bound(self.min_score, doc.language) or 0.0
            doc = doc.evolve(line_scores=scores)
        least = round(threshold * SCALE)
        left = cut_lines(doc, self.step, [i for i, score in enumerate(scores) if score < least])
        size = len(left.text or "")
        if size < self.min_chars:
            return Drop("clutter_length", value=size)
        if size < self.min_share * len(text):
            return Drop("clutter_share", value=size / len(text))
        return left


def rows_as_one(scores: Sequence[int], of_text: Sequence[str], tags: Sequence[str] | None) -> list[int]:
    """The scores, where the rows of a table that follow each other have their mean, weighted by letters: a header says what a
    table is, and a row of numbers stays or goes with it."""
    out = list(scores)
    numbered = enumerate(tags or ())
    for is_row, run in itertools.groupby(numbered, lambda line: line[1] == "tr"):
        rows = [i for i, _ in run]
        if is_row and len(rows) > 1:
            weights = [sum(map(str.isalpha, of_text[i])) + 1e-3 for i in rows]
            mean = sum(weight * scores[i] for weight, i in zip(weights, rows, strict=True)) / sum(weights)
            out[rows[0] : rows[-1] + 1] = [round(mean)] * len(rows)
    return out
