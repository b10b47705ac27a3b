"""What test_parallel.py runs on several ranks: `python -m tests.model.parallel_worker CASES.json` under torchrun.

A case is a folder's name, a run's options, a number of steps, and what to do on the way; it leaves lines.json and
weights.safetensors in its folder.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from model.architecture import parallel
from model.training.config import RunConfig
from model.training.ranks import Place, processes
from model.training.trainer import Trainer


def full(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Gather weights and biases, whole; all ranks call this."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights = cast("dict[str, torch.Tensor]", get_model_state_dict(trainer.model, options=options))
    return {k: v.clone().contiguous() for k, v in weights.items()}


def run(case: dict[str, Any], place: Place) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """Do some steps of a run; give the lines of metrics, with loads and biases, and the weights.

    :param case: `bias`: of the routers at the beginning; `wrong_scale`: gradients of experts are not divided by all ranks.
    """
    torch.set_num_threads(1)
    trainer = Trainer(RunConfig.model_validate(case["config"]), place)
    if case.get("bias"):
        for router in trainer.balance.routers:
            router.e_score_correction_bias.copy_(torch.tensor(case["bias"], dtype=torch.float32))
    if case.get("wrong_scale"):
        for module in trainer.model.modules():
            if isinstance(module, parallel.Experts):
                cast(Any, module).set_gradient_divide_factor(1.0)
    lines: list[dict[str, Any]] = []
    if case.get("first"):
        return lines, full(trainer)
    steps = trainer.steps()
    for _ in range(case["steps"]):
        line = trainer.train_step(next(steps))
        lines.append(line | {"load": trainer.load.tolist(), "bias": trainer.bias.tolist()})
    lines.append({"evaluation": trainer.evaluate()})
    return lines, full(trainer)


def main() -> None:
    cases = json.loads(Path(sys.argv[1]).read_text())
    with processes() as place:
        for case in cases:
            lines, weights = run(case, place)
            if place.rank == 0:
                folder = Path(case["folder"])
                folder.mkdir(parents=True)
                (folder / "lines.json").write_text(json.dumps(lines))
                save_file(weights, folder / "weights.safetensors")
        dist.barrier()
    # Runs are left in the middle here, with readers and groups alive; the interpreter's end aborted once in some twenty launches.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
