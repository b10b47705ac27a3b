"""Safety of pages. `load` gives the shipped model or another of the same shape."""

from __future__ import annotations

from classifiers.base import Classifier
from classifiers.registry import load as load_classifier
from classifiers.safety.labels import LABELS

__all__ = ["LABELS", "load"]


def load(path: str | None = None) -> Classifier:
    """The safety classifier: shipped, or from a folder or hub name."""
    return load_classifier("safety", path)
