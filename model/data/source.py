"""Blocks of a split in the order of the run, and how often each row is taken.

**Blocks.** A block is a row group, or an equal slice of its rows where there are fewer row groups than lanes. An epoch visits
each block once, in an order hashed from (seed, epoch), so the row groups of all shards and generations are mixed in proportion
to their tokens.

**Mixture.** Phases by tokens consumed (places of all lanes, padding and marks too). A row is taken floor(rate) times, and once
more if the hash of (seed, doc_id, copy, part, epoch) is below the rest of the rate; so a higher rate takes the same rows and
more. Repetitions come a whole block apart.

Shapes: T places of a sequence, R rows of a block.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import xxhash

from model.base.arrays import Int32s, Int64s
from model.base.errors import StreamError
from model.base.hashing import order
from model.data import utk
from model.data.config import DataOptions, Phase, Table
from model.data.shards import Shard, Shards, Split, check_lengths, flat, open_shards

UNKNOWN = "unknown"
OTHERS = "*"


@dataclass
class Block:
    """Block of rows of a row group; the tokens are read when first needed."""

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
        shards = self.shards.split(split)
        groups = [(shard, g) for shard in shards for g in range(shard.row_groups)]
        rows = sum(s.rows for s in shards)
        if not rows:
            raise StreamError(f"{options.shards}: the shards of split {split!r} have no rows")
        self.groups = groups
        self.slices = -(-min(options.lanes, rows) // len(groups))
        self.blocks = len(groups) * self.slices
        self.tokens = sum(s.tokens for s in shards)
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
        """Hash all that the order of tokens follows from, but for the mixture."""
        decisive = self.options.model_dump(mode="json", exclude={"mixture", "shards", "epochs"})
        decisive |= {"length": self.length, "shards": [(s.path, s.sha256) for s, g in self.groups if g == 0]}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def vocabulary(self) -> int:
        """Number of rows that the model's embedding needs: ids of the tokenizer and of the marks."""
        return self.shards.vocab_size if self.marks is None else self.marks.first + self.marks.count

    def phase(self, tokens: float) -> int:
        """Find the number of the phase in force when so many tokens have been consumed."""
        for i, phase in enumerate(self.phases[:-1]):
            if phase.until_tokens is not None and tokens < phase.until_tokens:
                return i
        return len(self.phases) - 1

    def block(self, visit: int) -> Block:
        """Read the block of a visit: lengths and the columns that the mixture asks for."""
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
        """Read the tokens of a row of a block."""
        if block.tokens is None:
            group = self.groups.index((block.shard, block.group)) if self.slices > 1 else -1
            column = (
                self._read(group, tokens=True)["input_ids"]
                if group >= 0
                else self.shards.table(block.shard, block.group, ["input_ids"])["input_ids"]
            )
            block.tokens = flat(column)
            check_lengths(block.shard, block.tokens[1][block.rows.start : block.rows.stop + 1], block.lengths)
        ids, offsets = block.tokens
        r = block.rows.start + row
        return ids[offsets[r] : offsets[r + 1]]

    def copies(self, block: Block, phase: int, epoch: int) -> Int64s:
        """Count how often each row of a block is taken in a phase, `(R,)`."""
        rate = np.ones(len(block.lengths))
        for column, table in self.rates[phase].items():
            others = table.get(OTHERS, 1.0)
            values = block.keys[column].to_pylist()
            rate *= np.array([table.get(UNKNOWN if v is None else v, others) for v in values])
        whole = np.floor(rate)
        fraction = rate - whole
        if fraction.any():
            seed = self.options.seed
            named = zip(*(block.keys[c].to_pylist() for c in ("doc_id", "copy", "part")), strict=True)
            hashes = [xxhash.xxh3_64_intdigest(f"mixture/{seed}/{d}/{c}/{p}/{epoch}".encode()) for d, c, p in named]
            whole += np.array(hashes, dtype=np.float64) * 2.0**-64 < fraction
        return whole.astype(np.int64)

    def _read(self, group: int, *, tokens: bool) -> pa.Table:
        """Read columns of a row group; they are kept where several blocks are slices of it."""
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
        """Turn weights and shares of a phase into rates."""
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
