"""State of the stages under a folder: finished, running, or stopped on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

from pipeline import storage
from pipeline.outputs import LEASE, RUN, SUCCESS, gone_inputs, holder, read_manifest, read_record
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
    message: str = ""
    """Current work, or what to do next."""


def statuses(path: str) -> list[Status]:
    """State of an output, or of all stages under a folder. :raises UserError: if no run has begun there."""
    names = storage.names(path)
    if {RUN, "_work", LEASE} & set(names):
        return [status(path, None)]
    if not set(STAGES) & set(names):
        raise UserError(f"{path!r}: no stage output here, nor in {', '.join(STAGES)} under it; begin one with a run")
    outputs = {stage: storage.join(path, stage) for stage in STAGES}
    return [status(o, stage) if stage in names else Status(stage, o, "not begun") for stage, o in outputs.items()]


def status(output: str, stage: str | None) -> Status:
    """State of one stage output. :param stage: its stage, where the output does not say."""
    manifest = read_manifest(output)
    work = storage.join(output, "_work", "plan.json")
    plan: dict[str, Any] | None = storage.read_json(work) if storage.exists(work) else None
    name = manifest.stage if manifest is not None else plan["fingerprint"]["stage"] if plan else stage or "?"
    running = holder(output)
    state: State = "finished" if manifest is not None else "not begun"
    message = ""
    counts: tuple[int, int, int, str] = (0, 0, 0, "")
    record = None
    if manifest is not None:
        record = read_record(output)
        counts = (record.rows_in, record.kept, manifest.generations, record.last_pass.finished)
    if running is not None:
        age = time.time() - float(running["heartbeat"])
        heartbeat = f"process {running['pid']} on {running['host']}, heartbeat {age:.0f} s ago"
        state, message = "running", f"{heartbeat}; {_done(output, plan)}" if plan else heartbeat
    elif plan is not None:
        state, message = "stopped", f"{_done(output, plan)}; the same command goes on from there"
    elif manifest is not None and not storage.exists(storage.join(output, SUCCESS)):
        state, message = "stopped", "run it again"
    elif record is not None and manifest is not None and not STAGES[manifest.stage].reads_crawl:
        gone = gone_inputs(manifest, record.config["input"]["paths"])
        if gone:
            state = "stale"
            message = f"{len(gone)} files that it was made of were made again since; run it with run.overwrite=true"
    return Status(name, output, state, *counts, message)


def _done(output: str, plan: dict[str, Any]) -> str:
    """Progress of a plan's pass, from its receipts."""
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
