"""Line model: other models, and other decisions on how much to keep."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    kinds = ("article", "documentation", "service", "forum", "listing", "collection", "product")
    columns = ("wcxb-dev", *kinds, "zh-gold")
    models = (
        cells(name, *(f"{m[c]:.3f}" for c in columns), f"{m['AUC, English']:.3f} / {m['AUC, Chinese']:.3f}")
        for name, m in result["models"].items()
    )
    decisions = (cells(name, *(f"{f1[c]:.3f}" for c in columns)) for name, f1 in result["decisions"].items())
    return blocks(
        table(cells("model, the shipped decision", *columns, "line AUC, en / zh"), models),
        table(cells("how much to keep, the shipped model", *columns), decisions),
        taken_on(result, "clutter_models"),
    )
