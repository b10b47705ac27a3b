"""The set-up scripts choose the right Java and Python, and say what is missing: tried with fake ones."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FAKE_JAVA = """#!/bin/sh
case "$*" in *jdk.incubator.vector*) [ {has_vector} = yes ] || exit 1 ;; esac
echo "    java.home = {home}" >&2
echo "    java.specification.version = {version}" >&2
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the scripts and `pyproject.toml`, as a clone has them, and an empty `bin/`."""
    root = tmp_path / "a clone"  # the space is meant
    shutil.copytree(ROOT / "scripts", root / "scripts")
    shutil.copyfile(ROOT / "pyproject.toml", root / "pyproject.toml")
    tools = root / "bin"
    tools.mkdir()
    for name in ("sh", "bash", "sed", "dirname", "cat", "env"):
        (tools / name).symlink_to(str(shutil.which(name)))
    return root


def make_java(home: Path, version: str, has_vector: bool = True) -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(FAKE_JAVA.format(home=home, version=version, has_vector="yes" if has_vector else "no"))
    java.chmod(0o755)
    return java


def run(clone: Path, script: str, **env: str) -> subprocess.CompletedProcess[str]:
    settings = {"PATH": str(clone / "bin"), **env}
    return subprocess.run(
        [clone / "scripts" / script], env=settings, capture_output=True, text=True, check=False, cwd=os.sep
    )


@pytest.mark.parametrize(
    ("java_home", "on_path", "local", "expected"),
    [
        ("17", None, None, "java_home"),
        ("21", "17", None, "java_home"),
        ("11", "17", None, "on_path"),
        ("1.8", "25", "25", "on_path"),
        (None, "17", "25", "on_path"),
        (None, "16", "25", "local"),
        ("17 without the module", None, "25", "local"),
        (None, None, "25", "local"),
        ("17 without the module", "16", None, None),
        (None, None, None, None),
    ],
)
def test_java_home(
    clone: Path, java_home: str | None, on_path: str | None, local: str | None, expected: str | None
) -> None:
    homes = {"java_home": clone / "jdk", "on_path": clone / "jre", "local": clone / ".java"}
    for name, version in (("java_home", java_home), ("on_path", on_path), ("local", local)):
        if version is not None:
            java = make_java(homes[name], version.split()[0], has_vector="without" not in version)
            if name == "on_path":
                (clone / "bin" / "java").symlink_to(java)
    done = run(clone, "java_home.sh", **({"JAVA_HOME": str(homes["java_home"])} if java_home else {}))
    if expected is None:
        assert (done.returncode, done.stdout) == (1, "")
    else:
        assert (done.returncode, done.stdout) == (0, f"{homes[expected]}\n")


def test_setup_without_a_new_python_says_so(clone: Path) -> None:
    old = clone / "bin" / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2"\nexit 1\n')
    old.chmod(0o755)
    done = run(clone, "setup.sh")
    assert done.returncode == 1
    assert "no Python 3.11 or later found (python3 is Python 3.9.2)" in done.stderr
    assert "PYTHON=/path/to/" in done.stderr


def test_env_before_setup_says_what_to_run(clone: Path) -> None:
    command = f'. "{clone}/scripts/env.sh"'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=clone)
    assert done.returncode == 1
    assert "run scripts/setup.sh (or make setup) first" in done.stderr
