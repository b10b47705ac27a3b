"""Where a benchmark ran, for its results file."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


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
