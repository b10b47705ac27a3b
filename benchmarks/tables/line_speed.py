"""Speed of the engine `lines` beside trafilatura's."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    rows = (
        cells(
            f"{name}, {of_set['pages']:,} pages of {of_set['bytes'] / of_set['pages'] / 1000:.0f} kB",
            *(
                f"{s['pages_per_cpu_s']:.0f} ({s['ms_p50']} / {s['ms_p99']} / {s['ms_max']})"
                for s in (of_set["lines"], of_set["trafilatura"])
            ),
            of_set["ratio"],
        )
        for name, of_set in result["sets"].items()
    )
    header = "bytes to text, by turns in one process | lines: pages/CPU s (ms p50 / p99 / max) | trafilatura | times"
    return blocks(table(header, rows), taken_on(result, "line_speed"))
