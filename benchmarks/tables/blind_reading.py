"""Forty pages read blind."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on

NAMES = {"lines": "lines", "before": "lines before regions", "trafilatura": "trafilatura without comments"}


def render(result: Json) -> str:
    groups = ("all", "Chinese", "English")

    def of_amount(name: str, what: str) -> str:
        amounts = result["all"]["amounts"][name][what]
        return " / ".join(str(amounts.get(amount, 0)) for amount in ("none", "some", "much"))

    rows = (
        cells(
            *(shown, *(result[group]["best"][name] for group in groups)),
            *(of_amount(name, what) for what in ("missing", "clutter")),
        )
        for name, shown in NAMES.items()
    )
    against = (
        cells(NAMES[name], *(counts.get(what, 0) for what in ("better", "equal", "worse")))
        for name, counts in result["all"]["lines_against"].items()
    )
    pages = (f"{group} ({result[group]['pages']} pages)" for group in groups)
    return blocks(
        table(
            cells(
                "best, alone or with another",
                *pages,
                "content missing: none / some / much",
                "clutter: none / some / much",
            ),
            rows,
        ),
        table("`lines` against | better | equal | worse", against),
        taken_on(result, "blind_reading", ""),
    )
