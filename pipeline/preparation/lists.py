"""Make list files for the URL filter out of the lists that others publish.

    python -m pipeline.preparation.lists convert --from ut1 blacklists/ --to lists/ --categories adult gambling
    python -m pipeline.preparation.lists convert --from hosts hosts.txt --to lists/malware.domains.txt
    python -m pipeline.preparation.lists compile lists/adult.domains.txt lists/adult.domains.npy

Formats read:

    ut1      folders of the blacklists of the University Toulouse Capitole: <category>/domains and <category>/urls
    hosts    hosts files: `0.0.0.0 example.com`, several names a line
    adblock  filter lists: the rules `||example.com^` that block a whole domain; others are counted and left out
    domains  one domain a line
    urls     one URL a line, with or without scheme

`convert` writes text, one entry a line, compressed where the name ends in .gz, .xz or .zst. Entries are in their
comparison form and sorted; repeated ones, sub-domains of listed domains, and URLs under them are left out, since the
filter finds them anyway. `compile` writes the form that loads 40 times faster.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import fsspec
import numpy as np

from pipeline.preparation.domain_set import KeySet, Kind, clean_domain, clean_url, read_hashes, write_compiled
from pipeline.preparation.url_filter import SubWords, UrlFilter
from pipeline.removal import entries, suffixes
from pipeline.storage import exists, join, names

Format = Literal["ut1", "hosts", "adblock", "domains", "urls"]

_LOCAL_NAMES = {"localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost", "ip6-loopback"}
_LOCAL_NAMES |= {"ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts", "0.0.0.0"}
_ADDRESS = re.compile(r"[0-9.]+|[0-9a-fA-F:]*:[0-9a-fA-F:.%a-z]*")
_ADBLOCK_RULE = re.compile(r"\|\|([^/^*$|]+)\^(?:\$(?:all|doc|document|important|popup|third-party|3p|,)+)?")
_EXAMPLES = 3


@dataclass
class Report:
    """What became of the lines of a conversion."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, why: str, line: str) -> None:
        self.counts[why] += 1
        seen = self.examples.setdefault(why, [])
        if len(seen) < _EXAMPLES:
            seen.append(line[:80])

    def lines(self) -> Iterator[str]:
        for name, count in self.counts.items():
            shown = ", ".join(map(repr, self.examples.get(name, ())))
            yield f"{count:>10,} {name}" + (f", such as {shown}" if shown else "")


def domains_of_hosts(lines: Iterable[str], report: Report) -> Iterator[str]:
    """Names that a hosts file sends nowhere; those of the machine itself are left out."""
    for line in lines:
        address, *hosts = line.split()
        if not hosts or not _ADDRESS.fullmatch(address):
            report.skip("lines that are no `address name`", line)
            continue
        for host in hosts:
            if host.lower() in _LOCAL_NAMES:
                report.skip("names of the machine itself", host)
            else:
                yield host


def domains_of_adblock(lines: Iterable[str], report: Report) -> Iterator[str]:
    """Domains that a filter list blocks whole."""
    for line in lines:
        if line.startswith(("!", "[")):
            continue
        rule = _ADBLOCK_RULE.fullmatch(line)
        if rule:
            yield rule[1]
        else:
            report.skip("rules that do not block a whole domain", line)


def minimal_domains(lines: Iterable[str], report: Report) -> list[str]:
    """Sorted domains in comparison form, without those below another one."""
    found: set[str] = set()
    for line in lines:
        report.counts["domains read"] += 1
        try:
            domain = clean_domain(line.encode("utf-8"))
        except ValueError:
            report.skip("lines that are no domain", line)
            continue
        if domain is None or b"." not in domain:  # a whole top-level domain is too easily a slip
            report.skip("lines that are no domain", line)
        else:
            found.add(domain.decode("ascii"))
    top = [d for d in found if not any(parent in found for parent in _parents(d))]
    report.counts["different domains"] += len(found)
    report.counts["of them below a listed domain"] += len(found) - len(top)
    return sorted(top)


def _parents(domain: str) -> Iterator[str]:
    above = suffixes(domain)
    next(above)
    return above


def minimal_urls(lines: Iterable[str], domains: set[str], report: Report) -> list[str]:
    """Sorted URLs in comparison form, without those under one of `domains`. An address without a path is a domain's
    matter."""
    urls: set[str] = set()
    for line in lines:
        report.counts["URLs read"] += 1
        try:
            key = clean_url(line.encode("utf-8"))
        except ValueError:
            report.skip("lines that are no URL", line)
            continue
        if key is not None:
            urls.add(key.decode("utf-8"))
    kept = [u for u in urls if domains.isdisjoint(suffixes(re.split("[:/]", u, maxsplit=1)[0]))]
    report.counts["different URLs"] += len(urls)
    report.counts["of them under a listed domain"] += len(urls) - len(kept)
    return sorted(kept)


def containing(domains: Iterable[str], word_files: Sequence[str], report: Report) -> list[str]:
    """Domains that contain, for each file, at least one of its strings (in the format of sub-words)."""
    kept = list(domains)
    for path in word_files:
        hits = SubWords({"evidence": [path]}).find(kept)
        report.counts[f"domains without a word of {path}"] += len(kept) - len(hits)
        kept = [kept[i] for i in sorted(hits)]
    return kept


def uncaught(domains: Sequence[str], report: Report) -> list[str]:
    """Domains that the shipped words alone do not drop already."""
    rules = dataclasses.replace(UrlFilter().rules(), domains=KeySet.load({}, "domain"))
    kept = []
    for start in range(0, len(domains), 10_000):
        batch = domains[start : start + 10_000]
        drops = rules.judge([f"http://{d}/" for d in batch])
        kept += [d for d, drop in zip(batch, drops, strict=True) if drop is None]
    report.counts["domains that the shipped words drop already"] += len(domains) - len(kept)
    return kept


def write_list(path: str, found: Sequence[str], kind: Kind) -> None:
    """Write entries as text, one a line."""
    with fsspec.open(path, "wb", compression="infer") as file:
        file.writelines(e.encode("utf-8") + b"\n" for e in found)
    print(f"{len(found):>10,} {kind}s written to {path}")


def convert(args: argparse.Namespace) -> None:
    if args.format == "ut1":
        _convert_ut1(args)
        return
    report = Report()
    lines: Iterable[str] = (line for path in args.input for _, line in entries(path))
    if args.format == "urls":
        found = minimal_urls(lines, set(), report)
    else:
        if args.format == "hosts":
            lines = domains_of_hosts(lines, report)
        elif args.format == "adblock":
            lines = domains_of_adblock(lines, report)
        found = _selected(minimal_domains(lines, report), args, report)
    print(*report.lines(), sep="\n")
    write_list(args.to, found, "url" if args.format == "urls" else "domain")


def _convert_ut1(args: argparse.Namespace) -> None:
    """Every category of every folder becomes `<category>.domains.txt` and `<category>.urls.txt` in folder `args.to`."""
    for folder in args.input:
        categories = args.categories or [n for n in names(folder) if exists(join(folder, n, "domains"))]
        if not categories:
            raise ValueError(
                f"{folder}: expected folders such as adult/ with a file `domains`, found {names(folder)[:10]}"
            )
        for category in categories:
            report = Report()
            domains = minimal_domains((line for _, line in entries(join(folder, category, "domains"))), report)
            domains = _selected(domains, args, report)
            urls_file = join(folder, category, "urls")
            lines = (line for _, line in entries(urls_file)) if exists(urls_file) else ()
            urls = minimal_urls(lines, set(domains), report)
            print(category, *report.lines(), sep="\n")
            write_list(join(args.to, f"{category}.domains.txt"), domains, "domain")
            if urls:
                write_list(join(args.to, f"{category}.urls.txt"), urls, "url")


def _selected(domains: list[str], args: argparse.Namespace, report: Report) -> list[str]:
    if args.containing:
        domains = containing(domains, args.containing, report)
    return uncaught(domains, report) if args.uncaught else domains


def compile_lists(args: argparse.Namespace) -> None:
    if not args.to.endswith(".npy"):
        raise ValueError(f"expected an output name that ends in .npy, found {args.to}")
    hashes = [h for path in args.input for h in read_hashes(path, args.kind)]
    with fsspec.open(args.to, "wb") as file:
        n = write_compiled(np.concatenate(hashes), file, args.kind)
    print(f"{n:>10,} {args.kind}s compiled to {args.to}")


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m pipeline.preparation.lists",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = out.add_subparsers(required=True, metavar="COMMAND")
    c = commands.add_parser("convert", help="turn a published list into a list file, and say what was left out")
    c.add_argument("--from", dest="format", required=True, choices=list(get_args(Format)), help="format of the input")
    c.add_argument("input", nargs="+", help="files (or, for ut1, folders): paths or fsspec URLs")
    c.add_argument(
        "--to", required=True, help="file to write; for ut1 the folder for <category>.domains.txt and .urls.txt"
    )
    c.add_argument(
        "--categories", nargs="+", metavar="NAME", help="ut1: only these categories (default: all there are)"
    )
    c.add_argument(
        "--containing",
        action="append",
        metavar="FILE",
        help="keep only domains that contain one of the strings in FILE, a list of sub-words; given again, one of each",
    )
    c.add_argument("--uncaught", action="store_true", help="leave out domains that the shipped words drop already")
    c.set_defaults(run=convert)
    c = commands.add_parser("compile", help="turn list files of text into one compiled file")
    c.add_argument("input", nargs="+", help="text files with one entry a line, or compiled ones: paths or fsspec URLs")
    c.add_argument("to", help="file to write; its name must end in .npy")
    c.add_argument("--kind", choices=["domain", "url"], default="domain", help="what the entries are (default: domain)")
    c.set_defaults(run=compile_lists)
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    try:
        args.run(args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
