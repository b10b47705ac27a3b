"""Labelled pages: those annotated under the guides, and WCXB's page types, as batches with targets.

The annotations (`annotations/pages.jsonl`) are keyed by record id; the pages themselves are read from `data` (WARC files),
those of documentation packages from beside the annotations. Text is extracted as preparation does it, by the engine `lines`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifiers.base import Batch
from classifiers.clutter.pages import group_of, read_bytes, read_rows
from classifiers.quality.labels import is_good
from classifiers.web_type.labels import DETAIL
from extraction import Extraction, extract
from extraction.domains import registered_domain

ANNOTATIONS = Path(__file__).parent / "annotations"
WCXB = "html/wcxb-dev"
PAGES = "pages.jsonl"
"""Annotations of web type, quality and safety."""

CATEGORIES = "categories.jsonl"
"""Annotations of the category."""

SAVED = "html/saved-pages.warc.gz"
"""Pages that stand as saved files in public repositories (`classifiers.saved_pages`)."""

TEXTS = "labels/core-zh"
"""Chinese web pages as texts alone, numbered from 0."""

WCXB_TYPES = ("article", "collection", "documentation", "forum", "listing", "product", "service")


@dataclass(frozen=True, slots=True)
class LabelledPage:
    """A page and what is known of it.

    `group` is what must not be split over folds: the registered domain, the site most linked to of pages without an address, the
    package of documentation. `annotation` is a row of `annotations/pages.jsonl` (None: not annotated), `wcxb_type` WCXB's page
    type, by people.
    """

    record_id: str
    source: str
    url: str | None
    group: str
    language: str
    extraction: Extraction = field(repr=False)
    annotation: dict[str, Any] | None = None
    wcxb_type: str | None = None

    @property
    def is_final(self) -> bool:
        """Tell whether the page is of the final fold: of a repository owner that no setting was chosen on."""
        return bool(self.annotation and self.annotation.get("final"))


def is_worth_keeping(annotation: dict[str, Any]) -> bool:
    """Tell whether an annotated page belongs in a corpus: good, safe, and a detail page or a thread."""
    kinds = (*DETAIL, "forum")
    return is_good(annotation["quality"]) and annotation["web_type"] in kinds and annotation["safety"] == "safe"


def batch_of(pages: Sequence[LabelledPage]) -> Batch:
    """Make a batch of pages, as classifiers take them."""
    extractions = [page.extraction for page in pages]
    return Batch(
        texts=[e.text for e in extractions],
        urls=[page.url for page in pages],
        titles=[e.title for e in extractions],
        line_tags=[e.line_tags for e in extractions],
        line_link_share=[e.line_link_share for e in extractions],
        page_signals=[dict(e.page_signals) for e in extractions],
    )


def load_pages(data: Path, annotations: Path = ANNOTATIONS, name: str = PAGES) -> list[LabelledPage]:
    """Read all annotated pages, then the pages of WCXB-dev that are not annotated; each in the order of its file.

    Pages of public repositories (`SAVED`) are left out, and that is told, where their file is not there:
    `classifiers.saved_pages` makes it.

    :param name: of the file of annotations.
    :raises ValueError: if a page that was annotated is not in the data.
    """
    rows = {(row["source"], row["id"]): row for row in read_annotations(annotations / name)}
    if not (data / SAVED).exists():
        away = [key for key in rows if key[0] == SAVED]
        if away:
            print(
                f"{len(away):,} annotated pages of public repositories are left out: {data / SAVED} is not there "
                "(python -m classifiers.saved_pages)",
                file=sys.stderr,
            )
        rows = {key: row for key, row in rows.items() if key[0] != SAVED}
    gold = read_rows(data / f"{WCXB}.gold.jsonl.gz") | read_rows(data / "html/zh-gold.gold.jsonl.gz")
    pages: dict[tuple[str, str], LabelledPage] = {}
    for source in dict.fromkeys([s for s, _ in rows if s.endswith((".warc.gz", ".warc"))] + [f"{WCXB}.warc.gz"]):
        for record_id, body, charset in read_bytes(data / source):
            row = rows.get((source, record_id))
            kind = gold.get(record_id, {}).get("page_type") if source == f"{WCXB}.warc.gz" else None
            if (row is None and kind is None) or (source, record_id) in pages:
                continue
            url = row["url"] if row else gold[record_id]["url"]
            if row and "site" in row:
                group = row["site"]
            else:
                group = group_of(gold[record_id]) if record_id in gold else registered_domain(url) or url
            language, extraction = row["language"] if row else "en", extract(body, charset=charset)
            pages[source, record_id] = LabelledPage(record_id, source, url, group, language, extraction, row, kind)
    with gzip.open(annotations / "packages.jsonl.gz", "rt", encoding="utf-8") as f:
        for page in map(json.loads, f):
            row = rows.get((page["source"], page["id"]))
            if row is not None:
                pages[page["source"], page["id"]] = LabelledPage(
                    page["id"], page["source"], None, page["source"], row["language"], extract(page["html"]), row
                )
    if any(source == TEXTS for source, _ in rows):
        with gzip.open(data / f"{TEXTS}.jsonl.gz", "rt", encoding="utf-8") as f:
            for number, page in enumerate(map(json.loads, f)):
                key = TEXTS, f"{TEXTS.partition('/')[2]}#{number}"
                if key in rows:  # a text without its page: each is a site of its own
                    text = page["text"].strip()
                    lines = text.count("\n") + 1
                    extraction = Extraction(text=text, line_tags=["p"] * lines, line_link_share=[0.0] * lines)
                    pages[key] = LabelledPage(key[1], TEXTS, None, key[1], rows[key]["language"], extraction, rows[key])
    missing = [key for key in rows if key not in pages]
    if missing:
        raise ValueError(f"{len(missing)} annotated pages are not in {data}, the first {missing[0]}")
    unannotated = [page for page in pages.values() if page.annotation is None]
    return [pages[key] for key in rows] + unannotated


def read_annotations(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file of annotations."""
    with path.open(encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def data_digest(pages: Sequence[LabelledPage]) -> str:
    """SHA-256 of the texts and labels of pages, for the model's header."""
    digest = hashlib.sha256()
    for page in pages:
        digest.update(json.dumps([page.extraction.text, page.annotation, page.wcxb_type], sort_keys=True).encode())
    return digest.hexdigest()
