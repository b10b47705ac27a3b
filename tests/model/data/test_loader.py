"""The loader: the same batches for any number of ranks and workers, resumed at any step; nothing leaks between documents."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.model.made_shards import Made, documents, write_shards

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("torchdata", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

from model.base.arrays import IGNORE  # noqa: E402
from model.base.errors import StreamError  # noqa: E402
from model.data.config import DataOptions  # noqa: E402
from model.data.loader import loader, merge  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores

LENGTH = 64
BATCH = 8  # sequences of a global batch
STEPS = 14


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = documents(300, distinct=False)
    made += [Made(range(40), split="validation"), *documents(30, 5, split="validation", distinct=False)]
    return str(write_shards(tmp_path_factory.mktemp("shards"), made))


def options(folder: str, **values: Any) -> DataOptions:
    utk = {"probability": 0.5, "chunks": [0.0, 1.0], "min_split": 16, "label_tokens": 2}
    return DataOptions.model_validate({"shards": folder, "lanes": 8, "window_tokens": 640, "utk": utk} | values)


def loaders(folder: str, world: int, workers: int, batch: int = BATCH, start: Any = None, **values: Any) -> list[Any]:
    return [
        loader(options(folder, **values), "train", LENGTH, batch // world, rank, world, workers, start=start)
        for rank in range(world)
    ]


def global_batch(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Join the batches of all ranks, in the order of the run: rank r has sequences r, r + world, ..."""
    return {k: torch.stack([p[k] for p in parts], dim=1).flatten(0, 1) for k in parts[0]}


def same(actual: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    return len(actual) == len(expected) and all(
        a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a) for a, b in zip(actual, expected, strict=True)
    )


@pytest.fixture(scope="module")
def run(folder: str) -> list[dict[str, Any]]:
    """Read what one rank without workers sees."""
    (batches,) = loaders(folder, 1, 0)
    return list(itertools.islice(batches, STEPS))


def test_shapes(run: list[dict[str, Any]]) -> None:
    for batch in run:
        assert sorted(batch) == ["input_ids", "labels", "position_ids"]
        assert all(t.shape == (BATCH, LENGTH) and t.dtype == torch.int64 for t in batch.values())
        known = batch["labels"] != IGNORE
        assert torch.equal(batch["labels"][known], batch["input_ids"][known])


@pytest.mark.parametrize(("world", "workers"), [(2, 0), (8, 0), (1, 2), (1, 3)])
def test_ranks_and_workers_do_not_change_the_batches(
    folder: str, run: list[dict[str, Any]], world: int, workers: int
) -> None:
    ranks = [iter(b) for b in loaders(folder, world, workers)]
    steps = STEPS if not workers else 6
    assert same([global_batch([next(r) for r in ranks]) for _ in range(steps)], run[:steps])


def test_resume_at_any_step(folder: str, run: list[dict[str, Any]]) -> None:
    (batches,) = loaders(folder, 1, 0)
    states = [batches.state_dict(), *(batches.state_dict() for _ in itertools.islice(batches, STEPS))]
    for n in range(STEPS - 2):
        (again,) = loaders(folder, 1, 0)
        again.load_state_dict(json.loads(json.dumps(states[n])))
        assert same(list(itertools.islice(again, 2)), run[n : n + 2])


def test_resume_with_two_workers(folder: str, run: list[dict[str, Any]]) -> None:
    (batches,) = loaders(folder, 1, 2)
    iterator = iter(batches)
    for _ in range(3):
        next(iterator)
    state = json.loads(json.dumps(batches.state_dict()))
    (again,) = loaders(folder, 1, 2)
    again.load_state_dict(state)
    assert same(list(itertools.islice(again, 4)), run[3:7])
    # And with another number of workers and ranks.
    assert_goes_on(folder, run, merge([state]), 3, 2, 0)


def assert_goes_on(
    folder: str, run: list[dict[str, Any]], start: dict[str, Any], step: int, world: int, workers: int
) -> None:
    ranks = [iter(b) for b in loaders(folder, world, workers, start=start)]
    assert same([global_batch([next(r) for r in ranks]) for _ in range(4)], run[step : step + 4])


@pytest.mark.parametrize(("before", "after", "workers"), [(2, 4, 0), (4, 1, 2), (8, 2, 0)])
def test_resume_with_other_ranks(folder: str, run: list[dict[str, Any]], before: int, after: int, workers: int) -> None:
    ranks = loaders(folder, before, 0)
    iterators = [iter(b) for b in ranks]
    for _ in range(5):
        for iterator in iterators:
            next(iterator)
    start = json.loads(json.dumps(merge([b.state_dict() for b in ranks])))
    assert start["next"] == 5 * BATCH
    assert_goes_on(folder, run, start, 5, after, workers)


def test_a_resumed_run_is_resumed_again_before_and_after_its_first_batch(
    folder: str, run: list[dict[str, Any]]
) -> None:
    (batches,) = loaders(folder, 1, 0)
    next(iter(batches))
    start = merge([batches.state_dict()])
    (second,) = loaders(folder, 1, 0, start=start)
    again = merge([second.state_dict()])
    assert (again["next"], again["lanes"]) == (start["next"], start["lanes"])
    next(iter(second))
    (third,) = loaders(folder, 1, 0, start=merge([second.state_dict()]))
    assert same([next(iter(third))], [run[2]])


def test_the_batch_may_grow(folder: str, run: list[dict[str, Any]]) -> None:
    (batches,) = loaders(folder, 1, 0)
    iterator = iter(batches)
    next(iterator)
    next(iterator)
    ranks = [iter(b) for b in loaders(folder, 2, 0, batch=16, start=merge([batches.state_dict()]))]
    resumed = global_batch([next(r) for r in ranks])
    assert same([resumed], [{k: torch.cat([run[2][k], run[3][k]]) for k in resumed}])


def test_state_is_small(folder: str) -> None:
    (batches,) = loaders(folder, 1, 0, lanes=64)
    list(itertools.islice(batches, 10))
    assert len(json.dumps(merge([batches.state_dict()]))) < 64 * 40 + 500


def test_states_that_do_not_fit(folder: str) -> None:
    two = loaders(folder, 2, 0)
    iterators = [iter(b) for b in two]
    for iterator in iterators:
        next(iterator)
    next(iterators[1])
    with pytest.raises(StreamError, match="1 streams, after 8, 16 sequences"):
        merge([b.state_dict() for b in two])
    with pytest.raises(StreamError, match="1 of 1 states hold none"):
        merge([{"step": 3}])
    state = merge([two[0].state_dict()])
    with pytest.raises(StreamError, match="of another stream"):
        loaders(folder, 1, 0, start=state, seed=1)
    with pytest.raises(StreamError, match="phases that have begun"):
        loaders(folder, 1, 0, start=state, mixture=[{"weights": {"language": {"en": 2}}}])
    with pytest.raises(StreamError, match="8 lanes, 3 ranks"):
        loader(options(folder), "train", LENGTH, 2, 0, 3)
    with pytest.raises(StreamError, match="rank must be 0 to 1, found 2"):
        loader(options(folder), "train", LENGTH, 2, 2, 2)


@pytest.mark.parametrize("world", [1, 2])
def test_a_stream_that_ends_has_as_many_batches_on_every_rank(folder: str, world: int) -> None:
    values = options(folder, epochs=1, utk=None, lanes=2)
    ranks = [loader(values, "validation", LENGTH, 2, rank, world) for rank in range(world)]
    parts = [list(b) for b in ranks]
    assert [len(p) for p in parts] == [b.dataset.batches for b in ranks]
    assert len({len(p) for p in parts}) == 1
    targets = sum(int((b["labels"] != IGNORE).sum()) for p in parts for b in p)
    begins = sum(int((b["position_ids"] == 0).sum()) for p in parts for b in p)
    tokens = sum(
        s["tokens"]
        for s in json.loads((Path(folder) / "manifest.json").read_text())["shards"]
        if s["split"] == "validation"
    )
    assert tokens - begins <= targets < tokens


def test_workers_end_too(folder: str) -> None:
    values = options(folder, epochs=1, utk=None, lanes=2)
    alone = list(loader(values, "validation", LENGTH, 2))
    assert same(list(loader(values, "validation", LENGTH, 2, workers=2)), alone)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_nothing_leaks_between_documents(folder: str, attention: str) -> None:
    transformers = pytest.importorskip("transformers", reason=REASON)
    torch.manual_seed(0)
    config = transformers.Dots1Config(
        **{"vocab_size": 320, "hidden_size": 32, "intermediate_size": 48, "moe_intermediate_size": 16},
        **{"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 8},
        **{"n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1},
        **{"n_group": 1, "topk_group": 1, "max_position_embeddings": 128, "sliding_window": None},
        **{"layer_types": ["full_attention"] * 3, "initializer_range": 0.2, "pad_token_id": None},
        attn_implementation=attention,
    )
    model = transformers.Dots1ForCausalLM(config).eval()
    batch = next(iter(loader(options(folder, utk=None), "train", LENGTH, 2)))
    ids, positions = batch["input_ids"], batch["position_ids"]
    with torch.no_grad():
        packed = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        whole = model(input_ids=ids, use_cache=False).logits  # positions count on: documents see each other
        loss = model(**batch, use_cache=False).loss
        apart, documents_seen, before_them = torch.zeros_like(packed), 0, 0.0
        for row in range(len(ids)):
            starts = [*torch.nonzero(positions[row] == 0).flatten().tolist(), LENGTH]
            for a, b in itertools.pairwise(starts):
                alone = model(input_ids=ids[row : row + 1, a:b], use_cache=False).logits[0]
                apart[row, a:b] = alone
                documents_seen += 1
                if a:
                    before_them = max(before_them, float((whole[row, a:b] - alone).abs().max()))
    assert documents_seen > 4
    assert (packed - apart).abs().max() <= 1e-5
    assert before_them > 0.1
    targets = batch["labels"][:, 1:]
    by_hand = torch.nn.functional.cross_entropy(apart[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=IGNORE)
    assert float((loss - by_hand).abs()) <= 1e-5
