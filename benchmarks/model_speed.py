"""Speed of training, and where its time goes: tokens a second, FLOP/s, MFU, memory, and the share of each part.

    python benchmarks/model_speed.py                                 # one-gpu on a GPU; without one, tiny on the CPU
    python benchmarks/model_speed.py --config configs/model/one-gpu.yaml --shards out/demo/tokenization --steps 20

It is the real trainer (model/training/trainer.py) with the config's shapes and batch, on the shards of `--shards`; without it on
the demo's, or on a GPU on 20 million tokens made as benchmarks/model_data.py makes them. FLOPs a token are the calculator's
(model/architecture/costs.py): recomputation is not counted. MFU is held to the data sheet's dense bf16 (benchmarks/devices.py).
A CPU has no such number: without a GPU it is held to the fastest square product of this very run; all by CPU time on one core,
since other work may be there.

Parts are timed in steps of their own, since timing a part on a GPU waits for it. Time is exclusive: of a part's own operations,
forward, backward and recomputed. The head's loss makes its gradients in the forward pass (model/architecture/head.py).
Evaluation, checkpoints and export are left out.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import devices
import machine
import torch
from torch import nn

from model.architecture.costs import parameters, training_flops
from model.training import trainer as training
from model.training.config import RunConfig, load
from model.training.ranks import Place
from model.training.trainer import Trainer

DEMO = Path("out/demo/tokenization")
MADE_TOKENS = 20_000_000

PARTS = (
    *("head and loss", "embedding", "attention", "dense network", "router", "routed experts", "shared experts"),
    *("norms and the rest of the layers", "clipping", "optimizer", "data loader", "balancing, metrics, rest"),
)
HEAD, EMBEDDING, LAYERS, CLIP, OPTIMIZER, LOADER, REST = (*PARTS[:2], *PARTS[7:])


class Clock:
    """Exclusive time of nested parts, in seconds: by the clock on a GPU, of CPU time without one."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.spent = dict.fromkeys(PARTS, 0.0)
        self.open: list[str] = []
        self.last = 0.0

    def now(self) -> float:
        devices.synchronise(self.device)
        return time.perf_counter() if self.device.type == "cuda" else time.process_time()

    def enter(self, part: str) -> None:
        now = self.now()
        if self.open:
            self.spent[self.open[-1]] += now - self.last
        self.open.append(part)
        self.last = now

    def leave(self, part: str) -> None:
        """:raises RuntimeError: another part is open."""
        if not self.open or self.open[-1] != part:
            raise RuntimeError(f"left {part!r}, while {self.open} are open")
        now = self.now()
        self.spent[self.open.pop()] += now - self.last
        self.last = now

    @contextlib.contextmanager
    def within(self, part: str) -> Iterator[None]:
        self.enter(part)
        try:
            yield
        finally:  # a recomputation ends in an exception once it has what it wants
            self.leave(part)

    def around(self, call: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.within(part):
                return call(*arguments, **named)

        return timed


class _Mark(torch.autograd.Function):
    """Identity that makes a call when the backward pass comes by."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, call: Callable[[], None]) -> torch.Tensor:
        ctx.call = call
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        ctx.call()
        return grad, None


def mark(x: torch.Tensor, call: Callable[[], None]) -> torch.Tensor:
    if not torch.is_grad_enabled() or not x.requires_grad:
        return x
    marked: torch.Tensor = _Mark.apply(x, call)
    return marked


def watch(trainer: Trainer, clock: Clock) -> Callable[[], None]:
    """Time the parts of a trainer. The backward pass runs in the reverse order of the forward pass: it meets the mark at a part's
    result first, and the one at its input last.

    :returns: to be called when a backward pass is over.
    """
    model = trainer.model

    def turn(leave: str, enter: str) -> Callable[[], None]:
        def call() -> None:
            clock.leave(leave)
            clock.enter(enter)

        return call

    def part_of(module: nn.Module, part: str) -> None:
        inner = module.forward

        def forward(*arguments: Any, **named: Any) -> Any:
            with clock.within(part):
                if "hidden_states" in named:  # attention has its input by name, the others by place
                    named["hidden_states"] = mark(named["hidden_states"], lambda: clock.leave(part))
                else:
                    arguments = (mark(arguments[0], lambda: clock.leave(part)), *arguments[1:])
                out = inner(*arguments, **named)
                if isinstance(out, torch.Tensor):
                    return mark(out, lambda: clock.enter(part))
                place = 1 if part == "router" else 0  # of what a router returns, the weights have a gradient
                return (*out[:place], mark(out[place], lambda: clock.enter(part)), *out[place + 1 :])

        module.forward = forward  # type: ignore[method-assign]

    for layer in model.model.layers:
        part_of(layer.self_attn, "attention")
        if hasattr(layer.mlp, "gate"):
            part_of(layer.mlp.gate, "router")
            part_of(layer.mlp.experts, "routed experts")
            part_of(layer.mlp.shared_experts, "shared experts")
        else:
            part_of(layer.mlp, "dense network")

    embed, layers, whole = model.model.embed_tokens.forward, model.model.forward, model.forward

    def embedding(ids: torch.Tensor) -> torch.Tensor:
        with clock.within(EMBEDDING):
            return mark(embed(ids), turn(LAYERS, EMBEDDING))

    def body(*arguments: Any, **named: Any) -> Any:
        with clock.within(LAYERS):
            out = layers(*arguments, **named)
            out.last_hidden_state = mark(out.last_hidden_state, turn(HEAD, LAYERS))
            return out

    def all_of_it(*arguments: Any, **named: Any) -> Any:
        settle()
        with clock.within(HEAD):
            total, losses = whole(*arguments, **named)
            return mark(total, lambda: clock.enter(HEAD)), losses

    def settle() -> None:
        """The embedding is where the backward pass ends, and has no input to mark."""
        if clock.open[-1] == EMBEDDING:
            clock.leave(EMBEDDING)

    model.model.embed_tokens.forward = embedding
    model.model.forward = body
    model.forward = all_of_it  # type: ignore[method-assign, assignment]
    trainer.optimizer.step = clock.around(trainer.optimizer.step, OPTIMIZER)  # type: ignore[method-assign]
    return settle


def breakdown(trainer: Trainer, steps: int) -> dict[str, float]:
    """Seconds of each part in so many steps; the trainer is watched from then on."""
    clock = Clock(trainer.place.device)
    settle = watch(trainer, clock)
    clip = training.clip

    def clipped(*arguments: Any, **named: Any) -> Any:
        settle()
        with clock.within(CLIP):
            return clip(*arguments, **named)

    training.clip = clipped
    try:
        with clock.within(REST):
            batches = trainer.steps()
            for _ in range(steps):
                with clock.within(LOADER):
                    batch = next(batches)
                trainer.train_step(batch)
    finally:
        training.clip = clip
    return clock.spent


def throughput(trainer: Trainer, steps: int, warm: int) -> dict[str, Any]:
    """Tokens a second of so many steps after `warm` others."""
    device = trainer.place.device
    batches = trainer.steps()
    for batch in itertools.islice(batches, warm):
        trainer.train_step(batch)
    devices.synchronise(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    tokens, wall, cpu = trainer.tokens, time.perf_counter(), time.process_time()
    losses = [trainer.train_step(batch)["loss"] for batch in itertools.islice(batches, steps)]
    devices.synchronise(device)
    wall, cpu, tokens = time.perf_counter() - wall, time.process_time() - cpu, trainer.tokens - tokens
    on_gpu = device.type == "cuda"
    peak = (
        torch.cuda.max_memory_allocated(device) if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "steps": len(losses),
        "tokens_a_step": tokens // max(1, len(losses)),
        "tokens_per_s": round(tokens / (wall if on_gpu else cpu), 1),
        "tokens_per_wall_s": round(tokens / wall, 1),
        "peak_memory_gib": round(peak / 2**30, 2),
        "last_loss": round(losses[-1], 3),
    }


def configured(path: str, shards: str, out: str, overrides: list[str], on_gpu: bool) -> RunConfig:
    """The config for a measurement: as long as it takes, nothing written."""
    defaults = [f"data.shards={shards}", f"out={out}", "train.tokens=1e15", "train.tensorboard=false"]
    return load(path, [*defaults, *([] if on_gpu else ["train.threads=1"]), *overrides])


def show(result: dict[str, Any], on_gpu: bool) -> str:
    """The table on the terminal."""
    speed, unit, scale = result["speed"], *(("TFLOP/s", 1.0) if on_gpu else ("GFLOP/s", 1e3))
    second, peak = "s" if on_gpu else "CPU s", result["peak_tflops"].get(result["precision"])
    lines = [
        f"tokens/{second:<10} {speed['tokens_per_s']:>12,.0f}   {speed['tokens_a_step']:,} tokens a step",
        f"FLOPs/token      {result['flops_per_token']:>12.4g}   training, recomputation not counted",
        f"{unit:<16} {result['tflops'] * scale:>12,.1f}",
        *(
            [f"MFU {result['tflops'] / peak:>25.1%}   of {peak * scale:,.0f} {unit}, {result['peak_is']}"]
            if peak
            else []
        ),
        f"peak memory, GiB {speed['peak_memory_gib']:>12.1f}",
        "",
    ]
    total = sum(result["parts_seconds"].values())
    for part, spent in sorted(result["parts_seconds"].items(), key=lambda x: -x[1]):
        lines.append(f"{part:<34} {spent / total:>7.1%}  {spent / result['parts_steps'] * 1e3:>9,.1f} ms a step")
    return "\n".join(lines)


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--config", help="a run's YAML; one-gpu on a GPU, tiny without one")
    parser.add_argument("--shards", help="folder of manifest.json")
    parser.add_argument("--steps", type=int, default=8, help="timed, then as many again for the parts; 8")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="try another value; saves nothing"
    )
    args = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    path = args.config or f"configs/model/{'one-gpu' if on_gpu else 'tiny'}.yaml"
    with tempfile.TemporaryDirectory() as folder:
        shards = args.shards or (str(DEMO) if DEMO.exists() and not on_gpu else None)
        if shards is None:
            from model_data import make_shards

            shards = f"{folder}/made"
            make_shards(Path(shards), MADE_TOKENS)
        config = configured(path, shards, f"{folder}/out", args.set, on_gpu)
        torch.set_num_threads(config.train.threads or torch.get_num_threads())
        device = torch.device("cuda" if on_gpu else "cpu")
        name = devices.describe(device)
        print(name if on_gpu else f"no GPU here: {name}; {path}, CPU time: this says nothing of a GPU", flush=True)
        trainer = Trainer(config, Place(0, 1, device))
        speed = throughput(trainer, args.steps, warm=3)
        types = {"bf16": torch.bfloat16} if on_gpu else {"bf16": torch.bfloat16, "fp32": torch.float32}
        measured = {k: round(devices.measured_tflops(device, t), 4) for k, t in types.items()}
        flops = training_flops(config.model, config.train.sequence_length)
        result = {
            "device": name,
            "gpu": on_gpu,
            "load_average": round(os.getloadavg()[0], 1),
            "torch": torch.__version__,
            "config": path,
            "model": config.model.preset,
            "parameters": parameters(config.model).total,
            "active": parameters(config.model).active,
            "sequence_length": config.train.sequence_length,
            "micro_batch": config.train.micro_batch,
            "precision": config.train.precision,
            "flops_per_token": flops,
            "speed": speed,
            "tflops": float(f"{speed['tokens_per_s'] * flops / 1e12:.4g}"),
            "peak_tflops": {"bf16": devices.peak_tflops(name)} if on_gpu else measured,
            "peak_is": "the data sheet's" if on_gpu else "a product of 1,024 x 1,024 matrices in this run",
            "measured_square_tflops": measured,
            "parts_steps": args.steps,
            "parts_seconds": {k: round(v, 4) for k, v in breakdown(trainer, args.steps).items()},
        }
    print(show(result, on_gpu), flush=True)
    if not args.set:
        machine.save("model_speed", result)


if __name__ == "__main__":
    main()
