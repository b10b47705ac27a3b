"""Reading of WARC files: pages a second."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    rows = (cells(way, f"{speed['pages_per_cpu_second']:,}") for way, speed in result["ways"].items())
    return blocks(table("reading WARC | pages/CPU s", rows), taken_on(result, "readers"))
