"""Every command of the README, in order, in a fresh copy of the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STARTS = ("make ", "spark-submit ", "python ", ". scripts/")
EXAMPLES = {
    "crawl/, more.warc.gz": "data/sample/pages/zh-cwce.warc.gz, data/sample/crawl/",
}
"""What stands in the README for files of the reader's own, and what is used here."""


def commands() -> list[str]:
    """Indented lines that begin as a command does, with their continuation lines."""
    found: list[str] = []
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if found and found[-1].endswith("\\"):
            found[-1] = found[-1][:-1] + text
        elif line.startswith("    ") and text.startswith(STARTS):
            found.append(text.partition("  #")[0].strip())
    return found


def test_the_first_screen_shows_demo_and_test() -> None:
    assert commands()[:2] == ["make demo", "make test"]


@pytest.mark.long
def test_every_command_works(tmp_path: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    if (ROOT / ".java").exists():
        (tmp_path / ".java").symlink_to(ROOT / ".java")
    sentence = "The river rises in the hills and flows to the sea. "
    (tmp_path / "page.html").write_text(f"<html><body><article><p>{sentence * 40}</p></article></body></html>")
    (tmp_path / "takedowns.txt").write_text("example.com\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for command in commands():
        if command == "make test":
            continue
        command = {"make demo": "scripts/demo.sh"}.get(command, command)
        for given, used in EXAMPLES.items():
            command = command.replace(given, used)
        script = f". scripts/env.sh && {command}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert done.stdout.strip() or command.startswith(". "), f"{command} prints nothing"
