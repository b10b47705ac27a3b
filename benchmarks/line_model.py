"""The line model and the engine `lines`, against other extractors in one run: `python benchmarks/line_model.py [--data DIR]`.

Quality by five folds over hosts, as `classifiers/clutter/evaluate.py` describes: what extracts a page is the engine with a model
that has not seen its site, with `title: separate` and `comments: auto`. Word F1 (WCXB's), on Chinese and Japanese pages F1 of
4-character grams; on trafilatura-990, F1 of segments that must and must not be there. Others: trafilatura 2.3 as it comes and
without comments, this project's engines trafilatura, resiliparse and readability, and all lines of the page.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import machine
import numpy as np
import trafilatura

from classifiers.clutter.evaluate import by_kind, cross_validated, kind_quality, line_quality, page_f1
from classifiers.clutter.examples import Example, examples_of, load_pages
from classifiers.clutter.metrics import segments_found
from classifiers.clutter.pages import Segments, load_segments
from classifiers.clutter.train import SEED
from extraction import extract
from extraction.line_model.model import load, sha256

SETS = ("wcxb-dev", "aed-424", "readability-130", "zh-gold", "zh-pages", "annotated regions", "annotated")
SEGMENTS = "trafilatura-990"
LEAST = 5
"""Pages of a language, over all sets, from which its mean is stated."""

BARS = {
    "wcxb-dev all": 0.915,
    "aed-424 all": 0.93,
    "trafilatura-990": 0.935,
    "zh-gold all": 0.92,
    "zh-gold forum": 0.82,
    "zh-pages article": 0.95,
    "zh-pages listing": 0.65,
}
OPTIONS = {
    "shipped: title prepended": {},
    "title separate": {"title": "separate"},
    "comments kept": {"title": "separate", "comments": "keep"},
    "comments cut": {"title": "separate", "comments": "cut"},
    "captions kept": {"title": "separate", "captions": "keep"},
    "captions cut": {"title": "separate", "captions": "cut"},
    "by-lines kept": {"title": "separate", "bylines": "keep"},
    "by-lines cut": {"title": "separate", "bylines": "cut"},
}
PEERS: dict[str, Callable[[str], str]] = {
    "trafilatura": lambda html: trafilatura.extract(html) or "",
    "trafilatura without comments": lambda html: trafilatura.extract(html, include_comments=False) or "",
    "engine trafilatura": lambda html: extract(html, engine="trafilatura").text,
    "resiliparse": lambda html: extract(html, engine="resiliparse").text,
    "readability": lambda html: extract(html, engine="readability").text,
}


def by_language(languages: Sequence[str], values: Sequence[float]) -> dict[str, list[float]]:
    """Mean and number of the pages of each language."""
    groups: dict[str, list[float]] = defaultdict(list)
    for language, value in zip(languages, values, strict=True):
        groups[language].append(value)
    return {k: [round(float(np.mean(v)), 4), len(v)] for k, v in sorted(groups.items()) if len(v) >= LEAST}


def segment_table(pages: Sequence[Segments], texts: Sequence[str]) -> dict[str, Any]:
    """F1 of segments over all pages, and by language with the number of pages."""
    out = {}
    for language in ("all", *sorted({page.language for page in pages})):
        chosen = [i for i, page in enumerate(pages) if language in ("all", page.language)]
        if len(chosen) >= LEAST:
            of = [pages[i] for i in chosen]
            found = segments_found([texts[i] for i in chosen], [p.wanted for p in of], [p.unwanted for p in of])
            out[language] = {"f1": round(found.f1, 4), "pages": len(chosen), **found._asdict()}
    return out


def system_table(examples: Sequence[Example], pages: Sequence[Segments], texts: Sequence[str]) -> dict[str, Any]:
    """What a system's texts are worth: those of the examples, then those of the pages with segments."""
    values = page_f1(examples, texts[: len(examples)])
    return {
        "f1": by_kind(examples, values),
        "languages": by_language([e.page.language for e in examples], values.tolist()),
        "segments": segment_table(pages, texts[len(examples) :]),
        "empty": sum(1 for e, text in zip(examples, texts, strict=False) if e.page.gold and not text),
    }


def value(table: dict[str, float], kind: str) -> float:
    return next(v for name, v in table.items() if name.startswith(f"{kind} ("))


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/ and warc/")
    parser.add_argument(
        "--texts", type=Path, help="write what is kept of each page, by the model that did not see its site, as JSONL"
    )
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    pages = load_pages(arguments.data)
    segments = load_segments(arguments.data)
    everything = examples_of(pages, "dom")
    machine.tell(f"{len(pages)} pages")
    folds = cross_validated(everything, "dom", SEED, machine.tell)
    examples = [e for e in everything if e.page.source in SETS]
    html = [*((e.page.html, e.page.fold) for e in examples), *((page.html, page.fold) for page in segments)]
    texts = folds.texts(html, title="separate")
    if arguments.texts:
        with arguments.texts.open("w", encoding="utf-8") as file:
            for e, text in zip(examples, texts, strict=False):
                row = {"record_id": e.page.record_id, "source": e.page.source, "text": text}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    systems = {"lines": system_table(examples, segments, texts)}
    options = {
        name: {
            source: round(
                float(np.mean([v for e, v in zip(examples, values, strict=True) if e.page.source == source])), 4
            )
            for source in SETS
        }
        for name, chosen in OPTIONS.items()
        for values in [page_f1(examples, folds.texts(html[: len(examples)], **chosen))]
    }
    machine.tell("options")
    for name, system in PEERS.items():
        systems[name] = system_table(examples, segments, [system(page.decode("utf-8", "replace")) for page, _ in html])
        machine.tell(name)
    all_lines = page_f1(examples, ["\n".join(e.texts) for e in examples])
    lines: dict[str, Any] = {}
    scores = folds.scores(examples)
    for language, chinese in (("English", False), ("Chinese", True)):
        chosen = [
            i
            for i, e in enumerate(examples)
            if (e.page.language == ("zh" if chinese else "en")) and e.page.source in SETS[:5]
        ]
        lines[language] = line_quality([examples[i] for i in chosen], [scores[i] for i in chosen])
    f1 = systems["lines"]["f1"]
    measured = {
        name: systems["lines"]["segments"]["all"]["f1"]
        if name == SEGMENTS
        else value(f1[name.rpartition(" ")[0]], name.rpartition(" ")[2])
        for name in BARS
    }
    result = {
        "data": {
            source: {
                "pages": len(of_source),
                "lines": sum(len(e.labels) for e in of_source),
                "hosts": len({e.page.group for e in of_source}),
            }
            for source in dict.fromkeys(e.page.source for e in everything)
            for of_source in [[e for e in everything if e.page.source == source]]
        },
        "systems": systems,
        "all_lines": by_kind(examples, all_lines),
        "options": options,
        "lines": lines,
        "kinds": kind_quality(examples, folds),
        "weights": {"sha256": sha256("dom"), "trees": [len(t.roots) - 1 for t in (load().trees, load().regions)]},
        "versions": {"trafilatura": trafilatura.__version__},
        "bars": {name: {"measured": measured[name], "bar": bar} for name, bar in BARS.items()},
    }
    machine.save("line_model", result)
    for name, bar in BARS.items():
        machine.tell(f"  {'ok  ' if measured[name] >= bar else 'MISS'} {name}: {measured[name]} (bar {bar})")


if __name__ == "__main__":
    main()
