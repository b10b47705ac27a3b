"""Semantic deduplication: what it finds of what MinHash misses, and the time and memory of a million vectors.

    python benchmarks/semantic_dedup.py [--data DIR] [--documents 1000000] [--model FOLDER]

Quality: of real pages (extracted text; near-duplicates by MinHash taken out first), English and Chinese, three altered copies
each: clauses in another order; framed by lines of other pages (three tenths of its length); words replaced, left out or added
(six in a hundred). Copies whose 5-gram Jaccard similarity is 0.8 or more are left to MinHash. A copy is found if its cosine with
its original reaches the bound; a find is wrong if it is of another page. The bound of the embedder `corpus` was chosen on the
pages of one half of the sites, figures are of the other half. Paraphrases are pairs of short texts written for this purpose
(`paraphrases.jsonl`).

Scale: made vectors (384 numbers, 5,000 topics, a tenth are copies at a cosine of 0.97), written where the step looks for
embeddings, so that what is measured is all but embedding: `local[2]`, memory of driver, JVM and Python workers together (PSS).
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pyarrow.parquet as pq
import rjieba
from fuzzy_dedup import CONF, DRIVER_MEMORY, Memory

from classifiers.labelled import CATEGORIES, PAGES, load_pages
from pipeline.config import SparkConfig
from pipeline.model_based.embedding import (
    CorpusEmbedder,
    Embedder,
    SentenceEmbedder,
    document_frequencies,
    quantised,
    weights_of,
)
from pipeline.model_based.semantic_dedup import SemanticDedup
from pipeline.rule_based.minhash import MinHasher, MinHashParams, jaccard
from pipeline.schema import Document, to_table
from pipeline.spark.run import CrossContext, compute_marks, local_cpu_seconds
from pipeline.spark.session import get_session
from pipeline.units import Units

Page = tuple[str, str, str]  # site, language, text
Copy = tuple[int, str, str]  # number of the original, kind, text
KINDS = ("reordered", "framed", "rewritten")
LANGUAGES = {"English": "en", "Chinese": "zh"}
LEAST = {"en": 800, "zh": 300}
MOST = 20_000
BOUNDS = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
FILES, DIMENSIONS, TOPICS, COPIES, COPY_COSINE = 16, 384, 5000, 0.1, 0.97
BATCH = 4096  # rows that the step sees at a time


def real_pages(data: Path) -> list[Page]:
    distinct = set()
    for name in (PAGES, CATEGORIES):
        for page in load_pages(data, name=name):
            text = page.extraction.text
            language = "zh" if len(re.findall("[\u4e00-\u9fff]", text)) > 0.3 * len(text) else "en"
            if len(text) >= LEAST[language]:
                distinct.add((page.group, language, text[:MOST]))
    pages = sorted(distinct)
    hasher = MinHasher(MinHashParams())
    flat, offsets, _ = hasher.shingles([text for _, _, text in pages])
    keys = hasher.band_keys(hasher.signatures(flat, offsets))
    first: dict[int, int] = {}
    kept = []
    for i, page_keys in enumerate(keys.tolist()):
        others = sorted({first[k] for k in page_keys if k in first})
        if len(others) and (jaccard(flat, offsets, np.full(len(others), i), np.array(others)) >= 0.8).any():
            continue
        kept.append(i)
        for k in page_keys:
            first.setdefault(k, i)
    return [pages[i] for i in kept]


def words(text: str, language: str) -> list[str]:
    return re.findall(r"\s+|\S+", text) if language == "en" else list(rjieba.cut(text))


def reordered(text: str, chance: random.Random) -> str:
    clauses = [c.strip() for c in re.split(r"(?<=[,.;!?，。；！？\n])", text) if c.strip()]
    chance.shuffle(clauses)
    return " ".join(clauses)


def framed(page: Page, pages: Sequence[Page], chance: random.Random) -> str:
    site, language, text = page
    lines: list[str] = []
    while sum(map(len, lines)) < 0.3 * len(text):
        other = chance.choice(pages)
        if other[1] == language and other[0] != site:
            lines += [line[:200] for line in other[2].split("\n") if line.strip()][-6:]
    cut = chance.randrange(len(lines) + 1)
    return "\n".join([*lines[:cut], text, *lines[cut:]])


def rewritten(page: Page, pool: Sequence[str], chance: random.Random, share: float = 0.06) -> str:
    _, language, text = page
    out = []
    for word in words(text, language):
        kind = chance.random() if word.strip() else 1.0
        if kind < 0.6 * share:
            out.append(chance.choice(pool))
        elif kind >= 0.8 * share:
            out.append(word)
            if kind < share:
                out += [" " if language == "en" else "", chance.choice(pool)]
    return "".join(out)


def copies(pages: Sequence[Page], chance: random.Random) -> list[Copy]:
    pool = {
        lang: [w for _, page_lang, t in pages[::3] if page_lang == lang for w in words(t, lang)[:300] if w.strip()]
        for lang in LEAST
    }
    made: list[Copy] = []
    for i, page in enumerate(pages):
        made.append((i, "reordered", reordered(page[2], chance)))
        made.append((i, "framed", framed(page, pages, chance)))
        made.append((i, "rewritten", rewritten(page, pool[page[1]], chance)))
    flat, offsets, _ = MinHasher(MinHashParams()).shingles([t for i, _, copy in made for t in (pages[i][2], copy)])
    at = 2 * np.arange(len(made))
    return [copy for copy, j in zip(made, jaccard(flat, offsets, at, at + 1), strict=True) if j < 0.8]


def unit(vectors: Any) -> Any:
    wide = vectors.astype(np.float32)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-9)


def found_of(
    pages: Sequence[Page], made: Sequence[Copy], embedder: Embedder, bounds: Sequence[float]
) -> dict[str, Any]:
    """Recall and precision of copies by language, kind and bound; originals that are taken for one another."""
    vectors = unit(embedder.embed([*(text for _, _, text in pages), *(text for _, _, text in made)]))
    originals = vectors[: len(pages)]
    like = vectors[len(pages) :] @ originals.T
    among = np.triu(originals @ originals.T, 1)
    origins = np.array([i for i, _, _ in made])
    right = like[np.arange(len(made)), origins].copy()
    like[np.arange(len(made)), origins] = -1
    wrong = like.max(1)
    kinds = np.array([kind for _, kind, _ in made])
    languages = np.array([pages[i][1] for i in origins])
    out: dict[str, Any] = {}
    for name, code in LANGUAGES.items():
        of = languages == code
        if not of.any():
            continue
        pairs = among[[i for i, page in enumerate(pages) if page[1] == code]].max(1)
        out[name] = {
            "copies": {kind: int((of & (kinds == kind)).sum()) for kind in KINDS},
            "bounds": {
                str(bound): {
                    "recall": round(float((right[of] >= bound).mean()), 4),
                    "precision": round(
                        float((right[of] >= bound).sum() / max(1, sum((x[of] >= bound).sum() for x in (right, wrong)))), 4
                    ),
                    "by_kind": {k: round(float((right[of & (kinds == k)] >= bound).mean()), 4) for k in KINDS},
                    "originals_taken_for_another": int((pairs >= bound).sum()),
                }
                for bound in bounds
            },
        }  # fmt: skip
    return out


def paraphrased(embedder: Embedder, bound: float) -> dict[str, Any]:
    """Paraphrases found at the bound, and their mean cosine; the mean of the texts with the others beside it."""
    rows = [json.loads(line) for line in (Path(__file__).parent / "paraphrases.jsonl").read_text().splitlines()]
    out = {}
    for name, code in LANGUAGES.items():
        pairs = [row for row in rows if row["language"] == code]
        a, b = (unit(embedder.embed([row[side] for row in pairs])) for side in "ab")
        like = a @ b.T
        others = like[~np.eye(len(pairs), dtype=bool)]
        out[name] = {
            "pairs": len(pairs),
            "found": int((np.diag(like) >= bound).sum()),
            "mean_cosine": round(float(np.diag(like).mean()), 3),
            "mean_cosine_of_others": round(float(others.mean()), 3),
        }
    return out


def quality(data: Path, model: str | None) -> dict[str, Any]:
    pages = real_pages(data)
    half = [int(hashlib.sha256(site.encode()).hexdigest(), 16) % 2 for site, _, _ in pages]
    out: dict[str, Any] = {}
    for name, part in (("chosen_on", 0), ("measured_on", 1)):
        half_pages = [page for page, h in zip(pages, half, strict=True) if h == part]
        made = copies(half_pages, random.Random(part))
        texts = [text for _, _, text in half_pages]
        embedder = CorpusEmbedder(weights_of(*document_frequencies(texts), len(texts)), DIMENSIONS)
        out[name] = {"pages": len(half_pages), **found_of(half_pages, made, embedder, BOUNDS)}
        if part:
            out["paraphrases"] = {"corpus": paraphrased(embedder, SemanticDedup().bound)}
            if model:
                english = [i for i, page in enumerate(half_pages) if page[1] == "en"][:200]
                place = {i: n for n, i in enumerate(english)}
                some = [(place[i], kind, text) for i, kind, text in made if i in place]
                checkpoint = SentenceEmbedder(model)
                out["model"] = {
                    "name": Path(model).parent.name,
                    "pages": len(english),
                    **found_of([half_pages[i] for i in english], some, checkpoint, (0.9, 0.95)),
                    "corpus_on_the_same": found_of([half_pages[i] for i in english], some, embedder, (0.75,)),
                }
                out["paraphrases"]["model"] = paraphrased(checkpoint, 0.95)
    return out


def made_vectors(n: int, seed: int = 0) -> tuple[Any, Any]:
    """Quantised vectors of n documents, and of which each is a copy (-1: of none)."""
    chance = np.random.default_rng(seed)
    topics = chance.normal(size=(TOPICS, DIMENSIONS)).astype(np.float32)
    vectors = np.empty((n, DIMENSIONS), np.int8)
    origin = np.full(n, -1)
    for start in range(0, n, 50_000):
        stop = min(start + 50_000, n)
        block = topics[chance.integers(TOPICS, size=stop - start)]
        block = block + 0.8 * chance.normal(size=block.shape).astype(np.float32)
        if start:
            copied = np.flatnonzero(chance.random(stop - start) < COPIES)
            origin[start + copied] = chance.integers(start, size=len(copied))
            base = unit(vectors[origin[start + copied]])
            noise = unit(chance.normal(size=base.shape))
            block[copied] = COPY_COSINE * base + (1 - COPY_COSINE**2) ** 0.5 * noise
        vectors[start:stop] = quantised(block)
    return vectors, origin


def scale(n: int) -> dict[str, Any]:
    """The step over n documents whose vectors are there already."""
    vectors, origin = made_vectors(n)
    step = SemanticDedup(threshold=0.95, min_characters=1)
    # As a stage sets it: two million keys a task, and a task a core.
    partitions = {"spark.sql.shuffle.partitions": str(max(2, -(-n // 2_000_000)))}
    session = get_session("benchmark", SparkConfig(master="local[2]", conf=CONF | partitions))
    with tempfile.TemporaryDirectory() as work:
        sizes, a_file = [], -(-n // FILES)
        os.makedirs(f"{work}/vectors/semantic_dedup")
        all_ids = []
        for file_no in range(FILES):
            start, stop = file_no * a_file, min((file_no + 1) * a_file, n)
            ids = [hashlib.md5(str(i).encode(), usedforsecurity=False).hexdigest() for i in range(start, stop)]
            all_ids += ids
            docs = to_table(
                [Document(doc_id=d, source_file="made", file_no=file_no, row_no=k, text="x") for k, d in enumerate(ids)]
            )
            pq.write_table(docs, f"{work}/{file_no}.parquet", compression="zstd", row_group_size=len(ids))
            sizes.append(len(ids))
            for k in range(0, len(ids), BATCH):
                some = vectors[start + k : min(start + k + BATCH, stop)]
                np.save(f"{work}/vectors/semantic_dedup/{file_no:09d}-{k:09d}-{len(some)}.npy", some)
        memory = Memory()
        memory.start()
        units = Units.made(sizes, [f"{i}.parquet" for i in range(FILES)])
        context = CrossContext(session, "semantic_dedup", work, units, {}, [], None)
        wall, cpu = time.monotonic(), local_cpu_seconds(session)
        marks, _ = compute_marks(step, context)
        assert marks is not None
        duplicates = marks.select("file_no", "row_no", "duplicate_of").toArrow()
        wall, cpu = time.monotonic() - wall, local_cpu_seconds(session) - cpu
        memory.stop.set()
        memory.join()
        record = dict(context.record)
        context.close()
    session.stop()
    number = {d: i for i, d in enumerate(all_ids)}
    dropped = duplicates["file_no"].to_numpy() * a_file + duplicates["row_no"].to_numpy()
    kept_for = np.array([number[d] for d in duplicates["duplicate_of"].to_pylist()])
    like = (unit(vectors[dropped]) * unit(vectors[kept_for])).sum(1)
    pairs = np.flatnonzero(origin >= 0)
    exact = (unit(vectors[pairs]) * unit(vectors[origin[pairs]])).sum(1) >= step.bound
    # Of a pair one goes: which one the order says.
    gone = np.zeros(n, np.bool_)
    gone[dropped] = True
    hit = gone[pairs] | gone[origin[pairs]]
    return {
        "documents": n,
        "dimensions": DIMENSIONS,
        "wall_seconds": round(wall, 1),
        "cpu_seconds_of_jvm_and_workers": round(cpu, 1),
        "peak_memory_gb": round(
            (memory.peak["all"] + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) / 1e9, 2
        ),
        "planted_pairs": len(pairs),
        "planted_at_the_bound": int(exact.sum()),
        "found_of_them": round(float(hit[exact].mean()), 4),
        "dropped": len(dropped),
        "dropped_at_the_bound_with_survivor": round(float((like >= step.bound).mean()), 4),
        "report": {k: v for k, v in record.items() if not isinstance(v, list)},
    }


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/ and warc/")
    parser.add_argument("--documents", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--model", help="a sentence-transformers checkpoint to put beside it, English")
    arguments = parser.parse_args()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    runs = []
    for n in arguments.documents:
        runs.append(scale(n))
        print(json.dumps(runs[-1], indent=1), file=sys.stderr, flush=True)
    result = {"spark": f"local[2], driver memory {DRIVER_MEMORY}", "runs": runs}
    machine.save("semantic_dedup", result | {"quality": quality(arguments.data, arguments.model)})


if __name__ == "__main__":
    main()
