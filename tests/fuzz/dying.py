"""Cases that fail on purpose, of the kind `dying`: for the test of the runner."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path


def check(rng: random.Random, folder: Path) -> str:
    """End the process, loop, fail, or do nothing: one in four each."""
    match rng.randrange(4):
        case 0:
            os.kill(os.getpid(), signal.SIGKILL)
        case 1:
            while True:
                pass
        case 2:
            raise AssertionError("as it should")
    return "done"
