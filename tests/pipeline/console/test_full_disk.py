"""A stage that stops since a disk is full names the folders and what is free on their disks."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.config import load
from pipeline.console import run

FULL = "OSError: [Errno 28] No space left on device"


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_the_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spark, output = tmp_path / "spark", tmp_path / "disk" / "out"
    spark.mkdir()
    (tmp_path / "disk").mkdir()
    config = load(
        Path("configs/rule_based.yaml"), [f"output.path={output}", f"spark.conf={{spark.local.dir: '{spark}'}}"]
    )
    free = {spark: Usage(100 * 10**9, 100 * 10**9, 0), tmp_path / "disk": Usage(10**12, 10**11, 9 * 10**11)}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free[path])
    lines = run._full_disks(config, FULL)
    assert any(str(spark) in line and "0.0 of 100.0 GB" in line and "<- full" in line for line in lines)
    assert any(str(output) in line and "900.0 of 1,000.0 GB" in line and "<- full" not in line for line in lines)


def test_other_errors_say_nothing_of_disks(tmp_path: Path) -> None:
    config = load(Path("configs/rule_based.yaml"), [f"output.path={tmp_path}"])
    assert run._full_disks(config, "ValueError: no such thing") == []
