"""Speed of training: tokens a second, use of the hardware, parts of a step."""

from benchmarks.tables._markdown import Json, blocks, cells, device, table, taken_on


def render(result: Json) -> str:
    unit, scale, second = ("TFLOP/s", 1.0, "s") if result["gpu"] else ("GFLOP/s", 1e3, "CPU s")
    speed, tflops, peak = result["speed"], result["tflops"], result["peak_tflops"].get(result["precision"])
    rows = [
        cells(f"tokens/{second}, steps of {speed['tokens_a_step']:,}", f"{speed['tokens_per_s']:,.0f}"),
        cells(f"{unit}, {result['flops_per_token']:.4g} FLOPs a token", f"{tflops * scale:,.1f}"),
        *([cells(f"MFU, of {peak * scale:,.0f} {unit}, {result['peak_is']}", f"{tflops / peak:.1%}")] if peak else []),
        cells("peak memory, GiB", f"{speed['peak_memory_gib']:.1f}"),
    ]
    seconds = result["parts_seconds"]
    parts = (
        cells(part, f"{spent / sum(seconds.values()):.1%}", f"{spent / result['parts_steps'] * 1e3:,.1f}")
        for part, spent in sorted(seconds.items(), key=lambda item: -item[1])
    )
    return blocks(
        table(f"`{result['model']}`, {result['precision']} | ", rows),
        table("part of a step | share | ms", parts),
        f"Load of the machine {result['load_average']}.",
        taken_on(result, "model_speed", device(result)),
    )
