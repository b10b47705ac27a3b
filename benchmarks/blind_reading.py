"""Forty pages read blind: this engine, the engine before regions, and trafilatura, side by side.

`python benchmarks/blind_reading.py` counts the verdicts in `blind_reading.jsonl`. `--prepare OUT --before CHECKOUT` makes
what was read: for 20 Chinese pages of `zh-web` and 20 pages of `en-web`, of sites that nothing was trained on, one page a
site, a file with all lines of the page and the three texts in random order. The reader was a language model that saw these
files and the question alone: what is missing (0 nothing, 1 some, 2 half or more), what is clutter (0 none, 1 some, 2 a third or
more), which text is the best.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import machine
import trafilatura

from classifiers.clutter.examples import GOLD
from classifiers.clutter.pages import annotation_rows, group_of, read_html, read_rows
from extraction import extract
from extraction.domains import registered_domain
from extraction.lines import scan, text_of

VERDICTS = Path(__file__).parent / "blind_reading.jsonl"
SYSTEMS = ("lines", "before", "trafilatura")
"""This engine; that of commit 2ea3b8b; trafilatura 2.3 without comments."""

SEED, PAGES = 20, 20
CHARACTERS = range(600, 20_001)
"""Characters of all lines of a page that is read."""

_BEFORE = """
import json, sys
from pipeline.extraction import extract
json.dump([extract(html, engine="lines").text for html in json.load(sys.stdin)], sys.stdout)
"""


def seen_sites(data: Path) -> set[str]:
    """Sites of pages that something was trained or chosen on."""
    sites = {group_of(row) for name in GOLD for row in read_rows(data / "html" / f"{name}.gold.jsonl.gz").values()}
    for name in ("pages", "regions", "regions_second"):
        for row in annotation_rows(name):
            sites.add(row.get("site") or row.get("package") or registered_domain(row["url"]) or row["url"])
    return sites | {row["site"] for row in read_rows(data / "html" / "zh-blogs.pages.jsonl.gz").values()}


def chosen_pages(data: Path) -> list[tuple[dict[str, Any], bytes, list[str]]]:
    """Rows, HTML and lines of the pages that are read."""
    seen = seen_sites(data)
    chance = random.Random(SEED)
    chosen: list[tuple[dict[str, Any], bytes, list[str]]] = []
    for name in ("zh-web", "en-web"):
        rows = read_rows(data / "html" / f"{name}.pages.jsonl.gz")
        html = dict(read_html(data / "html" / f"{name}.warc.gz"))
        sites: dict[str, list[str]] = defaultdict(list)
        for record_id, row in rows.items():
            site, domain = row.get("site") or registered_domain(row["url"]) or row["url"], registered_domain(row["url"])
            if site not in seen and (domain or "") not in seen:
                sites[site].append(record_id)
        order = sorted(sites)
        chance.shuffle(order)
        of_set = []
        for site in order:
            chance.shuffle(sites[site])
            for record_id in sites[site]:
                page = html.get(record_id)
                lines = [text for _, text, _ in text_of(page, scan(page))] if page else []
                if page and sum(map(len, lines)) in CHARACTERS:
                    of_set.append((rows[record_id], page, lines))
                    break
            if len(of_set) == PAGES:
                break
        chosen += of_set
    return chosen


def prepare(data: Path, out: Path, before: Path) -> None:
    """Write what is read, and `key.json`, which the reader does not see."""
    pages = chosen_pages(data)
    html = [page.decode("utf-8", "replace") for _, page, _ in pages]
    old = subprocess.run(
        [sys.executable, "-c", _BEFORE],
        input=json.dumps(html),
        capture_output=True,
        text=True,
        check=True,
        cwd=before,
        env={**os.environ, "PYTHONPATH": str(before)},
    )
    chance = random.Random(SEED)
    out.mkdir(parents=True, exist_ok=True)
    key = []
    for number, ((row, _, lines), page, text_before) in enumerate(
        zip(pages, html, json.loads(old.stdout), strict=True)
    ):
        texts = {
            "lines": extract(page, engine="lines").text,
            "before": text_before,
            "trafilatura": trafilatura.extract(page, include_comments=False) or "",
        }
        order = list(SYSTEMS)
        chance.shuffle(order)
        key.append({"record_id": row["record_id"], "url": row["url"], "order": order})
        parts = [f"PAGE {number:02d}  {row['url']}", "=== ALL LINES OF THE PAGE ===", *lines]
        parts += [f"\n=== TEXT {letter} ===\n{texts[name]}" for letter, name in zip("ABC", order, strict=True)]
        (out / f"{number:02d}.txt").write_text("\n".join(parts) + "\n", encoding="utf-8")
    (out / "key.json").write_text(json.dumps(key, ensure_ascii=False, indent=1), encoding="utf-8")


def counted(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Pages on which each system is best, alone or with another; how often this engine wins against each other; how much is
    missing and how much is clutter."""
    best: Counter[str] = Counter()
    against: dict[str, Counter[str]] = defaultdict(Counter)
    amounts: dict[str, dict[str, Counter[str]]] = {name: defaultdict(Counter) for name in SYSTEMS}
    for row in rows:
        system = dict(zip("ABC", row["order"], strict=True))
        rank = {system[letter]: place for place, group in enumerate(row["ranking"]) for letter in group}
        best.update(name for name in SYSTEMS if rank[name] == 0)
        for other in SYSTEMS[1:]:
            difference = rank[other] - rank["lines"]
            against[other]["better" if difference > 0 else "worse" if difference < 0 else "equal"] += 1
        for letter, name in system.items():
            for what in ("missing", "clutter"):
                amounts[name][what][("none", "some", "much")[row[letter][what]]] += 1
    return {
        "pages": len(rows),
        "best": {name: best[name] for name in SYSTEMS},
        "lines_against": {name: dict(sorted(counts.items())) for name, counts in against.items()},
        "amounts": {name: {what: dict(sorted(c.items())) for what, c in of.items()} for name, of in amounts.items()},
    }


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/")
    parser.add_argument("--prepare", type=Path, metavar="OUT", help="write what is read into this folder")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="a checkout of commit 2ea3b8b")
    arguments = parser.parse_args()
    if arguments.prepare:
        if not arguments.before:
            parser.error("--prepare needs --before, a checkout of commit 2ea3b8b")
        prepare(arguments.data, arguments.prepare, arguments.before)
        return
    rows = [json.loads(line) for line in VERDICTS.read_text(encoding="utf-8").splitlines()]
    groups = {"all": rows} | {
        name: [row for row in rows if (row["language"] == "zh") == chinese]
        for name, chinese in (("Chinese", True), ("English", False))
    }
    machine.save("blind_reading", {name: counted(of_group) for name, of_group in groups.items()})


if __name__ == "__main__":
    main()
