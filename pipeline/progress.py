"""Progress of a stage: one bar over all its phases in a terminal, plain lines elsewhere.

A phase is a round of document steps, a comparison of documents, or publishing. A resumed run begins where the last one stopped.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class Progress:
    """Tells how far a stage is: phases, units, pages a second, time left."""

    def __init__(self, stage: str, stream: TextIO | None = None, every: float | None = None) -> None:
        self.stage = stage
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.every = every or (1.0 if self.terminal else 15.0)
        self.name = ""
        self.phases = 0
        self.number = 0
        self._console = Console(file=self.stream, highlight=False) if self.terminal else None
        self._bar: Bar | None = None

    def say(self, text: str) -> None:
        """One line for good."""
        if self._console is not None:
            self._console.print(f"[{self.stage}] {text}", markup=False, soft_wrap=True)
        else:
            print(f"[{self.stage}] {text}", file=self.stream, flush=True)

    @contextlib.contextmanager
    def whole(self, phases: int) -> Iterator[None]:
        """The stage from its first phase to its last."""
        self.phases, self.number = phases, 0
        if self._console is None:
            yield
            return
        columns = (
            TextColumn("[bold]{task.fields[stage]}"),
            BarColumn(30),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
        )
        with Bar(*columns, console=self._console, transient=True) as self._bar:
            self._bar.add_task("", total=phases, stage=self.stage)
            yield
        self._bar = None

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """One phase, whose units `units` follows if it has any."""
        self.name, self.number = name, self.number + 1
        self._show("", 0.0)
        yield

    @contextlib.contextmanager
    def units(self, total: int, done: int, counts: Callable[[], tuple[int, int]]) -> Iterator[None]:
        """Report on units while the block runs; `done` of them were finished before. `counts` gives the units and the pages
        done since: a few too many where a task was done twice, so for people alone."""
        stop = threading.Event()
        started = time.monotonic()

        def watch() -> None:
            while not stop.wait(self.every):
                new, pages = counts()
                n = min(done + new, total)
                self._show(_message(n, total, done, pages, time.monotonic() - started), n / total if total else 1.0)

        thread = threading.Thread(target=watch, daemon=True, name="progress")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        taken = time.monotonic() - started
        resumed = f", {done} of them found finished" if done else ""
        self.say(f"{self._place()}{self.name}: {total} of {total} units{resumed}, {taken:.1f} s")

    def _place(self) -> str:
        return f"{self.number}/{self.phases} " if self.phases else ""

    def _show(self, message: str, share: float) -> None:
        text = self._place() + self.name + (f": {message}" if message else "")
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self.number - 1 + share, description=text)
        elif self._console is None and message:
            print(f"[{self.stage}] {text}", file=self.stream, flush=True)


def _message(n: int, total: int, before: int, pages: int, elapsed: float) -> str:
    left = f", about {_time((total - n) * elapsed / (n - before))} left" if n > before else ""
    speed = f", {pages:,} pages, {pages / elapsed:,.0f} pages/s" if pages else ""
    return f"{n} of {total} units{speed}, {_time(elapsed)}{left}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
