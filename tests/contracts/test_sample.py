"""The sample is what its README says, file by file, and it is large and varied enough for the demo."""

from __future__ import annotations

import collections
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
PAGE_TYPES = {"article", "collection", "documentation", "forum", "listing", "product", "service"}


class Row(NamedTuple):
    file: str
    pages: str
    n_bytes: str
    holds: str
    origin: str
    sha256: str


def table() -> list[Row]:
    lines = (SAMPLE / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines if line.startswith("| ")]
    assert rows[0].file == "file"
    return rows[1:]


ROWS = table()
GOLD: list[dict[str, Any]] = [
    json.loads(line) for line in gzip.decompress((SAMPLE / "gold.jsonl.gz").read_bytes()).splitlines()
]


def response_ids(path: Path) -> list[str]:
    with path.open("rb") as f:
        return [r.headers["WARC-Record-ID"] for r in ArchiveIterator(f, record_types=WarcRecordType.response)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_file_is_the_one_described(row: Row) -> None:
    data = (SAMPLE / row.file).read_bytes()
    assert len(data) == int(row.n_bytes)
    assert hashlib.sha256(data).hexdigest() == row.sha256


LICENCE_WORDS = {"Apache-2.0": "http://www.apache.org/licenses/", "CC BY 4.0": "Attribution 4.0", "MIT": "MIT License"}
SHORT = {"web-content-extraction-benchmark": "wcxb", "Chinese-Web-Content-Extraction-Dataset": "cwce"}
ORIGINS = sorted({origin.strip() for row in ROWS for origin in row.origin.split(";")})


@pytest.mark.parametrize("origin", ORIGINS)
def test_licence_text_is_here(origin: str) -> None:
    """An origin reads `owner/project (commit c), licence[, copyright]`."""
    match = re.fullmatch(r"[\w-]+/([\w-]+) \(commit [0-9a-f]{7,}\), ([^,]+)(?:, \(c\) .+)?", origin)
    assert match is not None
    project, licence = match.groups()
    name = SHORT.get(project, project.removeprefix("chatnoir-").removesuffix("-python"))
    assert LICENCE_WORDS[licence] in (SAMPLE / "licences" / f"{name}.txt").read_text(encoding="utf-8")


def test_nothing_lies_beside_the_described_files() -> None:
    files = {p.relative_to(SAMPLE).as_posix() for p in SAMPLE.rglob("*") if p.is_file()}
    assert {f for f in files if not f.startswith(("licences/", "made/"))} == {row.file for row in ROWS} | {"README.md"}


def test_size_and_variety() -> None:
    assert sum(p.stat().st_size for p in SAMPLE.rglob("*") if p.is_file()) <= 10_000_000
    pages = {row.file: int(row.pages) for row in ROWS if row.pages != "-" and row.file != "gold.jsonl.gz"}
    assert sum(pages.values()) >= 300
    assert len(pages) >= 8, "partition tests need several files"
    assert sum(row["language"] == "zh" for row in GOLD) >= 60
    by_type = collections.Counter((row["page_type"], row["language"]) for row in GOLD)
    assert {page_type for page_type, _ in by_type} == PAGE_TYPES
    assert by_type["article", "zh"] >= 60
    assert by_type["forum", "zh"] >= 10


def test_gold_rows_follow_the_pages() -> None:
    ids = [i for row in ROWS if row.file.startswith("pages/") for i in response_ids(SAMPLE / row.file)]
    assert len(ids) == sum(int(row.pages) for row in ROWS if row.file.startswith("pages/"))
    assert ids == [row["record_id"] for row in GOLD]
    assert len(set(ids)) == len(ids)


def test_the_crawl_makes_every_verdict_possible() -> None:
    """A genuine crawl: other statuses than 200, other types than HTML, and bodies that are exact copies."""
    status: collections.Counter[int] = collections.Counter()
    media: collections.Counter[str] = collections.Counter()
    bodies: collections.Counter[bytes] = collections.Counter()
    with (SAMPLE / "crawl" / "aut-2008.warc.gz").open("rb") as f:
        for record in ArchiveIterator(f, record_types=WarcRecordType.response):
            http = record.http_headers
            if http is None:  # DNS
                continue
            status[http.status_code or 0] += 1
            media[record.http_content_type or ""] += 1
            if http.status_code == 200 and record.http_content_type == "text/html":
                bodies[hashlib.md5(record.reader.read()).digest()] += 1
    assert {200, 301, 302, 404} <= status.keys()
    assert {"text/html", "text/plain", "image/gif", "application/x-shockwave-flash"} <= media.keys()
    assert max(bodies.values()) == 5
