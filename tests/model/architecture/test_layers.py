"""Hunyuan-Large's layers: recycle routing, cross-layer attention, its cache, the rate of experts; trained, resumed, exported."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tests.model.made_shards import documents, write_shards

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("torchdata", reason=REASON)
pytest.importorskip("tensorboard", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

import numpy as np  # noqa: E402
from tests.model.training.test_train import ROOT, TWO, lines, metrics_lines, same_state, trainer, values  # noqa: E402

from model import cache as cache_command  # noqa: E402
from model.architecture import costs, cross_layer, recycling  # noqa: E402
from model.architecture.build import Trained, build, initialise  # noqa: E402
from model.architecture.config import ModelOptions  # noqa: E402
from model.architecture.dots1 import dots1_config  # noqa: E402
from model.architecture.router import Balance  # noqa: E402
from model.base import hashing  # noqa: E402
from model.base.arrays import IGNORE  # noqa: E402
from model.base.config import dump  # noqa: E402
from model.base.errors import ConfigError  # noqa: E402
from model.study import cache  # noqa: E402
from model.training import metrics  # noqa: E402
from model.training.config import RunConfig, load  # noqa: E402
from model.training.run_folder import checkpoints  # noqa: E402
from model.training.schedule import expert_rate  # noqa: E402
from model.training.trainer import Trainer  # noqa: E402

SMALL: dict[str, Any] = {
    **{"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 8, "eos_token_id": 0},
    **{"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
    **{"n_routed_experts": 4, "num_experts_per_tok": 1, "n_shared_experts": 1, "max_position_embeddings": 64},
    **{"first_k_dense_replace": 0, "norm_topk_prob": False, "routed_scaling_factor": 1.0},
    **{"cross_layer": 2, "capacity_factor": 1.25},
}


def options(**changed: Any) -> ModelOptions:
    return ModelOptions.model_validate(SMALL | changed)


def small(attention: str = "eager", **changed: Any) -> Trained:
    model = build(dots1_config(options(**changed)), attention=attention, experts="eager", head_tokens=5)
    model.to_empty(device="cpu")
    initialise(model, 0, 0.3)
    return model.train()


def generating(model: Trained) -> Any:
    """The same weights with logits and a cache."""
    other = cross_layer.causal(model.config)
    other.load_state_dict(model.state_dict())
    other.config._attn_implementation = model.config._attn_implementation
    return other.eval()


def batch(seed: int = 0, rows: int = 2, length: int = 24) -> dict[str, Any]:
    ids = torch.randint(1, 40, (rows, length), generator=torch.Generator().manual_seed(seed))
    positions = torch.arange(length).repeat(rows, 1)
    positions[:, 7:] -= 7
    return {"input_ids": ids, "labels": ids.masked_fill(positions == 0, IGNORE), "position_ids": positions}


def everything(inputs: dict[str, Any]) -> Any:
    return torch.ones_like(inputs["input_ids"], dtype=torch.bool)


# Recycle routing


def test_chance_is_the_hash_of_the_package() -> None:
    found = recycling.mixed(recycling.mixed(recycling.keys(7, np.arange(5)), 3)[:, None], torch.arange(4))
    expected = hashing.mix(7, np.arange(5)[:, None], 3, np.arange(4))
    assert found.numpy().view(np.uint64).tolist() == expected.tolist()


@pytest.mark.parametrize("factor", [1.0, 1.1, 1.25, 2.0, 16.0])
@pytest.mark.parametrize("skew", [0.0, 1.0, 20.0])
def test_nothing_is_dropped_and_no_expert_has_too_many(factor: float, skew: float) -> None:
    rows, length, experts = 6, 50, 4
    generator = torch.Generator().manual_seed(1)
    odds = torch.exp(-skew * torch.arange(experts) / experts)
    chosen = torch.multinomial(odds, rows * length, replacement=True, generator=generator).view(rows, length)
    counted = torch.ones(rows, length, dtype=torch.bool)
    counted[1, 33:] = counted[2, :7] = counted[3] = False
    found, moved = recycling.recycle(chosen, counted, experts, factor, recycling.keys(0, np.arange(rows)))
    assert found.min() >= 0
    assert found.max() < experts
    assert torch.equal(found == chosen, ~moved), "who is moved has another expert, who is not has the same"
    assert not moved[~counted].any(), "padding stays where it is"
    for row in range(rows):
        allowed = math.ceil(round(factor * int(counted[row].sum()) / experts, 9))
        before = torch.bincount(chosen[row][counted[row]], minlength=experts)
        after = torch.bincount(found[row][counted[row]], minlength=experts)
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
    found, moved = recycling.recycle(chosen, counted, 4, 1.2, recycling.keys(3, np.arange(rows)))
    assert moved.sum(1).tolist() == [16] * rows
    share = torch.bincount(found[moved], minlength=4) / (16 * rows)
    assert share.tolist() == pytest.approx([0, 6 / 24, 6 / 24, 12 / 24], abs=0.006)
    by_place = moved[:, :28].float().mean(0)
    deviation = math.sqrt(16 / 28 * 12 / 28 / rows)
    assert float((by_place - 16 / 28).abs().max()) < 4.5 * deviation, "no place is moved more often than another"
    by_place_and_expert = torch.stack([(found[:, :28] == e).float().mean(0) for e in (1, 2, 3)])
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
    (found,) = torch.autograd.grad(weights.square().sum(), router.weight)
    expected = (x.view(-1, 16) @ router.weight.T).sigmoid().gather(1, experts) * 1.5
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(found, torch.autograd.grad(expected.square().sum(), router.weight)[0])
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
    found = []
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
        found.append(
            (total.detach(), recycling.recycled(balance, load), {n: p.grad for n, p in model.named_parameters()})
        )
    (loss, share, plain), (other_loss, other_share, checkpointed) = found
    assert torch.equal(loss, other_loss)
    assert share == other_share
    assert share["recycled"] > 0
    assert [n for n in plain if not torch.equal(plain[n], checkpointed[n])] == []
    assert all(float(g.abs().sum()) > 0 for n, g in plain.items() if "gate.weight" in n or "k_proj" in n)


# Cross-layer attention


def reference(model: Trained, ids: Any) -> Any:
    """Logits of dense layers by the formulas: T places, one sequence, no cache."""
    c, weights = model.config, model.state_dict()
    length = len(ids)
    angles = torch.arange(length)[:, None] * 1e7 ** (-torch.arange(0, c.head_dim, 2) / c.head_dim)
    turn = torch.polar(torch.ones_like(angles), angles)

    def norm(x: Any, name: str) -> Any:
        return x / (x.square().mean(-1, keepdim=True) + c.rms_norm_eps).sqrt() * weights[name]

    def rotated(x: Any) -> Any:
        """Halves of a head are real and imaginary parts."""
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
            own = head // (c.num_attention_heads // c.num_key_value_heads)
            scores = q[:, head] @ k[:, own].T / math.sqrt(c.head_dim)
            scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), float("-inf"))
            out[:, head] = scores.softmax(-1) @ v[:, own]
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
        found = model(packed, position_ids=positions, use_cache=False).logits
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)
        leaked = model(packed, use_cache=False).logits
    assert float((leaked - alone)[:, 9:].abs().max()) > 0.05, "without the restart they do"


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_cache_changes_no_logits_and_stores_what_is_made(attention: str) -> None:
    model = generating(small(attention))
    ids = batch(3)["input_ids"]
    with torch.no_grad():
        expected = model(ids, use_cache=False).logits
        out = model(ids[:, :10], use_cache=True)
        found = [out.logits]
        for place in range(10, 24):
            out = model(ids[:, place : place + 1], cache=out.cache, use_cache=True)
            found.append(out.logits)
    torch.testing.assert_close(torch.cat(found, 1), expected, rtol=0, atol=1e-5)
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
    found = model.generate(ids, attention_mask=mask, **args)
    assert found.shape == (2, 18)
    assert torch.equal(found, model.generate(ids, attention_mask=mask, use_cache=False, **args))
    padded = torch.cat([torch.zeros(1, 3, dtype=torch.int64), ids[:1]], 1)
    left = model.generate(padded, attention_mask=torch.cat([torch.zeros(1, 3), torch.ones(1, 6)], 1).long(), **args)
    assert torch.equal(left[:, 3:], found[:1])


@pytest.mark.parametrize(("preset", "ratio"), [("hunyuan-tiny", 1 / 8), ("hunyuan-large", 1 / 20)])
def test_bytes_of_the_cache(preset: str, ratio: float) -> None:
    """Hunyuan-Large: 8 of 80 heads, every other layer."""
    own = ModelOptions.model_validate(preset)
    every = cache.multi_head(own)
    found, whole = cache.measured(own, 6, 2), cache.measured(every, 6, 2)
    assert found / whole == ratio
    assert (found, whole) == (costs.cache_bytes(own, 8), costs.cache_bytes(every, 8))


def test_the_cache_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cache_command.main(["--preset", "hunyuan-tiny", "--prompt", "8", "--new", "2"]) == 0
    assert "0.1250 of it: 87.5% less, after 8 + 2 places" in capsys.readouterr().out
    assert cache_command.main(["--preset", "none"]) == 2
    assert "known presets: tiny" in capsys.readouterr().err
    assert cache_command.main(["--prompt", "0"]) == 2


# Options


def test_hunyuan_large_has_about_the_published_sizes() -> None:
    """389B and 52B in the paper; the head is another matrix than the embedding here."""
    m = ModelOptions.model_validate("hunyuan-large")
    model = build(dots1_config(m), attention="sdpa", experts="grouped_mm")
    total = sum(p.numel() for p in model.parameters())
    experts = sum(p.numel() for n, p in model.named_parameters() if ".experts." in n)
    counted = costs.parameters(m)
    assert (counted.total, counted.active) == (total, total - experts + experts // 16)
    assert (counted.total, counted.active) == (389_527_156_480, 52_147_828_480)
    assert costs.training_flops(m, 4096) == pytest.approx(
        3 * (2 * (counted.active - counted.embedding) + 4 * 64 * 80 * 80 * 2048)
    )


@pytest.mark.parametrize("changed", [{}, {"cross_layer": 3}, {"cross_layer": 1, "num_key_value_heads": 4}])
def test_flops_are_those_that_torch_counts(changed: dict[str, Any]) -> None:
    """Forward: products of all weights that a token meets, and of attention over all places, which eager computes."""
    from torch.utils.flop_counter import FlopCounterMode

    m, length = options(**changed), 20
    model = generating(small(**changed))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(batch(rows=1, length=length)["input_ids"], use_cache=False)
    norms = sum(p.numel() for p in model.parameters() if p.dim() == 1)
    multiplied = costs.parameters(m).multiplied - norms
    assert counter.get_total_flops() == 2 * length * multiplied + 4 * 3 * 4 * 8 * length * length
    assert costs.training_flops(m, length) == 3 * (2 * (multiplied + norms) + 4 * 3 * 4 * 8 * length / 2)


@pytest.mark.parametrize("preset", ["tiny", "one-gpu", "dots.llm1"])
def test_other_presets_are_stock(preset: str) -> None:
    from transformers import Dots1Config
    from transformers.models.dots1.modeling_dots1 import Dots1DecoderLayer

    from model.architecture.router import Router

    m = ModelOptions.model_validate(preset)
    config = dots1_config(m)
    assert type(config) is Dots1Config
    assert not {"cross_layer", "capacity_factor"} & config.to_dict().keys()
    model = build(config, attention="sdpa", experts="grouped_mm")
    assert {type(x) for x in model.model.layers} == {Dots1DecoderLayer}
    assert {type(x) for x in Balance(model).routers} == {Router}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cross_layer": 4}, "cross_layer 4 of 3 layers"),
        ({"cross_layer": 0}, "greater than or equal to 1"),
        ({"capacity_factor": 0.9}, "greater than or equal to 1"),
        ({"num_experts_per_tok": 2}, "for num_experts_per_tok 1, found 2"),
        ({"norm_topk_prob": True}, "false expected"),
    ],
)
def test_options_that_do_not_fit(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        options(**changed)


def test_rate_of_experts() -> None:
    """The paper's 0.31 for 1 of 16 is the formula's at B = 0.26 B_noise; the paper gives no B_noise to check it by."""
    assert expert_rate(0.26, 1 / 16, 1) == pytest.approx(0.31, abs=5e-4)
    assert expert_rate(512, 1 / 16, 2048) == pytest.approx(0.3077, abs=1e-4), "hunyuan-tiny.yaml's first batch"
    assert expert_rate(1, 1 / 16, 1) == pytest.approx(2 / (4 + 1 / 4)), "at the noise scale"
    assert expert_rate(1, 1 / 16, 1e9) == pytest.approx(1 / 4, rel=1e-6), "below it by the root of the share"
    assert expert_rate(1e9, 1 / 16, 1) == pytest.approx(4, rel=1e-6), "above it the smaller batch is the better"
    assert expert_rate(1000, 1, 5) == 1


# A run


def hunyuan(folder: Path, out: Path, **train: Any) -> RunConfig:
    data = values(folder, out)
    data["model"] |= {k: SMALL[k] for k in SMALL if k not in ("vocab_size", "eos_token_id")} | {"n_routed_experts": 8}
    data["train"] |= {"optimizer": {"expert_noise_tokens": 512, "rates": {"experts": 0.5}}, **train}
    return RunConfig.model_validate(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = documents(300, distinct=False) + documents(6, 5, split="validation", distinct=False, language="en")
    return write_shards(tmp_path_factory.mktemp("shards"), made)


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    run = trainer(hunyuan(folder, tmp_path_factory.mktemp("run") / "whole"))
    run.run()
    return run


def test_a_run_learns_and_says_what_was_recycled(finished: Trainer) -> None:
    found = metrics.read(finished.out, "metrics")
    assert found[-1]["loss"] < found[0]["loss"] - 0.1
    assert all(0 < line["recycled"] <= line["recycled_worst"] < 1 for line in found)
    assert {line["expert_rate"] for line in found} == {
        expert_rate(128, 1 / 8, 512),
        expert_rate(256, 1 / 8, 512),
    }
    experts = metrics.read(finished.out, "experts")
    assert [len(experts[0][k]) for k in ("layers", "load", "bias")] == [3, 3, 3]
    rates = [g["lr"] for g in finished.optimizer.param_groups]
    assert finished.of_experts.count(True) == 1
    assert rates[finished.of_experts.index(True)] == pytest.approx(0.001 * 0.5 * found[-1]["expert_rate"], rel=1e-6)
    others = [r for r, own in zip(rates, finished.of_experts, strict=True) if not own]
    assert others == pytest.approx([0.001] * len(others), rel=1e-6)


def test_killed_and_resumed_is_the_uninterrupted_run(finished: Trainer, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    config = hunyuan(folder, out)
    (tmp_path / "run.yaml").write_text(dump(config))
    command = [sys.executable, "-m", "model.train", "--config", str(tmp_path / "run.yaml")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        until = time.monotonic() + 120
        while len(metrics_lines(out)) < 16:
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < until
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert checkpoints(out)
    resumed = trainer(config)
    assert 0 < resumed.step < finished.step
    resumed.run()
    same_state(resumed, finished)
    for name in metrics.FILES:
        assert lines(out, name) == lines(finished.out, name)


def test_accumulation_and_checkpointing_do_not_change_the_step(folder: Path, tmp_path: Path) -> None:
    found = []
    for micro, on in ((1, False), (2, False), (4, False), (2, True)):
        out = tmp_path / f"{micro}{on}"
        run = trainer(hunyuan(folder, out, micro_batch=micro, precision="fp32", activation_checkpointing=on))
        steps = run.steps()
        found.append([run.train_step(next(steps)) for _ in range(3)])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert (a["targets"], a["tokens"], a["recycled"]) == (b["targets"], b["tokens"], b["recycled"])
            assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
            assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-4)
    assert found[1] == found[3]


FRESH = (
    "import json, sys, torch; from safetensors.torch import load_file, save_file; from model.architecture import cross_layer\n"
    "from transformers import AutoModelForCausalLM\n"
    "model = cross_layer.load(sys.argv[1]).eval()\n"
    "ids = load_file(sys.argv[2] + '/ids.safetensors')['ids']\n"
    "by_name = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)\n"
    "assert type(by_name) is type(model), type(by_name)\n"
    "save_file({'logits': model(ids).logits.detach()}, sys.argv[2] + '/logits.safetensors')\n"
)
STOCK = (
    "import sys; from transformers import AutoModelForCausalLM\n"
    "try:\n    AutoModelForCausalLM.from_pretrained(sys.argv[1])\n"
    "except ValueError as error:\n    assert 'corpusmill_cross_layer' in str(error), error\n"
    "else:\n    raise SystemExit('stock code took it')\n"
)


def logits_of(run: Trainer, ids: Any) -> Any:
    run.balance.forget()
    run.model.train(False)
    with torch.no_grad():
        hidden = run.model.model(input_ids=ids, use_cache=False).last_hidden_state
        found = run.model.lm_head(hidden)
    run.model.train()
    return found


def test_the_export_is_loaded_in_a_fresh_process_and_refused_by_stock_code(finished: Trainer, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    ids = torch.randint(0, 300, (2, 24), generator=torch.Generator().manual_seed(3))
    save_file({"ids": ids}, tmp_path / "ids.safetensors")
    export = str(finished.out / "export")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", FRESH, export, str(tmp_path)], cwd=tmp_path, env=environment, check=True)
    found = load_file(tmp_path / "logits.safetensors")["logits"]
    torch.testing.assert_close(found, logits_of(finished, ids), rtol=0, atol=1e-5)
    subprocess.run([sys.executable, "-c", STOCK, export], cwd=tmp_path, check=True)
    with pytest.raises(ConfigError, match="no such file"):
        cross_layer.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ConfigError, match="found model_type 'llama', expected corpusmill_cross_layer or dots1"):
        cross_layer.load(tmp_path)


def test_without_cross_layer_the_export_is_stock(folder: Path, tmp_path: Path) -> None:
    """Recycling is of training, so top 1 and grouped queries are what Dots1 can say."""
    from transformers import AutoModelForCausalLM, Dots1ForCausalLM

    data = hunyuan(folder, tmp_path / "run", tokens=512, evaluation={}).model_dump(mode="json")
    data["model"]["cross_layer"] = 1
    run = trainer(RunConfig.model_validate(data))
    run.run()
    model = AutoModelForCausalLM.from_pretrained(run.out / "export", dtype=torch.float32)
    assert type(model) is Dots1ForCausalLM
    ids = torch.randint(0, 300, (2, 24), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, logits_of(run, ids), rtol=0, atol=1e-5)
    assert type(cross_layer.load(run.out / "export")) is Dots1ForCausalLM


def test_a_run_from_before_these_options_goes_on(folder: Path, tmp_path: Path) -> None:
    config = RunConfig.model_validate(values(folder, tmp_path / "run"))
    trainer(config)
    (tmp_path / "run").mkdir()
    old = yaml.safe_load(dump(config))
    del old["model"]["cross_layer"], old["model"]["capacity_factor"], old["train"]["optimizer"]["expert_noise_tokens"]
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(old))
    assert trainer(config).step == 0


def test_the_config_is_tinys_with_the_features() -> None:
    m = load(ROOT / "configs" / "model" / "hunyuan-tiny.yaml").model
    assert (m.cross_layer, m.capacity_factor, m.num_experts_per_tok, m.n_shared_experts) == (2, 1.25, 1, 1)
    assert m.num_attention_heads > m.num_key_value_heads


@pytest.mark.long
def test_two_ranks_equal_one_and_resume_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    """FSDP2 shards layer by layer: keys and values, and their gradients, cross its borders."""
    from safetensors.torch import load_file

    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def start(name: str, **train: Any) -> None:
        config = hunyuan(folder, tmp_path / name, precision="fp32", **train)
        (tmp_path / f"{name}.yaml").write_text(dump(config))
        command = [*TWO, "--config", str(tmp_path / f"{name}.yaml")]
        subprocess.run(command, cwd=ROOT, env=environment, timeout=600, check=True)

    start("two")
    start("checkpointed", activation_checkpointing=True)
    assert lines(tmp_path / "two", "metrics") == lines(tmp_path / "checkpointed", "metrics")
    alone = trainer(hunyuan(folder, tmp_path / "one", precision="fp32"))
    alone.run()
    one, two = metrics.read(alone.out, "metrics"), metrics.read(tmp_path / "two", "metrics")
    assert len(one) == len(two)
    for a, b in zip(one[:5], two[:5], strict=True):
        assert (a["targets"], a["tokens"], a["recycled"]) == (b["targets"], b["tokens"], b["recycled"])
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
        assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-2)
    assert one[-1]["loss"] == pytest.approx(two[-1]["loss"], rel=0.02)
    shutil.copytree(tmp_path / "two", tmp_path / "again")
    for late in checkpoints(tmp_path / "again")[2:]:
        shutil.rmtree(late)
    start("again")
    assert lines(tmp_path / "again", "metrics") == lines(tmp_path / "two", "metrics")
    a, b = (load_file(tmp_path / name / "export" / "model.safetensors") for name in ("again", "two"))
    assert [k for k in a if not torch.equal(a[k], b[k])] == []
    assert cross_layer.load(tmp_path / "two" / "export").config.cross_layer == 2
