"""Components on one machine and over Spark: the same, and an end or a clear failure."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from pipeline.rule_based.components import roots
from pipeline.spark.components import star


def graph(nodes: int, chain: int, seed: int) -> list[tuple[int, int]]:
    """Edges of a random forest of small trees, one large star, and a chain with its ids in random order."""
    chance = random.Random(seed)
    ids = list(range(nodes))
    chance.shuffle(ids)
    line, remaining = ids[:chain], ids[chain:]
    edges = list(zip(line[1:], line[:-1], strict=True))
    hub, remaining = remaining[: len(remaining) // 3], remaining[len(remaining) // 3 :]
    edges += [(hub[0], node) for node in hub[1:]]
    while remaining:
        size = min(len(remaining), chance.randrange(1, 9))
        tree, remaining = remaining[:size], remaining[size:]
        edges += [(tree[i], tree[chance.randrange(i)]) for i in range(1, size)]
    chance.shuffle(edges)
    return [(b, a) if chance.random() < 0.5 else (a, b) for a, b in edges]


def by_search(edges: list[tuple[int, int]]) -> dict[int, int]:
    """The least node of each node's component, by walking the graph."""
    neighbours: dict[int, list[int]] = {}
    for a, b in edges:
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    least: dict[int, int] = {}
    for start in sorted(neighbours):
        if start in least:
            continue
        reached, least[start] = [start], start
        while reached:
            for other in neighbours[reached.pop()]:
                if other not in least:
                    least[other] = start
                    reached.append(other)
    return least


def on_driver(edges: list[tuple[int, int]]) -> dict[int, int]:
    a, b = np.array(edges, np.int64).reshape(-1, 2).T.copy()
    nodes, least = roots(a, b)
    return dict(zip(nodes.tolist(), least.tolist(), strict=True))


def over_spark(spark: Any, edges: list[tuple[int, int]], **options: Any) -> dict[int, int]:
    frame = spark.createDataFrame(edges, "a long, b long")
    table = star(frame, lambda rows: rows.localCheckpoint(), **options).toArrow()
    nodes = {n for edge in edges for n in edge}
    return {n: n for n in nodes} | dict(zip(table["node"].to_pylist(), table["root"].to_pylist(), strict=True))


def test_least_id_of_each_component() -> None:
    assert on_driver([(7, 3), (3, 9), (5, 5), (4, 8)]) == {3: 3, 7: 3, 9: 3, 5: 5, 4: 4, 8: 4}
    assert on_driver([]) == {}
    edges = graph(20_000, 3_000, 1)
    assert on_driver(edges) == by_search(edges)


@pytest.mark.long
def test_spark_and_driver_agree_on_100k_nodes_with_a_10k_chain(spark: Any) -> None:
    """Components that were wrong or never ended: graphframes#159, #872, splink#466."""
    edges = graph(100_000, 10_000, 3)
    assert over_spark(spark, edges) == on_driver(edges)


def test_a_graph_that_needs_more_rounds_fails_clearly(spark: Any) -> None:
    edges = [(i, i + 1) for i in range(64)]
    with pytest.raises(RuntimeError, match=r"components did not converge within 1 rounds of \d+ edges"):
        over_spark(spark, edges, max_rounds=1)
