"""Evaluate the line model by cross-validation over hosts: what `benchmarks/line_model.py` runs.

Five folds by site (registered domain; CWCE by the site that its links name). For each fold a model is trained on the other
four, as `train` does it, and the engine with this model extracts the pages of the fold. Pages without a gold text count as they
do in WCXB's own evaluation: right if nothing is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.clutter.examples import Example
from classifiers.clutter.pages import FOLDS
from classifiers.clutter.reference import KINDS
from classifiers.clutter.train import fit
from classifiers.metrics import auc
from extraction.engines import Options
from extraction.engines.lines import Engine
from extraction.line_model.model import Form, LineModel, Scores
from extraction.result import SCALE

BINS = 10
JUDGED = ("wcxb-dev", "zh-gold", "aed-424", "zh-pages")
"""Sources whose gold texts tell what the whole content is."""


@dataclass(frozen=True)
class Folds:
    """A model for each fold that has seen no page of its sites."""

    models: list[LineModel]

    def scores(self, examples: Sequence[Example]) -> list[Scores]:
        """Scores of every example."""
        return [self.models[e.page.fold].score(e.scan) for e in examples]

    def texts(self, pages: Sequence[tuple[bytes, int]], **options: Any) -> list[str]:
        """The text that the engine extracts of every page, given as its HTML and its fold.

        :param options: fields of `extraction.engines.Options`.
        """
        engine = Engine(Options(**options))
        out = []
        for html, fold in pages:
            engine.model = self.models[fold]
            out.append(engine.extract(html.decode("utf-8", "replace")).text)
        return out


def cross_validated(
    examples: Sequence[Example], form: Form, seed: int, tell: Callable[[str], None] = lambda _: None
) -> Folds:
    """Train a model for each fold."""
    models = []
    for fold in range(FOLDS):
        models.append(fit([e for e in examples if e.page.fold != fold], form, seed))
        tell(f"{form}: fold {fold + 1} of {FOLDS}")
    return Folds(models)


def page_f1(examples: Sequence[Example], texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """F1 of the text of each page against its gold text."""
    return np.array([e.f1(text, e.page.gold) for e, text in zip(examples, texts, strict=True)])


def kind_quality(examples: Sequence[Example], folds: Folds) -> dict[str, dict[str, float]]:
    """Precision, recall and number of lines of each kind of region, on pages with annotated regions."""
    said: list[int] = []
    right: list[int] = []
    letters = list(KINDS)
    for example in examples:
        if example.kinds:
            numbers = folds.models[example.page.fold].judge(example.scan)[1].tolist()
            pairs = [(a, letters.index(b)) for a, b in zip(numbers, example.kinds, strict=True) if b]
            said += [a for a, _ in pairs]
            right += [b for _, b in pairs]
    table = np.zeros((len(letters), len(letters)), np.int64)
    np.add.at(table, (right, said), 1)
    out: dict[str, dict[str, float]] = {
        name: {
            "lines": int(table[i].sum()),
            "precision": round(float(table[i, i] / max(1, table[:, i].sum())), 3),
            "recall": round(float(table[i, i] / max(1, table[i].sum())), 3),
        }
        for i, name in enumerate(KINDS.values())
    }
    out["all"] = {"lines": int(table.sum()), "accuracy": round(float(np.trace(table) / max(1, table.sum())), 3)}
    return out


def line_quality(examples: Sequence[Example], scores: Sequence[Scores]) -> dict[str, Any]:
    """AUC over lines, plain and with lines weighed by their words; calibration over words: expected calibration error and the
    share of content in each tenth of the scores."""
    p = np.concatenate(list(scores)).astype(np.float64) / SCALE
    labels = np.concatenate([e.labels for e in examples]) >= 0.5
    words = np.concatenate([e.lengths for e in examples]).astype(np.float64)
    bins = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    mass = np.bincount(bins, words, BINS)
    share = np.bincount(bins, words * labels, BINS) / np.maximum(mass, 1e-9)
    mean = np.bincount(bins, words * p, BINS) / np.maximum(mass, 1e-9)
    return {
        "lines": len(p),
        "auc": round(auc(p, labels), 4),
        "auc_by_words": round(auc(p, labels, words), 4),
        "calibration_error": round(float((mass * np.abs(share - mean)).sum() / mass.sum()), 4),
        "content_by_tenth_of_score": [round(float(v), 3) for v in share],
    }


def by_kind(examples: Sequence[Example], values: npt.NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Mean over the pages of each source, of each kind of page in it, with their number."""
    groups: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for e, value in zip(examples, values, strict=True):
        groups[e.page.source]["all"].append(value)
        groups[e.page.source][e.page.kind].append(value)
    return {
        source: {f"{kind} ({len(v)})": round(float(np.mean(v)), 4) for kind, v in sorted(kinds.items())}
        for source, kinds in sorted(groups.items())
    }
