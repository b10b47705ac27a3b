"""Untie the Knots: what was tied is untied from the sequence alone; marks, masks and costs as said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from model.base.arrays import IGNORE, Int64s
from model.base.hashing import mix
from model.data import utk

EOD = 50
LABELS = tuple(range(10, 20))


def marks_of(options: utk.UtkOptions) -> utk.Marks:
    return utk.Marks(first=100, chunks=len(options.chunks))


def tie(pieces: list[list[int]], chunks: list[int], key: int, options: utk.UtkOptions) -> tuple[Int64s, Int64s]:
    arrays = [np.array(p, dtype=np.int32) for p in pieces]
    return utk.tie(arrays, chunks, key, options, marks_of(options), LABELS, EOD)


def name(token: int, marks: utk.Marks) -> str:
    names = {
        marks.label: "<L>",
        marks.label_end: "</L>",
        marks.trace: "<S>",
        marks.trace_next: "<s>",
        marks.trace_end: "</S>",
    }
    names |= {marks.head(j): f"<h{j}>" for j in range(2, marks.chunks + 1)}
    names |= {marks.tail(j): f"<t{j}>" for j in range(1, marks.chunks + 1)}
    return names.get(token, {EOD: "EOD"}.get(token, str(token)))


def test_one_document_by_hand() -> None:
    options = utk.UtkOptions(chunks=(0, 0, 1), min_split=6, split="even", label_tokens=1)
    marks = marks_of(options)
    ids, labels = tie([[1, 2, 3, 4, 5, EOD]], [3], 7, options)
    a, b, c = (str(x) for x in ids[[1, 7, 14]])
    assert [name(i, marks) for i in ids.tolist()] == [
        *("<L>", a, "</L>", "1", "2", "<t1>"),
        *("<L>", b, "</L>", "<h2>", "3", "4", "<t2>"),
        *("<L>", c, "</L>", "<h3>", "5", "EOD"),
        *("<S>", a, "<s>", b, "<s>", c, "</S>"),
    ]  # fmt: skip
    # Learned: the text but for what follows a mark, and the labels of the backtracing, not its begin.
    learned = [name(i, marks) for i, label in zip(ids.tolist(), labels.tolist(), strict=True) if label != IGNORE]
    assert learned == ["2", "4", "EOD", a, "<s>", b, "<s>", c, "</S>"]
    assert all(label in (IGNORE, i) for i, label in zip(ids.tolist(), labels.tolist(), strict=True))


def test_the_token_after_a_head_knot_is_a_target_if_asked() -> None:
    options = utk.UtkOptions(chunks=(0, 1), min_split=4, split="even", label_tokens=2, predict_after_knots=True)
    ids, labels = tie([[1, 2, 3, EOD]], [2], 7, options)
    assert labels[np.flatnonzero(ids == marks_of(options).head(2)) + 1] == [3]
    assert labels[ids == 1] == [IGNORE]


def test_short_documents_and_pieces_stay_whole() -> None:
    options = utk.UtkOptions(chunks=(0, 1), min_split=4)
    ids, labels = tie([[1, 2, EOD], [3, 4, 5]], [2, 2], 1, options)
    assert sorted(ids.tolist()) == sorted([1, 2, EOD, 3, 4, 5, marks_of(options).tail(1)])
    assert labels[np.isin(ids, [1, 3])].tolist() == [IGNORE] * 2
    assert [d.tolist() for d in sorted(utk.untie(ids, options, marks_of(options), EOD), key=len)] in (
        [[1, 2, EOD], [3, 4, 5]],
        [[3, 4, 5], [1, 2, EOD]],
    )


@settings(max_examples=200, deadline=None)
@given(
    documents=st.lists(
        st.tuples(st.lists(st.integers(0, 49), min_size=1, max_size=40), st.booleans()), min_size=1, max_size=12
    ),
    chunks=st.integers(1, 5),
    key=st.integers(0, 2**63),
    label_tokens=st.integers(2, 4),
    split=st.sampled_from(["random", "even"]),
    preserve_order=st.booleans(),
)
def test_what_was_tied_is_untied(
    documents: list[tuple[list[int], bool]], chunks: int, key: int, label_tokens: int, split: str, preserve_order: bool
) -> None:
    options = utk.UtkOptions.model_validate(
        {
            "chunks": [1 / chunks] * chunks,
            "min_split": 8,
            "label_tokens": label_tokens,
            "split": split,
            "preserve_order": preserve_order,
        }
    )
    marks = marks_of(options)
    pieces = [[*text, EOD] if ends else text for text, ends in documents]
    h = utk.draw_chunks(options, mix(key, np.arange(len(pieces))))
    ids, labels = tie(pieces, h.tolist(), key, options)
    assert sorted(d.tolist() for d in utk.untie(ids, options, marks, EOD)) == sorted(pieces)
    # As long as the packing was told.
    cut = np.where(np.array([len(p) for p in pieces]) >= options.min_split, h, 1)
    tails = sum(not ends for _, ends in documents)
    assert len(ids) == sum(map(len, pieces)) + utk.cost(options, cut).sum() + tails
    assert (labels == IGNORE)[
        np.isin(ids, [marks.label, marks.label_end, marks.trace, *range(105, 100 + marks.count)])
    ].all()
    again = tie(pieces, h.tolist(), key, options)
    assert np.array_equal(ids, again[0])


def test_chunks_of_a_document_keep_their_order() -> None:
    options = utk.UtkOptions(chunks=(0, 0, 0, 1), min_split=4)
    documents = [[*range(200 + 20 * d, 212 + 20 * d), EOD] for d in range(6)]
    tangled = 0
    for key in range(20):
        ids, _ = tie(documents, [4] * 6, key, options)
        for document in documents:
            assert [i for i in ids.tolist() if i in document[:-1]] == document[:-1]
        owner = [(i - 200) // 20 for i in ids.tolist() if i >= 200]
        tangled += sum(a != b for a, b in itertools.pairwise(owner))
    assert tangled > 20 * 15  # 24 chunks of 6 documents: in order there would be 5 changes


def test_without_order_the_backtracing_is_still_last() -> None:
    options = utk.UtkOptions(chunks=(0, 0, 0, 1), min_split=4, preserve_order=False)
    marks = marks_of(options)
    orders = set()
    for key in range(30):
        ids, _ = tie([[*range(1, 8), EOD]], [4], key, options)
        assert ids[-1] == marks.trace_end
        orders.add(tuple(i for i in ids.tolist() if marks.head(2) <= i < marks.tail(1)))
    assert len(orders) > 3


def test_number_of_chunks_follows_the_distribution() -> None:
    options = utk.UtkOptions(chunks=(0.25, 0.5, 0.25))
    counts = np.bincount(utk.draw_chunks(options, mix(0, np.arange(40_000))), minlength=4)[1:]
    assert np.allclose(counts / 40_000, options.chunks, atol=0.01)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"chunks": (0.5, 0.4)}, "add up to 1"),
        ({"chunks": (0, 0, 1), "min_split": 2}, "min_split 2 is below"),
        ({"chunk": (1,)}, "chunk"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        utk.UtkOptions.model_validate(wrong)


def test_too_few_labels_is_an_error() -> None:
    options = utk.UtkOptions(chunks=(0, 1), min_split=4, label_tokens=1)
    with pytest.raises(ValueError, match="12 labels of 1 tokens from 10 ids"):
        tie([[1, 2, 3, EOD]] * 6, [2] * 6, 0, options)


def test_damage_is_noticed() -> None:
    options = utk.UtkOptions(chunks=(0, 1), min_split=4)
    marks = marks_of(options)
    ids, _ = tie([[1, 2, 3, EOD]], [2], 0, options)
    with pytest.raises(ValueError, match="2 chunks are in no backtracing"):
        utk.untie(ids[: np.flatnonzero(ids == marks.trace)[0]], options, marks, EOD)
    with pytest.raises(ValueError, match="ends neither in EOD nor in a tail knot"):
        utk.untie(np.array([1, 2]), options, marks, EOD)
