"""Exact duplicates: repeated records, equal bodies, several captures of a page, equal normalised text.

Which document of a group stays is decided by a stated key, never by chance: generation, crawl time (oldest first), `doc_id`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import pyarrow as pa

from extraction.text import text_digest
from pipeline.removal import url_key
from pipeline.schema import Document
from pipeline.steps import DuplicateStep, UnifyScripts


class RecordDedup(DuplicateStep):
    """Drop records whose id occurred before: WARC-Record-IDs do repeat in real files."""

    step: Literal["record_dedup"] = "record_dedup"
    reason: ClassVar[str] = "duplicate_record"
    columns: ClassVar[tuple[str, ...]] = ("doc_id",)

    def keys(self, rows: pa.Table) -> pa.Array:
        return rows["doc_id"]


class RawDedup(DuplicateStep):
    """Drop exact copies of the raw body, by MD5, before anything expensive is done to them."""

    step: Literal["raw_dedup"] = "raw_dedup"
    reason: ClassVar[str] = "duplicate_body"
    columns: ClassVar[tuple[str, ...]] = ("raw_digest",)

    def keys(self, rows: pa.Table) -> pa.Array:
        return rows["raw_digest"]


class CaptureDedup(DuplicateStep):
    """Keep the newest of several captures of one URL (within a generation: what is published is not revoked).

    URLs are compared by `pipeline.removal.url_key`.
    """

    step: Literal["capture_dedup"] = "capture_dedup"
    reason: ClassVar[str] = "older_capture"
    columns: ClassVar[tuple[str, ...]] = ("url",)
    newest_first: ClassVar[bool] = True

    def keys(self, rows: pa.Table) -> pa.Array:
        return pa.array([None if u is None else url_key(u) for u in rows["url"].to_pylist()], pa.string())


class ExactDedup(DuplicateStep):
    """Identity removal: one document stays of each MD5 (32 hex characters) of the normalised text (dots.llm1 C.1)."""

    step: Literal["exact_dedup"] = "exact_dedup"
    unify_scripts: UnifyScripts = True
    reason: ClassVar[str] = "duplicate_text"
    columns: ClassVar[tuple[str, ...]] = ("text_digest",)

    def prepare(self, doc: Document) -> Document:
        return doc if doc.text is None else doc.evolve(text_digest=text_digest(doc.text, self.unify_scripts))

    def keys(self, rows: pa.Table) -> pa.Array:
        return rows["text_digest"]
