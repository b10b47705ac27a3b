"""Data of the model: speed of the loader, packing, memory and resuming."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on

WAYS = ("concatenate", "best_fit", "whole corpus")


def render(result: Json) -> str:
    speed = (cells(way, f"{rate:.1f}") for way, rate in result["mtok_per_cpu_second"].items())
    packing = (
        cells(
            *(f"{name}, {int(length) // 1024}K", f"{row['longer_than_a_sequence']:.2%}"),
            *(f"{row[way]['cut']:.2%}" for way in WAYS),
            *(f"{row[way]['after_a_cut']:.1%}" for way in WAYS),
            *(f"{row[way]['padding']:.3%}" for way in WAYS),
        )
        for name, data in result["packing"].items()
        for length, row in data["by_length"].items()
    )
    columns = (f"{cost}: split | best fit | whole corpus" for cost in ("cut", "tokens after a cut", "padding"))
    sets = "; ".join(
        f"{name}: {d['documents']:,} documents, {d['tokens']:,} tokens, median {d['median']:,}, longest {d['longest']:,}"
        for name, d in result["packing"].items()
    )
    state, utk, peak = result["state"], result["utk"], result["peak_megabytes_by_lanes"]
    return blocks(
        table("way | Mtok/CPU s", speed),
        table(cells("packing", "longer than a sequence", *columns), packing),
        f"Tokens lost: none, in any of these ({sets}).",
        f"Untie the Knots at 32K on the made shards: {utk['marks']:.2%} of the places are marks and labels, {utk['padding']:.3%} "
        f"padding, {utk['targets']:.2%} have a target.",
        f"State of {state['lanes']} lanes: {state['bytes']:,} bytes of JSON. CPU seconds to the first batch of "
        f"{state['tokens_of_the_first_batch']:,} tokens, one sequence of each lane: "
        f"{state['cpu_seconds_from_the_start']:.2f} from the start, {state['cpu_seconds_from_a_state']:.2f} from a state.",
        f"Memory beside the imports: {peak['8']:,} MB with 8 lanes, {peak['64']:,} MB with 64.",
        f"Made shards: {result['made']['tokens']:,} tokens, {result['made']['bytes_per_token']} bytes a token.",
        taken_on(result, "model_data"),
    )
