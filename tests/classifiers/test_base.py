"""What all page classifiers share: the batch, loading, stored scores, and that a page's result is its own."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.base import Batch, Classifier, Probabilities, digest
from classifiers.registry import NAMES, load
from extraction.result import SCALE

COLUMNS: dict[str, list[Any]] = {
    "urls": ["https://example.org/a", None, "https://example.org/c"],
    "titles": ["A", None, "C"],
    "line_tags": [["p"], None, ["h1", "li"]],
    "line_link_share": [[0.5], None, [0.0, 1.0]],
    "page_signals": [{"og_type": "article"}, None, {}],
}
ENGLISH = "The river rises in the hills, and flows for ninety miles to the sea.\nIt floods the meadows in spring.\n" * 4
CHINESE = "这条河发源于山区，流经七座城镇和一座磨坊，最后注入大海。\n沿岸的居民世代以捕鱼为生。\n第二章 大桥\n" * 3
TEXTS = [
    ENGLISH,
    CHINESE,
    "",
    " \n\n\t\n",
    "🎰🎲👩‍👩‍👧‍👦🇨🇳",
    "a\u0301\u0327 \u0301alone",
    "NUL\x00in\x00words",
    "\r\n\u2028\u200b\ufeff\u202eright to left",
    "casino 赌场 百家乐 free spins, 六合彩 开奖",
    "Δοκιμή проверка परीक्षण ทดสอบ テスト 시험",
    "x" * 5000,
    "𠮷野家の𝒻𝑜𝓃𝓉",
    "|".join(str(i) for i in range(300)),
]


def a_page() -> st.SearchStrategy[tuple[Any, ...]]:
    """A text, address, title, tags, link shares and signals."""
    kinds = st.sampled_from(["p", "li", "quote", "code", "tr", "h1", "h6", "other"])
    shares = st.floats(0, 1, width=32)
    address = st.sampled_from(["https://www.example.org/2016/03/a-b_c.html?p=1&q=2", "http://x.cn/", "no address", ""])
    signals = st.fixed_dictionaries(
        {},
        optional={
            "schema_types": st.none() | st.lists(st.sampled_from(["Product", "Article", "产品"]), max_size=3),
            "og_type": st.none() | st.sampled_from(["article", "video.movie", "og:website"]),
            "html_lang": st.sampled_from(["zh-CN", "en"]),
        },
    )
    return st.tuples(
        st.sampled_from(TEXTS) | st.text(max_size=60) | st.lists(st.sampled_from(TEXTS), max_size=4).map("\n".join),
        st.none() | address | st.text(max_size=20).map("https://example.com/".__add__),
        st.none() | st.sampled_from(["", "The river", "河流"]) | st.text(max_size=20),
        st.none() | st.lists(kinds, max_size=12),
        st.none() | st.lists(shares, max_size=12),
        st.none() | signals,
    )


def batch_of(pages: list[tuple[Any, ...]]) -> Batch:
    texts, *columns = zip(*pages, strict=True)
    return Batch(texts, *columns)


@pytest.mark.parametrize("column", COLUMNS)
def test_columns_are_as_long_as_the_texts(column: str) -> None:
    values = COLUMNS[column]
    assert getattr(Batch(["a", "b", "c"], **{column: values}), column) == values
    for wrong in (values[:2], [*values, None], []):
        with pytest.raises(ValueError, match=rf"{column} has {len(wrong)} entries, texts 3"):
            Batch(["a", "b", "c"], **{column: wrong})


def test_a_batch_of_plain_texts() -> None:
    batch = Batch.of(["a", "b"])
    assert (len(batch), batch.texts) == (2, ["a", "b"])
    assert all(getattr(batch, f.name) is None for f in dataclasses.fields(batch)[1:])
    assert Batch.of(batch) is batch
    assert len(Batch([])) == 0


def test_taking_rows_of_a_batch() -> None:
    batch = Batch(["a", "b", "c"], **COLUMNS)
    taken = batch.take([2, 0, 2])
    assert taken.texts == ["c", "a", "c"]
    for name, values in COLUMNS.items():
        assert getattr(taken, name) == [values[2], values[0], values[2]]
    assert len(batch.take([])) == 0
    assert Batch(["a"]).take([0]) == Batch(["a"])


@pytest.mark.parametrize("name", NAMES)
def test_shipped_models(name: str) -> None:
    model = load(name)
    assert load(name) is model
    assert model.labels == importlib.import_module(f"classifiers.{name}.labels").LABELS
    p = model.predict_proba(TEXTS)
    assert p.dtype == np.float32
    assert p.shape == (len(TEXTS), len(model.labels))
    assert p.min() >= 0
    assert np.abs(p.astype(np.float64).sum(1) - 1).max() < 1e-6
    assert len(np.unique(p, axis=0)) > 1
    assert (p == model.predict_proba(Batch(TEXTS))).all()
    assert model.predict(TEXTS) == [model.labels[max(range(len(row)), key=row.__getitem__)] for row in p.tolist()]
    assert re.fullmatch("[0-9a-f]{64}", model.sha256())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_gives_nothing(name: str) -> None:
    model = load(name)
    for nothing in ([], Batch([]), Batch([], [], [], [], [], [])):
        p = model.predict_proba(nothing)
        assert (p.shape, p.dtype) == ((0, len(model.labels)), np.float32)
        assert (model.scores(nothing).shape, model.scores(nothing).dtype) == (p.shape, np.uint16)
        assert model.predict(nothing) == []


def test_models_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"no classifier 'sentiment'; there are: {', '.join(NAMES)}"):
        load("sentiment")
    for name, file in (("quality", "small.safetensors"), ("safety", "lexicon.json"), ("category", "words.safetensors")):
        with pytest.raises(ValueError, match=rf"found no {re.escape(file)} or config\.json"):
            load(name, str(tmp_path))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_from_a_folder(name: str, tmp_path: Path) -> None:
    shipped = load(name)
    for file in (Path("classifiers") / name / "weights").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    copied = load(name, str(tmp_path))
    assert copied is not shipped
    assert copied.sha256() == shipped.sha256()
    assert (copied.predict_proba(TEXTS) == shipped.predict_proba(TEXTS)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_fingerprint_is_that_of_the_shipped_file(name: str) -> None:
    folder = Path("classifiers") / name / "weights"
    data = next(p for p in folder.iterdir() if p.suffix in (".safetensors", ".json")).read_bytes()
    assert load(name).sha256() == digest(data)


def test_digest() -> None:
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


class Fixed(Classifier):
    """Answers with given probabilities."""

    labels = ("a", "b")

    def __init__(self, rows: Any) -> None:
        self.rows = np.array(rows, np.float32)

    def predict_proba(self, pages: Batch | Any) -> Probabilities:
        return self.rows

    def sha256(self) -> str:
        return ""


def test_scores_are_whole_numbers_of_sixteen_bits() -> None:
    rows = [[0.0, 1.0], [0.5, 0.5], [1 / 3, 2 / 3], [1e-9, 1 - 1e-9], [1.4 / SCALE, 1.6 / SCALE]]
    scores = Fixed(rows).scores([""] * 5)
    assert scores.dtype == np.uint16
    assert scores.tolist() == [[0, 65535], [32768, 32768], [21845, 43690], [0, 65535], [1, 2]]
    assert Fixed(rows).predict([""] * 5) == ["b", "a", "b", "b", "b"]


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_the_probabilities(name: str) -> None:
    model = load(name)
    p = model.predict_proba(TEXTS).tolist()
    assert model.scores(TEXTS).tolist() == [[round(SCALE * value) for value in row] for row in p]


@settings(max_examples=40, deadline=None)
@given(st.lists(a_page(), min_size=1, max_size=9), st.data())
def test_a_page_is_scored_alone(pages: list[tuple[Any, ...]], data: Any) -> None:
    """To the bit the same, whatever else is in the batch and in which order."""
    order = data.draw(st.permutations(range(len(pages))))
    cut = data.draw(st.integers(0, len(pages)))
    batch = batch_of(pages)
    for name in NAMES:
        model = load(name)
        whole = model.predict_proba(batch)
        assert np.isfinite(whole).all()
        single = [model.predict_proba(batch.take([i])).tobytes() for i in range(len(pages))]
        assert [row.tobytes() for row in whole] == single
        assert [row.tobytes() for row in model.predict_proba(batch.take(order))] == [single[i] for i in order]
        parts = [batch.take(range(cut)), batch.take(range(cut, len(pages)))]
        assert b"".join(model.predict_proba(part).tobytes() for part in parts) == whole.tobytes()


def test_long_batches_give_what_short_ones_do() -> None:
    """More pages than the trees take at once."""
    texts = [f"{TEXTS[i % len(TEXTS)]}\n{i} {TEXTS[i % 5]}" for i in range(150)]
    for name in NAMES:
        model = load(name)
        whole = model.predict_proba(texts)
        parts = [model.predict_proba(texts[i : i + 7]) for i in range(0, len(texts), 7)]
        assert whole.tobytes() == np.concatenate(parts).tobytes()
