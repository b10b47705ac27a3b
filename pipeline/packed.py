"""Many small records as few large rows: what a shuffle moves, and what comparisons keep for later generations.

A band key is 16 bytes; a row of Spark's is 40 more and microseconds of work, 128 times a document. So tasks sort their
records by destination with numpy and hand Spark one blob a destination: the shuffle moves bytes, and numpy reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

PACKED = pa.schema(
    [
        pa.field("kind", pa.int32(), nullable=False),  # what the records are: the step's own numbering
        pa.field("part", pa.int32(), nullable=False),  # destination
        pa.field("data", pa.binary(), nullable=False),
    ]
)

Array = npt.NDArray[Any]
Parts = npt.NDArray[np.int64]
Blobs = dict[int, list[bytes]]
"""The blobs of one part, by kind."""

BATCH_BYTES = 32 << 20


def batches(rows: Iterator[tuple[int, int, bytes]]) -> Iterator[pa.RecordBatch]:
    """(kind, part, data) as record batches of a bounded size."""
    held: list[tuple[int, int, bytes]] = []
    size = 0
    for row in rows:
        held.append(row)
        size += len(row[2]) + 32
        if size >= BATCH_BYTES:
            yield _batch(held)
            held, size = [], 0
    if held:
        yield _batch(held)


def _batch(rows: list[tuple[int, int, bytes]]) -> pa.RecordBatch:
    kinds, parts, data = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(kinds, pa.int32()), pa.array(parts, pa.int32()), pa.array(data, pa.binary())], schema=PACKED
    )


def pack(kind: int, part: Parts, records: Array) -> Iterator[tuple[int, int, bytes]]:
    """Fixed-size records (first axis n) as one blob a destination, in the order given."""
    for p, index in _by_part(part):
        yield kind, p, records[index].tobytes()


def _by_part(part: Parts) -> Iterator[tuple[int, Parts]]:
    """The indices of each destination that occurs."""
    if not len(part):
        return
    order = np.argsort(part, kind="stable")
    ordered = part[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    stops = np.append(starts[1:], len(ordered))
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        yield int(ordered[start]), order[start:stop]


def unpack(blobs: list[bytes], dtype: Any) -> Array:
    """The records of several blobs."""
    return np.frombuffer(b"".join(blobs), dtype=dtype)


def pack_payloads(
    kind: int, part: Parts, ranks: Parts, flat: Array, starts: Parts, stops: Parts
) -> Iterator[tuple[int, int, bytes]]:
    """Values of any number, each with an owner: `flat[starts[i]:stops[i]]` belongs to `ranks[i]` and goes to `part[i]`."""
    data = np.ascontiguousarray(flat).data.cast("B")
    width = flat.dtype.itemsize
    starts, stops = starts * width, stops * width
    for p, index in _by_part(part):
        pieces = zip(starts[index].tolist(), stops[index].tolist(), strict=True)
        head = np.array([len(index)], np.int64).tobytes() + ranks[index].tobytes()
        lengths = (stops[index] - starts[index]).tobytes()
        yield kind, p, b"".join([head, lengths, *(data[a:b] for a, b in pieces)])


def unpack_payloads(blobs: list[bytes], dtype: Any) -> tuple[Parts, Array, Parts]:
    """Numbers (n,), values of `dtype` one after the other, and where each begins (n + 1,)."""
    ranks, lengths, bodies = [], [], []
    for blob in blobs:
        (n,) = np.frombuffer(blob, np.int64, 1)
        ranks.append(np.frombuffer(blob, np.int64, n, 8))
        lengths.append(np.frombuffer(blob, np.int64, n, 8 + 8 * n))
        bodies.append(memoryview(blob)[8 + 16 * n :])
    flat = np.frombuffer(b"".join(bodies), dtype)
    sizes = np.concatenate([np.zeros(1, np.int64), *lengths]) // flat.dtype.itemsize
    return np.concatenate([np.zeros(0, np.int64), *ranks]), flat, np.cumsum(sizes)
