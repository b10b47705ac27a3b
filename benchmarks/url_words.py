"""Real addresses of harmless sites, and hosts of listed ones, through the URL filter: `python benchmarks/url_words.py`.

Harmless addresses are collected anew from what is on the machine, none of them is shipped: the home pages that Debian's
package lists name, the texts of installed Python and Node packages, documentation and manuals below /usr/share, the pages of
`--data` and the links on them (pages of annotated sets), and files of hosts that `--harmless` names (one host or URL a line,
or dnsmasq's `server=/host/...`). A harmless page may link to a site that rightly stands in a list: who read the dropped ones
wrote down what each is, in `url_words.read.json`, by the digest of its address.

Chinese words of dictionaries and headlines of `--data` are looked at as paths too: words that stand beside each other as
the words of addresses do. These addresses are made, and counted apart.

Caught is what the words alone say of hosts that lists name, which are taken out of the filter for it: the lists written for
this project, the edition of UT1 that datatrove packages (if it is installed: a part of its lines, chosen by hash), files
that `--listed` names.
"""

from __future__ import annotations

import dataclasses
import gzip
import importlib.util
import json
import re
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import unescape
from pathlib import Path
from urllib.parse import quote, urljoin

import machine
import xxhash
from fastwarc.warc import ArchiveIterator, WarcRecordType

from extraction.domains import host_of
from pipeline.preparation import url_filter
from pipeline.preparation.domain_set import KeySet
from pipeline.preparation.url_filter import UrlFilter, UrlRules
from pipeline.schema import Drop

BATCH = 10_000
UT1_PART = 20
"""One of so many lines of UT1 is looked at."""

_MAX_BYTES = 5_000_000
_READ = Path(__file__).with_name("url_words.read.json")
_URL = re.compile(rb"""https?://[^\s<>"'`\\{}|^()\[\]\x00-\x1f]{4,500}""", re.IGNORECASE)
_HREF = re.compile(rb"""href\s*=\s*["']([^"'<>\s]{1,2000})["']""", re.IGNORECASE)
_SERVER = re.compile(r"server=/([^/]+)/")
_TEXTS = frozenset((".c", ".h", ".html", ".js", ".json", ".md", ".py", ".rst", ".toml", ".ts", ".txt", ".yaml", ".yml"))
_OWN = ("adult.domains.txt", "gambling.domains.txt")


def of_folder(folder: Path, every_file: bool) -> Iterator[str]:
    """Addresses in the texts of a folder; packed ones are unpacked."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            continue
        if every_file or path.suffix in _TEXTS or path.name in ("METADATA", "PKG-INFO"):
            data = path.read_bytes()
            try:
                data = gzip.decompress(data) if path.suffix == ".gz" else data
            except (OSError, EOFError):
                continue
            for found in _URL.findall(data):
                yield found.decode("utf-8", "replace").rstrip(".,;:!?*")


def of_debian() -> Iterator[str]:
    """Home pages of the packages that apt knows, if this is Debian and its lists are there."""
    try:
        text = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True).stdout.decode(
            "utf-8", "replace"
        )
    except (OSError, subprocess.CalledProcessError):
        return
    for line in text.splitlines():
        if line.startswith("Homepage:"):
            yield line.removeprefix("Homepage:").strip()


def of_warc(path: Path) -> Iterator[str]:
    """Addresses of the pages of a WARC file, and of the links on them."""
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            base = record.headers["WARC-Target-URI"]
            yield base
            for href in _HREF.findall(record.reader.read()):
                try:
                    yield urljoin(base, unescape(href.decode("utf-8", "replace"))).partition("#")[0]
                except ValueError:  # brackets that are no IPv6 address
                    continue


def of_hosts(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        server = _SERVER.match(line)
        entry = server[1] if server else line.strip()
        if entry and not entry.startswith("#"):
            yield entry if "://" in entry else f"http://{entry}/"


def harmless(data: Path, files: Iterable[Path]) -> Iterator[tuple[str, Iterator[str]]]:
    """Name of each source, and its addresses."""
    yield "home pages of Debian packages", of_debian()
    yield "Python packages", of_folder(Path(sys.prefix) / "lib", every_file=False)
    for folder in (Path("/usr/lib/node_modules"), Path("/usr/local/lib/node_modules")):
        yield "Node packages", of_folder(folder, every_file=False)
    for name in ("doc", "man"):
        yield f"/usr/share/{name}", of_folder(Path("/usr/share") / name, every_file=True)
    for path in sorted((data / "html").glob("*.warc.gz")):
        chinese = path.name.startswith("zh-")
        yield f"links of {'Chinese' if chinese else 'other'} pages", of_warc(path)
    for path in files:
        yield path.stem, of_hosts(path)


def titles(data: Path) -> Iterator[str]:
    """Addresses made of Chinese dictionary words and headlines."""
    for path in sorted((data / "labels" / "thuocl").glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield line.partition("\t")[0].strip()
    for name in ("nlpcc-headlines", "tnews"):
        path = data / "labels" / f"{name}.jsonl.gz"
        if path.exists():
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                yield from (json.loads(line)["text"] for line in lines)


def dropped(rules: UrlRules, urls: Sequence[str]) -> list[tuple[str, Drop]]:
    """Addresses that the rules drop."""
    out = []
    for start in range(0, len(urls), BATCH):
        batch = urls[start : start + BATCH]
        out += [(u, d) for u, d in zip(batch, rules.judge(batch), strict=True) if d is not None]
    return out


def digest(url: str) -> str:
    return xxhash.xxh3_64_hexdigest(url.encode("utf-8", "replace"))


def ut1() -> list[str]:
    """A part of the domains of the UT1 edition within datatrove; none if it is not installed."""
    spec = importlib.util.find_spec("datatrove")
    if spec is None or not spec.submodule_search_locations:
        return []
    archive = next(Path(spec.submodule_search_locations[0]).glob("assets/url_filterblacklists*.tar.gz"))
    with tarfile.open(archive) as tar:
        member = tar.extractfile("domains")
        if member is None:
            raise ValueError(f"{archive}: no file `domains`")
        lines = {line.strip() for line in member if xxhash.xxh3_64_intdigest(line.strip()) % UT1_PART == 0}
    # Blogger's country domains are one blog each (`fold_host`).
    return sorted(f"http://{x.decode()}/" for x in lines if b".blogspot." not in x or x.endswith(b".blogspot.com"))


def by_rule(drops: Iterable[tuple[str, Drop]]) -> dict[str, int]:
    return dict(sorted(Counter(drop.reason for _, drop in drops).items()))


def words_of(drops: Iterable[tuple[str, Drop]], most: int = 30) -> dict[str, int]:
    """The values that decided, with rule; those of listed domains are not named."""
    found = Counter(f"{d.reason}: {d.value}" for _, d in drops if not d.reason.startswith("blocked_"))
    return dict(found.most_common(most))


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/ and labels/")
    parser.add_argument("--harmless", type=Path, nargs="*", default=[], help="files of hosts or URLs of harmless sites")
    parser.add_argument(
        "--listed", type=Path, nargs="*", default=[], help="files of hosts of sites that are to be dropped"
    )
    parser.add_argument("--show", action="store_true", help="print the dropped addresses, with the digest of each")
    options = parser.parse_args()
    rules = UrlFilter().rules()
    words = dataclasses.replace(rules, domains=KeySet.load({}, "domain"))
    read: dict[str, str] = json.loads(_READ.read_text(encoding="utf-8"))

    seen: set[str] = set()
    sources: dict[str, dict[str, int]] = {}
    drops: list[tuple[str, Drop]] = []
    for name, found in harmless(options.data, options.harmless):
        urls = [u for u in dict.fromkeys(found) if u.startswith(("http://", "https://")) and u not in seen]
        urls = [u for u in urls if "." in (host_of(u) or "")]
        if not urls:
            continue
        seen.update(urls)
        of_source = dropped(rules, urls)
        kinds = Counter(read.get(digest(u), "unread") for u, _ in of_source)
        counts = {"urls": len(urls), "hosts": len({host_of(u) for u in urls}), "dropped": len(of_source), **kinds}
        sources[name] = dict(Counter(sources.get(name, {})) + Counter(counts))
        drops += of_source
        machine.tell(f"{name}: {len(urls)} addresses, {len(of_source)} dropped")
    if options.show:
        for url, drop in drops:
            machine.tell(f"{digest(url)} {read.get(digest(url), 'unread')} {drop.reason} {drop.value} {url}")
    made = [f"http://example.cn/{quote(text)}" for text in dict.fromkeys(titles(options.data))]
    of_made = dropped(rules, made)

    own = [
        u for name in _OWN for u in of_hosts(Path(url_filter.__file__).with_name("url_lists") / name) if "." in u[7:]
    ]
    listed: dict[str, list[str]] = {"own lists": own, "UT1, all its categories": ut1()}
    listed |= {path.stem: list(dict.fromkeys(of_hosts(path))) for path in options.listed}
    caught = {}
    for name, urls in listed.items():
        if urls:
            by_words = dropped(words, urls)
            caught[name] = {
                "hosts": len(urls),
                "by_words": round(len(by_words) / len(urls), 4),
                "by_words_and_lists": round(len(dropped(rules, urls)) / len(urls), 4),
                "words": words_of(by_words, 15),
            }
    machine.save(
        "url_words",
        {
            "harmless": sources,
            "dropped": by_rule(drops),
            "wrong": by_rule((u, d) for u, d in drops if read.get(digest(u)) == "wrong"),
            "words": words_of(drops),
            "chinese_words_and_headlines": {
                "addresses": len(made),
                "dropped": len(of_made),
                "words": words_of(of_made),
            },
            "listed": caught,
        },
    )


if __name__ == "__main__":
    main()
