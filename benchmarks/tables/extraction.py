"""Engines of extraction: quality and speed on two gold sets."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    types = ("article", "service", "listing", "forum", "product", "documentation", "collection")
    english = (
        cells(
            *(name, f"{s['f1']:.3f}", *(f"{s['f1_by_type'][kind]:.2f}" for kind in types)),
            *(f"{s['pages_per_cpu_s']:.0f}", f"{s['speed_to_default']:.2f}"),
            f"{s['ms_p50']:.0f} / {s['ms_p95']:.0f} / {s['ms_p99']:.0f}",
        )
        for name, s in result["tables"]["wcxb-dev"].items()
    )
    chinese = (
        cells(
            *(name, f"{s['f1']:.3f}", *(f"{s['f1_by_type'][kind]:.3f}" for kind in ("article", "forum"))),
            *(f"{s['pages_per_cpu_s']:.0f}", f"{s['speed_to_default']:.2f}"),
        )
        for name, s in result["tables"]["zh-gold"].items()
    )
    folds = (
        cells(name, f"{f1['cross_validated']:.3f}", f"{f1['shipped_constants']:.3f}")
        for name, f1 in result["tuning"].items()
        if "_" in name and "cross_validated" in f1
    )
    costs = result["costs"]
    return blocks(
        table(cells("WCXB-dev, word F1", "all", *types, "pages/CPU s", "x default", "ms p50 / p95 / p99"), english),
        table("zh-gold, 4-gram F1 | all | articles | forums | pages/CPU s | x default", chinese),
        table("constants | chosen on other hosts (5 folds) | as shipped", folds),
        f"Decoding costs {costs['decode_ms']:.2f} ms a page, the child process {costs['sandbox_overhead_ms']:.2f}. "
        f"Data: {result['data']}.\n{taken_on(result, 'engines')}",
    )
