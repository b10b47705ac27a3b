"""The model's benchmarks: grouped products against a loop by hand, Triton's kernel, peaks, and the clock of parts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("torchdata", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

from model.training.config import RunConfig  # noqa: E402
from model.training.ranks import Place  # noqa: E402
from model.training.trainer import Trainer  # noqa: E402
from tests.model.made_shards import EOD, documents, write_shards  # noqa: E402
from tests.model.paths import ROOT  # noqa: E402

CPU = torch.device("cpu")
SIZES = [(3, 0, 5, 1), (0, 0, 4, 0), (2, 2, 2, 2)]


@pytest.fixture(scope="module")
def scripts() -> Any:
    """The benchmarks as they import each other."""
    before = list(sys.path)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import devices
        import grouped_gemm
        import model_speed

        yield {"devices": devices, "gemm": grouped_gemm, "speed": model_speed}
    finally:
        sys.path[:] = before


@pytest.mark.parametrize("sizes", SIZES)
def test_every_way_is_the_product_by_hand(scripts: Any, sizes: tuple[int, ...]) -> None:
    gemm = scripts["gemm"]
    case = gemm.Case("made", "made", sizes, 8, 16)
    x, w, _, dy = what = gemm.given(case, torch.float32, CPU)
    row, expected = 0, []
    for g, size in enumerate(sizes):
        expected += [w[g] @ x[row + i] for i in range(size)]
        row += size
    dw = torch.zeros_like(w)
    for i, g in enumerate([g for g, size in enumerate(sizes) for _ in range(size)]):
        dw[g] += torch.outer(dy[i], x[i])
    assert next(iter(gemm.ways())) == "loop"
    for name, way in gemm.ways().items():
        y, _, found_dw = gemm.computed(way, case, what)
        torch.testing.assert_close(y, torch.stack(expected), msg=lambda m, n=name: f"{n}: {m}")
        torch.testing.assert_close(found_dw, dw, msg=lambda m, n=name: f"{n}: {m}")
        assert gemm.largest_error(gemm.computed(way, case, what), gemm.exact(case, what)) < 1e-5
    assert case.flops == 2 * sum(sizes) * 8 * 16


def test_a_wrong_way_is_not_timed(scripts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gemm = scripts["gemm"]
    monkeypatch.setattr(gemm, "ways", lambda: {"off": lambda x, w, ends, sizes: gemm.loop(x, w, ends, sizes) * 1.01})
    with pytest.raises(ArithmeticError, match=r"off.*differs from the FP32 loop"):
        gemm.measure(gemm.Case("made", "made", (3, 5), 8, 16), torch.float32, CPU)


def test_a_case_measured_and_shown(scripts: Any, tmp_path: Path) -> None:
    gemm = scripts["gemm"]
    lines = [{"load": [[1, 1]]}, {"load": [[8, 0, 3], [1, 1, 1]]}]
    (tmp_path / "experts.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    case = gemm.Case("made", "measured", gemm.last_load(tmp_path / "experts.jsonl"), 64, 64)
    assert case.sizes == (8, 0, 3)
    result = {"product": "made", "groups": "measured", "sizes": case.sizes, "dtype": "bf16"}
    result["ways"] = gemm.measure(case, torch.bfloat16, CPU)
    assert {"loop", "torch grouped_mm", "padded bmm"} <= set(result["ways"])
    assert "GFLOP/s" in gemm.show([result], {"bf16": None}, False)
    assert "report's" in gemm.show([result], {"bf16": 989.4}, True)
    assert sum(gemm.zipf(1000, 8)) == 1000
    assert gemm.zipf(1000, 8)[-1] == 0


def test_peaks_by_the_names_that_torch_gives(scripts: Any) -> None:
    peak = scripts["devices"].peak_tflops
    assert peak("NVIDIA H100 80GB HBM3") == peak("NVIDIA H200") == 989.4
    assert peak("NVIDIA H100 PCIe") == 756
    assert peak("NVIDIA A100-SXM4-80GB") == 312
    assert peak("NVIDIA L40S") == 362
    assert peak("NVIDIA GeForce RTX 4090") == 165.2
    assert peak("NVIDIA A1000") is None


KERNEL = """
import torch, triton_gemm
for sizes in ((70, 0, 130, 3), (0, 0, 5, 0), (129,)):
    for dtype, bound in ((torch.float32, 1e-6), (torch.float16, 1e-3)):
        for inner, columns in ((48, 80), (130, 200)):
            ends = torch.tensor(sizes).cumsum(0).int()
            x = torch.randn(sum(sizes), inner, dtype=dtype, requires_grad=True)
            w = torch.randn(len(sizes), columns, inner, dtype=dtype, requires_grad=True)
            dy = torch.randn(sum(sizes), columns, dtype=dtype)
            y = triton_gemm.grouped(x, w.transpose(1, 2), ends)
            y.backward(dy)
            full_x, full_w = (t.detach().float().requires_grad_() for t in (x, w))
            exact = torch.cat([p @ v.T for p, v in zip(full_x.split(sizes), full_w.unbind())])
            exact.backward(dy.float())
            for a, b in ((y, exact), (x.grad, full_x.grad), (w.grad, full_w.grad)):
                assert float((a.float() - b).detach().norm() / b.detach().norm()) < bound
print("equal")
"""


def test_the_kernel_in_tritons_interpreter() -> None:
    pytest.importorskip("triton", reason="Triton comes with torch for GPUs")
    paths = [str(ROOT / "benchmarks"), *sys.path]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    run = subprocess.run([sys.executable, "-c", KERNEL], env=environment, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "equal", run.stderr


@pytest.mark.parametrize("checkpointing", [False, True])
def test_parts_are_the_whole_and_change_nothing(scripts: Any, tmp_path: Path, checkpointing: bool) -> None:
    speed = scripts["speed"]
    folder = write_shards(tmp_path / "shards", documents(200, distinct=False))
    config = RunConfig.model_validate(
        {
            "out": str(tmp_path / "out"),
            "model": {
                **{"vocab_size": 304, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 8},
                **{"num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 2, "n_routed_experts": 4},
                **{"num_experts_per_tok": 2, "n_shared_experts": 1, "head_dim": 8, "max_position_embeddings": 64},
                **{"eos_token_id": EOD},
            },
            "data": {"shards": str(folder), "lanes": 4, "window_tokens": 512},
            "train": {
                **{"tokens": 1e6, "sequence_length": 32, "micro_batch": 2, "threads": 1},
                **{"batches": [{"sequences": 4}], "activation_checkpointing": checkpointing, "tensorboard": False},
                "stages": [{"name": "stable", "until_tokens": 1e6, "rate": 0.01}],
            },
        }
    )
    torch.set_num_threads(1)
    watched, plain = (Trainer(config, Place(0, 1, CPU)) for _ in range(2))
    spent = speed.breakdown(watched, 3)
    assert list(spent) == list(speed.PARTS)
    assert all(seconds > 0 for seconds in spent.values()), spent
    batches = plain.steps()
    for _ in range(3):
        plain.train_step(next(batches))
    assert plain.step == watched.step == 3
    expected = plain.model.state_dict()
    assert [k for k, v in watched.model.state_dict().items() if not torch.equal(v, expected[k])] == []
    speeds = speed.throughput(plain, 2, warm=1)
    assert (speeds["steps"], speeds["tokens_a_step"]) == (2, 128)
    assert speeds["tokens_per_s"] > 0


def test_a_part_that_is_not_open_cannot_be_left(scripts: Any) -> None:
    clock = scripts["speed"].Clock(CPU)
    clock.enter("router")
    with pytest.raises(RuntimeError, match="left 'attention'"):
        clock.leave("attention")
