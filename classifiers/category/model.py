"""The small category classifier: means of word vectors of four fields and numbers about the page's lines, a net of one hidden
layer. Predicting takes numpy and numba, row by row in a fixed order; training torch (`classifiers.category.train`).

The vectors (`classifiers.category.vectors`) are of English and Chinese words in one space, so that a class that was learned from
English pages is known in Chinese ones. They are kept in four bits a number.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from classifiers.base import Batch, Probabilities, StoredClassifier
from classifiers.features import COLUMNS, address_words, features_of
from classifiers.small import softmax
from classifiers.words import Vocabulary
from extraction.kernels import compiled

Floats = npt.NDArray[np.float32]
FIELDS = ("address", "title", "beginning", "text")
WORDS = (40, 40, 60, 1500)
"""Words of each field that are taken."""

CLIP = 3.0
"""Standardised numbers are cut off here."""


@dataclass(frozen=True, eq=False)
class WordVectors:
    """:param keys: hashes of the words, uint32 (n,); their rows.
    :param nibbles: two numbers a byte, uint8 (n, dimensions / 2), each from 0 to 15 for -7.5 to 7.5; `scales` float16 (n,).
    """

    keys: npt.NDArray[np.uint32]
    nibbles: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float16]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.keys)

    @classmethod
    def of(cls, keys: npt.NDArray[np.uint32], vectors: Floats) -> WordVectors:
        """Vectors, float32 (n, dimensions), kept in four bits a number."""
        scales = (np.abs(vectors).max(1) / 7.5 + 1e-9).astype(np.float16)
        levels = np.clip(np.rint(vectors / scales[:, None].astype(np.float32) + 7.5), 0, 15).astype(np.uint8)
        return cls(keys, levels[:, 0::2] | levels[:, 1::2] << 4, scales)

    def means(self, batch: Batch) -> Floats:
        """Mean vector of each field, of length sqrt(dimensions / 8), one after the other: float32 (pages, fields * dimensions);
        zeros for a field without a known word."""
        nothing: list[None] = [None] * len(batch)
        pieces: list[bytes] = []
        for text, title, url in zip(batch.texts, batch.titles or nothing, batch.urls or nothing, strict=True):
            data = text.encode("utf-8", "replace")
            pieces += [address_words(url), (title or "").encode("utf-8", "replace"), data, data]
        rows, starts = self.vocabulary.rows(pieces, WORDS * len(batch))
        out = np.zeros((len(pieces), 2 * self.nibbles.shape[1]), np.float32)
        _means(rows, starts, self.nibbles, self.scales.astype(np.float32), out)
        return out.reshape(len(batch), -1)


@dataclass(frozen=True, eq=False)
class Net:
    """Float16 arrays: `centre`, `spread` (numbers,) standardise the numbers about the lines; `hidden` (inputs, units) with
    `hidden_bias`; `outer` (units, classes) with `outer_bias`; `skip` (inputs, classes), past the hidden layer."""

    centre: npt.NDArray[np.float16]
    spread: npt.NDArray[np.float16]
    hidden: npt.NDArray[np.float16]
    hidden_bias: npt.NDArray[np.float16]
    outer: npt.NDArray[np.float16]
    outer_bias: npt.NDArray[np.float16]
    skip: npt.NDArray[np.float16]

    @cached_property
    def wide(self) -> dict[str, Floats]:
        return {name: value.astype(np.float32) for name, value in vars(self).items() if name != "wide"}

    def inputs(self, means: Floats, dense: Floats) -> Floats:
        """Join what the net sees, float32 (n, inputs)."""
        return np.concatenate([means, standardised(dense, self.wide["centre"], self.wide["spread"])], axis=1)

    def logits(self, inputs: Floats) -> Floats:
        """Float32 (n, classes)."""
        wide = self.wide
        out = np.empty((len(inputs), len(self.outer_bias)), np.float32)
        _net(
            np.ascontiguousarray(inputs), wide["hidden"], wide["hidden_bias"],
            wide["outer"], wide["outer_bias"], wide["skip"], out,
        )  # fmt: skip
        return out


@dataclass(frozen=True, eq=False)
class WordModel(StoredClassifier):
    """:param temperature: what logits are divided by."""

    FILE: ClassVar[str] = "words.safetensors"
    labels: tuple[str, ...]
    vectors: WordVectors
    net: Net
    temperature: float = 1.0
    meta: dict[str, Any] = field(default_factory=dict)

    def predict_proba(self, pages: Batch | Sequence[str]) -> Probabilities:
        batch = Batch.of(pages)
        if not len(batch):
            return np.zeros((0, len(self.labels)), np.float32)
        return self.from_inputs(self.net.inputs(self.vectors.means(batch), features_of(batch).dense))

    def from_inputs(self, inputs: Floats) -> Probabilities:
        """`predict_proba` of inputs that are known already."""
        return softmax(self.net.logits(inputs).astype(np.float64) / self.temperature)

    def to_bytes(self) -> bytes:
        tensors: dict[str, npt.NDArray[np.generic]] = {
            "keys": self.vectors.keys, "nibbles": self.vectors.nibbles, "scales": self.vectors.scales
        }  # fmt: skip
        tensors |= {f"net.{name}": value for name, value in vars(self.net).items() if name != "wide"}
        header = {
            **self.meta,
            "labels": list(self.labels),
            "temperature": self.temperature,
            "columns": list(COLUMNS),
            "fields": list(FIELDS),
            "words": list(WORDS),
        }
        return safetensors.numpy.save(tensors, {"model": json.dumps(header, ensure_ascii=False, sort_keys=True)})

    @classmethod
    def from_bytes(cls, data: bytes) -> WordModel:
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["model"])
        if (header.pop("columns"), header.pop("fields"), header.pop("words")) != (
            list(COLUMNS), list(FIELDS), list(WORDS)
        ):  # fmt: skip
            raise ValueError("the model was trained on other features than this version computes: train it again")
        tensors = safetensors.numpy.load(data)
        net = Net(**{name.removeprefix("net."): t for name, t in tensors.items() if name.startswith("net.")})
        return cls(
            labels=tuple(header.pop("labels")),
            vectors=WordVectors(tensors["keys"], tensors["nibbles"], tensors["scales"]),
            net=net,
            temperature=header.pop("temperature"),
            meta=header,
        )


Model = WordModel
"""The model that `classifiers.registry` loads."""


def compressed(dense: Floats) -> Floats:
    """Sign and logarithm of numbers about lines: their long tails are drawn in."""
    out: Floats = (np.sign(dense) * np.log1p(np.abs(dense))).astype(np.float32)
    return out


def standardised(dense: Floats, centre: Floats, spread: Floats) -> Floats:
    """Numbers about lines with mean 0 and spread 1 on the training pages, cut off at CLIP."""
    out: Floats = np.clip((compressed(dense) - centre) / spread, -CLIP, CLIP).astype(np.float32)
    return out


@compiled("in:i4 in:i8 in:u1* in:f4 io:f4*")
def _means(rows, starts, nibbles, scales, out):  # type: ignore[no-untyped-def]
    half = nibbles.shape[1]
    for piece in range(len(out)):
        mean = out[piece]
        for k in range(starts[piece], starts[piece + 1]):
            row = nibbles[rows[k]]
            scale = scales[rows[k]]
            for j in range(half):
                mean[2 * j] += (np.float32(row[j] & 15) - np.float32(7.5)) * scale
                mean[2 * j + 1] += (np.float32(row[j] >> 4) - np.float32(7.5)) * scale
        total = 0.0
        for j in range(2 * half):
            total += np.float64(mean[j]) * np.float64(mean[j])
        if total > 0.0:
            by = np.float32(np.sqrt(2 * half / 8.0) / np.sqrt(total))
            for j in range(2 * half):
                mean[j] *= by


@compiled("in:f4* in:f4* in:f4 in:f4* in:f4 in:f4* io:f4*")
def _net(inputs, hidden, hidden_bias, outer, outer_bias, skip, out):  # type: ignore[no-untyped-def]
    units, classes = outer.shape
    inner = np.empty(units, np.float32)
    for i in range(len(inputs)):
        logits = out[i]
        inner[:] = hidden_bias
        logits[:] = outer_bias
        for j in range(inputs.shape[1]):
            x = inputs[i, j]
            if x == 0.0:
                continue
            for u in range(units):
                inner[u] += x * hidden[j, u]
            for c in range(classes):
                logits[c] += x * skip[j, c]
        for u in range(units):
            x = inner[u]
            if x <= 0.0:
                continue
            for c in range(classes):
                logits[c] += x * outer[u, c]
