"""Sequences from shards, the same for any number of ranks and workers; no torch here (`model/data.py` has the loader).

**Blocks.** A block is a row group, or an equal slice of its rows where there are fewer row groups than lanes. An epoch visits
each block once, in an order hashed from (seed, epoch), so the row groups of all shards and generations are mixed in proportion
to their tokens; within a visit the rows are in an order hashed from (seed, visit).

**Lanes.** Visit v goes to lane v mod `lanes`; each lane packs what it gets by itself. Sequence q of the whole run is number
q div `lanes` of lane q mod `lanes`, and global batch b is the sequences from b x batch on. None of this knows ranks or workers:
rank r of w takes the sequences q with q mod w = r, which is why w must divide `lanes`, and lane l then belongs to rank l mod w.

**State.** Five numbers a lane: visit of the lane, place in it, tokens used up of the document there, number of the window's first
sequence, sequences taken from the window. The window is packed again on resume: lengths first, tokens where needed.

**Mixture.** Phases by tokens consumed (places of all lanes, padding and marks too). A row is taken floor(rate) times, and once
more if the hash of (seed, doc_id, copy, part, epoch) is below the rest of the rate; so a higher rate takes the same rows and
more. Repetitions come a whole block apart. A window ends where a phase does, so the change is exact to a sequence; a document
begun before it goes on.

Shapes: T places of a sequence, R rows of a block, N documents of a window.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from pydantic import BaseModel, ConfigDict, Field, model_validator

from model import packing, utk
from model.hashing import mix, order, uniform
from model.packing import Method
from model.shards import Int32s, Int64s, Shard, Shards, flat, open_shards
from model.utk import UtkOptions

Split = Literal["train", "validation"]
Column = Literal["language", "source", "category", "domain"]
Table = dict[Column, dict[str, float]]

IGNORE = utk.IGNORE
UNKNOWN = "unknown"
OTHERS = "*"
GOLDEN = 0.6180339887498949  # multiples of it fill [0, 1) evenly


class StreamError(ValueError):
    """The options do not fit the shards, or a state does not fit the options."""


class Phase(BaseModel):
    """How much of which rows, up to a number of tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    until_tokens: float | None = Field(
        None, gt=0, description="of the whole run, consumed when the next phase begins; null for the last: for ever"
    )
    weights: Table = Field(
        default_factory=dict,
        description="column -> value -> how often its rows are taken: 0.5 every other, 2 twice; those of several columns "
        "multiply; 'unknown' is null, '*' stands for all values not named, which are else taken once",
    )
    shares: dict[Literal["language"], dict[str, float]] = Field(
        default_factory=dict,
        description="column -> value -> what the values named shall have of their tokens, in proportion; the manifest says "
        "what they have",
    )

    @model_validator(mode="after")
    def _positive(self) -> Phase:
        for table in (self.weights, self.shares):
            for column, values in table.items():
                for value, number in values.items():
                    if not 0 <= number <= 1000:
                        raise ValueError(f"{column}.{value} must be 0 to 1000, found {number}")
        if any(sum(values.values()) <= 0 for values in self.shares.values()):
            raise ValueError("shares must not all be 0")
        return self


class DataOptions(BaseModel):
    """What the model is fed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shards: str = Field(description="folder of manifest.json, or a URI of it")
    seed: int = Field(0, ge=0, description="of order, mixture and knots")
    lanes: int = Field(
        64,
        ge=1,
        description="a multiple of all numbers of ranks that a run may have; 5 MB each at row groups of 1M tokens",
    )
    packing: Method = Field("best_fit", description="model/packing.py")
    window_tokens: int = Field(
        524_288, ge=1, description="places packed together, at least 8 sequences; less where a lane has less"
    )
    pad_below: float = Field(1 / 256, ge=0, lt=1, description="best_fit pads gaps of at most this share of a sequence")
    epochs: int | None = Field(None, ge=1, description="null: for ever")
    mixture: tuple[Phase, ...] = Field((), description="phases, one after the other; none: all rows once")
    utk: UtkOptions | None = Field(None, description="tie sequences (Untie the Knots)")

    @model_validator(mode="after")
    def _rising(self) -> DataOptions:
        ends = [p.until_tokens for p in self.mixture]
        if None in ends[:-1]:
            raise ValueError("until_tokens may be null in the last phase only")
        numbers = [e for e in ends if e is not None]
        if any(a >= b for a, b in pairwise(numbers)):
            raise ValueError(f"until_tokens must rise, found {numbers}")
        return self


@dataclass(frozen=True)
class Packed:
    """One sequence; all `(T,)` int64.

    :ivar labels: the ids, or -100 where there is no target: where a document or piece begins, padding, marks.
    :ivar position_ids: 0 where a document or piece begins; a tied sequence counts on to its padding.
    """

    input_ids: Int64s
    labels: Int64s
    position_ids: Int64s


@dataclass
class Block:
    """Rows of a row group; the tokens are read when first needed."""

    shard: Shard
    group: int
    rows: slice
    lengths: Int64s
    keys: pa.Table
    tokens: tuple[Int32s, Int64s] | None = None


class Source:
    """Blocks of a split, in the order of the run, with the rates of each phase. One a process; lanes share it."""

    def __init__(self, options: DataOptions, split: Split, sequence_length: int) -> None:
        """
        :raises StreamError: the split has no rows, or options name what is not there.
        :raises ShardError: the folder holds no shards that can be read.
        """
        self.options = options
        self.length = sequence_length
        self.shards: Shards = open_shards(options.shards)
        found = self.shards.split(split)
        groups = [(shard, g) for shard in found for g in range(shard.row_groups)]
        rows = sum(s.rows for s in found)
        if not rows:
            raise StreamError(f"{options.shards}: the shards of split {split!r} have no rows")
        self.groups = groups
        self.slices = -(-min(options.lanes, rows) // len(groups))
        self.blocks = len(groups) * self.slices
        self.tokens = sum(s.tokens for s in found)
        lane_tokens = min(options.window_tokens, self.tokens // options.lanes)
        self.window = max(8, lane_tokens // sequence_length)
        self.pad_below = int(options.pad_below * sequence_length)
        self.phases = options.mixture or (Phase(),)
        self.rates = [self._rates(phase, self.shards.language_tokens(split)) for phase in self.phases]
        self.columns = sorted({column for table in self.rates for column in table})
        self.marks: utk.Marks | None = None
        self.label_ids: tuple[int, ...] = ()
        if options.utk is not None:
            first = options.utk.first_mark
            self.marks = utk.Marks(self.shards.vocab_size if first is None else first, len(options.utk.chunks))
            self.label_ids = options.utk.label_ids or utk.letters_and_digits(self.shards.vocabulary)
            most = int(utk.cost(options.utk, np.array([self.marks.chunks]))[0]) + 1
            if most + options.utk.min_split > sequence_length:
                raise StreamError(
                    f"sequences of {sequence_length} cannot hold min_split {options.utk.min_split} and {most} marks"
                )
        self._orders: OrderedDict[int, Int64s] = OrderedDict()
        self._opened: OrderedDict[tuple[int, bool], pa.Table] = OrderedDict()

    def fingerprint(self) -> str:
        """Hash of all that the order of tokens follows from, but for the mixture."""
        said = self.options.model_dump(mode="json", exclude={"mixture", "shards", "epochs"})
        said |= {"length": self.length, "shards": [(s.path, s.sha256) for s, g in self.groups if g == 0]}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def vocabulary(self) -> int:
        """Rows that the model's embedding needs: ids of the tokenizer and of the marks."""
        return self.shards.vocab_size if self.marks is None else self.marks.first + self.marks.count

    def phase(self, tokens: float) -> int:
        """Number of the phase in force when so many tokens have been consumed."""
        for i, phase in enumerate(self.phases[:-1]):
            if phase.until_tokens is not None and tokens < phase.until_tokens:
                return i
        return len(self.phases) - 1

    def block(self, visit: int) -> Block:
        """The block of a visit: lengths and the columns that the mixture asks for."""
        epoch, place = divmod(visit, self.blocks)
        if epoch not in self._orders:
            self._orders[epoch] = order(self.options.seed, 0, epoch, np.arange(self.blocks))
            while len(self._orders) > 2:
                self._orders.popitem(last=False)
        group, part = divmod(int(self._orders[epoch][place]), self.slices)
        table = self._read(group, tokens=False)
        n = len(table)
        rows = slice(n * part // self.slices, n * (part + 1) // self.slices)
        shard, number = self.groups[group]
        lengths = table["n_tokens"].to_numpy()[rows].astype(np.int64)
        return Block(shard, number, rows, lengths, table.slice(rows.start, rows.stop - rows.start))

    def text(self, block: Block, row: int) -> Int32s:
        """Tokens of a row of a block."""
        if block.tokens is None:
            group = self.groups.index((block.shard, block.group)) if self.slices > 1 else -1
            column = (
                self._read(group, tokens=True)["input_ids"]
                if group >= 0
                else self.shards.table(block.shard, block.group, ["input_ids"])["input_ids"]
            )
            block.tokens = flat(column)
        ids, offsets = block.tokens
        r = block.rows.start + row
        return ids[offsets[r] : offsets[r + 1]]

    def copies(self, block: Block, phase: int, epoch: int) -> Int64s:
        """How often each row of a block is taken in a phase, `(R,)`."""
        rate = np.ones(len(block.lengths))
        for column, table in self.rates[phase].items():
            others = table.get(OTHERS, 1.0)
            values = block.keys[column].to_pylist()
            rate *= np.array([table.get(UNKNOWN if v is None else v, others) for v in values])
        whole = np.floor(rate)
        rest = rate - whole
        if rest.any():
            seed = self.options.seed
            named = zip(*(block.keys[c].to_pylist() for c in ("doc_id", "copy", "part")), strict=True)
            hashes = [xxhash.xxh3_64_intdigest(f"mixture/{seed}/{d}/{c}/{p}/{epoch}".encode()) for d, c, p in named]
            whole += np.array(hashes, dtype=np.float64) * 2.0**-64 < rest
        return whole.astype(np.int64)

    def _read(self, group: int, *, tokens: bool) -> pa.Table:
        """Columns of a row group; kept where several blocks are slices of it."""
        key = (group, tokens)
        if key in self._opened:
            self._opened.move_to_end(key)
            return self._opened[key]
        shard, number = self.groups[group]
        columns = ["input_ids"] if tokens else ["n_tokens", "doc_id", "copy", "part", *self.columns]
        table = self.shards.table(shard, number, columns)
        if self.slices > 1:
            self._opened[key] = table
            while len(self._opened) > 16:
                self._opened.popitem(last=False)
        return table

    @staticmethod
    def _rates(phase: Phase, present: Mapping[str, int]) -> Table:
        """Weights and shares of a phase as rates."""
        rates: Table = {column: dict(values) for column, values in phase.weights.items()}
        for column, shares in phase.shares.items():
            unknown = sorted(v for v, share in shares.items() if share > 0 and not present.get(v))
            if unknown:
                raise StreamError(
                    f"shares of {column} name {', '.join(unknown)}; the shards have {', '.join(sorted(present))}"
                )
            scale = sum(present.get(v, 0) for v in shares) / sum(shares.values())
            rates.setdefault(column, {})
            for value, share in shares.items():
                others = rates[column].get(OTHERS, 1.0)
                rates[column][value] = rates[column].get(value, others) * share * scale / max(1, present.get(value, 0))
        return rates


@dataclass
class _Window:
    """What a lane packs at once: documents, where they are, and the plan."""

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
    """One lane's sequences, in order, from a state of five numbers."""

    def __init__(self, source: Source, lane: int, state: Sequence[int] = (0, 0, 0, 0, 0)) -> None:
        self.source = source
        self.lane = lane
        self.visit, self.place, self.offset, self.first, self.taken = (int(x) for x in state)
        self._window: _Window | None = None
        self._blocks: dict[int, Block] = {}

    @property
    def state(self) -> list[int]:
        """Visit, place, offset, number of the window's first sequence, sequences taken from it."""
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
        """The next sequence, or None at the end of the data."""
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
        """Documents from the lane's place on, for so many places; and whether the data ended.

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
    """Sequences of each lane, `(lanes,)`, of a stream that ends; by lengths alone, so about as long as reading those.

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
    """Which lane's which sequence is sequence q of the run."""

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
        """Lane and number in it; None after the end."""
        if self._pairs is None:
            return q % self.lanes, q // self.lanes
        if q >= len(self._pairs):
            return None
        lane, number = self._pairs[q].tolist()
        return lane, number
