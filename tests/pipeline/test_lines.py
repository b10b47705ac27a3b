"""Cutting lines and putting them back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.lines import cut_lines, restore_lines
from pipeline.schema import Document, from_table, to_table


def document(text: str) -> Document:
    n = text.count("\n") + 1
    tags = [f"h{i % 6 + 1}" for i in range(n)]
    return Document(
        doc_id="0" * 32, source_file="a", text=text, line_tags=tags, line_link_share=[i / 8 for i in range(n)]
    )


def test_cut_lines_are_recorded_with_what_was_known_of_them() -> None:
    doc = cut_lines(document("首页\nA river.\n版权所有\nThe sea."), "line_dedup", [0, 2])
    assert doc.text == "A river.\nThe sea."
    assert doc.line_tags == ["h2", "h4"]
    assert doc.line_link_share == [1 / 8, 3 / 8]
    assert doc.removed_lines == [
        {"step": "line_dedup", "line": 0, "text": "首页", "tag": "h1", "link_share": 0.0, "score": None, "kind": None},
        {
            "step": "line_dedup",
            "line": 2,
            "text": "版权所有",
            "tag": "h3",
            "link_share": 2 / 8,
            "score": None,
            "kind": None,
        },
    ]
    again = cut_lines(doc, "site_rules", [1])
    assert again.text == "A river."
    assert [(r["step"], r["line"]) for r in again.removed_lines or ()] == [
        ("line_dedup", 0),
        ("line_dedup", 2),
        ("site_rules", 1),
    ]
    assert restore_lines(again) == document("首页\nA river.\n版权所有\nThe sea.")


def test_nothing_to_cut_changes_nothing() -> None:
    doc = document("a\nb")
    assert cut_lines(doc, "x", []) is doc
    with pytest.raises(IndexError, match="cannot cut line 2 of a text of 2 lines"):
        cut_lines(doc, "x", [0, 2])


@settings(deadline=None)  # the first example pays for an import
@given(
    st.lists(st.sampled_from(["", "a", "第一行", " b "]), min_size=1, max_size=8),
    st.lists(st.sets(st.integers(0, 7), max_size=8), max_size=3),
)
def test_restoring_undoes_any_cuts(lines: list[str], cuts: list[set[int]]) -> None:
    original = document("\n".join(lines))
    doc = original
    for i, cut in enumerate(cuts):
        n = (doc.text or "").count("\n") + 1
        if doc.text == "" and doc.removed_lines:
            break  # nothing is left to cut
        doc = cut_lines(doc, f"step{i}", {c for c in cut if c < n})
    (stored,) = from_table(to_table([doc]))
    assert len(stored.line_tags or ()) == (stored.text or "").count("\n") + 1
    assert restore_lines(stored) == original
