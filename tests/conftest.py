"""Fixtures that several test packages share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data" / "sample"
SAMPLE_INPUTS = [str(SAMPLE / name) for name in ("pages", "crawl", "odd", "made")]


CHAIN = ("chain", "browser", "components", "console", "report")
"""Files of Spark tests that look at the chain."""


def _share(nodeid: str) -> str:
    """What goes to one process where several share the tests: a file, since its tests look at what one of them made; the
    files that look at the chain."""
    file = nodeid.split("::")[0]
    return "chain" if file in {f"tests/spark/test_{name}.py" for name in CHAIN} else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left with it at the end."""
    items.sort(key=lambda item: (_share(item.nodeid) != "chain", not item.nodeid.startswith("tests/spark/")))


def pytest_configure(config: pytest.Config) -> None:
    """Compile once what all processes that share the tests, and the workers of their Spark, would compile side by side."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        subprocess.run(
            [sys.executable, "-c", "from extraction import extract; extract(b'<p>x')"], cwd=ROOT, check=False
        )


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As `--dist loadfile`, with `_share` for the file."""
    from xdist.scheduler import LoadFileScheduling

    class Shares(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _share(nodeid)

    config.option.loadscopereorder = False  # by number of tests, not by their time
    return Shares(config, log)


@pytest.fixture(scope="session")
def sample_inputs() -> list[str]:
    return SAMPLE_INPUTS


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """One session for all Spark tests."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pipeline.config import SparkConfig
    from pipeline.spark.session import get_session

    session = get_session(
        "tests", SparkConfig(master="local[2]", conf={"spark.ui.enabled": "false", "spark.driver.memory": "2g"})
    )
    yield session
    session.stop()
