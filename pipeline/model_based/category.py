"""What a document is about: one of 200 classes, by which tokenization sets the proportions of a corpus (dots.llm1 C.3)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pipeline.model_based.scoring import Asking, of_classifier
from pipeline.schema import Document, Drop


class Category(Asking):
    """Set `category` to the likeliest class of `classifiers/category/labels.yaml`, and store the ten likeliest with their
    probabilities. Drops nothing: `configs/category_weights.yaml` says how much of each class is written."""

    step: Literal["category"] = "category"
    keep_labels: ClassVar[int | None] = 10

    def process(self, docs: list[Document]) -> list[Document | Drop]:
        out: list[Document | Drop] = list(docs)
        asked = [i for i, doc in enumerate(docs) if (doc.text or "").strip()]
        for i, doc in zip(asked, self.scored([docs[i] for i in asked]), strict=True):
            scores = of_classifier(doc, self.classifier)
            # Of equals the first, which is the first of labels.yaml.
            out[i] = doc.evolve(category=max(scores, key=lambda label: scores[label]))
        return out

    def __call__(self, doc: Document) -> Document | Drop:
        (verdict,) = self.process([doc])
        return verdict
