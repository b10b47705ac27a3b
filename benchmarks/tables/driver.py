"""What the driver holds of a corpus."""

from __future__ import annotations

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    held = result["bytes_held_a_unit"]
    rows = (
        cells("bytes that the driver holds a unit", f"{held['sum']:,.0f}"),
        cells("of Python at the peak, beside Arrow's columns", f"{result['python_bytes_at_the_peak_a_unit']:,.0f}"),
        cells("bytes of a receipt of the rules' round, on the store", f"{result['bytes_of_a_receipt']:,}"),
        cells("CPU seconds of the driver, all units", f"{result['cpu_seconds_of_the_driver']:,.0f}"),
        cells("CPU seconds of tasks that add receipts up", f"{result['cpu_seconds_in_tasks']:,.0f}"),
    )
    return blocks(table(f"{result['units']:,} made units | ", rows), taken_on(result, "driver"))
