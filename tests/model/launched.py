"""Ending what torchrun started: its workers have sessions of their own and outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path


def kill(launcher: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to a launcher and its workers; return when none is left."""
    workers = [int(pid) for pid in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()]
    launcher.kill()  # first, or it would end the others by itself
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    launcher.wait()
    until = time.monotonic() + 60
    while any(running(worker) for worker in workers):
        if time.monotonic() > until:
            raise TimeoutError(f"workers {workers} are still there")
        time.sleep(0.01)


def running(pid: int) -> bool:
    """Tell whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
