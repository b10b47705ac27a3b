"""Shared parts of the benchmarks: options, the clock, and results with the machine they were taken on."""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results"


def parser(description: str | None, data: str | None = None, default: Path | None = None) -> argparse.ArgumentParser:
    """Parser of a script; with `--data` where `data` says what that folder holds."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data:
        options.add_argument("--data", type=Path, default=default or ROOT.parent / "shared" / "data", help=data)
    return options


def data_or_sample(*parts: str) -> Path:
    """The shared data, or a folder in it; the repository's sample where that is not there."""
    path = ROOT.parent.joinpath("shared", "data", *parts)
    return path if path.exists() else ROOT / "data" / "sample"


def tell(message: str) -> None:
    """Say on stderr how far a benchmark is."""
    print(message, file=sys.stderr, flush=True)


def fastest(call: Callable[..., T], *arguments: Any, passes: int = 3) -> tuple[float, T]:
    """CPU seconds of the fastest pass, and the result; garbage is collected before each, outside the clock."""
    best = math.inf
    for _ in range(passes):
        gc.collect()
        start = time.process_time()
        result = call(*arguments)
        best = min(best, time.process_time() - start)
    return best, result


def each(call: Callable[[T], object], items: Iterable[T]) -> None:
    """Call with one item after another."""
    for item in items:
        call(item)


def describe() -> dict[str, Any]:
    """Processor, cores, system, Python, and the commit measured (`+` if the work tree differs from it)."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    here = Path(__file__).parent
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout
    # Results that a benchmark before this one has just written change nothing that is measured.
    status = ["git", "status", "--porcelain", "--", "..", ":!results"]
    changed = subprocess.run(status, cwd=here, capture_output=True, text=True, check=True)
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": commit.strip() + ("+" if changed.stdout.strip() else ""),
    }


def save(name: str, result: dict[str, Any]) -> None:
    """Write `results/<name>.json`, with the machine, and print it."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": describe()} | result, indent=2, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)
