"""Labelled pages: HTML with the gold text of its main content, read from WARC files and the JSONL files beside them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash
from fastwarc.warc import ArchiveIterator, WarcRecordType

from classifiers.clutter.reference import KEPT, digest, letters, numbers, reference_lines
from extraction.decode import decode
from extraction.domains import registered_domain

FOLDS = 5
ANNOTATIONS = Path(__file__).parent / "annotations"


@dataclass(frozen=True, slots=True)
class LabelledPage:
    """A page and what of it is content.

    `html` is UTF-8; `gold` the text that is to be found; `group` what must not be split over folds (the registered domain; for
    pages without an address the site that most of their links name); `kind` the page type; `source` the set it comes from;
    `regions` one letter of `KINDS` for each of its `reference_lines`, where these were annotated.
    """

    record_id: str
    html: bytes
    gold: str
    group: str
    kind: str
    language: str
    source: str
    regions: str = ""

    @property
    def fold(self) -> int:
        """0 to 4, by the group."""
        return int(xxhash.xxh3_64_intdigest(self.group.encode()) % FOLDS)

    @property
    def is_chinese(self) -> bool:
        return self.language == "zh"


def group_of(row: dict[str, Any]) -> str:
    """Site of a page, which must not be split over folds."""
    if row["source"] == "cwce":
        return str(row.get("link_host") or row.get("split_key"))
    if row.get("site"):
        return str(row["site"])
    if row["source"] == "readability-130":  # its addresses are made up
        return f"readability {row['source_id']}"
    return registered_domain(row["url"]) or str(row["url"])


def language_of(row: dict[str, Any]) -> str:
    """Language of a row's gold text. A text too short to be told is that of its set."""
    if row["language"] == "und":
        return "zh" if row["source"] in ("cwce", "magic-html-article", "magic-html-forum") else "en"
    return str(row["language"])


def read_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Read the rows of a JSONL file (gzip), by their record id."""
    with gzip.open(path, "rt", encoding="utf-8") as f:
        return {row["record_id"]: row for row in map(json.loads, f)}


def load_gold(data: Path, name: str) -> list[LabelledPage]:
    """Read the pages of `html/{name}.warc.gz` with the gold texts of `html/{name}.gold.jsonl.gz`."""
    rows = read_rows(data / "html" / f"{name}.gold.jsonl.gz")
    return [
        LabelledPage(record_id, html, row["main_content"], group_of(row), row["page_type"], language_of(row), name)
        for record_id, html in read_html(data / "html" / f"{name}.warc.gz")
        if (row := rows.get(record_id)) is not None
    ]


@dataclass(frozen=True, slots=True)
class Segments:
    """A page of which parts are known that must be in its text, and parts that must not."""

    html: bytes
    group: str
    language: str
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]

    @property
    def fold(self) -> int:
        """0 to 4, by the group."""
        return int(xxhash.xxh3_64_intdigest(self.group.encode()) % FOLDS)


def load_segments(data: Path, name: str = "trafilatura-990") -> list[Segments]:
    """Read the pages of `html/{name}.warc.gz` whose rows have `with` and `without`."""
    rows = read_rows(data / "html" / f"{name}.gold.jsonl.gz")
    return [
        Segments(html, group_of(row), str(row["language"]), tuple(row["with"]), tuple(row["without"]))
        for record_id, html in read_html(data / "html" / f"{name}.warc.gz")
        if (row := rows.get(record_id)) is not None
    ]


def load_silver(data: Path, limit: int) -> list[LabelledPage]:
    """Read at most `limit` pages of each site of the Chinese blogs; their "gold" is what the theme puts into its main element."""
    rows = read_rows(data / "html" / "zh-blogs.pages.jsonl.gz")
    chosen: dict[str, int] = {}
    for record_id in sorted(rows, key=lambda r: xxhash.xxh3_64_hexdigest(r.encode())):
        site = rows[record_id]["site"]
        if chosen.get(site, 0) < limit:
            chosen[site] = chosen.get(site, 0) + 1
        else:
            del rows[record_id]
    return [
        LabelledPage(record_id, html, row["container_text"], row["site"], row["kind"], "zh", "zh-blogs")
        for record_id, html in read_html(data / "html" / "zh-blogs.warc.gz")
        if (row := rows.get(record_id)) is not None
    ]


def annotation_rows(name: str) -> list[dict[str, Any]]:
    """Read the rows of a file of annotations."""
    with (ANNOTATIONS / f"{name}.jsonl").open(encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def load_annotated(data: Path) -> list[LabelledPage]:
    """Read the pages that were annotated line by line (GUIDE.md); their gold text is the kept lines.

    Their HTML is read from `data`, and for pages of documentation packages from beside the annotations. The line
    numbers are those of lexbor's lines, so selectolax is needed (the extra `train`). Later pages have `regions`, the kind of each
    line; of the earlier ones the kept lines alone are known.

    :raises ValueError: if a page's lines are not those that were annotated.
    """
    rows = [row for name in ("pages", "regions") for row in annotation_rows(name)]
    packages = read_rows(ANNOTATIONS / "documentation.jsonl.gz")
    html = {record_id: row["html"].encode() for record_id, row in packages.items()}
    for source in dict.fromkeys(row["source"] for row in rows if row["package"] is None):
        html.update(read_html(data / source))
    pages = []
    for row in rows:
        lines = reference_lines(html[row["record_id"]].decode("utf-8", "replace"))
        if digest(lines) != row["digest"]:
            raise ValueError(f"{row['record_id']}: {len(lines)} lines, not those that were annotated ({row['lines']})")
        regions = letters(row.get("regions", ""))
        kept = [n for n, letter in enumerate(regions) if letter in KEPT] if regions else numbers(row["kept"])
        pages.append(
            LabelledPage(
                record_id=row["record_id"],
                html=html[row["record_id"]],
                gold="\n".join(lines[number] for number in kept),
                group=row.get("site") or row["package"] or registered_domain(row["url"]) or row["url"],
                kind=row["kind"],
                language=row["language"],
                source="annotated regions" if regions else "annotated",
                regions=regions,
            )
        )
    return pages


def read_html(path: Path) -> Iterator[tuple[str, bytes]]:
    """Record id and page, decoded and encoded as UTF-8, of the responses of a WARC file of pages."""
    for record_id, body, declared in read_bytes(path):
        yield record_id, decode(body, declared).text.encode("utf-8", "replace")


def read_bytes(path: Path) -> Iterator[tuple[str, bytes, str | None]]:
    """Record id, body and declared charset of the HTML responses of a WARC file."""
    with path.open("rb") as f:
        for record in ArchiveIterator(f, record_types=WarcRecordType.response, parse_http=True):
            body = record.reader.read()
            declared = None
            if record.http_headers is None:  # an address that is not http: the header is still there
                body = body.partition(b"\r\n\r\n")[2]
            elif record.http_headers.status_code != 200 or "html" not in (
                record.http_headers.get("Content-Type") or ""
            ):
                continue
            else:
                declared = record.http_charset
            yield record.headers["WARC-Record-ID"], body, declared
