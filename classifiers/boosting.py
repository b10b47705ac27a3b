"""Boosted trees of LightGBM: the parameters that they are trained with, and their export to arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from extraction.line_model.trees import Trees

LIGHTGBM: dict[str, Any] = {
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "max_bin": 127,
    "use_missing": False,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,
    "verbose": -1,
}
"""Parameters that all trees of this project are trained with."""


def exported(trees: list[dict[str, Any]]) -> Trees:
    """LightGBM's trees as arrays."""
    feature: list[int] = []
    threshold: list[float] = []
    child: list[int] = []
    leaves: list[float] = []
    roots = [0]
    for tree in trees:
        nodes = [tree["tree_structure"]]
        for node in nodes:  # grows: breadth first, so that brothers are neighbours
            if "leaf_value" in node:
                feature.append(0)
                threshold.append(np.inf)
                child.append(len(feature) - 1 - roots[-1])
                leaves.append(node["leaf_value"])
                continue
            if node["decision_type"] != "<=":
                raise ValueError(f"a tree asks {node['decision_type']!r}; expected '<=' alone")
            feature.append(node["split_feature"])
            threshold.append(_rounded_down(node["threshold"]))
            child.append(len(nodes))
            leaves.append(0.0)
            nodes += [node["left_child"], node["right_child"]]
        roots.append(len(feature))
    return Trees(
        np.array(feature, np.int16),
        np.array(threshold, np.float32),
        np.array(child, np.int16),
        np.array(leaves, np.float32),
        np.array(roots, np.int32),
    )


def _rounded_down(value: float) -> float:
    """The largest float32 that is at most `value`: float32 columns compare with it as they do with `value`."""
    near = np.float32(value)
    return float(near if float(near) <= value else np.nextafter(near, np.float32(-np.inf)))
