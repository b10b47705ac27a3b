"""Types of the page classifiers: a batch of pages in, probabilities out. `classifiers.registry.load` gives the models.

A row's probabilities depend on that row alone, whatever else is in the batch.
"""

from __future__ import annotations

import abc
import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from extraction.result import SCALE

DEVICE = "CORPUSMILL_DEVICE"
"""Environment variable that names the device of Hugging Face models, such as `cuda:0`; stages set it from Spark's
GPU resources."""

Probabilities = npt.NDArray[np.float32]

INPUTS: dict[str, tuple[str, ...]] = {
    "page": ("urls", "titles", "line_tags", "line_link_share", "page_signals"),
    "page without address": ("titles", "line_tags", "line_link_share", "page_signals"),
    "text with address": ("urls",),
    "text": (),
}
"""Kinds of input, and the columns of a `Batch` that each has beside the text: HTML, HTML of an unknown address, WET or JSONL with
addresses, strings. Classifiers are trained on all of them and measured on each."""


@dataclass(frozen=True, slots=True)
class Batch:
    """n pages, column by column, as preparation keeps them. A column that is not given is unknown for all pages.

    :param texts: extracted text, lines joined by line breaks.
    :param line_tags: of each line of the text: p, li, quote, code, tr, h1 ... h6.
    :param line_link_share: of each line: link characters / characters, 0 to 1.
    :param page_signals: canonical_url, og_type, schema_types, html_lang, as in the schema.
    """

    texts: Sequence[str]
    urls: Sequence[str | None] | None = None
    titles: Sequence[str | None] | None = None
    line_tags: Sequence[Sequence[str] | None] | None = None
    line_link_share: Sequence[Sequence[float] | None] | None = None
    page_signals: Sequence[dict[str, Any] | None] | None = None

    def __post_init__(self) -> None:
        for column in dataclasses.fields(self)[1:]:
            values = getattr(self, column.name)
            if values is not None and len(values) != len(self.texts):
                raise ValueError(f"{column.name} has {len(values)} entries, texts {len(self.texts)}: expected the same")

    @classmethod
    def of(cls, pages: Batch | Sequence[str]) -> Batch:
        """Make a batch of plain texts, of which nothing else is known; a batch stays as it is."""
        return pages if isinstance(pages, Batch) else cls(texts=pages)

    def __len__(self) -> int:
        return len(self.texts)

    def seen_as(self, columns: Sequence[str]) -> Batch:
        """The same texts with some of the other columns alone: ("urls",) is what a WET file tells."""
        return Batch(texts=self.texts, **{name: getattr(self, name) for name in columns})

    def take(self, rows: Sequence[int]) -> Batch:
        """Take some rows as a batch, in that order."""
        columns = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        taken: dict[str, Any] = {name: None if v is None else [v[i] for i in rows] for name, v in columns.items()}
        return Batch(**taken)


class Classifier(abc.ABC):
    """A classifier of pages."""

    labels: tuple[str, ...]

    @abc.abstractmethod
    def predict_proba(self, pages: Batch | Sequence[str]) -> Probabilities:
        """Calibrated probabilities, float32 (n, classes); rows sum to 1."""

    @abc.abstractmethod
    def sha256(self) -> str:
        """SHA-256 of the weights, 64 hex characters."""

    def predict(self, pages: Batch | Sequence[str]) -> list[str]:
        """The likeliest label of each page."""
        return [self.labels[i] for i in self.predict_proba(pages).argmax(1)]

    def scores(self, pages: Batch | Sequence[str]) -> npt.NDArray[np.uint16]:
        """Probabilities as they are stored, uint16 (n, classes)."""
        return np.rint(self.predict_proba(pages).astype(np.float64) * SCALE).astype(np.uint16)


class StoredClassifier(Classifier):
    """A classifier whose model is the file FILE in a folder."""

    FILE: ClassVar[str]

    @abc.abstractmethod
    def to_bytes(self) -> bytes:
        """The model as a file, the same bytes for the same model."""

    @classmethod
    @abc.abstractmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` made. :raises ValueError: if it was trained on other features than this code computes."""

    def save(self, folder: Path) -> Path:
        """Write the file into a folder, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.FILE
        path.write_bytes(self.to_bytes())
        return path

    def sha256(self) -> str:
        return digest(self.to_bytes())


def digest(data: bytes) -> str:
    """SHA-256 of bytes, 64 hex characters."""
    return hashlib.sha256(data).hexdigest()
