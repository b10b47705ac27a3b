"""Speed and memory of the URL filter, and what its shipped lists drop: `python benchmarks/url_filter.py [--data DIR]`.

Domains: a set of 5 million made-up names (memory and speed do not depend on what they are), probed with the hosts of
real links. Rules: the default filter over the links. The links are the distinct http(s) URLs in the `href`s of the HTML
pages in `DIR/html`. Bars: 5 million domains in 64 MB a worker; 200,000 domain lookups and 50,000 URLs a second on
one core.

Times are CPU seconds of one process, the best of three passes over batches of 2,000.
"""

from __future__ import annotations

import hashlib
import html
import multiprocessing
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import machine
from fastwarc.warc import ArchiveIterator, WarcRecordType

from extraction.domains import host_of
from pipeline.preparation.domain_set import KeySet
from pipeline.preparation.lists import compile_lists
from pipeline.preparation.url_filter import UrlFilter
from pipeline.schema import Document, Drop

N_DOMAINS = 5_000_000
BATCH = 2_000
_HREF = re.compile(rb"""href\s*=\s*["']([^"'<>\s]{1,2000})["']""", re.IGNORECASE)


def pages(data: Path) -> tuple[list[str], list[str]]:
    """URLs of the pages, and the distinct links on them."""
    page_urls: list[str] = []
    links: dict[str, None] = {}
    for path in sorted((data / "html").glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                base = record.headers["WARC-Target-URI"]
                page_urls.append(base)
                for href in _HREF.findall(record.reader.read()):
                    try:
                        link = urljoin(base, html.unescape(href.decode("utf-8", "replace"))).partition("#")[0]
                    except ValueError:  # brackets that are no IPv6 address
                        continue
                    if link.startswith(("http://", "https://")):
                        links[link] = None
    return page_urls, list(links)


def best(call: Callable[[int], object], n: int) -> float:
    """Items a second of `call(start)` over n items in batches, the best of three passes."""
    seconds, _ = machine.fastest(machine.each, call, range(0, n, BATCH))
    return round(n / seconds)


def load_cost(path: str) -> dict[str, float]:
    """CPU seconds and megabytes that one list takes; run in a fresh process."""

    def kilobytes(field: str) -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.partition(field + ":")[2].split()[0])

    before = kilobytes("VmRSS")
    start = time.process_time()
    domains = KeySet.load({"adult": [path]}, "domain")
    seconds = time.process_time() - start
    return {
        "domains": len(domains),
        "load_cpu_s": round(seconds, 2),
        "array_mb": round(domains.keys.nbytes / 1e6, 1),
        "resident_mb": round((kilobytes("VmRSS") - before) / 1e3, 1),
        "resident_peak_mb": round((kilobytes("VmHWM") - before) / 1e3, 1),
    }


def large_list(links: list[str]) -> dict[str, Any]:
    """Cost of a list of 5 million domains as text and compiled, and lookups of the links' hosts in it."""
    with tempfile.TemporaryDirectory() as folder:
        text, compiled = f"{folder}/domains.txt", f"{folder}/domains.npy"
        with open(text, "w") as file:
            for i in range(N_DOMAINS):
                file.write(f"{hashlib.md5(str(i).encode()).hexdigest()[:12]}.example{i % 1000}.com\n")
        compile_lists([text], compiled)
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            out: dict[str, Any] = {
                "text": pool.apply(load_cost, (text,)),
                "compiled": pool.apply(load_cost, (compiled,)),
            }
        domains = KeySet.load({"adult": [compiled]}, "domain")
    hosts = [host_of(link) for link in links]
    out["hosts_looked_up"] = len(hosts)
    out["lookups_per_s"] = best(lambda i: domains.find_domains(hosts[i : i + BATCH]), len(hosts))
    return out


def verdicts(step: UrlFilter, urls: list[str]) -> list[tuple[str, Drop]]:
    docs = [Document(doc_id=f"{i:032x}", source_file="-", url=url) for i, url in enumerate(urls)]
    return [(u, v) for u, v in zip(urls, step.process(docs), strict=True) if isinstance(v, Drop)]


def main() -> int:
    parser = machine.parser(__doc__, data="folder with html/*.warc.gz")
    data = parser.parse_args().data
    page_urls, links = pages(data)
    if not links:
        print(f"error: no links found in {data}/html/*.warc.gz", file=sys.stderr)
        return 2
    step = UrlFilter()
    load, _ = machine.fastest(step.load, passes=1)
    docs = [Document(doc_id=f"{i:032x}", source_file="-", url=url) for i, url in enumerate(links)]
    dropped_pages, dropped_links = verdicts(step, page_urls), verdicts(step, links)
    machine.save(
        "url_filter",
        {
            "data": f"{len(page_urls)} pages of html/*.warc.gz, {len(links)} distinct links on them",
            "five_million_domains": large_list(links),
            "default_filter": {
                "domains": len(step.rules().domains),
                "load_cpu_s": round(load, 2),
                "urls_per_s": best(lambda i: step.process(docs[i : i + BATCH]), len(docs)),
                "pages_dropped": [f"{v.reason} {v.value} {u}" for u, v in dropped_pages],
                "links_dropped": dict(Counter(v.reason for _, v in dropped_links)),
                "links_dropped_examples": [f"{v.reason} {v.value} {u}" for u, v in dropped_links[:50]],
            },
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
