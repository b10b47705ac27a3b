"""Cost of a snapshot of many pages: the table in docs/cluster.md, from the committed measurements.

    python scripts/sizing.py                    write the table for 3,000,000,000 pages
    python scripts/sizing.py --pages 100000000  print it for another number of pages

An extrapolation: CPU times of `benchmarks/results/*.json` (one machine of two cores) and the estimates of the comparisons
(`Step.cost`) multiplied by pages. Pages that each step gets follow from the shares that stage 1 kept in the benchmark
end_to_end and that stages 2 and 3 kept of the sample (tests/golden/sample_counts.json).
`make golden` writes it too; `tests/contracts/test_generated.py` holds the page to it.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import load
from pipeline.model_based.scoring import Asking
from pipeline.model_based.semantic_dedup import SemanticDedup
from pipeline.steps import CrossDocumentStep

ROOT = Path(__file__).resolve().parents[1]
PAGE = "docs/cluster.md"
PAGES = 3_000_000_000
MARK = re.compile(r"(<!-- sizing -->\n).*?(<!-- /sizing -->)", re.DOTALL)
BYTES_A_TOKEN_ID = 4
BYTES_A_CHARACTER = 1.0
"""Upper bound of a published row: 300 million characters are 100-300 MB (`output.file_characters`)."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    stage: str
    what: str
    pages: int
    core_hours: float
    shuffle_bytes: float
    disk_bytes: float
    source: str


@functools.cache
def result(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return data


@functools.cache
def shares() -> dict[str, float]:
    """The share of all pages read that each step gets, by `stage.step`, and `stage.kept`."""
    out: dict[str, float] = {}
    first = 0
    for line in result("end_to_end")["funnel"]:  # "  record_filter     2,996  2,576 ..."
        step_counts = re.match(r"  (\w+) +([\d,]+) +([\d,]+) +[\d,]+ ", line)
        if line.startswith("rule_based"):
            break
        if step_counts:
            came, kept = int(step_counts[2].replace(",", "")), int(step_counts[3].replace(",", ""))
            first = first or came
            out[f"preparation.{step_counts[1]}"] = came / first
            out["preparation.kept"] = kept / first
    sample = json.loads((ROOT / "tests" / "golden" / "sample_counts.json").read_text(encoding="utf-8"))
    share = out["preparation.kept"]
    for stage in ("rule_based", "model_based", "tokenization"):
        for step, counts in sample[stage]["steps"].items():
            out[f"{stage}.{step}"] = share * counts["in"] / sample[stage]["in"]
        share *= sample[stage]["kept"] / sample[stage]["in"]
        out[f"{stage}.kept"] = share
    return out


def mean_characters() -> float:
    """Characters of a page that stage 1 kept, in the benchmark end_to_end."""
    line = next(x for x in result("end_to_end")["funnel"] if x.startswith("  exact_dedup"))
    _, _, kept, _, characters = line.split()[:5]
    return int(characters.replace(",", "")) / int(kept.replace(",", ""))


def tokens_a_page() -> float:
    encode = result("tokenization")["encode"].values()
    return float(sum(e["tokens"] for e in encode) / sum(e["pages"] for e in encode))


def rows(pages: int) -> list[Row]:
    """The table's lines for so many pages read, in the order of the steps."""
    share, characters = shares(), mean_characters()
    steps = {
        f"{stage}.{step.step}": step
        for stage in ("preparation", "rule_based", "model_based")
        for step in load(ROOT / "configs" / f"{stage}.yaml").steps
    }
    out: list[Row] = []

    def at(where: str) -> int:
        return round(pages * share[where])

    def simple(where: str, seconds: float, source: str, what: str = "", disk: float = 0) -> None:
        stage, _, step = where.partition(".")
        out.append(Row(stage, what or f"`{step}`", at(where), at(where) * seconds / 3600, 0, at(where) * disk, source))

    def comparison(where: str) -> None:
        stage, _, name = where.partition(".")
        step = steps[where]
        assert isinstance(step, CrossDocumentStep)
        cost = step.cost(at(where), round(at(where) * characters))
        hours = cost.cpu_seconds / 3600
        out.append(Row(stage, f"`{name}`", at(where), hours, cost.shuffle_bytes, cost.disk_bytes, "its estimate"))

    def table_of(where: str) -> None:
        """Reading and writing rows, publishing, start of Spark: what is in no step of the largest chain that was run."""
        run = result("growth")["runs"][-1]["stages"][where.partition(".")[0]]
        seconds = sum(run["cpu_seconds"][name] for name in ("rows", "publish", "other")) / run["rows_in"]
        source, disk = "growth: all that is in no step", 2 * BYTES_A_CHARACTER * characters
        simple(where, seconds, source, "(rows: read, chunks, publish)", disk)

    ways = result("readers")["ways"]
    twice = 1 / ways["read_records"]["pages_per_cpu_second"] + 1 / ways["read_records, second"]["pages_per_cpu_second"]
    simple("preparation.read", twice, "readers", "(crawl files, read twice)")
    simple("preparation.url_filter", 1 / result("url_filter")["default_filter"]["urls_per_s"], "url_filter")
    comparison("preparation.record_dedup")
    comparison("preparation.raw_dedup")
    of_pages = result("line_speed")["sets"]["WCXB-dev and zh-gold"]["lines"]
    simple("preparation.extract_text", 1 / of_pages["pages_per_cpu_s"], "line_speed")
    shown = result("language")["shown"]["the step"]
    simple("preparation.language", 1 / shown["docs_per_s"], "language")
    comparison("preparation.exact_dedup")
    table_of("preparation.read")

    comparison("rule_based.line_dedup")
    speed = result("rules")["speed"].values()
    rule_seconds = sum(1 / s["documents_per_cpu_second"] for s in speed) / len(speed)
    simple(
        "rule_based.site_rules", rule_seconds, "rules: half English, half Chinese", "all rules, `pii`, `pii_density`"
    )
    comparison("rule_based.pii_domains")
    comparison("rule_based.fuzzy_dedup")
    test_sets = result("decontamination")["languages"].values()
    seconds = sum(1 / s["decontaminate_documents_per_cpu_second"] for s in test_sets) / len(test_sets)
    simple("rule_based.decontaminate", seconds, "decontamination: its test sets")
    table_of("rule_based.line_dedup")

    for where, step in steps.items():
        if isinstance(step, Asking):
            simple(where, 1 / result(step.classifier)["speed"]["documents_per_cpu_s"], step.classifier)
        elif where.startswith("model_based.") and isinstance(step, CrossDocumentStep):
            comparison(where)
    table_of("model_based.safety")

    encode = result("tokenization")["encode"].values()
    seconds = sum(e["tokens"] / e["tokens_per_cpu_second"] for e in encode) / sum(e["pages"] for e in encode)
    simple("tokenization.tokenize", seconds, "tokenization: its mean page")
    written = result("tokenization")["shards"]["shard (zstd 3, plain ids, page v1)"]
    tokens = at("tokenization.shards") * tokens_a_page()
    hours = tokens / (written["write_mtok_per_cpu_second"] * 1e6) / 3600
    shuffled, stored = tokens * BYTES_A_TOKEN_ID, tokens * written["bytes_per_token"]
    source = "tokenization; as many tokens as counted"
    out.append(Row("tokenization", "`shards`", at("tokenization.shards"), hours, shuffled, stored, source))
    return out


def semantic_core_hours(pages: int, sample: int) -> float:
    """Core-hours of semantic deduplication, were `sample` another."""
    n = round(pages * shares()["model_based.semantic_dedup"])
    return SemanticDedup(sample=sample).cost(n, round(n * mean_characters())).cpu_seconds / 3600


def size(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:,.0f} {unit}" if n else "-"
        n /= 1000
    return f"{n:,.1f} TB" if n < 100 else f"{n:,.0f} TB"


def text(pages: int) -> str:
    """The table and what it rests on."""
    made = rows(pages)
    lines = [
        "| stage | step | pages in, millions | core-hours | shuffle | disk | measured by |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for stage in dict.fromkeys(r.stage for r in made):
        of_stage = [r for r in made if r.stage == stage]
        lines += [
            f"| {r.stage} | {r.what} | {r.pages / 1e6:,.0f} | {r.core_hours:,.0f} | {size(r.shuffle_bytes)} | "
            f"{size(r.disk_bytes)} | {r.source} |"
            for r in of_stage
        ]
        lines.append(_sum(f"**{stage}**", of_stage))
    lines.append(_sum("**all**", made))
    lines += ["", *_assumptions(pages, made)]
    return "\n".join(lines)


def _assumptions(pages: int, made: Sequence[Row]) -> list[str]:
    share, ways = shares(), result("readers")
    kept = [share["preparation.kept"], share["rule_based.kept"], share["model_based.kept"]]
    second, third = kept[1] / kept[0], kept[2] / kept[1]
    compressed = pages * ways["file_megabytes"] * 1e6 / ways["ways"]["read_records"]["pages"]
    hours = sum(r.core_hours for r in made)
    as_a_whole = result("line_spark")["lines"]
    whole = pages * share["preparation.extract_text"] / as_a_whole["pages_per_s"] / 3600
    alone = next(r.core_hours for r in made if r.what == "`extract_text`")
    documents = result("fuzzy_dedup")["runs"][-1]["documents"]
    counted = result("line_dedup")["runs"][-1]["rows"]
    points = [
        f"**Pages kept**, assumed: {kept[0]:.0%} by stage 1 (benchmark end_to_end, whose pages are nearly all English or "
        "Chinese; a crawl of all languages loses far more at `language`, and what follows shrinks by as much), "
        f"{second:.0%} of these by stage 2 and {third:.0%} of those by stage 3 (the sample, with the demo's tight bounds).",
        f"**A page** that stage 1 keeps has {mean_characters():,.0f} characters (end_to_end) and {tokens_a_page():,.0f} "
        f"tokens (tokenization). The crawl files have {size(compressed)} at {compressed / pages / 1000:.1f} kB a page "
        "(readers) and are not in the column *disk*. Rows take a byte a character at most, twice: chunks, then what is "
        "published.",
        f"{hours:,.0f} core-hours are {hours / 1000:,.1f} hours of 1,000 cores that are never idle.",
        "**Take it for a lower bound.** Times are of steps by themselves. Not in it: Spark's start and plans, waiting for "
        "disks, stores and networks, uneven tasks, work lost to dead machines. The one stage that was timed as a whole on "
        "one core (line_spark: read, `record_filter`, `extract_text`, publish) took "
        f"{as_a_whole['pages_per_s']:,.0f} pages a second: {whole:,.0f} core-hours for the pages that `extract_text` gets, "
        f"where that step alone is {alone:,.0f}.",
        f"The comparisons were measured up to {documents:,} documents (fuzzy and semantic deduplication) and {counted:,} "
        "lines (line deduplication), not beyond.",
        f"`semantic_dedup` has its shipped `sample` here; with `sample: 1000000` it would be "
        f"{semantic_core_hours(pages, 1_000_000):,.0f} core-hours, k-means on the driver aside. `decontaminate` does nothing "
        "without test sets; its time is that of the benchmark's.",
    ]
    return [textwrap.fill(t, 130, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False) for t in points]


def _sum(name: str, made: Sequence[Row]) -> str:
    shuffle, disk = sum(r.shuffle_bytes for r in made), sum(r.disk_bytes for r in made)
    return f"| {name} | | | **{sum(r.core_hours for r in made):,.0f}** | **{size(shuffle)}** | **{size(disk)}** | |"


def pages() -> dict[str, str]:
    """All that this script writes: path in the repository to text."""
    shares.cache_clear()
    page, n = MARK.subn(lambda m: m[1] + "\n" + text(PAGES) + "\n\n" + m[2], (ROOT / PAGE).read_text(encoding="utf-8"))
    if n != 1:
        raise ValueError(f"{PAGE}: expected one place <!-- sizing --> ... <!-- /sizing -->, found {n}")
    return {PAGE: page}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python scripts/sizing.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--pages", type=int, help="print the table for so many pages and write nothing")
    arguments = parser.parse_args(argv)
    if arguments.pages is not None:
        print(text(arguments.pages))
        return 0
    for path, page in pages().items():
        (ROOT / path).write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
