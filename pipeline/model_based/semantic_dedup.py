"""Semantic deduplication: documents whose embeddings point the same way (SemDeDup; Abbas et al., arXiv:2303.09540).

The pure parts are here, in `embedding.py` and in `clusters.py`; `pipeline/spark/semantic_dedup.py` brings the documents together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from extraction.chinese import unified
from pipeline.model_based.embedding import CORPUS, SentenceEmbedder, sentence_embedder
from pipeline.steps import Cost, NearDuplicateStep, UnifyScripts

CPU_SECONDS_A_CHARACTER = 25e-9
"""CPU time of the embedder that needs no model; a checkpoint takes a thousand times that on a CPU."""

MULTIPLICATIONS_A_CPU_SECOND = 25e9


class SemanticDedup(NearDuplicateStep):
    """Drop documents that say what one before them says.

    Each document has an embedding. k-means on a sample of them finds centres; a document is compared with those that share
    one of its nearest centres and stand before it in the order of generation, length (longest first), crawl time, `doc_id`, row
    key. Its *parent* is the first whose cosine with it reaches `threshold`; a document with a parent is dropped as
    `semantic_duplicate` and names in `duplicate_of` its survivor (the parent's parent's ... parent) and in `drop_value` the
    cosine with the parent. Centres, and what the default embedder knows of words, are learned from the first generation and
    kept: later generations are compared with all before them, and nothing published is ever revoked.

    The default embedder, `corpus`, needs no download: it weighs and counts words, Chinese and English alike, so it finds
    documents that were reordered, lightly rewritten or framed anew, not paraphrases. Those take a model: any
    sentence-transformers checkpoint (`BAAI/bge-m3`: Chinese and English).
    """

    step: Literal["semantic_dedup"] = "semantic_dedup"
    embedder: str = Field(CORPUS, description="corpus, or folder or hub name of a sentence-transformers checkpoint")
    threshold: float | None = Field(
        None, gt=0, le=1, description="cosine from which a pair is one; default: 0.95, of the embedder corpus 0.75"
    )
    dimensions: int = Field(384, ge=64, le=4096, description="of the embedder corpus")
    unify_scripts: UnifyScripts = True
    min_characters: int = Field(200, ge=1, description="documents of fewer take no part")
    sample: int = Field(
        50_000, ge=1000, description="documents of the first generation, by hash, from which is learned; on the driver"
    )
    cluster_documents: int = Field(
        1000, gt=0, description="documents of a cluster, about; there are at most sample / 20 clusters"
    )
    max_cluster: int = Field(20_000, gt=0, description="clusters with more documents, about, are split")
    nearest: int = Field(2, gt=0, description="clusters that a document is in")
    source: ClassVar[str] = "SemDeDup (arXiv:2303.09540): cosine 0.95 within clusters of k-means"
    columns: ClassVar[tuple[str, ...]] = ("text",)

    @property
    def bound(self) -> float:
        """The cosine from which a pair is one."""
        return self.threshold or (0.75 if self.embedder == CORPUS else 0.95)

    def model(self) -> SentenceEmbedder | None:
        """The checkpoint; None: the embedder that learns from the corpus."""
        return None if self.embedder == CORPUS else sentence_embedder(self.embedder)

    def read(self, texts: Sequence[str]) -> list[str]:
        """Texts as the embedder reads them."""
        return [unified(text) for text in texts] if self.unify_scripts else list(texts)

    def check(self) -> None:
        self.model()

    def fingerprint(self) -> dict[str, Any]:
        model = self.model()
        return super().fingerprint() | ({"resources": {"embedder": model.sha256()}} if model else {})

    def clusters(self, documents: int) -> int:
        """Clusters for so many documents, before large ones are split."""
        return max(1, min(documents // self.cluster_documents, self.sample // 20))

    def cost(self, documents: int, characters: int) -> Cost:
        """Estimate from benchmarks/semantic_dedup.py: a vector of a byte a number for each cluster that a document is in."""
        vectors = documents * (self.dimensions + 12) * self.nearest
        members = documents * self.nearest / self.clusters(documents)
        pairs = documents * self.nearest * members / 2 + documents * self.clusters(documents)
        work = pairs * self.dimensions / MULTIPLICATIONS_A_CPU_SECOND
        words = characters * CPU_SECONDS_A_CHARACTER * (1 if self.embedder == CORPUS else 1000)
        return Cost(work + words + documents * 200e-6, vectors + documents * 200, 3 * vectors)
