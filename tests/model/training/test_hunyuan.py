"""A run with Hunyuan-Large's layers: trained, resumed, exported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.model.made_shards import documents, write_shards

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("torchdata", reason=REASON)
pytest.importorskip("tensorboard", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)


from model.architecture import cross_layer  # noqa: E402
from model.base.config import dump  # noqa: E402
from model.base.errors import ConfigError  # noqa: E402
from model.training import metrics  # noqa: E402
from model.training.config import RunConfig, load  # noqa: E402
from model.training.run_folder import checkpoints  # noqa: E402
from model.training.schedule import expert_rate  # noqa: E402
from model.training.trainer import Trainer  # noqa: E402
from tests.model.made_hunyuan import SMALL  # noqa: E402
from tests.model.made_run import (  # noqa: E402
    TWO,
    kill_after,
    kill_one,
    lines,
    same_state,
    trainer,
    values,
)
from tests.model.paths import ROOT  # noqa: E402


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
    steps = metrics.read(finished.out, "metrics")
    assert steps[-1]["loss"] < steps[0]["loss"] - 0.1
    assert all(0 < line["recycled"] <= line["recycled_worst"] < 1 for line in steps)
    assert {line["expert_rate"] for line in steps} == {
        expert_rate(128, 1 / 8, 512),
        expert_rate(256, 1 / 8, 512),
    }
    experts = metrics.read(finished.out, "experts")
    assert [len(experts[0][k]) for k in ("layers", "load", "bias")] == [3, 3, 3]
    rates = [g["lr"] for g in finished.optimizer.param_groups]
    assert finished.of_experts.count(True) == 1
    assert rates[finished.of_experts.index(True)] == pytest.approx(0.001 * 0.5 * steps[-1]["expert_rate"], rel=1e-6)
    others = [r for r, of_experts in zip(rates, finished.of_experts, strict=True) if not of_experts]
    assert others == pytest.approx([0.001] * len(others), rel=1e-6)


def test_killed_and_resumed_is_the_uninterrupted_run(finished: Trainer, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    config = hunyuan(folder, out)
    (tmp_path / "run.yaml").write_text(dump(config))
    command = [sys.executable, "-m", "model.train", "--config", str(tmp_path / "run.yaml")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    kill_after(process, out, 16, kill_one)  # at step 12 the first checkpoint is there
    assert checkpoints(out)
    resumed = trainer(config)
    assert 0 < resumed.step < finished.step
    resumed.run()
    same_state(resumed, finished)
    for name in metrics.FILES:
        assert lines(out, name) == lines(finished.out, name)


def test_accumulation_and_checkpointing_do_not_change_the_step(folder: Path, tmp_path: Path) -> None:
    runs = []
    for micro, on in ((1, False), (2, False), (4, False), (2, True)):
        out = tmp_path / f"{micro}{on}"
        run = trainer(hunyuan(folder, out, micro_batch=micro, precision="fp32", activation_checkpointing=on))
        steps = run.steps()
        runs.append([run.train_step(next(steps)) for _ in range(3)])
    for other in runs[1:]:
        for a, b in zip(runs[0], other, strict=True):
            assert (a["targets"], a["tokens"], a["recycled"]) == (b["targets"], b["tokens"], b["recycled"])
            assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
            assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-4)
    assert runs[1] == runs[3]


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
        logits = run.model.lm_head(hidden)
    run.model.train()
    return logits


def test_the_export_is_loaded_in_a_fresh_process_and_refused_by_stock_code(finished: Trainer, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    ids = torch.randint(0, 300, (2, 24), generator=torch.Generator().manual_seed(3))
    save_file({"ids": ids}, tmp_path / "ids.safetensors")
    export = str(finished.out / "export")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", FRESH, export, str(tmp_path)], cwd=tmp_path, env=environment, check=True)
    logits = load_file(tmp_path / "logits.safetensors")["logits"]
    torch.testing.assert_close(logits, logits_of(finished, ids), rtol=0, atol=1e-5)
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
