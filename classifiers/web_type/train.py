"""Train the web-type classifier: `python -m classifiers.web_type.train --data DATA [--out FOLDER]`.

Learns from the annotated pages, and from the rest of WCXB-dev, whose seven types people gave: such a page stands for each of our
labels by the share that this label has among the annotated pages of its type.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from classifiers import training
from classifiers.labelled import PAGES, WCXB_TYPES, LabelledPage
from classifiers.small import Settings, Target
from classifiers.web_type.labels import LABELS as LABELS

NAME = "web_type"
FILE = PAGES
SETTINGS = Settings(rounds=200)
WCXB_WEIGHT = 0.5
"""Weight of a page with WCXB's label alone beside an annotated one."""

SMOOTHING = 0.5
"""Pages of the label of the same name that are added to each type."""


def chosen(pages: Sequence[LabelledPage]) -> list[int]:
    """Annotated pages and those of WCXB."""
    return [i for i, page in enumerate(pages) if NAME in (page.annotation or ()) or page.wcxb_type]


def target(pages: Sequence[LabelledPage]) -> Target:
    """One label for annotated pages, shares for the others."""
    shares = by_wcxb_type(pages)
    wanted = np.zeros((len(pages), len(LABELS)), np.float32)
    weights = np.ones(len(pages), np.float32)
    for i, page in enumerate(pages):
        if page.annotation and NAME in page.annotation:
            wanted[i, LABELS.index(page.annotation[NAME])] = 1
        else:
            assert page.wcxb_type
            wanted[i] = shares[page.wcxb_type]
            weights[i] = WCXB_WEIGHT
    return Target(wanted, weights, [page.group for page in pages])


def by_wcxb_type(pages: Sequence[LabelledPage]) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """Share of each of our labels among the annotated pages of a type of WCXB; rows sum to 1."""
    out = {}
    for kind in WCXB_TYPES:
        row = np.zeros(len(LABELS), np.float32)
        row[LABELS.index(kind)] = SMOOTHING
        for page in pages:
            if page.annotation and page.wcxb_type == kind:
                row[LABELS.index(page.annotation[NAME])] += 1
        out[kind] = row / row.sum()
    return out


if __name__ == "__main__":
    sys.exit(training.main(sys.modules[__name__]))
