"""Speed of the engine `lines` beside trafilatura's."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    rows = (
        cells(name, s["pages_per_cpu_s"], f"{s['ms_p50']} / {s['ms_p99']} / {s['ms_max']}")
        for name, s in result.items()
        if isinstance(s, dict) and "ms_p50" in s
    )
    about = f"bytes to text, {result['pages']:,} pages, nothing else in the process"
    return blocks(
        table(cells(about, "pages/CPU s", "ms p50 / p99 / max"), rows),
        f"{result['ratio']} times trafilatura's speed.",
        taken_on(result, "line_speed"),
    )
