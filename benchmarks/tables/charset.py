"""Pages encoded and labelled in every way."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    wrong = result["wrong_per_10_000"]
    encodings = list(wrong["here"]["encodings"])
    rows = (
        cells(name, *(f"{of['all'] if name == 'all' else of['encodings'][name]:,.0f}" for of in wrong.values()))
        for name in ("all", *encodings)
    )
    return blocks(
        table("wrong of 10,000 | here | the first label that fits | resiliparse's detector alone", rows),
        f"{result['variants']:,} variants; {result['ms_a_page']} ms a page, none of which is UTF-8.",
        taken_on(result, "charset"),
    )
