"""Grouped products: ways to multiply by experts, forward and backward."""

from benchmarks.tables._markdown import Json, blocks, cells, device, table, taken_on


def render(result: Json) -> str:
    unit, scale = ("TFLOP/s", 1.0) if result["gpu"] else ("GFLOP/s", 1e3)
    parts = [(way, part) for way in result["results"][0]["ways"] for part in ("forward", "backward")]

    def speed(case: Json, way: str, part: str) -> str:
        flops, loop = (case["ways"][name][f"{part}_tflops"] for name in (way, "loop"))
        return f"{flops * scale:,.0f}" + ("" if way == "loop" else f" ({flops / loop:.2f})")

    rows = (
        cells(
            *(case["product"], f"{len(case['sizes'])}, {case['groups']}", f"{sum(case['sizes']):,}", case["dtype"]),
            *(speed(case, way, part) for way, part in parts),
        )
        for case in result["results"]
    )
    peaks = ", ".join(f"{dtype} {peak * scale:,.0f}" for dtype, peak in result["peak_tflops"].items() if peak)
    return blocks(
        table(cells("product", "groups", "rows", "type", *(f"{way}, {part}" for way, part in parts)), rows),
        f"{unit}, in brackets to the loop's. Peak, {result['peak_is']}: {peaks} {unit}. "
        f"Load of the machine {result['load_average']}.",
        taken_on(result, "grouped_gemm", device(result)),
    )
