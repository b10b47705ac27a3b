"""Loss and expert load of runs, side by side."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from model.base.errors import AnalysisError
from model.base.tables import aligned
from model.training.metrics import last_tenth, read


def compare(runs: Sequence[Path]) -> str:
    """Make a table of loss and expert load, a column a run.

    :raises AnalysisError: a folder that `model.train` did not write.
    """
    rows: list[list[str]] = [["run", *(str(r) for r in runs)]]
    metrics = [read(r, "metrics") for r in runs]
    for run, lines in zip(runs, metrics, strict=True):
        if not lines or "max_violation" not in lines[0]:
            problem = "its metrics.jsonl is of another command" if lines else "no metrics.jsonl"
            raise AnalysisError(f"{run}: {problem}; give folders that model.train wrote")
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
    return aligned(rows)


def _spread(loads: Sequence[list[list[int]]]) -> tuple[float, float, float]:
    """Compute the largest and smallest share of a layer's choices, and the share of experts with less than a tenth of the mean.

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
