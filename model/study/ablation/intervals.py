"""Difference of two corpora in bits per byte of held-out text, with an interval.

What is compared is paired twice: models of one seed begin with the same weights, and all models are held to the same documents.
Two things could have come out otherwise, the seeds and the sites that were held out:

- **sites**: pages of a site resemble one another, so whole sites are drawn with replacement (cluster bootstrap), each draw
  giving the ratio of its bits and bytes;
- **seeds** are few, three to five, and a bootstrap over so few is too narrow (of five it takes 4/5 of the variance): to each draw
  comes the seeds' standard error times a number from Student's t with seeds - 1 degrees of freedom.

The interval is of the sum. A test holds its coverage to what it claims. It says nothing of other training pages, sizes or
lengths of training.

Shapes: S seeds, D documents, C sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from model.base.arrays import Floats


@dataclass(frozen=True)
class Difference:
    """Difference: bits per byte of B minus those of A; below 0, B is the better.

    :ivar by_seed: the difference of each pair of models.
    :ivar seeds_error: standard error of the mean over seeds.
    :ivar sites_error: standard deviation over draws of sites.
    """

    estimate: float
    low: float
    high: float
    by_seed: tuple[float, ...]
    seeds_error: float
    sites_error: float
    documents: int
    sites: int

    @property
    def clear(self) -> bool:
        """True if the interval does not hold 0."""
        return self.low > 0 or self.high < 0

    def as_dict(self) -> dict[str, Any]:
        """Give the fields as a dictionary for JSON."""
        return asdict(self) | {"by_seed": list(self.by_seed), "clear": self.clear}


def bits_per_byte(bits_SD: Floats, bytes_D: Floats) -> Floats:
    """Divide all bits of each seed by all bytes, so long documents count more; `(S,)`."""
    ratio_S: Floats = bits_SD.sum(1) / bytes_D.sum()
    return ratio_S


def difference(
    a_SD: Floats,
    b_SD: Floats,
    bytes_D: Floats,
    sites: Sequence[str],
    *,
    draws: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """Estimate B minus A, with an interval.

    :param a_SD: bits of each document, row s of both from models of seed s.
    :param sites: of each document; '' is a site of its own.
    :raises ValueError: shapes that do not fit, or fewer than two seeds.
    """
    if a_SD.shape != b_SD.shape or a_SD.shape[1] != len(bytes_D) or len(bytes_D) != len(sites):
        raise ValueError(
            f"bits {a_SD.shape} and {b_SD.shape}, bytes {bytes_D.shape}, {len(sites)} sites: expected one D"
        )
    seeds = len(a_SD)
    if seeds < 2:
        raise ValueError(f"an interval needs two seeds, found {seeds}")
    names = [s or f"\0{i}" for i, s in enumerate(sites)]
    _, cluster_D = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    clusters = int(cluster_D.max()) + 1
    mean_C = np.bincount(cluster_D, (b_SD - a_SD).mean(0), clusters)
    bytes_C = np.bincount(cluster_D, bytes_D, clusters)
    by_seed = bits_per_byte(b_SD, bytes_D) - bits_per_byte(a_SD, bytes_D)

    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = np.empty(draws)
    for begin in range(0, draws, 1000):  # a thousand draws at once: memory stays small with many sites
        weights = rng.multinomial(clusters, np.full(clusters, 1 / clusters), min(1000, draws - begin))
        drawn[begin : begin + len(weights)] = (weights @ mean_C) / (weights @ bytes_C)
    seeds_error = float(by_seed.std(ddof=1) / np.sqrt(seeds))
    both = drawn + seeds_error * rng.standard_t(seeds - 1, draws)
    low, high = np.quantile(both, [(1 - level) / 2, (1 + level) / 2])
    return Difference(
        estimate=float(by_seed.mean()),
        low=float(low),
        high=float(high),
        by_seed=tuple(float(x) for x in by_seed),
        seeds_error=seeds_error,
        sites_error=float(drawn.std(ddof=1)),
        documents=len(bytes_D),
        sites=clusters,
    )
