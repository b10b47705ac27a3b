"""A step on two ranks of this machine, experts sharded or shared; and what drawing a share of dots.llm1's first weights costs.

python benchmarks/expert_parallel.py [--steps 8]

Two processes under torchrun, gloo, FP32, one thread each; made ids. With P = 1 each layer's experts are gathered on both ranks,
with P = 2 each has half of them and tokens travel. Memory of one machine is no network, and a CPU computes too slowly for any to
matter: this shows that both work and what they send, not what GPUs would gain. CPU time of both ranks stands beside wall time,
which other work on the machine changes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
import torch.distributed as dist

from model.architecture import costs
from model.architecture.build import build, initialise
from model.architecture.config import ModelOptions
from model.architecture.dots1 import dots1_config
from model.architecture.parallel import AdamW, clip, draw, shard
from model.architecture.router import Balance
from model.study import calculator

RANKS, SEQUENCE, SEQUENCES = 2, 256, 4
MODEL = ModelOptions(
    **{
        "vocab_size": 512,
        "hidden_size": 256,
        "intermediate_size": 512,
        "moe_intermediate_size": 256,
        "eos_token_id": 0,
    },
    **{"num_hidden_layers": 5, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 64},
    **{"n_routed_experts": 32, "num_experts_per_tok": 4, "n_shared_experts": 1, "max_position_embeddings": SEQUENCE},
)


def trainer(expert_parallel: int, rank: int) -> Any:
    """A function that trains one step and returns its loss."""
    device = torch.device("cpu")
    model = build(dots1_config(MODEL), attention="sdpa", experts="grouped_mm")
    shard(model, device, RANKS, expert_parallel)
    model.to_empty(device=device)
    initialise(model, 0, 0.02)
    optimizer, balance = AdamW(model.parameters(), lr=1e-3, fused=True), Balance(model)
    ids = torch.from_numpy(np.random.default_rng(rank).integers(1, MODEL.vocab_size, (SEQUENCES, SEQUENCE)))
    positions = torch.arange(SEQUENCE).repeat(SEQUENCES, 1)

    def step() -> float:
        balance.begin(torch.ones_like(ids, dtype=torch.bool))
        total, _ = model(ids, ids, positions)
        balance.end()
        (total / ids.numel()).backward()
        clip(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        balance.update(balance.take()[0], 1e-3)
        return float(total.detach()) / ids.numel()

    return step


def worker(steps: int, out: Path) -> None:
    """Steps of both ways in turn; the first rank writes what they took."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    ways = {shared: trainer(shared, rank) for shared in (1, RANKS)}
    measurements: dict[int, list[tuple[float, float, float]]] = {shared: [] for shared in ways}
    for number in range(steps + 1):
        for shared, step in ways.items():
            dist.barrier()
            wall, cpu = time.perf_counter(), time.process_time()
            loss = step()
            taken = torch.tensor([time.process_time() - cpu], dtype=torch.float64)
            wall = time.perf_counter() - wall
            dist.all_reduce(taken)
            if number:  # the first one allocates
                measurements[shared].append((wall, float(taken), loss))
    if rank == 0:
        out.write_text(json.dumps(measurements))
    dist.destroy_process_group()


def two_ranks(steps: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "measurements.json"
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(RANKS)]
        command = [*start, __file__, "--worker", str(out), "--steps", str(steps)]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        measurements = json.loads(out.read_text())
    rows = {}
    for shared, taken in measurements.items():
        d = calculator.devices(MODEL, RANKS, int(shared))
        tokens = SEQUENCE * SEQUENCES
        rows[f"P = {shared}"] = {
            "seconds_a_step": round(statistics.median(t[0] for t in taken), 3),
            "fastest": round(min(t[0] for t in taken), 3),
            "cpu_seconds_a_step": round(statistics.median(t[1] for t in taken), 3),
            "loss": round(taken[-1][2], 5),
            "gathered_and_reduced_megabytes": round(3 * d.moved * MODEL.moe_layers / 1e6, 1),
            "exchanged_megabytes": round(4 * 2 * d.exchanged * tokens * MODEL.moe_layers / 1e6, 1),  # FP32 here
        }
    parameters = costs.parameters(MODEL).total
    return {"steps": steps, "parameters": parameters, "tokens_of_a_rank": SEQUENCE * SEQUENCES, "ways": rows}


def first_weights() -> dict[str, Any]:
    """One rank's share of one layer's experts of dots.llm1, 256 ranks of which 8 share experts."""
    m = ModelOptions()
    experts, shares = m.n_routed_experts // 8, 256 // 8
    held, seconds = 0, time.process_time()
    for name, rows, columns in (
        ("gate_up_proj", 2 * m.moe_intermediate_size, m.hidden_size),
        ("down_proj", m.hidden_size, m.moe_intermediate_size),
    ):
        size = experts, rows // shares, columns
        part = torch.empty(size)
        draw(part, name, (m.n_routed_experts, rows, columns), size, (experts, 5 * size[1], 0), m.initializer_range)
        held += part.numel()
    seconds = time.process_time() - seconds
    return {
        "values_held_of_a_layer": held,
        "values_of_the_layer": m.n_routed_experts * costs.parameters(m).expert,
        "cpu_seconds_of_a_layer": round(seconds, 3),
        "layers": m.moe_layers,
    }


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--steps", type=int, default=8, help="of each way, after a first one that is not counted")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker is not None:
        worker(args.steps, args.worker)
        return
    torch.set_num_threads(1)
    machine.save(
        "expert_parallel",
        {"torch": torch.__version__, "two_ranks": two_ranks(args.steps), "first_weights": first_weights()},
    )


if __name__ == "__main__":
    main()
