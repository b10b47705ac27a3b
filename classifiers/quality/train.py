"""Train the quality model: `python -m classifiers.quality.train --data DATA [--out FOLDER]`.

Learns from the annotated pages. What is wanted is not only on which side of the cut a text lies, but how far: a
score near the cut is a near thing for annotators too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from classifiers import training
from classifiers.labelled import PAGES, LabelledPage
from classifiers.quality.labels import LABELS as LABELS
from classifiers.quality.labels import is_good, score
from classifiers.small import Settings, Target

NAME = "quality"
FILE = PAGES
SETTINGS = Settings(rounds=200)
SOFT = 0.15
"""Share of the wanted probability that follows the score, from 0 to 1, instead of the side of the cut."""


def chosen(pages: Sequence[LabelledPage]) -> list[int]:
    """Annotated pages with a text: without one nothing is asked."""
    return [i for i in training.annotated(pages, NAME) if pages[i].extraction.text.strip()]


def target(pages: Sequence[LabelledPage]) -> Target:
    """Wanted probabilities of `poor` and `good`."""
    rows = [page.annotation[NAME] for page in pages if page.annotation]
    good = np.array([(1 - SOFT) * is_good(row) + SOFT * score(row) for row in rows], np.float32)
    return Target(np.stack([1 - good, good], axis=1), np.ones(len(rows), np.float32), [page.group for page in pages])


if __name__ == "__main__":
    sys.exit(training.main(sys.modules[__name__]))
