"""Topic of a document: one of 200 classes, by which tokenization sets the proportions of a corpus (dots.llm1 C.3)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pipeline.model_based.scoring import Asking
from pipeline.schema import Document


class Category(Asking):
    """Set `category` to the likeliest class of `classifiers/category/labels.yaml`, and store the ten likeliest with their
    probabilities. Drops nothing: `configs/category_weights.yaml` says how much of each class is written."""

    step: Literal["category"] = "category"
    keep_labels: ClassVar[int | None] = 10

    def verdict(self, doc: Document, scores: dict[str, float]) -> Document:
        # Of equals the first, which is the first of labels.yaml.
        return doc.evolve(category=max(scores, key=lambda label: scores[label]))
