"""Routers: FP32, balancing by hand-computed cases and against a plain reference; counts under checkpointing; the head."""

from __future__ import annotations

from typing import Any

import pytest

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("transformers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

from model.architecture.build import Trained, build, initialise  # noqa: E402
from model.architecture.config import ModelOptions  # noqa: E402
from model.architecture.dots1 import dots1_config  # noqa: E402
from model.architecture.router import Balance, Router, sequence_loss, worst_violation  # noqa: E402
from model.base.arrays import IGNORE  # noqa: E402

SMALL = {
    **{
        "vocab_size": 40,
        "hidden_size": 16,
        "intermediate_size": 24,
        "moe_intermediate_size": 8,
        "num_hidden_layers": 3,
    },
    **{
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
    },
    **{"n_shared_experts": 1, "max_position_embeddings": 64, "eos_token_id": 0},
}


def options(**values: Any) -> ModelOptions:
    return ModelOptions.model_validate(SMALL | values)


def small(seed: int = 0, std: float = 0.3, **values: Any) -> Trained:
    model = build(dots1_config(options(**values)), attention="eager", experts="eager", head_tokens=5)
    model.to_empty(device="cpu")
    initialise(model, seed, std)
    return model.train()


def batch(seed: int = 0, rows: int = 2, length: int = 12) -> dict[str, Any]:
    ids = torch.randint(1, 40, (rows, length), generator=torch.Generator().manual_seed(seed))
    positions = torch.arange(length).repeat(rows, 1)
    positions[:, 5:] -= 5  # a second document
    labels = ids.masked_fill(positions == 0, IGNORE)
    return {"input_ids": ids, "labels": labels, "position_ids": positions}


def test_sequence_loss_by_hand() -> None:
    # One sequence, two places, two experts, top 1. Scores (0.6, 0.2) and (0.3, 0.3): normalised (0.75, 0.25), (0.5, 0.5).
    scores = torch.tensor([[[0.6, 0.2], [0.3, 0.3]]])
    both = torch.tensor([[True, True]])
    first = torch.tensor([[[0], [0]]])  # f = (1, 0), P = (0.625, 0.375): 2 x 0.625
    assert sequence_loss(scores, first, both).tolist() == pytest.approx([1.25])
    each = torch.tensor([[[0], [1]]])  # f = (0.5, 0.5): 2 x (0.3125 + 0.1875)
    assert sequence_loss(scores, each, both).tolist() == pytest.approx([1.0])
    # Padding counts neither in f nor in P: f = (1, 0), P = (0.75, 0.25).
    assert sequence_loss(scores, each, torch.tensor([[True, False]])).tolist() == pytest.approx([1.5])
    assert sequence_loss(scores, each, torch.tensor([[False, False]])).tolist() == [0.0]


def test_bias_moves_by_the_sign_of_what_is_missing() -> None:
    model = small()
    balance = Balance(model)
    assert balance.layers == [1, 2]
    load = torch.tensor([[10, 2, 6, 6], [0, 0, 0, 24]])  # mean 6 each: over, under, equal, equal; three under, one over
    balance.update(load, 0.5)
    assert balance.bias().tolist() == [[-0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.5, -0.5]]
    balance.update(load, 0.25)
    assert balance.bias().tolist() == [[-0.75, 0.75, 0.0, 0.0], [0.75, 0.75, 0.75, -0.75]]


def test_worst_violation_by_hand() -> None:
    assert worst_violation(torch.tensor([[10, 2, 6, 6], [6, 6, 6, 6], [0, 0, 0, 0]])).tolist() == pytest.approx(
        [2 / 3, 0, 0]
    )


def test_the_bias_chooses_but_does_not_weigh() -> None:
    model = small()
    router = Balance(model).routers[0]
    router.counted = None
    x = torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        router.e_score_correction_bias.copy_(torch.tensor([9.0, 9.0, 0.0, 0.0]))
        logits, weights, chosen = router(x)
    assert chosen.sort(1).values.tolist() == [[0, 1]] * 6
    scores = logits.sigmoid().gather(1, chosen)
    torch.testing.assert_close(weights, 2.5 * scores / scores.sum(1, keepdim=True))


def reference(model: Trained, inputs: dict[str, Any], alpha: float) -> tuple[Any, list[list[int]]]:
    """Compute loss and loads as the formulas say, from the stock model's logits."""
    seen: list[Any] = []
    hooks = [r.register_forward_hook(lambda _, __, out: seen.append(out)) for r in Balance(model).routers]
    hidden = model.model(input_ids=inputs["input_ids"], position_ids=inputs["position_ids"], use_cache=False)
    logits = model.lm_head(hidden.last_hidden_state)
    for hook in hooks:
        hook.remove()
    total = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), inputs["labels"][:, 1:].flatten(), ignore_index=IGNORE, reduction="sum"
    )
    rows, length = inputs["input_ids"].shape
    extra, loads = torch.zeros(()), []
    for router_logits, _, chosen in seen:
        scores = router_logits.sigmoid().view(rows, length, -1)
        chosen = chosen.view(rows, length, -1)
        experts = scores.shape[-1]
        loads.append([int((chosen == e).sum()) for e in range(experts)])
        for b in range(rows):
            for e in range(experts):
                f = (chosen[b] == e).sum() / (length * chosen.shape[-1])
                extra = extra + alpha * experts * f * (scores[b, :, e] / scores[b].sum(-1)).mean()
    return total + extra, loads


@pytest.mark.parametrize("checkpointing", [False, True])
def test_loss_gradients_and_loads_are_those_of_a_plain_reference(checkpointing: bool) -> None:
    alpha, inputs = 0.5, batch()
    plain = small()
    loss, loads = reference(plain, inputs, alpha)
    loss.backward()
    model = small()
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    balance = Balance(model)
    balance.begin(torch.ones_like(inputs["input_ids"], dtype=torch.bool), alpha)
    total, losses = model(**inputs)
    balance.end()
    total.backward()
    load, extra = balance.take()
    assert load.tolist() == loads, "each choice counted once"
    assert int(load.sum()) == 2 * 2 * 12 * 2
    torch.testing.assert_close(total.detach() + alpha * extra.sum(), loss.detach())
    torch.testing.assert_close(losses.sum(), total.detach())
    assert losses[:, 0].tolist() == [0, 0]
    assert losses[:, 5].tolist() == [0, 0]
    for (name, a), (_, b) in zip(model.named_parameters(), plain.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=lambda m, n=name: f"{n}: {m}")
    assert balance.take()[0].sum() == 0, "counters begin again"


def test_a_router_computes_in_fp32_under_autocast() -> None:
    model = small()
    router = Balance(model).routers[0]
    x = torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(1))
    exact = torch.nn.functional.linear(x[0], router.weight)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits, weights, _ = router(x)
        assert torch.nn.functional.linear(x[0], router.weight).dtype == torch.bfloat16, "what the stock router would do"
    assert (logits.dtype, weights.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(logits, exact, rtol=0, atol=0)


def test_padding_is_not_counted() -> None:
    model, inputs = small(), batch()
    balance = Balance(model)
    counted = torch.ones_like(inputs["input_ids"], dtype=torch.bool)
    counted[1, 4:] = False
    balance.begin(counted)
    model(**inputs)
    assert balance.take()[0].sum(1).tolist() == [2 * 16, 2 * 16]


def test_a_batch_of_padding_alone_has_loss_and_gradient_0() -> None:
    model, inputs = small(), batch()
    inputs["labels"] = torch.full_like(inputs["labels"], IGNORE)
    Balance(model).begin(torch.zeros_like(inputs["labels"], dtype=torch.bool), 0.1)
    total, _ = model(**inputs)
    total.backward()
    assert float(total.detach()) == 0
    assert all(float(p.grad.abs().sum()) == 0 for p in model.parameters() if p.grad is not None)


def test_the_sequence_loss_alone_spreads_choices() -> None:
    model, inputs = small(std=0.3), batch(rows=4)
    router = Balance(model).routers[0]
    others = [p for p in model.parameters() if p is not router.weight]
    for p in others:
        p.requires_grad_(False)
    balance = Balance(model)
    runs = []
    for _ in range(40):
        balance.begin(torch.ones_like(inputs["labels"], dtype=torch.bool), 1.0)
        total, _ = model(**inputs)
        balance.end()
        (total * 0).backward()
        runs.append(float(balance.take()[1][0]))
        with torch.no_grad():
            router.weight -= 0.05 * router.weight.grad
        router.weight.grad = None
    assert min(runs[-5:]) < runs[0] - 0.02


def test_biases_alone_balance_fixed_routers() -> None:
    model, inputs = small(std=0.3), batch(rows=8, length=32)
    balance = Balance(model)
    counted = torch.ones_like(inputs["labels"], dtype=torch.bool)
    violations = []
    for _ in range(80):
        balance.begin(counted)
        with torch.no_grad():
            model(**inputs)
        load, _ = balance.take()
        violations.append(float(worst_violation(load).max()))
        balance.update(load, 0.005)
    assert violations[0] > 0.3
    assert max(violations[-10:]) < 0.15


def test_first_weights_follow_seed_and_name_alone() -> None:
    a, b, c = small(0), small(0), small(1)
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert not torch.equal(a.lm_head.weight, c.lm_head.weight)
    wide = small(0, 0.006, vocab_size=4000)
    assert float(wide.lm_head.weight.detach().std()) == pytest.approx(0.006, rel=0.02)
    assert all(torch.equal(p, torch.ones_like(p)) for p in wide.parameters() if p.dim() == 1)
    torch.testing.assert_close(wide.model.rotary_emb.inv_freq, 1e7 ** -(torch.arange(0, 8, 2) / 8))


def test_names_are_those_of_the_stock_model() -> None:
    from transformers import Dots1ForCausalLM

    with torch.device("meta"):
        stock = Dots1ForCausalLM(dots1_config(options()))
    model = small()
    assert {k: v.shape for k, v in model.state_dict().items()} == {k: v.shape for k, v in stock.state_dict().items()}
    assert all(isinstance(r, Router) for r in Balance(model).routers)


def test_head_by_chunks_equals_cross_entropy_in_bf16_too() -> None:
    model, inputs = small(), batch()
    exact = float(model(**inputs)[0].detach())
    for tokens in (1, 7, 1000):
        model.head_tokens = tokens
        assert float(model(**inputs)[0].detach()) == pytest.approx(exact, rel=1e-6)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert float(model(**inputs)[0]) == pytest.approx(exact, rel=5e-3)
