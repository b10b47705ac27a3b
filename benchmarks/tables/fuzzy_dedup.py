"""Fuzzy deduplication: time, memory and shuffle of the stage, and planted pairs found."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    runs = (
        cells(
            *(f"{run['documents']:,}", f"{run['wall_seconds']['stage']:,.0f}"),
            *(f"{run['documents_per_cpu_second']['fuzzy_dedup']:,}", run["peak_memory_gb"]["all"]),
            *(f"{run['shuffle']['shuffle_bytes'] / 1e6:,.0f}", f"{run['shuffle']['bytes_per_document']:,}"),
            *(f"{run['dropped']:,}", f"{run['quality']['dropped_against_survivor']['at_least_0.8']:.1%}"),
        )
        for run in result["runs"]
    )
    planted = (
        cells(similarity, pairs["pairs"], f"{pairs['found']:.3f}", f"{pairs['closed_form_of_candidates']:.3f}")
        for similarity, pairs in result["runs"][-1]["quality"]["planted_pairs_by_exact_jaccard"].items()
    )
    passes = ", ".join(f"{name} {p['documents_per_cpu_second']:,}" for name, p in result["signature_pass"].items())
    return blocks(
        table(
            "documents | wall s, whole stage | documents/CPU s, step | peak memory, GB | shuffle, MB "
            "| shuffle, bytes a document | dropped | of them >= 0.8 to the survivor",
            runs,
        ),
        f"The pass that reads and hashes, through Spark, documents/CPU s: {passes}.",
        table("planted pairs by exact Jaccard | pairs | one of the two gone | candidates by the closed form", planted),
        f"Data: {result['data']}; {result['spark']}.",
        taken_on(result, "fuzzy_dedup", "CPU of JVM and workers together"),
    )
