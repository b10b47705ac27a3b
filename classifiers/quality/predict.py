"""Quality of texts: `load()` gives the shipped model, `load(path)` one from a folder or of a hub name."""

from functools import partial

from classifiers import registry
from classifiers.quality.labels import LABELS

__all__ = ["LABELS", "load"]

load = partial(registry.load, "quality")
