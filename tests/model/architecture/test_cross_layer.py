"""Cross-layer attention and its cache."""

from __future__ import annotations

import math
from typing import Any

import pytest

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("torchdata", reason=REASON)
pytest.importorskip("tensorboard", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)


from model.architecture import costs  # noqa: E402
from model.architecture.build import Trained  # noqa: E402
from tests.model.made_hunyuan import batch, generating, options, small  # noqa: E402


def reference(model: Trained, ids: Any) -> Any:
    """Compute logits of dense layers by the formulas: T places, one sequence, no cache."""
    c, weights = model.config, model.state_dict()
    length = len(ids)
    angles = torch.arange(length)[:, None] * 1e7 ** (-torch.arange(0, c.head_dim, 2) / c.head_dim)
    turn = torch.polar(torch.ones_like(angles), angles)

    def norm(x: Any, name: str) -> Any:
        return x / (x.square().mean(-1, keepdim=True) + c.rms_norm_eps).sqrt() * weights[name]

    def rotated(x: Any) -> Any:
        """Rotate halves of a head as real and imaginary parts."""
        half = c.head_dim // 2
        out = torch.complex(x[..., :half], x[..., half:]) * turn[:, None]
        return torch.cat([out.real, out.imag], -1)

    x = weights["model.embed_tokens.weight"][ids]
    for i in range(c.num_hidden_layers):
        at = f"model.layers.{i}."
        y = norm(x, at + "input_layernorm.weight")

        def heads(name: str, y: Any = y, at: str = at) -> Any:
            return (y @ weights[f"{at}self_attn.{name}.weight"].T).view(length, -1, c.head_dim)

        q = rotated(norm(heads("q_proj"), at + "self_attn.q_norm.weight"))
        if i % 2 == 0:
            k, v = rotated(norm(heads("k_proj"), at + "self_attn.k_norm.weight")), heads("v_proj")
        out = torch.zeros_like(q)
        for head in range(c.num_attention_heads):
            kv_head = head // (c.num_attention_heads // c.num_key_value_heads)
            scores = q[:, head] @ k[:, kv_head].T / math.sqrt(c.head_dim)
            scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), float("-inf"))
            out[:, head] = scores.softmax(-1) @ v[:, kv_head]
        x = x + out.flatten(1) @ weights[at + "self_attn.o_proj.weight"].T
        y = norm(x, at + "post_attention_layernorm.weight")
        gate, up = (y @ weights[f"{at}mlp.{n}_proj.weight"].T for n in ("gate", "up"))
        x = x + (gate * gate.sigmoid() * up) @ weights[at + "mlp.down_proj.weight"].T
    return norm(x, "model.norm.weight") @ weights["lm_head.weight"].T


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_is_that_of_the_formulas(attention: str) -> None:
    model = small(attention, first_k_dense_replace=3)
    ids = batch()["input_ids"][0]
    with torch.no_grad():
        torch.testing.assert_close(generating(model)(ids[None]).logits[0], reference(model, ids), rtol=1e-4, atol=1e-5)


def test_layers_that_share_have_no_keys_and_values_of_their_own() -> None:
    names = small().state_dict()
    assert [i for i in range(3) if f"model.layers.{i}.self_attn.k_proj.weight" in names] == [0, 2]
    assert [i for i in range(3) if f"model.layers.{i}.self_attn.v_proj.weight" in names] == [0, 2]
    assert [i for i in range(3) if f"model.layers.{i}.self_attn.q_norm.weight" in names] == [0, 1, 2]
    assert sum(p.numel() for p in small().parameters()) == costs.parameters(options()).total


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_packed_documents_do_not_see_each_other(attention: str) -> None:
    model = generating(small(attention))
    one, two = batch(1, rows=1, length=9)["input_ids"], batch(2, rows=1, length=15)["input_ids"]
    packed = torch.cat([one, two], 1)
    positions = torch.cat([torch.arange(9), torch.arange(15)])[None]
    with torch.no_grad():
        alone = torch.cat([model(x, use_cache=False).logits for x in (one, two)], 1)
        logits = model(packed, position_ids=positions, use_cache=False).logits
        torch.testing.assert_close(logits, alone, rtol=0, atol=1e-5)
        leaked = model(packed, use_cache=False).logits
    assert float((leaked - alone)[:, 9:].abs().max()) > 0.05, "without the restart they do"


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_cache_changes_no_logits_and_stores_what_is_made(attention: str) -> None:
    model = generating(small(attention))
    ids = batch(3)["input_ids"]
    with torch.no_grad():
        expected = model(ids, use_cache=False).logits
        out = model(ids[:, :10], use_cache=True)
        logits = [out.logits]
        for place in range(10, 24):
            out = model(ids[:, place : place + 1], cache=out.cache, use_cache=True)
            logits.append(out.logits)
    torch.testing.assert_close(torch.cat(logits, 1), expected, rtol=0, atol=1e-5)
    assert [None if x.keys is None else tuple(x.keys.shape) for x in out.cache.layers] == [
        (2, 2, 24, 8),
        None,
        (2, 2, 24, 8),
    ]


def test_generation_with_a_cache_equals_generation_without() -> None:
    model = generating(small())
    ids = batch(3, length=6)["input_ids"]
    args: dict[str, Any] = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    mask = torch.ones_like(ids)
    generated = model.generate(ids, attention_mask=mask, **args)
    assert generated.shape == (2, 18)
    assert torch.equal(generated, model.generate(ids, attention_mask=mask, use_cache=False, **args))
    padded = torch.cat([torch.zeros(1, 3, dtype=torch.int64), ids[:1]], 1)
    left = model.generate(padded, attention_mask=torch.cat([torch.zeros(1, 3), torch.ones(1, 6)], 1).long(), **args)
    assert torch.equal(left[:, 3:], generated[:1])
