"""The page classifiers that ship, found by their folders, and the models that they load.

    model = load("web_type")                     # the shipped model
    model = load("quality", "path/to/folder")    # one of your own: `classifiers.<name>.train`, or a Hugging Face checkpoint
    model.labels                                 # ("article", "documentation", ...)
    model.predict_proba(["some text", ...])      # float32 (n, classes), rows sum to 1
    model.predict_proba(Batch(texts=..., urls=..., ...))

A classifier is a folder `classifiers/<name>/` with `labels.py` and `weights/`. Three backends: `classifiers.small` (hashed
linear scores and boosted trees), the models of `safety` and `category`, all on a CPU, and `classifiers.huggingface` (any
sequence classifier).
"""

from __future__ import annotations

import functools
import importlib.resources
from pathlib import Path
from typing import Any

from classifiers.base import LEXICON_FILE, SMALL_FILE, WORDS_FILE, Classifier


def _names() -> tuple[str, ...]:
    # By importlib, since the package may lie in a zip.
    folders = [f for f in importlib.resources.files("classifiers").iterdir() if f.is_dir()]
    return tuple(sorted(f.name for f in folders if (f / "labels.py").is_file() and (f / "weights").is_dir()))


NAMES = _names()
"""The page classifiers that ship. The line model (`extraction.line_model`) scores lines, not pages."""


def load(name: str, path: str | None = None) -> Classifier:
    """The shipped model of that name, or the one in folder `path`: `small.safetensors`, `lexicon.json`,
    `words.safetensors`, or a Hugging Face checkpoint (a folder with `config.json`, or a hub name). Kept in memory: once a
    process.

    :raises ValueError: if there is no such model, or it was trained on other features than this code computes.
    """
    return _load(name, path)


@functools.lru_cache(maxsize=8)
def _load(name: str, path: str | None) -> Classifier:
    if path is None:
        if name not in NAMES:
            raise ValueError(f"no classifier {name!r}; there are: {', '.join(NAMES)}")
        place: Any = importlib.resources.files(f"classifiers.{name}") / "weights"
    else:
        place = Path(path)
    if (place / SMALL_FILE).is_file():
        from classifiers.small import SmallModel

        return SmallModel.from_bytes((place / SMALL_FILE).read_bytes())
    if (place / LEXICON_FILE).is_file():
        from classifiers.safety.model import LexiconModel

        return LexiconModel.from_bytes((place / LEXICON_FILE).read_bytes())
    if (place / WORDS_FILE).is_file():
        from classifiers.category.model import WordModel

        return WordModel.from_bytes((place / WORDS_FILE).read_bytes())
    if path is None or (Path(path).is_dir() and not (Path(path) / "config.json").is_file()):
        raise ValueError(
            f"{place}: found no {SMALL_FILE}, {LEXICON_FILE}, {WORDS_FILE} or config.json (a Hugging Face checkpoint)"
        )
    from classifiers.huggingface import HuggingFaceClassifier

    try:
        return HuggingFaceClassifier(path)
    except ImportError as e:
        raise ValueError(
            f"{path}: no small model is there; a Hugging Face checkpoint takes `scripts/setup.sh hf` ({e})"
        ) from e
