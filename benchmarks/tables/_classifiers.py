"""Parts that the tables of the page classifiers share."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.tables._markdown import Json, cells, table


def interval(values: Sequence[float]) -> str:
    """A value with its bounds, given as (value, lower, upper)."""
    return f"{values[0]:.3f} [{values[1]:.3f}, {values[2]:.3f}]"


def by_input(title: str, columns: str, tables: Json, of: Callable[[Any], Sequence[Any]]) -> str:
    """Table of figures by language and kind of input.

    :param tables: by language, what `by_input` of an evaluation gives.
    :param of: cells of one kind of input.
    """
    rows = (
        cells(f"{language}: {name}", f"{t['pages']:,} / {t['sites']:,}", *of(figures))
        for language, t in tables.items()
        for name, figures in t.items()
        if isinstance(figures, dict | list)
    )
    return table(f"{title} | pages / sites | {columns}", rows)


FINAL = "**Final fold**: sources that nothing was chosen on or trained on"
FOLDS = "folds by site, of the other pages"


def speed(result: Json) -> str:
    """Documents a CPU second, beside fastText's lid.176."""
    s = result["speed"]
    return (
        f"Speed: {s['documents_per_cpu_s']:,.0f} documents ({s['mb_per_cpu_s']:.1f} MB of text, {s['mean_bytes']:,} bytes "
        f"each) a CPU second; fastText's lid.176 on the same texts {result['lid_176_documents_per_cpu_s']:,.0f}."
    )


def agreement(result: Json, columns: dict[str, str]) -> str:
    """Table of two annotations of the same pages; `columns` has titles by key, `dimensions.x` for a key within a key."""
    rows = []
    for name, numbers in result["agreement"].items():
        flat = numbers | {f"dimensions.{key}": value for key, value in numbers.get("dimensions", {}).items()}
        rows.append(cells(name, numbers["pages"], *(f"{flat[key]:.3f}" for key in columns)))
    return table(cells("two annotations", "pages", *columns.values()), rows)
