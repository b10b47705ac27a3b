"""What two engines keep together, and what one keeps that the other loses."""

from collections.abc import Iterator

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on

WAYS = {"lines": "trafilatura", "trafilatura": "lines"}
REASONS = 5
"""Reasons that are shown of each engine and set; the others are summed."""


def render(result: Json) -> str:
    sizes = (
        cells(
            *(name if part == "all" else f"{name}, sites unseen in training", f"{of['pages']:,}"),
            *(_pages_and_tokens(of["ways"][way]) for way in (*WAYS, "report")),
            f"{of['both']['lines']['pages']:,}",
            *(_pages_and_tokens(of[f"{way} alone"]) for way in WAYS),
            f"{of['neither']:,}",
            f"{of['trafilatura alone']['tokens'] / of['ways']['lines']['tokens']:.1%}",
        )
        for name, parts in result["sets"].items()
        for part, of in parts.items()
    )
    reasons = (
        cells(
            f"{name}, {way} alone",
            "; ".join(_reasons(parts["all"][f"{way} alone"]["lost_by_the_other"])),
        )
        for name, parts in result["sets"].items()
        for way in WAYS
    )
    read = (
        cells(f"{name}, {way} alone", sum(kinds.values()), "; ".join(f"{n} {kind}" for kind, n in kinds.items()))
        for name, ways in result["read"].items()
        for way, kinds in ways.items()
    )
    return blocks(
        table(
            "pages kept (tokens) | pages | `lines` | `trafilatura` | profile *report* | both | `lines` alone"
            " | `trafilatura` alone | neither | tokens that the union adds to `lines`",
            sizes,
        ),
        table("kept by | why the other lost it: pages (tokens)", reasons),
        table("kept by | pages read | of them", read),
        taken_on(result, "engine_union", measure=""),
    )


def _pages_and_tokens(of: Json) -> str:
    return f"{of['pages']:,} ({of['tokens']:,})"


def _reasons(lost: dict[str, Json]) -> Iterator[str]:
    """Reasons with most tokens first; the rest in one."""
    named = list(lost.items())
    for reason, of in named[:REASONS]:
        step, _, why = reason.partition(": ")
        yield f"{step if step == why else f'{step} ({why})'}: {_pages_and_tokens(of)}"
    if rest := [of for _, of in named[REASONS:]]:
        yield f"others: {_pages_and_tokens({key: sum(of[key] for of in rest) for key in ('pages', 'tokens')})}"
