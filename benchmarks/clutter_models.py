"""Trials for the line model, on the same folds: `python benchmarks/clutter_models.py [--data DIR]`.

The form `dom`, five folds by host as in `benchmarks/clutter.py` (some 15 minutes on two cores). Models: the linear score of
words, boosted trees alone, the convolution alone, both blended (what ships), trees that learn the convolution's scores beside
the labels (distillation; those scores come from convolutions that have not seen the page's site), and trees over the first
trees' scores of the lines around (a second stage). Decisions how much of a page to keep: one threshold for all pages, the cut
with the largest expected F1, the same with a floor (what ships), and the best cut in hindsight.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import Any

import machine
import numpy as np
import numpy.typing as npt

from classifiers.clutter.evaluate import JUDGED, page_f1
from classifiers.clutter.examples import Example, examples_of, load_pages
from classifiers.clutter.pages import FOLDS
from classifiers.clutter.train import SEED, fit_convolution, fit_trees, prepared
from classifiers.metrics import auc
from extraction.line_model.convolution import predict
from extraction.line_model.model import CONVOLUTION_SHARE, FLOOR, Scores, best_cut, features
from extraction.line_model.trees import evaluate
from extraction.result import SCALE

Floats = npt.NDArray[np.float32]
FORM = "dom"
TEACHERS = 2
"""Parts of the training set that a distilling convolution is trained without, in turn."""

NEIGHBOURS = 4
THRESHOLDS = np.linspace(0.05, 0.95, 19)


def logistic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-x))


def around(scores: npt.NDArray[np.float64]) -> Floats:
    """A line's own score, those of its neighbours, and the page's mean; shape (lines, 2 * NEIGHBOURS + 2)."""
    padded = np.pad(scores, NEIGHBOURS, constant_values=-1.0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)
    return np.column_stack([windows, np.full(len(scores), scores.mean())]).astype(np.float32)


def fold_scores(train: list[Example], test: list[Example]) -> dict[str, list[npt.NDArray[np.float64]]]:
    """Scores from 0 to 1 of the test pages, by name of the model."""
    train = [e for e in train if e.teaches]
    model, columns = prepared(train, FORM, SEED)
    labels = [e.labels for e in train]
    trees = fit_trees(columns, labels, train, FORM, SEED)
    net = fit_convolution(columns, train, FORM, SEED)

    taught: list[Floats] = [np.zeros(0, np.float32)] * len(train)
    first: list[npt.NDArray[np.float64]] = [np.zeros(0)] * len(train)
    for part in range(TEACHERS):
        others = [i for i, e in enumerate(train) if e.fold("teacher") % TEACHERS != part]
        other_columns, chosen = [columns[i] for i in others], [train[i] for i in others]
        teacher = fit_convolution(other_columns, chosen, FORM, SEED)
        early = fit_trees(other_columns, [e.labels for e in chosen], chosen, FORM, SEED)
        for i, e in enumerate(train):
            if e.fold("teacher") % TEACHERS == part:
                soft = logistic(predict(teacher, columns[i], e.lengths))
                taught[i] = ((e.labels + soft) / 2).astype(np.float32)
                first[i] = logistic(evaluate(early, columns[i]))
    pupil = fit_trees(columns, taught, train, FORM, SEED, objective="cross_entropy")
    second = fit_trees(
        [np.column_stack([x, around(s)]) for x, s in zip(columns, first, strict=True)], labels, train, FORM, SEED
    )

    out: dict[str, list[npt.NDArray[np.float64]]] = defaultdict(list)
    for e in test:
        linear = model.linear_scores(e.scan)
        if not len(e.scan.lines):
            for name in MODELS:
                out[name].append(np.zeros(0))
            continue
        x = features(e.scan, linear, FORM)
        by_trees, by_net = evaluate(trees, x), predict(net, x, e.lengths)
        blend = by_trees + CONVOLUTION_SHARE * (by_net - by_trees)
        raw = (
            linear[-1].astype(np.float64),
            by_trees,
            by_net,
            blend,
            evaluate(pupil, x),
            evaluate(second, np.column_stack([x, around(logistic(by_trees))])),
        )
        for name, values in zip(MODELS, raw, strict=True):
            out[name].append(logistic(values))
    return out


MODELS = ("linear, words", "trees", "convolution", "blend (shipped)", "trees, distilled", "trees, second stage")


def as_scores(p: npt.NDArray[np.float64]) -> Scores:
    return np.rint(SCALE * p).astype(np.uint16)


def means(examples: list[Example], values: npt.NDArray[np.float64]) -> dict[str, float]:
    """Mean F1 by set, and of WCXB by page type."""
    groups: dict[str, list[float]] = defaultdict(list)
    for e, value in zip(examples, values, strict=True):
        groups[e.page.source].append(value)
        if e.page.source == "wcxb-dev":
            groups[e.page.kind].append(value)
    return {name: round(float(np.mean(v)), 4) for name, v in groups.items()}


def decisions(examples: list[Example], p: list[npt.NDArray[np.float64]]) -> dict[str, dict[str, float]]:
    """The same scores, cut in different ways."""
    folds = np.array([e.page.fold for e in examples])
    by_threshold = np.stack([page_f1(examples, [s >= t for s in p]) for t in THRESHOLDS])
    fixed = np.zeros(len(examples))
    for fold in range(FOLDS):
        best = int(by_threshold[:, folds != fold].mean(1).argmax())
        fixed[folds == fold] = by_threshold[best, folds == fold]

    def expected(floor: float) -> npt.NDArray[np.float64]:
        return page_f1(examples, [best_cut(as_scores(s), e.lengths, floor) for e, s in zip(examples, p, strict=True)])

    return {
        "one threshold, chosen on the other folds": means(examples, fixed),
        "largest expected F1": means(examples, expected(0.0)),
        "the same with a floor (shipped)": means(examples, expected(FLOOR)),
        "the best of 19 thresholds in hindsight": means(examples, by_threshold.max(0)),
    }


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/ and warc/")
    data = parser.parse_args().data
    logging.disable(logging.CRITICAL)
    examples = examples_of(load_pages(data), FORM)
    p: dict[str, list[Any]] = {name: [None] * len(examples) for name in MODELS}
    for fold in range(FOLDS):
        places = [i for i, e in enumerate(examples) if e.page.fold == fold]
        by_model = fold_scores([e for e in examples if e.page.fold != fold], [examples[i] for i in places])
        for name, values in by_model.items():
            for i, value in zip(places, values, strict=True):
                p[name][i] = value
        machine.tell(f"fold {fold + 1} of {FOLDS}")
    judged = [i for i, e in enumerate(examples) if e.page.source in JUDGED]
    chosen = [examples[i] for i in judged]
    models = {}
    for name in MODELS:
        scores = [p[name][i] for i in judged]
        kept = [best_cut(as_scores(s), e.lengths, FLOOR) for e, s in zip(chosen, scores, strict=True)]
        models[name] = means(chosen, page_f1(chosen, kept))
        for language, chinese in (("English", False), ("Chinese", True)):
            of = [i for i, e in enumerate(chosen) if e.page.is_chinese is chinese]
            models[name][f"AUC, {language}"] = round(
                auc(np.concatenate([scores[i] for i in of]), np.concatenate([chosen[i].labels for i in of]) >= 0.5), 4
            )
    machine.save(
        "clutter_models", {"models": models, "decisions": decisions(chosen, [p["blend (shipped)"][i] for i in judged])}
    )


if __name__ == "__main__":
    main()
