"""Heat maps by Vega-Lite, drawn to SVG without a browser or a network (vl-convert).

    svg = heat_maps([Panel("layer 1", ratio_GE, groups, experts)], per_row=2, x_title="expert")

A value is a ratio to what would be even, shown on a logarithmic scale: pale is even, blue below, orange above. Labels take their
colour from the reader's scheme, light or dark. Up to `MAX_CELLS` cells are drawn one by one; more would be megabytes of SVG, so
each panel is then one small picture in it, in the same colours.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import vl_convert

MAX_CELLS = 2_500
LIMITS = (1.25, 1.5, 2.0, 4.0, 8.0)
"""Ratios at which the colours may end."""
COLOURS = ("#1f5a8c", "#7fb0d3", "#efebe3", "#f0a35e", "#a33d08")
_VERSION = "6.4"
# A background of its own: a page may be light where the reader's scheme is dark, and a picture opened by itself always is.
_STYLE = (
    "<style>svg{background:#fff;--ink:#1b2126;--soft:#5a656f}"
    "@media(prefers-color-scheme:dark){svg{background:#0d1117;--ink:#e4e7ea;--soft:#9aa5b0}}</style>"
)
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "title": {"color": "var(--ink)", "fontSize": 12, "fontWeight": "normal", "anchor": "start", "offset": 4},
    "axis": {
        "labelColor": "var(--ink)",
        "titleColor": "var(--soft)",
        "titleFontWeight": "normal",
        "domain": False,
        "ticks": False,
        "labelPadding": 3,
        "labelLimit": 180,
    },
    "legend": {"labelColor": "var(--ink)", "titleColor": "var(--soft)", "titleFontWeight": "normal", "orient": "top"},
}


@dataclass(frozen=True)
class Panel:
    """Heat map.

    :ivar ratios: `(R, C)`, of rows and columns; 1 is even; NaN is left empty.
    """

    title: str
    ratios: npt.NDArray[np.float64]
    rows: Sequence[str]
    columns: Sequence[str]


def heat_maps(
    panels: Sequence[Panel],
    *,
    per_row: int,
    x_title: str,
    y_title: str | None = None,
    legend: str = "load / even load",
    width: int | None = None,
) -> str:
    """Draw panels in one SVG, on one scale of colours.

    :param width: of a panel in pixels; None: as its cells want.
    :raises ValueError: a panel's labels are not as many as its rows and columns.
    """
    for panel in panels:
        if panel.ratios.shape != (len(panel.rows), len(panel.columns)):
            raise ValueError(
                f"{panel.title}: values of shape {panel.ratios.shape} for {len(panel.rows)} rows, {len(panel.columns)} columns"
            )
    end = limit([p.ratios for p in panels])
    cells = sum(p.ratios.size for p in panels)
    # Labels are measured by a font of vl-convert's; a reader's may be wider by a fifth.
    spare = 5 + int(1.5 * max(len(row) for p in panels for row in p.rows))
    spec = {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{_VERSION.split('.')[0]}.json",
        "config": _CONFIG,
        "concat": [_panel(p, end, cells > MAX_CELLS, x_title, y_title, legend, width) for p in panels],
        "columns": per_row,
        "spacing": {"row": 18, "column": 18 + spare},
        "padding": {"left": spare, "top": 5, "right": 5, "bottom": 5},
        "resolve": {"scale": {"color": "shared"}, "legend": {"color": "shared"}},
    }
    svg = str(vl_convert.vegalite_to_svg(spec, vl_version=_VERSION))
    head = svg.index(">") + 1
    return svg[:head] + _STYLE + svg[head:] + "\n"


def limit(ratios: Sequence[npt.NDArray[np.float64]]) -> float:
    """Find the smallest of `LIMITS` that 98 % of the ratios are within, either way."""
    flat = np.concatenate([r.ravel() for r in ratios])
    flat = flat[np.isfinite(flat)]
    if not len(flat):
        return LIMITS[0]
    most = float(np.exp(np.quantile(np.abs(np.log(np.maximum(flat, 1e-9))), 0.98)))
    return next((x for x in LIMITS if most <= x), LIMITS[-1])


def _size(cells: int, most: int, least: int, room: int) -> int:
    """Compute the pixels of one of `cells` cells, to fit into `room`."""
    return max(least, min(most, room // max(1, cells)))


def _panel(
    panel: Panel, end: float, as_picture: bool, x_title: str, y_title: str | None, legend: str, width: int | None
) -> dict[str, Any]:
    """Make the specification of one panel."""
    rows, columns = panel.ratios.shape
    across, down = _size(columns, 18, 3, 512), _size(rows, 18, 4, 260)
    wide, high = width or columns * across, rows * down
    place = np.clip(np.log2(np.maximum(panel.ratios, 1e-9)) / np.log2(end), -1, 1)
    axis = {"type": "nominal", "sort": None}
    colour = {
        "field": "v",
        "type": "quantitative",
        "title": legend,
        "scale": {"domain": np.linspace(-1, 1, len(COLOURS)).tolist(), "range": list(COLOURS), "interpolate": "rgb"},
        "legend": {
            "values": [-1, 0, 1],
            "labelExpr": f"datum.value < 0 ? '≤ 1/{end:g}' : datum.value > 0 ? '≥ {end:g}' : '1'",
            "gradientLength": 160,
        },
    }
    labels = {"labelOverlap": True, "labelAngle": 0}
    encoding: dict[str, Any] = {
        "x": {**axis, "field": "x", "axis": {**labels, "title": x_title}},
        "y": {**axis, "field": "y", "axis": {**labels, "title": y_title}},
        "color": colour,
    }
    # Labels need not be distinct (two domains cut to one length): cells go by number, labels are looked up.
    for key, names in (("x", panel.columns), ("y", panel.rows)):
        encoding[key]["axis"]["labelExpr"] = f"{json.dumps(list(names), ensure_ascii=False)}[datum.value]"
    size = {"title": panel.title, "width": wide, "height": high}
    if not as_picture:
        ys, xs = np.nonzero(np.isfinite(place))
        values = [
            {"x": x, "y": y, "v": v}
            for x, y, v in zip(xs.tolist(), ys.tolist(), place[ys, xs].round(4).tolist(), strict=True)
        ]
        mark = {"type": "rect", "aria": False}
        domains = _domains(encoding, rows, columns)
        return {**size, "data": {"values": values}, "mark": mark, "encoding": domains}
    url = "data:image/png;base64," + base64.b64encode(png(paint(place).repeat(down, 0).repeat(across, 1))).decode()
    frame = [{"x": i % columns, "y": i % rows, "v": 0} for i in range(max(rows, columns))]
    image = {"type": "image", "url": url, "width": wide, "height": high, "aspect": False, "aria": False}
    return {
        **size,
        "layer": [
            {
                "data": {"values": [{}]},
                "mark": image,
                "encoding": {"x": {"value": wide / 2}, "y": {"value": high / 2}},
            },
            {
                "data": {"values": frame},
                "mark": {"type": "rect", "opacity": 0, "aria": False},
                "encoding": _domains(encoding, rows, columns),
            },
        ],
    }


def _domains(encoding: dict[str, Any], rows: int, columns: int) -> dict[str, Any]:
    """Give every row and column its place, also one without a value."""
    return {
        **encoding,
        "x": {**encoding["x"], "scale": {"domain": list(range(columns)), "padding": 0}},
        "y": {**encoding["y"], "scale": {"domain": list(range(rows)), "padding": 0}},
    }


def paint(place: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Paint colours `(R, C, 4)`, with opacity, of places from -1 to 1 among `COLOURS`; NaN is clear."""
    stops = np.linspace(-1, 1, len(COLOURS))
    parts = [np.array([int(c[i : i + 2], 16) for c in COLOURS], dtype=np.float64) for i in (1, 3, 5)]
    filled = np.nan_to_num(place)
    channels = [np.interp(filled, stops, part) for part in parts]
    channels.append(np.where(np.isfinite(place), 255.0, 0.0))
    return np.stack(channels, -1).round().astype(np.uint8)


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode a PNG file of `(height, width, 4)` pixels."""
    height, width, _ = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")
