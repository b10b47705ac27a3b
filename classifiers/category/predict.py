"""Category of pages. `load` gives the shipped model or another of the same shape."""

from __future__ import annotations

from classifiers.base import Classifier
from classifiers.category.labels import LABELS
from classifiers.registry import load as load_classifier

__all__ = ["LABELS", "load"]


def load(path: str | None = None) -> Classifier:
    """The category classifier: shipped, or from a folder or hub name."""
    return load_classifier("category", path)
