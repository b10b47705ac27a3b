"""How the chain grows: CPU and memory by size, what is in no step, and what the estimate said."""

from __future__ import annotations

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    runs = result["runs"]
    sizes = [f"{run['pages']:,} pages" for run in runs]
    rows = [
        *(cells(stage, *(_stage(run, stage) for run in runs)) for stage in runs[0]["stages"]),
        cells("all", *(f"{sum(map(_cpu, run['stages'].values())):,.0f} s{_said(run)}" for run in runs)),
        cells("wall, two cores", *(f"{run['wall_seconds']:,.0f} s" for run in runs)),
        cells("memory at the peak: Python workers + JVM + driver", *(_memory(run) for run in runs)),
        cells("bytes written", *(_written(run) for run in runs)),
    ]
    grown = ", ".join(f"`{step}` {value:.2f}" for step, value in result["exponents"].items())
    return blocks(
        table(cells("CPU (outside steps, comparisons and shards); estimate before the run", *sizes), rows),
        f"Exponents from {sizes[0]} to {sizes[-1]}, of each step that takes 5 CPU seconds: {grown}.",
        taken_on(result, "growth"),
    )


def _cpu(stage: Json) -> float:
    return float(sum(stage["cpu_seconds"].values()))


def _stage(run: Json, stage: str) -> str:
    one = run["stages"][stage]
    work = sum(one["cpu_seconds"].get(name, 0.0) for name in ("steps", "comparisons", "shards"))
    outside = max(0.0, 1 - work / _cpu(one))
    said = f"; {run['estimated'][stage]:,.0f} s" if "estimated" in run else ""
    return f"{_cpu(one):,.0f} s ({100 * outside:.0f} %){said}"


def _said(run: Json) -> str:
    return f"; {sum(run['estimated'].values()):,.0f} s" if "estimated" in run else ""


def _memory(run: Json) -> str:
    peak = run["peak_gb"]
    return f"{peak['workers']:.1f} + {peak['jvm']:.1f} + {peak['driver']:.1f} GB"


def _written(run: Json) -> str:
    return f"{sum(one['bytes_written'] for one in run['stages'].values()) / 1e6:,.0f} MB"
