"""WARC files to kept lines inside Spark on one core: `python benchmarks/line_spark.py [--data DIR]`.

The preparation stage with nothing but reading, `record_filter` and `extract_text`, by spark-submit on `local[1]`,
over the pages of
`html/`; with the engine `lines` and, beside it, `trafilatura`. Pages per second are of the wall time of the stage's
pass (reading WARC,
extraction, Parquet written and committed), without Spark's start; per CPU second of the step they are of `extract_text` alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine

from pipeline.outputs import read_record

ROOT = Path(__file__).resolve().parent.parent


def stage(files: list[str], engine: str, out: Path) -> dict[str, Any]:
    steps = [{"step": "record_filter"}, {"step": "extract_text", "engine": engine}]
    config = {
        "stage": "preparation",
        "input": {"paths": files, "source": "bench"},
        "output": {"path": str(out)},
        "steps": steps,
    }
    file = out.with_suffix(".yaml")
    file.write_text(json.dumps(config))
    log = f"--driver-java-options=-Dlog4j2.configurationFile={ROOT}/pipeline/spark/log4j2.properties"
    command = [
        "spark-submit",
        "--master",
        "local[1]",
        log,
        str(ROOT / "jobs" / "preparation.py"),
        "--config",
        str(file),
    ]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    wall = time.monotonic() - began
    (one,) = read_record(str(out)).passes
    step = one.steps["extract_text"]
    return {
        "pages": step.rows_in,
        "kept": one.kept,
        "wall_with_start_s": round(wall, 1),
        "wall_s": round(one.wall_seconds_of_last_run, 1),
        "pages_per_s": round(step.rows_in / one.wall_seconds_of_last_run, 1),
        "pages_per_cpu_s_of_the_step": round(step.rows_in / step.cpu_seconds, 1),
    }


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/")
    files = sorted(str(p) for p in (parser.parse_args().data / "html").glob("*.warc.gz"))
    with tempfile.TemporaryDirectory() as folder:
        result = {engine: stage(files, engine, Path(folder) / engine) for engine in ("lines", "trafilatura")}
    machine.save("line_spark", {"files": [Path(f).name for f in files], **result})


if __name__ == "__main__":
    main()
