"""The Hugging Face backend on a small encoder made on the spot: fine-tune, save, load, predict."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.base import DEVICE, Batch
from classifiers.registry import load
from classifiers.small import Target

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from classifiers.checkpoint import META, HuggingFaceClassifier  # noqa: E402
from classifiers.huggingface import fine_tune  # noqa: E402

LABELS = ("river", "city", "other")
WORDS = {
    "river": ["river", "water", "flood", "bank", "河流", "洪水", "河岸"],
    "city": ["street", "tram", "tower", "mayor", "街道", "电车", "市长"],
    "other": ["recipe", "flour", "oven", "salt", "面粉", "烤箱", "食谱"],
}
COMMON = ["the", "a", "and", "of", "的", "和", "在"]


def texts(n: int, seed: int) -> tuple[list[str], np.ndarray[Any, Any]]:
    chance = random.Random(seed)
    labels = [chance.randrange(3) for _ in range(n)]
    made = [" ".join(chance.choice(WORDS[LABELS[k]] + COMMON) for _ in range(chance.randrange(6, 30))) for k in labels]
    return made, np.array(labels)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An encoder without a head, of random weights, in the format of the hub."""
    from tests.encoders import write_encoder

    folder = str(tmp_path_factory.mktemp("encoder"))
    write_encoder(folder, sorted({w for words in WORDS.values() for w in words} | set(COMMON)))
    return folder


def tuned(base: str, out: Path, seed: int = 0) -> HuggingFaceClassifier:
    train, labels = texts(120, seed=1)
    target = Target(np.eye(3, dtype=np.float32)[labels], np.ones(120, np.float32), [f"site{i}" for i in range(120)])
    return fine_tune(base, Batch(texts=train), target, LABELS, out, epochs=8, rate=2e-3, seed=seed)


@pytest.fixture(scope="module")
def checkpoint(base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("tuned")
    tuned(base, out)
    return str(out)


def test_a_tuned_checkpoint_knows_texts_it_has_not_seen(checkpoint: str) -> None:
    held, labels = texts(60, seed=2)
    model = load("web_type", checkpoint)
    assert model.labels == LABELS
    p = model.predict_proba(held)
    assert p.dtype == np.float32
    assert np.allclose(p.sum(1), 1, atol=1e-6)
    assert (p.argmax(1) == labels).mean() >= 0.9
    assert model.predict(held[:3]) == [LABELS[i] for i in labels[:3]]


def test_a_row_is_scored_the_same_whatever_is_beside_it(checkpoint: str) -> None:
    held, _ = texts(45, seed=3)
    held += ["", "unknown words only", "river " * 500]
    model = load("web_type", checkpoint)
    together = model.scores(held)
    assert np.array_equal(together[::-1], model.scores(held[::-1]))
    assert np.array_equal(together, np.concatenate([model.scores([text]) for text in held]))
    assert np.array_equal(together, np.concatenate([model.scores(held[i : i + 7]) for i in range(0, len(held), 7)]))
    assert len(np.unique(together, axis=0)) > 20


def test_address_and_title_are_read_too(checkpoint: str) -> None:
    model = load("web_type", checkpoint)
    plain = model.scores(["street"])
    assert np.array_equal(model.scores(Batch(texts=["street"], urls=[None], titles=[None])), plain)
    assert not np.array_equal(model.scores(Batch(texts=["street"], titles=["flood river water"])), plain)


def test_a_long_text_is_cut_and_an_empty_one_is_scored(checkpoint: str) -> None:
    model = HuggingFaceClassifier(checkpoint)
    assert model.max_tokens == 64
    start, end = "river " * 64, "oven " * 5000
    assert np.array_equal(model.scores([start + end]), model.scores([start]))
    assert not np.array_equal(model.scores(["river " * 40 + end]), model.scores(["river " * 40]))
    assert model._tokenizer("")["input_ids"] == []
    assert np.allclose(model.predict_proba([""]).sum(1), 1, atol=1e-6)


def test_the_device_is_the_named_one(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv(DEVICE, "cpu")
    model = HuggingFaceClassifier(checkpoint)
    assert model.predict_proba(["river"]).shape == (1, 3)
    assert model._model.device.type == "cpu"
    monkeypatch.setenv(DEVICE, "meta")
    assert HuggingFaceClassifier(checkpoint)._model.device.type == "meta"


def test_no_rows_no_probabilities(checkpoint: str) -> None:
    assert load("web_type", checkpoint).predict_proba([]).shape == (0, 3)


def test_the_same_seed_gives_the_same_weights(base: str, checkpoint: str, tmp_path: Path) -> None:
    again, other = tuned(base, tmp_path / "again"), tuned(base, tmp_path / "other", seed=7)
    assert again.sha256() == HuggingFaceClassifier(checkpoint).sha256() != other.sha256()


def test_a_stored_temperature_softens(checkpoint: str, tmp_path: Path) -> None:
    import shutil

    warm = tmp_path / "warm"
    shutil.copytree(checkpoint, warm)
    (warm / META).write_text(json.dumps({"temperature": 4.0}))
    held, _ = texts(10, seed=5)
    a, b = load("web_type", checkpoint).predict_proba(held), load("web_type", str(warm)).predict_proba(held)
    assert (b.max(1) < a.max(1)).all()
    assert np.array_equal(a.argmax(1), b.argmax(1))


def test_a_folder_without_a_model_is_an_error_that_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config\.json"):
        load("web_type", str(tmp_path))
