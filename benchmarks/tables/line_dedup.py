"""Deduplication of lines: rows shuffled where one line is very common."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    rows = (
        cells(
            *(run["way"], f"{run['occurrences_of_hot_line']:,}", f"{run['wall_seconds']:,.0f}"),
            *(f"{run['shuffle_records']:,}", f"{run['largest_task_records_read']:,}"),
            f"{run['largest_task_bytes_read'] / 1e6:,.0f}",
        )
        for run in result["runs"]
    )
    header = "way | occurrences of one line | wall s | rows shuffled | largest task, rows | largest task, MB"
    return blocks(table(header, rows), taken_on(result, "line_dedup", "local[2]"))
