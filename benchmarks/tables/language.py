"""Language identification: speed and pages kept, by what the model is shown; documents in two languages."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    pages = result["data"]["pages_with_text"]
    rows = (
        cells(name, f"{s['docs_per_s']:,}", *(f"{s['kept_in_the_expected_language'].get(p, 0):,}" for p in pages))
        for name, s in result["shown"].items()
    )
    kept = (f"{source} kept, of {count:,}" for source, count in pages.items())
    mixed = (
        cells(kind, m["documents"], m["right"], m["right_before"], f"{m['mean_error_of_the_share']:.3f}")
        for kind, m in result["mixed"].items()
    )
    return blocks(
        table(cells("what the model sees", "documents/CPU s", *kept), rows),
        table(
            "made of two pages | documents | kept in the language with more words | by the way before "
            "| mean error of the other's share",
            mixed,
        ),
        taken_on(result, "language"),
    )
