"""Chinese in two scripts: what is told, and mirrors in the other script: `python benchmarks/chinese.py [--data DIR]`.

Pages are the Chinese gold and silver texts of `DIR/html` (zh-gold, zh-pages, zh-blogs), 200 characters or more, each text once.
OpenCC makes mirrors of them, with phrases: s2t, s2tw (Taiwan), s2twp (with Taiwan's words), s2hk (Hong Kong); a page that is
traditional itself is left out.

- Script: how many texts, and their first 20 characters, are told as what they are; how many lines in Han characters alone of
  Japanese pages are taken for Chinese, and for which script.
- Mirrors: how many would be dropped as duplicates of their page by each step, with `unify_scripts` and without. For
  line_dedup: share of the lines looked at that have the key of the page's line.
- False pairs: near-duplicates among all pages, and equal lines among all lines, that exist with the option alone.
- Cost: CPU time of 100 pages with the option, without it 1; the fastest of seven passes each, by turns.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gold
import machine
import numpy as np
from opencc import OpenCC

from classifiers.clutter.pages import annotation_rows, read_html
from extraction import extract
from extraction.chinese import telling
from extraction.text import identity_form, lines
from pipeline.model_based.embedding import CorpusEmbedder, document_frequencies, weights_of
from pipeline.model_based.semantic_dedup import SemanticDedup
from pipeline.preparation.exact_dedup import ExactDedup
from pipeline.preparation.language import Language
from pipeline.rule_based.fuzzy_dedup import FuzzyDedup
from pipeline.rule_based.line_dedup import LineDedup
from pipeline.rule_based.minhash import jaccard
from pipeline.schema import Document, Drop

SETS = (
    ("zh-gold.gold.jsonl.gz", "main_content"),
    ("zh-pages.gold.jsonl.gz", "main_content"),
    ("zh-blogs.pages.jsonl.gz", "container_text"),
)
MIRRORS = ("s2t", "s2tw", "s2twp", "s2hk")
SHORT = 20
TIMED, PASSES = 100, 7
_HAN_ALONE = re.compile("[\u3400-\u9fff]{4,}")


def pages(data: Path) -> list[str]:
    """Simplified texts, each once."""
    texts = [row[field].strip() for file, field in SETS for row in gold.rows(data / "html" / file)]
    return [t for t in dict.fromkeys(texts) if len(t) >= 200 and telling(t).script == "Hans"]


def japanese_lines(data: Path) -> list[str]:
    """Lines in Han characters alone of pages whose language was annotated as Japanese."""
    wanted = {row["record_id"]: row for row in annotation_rows("regions") if row["language"] == "ja"}
    found = []
    for source in sorted({row["source"] for row in wanted.values() if row["package"] is None}):
        for record_id, html in read_html(data / source):
            if record_id in wanted:
                page = extract(html)
                found += [page.title or "", *page.text.split("\n"), *(line["text"] for line in page.cut_lines)]
    return sorted({line for line in found if _HAN_ALONE.fullmatch(line)})


def known(texts: list[str]) -> list[Document]:
    """What the language step finds of texts."""
    docs = [Document(doc_id="0" * 32, source_file="-", text=text) for text in texts]
    return [v.document or d if isinstance(v, Drop) else v for v, d in zip(Language().process(docs), docs, strict=True)]


def told(texts: list[str]) -> dict[str, int]:
    """How many texts are Chinese in each script, Chinese in none, in another language."""
    counts = Counter((d.script or "not told") if d.language == "zh" else "not Chinese" for d in known(texts))
    return {name: counts[name] for name in ("Hans", "Hant", "not told", "not Chinese")}


def digests(unify: bool, texts: list[str]) -> list[str | None]:
    step = ExactDedup(unify_scripts=unify)
    return [step.prepare(Document(doc_id="0" * 32, source_file="-", text=t)).text_digest for t in texts]


def line_keys(unify: bool, texts: list[str]) -> list[list[str]]:
    step = LineDedup(unify_scripts=unify)
    return [[form for _, form in step.candidates(text)] for text in texts]


def similarities(unify: bool, texts: list[str], others: list[str]) -> Any:
    """Jaccard similarity of each text with the other of its number."""
    flat, offsets, _ = FuzzyDedup(unify_scripts=unify).hasher().shingles([*texts, *others])
    n = len(texts)
    return jaccard(flat, offsets, np.arange(n), np.arange(n, 2 * n))


def cosines(unify: bool, texts: list[str], others: list[str]) -> Any:
    """Cosine of each text with the other of its number; words weigh as they do among all of them."""
    step = SemanticDedup(unify_scripts=unify)
    read = step.read([*texts, *others])
    words, documents = document_frequencies(read)
    vectors = CorpusEmbedder(weights_of(words, documents, len(read)), step.dimensions).embed(read).astype(np.float64)
    one, two = vectors[: len(texts)], vectors[len(texts) :]
    return (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)


def mirrors_found(unify: bool, texts: list[str], others: list[str]) -> dict[str, float]:
    of_lines = list(zip(line_keys(unify, texts), line_keys(unify, others), strict=True))
    equal = sum(a == b for one, two in of_lines for a, b in zip(one, two, strict=False))
    return {
        "exact_dedup": sum(a == b for a, b in zip(digests(unify, texts), digests(unify, others), strict=True)),
        "fuzzy_dedup": int((similarities(unify, texts, others) >= FuzzyDedup().threshold).sum()),
        "semantic_dedup": int((cosines(unify, texts, others) >= SemanticDedup().bound).sum()),
        "line_dedup": round(equal / sum(len(one) for one, _ in of_lines), 4),
    }


def near_pairs(unify: bool, texts: list[str]) -> set[tuple[int, int]]:
    """All pairs that fuzzy_dedup would take for near-duplicates: candidates by bands, compared exactly."""
    step = FuzzyDedup(unify_scripts=unify)
    hasher = step.hasher()
    flat, offsets, n_tokens = hasher.shingles(texts)
    used = np.flatnonzero(n_tokens >= step.min_tokens)
    keys = hasher.band_keys(hasher.signatures(flat, offsets))
    buckets: dict[tuple[int, int], list[int]] = {}
    for i in used.tolist():
        for band, key in enumerate(keys[i].tolist()):
            buckets.setdefault((band, key), []).append(i)
    pairs = sorted({(a, b) for members in buckets.values() for k, b in enumerate(members) for a in members[:k]})
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    alike = jaccard(flat, offsets, left, right) >= step.threshold
    return {pair for pair, is_alike in zip(pairs, alike, strict=True) if is_alike}


def equal_lines(texts: list[str]) -> list[list[str]]:
    """Different lines of the pages that are one with the option alone."""
    forms: dict[str, dict[str, str]] = {}
    for line in {line for text in texts for line in lines(text)}:
        forms.setdefault(identity_form(line, unify_scripts=True), {}).setdefault(identity_form(line), line)
    return sorted(sorted(different.values()) for different in forms.values() if len(different) > 1)


def costs(texts: list[str]) -> dict[str, float]:
    """CPU time of what each step does to a text, with the option; without it 1."""
    hashers = {unify: FuzzyDedup(unify_scripts=unify).hasher() for unify in (False, True)}

    def fuzzy(unify: bool) -> None:
        flat, offsets, _ = hashers[unify].shingles(texts)
        hashers[unify].band_keys(hashers[unify].signatures(flat, offsets))

    weights = weights_of(*document_frequencies(texts), len(texts))
    ways: dict[str, Callable[[bool], object]] = {
        "exact_dedup": lambda unify: digests(unify, texts),
        "line_dedup": lambda unify: line_keys(unify, texts),
        "fuzzy_dedup": fuzzy,
        "semantic_dedup": lambda unify: CorpusEmbedder(weights, 384).embed(
            SemanticDedup(unify_scripts=unify).read(texts)
        ),
    }
    out = {}
    for name, way in ways.items():
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(PASSES):
            for unify, of_way in seconds.items():  # by turns, so that a busy machine slows down both
                of_way.append(machine.fastest(way, unify, passes=1)[0])
        out[name] = round(min(seconds[True]) / min(seconds[False]), 2)
    return out


def main() -> None:
    data = machine.parser(__doc__, data="folder that holds html/ and warc/").parse_args().data
    texts = pages(data)
    converted = {name: list(map(OpenCC(name).convert, texts)) for name in MIRRORS}
    japanese = japanese_lines(data)
    script = {"simplified": told(texts)} | {name: told(others) for name, others in converted.items()}
    short = {"simplified": told([t[:SHORT] for t in texts])}
    short |= {name: told([t[:SHORT] for t in others]) for name, others in converted.items()}
    machine.tell(f"{len(texts)} pages, {len(japanese)} lines of Japanese pages")
    found = {
        name: {way: mirrors_found(way == "with", texts, others) for way in ("without", "with")}
        for name, others in converted.items()
    }
    pairs = {"without": near_pairs(False, texts), "with": near_pairs(True, texts)}
    merged = equal_lines(texts)
    for group in merged:
        machine.tell("  " + " | ".join(line[:60] for line in group))
    machine.save(
        "chinese",
        {
            "pages": len(texts),
            "script": {"pages": script, f"first {SHORT} characters": short, "Japanese lines": told(japanese)},
            "mirrors": found,
            "near_pairs_of_the_pages": {
                "without": len(pairs["without"]),
                "with": len(pairs["with"]),
                "with alone": len(pairs["with"] - pairs["without"]),
                "without alone": len(pairs["without"] - pairs["with"]),
            },
            "lines": {
                "different": len({identity_form(line) for text in texts for line in lines(text)}),
                "equal with the option alone": len(merged),
            },
            "cost": costs(texts[:TIMED]),
        },
    )


if __name__ == "__main__":
    main()
