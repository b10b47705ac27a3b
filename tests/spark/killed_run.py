"""Run a stage and SIGKILL the whole process group when the driver is about to write a file whose path ends in MOMENT.

python tests/spark/killed_run.py STAGE CONFIG [MOMENT]
"""

import os
import signal
import sys
from typing import Any

from pipeline import storage
from pipeline.console.app import main
from pipeline.console.run import stage_job

stage, config, *moments = sys.argv[1:]
write = storage.write_json


def write_or_die(path: str, data: Any) -> None:
    if any(path.endswith(m) for m in moments):
        os.killpg(0, signal.SIGKILL)
    write(path, data)


storage.write_json = write_or_die
raise SystemExit(main(["--config", config], stage_job(stage)))
