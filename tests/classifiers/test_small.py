"""The small backend: training on made pages, files, folds, the temperature, and its parts against plain references."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers import linear
from classifiers.base import Batch
from classifiers.boosting import exported
from classifiers.features import BITS, COLUMNS, FIELDS, Features, features_of
from classifiers.registry import load
from classifiers.small import Settings, SmallModel, Target, fit, folds, softmax, take, temperature
from extraction.line_model.trees import evaluate

OWN = {
    "river": ["river", "flood", "meadow", "dyke", "桥", "河"],
    "kitchen": ["oven", "butter", "flour", "recipe", "面", "锅"],
    "stars": ["planet", "orbit", "comet", "telescope", "星", "月"],
}
COMMON = ["the", "of", "and", "some", "here", "there", "then", "long", "old", "new", "的", "是", "在"]
N = 150
FEW = Settings(rounds=8, trees={"num_threads": 1})


def made(classes: int, seed: int = 0) -> tuple[Batch, np.ndarray[Any, Any], list[str]]:
    """Pages of 15 sites, a third of whose words tell the class, the classes, and the sites."""
    random = np.random.default_rng(seed)
    vocabularies = list(OWN.values())[:classes]
    labels = np.arange(N) % classes
    texts = [
        "\n".join(" ".join(random.choice(vocabularies[label] + COMMON, 8)) + "." for _ in range(random.integers(2, 9)))
        for label in labels
    ]
    return Batch(texts, titles=[t.split("\n")[0] for t in texts]), labels, [f"site{i // 10}.org" for i in range(N)]


def target_of(labels: np.ndarray[Any, Any], classes: int, groups: list[str]) -> Target:
    return Target(np.eye(classes, dtype=np.float32)[labels], np.ones(len(labels), np.float32), groups)


def trained(classes: int, seed: int = 1) -> SmallModel:
    pytest.importorskip("lightgbm")
    batch, labels, groups = made(classes)
    return fit([features_of(batch)], target_of(labels, classes, groups), list(OWN)[:classes], FEW, seed)


@pytest.fixture(scope="module", params=[2, 3])
def model(request: pytest.FixtureRequest) -> SmallModel:
    return trained(request.param)


def test_words_that_separate_the_classes_are_learned(model: SmallModel) -> None:
    classes = len(model.labels)
    batch, labels, _ = made(classes, seed=99)
    p = model.predict_proba(batch)
    assert p.shape == (N, classes)
    assert np.abs(p.sum(1) - 1).max() < 1e-6
    assert (p.argmax(1) == labels).mean() > 0.95
    assert model.predict(batch) == [model.labels[i] for i in p.argmax(1)]
    assert model.coefficients.shape == (1 << BITS, classes)
    assert len(model.trees) == (1 if classes == 2 else classes)


def test_saved_and_loaded(model: SmallModel, tmp_path: Path) -> None:
    path = model.save(tmp_path / "new" / "folder")
    assert path.name == SmallModel.FILE
    batch, _, _ = made(len(model.labels), seed=5)
    expected = model.predict_proba(batch)
    for again in (SmallModel.from_bytes(path.read_bytes()), load("quality", str(path.parent))):
        assert again.labels == model.labels
        assert again.predict_proba(batch).tobytes() == expected.tobytes()
        assert again.sha256() == model.sha256()
        assert isinstance(again, SmallModel)
        assert again.temperature == model.temperature


def test_what_the_header_says_is_kept(model: SmallModel) -> None:
    changed = SmallModel(
        model.labels, model.coefficients, model.biases, model.trees, 1.5, {"name": "河流", "pages": 150}
    )
    again = SmallModel.from_bytes(changed.to_bytes())
    assert (again.meta, again.temperature) == (changed.meta, 1.5)
    assert changed.sha256() != model.sha256()


def test_the_same_data_and_seed_give_the_same_weights() -> None:
    first = trained(2)
    assert trained(2).sha256() == first.sha256()
    assert trained(2, seed=2).sha256() != first.sha256()


@pytest.mark.parametrize(
    ("what", "value"), [("COLUMNS", COLUMNS[:-1]), ("FIELDS", (*FIELDS, "more")), ("BITS", BITS + 1)]
)
def test_a_file_for_other_features_is_refused(what: str, value: Any, tmp_path: Path) -> None:
    model = load("quality")
    assert isinstance(model, SmallModel)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"classifiers.small.{what}", value)
        model.save(tmp_path)
    with pytest.raises(ValueError, match="trained on other features than this version computes: train it again"):
        load("quality", str(tmp_path))


def test_the_header_can_be_read_without_the_tensors() -> None:
    model = load("web_type")
    assert isinstance(model, SmallModel)
    data = model.to_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["model"])
    assert header["name"] == "web_type"
    assert tuple(header["columns"]) == COLUMNS
    assert header["labels"] == list(model.labels)


def test_a_page_weighs_what_its_target_says() -> None:
    """Pages of weight nearly nothing, all with the wrong label, change nothing."""
    pytest.importorskip("lightgbm")
    batch, labels, groups = made(2)
    wrong = np.arange(N) % 5 == 0
    given = np.where(wrong, 1 - labels, labels)
    weights = np.where(wrong, 1e-6, 1.0).astype(np.float32)
    target = Target(np.eye(2, dtype=np.float32)[given], weights, groups)
    p = fit([features_of(batch)], target, ("a", "b"), FEW, 1).predict_proba(batch)
    assert (p.argmax(1) == labels)[wrong].mean() > 0.9


def test_shares_of_several_labels_are_learned() -> None:
    """Pages that stand for two of three labels, three to one."""
    pytest.importorskip("lightgbm")
    batch, labels, groups = made(3)
    rows = np.array([[0.75, 0.25, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    features = features_of(batch)
    more = Settings(rounds=60, trees=FEW.trees)
    model = fit([features], Target(rows[labels], np.ones(N, np.float32), groups), tuple(OWN), more, 1)
    mean = model.from_features(features)[labels == 0].mean(0)
    assert mean[0] > mean[1] > 2 * mean[2]
    sole = (
        fit([features], target_of(labels, 3, groups), tuple(OWN), more, 1).from_features(features)[labels == 0].mean(0)
    )
    assert sole[0] > mean[0]
    assert sole[1] < mean[1]


def test_folds_never_split_a_site() -> None:
    groups = [f"site{i % 40}.org" for i in range(400)]
    parts = folds(groups, 5, "salt")
    assert {len({int(p) for p, g in zip(parts, groups, strict=True) if g == name}) for name in set(groups)} == {1}
    assert set(parts.tolist()) == set(range(5))
    assert folds(groups[::-1], 5, "salt").tolist() == parts[::-1].tolist()
    assert folds(groups[:40], 5, "salt").tolist() == parts[:40].tolist()
    assert folds(groups, 5, "other").tolist() != parts.tolist()
    # these do not change from one version to the next: figures are those of these folds
    assert folds(["a.org", "b.org", "c.org", "河.cn"], 5, "evaluation").tolist() == [3, 3, 0, 1]
    assert folds([], 5, "salt").shape == (0,)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.9])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_temperature_is_the_scale_of_the_logits(scale: float, classes: int) -> None:
    logits = np.random.default_rng(3).normal(size=(500, classes)) * 2
    target = Target(softmax(logits), np.ones(500, np.float32), [""] * 500)
    chosen = temperature(logits * scale, target)
    step = (3.0 / 0.4) ** (1 / 40)
    assert scale / step < chosen < scale * step
    # pages without weight have no say
    both = np.concatenate([logits * scale, -logits * scale])
    weights = np.repeat([1, 0], 500).astype(np.float32)
    wanted = np.concatenate([target.wanted, target.wanted])
    assert temperature(both, Target(wanted, weights, [""] * 1000)) == chosen


def test_the_temperature_stays_within_bounds() -> None:
    wanted = np.eye(2, dtype=np.float32)[[0, 1] * 50]
    sure = np.where(wanted > 0, 5.0, -5.0)
    weights = np.ones(100, np.float32)
    assert temperature(sure, Target(wanted, weights, [""] * 100)) == 0.4
    assert temperature(-sure, Target(wanted, weights, [""] * 100)) == 3.0


def test_softmax() -> None:
    p = softmax(np.array([[0.0, np.log(3.0)], [1000.0, -1000.0], [-1e6, -1e6]]))
    assert p.dtype == np.float32
    assert p == pytest.approx(np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]]))


def fields_of(features: Features, page: int) -> list[list[int]]:
    return [
        features.hashes[a:b].tolist()
        for a, b in zip(
            features.starts[4 * page : 4 * page + 4], features.starts[4 * page + 1 : 4 * page + 5], strict=True
        )
    ]


def test_taking_features_of_some_pages() -> None:
    batch = Batch(
        ["river floods", "", "河水 mill", "x"],
        urls=["https://a.org/b", None, "https://c.cn/", None],
        titles=["one", "two", None, ""],
    )
    features = features_of(batch)
    rows = [2, 0, 1, 2]
    taken = take(features, rows)
    expected = features_of(batch.take(rows))
    assert taken.dense.tobytes() == expected.dense.tobytes() == features.dense[rows].tobytes()
    assert taken.starts.tolist() == expected.starts.tolist()
    assert taken.hashes.tolist() == expected.hashes.tolist()
    assert [fields_of(taken, i) for i in range(4)] == [fields_of(features, i) for i in rows]
    nothing = take(features, [])
    assert (nothing.dense.shape, len(nothing.hashes), nothing.starts.tolist()) == ((0, len(COLUMNS)), 0, [0])


def test_taking_targets_of_some_pages() -> None:
    target = Target(np.eye(3, dtype=np.float32), np.array([1, 2, 3], np.float32), ["a", "b", "c"])
    taken = target.take([2, 0])
    assert taken.wanted.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert (taken.weights.tolist(), taken.groups) == ([3, 1], ["c", "a"])


def test_linear_scores_are_those_of_a_plain_sum() -> None:
    random = np.random.default_rng(2)
    classes = 3
    coefficients = random.normal(size=(1 << BITS, classes)).astype(np.float32)
    biases = random.normal(size=(len(FIELDS), classes)).astype(np.float32)
    features = features_of(
        Batch(["river floods mill", "", "河水"], titles=["a b", None, ""], urls=["https://a.org/b"] * 3)
    )
    got = linear.score(features, coefficients, biases)
    assert got.shape == (3, len(FIELDS) * classes)
    for page in range(3):
        for field, hashes in enumerate(fields_of(features, page)):
            expected = (
                coefficients[hashes].astype(np.float64).sum(0) / np.sqrt(len(hashes)) + biases[field] if hashes else 0
            )
            assert got[page, field * classes : (field + 1) * classes] == pytest.approx(expected, abs=1e-5)
    assert (got[1, 3 * classes :] == 0).all(), "nothing is said of a field that is empty"


def test_linear_regression_tells_words_apart() -> None:
    batch, labels, groups = made(3)
    features = features_of(batch)
    target = target_of(labels, 3, groups)
    trained = [i for i in range(N) if i % 4]
    coefficients, biases = linear.fit(features, trained, target.wanted[trained], target.weights[trained], 7)
    assert coefficients.dtype == np.float16
    held_out = [i for i in range(N) if i % 4 == 0]
    scores = linear.score(take(features, held_out), coefficients.astype(np.float32), biases)
    assert (scores[:, -3:].argmax(1) == labels[held_out]).mean() > 0.95
    again, _ = linear.fit(features, trained, target.wanted[trained], target.weights[trained], 7)
    assert again.tobytes() == coefficients.tobytes()
    other, _ = linear.fit(features, trained, target.wanted[trained], target.weights[trained], 8)
    assert other.tobytes() != coefficients.tobytes()


def test_trees_say_what_lightgbm_says() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    random = np.random.default_rng(4)
    rows = random.normal(size=(500, 6)).astype(np.float32)
    rows[:, 2] = np.round(rows[:, 2])
    wanted = (rows[:, 0] * rows[:, 1] + rows[:, 2] > 0).astype(np.float64)
    options = {"objective": "binary", "num_leaves": 8, "verbose": -1, "num_threads": 1, "use_missing": False}
    booster = lightgbm.train(options, lightgbm.Dataset(rows, wanted), 20)
    trees = exported(booster.dump_model()["tree_info"])
    for n in (0, 1, 3, 64, 67, 500):
        values = evaluate(trees, rows[:n])
        assert values.shape == (n,)
        if n:
            assert values == pytest.approx(booster.predict(rows[:n], raw_score=True), abs=1e-5)
