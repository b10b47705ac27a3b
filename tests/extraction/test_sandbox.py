"""Whatever a page does costs its deadline and one child."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from extraction import sandbox as module
from extraction.sandbox import Sandbox, SandboxError
from extraction.work import Job, extract_bytes

ROOT = Path(__file__).parents[2]
GOOD = ("<html><body><article><p>" + "A good page with text. 好的网页。" * 20 + "</p></article></body></html>").encode()


def body(html: str) -> bytes:
    return f"<html><body>{html}</body></html>".encode()


def running(pid: int) -> bool:
    """Whether a process still does anything: a zombie waits only for whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while running(pid):
        assert time.monotonic() < end, f"process {pid} still runs after {seconds} s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    box = Sandbox(Job(), deadline_seconds=1.0, memory_mb=2048, recycle_pages=1000)
    yield box
    box.close()


def test_the_same_as_in_this_process(sandbox: Sandbox) -> None:
    outcome = sandbox.extract(GOOD, "utf-8", "https://a.example/")
    assert outcome == extract_bytes(GOOD, "utf-8", "https://a.example/", Job())
    assert outcome.extraction is not None
    assert outcome.charset == "utf-8"


HOSTILE = {
    "100,000 attributes": (body("<div " + " ".join(f'a{i}="x"' for i in range(100_000)) + ">x</div>"), {"timeout"}),
    "100,000 nested divs": (body("<div>" * 100_000 + "x"), {"too_many_tags"}),
    "29,000 nested divs": (body("<div>" * 29_000 + "x"), {"timeout", "child_died", "out_of_memory", None}),
    "a text node of 10 MB": (body("word " * 2_000_000), {"html_too_large"}),
    "an unclosed comment": (body("<p>x</p><!-- " + "y" * 2_000_000), {None}),
    "an unclosed DOCTYPE": (b"<!DOCTYPE " + b"a" * 2_000_000, {None}),
    "a table of 50,000 rows": (body("<table>" + "<tr><td>a</td></tr>" * 50_000), {"too_many_tags"}),
    "a table of 7,000 rows": (body("<table>" + "<tr><td>a</td></tr>" * 7_000 + "</table>"), {None}),
    "29,000 spans": (body("<p>" + "<span>w " * 29_000), {None, "timeout"}),
    "random bytes": (random.Random(1).randbytes(300_000), {None}),
    "a PDF": (b"%PDF-1.4\n" + random.Random(2).randbytes(300_000), {None}),
    "NULs": (b"\0" * 300_000, {None}),
    "nothing": (b"", {None}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_end_within_the_deadline(sandbox: Sandbox, name: str) -> None:
    page, expected = HOSTILE[name]
    cpu = sandbox.cpu_seconds
    outcome = sandbox.extract(page)
    assert outcome.reason in expected
    assert (outcome.extraction is None) == (outcome.reason is not None)
    if outcome.reason == "timeout":
        assert outcome.value == 1.0
    assert sandbox.cpu_seconds - cpu < 1.0 + 2.0  # the deadline, and a new child's start
    assert sandbox.extract(GOOD).extraction is not None


def test_a_killed_child_is_recorded_and_replaced(sandbox: Sandbox) -> None:
    sandbox.extract(GOOD)
    pid, started, cpu = sandbox.pid, sandbox.children_started, sandbox.cpu_seconds
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    outcome = sandbox.extract(GOOD)
    assert (outcome.reason, outcome.value) == ("child_died", "SIGKILL")
    assert not Path(f"/proc/{pid}").exists()
    assert sandbox.extract(GOOD).extraction is not None
    assert sandbox.children_started == started + 1
    assert sandbox.cpu_seconds > cpu > 0


def test_children_are_recycled() -> None:
    box = Sandbox(Job(engine="resiliparse"), deadline_seconds=5, memory_mb=2048, recycle_pages=2)
    outcomes = [box.extract(GOOD) for _ in range(5)]
    assert box.children_started == 3
    assert outcomes == outcomes[:1] * 5
    pid = box.pid
    box.close()
    assert box.pid is None
    assert not Path(f"/proc/{pid}").exists()


def test_out_of_memory() -> None:
    box = Sandbox(Job(engine="resiliparse"), deadline_seconds=10, memory_mb=512, recycle_pages=100)
    assert box.extract(GOOD).extraction is not None
    outcome = box.extract(b"x" * 600_000_000)
    assert (outcome.reason, outcome.value) == ("out_of_memory", 512)
    assert box.extract(GOOD).extraction is not None
    box.close()


def test_a_stopped_child_meets_the_wall_clock() -> None:
    box = Sandbox(Job(engine="resiliparse"), deadline_seconds=5, memory_mb=2048, recycle_pages=100)
    box.wall_seconds = 0.5
    box.extract(GOOD)
    assert box.pid is not None
    os.kill(box.pid, signal.SIGSTOP)
    outcome = box.extract(GOOD)
    assert (outcome.reason, outcome.value) == ("timeout", 0.5)
    box.close()


def test_a_child_that_cannot_start_is_an_error_and_not_a_drop(capfd: pytest.CaptureFixture[str]) -> None:
    box = Sandbox(Job(engine="nope"), deadline_seconds=1, memory_mb=2048, recycle_pages=1)
    with pytest.raises(SandboxError, match="did not start"):
        box.extract(GOOD)
    assert "unknown engine 'nope'" in capfd.readouterr().err


def test_no_child_outlives_a_killed_parent() -> None:
    program = (
        "import sys, time\n"
        "from extraction.sandbox import Sandbox\n"
        "from extraction.work import Job\n"
        "box = Sandbox(Job('resiliparse'), deadline_seconds=5, memory_mb=2048, recycle_pages=9)\n"
        "box.extract(b'<p>x</p>')\n"
        "print(box.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert running(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until_gone(child, 5)


def test_a_forgotten_sandbox_takes_its_child_along() -> None:
    box = Sandbox(Job(engine="resiliparse"), deadline_seconds=5, memory_mb=2048, recycle_pages=9)
    box.extract(GOOD)
    pid = box.pid
    assert pid is not None
    del box
    wait_until_gone(pid, 5)


def test_the_child_finds_its_code_in_a_zip(tmp_path: Path) -> None:
    """As spark-submit --py-files puts it on sys.path."""
    code = tmp_path / "code.zip"
    with zipfile.ZipFile(code, "w") as archive:
        for file in (ROOT / "extraction").rglob("*.py"):
            archive.write(file, file.relative_to(ROOT))
    program = (
        f"import sys; sys.path.insert(0, {str(code)!r})\n"
        "from extraction.sandbox import Sandbox, __file__ as where\n"
        "from extraction.work import Job\n"
        "box = Sandbox(Job(), deadline_seconds=5, memory_mb=2048, recycle_pages=9)\n"
        "print(where, box.extract(b'<p>some text</p>').extraction.text)\n"
    )
    command = [sys.executable, "-I", "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(code))
    assert done.stdout.endswith("some text\n")


def test_status_names() -> None:
    assert module._status_name(signal.SIGSEGV) == "SIGSEGV"
    assert module._status_name(3 << 8) == "exit status 3"
