"""Build `data/sample/` from the source collections: `python scripts/make_sample.py [--data DIR] [--out DIR]`.

Records are copied byte for byte (one gzip member each), so the sample keeps the headers, digests and compressed bytes
of its sources. The same sources give the same sample: nothing is drawn, pages are taken in the order of the SHA-256 of
their record id.

Three folders, each an input folder of the demo:

- `pages/`: pages with human-checked main text, from WCXB (7 page types) and zh-gold (Chinese articles and forums);
  their gold rows are in `gold.jsonl.gz`, unchanged, in the order of the files;
- `crawl/`: crawl files as they are;
- `odd/`: small files that readers trip over, as they are.

`README.md` is written with them: where each file is from, under which licence, pages, bytes, SHA-256.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import shutil
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_TOTAL_BYTES = 10_000_000
WCXB_QUOTA = {
    "article": (64, 32_000),
    "collection": (22, 32_000),
    "documentation": (22, 32_000),
    "forum": (22, 32_000),
    "listing": (22, 32_000),
    "product": (14, 46_500),
    "service": (22, 32_000),
}
"""Page type -> (pages, compressed size in bytes up to which a page is taken).

Two thirds of WCXB are below 32 kB, and so 200 pages fit; product pages are larger (a quarter is below 46.5 kB).
Articles are 55 % of WCXB and a third here: the other types are where extraction differs.
"""

ARTICLE_FILES = 2

WCXB = "Murrough-Foley/web-content-extraction-benchmark (commit c039d5e), CC BY 4.0, (c) 2026 Murrough Foley"
MAGIC = "opendatalab/magic-html (commit 47d4a7f), Apache-2.0"
CWCE = "immortal-autumn/Chinese-Web-Content-Extraction-Dataset (commit 99d0ef0), MIT, (c) 2022 Elwin"
AUT = "archivesunleashed/aut (commit 57c9b5ed), Apache-2.0"
RESILIPARSE = "chatnoir-eu/chatnoir-resiliparse (commit 70459f0), Apache-2.0"
WHIRLWIND = "commoncrawl/whirlwind-python (commit 08dcfbe), Apache-2.0"
WARCIO = "webrecorder/warcio (commit 2a797aa), Apache-2.0"
JWARC = "iipc/jwarc (commit 9b5df86), Apache-2.0"
SOLRWAYBACK = "netarchivesuite/solrwayback (commit 86ec23ba), Apache-2.0"

ZH_FILES = {"magic-html-article": MAGIC, "magic-html-forum": MAGIC, "cwce": CWCE}
"""`source` of a zh-gold row -> origin; one file each."""

WHOLE_FILES = {
    "crawl/aut-2008.warc.gz": ("aut/example.warc.gz", AUT, "a crawl of 2008: exact copies, 301, 302, 404, DNS, images"),
    "crawl/common-crawl.warc.gz": (
        "resiliparse/warcfile.warc.gz",
        RESILIPARSE,
        "a Common Crawl excerpt, much spam",
    ),
    "crawl/clueweb.warc.gz": ("resiliparse/clueweb-quirk.warc.gz", RESILIPARSE, "ClueWeb: Japanese, irregular records"),
    "odd/bad.arc": ("warcio/bad.arc", WARCIO, "damaged ARC headers"),
    "odd/block-sized-records.warc.gz": (
        "resiliparse/block-sized-records.warc.gz",
        RESILIPARSE,
        "records of exactly the buffer size, type unknown",
    ),
    "odd/brotli.warc.gz": ("solrwayback/transfer_compression_brotli.warc.gz", SOLRWAYBACK, "body in Brotli"),
    "odd/chunked.warc": ("warcio/example-iana.org-chunked.warc", WARCIO, "not compressed; chunked body"),
    "odd/clipped.warc.gz": ("resiliparse/clipped.warc.gz", RESILIPARSE, "ends inside a record"),
    "odd/digest.warc": ("warcio/example-digest.warc", WARCIO, "requests only"),
    "odd/example.arc": ("warcio/example.arc", WARCIO, "ARC, not compressed"),
    "odd/example.arc.gz": ("warcio/example.arc.gz", WARCIO, "ARC, the same page"),
    "odd/example.warc": ("warcio/example.warc", WARCIO, "a response and a revisit"),
    "odd/example.warc.gz": ("warcio/example.warc.gz", WARCIO, "the same records, compressed"),
    "odd/jwarc-cc.warc.gz": ("jwarc/cc.warc.gz", JWARC, "one Common Crawl page, no warcinfo"),
    "odd/non-chunked.warc.gz": ("warcio/example-bad-non-chunked.warc.gz", WARCIO, "one gzip member for all records"),
    "odd/post.warc.gz": ("warcio/post-test.warc.gz", WARCIO, "JSON answers, one URL twice"),
    "odd/resource.warc.gz": ("warcio/example-resource.warc.gz", WARCIO, "a resource record"),
    "odd/space-in-target-uri.warc.gz": ("warcio/example-space-in-target-uri.warc.gz", WARCIO, "white space in the URI"),
    "odd/space-in-url.arc": ("warcio/example-space-in-url.arc", WARCIO, "white space in the ARC header's URL"),
    "odd/truncated.warc": ("warcio/example-trunc.warc", WARCIO, "a truncated record"),
    "odd/wget-bad-target-uri.warc.gz": (
        "warcio/example-wget-bad-target-uri.warc.gz",
        WARCIO,
        "URIs in <>, as old wget",
    ),
    "odd/whirlwind.warc.gz": ("whirlwind/whirlwind.warc.gz", WHIRLWIND, "one page as WARC"),
    "odd/whirlwind.warc.wat.gz": ("whirlwind/whirlwind.warc.wat.gz", WHIRLWIND, "the same page as WAT"),
    "odd/whirlwind.warc.wet.gz": ("whirlwind/whirlwind.warc.wet.gz", WHIRLWIND, "the same page as WET"),
    "odd/wrong-chunks.warc.gz": ("warcio/example-wrong-chunks.warc.gz", WARCIO, "says chunked and is not"),
}
"""File of the sample -> (file under `warc/` of the sources, origin, what it holds)."""

LICENCES = ("aut", "cwce", "jwarc", "magic-html", "resiliparse", "solrwayback", "warcio", "wcxb", "whirlwind")


@dataclass(frozen=True, slots=True)
class Member:
    """One gzip member of a WARC file: its compressed bytes and the record's headers."""

    data: bytes
    headers: dict[str, str]
    body_sha256: str


def members(path: Path) -> Iterator[Member]:
    """The records of a WARC file that is compressed record by record.

    :raises ValueError: if the file ends inside a member.
    """
    data = path.read_bytes()
    start = 0
    while start < len(data):
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        parts, at = [], start
        while not inflate.eof and at < len(
            data
        ):  # in blocks: `unused_data` of the whole rest would be copied each time
            parts.append(inflate.decompress(data[at : at + 65536]))
            at += 65536
        if not inflate.eof:
            raise ValueError(f"{path}: the gzip member at byte {start} does not end")
        end = min(at, len(data)) - len(inflate.unused_data)
        head, _, block = b"".join(parts).partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        body = block.partition(b"\r\n\r\n")[2]
        yield Member(data[start:end], headers, hashlib.sha256(body).hexdigest())
        start = end


def gold_lines(path: Path) -> dict[str, bytes]:
    """Gold rows as stored (one JSON line each), by record id."""
    with gzip.open(path) as f:
        return {json.loads(line)["record_id"]: line for line in f}


def hash_order(member: Member) -> str:
    return hashlib.sha256(member.headers["WARC-Record-ID"].encode()).hexdigest()


def choose_wcxb(responses: list[Member], gold: dict[str, dict[str, Any]]) -> list[Member]:
    """The WCXB pages of the sample, in file order.

    Of the pages below the size of their type: all that are not English, have no http URL or exist twice byte for byte,
    then by hash order until the type has its quota.
    """

    def page_type(m: Member) -> str:
        return str(gold[m.headers["WARC-Record-ID"]]["page_type"])

    small = [m for m in responses if len(m.data) <= WCXB_QUOTA[page_type(m)][1]]
    bodies = [m.body_sha256 for m in small]

    def is_special(m: Member) -> bool:
        row = gold[m.headers["WARC-Record-ID"]]
        no_url = not row["url"].startswith("http")
        return row["language"] not in ("en", "und") or no_url or bodies.count(m.body_sha256) > 1

    chosen: set[str] = set()
    for name, (quota, _) in WCXB_QUOTA.items():
        of_type = [m for m in small if page_type(m) == name]
        ranked = sorted(of_type, key=lambda m: (not is_special(m), hash_order(m)))
        chosen.update(m.headers["WARC-Record-ID"] for m in ranked[:quota])
    return [m for m in small if m.headers["WARC-Record-ID"] in chosen]


def build_pages(data: Path, out: Path) -> dict[str, tuple[int, str, str]]:
    """Write `pages/` and `gold.jsonl.gz`. :returns: file -> (pages, origin, what it holds)."""
    files: dict[str, list[Member]] = {}
    described: dict[str, tuple[str, str]] = {}
    lines: dict[str, bytes] = {}
    for name in ("wcxb-dev", "zh-gold"):
        lines |= gold_lines(data / "html" / f"{name}.gold.jsonl.gz")
    gold = {record_id: json.loads(line) for record_id, line in lines.items()}

    wcxb = [m for m in members(data / "html" / "wcxb-dev.warc.gz") if m.headers["WARC-Type"] == "response"]
    by_type: dict[str, list[Member]] = {}
    for m in choose_wcxb(wcxb, gold):
        by_type.setdefault(gold[m.headers["WARC-Record-ID"]]["page_type"], []).append(m)
    for page_type, records in sorted(by_type.items()):
        n_files = ARTICLE_FILES if page_type == "article" else 1
        for part in range(n_files):
            name = f"pages/wcxb-{page_type}" + (f"-{part + 1}" if n_files > 1 else "") + ".warc.gz"
            files[name] = records[part::n_files]
            described[name] = (WCXB, f"page type {page_type}")

    for m in members(data / "html" / "zh-gold.warc.gz"):
        if m.headers["WARC-Type"] == "response":
            source = gold[m.headers["WARC-Record-ID"]]["source"]
            name = f"pages/zh-{source}.warc.gz"
            files.setdefault(name, []).append(m)
            described[name] = (
                ZH_FILES[source],
                "Chinese " + ("forum threads" if source.endswith("forum") else "articles"),
            )

    gold_out = bytearray()
    for name, records in sorted(files.items()):
        (out / name).write_bytes(b"".join(m.data for m in records))
        gold_out += b"".join(lines[m.headers["WARC-Record-ID"]] for m in records)
    (out / "gold.jsonl.gz").write_bytes(gzip.compress(bytes(gold_out), compresslevel=9, mtime=0))
    return {name: (len(records), *described[name]) for name, records in sorted(files.items())}


def count_pages(path: Path) -> int:
    """Responses of status 200 that are declared HTML, or not declared (ClueWeb's headers hide the media type)."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    n = 0
    with path.open("rb") as f:
        for record in ArchiveIterator(f, record_types=WarcRecordType.response):
            http = record.http_headers
            if http is not None and http.status_code == 200:
                n += record.http_content_type in (None, "text/html")
    return n


README = """\
# Sample pages

Real pages for the demo and the tests: {n_pages} HTML pages of status 200 in {n_files} files, {n_bytes:,} bytes in all
(with gold rows and licence texts). Built by `python scripts/make_sample.py --data DIR`, which says how pages were
chosen; `tests/contracts/test_sample.py` checks this table.

- `pages/` and `gold.jsonl.gz`: pages with human-checked main text. A gold row has `record_id` (the WARC-Record-ID),
  `url`, `language`, `page_type`, `main_content` and more, as in its source, in the order of the files. WCXB pages are
  the smaller ones of their type, by hash order: figures on them are not figures on WCXB. Some have no URL
  (`urn:wcxb:...`). CWCE pages without a URL of their own have a made-up one (`http://cwce.invalid/...`).
- `crawl/`: crawl files as their projects ship them: exact copies, redirects, 404, images, DNS, other languages, spam.
- `odd/`: small files with known quirks, as their projects ship them; their pages are not counted here.

Changes: WARC records and whole files are copied byte for byte; only the choice of pages, their grouping into files and
the names of the files are this project's. **The pages belong to their sites**; the licences named below are those of
the collections, their texts are in `licences/`.

| file | pages | bytes | holds | source and licence | sha256 |
|---|---:|---:|---|---|---|
"""


def write_readme(out: Path, described: dict[str, tuple[int, str, str]]) -> None:
    rows, total = [], 0
    for name, (pages, origin, holds) in described.items():
        data = (out / name).read_bytes()
        rows.append(
            f"| {name} | {pages or '-'} | {len(data)} | {holds} | {origin} | {hashlib.sha256(data).hexdigest()} |"
        )
    total = sum(p.stat().st_size for p in out.rglob("*") if p.is_file() and p.name != "README.md")
    if total > MAX_TOTAL_BYTES:
        raise ValueError(f"the sample has {total:,} bytes, expected at most {MAX_TOTAL_BYTES:,}")
    n_warc = sum(not name.startswith("gold") for name in described)
    head = README.format(
        n_pages=sum(pages for name, (pages, _, _) in described.items() if not name.startswith("gold")),
        n_files=n_warc,
        n_bytes=total,
    )
    (out / "README.md").write_text(head + "\n".join(rows) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the source collections")
    parser.add_argument("--out", type=Path, default=Path("data/sample"))
    args = parser.parse_args()
    if not (args.data / "html" / "wcxb-dev.warc.gz").is_file():
        print(f"{args.data}: expected html/wcxb-dev.warc.gz in it; name the folder with --data", file=sys.stderr)
        return 2
    for folder in ("pages", "crawl", "odd", "licences"):
        shutil.rmtree(args.out / folder, ignore_errors=True)
        (args.out / folder).mkdir(parents=True)
    for name in LICENCES:
        shutil.copyfile(args.data / "licences" / f"{name}.txt", args.out / "licences" / f"{name}.txt")
    described = build_pages(args.data, args.out)
    n_gold = sum(pages for pages, _, _ in described.values())
    for name, (source, origin, holds) in WHOLE_FILES.items():
        shutil.copyfile(args.data / "warc" / source, args.out / name)
        described[name] = (count_pages(args.out / name) if name.startswith("crawl/") else 0, origin, holds)
    described["gold.jsonl.gz"] = (n_gold, f"{WCXB}; {MAGIC}; {CWCE}", "gold rows of `pages/`")
    write_readme(args.out, described)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
