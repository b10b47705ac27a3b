"""Recycle routing."""

from __future__ import annotations

import math

import pytest

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("torchdata", reason=REASON)
pytest.importorskip("tensorboard", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

import numpy as np  # noqa: E402

from model.architecture import recycling  # noqa: E402
from model.architecture.router import Balance  # noqa: E402
from model.base import hashing  # noqa: E402
from tests.model.made_hunyuan import batch, everything, small  # noqa: E402


def test_chance_is_the_hash_of_the_package() -> None:
    mixed = recycling.mixed(recycling.mixed(recycling.keys(7, np.arange(5)), 3)[:, None], torch.arange(4))
    expected = hashing.mix(7, np.arange(5)[:, None], 3, np.arange(4))
    assert mixed.numpy().view(np.uint64).tolist() == expected.tolist()


@pytest.mark.parametrize("factor", [1.0, 1.1, 1.25, 2.0, 16.0])
@pytest.mark.parametrize("skew", [0.0, 1.0, 20.0])
def test_nothing_is_dropped_and_no_expert_has_too_many(factor: float, skew: float) -> None:
    rows, length, experts = 6, 50, 4
    generator = torch.Generator().manual_seed(1)
    odds = torch.exp(-skew * torch.arange(experts) / experts)
    chosen = torch.multinomial(odds, rows * length, replacement=True, generator=generator).view(rows, length)
    counted = torch.ones(rows, length, dtype=torch.bool)
    counted[1, 33:] = counted[2, :7] = counted[3] = False
    experts_BT, moved = recycling.recycle(chosen, counted, experts, factor, recycling.keys(0, np.arange(rows)))
    assert experts_BT.min() >= 0
    assert experts_BT.max() < experts
    assert torch.equal(experts_BT == chosen, ~moved), "who is moved has another expert, who is not has the same"
    assert not moved[~counted].any(), "padding stays where it is"
    for row in range(rows):
        allowed = math.ceil(round(factor * int(counted[row].sum()) / experts, 9))
        before = torch.bincount(chosen[row][counted[row]], minlength=experts)
        after = torch.bincount(experts_BT[row][counted[row]], minlength=experts)
        assert after.max() <= allowed
        assert after.sum() == counted[row].sum()
        assert moved[row].sum() == (before - allowed).clamp(min=0).sum(), "no more than has to"
        assert moved[row][before[chosen[row]] <= allowed].sum() == 0, "an expert with room keeps its tokens"


def test_capacity_is_rounded_up() -> None:
    assert recycling.capacity(torch.tensor([160, 161, 0, 8]), 16, 1.1).tolist() == [11, 12, 0, 1]


def test_a_sequence_is_recycled_by_itself_and_by_its_key() -> None:
    chosen = torch.zeros(3, 20, dtype=torch.int64)
    counted = torch.ones(3, 20, dtype=torch.bool)
    keys = recycling.keys(0, np.array([4, 5, 4]))
    together, _ = recycling.recycle(chosen, counted, 4, 1.0, keys)
    for row in range(3):
        alone, _ = recycling.recycle(chosen[row : row + 1], counted[row : row + 1], 4, 1.0, keys[row : row + 1])
        assert torch.equal(alone[0], together[row])
    assert torch.equal(together[0], together[2])
    assert not torch.equal(together[0], together[1])


def test_moved_tokens_fall_on_free_places_evenly() -> None:
    """Of 40 tokens 28 chose expert 0, 6 expert 1, 6 expert 2; 12 places each: 16 go, 6, 6 and 12 places are free."""
    rows = 4000
    chosen = torch.tensor([0] * 28 + [1] * 6 + [2] * 6).repeat(rows, 1)
    counted = torch.ones_like(chosen, dtype=torch.bool)
    experts_BT, moved = recycling.recycle(chosen, counted, 4, 1.2, recycling.keys(3, np.arange(rows)))
    assert moved.sum(1).tolist() == [16] * rows
    share = torch.bincount(experts_BT[moved], minlength=4) / (16 * rows)
    assert share.tolist() == pytest.approx([0, 6 / 24, 6 / 24, 12 / 24], abs=0.006)
    by_place = moved[:, :28].float().mean(0)
    deviation = math.sqrt(16 / 28 * 12 / 28 / rows)
    assert float((by_place - 16 / 28).abs().max()) < 4.5 * deviation, "no place is moved more often than another"
    by_place_and_expert = torch.stack([(experts_BT[:, :28] == e).float().mean(0) for e in (1, 2, 3)])
    expected = torch.tensor([4.0, 4.0, 8.0])[:, None] / 28
    assert float((by_place_and_expert - expected).abs().max()) < 4.5 * math.sqrt(0.25 / rows)


def test_gradients_flow_through_the_new_weight() -> None:
    model = small(routed_scaling_factor=1.5)
    balance = Balance(model)
    router = balance.routers[0]
    counted = torch.ones(2, 20, dtype=torch.bool)
    balance.begin(counted, 0.0, recycling.keys(0, np.arange(2)))
    x = torch.randn(2, 20, 16, generator=torch.Generator().manual_seed(1))
    logits, weights, experts = router(x)
    moved = experts[:, 0] != logits.argmax(1)
    assert 0 < int(moved.sum()) < 40
    assert int(router.moved) == int(moved.sum())
    assert torch.bincount(experts[:20, 0], minlength=4).max() <= 7
    (gradient,) = torch.autograd.grad(weights.square().sum(), router.weight)
    expected = (x.view(-1, 16) @ router.weight.T).sigmoid().gather(1, experts) * 1.5
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.square().sum(), router.weight)[0])
    assert router.load.tolist() == torch.bincount(logits.argmax(1), minlength=4).tolist(), "the load is what was chosen"
    share = recycling.recycled(balance, torch.stack([r.load for r in balance.routers]))
    assert share["recycled_worst"] == pytest.approx(int(moved.sum()) / 40)
    assert recycling.recycled(balance, torch.ones(3, 4))["recycled"] == 0, "counters begin again"


@pytest.mark.parametrize("how", ["evaluation", "no keys", "forgotten"])
def test_no_capacity_outside_training(how: str) -> None:
    model, inputs = small(), batch()
    balance = Balance(model)
    balance.begin(everything(inputs), 0.0, None if how == "no keys" else recycling.keys(0, np.arange(2)))
    if how == "evaluation":
        model.train(False)
    elif how == "forgotten":
        balance.forget()
    with torch.no_grad():
        model(**inputs)
        free = small(capacity_factor=None)
        free.load_state_dict(model.state_dict())
        torch.testing.assert_close(model(**inputs)[1], free(**inputs)[1], rtol=0, atol=0)
    assert all(r.moved is None for r in balance.routers)


def test_checkpointed_layers_recycle_the_same_and_count_once() -> None:
    runs = []
    for on in (False, True):
        model, inputs = small(), batch(rows=3)
        if on:
            model.activation_checkpointing_enable({"use_reentrant": False})
        balance = Balance(model)
        balance.begin(everything(inputs), 0.1, recycling.keys(0, np.arange(3)))
        total, _ = model(**inputs)
        balance.end()
        total.backward()
        load, _ = balance.take()
        runs.append(
            (total.detach(), recycling.recycled(balance, load), {n: p.grad for n, p in model.named_parameters()})
        )
    (loss, share, plain), (other_loss, other_share, checkpointed) = runs
    assert torch.equal(loss, other_loss)
    assert share == other_share
    assert share["recycled"] > 0
    assert [n for n in plain if not torch.equal(plain[n], checkpointed[n])] == []
    assert all(float(g.abs().sum()) > 0 for n, g in plain.items() if "gate.weight" in n or "k_proj" in n)
