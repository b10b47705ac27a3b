"""What the driver holds of a corpus: memory and time for many units, from the plan to the groups that are published.

    python benchmarks/driver.py [--units 500000]

Units and receipts are made: ranges of 2,000 rows of files of 10,000, each with a receipt of the rules' round as a run wrote it.
What a task does (reading receipts, adding them up) is done here too, a thousand at a time, and timed apart. Nothing is run by
Spark.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import Any

import machine
import numpy as np
import pyarrow as pa

from pipeline.config import load, shipped_configs
from pipeline.outputs import InputFile, StepCount
from pipeline.units import DONE, Done, Receipt, Sums, after_round, groups_of, stage_units

ROWS_A_FILE, ROWS_A_UNIT = 10_000, 2_000
AT_ONCE = 1_000


def receipts(n: int, first: int, labels: list[str]) -> list[bytes]:
    """Receipts of the rules' round, as bytes."""
    made = []
    for i in range(first, first + n):
        steps = {label: StepCount(2_000, characters_in=14_000_000, characters_out=13_900_000) for label in labels}
        for label, count in steps.items():
            count.dropped.update({f"{label}_too_low": i % 7, f"{label}_too_high": i % 3})
        start = i * ROWS_A_UNIT % ROWS_A_FILE
        unit_id = f"{i * ROWS_A_UNIT // ROWS_A_FILE:06d}-{start:09d}"
        chunk = f"round-1/chunks/{unit_id}-{i:012x}.parquet"
        one = Receipt(unit_id, chunk, start, 2_000, 1_700, 13_000_000, steps, {}, [], [], 1.5)
        made.append(one.to_bytes())
    return made


def folded(contents: list[bytes]) -> tuple[pa.Table, Sums]:
    """As `read_receipts`, from memory."""
    sums, rows = Sums(), []
    for content in contents:
        r = Receipt.from_bytes(content)
        sums.add(r)
        rows.append((r.start, r.rows, r.characters, r.chunk, None, [], []))
    arrays = [pa.array(list(c), f.type) for c, f in zip(zip(*rows, strict=True), DONE, strict=True)]
    return pa.Table.from_arrays(arrays, schema=DONE), sums


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--units", type=int, default=500_000)
    n = parser.parse_args().units
    labels = load(shipped_configs() / "rule_based.yaml").labels()
    files = [
        InputFile(f"s3://bucket/preparation/documents/verdict=kept/part-{i:06d}.parquet", {"rows": ROWS_A_FILE}, 0, i)
        for i in range(n * ROWS_A_UNIT // ROWS_A_FILE)
    ]
    made = receipts(AT_ONCE, 0, labels)
    size = len(made[0])
    began = time.process_time()
    table, sums = folded(made)
    in_tasks = (time.process_time() - began) / AT_ONCE * n
    gc.collect()
    tracemalloc.start()
    arrow = pa.total_allocated_bytes()
    began = time.process_time()
    units = stage_units(files, ROWS_A_UNIT)
    parts: list[tuple[pa.Table, Sums]] = []
    for first in range(0, n, AT_ONCE):
        chunks = [f"round-1/chunks/{i:020d}-{i:012x}.parquet" for i in range(first, first + AT_ONCE)]
        columns = {**{c: table[c] for c in DONE.names}, "chunk": pa.array(chunks)}
        starts = np.arange(first, first + AT_ONCE) * ROWS_A_UNIT % ROWS_A_FILE
        parts.append((pa.table({**columns, "start": pa.array(starts)}, schema=DONE), Sums.from_json(sums.to_json())))
    done = Done.together(parts)
    del parts
    units = after_round(units, done, split=False)
    groups = groups_of(units, done.table["characters"].to_pylist(), 300_000_000, "00000000")
    gc.collect()
    seconds = time.process_time() - began
    python_now, python_peak = tracemalloc.get_traced_memory()
    arrow_now = pa.total_allocated_bytes() - arrow
    held: dict[str, Any] = {"python": round(python_now / n, 1), "arrow": round(arrow_now / n, 1)}
    result = {
        "units": n,
        "groups": len(groups),
        "bytes_of_a_receipt": size,
        "bytes_held_a_unit": {**held, "sum": round(sum(held.values()), 1)},
        "python_bytes_at_the_peak_a_unit": round(python_peak / n, 1),
        "cpu_seconds_of_the_driver": round(seconds, 2),
        "cpu_seconds_in_tasks": round(in_tasks, 2),
    }
    print(result)
    machine.save("driver", result)


if __name__ == "__main__":
    main()
