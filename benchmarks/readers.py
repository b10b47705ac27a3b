"""Reading WARC files: pages per CPU second: `python benchmarks/readers.py [--data DIR]`.

Files are all `DIR/html/*.warc.gz`. Ways, each over all files:

    fastwarc                  framing and decompression alone (ArchiveIterator, HTTP not parsed, every block read)
    fastwarc, HTTP decoded    the same with fastwarc's HTTP parser and content decoding
    read_records              what the pipeline uses: fastwarc with proven offsets, HTTP decoded, MD5, one Document a record
    read_records, second      the same by the reader that takes over in damaged files (zlib in place of fastwarc)

and how fast `registered_domain` answers for the URLs of these pages: each once, and again and again.

Times are CPU seconds of one process, the best of `--repeat` passes.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import machine
from fastwarc.warc import ArchiveIterator, WarcRecordType

from extraction import domains
from pipeline.readers import archive
from pipeline.readers.inputs import InputOptions, read_records

Counts = tuple[int, int]
"""Pages, and bytes of their bodies (of the blocks for fastwarc without HTTP)."""


def fastwarc_alone(files: list[Path], **options: Any) -> Counts:
    pages = size = 0
    for file in files:
        with file.open("rb") as f:
            for record in ArchiveIterator(f, record_types=WarcRecordType.response, **options):
                pages += 1
                size += len(record.reader.read())
    return pages, size


def records(files: list[Path]) -> Counts:
    pages = size = 0
    for file in files:
        for record in read_records(str(file), InputOptions(), skipped=Counter()):
            pages += 1
            size += record.doc.raw_bytes or 0
    return pages, size


def second_reader(files: list[Path]) -> Counts:
    with patch.object(archive, "_begins_at", lambda *_: False):
        return records(files)


WAYS: dict[str, Callable[[list[Path]], Counts]] = {
    "fastwarc": lambda files: fastwarc_alone(files, parse_http=False),
    "fastwarc, HTTP decoded": lambda files: fastwarc_alone(files, parse_http=True, auto_decode="all"),
    "read_records": records,
    "read_records, second": second_reader,
}


def urls(files: list[Path]) -> list[str]:
    page_urls = []
    for file in files:
        page_urls += [r.doc.url for r in read_records(str(file), InputOptions(), skipped=Counter()) if r.doc.url]
    return page_urls


def domain_speed(all_urls: list[str], repeat: int) -> dict[str, Any]:
    """URLs a CPU second: with nothing remembered, and with every host met before."""
    first: list[float] = []
    again: list[float] = []
    rounds = 20
    domains.registered_domain(all_urls[0])  # loads the list of suffixes
    for _ in range(repeat):
        domains.domain_of_host.cache_clear()
        domains._host.cache_clear()
        start = time.process_time()
        for url in all_urls:
            domains.registered_domain(url)
        first.append(time.process_time() - start)
        start = time.process_time()
        for _ in range(rounds):
            for url in all_urls:
                domains.registered_domain(url)
        again.append((time.process_time() - start) / rounds)
    return {
        "urls": len(all_urls),
        "hosts": len({domains.host_of(u) for u in all_urls}),
        "first_per_cpu_second": round(len(all_urls) / min(first)),
        "again_per_cpu_second": round(len(all_urls) / min(again)),
    }


def main() -> None:
    parser = machine.parser(__doc__, data="folder with html/*.warc.gz")
    parser.add_argument("--repeat", type=int, default=3, help="passes; the best counts")
    arguments = parser.parse_args()
    files = sorted((arguments.data / "html").glob("*.warc.gz"))
    if not files:
        parser.error(f"no *.warc.gz in {arguments.data / 'html'}")
    rows = {}
    print(f"{'way':26} {'pages':>6} {'MB':>7} {'CPU s':>7} {'pages/CPU s':>12} {'us/page':>8}")
    for name, way in WAYS.items():
        best, (pages, size) = machine.fastest(way, files, passes=arguments.repeat)
        rows[name] = {
            "pages": pages,
            "megabytes": round(size / 1e6, 1),
            "cpu_seconds": round(best, 3),
            "pages_per_cpu_second": round(pages / best),
        }
        print(f"{name:26} {pages:6} {size / 1e6:7.1f} {best:7.3f} {pages / best:12.0f} {best / pages * 1e6:8.0f}")
    machine.save(
        "readers",
        {
            "data": [f.name for f in files],
            "file_megabytes": round(sum(f.stat().st_size for f in files) / 1e6, 1),
            "versions": {"FastWARC": importlib.metadata.version("FastWARC")},
            "repeat": arguments.repeat,
            "ways": rows,
            "registered_domain": domain_speed(urls(files), arguments.repeat),
        },
    )


if __name__ == "__main__":
    main()
