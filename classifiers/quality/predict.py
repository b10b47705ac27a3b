"""Quality of texts. `load` gives the shipped model or another of the same shape."""

from __future__ import annotations

from classifiers.base import Classifier
from classifiers.base import load as load_classifier
from classifiers.quality.labels import LABELS

__all__ = ["LABELS", "load"]


def load(path: str | None = None) -> Classifier:
    """The quality model: shipped, or from a folder or hub name."""
    return load_classifier("quality", path)
