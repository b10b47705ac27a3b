"""Where the stages under a folder are: finished, running, or stopped on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

from pipeline import storage
from pipeline.outputs import RUN, SUCCESS, gone_inputs, holder, read_manifest
from pipeline.stage import STAGES
from pipeline.strict import UserError

State = Literal["finished", "stale", "running", "stopped", "not begun"]


@dataclass(frozen=True)
class Status:
    """One stage's output."""

    stage: str
    output: str
    state: State
    rows_in: int = 0
    kept: int = 0
    generations: int = 0
    finished: str = ""
    told: str = ""
    """What it is doing, or what to do about it."""


def statuses(path: str) -> list[Status]:
    """Of an output, or of all stages under a folder. :raises UserError: if no run has begun there."""
    names = storage.names(path)
    if not {RUN, "_work", "_lease.json"} & set(names):
        found = [status(storage.join(path, stage), stage) for stage in STAGES if stage in names]
        begun = {s.stage for s in found}
        if not found:
            raise UserError(
                f"{path!r}: no stage output here, nor in {', '.join(STAGES)} under it; begin one with a run"
            )
        missing = [Status(stage, storage.join(path, stage), "not begun") for stage in STAGES if stage not in begun]
        return sorted(found + missing, key=lambda s: list(STAGES).index(s.stage))
    return [status(path, None)]


def status(output: str, stage: str | None) -> Status:
    """Of one output."""
    manifest = read_manifest(output)
    work = storage.join(output, "_work", "plan.json")
    plan: dict[str, Any] | None = storage.read_json(work) if storage.exists(work) else None
    name = manifest.stage if manifest is not None else plan["fingerprint"]["stage"] if plan else stage or "?"
    running = holder(output)
    rows_in = kept = generations = 0
    finished = ""
    if manifest is not None:
        record: dict[str, Any] = storage.read_json(storage.join(output, RUN))
        rows_in, kept = (sum(p[key] for p in record["passes"]) for key in ("rows_in", "kept"))
        generations, finished = manifest.generations, record["passes"][-1]["finished"]
    if running is not None:
        age = time.time() - float(running["heartbeat"])
        told = f"process {running['pid']} on {running['host']}, heartbeat {age:.0f} s ago"
        state: State = "running"
        told += f"; {_done(output, plan)}" if plan else ""
    elif plan is not None or (manifest is not None and not storage.exists(storage.join(output, SUCCESS))):
        state, told = (
            "stopped",
            f"{_done(output, plan)}; the same command goes on from there" if plan else "run it again",
        )
    else:
        state, told = ("finished", "") if manifest is not None else ("not begun", "")
        if manifest is not None and not STAGES[manifest.stage].reads_crawl:
            gone = gone_inputs(manifest, record["config"]["input"]["paths"])
            if gone:
                state = "stale"
                told = f"{len(gone)} files that it was made of were made again since; run it with run.overwrite=true"
    return Status(name, output, state, rows_in, kept, generations, finished, told)


def _done(output: str, plan: dict[str, Any] | None) -> str:
    """How far the pass of a plan is, from its receipts."""
    if plan is None:
        return ""
    work = storage.join(output, "_work")
    rounds: dict[int, int] = {}
    for run in (name for name in storage.names(work) if not name.endswith(".json")):
        for name in storage.names(storage.join(work, run)):
            if name.startswith("round-"):
                rounds[int(name[6:])] = len(storage.names(storage.join(work, run, name, "receipts")))
    if not rounds:
        return f"{len(plan['files'])} input files planned"
    last = max(rounds)
    of = f" of {len(plan['files'])}" if last == 0 else ""
    return f"round {last + 1}: {rounds[last]:,}{of} units done"
