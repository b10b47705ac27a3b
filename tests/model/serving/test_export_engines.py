"""What each engine is given: logits equal to the stock model's, precision, checkpoints of any number of ranks, refusals.

vLLM and SGLang are not run here: they need a GPU. Their files are read by stock transformers, and by the formula of their sources
in plain torch. llama.cpp is run where it is installed (docs/model_serving.md).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
torch = pytest.importorskip("torch", reason=REASON)
transformers = pytest.importorskip("transformers", reason=REASON)

from safetensors import safe_open  # noqa: E402
from torch.distributed.checkpoint import state_dict_saver  # noqa: E402
from torch.nn.functional import linear, silu  # noqa: E402

from model import export as exporting  # noqa: E402
from model.base.config import dump  # noqa: E402
from model.base.errors import ExportError  # noqa: E402
from model.serving.convert import convert  # noqa: E402
from model.serving.engines import ENGINES, config_for  # noqa: E402
from model.training.config import RunConfig  # noqa: E402
from model.training.run_folder import (  # noqa: E402
    checkpoints,
    find,
    read_config,
)
from tests.model.made_model import VOCABULARY, options, weights, write_model  # noqa: E402
from tests.model.made_shards import EOD, documents, write_shards  # noqa: E402
from tests.model.paths import ROOT  # noqa: E402

State = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers.utils.logging.disable_progress_bar()
    return write_model(tmp_path_factory.mktemp("made") / "tiny" / "export")


@pytest.fixture(scope="module")
def ids() -> Any:
    return torch.randint(0, VOCABULARY - 8, (2, 48), generator=torch.Generator().manual_seed(3))


def logits(folder: Path, ids: Any, **options: Any) -> Any:
    """Compute the logits of stock transformers."""
    with torch.no_grad():
        return transformers.AutoModelForCausalLM.from_pretrained(folder, **options)(ids).logits


@pytest.fixture(scope="module")
def stock(made: Path, ids: Any) -> Any:
    logits_of_stock = logits(made, ids)
    assert logits_of_stock.std() > 0.5
    return logits_of_stock


def tensors(folder: Path) -> State:
    state = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as f:
            state |= {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
    return state


def changed(folder: Path, out: Path, **values: Any) -> Path:
    """Copy a model, with other values in config.json."""
    shutil.copytree(folder, out)
    (out / "config.json").write_text(json.dumps(read_config(folder) | values))
    return out


@pytest.mark.parametrize("engine", ["transformers", "vllm", "sglang", "llama.cpp"])
def test_stock_transformers_computes_the_same(made: Path, ids: Any, stock: Any, tmp_path: Path, engine: Any) -> None:
    out = convert(made, tmp_path / "out", engine, "float32")
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert type(model).__name__ == ("Glm4MoeForCausalLM" if engine in ("vllm", "sglang") else "Dots1ForCausalLM")
    assert (logits(out, ids) - stock).abs().max() < 1e-5
    assert {p.name for p in out.iterdir()} == {p.name for p in made.iterdir()}
    for name, tensor in tensors(made).items():
        assert torch.equal(tensors(out)[name], tensor), name


@pytest.mark.parametrize(
    "values",
    [
        {"use_qk_norm": False},
        {"partial_rotary_factor": 0.5, "rope_parameters": {"rope_type": "default", "rope_theta": 1e7}},
        {
            "rope_theta": 1e4,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 1.0},
        },
        {"routed_scaling_factor": 1.0},
        {"norm_topk_prob": False},
        {"num_experts_per_tok": 2},
    ],
    ids=lambda values: next(iter(values)),
)
def test_each_of_these_keys_counts(made: Path, ids: Any, stock: Any, tmp_path: Path, values: dict[str, Any]) -> None:
    """The comparison above would see a key that is wrong."""
    out = convert(made, tmp_path / "out", "vllm", "float32")
    wrong = changed(out, tmp_path / "wrong", **values)
    assert (logits(wrong, ids) - stock).abs().max() > 1e-2


def norm(x: Any, weight: Any, eps: float) -> Any:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rotate(x: Any, base: float, part: float) -> Any:
    """Rotate the first `part` of each head in halves (GPT-NeoX's); `x` (B, N, T, D)."""
    size = int(x.shape[-1] * part)
    turned, kept = x[..., :size], x[..., size:]
    angle = torch.arange(x.shape[2])[:, None] / base ** (torch.arange(0, size, 2) / size)
    a, b = turned.chunk(2, -1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([a * cos - b * sin, b * cos + a * sin, kept], -1)


def mlp(w: State, name: str, x: Any) -> Any:
    gate, up = linear(x, w[f"{name}.gate_proj.weight"]), linear(x, w[f"{name}.up_proj.weight"])
    return linear(silu(gate) * up, w[f"{name}.down_proj.weight"])


def routed(c: dict[str, Any], w: State, name: str, x: Any) -> Any:
    """Route by sigmoid scores; the bias for the choice alone; the chosen scores over their sum; no factor yet."""
    scores = linear(x, w[f"{name}.gate.weight"]).sigmoid()
    chosen = (scores + w[f"{name}.gate.e_score_correction_bias"]).topk(c["num_experts_per_tok"], -1).indices
    share = scores.gather(-1, chosen)
    if c["norm_topk_prob"]:
        share = share / share.sum(-1, keepdim=True)
    out = torch.zeros_like(x)
    for expert in range(c["n_routed_experts"]):
        weight = (share * (chosen == expert)).sum(-1, keepdim=True)
        out = out + weight * mlp(w, f"{name}.experts.{expert}", x)
    return out


def restated(
    folder: Path, ids: Any, total: Callable[[Any, Any, float], Any], rope: Callable[[dict[str, Any]], Any]
) -> Any:
    """The GLM-4.5 of vLLM 0.33.0 (model_executor/models/glm4_moe.py, layers/fused_moe/runner/moe_runner.py) and of SGLang 0.5.23
    (srt/models/glm4_moe.py) in FP32, from the files.

    :param total: of the routed and the shared experts and the factor.
    :param rope: config -> base and part of the head that is rotated.
    """
    c, w = read_config(folder), {k: v.float() for k, v in tensors(folder).items()}
    assert (c["architectures"], c["model_type"], c["n_group"], c["topk_group"]) == (
        ["Glm4MoeForCausalLM"],
        "glm4_moe",
        1,
        1,
    )
    assert (c["attention_bias"], c["num_nextn_predict_layers"], c["tie_word_embeddings"]) == (False, 0, False)
    base, part = rope(c)
    size, eps = c["head_dim"], c["rms_norm_eps"]
    x = w["model.embed_tokens.weight"][ids]
    future = torch.full((ids.shape[1], ids.shape[1]), -torch.inf).triu(1)
    for number in range(c["num_hidden_layers"]):
        layer = f"model.layers.{number}"

        def heads(letter: str, count: int, h: Any, layer: str = layer) -> Any:
            projected = linear(h, w[f"{layer}.self_attn.{letter}_proj.weight"]).unflatten(-1, (count, size))
            if letter != "v" and c["use_qk_norm"]:
                projected = norm(projected, w[f"{layer}.self_attn.{letter}_norm.weight"], eps)
            projected = projected.transpose(1, 2)
            return projected if letter == "v" else rotate(projected, base, part)

        h = norm(x, w[f"{layer}.input_layernorm.weight"], eps)
        q = heads("q", c["num_attention_heads"], h)
        groups = c["num_attention_heads"] // c["num_key_value_heads"]
        k, v = (heads(letter, c["num_key_value_heads"], h).repeat_interleave(groups, 1) for letter in "kv")
        seen = (q @ k.transpose(-1, -2) * size**-0.5 + future).softmax(-1) @ v
        x = x + linear(seen.transpose(1, 2).flatten(2), w[f"{layer}.self_attn.o_proj.weight"])
        h = norm(x, w[f"{layer}.post_attention_layernorm.weight"], eps)
        if number < c["first_k_dense_replace"]:
            x = x + mlp(w, f"{layer}.mlp", h)
        else:
            shared = mlp(w, f"{layer}.mlp.shared_experts", h)
            x = x + total(routed(c, w, f"{layer}.mlp", h), shared, c["routed_scaling_factor"])
    return linear(norm(x, w["model.norm.weight"], eps), w["lm_head.weight"])


def in_parameters(c: dict[str, Any]) -> tuple[float, float]:
    """Read base and part of the rotation where vLLM 0.33.0 and SGLang 0.5.23 look."""
    return c["rope_parameters"]["rope_theta"], c["rope_parameters"]["partial_rotary_factor"]


def at_the_top(c: dict[str, Any]) -> tuple[float, float]:
    """Read base and part of the rotation where versions with transformers 4 look."""
    return c["rope_theta"], c["partial_rotary_factor"]


@pytest.mark.parametrize("rope", [in_parameters, at_the_top])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_the_formula_of_vllm_and_sglang(tmp_path: Path, ids: Any, rope: Any, kv_heads: int) -> None:
    """Not the engines: what their sources say, on the files they would read."""
    plain = write_model(tmp_path / "plain", num_key_value_heads=kv_heads)
    stock = logits(plain, ids)
    for engine in ("vllm", "sglang"):
        out = convert(plain, tmp_path / engine, engine, "float32")
        restated_logits = restated(out, ids, lambda routed, shared, factor: factor * routed + shared, rope)
        assert (restated_logits - stock).abs().max() < 1e-4


def test_the_sum_of_vllm_0_15_is_another(made: Path, ids: Any, stock: Any, tmp_path: Path) -> None:
    """Its Dots1 scaled the shared experts too (models/dots1.py), hence not Dots1 for vLLM."""
    out = convert(made, tmp_path / "out", "vllm", "float32")
    restated_logits = restated(out, ids, lambda routed, shared, factor: factor * (routed + shared), in_parameters)
    assert (restated_logits - stock).abs().max() > 1e-1


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_bfloat16_but_the_router(made: Path, ids: Any, tmp_path: Path, engine: Any) -> None:
    out = convert(made, tmp_path / "out", engine, "bfloat16")
    for name, tensor in tensors(out).items():
        router = ".mlp.gate." in name
        assert tensor.dtype == (torch.float32 if router else torch.bfloat16), name
    assert read_config(out)["dtype"] == "bfloat16"
    assert torch.equal(logits(out, ids), logits(made, ids, dtype=torch.bfloat16))


def test_weights_in_several_files(made: Path, ids: Any, stock: Any, tmp_path: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(made)
    model.save_pretrained(tmp_path / "many", max_shard_size="60KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 3
    out = convert(tmp_path / "many", tmp_path / "out", "sglang", "bfloat16")
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in tensors(out).values())
    assert torch.equal(logits(out, ids), logits(made, ids, dtype=torch.bfloat16))


def test_the_scores_are_said_as_the_converter_wants(made: Path) -> None:
    assert read_config(made)["scoring_func"] == "sigmoid"
    assert config_for("llama.cpp", read_config(made) | {"scoring_func": "noaux_tc"})["scoring_func"] == "sigmoid"


RANK = """
import sys, torch
import torch.distributed as dist
from torch.distributed.checkpoint import state_dict_saver
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from tests.model.made_model import options, weights

dist.init_process_group("gloo")
mesh = init_device_mesh("cpu", (2,))
state = {k: distribute_tensor(v, mesh, [Shard(0)]) for k, v in weights(options(int(sys.argv[2]))).items()}
state_dict_saver.save({"model": state, "optimizer": {"step": torch.ones(1)}}, checkpoint_id=sys.argv[1])
dist.destroy_process_group()
"""


def write_run(out: Path, shards: Path, ranks: int) -> Path:
    """Write a run's folder with config.yaml and one checkpoint; return the checkpoint."""
    place = out / "checkpoints" / "tokens-000000000000064"
    place.mkdir(parents=True)
    model = options(EOD)
    data: dict[str, Any] = {"out": str(out), "model": model.model_dump(), "data": {"shards": str(shards)}}
    data["train"] = {"tokens": 64, "sequence_length": 32, "batches": [{"sequences": 1}]}
    data["train"]["stages"] = [{"name": "all", "until_tokens": 64, "rate": 0.01}]
    (out / "config.yaml").write_text(dump(RunConfig.model_validate(data)))
    if ranks == 1:
        saved = {"model": weights(model), "optimizer": {"step": torch.ones(1)}}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state_dict_saver.save(saved, checkpoint_id=place, no_dist=True)
    else:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        script = out / "rank.py"
        script.write_text(RANK)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        subprocess.run([*command, str(script), str(place), str(EOD)], check=True, env=environment, capture_output=True)
    (place / "state.json").write_text("{}")
    return place


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"), documents(4, distinct=False))


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_checkpoint_of_any_ranks(
    shards: Path, tmp_path: Path, ranks: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run's folder without export/: its checkpoint, every tensor as it was saved."""
    place = write_run(tmp_path / "run", shards, ranks)
    assert exporting.main([str(tmp_path / "run"), "--out", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out.startswith(f"{place} -> {tmp_path / 'a'}: Dots1ForCausalLM, float32")
    model = transformers.Dots1ForCausalLM.from_pretrained(tmp_path / "a")
    state = model.state_dict()
    expected = weights(options(EOD))
    assert state.keys() == expected.keys()
    assert [k for k, v in expected.items() if not torch.equal(state[k], v)] == []
    assert (tmp_path / "a" / "tokenizer.json").read_bytes() == (shards / "tokenizer.json").read_bytes()
    assert exporting.main([str(place), "--out", str(tmp_path / "b"), "--engine", "vllm"]) == 0
    assert read_config(tmp_path / "b")["dtype"] == "bfloat16"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "run"], "nothing half done is left"


def test_the_later_of_export_and_checkpoint(made: Path, shards: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    place = write_run(run, shards, 1)
    assert find(run) == place
    shutil.copytree(made, run / "export")
    assert find(run) == run / "export", "nothing says that it is older"
    for tokens, expected in ((64, run / "export"), (63, place)):
        (run / "summary.json").write_text(json.dumps({"tokens": tokens}))
        assert find(run) == expected
    assert find(place) == place
    (run / "checkpoints" / "tokens-000000000000128.part").mkdir()
    (run / "checkpoints" / "tokens-000000000000128.part" / "state.json").touch()
    assert find(run) == place == checkpoints(run)[-1], "what is half written is no checkpoint"
    assert find(run / "export") == run / "export"


def test_refusals(made: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = write_model(tmp_path / "few", num_key_value_heads=2)
    glm = convert(made, tmp_path / "glm", "vllm", "float32")
    place = write_run(tmp_path / "run", shards, 1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    out = tmp_path / "out"
    for arguments, message in [
        ([few, "--engine", "llama.cpp"], "as many KV heads as heads, found 2 KV heads for 4 heads"),
        ([glm, "--engine", "llama.cpp"], "config.json is of Glm4MoeForCausalLM, llama.cpp needs Dots1ForCausalLM"),
        ([tmp_path / "full"], "no model (in it thesis.txt)"),
        ([place, "--shards", str(tmp_path)], f"the tokenizer is that of the shards, and {tmp_path}: no manifest.json"),
    ]:
        assert exporting.main([*map(str, arguments), "--out", str(out)]) == 2
        assert message in capsys.readouterr().err
        assert not list(tmp_path.glob("out*"))
    assert exporting.main([str(made), "--out", str(tmp_path / "full")]) == 2
    assert "is there and is no model" in capsys.readouterr().err
    assert exporting.main([str(glm), "--out", str(glm)]) == 2
    assert "is the model itself" in capsys.readouterr().err
    (place.parents[1] / "config.yaml").unlink()
    assert exporting.main([str(place), "--out", str(out)]) == 2
    assert "config.yaml: no such file" in capsys.readouterr().err
    with pytest.raises(ExportError, match="lacks n_group; expected what transformers 5 writes"):
        config_for("sglang", {k: v for k, v in read_config(made).items() if k != "n_group"})
    with pytest.raises(ExportError, match="sliding_attention"):
        config_for("vllm", read_config(made) | {"layer_types": ["sliding_attention"]})


@pytest.mark.parametrize("engine", ENGINES)
def test_no_engine_gets_a_model_that_shares_keys_and_values(engine: Any) -> None:
    with pytest.raises(ExportError, match="cross_layer 2: no engine has layers that share keys and values"):
        config_for(engine, {"architectures": ["CrossLayerForCausalLM"], "cross_layer": 2})
