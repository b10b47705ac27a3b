"""Sequences from shards, the same for any number of ranks and workers; no torch here (`model/data/loader.py` has the loader).

**Lanes.** Visit v of a block (model/data/source.py) goes to lane v mod `lanes`, its rows in an order hashed from (seed, visit);
each lane packs what it gets by itself. Sequence q of the whole run is number q div `lanes` of lane q mod `lanes`, and global
batch b is the sequences from b x batch on. None of this knows ranks or workers: rank r of w takes the sequences q with
q mod w = r, which is why w must divide `lanes`, and lane l then belongs to rank l mod w.

**State.** Five numbers a lane: visit of the lane, place in it, tokens used up of the document there, number of the window's first
sequence, sequences taken from the window. The window is packed again on resume: lengths first, tokens where needed. A window
ends where a phase of the mixture does, so the change is exact to a sequence; a document begun before it goes on.

Shapes: T places of a sequence, N documents of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.base.arrays import IGNORE, Int64s
from model.base.errors import StreamError
from model.base.hashing import mix, order, uniform
from model.data import packing, utk
from model.data.source import Block, Source

GOLDEN = 0.6180339887498949  # multiples of it fill [0, 1) evenly


@dataclass(frozen=True)
class Packed:
    """One packed sequence; all `(T,)` int64.

    :ivar labels: the ids, or -100 where there is no target: where a document or piece begins, padding, marks.
    :ivar position_ids: 0 where a document or piece begins; a tied sequence counts on to its padding.
    """

    input_ids: Int64s
    labels: Int64s
    position_ids: Int64s


@dataclass
class _Window:
    """Window that a lane packs at once: documents, where they are, and the plan."""

    blocks: dict[int, Block]
    visits: Int64s
    places: Int64s
    rows: Int64s
    chunks: Int64s | None
    plan: packing.Plan
    begins: Int64s
    order: Int64s
    after: tuple[int, int, int]


class Lane:
    """Cursor over one lane's sequences, in order, from a state of five numbers."""

    def __init__(self, source: Source, lane: int, state: Sequence[int] = (0, 0, 0, 0, 0)) -> None:
        self.source = source
        self.lane = lane
        self.visit, self.place, self.offset, self.first, self.taken = (int(x) for x in state)
        self._window: _Window | None = None
        self._blocks: dict[int, Block] = {}

    @property
    def state(self) -> list[int]:
        """State: visit, place, offset, number of the window's first sequence, sequences taken from it."""
        return [self.visit, self.place, self.offset, self.first, self.taken]

    @property
    def next(self) -> int:
        """Number of the next sequence of this lane."""
        return self.first + self.taken

    def seek(self, number: int) -> bool:
        """Go on to a sequence of this lane, by lengths alone.

        :returns: whether there is one.
        :raises StreamError: it lies before the lane's place.
        """
        if number < self.next:
            raise StreamError(f"lane {self.lane} is at sequence {self.next} and cannot go back to {number}")
        while True:
            window = self._window or self._pack()
            if window.plan.sequences == 0:
                return False
            if number < self.first + window.plan.sequences:
                self.taken = number - self.first
                return True
            self.first += window.plan.sequences
            self.taken = 0
            self.visit, self.place, self.offset = window.after
            self._blocks = {v: b for v, b in window.blocks.items() if v >= self.visit}
            self._window = None

    def take(self) -> Packed | None:
        """Make the next sequence; None at the end of the data."""
        if not self.seek(self.next):
            return None
        window = self._window
        assert window is not None
        number = int(window.order[self.taken])
        pieces = window.plan.pieces[window.begins[number] : window.begins[number + 1]]
        source, length = self.source, self.source.length
        texts = [
            source.text(window.blocks[int(window.visits[d])], int(window.rows[d]))[start:stop]
            for _, d, start, stop in pieces.tolist()
        ]
        ids = np.full(length, source.shards.eod_id, dtype=np.int64)
        labels = np.full(length, IGNORE, dtype=np.int64)
        if window.chunks is None:
            sizes = pieces[:, 3] - pieces[:, 2]
            n = int(sizes.sum())
            begins = np.cumsum(sizes) - sizes
            np.concatenate(texts, out=ids[:n])
            labels[:n] = ids[:n]
            labels[begins] = IGNORE
            positions = np.arange(length)
            positions[:n] -= np.repeat(begins, sizes)
        else:
            assert source.options.utk is not None
            assert source.marks is not None
            tied = utk.tie(
                texts,
                window.chunks[pieces[:, 1]].tolist(),
                int(mix(source.options.seed, 5, self.lane, self.next)[0]),
                source.options.utk,
                source.marks,
                source.label_ids,
                source.shards.eod_id,
            )
            n = len(tied[0])
            ids[:n], labels[:n] = tied
            positions = np.arange(length)
        positions[n:] -= n
        self.taken += 1
        return Packed(ids, labels, positions)

    def _documents(self, places: int, phase: int) -> tuple[list[tuple[Int64s, Int64s, Int64s, Int64s]], bool]:
        """List documents from the lane's place on, for so many places; and tell whether the data ended.

        :returns: visits, places in the visit, rows and lengths, one tuple a block.
        """
        source = self.source
        out: list[tuple[Int64s, Int64s, Int64s, Int64s]] = []
        visit, place, offset = self.visit, self.place, self.offset
        empty = 0
        while places > 0:
            number = self.lane + visit * source.options.lanes
            epoch = number // source.blocks
            if source.options.epochs is not None and epoch >= source.options.epochs:
                return out, True
            if visit not in self._blocks:
                self._blocks[visit] = source.block(number)
            block = self._blocks[visit]
            rows = order(source.options.seed, 1, number, np.arange(len(block.lengths)))
            copies = source.copies(block, phase, epoch)[rows]
            passes = [np.flatnonzero(copies > i) + i * len(rows) for i in range(int(copies.max(initial=0)))]
            taken = np.concatenate(passes) if passes else np.empty(0, dtype=np.int64)
            taken = taken[taken >= place]
            if offset and (not len(taken) or taken[0] != place):  # begun in a phase that took it
                taken = np.concatenate([[place], taken])
            row = rows[taken % len(rows)] if len(rows) else taken
            lengths = block.lengths[row]
            enough = int(np.searchsorted(np.cumsum(lengths) - offset, places)) + 1
            taken, row, lengths = taken[:enough], row[:enough], lengths[:enough]
            if len(taken):
                out.append((np.full(len(taken), visit), taken, row, lengths))
            empty = 0 if len(taken) else empty + 1
            if empty > max(64, 2 * source.blocks):
                raise StreamError(f"the mixture's phase {phase} takes no row: {source.phases[phase].model_dump()}")
            places -= int(lengths.sum()) - offset
            visit, place, offset = visit + 1, 0, 0
        return out, False

    def _pack(self) -> _Window:
        """Pack the window at the lane's place."""
        source, options = self.source, self.source.options
        consumed = (self.first * options.lanes + self.lane) * source.length
        phase = source.phase(consumed)
        sequences = source.window
        until = source.phases[phase].until_tokens
        if until is not None and phase < len(source.phases) - 1:
            left = (until - consumed) / (source.length * options.lanes)
            sequences = max(1, min(sequences, int(np.ceil(left))))
        parts, ended = self._documents(sequences * source.length, phase)
        none = np.empty(0, dtype=np.int64)
        columns = zip(*parts, strict=True) if parts else ([none] for _ in range(4))
        visits, places, rows, lengths = (np.concatenate(c) for c in columns)
        chunks: Int64s | None = None
        marked: dict[str, Any] = {}
        if options.utk is not None:
            even = float(uniform(options.seed, 6, self.first)[0]) + self.lane * GOLDEN
            if even % 1.0 < options.utk.probability:
                keys = mix(options.seed, 7, self.lane + visits * options.lanes, places)
                chunks = utk.draw_chunks(options.utk, keys)
                marked = {"marks": utk.cost(options.utk, chunks), "min_marked": options.utk.min_split, "tail": 1}
        plan = packing.plan(
            lengths,
            source.length,
            sequences,
            method=options.packing,
            first=self.offset,
            last=ended,
            pad_below=source.pad_below,
            **marked,
        )
        if plan.documents < len(visits):
            after = (int(visits[plan.documents]), int(places[plan.documents]), plan.offset)
        elif len(visits):
            after = (int(visits[-1]), int(places[-1]) + 1, 0)
        else:
            after = (self.visit, self.place, 0)
        used = set(np.unique(visits).tolist())
        self._window = _Window(
            blocks={v: b for v, b in self._blocks.items() if v in used},
            visits=visits,
            places=places,
            rows=rows,
            chunks=chunks,
            plan=plan,
            begins=np.searchsorted(plan.pieces[:, 0], np.arange(plan.sequences + 1)),
            # Longest first is an order that training must not see.
            order=order(options.seed, 8, self.lane, self.first, np.arange(plan.sequences)),
            after=after,
        )
        return self._window


def count_sequences(source: Source) -> Int64s:
    """Count the sequences of each lane, `(lanes,)`, of a stream that ends; by lengths alone, in about the time to read those.

    :raises StreamError: the stream does not end.
    """
    if source.options.epochs is None:
        raise StreamError("epochs is null: the stream does not end")
    counts = np.zeros(source.options.lanes, dtype=np.int64)
    for lane in range(source.options.lanes):
        cursor = Lane(source, lane)
        while cursor.seek(cursor.next):
            assert cursor._window is not None
            cursor.taken = cursor._window.plan.sequences
        counts[lane] = cursor.next
    return counts


class Order:
    """Order of the run: sequence q of the run is which sequence of which lane."""

    def __init__(self, source: Source) -> None:
        self.lanes = source.options.lanes
        self.total: int | None = None
        self._pairs: npt.NDArray[np.int64] | None = None
        if source.options.epochs is not None:
            counts = count_sequences(source)
            lane = np.repeat(np.arange(self.lanes), counts)
            number = np.concatenate([np.arange(n) for n in counts])
            by_turn = np.lexsort((lane, number))  # lanes that have ended are left out
            self._pairs = np.stack([lane[by_turn], number[by_turn]], axis=1)
            self.total = len(lane)

    def __getitem__(self, q: int) -> tuple[int, int] | None:
        """Give the lane of sequence q, and its number there; None after the end."""
        if self._pairs is None:
            return q % self.lanes, q // self.lanes
        if q >= len(self._pairs):
            return None
        lane, number = self._pairs[q].tolist()
        return lane, number
