"""Extraction against its peers: `python benchmarks/engines.py [--data DIR] [--pages N]`.

Quality on WCXB-dev is word F1 (lower-cased word multisets), on zh-gold F1 over multisets of 4-character grams without
white space; both a page, averaged over pages; an empty text for an empty gold text counts 1. All systems see the same
decoded pages, one page after the other, the systems taking turns. Times are CPU milliseconds in this process, with
decoding left out for all; this project's include cutting scripts, title and signals, and lines with tags and link
shares.

Bars: `full` 0.01 above trafilatura's default in word F1 at 0.85 of its speed or more; `fast` not below it at 1.2
times its speed or more; 0.88 on the Chinese articles of zh-gold.

The constants of the trafilatura engine are chosen again in each of 5 folds over hosts (registered domain; CWCE pages
by `link_host` or `split_key`), with 5 seeds: `cross_validated` is the mean F1 on the pages that the choice did not
see.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lxml.html
import machine
import numpy as np
import numpy.typing as npt
import readability
import trafilatura
from fastwarc.warc import ArchiveIterator, WarcRecordType
from gold import rows
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from extraction import extract
from extraction.decode import decode
from extraction.domains import registered_domain
from extraction.engines import Page
from extraction.engines import trafilatura as engine
from extraction.engines.resiliparse import all_text, main_content
from extraction.prepare import prepare
from extraction.result import Line
from extraction.sandbox import Sandbox
from extraction.work import Job, extract_bytes

Floats = npt.NDArray[np.float64]
Score = Callable[[str, str], float]

_WORD = re.compile(r"\w+")
PACKAGES = ("trafilatura", "lxml", "resiliparse", "readability-lxml")
FOLDS = 5
SEEDS = 5
RESCUE_BELOW = (0, 1000, 1500, 2000, 3000, 4000, 6000)
RESCUE_RATIO = (1.2, 1.5, 2.0, 3.0)
READABILITY_MIN = (0, 50, 100, 150, 200, 300)
FAST_SHARE = (0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 2.0)
FAST_LOSS = 0.01
"""Loss of `fast` against `full` allowed on the training folds: among shares within it, the smallest (fastest) is
chosen."""


@dataclass(frozen=True)
class GoldPage:
    body: bytes
    declared: str | None
    html: str
    gold: str
    page_type: str
    group: str


def load(data: Path, name: str, limit: int | None) -> list[GoldPage]:
    gold = {row["record_id"]: row for row in rows(data / "html" / f"{name}.gold.jsonl.gz")}
    pages = []
    with (data / "html" / f"{name}.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            row = gold[record.headers["WARC-Record-ID"]]
            body = record.reader.read()
            if record.http_headers is None:  # a URI that is not http: the header is still there
                body = body.partition(b"\r\n\r\n")[2]
            declared = record.http_charset if record.http_headers is not None else None
            pages.append(
                GoldPage(
                    body, declared, decode(body, declared).text, row["main_content"], row["page_type"], group_of(row)
                )
            )
    step = 1 if limit is None else max(1, len(pages) // limit)
    return pages[::step]


def group_of(row: dict[str, Any]) -> str:
    """Group that folds must not split: the site."""
    if row["source"] == "cwce":
        return str(row.get("link_host") or row.get("split_key"))
    return registered_domain(row["url"]) or row["url"]


def multiset_f1(predicted: Iterable[str], gold: Iterable[str]) -> float:
    a, b = Counter(predicted), Counter(gold)
    if not a and not b:
        return 1.0
    return 2 * (a & b).total() / (a.total() + b.total())


def word_f1(predicted: str, gold: str) -> float:
    return multiset_f1(_WORD.findall(predicted.lower()), _WORD.findall(gold.lower()))


def gram_f1(predicted: str, gold: str) -> float:
    a, b = ("".join(text.split()) for text in (predicted, gold))
    return multiset_f1(*([text[i : i + 4] for i in range(len(text) - 3)] for text in (a, b)))


def readability_lxml(html: str) -> str:
    try:
        return str(lxml.html.fromstring(readability.Document(html).summary()).text_content())
    except Exception:  # it raises on pages without a body
        return ""


SYSTEMS: dict[str, Callable[[str], str | None]] = {
    "full": lambda html: extract(html, engine="trafilatura", profile="full").text,
    "fast": lambda html: extract(html, engine="trafilatura", profile="fast").text,
    "trafilatura default": trafilatura.extract,
    "datatrove's settings": lambda html: trafilatura.extract(
        html, favor_precision=True, include_comments=False, deduplicate=True
    ),
    "readability-lxml": readability_lxml,
    "resiliparse main content": lambda html: extract_plain_text(
        html, preserve_formatting=True, main_content=True, alt_texts=False, list_bullets=False
    ),
}


def compare(pages: Sequence[GoldPage], score: Score) -> dict[str, Any]:
    scores = {name: np.zeros(len(pages)) for name in SYSTEMS}
    seconds = {name: np.zeros(len(pages)) for name in SYSTEMS}
    for system in SYSTEMS.values():  # imports, stop lists, compiled patterns
        system(pages[0].html)
    names = list(SYSTEMS)
    for i, page in enumerate(pages):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            start = time.process_time()
            text = SYSTEMS[name](page.html) or ""
            seconds[name][i] = time.process_time() - start
            scores[name][i] = score(text, page.gold)
    types = np.array([p.page_type for p in pages])
    base = seconds["trafilatura default"].sum()
    out = {}
    for name in SYSTEMS:
        p50, p95, p99 = np.percentile(seconds[name] * 1000, (50, 95, 99))
        out[name] = {
            "f1": round(float(scores[name].mean()), 4),
            "f1_by_type": {t: round(float(scores[name][types == t].mean()), 3) for t in dict.fromkeys(types.tolist())},
            "pages_per_cpu_s": round(len(pages) / float(seconds[name].sum()), 1),
            "speed_to_default": round(float(base / seconds[name].sum()), 2),
            "ms_p50": round(float(p50), 1),
            "ms_p95": round(float(p95), 1),
            "ms_p99": round(float(p99), 1),
        }
    return out


@dataclass(frozen=True)
class Parts:
    """Candidates of the engine, for all pages: F1 and size (characters) of each."""

    f1: dict[str, Floats]
    size: dict[str, Floats]
    chinese: npt.NDArray[np.bool_]
    preformatted: npt.NDArray[np.bool_]
    groups: list[str]


def parts_of(pages: Sequence[GoldPage], score: Score) -> Parts:
    f1: dict[str, list[float]] = {name: [] for name in ("quick", "rules", "readability")}
    size: dict[str, list[int]] = {name: [] for name in ("quick", "rules", "readability", "all")}
    chinese, preformatted = [], []
    for gold in pages:
        page = Page(gold.html, prepare(gold.html))
        tree = HTMLTree.parse(page.prepared.html)
        text = all_text(tree)
        chinese.append(engine.is_chinese(text))
        preformatted.append("<pre" in page.prepared.html)
        size["all"].append(characters([Line(text, "p")]))
        candidates = {
            "quick": main_content(tree),
            "rules": engine.rule_lines(page),
            "readability": engine.readability_lines(page),
        }
        for name, lines in candidates.items():
            f1[name].append(score("\n".join(line.text for line in lines), gold.gold))
            size[name].append(characters(lines))
    return Parts(
        {name: np.array(values) for name, values in f1.items()},
        {name: np.array(values, dtype=np.float64) for name, values in size.items()},
        np.array(chinese),
        np.array(preformatted),
        [p.group for p in pages],
    )


def characters(lines: Iterable[Line]) -> int:
    return sum(len("".join(line.text.split())) for line in lines)


def full_scores(parts: Parts, below: float, ratio: float, readability_min: float) -> Floats:
    """F1 of each page by the engine's choice (text carried as data aside)."""
    rules, quick = parts.size["rules"], parts.size["quick"]
    chosen = np.where((rules < below) & (quick > ratio * rules), parts.f1["quick"], parts.f1["rules"])
    use = parts.chinese & (parts.size["readability"] >= readability_min)
    return np.where(use, parts.f1["readability"], chosen)


def fast_scores(parts: Parts, share: float, full: Floats) -> Floats:
    enough = ~parts.chinese & ~parts.preformatted & (parts.size["quick"] >= share * parts.size["all"])
    return np.where(enough, parts.f1["quick"], full)


def folds(parts: Parts, seed: int) -> npt.NDArray[np.int64]:
    return np.array([int(hashlib.md5(f"{seed} {g}".encode()).hexdigest(), 16) % FOLDS for g in parts.groups])


def cross_validate(english: Parts, chinese: Parts, articles: npt.NDArray[np.bool_]) -> dict[str, Any]:
    rescues = {key: full_scores(english, *key, 0) for key in itertools.product(RESCUE_BELOW, RESCUE_RATIO)}
    shares = {
        key: {share: fast_scores(english, share, scores) for share in FAST_SHARE} for key, scores in rescues.items()
    }
    readers = {m: full_scores(chinese, engine.RESCUE_BELOW, engine.RESCUE_RATIO, m) for m in READABILITY_MIN}
    full, fast, zh, zh_articles = [], [], [], []
    chosen: Counter[str] = Counter()
    for seed in range(SEEDS):
        fold, zh_fold = folds(english, seed), folds(chinese, seed)
        full_out, fast_out, zh_out = np.zeros(len(fold)), np.zeros(len(fold)), np.zeros(len(zh_fold))
        for k in range(FOLDS):
            train = fold != k
            key = max(rescues, key=lambda c: float(rescues[c][train].mean()))
            floor = rescues[key][train].mean() - FAST_LOSS
            share = min(s for s in FAST_SHARE if shares[key][s][train].mean() >= floor)
            reader = max(readers, key=lambda m: float(readers[m][zh_fold != k].mean()))
            full_out[~train], fast_out[~train] = rescues[key][~train], shares[key][share][~train]
            zh_out[zh_fold == k] = readers[reader][zh_fold == k]
            chosen.update([f"rescue_below {key[0]}", f"rescue_ratio {key[1]}", f"fast_share {share}"])
            chosen.update([f"readability_min {reader}"])
        full.append(full_out.mean())
        fast.append(fast_out.mean())
        zh.append(zh_out.mean())
        zh_articles.append(zh_out[articles].mean())
    shipped = full_scores(english, engine.RESCUE_BELOW, engine.RESCUE_RATIO, 0)
    constants = full_scores(chinese, engine.RESCUE_BELOW, engine.RESCUE_RATIO, engine.READABILITY_MIN)
    return {
        "wcxb_full": {"cross_validated": mean(full), "shipped_constants": mean(shipped)},
        "wcxb_fast": {
            "cross_validated": mean(fast),
            "shipped_constants": mean(fast_scores(english, engine.FAST_SHARE, shipped)),
        },
        "zh_all": {"cross_validated": mean(zh), "shipped_constants": mean(constants)},
        "zh_articles": {"cross_validated": mean(zh_articles), "shipped_constants": mean(constants[articles])},
        "chosen_in_folds": dict(sorted(chosen.items())),
    }


def mean(values: Any) -> float:
    return round(float(np.mean(values)), 4)


def sandbox_cost(pages: Sequence[GoldPage]) -> dict[str, float]:
    """CPU milliseconds a page: decoding, and what the child process adds to extraction in this one."""
    job = Job(engine="resiliparse")  # the cheapest: the difference shows best
    start = time.process_time()
    for page in pages:
        decode(page.body, page.declared)
    decoding = time.process_time() - start
    sandbox = Sandbox(job, deadline_seconds=10, memory_mb=2048, recycle_pages=1_000_000)
    sandbox.extract(pages[0].body)
    costs = []
    for _ in range(3):
        child, start = sandbox.cpu_seconds, time.process_time()
        for page in pages:
            sandbox.extract(page.body, page.declared)
        outside = time.process_time() - start + sandbox.cpu_seconds - child
        start = time.process_time()
        for page in pages:
            extract_bytes(page.body, page.declared, None, job)
        costs.append(outside - (time.process_time() - start))
    sandbox.close()
    n = len(pages) / 1000
    return {"decode_ms": round(decoding / n, 2), "sandbox_overhead_ms": round(sorted(costs)[1] / n, 2)}


def show(title: str, table: dict[str, Any]) -> None:
    print(f"\n{title}")
    for name, row in table.items():
        kinds = " ".join(f"{k} {v:.3f}" for k, v in row["f1_by_type"].items())
        print(
            f"  {name:26} F1 {row['f1']:.4f}  {row['pages_per_cpu_s']:6.1f} pages/s  x{row['speed_to_default']:5.2f}"
            f"  p50 {row['ms_p50']:.1f} p95 {row['ms_p95']:.1f} p99 {row['ms_p99']:.1f} ms  {kinds}"
        )


def main() -> int:
    parser = machine.parser(__doc__, data="folder with html/*.warc.gz")
    parser.add_argument("--pages", type=int, help="about so many pages of each set, for a quick look; saves nothing")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    try:
        wcxb = load(arguments.data, "wcxb-dev", arguments.pages)
        chinese = load(arguments.data, "zh-gold", arguments.pages)
    except FileNotFoundError as error:
        print(f"error: {error.filename} not found; --data names the folder that holds html/", file=sys.stderr)
        return 2
    tables = {"wcxb-dev": compare(wcxb, word_f1), "zh-gold": compare(chinese, gram_f1)}
    for name, table in tables.items():
        show(name, table)
    articles = np.array([p.page_type == "article" for p in chinese])
    tuning = cross_validate(parts_of(wcxb, word_f1), parts_of(chinese, gram_f1), articles)
    for name, row in tuning.items():
        print(f"  {name}: {row}")
    ours, default = tables["wcxb-dev"], tables["wcxb-dev"]["trafilatura default"]
    bars = {
        "full_f1_gain": (round(ours["full"]["f1"] - default["f1"], 4), 0.01),
        "full_f1_gain_cross_validated": (round(tuning["wcxb_full"]["cross_validated"] - default["f1"], 4), 0.01),
        "full_speed": (ours["full"]["speed_to_default"], 0.85),
        "fast_f1_gain": (round(ours["fast"]["f1"] - default["f1"], 4), 0.0),
        "fast_f1_gain_cross_validated": (round(tuning["wcxb_fast"]["cross_validated"] - default["f1"], 4), 0.0),
        "fast_speed": (ours["fast"]["speed_to_default"], 1.2),
        "chinese_articles_f1": (tables["zh-gold"]["full"]["f1_by_type"]["article"], 0.88),
        "chinese_articles_f1_cross_validated": (tuning["zh_articles"]["cross_validated"], 0.88),
    }
    for name, (measured, bar) in bars.items():
        print(f"  {'ok  ' if measured >= bar else 'MISS'} {name}: {measured} (bar {bar})")
    costs = sandbox_cost(wcxb[:: max(1, len(wcxb) // 200)] + chinese)
    print(f"  {costs}")
    if arguments.pages is None:
        machine.save(
            "extraction",
            {
                "versions": {name: version(name) for name in PACKAGES},
                "data": f"wcxb-dev ({len(wcxb)} pages), zh-gold ({len(chinese)} pages)",
                "tables": tables,
                "tuning": tuning,
                "bars": {name: {"measured": m, "bar": b} for name, (m, b) in bars.items()},
                "costs": costs,
            },
        )
    return 0 if all(measured >= bar for measured, bar in bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
