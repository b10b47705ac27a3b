"""A run: killed and resumed, evaluated, exported; what it refuses; spikes; metrics."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.model.launched import kill
from tests.model.made_shards import documents, write_shards

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("torchdata", reason=REASON)
pytest.importorskip("tensorboard", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

import numpy as np  # noqa: E402

from model import metrics as metrics_command  # noqa: E402
from model.base.config import dump  # noqa: E402
from model.base.errors import TrainError  # noqa: E402
from model.data.shards import open_shards  # noqa: E402
from model.train import main  # noqa: E402
from model.training import checkpoint, evaluation, metrics  # noqa: E402
from model.training.config import RunConfig, load  # noqa: E402
from model.training.ranks import Place  # noqa: E402
from model.training.run_folder import checkpoints  # noqa: E402
from model.training.setup import kind_of  # noqa: E402
from model.training.spikes import Spikes  # noqa: E402
from model.training.trainer import Trainer  # noqa: E402
from tests.model.made_run import (  # noqa: E402
    LENGTH,
    TWO,
    configured,
    kill_after,
    kill_one,
    lines,
    metrics_lines,
    same_state,
    trainer,
    values,
)
from tests.model.paths import ROOT  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = documents(300, distinct=False)
    made += documents(6, 5, split="validation", distinct=False, language="en", category="news")
    made += documents(4, 6, split="validation", distinct=False, language="zh", source="web")
    return write_shards(tmp_path_factory.mktemp("shards"), made)


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """An uninterrupted run."""
    run = trainer(configured(folder, tmp_path_factory.mktemp("run") / "whole"))
    run.run()
    return run


def test_loss_falls_and_everything_is_written(finished: Trainer) -> None:
    out = finished.out
    steps = metrics.read(out, "metrics")
    assert [line["step"] for line in steps] == list(range(1, len(steps) + 1))
    assert steps[0]["loss"] == pytest.approx(math.log(304), abs=0.02), "first weights know nothing"
    assert steps[-1]["loss"] < steps[0]["loss"] - 0.1
    assert steps[-1]["tokens"] == 7680
    assert {line["sequences"] for line in steps} == {4, 8}
    assert [line["stage"] for line in steps][:: len(steps) - 1] == ["warm-up", "anneal-1"]
    assert all(line["mfu"] > 0 and line["gradient_norm"] > 0 for line in steps)
    experts = metrics.read(out, "experts")
    assert [len(experts[0][k]) for k in ("layers", "load", "bias")] == [2, 2, 2]
    assert sum(experts[0]["load"][0]) == pytest.approx(4 * LENGTH * 2, abs=2 * LENGTH), (
        "top 2 of each place, but padding"
    )
    assert steps[-1]["max_bias"] > 0
    assert list((out / "tensorboard").iterdir())
    assert RunConfig.model_validate(yaml.safe_load((out / "config.yaml").read_text())) == finished.config


def test_evaluation_by_language_and_category(finished: Trainer) -> None:
    last = metrics.read(finished.out, "evaluation")[-1]
    assert {k: v["documents"] for k, v in last["language"].items()} == {"en": 6, "zh": 4}
    assert {k: v["documents"] for k, v in last["category"].items()} == {"news": 6, "unknown": 4}
    assert sum(v["targets"] for v in last["language"].values()) == last["all"]["targets"]
    total = sum(v["loss"] * v["targets"] for v in last["language"].values())
    assert last["all"]["loss"] == pytest.approx(total / last["all"]["targets"])


def test_evaluation_equals_each_document_alone(finished: Trainer) -> None:
    shards = open_shards(finished.config.data.shards)
    laid = evaluation.lay(shards, "validation", LENGTH)
    with torch.no_grad():
        total = targets = 0.0
        for document in range(len(laid.columns["language"])):
            for row in range(len(laid.input_ids)):
                ids = torch.from_numpy(laid.input_ids[row][laid.owners[row] == document])[None]
                if ids.shape[1] > 1:
                    with finished.autocast():
                        labels = ids.clone()
                        total += float(finished.model(ids, labels, torch.arange(ids.shape[1])[None])[0])
                    targets += ids.shape[1] - 1
    last = metrics.read(finished.out, "evaluation")[-1]
    assert targets == last["all"]["targets"]
    assert total / targets == pytest.approx(last["all"]["loss"], rel=2e-3)


def test_killed_and_resumed_is_the_uninterrupted_run(finished: Trainer, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    config = configured(folder, out)
    (tmp_path / "run.yaml").write_text(dump(config))
    command = [sys.executable, "-m", "model.train", "--config", str(tmp_path / "run.yaml")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    kill_after(process, out, 16, kill_one)  # at step 12 the first checkpoint is there
    complete = checkpoints(out)
    assert complete, "killed after a checkpoint"
    assert not (out / "export").exists()
    resumed = trainer(config)
    assert 0 < resumed.step < finished.step
    resumed.run()
    same_state(resumed, finished)
    for name in metrics.FILES:
        assert lines(out, name) == lines(finished.out, name)
    a, b = (json.loads((o / "summary.json").read_text()) for o in (out, finished.out))
    assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}


def test_an_earlier_checkpoint_leads_to_the_same_end(finished: Trainer, folder: Path, tmp_path: Path) -> None:
    """From within the second batch size, with an evaluation and files written beyond it."""
    out = tmp_path / "run"
    shutil.copytree(finished.out, out)
    for late in checkpoints(out)[3:]:
        shutil.rmtree(late)
    resumed = trainer(configured(folder, out))
    assert 3840 < resumed.tokens < 7680
    resumed.run()
    same_state(resumed, finished)
    for name in metrics.FILES:
        assert lines(out, name) == lines(finished.out, name)


def test_a_finished_run_is_not_trained_again(finished: Trainer, folder: Path) -> None:
    weights = finished.out / "export" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    again = trainer(configured(folder, finished.out))
    summary = again.run()
    same_state(again, finished)
    assert weights.stat().st_mtime_ns == before
    (finished.out / "summary.json").unlink()  # as if killed before it was written
    repeated = trainer(configured(folder, finished.out)).run()
    assert repeated == summary
    assert weights.stat().st_mtime_ns > before


def test_stock_transformers_loads_the_export_in_a_fresh_process(finished: Trainer, tmp_path: Path) -> None:
    """Equal logits in FP32, to 1e-5."""
    ids = torch.randint(0, 300, (2, 24), generator=torch.Generator().manual_seed(3))
    finished.balance.forget()
    with torch.no_grad():
        hidden = finished.model.model(input_ids=ids, use_cache=False).last_hidden_state
        expected = finished.model.lm_head(hidden)
    torch.save(ids, tmp_path / "ids.pt")
    code = (
        "import sys, torch; from transformers import AutoModelForCausalLM, AutoTokenizer, Dots1ForCausalLM\n"
        "model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)\n"
        "assert type(model) is Dots1ForCausalLM, type(model)\n"
        "ids = torch.load(sys.argv[2] + '/ids.pt')\n"
        "torch.save(model(ids).logits.detach(), sys.argv[2] + '/logits.pt')\n"
        "assert 'model' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(finished.out / "export"), str(tmp_path)], cwd=tmp_path, check=True)
    torch.testing.assert_close(torch.load(tmp_path / "logits.pt"), expected, rtol=0, atol=1e-5)
    names = (finished.out / "export" / "config.json").read_text()
    assert json.loads(names)["architectures"] == ["Dots1ForCausalLM"]
    assert (finished.out / "export" / "tokenizer.json").read_bytes() == (
        Path(finished.config.data.shards) / "tokenizer.json"
    ).read_bytes()


def test_accumulation_does_not_change_the_step(folder: Path, tmp_path: Path) -> None:
    runs = []
    for micro in (1, 2, 4):
        run = trainer(configured(folder, tmp_path / str(micro), micro_batch=micro, precision="fp32", tokens=512))
        steps = run.steps()
        runs.append([run.train_step(next(steps)) for _ in range(3)])
    for other in runs[1:]:
        for a, b in zip(runs[0], other, strict=True):
            assert (a["targets"], a["tokens"]) == (b["targets"], b["tokens"])
            assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
            assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-4)
            assert a["sequence_loss"] == pytest.approx(b["sequence_loss"], rel=1e-5)


def test_activation_checkpointing_changes_nothing(folder: Path, tmp_path: Path) -> None:
    runs = []
    for on in (False, True):
        run = trainer(configured(folder, tmp_path / str(on), activation_checkpointing=on))
        steps = run.steps()
        runs.append([run.train_step(next(steps)) for _ in range(3)] + [run.load.tolist()])
    assert runs[0] == runs[1]


def test_rates_by_kind_of_parameter(folder: Path, tmp_path: Path) -> None:
    """A factor of 0 leaves experts and routers as they were."""
    rates = {"rates": {"experts": 0.0, "router": 0.0}}
    run = trainer(configured(folder, tmp_path / "run", optimizer=rates))
    before = {k: v.clone() for k, v in run.model.named_parameters()}
    run.train_step(next(run.steps()))
    kept = {k for k, v in run.model.named_parameters() if torch.equal(v, before[k])}
    assert kept == {k for k in before if kind_of(k) in ("experts", "router")}
    assert len(kept) == 2 * 3
    assert {kind_of(k) for k in before} == {"embedding", "head", "router", "experts", "others"}


def test_a_bad_step_is_left_out(folder: Path, tmp_path: Path) -> None:
    run = trainer(configured(folder, tmp_path / "run"))
    steps = run.steps()
    run.train_step(next(steps))
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    with torch.no_grad():
        run.model.lm_head.weight[0, 0] = float("nan")
    line = run.train_step(next(steps))
    assert (line["skipped"], run.left_out) == (True, 1)
    assert torch.equal(run.model.model.embed_tokens.weight, before["model.embed_tokens.weight"])
    with torch.no_grad():
        run.model.lm_head.weight[0, 0] = 0.0
    assert not run.train_step(next(steps))["skipped"]
    assert run.left_out == 0


def test_a_spike_is_skipped_by_option(folder: Path, tmp_path: Path) -> None:
    run = trainer(configured(folder, tmp_path / "run", spikes={"window": 4, "deviations": 3, "skip": True}))
    run.spikes.history = [1.0, 1.0, 1.1, 0.9]
    steps = run.steps()
    before = run.model.lm_head.weight.detach().clone()
    line = run.train_step(next(steps))
    assert (line["spike"], line["skipped"], line["step"]) == (True, True, 1)
    assert torch.equal(run.model.lm_head.weight, before)
    assert run.spikes.history == [1.0, 1.0, 1.1, 0.9]


def test_spikes_by_hand() -> None:
    s = Spikes(window=4, deviations=5)
    assert [s.add(x) for x in (3.0, 9.0, 3.2, 2.8)] == [False] * 4, "not before the window is full"
    s = Spikes(window=4, deviations=5, history=[3.0, 3.1, 2.9, 3.0])  # median 3, MAD 0.05
    assert s.limit == pytest.approx(3.25)
    assert [s.add(x) for x in (3.2, 3.6, float("nan"))] == [False, True, True]
    assert s.history == [3.1, 2.9, 3.0, 3.2]


def test_a_second_process_on_a_folder_stops(folder: Path, tmp_path: Path) -> None:
    trainer = Trainer(RunConfig.model_validate(values(folder, tmp_path / "run")), Place(0, 1, torch.device("cpu")))
    with (
        checkpoint.alone(tmp_path / "run"),
        pytest.raises(TrainError, match=r"another process trains into .*run; wait for it, stop it, or choose"),
    ):
        trainer.run()
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_finished_run_keeps_its_options(
    finished: Trainer, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished.out, tmp_path / "run")
    before = (tmp_path / "run" / "config.yaml").read_text()
    shorter = values(folder, tmp_path / "run")
    shorter["train"] |= {"tokens": 1536, "checkpoint_tokens": 512}
    Trainer(RunConfig.model_validate(shorter), Place(0, 1, torch.device("cpu"))).run()
    assert (tmp_path / "run" / "config.yaml").read_text() == before
    assert "has 7,680 tokens, 1,536 are asked for" in capsys.readouterr().out


def test_metrics_of_another_command_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
    assert metrics_command.main([str(tmp_path)]) == 2
    assert "its metrics.jsonl is of another command" in capsys.readouterr().err


def test_refusals(finished: Trainer, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TrainError, match="no multiple of 1 ranks x micro_batch 3"):
        trainer(configured(folder, tmp_path / "a", micro_batch=3))
    with pytest.raises(TrainError, match=r"another train\.seed"):
        trainer(configured(folder, finished.out, seed=5))
    data = values(folder, tmp_path / "b")
    data["model"] |= {"vocab_size": 300, "eos_token_id": 0}
    with pytest.raises(TrainError, match="ids up to 300"):
        trainer(RunConfig.model_validate(data))
    assert main(["--config", "configs/model/tiny.yaml", "--set", f"data.shards={tmp_path}/none"]) == 2
    assert "no manifest.json" in capsys.readouterr().err


def test_old_checkpoints_are_removed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints" / "tokens-000000000000001.part").mkdir(parents=True)
    run = trainer(
        configured(folder, tmp_path / "run", keep_checkpoints=2, tokens=3840, checkpoint_tokens=768, evaluation={})
    )
    run.run()
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2


def test_a_stream_that_ends_ends_the_run(folder: Path, tmp_path: Path) -> None:
    data = values(folder, tmp_path / "run")
    data["data"]["epochs"] = 1
    data["train"] |= {"tokens": 1e9, "evaluation": {}, "checkpoint_tokens": None}
    run = trainer(RunConfig.model_validate(data))
    run.run()
    assert run.tokens >= sum(s.tokens for s in run.shards.split("train"))
    assert all(math.isfinite(line["loss"]) for line in metrics.read(run.out, "metrics"))


def test_unigram_entropy_is_of_the_targets(finished: Trainer) -> None:
    summary = json.loads((finished.out / "summary.json").read_text())
    assert finished.counts.sum() == sum(line["targets"] for line in metrics.read(finished.out, "metrics"))
    assert (
        metrics.last_tenth(
            [{"loss": 9.0, "targets": 1}] * 18 + [{"loss": 1.0, "targets": 3}, {"loss": 5.0, "targets": 1}]
        )
        == 2.0
    )
    assert summary["loss"] == metrics.last_tenth(metrics.read(finished.out, "metrics"))
    assert summary["unigram_entropy"] == pytest.approx(evaluation.unigram_entropy(finished.counts))
    assert evaluation.unigram_entropy(np.array([1, 1, 0, 2])) == pytest.approx(1.5 * math.log(2))


def test_comparison_prints(finished: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    assert metrics_command.main([str(finished.out), str(finished.out)]) == 0
    assert "unigram entropy" in capsys.readouterr().out
    assert metrics_command.main(["none"]) == 2


def test_lay_keeps_every_token(folder: Path) -> None:
    shards = open_shards(str(folder))
    laid = evaluation.lay(shards, "validation", LENGTH)
    assert (laid.owners >= 0).sum() == sum(s.tokens for s in shards.split("validation"))
    assert set(np.unique(laid.owners[laid.owners >= 0])) == set(range(10))
    assert (laid.position_ids[:, 0] == 0).all()
    few = evaluation.lay(shards, "validation", LENGTH, tokens=1)
    assert len(few.columns["language"]) == 1


@pytest.mark.long
def test_two_ranks_equal_one_and_resume_bit_for_bit(finished: Trainer, folder: Path, tmp_path: Path) -> None:
    """FSDP2 on gloo: the same course as one process but for rounding; killed and resumed without any difference; then one
    process goes on from a checkpoint of two."""
    from safetensors.torch import load_file

    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def start(name: str, **train: Any) -> subprocess.Popen[bytes]:
        config = configured(folder, tmp_path / name, activation_checkpointing=True, precision="fp32", **train)
        (tmp_path / f"{name}.yaml").write_text(dump(config))
        command = [*TWO, "--config", str(tmp_path / f"{name}.yaml")]
        return subprocess.Popen(command, cwd=ROOT, env=environment)

    assert start("two").wait(300) == 0
    alone = trainer(configured(folder, tmp_path / "one", precision="fp32"))
    alone.run()
    one, two = metrics.read(alone.out, "metrics"), metrics.read(tmp_path / "two", "metrics")
    assert len(one) == len(two)
    for a, b in zip(one[:10], two[:10], strict=True):
        assert (a["targets"], a["tokens"]) == (b["targets"], b["tokens"])
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
        assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-2)
    assert one[-1]["loss"] == pytest.approx(two[-1]["loss"], rel=0.02)
    evaluations = [metrics.read(o, "evaluation")[-1]["all"] for o in (alone.out, tmp_path / "two")]
    assert evaluations[0]["targets"] == evaluations[1]["targets"]

    process = start("cut")
    kill_after(process, tmp_path / "cut", 16, kill)
    assert len(metrics_lines(tmp_path / "cut")) < len(two)
    assert checkpoints(tmp_path / "cut")
    assert start("cut").wait(300) == 0
    assert lines(tmp_path / "cut", "metrics") == lines(tmp_path / "two", "metrics")
    assert lines(tmp_path / "cut", "experts") == lines(tmp_path / "two", "experts")
    a, b = (load_file(tmp_path / name / "export" / "model.safetensors") for name in ("cut", "two"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)

    shutil.copytree(tmp_path / "two", tmp_path / "fewer")
    for late in checkpoints(tmp_path / "fewer")[3:]:
        shutil.rmtree(late)
    fewer = trainer(configured(folder, tmp_path / "fewer", activation_checkpointing=True, precision="fp32"))
    assert fewer.step > 0
    fewer.run()
    last = metrics.read(tmp_path / "fewer", "metrics")
    assert [x["targets"] for x in last] == [x["targets"] for x in two]
    assert last[-1]["loss"] == pytest.approx(two[-1]["loss"], rel=0.02)


def test_the_demo_config_is_the_recipe_in_small() -> None:
    config = load(ROOT / "configs" / "model" / "tiny.yaml")
    assert [s.name for s in config.train.stages] == ["warm-up", "stable", "anneal-1", "anneal-2"]
