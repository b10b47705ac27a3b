"""Cases in a child process, one after the other, each under a limit of CPU seconds and of memory."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("records", "urls", "configs", "shards")

CPU_SECONDS = 30
"""Of a case, which works on its record some times over: three times the deadline of a page (`extract_text.deadline_seconds`)."""

WALL_SECONDS = 1800
"""Of a case: for what waits instead of working."""

PEAK_MB = 1200
"""What a case may add to the memory of the process at its peak: a body of 10 MB, and the 500 MB that `lines` says a page costs at
worst, once more for the table of rows."""

LEAK_MB = 400
"""What all cases of a child may leave behind, beyond what the first ones load."""

_WARM = 50


@dataclass(frozen=True)
class Case:
    """One case: a kind, and the seed that everything in it follows from."""

    kind: str
    seed: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.seed}"


@dataclass(frozen=True)
class Result:
    """What became of a case: what it made, as a digest, or why it failed."""

    case: Case
    digest: str | None
    error: str | None


def run(cases: Sequence[Case], *, hash_seed: int = 0, cpu_seconds: int = CPU_SECONDS) -> Iterator[Result]:
    """Run cases in order, in a child that is started again behind a case that ended it.

    :param hash_seed: PYTHONHASHSEED of the child, on which nothing may depend.
    """
    rest = list(cases)
    while rest:
        begun = 0
        with tempfile.TemporaryFile("w+") as errors:
            child = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.runner", str(cpu_seconds), *map(str, rest)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(hash_seed)},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            assert child.stdout is not None
            try:
                for line in child.stdout:
                    begun += 1
                    yield Result(rest[begun - 1], *json.loads(line))
            finally:
                child.stdout.close()
                child.kill()
                status = child.wait()
            errors.seek(0)
            message = errors.read()[-3000:]
        rest = rest[begun:]
        if rest:
            name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
            reason = {"SIGPROF": f"more than {cpu_seconds} CPU seconds", "SIGALRM": f"more than {WALL_SECONDS} s"}
            yield Result(rest.pop(0), None, f"the process died: {reason.get(name, name)}\n{message}")


def main() -> None:
    """The child: of the cases in its arguments a line of JSON each, `[digest, error]`, on what was standard output."""
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    faulthandler.enable()
    for number in (signal.SIGPROF, signal.SIGALRM):  # says where it hangs, then ends the process
        faulthandler.register(number, chain=True)
    cpu_seconds, cases = int(sys.argv[1]), sys.argv[2:]
    resting = 0
    for number, text in enumerate(cases):
        kind, _, seed = text.partition(":")
        module = importlib.import_module(f"tests.fuzz.{kind}")
        if hasattr(module, "prepare"):
            module.prepare()
        if number == _WARM:
            resting = _memory("VmRSS")
        error = digest = None
        before = _reset_peak()
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
        try:
            with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
                digest = module.check(random.Random(f"{kind}/{seed}"), Path(folder))
        except Exception:
            error = traceback.format_exc()[-3000:]
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        added = _memory("VmHWM") - before
        if error is None and added > PEAK_MB:
            error = f"{added} MB of memory at the peak, more than {PEAK_MB}"
        if error is None and resting and number == len(cases) - 1:
            gc.collect()
            left = _memory("VmRSS") - resting
            if left > LEAK_MB:
                error = f"all cases together have left {left} MB behind, more than {LEAK_MB}"
        results.write(json.dumps([digest, error]) + "\n")
        results.flush()


def _memory(name: str) -> int:
    """MB of the process: now (`VmRSS`), or at the peak since the last reset (`VmHWM`)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) // 1024
    return 0


def _reset_peak() -> int:
    """Begin a new peak. Returns MB of memory now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


if __name__ == "__main__":
    main()
