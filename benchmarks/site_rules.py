"""Rules for one site each: what they take from the sites' pages, and from gold text.

    python benchmarks/site_rules.py [--data DIR]

The gold main texts of the sites go through the rules as pages do, with their URLs: what a rule cuts there is a loss. On the pages
as extracted, what is cut and does not stand in the gold text is what the rules are for.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import machine
from gold import page_texts

from extraction import extract
from extraction.domains import host_of
from extraction.prepare import TooLarge
from pipeline.readers.inputs import InputOptions, read_records
from pipeline.removal import suffixes
from pipeline.rule_based.site_rules import SiteRulesStep, shipped_rules
from pipeline.schema import Document, Drop


def _text(html: bytes, url: str | None, charset: str | None) -> str:
    try:
        return extract(html, url=url, charset=charset).text or ""
    except TooLarge:
        return ""


def main() -> None:
    parser = machine.parser(__doc__, data="folder of pages", default=machine.data_or_sample("html"))
    arguments = parser.parse_args()
    data = arguments.data
    rules, gold, step = shipped_rules(), {row["url"]: text for row, text in page_texts(data)}, SiteRulesStep()
    step.load()
    totals: Counter[str] = Counter()
    sites: dict[str, Counter[str]] = {}
    lost: list[dict[str, Any]] = []
    for path in sorted(data.rglob("*.warc.gz")):
        for record in read_records(str(path), InputOptions(), skipped=Counter()):
            host = host_of(record.doc.url or "")
            site = next((s for s in suffixes(host) if s in rules), None) if host else None
            if site is None or record.doc.html is None or record.doc.url not in gold:
                continue
            count = sites.setdefault(site, Counter())
            of_gold = gold[record.doc.url]
            text = _text(record.doc.html, record.doc.url, record.doc.declared_charset)
            page = Document(doc_id="0" * 32, source_file="", url=record.doc.url, text=text)
            count["pages"] += 1
            count["gold_characters"] += len(of_gold)
            after_gold = step(page.evolve(text=of_gold))
            after = step(page)
            if isinstance(after, Drop):
                count["pages_dropped"] += 1
                if after.reason != "no_text_left":
                    lost.append({"url": page.url, "dropped": after.value})
                continue
            if isinstance(after_gold, Document):
                for line in after_gold.removed_lines or ():
                    count["gold_characters_cut"] += len(line["text"])
                    lost.append({"url": page.url, "cut": line["text"][:80]})
            for line in after.removed_lines or ():
                inside = line["text"].strip() in of_gold
                count["cut_in_gold" if inside else "cut_clutter"] += len(line["text"])
            count["characters"] += len(page.text or "")
    for count in sites.values():
        totals.update(count)
    other = [
        Document(doc_id="0" * 32, source_file="", url=f"https://www.site{i}.example/a/b", text="x")
        for i in range(50_000)
    ]
    seconds, _ = machine.fastest(step.process, other, passes=1)
    machine.save(
        "site_rules",
        {
            "sites": len(rules),
            "sites_with_gold_pages": len(sites),
            "totals": dict(totals),
            "by_site": {k: dict(v) for k, v in sorted(sites.items())},
            "gold_lines_cut_and_pages_dropped": lost,
            "documents_per_cpu_second_without_rules": round(len(other) / seconds),
        },
    )


if __name__ == "__main__":
    main()
