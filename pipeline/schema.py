"""Schema of documents: one row per input record, the same columns in every stage.

A row is a crawled record (or a JSONL/Parquet input row) together with everything that was found out about it.
Rows are never removed, only marked: `drop_step` is null for a kept row and names the deciding step otherwise.

Row key within a stage: (`file_no`, `row_no`), the place of the row in the stage's sorted list of input files. Where the
record came from: `source_file`, `record_no`, `offset`, the same in every stage. `doc_id` is for people and for
provenance; it is 128 bits because 64-bit ids collide at corpus size (of 3e9 documents, 0.24 pairs are expected to).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.columns import to_arrow, to_python

SCHEMA_VERSION = 6
"""Raised when a column is added, or changes its meaning or type; stored in every published file and checked by readers."""

DOCUMENT = pa.schema(
    [
        # identity and provenance
        pa.field("doc_id", pa.string(), nullable=False),  # 32 hex characters
        pa.field("url", pa.string()),
        pa.field("domain", pa.string()),  # registered domain (public suffix list), lower case, punycode
        pa.field("source", pa.string()),  # name of the data set, from the config
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("record_no", pa.int64(), nullable=False),  # counts the records of `source_file` that are input
        pa.field("offset", pa.int64()),  # byte offset of the record in the (compressed) file, null if unknown
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("file_no", pa.int64(), nullable=False),
        pa.field("row_no", pa.int64(), nullable=False),
        pa.field("crawl_time", pa.timestamp("ms", tz="UTC")),
        # the record as read
        pa.field("record_type", pa.string()),  # response, resource, conversion, revisit, row
        pa.field("http_status", pa.int32()),
        pa.field("content_type", pa.string()),  # media type, lower case, without parameters
        pa.field("declared_charset", pa.string()),  # from the HTTP header
        pa.field("raw_bytes", pa.int64()),  # length of the decoded HTTP body (or of the input row's html/text)
        pa.field("raw_digest", pa.string()),  # MD5 of that body, 32 hex characters
        # what extraction found
        pa.field(
            "charset", pa.string()
        ),  # the encoding that was used to decode; "utf-8 read as cp1252": a second one was undone
        pa.field("title", pa.string()),
        pa.field("text", pa.string()),  # NFC, one line per block, lines joined by "\n"
        pa.field("line_tags", pa.list_(pa.string())),  # one per line of `text`: p, h1..h6, li, tr, code, quote, ...
        pa.field("line_link_share", pa.list_(pa.float32())),  # one per line: link characters / characters
        pa.field("line_scores", pa.list_(pa.uint16())),  # one per line: what it is worth, 0 to 65,535; null: not scored
        pa.field(
            "page_signals",
            pa.struct(
                [
                    pa.field("canonical_url", pa.string()),
                    pa.field("og_type", pa.string()),
                    pa.field("schema_types", pa.list_(pa.string())),
                    pa.field("html_lang", pa.string()),
                ]
            ),
        ),
        pa.field("language", pa.string()),
        pa.field("language_score", pa.float32()),
        pa.field(
            "languages",  # of the pieces that were looked at, the largest share first: at most four; they add up to 1
            pa.list_(pa.struct([pa.field("language", pa.string()), pa.field("share", pa.float32())])),
        ),
        pa.field("script", pa.string()),  # of Chinese: Hans or Hant (ISO 15924); null: another language, or not told
        pa.field(
            "text_digest", pa.string()
        ),  # MD5 of the text normalised by `exact_dedup` (dots.llm1 C.1), 32 hex characters
        # what the steps did to it
        pa.field(
            "removed_lines",  # lines cut from `text`, in the order in which they were cut: see pipeline/lines.py
            pa.list_(
                pa.struct(
                    [
                        pa.field("step", pa.string()),
                        pa.field("line", pa.int32()),  # from 0, in the text as the step found it
                        pa.field("text", pa.string()),
                        pa.field("tag", pa.string()),
                        pa.field("link_share", pa.float32()),
                        pa.field("score", pa.uint16()),  # as in `line_scores`
                        pa.field("kind", pa.string()),  # of the region that it stood in, if extraction says
                    ]
                )
            ),
        ),
        pa.field(
            "findings",  # what steps saw in the text without dropping the document: personal data, test set items
            pa.list_(
                pa.struct(
                    [
                        pa.field("step", pa.string()),
                        pa.field("name", pa.string()),
                        pa.field("line", pa.int32()),  # from 0, in the text as the step found it; null: the whole text
                        pa.field("count", pa.int32()),
                    ]
                )
            ),
        ),
        pa.field(
            "rule_values",  # audit mode alone: what every rule measured; of other steps 1 if they drop the row, else 0
            pa.list_(pa.struct([pa.field("rule", pa.string()), pa.field("value", pa.float64())])),
        ),
        # what page classifiers found
        pa.field(
            "scores",  # of each classifier that judged the page, one entry a label: probabilities, 0 to 65,535
            pa.list_(
                pa.struct(
                    [
                        pa.field("classifier", pa.string()),
                        pa.field("label", pa.string()),
                        pa.field("score", pa.uint16()),
                    ]
                )
            ),
        ),
        pa.field("category", pa.string()),  # what the page is about: a class of classifiers/category/labels.yaml
        # what tokenization decided
        pa.field("n_tokens", pa.int64()),  # with the end-of-document token
        pa.field("copies", pa.int32()),
        # the verdict; null for kept rows
        pa.field("drop_step", pa.string()),
        pa.field("drop_reason", pa.string()),
        pa.field("drop_value", pa.string()),  # the measured value, as text
        pa.field("duplicate_of", pa.string()),  # doc_id of the document kept instead
    ]
)

CHUNK = DOCUMENT.append(pa.field("input_ids", pa.list_(pa.int32())))
"""Schema of chunks within a stage: the document and, in the tokenization stage, its tokens."""

VERDICT_COLUMNS = ("drop_step", "drop_reason", "drop_value", "duplicate_of")
PAGE_SIGNALS = ("canonical_url", "og_type", "schema_types", "html_lang")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One row. Frozen: a step returns a changed copy made by `evolve`.

    `html` is the decoded HTTP body as bytes; it lives only while a task holds the record and is never stored. `input_ids` are
    the tokens, shape (n_tokens,), kept between the phases of the tokenization stage.
    """

    doc_id: str
    source_file: str
    url: str | None = None
    domain: str | None = None
    source: str | None = None
    record_no: int = 0
    offset: int | None = None
    generation: int = 0
    file_no: int = 0
    row_no: int = 0
    crawl_time: int | None = None  # milliseconds since 1970, UTC
    record_type: str | None = None
    http_status: int | None = None
    content_type: str | None = None
    declared_charset: str | None = None
    raw_bytes: int | None = None
    raw_digest: str | None = None
    charset: str | None = None
    title: str | None = None
    text: str | None = None
    line_tags: list[str] | None = None
    line_link_share: list[float] | None = None
    line_scores: list[int] | None = None
    page_signals: dict[str, Any] | None = None
    language: str | None = None
    language_score: float | None = None
    languages: Sequence[dict[str, Any]] | None = None
    script: str | None = None
    text_digest: str | None = None
    removed_lines: Sequence[dict[str, Any]] | None = None
    findings: Sequence[dict[str, Any]] | None = None
    rule_values: Sequence[dict[str, Any]] | None = None
    scores: Sequence[dict[str, Any]] | None = None
    category: str | None = None
    n_tokens: int | None = None
    copies: int | None = None
    drop_step: str | None = None
    drop_reason: str | None = None
    drop_value: str | None = None
    duplicate_of: str | None = None
    html: bytes | None = dataclasses.field(default=None, repr=False)
    input_ids: npt.NDArray[np.int32] | None = dataclasses.field(default=None, repr=False)

    @property
    def is_dropped(self) -> bool:
        return self.drop_step is not None

    def evolve(self, **changes: Any) -> Document:
        """A copy with `changes`."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Drop:
    """A step's decision to drop a document.

    `reason` is a short snake_case name, stable across versions; `value` the measured value that decided (a number, a
    matched list entry, an error message); `duplicate_of` the `doc_id` of the document kept instead; `document` the document
    with what the step found out about it, if that is to be stored (scores).
    """

    reason: str
    value: str | float | int | None = None
    duplicate_of: str | None = None
    document: Document | None = dataclasses.field(default=None, repr=False, compare=False)

    def value_text(self) -> str | None:
        """`value` as it is stored: six significant digits for floats, at most 500 characters."""
        if self.value is None:
            return None
        text = f"{self.value:.6g}" if isinstance(self.value, float) else str(self.value)
        return text[:500]


@dataclass(frozen=True, slots=True)
class Cut:
    """A step's decision to cut lines from a document's text: their numbers, from 0, ascending."""

    lines: tuple[int, ...]


def to_table(docs: list[Document]) -> pa.Table:
    """Rows as an Arrow table of schema `CHUNK` (n rows)."""
    return pa.table(
        {field.name: to_arrow([getattr(d, field.name) for d in docs], field.type) for field in CHUNK},
        schema=CHUNK,
    )


def from_table(table: pa.Table) -> list[Document]:
    """Documents of an Arrow table. Columns that the table lacks are null.

    Never through pandas, which turns null into NaN: `NaN is not None` made a runner believe every row was dropped already.
    """
    names = [n for n in DOCUMENT.names if n in table.column_names]
    data: dict[str, list[Any]] = {}
    for name in names:
        column = table.column(name)
        if name == "crawl_time":
            column = column.cast(pa.int64())
        data[name] = to_python(column)
    return [Document(**dict(zip(names, row, strict=True))) for row in zip(*data.values(), strict=True)]
