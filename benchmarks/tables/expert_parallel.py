"""Expert parallelism on two ranks: time, bytes moved, first weights."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    two, first = result["two_ranks"], result["first_weights"]
    rows = (
        cells(
            *(way, f"{row['seconds_a_step']:.2f} ({row['fastest']:.2f})", f"{row['cpu_seconds_a_step']:.2f}"),
            f"{row['gathered_and_reduced_megabytes']:,.0f} MB",
            *(f"{row['exchanged_megabytes']:,.0f} MB", f"{row['loss']:.4f}"),
        )
        for way, row in two["ways"].items()
    )
    return blocks(
        table(" | s a step (fastest) | CPU s, both | weights gathered, gradients reduced | rows sent | loss", rows),
        f"Two ranks, {two['parameters']:,} parameters, {two['tokens_of_a_rank']:,} tokens a rank and step, FP32; medians of "
        f"{two['steps']} steps of each way, in turn. What is gathered and sent is counted, not measured.",
        f"First weights, one rank's share of one layer's experts of dots.llm1 (256 ranks, P = 8): "
        f"{first['cpu_seconds_of_a_layer']:.2f} CPU seconds for {first['values_held_of_a_layer']:,} of "
        f"{first['values_of_the_layer']:,} values; there are {first['layers']} such layers.",
        taken_on(result, "expert_parallel", ""),
    )
