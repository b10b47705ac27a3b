"""Unsafe sites (dots.llm1 4.1): pages get a score, sites are judged by theirs, and all pages of a flagged site go."""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar, Literal

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from extraction.domains import registered_domain
from extraction.result import SCALE
from pipeline.model_based.scoring import Scored, of_classifier
from pipeline.schema import Document, Drop
from pipeline.steps import CrossDocumentStep, Limits

SOURCE = "dots.llm1 4.1 (domains that a safety classifier flags); bounds measured (classifiers/safety/CARD.md)"
CLASSIFIER: Literal["safety"] = "safety"
SAFE = "safe"


class Safety(Scored):
    """Score pages for adult, gambling and spam content. Drops nothing unless `max` is set: `unsafe_sites` counts pages by site,
    and must see the worst too."""

    step: Literal["safety"] = CLASSIFIER
    unit: ClassVar[str] = "probability to be unsafe"
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "unsafe"

    max: Limits | None = Field(
        None,
        description="probability to be unsafe, at most; leave it out where unsafe_sites follows (its max_page does the same)",
    )

    def number(self, scores: dict[str, float]) -> float:
        return 1.0 - scores[SAFE]

    def reason(self, scores: dict[str, float], reason: str) -> str:
        return worst(scores)


def worst(scores: dict[str, float]) -> str:
    """The likeliest label but the safe one."""
    return max((label for label in scores if label != SAFE), key=lambda label: scores[label])


class UnsafeSites(CrossDocumentStep):
    """Drop all documents of sites of which a safety classifier flags too many pages, and single pages that are surely unsafe.

    A page is flagged if its probability to be unsafe, which the step `safety` has stored, is at least `page_score`. A site
    (registered domain) with `min_pages` pages or more is unsafe if the lower bound of the share of its flagged pages
    (Wilson's, of `confidence`) is over `max_share`. A document is judged by its site up to and with its own generation: later
    files revoke nothing. `corpusmill unsafe-sites OUTPUT` shows the table of sites.
    """

    step: Literal["unsafe_sites"] = "unsafe_sites"
    source: ClassVar[str] = SOURCE
    page_score: float = Field(0.5, gt=0, le=1, description="probability to be unsafe from which a page is flagged")
    min_pages: int = Field(5, gt=0, description="pages of a site from which it is judged")
    max_share: float = Field(0.3, ge=0, lt=1, description="lower bound of the share of flagged pages, at most")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="one-sided confidence of that bound")
    max_page: float = Field(
        0.9, gt=0, le=1, description="probability to be unsafe over which a page goes, whatever its site"
    )
    allow: list[str] = Field(
        [], description="files of sites, one a line, that are never dropped as a whole: reviewed and found safe"
    )
    block: list[str] = Field([], description="files of sites, one a line, that always are: reviewed and found unsafe")
    columns: ClassVar[tuple[str, ...]] = ("domain", "scores")
    needs: ClassVar[tuple[str, ...]] = (CLASSIFIER,)

    def resources(self) -> list[str]:
        return [*self.allow, *self.block]

    def check(self) -> None:
        both = sites_of(tuple(self.allow)) & sites_of(tuple(self.block))
        if both:
            raise ValueError(f"unsafe_sites: in both allow and block: {', '.join(sorted(both)[:5])}")

    def flags(self, rows: pa.Table) -> pa.Array:
        """Flag rows, bool (n,). Rows without scores are not flagged."""
        column = rows["scores"]
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        flat = pc.list_flatten(column)
        parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
        safe = pc.and_(
            pc.equal(pc.struct_field(flat, "classifier"), CLASSIFIER), pc.equal(pc.struct_field(flat, "label"), SAFE)
        ).to_numpy(zero_copy_only=False)
        scores = pc.struct_field(flat, "score").to_numpy(zero_copy_only=False)
        flagged = [False] * len(column)
        for parent, score in zip(parents[safe].tolist(), scores[safe].tolist(), strict=True):
            flagged[parent] = 1.0 - score / SCALE >= self.page_score
        return pa.array(flagged, pa.bool_())

    @property
    def z(self) -> float:
        """The normal quantile of `confidence`."""
        from statistics import NormalDist

        return NormalDist().inv_cdf(self.confidence)

    def lower_bound(self, pages: int, flagged: int) -> float:
        """Wilson's lower bound of the share of flagged pages."""
        z, n = self.z, float(pages)
        share = flagged / n
        centre = share + z * z / (2 * n)
        spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return max(0.0, (centre - spread) / (1 + z * z / n))

    def value(self, pages: int, flagged: int) -> str:
        """What stands beside a dropped site's reason."""
        return f"{self.lower_bound(pages, flagged):.3f}: {flagged} of {pages} pages"

    def verdict(self, domain: str, pages: int, flagged: int) -> str | None:
        """Why a site is dropped (`listed_site`, `unsafe_site`), or None."""
        if domain in sites_of(tuple(self.block)):
            return "listed_site"
        if domain in sites_of(tuple(self.allow)) or pages < self.min_pages:
            return None
        return "unsafe_site" if self.lower_bound(pages, flagged) > self.max_share else None

    def decide(self, docs: list[Document], record: dict[str, Any]) -> list[Document | Drop]:
        out: list[Document | Drop] = []
        for doc in docs:
            scores = of_classifier(doc, CLASSIFIER)
            unsafe = 1.0 - scores[SAFE] if scores else 0.0
            out.append(Drop(worst(scores), value=unsafe) if unsafe > self.max_page else doc)
        return out


@functools.lru_cache(maxsize=16)
def sites_of(paths: tuple[str, ...]) -> frozenset[str]:
    """Registered domains of list files: one a line, `#` begins a comment. :raises ValueError: for a line that is no domain."""
    sites = set()
    for path in paths:
        with fsspec.open(path, "rt", encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                name = line.partition("#")[0].strip().lower()
                if not name:
                    continue
                domain = registered_domain(f"http://{name}/")
                if domain is None:
                    raise ValueError(
                        f"{path}, line {number}: {name!r} is not a site; expected a domain such as example.com"
                    )
                sites.add(domain)
    return frozenset(sites)
