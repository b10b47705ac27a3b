"""Fixtures that several test packages share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data" / "sample"
SAMPLE_INPUTS = [str(SAMPLE / name) for name in ("pages", "crawl", "odd", "made")]


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
