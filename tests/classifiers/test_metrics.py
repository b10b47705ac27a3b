"""How classifiers are judged: each figure against a count by hand or by brute force."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.metrics import accuracy, auc, by_class, calibration, interval, kappa, macro_f1, precision_at_recall

ROWS = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 4)), min_size=1, max_size=25)


def columns(rows: list[tuple[int, bool, int]]) -> tuple[Any, Any, Any]:
    scores, labels, weights = zip(*rows, strict=True)
    return np.array(scores) / 5, np.array(labels), np.array(weights, float)


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[int, bool, int]]) -> None:
    scores, labels, weights = columns(rows)
    for given_weights in (None, weights):
        won = every = 0.0
        for i in np.flatnonzero(labels):
            for j in np.flatnonzero(~labels):
                pair = 1.0 if given_weights is None else weights[i] * weights[j]
                every += pair
                won += pair * (1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0)
        got = auc(scores, labels, given_weights)
        assert got == pytest.approx(won / every) if every else math.isnan(got)


def test_auc_of_one_class_is_not_a_number() -> None:
    assert math.isnan(auc(np.array([0.1, 0.2]), np.array([True, True])))
    assert math.isnan(auc(np.array([0.1, 0.2]), np.array([False, False])))
    assert math.isnan(auc(np.array([]), np.array([], bool)))


def test_kappa_by_hand() -> None:
    """25 of 50 said yes by one, 30 by the other; they agree on 35: 0.7 seen, 0.5 by chance."""
    a = ["yes"] * 25 + ["no"] * 25
    b = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert kappa(a, b) == pytest.approx(0.4)
    assert kappa(b, a) == pytest.approx(0.4)
    assert kappa([True, False], [False, True]) == pytest.approx(-1.0)


def test_weighted_kappa_by_hand() -> None:
    """Squared distances 0, 1, 0, 4: 1.25 in the mean; by chance 1/4 + 1/8 + 4/8 + 1/8 = 1."""
    a, b = [0, 0, 1, 2], [0, 1, 1, 0]
    assert kappa(a, b, order=[0, 1, 2]) == pytest.approx(-0.25)
    assert kappa(a, b, order=[0, 1, 2, 3]) == pytest.approx(-0.25), "values that nobody gave change nothing"
    first, near, far = [0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 1, 2], [0, 1, 2, 2, 1, 2]
    assert kappa(first, near, order=[0, 1, 2]) > kappa(first, far, order=[0, 1, 2])


def test_kappa_of_equal_annotations() -> None:
    values = ["a", "b", "c", "a"]
    assert kappa(values, values) == 1.0
    assert kappa([3, 1, 0], [3, 1, 0], order=[0, 1, 2, 3]) == 1.0
    assert kappa(["a", "a"], ["a", "a"]) == 1.0, "nothing to disagree about"
    with pytest.raises(ValueError, match="shorter"):
        kappa(["a", "b"], ["a"])


def test_kappa_by_chance_is_nearly_nothing() -> None:
    random = np.random.default_rng(0)
    a, b = random.integers(0, 3, (2, 5000)).tolist()
    assert abs(kappa(a, b)) < 0.05
    assert abs(kappa(a, b, order=[0, 1, 2])) < 0.05


def test_calibration_by_hand() -> None:
    p = np.array([0.05, 0.12, 0.18, 0.95, 1.0, 1.0, 0.0])
    right = np.array([False, True, False, True, True, False, False])
    error, table = calibration(p, right)
    assert table == [
        {"said": 0.025, "true": 0.0, "pages": 2},
        {"said": 0.15, "true": 0.5, "pages": 2},
        {"said": pytest.approx(0.983, abs=1e-9), "true": 0.667, "pages": 3},
    ]
    assert error == pytest.approx((2 * 0.025 + 2 * 0.35 + 3 * abs(2.95 / 3 - 2 / 3)) / 7)


def test_calibration_of_honest_and_of_boastful_scores() -> None:
    p = np.random.default_rng(1).random(20_000)
    right = np.random.default_rng(2).random(20_000) < p
    assert calibration(p, right)[0] < 0.02
    assert calibration(np.full(100, 0.9), np.arange(100) < 50)[0] == pytest.approx(0.4)
    assert calibration(np.array([]), np.array([], bool)) == (0.0, [])


@settings(max_examples=150, deadline=None)
@given(ROWS, st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
def test_precision_at_recall_is_the_best_of_all_thresholds(rows: list[tuple[int, bool, int]], recall: float) -> None:
    scores, labels, _ = columns(rows)
    best = -1.0
    for threshold in set(scores.tolist()):
        said = scores >= threshold
        if labels[said].sum() >= recall * labels.sum() - 1e-9:
            best = max(best, float(labels[said].mean()))
    precision, threshold = precision_at_recall(scores, labels, recall)
    assert precision == pytest.approx(best)
    said = scores >= threshold
    assert float(labels[said].mean()) == pytest.approx(precision)
    assert labels[said].sum() >= recall * labels.sum() - 1e-9


def test_accuracy_and_figures_of_classes_by_hand() -> None:
    wanted = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    said = np.array([0, 0, 0, 1, 1, 0, 1, 1])
    assert accuracy(said, wanted) == 0.5
    assert by_class(said, wanted, ("a", "b", "c", "d")) == {
        "a": {"precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 4},
        "b": {"precision": 0.25, "recall": 0.5, "f1": 0.3333, "support": 2},
        "c": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 2},
        "d": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0},
    }
    assert macro_f1(said, wanted, [0, 1, 2]) == pytest.approx((3 / 4 + 1 / 3 + 0) / 3)
    assert macro_f1(said, wanted, [0, 1]) == pytest.approx((3 / 4 + 1 / 3) / 2)
    assert macro_f1(wanted, wanted, [0, 1, 2]) == 1.0


def test_the_interval_holds_the_figure_and_repeats_itself() -> None:
    random = np.random.default_rng(5)
    labels = random.random(400) < 0.5
    scores = labels * 0.5 + random.random(400)
    groups = [f"site{i // 8}" for i in range(400)]
    point = auc(scores, labels)
    low, high = interval(auc, (scores, labels), groups, times=300, seed=1)
    assert low < point < high
    assert 0.0 < high - low < 0.15
    assert (low, high) == (round(low, 4), round(high, 4))
    assert interval(auc, (scores, labels), groups, times=300, seed=1) == (low, high)
    assert interval(auc, (scores, labels), groups, times=300, seed=2) != (low, high)


def test_the_interval_draws_sites_not_pages() -> None:
    """Ten sites whose pages are all right or all wrong tell less than two hundred sites."""
    said = np.repeat([1, 0] * 5, 20)
    wanted = np.ones(200, np.int64)
    of_sites = interval(accuracy, (said, wanted), [str(i // 20) for i in range(200)], times=300)
    of_pages = interval(accuracy, (said, wanted), [str(i) for i in range(200)], times=300)
    assert of_sites[1] - of_sites[0] > 3 * (of_pages[1] - of_pages[0])
    assert interval(accuracy, (said, wanted), ["one"] * 200, times=10) == (0.5, 0.5)
