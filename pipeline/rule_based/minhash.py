"""MinHash signatures, band keys and sketches of texts (dots.llm1 C.2): the part of fuzzy deduplication that needs no Spark.

A document is the set of its 5-grams of tokens (`minhash_text`), each a 32-bit hash. Of 2,048 random orders of all
hashes the signature keeps each one's first: two documents agree in a place with the probability that is their Jaccard
similarity. The signature is cut into 128 bands of 16 rows; documents that agree in a whole band are candidates, which
at similarity s happens with probability 1 - (1 - s^16)^128: 0.9741 at 0.8 (the report says 97.42 %).

Everything is integer arithmetic on uint32 and uint64: the same on every machine, in every batch, in every order.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, get_args

import numba
import numpy as np
import numpy.typing as npt

from extraction.kernels import compiled
from pipeline.rule_based.minhash_text import Ids, Segmenter, identity_forms, mix64, segment, token_hashes

Hashes = npt.NDArray[np.uint32]
Keys = npt.NDArray[np.uint64]
Sketches = npt.NDArray[np.uint8]

_CHUNK = 1 << 20
"""Characters that are normalised and segmented at a time: bounds memory, and the buffers stay in the cache."""


@dataclass(frozen=True)
class MinHashParams:
    """Parameters that a signature depends on.

    :raises ValueError: if a number is out of its range.
    """

    segmenter: Segmenter = "rjieba"
    """For Chinese words. Both give the same; jieba is 20 times slower, in Python alone."""
    ngram: int = 5
    """Tokens of a shingle."""
    bands: int = 128
    rows: int = 16
    """Values of a band."""
    min_tokens: int = 13
    """Texts of fewer have no shingles. Below 13 tokens (9 shingles of 5) one other word, even the last, takes the
    similarity under 0.8: what reaches it is a text with a word or two more, and in so short a text they matter (among
    lines and titles of real pages, "for i = 0 i < n i++" with another loop body, products with their price)."""
    seed: int = 1
    """Chooses the random orders; the same seed, the same signatures."""
    unify_scripts: bool = False
    """Traditional characters count as simplified ones."""

    def __post_init__(self) -> None:
        if self.segmenter not in get_args(Segmenter):
            raise ValueError(f"segmenter is {self.segmenter!r}, expected one of {', '.join(get_args(Segmenter))}")
        for name in ("ngram", "bands", "rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.n_hashes % 2:
            raise ValueError(f"bands * rows is {self.n_hashes}, expected an even number: a sketch holds two to a byte")
        if self.min_tokens < self.ngram:
            raise ValueError(
                f"min_tokens is {self.min_tokens}, expected at least ngram, {self.ngram}: fewer have no n-gram"
            )
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(f"seed is {self.seed}, expected 0 <= seed < 2^64")

    @property
    def n_hashes(self) -> int:
        return self.bands * self.rows


class MinHasher:
    """Shingles, signatures, band keys and sketches under one set of parameters. No state: safe to share and to reuse."""

    def __init__(self, params: MinHashParams) -> None:
        self.params = params

    def shingles(self, texts: list[str]) -> tuple[Hashes, Ids, npt.NDArray[np.int32]]:
        """The sets of n-grams of n texts.

        A text of fewer than `min_tokens` tokens has no shingles; its signature means nothing, so leave it out by its
        `n_tokens`, to go by exact match alone. Without that rule all texts shorter than an n-gram are "equal"
        (bigcode-dataset#35).

        :returns: 32-bit hashes of the distinct n-grams, ascending in each document, shape (n_shingles,); where each
            document's start and end, shape (n + 1,); tokens of each document, shape (n,).
        """
        flats, counts, n_tokens = [np.empty(0, np.uint32)], [np.zeros(1, np.int64)], [np.empty(0, np.int32)]
        for chunk in _chunks(texts):
            data, places = identity_forms(chunk, self.params.unify_scripts)
            tokens, starts = token_hashes(data, places, segment(data, places, self.params.segmenter))
            flat, offsets = np.empty(len(tokens), np.uint32), np.empty(len(starts), np.int64)
            _shingles(tokens, starts, self.params.ngram, self.params.min_tokens, flat, offsets)
            flats.append(flat[: offsets[-1]])
            counts.append(np.diff(offsets))
            n_tokens.append(np.diff(starts).astype(np.int32))
        return np.concatenate(flats), np.cumsum(np.concatenate(counts)), np.concatenate(n_tokens)

    def signatures(self, flat: Hashes, offsets: Ids) -> Hashes:
        """MinHash values of n sets, shape (n, bands * rows).

        For each of bands * rows / 4 multipliers a (odd) and increments b the shingles x are put on a circle of 2^32
        places at a x + b; the four values are the places of the first after 0, the last before 0, the first after half
        the circle and the last before it: unsigned and signed minimum and maximum. One multiplication serves four
        values, which halves the time of one each. The minimum with the maximum is the min-max hash of Ji, Li, Yan,
        Tian and Zhang (ICDM 2013), who prove it unbiased and of slightly smaller variance than MinHash; half a turn of
        the circle is another increment. Column c holds kind c // (n_hashes / 4) under multiplier c % (n_hashes / 4), so
        that the rows of a band have different multipliers (if there are more than 4 * rows values).

        :param flat: shingles of all documents, shape (n_shingles,).
        :param offsets: where each document's start and end, shape (n + 1,).
        """
        flat, offsets = _checked("flat", flat, np.uint32), _checked("offsets", offsets, np.int64)
        quarter = -(-self.params.n_hashes // 4)
        out = np.empty((len(offsets) - 1, self.params.n_hashes), np.uint32)
        _signatures(flat, offsets, *multipliers(self.params.seed, quarter), out)
        return out

    def band_keys(self, signatures: Hashes) -> Keys:
        """64-bit hashes of each band's rows and of its number, shape (n, bands).

        :param signatures: shape (n, bands * rows).
        """
        signatures = self._checked(signatures)
        out = np.empty((len(signatures), self.params.bands), np.uint64)
        _band_keys(signatures, self.params.rows, out)
        return out

    def sketches(self, signatures: Hashes) -> Sketches:
        """4 bits of each MinHash value, shape (n, bands * rows / 2): b-bit minwise hashing (Li and König, WWW 2010).

        An eighth of the signature (1 kB of 8), for verification with `sketch_similarity`. The bits are the top four of
        a mix of the value. Byte k holds value k in its low half and value k + bands * rows / 2 in its high half.

        :param signatures: shape (n, bands * rows).
        """
        signatures = self._checked(signatures)
        out = np.empty((len(signatures), self.params.n_hashes // 2), np.uint8)
        _sketches(signatures, out)
        return out

    def _checked(self, signatures: Hashes) -> Hashes:
        if signatures.ndim != 2 or signatures.shape[1] != self.params.n_hashes:
            raise ValueError(f"signatures has shape {signatures.shape}, expected (n, {self.params.n_hashes})")
        return _checked("signatures", signatures, np.uint32)


def _checked(name: str, values: npt.NDArray[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Array as the kernels take it: of `dtype`, contiguous."""
    if values.dtype != dtype:
        raise ValueError(f"{name} has type {values.dtype}, expected {np.dtype(dtype)}")
    return np.ascontiguousarray(values)


def sketch_similarity(a: Sketches, b: Sketches) -> npt.NDArray[np.float64]:
    """Jaccard similarity of pairs, estimated from their sketches, shape (n,).

    Different shingles agree in 4 bits once in 16 times, so of m places a share p = J + (1 - J) / 16 is expected to agree
    (Li and König, WWW 2010, theorem 1, for sets far smaller than 2^32). J is estimated as (16 p - 1) / 15: unbiased,
    standard error 16/15 sqrt(p (1 - p) / m), which at J = 0.8 and m = 2,048 is 0.0092 (of the whole signature: 0.0088).
    Unrelated pairs may come out below 0.

    :param a: sketches, shape (n, m / 2).
    :param b: as `a`.
    :raises ValueError: if the shapes differ or the type is another.
    """
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"sketches have shapes {a.shape} and {b.shape}, expected the same (n, m / 2)")
    matches = np.empty(len(a), np.int64)
    _matches(_checked("a", a, np.uint8), _checked("b", b, np.uint8), matches)
    similarity: npt.NDArray[np.float64] = (16.0 * matches / (2 * a.shape[1]) - 1.0) / 15.0
    return similarity


def jaccard(flat: Hashes, offsets: Ids, left: Ids, right: Ids) -> npt.NDArray[np.float64]:
    """Exact Jaccard similarity of pairs of documents, shape (n_pairs,). Documents without shingles are like nothing: 0.

    :param flat: sorted distinct shingles of all documents, shape (n_shingles,).
    :param offsets: where each document's start and end, shape (n + 1,).
    :param left: documents' numbers, shape (n_pairs,).
    :param right: as `left`.
    """
    flat, offsets = _checked("flat", flat, np.uint32), _checked("offsets", offsets, np.int64)
    left, right = _checked("left", left, np.int64), _checked("right", right, np.int64)
    common = np.empty(len(left), np.int64)
    _common(flat, offsets, left, right, common)
    sizes = np.diff(offsets)
    union = sizes[left] + sizes[right] - common
    similarity: npt.NDArray[np.float64] = common / np.maximum(union, 1)
    return similarity


def candidate_probability(s: float, bands: int, rows: int) -> float:
    """Probability that two documents of Jaccard similarity `s` share a band: 1 - (1 - s^rows)^bands.

    :raises ValueError: if `s` is no similarity.
    """
    if not 0.0 <= s <= 1.0:
        raise ValueError(f"similarity is {s}, expected 0 to 1")
    return 1.0 - float((1.0 - s**rows) ** bands)


@functools.cache
def multipliers(seed: int, n: int) -> tuple[Hashes, Hashes]:
    """Odd multipliers and increments, shapes (n,).

    Output i of splitmix64 from state `seed` (Steele, Lea and Flood, OOPSLA 2014) gives multiplier i in its upper half,
    made odd, and increment i in its lower half.
    """
    mask = (1 << 64) - 1
    a, b = np.empty(n, np.uint32), np.empty(n, np.uint32)
    for i in range(n):
        z = (seed + (i + 1) * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        a[i], b[i] = z >> 32 | 1, z & 0xFFFFFFFF
    return a, b


def _chunks(texts: list[str]) -> list[list[str]]:
    """The texts in runs of about `_CHUNK` characters."""
    chunks: list[list[str]] = []
    size = _CHUNK
    for text in texts:
        if size >= _CHUNK:
            chunks.append([])
            size = 0
        chunks[-1].append(text)
        size += len(text)
    return chunks


@compiled("in:u8 in:i8 i8 i8 io:u4 io:i8")
def _shingles(tokens, starts, ngram, min_tokens, flat, offsets):  # type: ignore[no-untyped-def]
    """Rolling hash of n-grams; each document's are sorted and made distinct by their upper bits, in linear time."""
    base = np.uint64(0x9E3779B97F4A7C15)
    power = np.uint64(1)
    for _ in range(ngram):
        power *= base
    most = 0
    for d in range(len(starts) - 1):
        most = max(most, starts[d + 1] - starts[d])
    grams, places = np.empty(most, np.uint32), np.empty(most, np.uint32)
    first, filled = np.empty(2 * most + 2, np.int32), np.empty(2 * most + 2, np.int32)
    o = 0
    offsets[0] = 0
    for d in range(len(starts) - 1):
        start, n = starts[d], starts[d + 1] - starts[d]
        if n < min_tokens:
            offsets[d + 1] = o
            continue
        h = np.uint64(0)
        for i in range(n):
            h = h * base + tokens[start + i]
            if i >= ngram:
                h -= tokens[start + i - ngram] * power
            if i >= ngram - 1:
                grams[i - ngram + 1] = mix64(h) >> np.uint64(32)
        n -= ngram - 1
        # As many buckets as n-grams (to the next power of two), by their upper bits: hashes are evenly spread, so a
        # bucket holds about one distinct value, and an n-gram repeated any number of times is held once.
        bits = 1
        while 1 << bits < n:
            bits += 1
        shift = np.uint32(32 - bits)
        first[: (1 << bits) + 1] = 0
        for i in range(n):
            first[np.int64(grams[i] >> shift) + 1] += 1
        for i in range(1 << bits):
            first[i + 1] += first[i]
            filled[i] = first[i]
        for i in range(n):
            value = grams[i]
            bucket = np.int64(value >> shift)
            low, j = first[bucket], filled[bucket]
            while j > low and places[j - 1] > value:
                j -= 1
            if j > low and places[j - 1] == value:
                continue
            for k in range(filled[bucket], j, -1):
                places[k] = places[k - 1]
            places[j] = value
            filled[bucket] += 1
        for i in range(1 << bits):
            for j in range(first[i], filled[i]):
                flat[o] = places[j]
                o += 1
        offsets[d + 1] = o


@compiled("in:u4 in:i8 in:u4 in:u4 io:u4*")
def _signatures(flat, offsets, a, b, out):  # type: ignore[no-untyped-def]
    """See `MinHasher.signatures`. Eight shingles at a time, so that each value is loaded and stored once for eight; the
    compiler makes SIMD code of the inner loop over multipliers. The last shingle fills up the last eight."""
    quarter, n_hashes = len(a), out.shape[1]
    low, high = np.empty(quarter, np.uint32), np.empty(quarter, np.uint32)
    signed_low, signed_high = np.empty(quarter, np.int32), np.empty(quarter, np.int32)
    for d in range(len(offsets) - 1):
        low[:] = np.uint32(0xFFFFFFFF)
        high[:] = np.uint32(0)
        signed_low[:] = np.int32(0x7FFFFFFF)
        signed_high[:] = np.int32(-0x80000000)
        last = offsets[d + 1] - 1
        for i in range(offsets[d], last + 1, 8):
            x0, x1, x2, x3 = flat[i], flat[min(i + 1, last)], flat[min(i + 2, last)], flat[min(i + 3, last)]
            x4, x5, x6, x7 = (
                flat[min(i + 4, last)],
                flat[min(i + 5, last)],
                flat[min(i + 6, last)],
                flat[min(i + 7, last)],
            )
            for k in range(quarter):
                v0, v1 = np.uint32(a[k] * x0 + b[k]), np.uint32(a[k] * x1 + b[k])
                v2, v3 = np.uint32(a[k] * x2 + b[k]), np.uint32(a[k] * x3 + b[k])
                v4, v5 = np.uint32(a[k] * x4 + b[k]), np.uint32(a[k] * x5 + b[k])
                v6, v7 = np.uint32(a[k] * x6 + b[k]), np.uint32(a[k] * x7 + b[k])
                low[k] = min(low[k], min(min(min(v0, v1), min(v2, v3)), min(min(v4, v5), min(v6, v7))))
                high[k] = max(high[k], max(max(max(v0, v1), max(v2, v3)), max(max(v4, v5), max(v6, v7))))
                s0, s1, s2, s3 = np.int32(v0), np.int32(v1), np.int32(v2), np.int32(v3)
                s4, s5, s6, s7 = np.int32(v4), np.int32(v5), np.int32(v6), np.int32(v7)
                signed_low[k] = min(signed_low[k], min(min(min(s0, s1), min(s2, s3)), min(min(s4, s5), min(s6, s7))))
                signed_high[k] = max(signed_high[k], max(max(max(s0, s1), max(s2, s3)), max(max(s4, s5), max(s6, s7))))
        for k in range(n_hashes):
            kind, place = divmod(k, quarter)
            if kind == 0:
                out[d, k] = low[place]
            elif kind == 1:
                out[d, k] = high[place]
            elif kind == 2:
                out[d, k] = np.uint32(signed_low[place])
            else:
                out[d, k] = np.uint32(signed_high[place])


@compiled("in:u4* i8 io:u8*")
def _band_keys(signatures, rows, out):  # type: ignore[no-untyped-def]
    factor = np.uint64(0x9E3779B97F4A7C15)
    for d in range(out.shape[0]):
        for band in range(out.shape[1]):
            h = mix64(np.uint64(band + 1))
            for k in range(band * rows, (band + 1) * rows):
                h = (h ^ np.uint64(signatures[d, k])) * factor
                h ^= h >> np.uint64(32)
            out[d, band] = mix64(h)


@numba.njit
def _nibble(x):  # type: ignore[no-untyped-def]
    # Multiply and shift twice, as in well-known 32-bit mixers; constants of "lowbias32" (C. Wellons, hash-prospector).
    x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D))
    x = np.uint32((x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint8(x >> np.uint32(28))


@compiled("in:u4* io:u1*")
def _sketches(signatures, out):  # type: ignore[no-untyped-def]
    half = out.shape[1]
    for d in range(out.shape[0]):
        for k in range(half):
            out[d, k] = _nibble(signatures[d, k]) | _nibble(signatures[d, k + half]) << 4


@compiled("in:u1* in:u1* io:i8")
def _matches(a, b, matches):  # type: ignore[no-untyped-def]
    for d in range(a.shape[0]):
        n = 0
        for k in range(a.shape[1]):
            differ = a[d, k] ^ b[d, k]
            n += ((differ & 15) == 0) + ((differ >> 4) == 0)
        matches[d] = n


@compiled("in:u4 in:i8 in:i8 in:i8 io:i8")
def _common(flat, offsets, left, right, common):  # type: ignore[no-untyped-def]
    for p in range(len(left)):
        i, i_end = offsets[left[p]], offsets[left[p] + 1]
        j, j_end = offsets[right[p]], offsets[right[p] + 1]
        n = 0
        while i < i_end and j < j_end:
            x, y = flat[i], flat[j]
            n += x == y
            i += x <= y
            j += y <= x
        common[p] = n
