"""Which lines of a document are counted, and what makes two lines the same."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.rule_based.line_dedup import LineDedup


def looked_at(text: str, head: int = 5, tail: int = 5) -> list[int]:
    return [n for n, _ in LineDedup(head=head, tail=tail).candidates(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("***\n\n---", []),
        ("one", [0]),
        ("\n".join("abcdefghij"), list(range(10))),
        ("\n".join("abcdefghijk"), [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]),
        ("首页\n\n---\n新闻\n正文一\n正文二\n正文三\n正文四\n★★★\n版权所有", [0, 3, 4, 5, 6, 7, 9]),
        ("a\n\n" + "b\n" * 20 + "\n\n===\nc", [0, 2, 3, 4, 5, 18, 19, 20, 21, 25]),
    ],
)
def test_first_and_last_lines_with_content_each_once(text: str, expected: list[int]) -> None:
    assert looked_at(text) == expected


def test_head_and_tail_are_configurable() -> None:
    text = "\n".join("abcdefgh")
    assert looked_at(text, head=2, tail=1) == [0, 1, 7]
    assert looked_at(text, head=0, tail=2) == [6, 7]
    assert looked_at(text, head=2, tail=0) == [0, 1]
    assert looked_at("only", head=3, tail=3) == [0]


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("All rights reserved.", "all RIGHTS  reserved", True),
        ("版权所有，违者必究！", "版权所有违者必究", True),
        ("Page 1", "Page 2", False),
        ("Café", "Cafe\u0301", True),
        ("C++ forum", "C forum", False),
    ],
)
def test_lines_are_compared_normalised(a: str, b: str, same: bool) -> None:
    rows = pa.table({"text": [a, b]})
    at, numbers, keys = LineDedup().occurrences(rows)
    assert (at, numbers) == ([0, 1], [0, 0])
    assert (keys[0] == keys[1]) is same
    assert {len(k) for k in keys} == {16}
