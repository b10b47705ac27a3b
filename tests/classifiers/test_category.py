"""The category classifier: the form of its labels and tables, vectors in four bits, the net against numpy, training."""

from __future__ import annotations

import csv
import gzip
import html
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from classifiers.base import Batch
from classifiers.category import evaluate
from classifiers.category.labels import BALANCE_OF, CATEGORIES, GROUPS, LABELS
from classifiers.category.model import Net, WordModel, WordVectors
from classifiers.category.sets import definitions, mappings, written
from classifiers.labelled import ANNOTATIONS, read_annotations
from classifiers.labelled import CATEGORIES as ROWS
from classifiers.registry import load
from classifiers.small import Target
from classifiers.words import keys_of

FOLDER = Path(evaluate.__file__).parent
HAN = re.compile("[\u3400-\u9fff]")
WORDS = ["river", "flood", "meadow", "oven", "butter", "flour", "河", "桥", "面", "锅", "the", "of"]


def vectors() -> WordVectors:
    return WordVectors.of(keys_of(WORDS), np.random.default_rng(0).normal(size=(len(WORDS), 16)).astype(np.float32))


def test_the_list_has_its_form() -> None:
    assert len(LABELS) == len(set(LABELS)) == 200
    assert 20 <= len(GROUPS) <= 25
    for field in ("en", "zh"):
        assert len({getattr(c, field) for c in CATEGORIES}) == 200
        assert len({getattr(g, field) for g in GROUPS}) == len(GROUPS)
    for c in CATEGORIES:
        assert re.fullmatch("[a-z0-9_]+", c.id)
        assert set(c.definition) == set(c.example) == {"en", "zh"}
        assert all(len(text) >= 5 for text in (*c.definition.values(), c.includes, c.excludes, *c.example.values())), (
            c.id
        )
        assert all(HAN.search(text) for text in (c.zh, c.definition["zh"], c.example["zh"])), c.id
        assert not any(HAN.search(text) for text in (c.en, c.definition["en"], c.includes)), c.id
        # What does not belong goes to a class that there is, and not back to this one.
        named = [n for inside in re.findall(r"\(([a-z0-9_, ]+)\)", c.excludes) for n in inside.split(", ")]
        assert set(named) <= set(LABELS) - {c.id}, (c.id, named)
        assert named, c.id
    wanted = {"encyclopaedic", "teaching", "popular science", "scholarly", "technology", "news", "opinion", "formulaic"}
    assert wanted <= {name.replace("_", " ") for name in BALANCE_OF.values()}


def test_every_label_of_the_public_sets_has_a_row() -> None:
    with (FOLDER / "mappings.tsv").open(encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f, delimiter="\t"))
    keys = Counter((row["set"], row["label"]) for row in rows)
    assert max(keys.values()) == 1
    assert {label for of in mappings().values() for classes in of.values() for label in classes} <= set(LABELS)
    assert not any(row["set"] == "core-zh" for row in rows), "its texts are annotated pages: the evaluation has them"


def test_annotations_have_their_form() -> None:
    rows = read_annotations(ANNOTATIONS / ROWS)
    assert len({(row["source"], row["id"]) for row in rows}) == len(rows) >= 1500
    assert all(row["category"] in LABELS and len(row["category_evidence"]) >= 2 for row in rows)
    languages = Counter(row["language"] for row in rows)
    assert set(languages) == {"en", "zh"}
    assert min(languages.values()) >= 750


def test_four_bits_keep_vectors_to_a_fifteenth_of_their_largest_number() -> None:
    raw = np.random.default_rng(1).normal(size=(len(WORDS), 16)).astype(np.float32)
    kept = WordVectors.of(keys_of(WORDS), raw)
    for i, word in enumerate(WORDS):
        (mean,) = kept.means(Batch([word]))
        text = mean[48:]  # the fourth field
        wanted = raw[i] / np.linalg.norm(raw[i]) * np.sqrt(16 / 8)
        assert np.linalg.norm(text) == pytest.approx(np.sqrt(16 / 8), rel=1e-5)
        assert text @ wanted / np.linalg.norm(wanted) ** 2 > 0.97
        assert not mean[:32].any()  # neither address nor title


def test_the_net_is_what_numpy_makes_of_it() -> None:
    random = np.random.default_rng(2)

    def half(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
        return random.normal(size=shape).astype(np.float16)

    net = Net(half(3), np.abs(half(3)) + np.float16(1), half(67, 9), half(9), half(9, 5), half(5), half(67, 5))
    inputs = random.normal(size=(20, 67)).astype(np.float32)
    wide = net.wide
    inner = np.maximum(inputs @ wide["hidden"] + wide["hidden_bias"], 0)
    wanted = inner @ wide["outer"] + wide["outer_bias"] + inputs @ wide["skip"]
    logits = net.logits(inputs)
    assert np.allclose(logits, wanted, rtol=1e-4, atol=1e-4)
    assert np.array_equal(logits, np.concatenate([net.logits(inputs[i : i + 1]) for i in range(20)]))


def test_files_hold_the_model() -> None:
    model = load("category")
    assert isinstance(model, WordModel)
    again = WordModel.from_bytes(model.to_bytes())
    assert again.sha256() == model.sha256()
    assert model.labels == LABELS
    texts = ["A recipe: mix butter and flour, bake for an hour.", "把面粉和黄油混合，烤一个小时。"]
    assert np.array_equal(model.predict_proba(texts), again.predict_proba(texts))


def test_what_is_plain_is_known_in_both_languages() -> None:
    """Not an evaluation: a model whose weights or words were mixed up would fail."""
    texts = {
        "recipe": ["Ingredients: 200 g flour, 100 g butter, two eggs. Preheat the oven. Mix, knead, and bake for an hour.",
                   "食材：面粉200克，黄油100克，鸡蛋两个。做法：烤箱预热，面粉加黄油揉匀，放入烤箱烤一小时，撒上白糖即可。"],
        "news_sports": ["The striker scored twice as United beat City 3-1 in the league, the coach said after the match.",
                        "昨晚的联赛中，主队以3比1击败客队，前锋梅开二度，主教练赛后表示球队踢得很好。"],
    }  # fmt: skip
    for label, of_label in texts.items():
        p = load("category").predict_proba(of_label)
        first_five = np.argsort(-p, axis=1)[:, :5]
        assert all(LABELS.index(label) in row for row in first_five), label


def test_definitions_name_every_class_in_both_languages() -> None:
    texts, titles, marks = definitions()
    assert len(texts) == len(titles) == len(marks) == 600
    assert (marks.sum(1) == 1).all()
    assert (marks.sum(0) == 3).all()


def test_written_texts_are_of_every_class_in_both_languages() -> None:
    texts, titles, marks = written()
    assert len(texts) == len(titles) == len(marks) >= 1500
    assert (marks.sum(1) == 1).all()
    chinese = np.array([bool(HAN.search(text)) for text in texts])
    assert (marks[chinese].sum(0) >= 3).all()
    assert (marks[~chinese].sum(0) >= 1).all()
    assert min(map(len, texts)) >= 50


def test_no_title_of_an_annotated_page_and_no_example_is_trained_on() -> None:
    def plain(text: str) -> str:
        return re.sub(r"[\W_]+", "", text.lower())

    def long_enough(text: str) -> bool:
        return len(text) >= (8 if HAN.search(text) else 20)

    with gzip.open(ANNOTATIONS / "packages.jsonl.gz", "rt", encoding="utf-8") as f:
        pages = [json.loads(line)["html"] for line in f]
    tags = [re.search(r"<title[^>]*>(.*?)</title>", page, re.DOTALL | re.IGNORECASE) for page in pages]
    named = {plain(html.unescape(match[1])) for match in tags if match}
    named |= {plain(example) for c in CATEGORIES for example in c.example.values()}
    named = {name for name in named if long_enough(name)}
    assert len(named) > 500
    for texts, titles, _ in (definitions(), written()):
        for text, title in zip(map(plain, texts), map(plain, titles), strict=True):
            assert not any(name in text or name in title for name in named), title
            assert not (long_enough(title) and any(title in name for name in named)), title


def test_the_same_seed_gives_the_same_net() -> None:
    pytest.importorskip("torch")
    from classifiers.category.train import Extra, Inputs, fit

    random = np.random.default_rng(3)
    of = np.arange(90) % 2
    words = [WORDS[:3], WORDS[3:6]]
    texts = [" ".join(random.choice(words[label] + WORDS[10:], 12)) for label in of]
    table = vectors()
    wanted = np.zeros((90, len(LABELS)), np.float32)
    wanted[np.arange(90), of] = 1
    target = Target(wanted, np.ones(90, np.float32), [f"site{i // 9}" for i in range(90)])
    dense = random.random((90, 5)).astype(np.float32)
    means = table.means(Batch(texts))
    extra = [Extra(means[:10], wanted[:10], 0.5, 4)]
    nets = [fit(Inputs(means, dense, dense), target, extra, seed) for seed in (7, 7, 8)]
    tensors = [
        b"".join(array.tobytes() for array in vars(net).values() if isinstance(array, np.ndarray)) for net, _ in nets
    ]
    assert tensors[0] == tensors[1] != tensors[2]
    assert nets[0][1] == nets[1][1] > 0
    said = nets[0][0].logits(nets[0][0].inputs(means, dense)).argmax(1)
    assert (said == of).mean() > 0.95
