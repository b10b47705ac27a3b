"""Columns as Python values and back: the same as pyarrow's own conversions."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest

from extraction.result import Rows
from pipeline.columns import to_arrow, to_python
from pipeline.schema import CHUNK, DOCUMENT

WORDS = ["", "a", "河流", "\u00e9\U0001f600", "x" * 300]


def _value(kind: pa.DataType, chance: random.Random) -> Any:
    if chance.random() < 0.2:
        return None
    if pa.types.is_list(kind):
        return [_value(kind.value_type, chance) for _ in range(chance.randrange(4))]
    if pa.types.is_struct(kind):
        return {field.name: _value(field.type, chance) for field in kind}
    if pa.types.is_string(kind):
        return chance.choice(WORDS)
    if pa.types.is_floating(kind):
        return chance.choice([0.0, 0.5, -1.25])
    return chance.randrange(1000)


def _column(field: pa.Field, seed: int, n: int = 30) -> list[Any]:
    chance = random.Random(seed)
    of_structs = pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type)
    values = [_value(field.type, chance) for _ in range(n)]
    # a row of such a list is never null in itself
    return [
        [row for row in value if row is not None] if of_structs and value is not None else value for value in values
    ]


def _plain(values: list[Any]) -> list[Any]:
    return [list(value) if isinstance(value, Rows) else value for value in values]


@pytest.mark.parametrize("field", [f for f in CHUNK if f.name != "crawl_time"], ids=lambda f: f.name)
def test_both_ways_are_pyarrow_s(field: pa.Field) -> None:
    for seed in range(5):
        values = _column(field, seed)
        array = pa.array(values, field.type)
        assert _plain(to_python(array)) == array.to_pylist()
        made = to_arrow(values, field.type)
        made.validate(full=True)
        assert made.equals(array)
        assert to_arrow(to_python(array), field.type).equals(array), "rows come back as they were"
        for piece in (array.slice(7, 11), array.slice(29), array.slice(3, 0)):
            assert _plain(to_python(piece)) == piece.to_pylist()
        chunked = pa.chunked_array([array.slice(0, 9), array.slice(9)])
        assert _plain(to_python(chunked)) == array.to_pylist()


def test_a_key_that_is_missing_is_null() -> None:
    kind = DOCUMENT.field("removed_lines").type
    rows = to_arrow([[{"step": "a", "line": 1}], None, Rows({"step": ["b"], "text": ["t"]})], kind)
    assert (
        rows.to_pylist() == pa.array([[{"step": "a", "line": 1}], None, [{"step": "b", "text": "t"}]], kind).to_pylist()
    )


def test_rows_are_read_as_a_list_of_dicts_is() -> None:
    rows = Rows({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    plain = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]
    assert (len(rows), rows[1], rows[-1], list(rows[1:])) == (3, plain[1], plain[2], plain[1:])
    assert rows == plain
    assert rows == Rows({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    assert rows != plain[:2]
    assert [*rows, {"a": 4}] == [*plain, {"a": 4}]
    assert repr(rows) == repr(plain)
    with pytest.raises(ValueError, match=r"columns of \[1, 2\] rows; expected as many"):
        Rows({"a": [1], "b": [1, 2]})
