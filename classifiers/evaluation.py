"""Cross-validation of the small page classifiers, over sites."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.features import Features
from classifiers.labelled import LabelledPage, load_pages
from classifiers.small import SmallModel, folds, taken
from classifiers.training import SEED, SmallTrainer, Trainer, train, views_of
from extraction.characters import HAN_AND_HEXAGRAMS

FOLDS = 5
WORD = re.compile(rf"[{HAN_AND_HEXAGRAMS}]|[^\W{HAN_AND_HEXAGRAMS}]+")
"""A word as fastText gets it here; a Chinese character is one."""

LANGUAGES = {"English": "en", "Chinese": "zh"}


def outer_folds(pages: Sequence[LabelledPage]) -> npt.NDArray[np.int64]:
    """Fold of each page, by its site."""
    return folds([page.group for page in pages], FOLDS, "evaluation")


def cross_validated(
    trainer: SmallTrainer,
    pages: Sequence[LabelledPage],
    views: Sequence[Features],
    seed: int = SEED,
    also: Callable[[int, list[int], list[int], SmallModel], None] | None = None,
) -> npt.NDArray[np.float64]:
    """Probabilities of every page by a model that has not seen its site, by kind of input: float64 (views, n, classes).

    :param also: called for each fold with its number, the rows trained on, the rows judged, and the model.
    """
    parts = outer_folds(pages)
    out: npt.NDArray[np.float64] | None = None
    for fold in range(FOLDS):
        trained, judged = np.flatnonzero(parts != fold).tolist(), np.flatnonzero(parts == fold).tolist()
        model = train(trainer, [pages[i] for i in trained], taken(views, trained), seed)
        p = probabilities(model, taken(views, judged))
        if out is None:
            out = np.zeros((len(views), len(pages), p.shape[2]))
        out[:, judged] = p
        if also is not None:
            also(fold, trained, judged, model)
        print(f"{trainer.NAME}: fold {fold + 1} of {FOLDS}", file=sys.stderr, flush=True)
    assert out is not None
    return out


def development(pages: Sequence[LabelledPage], rows: Sequence[int]) -> list[int]:
    """The rows whose pages are not of the final fold: settings are chosen on them."""
    return [i for i in rows if not pages[i].is_final]


def final_fold(
    trainer: SmallTrainer, pages: Sequence[LabelledPage], views: Sequence[Features], seed: int = SEED
) -> tuple[list[int], npt.NDArray[np.float64]]:
    """Numbers of the pages of the final fold, and their probabilities by a model of all others: float64 (views, n, classes)."""
    rows = trainer.chosen(pages)
    judged = [i for i in rows if pages[i].is_final]
    trained = development(pages, rows)
    model = train(trainer, [pages[i] for i in trained], taken(views, trained), seed)
    return judged, probabilities(model, taken(views, judged))


def probabilities(model: SmallModel, views: Sequence[Features]) -> npt.NDArray[np.float64]:
    """Probabilities of pages as each kind of input shows them, float64 (views, n, classes)."""
    return np.stack([model.from_features(view).astype(np.float64) for view in views])


def fasttext_folds(
    texts: Sequence[str], labels: Sequence[int], classes: int, parts: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Probabilities of every text by a fastText classifier (word pairs, 25 epochs) of the other folds, float64 (n, classes).

    :param texts: words, spaces between them.
    :param parts: fold of each text.
    """
    import fasttext

    out = np.zeros((len(texts), classes))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        options = {"wordNgrams": 2, "dim": 64, "epoch": 25, "minCount": 2, "bucket": 200_000, "thread": 1, "verbose": 0}
        for fold in range(FOLDS):
            trained = np.flatnonzero(parts != fold).tolist()
            path.write_text("".join(f"__label__{labels[i]} {texts[i]}\n" for i in trained), encoding="utf-8")
            for rate in (0.5, 0.3, 0.2):  # the higher the better, but for a rate at which it diverges
                with contextlib.suppress(RuntimeError):
                    model = fasttext.train_supervised(str(path), lr=rate, **options)
                    break
            for i in np.flatnonzero(parts == fold).tolist():
                for name, p in zip(*model.predict(texts[i], k=classes), strict=True):
                    out[i, int(name.removeprefix("__label__"))] = p
    return out


def of_language(pages: Sequence[LabelledPage], language: str) -> npt.NDArray[np.int64]:
    """Numbers of the annotated pages of a language."""
    return np.array([i for i, p in enumerate(pages) if p.annotation and p.language == language], np.int64)


def largest_site(pages: Sequence[LabelledPage], rows: npt.NDArray[np.int64]) -> float:
    """Share of the site with the most pages."""
    groups = [pages[i].group for i in rows]
    return max((groups.count(g) for g in set(groups)), default=0) / max(1, len(groups))


def main(
    trainer: Trainer,
    evaluate: Callable[[list[LabelledPage], Sequence[Features], Path], dict[str, Any]],
    arguments: Sequence[str] | None = None,
) -> int:
    parser = argparse.ArgumentParser(
        prog=f"python -m classifiers.{trainer.NAME}.evaluate",
        description=f"Cross-validate the small {trainer.NAME} classifier over sites, and print all figures of its card as JSON.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds html/ and warc/")
    options = parser.parse_args(arguments)
    pages = load_pages(options.data, name=trainer.FILE)
    print(json.dumps(evaluate(pages, views_of(pages), options.data), indent=2, ensure_ascii=False))
    return 0
