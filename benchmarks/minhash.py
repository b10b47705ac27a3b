"""MinHash: speed beside datasketch and datatrove, recall by similarity, error of the estimates.

    python benchmarks/minhash.py [--data DIR]

Needs `pip install datasketch datatrove spacy jieba scipy` (datatrove's English tokenizer is spaCy's, its Chinese one jieba's).
Texts are gold main texts of `DIR/html` (English: wcxb-dev; Chinese: zh-gold, zh-blogs), distinct in their normalised form,
and the near-duplicate sets of `DIR/near_dup`. All parts take 128 bands of 16 rows and 5-grams. Times are CPU seconds of one
process and one thread, the best of three passes (peers: of one); about four minutes, most of them datatrove's.
"""

from __future__ import annotations

import importlib.metadata as metadata
import logging
import math
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, TypeVar

import datasketch  # type: ignore[import-untyped]
import machine
import numba
import numpy as np
import scipy.sparse  # type: ignore[import-untyped]
import xxhash
from datatrove.data import Document  # type: ignore[import-untyped]
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature  # type: ignore[import-untyped]
from datatrove.utils.typeshelper import Languages  # type: ignore[import-untyped]
from gold import SETS, rows

from extraction.text import identity_form
from pipeline.rule_based import minhash
from pipeline.rule_based.minhash import MinHasher, MinHashParams, candidate_probability, jaccard, sketch_similarity
from pipeline.rule_based.minhash_text import identity_forms, segment, token_hashes

T = TypeVar("T")
Pairs = dict[tuple[int, int], float]
PARAMS = MinHashParams()
HASHER = MinHasher(PARAMS)
THRESHOLD = 0.8
BUCKETS = ((0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.0))
LANGUAGES = {"en": "English", "zh": "Chinese"}


def distinct(texts: list[str]) -> list[str]:
    """Texts whose normalised form no earlier one has: exact copies are the business of another step."""
    seen: dict[str, str] = {}
    for text in texts:
        seen.setdefault(identity_form(text), text)
    return list(seen.values())


def html(data: Path) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {"en": [], "zh": []}
    for _, file, field, language in SETS:
        texts[language] += [row[field] for row in rows(data / "html" / file)]
    return {language: distinct(pages) for language, pages in texts.items()}


# --- speed ---


def first_calls() -> dict[str, float]:
    """Seconds of the first call of each part in a process: compiling, and tables."""
    timings = {}

    def first(name: str, call: Callable[[], T]) -> T:
        timings[name], result = machine.fastest(call, passes=1)
        return result

    words = ["one two three four five six seven eight nine ten eleven twelve thirteen fourteen"] * 2
    first("normalise (with its tables)", lambda: identity_forms(words))
    flat, offsets, _ = first("the rest of shingles", lambda: HASHER.shingles(words))
    signatures = first("signatures", lambda: HASHER.signatures(flat, offsets))
    first("band keys", lambda: HASHER.band_keys(signatures))
    sketches = first("sketches", lambda: HASHER.sketches(signatures))
    first("sketch similarity", lambda: sketch_similarity(sketches, sketches))
    first("exact Jaccard", lambda: jaccard(flat, offsets, np.array([0]), np.array([1])))
    HASHER.shingles(["我们使用编程语言处理中文网页" * 2])  # loads rjieba's dictionary
    return {name: round(seconds, 2) for name, seconds in timings.items()} | {"in all": round(sum(timings.values()), 2)}


@numba.njit
def _chain(n: int) -> np.uint64:
    x = np.uint64(3)
    for _ in range(n):
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
    return x


def clock_ghz() -> float:
    """From a chain of shifts and exclusive ors, each of which waits for the one before it: 6 cycles a round."""
    _chain(1)  # type: ignore[type-var]
    seconds, _ = machine.fastest(_chain, 50_000_000, passes=5)
    return 6 * 50_000_000 / seconds / 1e9


def datatrove_step(folder: str, language: str) -> MinhashDedupSignature:
    step = MinhashDedupSignature(
        folder,
        MinhashConfig(n_grams=PARAMS.ngram, num_buckets=PARAMS.bands, hashes_per_bucket=PARAMS.rows),
        {"en": Languages.english, "zh": Languages.mandarin_chinese}[language],
    )
    # Its own hash; datatrove 0.10 hands strings to it, which xxhash 4 no longer takes.
    step._hash_func = lambda text: xxhash.xxh64_intdigest(text.encode())
    return step


def python_shingles(text: str, language: str) -> set[bytes]:
    """The same 5-grams by way of strings, as datasketch is fed by its users."""
    form = identity_form(text)
    if language == "zh":
        import rjieba

        words = [w for w in rjieba.cut(form) if w != " "]
    else:
        words = form.split(" ")
    return {" ".join(words[i : i + PARAMS.ngram]).encode() for i in range(len(words) - PARAMS.ngram + 1)}


def speed(texts: dict[str, list[str]], ghz: float) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for language, name in LANGUAGES.items():
        docs = [t for t in texts[language] if 3_000 <= len(t.encode()) <= 8_000]
        n = len(docs)
        chunks = list(minhash._chunks(docs))
        parts = {}
        parts["normalise"], forms = machine.fastest(lambda c: [identity_forms(chunk) for chunk in c], chunks)
        parts["segment"], words = machine.fastest(
            lambda f: [segment(data, starts, PARAMS.segmenter) for data, starts in f], forms
        )
        both = list(zip(forms, words, strict=True))
        parts["token hashes"], _ = machine.fastest(
            lambda b: [token_hashes(data, starts, word) for (data, starts), word in b], both
        )
        whole, (flat, offsets, n_tokens) = machine.fastest(HASHER.shingles, docs)
        parts["n-grams, sorted and distinct"] = whole - sum(parts.values())
        parts["signatures"], signatures = machine.fastest(HASHER.signatures, flat, offsets)
        parts["band keys"], _ = machine.fastest(HASHER.band_keys, signatures)
        parts["sketches"], _ = machine.fastest(HASHER.sketches, signatures)
        ours = sum(parts.values())

        sets_seconds, sets = machine.fastest(lambda d, k: [python_shingles(t, k) for t in d], docs, language, passes=1)
        strings_seconds, _ = machine.fastest(lambda s: [sketch_of(list(x)) for x in s], sets, passes=1)
        values = [flat[i:j].tolist() for i, j in pairwise(offsets)]
        ready_seconds, _ = machine.fastest(lambda v: [sketch_of(x, int) for x in v], values, passes=1)
        with tempfile.TemporaryDirectory() as folder:
            step = datatrove_step(folder, language)
            step.get_shingles(docs[0])  # loads its tokenizer
            inputs = [Document(text=t, id=str(i)) for i, t in enumerate(docs)]
            datatrove_seconds, _ = machine.fastest(lambda s, d: s.run(iter(d)), step, inputs, passes=1)
            numbers = [step.get_shingles(t) for t in docs]
            arithmetic_seconds, _ = machine.fastest(
                lambda s, n: [s.get_signature(x) for x in n], step, numbers, passes=1
            )

        # Of four values: a multiplication (two operations), an addition, two minima, two maxima. A 256-bit core of
        # Intel since Ice Lake does all but the addition on two ports: 3 cycles for 8 x 4 values; with 512 bits two
        # ports do everything: 3.5 cycles for 16 x 4.
        pairs = len(flat) * PARAMS.n_hashes
        floors = {"256": pairs / 32 * 3 / (ghz * 1e9), "512": pairs / 64 * 3.5 / (ghz * 1e9)}
        result[name] = {
            "documents": n,
            "mean_bytes": round(sum(len(t.encode()) for t in docs) / n),
            "mean_tokens": round(float(n_tokens.mean())),
            "mean_shingles": round(len(flat) / n),
            "us_per_document": {k: round(s / n * 1e6, 1) for k, s in parts.items()} | {"all": round(ours / n * 1e6, 1)},
            "documents_per_cpu_second": round(n / ours),
            "kernel": {
                "values_per_ns": round(pairs / parts["signatures"] / 1e9, 1),
                "simd_floor_us_256_bit": round(floors["256"] / n * 1e6, 1),
                "simd_floor_us_512_bit": round(floors["512"] / n * 1e6, 1),
                "share_of_256_bit_floor_speed": round(floors["256"] / parts["signatures"], 2),
            },
            "peers_ms_per_document": {
                "datasketch, with n-grams of strings": round((sets_seconds + strings_seconds) / n * 1e3, 2),
                "datasketch, ready hashes to signature": round(ready_seconds / n * 1e3, 2),
                "datatrove, signature step": round(datatrove_seconds / n * 1e3, 2),
                "datatrove, ready hashes to signature": round(arithmetic_seconds / n * 1e3, 2),
            },
            "cpu_ratio_to_ours": {
                "datasketch, with n-grams of strings": round((sets_seconds + strings_seconds) / ours, 1),
                "datasketch, ready hashes to signature": round(ready_seconds / parts["signatures"], 1),
                "datatrove, signature step": round(datatrove_seconds / ours, 1),
                "datatrove, ready hashes to signature": round(arithmetic_seconds / parts["signatures"], 1),
            },
        }
    return result


def sketch_of(items: list[Any], hashfunc: Callable[[Any], int] | None = None) -> datasketch.MinHash:
    sketch = datasketch.MinHash(PARAMS.n_hashes, **({"hashfunc": hashfunc} if hashfunc else {}))
    sketch.update_batch(items)
    return sketch


# --- recall and precision ---

BOILERPLATE = {
    "en": "Skip to main content. Home, About us, Contact, Sign in. This website uses cookies to improve your experience; by "
    "continuing to browse the site you agree to our use of cookies. Subscribe to our newsletter to get the latest news. ",
    "zh": "您当前的位置：首页 > 新闻中心 > 正文。本站使用缓存文件以改善您的浏览体验，继续浏览即表示您同意我们的使用条款。"
    "扫描二维码关注微信公众号，获取更多精彩内容。责任编辑：小编。来源：本站整理。",
}


def pieces(text: str, language: str) -> list[str]:
    """Words with the space behind them; in Chinese, two characters."""
    if language == "zh":
        return [text[i : i + 2] for i in range(0, len(text), 2)]
    return [word + " " for word in text.split(" ")]


def edited(text: str, other: str, kind: str, language: str, chance: random.Random) -> str:
    """A copy edited in one way, a little or much by chance (a share of 0.2 % to 30 % of the words)."""
    share = 10 ** chance.uniform(-2.7, -0.52)
    if kind == "boilerplate":
        return BOILERPLATE[language] * chance.randint(1, 3) + text
    if kind == "swapped paragraphs":
        lines = text.split("\n")
        for _ in range(max(1, round(share * len(lines)))):
            i, j = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
        return "\n".join(lines)
    words, strange = pieces(text, language), pieces(other, language)
    n = max(1, round(share * len(words)))
    if kind == "replaced words":
        for i in chance.sample(range(len(words)), min(n // 2 + 1, len(words))):
            words[i] = chance.choice(strange)
    else:
        for _ in range(4):  # spans
            i = chance.randrange(len(words) + 1)
            if kind == "deletions":
                del words[i : i + n // 4 + 1]
            else:
                start = chance.randrange(len(strange))
                words[i:i] = strange[start : start + n // 4 + 1]
    return "".join(words)


KINDS = ("deletions", "insertions", "replaced words", "swapped paragraphs", "boilerplate")


def planted(texts: list[str], language: str, originals: int) -> list[str]:
    """One copy of each kind of each of the first `originals` texts in the order of their hash."""
    order = sorted((t for t in texts if len(t.encode()) >= 1_000), key=lambda t: xxhash.xxh64_intdigest(t.encode()))
    return [
        edited(text, order[i - 1], kind, language, random.Random(f"{kind} {i}"))
        for i, text in enumerate(order[:originals])
        for kind in KINDS
    ]


def similar_pairs(sets: list[Any], least: float) -> Pairs:
    """All pairs of sets (arrays of distinct numbers) of Jaccard similarity at least `least`: brute force."""
    _, columns = np.unique(np.concatenate(sets), return_inverse=True)
    sizes = np.array([len(s) for s in sets])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    matrix = scipy.sparse.csr_matrix((np.ones(len(columns), np.int32), columns, starts))
    pairs: Pairs = {}
    for start in range(0, len(sets), 500):
        common = (matrix[start : start + 500] @ matrix.T).tocoo()
        left, right = common.row + start, common.col
        s = common.data / (sizes[left] + sizes[right] - common.data)
        chosen = (left < right) & (s >= least)
        pairs |= dict(
            zip(zip(left[chosen].tolist(), right[chosen].tolist(), strict=True), s[chosen].tolist(), strict=True)
        )
    return pairs


def colliding(keys: list[list[Any]]) -> set[tuple[int, int]]:
    """Pairs of documents with an equal key: `keys[d]` are the keys of document d, each with its band."""
    buckets = defaultdict(list)
    for document, document_keys in enumerate(keys):
        for band, key in enumerate(document_keys):
            buckets[band, key].append(document)
    return {pair for members in buckets.values() for pair in combinations(members, 2)}


def by_bucket(pairs: Pairs, candidates: set[tuple[int, int]]) -> dict[str, Any]:
    """Share of each bucket's pairs that was found, and what the closed form expects of banding."""
    table = {}
    for low, high in BUCKETS:
        inside = [(p, s) for p, s in pairs.items() if low <= s < high or s == high == 1.0]
        if inside:
            table[f"{low}-{high}"] = {
                "pairs": len(inside),
                "found": round(sum(p in candidates for p, _ in inside) / len(inside), 4),
                "closed_form_of_banding": round(
                    sum(candidate_probability(s, PARAMS.bands, PARAMS.rows) for _, s in inside) / len(inside), 4
                ),
            }
    return table


def against(pairs: Pairs, candidates: set[tuple[int, int]]) -> dict[str, Any]:
    alike = {p for p, s in pairs.items() if s >= THRESHOLD}
    return {
        "by_similarity": by_bucket(pairs, candidates),
        f"pairs of {THRESHOLD} or more": len(alike),
        "recall": round(len(alike & candidates) / max(1, len(alike)), 4),
        "precision": round(len(alike & candidates) / max(1, len(candidates)), 4),
        "found": len(candidates),
    }


def quality(name: str, texts: list[str], language: str) -> tuple[dict[str, Any], tuple[Any, Any, Pairs]]:
    """Candidates and verified pairs of one collection, beside its peers; and the material of `errors`."""
    flat, offsets, n_tokens = HASHER.shingles(texts)
    taken = np.flatnonzero(n_tokens >= PARAMS.min_tokens)
    texts = [texts[i] for i in taken]
    flat, offsets, _ = HASHER.shingles(texts)
    pairs = similar_pairs([flat[i:j] for i, j in pairwise(offsets)], 0.3)
    signatures = HASHER.signatures(flat, offsets)
    candidates = colliding(HASHER.band_keys(signatures).tolist())
    order = sorted(candidates)
    left, right = np.array(order, np.int64).reshape(-1, 2).T
    sketches = HASHER.sketches(signatures)
    by_sketch = sketch_similarity(sketches[left], sketches[right]) >= THRESHOLD
    by_sets = jaccard(flat, offsets, left, right) >= THRESHOLD
    result = {
        "documents": len(texts),
        "banding alone": against(pairs, candidates),
        "verified by sketch": against(pairs, {p for p, yes in zip(order, by_sketch, strict=True) if yes}),
        "verified exactly": against(pairs, {p for p, yes in zip(order, by_sets, strict=True) if yes}),
    }

    lsh = datasketch.MinHashLSH(num_perm=PARAMS.n_hashes, params=(PARAMS.bands, PARAMS.rows))
    theirs = set()
    for i, (start, end) in enumerate(pairwise(offsets)):
        values = sketch_of(flat[start:end].tolist(), int)
        theirs |= {(j, i) for j in lsh.query(values)}
        lsh.insert(i, values)
    result["datasketch MinHashLSH on the same shingles"] = against(pairs, theirs)

    step = datatrove_step(tempfile.gettempdir(), language)  # nothing is written by the two calls below
    numbers = [step.get_shingles(t) for t in texts]
    proposed = colliding([[tuple(band) for band in step.get_signature(x)] if x.size else [] for x in numbers])
    datatrove_pairs = similar_pairs([np.unique(x) for x in numbers], 0.3)
    result["datatrove, by the similarity of our shingles"] = against(pairs, proposed)
    result["datatrove, by the similarity of its own"] = against(datatrove_pairs, proposed)
    print(f"{name}: {len(texts)} documents, {len(pairs)} pairs", file=sys.stderr)
    return result, (signatures, sketches, pairs)


# --- errors of the estimates ---


def errors(signatures: Any, sketches: Any, pairs: Pairs) -> dict[str, Any]:
    """Errors of the similarity estimates over pairs; `over_stated` is the root mean square in stated standard errors."""
    left, right = np.array(list(pairs), np.int64).T
    exact = np.array(list(pairs.values()))
    p = exact + (1 - exact) / 16
    estimates = {
        "signature": (
            (signatures[left] == signatures[right]).mean(axis=1),
            np.sqrt(exact * (1 - exact) / PARAMS.n_hashes),
        ),
        "sketch": (
            sketch_similarity(sketches[left], sketches[right]),
            16 / 15 * np.sqrt(p * (1 - p) / PARAMS.n_hashes),
        ),
    }
    result: dict[str, Any] = {"pairs": len(exact)}
    for name, (estimate, stated) in estimates.items():
        error = estimate - exact
        certain = stated == 0  # exact = 1: both are right without error
        result[name] = {
            "mean": round(float(error.mean()), 5),
            "rms": round(float(np.sqrt((error**2).mean())), 5),
            "largest": round(float(np.abs(error).max()), 4),
            "over_stated": round(float(np.sqrt(((error[~certain] / stated[~certain]) ** 2).mean())), 3),
        }
    return result


# --- short texts ---


def short_texts(texts: dict[str, list[str]]) -> dict[str, Any]:
    """Lines of the pages as documents, by tokens: how many are a near-duplicate (not a copy) of another?"""
    lines = distinct([line for pages in texts.values() for text in pages for line in text.split("\n")])
    hasher = MinHasher(MinHashParams(min_tokens=PARAMS.ngram))
    flat, offsets, n_tokens = hasher.shingles(lines)
    table = {}
    for low, high in ((5, 8), (9, 12), (13, 19), (20, 29), (30, 49), (50, 99)):
        # The other one of a pair may be longer, by a quarter at most.
        chosen = np.flatnonzero((n_tokens >= low) & (n_tokens <= 4 + math.ceil((high - 4) / THRESHOLD)))
        sets = [flat[offsets[i] : offsets[i + 1]] for i in chosen]
        pairs = [p for p in similar_pairs(sets, THRESHOLD) if min(n_tokens[chosen[list(p)]]) <= high]
        table[f"{low}-{high} tokens"] = {
            "lines": int(((n_tokens >= low) & (n_tokens <= high)).sum()),
            "pairs": len(pairs),
        }
    return table


def main() -> None:
    parser = machine.parser(__doc__, data="folder with html/ and near_dup/")
    data = parser.parse_args().data
    logging.getLogger("jieba").setLevel(logging.WARNING)
    first = first_calls()
    texts = html(data)
    ghz = clock_ghz()
    result: dict[str, Any] = {
        "clock_ghz": round(ghz, 2),
        "first_call_s": first,
        "versions": {"datasketch": version("datasketch"), "datatrove": version("datatrove"), "numba": version("numba")},
        "speed": speed(texts, ghz),
        "quality": {},
        "errors": {},
        "short_texts": short_texts(texts),
    }
    collections = {
        f"{name} pages with planted edits": (distinct(texts[k] + planted(texts[k], k, 150)), k)
        for k, name in LANGUAGES.items()
    } | {
        s: (distinct([row["text"] for row in rows(data / "near_dup" / f"{s}.jsonl.gz")]), "en")
        for s in ("ndd-r8", "ndd-webkb")
    }
    for name, (docs, language) in collections.items():
        result["quality"][name], material = quality(name, docs, language)
        result["errors"][name] = errors(*material)
    machine.save("minhash", result)


def version(package: str) -> str:
    return metadata.version(package)


if __name__ == "__main__":
    main()
