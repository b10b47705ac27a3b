"""Make list files for the URL filter out of the lists that others publish. Formats read:

    ut1      folders of the blacklists of the University Toulouse Capitole: <category>/domains and <category>/urls
    hosts    hosts files: `0.0.0.0 example.com`, several names a line
    adblock  filter lists: the rules `||example.com^` that block a whole domain, without those that an exception
             (`@@||example.com^`) or `$badfilter` takes back; rules with conditions ($third-party, $popup) say nothing of
             the site itself: they and all others are counted and left out
    domains  one domain a line
    urls     one URL a line, with or without scheme

`convert` writes text, one entry a line, compressed where the name ends in .gz, .xz or .zst. Entries are in their
comparison form and sorted; repeated ones, sub-domains of listed domains, and URLs under them are left out, since the
filter finds them anyway. `compile_lists` writes the form that loads 40 times faster.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

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
_ADBLOCK_RULE = re.compile(r"(@@)?\|\|([^/^*$|]+)\^?(?:\$([\w,~=|-]+))?")
_WHOLE_SITE = frozenset(("all", "doc", "document", "important", "empty"))
"""Options of a rule that blocks a site's own pages."""
_EXAMPLES = 3


@dataclass
class Report:
    """Counts of a conversion's lines."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, why: str, line: str) -> None:
        self.counts[why] += 1
        seen = self.examples.setdefault(why, [])
        if len(seen) < _EXAMPLES:
            seen.append(line[:80])

    def lines_of(self, path: str) -> Iterator[str]:
        """Lines of a list file; those that are not UTF-8 are counted."""
        bad = "lines that are not UTF-8"
        return (line for _, line in entries(path, lambda _, raw: self.skip(bad, raw.decode("latin-1").strip())))

    def lines(self) -> Iterator[str]:
        """Say what was counted and left out, with examples, a line each."""
        for name, count in self.counts.items():
            shown = ", ".join(map(repr, self.examples.get(name, ())))
            yield f"{count:>10,} {name}" + (f", such as {shown}" if shown else "")


def domains_of_hosts(lines: Iterable[str], report: Report) -> Iterator[str]:
    """Read the names that a hosts file sends nowhere; those of the machine itself are left out."""
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
    """Read the domains that a filter list blocks whole, in its order."""
    blocked: dict[str, None] = {}  # rules by their text
    excepted: set[str] = set()
    disabled: set[str] = set()
    for line in lines:
        if line.startswith(("!", "[")):
            continue
        rule = _ADBLOCK_RULE.fullmatch(line)
        options = (rule[3] or "").split(",") if rule else []
        if rule is None:
            report.skip("rules that do not block a whole domain", line)
        elif "badfilter" in options:
            disabled.add(_rule_text(rule[1] or "", rule[2], [option for option in options if option != "badfilter"]))
        elif not _WHOLE_SITE.issuperset(filter(None, options)):
            report.skip("rules with a condition", line)
        elif rule[1]:
            excepted.add(_rule_text("", rule[2].lower(), []))
        else:
            blocked[_rule_text("", rule[2], options)] = None
    for text in blocked:
        domain = text.partition("^")[0].removeprefix("||")
        if text in disabled:
            report.skip("rules that $badfilter takes back", text)
        elif any(_rule_text("", above, []) in excepted for above in suffixes(domain.lower())):
            report.skip("domains that an exception takes back", domain)
        else:
            yield domain
    listed = {text.partition("^")[0].removeprefix("||").lower() for text in blocked}
    for text in excepted:
        domain = text.removeprefix("||").removesuffix("^")
        if domain not in listed and not listed.isdisjoint(suffixes(domain)):
            report.skip("exceptions below a listed domain, which belong on an allow list", domain)


def _rule_text(mark: str, domain: str, options: Sequence[str]) -> str:
    """A rule with its options in order."""
    named = ",".join(sorted(filter(None, options)))
    return f"{mark}||{domain}^" + (f"${named}" if named else "")


def minimal_domains(lines: Iterable[str], report: Report) -> list[str]:
    """Sort domains in comparison form, without those below another one."""
    domains: set[str] = set()
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
            domains.add(domain.decode("ascii"))
    top = [d for d in domains if not any(parent in domains for parent in _parents(d))]
    report.counts["different domains"] += len(domains)
    report.counts["of them below a listed domain"] += len(domains) - len(top)
    return sorted(top)


def _parents(domain: str) -> Iterator[str]:
    above = suffixes(domain)
    next(above)
    return above


def minimal_urls(lines: Iterable[str], domains: set[str], report: Report) -> list[str]:
    """Sort URLs in comparison form, without those under one of `domains`. An address without a path is a domain's
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
    """Choose the domains that contain, for each file, at least one of its strings (in the format of sub-words)."""
    kept = list(domains)
    for path in word_files:
        matches = SubWords({"evidence": [path]}).find(kept)
        report.counts[f"domains without a word of {path}"] += len(kept) - len(matches)
        kept = [kept[i] for i in sorted(matches)]
    return kept


def uncaught(domains: Sequence[str], report: Report) -> list[str]:
    """Choose the domains that the shipped words alone do not drop already."""
    rules = dataclasses.replace(UrlFilter().rules(), domains=KeySet.load({}, "domain"))
    kept = []
    for start in range(0, len(domains), 10_000):
        batch = domains[start : start + 10_000]
        drops = rules.judge([f"http://{d}/" for d in batch])
        kept += [d for d, drop in zip(batch, drops, strict=True) if drop is None]
    report.counts["domains that the shipped words drop already"] += len(domains) - len(kept)
    return kept


def write_list(path: str, items: Sequence[str], kind: Kind) -> str:
    """Write entries as text, one a line. :returns: a line that says so."""
    with fsspec.open(path, "wb", compression="infer") as file:
        file.writelines(e.encode("utf-8") + b"\n" for e in items)
    return f"{len(items):>10,} {kind}s written to {path}"


@dataclass(frozen=True)
class Conversion:
    """Options of `convert` for published lists.

    :param format: of the inputs.
    :param categories: of a `ut1` folder; empty: all that it has.
    :param containing: files of sub-words; only domains that contain a string of each are kept.
    :param uncaught: leave out domains that the shipped words drop already.
    """

    format: Format
    categories: Sequence[str] = ()
    containing: Sequence[str] = ()
    uncaught: bool = False

    def selected(self, domains: list[str], report: Report) -> list[str]:
        """Choose the domains that fit."""
        if self.containing:
            domains = containing(domains, self.containing, report)
        return uncaught(domains, report) if self.uncaught else domains


def convert(conversion: Conversion, inputs: Sequence[str], target: str) -> list[str]:
    """Convert published lists to a list file; `ut1` folders to files of each category, in folder `target`.

    :param inputs: files (for `ut1` folders): paths or fsspec URLs.
    :returns: lines that say what was read, left out and written.
    :raises ValueError: if a folder holds no category.
    :raises OSError: if a file cannot be read or written.
    """
    if conversion.format == "ut1":
        return [line for folder in inputs for line in _convert_ut1(conversion, folder, target)]
    report = Report()
    lines: Iterable[str] = (line for path in inputs for line in report.lines_of(path))
    if conversion.format == "urls":
        urls = minimal_urls(lines, set(), report)
        return [*report.lines(), write_list(target, urls, "url")]
    if conversion.format == "hosts":
        lines = domains_of_hosts(lines, report)
    elif conversion.format == "adblock":
        lines = domains_of_adblock(lines, report)
    domains = conversion.selected(minimal_domains(lines, report), report)
    return [*report.lines(), write_list(target, domains, "domain")]


def _convert_ut1(conversion: Conversion, folder: str, target: str) -> Iterator[str]:
    """Convert every category of a folder to `<category>.domains.txt` and `<category>.urls.txt` in folder `target`."""
    categories = conversion.categories or [n for n in names(folder) if exists(join(folder, n, "domains"))]
    if not categories:
        raise ValueError(f"{folder}: expected folders such as adult/ with a file `domains`, found {names(folder)[:10]}")
    for category in categories:
        report = Report()
        domains = minimal_domains(report.lines_of(join(folder, category, "domains")), report)
        domains = conversion.selected(domains, report)
        urls_file = join(folder, category, "urls")
        lines = report.lines_of(urls_file) if exists(urls_file) else ()
        urls = minimal_urls(lines, set(domains), report)
        yield from (category, *report.lines())
        yield write_list(join(target, f"{category}.domains.txt"), domains, "domain")
        if urls:
            yield write_list(join(target, f"{category}.urls.txt"), urls, "url")


def compile_lists(inputs: Sequence[str], target: str, kind: Kind = "domain") -> str:
    """Compile list files of text, or compiled ones, to one file. :returns: a line that says so.

    :raises ValueError: if `target` does not end in .npy, or an input is compiled of another kind.
    """
    if not target.endswith(".npy"):
        raise ValueError(f"expected an output name that ends in .npy, found {target}")
    hashes = [h for path in inputs for h in read_hashes(path, kind)]
    with fsspec.open(target, "wb") as file:
        n = write_compiled(np.concatenate(hashes), file, kind)
    return f"{n:>10,} {kind}s compiled to {target}"
