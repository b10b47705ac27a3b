"""Evaluate the safety model: `python -m classifiers.safety.evaluate --data DATA`.

First, the pages of the last round of annotation, which neither the lexicon nor its coefficients come from. Then five folds by
site of the pages before: the lexicon was written without looking for what they say, but by one who had seen them, so recall on
them is an upper bound.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers import evaluation
from classifiers.evaluation import FOLDS, LANGUAGES, outer_folds
from classifiers.features import Features
from classifiers.labelled import LabelledPage
from classifiers.metrics import auc
from classifiers.safety import train
from classifiers.safety.labels import LABELS
from classifiers.safety.train import chosen, examples, fit

BOUNDS = (0.3, 0.5, 0.7, 0.9)


def by_language(
    pages: Sequence[LabelledPage], unsafe: npt.NDArray[np.floating], wanted: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """What is found and falsely found at each bound, by language."""
    language = np.array([page.language for page in pages])
    out: dict[str, Any] = {}
    for name, code in LANGUAGES.items():
        of = language == code
        bad = wanted[of] > 0
        out[name] = {
            "pages": int(of.sum()),
            "unsafe_by_class": {label: int((wanted[of] == i).sum()) for i, label in enumerate(LABELS) if i},
            "auc": round(auc(unsafe[of], bad), 4) if bad.any() else None,
            "bounds": [
                {
                    "bound": bound,
                    "found": int((unsafe[of][bad] >= bound).sum()),
                    "of": int(bad.sum()),
                    "false_alarms": int((unsafe[of][~bad] >= bound).sum()),
                }
                for bound in BOUNDS
            ],
        }
    return out


def evaluate(pages: list[LabelledPage], _: Sequence[Features], data: Path) -> dict[str, Any]:
    """Compute all figures of the card."""
    later = [page for page in pages if (page.annotation or {}).get("round") == train.LATER]
    pages = [pages[i] for i in chosen(pages)]
    numbers, wanted = examples(pages)
    of_later, wanted_later = examples(later)
    out: dict[str, Any] = {
        "final": by_language(later, 1 - fit(numbers, wanted).from_numbers(of_later)[:, 0], wanted_later)
    }
    parts = outer_folds(pages)
    p = np.zeros((len(pages), len(LABELS)))
    for fold in range(FOLDS):
        trained = parts != fold
        p[~trained] = fit(numbers[trained], wanted[trained]).from_numbers(numbers[~trained])
    unsafe = 1 - p[:, 0]
    out["folds"] = by_language(pages, unsafe, wanted)
    missed = [i for i in np.flatnonzero(wanted > 0) if unsafe[i] < 0.5]
    alarms = sorted(np.flatnonzero((wanted == 0) & (unsafe >= 0.3)), key=lambda i: -unsafe[i])
    out["missed"] = [[pages[i].url, LABELS[wanted[i]], round(float(unsafe[i]), 3)] for i in missed]
    out["false_alarms"] = [[pages[i].url or pages[i].record_id, round(float(unsafe[i]), 3)] for i in alarms[:10]]
    out["label_right_of_found"] = [
        int(sum(p[i].argmax() == wanted[i] for i in np.flatnonzero((wanted > 0) & (unsafe >= 0.5)))),
        int(((wanted > 0) & (unsafe >= 0.5)).sum()),
    ]
    return out


if __name__ == "__main__":
    sys.exit(evaluation.main(train, evaluate))
