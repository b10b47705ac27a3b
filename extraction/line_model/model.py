"""The line model: scores of lines, and the choice of those that are kept (dots.llm1 C.3, the line-level model).

Two forms. `dom` scores the lines of a scanned page; `text` scores plain lines, of which it knows nothing but their words and
their order. Both are: two (one) linear scores over hashed words and attributes; those and dense features into boosted trees;
the trees' scores, pooled over regions, into second trees (see `regions`). Predicting takes numpy and numba alone.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from extraction.line_model import features as f
from extraction.line_model import kinds as of_kinds
from extraction.line_model import regions
from extraction.line_model.trees import NAMES, Trees, evaluate
from extraction.lines.columns import E
from extraction.lines.scan import Scan, scan_text
from extraction.result import SCALE

Form = Literal["dom", "text"]
FORMS: tuple[Form, ...] = ("dom", "text")

FLOOR = 0.1
"""What evaluation chooses in every fold (`evaluate.chosen_lines`)."""

Scores = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class LineModel:
    """One form of the model.

    :param attributes: weights (2**BITS,) of the linear score over attributes, and its bias; None in the form `text`.
    :param words: the same over words.
    :param trees: what scores a line by itself; :param regions: what scores it again, by the scores of all that holds it.
    :param floor: score (0 to 1) below which a line is never kept.
    :param kinds: weights (2**KIND_BITS, kinds) of the kinds of regions, and biases (kinds,); None in the form `text`.
    """

    form: Form
    attributes: tuple[npt.NDArray[np.float32], float] | None
    words: tuple[npt.NDArray[np.float32], float]
    trees: Trees
    regions: Trees
    floor: float = FLOOR
    kinds: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None = None

    def linear_scores(self, page: Scan) -> npt.NDArray[np.float32]:
        """The linear scores, shape (1 or 2, lines): of attributes (form `dom`), of words."""
        out = np.zeros((1 if self.attributes is None else 2, len(page.lines)), np.float32)
        if self.attributes is not None:
            weights, bias = self.attributes
            f.score_attributes(page.elements, page.tokens, page.lines, weights, np.float32(bias), out[0])
        f.score_words(page.lines, page.words, self.words[0], np.float32(self.words[1]), out[-1])
        return out

    def score(self, page: Scan) -> Scores:
        """Score the lines of a page, in its order. Other pages change nothing."""
        if not len(page.lines):
            return np.zeros(0, np.uint16)
        return self._scores(region_columns(page, self.first_scores(page)))

    def judge(self, page: Scan) -> tuple[Scores, npt.NDArray[np.int8]]:
        """Scores of the lines of a page, and the kinds of region that they stand in, by their numbers in `kinds.KINDS`.

        :raises ValueError: in the form `text`, which knows no kinds.
        """
        if self.kinds is None:
            raise ValueError("the form `text` knows no kinds: use `score`")
        if not len(page.lines):
            return np.zeros(0, np.uint16), np.zeros(0, np.int8)
        columns = region_columns(page, self.first_scores(page))
        return self._scores(columns), of_kinds.scores(page, columns, *self.kinds).argmax(1).astype(np.int8)

    def _scores(self, columns: npt.NDArray[np.float32]) -> Scores:
        return np.rint(SCALE / (1.0 + np.exp(-evaluate(self.regions, columns)))).astype(np.uint16)

    def first_scores(self, page: Scan) -> npt.NDArray[np.float64]:
        """Scores (log odds) of lines by themselves, before regions are looked at."""
        return evaluate(self.trees, features(page, self.linear_scores(page), self.form))

    def score_lines(self, lines: Sequence[str]) -> Scores:
        """Scores of plain lines in their order; only for the form `text`."""
        if self.form != "text":
            raise ValueError("the form `dom` scores scanned pages: use `score`")
        return self.score(scan_text(lines))

    def choose(self, page: Scan, scores: Scores) -> npt.NDArray[np.bool_]:
        """Which lines to keep, shape (lines,): those that make the expected F1 of the kept words largest, without those below the
        floor (`regions.cut`)."""
        return regions.cut(page.elements, page.lines, scores / SCALE, self.floor)

    def save(self, folder: Path, meta: dict[str, object]) -> None:
        """Write `{form}.safetensors`; `meta` goes into its header."""
        tensors: dict[str, npt.NDArray[np.generic]] = {
            f"{part}.{name}": getattr(trees, name)
            for part, trees in (("trees", self.trees), ("regions", self.regions))
            for name in NAMES
        }
        if self.kinds is not None:
            tensors["kinds.weights"], tensors["kinds.bias"] = self.kinds[0].astype(np.float16), self.kinds[1]
        tensors["words"] = self.words[0].astype(np.float16)
        if self.attributes is not None:
            tensors["attributes"] = self.attributes[0].astype(np.float16)
        header = {
            **meta,
            "form": self.form,
            "columns": list(column_names(self.form)),
            "region_columns": list(regions.COLUMNS),
            "biases": [0.0 if self.attributes is None else self.attributes[1], self.words[1]],
            "floor": self.floor,
        }
        safetensors.numpy.save_file(
            tensors, folder / f"{self.form}.safetensors", {"model": json.dumps(header, ensure_ascii=False)}
        )


@functools.cache
def load(form: Form = "dom", folder: Path | None = None) -> LineModel:
    """The shipped model, or one that `train` wrote into `folder`.

    :raises ValueError: if the file was trained on other features than this code computes.
    """
    data = _read(form, folder)
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["model"])
    tensors = safetensors.numpy.load(data)
    if (tuple(header["columns"]), tuple(header.get("region_columns", ()))) != (column_names(form), regions.COLUMNS):
        raise ValueError(f"{form}.safetensors was trained on other features than this version computes: train it again")
    biases = header["biases"]
    return LineModel(
        form=form,
        attributes=(tensors["attributes"].astype(np.float32), biases[0]) if form == "dom" else None,
        words=(tensors["words"].astype(np.float32), biases[1]),
        trees=Trees(**{name: tensors[f"trees.{name}"] for name in NAMES}),
        regions=Trees(**{name: tensors[f"regions.{name}"] for name in NAMES}),
        kinds=(tensors["kinds.weights"].astype(np.float32), tensors["kinds.bias"]) if form == "dom" else None,
        floor=header["floor"],
    )


def sha256(form: Form, folder: Path | None = None) -> str:
    """SHA-256 of the weights, 64 hex characters."""
    return hashlib.sha256(_read(form, folder)).hexdigest()


def _read(form: Form, folder: Path | None) -> bytes:
    # By importlib, since the package may lie in a zip.
    place = importlib.resources.files("extraction.line_model") / "weights" if folder is None else folder
    return (place / f"{form}.safetensors").read_bytes()


def column_names(form: Form) -> tuple[str, ...]:
    """Names of the columns that the trees see."""
    dom = form == "dom"
    scores = ("attributes", "words") if dom else ("words",)
    return (*f.TEXT, *(f.DOM if dom else ()), *f.context_names(scores, dom))


@functools.cache
def _window(form: Form) -> npt.NDArray[np.int64]:
    return f.window_columns(form == "dom")


def features(page: Scan, scores: npt.NDArray[np.float32], form: Form) -> npt.NDArray[np.float32]:
    """Compute what the trees see of a page's lines, float32 (lines, columns)."""
    out = np.zeros((len(page.lines), len(column_names(form))), np.float32)
    if not len(out):
        return out
    f.text_features(page.lines, out)
    dense = f.N_TEXT
    if form == "dom":
        f.dom_features(page.elements, page.flags, page.lines, out)
        dense += f.N_DOM
    f.context_features(scores, _window(form), dense, out)
    if form == "dom":
        start = dense + len(scores) * (1 + f.N_OF_SCORE)
        f.tree_features(scores, page.elements, page.lines, start, out)
    return out


_ROOT = np.full((1, len(E)), -1, np.int32)


def region_columns(page: Scan, first: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Compute what the second trees see, float32 (lines, columns), from the first scores. Plain lines stand in one element."""
    out = np.zeros((len(page.lines), len(regions.COLUMNS)), np.float32)
    elements, flags = (page.elements, page.flags) if len(page.elements) else (_ROOT, np.zeros(1, np.int64))
    regions.region_features(elements, flags, page.lines, first, out)
    return out
