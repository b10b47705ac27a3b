"""Compiled functions are kept on disk under what they were made from, and only where no one else can write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from extraction.kernels import cache_folder, fingerprint

MODULE = """
import numba, numpy as np
from extraction.kernels import compiled
STEP = {step}
@numba.njit
def inner(x):
    return x + {inner}
@compiled("in:i8")
def total(values):
    out = 0
    for i in range(len(values)):
        out += inner(values[i]) * STEP
    return out
if __name__ == "__main__":
    print(total(np.arange(4)), sum(total._compiled.stats.cache_hits.values()))
"""


def run(folder: Path, step: int = 1, inner: int = 0) -> list[int]:
    """Result, and how often the disk had it."""
    file = folder / "kernel.py"
    file.write_text(MODULE.format(step=step, inner=inner))
    os.utime(file, (1, 1))  # neither time nor size of the file may be what tells
    env = {
        **os.environ,
        "CORPUSMILL_CACHE": str(folder / "cache"),
        "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path]),
    }
    done = subprocess.run([sys.executable, "-B", str(file)], env=env, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_the_second_process_does_not_compile_and_any_change_does(tmp_path: Path) -> None:
    assert run(tmp_path) == [6, 0]
    assert run(tmp_path) == [6, 1]
    assert run(tmp_path, step=2) == [12, 0]
    assert run(tmp_path, inner=1) == [10, 0]  # a function that it calls
    assert run(tmp_path) == [6, 1]


def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUSMILL_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o700
    (tmp_path / "mine").chmod(0o777)
    assert cache_folder() is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CORPUSMILL_CACHE", str(tmp_path / "file"))
    assert cache_folder() is None


TABLE = np.arange(3)
SETTINGS = {"a": 1}


@numba.njit  # type: ignore[untyped-decorator]
def reads_table(i: int) -> int:
    return int(TABLE[i])


@numba.njit  # type: ignore[untyped-decorator]
def reads_settings(i: int) -> int:
    return i + len(SETTINGS)


def test_what_a_function_reads_is_part_of_its_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(reads_table.py_func)
    monkeypatch.setitem(globals(), "TABLE", np.arange(4))
    assert fingerprint(reads_table.py_func) != first
    with pytest.raises(TypeError, match="uses SETTINGS, a dict"):
        fingerprint(reads_settings.py_func)
