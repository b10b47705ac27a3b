"""Plans worked out by hand, bounds, contradictions, and copies by hash."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from classifiers.category.labels import BALANCE_OF, GROUP_OF, GROUPS, LABELS
from pipeline.config import dump, load, parse
from pipeline.outputs import difference
from pipeline.schema import Document, to_table
from pipeline.tokenization.axes import OTHER, UNSURE
from pipeline.tokenization.mixture import PRESETS, Mixture
from pipeline.tokenization.plan import Cell, Count, Plan, copies, copy_hash, kth_least
from pipeline.tokenization.solver import solve

ROOT = Path(__file__).resolve().parents[3]
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
        ("source", "a", 0.75),  # what the mixture without bounds makes of them
        ("source", "b", 0.25),
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
        (lang, source, c): Count(9, round(rng.expovariate(1e-4)))
        for lang in ("zh", "en")
        for source in "abcde"
        for c in LABELS
    }
    shares = {**ONE_TO_ONE, "category": {c: rng.random() for c in LABELS}, "source": {"a": 2, "b": 1}}
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
        ({"preset": "repot"}, r"unknown preset 'repot' \(did you mean 'report'\?\)"),
        ({"weights": {"class": {}}}, "weights: unknown axis 'class'; there are: category, group, balance"),
        ({"weights": {"catgory": {}}}, "unknown axis 'catgory'; did you mean 'category'"),
        (
            {"weights": {"category": {"recipes": 1}}},
            "weights.category: unknown category 'recipes'; did you mean 'recipe'",
        ),
        ({"shares": {"group": {"fod": 1}}}, "shares.group: unknown group 'fod'; did you mean 'food'"),
        ({"weights": {"balance": {"food": 1}}}, "unknown balance 'food'"),
        ({"weights": {"quality_band": {"0.5-0.9": 1}}}, "unknown quality_band '0.5-0.9'; did you mean '0.5-0.8'"),
        ({"weights": {"category": {"recipe": -1}}}, "weights.category.recipe: expected a number >= 0, found -1"),
        ({"weights": {"language": {"zh": 2}}}, "language has target shares and weights"),
        ({"temperature": {"domain": 0.5}}, "temperature.domain: only named values of this axis are told apart"),
        ({"temperature": -1}, "temperature.category: expected a number from 0 to 10, found -1"),
        ({"quality_bands": [0.8, 0.5]}, "quality_bands: expected ascending numbers"),
    ],
)
def test_config_errors(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mixture.model_validate(data)


def test_count_errors() -> None:
    with pytest.raises(ValueError, match=r"names the axes \['language'\], but documents are counted by \['source'\]"):
        solve(Mixture(), ("source",), {})
    with pytest.raises(ValueError, match="has 2 values, expected one for each of"):
        solve(Mixture(), ("language",), {("zh", "a"): Count(1, 1)})
    with pytest.raises(ValueError, match="negative count"):
        solve(Mixture(), ("language",), {("zh",): Count(1, -1)})


def test_plan_as_data_and_as_table() -> None:
    p = plan({"zh": 10_000, "en": 100_000})
    data = json.loads(json.dumps(p.as_dict()))
    assert data["cells"][1] == {"cell": ["zh"], "documents": 101, "tokens": 10_000, "rate": 4.0} | {
        "extra": 0,
        "threshold": 0,
    }
    assert data["shares"][1]["share_after"] == pytest.approx(4 / 11, abs=1e-6)
    assert (data["tokens_before"], data["tokens_after"], data["converged"]) == (110_000, 110_000, True)
    assert p.table().splitlines() == [
        "             documents   tokens   before   target    after  tokens after  copies",
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


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0, 2.5, 4.0])
def test_copies_follow_the_rate_exactly(rate: float) -> None:
    counts = {("zh",): Count(len(IDS), 1_000)}
    p = solve(Mixture(token_budget=max(1, round(1_000 * rate))), ("language",), counts)
    hashes = copy_hash(IDS, 0)
    last = {cell: kth_least(hashes, k) for cell, k in p.sought().items()}
    (cell,) = p.with_hashes(last).cells
    n = copies(hashes, cell.base, cell.threshold)
    assert n.dtype == np.int32
    assert set(n.tolist()) <= {int(cell.rate), int(cell.rate) + 1}
    assert n.sum() == round(cell.rate * len(IDS))


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


@pytest.mark.parametrize("k", [1, 2, 6_200, len(IDS)])
def test_kth_least(k: int) -> None:
    hashes = copy_hash(IDS, 0)
    threshold = kth_least(hashes, k) + 1
    assert copies(hashes, 0, threshold).sum() == k
    assert kth_least(hashes[np.random.default_rng(1).permutation(len(IDS))], k) == threshold - 1


# --- weights ---

AXES = ("category", "group", "balance", "language")


def classed(tokens: dict[tuple[str | None, str], int]) -> dict[Cell, Count]:
    """Cells of (category, language), with their groups; documents of 100 tokens."""
    return {
        (c, GROUP_OF.get(c or ""), BALANCE_OF.get(c or ""), language): Count(n // 100, n)
        for (c, language), n in tokens.items()
    }


def after(p: Plan, axis: str, what: str = "share_after") -> dict[str | None, Any]:
    return {s.value: getattr(s, what) for s in p.shares if s.axis == axis}


def test_a_weight_is_a_factor_on_the_present_share() -> None:
    counts = classed({("recipe", "en"): 10_000, ("statute", "en"): 30_000, (None, "en"): 60_000})
    p = solve(Mixture(shares={}, weights={"category": {"recipe": 3}}), AXES, counts)
    expected = {"recipe": 30 / 120, "statute": 30 / 120, None: 60 / 120}
    assert after(p, "category") == pytest.approx(expected, abs=1e-6)
    assert after(p, "category", "target") == pytest.approx(expected, abs=1e-6)
    assert p.tokens_after == 100_000
    assert p.notes == ()


def test_weights_of_several_axes_multiply() -> None:
    counts = classed({("recipe", "en"): 10_000, ("restaurant_review", "en"): 10_000, ("statute", "en"): 80_000})
    weights = {"category": {"recipe": 3}, "group": {"food": 0.5}, "balance": {"public_and_law": 0.5}}
    p = solve(Mixture(shares={}, weights=weights), AXES, counts)
    worth = {"recipe": 10 * 3 * 0.5, "restaurant_review": 10 * 0.5, "statute": 80 * 0.5}
    assert after(p, "category") == pytest.approx({k: v / 60 for k, v in worth.items()}, abs=1e-6)


def test_weights_work_within_the_values_of_target_shares() -> None:
    tokens = {("recipe", "zh"): 10_000, ("statute", "zh"): 10_000, ("recipe", "en"): 20_000, ("statute", "en"): 60_000}
    p = solve(Mixture(shares=ONE_TO_ONE, weights={"category": {"recipe": 2}}), AXES, classed(tokens))
    assert after(p, "language") == pytest.approx({"zh": 0.5, "en": 0.5}, abs=1e-6)
    r = {(c.cell[0], c.cell[3]): c.rate for c in p.cells}
    assert r["recipe", "zh"] / r["statute", "zh"] == pytest.approx(2, rel=1e-6)
    assert r["recipe", "en"] / r["statute", "en"] == pytest.approx(2, rel=1e-6)
    assert after(p, "category")["recipe"] == pytest.approx(0.5 * 20 / 30 + 0.5 * 40 / 100, abs=1e-6)


def test_a_changed_weight_changes_shares_and_nothing_else() -> None:
    rng = random.Random(1)
    tokens = {(c, language): 100 * rng.randrange(50, 900) for c in (*LABELS[:80], None) for language in ("zh", "en")}
    counts = classed(tokens)
    one, two = (solve(Mixture(weights={"category": {LABELS[7]: w}}, max_copies=50), AXES, counts) for w in (1.0, 3.0))
    assert (two.tokens_after, two.tokens_wanted) == (one.tokens_after, one.tokens_wanted)
    assert after(two, "language") == pytest.approx(after(one, "language"), abs=1e-6)
    for language in ("zh", "en"):
        first = {c.cell[0]: c.rate for c in one.cells if c.cell[3] == language}
        second = {c.cell[0]: c.rate for c in two.cells if c.cell[3] == language}
        ratios = {c: second[c] / first[c] for c in first}
        others = {r for c, r in ratios.items() if c != LABELS[7]}
        assert max(others) - min(others) < 1e-6  # all other classes give up the same part
        assert ratios[LABELS[7]] / max(others) == pytest.approx(3, rel=1e-6)
    # the documents of other classes that are written are among those that were
    hashes = copy_hash(IDS, 0)
    for a, b in zip(one.cells, two.cells, strict=True):
        if a.cell[0] != LABELS[7]:
            of_cell = hashes[: a.documents]
            n = [copies(of_cell, c.base, kth_least(of_cell, c.extra) + 1 if c.extra else 0) for c in (a, b)]
            assert (n[1] <= n[0]).all()


def test_what_a_weight_cannot_reach_names_the_bound_and_leaves_the_nearest() -> None:
    tokens = {("recipe", "zh"): 1_000, ("statute", "zh"): 49_000, ("recipe", "en"): 1_000, ("statute", "en"): 49_000}
    p = solve(Mixture(shares=ONE_TO_ONE, weights={"category": {"recipe": 20}}), AXES, classed(tokens))
    assert after(p, "category", "target")["recipe"] == pytest.approx(20 / 69, abs=1e-6)
    assert after(p, "category")["recipe"] == pytest.approx(0.08, abs=1e-6)
    assert after(p, "language") == pytest.approx({"zh": 0.5, "en": 0.5}, abs=1e-6)
    assert p.notes == ("recipe is limited by max_copies=4: reaches 0.0800 of 0.2899 by category",)
    fewer = solve(
        Mixture(shares=ONE_TO_ONE, weights={"category": {"recipe": 20}}, prefer="shares"), AXES, classed(tokens)
    )
    assert after(fewer, "category")["recipe"] == pytest.approx(20 / 69, abs=1e-3)
    assert fewer.tokens_after == pytest.approx(8_000 * 69 / 20, rel=1e-2)


def test_a_bound_reached_in_one_language_is_not_forgotten_in_the_other() -> None:
    # Chinese is turned up, so its recipes meet max_copies; English recipes are still worth 8 times their neighbours.
    tokens = {("recipe", "zh"): 2_000, ("statute", "zh"): 28_000, ("recipe", "en"): 1_000, ("statute", "en"): 69_000}
    p = solve(Mixture(shares=ONE_TO_ONE, weights={"category": {"recipe": 8}}), AXES, classed(tokens))
    r = {(c.cell[0], c.cell[3]): c.rate for c in p.cells}
    assert r["recipe", "zh"] == 4
    assert r["recipe", "en"] == pytest.approx(min(4, 8 * r["statute", "en"]), rel=1e-6)
    assert after(p, "language") == pytest.approx({"zh": 0.5, "en": 0.5}, abs=1e-6)


def test_weight_zero_is_not_written() -> None:
    counts = classed({("seo_spam", "en"): 40_000, ("statute", "en"): 60_000})
    p = solve(Mixture(shares={}, weights={"category": {"seo_spam": 0}}), AXES, counts)
    assert {c.cell[0]: c.rate for c in p.cells} == {"seo_spam": 0, "statute": 1}
    assert p.tokens_after == 60_000


@pytest.mark.parametrize(
    ("t", "expected"), [(1.0, (0.8, 0.2)), (0.0, (0.5, 0.5)), (0.5, (2 / 3, 1 / 3)), (2.0, (16 / 17, 1 / 17))]
)
def test_temperature(t: float, expected: tuple[float, float]) -> None:
    counts = classed({("statute", "en"): 40_000, ("recipe", "en"): 10_000, (None, "en"): 50_000})
    p = solve(Mixture(shares={}, temperature={"category": t}), AXES, counts)
    shares = after(p, "category")
    assert (shares["statute"], shares["recipe"]) == pytest.approx([x / 2 for x in expected], abs=1e-6)
    assert shares[None] == pytest.approx(0.5, abs=1e-6)  # documents without a class keep their share


@pytest.mark.parametrize("seed", range(4))
def test_copies_of_a_class_are_what_was_planned_to_one_document(seed: int) -> None:
    rng = random.Random(seed)
    sources = ("a", "b", None)
    counts = {}
    ids: dict[Cell, list[str]] = {}
    for c in (*rng.sample(LABELS, 40), None):
        for language in ("zh", "en", None):
            for source in sources:
                cell = (c, language, source)
                n = rng.choice([0, 1, 2, 3, 7, 50])
                if n:
                    counts[cell] = Count(n, n * rng.randrange(10, 3_000))
                    ids[cell] = [f"{cell}/{i}" for i in range(n)]
    weights = {"category": {c: 3 * rng.random() for c in LABELS}, "source": {"a": 1.3}}
    p = solve(Mixture(shares=ONE_TO_ONE, weights=weights), ("category", "language", "source"), counts)
    hashes = {cell: copy_hash(names, seed) for cell, names in ids.items()}
    p = p.with_hashes({cell: kth_least(hashes[cell], k) for cell, k in p.sought().items()})
    written: dict[str | None, int] = {}
    planned: dict[str | None, float] = {}
    for c in p.cells:
        n = int(copies(hashes[c.cell], c.base, c.threshold).sum())
        assert abs(n - c.rate * c.documents) < 1
        written[c.cell[0]] = written.get(c.cell[0], 0) + n
        planned[c.cell[0]] = planned.get(c.cell[0], 0.0) + c.rate * c.documents
    assert len(written) > 30
    assert max(abs(written[c] - planned[c]) for c in written) <= 1
    assert abs(sum(written.values()) - sum(planned.values())) <= 0.5 + 1e-6


# --- presets, files, axes ---


def test_presets() -> None:
    report = Mixture.model_validate({"preset": "report", "weights": {"balance": {"fiction": 0.1}}})
    assert report.weights["balance"]["fiction"] == 0.1
    assert report.weights["balance"]["product_and_commerce"] == 0.5
    assert report.weights["balance"]["encyclopaedic"] == 2
    assert Mixture.model_validate({"preset": "natural"}) == Mixture()
    assert set(Mixture.model_validate({"preset": "uniform-groups"}).shares["group"]) == {g.id for g in GROUPS}
    assert Mixture.model_validate({"preset": "temperature"}).temperature == {"category": 0.5}
    assert Mixture.model_validate({"temperature": 0.3}).temperature == {"category": 0.3}
    assert Mixture.model_validate({"preset": "temperature", "temperature": {"category": None}}) == Mixture()
    assert set(PRESETS) == {"report", "natural", "uniform-groups", "temperature"}
    for name in PRESETS:  # what is stored needs neither preset nor file, and is read back as it is
        mixture = Mixture.model_validate({"preset": name})
        assert mixture.preset is None
        assert Mixture.model_validate(mixture.model_dump(mode="json")) == mixture


def test_report_preset_turns_knowledge_up_and_fiction_and_products_down() -> None:
    counts = classed({(c, "en"): 10_000 for c in LABELS})
    p = solve(Mixture.model_validate({"preset": "report", "shares": {"language": {"en": 1}}}), AXES, counts)
    up, down = after(p, "balance"), after(p, "balance", "share_before")
    moved = {b: up[b] / down[b] for b in up}
    assert min(moved[b] for b in ("encyclopaedic", "teaching", "scholarly", "popular_science", "technology")) > 1
    assert max(moved[b] for b in ("fiction", "product_and_commerce")) < 0.5
    assert p.notes == ()


def test_a_file_is_laid_under_the_keys_beside_it(tmp_path: Path) -> None:
    (tmp_path / "weights.yaml").write_text(
        "preset: report\nmax_copies: 2\nweights: {category: {recipe: 0.2, statute: 2}}\n"
    )
    data = {"file": "weights.yaml", "weights": {"category": {"recipe": 0.4}}}
    mixture = Mixture.model_validate(data, context={"folders": [str(tmp_path)]})
    assert mixture.weights["category"] == {"recipe": 0.4, "statute": 2}
    assert mixture.weights["balance"]["fiction"] == 0.5
    assert mixture.max_copies == 2
    assert mixture.file is None
    same = Mixture.model_validate({**data, "file": str(tmp_path / "weights.yaml")})
    assert same == mixture
    (tmp_path / "weights.yaml").write_text("wieghts: {}")
    with pytest.raises(ValidationError, match=r"unknown key 'wieghts' \(did you mean 'weights'\?\)"):
        Mixture.model_validate(data, context={"folders": [str(tmp_path)]})
    with pytest.raises(ValidationError, match=r"there is no '.*none.yaml' nor 'none.yaml'"):
        Mixture.model_validate({"file": "none.yaml"}, context={"folders": [str(tmp_path)]})
    with pytest.raises(ValidationError, match="there is no"):
        Mixture.model_validate({"file": "n" * 5000}, context={"folders": [str(tmp_path)]})
    with pytest.raises(ValidationError, match=r"'http://\[' is not a URL"):
        Mixture.model_validate({"file": "http://["}, context={"folders": [str(tmp_path)]})


def test_a_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    shutil.copy(ROOT / "configs" / "tokenization.yaml", tmp_path)
    shutil.copy(ROOT / "configs" / "category_weights.yaml", tmp_path)
    first = load(tmp_path / "tokenization.yaml")
    assert parse(dump(first)) == first
    assert first.fingerprint() == load(ROOT / "configs" / "tokenization.yaml").fingerprint()
    weights = tmp_path / "category_weights.yaml"
    before, category, after = weights.read_text().partition("\n  category: ")
    weights.write_text(f"{before}\n  balance: {{fiction: 0.3}}{category}{after}")
    changes = difference(first.fingerprint(), load(tmp_path / "tokenization.yaml").fingerprint())
    assert changes == ["steps.shards.parameters.mixture.weights.balance.fiction: 0.5 -> 0.3"]


def documents(*rows: dict[str, Any]) -> pa.Table:
    return to_table([Document(doc_id=f"{i:032x}", source_file="a", **row) for i, row in enumerate(rows)])


def scored(score: float) -> list[dict[str, Any]]:
    stored = round(score * 65_535)
    return [
        {"classifier": "web_type", "label": "good", "score": 1},
        {"classifier": "quality", "label": "poor", "score": 65_535 - stored},
        {"classifier": "quality", "label": "good", "score": stored},
    ]


def classes(**scores: float) -> list[dict[str, Any]]:
    return [{"classifier": "category", "label": name, "score": round(p * 65_535)} for name, p in scores.items()]


def test_weights_act_where_the_class_or_its_group_is_likely() -> None:
    rows = documents(
        {"category": "recipe", "scores": [*scored(0.9), *classes(recipe=0.6, statute=0.2)]},
        {"category": "recipe", "scores": classes(recipe=0.3, food_knowledge=0.25, statute=0.2)},  # the group is likely
        {"category": "recipe", "scores": classes(recipe=0.3, statute=0.2, retired_class=0.3)},
        {"category": "recipe", "scores": scored(0.9)},  # no scores of the class: taken at its word
        {"category": None, "scores": None},
    )
    weights = {"category": {"recipe": 2.0}, "group": {"food": 2.0}}
    axes = Mixture(weights=weights).table(rows).to_pydict()
    assert axes["category"] == ["recipe", UNSURE, UNSURE, "recipe", None]
    assert axes["group"] == ["food", "food", UNSURE, "food", None]
    at_all = Mixture(weights=weights, min_probability=0).table(rows).to_pydict()
    assert at_all["category"] == ["recipe"] * 4 + [None]
    # What no weight acts on is told by its class, as before.
    assert Mixture(weights={"group": {"food": 2.0}}).table(rows).to_pydict()["category"] == ["recipe"] * 4 + [None]
    assert "scores" not in Mixture().columns


def test_axes_of_documents() -> None:
    rows = documents(
        {"category": "recipe", "language": "zh", "domain": "a.com", "source": "s", "scores": scored(0.9)},
        {"category": None, "language": None, "domain": None, "source": None, "scores": None},
        {"category": "retired_class", "language": "fr", "domain": "b.com", "source": "t", "scores": scored(0.5)},
        {"category": "statute", "language": "en", "domain": "c.com", "source": "s", "scores": scored(0.4999)},
        {"category": "statute", "language": "en", "domain": "c.com", "source": "s", "scores": [scored(0.9)[0]]},
    )
    weights = {
        "balance": {"fiction": 1},
        "domain": {"a.com": 2},
        "source": {"s": 2},
        "quality_band": {"0.5-0.8": 2},
    }
    axes = Mixture(weights=weights).table(rows).to_pydict()
    assert axes == {
        "category": ["recipe", None, OTHER, "statute", "statute"],
        "group": ["food", None, OTHER, "law_government", "law_government"],
        "balance": ["life_and_practice", None, OTHER, "public_and_law", "public_and_law"],
        "language": ["zh", None, OTHER, "en", "en"],
        "source": ["s", None, OTHER, "s", "s"],
        "domain": ["a.com", None, OTHER, OTHER, OTHER],
        "quality_band": [">=0.8", None, "0.5-0.8", "<0.5", None],
    }
    assert next(iter(axes)) == "category"  # so that the cells of a class stand together
    plain = Mixture(shares={}).table(rows)
    assert plain.column_names == ["category", "group", "language"]
    assert plain["language"].to_pylist() == ["zh", None, "fr", "en", "en"]  # nothing is named: told apart as they are
    assert Mixture(weights=weights).table(rows.slice(3, 1))["quality_band"].to_pylist() == ["<0.5"]
    assert Mixture(weights=weights).table(rows.slice(0, 0)).num_rows == 0
