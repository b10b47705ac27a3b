"""Experts shared among ranks: the run of one process; killed, resumed, on other numbers of ranks; first weights by shard."""

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

from tests.model.launched import kill
from tests.model.made_shards import EOD, documents, write_shards
from tests.model.paths import ROOT

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("torchdata", reason=REASON)
pytest.importorskip("tensorboard", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

from safetensors.torch import load_file  # noqa: E402

from model.architecture import parallel  # noqa: E402
from model.architecture.build import build, initialise  # noqa: E402
from model.architecture.config import ModelOptions  # noqa: E402
from model.architecture.dots1 import dots1_config  # noqa: E402
from model.architecture.router import Balance  # noqa: E402
from model.base.config import dump  # noqa: E402
from model.base.errors import TrainError  # noqa: E402
from model.training import metrics  # noqa: E402
from model.training.config import RunConfig  # noqa: E402
from model.training.ranks import Place  # noqa: E402
from model.training.run_folder import checkpoints  # noqa: E402
from model.training.trainer import Trainer  # noqa: E402
from tests.model.made_run import kill_after, metrics_lines  # noqa: E402
from tests.model.parallel_worker import run  # noqa: E402

ALONE = Place(0, 1, torch.device("cpu"))
ROUNDING = 1e-5
"""Of the largest value of a tensor, or of a number."""
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
Lines = list[dict[str, Any]]


def torchrun(ranks: int, *module: str) -> list[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "-m"]
    return [*start, *module]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = documents(300, distinct=False) + documents(6, 5, split="validation", distinct=False, language="en")
    return write_shards(tmp_path_factory.mktemp("shards"), made)


def values(folder: Path, out: Path, model: dict[str, Any] | None = None, **train: Any) -> dict[str, Any]:
    """Make options of a run whose AdamW has a large epsilon: it divides little, so that a wrong scale of a gradient shows,
    and rounding of gradients near 0 does not."""
    return {
        "out": str(out),
        "model": {
            **{"vocab_size": 304, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 8},
            **{"head_dim": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 2},
            **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "initializer_range": 0.1},
            **{"max_position_embeddings": 64, "eos_token_id": EOD},
            **(model or {}),
        },
        "data": {"shards": str(folder), "lanes": 12, "window_tokens": 512},
        "train": {
            **{"tokens": 7680, "sequence_length": 32, "micro_batch": 1, "threads": 1, "precision": "fp32"},
            "batches": [{"sequences": 8}],
            "stages": [{"name": "stable", "until_tokens": 7680, "rate": 0.01}],
            "optimizer": {"eps": 1e-3},
            "balance": {"bias_rate": 0.01, "sequence_loss": 0.01},
            "tensorboard": False,
            **train,
        },
    }


def together(ranks: int, cases: dict[str, dict[str, Any]], folder: Path, place: Path) -> None:
    """Run cases one after the other on the same ranks; each leaves its folder in `place`."""
    listed = []
    for name, case in cases.items():
        config = values(folder, place / name / "run", case.get("model"), **case.get("train", {}))
        listed.append({"folder": str(place / name), "config": config, "steps": 4} | case)
    (place / "cases.json").write_text(json.dumps(listed))
    command = torchrun(ranks, "tests.model.parallel_worker", str(place / "cases.json"))
    with (place / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=log, stderr=log)
        try:
            code = process.wait(400)
        except subprocess.TimeoutExpired:  # ranks that wait for one another
            kill(process)
            raise
    assert code == 0, (place / "log.txt").read_text()[-3000:]


def alone(case: dict[str, Any], folder: Path, out: Path) -> tuple[Lines, dict[str, Any]]:
    """Run the same case in this process."""
    train = case.get("train", {}) | {"expert_parallel": 1}
    return run({"steps": 4} | case | {"config": values(folder, out, case.get("model"), **train)}, ALONE)


def left(place: Path) -> tuple[Lines, dict[str, Any]]:
    return json.loads((place / "lines.json").read_text()), load_file(place / "weights.safetensors")


def furthest(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Find the largest difference of two sets of tensors, over the largest value of each tensor."""
    assert a.keys() == b.keys()
    return max(float((a[k] - b[k]).abs().max() / b[k].abs().max().clamp(min=1e-12)) for k in b)


def assert_same_course(actual: tuple[Lines, dict[str, Any]], expected: tuple[Lines, dict[str, Any]]) -> None:
    """Hold losses, gradient norms, loads, biases, evaluation and weights of two runs to one another."""
    (lines, weights), (other, others) = actual, expected
    assert len(lines) == len(other) > 1
    for a, b in zip(lines[:-1], other[:-1], strict=True):
        for key in ("loss", "gradient_norm", "sequence_loss"):
            assert a[key] == pytest.approx(b[key], rel=ROUNDING), key
        for key in ("targets", "load", "bias", "skipped"):
            assert a[key] == b[key], key
    a, b = lines[-1]["evaluation"]["all"], other[-1]["evaluation"]["all"]
    assert a["targets"] == b["targets"]
    assert a["loss"] == pytest.approx(b["loss"], rel=ROUNDING)
    assert furthest(weights, others) < ROUNDING


SHARED = {"expert_parallel": 2}
QUICK: dict[str, dict[str, Any]] = {
    "shared": {"train": SHARED},
    "one expert has all": {"train": SHARED, "model": {"num_experts_per_tok": 1}, "bias": [0, 0, 9, 0]},
    "wrong scale": {"train": SHARED, "wrong_scale": True},
    "first weights, shared": {"train": SHARED, "first": True},
    "first weights, sharded": {"first": True},
}


@pytest.fixture(scope="module")
def two(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quick cases on two ranks."""
    place = tmp_path_factory.mktemp("two")
    together(2, QUICK, folder, place)
    return place


@pytest.mark.parametrize("name", ["shared", "one expert has all"])
def test_two_ranks_that_share_experts_are_as_one_process(two: Path, folder: Path, tmp_path: Path, name: str) -> None:
    shared = left(two / name)
    assert_same_course(shared, alone(QUICK[name], folder, tmp_path))
    if name != "shared":
        assert [load[:2] + load[3:] for line in shared[0][:-1] for load in line["load"]] == [[0, 0, 0]] * 8


def test_a_wrong_scale_of_the_experts_gradients_would_be_seen(two: Path) -> None:
    """The negative of the test above: not divided by the ranks, the gradients of experts are twice as large."""
    (lines, weights), (other, others) = left(two / "wrong scale"), left(two / "shared")
    assert lines[0]["gradient_norm"] > other[0]["gradient_norm"] * (1 + 10 * ROUNDING)
    experts = {k: v for k, v in weights.items() if ".experts." in k}
    assert furthest(experts, {k: others[k] for k in experts}) > 100 * ROUNDING


def test_first_weights_are_the_same_for_any_ranks(two: Path, folder: Path, tmp_path: Path) -> None:
    _, one = alone({"first": True}, folder, tmp_path)
    for name in ("first weights, shared", "first weights, sharded"):
        _, weights = left(two / name)
        assert weights.keys() == one.keys()
        assert [k for k in one if not torch.equal(one[k], weights[k])] == []


MORE: dict[str, dict[str, Any]] = {
    "sharded": {},
    "sharded by rows": {"model": {"n_routed_experts": 3}},
    "eager": {"train": SHARED | {"experts": "eager"}},
    "batched": {"train": SHARED | {"experts": "batched_mm"}},
    "one expert each": {"train": SHARED, "model": {"n_routed_experts": 2, "num_experts_per_tok": 1}},
    "recomputed": {"train": SHARED | {"activation_checkpointing": True, "micro_batch": 2}},
    "none here, loop": {
        "train": SHARED | {"experts": "eager"},
        "model": {"num_experts_per_tok": 1},
        "bias": [0, 0, 9, 0],
    },
    "none here, batched": {
        **{"train": SHARED | {"experts": "batched_mm", "activation_checkpointing": True}, "bias": [9, 0, 0, 0]},
        "model": {"num_experts_per_tok": 1},
    },
    "bf16": {"train": SHARED | {"precision": "bf16"}, "steps": 1},
    "bf16, none here": {
        **{"train": SHARED | {"precision": "bf16"}, "steps": 1},
        **{"model": {"num_experts_per_tok": 1}, "bias": [0, 0, 9, 0]},
    },
}


@pytest.mark.long
def test_more_on_two_ranks(folder: Path, tmp_path: Path) -> None:
    together(2, MORE, folder, tmp_path)
    for name, case in MORE.items():
        expected, actual = alone(case, folder, tmp_path / name / "one"), left(tmp_path / name)
        if not name.startswith("bf16"):
            assert_same_course(actual, expected)
            continue
        # Products round the same, sums of weights' gradients over more rows at once do not.
        line, other = actual[0][0], expected[0][0]
        assert line["load"] == other["load"]
        assert line["loss"] == pytest.approx(other["loss"], rel=ROUNDING)
        assert line["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=5e-3)


FOUR: dict[str, dict[str, Any]] = {
    "shared by two": {"train": SHARED},
    "three each": {"train": SHARED, "model": {"n_routed_experts": 6}},
    "shared by four": {"train": {"expert_parallel": 4, "activation_checkpointing": True}},
    "one expert has all": {"train": SHARED, "model": {"num_experts_per_tok": 1}, "bias": [0, 0, 9, 0]},
    "first weights": {"train": SHARED, "first": True},
    "wrong scale": {"train": SHARED, "wrong_scale": True},
}


@pytest.mark.long
def test_four_ranks_are_as_one_process(folder: Path, tmp_path: Path) -> None:
    together(4, FOUR, folder, tmp_path)
    for name, case in FOUR.items():
        if name == "wrong scale":
            continue
        expected = alone(case, folder, tmp_path / name / "one")
        if name == "first weights":
            assert furthest(left(tmp_path / name)[1], expected[1]) == 0
        else:
            assert_same_course(left(tmp_path / name), expected)
    norms = [left(tmp_path / name)[0][0]["gradient_norm"] for name in ("wrong scale", "shared by two")]
    assert norms[0] > norms[1] * (1 + 10 * ROUNDING)


@pytest.mark.long
def test_six_ranks_that_cannot_cut_experts_evenly(folder: Path, tmp_path: Path) -> None:
    """Two experts, and matrices of 16 rows, for three ranks: one of them holds none."""
    case = {"train": SHARED | {"batches": [{"sequences": 12}]}, "steps": 2}
    together(6, {"uneven": case}, folder, tmp_path)
    assert_same_course(left(tmp_path / "uneven"), alone(case, folder, tmp_path / "one"))


@pytest.mark.long
def test_killed_and_resumed_bit_for_bit_and_on_other_ranks(folder: Path, tmp_path: Path) -> None:
    """With P = 2 by SIGKILL; then one process goes on from a checkpoint of P = 2, and P = 2 from one of one process."""

    def config(name: str, **train: Any) -> RunConfig:
        options = {"checkpoint_tokens": 1024, "tokens": 6144} | train
        return RunConfig.model_validate(values(folder, tmp_path / name, **options))

    def start(name: str) -> subprocess.Popen[bytes]:
        (tmp_path / f"{name}.yaml").write_text(dump(config(name, **SHARED)))
        command = torchrun(2, "model.train", "--config", str(tmp_path / f"{name}.yaml"))
        return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT)

    def exported(name: str) -> dict[str, Any]:
        return load_file(tmp_path / name / "export" / "model.safetensors")

    def lines(name: str) -> Lines:
        return [{k: v for k, v in x.items() if k != "tokens_per_s"} for x in metrics.read(tmp_path / name, "metrics")]

    def same_within_rounding(name: str, other: str) -> None:
        a, b = lines(name), lines(other)
        assert [x["targets"] for x in a] == [x["targets"] for x in b], "the same batches"
        assert [x["loss"] for x in a] == pytest.approx([x["loss"] for x in b], rel=ROUNDING)
        assert furthest(exported(name), exported(other)) < 10 * ROUNDING

    def shortened(name: str, other: str) -> None:
        shutil.copytree(tmp_path / name, tmp_path / other)
        for late in checkpoints(tmp_path / other)[3:]:
            shutil.rmtree(late)

    assert start("whole").wait(300) == 0
    process = start("cut")
    kill_after(process, tmp_path / "cut", 10, kill)
    assert len(metrics_lines(tmp_path / "cut")) < len(lines("whole"))
    assert checkpoints(tmp_path / "cut")
    assert not (tmp_path / "cut" / "export").exists()
    assert start("cut").wait(300) == 0
    assert lines("cut") == lines("whole")
    assert furthest(exported("cut"), exported("whole")) == 0

    Trainer(config("one"), ALONE).run()
    same_within_rounding("whole", "one")
    shortened("whole", "fewer")
    fewer = Trainer(config("fewer"), ALONE)
    assert fewer.step > 0
    fewer.run()
    same_within_rounding("fewer", "whole")
    shortened("one", "more")
    assert start("more").wait(300) == 0
    same_within_rounding("more", "one")


def test_refusals(folder: Path, tmp_path: Path) -> None:
    def begin(ranks: int, shared: int) -> None:
        config = RunConfig.model_validate(values(folder, tmp_path, expert_parallel=shared))
        Trainer(config, Place(0, ranks, torch.device("cpu")))

    with pytest.raises(TrainError, match=r"8 ranks are no multiple of train\.expert_parallel 3"):
        begin(8, 3)
    with pytest.raises(TrainError, match=r"1 ranks are no multiple of train\.expert_parallel 2"):
        begin(1, 2)
    with pytest.raises(TrainError, match=r"4 experts are no multiple of train\.expert_parallel 8"):
        begin(8, 8)


def test_products_of_experts_are_bf16_under_autocast() -> None:
    """The stock grouped product would take FP32 weights as they are, as the stock loop over experts does not."""
    outputs = {}
    for name in ("grouped_mm", "eager"):
        options = ModelOptions.model_validate(values(Path(), Path())["model"])
        model = build(dots1_config(options), attention="eager", experts=name)
        model.to_empty(device="cpu")
        initialise(model, 0, 0.1)
        experts = model.model.layers[1].mlp.experts
        x = torch.randn(12, 16, generator=torch.Generator().manual_seed(0))
        chosen, weights = torch.tensor([[0, 1], [2, 1]] * 6), torch.tensor([[0.25, 0.75]] * 12)
        with torch.no_grad():
            exact = experts(x, chosen, weights)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = experts(x, chosen, weights)
        assert (exact.dtype, rounded.dtype) == (torch.float32, torch.float32)
        assert 1e-4 < float((rounded - exact).abs().max() / exact.abs().max()) < 2e-2
        outputs[name] = exact
    torch.testing.assert_close(outputs["grouped_mm"], outputs["eager"])
    assert outputs["eager"].abs().sum() > 0
    assert all(r.num_experts == 4 for r in Balance(model).routers)


def test_clipping_is_torchs() -> None:
    for limit in (0.5, 50.0):
        a, b = ([torch.nn.Parameter(torch.zeros(n)) for n in (3, 4)] for _ in range(2))
        for some in (a, b):
            for p in some:
                p.grad = torch.arange(1.0, len(p) + 1)
        norm = parallel.clip(a, limit)
        assert norm == pytest.approx(math.sqrt(14 + 30))
        assert norm == float(torch.nn.utils.clip_grad_norm_(b, limit))
        assert all(torch.equal(x.grad, y.grad) for x, y in zip(a, b, strict=True))


def test_experts_are_cut_whole_or_by_rows() -> None:
    def cut(ranks: int, shape: tuple[int, ...], **how: bool) -> int | None:
        shard = parallel.placement(ranks, **how)(torch.nn.Parameter(torch.empty(shape, device="meta")))
        return None if shard is None else shard.dim

    published = (128, 2816, 4096)
    assert [cut(n, published) for n in (8, 128, 256, 3)] == [0, 0, 1, 0]
    assert [cut(n, published, rows_first=True) for n in (1, 8, 32, 3)] == [1, 1, 1, 0]
    assert cut(8, (152_064, 4096)) is None


@pytest.mark.parametrize("shape", [(200, 5), (3, 130, 4)])
def test_any_cut_has_the_values_of_the_whole(shape: tuple[int, ...]) -> None:
    whole = torch.empty(shape)
    parallel.draw(whole, "key", shape, shape, [0] * len(shape), 0.5)
    assert float(whole.std()) == pytest.approx(0.5, rel=0.1)
    assert len(whole.unique()) > 0.99 * whole.numel(), "no block is another's"
    for dimension in range(len(shape)):
        for begin, n in ((0, 1), (1, 2), (0, shape[dimension]), (shape[dimension] - 1, 1), (0, 0)):
            size, first = list(shape), [0] * len(shape)
            size[dimension], first[dimension] = n, begin
            part = torch.empty(size)
            parallel.draw(part, "key", shape, size, first, 0.5)
            assert torch.equal(part, whole.narrow(dimension, begin, n))
    other = torch.empty(shape)
    parallel.draw(other, "another key", shape, shape, [0] * len(shape), 0.5)
    assert not torch.isclose(other, whole).any()


@pytest.mark.parametrize(
    ("shape", "size", "first"),
    [
        ((152_064, 4096), (594, 4096), (3 * 594, 0)),  # embedding of dots.llm1, rank 3 of 256
        ((128, 2816, 4096), (1, 88, 4096), (17, 5 * 88, 0)),  # an expert's rows: 8 share the experts, 32 the rows
        ((128, 4096, 1408), (2, 128, 1408), (126, 3968, 0)),
    ],
)
def test_a_rank_draws_little_beyond_its_shard(
    shape: tuple[int, ...], size: tuple[int, ...], first: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer rows than two blocks more for each matrix, and never more than a block in memory."""
    drawn: list[int] = []

    def block(key: str, rows: int, columns: int, std: float) -> Any:
        drawn.append(rows * columns)
        return torch.full((1, 1), float(len(drawn))).expand(rows, columns)

    monkeypatch.setattr(parallel, "block", block)
    part = torch.zeros(size)
    parallel.draw(part, "key", shape, size, first, 1.0)
    assert (part > 0).all()
    matrices = size[0] if len(size) == 3 else 1
    held, columns = part.numel(), shape[-1]
    assert held <= sum(drawn) < held + 2 * parallel.BLOCK * columns * matrices
    assert max(drawn) <= parallel.BLOCK * columns
    assert sum(drawn) < math.prod(shape) / 50
