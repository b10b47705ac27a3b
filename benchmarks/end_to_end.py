"""All stages by spark-submit over a folder of crawl files: the funnel, and pages per CPU second by step.

    python benchmarks/end_to_end.py [--data DIR] [--out DIR] [--profile full|fast]

The CPU seconds are those of the steps themselves, from the receipts of the tasks; of the steps that compare documents, those
of the JVM and its workers while they ran. The wall time has Spark's start in it, four times.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

from pipeline.inspection.funnel import funnel_lines
from pipeline.outputs import read_run_records
from pipeline.stage import STAGES

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = machine.parser(__doc__, data="folder of pages", default=machine.data_or_sample())
    parser.add_argument("--out", help="where outputs go; a temporary folder if not given")
    parser.add_argument("--profile", default="full", choices=["full", "fast"])
    arguments = parser.parse_args()
    data = arguments.data
    inputs = [str(data / n) for n in ("html", "warc", "pages", "crawl", "odd", "made") if (data / n).is_dir()]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(arguments.out or scratch)
        walls = {}
        for i, stage in enumerate(STAGES):
            source = [str(p) for p in _crawl_files(inputs)] if i == 0 else [str(out / str(STAGES[stage].before))]
            settings = [f"input.paths={json.dumps(source)}", f"output.path={out / stage}"]
            if i == 0:
                settings.append(f"steps.extract_text.profile={arguments.profile}")
                # Small units keep both cores busy to the end: one file holds half of the pages.
                settings.append("run.unit_records=100")
            if stage == "tokenization":
                settings.append("steps.shards.shard_tokens=1000000")
            command = [
                "spark-submit",
                f"--driver-java-options=-Dlog4j2.configurationFile={ROOT}/pipeline/spark/log4j2.properties",
            ]
            command += [str(ROOT / "jobs" / f"{stage}.py"), "--config", str(ROOT / "configs" / f"{stage}.yaml")]
            command += [a for s in settings for a in ("--set", s)]
            began = time.monotonic()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=sys.stderr)
            walls[stage] = round(time.monotonic() - began, 1)
        records = list(read_run_records(str(out)).values())
    lines = funnel_lines(records)
    result = {
        "data": f"{len(_crawl_files(inputs))} files of {', '.join(Path(p).name for p in inputs)}",
        "profile": arguments.profile,
        "wall_seconds": walls,
        "funnel": lines,
        "versions": records[0].passes[0].versions,
    }
    name = "end_to_end" if arguments.profile == "full" else f"end_to_end-{arguments.profile}"
    machine.save(name, result)


def _crawl_files(folders: list[str]) -> list[Path]:
    """Crawl files under the folders; gold and page tables beside them are not crawl files."""
    paths = [p for f in folders for p in sorted(Path(f).rglob("*")) if p.is_file()]
    return [p for p in paths if p.suffix != ".md" and (".jsonl" not in p.name or p.parent.name == "made")]


if __name__ == "__main__":
    main()
