"""What steps cost on this machine: CPU seconds a row and the share that is kept, from the last large enough run of each stage.

Kept in `costs.json` in the cache folder (`extraction.kernels.cache_folder`); where nothing was run yet, the shipped figures of
`costs.json` beside this file count, from a chain over 40,000 made pages (`scripts/costs.py`, `benchmarks/growth.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from extraction.kernels import cache_folder
from pipeline.config import StageConfig
from pipeline.outputs import PassRecord, RunRecord
from pipeline.steps import Step

SHIPPED = Path(__file__).parent / "costs.json"
LEAST_ROWS = 200
"""Rows of a pass from which its times are worth keeping."""


@dataclass(frozen=True)
class StepCosts:
    """A step in one pass."""

    rows: int
    cpu_seconds: float
    kept: float
    """Share of the rows."""
    characters_in: int
    characters_out: int
    source: str = "here"
    """Where it was measured: `here`, or `shipped`."""


@dataclass(frozen=True)
class StageCosts:
    """A pass of a stage. CPU seconds."""

    rows: int
    input_bytes: int
    """Size of the crawl files; 0 for later stages."""
    steps: dict[str, StepCosts]
    between_steps: float
    """Reading, making and writing rows."""
    publish: float
    shards: float
    fixed: float
    """Start of Spark and its workers, plans, waiting: all that no row is to blame for."""
    source: str = "here"


def name_of(step: Step) -> str:
    """Names a step with its parameters: another model or another bound is another cost."""
    parameters = json.dumps(step.model_dump(mode="json"), sort_keys=True, default=str)
    return f"{step.step} {hashlib.sha256(parameters.encode()).hexdigest()[:8]}"


def measured(config: StageConfig, record: PassRecord) -> StageCosts:
    """The costs that the record of a pass tells."""
    steps: dict[str, StepCosts] = {}
    by_label = dict(zip(config.labels(), config.steps, strict=True))
    for label, count in record.steps.items():
        name = name_of(by_label[label]) if label in by_label else label
        kept = count.kept / count.rows_in if count.rows_in else 1.0
        steps[name] = StepCosts(count.rows_in, count.cpu_seconds, kept, count.characters_in, count.characters_out)
    cpu = record.cpu_seconds
    named = sum(cpu.get(n, 0.0) for n in ("steps", "rows", "comparisons", "publish", "shards"))
    sizes = (f.fingerprint.get("size", 0) for f in record.inputs) if config.kind.reads_crawl else ()
    return StageCosts(
        rows=record.rows_in,
        input_bytes=sum(sizes),
        steps=steps,
        between_steps=cpu.get("rows", 0.0),
        publish=cpu.get("publish", 0.0),
        shards=cpu.get("shards", 0.0),
        fixed=max(0.0, cpu.get("last_run", 0.0) - named),
    )


def remember(config: StageConfig, record: RunRecord) -> None:
    """Keep the costs of a record's last pass for later estimates, unless a much larger pass is kept. Never fails."""
    folder = cache_folder()
    one = record.last_pass
    if folder is None or one.rows_in < LEAST_ROWS or not one.cpu_seconds:
        return
    with contextlib.suppress(OSError, ValueError):
        path = folder / "costs.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        if known.get(config.stage, {}).get("rows", 0) > 10 * one.rows_in:
            return
        known[config.stage] = asdict(measured(config, one))
        scratch = path.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps(known))
        scratch.replace(path)


def known_costs() -> dict[str, StageCosts]:
    """Costs by stage: of this machine where it ran the stage, else the shipped ones."""
    data: dict[str, Any] = {}
    for path, source in ((SHIPPED, "shipped"), (_of_this_machine(), "here")):
        if path is not None and path.exists():
            with contextlib.suppress(OSError, ValueError):
                for stage, costs in json.loads(path.read_text()).items():
                    data[stage] = {**costs, "source": source}
    return {stage: _parsed(costs) for stage, costs in data.items()}


def _of_this_machine() -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / "costs.json"


def _parsed(data: dict[str, Any]) -> StageCosts:
    steps = {name: StepCosts(**{**of_step, "source": data["source"]}) for name, of_step in data["steps"].items()}
    return StageCosts(**{**data, "steps": steps})


def step_costs(costs: StageCosts, step: Step) -> StepCosts | None:
    """The costs of a step, with these parameters if they were measured, else with others; None for a step never run."""
    exact = costs.steps.get(name_of(step))
    if exact is not None:
        return exact
    return next((c for name, c in costs.steps.items() if name.split(" ")[0] == step.step), None)
