"""Steps that ask a page classifier: scores are stored, and a bound on them decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from classifiers.base import Batch, Classifier
from classifiers.registry import load
from extraction.result import SCALE
from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep, Rule


class Asking(DocumentStep):
    """A step that asks the page classifier of its name.

    Probabilities are stored in `scores`: another bound needs no second look at the text. A document that comes with scores of
    this classifier keeps them, unless `rescore` is set.
    """

    keep_labels: ClassVar[int | None] = None
    """Number of labels stored of a document, the likeliest; None: all."""

    model: str | None = Field(
        None,
        description="folder or hub name of another model: a trained one, or a Hugging Face checkpoint; default: the shipped",
    )
    rescore: bool = Field(False, description="ask the model again for documents that come with scores of it")

    @property
    def classifier(self) -> str:
        """Name of the classifier."""
        return self.step

    def _loaded(self) -> Classifier:
        return load(self.classifier, self.model)

    def load(self) -> None:
        self._loaded().predict_proba(["compiles everything"])

    def check(self) -> None:
        self._loaded()

    def fingerprint(self) -> dict[str, Any]:
        return super().fingerprint() | {"resources": {self.classifier: self._loaded().sha256()}}

    def scored(self, docs: list[Document]) -> list[Document]:
        """Documents with their scores, the likeliest label first where not all are stored."""
        todo = [i for i, doc in enumerate(docs) if self.rescore or not of_classifier(doc, self.classifier)]
        if not todo:
            return docs
        model = self._loaded()
        scores = model.scores(batch_of([docs[i] for i in todo]))
        if self.keep_labels is None:
            chosen = np.broadcast_to(np.arange(len(model.labels)), scores.shape)
        else:
            chosen = np.argsort(-scores.astype(np.int32), axis=1, kind="stable")[:, : self.keep_labels]
        stored = np.take_along_axis(scores, chosen, axis=1).tolist()
        out = list(docs)
        for i, labels, row in zip(todo, chosen.tolist(), stored, strict=True):
            others = [s for s in docs[i].scores or () if s["classifier"] != self.classifier]
            scored = [
                {"classifier": self.classifier, "label": model.labels[label], "score": score}
                for label, score in zip(labels, row, strict=True)
            ]
            out[i] = docs[i].evolve(scores=others + scored)
        return out

    def verdict(self, doc: Document, scores: dict[str, float]) -> Document | Drop:
        """Verdict on a document that has its scores, from the probability of each label."""
        raise TypeError(f"{type(self).__name__} must define verdict")

    def process(self, docs: list[Document]) -> list[Document | Drop]:
        out: list[Document | Drop] = list(docs)
        asked = [i for i, doc in enumerate(docs) if (doc.text or "").strip()]
        for i, doc in zip(asked, self.scored([docs[i] for i in asked]), strict=True):
            out[i] = self.verdict(doc, of_classifier(doc, self.classifier))
        return out

    def __call__(self, doc: Document) -> Document | Drop:
        (verdict,) = self.process([doc])
        return verdict


class Scored(Asking, Rule):
    """A rule on what a page classifier says; scores of dropped documents are stored too."""

    unit: ClassVar[str] = "probability"

    def number(self, scores: dict[str, float]) -> float:
        """The number that `min` and `max` bound, from the probability of each label."""
        raise TypeError(f"{type(self).__name__} must define number")

    def reason(self, scores: dict[str, float], reason: str) -> str:
        """The reason that is told: `below` or `above`, or a finer one."""
        return reason

    def measure(self, doc: Document) -> float | None:
        if not (doc.text or "").strip():
            return None
        (doc,) = self.scored([doc])
        return self.number(of_classifier(doc, self.classifier))

    def verdict(self, doc: Document, scores: dict[str, float]) -> Document | Drop:
        value = self.number(scores)
        reason = self.judge(value, doc.language)
        return doc if reason is None else Drop(self.reason(scores, reason), value=value, document=doc)


def of_classifier(doc: Document, classifier: str) -> dict[str, float]:
    """Probability of each label, 0 to 1, as stored; empty if the classifier has not judged the document."""
    return {s["label"]: s["score"] / SCALE for s in doc.scores or () if s["classifier"] == classifier}


def batch_of(docs: Sequence[Document]) -> Batch:
    """Documents as classifiers take them."""
    return Batch(
        texts=[doc.text or "" for doc in docs],
        urls=[doc.url for doc in docs],
        titles=[doc.title for doc in docs],
        line_tags=[doc.line_tags for doc in docs],
        line_link_share=[doc.line_link_share for doc in docs],
        page_signals=[doc.page_signals for doc in docs],
    )
