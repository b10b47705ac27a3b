"""Run a program that nobody has read, and its tests, in a process of its own: for checking a model's answers.

    outcome = run("def add(a, b):\\n    return a + b", "assert add(2, 3) == 5")
    outcome.status, outcome.detail, outcome.isolation

What holds it, by what the kernel permits (`probe()` says; `Outcome.isolation` says of each run):

- `namespaces`, where the caller is root or unprivileged user namespaces are permitted. Network: none. Files: a root of its own
  with system files and Python read-only, and a /tmp of `disk_mb`; nothing else exists. Processes: at most `processes`, with
  numbers of their own; all end with the first. The caller cannot be seen, nor signalled.
- `process`, else. Network and all files of the user are **open**. Processes: at most `processes` more than the
  user has, killed at the end. Started by another user than root, the program can kill its supervisor: then `error`.

Root becomes a user without a name for the candidate, since root is exempt from the limit on processes; where that user cannot
start the interpreter and there are no namespaces, the sandbox refuses.

Both: no environment, `python -I -S`, CPU seconds and address space of each process, size of each file and of the output, open
files, wall clock; then all that is left is killed.

It is **not** a wall against an attacker. The kernel is shared: an error in it is a way out. Memory is limited by process, not in
sum (`memory_mb` x `processes` at most); the machine's CPUs are not shared fairly; system files and timing are seen. A program
that is made to cheat its tests can: both run in one interpreter. For code of strangers, put the whole command in a container
of its own, or under gVisor or a virtual machine.

Linux only. No torch here.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import Field

from model.base.config import Options
from model.base.errors import SandboxError

Status = Literal["passed", "failed", "timeout", "error", "memory"]
"""failed: a test did not hold; error: the program itself raised, ended early or was killed."""

Isolation = Literal["namespaces", "process"]

WALLS = True
"""Whether namespaces are tried at all; a test of machines that have none switches this off."""


class SandboxOptions(Options):
    """Options of the sandbox: limits of one run."""

    isolation: Literal["required", "best", "process"] = Field(
        "required",
        description="required: stop unless namespaces are to be had; best: what there is, which is reported; process: no "
        "namespaces, for a container made for it",
    )
    seconds: float = Field(5.0, gt=0, description="wall clock")
    cpu_seconds: int = Field(5, ge=1, description="of each process")
    memory_mb: int = Field(512, ge=64, description="address space of each process")
    disk_mb: int = Field(16, ge=1, description="of /tmp in all (namespaces), and of each file")
    output_bytes: int = Field(65_536, ge=1024, description="kept of what it prints; more than disk_mb stops it")
    processes: int = Field(8, ge=1, description="at one time; threads count")


@dataclass(frozen=True)
class Outcome:
    """Outcome of a program.

    :ivar detail: the exception or the reason, in a line.
    :ivar output: the end of what it printed.
    :ivar seconds: wall clock.
    """

    status: Status
    detail: str
    output: str
    seconds: float
    isolation: Isolation


def _python() -> str:
    """Find the interpreter without its virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _visible() -> list[str]:
    """List what a program sees of the file system: the interpreter with its libraries, three devices. Links stay links."""
    system = ["/usr", "/lib", "/lib64", "/lib32", "/etc/ld.so.cache", "/dev/null", "/dev/zero", "/dev/urandom"]
    prefixes = {os.path.realpath(sys.base_prefix), os.path.realpath(sys.base_exec_prefix)}
    return system + sorted(p for p in prefixes if p != "/" and p != "/usr")


def _start(spec: dict[str, Any], report: int, output: int) -> subprocess.Popen[bytes]:
    """Start the supervisor, sandbox_child.py, in a session of its own."""
    source = importlib.resources.files("model.verification").joinpath("sandbox_child.py").read_text(encoding="utf-8")
    return subprocess.Popen(
        [_python(), "-I", "-S", "-B", "-c", source],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env={},
        cwd=spec["folder"],
        start_new_session=True,
        pass_fds=(report, spec["report_write"], output),
    )


def run(program: str, tests: str, options: SandboxOptions | None = None) -> Outcome:
    """Run `program`, then `tests` in its namespace.

    :raises SandboxError: isolation is required and not to be had, or this is no Linux.
    """
    options = options or SandboxOptions()
    lines, claim, printed = _supervised(program, tests, options)
    last = lines[-1] if lines else {}
    isolation: Isolation = "namespaces" if last.get("walled") else "process"
    if last.get("status") == "refused":
        raise SandboxError(_no_walls(lines, options))

    def outcome(status: Status, detail: str) -> Outcome:
        return Outcome(status, detail, printed, float(last.get("seconds", 0.0)), isolation)

    if not last:
        return outcome("error", "the supervisor was killed")
    if last["status"] == "timeout":
        return outcome("timeout", f"more than {options.seconds:g} s")
    if last["status"] == "processes":
        return outcome("error", f"more than {options.processes} processes")
    if claim is not None:
        return outcome(claim[0], claim[1])
    code = last["code"]
    if code in (128 + signal.SIGXCPU, 128 + signal.SIGKILL):
        return outcome("timeout", f"more than {options.cpu_seconds} s of CPU, or killed")
    if code == 128 + signal.SIGXFSZ:
        return outcome("error", f"a file or the output is above {options.disk_mb} MB")
    if code == 128 + signal.SIGSEGV:
        return outcome("memory", "segmentation fault, as where no memory is left for the stack")
    return outcome("error", f"ended before its tests had run (exit {code})")


def _supervised(
    program: str, tests: str, options: SandboxOptions
) -> tuple[list[dict[str, Any]], tuple[Status, str] | None, str]:
    """Run a program under the supervisor.

    :returns: lines of the supervisor, what the candidate said of itself, the end of what was printed.
    """
    if not sys.platform.startswith("linux"):
        raise SandboxError(f"the sandbox needs Linux, found {sys.platform}")
    token = secrets.token_hex(16)
    megabyte = 1 << 20
    disk = options.disk_mb * megabyte
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder, tempfile.TemporaryFile() as printed:
        reports, words = os.pipe(), os.pipe()
        rlimits = {
            "RLIMIT_AS": (options.memory_mb * megabyte,) * 2,
            "RLIMIT_CPU": (options.cpu_seconds, options.cpu_seconds + 1),
            "RLIMIT_FSIZE": (disk, disk),
            "RLIMIT_NOFILE": (64, 64),
            "RLIMIT_CORE": (0, 0),
        }
        if os.getuid() == 0 or _counts_by_namespace():  # else the supervisor sets it, above what the user has running
            rlimits["RLIMIT_NPROC"] = (options.processes, options.processes)
        spec: dict[str, Any] = {
            "folder": folder,
            "probe": False,
            "walls": WALLS and options.isolation != "process",
            "required": options.isolation == "required",
            "program": program,
            "tests": tests,
            "token": token,
            "seconds": options.seconds,
            "processes": options.processes,
            "disk_bytes": disk,
            "visible": _visible(),
            "python": _python(),
            "nobody": 61_000 + int(token[:4], 16) % 4000,  # a user of its own: the kernel counts processes by user
            "report": reports[1],
            "report_write": words[1],
            "output": printed.fileno(),
            "rlimits": rlimits,
        }
        try:
            child = _start(spec, reports[1], printed.fileno())
        finally:
            os.close(reports[1])
            os.close(words[1])
        try:
            with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
                child.communicate(json.dumps(spec).encode(), timeout=options.seconds + 30)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        lines = [json.loads(x) for x in _read(reports[0]).splitlines() if x.startswith(b"{")]
        claim = _said(_read(words[0]).decode("utf-8", "replace"), token)
        size = os.fstat(printed.fileno()).st_size
        printed.seek(max(0, size - options.output_bytes))
        text = printed.read(options.output_bytes).decode("utf-8", "replace")
    return lines, claim, text


def _counts_by_namespace() -> bool:
    """Tell whether the kernel counts a user's processes by user namespace: since Linux 5.14."""
    numbers = os.uname().release.split(".")
    return (int(numbers[0]), int(numbers[1].split("-")[0])) >= (5, 14)


def _read(descriptor: int) -> bytes:
    """Read what is in a pipe now; a process that outlived its end may hold the other end open."""
    os.set_blocking(descriptor, False)
    out = b""
    try:
        while part := os.read(descriptor, 65_536):
            out += part
            if len(out) > 1 << 20:
                break
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
    return out


def _said(text: str, token: str) -> tuple[Status, str] | None:
    """Read the candidate's first word; `passed` counts with the token alone, which it is given after its tests."""
    for message in text.split("\0")[:-1]:
        key, _, message_body = message.partition("\n")
        status, _, detail = message_body.partition("\n")
        if status == "passed":
            if key == token:
                return "passed", ""
        elif status in ("failed", "error", "memory"):
            return status, " ".join(detail.split())  # type: ignore[return-value]
    return None


@dataclass(frozen=True)
class Probe:
    """Isolation that this machine gives, and why it gives no more."""

    isolation: Isolation
    why: str


@cache
def probe() -> Probe:
    """Try the walls once, without a program."""
    options = SandboxOptions(isolation="best")
    spec_lines = _probe_lines(options)
    if spec_lines and spec_lines[-1].get("walled"):
        return Probe("namespaces", "")
    return Probe("process", _reason(spec_lines))


def _probe_lines(options: SandboxOptions) -> list[dict[str, Any]]:
    """Run the supervisor without a program, and read its lines."""
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder, tempfile.TemporaryFile() as printed:
        reading, writing = os.pipe()
        spec = {
            **{"folder": folder, "probe": True, "walls": True, "required": False, "report": writing},
            **{"report_write": writing, "disk_bytes": options.disk_mb << 20, "visible": _visible()},
        }
        child = _start(spec, writing, printed.fileno())
        os.close(writing)
        try:
            child.communicate(json.dumps(spec).encode(), timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        return [json.loads(x) for x in _read(reading).splitlines() if x.startswith(b"{")]


def _reason(lines: list[dict[str, Any]]) -> str:
    """Say why there are no namespaces."""
    return next((x["why"] for x in lines if x.get("why")), "the trial ended without a word")


def _no_walls(lines: list[dict[str, Any]], options: SandboxOptions) -> str:
    """Say why the sandbox refuses."""
    if options.isolation != "required":
        return f"no isolation to be had: {lines[-1]['why']}"
    return (
        f"found no namespaces ({_reason(lines)}), expected them: isolation is 'required'. Run as root or where unprivileged "
        "user namespaces are permitted, or set isolation to 'best' inside a container made for it"
    )


def describe() -> str:
    """Say in a line which isolation is in force."""
    probed = probe()
    if probed.isolation == "namespaces":
        return "sandbox: namespaces (no network, own root of files, own processes), limits on CPU, memory, files, time"
    return f"sandbox: process limits alone, network and files OPEN (no namespaces: {probed.why})"
