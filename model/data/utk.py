"""Untie the Knots (Tian et al., arXiv:2409.04774): documents of a sequence, cut into chunks and tangled, for long context.

From the paper (3.1, 3.2, 4.2, appendix B and algorithm 1):

- A document of at least `min_split` tokens is cut into h chunks, h from a distribution, at random places. 2 or 3 chunks did
  best, both together better still; chunks of 1K did worse (5.3).
- Each chunk begins with a label of its own, random characters between two marks; from the second chunk on a head knot <h_j>
  follows; all but the last chunk end in a tail knot <t_j>. A model that meets <h_j> has to find the one <t_j-1> in the
  sequence that the text goes on from.
- The chunks of all documents are shuffled; those of a document keep their order (`preserve_order`; without it RULER at 128K
  fell from 75.0 to 73.0).
- Backtracing: after the last chunk the document's labels in their order, <S> label <s> label ... </S> (without it 74.3).
- The loss is masked on knots and on <S>: the model shall not write them. The labels of the backtracing are learned.
- Attention goes over the whole sequence, so positions do not restart; 30 % or 80 % of the sequences are tied (73.1 and 75.0).

        A1 A2 A3 EOD, B EOD   ->   <L>qX9</L> A1 <t1> B EOD <L>7fk</L> <h2> A2 A3 EOD <S>qX9<s>7fk</S>

What the paper leaves open and is chosen here; an option where one may want it otherwise:

- `min_split` and the distribution of h: 512 tokens; 2 or 3 chunks alike.
- A document that is not cut gets no label and no backtracing.
- The token after a mark has no target either (`predict_after_knots` gives it one after head knots), and labels none where they
  stand before a chunk: they are random.
- Without `preserve_order` the backtracing stands after the chunk that comes last in the sequence.
- The paper cuts off what does not fit with the marks. Here the packing counts them beforehand (`cost`), so nothing is cut off.
- A piece whose document goes on in another sequence ends in one more tail knot, so a reader of the sequence alone knows where
  each piece ends: `untie` restores all of them. It needs `backtrace`.

Marks are ids that the tokenizer does not use: `Marks.count` of them from `first_mark` on. Shapes: L tokens of a tied sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from model.base.arrays import IGNORE, Int64s
from model.base.config import Options
from model.base.hashing import Hashes, mix, order, uniform

Ids = npt.NDArray[np.int32]

LABEL_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class UtkOptions(Options):
    """Options of how sequences are tied; the head of this file says what is the paper's."""

    probability: float = Field(
        0.8, ge=0, le=1, description="share of the sequences; the paper's high one (0.3 the low)"
    )
    chunks: tuple[float, ...] = Field(
        (0.0, 0.5, 0.5), min_length=1, max_length=64, description="probability of 1, 2, 3 ... chunks"
    )
    min_split: int = Field(512, ge=1, description="tokens; a shorter document stays whole")
    split: Literal["random", "even"] = Field("random", description="where a document is cut")
    preserve_order: bool = Field(True, description="chunks of a document stay in order")
    backtrace: bool = Field(True, description="append each cut document's labels")
    label_tokens: int = Field(6, ge=1, le=32, description="tokens of a label")
    label_ids: tuple[int, ...] | None = Field(
        None, min_length=2, description="ids that labels are drawn from; null: the tokenizer's letters and digits"
    )
    first_mark: int | None = Field(
        None, ge=0, description="id of the first mark; null: the first that the tokenizer lacks"
    )
    predict_after_knots: bool = Field(False, description="a target for the token after a head knot")

    @model_validator(mode="after")
    def _fits(self) -> UtkOptions:
        if abs(sum(self.chunks) - 1) > 1e-6 or min(self.chunks) < 0:
            raise ValueError(f"chunks must be probabilities that add up to 1, found {self.chunks}")
        if self.min_split < len(self.chunks):
            raise ValueError(f"min_split {self.min_split} is below the number of chunks, {len(self.chunks)}")
        return self


@dataclass(frozen=True)
class Marks:
    """Ids of the marks: label's begin and end, backtracing's begin, separator and end, head knots 2...h, tail knots 1...h."""

    first: int
    chunks: int

    @property
    def count(self) -> int:
        """Number of marks; the model's table must have `first + count` rows."""
        return 5 + 2 * self.chunks - 1

    @property
    def label(self) -> int:
        return self.first

    @property
    def label_end(self) -> int:
        return self.first + 1

    @property
    def trace(self) -> int:
        return self.first + 2

    @property
    def trace_next(self) -> int:
        return self.first + 3

    @property
    def trace_end(self) -> int:
        return self.first + 4

    def head(self, j: int) -> int:
        """Give the head knot of chunk j, 2 ... chunks."""
        return self.first + 5 + j - 2

    def tail(self, j: int) -> int:
        """Give the tail knot of chunk j, 1 ... chunks."""
        return self.first + 5 + self.chunks - 1 + j - 1


def letters_and_digits(vocabulary: dict[str, int]) -> tuple[int, ...]:
    """List the ids of single letters and digits, for labels.

    :raises ValueError: the vocabulary has fewer than two of them.
    """
    ids = tuple(vocabulary[c] for c in LABEL_CHARACTERS if c in vocabulary)
    if len(ids) < 2:
        raise ValueError("the tokenizer has no tokens of single letters or digits: name label_ids")
    return ids


def draw_chunks(options: UtkOptions, keys: Hashes) -> Int64s:
    """Draw the number of chunks of each document, if it is long enough.

    :param keys: one hash a document.
    """
    bounds = np.cumsum(options.chunks)
    bounds[-1] = 1.0
    return np.searchsorted(bounds, uniform(keys, 1), side="right") + 1


def cost(options: UtkOptions, chunks: Int64s) -> Int64s:
    """Count the places that the marks of a document of so many chunks take; 0 for one chunk."""
    k = options.label_tokens
    marks = chunks * (k + 2) + 2 * (chunks - 1)
    if options.backtrace:
        marks = marks + chunks * (k + 1) + 1
    return np.where(chunks > 1, marks, 0)


def tie(
    pieces: Sequence[Ids],
    chunks: Sequence[int],
    key: int,
    options: UtkOptions,
    marks: Marks,
    label_ids: Sequence[int],
    eod_id: int,
) -> tuple[Int64s, Int64s]:
    """Tie the documents of a sequence.

    :param pieces: tokens of each document or piece; one that does not end in `eod_id` goes on in another sequence.
    :param chunks: `draw_chunks` of each; those shorter than `min_split` are not cut whatever it says.
    :param key: hash of everything random here.
    :returns: ids `(L,)` and labels `(L,)`, int64; labels are the ids, or -100 where there is no target.
    :raises ValueError: more distinct labels are needed than `label_ids` can make.
    """
    number = [c if len(p) >= options.min_split else 1 for p, c in zip(pieces, chunks, strict=True)]
    owner = np.repeat(np.arange(len(pieces)), number)
    places = order(key, 2, np.arange(len(owner)))  # unit u of the list of all chunks goes to place places[u]
    labels = _labels(len(owner), key, options, label_ids)
    units: list[list[Int64s]] = [[] for _ in owner]  # by place
    begin = 0
    for d, (piece, h) in enumerate(zip(pieces, number, strict=True)):
        places_of_document = places[begin : begin + h]
        if options.preserve_order:
            places_of_document = np.sort(places_of_document)
        ends = piece[-1] == eod_id
        cuts = _cuts(len(piece), h, key, d, options)
        for j in range(1, h + 1):
            text = piece[cuts[j - 1] : cuts[j]].astype(np.int64)
            knot_after = j < h or not ends
            units[places_of_document[j - 1]] = [
                _both(_array(marks.label, *labels[begin + j - 1], marks.label_end), learned=False) if h > 1 else _NONE,
                _both(_array(marks.head(j)), learned=False) if j > 1 else _NONE,
                _both(text, learned=True, first=j > 1 and options.predict_after_knots),
                _both(_array(marks.tail(j)), learned=False) if knot_after else _NONE,
            ]
        if h > 1 and options.backtrace:
            listed = [x for j in range(h) for x in (marks.trace_next, *labels[begin + j])][1:]
            trace = _both(_array(marks.trace, *listed, marks.trace_end), learned=True, first=False)
            units[places_of_document.max()].append(trace)
        begin += h
    whole = np.concatenate([part for unit in units for part in unit], axis=1)
    return whole[0], whole[1]


def untie(ids: Int64s, options: UtkOptions, marks: Marks, eod_id: int) -> list[Int64s]:
    """Restore the documents of a tied sequence from its tokens alone: no marks, no labels, chunks joined; by their begins.

    :param ids: `(L,)` without padding, as `tie` made it.
    :returns: token ids of each document or piece.
    :raises ValueError: the sequence is not one that `tie` makes with `backtrace`.
    """
    chunk_of: dict[tuple[int, ...], tuple[int, Int64s]] = {}
    traces: list[list[tuple[int, ...]]] = []
    whole: list[tuple[int, Int64s]] = []
    k = options.label_tokens
    at = 0
    tails = range(marks.tail(1), marks.tail(marks.chunks) + 1)
    is_end = (ids == eod_id) | ((ids >= tails.start) & (ids < tails.stop))
    ends = np.flatnonzero(is_end)
    while at < len(ids):
        begin = at
        label: tuple[int, ...] | None = None
        if ids[at] == marks.trace:
            stop = at + int(np.argmax(ids[at:] == marks.trace_end))
            traces.append([tuple(ids[i : i + k].tolist()) for i in range(at + 1, stop, k + 1)])
            at = stop + 1
            continue
        if ids[at] == marks.label:
            label = tuple(ids[at + 1 : at + 1 + k].tolist())
            at += k + 2
            if at < len(ids) and marks.first + 5 <= ids[at] < tails.start:
                at += 1  # a head knot
        next_end = np.searchsorted(ends, at)
        if next_end == len(ends):
            raise ValueError(f"the text from token {at} on ends neither in EOD nor in a tail knot")
        stop = int(ends[next_end])
        text = ids[at : stop + 1] if ids[stop] == eod_id else ids[at:stop]
        at = stop + 1
        if label is None:
            whole.append((begin, text))
        else:
            chunk_of[label] = (begin, text)
    for trace in traces:
        chunks = [chunk_of.pop(label) for label in trace]
        whole.append((min(begin for begin, _ in chunks), np.concatenate([text for _, text in chunks])))
    if chunk_of:
        raise ValueError(f"{len(chunk_of)} chunks are in no backtracing")
    return [text for _, text in sorted(whole, key=lambda pair: pair[0])]


def _array(*values: int) -> Int64s:
    return np.array(values, dtype=np.int64)


def _both(ids: Int64s, *, learned: bool, first: bool = False) -> Int64s:
    """Stack ids and labels, `(2, n)`; the first token is a target only if `first`."""
    labels = ids.copy() if learned else np.full_like(ids, IGNORE)
    if not first:
        labels[0] = IGNORE
    return np.stack([ids, labels])


_NONE = np.empty((2, 0), dtype=np.int64)


def _labels(n: int, key: int, options: UtkOptions, label_ids: Sequence[int]) -> list[tuple[int, ...]]:
    """Draw `n` distinct labels: a label that came before is drawn again."""
    k = options.label_tokens
    if n > len(label_ids) ** k // 2:
        raise ValueError(f"{n} labels of {k} tokens from {len(label_ids)} ids: name more label_ids or label_tokens")
    ids = np.asarray(label_ids)
    out: dict[tuple[int, ...], None] = {}
    batch = 0
    while len(out) < n:
        drawn = mix(key, 3, batch, np.arange(n * k)) % np.uint64(len(ids))
        for row in ids[drawn.astype(np.int64)].reshape(n, k).tolist():
            if len(out) < n:
                out[tuple(row)] = None
        batch += 1
    return list(out)


def _cuts(n: int, h: int, key: int, document: int, options: UtkOptions) -> list[int]:
    """Draw where chunks begin and end: h + 1 rising numbers from 0 to n; no chunk is empty."""
    if options.split == "even":
        return [n * j // h for j in range(h + 1)]
    inner: set[int] = set()
    batch = 0
    while len(inner) < h - 1:
        drawn = 1 + mix(key, 4, document, batch, np.arange(h)) % np.uint64(max(1, n - 1))
        inner.update(drawn[: h - 1 - len(inner)].tolist())
        batch += 1
    cuts = [0, *sorted(inner), n]
    if any(a >= b for a, b in pairwise(cuts)):
        raise ValueError(f"{n} tokens cannot be cut into {h} chunks")
    return cuts
