"""A crawl of any size, made of real pages: for benchmarks that need more pages than there are.

    python benchmarks/made_crawl.py --pages 10000 --out made/       WARC files of 1,000 pages each

Page `i` is the same whatever else is made. It is a real page (its tags, menus, scripts and styles as they are) whose paragraphs
of 40 characters or more are replaced by paragraphs of other pages of the same language, so that no two pages have one text; its
title and address are its own, on one of `pages / 20` made sites of Zipf's sizes. One page in ten is a copy of an earlier one
under another address: of every two hundred words one is changed. The names of the sites are made.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import machine

from pipeline.readers.inputs import InputOptions, read_records

COPIES = 0.1
PAGES_A_FILE = 1_000
PARAGRAPH = re.compile(r"(<p(?:\s[^<>]*)?>)([^<>]{40,})(</p>)")
TITLE = re.compile(r"<title>[^<]*</title>")
HAN = re.compile("[\u4e00-\u9fff]")


class Source(NamedTuple):
    """A real page: its HTML, and whether it is Chinese."""

    html: str
    chinese: bool


class Maker:
    """Pages by number."""

    def __init__(self, folder: Path, sites: int) -> None:
        self.sites = sites
        self.sources = list(_sources(folder))
        self.paragraphs: dict[bool, list[str]] = {True: [], False: []}
        for source in self.sources:
            self.paragraphs[source.chinese] += [m[2] for m in PARAGRAPH.finditer(source.html)]
        if not all(self.paragraphs.values()):
            raise ValueError(f"{folder}: expected pages with paragraphs in Chinese and in English")

    def origin(self, i: int) -> int | None:
        """The page that page `i` is a copy of, if it is one."""
        chance = random.Random(f"copy {i}")
        return chance.randrange(i) if i and chance.random() < COPIES else None

    def page(self, i: int) -> tuple[str, str]:
        """Address and HTML."""
        origin = self.origin(i)
        chance = random.Random(f"address {i}")
        site = min(self.sites - 1, int(chance.paretovariate(0.7)) - 1)
        address = f"http://www.site{site}.example/{chance.randrange(10**6)}/page{i}.html"
        return address, self._html(i) if origin is None else self._edited(self._original(origin), i)

    def _original(self, i: int) -> str:
        origin = self.origin(i)
        return self._html(i) if origin is None else self._original(origin)

    def _html(self, i: int) -> str:
        chance = random.Random(f"page {i}")
        source = chance.choice(self.sources)
        pool = self.paragraphs[source.chinese]
        html = PARAGRAPH.sub(lambda m: m[1] + chance.choice(pool) + m[3], source.html)
        title = f"<title>{chance.choice(pool)[:30]}</title>"
        return TITLE.sub(lambda _: title, html, count=1)

    def _edited(self, html: str, i: int) -> str:
        chance = random.Random(f"edit {i}")

        def edit(m: re.Match[str]) -> str:
            words = m[2].split(" ") if " " in m[2] else list(m[2])
            joint = " " if " " in m[2] else ""
            return m[1] + joint.join(w for w in words if chance.random() >= 1 / 200) + m[3]

        return PARAGRAPH.sub(edit, html)


def _sources(folder: Path) -> Iterator[Source]:
    """Pages that are UTF-8, of which enough is paragraphs; in the order of the files."""
    for path in sorted(folder.rglob("*.warc.gz")):
        for record in read_records(str(path), InputOptions(), skipped=Counter()):
            try:
                html = (record.doc.html or b"").decode("utf-8")
            except UnicodeDecodeError:
                continue
            written = "".join(m[2] for m in PARAGRAPH.finditer(html))
            if len(written) > 400 and len(html) < 400_000:
                yield Source(html, len(HAN.findall(written)) > 0.3 * len(written))


def record_of(address: str, html: str, number: int) -> bytes:
    """A response record of its own gzip member."""
    body = html.encode()
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\n"
        f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{number:012d}>\r\n"
        f"WARC-Date: 2026-01-{1 + number % 28:02d}T00:00:00Z\r\nWARC-Target-URI: {address}\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + http + b"\r\n\r\n", 3, mtime=0)


def make(folder: Path, pages: int, data: Path) -> int:
    """Write the crawl. :returns: how many pages are copies of earlier ones."""
    folder.mkdir(parents=True, exist_ok=True)
    maker = Maker(data, max(10, pages // 20))
    for first in range(0, pages, PAGES_A_FILE):
        path = folder / f"made-{first // PAGES_A_FILE:05d}.warc.gz"
        if not path.exists():
            scratch = path.with_suffix(".part")
            with scratch.open("wb") as f:
                for i in range(first, min(first + PAGES_A_FILE, pages)):
                    f.write(record_of(*maker.page(i), i))
            scratch.rename(path)
    return sum(maker.origin(i) is not None for i in range(pages))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=machine.data_or_sample("html"), help="folder of real pages")
    arguments = parser.parse_args()
    copies = make(arguments.out, arguments.pages, arguments.data)
    print(f"{arguments.pages} pages, {copies} of them copies, in {arguments.out}")


if __name__ == "__main__":
    main()
