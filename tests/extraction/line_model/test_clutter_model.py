"""The line model: trees, linear scores, the cut, the shipped weights."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.boosting import exported
from classifiers.clutter import linear
from classifiers.clutter.linear import Hashed
from classifiers.clutter.reference import numbers
from classifiers.metrics import auc
from extraction.line_model import features as f
from extraction.line_model import kinds
from extraction.line_model.model import FORMS, column_names, features, load, region_columns
from extraction.line_model.regions import COLUMNS
from extraction.line_model.trees import evaluate
from extraction.lines import scan, scan_text
from extraction.lines.columns import E, L

PAGE = """<html><head><title>The river</title></head><body class="home main-page">
<nav class="menu"><ul><li><a href="/">Home</a></li><li><a href="/a">About us</a></li><li><a href="/c">Contact</a></li></ul></nav>
<article class="post-content"><h1>The river</h1>{}</article>
<footer id="footer"><p>Copyright 2024 Example. All rights reserved.</p><a href="/p">Privacy</a></footer></body></html>"""
SENTENCES = [
    "The river rises in the hills, and flows for ninety miles to the sea, past seven towns and a mill.",
    "In spring, when the snow melts, it floods the lower meadows; farmers have built dykes against it.",
    "这条河发源于山区，流经七座城镇和一座磨坊，最后注入大海。沿岸的居民世代以捕鱼为生。",
    "Fishermen tell that the water was once so clear that one could count the stones on its bed.",
]
HTML = PAGE.format("".join(f"<p>{s}</p>" for s in SENTENCES * 2)).encode()


def node(feature: int, threshold: float, left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    return {
        "split_feature": feature,
        "threshold": threshold,
        "decision_type": "<=",
        "left_child": left,
        "right_child": right,
    }


def leaf(value: float) -> dict[str, Any]:
    return {"leaf_value": value}


def walk(tree: dict[str, Any], row: Any) -> float:
    while "leaf_value" not in tree:
        tree = tree["left_child"] if row[tree["split_feature"]] <= tree["threshold"] else tree["right_child"]
    return float(tree["leaf_value"])


def test_exported_trees_decide_as_the_originals() -> None:
    deep = node(
        0, 0.5, node(1, -1.0, leaf(1.0), node(2, 0.1, leaf(2.0), leaf(3.0))), node(2, 1 / 3, leaf(4.0), leaf(5.0))
    )
    trees = [deep, leaf(0.25), node(2, 0.1, leaf(-1.0), leaf(1.0))]
    packed = exported([{"tree_structure": tree} for tree in trees])
    # the thresholds themselves are among the values: float32(0.1) is above 0.1
    values = [-1.0, 0.1, 0.5, 1 / 3, np.nextafter(np.float32(0.1), np.float32(0)), 2.0]
    rows = np.array(list(itertools.product(values, repeat=3)), np.float32)
    out = evaluate(packed, rows)
    assert out.tolist() == [sum(walk(tree, row) for tree in trees) for row in rows.tolist()]
    assert len(set(out.tolist())) > 6


def test_a_tree_has_at_most_32_leaves() -> None:
    tree = leaf(0.0)
    for i in range(31):
        tree = node(0, float(i + 1), tree, leaf(float(i + 1)))
    rows = np.arange(-0.5, 33, dtype=np.float32)[:, None]
    packed = exported([{"tree_structure": tree}])
    assert evaluate(packed, rows).tolist() == [walk(tree, row) for row in rows.tolist()]
    assert len(set(evaluate(packed, rows).tolist())) == 32
    with pytest.raises(ValueError, match="tree 0 has more than 32 leaves"):
        evaluate(exported([{"tree_structure": node(0, 50.0, tree, leaf(50.0))}]), rows)


def test_a_tree_that_asks_otherwise_is_refused() -> None:
    tree = node(0, 0.5, leaf(1.0), leaf(2.0)) | {"decision_type": "=="}
    with pytest.raises(ValueError, match="a tree asks '=='"):
        exported([{"tree_structure": tree}])


def test_linear_scores_are_those_that_training_sees() -> None:
    page = scan(HTML)
    n = len(page.lines)
    random = np.random.default_rng(1)
    weights = random.normal(size=1 << f.BITS).astype(np.float32)
    out = np.zeros(20_000, np.uint32)
    starts = np.zeros(n + 1, np.int64)
    for kind in ("attributes", "words"):
        got = np.zeros(n, np.float32)
        if kind == "attributes":
            f.attribute_hashes(page.elements, page.tokens, page.lines, out, starts)
            f.score_attributes(page.elements, page.tokens, page.lines, weights, np.float32(0.25), got)
        else:
            f.word_hashes(page.lines, page.words, out, starts)
            f.score_words(page.lines, page.words, weights, np.float32(0.25), got)
        for i in range(n):
            of_line = weights[out[starts[i] : starts[i + 1]]].astype(np.float64)
            assert got[i] == pytest.approx(of_line.sum() / np.sqrt(len(of_line)) + 0.25, abs=1e-4), (kind, i)


def test_scores_of_kinds_are_those_that_training_sees() -> None:
    page = scan(HTML)
    columns = region_columns(page, load().first_scores(page))
    weights = np.random.default_rng(2).normal(size=(1 << kinds.KIND_BITS, len(kinds.KINDS))).astype(np.float32)
    bias = np.linspace(-1, 1, len(kinds.KINDS), dtype=np.float32)
    marks = np.zeros(20_000, np.uint32)
    starts = np.zeros(len(page.lines) + 1, np.int64)
    kinds.kind_marks(page.elements, page.tokens, page.lines, page.words, columns, marks, starts)
    of_lines = [weights[marks[a:b]].sum(0) / np.sqrt(b - a) + bias for a, b in itertools.pairwise(starts.tolist())]
    paths = page.elements[page.lines[:, L.ELEMENT], E.PATH]
    for i, got in enumerate(kinds.scores(page, columns, weights, bias)):
        alike = np.mean([of_line for of_line, path in zip(of_lines, paths, strict=True) if path == paths[i]], axis=0)
        assert got == pytest.approx((1 - kinds.PATH_SHARE) * of_lines[i] + kinds.PATH_SHARE * alike, abs=1e-4)


def test_linear_regression_finds_the_word_that_tells_and_repeats_itself() -> None:
    random = np.random.default_rng(0)
    rows = [random.integers(10, 1000, 5).astype(np.uint32) for _ in range(400)]
    labels = np.array([i % 2 for i in range(400)], np.float32)
    for row, label in zip(rows, labels, strict=True):
        row[0] = 7 if label else 8
    data = Hashed.joined([Hashed(row, np.array([0, 5])) for row in rows])
    assert data.starts.tolist()[:3] == [0, 5, 10]
    weights, bias = linear.fit(data, labels, np.ones(400, np.float32), rate=0.1)
    assert weights[7] > 1 > -1 > weights[8]
    again, _ = linear.fit(data, labels, np.ones(400, np.float32), rate=0.1)
    assert (weights == again).all()
    assert abs(bias) < 1


def test_auc() -> None:
    labels = np.array([True, True, False, False])
    assert auc(np.array([0.9, 0.8, 0.2, 0.1]), labels) == 1.0
    assert auc(np.array([0.5, 0.5, 0.5, 0.5]), labels) == 0.5
    assert auc(np.array([0.9, 0.1, 0.5, 0.2]), labels) == 0.5
    assert auc(np.array([0.9, 0.1, 0.5, 0.2]), labels, np.array([3.0, 1, 1, 1])) == 0.75


@pytest.mark.parametrize("form", FORMS)
def test_shipped_weights_are_small_and_fit_the_code(form: Any) -> None:
    path = Path("extraction/line_model/weights") / f"{form}.safetensors"
    assert path.stat().st_size < 10_000_000
    model = load(form)
    names = column_names(form)
    assert len(set(names)) == len(names)
    assert model.trees.feature.max() < len(names)
    assert model.regions.feature.max() < len(COLUMNS)
    assert (model.kinds is None) is (form == "text")
    assert (model.attributes is None) is (form == "text")


def test_weights_for_other_features_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load("text").save(tmp_path, {})
    assert load("text", tmp_path).floor == load("text").floor
    monkeypatch.setattr("extraction.line_model.model.column_names", lambda form: ("other",))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "text.safetensors").write_bytes((tmp_path / "text.safetensors").read_bytes())
    with pytest.raises(ValueError, match="trained on other features"):
        load("text", tmp_path / "b")


def test_content_scores_above_clutter() -> None:
    page = scan(HTML)
    scores = load("dom").score(page)
    assert scores.dtype == np.uint16
    prose = page.lines[:, L.CHARACTERS] > 40
    prose[-2:] = False  # the footer
    assert scores[prose].min() > scores[~prose & (np.arange(len(scores)) != 3)].max()
    assert load("dom").choose(page, scores)[prose].all()
    lines = ["Home", "About us", *SENTENCES, *SENTENCES, "Privacy policy", "© 2024"]
    plain = load("text").score_lines(lines)
    assert plain[2:10].min() > max(plain[:2].max(), plain[10:].max())


def test_scores_do_not_depend_on_other_pages_nor_on_the_time() -> None:
    pages = [HTML, PAGE.format("<p>短文。</p>").encode(), b"", b"<p>one", HTML[:900]]
    for form in FORMS:
        model = load(form)
        first = [model.score(scan(page)).tolist() for page in pages]
        assert [model.score(scan(page)).tolist() for page in reversed(pages)] == first[::-1]
    with pytest.raises(ValueError, match="scores scanned pages"):
        load("dom").score_lines(["a"])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=12))
def test_any_lines_get_scores(lines: list[str]) -> None:
    page = scan_text(lines)
    assert len(load("text").score_lines(lines)) == len(lines)
    if lines:
        columns = features(page, load("text").linear_scores(page), "text")
        assert np.isfinite(columns).all()


def test_annotations_hold_together() -> None:
    """Each row names real lines; the second annotations are of pages that have a first; agreement is what CARD.md says."""
    folder = Path("classifiers/clutter/annotations")
    first = {
        row["record_id"]: row
        for row in map(json.loads, (folder / "pages.jsonl").read_text(encoding="utf-8").splitlines())
    }
    second = {
        row["record_id"]: row
        for row in map(json.loads, (folder / "second.jsonl").read_text(encoding="utf-8").splitlines())
    }
    with gzip.open(folder / "documentation.jsonl.gz", "rt", encoding="utf-8") as file:
        documents = {row["record_id"] for row in map(json.loads, file)}
    assert len(first) >= 150
    assert len(second) >= 30
    assert set(second) <= set(first)
    for row in [*first.values(), *second.values()]:
        kept = numbers(row["kept"])
        assert kept == sorted(set(kept))
        assert not kept or 0 <= kept[0] <= kept[-1] < row["lines"]
        assert row["evidence"]
        assert row["package"] is None or row["record_id"] in documents
    assert sum(row["language"] == "zh" for row in first.values()) >= 75
