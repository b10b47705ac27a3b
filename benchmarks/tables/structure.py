"""What extraction keeps of the structure of pages: formulas."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def _share(counts: Json, name: str) -> str:
    return f"{counts.get(name, 0) / counts['formulas']:.1%}"


def formulas(result: Json) -> str:
    counted = result["formulas"]
    named = [*counted["by_form"].items(), *counted["by_set"].items(), ("all", counted["total"])]
    rows = (
        cells(
            name,
            f"{counts['formulas']:,}",
            _share(counts, "lines"),
            _share(counts, "kept"),
            _share(counts, "trafilatura"),
            counts.get("wrong_gold", 0),
        )
        for name, counts in named
    )
    theirs = f"trafilatura {result['trafilatura']}"
    return table(
        f"formulas of the gold, by their form | formulas | in the lines | kept | {theirs} | wrong in the gold", rows
    )


def render(result: Json) -> str:
    return blocks(formulas(result), taken_on(result, "structure", ""))
