"""The page classifiers that ship, found by their folders, and the models that they load.

    model = load("web_type")                     # the shipped model
    model = load("quality", "path/to/folder")    # one of your own: `classifiers.<name>.train`, or a Hugging Face checkpoint
    model.labels                                 # ("article", "documentation", ...)
    model.predict_proba(["some text", ...])      # float32 (n, classes), rows sum to 1
    model.predict_proba(Batch(texts=..., urls=..., ...))

A classifier is a folder `classifiers/<name>/` with `labels.py` and `weights/`. Its model is the class `Model` of its
`model.py`, or, without such a file, that of `classifiers.small` (hashed linear scores and boosted trees): both run on a CPU.
In their place a folder may hold any sequence classifier of Hugging Face (`classifiers.checkpoint`).
"""

from __future__ import annotations

import functools
import importlib
import importlib.resources
import pkgutil
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType

import classifiers
from classifiers.base import Classifier, StoredClassifier


def _folder(name: str) -> Traversable:
    return importlib.resources.files(f"classifiers.{name}")


def _names() -> tuple[str, ...]:
    # By importlib, since the package may lie in a zip.
    packages = sorted(module.name for module in pkgutil.iter_modules(classifiers.__path__) if module.ispkg)
    return tuple(n for n in packages if (_folder(n) / "labels.py").is_file() and (_folder(n) / "weights").is_dir())


NAMES = _names()
"""The page classifiers that ship. The line model (`extraction.line_model`) scores lines, not pages."""


def part(name: str, module: str) -> ModuleType:
    """Import a module of a classifier's folder: `labels`, `train`, `evaluate`."""
    return importlib.import_module(f"classifiers.{name}.{module}")


def load(name: str, path: str | None = None) -> Classifier:
    """Load the shipped model of that name, or the one in folder `path`: a file such as the shipped one, or a Hugging Face
    checkpoint (a folder with `config.json`, or a hub name). It is kept in memory, once a process.

    :raises ValueError: if there is no such model, or it was trained on other features than this code computes.
    """
    return _load(name, path)


@functools.lru_cache(maxsize=8)
def _load(name: str, path: str | None) -> Classifier:
    if name not in NAMES:
        raise ValueError(f"no classifier {name!r}; there are: {', '.join(NAMES)}")
    # Imported when it is asked for: all of them would cost each process 0.3 CPU seconds.
    has_model = (_folder(name) / "model.py").is_file()
    model: type[StoredClassifier] = (
        part(name, "model") if has_model else importlib.import_module("classifiers.small")
    ).Model
    folder = _folder(name) / "weights" if path is None else Path(path)
    if (folder / model.FILE).is_file():
        return model.from_bytes((folder / model.FILE).read_bytes())
    if path is None or (Path(path).is_dir() and not (Path(path) / "config.json").is_file()):
        raise ValueError(f"{folder}: found no {model.FILE} or config.json (a Hugging Face checkpoint)")
    from classifiers.checkpoint import HuggingFaceClassifier

    try:
        return HuggingFaceClassifier(path)
    except ImportError as e:
        raise ValueError(
            f"{path}: found no {model.FILE}; a Hugging Face checkpoint takes `scripts/setup.sh hf` ({e})"
        ) from e
