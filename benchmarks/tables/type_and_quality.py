"""What the step type_and_quality keeps, beside the report's rule."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on

RULES = {"report": "detail pages alone, quality ≥ 0.2", "chosen": "**chosen bounds**"}
PARTS = {"final": "final fold", "folds": "folds by site"}


def render(result: Json) -> str:
    languages = {name: value for name, value in result.items() if isinstance(value, dict) and "chosen" in value}
    rows = (
        cells(
            *(f"{language}, {title}: {kind}", f"{own['pages']:,} / {own['worth']:,}", RULES[rule]),
            *(f"{f['precision']:.3f} / {f['recall']:.3f} / **{f['f1']:.3f}**", f["kept"]),
        )
        for language, value in languages.items()
        for part, title in PARTS.items()
        for own in [value["pages"][part]]
        for kind in ("page", "text")
        for rule in RULES
        for f in [own[kind][rule]]
    )
    chosen = "; ".join(
        f"{language}: detail pages {a:g} and quality {b:g}, threads {c:g} and {d:g}"
        for language, value in languages.items()
        for a, b, c, d in [value["chosen"]]
    )
    return blocks(
        table(" | pages / worth keeping | rule | precision / recall / F1 | kept", rows),
        f"Chosen: {chosen}.",
        taken_on(result, "type_and_quality"),
    )
