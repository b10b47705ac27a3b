"""Documents into sequences of equal length: which piece of which document goes into which sequence. Lengths only, no tokens.

A *window* is a run of a stream of documents that becomes `sequences` sequences of `length` places. Two ways:

- `concatenate`: one document after the other, cut wherever a sequence is full. No padding; nearly every sequence begins and
  ends within a document.
- `best_fit` (Ding et al., Fewer Truncations Improve Language Modeling, arXiv:2404.10830): a document longer than a sequence
  fills whole sequences, its rest and all others go, the longest first, into the fullest sequence that has room. The paper packs
  a whole corpus at once; a window has to end, so there are two rules more. Documents that found no room are cut, into the
  largest gaps first; and the gaps left are filled by the documents that follow in the stream: whole where one fits, else cut.
  A gap of at most `pad_below` places is padded instead: a piece so short teaches little and would cost a cut.

Both take a contiguous run of the stream and no token is lost: what a window leaves of its last document begins the next window,
so the whole state between two windows is a place in the stream. A cut makes two pieces that know nothing of each other.

A document may take more places than it has tokens: `marks` places if its piece has at least `min_marked` tokens, and `tail`
places if the piece does not end its document (Untie the Knots, model/data/utk.py).

Shapes: N documents, P pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast, get_args

import numba
import numpy as np

from model.base.arrays import Int64s
from model.base.errors import PackingError

Method = Literal["best_fit", "concatenate"]
METHODS: tuple[Method, ...] = get_args(Method)

ADMIT = (0.875, 0.75, 0.5, 0.25, 0.0)
"""Share of a window's places that is packed longest first; the rest is filled in the order of the stream. The next one is tried
if documents that found no room could not be cut into the gaps, which happens with marks only; at 0 it cannot happen."""


F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function with numba, at its first call; the function keeps its types."""
    return cast(F, cast(Any, numba.njit)(function))


@dataclass(frozen=True)
class Plan:
    """Plan of a window: which piece of which document goes into which sequence.

    :ivar pieces: `(P, 4)` int64: sequence, document, first token, token after the last; by sequence, then document.
    :ivar sequences: number of sequences that hold anything.
    :ivar documents: documents used up.
    :ivar offset: tokens used up of the document after those.
    :ivar padding: places that hold nothing, of all `sequences`.
    """

    pieces: Int64s
    sequences: int
    documents: int
    offset: int
    padding: int


def plan(
    lengths: Int64s,
    length: int,
    sequences: int,
    *,
    method: Method = "best_fit",
    first: int = 0,
    last: bool = False,
    pad_below: int = 0,
    marks: Int64s | None = None,
    min_marked: int = 0,
    tail: int = 0,
) -> Plan:
    """Fill `sequences` sequences of `length` places from the documents of a stream, in its order.

    :param lengths: tokens of each document, `(N,)` int64, at least 1; from `first` on they must be as many as there are places,
        unless `last`.
    :param first: tokens of the first document that are used up already.
    :param last: no documents follow: pad what stays empty.
    :param pad_below: see above, in places.
    :param marks: places that each document takes besides its tokens, `(N,)` int64; none without it.
    :raises PackingError: too few documents, or a sequence has no room for a mark.
    """
    extra = np.zeros_like(lengths) if marks is None else marks
    if not last and lengths.sum() - first < length * sequences:
        raise PackingError(f"{lengths.sum() - first} tokens for {sequences} sequences of {length}")
    if length <= (int(extra.max()) if len(extra) else 0) + tail:
        raise PackingError(f"sequences of {length} have no room for marks of {int(extra.max()) + tail} places")
    out = np.empty((len(lengths) + 2 * sequences + 1, 4), dtype=np.int64)  # a sequence is cut into twice at most
    gaps = np.empty(sequences, dtype=np.int64)
    for admit in (0.0,) if method == "concatenate" else ADMIT:
        if method == "concatenate":
            n, documents, offset = _concatenate(lengths, extra, first, length, min_marked, tail, gaps, out)
        else:
            places = int(admit * length * sequences)
            starts = np.zeros(len(lengths) + 1, dtype=np.int64)
            starts[0] = first
            costs = np.zeros(len(lengths), dtype=np.int64)
            n, admitted = _admit(lengths, extra, length, min_marked, tail, places, starts, costs, gaps, out)
            if n >= 0:
                by_cost = np.argsort(-costs[:admitted], kind="stable")
                n, documents, offset = _fit(
                    lengths, extra, min_marked, tail, pad_below, n, by_cost, starts, costs, gaps, out
                )
        if n >= 0:
            break
    pieces = out[:n][np.lexsort((out[:n, 1], out[:n, 0]))]
    used = np.zeros(sequences, dtype=np.int64)
    used[pieces[:, 0]] = 1
    numbers = np.cumsum(used) - 1  # empty ones, at the end of the data, have no number
    pieces[:, 0] = numbers[pieces[:, 0]]
    return Plan(pieces, int(used.sum()), documents, offset, int(gaps[used == 1].sum()))


@compiled
def _cost(lengths: Int64s, marks: Int64s, i: int, start: int, stop: int, min_marked: int, tail: int) -> int:
    """Count the places that a piece takes."""
    places = stop - start
    if places >= min_marked:
        places += marks[i]
    if stop < lengths[i]:
        places += tail
    return places


@compiled
def _tokens(marks: Int64s, i: int, gap: int, min_marked: int, tail: int) -> int:
    """Count the tokens of document i that a gap holds in which the remaining document does not fit; below 1: none."""
    n: int = gap - tail - marks[i]
    if n < min_marked:
        n = min(gap - tail, min_marked - 1)
    return n


@compiled
def _put(out: Int64s, n: int, sequence: int, document: int, start: int, stop: int) -> None:
    """Write a piece."""
    out[n, 0] = sequence  # one by one: numba takes two seconds to compile a row at once
    out[n, 1] = document
    out[n, 2] = start
    out[n, 3] = stop


@compiled
def _concatenate(
    lengths: Int64s, marks: Int64s, first: int, length: int, min_marked: int, tail: int, gaps: Int64s, out: Int64s
) -> tuple[int, int, int]:
    """Fill sequences with one document after the other.

    :returns: pieces, documents used up, tokens used up of the next one.
    """
    n = i = 0
    start = first
    gaps[:] = length
    for s in range(len(gaps)):
        while gaps[s] > 0 and i < len(lengths):
            cost = _cost(lengths, marks, i, start, lengths[i], min_marked, tail)
            if cost <= gaps[s]:
                _put(out, n, s, i, start, lengths[i])
                gaps[s] -= cost
                i += 1
                start = 0
                n += 1
                continue
            take = _tokens(marks, i, gaps[s], min_marked, tail)
            if take < 1:
                break
            _put(out, n, s, i, start, start + take)
            gaps[s] -= _cost(lengths, marks, i, start, start + take, min_marked, tail)
            start += take
            n += 1
            if gaps[s] > 0:  # only with marks: a piece just too short to be marked
                break
    return n, i, start


@compiled
def _admit(
    lengths: Int64s,
    marks: Int64s,
    length: int,
    min_marked: int,
    tail: int,
    places: int,
    starts: Int64s,
    costs: Int64s,
    gaps: Int64s,
    out: Int64s,
) -> tuple[int, int]:
    """Admit documents for so many places, to be packed longest first; those longer than a sequence fill whole ones.

    :returns: pieces and documents; -1 pieces if there are too few sequences.
    """
    gaps[:] = length
    n = k = total = used = 0
    while k < len(lengths):
        cost = _cost(lengths, marks, k, starts[k], lengths[k], min_marked, tail)
        if total + cost > places:
            break
        while cost > length:
            if used == len(gaps):
                return -1, 0
            take = _tokens(marks, k, length, min_marked, tail)
            _put(out, n, used, k, starts[k], starts[k] + take)
            spent = _cost(lengths, marks, k, starts[k], starts[k] + take, min_marked, tail)
            gaps[used] -= spent
            total += spent
            starts[k] += take
            n += 1
            used += 1
            cost = _cost(lengths, marks, k, starts[k], lengths[k], min_marked, tail)
        costs[k] = cost
        total += cost
        k += 1
    return n, k


@compiled
def _tightest(gaps: Int64s, cost: int) -> int:
    """Find the fullest sequence that has room; -1: none."""
    best = -1
    for s in range(len(gaps)):
        if gaps[s] >= cost and (best < 0 or gaps[s] < gaps[best]):
            best = s
    return best


@compiled
def _fit(
    lengths: Int64s,
    marks: Int64s,
    min_marked: int,
    tail: int,
    pad_below: int,
    n: int,
    by_cost: Int64s,
    starts: Int64s,
    costs: Int64s,
    gaps: Int64s,
    out: Int64s,
) -> tuple[int, int, int]:
    """Place what `_admit` admitted, then the stream.

    :returns: pieces, documents used up, tokens used up of the next one; -1 pieces if documents that found no room cannot be cut
        into the gaps.
    """
    k = len(by_cost)
    closed = np.zeros(len(gaps), dtype=np.int64)
    left = np.empty(k, dtype=np.int64)
    n_left = 0
    for i in by_cost:
        best = _tightest(gaps, costs[i])
        if best < 0:
            left[n_left] = i
            n_left += 1
            continue
        _put(out, n, best, i, starts[i], lengths[i])
        gaps[best] -= costs[i]
        n += 1
    # Those that found no room, then the stream as it goes on: whole into the tightest gap, else cut into the largest.
    at = 0
    i = k
    while True:
        follows = at >= n_left
        largest = 0
        for s in range(1, len(gaps)):
            if gaps[s] > gaps[largest]:
                largest = s
        if follows and (i >= len(lengths) or gaps[largest] <= pad_below):
            break
        d = i if follows else left[at]
        cost = _cost(lengths, marks, d, starts[d], lengths[d], min_marked, tail)
        best = _tightest(gaps, cost)
        if best >= 0:
            _put(out, n, best, d, starts[d], lengths[d])
            gaps[best] -= cost
            starts[d] = lengths[d]
            n += 1
            if follows:
                i += 1
            else:
                at += 1
            continue
        take = _tokens(marks, d, gaps[largest], min_marked, tail)
        if take < 1:
            if follows:
                break
            return -1, 0, 0
        _put(out, n, largest, d, starts[d], starts[d] + take)
        # What is left after a cut, of a piece just too short to be marked, stays empty: a second cut there would be silly.
        closed[largest] = gaps[largest] - _cost(lengths, marks, d, starts[d], starts[d] + take, min_marked, tail)
        gaps[largest] = 0
        starts[d] += take
        n += 1
    gaps += closed
    return n, i, starts[i]


@dataclass(frozen=True)
class Quality:
    """Cost of packing, in documents, tokens and places."""

    documents: int
    tokens: int
    sequences: int
    cut: int
    after_a_cut: int
    padding: int

    @property
    def share_cut(self) -> float:
        """Share of the documents that are in more than one piece."""
        return self.cut / self.documents

    @property
    def share_after_a_cut(self) -> float:
        """Share of the tokens whose document begins in another sequence."""
        return self.after_a_cut / self.tokens

    @property
    def share_padding(self) -> float:
        """Share of the places that hold nothing."""
        return self.padding / (self.padding + self.tokens)


def quality(lengths: Int64s, length: int, sequences: int, *, method: Method, pad_below: int = 0) -> Quality:
    """Pack all documents, in windows of `sequences` sequences of `length`, and count.

    :raises PackingError: as `plan`; and if a token got lost or doubled.
    """
    at = first = 0
    n_sequences = padding = 0
    pieces: list[Int64s] = []
    ends = np.cumsum(lengths)
    while at < len(lengths):
        begun = ends[at - 1] if at else 0
        stop = int(np.searchsorted(ends, begun + first + length * sequences)) + 1
        part = lengths[at:stop]
        p = plan(part, length, sequences, method=method, first=first, last=stop >= len(lengths), pad_below=pad_below)
        moved = p.pieces.copy()
        moved[:, 1] += at
        pieces.append(moved)
        n_sequences += p.sequences
        padding += p.padding
        at, first = at + p.documents, p.offset
    every = np.concatenate(pieces)
    sizes = every[:, 3] - every[:, 2]
    if not np.array_equal(np.bincount(every[:, 1], weights=sizes), lengths):
        raise PackingError("the pieces are not the documents")
    return Quality(
        documents=len(lengths),
        tokens=int(lengths.sum()),
        sequences=n_sequences,
        cut=int((np.bincount(every[:, 1]) > 1).sum()),
        after_a_cut=int(sizes[every[:, 2] > 0].sum()),
        padding=padding,
    )
