"""All stages in a row: the funnel and the time of each stage."""

from benchmarks.tables._markdown import Json, blocks, taken_on


def render(result: Json) -> str:
    return blocks(
        "\n".join(f"    {line}".rstrip() for line in result["funnel"]),
        "Wall seconds, each with Spark's start: "
        + ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in result["wall_seconds"].items())
        + f". Data: {result['data']}.",
        taken_on(result, "end_to_end"),
    )
