"""Columns of Arrow as Python values, and back, a column at a time.

`pyarrow.Array.to_pylist` makes an object for every value on its way, and `pyarrow.array` looks up every key of every dict: on the
lines of pages, ten and five times the cost of what is here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from extraction.result import Rows


def to_python(array: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values of a column: numbers, strings, bytes and lists as `to_pylist` has them, lists of structs as `Rows`."""
    if isinstance(array, pa.ChunkedArray):
        return [value for chunk in array.chunks for value in to_python(chunk)]
    kind = array.type
    if pa.types.is_list(kind):
        return _lists(array)
    if pa.types.is_struct(kind):
        fields = [to_python(child) for child in array.flatten()]
        rows: list[Any] = [dict(zip(kind.names, row, strict=True)) for row in zip(*fields, strict=True)]
        return _with_nulls(rows, array)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        values: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
        return values
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = (array.fill_null(0) if array.null_count else array).to_numpy().tolist()
        return _with_nulls(values, array)
    values = array.to_pylist()
    return values


def _with_nulls(values: list[Any], array: pa.Array) -> list[Any]:
    if not array.null_count:
        return values
    valid = array.is_valid().to_numpy(zero_copy_only=False).tolist()
    return [value if is_valid else None for value, is_valid in zip(values, valid, strict=True)]


def _lists(array: pa.Array) -> list[Any]:
    offsets = array.offsets.to_numpy()
    flat = array.values.slice(offsets[0], offsets[-1] - offsets[0])
    bounds = (offsets - offsets[0]).tolist()
    if pa.types.is_struct(flat.type):
        parts: list[Any] = [StoredRows(flat.slice(start, end - start)) for start, end in itertools.pairwise(bounds)]
    else:
        values = to_python(flat)
        parts = [values[start:end] for start, end in itertools.pairwise(bounds)]
    return _with_nulls(parts, array)


class StoredRows(Rows):
    """Rows as they were read, `array`, which become Python values when they are asked for."""

    __slots__ = ("array",)

    def __init__(self, array: pa.StructArray) -> None:
        self.array = array
        self._columns = {}

    @property
    def columns(self) -> dict[str, list[Any]]:
        if not self._columns:
            self._columns = dict(zip(self.array.type.names, map(to_python, self.array.flatten()), strict=True))
        return self._columns

    def __len__(self) -> int:
        return len(self.array)

    def __reduce__(self) -> tuple[Any, ...]:
        return Rows, (self.columns,)


def to_arrow(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """A column of such values. Rows of a list of structs are `Rows` or dicts; a key that is missing is null."""
    if not (pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)):
        return pa.array(values, kind)
    pieces: list[pa.StructArray] = []
    for stored, group in itertools.groupby(
        (rows for rows in values if rows is not None),
        lambda rows: isinstance(rows, StoredRows) and rows.array.type == kind.value_type,
    ):
        if stored:
            pieces += [rows.array for rows in group]
        else:
            pieces.append(_structs(list(group), kind.value_type))
    structs = pa.concat_arrays(pieces) if pieces else pa.array([], kind.value_type)
    sizes = [0 if rows is None else len(rows) for rows in values]
    offsets = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int32)
    missing = pa.array([rows is None for rows in values], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), structs, type=kind, mask=missing)


def _structs(groups: Iterable[Sequence[dict[str, Any]]], kind: pa.StructType) -> pa.StructArray:
    """The rows of all groups, one behind the other."""
    fields = list(kind)
    flat: list[list[Any]] = [[] for _ in fields]
    for rows in groups:
        for field, column in zip(fields, flat, strict=True):
            if isinstance(rows, Rows):
                column += rows.columns[field.name] if field.name in rows.columns else [None] * len(rows)
            else:
                column += [row.get(field.name) for row in rows]
    return pa.StructArray.from_arrays(
        [pa.array(column, field.type) for field, column in zip(fields, flat, strict=True)], fields=fields
    )
