"""What all Spark tests look at: every stage on all sample pages, run once. Tests leave it as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.spark.helpers import run_chain


@pytest.fixture(scope="session")
def chain(spark: Any, sample_inputs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_chain(tmp_path_factory.mktemp("chain"), sample_inputs, spark)
