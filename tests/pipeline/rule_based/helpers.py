"""What the tests of rules share: documents, and the reasons of drops."""

from __future__ import annotations

from typing import Any

from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep


def document(
    text: str | None,
    language: str | None = "en",
    tags: list[str] | None = None,
    shares: list[float] | None = None,
    **columns: Any,
) -> Document:
    """A row; tags and link shares are of its lines."""
    shares = [0.0] * len(tags) if tags is not None and shares is None else shares
    lines: dict[str, Any] = {"line_tags": tags, "line_link_share": shares}
    return Document(doc_id="0" * 32, source_file="a", text=text, language=language, **lines, **columns)


def reason(step: DocumentStep, doc: Document | str, language: str | None = "en") -> str | None:
    """Reason for which a step drops a document or a text of a language; None: it stays."""
    verdict = step(document(doc, language) if isinstance(doc, str) else doc)
    return verdict.reason if isinstance(verdict, Drop) else None
