"""Hostile programs, with the walls that this machine gives and with limits alone."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest

from model.base.errors import SandboxError
from model.verification import sandbox
from model.verification.sandbox import Outcome, SandboxOptions, probe, run

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox needs Linux")

WALLED = sys.platform.startswith("linux") and probe().isolation == "namespaces"
needs_walls = pytest.mark.skipif(not WALLED, reason=f"no namespaces here: {probe().why if not WALLED else ''}")


@pytest.fixture(params=["best", "process"])
def options(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SandboxOptions:
    limits = SandboxOptions(isolation=request.param, seconds=3, cpu_seconds=2, memory_mb=256, disk_mb=1, processes=6)
    try:
        run("", "", limits)
    except SandboxError:  # root with an interpreter in a closed folder
        other = shutil.which("python3", path="/usr/bin:/usr/local/bin")
        if other is None:
            pytest.skip("no interpreter that another user than root may start")
        monkeypatch.setattr(sandbox, "_python", lambda: os.path.realpath(other))
    return limits


def alive(mark: str) -> bool:
    """Tell whether a process has `mark` in its command line or environment."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                if mark.encode() in (path / "cmdline").read_bytes():
                    return True
            except OSError:
                continue
    return False


@pytest.mark.parametrize(
    ("program", "tests", "status", "detail"),
    [
        ("def add(a, b):\n    return a + b", "assert add(2, 3) == 5", "passed", ""),
        ("def add(a, b):\n    return a - b", "assert add(2, 3) == 5", "failed", "AssertionError"),
        ("x = 1", "y", "failed", "NameError"),
        ("def add(", "pass", "error", "SyntaxError"),
        ("1 / 0", "pass", "error", "ZeroDivisionError"),
        ("import sys\nsys.exit(0)", "assert False", "error", "exit 0"),
        ("import os\nos._exit(0)", "assert False", "error", "ended before its tests"),
        ("import os\nos.write(3, b'x\\npassed\\n\\0')\nos._exit(0)", "assert False", "error", "ended before its tests"),
        ("import os\nos.kill(os.getpid(), 11)", "pass", "memory", "segmentation fault"),
        ("x = bytearray(10**10)", "pass", "memory", "MemoryError"),
        ("def f():\n    return f()\nf()", "pass", "error", "RecursionError"),
        ("import numpy", "pass", "error", "ModuleNotFoundError"),
        ("x = '很好 😀'\nprint(x)", "assert len(x) == 4", "passed", ""),
        ("class E(Exception):\n    def __str__(self):\n        raise self\nraise E", "pass", "error", "exception"),
    ],
)
def test_outcomes(options: SandboxOptions, program: str, tests: str, status: str, detail: str) -> None:
    outcome = run(program, tests, options)
    assert outcome.status == status, outcome
    assert detail in outcome.detail
    assert outcome.isolation == ("namespaces" if WALLED and options.isolation == "best" else "process")


def test_endless_loop(options: SandboxOptions) -> None:
    began = time.monotonic()
    outcome = run("while True:\n    pass", "pass", options.model_copy(update={"seconds": 1.0}))
    assert outcome.status == "timeout"
    assert 1.0 <= outcome.seconds < 3.0
    assert time.monotonic() - began < 20


def test_cpu_seconds(options: SandboxOptions) -> None:
    outcome = run("while True:\n    pass", "pass", options.model_copy(update={"seconds": 20.0, "cpu_seconds": 1}))
    assert outcome.status == "timeout"
    assert "CPU" in outcome.detail


def test_a_program_that_waits_and_ignores_signals(options: SandboxOptions) -> None:
    program = "import signal, time\nfor n in (1, 2, 15):\n    signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)"
    assert run(program, "pass", options.model_copy(update={"seconds": 0.5})).status == "timeout"


def test_forks_are_bounded_and_end(options: SandboxOptions) -> None:
    program = (
        "import os, time\nmade = 0\nfor _ in range(40):\n    try:\n        if os.fork() == 0:\n            time.sleep(60)\n"
        "        made += 1\n    except OSError as error:\n        break\nprint(made)"
    )
    outcome = run(program, "assert made < 40", options)
    if outcome.isolation == "process" and os.getuid() != 0:
        # The limit counts what else the user has running, which comes and goes; the supervisor counts too.
        assert outcome.status in ("passed", "error"), outcome
        return
    assert outcome.status == "passed", outcome
    assert int(outcome.output) < options.processes


def test_a_daemon_does_not_stay(options: SandboxOptions) -> None:
    mark = f"sandbox-daemon-{os.getpid()}-{options.isolation}"
    program = (
        "import os, sys\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(60)', '{mark}'])\n    os._exit(0)\n"
        "import time\ntime.sleep(0.5)"
    )
    assert run(program, "pass", options).status == "passed"
    assert not alive(mark)


def test_endless_printing_is_bounded(options: SandboxOptions) -> None:
    outcome = run("while True:\n    print('x' * 1000, flush=True)", "pass", options)
    assert outcome.status == "error"
    assert len(outcome.output) <= options.output_bytes
    assert outcome.output.endswith("x") or "File too large" in outcome.output + outcome.detail


def test_large_files_are_refused(options: SandboxOptions) -> None:
    outcome = run("with open('big', 'wb') as f:\n    f.write(bytes(5_000_000))", "pass", options)
    assert outcome.status == "error"


def test_nothing_of_the_environment(options: SandboxOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_PARENT", "1234")
    outcome = run("import os\nfound = dict(os.environ)", "assert set(found) <= {'LANG', 'LC_CTYPE'}, found", options)
    assert outcome.status == "passed", outcome


def test_killing_upwards(options: SandboxOptions) -> None:
    """Who kills its parent gains nothing; the caller lives, and the next run too."""
    outcome = run("import os\nos.kill(os.getppid(), 9)\nimport time\ntime.sleep(0.2)", "assert False", options)
    assert outcome.status in ("error", "failed")
    assert run("", "", options).status == "passed"


def test_many_open_files(options: SandboxOptions) -> None:
    assert "OSError" in run("files = [open('/dev/null') for _ in range(100)]", "pass", options).detail


@needs_walls
def test_no_file_outside(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("1234")
    tmp_path.chmod(0o755)
    program = (
        "found = []\nimport os\n"
        f"for path in ({str(secret)!r}, '/etc/passwd', '/etc/shadow', '/proc/1/environ', '/sys'):\n"
        "    if os.path.exists(path):\n        found.append(path)\n"
        f"for path in ({str(tmp_path / 'evil')!r}, '/evil', '/usr/evil', os.path.dirname(os.__file__) + '/evil'):\n"
        "    try:\n        open(path, 'w').close()\n    except OSError:\n        continue\n    found.append(path)\n"
        "open('/tmp/mine', 'w').write('x')\nhere = os.listdir('/tmp')"
    )
    outcome = run(program, "assert found == [], found\nassert here == ['mine'], here", SandboxOptions())
    assert outcome.status == "passed", outcome
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]


@needs_walls
def test_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=2)"
        outcome = run(program, "pass", SandboxOptions())
    assert outcome.status == "error"
    assert "unreachable" in outcome.detail or "refused" in outcome.detail


@needs_walls
def test_no_rights_and_no_neighbours() -> None:
    program = (
        "import os, ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "more = [libc.unshare(0x10000000 | 0x40000000), libc.mount(b'x', b'/tmp', b'tmpfs', 0, None), libc.chroot(b'/tmp')]\n"
        "libc.sethostname(b'x', 1)\nseen = os.getpid()"
    )
    outcome = run(program, "assert -1 in more and more[1:] == [-1, -1], more\nassert seen < 10", SandboxOptions())
    assert outcome.status == "passed", outcome


@needs_walls
def test_files_in_all_are_bounded() -> None:
    program = "for i in range(8):\n    with open(f'/tmp/{i}', 'wb') as f:\n        f.write(bytes(500_000))"
    assert "No space left" in run(program, "pass", SandboxOptions(disk_mb=1)).detail


def test_required_isolation_that_is_not_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "WALLS", False)
    with pytest.raises(SandboxError, match="expected them: isolation is 'required'"):
        run("", "", SandboxOptions(isolation="required"))


def test_nothing_is_left_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    descriptors = len(os.listdir("/proc/self/fd"))
    outcome = run("open('left', 'w').write('x')", "pass", SandboxOptions(isolation="best"))
    assert isinstance(outcome, Outcome)
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_it_says_what_is_in_force() -> None:
    assert sandbox.describe().startswith("sandbox: namespaces" if WALLED else "sandbox: process limits alone")
