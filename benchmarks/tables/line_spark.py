"""Speed of WARC to lines in Spark."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    columns = ("pages_per_s", "wall_s", "wall_with_start_s", "pages_per_cpu_s_of_the_step")
    rows = (
        cells(name, f"{s['pages']:,}", *(s[column] for column in columns))
        for name, s in result.items()
        if isinstance(s, dict) and "pages" in s
    )
    header = (
        "Spark, local[1], WARC to lines | pages | pages/s | s | s with Spark's start | pages/CPU s of the step alone"
    )
    return blocks(table(header, rows), taken_on(result, "line_spark"))
