"""Fuzzy deduplication (dots.llm1 C.2): documents that share most of their 5-grams.

MinHash and banding propose, a comparison of the two documents decides. Pure parts are here and in `minhash.py`;
`pipeline/spark/fuzzy_dedup.py` brings the documents together.
"""

from __future__ import annotations

import functools
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.rule_based.minhash import MinHasher, MinHashParams
from pipeline.steps import Cost, NearDuplicateStep, UnifyScripts

CPU_SECONDS_A_DOCUMENT = 200e-6
CPU_SECONDS_A_CHARACTER = 65e-9
"""From benchmarks/fuzzy_dedup.py at 1,000,000 documents; a contract test holds both to its committed result."""


class FuzzyDedup(NearDuplicateStep):
    """Drop near-duplicates of documents that come before them.

    Text is normalised and segmented, its n-grams are hashed to `bands` x `rows` MinHash values; documents that agree on all
    rows of a band share a *bucket* (dots.llm1 C.2: 128 x 16, 5-grams; at Jaccard 0.8 two documents share one with
    probability 0.974). Documents stand in the order of generation, length (longest first), crawl time, `doc_id`, row key.
    The candidates of a document are the first `candidates` members of each of its buckets that come before it; its *parent*
    is the first candidate whose similarity reaches `threshold`. A document with a parent is dropped as `near_duplicate`; it
    names in `duplicate_of` its survivor (the parent's parent's ... parent) and in `drop_value` its similarity to the
    parent. What is kept so depends on earlier documents alone, and nothing published is ever revoked.

    Documents of fewer than `min_tokens` tokens take no part: exact identity is all that can be said of them.
    """

    step: Literal["fuzzy_dedup"] = "fuzzy_dedup"
    segmenter: Literal["rjieba", "jieba"] = Field(
        "rjieba", description="equal on normalised text; jieba is 20 times slower"
    )
    ngram: int = Field(5, gt=0, description="tokens of a shingle (dots.llm1 C.2)")
    bands: int = Field(128, gt=0, description="bands (dots.llm1 C.2)")
    rows: int = Field(16, gt=0, description="MinHash values a band (dots.llm1 C.2)")
    min_tokens: int = Field(MinHashParams().min_tokens, ge=0, description="documents of fewer tokens take no part")
    seed: int = Field(1, ge=0, description="of the hash functions")
    unify_scripts: UnifyScripts = True
    threshold: float = Field(
        0.8, ge=0, le=1, description="Jaccard similarity of the shingle sets from which a pair is one"
    )
    verify: Literal["sketch", "exact", "none"] = Field(
        "sketch",
        description="how candidates are compared: by an estimate from 4 bits of each MinHash value (standard error 0.009 at "
        "0.8; 1 kB a document moves), by the shingle sets themselves (about 3 kB), or not at all",
    )
    keep: Literal["parent", "component", "band"] = Field(
        "parent",
        description="parent: as above. component: the first of each connected component of verified pairs. band: the report's "
        "literal rule, of documents that share a bucket one (needs verify: none). The last two for a single batch only",
    )
    candidates: int = Field(4, gt=0, description="first members of a bucket that a document is compared with")
    band_groups: int = Field(1, gt=0, description="bands are shuffled in so many groups, one after the other")
    source: ClassVar[str] = "dots.llm1 C.2 (MinHash, 128 bands of 16, 5-grams, Jaccard 0.8)"
    columns: ClassVar[tuple[str, ...]] = ("text",)

    @model_validator(mode="after")
    def _parameters_fit(self) -> FuzzyDedup:
        self._params()
        if self.keep == "band" and self.verify != "none":
            raise ValueError(
                f"keep: band drops whatever shares a bucket: set verify: none, found verify: {self.verify}"
            )
        return self

    def cost(self, documents: int, characters: int) -> Cost:
        """From benchmarks/fuzzy_dedup.py: entries of 16 bytes a band; sketches (or shingles) for the candidates."""
        entries = documents * self.bands * 16
        payload = documents * {"sketch": self.bands * self.rows // 2, "exact": 4 * 800, "none": 0}[self.verify]
        hashing = characters * CPU_SECONDS_A_CHARACTER * (self.bands * self.rows / 2048)
        shuffle = entries + payload + documents * 200
        return Cost(documents * CPU_SECONDS_A_DOCUMENT + hashing, shuffle, 2 * (entries + payload))

    def hasher(self) -> MinHasher:
        """The worker process's hasher of these parameters."""
        return _hasher(self._params())

    def _params(self) -> MinHashParams:
        names = ("segmenter", "ngram", "bands", "rows", "min_tokens", "seed", "unify_scripts")
        return MinHashParams(**{n: getattr(self, n) for n in names})


@functools.lru_cache(maxsize=2)
def _hasher(params: MinHashParams) -> MinHasher:
    return MinHasher(params)
