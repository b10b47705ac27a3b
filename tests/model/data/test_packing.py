"""Packing: nothing lost, nothing doubled, no sequence too full, few cuts; the two ways on cases done by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.base.arrays import Int64s
from model.base.errors import PackingError
from model.data import packing


def lengths(*values: int) -> Int64s:
    return np.array(values, dtype=np.int64)


def test_concatenate_by_hand() -> None:
    p = packing.plan(lengths(3, 4, 9), 8, 2, method="concatenate")
    assert p.pieces.tolist() == [[0, 0, 0, 3], [0, 1, 0, 4], [0, 2, 0, 1], [1, 2, 1, 9]]
    assert (p.sequences, p.documents, p.offset, p.padding) == (2, 3, 0, 0)


def test_best_fit_by_hand() -> None:
    # 7 of 8 places are packed longest first: 8, 5, 5, 3, 3; the 4 fills what is left, whole where it fits.
    p = packing.plan(lengths(3, 5, 3, 8, 5, 4, 8), 8, 4, first=0)
    assert p.pieces.tolist() == [
        [0, 3, 0, 8], [1, 0, 0, 3], [1, 1, 0, 5], [2, 2, 0, 3], [2, 4, 0, 5], [3, 5, 0, 4], [3, 6, 0, 4]
    ]  # fmt: skip
    assert (p.documents, p.offset, p.padding) == (6, 4, 0)


def test_a_gap_as_small_as_pad_below_is_padded_and_one_larger_is_filled() -> None:
    documents = lengths(7, 7, 7, 7, 7, 7, 7, 6, 50)
    assert packing.plan(documents, 8, 8, pad_below=1).padding == 7
    assert packing.plan(documents, 8, 8, pad_below=0).padding == 0
    assert packing.plan(documents, 8, 8, pad_below=0).offset == 9


def test_document_longer_than_a_window_goes_on() -> None:
    first = packing.plan(lengths(100), 8, 4)
    assert (first.documents, first.offset) == (0, 32)
    second = packing.plan(lengths(100), 8, 4, first=first.offset)
    assert second.offset == 64
    assert second.pieces[:, 2].min() == 32


def test_the_end_is_padded() -> None:
    p = packing.plan(lengths(5, 9), 8, 4, last=True)
    assert (p.sequences, p.documents, p.offset, p.padding) == (2, 2, 0, 2)
    assert packing.plan(lengths(), 8, 4, last=True).sequences == 0


def test_errors_give_numbers() -> None:
    with pytest.raises(PackingError, match="7 tokens for 2 sequences of 8"):
        packing.plan(lengths(7), 8, 2)
    with pytest.raises(PackingError, match="no room for marks of 9 places"):
        packing.plan(lengths(70), 8, 2, marks=lengths(9))


@settings(max_examples=150, deadline=None)
@given(
    documents=st.lists(st.integers(1, 300), max_size=60),
    length=st.integers(8, 100),
    sequences=st.integers(1, 12),
    method=st.sampled_from(packing.METHODS),
    first=st.integers(0, 50),
    pad_below=st.integers(0, 5),
    mark=st.integers(0, 6),
    tail=st.integers(0, 1),
)
def test_every_token_is_in_one_place(
    documents: list[int],
    length: int,
    sequences: int,
    method: packing.Method,
    first: int,
    pad_below: int,
    mark: int,
    tail: int,
) -> None:
    sizes = lengths(*documents)
    first = min(first, documents[0] - 1) if documents else 0
    marks = np.where(np.arange(len(sizes)) % 2 == 0, mark, 0).astype(np.int64)
    last = bool(sizes.sum() - first < length * sequences)
    p = packing.plan(
        sizes,
        length,
        sequences,
        method=method,
        first=first,
        last=last,
        pad_below=pad_below,
        marks=marks,
        min_marked=10,
        tail=tail,
    )
    places = np.zeros(p.sequences, dtype=np.int64)
    seen: dict[int, list[tuple[int, int]]] = {}
    for sequence, document, start, stop in p.pieces.tolist():
        n = stop - start
        assert n > 0
        places[sequence] += n + (marks[document] if n >= 10 else 0) + (tail if stop < sizes[document] else 0)
        seen.setdefault(document, []).append((start, stop))
    assert (places <= length).all()
    assert (places > 0).all()
    assert length * p.sequences - places.sum() == p.padding
    # A contiguous run of the stream, from `first` to (documents, offset).
    assert sorted(seen) == list(range(p.documents + (p.offset > (first if p.documents == 0 else 0))))
    for document, spans in seen.items():
        spans.sort()
        assert spans[0][0] == (first if document == 0 else 0)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
        assert spans[-1][1] == (sizes[document] if document < p.documents else p.offset)
    if not last and not tail and not mark:
        assert p.sequences == sequences
        assert p.padding <= pad_below * sequences * (method == "best_fit")


@pytest.mark.parametrize(("length", "sequences"), [(2048, 256), (8192, 64), (32768, 16)])
def test_best_fit_cuts_hardly_more_than_what_is_too_long(length: int, sequences: int) -> None:
    sizes = np.clip(np.random.default_rng(0).lognormal(6.3, 1.2, 20_000), 20, 131_072).astype(np.int64)
    best = packing.quality(sizes, length, sequences, method="best_fit", pad_below=length // 256)
    split = packing.quality(sizes, length, sequences, method="concatenate")
    too_long = (sizes > length).sum()
    assert best.cut - too_long < 0.15 * (split.cut - too_long)
    assert best.share_padding < 0.002
