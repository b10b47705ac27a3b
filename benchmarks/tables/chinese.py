"""Chinese in two scripts: what is told of texts, mirrors found with the option and without, false pairs, cost."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on

STEPS = ("exact_dedup", "line_dedup", "fuzzy_dedup", "semantic_dedup")
WORDS = {
    "simplified": "simplified",
    "s2t": "traditional",
    "s2tw": "as in Taiwan",
    "s2twp": "with Taiwan's words",
    "s2hk": "as in Hong Kong",
}


def render(result: Json) -> str:
    n = result["pages"]
    told = (
        cells(f"{kind}: {WORDS[name]}", *counts.values())
        for kind, names in result["script"].items()
        if kind != "Japanese lines"
        for name, counts in names.items()
    )
    japanese = result["script"]["Japanese lines"]
    mirrors = (
        cells(f"{WORDS[name]}, {way} `unify_scripts`", *(_found(step, ways[way][step], n) for step in STEPS))
        for name, ways in result["mirrors"].items()
        for way in ("without", "with")
    )
    pairs, lines, cost = result["near_pairs_of_the_pages"], result["lines"], result["cost"]
    return blocks(
        table(
            f"{n:,} pages | Hans | Hant | not told | not Chinese",
            [*told, cells("lines in Han characters alone of Japanese pages", *japanese.values())],
        ),
        table(cells("mirrors found", *(f"`{step}`" for step in STEPS)), mirrors),
        table(
            cells("with the option", *(f"`{step}`" for step in STEPS)),
            [cells("CPU time, without it 1", *(f"{cost[step]:.2f}" for step in STEPS))],
        ),
        f"Among the pages themselves, {pairs['with']:,} pairs are near-duplicates with the option and {pairs['without']:,} "
        f"without, {pairs['with alone']} of them with it alone. Of {lines['different']:,} different lines, "
        f"{lines['equal with the option alone']} have a line that is the same with the option alone.",
        taken_on(result, "chinese"),
    )


def _found(step: str, value: float, pages: int) -> str:
    return f"{value:.1%} of lines" if step == "line_dedup" else f"{value / pages:.1%}"
