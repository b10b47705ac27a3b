"""Metrics of a run while it trains: JSON lines, TensorBoard, a line or a bar on the terminal.

    metrics.jsonl       one line a step
    experts.jsonl       every `EXPERTS_EVERY` steps: choices of each expert, and biases, by layer
    evaluation.jsonl    one line an evaluation
    tensorboard/        the numbers of the first and last

A run that goes on from a checkpoint first cuts off what came after it, so the files are those of an uninterrupted run but for
times.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.base.files import write_text

EXPERTS_EVERY = 10
FILES = ("metrics", "experts", "evaluation")


class Writer:
    """Writer of a run's files, on the first rank alone."""

    def __init__(self, out: Path, step: int, *, tensorboard: bool) -> None:
        """Open the files.

        :param step: steps done; what the files have beyond is cut off.
        """
        out.mkdir(parents=True, exist_ok=True)
        self._files = {}
        for name in FILES:
            path = out / f"{name}.jsonl"
            old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            kept = [line for line in old if _step(line) <= step]
            write_text(path, "".join(f"{line}\n" for line in kept))
            self._files[name] = path.open("a", encoding="utf-8")
        self._board: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1 if step else None)

    def write(self, name: str, line: dict[str, Any]) -> None:
        """Write one line of a file; numbers go to TensorBoard too, nested ones as `a/b`."""
        file = self._files[name]
        file.write(json.dumps(line) + "\n")
        file.flush()
        if self._board is not None and name != "experts":
            for key, value in _numbers(line):
                if key not in ("step", "tokens"):
                    self._board.add_scalar(f"{name}/{key}", value, line["step"])

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        if self._board is not None:
            self._board.close()


def _step(line: str) -> float:
    """Read the step of a line; infinite for the part of a line that a killed run left."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError):  # the last line of a killed run may be a part of one
        return float("inf")


def _numbers(value: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """List the numbers of nested mappings, by path."""
    out: list[tuple[str, float]] = []
    for key, item in value.items():
        if isinstance(item, dict):
            out += _numbers(item, f"{prefix}{key}/")
        elif isinstance(item, (int, float)):
            out.append((prefix + key, float(item)))
    return out


class Progress:
    """Progress of a run: a bar on a terminal, else a line every `every` seconds; silent on other ranks than the first."""

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
        """Show a step."""
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
        """Print a line."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        elif self._shown:
            print(text, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()


def read(run: Path, name: str) -> list[dict[str, Any]]:
    """Read the lines of a run's file."""
    path = run / f"{name}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def last_tenth(lines: Sequence[dict[str, Any]]) -> float | None:
    """Compute the mean loss, by target, of the last tenth of the steps: that of one step depends on which documents it had."""
    part = lines[-max(1, len(lines) // 10) :]
    targets = sum(x["targets"] for x in part)
    return sum(x["loss"] * x["targets"] for x in part) / targets if targets else None
