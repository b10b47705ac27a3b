"""A run of a few thousand weights, and what of it is compared."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from model.training import metrics
from model.training.config import RunConfig
from model.training.ranks import Place
from model.training.trainer import Trainer
from tests.model.made_shards import EOD

LENGTH = 32
TIMES = ("tokens_per_s", "mfu")


def values(folder: Path, out: Path) -> dict[str, Any]:
    return {
        "out": str(out),
        "model": {
            **{
                "vocab_size": 304,
                "hidden_size": 16,
                "intermediate_size": 24,
                "moe_intermediate_size": 8,
                "head_dim": 8,
            },
            **{"num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 2, "n_routed_experts": 4},
            **{"num_experts_per_tok": 2, "n_shared_experts": 1, "max_position_embeddings": 64, "eos_token_id": EOD},
        },
        "data": {"shards": str(folder), "lanes": 4, "window_tokens": 512},
        "train": {
            **{"tokens": 7680, "sequence_length": LENGTH, "micro_batch": 2, "threads": 1, "checkpoint_tokens": 1536},
            "batches": [{"sequences": 4}, {"from_tokens": 3840, "sequences": 8}],
            "stages": [
                {"name": "warm-up", "until_tokens": 768, "rate": 0.01},
                {"name": "stable", "until_tokens": 5760, "rate": 0.01},
                {"name": "anneal-1", "until_tokens": 7680, "rate": 0.001},
            ],
            "spikes": {"window": 8},
            "evaluation": {"every_tokens": 4096},
            "peak_tflops": 1.0,
        },
    }


def configured(folder: Path, out: Path, **train: Any) -> RunConfig:
    data = values(folder, out)
    data["train"] |= train
    return RunConfig.model_validate(data)


def trainer(config: RunConfig) -> Trainer:
    torch.set_num_threads(1)
    return Trainer(config, Place(0, 1, torch.device("cpu")))


def same_state(a: Trainer, b: Trainer) -> None:
    """Hold weights, biases and moments of two runs to one another, every bit."""
    one, two = a.model.state_dict(), b.model.state_dict()
    assert one.keys() == two.keys()
    assert [k for k in one if not torch.equal(one[k], two[k])] == []
    first, second = a.optimizer.state_dict(), b.optimizer.state_dict()
    assert first["state"].keys() == second["state"].keys()
    for key, moments in first["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, second["state"][key][name]), (key, name)
    assert first["param_groups"] == second["param_groups"]


def lines(out: Path, name: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in metrics.read(out, name)]


def metrics_lines(out: Path) -> list[str]:
    path = out / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "model.train"]


def kill_after(
    process: subprocess.Popen[bytes], out: Path, steps: int, end: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    """End a run once it has written so many steps; it must not end by itself before."""
    until = time.monotonic() + 200
    try:
        while len(metrics_lines(out)) < steps:
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < until
            time.sleep(0.002)
    finally:
        end(process)


def kill_one(process: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to a process without children."""
    process.kill()
    process.wait()
