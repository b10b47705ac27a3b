"""The page itself: one HTML file without network, with everything that came from the web escaped by the template."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import jinja2
import yaml
from markupsafe import Markup, escape

from pipeline import storage
from pipeline.config import shown
from pipeline.inspection.report import charts
from pipeline.inspection.report.card import write_card
from pipeline.inspection.report.data import LARGEST, MAX_ROWS, NONE, Gap, StageData, read_stage
from pipeline.outputs import read_run_records
from pipeline.steps import Rule

REPORT = "report.html"


def write_report(path: str, seed: int = 0, samples: int = 10, max_rows: int = MAX_ROWS) -> str:
    """Write the report of a stage's output, or of all stages under a folder, into it; with that of a stage its card.

    :returns: the path of the page.
    :raises UserError: if there is no finished output.
    """
    outputs = list(read_run_records(path))
    stages = [read_stage(p, seed, samples, max_rows) for p in outputs]
    if outputs == [path]:
        write_card(stages[0])
    target = storage.join(path, REPORT)
    storage.write_bytes(target, render(stages, seed, samples).encode())
    return target


def environment() -> jinja2.Environment:
    """Load the templates; everything that is put into them is escaped."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.inspection.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(n=_number, seconds=_seconds, percent=lambda x: f"{x:.1%}", breakable=_breakable)
    templates.tests["gap"] = lambda x: isinstance(x, Gap)
    return templates


def render(stages: Sequence[StageData], seed: int, samples: int) -> str:
    """Render the page of these stages, in order."""
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            title="Run report" if len(stages) > 1 else f"Stage report: {stages[0].stage}",
            stages=stages,
            tiles=_tiles(stages),
            charts=_charts(stages),
            histograms=[(s.stage, h, Markup(charts.distribution(h))) for s in stages for h in s.histograms],
            not_measured=[
                s.stage
                for s in stages
                if not s.config.output.audit and any(isinstance(x, Rule) for x in s.config.steps)
            ],
            languages=[(s, _both_verdicts(s.languages, 15)) for s in stages],
            domains=[(s, _both_verdicts(s.domains, LARGEST), _most_dropped(s.domains)) for s in stages],
            web_types=[(s, _both_verdicts(s.web_types, 20)) for s in stages if s.web_types],
            categories=[(s, _both_verdicts(s.categories, 60)) for s in stages if _known(s.categories)],
            shares=next((s.shares for s in reversed(stages) if s.shares), []),
            clusters=[(s, s.clusters) for s in stages if s.clusters],
            samples=[sample for s in stages for sample in s.samples],
            configs=[(s, yaml.safe_dump(shown(s.config), allow_unicode=True, sort_keys=False)) for s in stages],
            alarms=[
                (label, note["alarms"])
                for s in stages
                for label, note in s.record.last_pass.notes.items()
                if note.get("alarms")
            ],
            seed=seed,
            samples_each=samples,
        )
    )


def _tiles(stages: Sequence[StageData]) -> list[tuple[str, str]]:
    """The run in a few numbers."""
    rows_in, kept = stages[0].record.rows_in, stages[-1].record.kept
    tiles = [("pages in", _number(rows_in)), ("kept", _number(kept))]
    if rows_in:
        tiles.append(("of the pages in", f"{kept / rows_in:.1%}"))
    for split, total in stages[-1].tokens.items():
        tiles.append((f"tokens, {split}", _number(total["tokens"])))
    cpu = sum(c.cpu_seconds for s in stages for c in s.record.steps.values())
    tiles.append(("CPU time", _seconds(cpu)))
    wall = sum(p.wall_seconds_of_last_run for s in stages for p in s.record.passes)
    tiles.append(("time", _seconds(wall)))
    return tiles


def _charts(stages: Sequence[StageData]) -> dict[str, tuple[Markup, Markup]]:
    """Draw the wide pictures of the page, by name; those for which there is nothing to draw are left out."""
    pictures: dict[str, tuple[str, str]] = {}
    if any(c.dropped for s in stages for c in s.record.steps.values()):
        pictures["funnel"] = charts.funnel(stages)
    pictures["cpu_time"] = charts.cpu_time(stages)
    shares: list[dict[str, Any]] = next((s.shares for s in reversed(stages) if s.shares), [])
    for axis in {s["axis"]: None for s in shares if s["axis"] != "category"}:
        pictures[f"balance_{axis}"] = charts.balancing(shares, axis)
    sizes = {step: dict(c) for s in stages for step, c in s.cluster_sizes.items()}
    if sizes:
        pictures["clusters"] = charts.cluster_sizes(sizes)
    return {name: (Markup(wide), Markup(narrow)) for name, (wide, narrow) in pictures.items()}


def _both_verdicts(counts: Counter[tuple[str, str]], n: int) -> list[tuple[str, int, int]]:
    """The commonest names with documents kept and dropped; the others as one row."""
    totals: Counter[str] = Counter()
    for (name, _), number in counts.items():
        totals[name] += number
    names = [name for name, _ in _ordered(totals)]
    rows = [(name, counts[(name, "kept")], counts[(name, "dropped")]) for name in names[:n]]
    if others := names[n:]:
        kept, dropped = (sum(counts[(name, verdict)] for name in others) for verdict in ("kept", "dropped"))
        rows.append((f"{len(others):,} others", kept, dropped))
    return rows


def _most_dropped(counts: Counter[tuple[str, str]]) -> list[tuple[str, int, int]]:
    """The names that lost most documents."""
    lost = Counter({name: number for (name, verdict), number in counts.items() if verdict == "dropped"})
    return [(name, counts[(name, "kept")], dropped) for name, dropped in _ordered(lost)[:LARGEST]]


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda x: (-x[1], x[0]))


def _known(counts: Counter[tuple[str, str]]) -> bool:
    return any(name != NONE for name, _ in counts)


def _breakable(name: str) -> Markup:
    """A long name, with places where a line may break."""
    return Markup(re.sub("([_.])", r"\1<wbr>", str(escape(name))))


def _number(n: float) -> str:
    return f"{n:,.0f}"


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
