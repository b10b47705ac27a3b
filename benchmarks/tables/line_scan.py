"""Scan of HTML to lines: agreement with lexbor, speed, hostile pages."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    agreement = (
        cells(name, f"{a['pages']:,}", f"{a['mean']:.4f}", f"{a['p01']:.3f}", f"{a['share_from_0.99']:.1%}")
        for name, a in result["agreement"].items()
    )
    speed = (
        cells(name, f"{s['pages_per_cpu_s']:,}", s["mb_per_cpu_s"])
        for name, s in result["speed"].items()
        if isinstance(s, dict)
    )
    hostile = (cells(name, h["seconds_n"], h["seconds_4n"], h["ratio"]) for name, h in result["hostile"].items())
    start = result["start"]
    return blocks(
        table(
            "visible words against lexbor's tree, F1 a page | pages | mean | 1st percentile | 0.99 and more", agreement
        ),
        table(f"{result['speed']['pages']:,} pages | pages/CPU s | MB/CPU s", speed),
        table("50,000 and 200,000 times | CPU s | CPU s, 4 times as much | ratio", hostile),
        f"First page of a process: {start['first_in_a_process']} CPU s; the first on a machine, which compiles: "
        f"{start['first_on_a_machine']}.",
        taken_on(result, "line_scan"),
    )
