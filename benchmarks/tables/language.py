"""Language identification: speed and pages kept, by what the model is shown."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    pages = result["data"]["pages_with_text"]
    rows = (
        cells(name, f"{s['docs_per_s']:,}", *(f"{s['kept_in_the_expected_language'].get(p, 0):,}" for p in pages))
        for name, s in result["shown"].items()
    )
    kept = (f"{source} kept, of {count:,}" for source, count in pages.items())
    header = cells("what the model sees", "documents/CPU s", *kept)
    return blocks(table(header, rows), taken_on(result, "language"))
