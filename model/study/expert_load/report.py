"""Loads of experts as a table, as JSON and as a picture.

Shapes: G groups, L layers with experts, E experts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from model.base.arrays import Floats
from model.base.tables import aligned
from model.study.expert_load.load import Summary
from model.study.expert_load.models import Loaded
from model.study.expert_load.pictures import Panel, heat_maps


def table(model: Loaded, summary: Summary, shown: int = 6, top: int = 10) -> str:
    """Format the spread of each layer, distances of the largest groups, and the experts that belong most to one group."""
    names, even = summary.groups.names, model.chosen / model.experts
    few = names[:shown]
    rows = [["layer", "least", "most", *few]]
    for place, layer in enumerate(model.layers):
        load = summary.load_LE[place] / even
        row = [str(layer), f"{load.min():.2f}", f"{load.max():.2f}"]
        for g in range(len(few)):
            far, high = summary.distance_GL[g, place], summary.high_GL[g, place]
            row.append("-" if not np.isfinite(far) else f"{far:.1%} ({high:.1%}){'*' if far > high else ' '}")
        rows.append(row)
    for name, numbers in (("tokens", summary.tokens_G), ("documents", summary.documents_G)):
        rows.insert(1, [name, "", "", *(f"{n:,} " for n in numbers[:shown].tolist())])
    cut = len(names) - len(few)
    text = [
        f"by {summary.groups.column}: load of the least and the most busy expert / even load ({even:.4f}), of all documents;",
        "distance of groups from all documents (95th percentile of random groups of as many documents), * above it"
        + (f"; {cut} more groups in load.json" if cut else ""),
        aligned(rows),
    ]
    if len(names) == 1:
        return "\n".join([*text, f"one group alone, {names[0]}: nothing to compare"])
    best = specialists(summary, top)
    experts = [["layer", "expert", summary.groups.column, "load", "of all", "ratio"]]
    for place, expert, g in best:
        load, all_ = summary.load_GLE[g, place, expert], summary.load_LE[place, expert]
        ratio = f"{load / all_:.2f}" if all_ else "-"
        experts.append([str(model.layers[place]), str(expert), names[g], f"{load:.3f}", f"{all_:.3f}", ratio])
    if best:
        text += [
            "",
            "experts with most of one group's load beyond that of all, where the group is above chance",
            aligned(experts, left=3),
        ]
    return "\n".join(text)


def specialists(summary: Summary, top: int) -> list[tuple[int, int, int]]:
    """List layer's place, expert, and group: those whose load exceeds that of all documents by most; one group an expert.

    Groups whose distance in the layer is not above chance are left out: some expert always differs most.
    """
    real_GL = summary.distance_GL > summary.high_GL
    extra_GLE = np.where(real_GL[..., None], summary.load_GLE - summary.load_LE[None], 0.0)
    most_LE, group_LE = extra_GLE.max(0), extra_GLE.argmax(0)
    order = np.argsort(-most_LE, axis=None, kind="stable")[:top]
    places = zip(*np.unravel_index(order, most_LE.shape), strict=True)
    return [(int(i), int(e), int(group_LE[i, e])) for i, e in places if most_LE[i, e] > 0]


def rounded(values: Floats, digits: int = 5) -> Any:
    """Round to nested lists, None for NaN."""
    cleaned = np.round(values, digits).astype(object)
    cleaned[~np.isfinite(values)] = None
    return cleaned.tolist()


def as_json(model: Loaded, summary: Summary) -> dict[str, Any]:
    """Give the numbers of one column."""
    names = summary.groups.names
    return {
        "all": {"load": rounded(summary.load_LE)},
        "groups": {
            name: {
                "tokens": int(summary.tokens_G[g]),
                "documents": int(summary.documents_G[g]),
                "distance": rounded(summary.distance_GL[g]),
                "distance_by_chance": rounded(summary.chance_GL[g]),
                "distance_by_chance_95": rounded(summary.high_GL[g]),
                "load": rounded(summary.load_GLE[g]),
            }
            for g, name in enumerate(names)
        },
        "specialists": [
            {"layer": model.layers[i], "expert": e, "group": names[g]} for i, e, g in specialists(summary, 50)
        ],
    }


def picture(model: Loaded, summary: Summary) -> str:
    """Draw groups x experts for each layer where layers are few, else layers x experts for each group; all documents first."""
    ratios = np.concatenate([summary.load_LE[None], summary.load_GLE]) / (model.chosen / model.experts)
    names = ["all", *summary.groups.names]
    if len(names) == 2:
        names, ratios = names[1:], ratios[1:]
    experts = [str(e) for e in range(model.experts)]
    short = [n if len(n) <= 28 else n[:27] + "…" for n in names]
    if len(model.layers) <= 8:
        panels = [Panel(f"layer {n}", ratios[:, i], short, experts) for i, n in enumerate(model.layers)]
        return heat_maps(panels, per_row=2 if model.experts <= 32 else 1, x_title="expert")
    layers = [str(n) for n in model.layers]
    panels = [Panel(n, ratios[g], layers, experts) for g, n in enumerate(short)]
    return heat_maps(panels, per_row=2, x_title="expert", y_title="layer")
