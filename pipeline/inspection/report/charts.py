"""Pictures of a report: Vega-Lite specifications, drawn to SVG by vl-convert, with no script in the page.

Colours are CSS variables of the page, so that one picture serves light and dark. Wide pictures are drawn twice, for a desk and
for a phone, and the page shows the one that fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import vl_convert

from pipeline.inspection.report.data import Histogram, StageData

WIDE, NARROW = 560, 190  # pixels of the drawing, without labels
SMALL = 235
_VERSION = "6.4"
_COLOURS = ("var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)")
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--ink)",
        "titleColor": "var(--soft)",
        "gridColor": "var(--rule)",
        "domainColor": "var(--rule)",
        "tickColor": "var(--rule)",
        "titleFontWeight": "normal",
        "labelLimit": 200,
    },
    "legend": {"labelColor": "var(--ink)", "titleColor": "var(--soft)", "orient": "top", "title": None, "columns": 3},
    "text": {"fill": "var(--ink)"},
}


def draw(spec: dict[str, Any]) -> str:
    """A Vega-Lite specification as SVG. :raises ValueError: if it is none."""
    schema = f"https://vega.github.io/schema/vega-lite/v{_VERSION.split('.')[0]}.json"
    return str(vl_convert.vegalite_to_svg({"$schema": schema, "config": _CONFIG, **spec}, vl_version=_VERSION))


def both(spec: dict[str, Any]) -> tuple[str, str]:
    """A picture for a desk and one for a phone."""
    narrow = {**_CONFIG, "axisX": {"tickCount": 4}}
    return draw({**spec, "width": WIDE}), draw({"config": narrow, **spec, "width": NARROW})


def funnel(stages: Sequence[StageData]) -> tuple[str, str]:
    """Pages that came to each step that dropped some: those it passed on, and those it dropped."""
    rows: list[dict[str, Any]] = []
    order: list[str] = []
    for stage in stages:
        for label, count in stage.record.steps.items():
            dropped = count.rows_in - count.kept
            if dropped:
                name = label if label not in order else f"{label} ({stage.stage})"
                order.append(name)
                rows += [
                    {"step": name, "what": "passed on", "pages": count.kept, "place": 0},
                    {"step": name, "what": "dropped", "pages": dropped, "place": 1},
                ]
    return both(
        {
            "height": {"step": 15},
            "data": {"values": rows},
            "mark": {"type": "bar", "height": {"band": 0.8}},
            "encoding": {
                "y": {"field": "step", "type": "nominal", "sort": order, "title": None},
                "x": {"field": "pages", "type": "quantitative", "title": "pages"},
                "order": {"field": "place"},
                "color": {
                    "field": "what",
                    "type": "nominal",
                    "scale": {"domain": ["passed on", "dropped"], "range": ["var(--kept)", "var(--dropped)"]},
                },
            },
        }
    )


def cpu_time(stages: Sequence[StageData]) -> tuple[str, str]:
    """CPU seconds of the steps that took most."""
    rows: list[dict[str, Any]] = [
        {"step": f"{label} ({stage.stage})", "seconds": count.cpu_seconds}
        for stage in stages
        for label, count in stage.record.steps.items()
    ]
    rows = sorted(rows, key=lambda r: -r["seconds"])[:20]
    return both(
        {
            "height": {"step": 15},
            "data": {"values": rows},
            "mark": {"type": "bar", "color": "var(--c1)", "height": {"band": 0.8}},
            "encoding": {
                "y": {"field": "step", "type": "nominal", "sort": None, "title": None},
                "x": {"field": "seconds", "type": "quantitative", "title": "CPU seconds"},
            },
        }
    )


def distribution(h: Histogram) -> str:
    """A histogram with the thresholds drawn in; one size, which fits a phone."""
    rows = [
        {"from": h.edges[i], "to": h.edges[i + 1], "documents": int(n), "language": language}
        for language, counts in h.counts.items()
        for i, n in enumerate(counts)
        if n
    ]
    languages = sorted(h.counts, key=lambda k: -int(h.counts[k].sum()))[: len(_COLOURS)]
    rows = [r for r in rows if r["language"] in languages]
    x = {"type": "quantitative", "title": h.unit, "scale": {"nice": False, "zero": False}}
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": rows},
            "mark": {"type": "bar", "binSpacing": 1},
            "encoding": {
                "x": {"field": "from", "bin": {"binned": True}, **x},
                "x2": {"field": "to"},
                "y": {"field": "documents", "type": "quantitative", "title": "documents", "axis": {"tickCount": 3}},
                "color": {
                    "field": "language",
                    "type": "nominal",
                    "scale": {"domain": languages, "range": list(_COLOURS[: len(languages)])},
                },
            },
        }
    ]
    if h.bounds:
        bounds = [{"value": value, "told": text, "line": i} for i, (value, text) in enumerate(h.bounds)]
        at = {"field": "value", "type": "quantitative"}
        right = f"datum.value > {float(h.edges[0] + h.edges[-1]) / 2}"
        layers += [
            {
                "data": {"values": bounds},
                "mark": {"type": "rule", "color": "var(--dropped)", "strokeWidth": 2},
                "encoding": {"x": at},
            },
            {
                "data": {"values": bounds},
                "transform": [{"calculate": "4 + 12 * datum.line", "as": "height"}],
                "mark": {
                    "type": "text",
                    "align": {"expr": f"{right} ? 'right' : 'left'"},
                    "dx": {"expr": f"{right} ? -4 : 4"},
                    "fontSize": 11,
                },
                "encoding": {
                    "x": at,
                    "y": {"field": "height", "type": "quantitative", "scale": None},
                    "text": {"field": "told"},
                },
            },
        ]
    return draw({"width": SMALL, "height": 90, "layer": layers, "resolve": {"scale": {"y": "independent"}}})


def balancing(shares: Sequence[dict[str, Any]], axis: str) -> tuple[str, str]:
    """Shares of tokens of an axis's values: before balancing, wished for, and after."""
    values = sorted((s for s in shares if s["axis"] == axis), key=lambda s: -s["share_before"])[:40]
    kinds = (("before", "share_before"), ("target", "target"), ("after", "share_after"))
    rows = [
        {"value": s["value"], "what": what, "share": s[key]}
        for s in values
        for what, key in kinds
        if s.get(key) is not None
    ]
    return both(
        {
            "height": {"step": 9},
            "data": {"values": rows},
            "mark": {"type": "bar"},
            "encoding": {
                "y": {"field": "value", "type": "nominal", "sort": [s["value"] for s in values], "title": None},
                "yOffset": {"field": "what", "sort": [what for what, _ in kinds]},
                "x": {
                    "field": "share",
                    "type": "quantitative",
                    "title": "share of tokens",
                    "axis": {"format": "%", "tickCount": 5},
                },
                "color": {
                    "field": "what",
                    "type": "nominal",
                    "scale": {
                        "domain": [what for what, _ in kinds],
                        "range": ["var(--soft)", "var(--c3)", "var(--kept)"],
                    },
                },
            },
        }
    )


def cluster_sizes(sizes: dict[str, dict[int, int]]) -> tuple[str, str]:
    """Chart the number of clusters by their documents and step."""
    rows = [
        {"size": str(size), "clusters": n, "step": step} for step, counts in sizes.items() for size, n in counts.items()
    ]
    return both(
        {
            "height": 140,
            "data": {"values": rows},
            "mark": "bar",
            "encoding": {
                "x": {
                    "field": "size",
                    "type": "ordinal",
                    "sort": [str(n) for n in sorted({n for counts in sizes.values() for n in counts})],
                    "title": "documents of a cluster",
                    "axis": {"labelAngle": 0, "labelOverlap": True},
                },
                "y": {"field": "clusters", "type": "quantitative", "title": "clusters", "axis": {"tickMinStep": 1}},
                "color": {
                    "field": "step",
                    "type": "nominal",
                    "scale": {"domain": list(sizes), "range": list(_COLOURS[: len(sizes)])},
                },
            },
        }
    )
