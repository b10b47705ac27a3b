"""The stream of sequences: complete, mixed, repeatable, resumed at any step, its mixture as asked."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from model.base.arrays import IGNORE
from model.base.errors import ShardError, StreamError
from model.data import utk
from model.data.config import DataOptions
from model.data.source import Source
from model.data.stream import Lane, Order, Packed, count_sequences
from tests.model.made_shards import EOD, Made, documents, write_shards

LENGTH = 64
UTK = {"probability": 0.5, "chunks": [0.0, 0.5, 0.5], "min_split": 16, "label_tokens": 2, "first_mark": 500}
WAYS: list[dict[str, Any]] = [
    {"packing": "best_fit"},
    {"packing": "concatenate"},
    {"packing": "best_fit", "utk": UTK},
    {"packing": "concatenate", "utk": UTK},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """400 documents, two generations; no token but EOD occurs twice."""
    made = [
        Made(d.ids, language=("en", "zh", None)[i % 3], source="web" if i % 4 else "book", generation=i // 300)
        for i, d in enumerate(documents(400))
    ]
    made += [Made(range(10**6, 10**6 + 50), split="validation"), Made([10**6 + 99], split="validation")]
    return str(write_shards(tmp_path_factory.mktemp("shards"), made))


@pytest.fixture(scope="module")
def owners() -> tuple[list[Made], np.ndarray[Any, Any]]:
    """List the documents of `folder`, and the first token of each."""
    made = documents(400)
    return made, np.array([d.ids[0] for d in made])


def options(folder: str, **values: Any) -> DataOptions:
    return DataOptions.model_validate({"shards": folder, "lanes": 4, "window_tokens": 640} | values)


def sequences(source: Source, n: int | None = None) -> list[Packed]:
    """Read the first `n` sequences of the run, or all."""
    order, lanes, out = Order(source), {i: Lane(source, i) for i in range(source.options.lanes)}, []
    for q in itertools.count():
        place = order[q] if n is None or q < n else None
        if place is None:
            return out
        assert lanes[place[0]].next == place[1]
        packed = lanes[place[0]].take()
        assert packed is not None
        out.append(packed)
    raise AssertionError


def texts(source: Source, packed: Packed) -> list[list[int]]:
    """Cut out the documents and pieces of a sequence; padding left out."""
    starts = np.flatnonzero(packed.position_ids == 0).tolist()
    parts = [packed.input_ids[a:b] for a, b in itertools.pairwise([*starts, len(packed.input_ids)])]
    if source.marks is not None and (packed.input_ids >= source.marks.first).any():
        marked = [p for p in parts if (p < 1000).any() and ((p >= 500) & (p < 600)).any()]
        if marked:
            assert source.options.utk is not None
            assert len(parts) <= 2
            return [p.tolist() for p in utk.untie(parts[0], source.options.utk, source.marks, EOD)]
    return [p.tolist() for p in parts if not (p == EOD).all()]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_an_epoch_has_every_token_once(folder: str, way: dict[str, Any]) -> None:
    source = Source(options(folder, epochs=1, **way), "train", LENGTH)
    every = sequences(source)
    assert len(every) == count_sequences(source).sum()
    seen = Counter(t for p in every for text in texts(source, p) for t in text if t != EOD)
    assert seen == Counter(t for d in documents(400) for t in d.ids)
    if source.marks is not None:
        tied = np.mean([(p.input_ids == source.marks.label).any() for p in every])
        assert 0.2 < tied < 0.8


@settings(max_examples=25, deadline=None)
@given(
    what=st.tuples(st.sampled_from([1, 3, 20, 100]), st.sampled_from([3, 30, 200]), st.integers(0, 99)),
    n_shards=st.sampled_from([1, 3]),
    row_group_tokens=st.sampled_from([50, 500, 5000]),
    length=st.sampled_from([70, 128, 333]),
    values=st.fixed_dictionaries(
        {
            "lanes": st.sampled_from([1, 2, 7, 16]),
            "window_tokens": st.sampled_from([1, 1000, 10**6]),
            "packing": st.sampled_from(["best_fit", "concatenate"]),
            "pad_below": st.sampled_from([0, 0.1]),
            "epochs": st.sampled_from([1, 2]),
            "utk": st.none()
            | st.fixed_dictionaries(
                {
                    "probability": st.sampled_from([0.3, 1.0]),
                    "chunks": st.sampled_from([(0, 0.5, 0.5), (0.2, 0.2, 0.2, 0.4), (1,)]),
                    "min_split": st.sampled_from([4, 10]),
                    "label_tokens": st.just(3),
                    "first_mark": st.just(500),
                    "preserve_order": st.booleans(),
                }
            ),
        }
    ),
)
def test_no_token_is_lost_or_doubled(
    what: tuple[int, int, int], n_shards: int, row_group_tokens: int, length: int, values: dict[str, Any]
) -> None:
    n, mean, seed = what
    made = documents(n, seed, mean=mean)
    with tempfile.TemporaryDirectory() as folder:
        write_shards(Path(folder), made, n_shards=n_shards, row_group_tokens=row_group_tokens)
        source = Source(DataOptions.model_validate({"shards": folder} | values), "train", length)
        seen = Counter(t for p in sequences(source) for text in texts(source, p) for t in text if t != EOD)
    assert seen == {t: values["epochs"] for d in made for t in d.ids}


def test_each_epoch_has_every_token_once_in_another_order(folder: str) -> None:
    source = Source(options(folder, epochs=3, lanes=1), "train", LENGTH)
    tokens = [t for p in sequences(source) for text in texts(source, p) for t in text if t != EOD]
    n = sum(len(d.ids) for d in documents(400))
    assert set(Counter(tokens).values()) == {3}
    # A window of 10 sequences may span two epochs.
    first, second = tokens[: n - 640], tokens[n + 640 : 2 * n - 640]
    assert len(set(first)) == len(first)
    assert len(set(second)) == len(second)
    assert first[:100] != tokens[n : n + 100]


def test_seed_decides_and_nothing_else(folder: str) -> None:
    def ids(**values: Any) -> list[list[int]]:
        return [p.input_ids.tolist() for p in sequences(Source(options(folder, **values), "train", LENGTH), 24)]

    assert ids() == ids()
    assert ids() != ids(seed=1)
    assert ids(utk=UTK) == ids(utk=UTK)


def test_positions_and_labels(folder: str) -> None:
    source = Source(options(folder), "train", LENGTH)
    for p in sequences(source, 40):
        starts = p.position_ids == 0
        assert starts[0]
        assert (np.diff(p.position_ids)[~starts[1:]] == 1).all()
        assert (p.labels[starts] == IGNORE).all()
        padding = LENGTH
        while p.input_ids[padding - 1] == EOD and p.labels[padding - 1] == IGNORE:
            padding -= 1  # at least; a document of one token and its EOD ends in a target
        assert (p.labels[:padding] == p.input_ids[:padding])[~starts[:padding]].all()
        ends = np.flatnonzero(p.input_ids[: padding - 1] == EOD)
        assert starts[ends + 1].all()


def test_tied_sequences_count_on(folder: str) -> None:
    source = Source(options(folder, utk=UTK | {"probability": 1.0}), "train", LENGTH)
    assert source.marks is not None
    for p in sequences(source, 20):
        restarts = np.flatnonzero(p.position_ids == 0)
        assert len(restarts) <= 2
        if len(restarts) == 2:  # padding
            assert (p.input_ids[restarts[1] :] == EOD).all()
            assert (p.labels[restarts[1] :] == IGNORE).all()
    assert source.vocabulary == 500 + source.marks.count


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_resume_at_any_step(folder: str, way: dict[str, Any]) -> None:
    mixture = [{"until_tokens": 3000, "weights": {"language": {"en": 1.7}}}, {"weights": {"source": {"book": 0.3}}}]
    source = Source(options(folder, mixture=mixture, **way), "train", LENGTH)
    lane = Lane(source, 1)
    states, out = [], []
    for _ in range(40):
        states.append(lane.state)
        packed = lane.take()
        assert packed is not None
        out.append(packed)
    assert all(len(s) == 5 for s in states)
    for n in range(0, 40, 3):
        again = Lane(Source(options(folder, mixture=mixture, **way), "train", LENGTH), 1, states[n])
        ahead = Lane(source, 1, states[n // 2])
        assert ahead.seek(n)
        for m in range(n, min(40, n + 4)):
            for other in (again.take(), ahead.take()):
                assert other is not None
                for a, b in zip(vars(other).values(), vars(out[m]).values(), strict=True):
                    assert np.array_equal(a, b)


def test_generations_and_shards_are_mixed(folder: str, owners: tuple[list[Made], Any]) -> None:
    source = Source(options(folder, epochs=1, lanes=2), "train", LENGTH)
    every = sequences(source)
    generation = [
        np.mean(np.searchsorted(owners[1], p.input_ids[p.input_ids >= 1000], side="right") > 300) for p in every
    ]
    half = len(every) // 2
    share = np.mean(generation)
    assert 0.15 < share < 0.35
    assert abs(np.mean(generation[:half]) - share) < 0.12


def shares(packed: list[Packed], starts: Any, **of: Any) -> dict[Any, float]:
    """Compute the share of the tokens by what `of` says of each document."""
    tokens = np.concatenate([p.input_ids for p in packed])
    documents = np.searchsorted(starts, tokens[tokens >= 1000], side="right") - 1
    values = np.array([of["of"](i) for i in range(len(starts))])[documents]
    return {v: float(np.mean(values == v)) for v in sorted(set(values.tolist()))}


def language(i: int) -> str:
    return ("en", "zh", "unknown")[i % 3]


def test_shares_move_as_asked(folder: str, owners: tuple[list[Made], Any]) -> None:
    phase = 64 * LENGTH * 4  # 64 sequences of each of 4 lanes
    mixture = [
        {"until_tokens": phase, "shares": {"language": {"en": 3, "zh": 1, "unknown": 0}}},
        {
            "until_tokens": 2 * phase,
            "shares": {"language": {"en": 1, "zh": 3}},
            "weights": {"language": {"unknown": 0}},
        },
        {"until_tokens": 3 * phase, "weights": {"source": {"book": 1, "*": 0}}},
        {"weights": {"language": {"*": 0, "unknown": 1.5}}},
    ]
    source = Source(options(folder, mixture=mixture), "train", LENGTH)
    every = sequences(source, 4 * 256)
    parts = [every[i * 256 : (i + 1) * 256] for i in range(4)]
    shares_of_parts = [shares(p, owners[1], of=language) for p in parts]
    assert shares_of_parts[0] == pytest.approx({"en": 0.75, "zh": 0.25}, abs=0.05)
    # A document begun before a phase ended goes on in the next: one a lane at most.
    assert shares_of_parts[1]["zh"] == pytest.approx(0.75, abs=0.05)
    book = shares(parts[2], owners[1], of=lambda i: "web" if i % 4 else "book")
    assert book["book"] > 0.97
    assert shares_of_parts[3]["unknown"] > 0.97


def test_rates_repeat_and_a_higher_rate_takes_the_same_rows_and_more(folder: str) -> None:
    def taken(rate: float) -> Counter[int]:
        mixture = [{"weights": {"language": {"*": rate}}}]
        source = Source(options(folder, mixture=mixture, epochs=1), "train", LENGTH)
        return Counter(t for p in sequences(source) for text in texts(source, p) for t in text if t != EOD)

    half, more, twice = taken(0.4), taken(0.7), taken(2.3)
    n = len(taken(1.0))
    assert set(half.values()) == {1}
    assert len(half) / n == pytest.approx(0.4, abs=0.08)
    assert half.keys() < more.keys()
    assert set(twice.values()) == {2, 3}
    assert sum(twice.values()) / n == pytest.approx(2.3, abs=0.08)
    assert {t for t, k in twice.items() if k == 3} < half.keys()


def test_repetitions_come_a_block_apart(folder: str) -> None:
    source = Source(options(folder, mixture=[{"weights": {"language": {"*": 2}}}], lanes=1), "train", LENGTH)
    every = [[t for text in texts(source, p) for t in text if t != EOD] for p in sequences(source, 200)]
    at = [(t, i) for i, tokens in enumerate(every) for t in tokens]
    last: dict[int, int] = {}
    apart = [i - last[t] for t, i in at if t in last or last.setdefault(t, i) != i]
    # Row groups of 1,000 tokens are 16 sequences; the last of a shard is shorter, and a window mixes 10 sequences.
    assert np.median(apart) > 12
    assert np.mean(np.array(apart) == 0) < 0.03


def test_fewer_row_groups_than_lanes(folder: str) -> None:
    source = Source(options(folder, lanes=64, epochs=1), "train", LENGTH)
    assert source.slices > 1
    seen = Counter(t for p in sequences(source) for text in texts(source, p) for t in text if t != EOD)
    assert set(seen.values()) == {1}
    assert len(seen) == sum(len(d.ids) for d in documents(400))


def test_validation_of_two_documents(folder: str) -> None:
    source = Source(options(folder, lanes=1, epochs=1), "validation", LENGTH)
    assert sorted(t for p in sequences(source) for t in p.input_ids.tolist() if t >= 1000) == [
        *range(10**6, 10**6 + 50),
        10**6 + 99,
    ]
    forever = Lane(Source(options(folder), "validation", LENGTH), 3)
    assert all(forever.take() is not None for _ in range(20))


def test_a_window_is_as_long_as_the_data_allows(folder: str) -> None:
    assert Source(options(folder), "train", LENGTH).window == 10
    assert Source(options(folder, window_tokens=10**9, lanes=1), "train", LENGTH).window > 100
    assert Source(options(folder, window_tokens=10**9, lanes=64), "train", LENGTH).window == 8


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"mixture": [{"weights": {"language": {"*": 0}}}]}, "phase 0 takes no row"),
        ({"mixture": [{"shares": {"language": {"fr": 1, "en": 1}}}]}, "name fr; the shards have en, unknown, zh"),
        ({"utk": UTK | {"min_split": 60}}, "sequences of 64 cannot hold min_split 60 and"),
    ],
)
def test_options_that_the_shards_do_not_fit(folder: str, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(StreamError, match=says):
        sequences(Source(options(folder, **wrong), "train", LENGTH), 1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"mixture": [{"until_tokens": 5}, {"until_tokens": 5}]}, "must rise"),
        ({"mixture": [{}, {"until_tokens": 5}]}, "null in the last phase only"),
        ({"mixture": [{"weights": {"language": {"en": -1}}}]}, "language.en must be 0 to 1000"),
        ({"mixture": [{"weights": {"colour": {"red": 1}}}]}, "colour"),
        ({"mixture": [{"shares": {"language": {"en": 0}}}]}, "must not all be 0"),
        ({"packing": "worst_fit"}, "best_fit"),
        ({"lane": 3}, "lane"),
    ],
)
def test_options_that_are_wrong(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        options("nowhere", **wrong)


def test_no_shards_there(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"no manifest\.json"):
        Source(options(str(tmp_path)), "train", LENGTH)


def test_a_stream_without_end_has_no_count(folder: str) -> None:
    with pytest.raises(StreamError, match="does not end"):
        count_sequences(Source(options(folder), "train", LENGTH))
