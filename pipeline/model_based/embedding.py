"""Embeddings for semantic deduplication: texts to unit vectors in whole numbers.

A vector is kept in 8 bits a number (`quantised`), and what is compared is what is kept. Products of such vectors are sums of
whole numbers below 2^24, which 32-bit floats hold exactly: a matrix product of them is the same in any order, in any batch.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numba
import numpy as np
import numpy.typing as npt

from classifiers.base import digest
from classifiers.checkpoint import MAX_TOKENS, device, padded
from extraction.kernels import FNV_PRIME, FNV_START, compiled, fnv1a, is_unspaced, utf8_point, utf8_size
from extraction.lines import tags as t

Vectors = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]

CORPUS = "corpus"
FEATURES = 1 << 18
"""Hashed words that weights are learned for."""

SPREAD = 8
"""Numbers of a vector that a word is added to or taken from."""

MAX_COUNT = 256
_LOWER, _UPPER, _DIGIT, _LEAD = t.LOWER, t.UPPER, t.DIGIT, t.LEAD


class Embedder(Protocol):
    """Texts to vectors."""

    dimensions: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """`quantised` embeddings, int8 (n, dimensions); zeros for a text that says nothing to the embedder."""
        ...


def levels(dimensions: int) -> int:
    """The largest number of a vector: sums of so many products must stay exact in 32-bit floats."""
    return min(127, math.isqrt((1 << 24) // dimensions))


def quantised(vectors: Floats) -> Vectors:
    """Float vectors of any length as whole numbers, the largest of each row `levels`; zeros stay zeros."""
    largest = np.abs(vectors).max(1, keepdims=True, initial=0)
    largest[largest == 0] = 1
    return np.asarray(np.rint(vectors * (np.float32(levels(vectors.shape[1])) / largest)), np.int8)


class CorpusEmbedder:
    """Weighted words of a text, thrown together at random: it sees which words a text has and how often, not what they mean.

    Words are hashed: runs of letters and digits in lower case; of scripts without spaces single characters and pairs. A word
    counts with the root of how often it stands in the text, times its weight, which falls with the share of the corpus' documents
    that have it. Each word has its own random direction (signed feature hashing; Weinberger et al., ICML 2009), so the
    cosine of two vectors is that of the weighted words, give or take (1 - cosine^2) / root of `dimensions`.

    :param weights: of the hashed words, float32 (FEATURES,): `weights_of`.
    """

    def __init__(self, weights: Floats, dimensions: int) -> None:
        self.weights, self.dimensions = weights, dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        data, ends = _joined(texts)
        out = np.zeros((len(texts), self.dimensions), np.float32)
        counts, touched = np.zeros(FEATURES, np.int32), np.zeros(FEATURES, np.int32)
        _embed(data, ends, t.CLASSES, self.weights, _ROOTS, counts, touched, out)
        return quantised(out)


def document_frequencies(texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Hashed words of the texts, ascending, and how many texts have each."""
    data, ends = _joined(texts)
    counts, touched = np.zeros(FEATURES, np.int32), np.zeros(FEATURES, np.int32)
    frequencies = np.zeros(FEATURES, np.int64)
    _count(data, ends, t.CLASSES, counts, touched, frequencies)
    words = np.flatnonzero(frequencies)
    return words.astype(np.int32), frequencies[words]


def weights_of(words: npt.NDArray[np.int32], documents: npt.NDArray[np.int64], n: int) -> Floats:
    """Weights of all hashed words, float32 (FEATURES,): 1 + log2((n + 1) / documents), of those not seen as of one document.

    :param words: hashed words that were seen.
    :param documents: how many of n documents have each of them.
    """
    have = np.ones(FEATURES, np.int64)
    have[words] = documents
    # In whole steps of a bit's 64th, so that a library's last bit of a logarithm does not matter.
    bits = np.rint(64 * np.log2((n + 1) / have))
    return np.asarray(1 + bits / 64, np.float32)


PASSAGES = 4
"""Passages of a document that a model reads, at most, spread evenly; their mean is the document's vector."""

CHARACTERS_A_TOKEN = 4


class SentenceEmbedder:
    """A sentence-transformers checkpoint. Takes the extra `hf`.

    :param path: folder, or hub name.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.dimensions = int(self._model.get_embedding_dimension())

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return sentence_embedder, (self.path,)  # each process loads its own

    @functools.cached_property
    def _model(self) -> Any:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(self.path, device=device()).eval()

    def sha256(self) -> str:
        """SHA-256 of the weights if they lie in a folder; of name and configuration if they come from a hub."""
        files = sorted(Path(self.path).rglob("*.safetensors"))
        if files:
            return digest("".join(digest(file.read_bytes()) for file in files).encode())
        config = self._model[0].auto_model.config.to_dict()
        return digest(json.dumps([self.path, config], sort_keys=True, default=str).encode())

    def embed(self, texts: Sequence[str]) -> Vectors:
        import torch

        torch.set_num_threads(1)  # one a worker; and what is added up in which order shall not depend on the machine
        limit = min(int(self._model.max_seq_length or MAX_TOKENS), MAX_TOKENS)
        cut = [passages(text, limit * CHARACTERS_A_TOKEN) for text in texts]
        flat = [passage for pieces in cut for passage in pieces]
        tokenizer = self._model.tokenizer
        ids = tokenizer(flat, truncation=True, max_length=limit)["input_ids"] if flat else []
        embedded = np.zeros((len(flat), self.dimensions), np.float32)
        for rows, tokens, mask in padded(ids, limit, tokenizer.pad_token_id or 0):
            inputs = {"input_ids": torch.from_numpy(tokens), "attention_mask": torch.from_numpy(mask)}
            with torch.no_grad():
                out = self._model({name: value.to(self._model.device) for name, value in inputs.items()})
            embedded[rows] = out["sentence_embedding"][: len(rows)].float().cpu().numpy()
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        place = 0
        for i, pieces in enumerate(cut):
            for _ in pieces:
                vectors[i] += embedded[place] / max(float(np.linalg.norm(embedded[place])), 1e-12)
                place += 1
        return quantised(vectors)


def passages(text: str, size: int) -> list[str]:
    """Up to PASSAGES pieces of `size` characters, spread evenly from the beginning to the end; none of an empty text."""
    text = text.strip()
    n = min(PASSAGES, -(-len(text) // size))
    if n < 2:
        return [text] if text else []
    return [text[i * (len(text) - size) // (n - 1) :][:size] for i in range(n)]


@functools.lru_cache(maxsize=2)
def sentence_embedder(path: str) -> SentenceEmbedder:
    """The worker process's embedder of a checkpoint.

    :raises ValueError: if it cannot be loaded.
    """
    try:
        return SentenceEmbedder(path)
    except ImportError as e:
        raise ValueError(
            f"embedder {path!r} needs the extra `hf` (pip install 'corpusmill[hf]'): {e}; or take {CORPUS!r}"
        ) from e
    except (OSError, ValueError) as e:
        raise ValueError(f"embedder {path!r} is neither {CORPUS!r} nor a sentence-transformers checkpoint: {e}") from e


_ROOTS = np.sqrt(np.arange(MAX_COUNT, dtype=np.float64)).astype(np.float32)


def _joined(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    pieces = [text.encode("utf-8", "replace") for text in texts]
    return np.frombuffer(b"".join(pieces), np.uint8), np.cumsum([len(p) for p in pieces], dtype=np.int64)


@numba.njit
def _words(data, begin, end, classes, counts, touched):  # type: ignore[no-untyped-def]
    """Counts each word of a text in `counts` and lists it, once, in `touched`; returns how many are listed."""
    n = 0
    p = begin
    h = FNV_START
    inside = False
    before = np.uint32(0)  # the character without spaces that stands just before
    while p <= end:
        c = np.uint32(data[p]) if p < end else np.uint32(0)
        kind = classes[data[p]] if p < end else 0
        size = 1
        alone: Any = False
        if p < end and kind == _LEAD:
            size = utf8_size(c)
            if p + size > end:
                size = end - p
                kind = 0
            elif size == 3:
                code = utf8_point(data, p, size)
                alone = is_unspaced(code)
                # Punctuation and signs part words; other scripts' letters belong to them.
                if 0x2000 <= code < 0x3040 or code >= 0xFE30 or 0xE000 <= code < 0xF900:
                    kind = 0
            elif size == 4:
                alone = is_unspaced(utf8_point(data, p, size))
                if not alone:
                    kind = 0
        if not alone and (kind == _LOWER or kind == _UPPER or kind == _DIGIT or kind == _LEAD):
            if kind == _UPPER:
                h = fnv1a(h, c | np.uint32(32))
            else:
                for q in range(p, p + size):
                    h = fnv1a(h, data[q])
            inside = True
        elif inside:
            n = _add(h, counts, touched, n)
            h = FNV_START
            inside = False
        if alone:
            character = FNV_START
            for q in range(p, p + size):
                character = fnv1a(character, data[q])
            n = _add(character, counts, touched, n)
            if before != 0:  # FNV-1 (the product first), as in the vectors that are stored
                n = _add(np.uint32((before * FNV_PRIME) ^ character), counts, touched, n)
            before = character
        else:
            before = np.uint32(0)
        p += size
    return n


@numba.njit
def _add(h, counts, touched, n):  # type: ignore[no-untyped-def]
    h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    word = np.int64((h ^ (h >> np.uint32(13))) & np.uint32(FEATURES - 1))
    if counts[word] == 0:
        touched[n] = word
        n += 1
    counts[word] += 1
    return n


@compiled("in:u1 in:i8 in:u1 in:f4 in:f4 io:i4 io:i4 io:f4*")
def _embed(data, ends, classes, weights, roots, counts, touched, out):  # type: ignore[no-untyped-def]
    dimensions = np.uint64(out.shape[1])
    begin = 0
    for d in range(len(ends)):
        n = _words(data, begin, ends[d], classes, counts, touched)
        begin = ends[d]
        for k in range(n):
            word = touched[k]
            weight = weights[word] * roots[min(counts[word], MAX_COUNT - 1)]
            counts[word] = 0
            x = np.uint64(word + 1) * np.uint64(0x9E3779B97F4A7C15)
            for _ in range(SPREAD):
                x ^= x >> np.uint64(30)
                x *= np.uint64(0xBF58476D1CE4E5B9)
                x ^= x >> np.uint64(27)
                x *= np.uint64(0x94D049BB133111EB)
                x ^= x >> np.uint64(31)
                place = np.int64((x >> np.uint64(1)) % dimensions)
                if x & np.uint64(1):
                    out[d, place] += weight
                else:
                    out[d, place] -= weight


@compiled("in:u1 in:i8 in:u1 io:i4 io:i4 io:i8")
def _count(data, ends, classes, counts, touched, frequencies):  # type: ignore[no-untyped-def]
    begin = 0
    for d in range(len(ends)):
        n = _words(data, begin, ends[d], classes, counts, touched)
        begin = ends[d]
        for k in range(n):
            frequencies[touched[k]] += 1
            counts[touched[k]] = 0
