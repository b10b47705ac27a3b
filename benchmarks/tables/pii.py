"""Personal data found in labelled snippets."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    halves = result["halves"]
    kinds = list(halves["held out"])
    rows = (
        cells(kind, *(f"{of[kind]['precision']:.3f} / {of[kind]['recall']:.3f}" for of in halves.values()))
        for kind in kinds
    )
    names = (f"{name} ({result['snippets'][name]} snippets)" for name in halves)
    return blocks(table(cells("precision / recall", *names), rows), taken_on(result, "pii", ""))
