"""Progress of a phase: a line that redraws in a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

from pipeline import storage


class Progress:
    """Tells how many units of a phase are done, by counting receipts: what is counted is finished for good."""

    def __init__(self, stage: str, stream: TextIO | None = None, every: float | None = None) -> None:
        self.stage = stage
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.every = every or (1.0 if self.terminal else 15.0)
        self.name = ""

    def say(self, text: str) -> None:
        """One line for good."""
        start, end = ("\r", "\033[K\n") if self.terminal else ("", "\n")
        print(f"{start}[{self.stage}] {text}", end=end, file=self.stream, flush=True)

    @contextlib.contextmanager
    def phase(self, receipts: str, total: int, done: int) -> Iterator[None]:
        """Report on units that leave receipts in a folder while the block runs."""
        stop = threading.Event()
        started = time.monotonic()

        def watch() -> None:
            pause = self.every
            while not stop.wait(pause):
                began = time.monotonic()
                now = len(storage.names(receipts))
                # Listing 90,000 receipts on an object store takes seconds: a twentieth of the time is enough for it.
                pause = max(self.every, 20 * (time.monotonic() - began))
                self._show(now, total, done, time.monotonic() - started)

        thread = threading.Thread(target=watch, daemon=True, name="progress")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        taken = time.monotonic() - started
        resumed = f", {done} of them found finished" if done else ""
        self.say(f"{self.name}: {total} of {total} units{resumed}, {taken:.1f} s")

    def _show(self, now: int, total: int, before: int, elapsed: float) -> None:
        new = now - before
        left = f", about {(total - now) * elapsed / new:.0f} s left" if new > 0 else ""
        text = f"[{self.stage}] {self.name}: {now} of {total} units, {elapsed:.0f} s{left}"
        if self.terminal:
            print(f"\r{text}\033[K", end="", file=self.stream, flush=True)
        else:
            print(text, file=self.stream, flush=True)
