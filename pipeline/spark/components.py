"""Connected components where the edges do not fit on one machine: alternating large-star and small-star.

Kiveris, Lattanzi, Mirrokni, Rastogi, Vassilvitskii: Connected Components in MapReduce and Beyond (SoCC 2014), algorithm 1.
Each round makes every node point to the least neighbour that it knows of; O(log^2 n) rounds are enough.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

MAX_ROUNDS = 60


def star(edges: DataFrame, store: Callable[[DataFrame], DataFrame], max_rounds: int = MAX_ROUNDS) -> DataFrame:
    """The least id of the component of each node that is not that least node itself.

    :param edges: columns `a` and `b`, 64-bit ids.
    :param store: writes a table of two 64-bit columns down and reads it back: the plan of a round would else hold that of all
        rounds before it, twice over each time.
    :returns: columns `node` and `root`.
    :raises RuntimeError: if it has not converged after `max_rounds` rounds.
    """
    # Edges are kept as (node, neighbour) with neighbour < node.
    greater, less = F.greatest("a", "b").alias("node"), F.least("a", "b").alias("neighbour")
    now = store(edges.where("a != b").select(greater, less).distinct())
    before = _mark(now)
    for _ in range(max_rounds):
        now = store(_small_star(_large_star(now)))
        mark = _mark(now)
        if mark == before:
            return now.select("node", F.col("neighbour").alias("root"))
        before = mark
    raise RuntimeError(f"components did not converge within {max_rounds} rounds of {before[0]} edges")


def _large_star(edges: DataFrame) -> DataFrame:
    """Connect the greater neighbours of each node to its least neighbour (or itself, if that is less)."""
    both = edges.select("node", "neighbour").union(edges.select("neighbour", "node"))
    least = both.groupBy("node").agg(F.least(F.min("neighbour"), F.col("node")).alias("least"))
    joined = both.join(least, "node").where("neighbour > node")
    return joined.select(F.col("neighbour").alias("node"), F.col("least").alias("neighbour")).distinct()


def _small_star(edges: DataFrame) -> DataFrame:
    """Connect each node and its lesser neighbours to the least of them."""
    least = edges.groupBy("node").agg(F.min("neighbour").alias("least"))
    joined = edges.join(least, "node").where("neighbour != least")
    lesser = joined.select(F.col("neighbour").alias("node"), F.col("least").alias("neighbour"))
    return lesser.union(least.select("node", F.col("least").alias("neighbour"))).distinct()


def _mark(edges: DataFrame) -> tuple[int, int, int]:
    """Checksum of edges, to tell whether two rounds have the same: their number, and two sums."""
    row = edges.agg(
        F.count("*").alias("n"),
        F.sum(F.xxhash64("node", "neighbour").cast("decimal(38,0)")).alias("hashes"),
        F.sum(F.col("neighbour").cast("decimal(38,0)")).alias("least"),
    ).collect()[0]
    return int(row.n), int(row.hashes or 0), int(row.least or 0)
