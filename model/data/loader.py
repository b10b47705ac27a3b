"""Batches for training, from shards: `model/data/stream.py` behind torchdata's `StatefulDataLoader`.

    batches = loader(DataOptions(shards="out/demo/tokenization"), "train", 8192, batch_size=4, rank=0, world=1, workers=2)
    for batch in batches:
        model(**batch, use_cache=False)            # no attention_mask: position_ids that restart say where documents are

Go on, two ways:

    state = batches.state_dict()                   # between two steps
    batches.load_state_dict(state)                 # the same rank, world and workers
    start = merge([state_of_rank_0, state_of_rank_1, ...])
    batches = loader(..., start=start)             # any world, workers or batch size from there on

Both give the batches that an uninterrupted run gives, bit for bit; the sequences of global batch b are the same for any world and
workers. Shapes: B sequences of a batch, T places of a sequence.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info
from torchdata.stateful_dataloader import StatefulDataLoader

from model.base.arrays import IGNORE
from model.base.errors import StreamError
from model.data import packing
from model.data.config import DataOptions
from model.data.shards import Split
from model.data.source import Source
from model.data.stream import Lane, Order

Batch = dict[str, torch.Tensor]

KEY = "corpusmill_stream"
"""Marks our part in the states that torchdata nests it into."""
VERSION = 1


class Sequences(IterableDataset[Batch]):
    """The batches of one rank; each worker makes every `workers`-th of them.

    :ivar total: sequences of the whole stream, or None if it does not end.
    """

    def __init__(
        self,
        options: DataOptions,
        split: Split,
        sequence_length: int,
        batch_size: int,
        rank: int,
        world: int,
        start: Mapping[str, Any] | None = None,
    ) -> None:
        if options.lanes % world:
            raise StreamError(f"lanes must be a multiple of the ranks: {options.lanes} lanes, {world} ranks")
        if not 0 <= rank < world:
            raise StreamError(f"rank must be 0 to {world - 1}, found {rank}")
        if min(batch_size, sequence_length) < 1:
            raise StreamError(f"batch_size {batch_size} and sequence_length {sequence_length} must be at least 1")
        self.source = Source(options, split, sequence_length)
        self.order = Order(self.source)
        self.batch_size, self.rank, self.world = batch_size, rank, world
        self._begin = 0
        self._start: dict[int, list[int]] = {}
        self._loaded: tuple[int, dict[int, list[int]]] | None = None
        self._lanes: dict[int, Lane] = {}
        self._next: int | None = None
        if start is not None:
            self._begin, self._start = self._checked(start)
            if self._begin % world:
                raise StreamError(f"{self._begin} sequences were consumed, which {world} ranks do not divide")

    @property
    def total(self) -> int | None:
        """Number of sequences of the whole stream; None if it does not end."""
        return self.order.total

    @property
    def batches(self) -> int | None:
        """Count the batches of each rank from `start` on; None if the stream does not end. The last is padded."""
        left = None if self.total is None else max(0, self.total - self._begin)
        return None if left is None else -(-left // (self.batch_size * self.world))

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        step = self.batch_size * self.world
        begin, states = self._loaded or (self._begin + worker * step, self._start)
        self._loaded = None
        self._lanes = {lane: Lane(self.source, lane, state) for lane, state in states.items()}
        self._next = begin
        while self.total is None or self._next < self.total:
            batch = self._batch(self._next)
            self._next += workers * step
            yield batch

    def _batch(self, begin: int) -> Batch:
        """Make the rank's part of the global batch that begins with a sequence."""
        shape = (self.batch_size, self.source.length)
        ids = np.full(shape, self.source.shards.eod_id, dtype=np.int64)
        labels = np.full(shape, IGNORE, dtype=np.int64)
        positions = np.tile(np.arange(self.source.length), (self.batch_size, 1))
        for row in range(self.batch_size):
            place = self.order[begin + self.rank + row * self.world]
            if place is None:  # past the end: padding
                continue
            lane = self._lanes.setdefault(place[0], Lane(self.source, place[0]))
            packed = lane.take() if lane.seek(place[1]) else None
            if packed is not None:
                ids[row], labels[row], positions[row] = packed.input_ids, packed.labels, packed.position_ids
        return {
            "input_ids": torch.from_numpy(ids),
            "labels": torch.from_numpy(labels),
            "position_ids": torch.from_numpy(positions),
        }

    def state_dict(self) -> dict[str, Any]:
        """Give the state: sequences of the run before this worker's next batch, and five numbers of each lane in use."""
        lanes = {str(n): lane.state for n, lane in sorted(self._lanes.items())}
        if self._next is None:
            lanes = {str(n): list(state) for n, state in sorted(self._start.items())}
        info = get_worker_info()
        worker = 0 if info is None else info.id
        begin = self._begin + worker * self.batch_size * self.world if self._next is None else self._next
        begun = self.source.phase((self._begin if self._next is None else self._next) * self.source.length)
        return {
            KEY: VERSION,
            "stream": self.source.fingerprint(),
            "phases": [p.model_dump(mode="json") for p in self.source.phases[: begun + 1]],
            "next": begin,
            "lanes": lanes,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, at the next iteration."""
        self._loaded = self._checked(state)

    def _checked(self, state: Mapping[str, Any]) -> tuple[int, dict[int, list[int]]]:
        """Check a state, and give its next sequence and its lanes.

        :raises StreamError: it is of another version, of another stream, or its phases were others.
        """
        if state.get(KEY) != VERSION:
            raise StreamError(f"the state is of version {state.get(KEY)!r}, this reads {VERSION}")
        if state["stream"] != self.source.fingerprint():
            raise StreamError(
                "the state is of another stream: shards, seed, lanes, sequence length, packing and utk must be as they were"
            )
        phases = [p.model_dump(mode="json") for p in self.source.phases]
        if phases[: len(state["phases"])] != state["phases"]:
            raise StreamError("the mixture's phases that have begun must be as they were; later ones may change")
        return int(state["next"]), {int(n): list(lane) for n, lane in state["lanes"].items()}


def loader(
    options: DataOptions,
    split: Split,
    sequence_length: int,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    *,
    start: Mapping[str, Any] | None = None,
    pin_memory: bool = False,
    multiprocessing_context: str | None = None,
) -> StatefulDataLoader:
    """Open the batches of one rank.

    :param sequence_length: places of a sequence, T.
    :param batch_size: sequences of a batch of this rank, B; a global batch has B x `world`.
    :param workers: processes that read and pack; 0: this one.
    :param start: what `merge` made of the states of a run, to go on from.
    :param multiprocessing_context: how workers start; "spawn" for object storage, whose clients do not survive a fork.
    :returns: a loader of dictionaries of int64 tensors `input_ids`, `labels` and `position_ids`, each `(B, T)`. Labels are at
        the same positions as the ids (transformers shifts them), -100 where there is no target. Positions restart at 0 at each
        document.
    :raises StreamError: the options do not fit each other or the shards; or `start` is of another stream.
    :raises ShardError: the folder holds no shards that can be read.
    """
    dataset = Sequences(options, split, sequence_length, batch_size, rank, world, start)
    if workers:  # compiled once, before workers are forked
        packing.plan(np.full(4, 8, dtype=np.int64), 8, 2, method=options.packing)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'set_vital' is deprecated")  # torchdata 0.11 on torch 2.13
        return StatefulDataLoader(
            dataset,
            batch_size=None,
            num_workers=workers,
            pin_memory=pin_memory,
            multiprocessing_context=multiprocessing_context if workers else None,
        )


def merge(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge the `state_dict` of each rank's loader into one state of the run: plain numbers and strings, 2 kB for 64 lanes.

    :raises StreamError: the states are not all of one stream and step.
    """
    by_rank = [list(_ours(state)) for state in states]
    if not by_rank or not all(by_rank):
        raise StreamError(
            f"{sum(not states_of_rank for states_of_rank in by_rank)} of {len(by_rank)} states hold none of model.data"
        )
    every = [state for states_of_rank in by_rank for state in states_of_rank]
    begins = {min(int(s["next"]) for s in states_of_rank) for states_of_rank in by_rank}
    streams = {s["stream"] for s in every}
    if len(streams) > 1 or len(begins) > 1:
        raise StreamError(
            f"the states are of {len(streams)} streams, after {', '.join(map(str, sorted(begins)))} sequences"
        )
    lanes: dict[str, list[int]] = {}
    for state in every:
        for lane, cursor in state["lanes"].items():
            if lane not in lanes or cursor[3] + cursor[4] > lanes[lane][3] + lanes[lane][4]:
                lanes[lane] = list(cursor)
    first = min(every, key=lambda s: len(s["phases"]))
    ordered = {lane: lanes[lane] for lane in sorted(lanes, key=int)}
    return {**{k: first[k] for k in (KEY, "stream", "phases")}, "next": begins.pop(), "lanes": ordered}


def _ours(state: Any) -> Iterator[Mapping[str, Any]]:
    """Find the states of datasets, wherever torchdata put them."""
    if isinstance(state, Mapping):
        if KEY in state:
            yield state
        else:
            for value in state.values():
                yield from _ours(value)
