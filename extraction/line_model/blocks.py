"""Units of a page, which the line model keeps or cuts whole: blocks of code, tables of data."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from extraction.lines.columns import L
from extraction.lines.scan import Scan
from extraction.lines.structure import Structure

Scores = npt.NDArray[np.uint16]


def groups(page: Scan, structure: Structure) -> npt.NDArray[np.int32]:
    """Number of the unit that each line of a page belongs to, or -1; shape (lines,)."""
    out = np.full(len(page.lines), -1, np.int32)
    for number, block in enumerate(structure.code):
        out[block.first : block.last] = number
    for number, table in enumerate(structure.tables, len(structure.code)):
        out[table.first : table.last] = number
    return out


def _weights(page: Scan, units: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """What each line of a unit counts in it: its words; next to nothing where it is a number, as those of lines are."""
    lines = page.lines[units >= 0]
    words = (lines[:, L.WORDS] + lines[:, L.CJK]).astype(np.float64)
    return np.where(lines[:, L.DIGITS] == lines[:, L.CHARACTERS], 0.0, words) + 1e-3


def united(scores: Scores, page: Scan, units: npt.NDArray[np.int32]) -> Scores:
    """The scores, where all lines of a unit have their mean, weighted by words."""
    inside = units >= 0
    if not inside.any():
        return scores
    weights = _weights(page, units)
    total = np.bincount(units[inside], weights)
    means = np.bincount(units[inside], weights * scores[inside]) / np.maximum(total, 1e-9)
    out = scores.copy()
    out[inside] = np.rint(means[units[inside]]).astype(np.uint16)
    return out


def kept_whole(kept: npt.NDArray[np.bool_], page: Scan, units: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Which lines to keep, where a unit is kept if half of its words are."""
    inside = units >= 0
    if not inside.any():
        return kept
    weights = _weights(page, units)
    total = np.bincount(units[inside], weights)
    share = np.bincount(units[inside], weights * kept[inside]) / np.maximum(total, 1e-9)
    out = kept.copy()
    out[inside] = share[units[inside]] >= 0.5
    return out
