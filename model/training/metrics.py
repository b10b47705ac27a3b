"""What a run says while it trains: JSON lines, TensorBoard, a line or a bar on the terminal, and spikes.

    metrics.jsonl       one line a step
    experts.jsonl       every `EXPERTS_EVERY` steps: choices of each expert, and biases, by layer
    evaluation.jsonl    one line an evaluation
    tensorboard/        the numbers of the first and last

    python -m model.metrics out/model/tiny out/model/tiny-unbalanced     # loss and load of runs, beside one another

A run that goes on from a checkpoint first cuts off what came after it, so the files are those of an uninterrupted run but for
times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EXPERTS_EVERY = 10
FILES = ("metrics", "experts", "evaluation")


class Spikes:
    """Is a loss far above those before it?"""

    def __init__(self, window: int, deviations: float, history: Sequence[float] = ()) -> None:
        self.window, self.deviations = window, deviations
        self.history = list(history)[-window:]

    @property
    def limit(self) -> float:
        """Median + k x MAD of the window; infinite until it is full."""
        if len(self.history) < self.window:
            return float("inf")
        median = statistics.median(self.history)
        return median + self.deviations * statistics.median(abs(x - median) for x in self.history)

    def add(self, loss: float) -> bool:
        """Whether `loss` is a spike; if not, it joins the window."""
        spike = not loss <= self.limit  # NaN is one too
        if not spike and loss < float("inf"):
            self.history = [*self.history, loss][-self.window :]
        return spike


class Writer:
    """The files of a run. On other ranks than the first, make none."""

    def __init__(self, out: Path, step: int, *, tensorboard: bool) -> None:
        """
        :param step: steps done; what the files have beyond is cut off.
        """
        out.mkdir(parents=True, exist_ok=True)
        self._files = {}
        for name in FILES:
            path = out / f"{name}.jsonl"
            old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            kept = [line for line in old if _step(line) <= step]
            path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            self._files[name] = path.open("a", encoding="utf-8")
        self._board: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1 if step else None)

    def write(self, name: str, line: dict[str, Any]) -> None:
        """One line of a file; numbers go to TensorBoard too, nested ones as `a/b`."""
        file = self._files[name]
        file.write(json.dumps(line) + "\n")
        file.flush()
        if self._board is not None and name != "experts":
            for key, value in _numbers(line):
                if key not in ("step", "tokens"):
                    self._board.add_scalar(f"{name}/{key}", value, line["step"])

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        if self._board is not None:
            self._board.close()


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError):  # the last line of a killed run may be a part of one
        return float("inf")


def _numbers(value: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    out: list[tuple[str, float]] = []
    for key, item in value.items():
        if isinstance(item, dict):
            out += _numbers(item, f"{prefix}{key}/")
        elif isinstance(item, (int, float)):
            out.append((prefix + key, float(item)))
    return out


class Progress:
    """A bar on a terminal, else a line every `every` seconds; silent on other ranks than the first."""

    def __init__(self, total: float, done: float, *, shown: bool, every: float = 10.0) -> None:
        self.total, self.every = total, every
        self._last = float("-inf")
        self._shown = shown
        self._bar: Any = None
        if shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")
            self._bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
            self._task = self._bar.add_task("training", total=total, completed=done)
            self._bar.start()

    def show(self, line: dict[str, Any], now: float, *, last: bool = False) -> None:
        text = (
            f"step {line['step']:,}  {line['tokens']:,} tokens  {line['stage']}  loss {line['loss']:.3f}  "
            f"norm {line['gradient_norm']:.2f}  MaxVio {line['max_violation']:.2f}  {line['tokens_per_s']:,.0f} tokens/s"
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=line["tokens"], description=text)
        elif self._shown and (last or now - self._last >= self.every):
            self._last = now
            print(text, flush=True)

    def say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        elif self._shown:
            print(text, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def read(run: Path, name: str) -> list[dict[str, Any]]:
    """The lines of a run's file."""
    path = run / f"{name}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def last_tenth(lines: Sequence[dict[str, Any]]) -> float | None:
    """Mean loss, by target, of the last tenth of the steps: of one step alone it depends on which documents it had."""
    part = lines[-max(1, len(lines) // 10) :]
    targets = sum(x["targets"] for x in part)
    return sum(x["loss"] * x["targets"] for x in part) / targets if targets else None


def compare(runs: Sequence[Path]) -> str:
    """Loss and expert load of runs, side by side."""
    rows: list[list[str]] = [["run", *(str(r) for r in runs)]]
    metrics = [read(r, "metrics") for r in runs]
    experts = [read(r, "experts") for r in runs]
    evaluations = [read(r, "evaluation") for r in runs]
    summaries = [json.loads((r / "summary.json").read_text()) if (r / "summary.json").exists() else {} for r in runs]

    def row(name: str, values: Sequence[float | None], form: str) -> None:
        rows.append([name, *("-" if v is None else format(v, form) for v in values)])

    row("tokens", [m[-1]["tokens"] for m in metrics], ",")
    row("unigram entropy of the same tokens", [s.get("unigram_entropy") for s in summaries], ".3f")
    row("training loss, last tenth of the steps", [last_tenth(m) for m in metrics], ".3f")
    row("validation loss", [e[-1]["all"]["loss"] if e else None for e in evaluations], ".3f")
    row("seconds", [s.get("seconds") for s in summaries], ".0f")
    common = min(m[-1]["step"] for m in metrics)
    rows.append([f"-- to step {common:,}, which all have", *("" for _ in runs)])
    lately = [[x["max_violation"] for x in m if common * 0.9 < x["step"] <= common] for m in metrics]
    row("worst MaxVio of the layers, last tenth", [statistics.mean(x) for x in lately], ".2f")
    spread = [_spread([e["load"] for e in es if e["step"] <= common][-10:]) if es else None for es in experts]
    row("busiest expert, share of its layer", [None if s is None else s[0] for s in spread], ".1%")
    row("idlest expert, share of its layer", [None if s is None else s[1] for s in spread], ".2%")
    row("experts below a tenth of the mean", [None if s is None else s[2] for s in spread], ".1%")
    widths = [max(len(r[i]) for r in rows) for i in range(len(runs) + 1)]
    return "\n".join(
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
        for r in rows
    )


def _spread(loads: Sequence[list[list[int]]]) -> tuple[float, float, float]:
    """Largest and smallest share of a layer's choices, and the share of experts with less than a tenth of the mean.

    :param loads: of the last ten recorded steps, by layer and expert; summed.
    """
    most, least, idle, experts = 0.0, 1.0, 0, 0
    for layer in zip(*loads, strict=True):
        load = [sum(step) for step in zip(*layer, strict=True)]
        total = max(1, sum(load))
        most, least = max(most, max(load) / total), min(least, min(load) / total)
        idle += sum(x < total / len(load) / 10 for x in load)
        experts += len(load)
    return most, least, idle / max(1, experts)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m model.metrics", description="Loss and expert load of runs.")
    parser.add_argument("runs", nargs="+", type=Path, help="folders that model.train wrote")
    options = parser.parse_args(arguments)
    for run in options.runs:
        lines = read(run, "metrics")
        if not lines or "max_violation" not in lines[0]:
            found = "its metrics.jsonl is of another command" if lines else "no metrics.jsonl"
            print(f"error: {run}: {found}; give folders that model.train wrote", file=sys.stderr)
            return 2
    print(compare(options.runs))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
