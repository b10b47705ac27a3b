"""Pages of a corpus of one's own: read to be annotated, and, with their annotations, to train on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import xxhash

from classifiers.labelled import LabelledPage, read_annotations
from extraction import Extraction
from extraction.domains import registered_domain
from extraction.result import PageSignals

COLUMNS = ("doc_id", "id", "url", "title", "language", "domain", "text")
LINES = ("line_tags", "line_link_share", "page_signals")


def read_pages(path: str, columns: Sequence[str] = COLUMNS) -> Iterator[dict[str, Any]]:
    """Read rows with a text from Parquet files or a JSONL file; ids are made from the text where there are none.

    :raises ValueError: if nothing there has the column `text`.
    """
    place = Path(path)
    if place.suffix in (".jsonl", ".json"):
        rows: Iterator[dict[str, Any]] = _lines(place)
    else:
        import pyarrow.dataset as ds

        inner = place / "documents" if (place / "documents").is_dir() else place
        data = ds.dataset(inner, format="parquet")
        if "text" not in data.schema.names:
            raise ValueError(f"{path}: no column 'text'; found {', '.join(data.schema.names)}")
        names = [name for name in columns if name in data.schema.names]
        rows = (row for batch in data.to_batches(columns=names) for row in batch.to_pylist())
    for row in rows:
        if (row.get("text") or "").strip():
            row["id"] = row.get("doc_id") or row.get("id") or xxhash.xxh3_128_hexdigest(row["text"].encode())
            yield row


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    columns: dict[str, None] = {}
    with path.open(encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if not line.strip():
                continue
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: {line.strip()[:60]!r}; expected an object")
            columns |= dict.fromkeys(row)
            yield row
    if "text" not in columns:
        raise ValueError(f"{path}: no column 'text'; found {', '.join(columns) or 'nothing'}")


def annotated_pages(pages: str, labels: Path) -> list[LabelledPage]:
    """Read pages with the annotations that `classifiers.annotate` made of them; those without one are left out.

    :raises ValueError: if an annotated page is not among the pages.
    """
    rows = {row["id"]: row for row in read_annotations(labels)}
    out = {}
    for page in read_pages(pages, (*COLUMNS, *LINES)):
        row = rows.get(page["id"])
        if row is None or page["id"] in out:
            continue
        n = page["text"].count("\n") + 1
        extraction = Extraction(
            text=page["text"],
            line_tags=page.get("line_tags") or ["p"] * n,
            line_link_share=page.get("line_link_share") or [0.0] * n,
            title=page.get("title"),
            page_signals=cast(PageSignals, page.get("page_signals") or {}),
        )
        url = page.get("url")
        site = page.get("domain") or (registered_domain(url) if url else None) or url or page["id"]
        out[page["id"]] = LabelledPage(page["id"], pages, url, site, page.get("language") or "unknown", extraction, row)
    missing = [i for i in rows if i not in out]
    if missing:
        raise ValueError(f"{len(missing)} of {len(rows)} annotated pages are not in {pages}, the first {missing[0]}")
    return [out[i] for i in rows]
