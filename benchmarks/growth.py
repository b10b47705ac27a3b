"""How the cost of the chain grows: every step's CPU seconds at several sizes, with exponents; what is in no step; memory.

    python benchmarks/growth.py [--pages 1200 10000 40000] [--keep DIR]

The pages are those of `made_crawl.py`. The chain runs as one Spark application (`corpusmill run`) on two cores. An exponent of
1 says that twice the pages take twice the time; it is given from the smallest to the largest size for each step that takes 5
CPU seconds. Before each run but the first `corpusmill estimate` is asked, which knows the runs before it alone (and the
shipped figures, where this machine has run nothing yet).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import machine
import made_crawl

from pipeline.config import load
from pipeline.inspection.estimate import estimate
from pipeline.outputs import read_run_records
from pipeline.stage import STAGES

LEAST_SECONDS = 5.0


class Memory(threading.Thread):
    """The largest sum of the resident memory of this process's descendants, by what they are."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.peak: dict[str, float] = {}

    def run(self) -> None:
        while not self.stop.wait(1.0):
            for kind, size in self._now().items():
                self.peak[kind] = max(self.peak.get(kind, 0.0), size)

    def _now(self) -> dict[str, float]:
        listed = subprocess.run(["ps", "-eo", "pid,ppid,rss,args"], capture_output=True, text=True, check=True).stdout
        rows = [line.split(None, 3) for line in listed.splitlines()[1:]]
        parent = {int(r[0]): int(r[1]) for r in rows}
        sizes = {"jvm": 0.0, "workers": 0.0, "driver": 0.0}
        for pid, _, rss, command in rows:
            ancestor = int(pid)
            while ancestor not in (0, 1, os.getpid()):
                ancestor = parent.get(ancestor, 0)
            if ancestor == os.getpid() and int(pid) != os.getpid():
                kind = "jvm" if "java" in command.split()[0] else "workers" if "pyspark" in command else "driver"
                sizes[kind] += int(rss) * 1024 / 1e9
        return sizes


def run(pages: int, source: Path, out: Path) -> dict[str, Any]:
    """Run the chain over a crawl."""
    memory = Memory()
    memory.start()
    began = time.monotonic()
    command = [sys.executable, "-m", "pipeline.console.app", "run", str(source), "--out", str(out)]
    for stage in ("preparation", "rule_based", "model_based", "tokenization"):
        command += ["--set", f"{stage}.spark.master=local[2]", "--set", f"{stage}.run.report=false"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    wall = time.monotonic() - began
    memory.stop.set()
    memory.join()
    stages = {}
    for record in read_run_records(str(out)).values():
        one = record.last_pass
        named = {n: s for n, s in one.cpu_seconds.items() if n != "last_run"}
        stages[record.stage] = {
            "rows_in": one.rows_in,
            "kept": one.kept,
            "wall_seconds": one.wall_seconds_of_last_run,
            "cpu_seconds": {**named, "other": round(one.cpu_seconds["last_run"] - sum(named.values()), 3)},
            "steps": {label: round(count.cpu_seconds, 2) for label, count in one.steps.items()},
            "bytes_written": sum(p.stat().st_size for p in (out / record.stage).rglob("*") if p.is_file()),
        }
    return {
        "pages": pages,
        "wall_seconds": round(wall, 1),
        "input_bytes": sum(p.stat().st_size for p in source.iterdir()),
        "peak_gb": {kind: round(size, 2) for kind, size in memory.peak.items()},
        "stages": stages,
    }


def estimated(pages: int, out: Path) -> dict[str, float]:
    """CPU seconds of each stage as `corpusmill estimate` tells them before a run."""
    configs = []
    for stage, kind in STAGES.items():
        places = [f"output.path={json.dumps(str(out / stage))}"]
        if kind.before is not None:
            places.append(f"input.paths={json.dumps([str(out / kind.before)])}")
        configs.append(load(Path("configs") / f"{stage}.yaml", places, stage))
    seconds: dict[str, float] = {}
    for line in estimate(configs, pages):
        seconds[line.stage] = seconds.get(line.stage, 0.0) + line.cost.cpu_seconds
    return {stage: round(value, 1) for stage, value in seconds.items()}


def exponents(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Of each step between the smallest and the largest run: log of CPU seconds over log of the pages that it got."""
    first, last = runs[0], runs[-1]
    grown = math.log(last["pages"] / first["pages"])
    out = {}
    for stage, of_last in last["stages"].items():
        of_first = first["stages"][stage]
        for step, seconds in of_last["steps"].items():
            before = of_first["steps"][step]
            if seconds >= LEAST_SECONDS and before >= LEAST_SECONDS / 10:
                out[f"{stage}.{step}"] = round(math.log(seconds / before) / grown, 2)
    return out


def main() -> None:
    parser = machine.parser(__doc__, data="folder of real pages", default=machine.data_or_sample("html"))
    parser.add_argument("--pages", type=int, nargs="+", default=[1_200, 10_000, 40_000])
    parser.add_argument(
        "--keep", type=Path, help="folder for crawls and outputs, to use again; a temporary one if not given"
    )
    arguments = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as scratch:
        base = arguments.keep or Path(scratch)
        for pages in sorted(arguments.pages):
            source, out = base / f"crawl-{pages}", base / f"out-{pages}"
            machine.tell(f"making {pages} pages")
            copies = made_crawl.make(source, pages, arguments.data)
            shutil.rmtree(out, ignore_errors=True)
            said = {"estimated": estimated(pages, out)} if runs else {}
            runs.append({**run(pages, source, out), "copies": copies, **said})
            machine.tell(json.dumps(runs[-1], indent=1))
    machine.save("growth", {"runs": runs, "exponents": exponents(runs) if len(runs) > 1 else {}})


if __name__ == "__main__":
    main()
