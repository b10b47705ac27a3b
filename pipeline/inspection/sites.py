"""The largest sites of an output: how much, what was kept, which lines they share, samples. 1,000 sites are 60 % of the web.

Two passes: the first counts documents and characters by domain, the second looks at the lines and samples of the largest alone.
Both work file by file. Of a site the second pass keeps the `LINES` commonest lines of each file that stand in two documents of it
or more; a line that a file has once counts for nothing there, so that sites spread thinly over many files are told of less.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import regex
import xxhash

from extraction.text import lines
from pipeline.outputs import read_documents

COUNT_COLUMNS = ["domain", "text", "drop_step"]
LOOK_COLUMNS = ["doc_id", "domain", "url", "text", "drop_step", "drop_reason"]
LINES = 200
"""Lines of a site that one file tells of."""
LONGEST = 200
SAMPLES = 3

Counts = dict[str, list[int]]
"""By domain: documents, kept documents, characters, kept characters."""


def count(table: pa.Table) -> Counts:
    """Count the documents and characters of each domain in one file: the first pass."""
    counts: Counts = {}
    for domain, text, drop in zip(*(table[n].to_pylist() for n in COUNT_COLUMNS), strict=True):
        if domain is None:
            continue
        numbers = counts.setdefault(domain, [0, 0, 0, 0])
        size, kept = len(text or ""), drop is None
        for i, n in enumerate((1, int(kept), size, size * kept)):
            numbers[i] += n
    return counts


def merge_counts(parts: Iterable[Counts]) -> Counts:
    """Add the counts of several files."""
    total: Counts = {}
    for part in parts:
        for domain, numbers in part.items():
            into = total.setdefault(domain, [0, 0, 0, 0])
            for i, n in enumerate(numbers):
                into[i] += n
    return total


def largest(counts: Counts, top: int) -> list[str]:
    """The domains with the most characters; equal ones by name."""
    return sorted(counts, key=lambda d: (-counts[d][2], d))[:top]


def look(table: pa.Table, domains: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Look at the chosen domains in one file, the second pass: lines (in how many documents), reasons, samples of least hash."""
    wanted = set(domains)
    looks: dict[str, dict[str, Any]] = {}
    for row in table.to_pylist():
        if row["domain"] not in wanted:
            continue
        site = looks.setdefault(row["domain"], _nothing())
        if row["drop_step"] is not None:
            site["reasons"][f"{row['drop_step']}: {row['drop_reason']}"] += 1
        text = row["text"] or ""
        site["lines"].update({line for line in map(str.strip, lines(text)) if line and len(line) <= LONGEST})
        if not text:
            continue
        sample = [xxhash.xxh3_64_intdigest(row["doc_id"].encode()), row["url"], " ".join(text.split())[:160]]
        site["samples"] = sorted([*site["samples"], sample])[:SAMPLES]
    for site in looks.values():
        repeated = [(line, n) for line, n in site["lines"].items() if n > 1]
        site["lines"] = Counter(dict(sorted(repeated, key=lambda x: (-x[1], x[0]))[:LINES]))
    return looks


def _nothing() -> dict[str, Any]:
    return {"lines": Counter(), "reasons": Counter(), "samples": []}


def merge_looks(parts: Iterable[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Join what several files tell of the sites."""
    total: dict[str, dict[str, Any]] = {}
    for part in parts:
        for domain, site in part.items():
            into = total.setdefault(domain, _nothing())
            into["lines"].update(site["lines"])
            into["reasons"].update(site["reasons"])
            into["samples"] = sorted([*into["samples"], *site["samples"]])[:SAMPLES]
    return total


def report(
    counts: Counts, looks: dict[str, dict[str, Any]], top: int, common: int, share: float
) -> list[dict[str, Any]]:
    """The sites as plain data, the largest first; `proposed` are patterns for a sites.yaml.

    :param common: lines told of a site.
    :param share: documents of a site that must hold a line for it to be proposed.
    """
    out = []
    for domain in largest(counts, top):
        documents, kept, characters, kept_characters = counts[domain]
        site = looks.get(domain, _nothing())
        commonest = sorted(site["lines"].items(), key=lambda x: (-x[1], x[0]))[:common]
        out.append(
            {
                "domain": domain,
                "documents": documents,
                "kept": kept,
                "characters": characters,
                "kept_characters": kept_characters,
                "reasons": dict(sorted(site["reasons"].items(), key=lambda x: (-x[1], x[0]))),
                "commonest_lines": [{"line": line, "documents": n} for line, n in commonest],
                "proposed": [
                    regex.escape(line, special_only=True) for line, n in commonest if n >= max(3, share * documents)
                ],
                "samples": [{"url": url, "text": text} for _, url, text in site["samples"]],
            }
        )
    return out


def report_lines(sites: Sequence[dict[str, Any]], common: int) -> list[str]:
    """The report for people, and what could be pasted into a sites.yaml."""
    out = [f"{'domain':<32} {'documents':>10} {'kept':>8} {'characters':>14}"]
    out += [
        f"{s['domain']:<32} {s['documents']:>10,} {s['kept'] / s['documents']:>8.0%} {s['characters']:>14,}"
        for s in sites
    ]
    for s in sites:
        out += ["", f"{s['domain']}:"]
        if s["reasons"]:
            out.append("  dropped: " + ", ".join(f"{n:,} {reason}" for reason, n in list(s["reasons"].items())[:5]))
        out += [f"  in {c['documents']:,} documents: {c['line']}" for c in s["commonest_lines"][:common]]
        out += [f"  sample: {x['url']}\n    {x['text']}" for x in s["samples"][:1]]
    proposals = [s for s in sites if s["proposed"] and "." in s["domain"]]
    if proposals:
        out += [
            "",
            "# Proposed for a file of steps.site_rules.files. Read before use; an entry replaces the site's shipped rules.",
        ]
        for s in proposals:
            out += [json.dumps(s["domain"]) + ":", "  checked: not yet", "  cut_lines:"]
            out += ["    - " + json.dumps(p, ensure_ascii=False) for p in s["proposed"]]
    return out


def sites(output: str, top: int, common: int, share: float) -> list[dict[str, Any]]:
    """Go through an output twice and report its largest sites, as `report` does. :raises UserError: if there is none."""
    counts = merge_counts(count(t) for t in read_documents(output, columns=COUNT_COLUMNS))
    domains = largest(counts, top)
    looks = merge_looks(look(t, domains) for t in read_documents(output, columns=LOOK_COLUMNS))
    return report(counts, looks, top, common, share)
