"""Compiled functions are kept on disk under what they were made from, and only where no one else can write."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numba
import numpy as np
import pytest

from extraction.kernels import cache_folder, fingerprint

HELPERS = """
from extraction.kernels import helper
@helper
def inner(x):
    return x + {inner}
"""
MODULE = """
import numpy as np
from extraction.kernels import compiled
from helpers import inner
STEP = {step}
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
    """Result, and how often the disk had it; from a zip, as Spark's workers have the code."""
    with zipfile.ZipFile(folder / "code.zip", "w") as archive:  # all files in it are from 1980
        for name, text in (("kernel", MODULE.format(step=step)), ("helpers", HELPERS.format(inner=inner))):
            archive.writestr(zipfile.ZipInfo(f"{name}.py"), text)
    env = {
        **os.environ,
        "CORPUSMILL_CACHE": str(folder / "cache"),
        "PYTHONPATH": os.pathsep.join([str(folder / "code.zip"), os.getcwd(), *sys.path]),
    }
    done = subprocess.run([sys.executable, "-m", "kernel"], env=env, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_the_second_process_does_not_compile_and_any_change_does(tmp_path: Path) -> None:
    assert run(tmp_path) == [6, 0]
    assert run(tmp_path) == [6, 1]
    assert run(tmp_path, step=2) == [12, 0]
    assert run(tmp_path, inner=1) == [10, 0]  # a function of another module that it calls
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


@numba.njit  # type: ignore[untyped-decorator]
def doubled(x: float) -> float:
    return x * 2


def calls(x: float) -> float:
    return float(doubled(x))


def test_options_and_modules_are_part_of_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(calls)
    monkeypatch.setitem(globals(), "doubled", numba.njit(fastmath=True)(doubled.py_func))
    fast = fingerprint(calls)
    monkeypatch.setattr(calls, "__module__", "elsewhere")  # numba imports the module that machine code on disk names
    assert len({first, fast, fingerprint(calls)}) == 3
