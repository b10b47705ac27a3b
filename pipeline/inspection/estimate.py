"""Estimate what a stage's comparisons of documents need, before it starts: `--set run.estimate_only=true`.

The constants are in the steps, each from a benchmark of this repository; times are of processors like that of the benchmark.
"""

from __future__ import annotations

from pipeline.config import StageConfig
from pipeline.outputs import read_record
from pipeline.steps import Cost, CrossDocumentStep
from pipeline.strict import UserError


def input_size(config: StageConfig) -> tuple[int, int]:
    """Count the documents and characters that the input outputs hold, from their run records.

    :raises UserError: for the first stage, whose crawl files do not tell how many pages they hold; if an input is not finished.
    """
    if config.kind.reads_crawl:
        raise UserError("run.estimate_only needs the counts of an earlier stage: crawl files do not tell their pages")
    documents = characters = 0
    for path in config.input.paths:
        record = read_record(path)
        documents += record.kept
        characters += sum(
            [count.characters_out for count in one.steps.values()][-1] for one in record.passes if one.steps
        )
    return documents, characters


def estimate(config: StageConfig) -> dict[str, Cost]:
    """The cost of each comparison, all documents of the input taken to reach it: an upper bound."""
    documents, characters = input_size(config)
    return {
        label: step.cost(documents, characters)
        for label, step in zip(config.labels(), config.steps, strict=True)
        if isinstance(step, CrossDocumentStep)
    }


def estimate_lines(config: StageConfig, cores: int) -> list[str]:
    """The estimate as a table, and what it means for so many cores."""
    documents, characters = input_size(config)
    costs = estimate(config)
    lines = [
        f"{documents:,} documents, {characters:,} characters",
        f"{'step':<16} {'core hours':>12} {'on ' + str(cores) + ' cores':>14} {'shuffle':>10} {'disk':>10}",
    ]
    for label, cost in costs.items():
        hours = cost.cpu_seconds / 3600
        lines.append(
            f"{label:<16} {hours:>12,.2f} {_time(cost.cpu_seconds / cores):>14} "
            f"{_size(cost.shuffle_bytes):>10} {_size(cost.disk_bytes):>10}"
        )
    lines.append("memory: 4 GB for the driver and 2 GB a core, whatever the number of documents (docs/cluster.md)")
    return lines


def _size(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 1000 or unit == "TB":
            return f"{n:,.1f} {unit}" if unit != "B" else f"{n:,.0f} B"
        n /= 1000
    raise AssertionError


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
