"""What all Spark tests look at: every stage on all sample pages, run once. Tests leave it as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.spark.helpers import run_chain


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests, those that look at the chain go to one: it is made once."""
    for item in items:
        if "chain" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("chain"))


@pytest.fixture(scope="session")
def chain(spark: Any, sample_inputs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_chain(tmp_path_factory.mktemp("chain"), sample_inputs, spark)
