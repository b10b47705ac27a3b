"""Load of experts over the course of training, from `experts.jsonl` of runs.

Shapes: B bins, S recorded steps, L layers with experts, E experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.base.arrays import Floats
from model.base.errors import AnalysisError
from model.base.tables import aligned
from model.study.expert_load.pictures import Panel, heat_maps
from model.training import metrics

BINS = 48
"""Columns of a picture over training, at most: the steps of one are summed."""
PICTURED_LAYERS = 6


@dataclass(frozen=True)
class Course:
    """Course of the load over a run, of its recorded steps (each tenth), summed into bins of as many tokens.

    :ivar share_BLE: choices of an expert / even, by bin; NaN where nothing was counted.
    """

    name: str
    layers: list[int]
    until_B: Floats
    share_BLE: Floats
    recorded: int


def course(run: Path, until: float, bins: int = BINS) -> Course:
    """Read the course of a run from `experts.jsonl`.

    :param until: tokens at the end of the last bin.
    :raises AnalysisError: no recorded step.
    """
    lines = [x for x in metrics.read(run, "experts") if x["tokens"] <= until]
    if not lines or not lines[0]["layers"]:
        raise AnalysisError(f"{run}: no loads in experts.jsonl; expected a run of model.train with experts")
    load_SLE = np.array([x["load"] for x in lines], dtype=np.float64)
    tokens_S = np.array([x["tokens"] for x in lines], dtype=np.float64)
    # A batch that grows puts fewer recorded steps into as many tokens: no bin narrower than the widest gap, so none is empty.
    bins = max(1, min(bins, int(until / np.diff(tokens_S, prepend=0.0).max())))
    place_S = np.minimum((tokens_S / until * bins).astype(np.int64), bins - 1)
    sums_BLE = np.zeros((bins, *load_SLE.shape[1:]))
    np.add.at(sums_BLE, place_S, load_SLE)
    total = sums_BLE.sum(-1, keepdims=True)
    share = np.divide(sums_BLE * load_SLE.shape[2], total, out=np.full_like(sums_BLE, np.nan), where=total > 0)
    return Course(run.name, lines[0]["layers"], np.arange(1, bins + 1) * until / bins, share, len(lines))


def last_tokens(run: Path) -> float:
    """Read the tokens of the last recorded step."""
    lines = metrics.read(run, "experts")
    if not lines:
        raise AnalysisError(f"{run}: no experts.jsonl; expected a run of model.train")
    return float(lines[-1]["tokens"])


def course_table(courses: Sequence[Course]) -> str:
    """Format each run and layer at the beginning, in the middle and at the end: the mean of a fifth of the bins."""
    rows = [["run", "layer"]]
    for part in ("first fifth", "middle", "last fifth"):
        rows[0] += [f"{part}: least", "most", "below 0.1"]
    for c in courses:
        bins = len(c.share_BLE)
        fifth = max(1, bins // 5)
        middle = (bins - fifth) // 2
        begins = [0, middle, bins - fifth]
        for place, layer in enumerate(c.layers):
            row = [c.name, str(layer)]
            for begin in begins:
                share = c.share_BLE[begin : begin + fifth, place].mean(0)
                row += [f"{share.min():.2f}", f"{share.max():.2f}", str(int((share < 0.1).sum()))]
            rows.append(row)
    return aligned(rows, left=2)


def course_picture(courses: Sequence[Course]) -> str:
    """Draw experts x tokens: a row a layer, a column a run."""
    layers = courses[0].layers
    chosen = np.unique(np.linspace(0, len(layers) - 1, min(PICTURED_LAYERS, len(layers))).round().astype(int))
    panels = []
    for i in chosen.tolist():
        for c in courses:
            labels = [_short(t) for t in c.until_B]
            experts = [str(e) for e in range(c.share_BLE.shape[2])]
            panels.append(Panel(f"{c.name}, layer {c.layers[i]}", c.share_BLE[:, i].T, experts, labels))
    return heat_maps(panels, per_row=len(courses), x_title="tokens", y_title="expert", width=384)


def _short(tokens: float) -> str:
    """Format a number of tokens with a unit."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if tokens >= size:
            return f"{tokens / size:.3g}{unit}"
    return f"{tokens:.0f}"
