"""Packed records through Spark's shuffle: the blobs of each part come together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from pipeline.packed import PACKED, Blobs, batches


def exchange(frame: DataFrame, handle: Callable[[int, Blobs], Iterator[tuple[int, int, bytes]]]) -> DataFrame:
    """Bring the blobs of each part together and let `handle` make new ones of them. A task holds one part at a time."""
    return exchange_rows(frame, lambda part, blobs: batches(handle(part, blobs)), PACKED)


def exchange_rows(
    frame: DataFrame, handle: Callable[[int, Blobs], Iterator[pa.RecordBatch]], schema: pa.Schema
) -> DataFrame:
    """As `exchange`, with rows of `schema` as the result."""

    def work(incoming: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        current: int | None = None
        blobs: Blobs = {}
        for batch in incoming:
            kinds, parts, data = (batch.column(n).to_pylist() for n in PACKED.names)
            for kind, part, blob in zip(kinds, parts, data, strict=True):
                if part != current:
                    if current is not None:
                        yield from handle(current, blobs)
                    current, blobs = part, {}
                blobs.setdefault(kind, []).append(blob)
        if current is not None:
            yield from handle(current, blobs)

    shuffled = frame.repartition("part").sortWithinPartitions("part", "kind")
    return shuffled.mapInArrow(work, from_arrow_schema(schema))
