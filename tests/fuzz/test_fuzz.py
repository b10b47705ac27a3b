"""Cases of the fuzzer; `python -m tests.fuzz KIND:SEED` runs one that failed."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.__main__ import cases_of
from tests.fuzz.runner import Case, run

SMALL = ("records:0-20", "urls:0-12", "configs:0-40", "shards:0-20")
LONG = {"records": 2500, "urls": 1000, "configs": 4000, "shards": 2500}
"""Cases by kind; a case of records mutates four, so these are 10,000."""

PER_TEST = 500


def fails(cases: list[Case]) -> dict[str, str]:
    """Why cases fail, by the argument that runs them alone."""
    return {str(result.case): result.error for result in run(cases) if result.error is not None}


def test_some_of_each() -> None:
    assert not fails([case for text in SMALL for case in cases_of(text)])


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "first"), [(kind, first) for kind, n in LONG.items() for first in range(0, n, PER_TEST)]
)
def test_many(kind: str, first: int) -> None:
    assert not fails([Case(kind, seed) for seed in range(first, min(first + PER_TEST, LONG[kind]))])


@pytest.mark.long
def test_a_seed_gives_the_same_in_another_process() -> None:
    cases = [case for text in SMALL for case in cases_of(text)]
    one, other = ({r.case: r.digest for r in run(cases, hash_seed=seed)} for seed in (1, 2))
    assert one == other


def test_a_case_that_dies_or_hangs_costs_itself_alone() -> None:
    """The kind `dying` does by its seed one of four things."""
    does = [random.Random(f"dying/{seed}").randrange(4) for seed in range(12)]
    assert set(does) == {0, 1, 2, 3}
    results = list(run([Case("dying", seed) for seed in range(12)], cpu_seconds=1))
    said = {0: "the process died: SIGKILL", 1: "more than 1 CPU seconds", 2: "AssertionError: as it should"}
    for what, result in zip(does, results, strict=True):
        assert said[what] in (result.error or "") if what in said else result.digest == "done", result
