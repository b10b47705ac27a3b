"""Steps that ask a page classifier: scores are stored, and a bound on them decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from classifiers.base import SCALE, Batch, Classifier, load
from pipeline.schema import Document, Drop
from pipeline.steps import Rule


class Scored(Rule):
    """A rule on what a page classifier says.

    Probabilities of all labels are stored in `scores`, of dropped documents too: another bound needs no second look at the text.
    A document that comes with scores of this classifier keeps them, unless `rescore` is set.
    """

    classifier: ClassVar[str]
    unit: ClassVar[str] = "probability"

    model: str | None = Field(
        None,
        description="folder or hub name of another model: a trained one, or a Hugging Face checkpoint; default: the shipped",
    )
    rescore: bool = Field(False, description="ask the model again for documents that come with scores of it")

    def _loaded(self) -> Classifier:
        return load(self.classifier, self.model)

    def load(self) -> None:
        self._loaded().predict_proba(["compiles everything"])

    def check(self) -> None:
        self._loaded()

    def fingerprint(self) -> dict[str, Any]:
        return super().fingerprint() | {"resources": {self.classifier: self._loaded().sha256()}}

    def scored(self, docs: list[Document]) -> list[Document]:
        """The documents with scores."""
        todo = [i for i, doc in enumerate(docs) if self.rescore or not of_classifier(doc, self.classifier)]
        if not todo:
            return docs
        model = self._loaded()
        scores = model.scores(batch_of([docs[i] for i in todo])).tolist()
        out = list(docs)
        for i, row in zip(todo, scores, strict=True):
            others = [s for s in docs[i].scores or () if s["classifier"] != self.classifier]
            own = [
                {"classifier": self.classifier, "label": label, "score": score}
                for label, score in zip(model.labels, row, strict=True)
            ]
            out[i] = docs[i].evolve(scores=others + own)
        return out

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

    def process(self, docs: list[Document]) -> list[Document | Drop]:
        out: list[Document | Drop] = list(docs)
        asked = [i for i, doc in enumerate(docs) if (doc.text or "").strip()]
        for i, doc in zip(asked, self.scored([docs[i] for i in asked]), strict=True):
            scores = of_classifier(doc, self.classifier)
            value = self.number(scores)
            reason = self.judge(value, doc.language)
            out[i] = doc if reason is None else Drop(self.reason(scores, reason), value=value, document=doc)
        return out

    def __call__(self, doc: Document) -> Document | Drop:
        (verdict,) = self.process([doc])
        return verdict


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
