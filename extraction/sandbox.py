"""Extraction in a child process: whatever a page does, it costs at most its deadline and one process.

Real and hostile pages make HTML libraries loop for hours, eat all memory or crash; one C call cannot be interrupted
from within. So pages go through a pipe to a child that is started by exec (never forked: the parent has threads), is
limited in address space, is ended by the kernel when a page has used up its CPU seconds, and ends by itself when its
stdin does: also when this process is killed. `benchmarks/engines.py` measures what the pipe costs a page.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
import weakref
from dataclasses import asdict

from extraction.work import Job, Outcome

START_SECONDS = 120.0
_CHUNK = 1 << 20
_PIPE_BYTES = 1 << 20  # the largest pipe that Linux gives to ordinary users
_F_SETPIPE_SZ = 1031


class SandboxError(RuntimeError):
    """The child cannot be started: a mistake in the installation, not in a page."""


class Sandbox:
    """A child process that extracts pages one at a time, started at the first page and again whenever it ended.

    :param deadline_seconds: CPU seconds a page may take.
    :param memory_mb: address space of the child, in MiB. Its memory comes on top of this process's: count it in
        `spark.executor.memoryOverhead`.
    :param recycle_pages: pages after which the child is replaced: what libraries leak stays bounded.
    """

    def __init__(self, job: Job, *, deadline_seconds: float, memory_mb: int, recycle_pages: int) -> None:
        self.job = job
        self.deadline_seconds = deadline_seconds
        self.memory_mb = memory_mb
        self.recycle_pages = recycle_pages
        self.children_started = 0
        # A backstop for what the CPU clock does not see (a stopped child); generous, since a busy machine is no
        # page's fault.
        self.wall_seconds = 10 * deadline_seconds + 60
        self._child: _Child | None = None
        self._past_cpu_seconds = 0.0

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds that all children have used, their start included."""
        return self._past_cpu_seconds + (self._child.cpu_seconds if self._child is not None else 0.0)

    @property
    def pid(self) -> int | None:
        """Process id of the running child, if there is one."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """Start the child now, to learn of a broken installation before the first page.

        :raises SandboxError: if it cannot be started.
        """
        self._running()

    def extract(
        self,
        html: bytes,
        declared_charset: str | None = None,
        url: str | None = None,
        content_type: str | None = None,
    ) -> Outcome:
        """Extract one page. Reasons besides those of `extract_bytes`: `timeout` (value: the deadline in CPU seconds,
        or the wall seconds waited), `out_of_memory` (the limit in MiB), `child_died` (signal or exit status).

        :raises SandboxError: if the child cannot be started.
        """
        child = self._running()
        header = json.dumps({"url": url, "declared_charset": declared_charset, "content_type": content_type}).encode()
        request = struct.pack(">II", len(header), len(html)) + header
        try:
            payload = child.exchange(request, html, self.wall_seconds)
        except _ChildTimeout:
            self._stop(kill=True)
            return Outcome(reason="timeout", value=self.wall_seconds)
        except _ChildEnded:
            status = self._stop()
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
                return Outcome(reason="timeout", value=self.deadline_seconds)
            return Outcome(reason="child_died", value=_status_name(status))
        outcome = Outcome.from_json(payload)
        if outcome.reason == "out_of_memory" or child.pages >= self.recycle_pages:
            self._stop()
        return outcome

    def close(self) -> None:
        """End the child. The next page starts another."""
        self._stop()

    def _running(self) -> _Child:
        if self._child is not None and self._child.owner != os.getpid():
            self._child = None  # this process was forked: the child is the parent's
        if self._child is None:
            options = {"job": asdict(self.job), "deadline_seconds": self.deadline_seconds, "memory_mb": self.memory_mb}
            self._child = _Child(options)
            self.children_started += 1
        return self._child

    def _stop(self, kill: bool = False) -> int:
        """End the child and take it off the process table. :returns: its wait status."""
        child, self._child = self._child, None
        if child is None:
            return 0
        status = child.stop(kill)
        self._past_cpu_seconds += child.cpu_seconds
        return status


class _ChildEnded(Exception):
    pass


class _ChildTimeout(Exception):
    pass


class _Child:
    def __init__(self, options: dict[str, object]) -> None:
        self.owner = os.getpid()
        self.pages = 0
        self.cpu_seconds = 0.0
        self._status: int | None = None
        # The child imports this very code, also when it lies in a zip that spark-submit put on sys.path.
        path = os.pathsep.join(os.path.abspath(p) for p in sys.path)
        env = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "extraction.child", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        for fd in (self._in, self._out):
            os.set_blocking(fd, False)
            _widen(fd)
        self._finalizer = weakref.finalize(self, _reap, self._process, os.getpid())
        try:
            self._read_frame(time.monotonic() + START_SECONDS)
        except (_ChildEnded, _ChildTimeout) as error:
            status = self.stop(kill=True)
            raise SandboxError(
                f"the extraction child did not start ({_status_name(status)}, options {json.dumps(options)}); "
                "its message is on stderr"
            ) from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def exchange(self, request: bytes, html: bytes, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        self.pages += 1
        with contextlib.suppress(_ChildEnded):  # it may have replied that the page is more than its memory
            self._write(request, deadline)
            self._write(html, deadline)
        return self._read_frame(deadline)

    def stop(self, kill: bool) -> int:
        """Close the pipe, which ends the child (or kill it), wait for it. :returns: its wait status."""
        if kill:
            self._process.kill()
        self._finalizer.detach()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return status

    def _write(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._in, view) :]
            except BlockingIOError:
                self._wait(self._in, select.POLLOUT, deadline)
            except BrokenPipeError as error:
                raise _ChildEnded from error

    def _read_frame(self, deadline: float) -> bytes:
        n, self.cpu_seconds = struct.unpack(">Id", self._read(12, deadline))
        return self._read(n, deadline)

    def _read(self, n: int, deadline: float) -> bytes:
        parts = []
        while n:
            try:
                part = os.read(self._out, min(n, _CHUNK))
            except BlockingIOError:
                self._wait(self._out, select.POLLIN, deadline)
                continue
            if not part:
                raise _ChildEnded
            parts.append(part)
            n -= len(part)
        return b"".join(parts)

    def _wait(self, fd: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(fd, event)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise _ChildTimeout


def _widen(fd: int) -> None:
    """A page then fits into the pipe, and the two processes take turns once instead of once every 64 KiB."""
    try:
        import fcntl

        fcntl.fcntl(fd, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:  # not Linux, or the user's pipe budget is spent: slower, not wrong
        return


def _reap(process: subprocess.Popen[bytes], owner: int) -> None:
    """Last resort for a sandbox that nobody closed: at garbage collection or at exit."""
    if os.getpid() != owner:
        return
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()


def _status_name(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.waitstatus_to_exitcode(status)}"
