"""Category of pages. `load` gives the shipped model or another of the same shape."""

from __future__ import annotations

from classifiers.base import Classifier
from classifiers.base import load as load_classifier
from classifiers.category.labels import LABELS

__all__ = ["LABELS", "load"]


def load(path: str | None = None) -> Classifier:
    """The category classifier: shipped, or from a folder or hub name."""
    return load_classifier("category", path)
