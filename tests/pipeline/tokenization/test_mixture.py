"""Plans worked out by hand, bounds, contradictions, and copies by hash."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.tokenization.mixture import Count, Mixture, Plan, copies, copy_hash, exact_threshold, solve

ONE_TO_ONE: dict[str, dict[str, float]] = {"language": {"zh": 1, "en": 1}}


def plan(tokens: dict[Any, int], axes: tuple[str, ...] = ("language",), **options: Any) -> Plan:
    counts = {cell if isinstance(cell, tuple) else (cell,): Count(n // 100 + 1, n) for cell, n in tokens.items()}
    return solve(Mixture(**options), axes, counts)


def rates(p: Plan) -> dict[Any, float]:
    return {c.cell if len(c.cell) > 1 else c.cell[0]: c.rate for c in p.cells}


@pytest.mark.parametrize(
    ("tokens", "options", "expected", "total", "notes"),
    [
        # as many tokens as there are, in equal shares
        ({"zh": 30_000, "en": 100_000}, {}, {"zh": 65 / 30, "en": 0.65}, 130_000, []),
        ({"zh": 500, "en": 500}, {}, {"zh": 1, "en": 1}, 1_000, []),
        # max_copies binds: the other fills up ...
        (
            {"zh": 10_000, "en": 100_000},
            {},
            {"zh": 4, "en": 0.7},
            110_000,
            [
                "en fills up what others lack: reaches 0.6364 of 0.5000 by language",
                "zh is limited by max_copies=4: reaches 0.3636 of 0.5000 by language",
            ],
        ),
        # ... just at the bound it does not
        ({"zh": 10_000, "en": 70_000}, {}, {"zh": 4, "en": 40 / 70}, 80_000, []),
        ({"zh": 30_000, "en": 100_000}, {"max_copies": 1}, {"zh": 1, "en": 1}, 130_000, None),
        # shares before total
        (
            {"zh": 10_000, "en": 100_000},
            {"prefer": "shares"},
            {"zh": 4, "en": 0.4},
            80_000,
            ["80,016 of 110,000 tokens: a larger total would break the shares (prefer: shares)"],
        ),
        ({"zh": 30_000, "en": 100_000}, {"prefer": "shares", "max_copies": 1}, {"zh": 1, "en": 0.3}, 60_000, None),
        # a budget
        ({"zh": 300, "en": 1_000}, {"token_budget": 260}, {"zh": 13 / 30, "en": 0.13}, 260, []),
        (
            {"zh": 300, "en": 1_000},
            {"token_budget": 10_000},
            {"zh": 4, "en": 4},
            5_200,
            [
                "en fills up what others lack: reaches 0.7692 of 0.5000 by language",
                "zh is limited by max_copies=4: reaches 0.2308 of 0.5000 by language",
                "5,200 of 10,000 tokens: max_copies=4 allows no more",
            ],
        ),
        # values that are not named, and documents without a value
        ({"zh": 200, "en": 200, "fr": 90, None: 10}, {}, {"zh": 1, "en": 1, "fr": 1, None: 1}, 500, []),
        ({"zh": 100, "en": 300, "fr": 100}, {}, {"zh": 2, "en": 2 / 3, "fr": 1}, 500, []),
        (
            {"zh": 200, "en": 200, "fr": 90, None: 10},
            {"missing": "drop"},
            {"zh": 1, "en": 1, "fr": 0, None: 0},
            400,
            [],
        ),
        # a language that is not there
        (
            {"en": 700},
            {},
            {"en": 1},
            700,
            [
                "en fills up what others lack: reaches 1.0000 of 0.5000 by language",
                "zh has no tokens: reaches 0.0000 of 0.5000 by language",
            ],
        ),
        # shares of 0, and no shares at all
        ({"zh": 100, "en": 100}, {"shares": {"language": {"zh": 1, "en": 0}}}, {"zh": 1, "en": 0}, 100, []),
        ({"zh": 100, "en": 300}, {"shares": {}}, {"zh": 1, "en": 1}, 400, []),
        ({}, {}, {}, 0, None),
    ],
)
def test_one_axis(
    tokens: dict[Any, int],
    options: dict[str, Any],
    expected: dict[Any, float],
    total: int,
    notes: list[str] | None,
) -> None:
    p = plan(tokens, **options)
    assert rates(p) == pytest.approx(expected, rel=1e-3 if options.get("prefer") else 1e-6)
    assert p.tokens_after == pytest.approx(total, rel=1e-3)
    assert p.converged
    if notes is not None:
        assert list(p.notes) == notes


def test_two_axes_are_both_reached() -> None:
    tokens = {("zh", "a"): 30_000, ("zh", "b"): 1_000, ("en", "a"): 60_000, ("en", "b"): 20_000}
    shares = {**ONE_TO_ONE, "source": {"a": 1, "b": 1}}
    p = plan(tokens, ("language", "source"), shares=shares)
    assert p.notes == ()
    assert {(s.axis, s.value): s.share_after for s in p.shares} == pytest.approx(
        {("language", "en"): 0.5, ("language", "zh"): 0.5, ("source", "a"): 0.5, ("source", "b"): 0.5}, abs=1e-4
    )
    assert max(c.rate for c in p.cells) <= 4


def test_raking_keeps_the_odds_where_no_bound_binds() -> None:
    tokens = {("zh", "a"): 300, ("zh", "b"): 100, ("en", "a"): 600, ("en", "b"): 400}
    shares = {**ONE_TO_ONE, "source": {"a": 1, "b": 1}}
    p = plan(tokens, ("language", "source"), shares=shares, max_copies=100)
    r = rates(p)  # of all rates with these margins raking finds those that keep the odds ratio of the counts
    assert (r["zh", "a"] * r["en", "b"]) / (r["zh", "b"] * r["en", "a"]) == pytest.approx(1, rel=1e-4)
    assert p.notes == ()


@pytest.mark.parametrize("prefer", ["total", "shares"])
def test_contradicting_targets_give_the_nearest_and_say_so(prefer: str) -> None:
    shares = {**ONE_TO_ONE, "source": {"a": 1, "b": 3}}
    p = plan({("zh", "a"): 30_000, ("en", "b"): 60_000}, ("language", "source"), shares=shares, prefer=prefer)
    # zh and a are the same documents: shares 1/2 and 1/4 cannot both be; the nearest in divergence is between them
    share = p.rates()["zh", "a"].rate * 30_000 / p.tokens_after
    assert share == pytest.approx(1 / (1 + 3**0.5), abs=1e-4)  # geometric mean of the odds 1 : 1 and 1 : 3
    assert p.converged
    assert len(p.notes) == 4
    assert "zh is limited by the targets of other values or columns: reaches 0.3660 of 0.5000 by language" in p.notes


def test_axes_without_targets_are_reported_only() -> None:
    p = plan({("zh", "a"): 100, ("zh", "b"): 100, ("en", "a"): 200}, ("language", "source"), shares=ONE_TO_ONE)
    assert [(s.axis, s.value, s.target) for s in p.shares] == [
        ("language", "en", 0.5),
        ("language", "zh", 0.5),
        ("source", "a", None),
        ("source", "b", None),
    ]


def test_same_plan_for_any_order_of_the_counts() -> None:
    rng = random.Random(3)
    cells = [(a, b) for a in ("zh", "en", "fr", None) for b in "abcdefg"]
    counts = {cell: Count(5, rng.randrange(1, 10_000)) for cell in cells}
    mixture = Mixture(shares={**ONE_TO_ONE, "source": {"a": 1, "b": 2, "c": 0.1}})
    first = solve(mixture, ("language", "source"), counts)
    for _ in range(5):
        rng.shuffle(cells)
        assert solve(mixture, ("language", "source"), {c: counts[c] for c in cells}) == first


def test_many_cells() -> None:
    rng = random.Random(5)
    counts = {
        (lang, source, str(c)): Count(9, round(rng.expovariate(1e-4)))
        for lang in ("zh", "en")
        for source in "abcde"
        for c in range(200)
    }
    shares = {**ONE_TO_ONE, "category": {str(c): rng.random() for c in range(200)}, "source": {"a": 2, "b": 1}}
    p = solve(Mixture(shares=shares), ("language", "source", "category"), counts)
    assert p.converged
    assert p.notes == ()
    assert all(abs(s.share_after - s.target) < 1e-4 for s in p.shares if s.target is not None and s.share_after)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"shares": {"language": {"zh": -1, "en": 1}}}, "shares.language.zh: expected a number >= 0, found -1"),
        ({"shares": {"language": {"zh": 0}}}, "expected at least one value with a share above 0"),
        ({"shares": {"language": {}}}, "expected at least one value with a share above 0"),
        ({"max_copies": 0.5}, "greater than or equal to 1"),
        ({"token_budget": 0}, "greater than 0"),
        ({"budget": 5}, "unknown key 'budget'"),
    ],
)
def test_config_errors(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mixture.model_validate(data)


def test_count_errors() -> None:
    with pytest.raises(
        ValueError, match=r"names the columns \['language'\], but documents are counted by \['source'\]"
    ):
        solve(Mixture(), ("source",), {})
    with pytest.raises(ValueError, match="has 2 values, expected one for each of"):
        solve(Mixture(), ("language",), {("zh", "a"): Count(1, 1)})
    with pytest.raises(ValueError, match="negative count"):
        solve(Mixture(), ("language",), {("zh",): Count(1, -1)})


def test_plan_as_data_and_as_table() -> None:
    p = plan({"zh": 10_000, "en": 100_000})
    data = json.loads(json.dumps(p.as_dict()))
    assert data["cells"][1] == {"cell": ["zh"], "documents": 101, "tokens": 10_000, "rate": 4.0}
    assert data["shares"][1]["share_after"] == pytest.approx(4 / 11, abs=1e-6)
    assert (data["tokens_before"], data["tokens_after"], data["converged"]) == (110_000, 110_000, True)
    assert p.table().splitlines() == [
        "             documents   tokens    share   target    after  tokens after  copies",
        "language en      1,001  100,000  90.91 %  50.00 %  63.64 %        70,000   0.700",
        "language zh        101   10,000   9.09 %  50.00 %  36.36 %        40,000   4.000",
        "all              1,102  110,000                                  110,000   1.000",
        "note: en fills up what others lack: reaches 0.6364 of 0.5000 by language",
        "note: zh is limited by max_copies=4: reaches 0.3636 of 0.5000 by language",
    ]


# --- copies ---

IDS = [f"{i:032x}" for i in range(20_000)]


def test_copy_hash_is_fixed() -> None:
    # Published shards depend on it: a changed value is a new schema version.
    assert copy_hash(["0" * 32, "f" * 32], seed=7).tolist() == [14823158137874311914, 2480624105334723483]
    assert copy_hash(["0" * 32], seed=8)[0] != 14823158137874311914


@pytest.mark.parametrize("zh_rate", [0.0, 0.25, 1.0, 2.5, 4.0])
def test_copies_follow_the_rate(zh_rate: float) -> None:
    cell = plan({"zh": 1_000, "en": 0}, token_budget=max(1, round(1_000 * zh_rate))).rates()[("zh",)]
    n = copies(copy_hash(IDS, 0), cell.base, cell.threshold)
    assert n.dtype == np.int32
    assert set(n.tolist()) <= {int(cell.rate), int(cell.rate) + 1}
    assert n.mean() == pytest.approx(cell.rate, abs=0.015)  # 4 standard errors of 20,000 draws


def test_copies_depend_on_neither_batch_nor_order_and_grow_with_the_rate() -> None:
    hashes = copy_hash(IDS, 1)
    low, high = 3 << 61, 7 << 61
    whole = copies(hashes, 1, low)
    assert np.array_equal(copies(copy_hash(IDS[::-1], 1), 1, low), whole[::-1])
    assert np.array_equal(np.concatenate([copies(hashes[:7], 1, low), copies(hashes[7:], 1, low)]), whole)
    assert (copies(hashes, 1, high) >= whole).all()
    assert not np.array_equal(copies(copy_hash(IDS, 2), 1, low), whole)


def test_ends_of_the_range() -> None:
    hashes = np.array([0, 2**64 - 1], dtype=np.uint64)
    assert copies(hashes, 0, 0).tolist() == [0, 0]
    assert copies(hashes, 0, 1).tolist() == [1, 0]
    assert copies(hashes, 0, 2**64).tolist() == [1, 1]


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.31, 0.5, 0.9999, 1.0])
def test_exact_threshold(fraction: float) -> None:
    hashes = copy_hash(IDS, 0)
    ones = np.ones(len(IDS), dtype=np.int64)
    tokens = np.random.default_rng(0).integers(1, 5_000, len(IDS))
    for weights, most in ((ones, 0.5), (tokens, 2_500)):
        threshold = exact_threshold(hashes, weights, fraction)
        below = int(weights[copies(hashes, 0, threshold) == 1].sum())
        assert abs(below - fraction * weights.sum()) <= most
        mixed = np.random.default_rng(1).permutation(len(IDS))
        assert exact_threshold(hashes[mixed], weights[mixed], fraction) == threshold


def test_exact_threshold_of_equal_hashes_and_of_nothing() -> None:
    hashes = np.array([5, 5, 9], dtype=np.uint64)
    assert exact_threshold(hashes, np.array([1, 1, 1]), 0.4) == 6
    assert exact_threshold(hashes, np.array([1, 1, 1]), 1.0) == 10
    assert exact_threshold(hashes[:0], np.array([], dtype=np.int64), 0.5) == 0
