"""Train the line model: `python -m classifiers.clutter.train --data DATA --out FOLDER`.

DATA holds `html/` with wcxb-dev, zh-gold and zh-blogs; the annotated pages are read from beside this file. Takes LightGBM
(the extra `train`); two cores need about six minutes for both forms. The same data and seed give the same weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.boosting import LIGHTGBM, exported
from classifiers.clutter import linear
from classifiers.clutter.examples import Example, examples_of, load_pages, shortened
from classifiers.clutter.linear import Hashed
from classifiers.clutter.pages import FOLDS
from classifiers.clutter.reference import KINDS
from extraction import line_model
from extraction.line_model import features as f
from extraction.line_model import kinds as of_kinds
from extraction.line_model.model import FORMS, Form, LineModel, features, region_columns
from extraction.line_model.trees import Trees, evaluate
from extraction.lines.columns import E, L
from extraction.lines.scan import Scan

WEIGHTS = Path(line_model.__file__).parent / "weights"
SEED = 20261123
TREE_FOLDS = 3
"""Parts of the training set that trees are trained without, in turn: their scores are what the second trees learn from."""

RATES = (0.05, 0.1)
"""Learning rates of the linear scores of attributes and of words."""

KIND_RATE, KIND_EPOCHS = 0.1, 3
KIND_WEIGHT, MAX_KIND_WEIGHT = 0.3, 3.0
"""What each line weighs in learning kinds, beside its share of its page, and at most: a kind is told from short lines too."""

MAX_RARE = 5.0
"""How much more a line of a rare kind weighs than one of the commonest, at most."""

TREES: dict[str, Any] = {
    **LIGHTGBM,
    "max_bin": 63,
    "num_leaves": 31,
    "max_depth": 7,  # every line takes as many steps as its tree is deep
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
}
FIRST: dict[str, Any] = {**TREES, "learning_rate": 0.12, "min_data_in_leaf": 80, "num_iterations": 120}
SECOND: dict[str, Any] = {**TREES, "learning_rate": 0.07, "min_data_in_leaf": 100, "num_iterations": 200}


def fit(examples: Sequence[Example], form: Form, seed: int = SEED) -> LineModel:
    """Train one form."""
    examples = [example for example in examples if example.teaches]
    examples += [short for example in examples if (short := shortened(example)) is not None]
    model, columns = prepared(examples, form, seed)
    trees = fit_trees(columns, examples, FIRST, seed)
    second = [
        region_columns(example.scan, first)
        for example, first in zip(examples, out_of_fold(columns, examples, seed), strict=True)
    ]
    regions = fit_trees(second, examples, SECOND, seed)
    kinds = fit_kinds(second, examples, seed) if form == "dom" else None
    return dataclasses.replace(model, trees=trees, regions=regions, kinds=kinds)


def fit_kinds(
    columns: Sequence[npt.NDArray[np.float32]], examples: Sequence[Example], seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
    """Weights and biases of the kinds of regions, rounded as they are stored; None if no page has kinds."""
    known = [(x, example) for x, example in zip(columns, examples, strict=True) if example.kinds]
    if not known:
        return None
    marks = Hashed.joined([_marks(example, x) for x, example in known])
    letters = np.array([letter for _, example in known for letter in example.kinds])
    weights = np.concatenate([example.weights / example.page_weight for _, example in known])
    weights = np.where(letters == "", 0, np.minimum(weights + KIND_WEIGHT, MAX_KIND_WEIGHT)).astype(np.float32)
    out = np.zeros((1 << of_kinds.KIND_BITS, len(KINDS)), np.float16)
    biases = np.zeros(len(KINDS), np.float32)
    mass = np.array([float(weights[letters == letter].sum()) for letter in KINDS])
    rare = 0.6 * np.clip(np.sqrt(mass.max() / np.maximum(mass, 1e-9)), 1, MAX_RARE)
    for number, letter in enumerate(KINDS):
        labels = (letters == letter).astype(np.float32)
        of_kind = np.where(letters == letter, weights * rare[number], weights).astype(np.float32)
        fitted, bias = linear.fit(marks, labels, of_kind, rate=KIND_RATE, epochs=KIND_EPOCHS, seed=seed)
        out[:, number] = fitted[: len(out)]
        biases[number] = bias
    return out.astype(np.float32), biases


def _marks(example: Example, columns: npt.NDArray[np.float32]) -> Hashed:
    scan = example.scan
    out = np.empty(_attributes_of(scan, of_kinds.MAX_OWN) + 1, np.uint32)
    starts = np.zeros(len(columns) + 1, np.int64)
    of_kinds.kind_marks(scan.elements, scan.tokens, scan.lines, scan.words, columns, out, starts)
    return Hashed(out[: starts[-1]].copy(), starts)


def out_of_fold(
    columns: Sequence[npt.NDArray[np.float32]], examples: Sequence[Example], seed: int
) -> list[npt.NDArray[np.float64]]:
    """Scores of every example's lines by first trees that have not seen its site."""
    parts = [example.fold("trees") % TREE_FOLDS for example in examples]
    scores: list[npt.NDArray[np.float64]] = [np.zeros(0)] * len(examples)
    for part in range(TREE_FOLDS):
        others = [i for i in range(len(examples)) if parts[i] != part]
        trees = fit_trees([columns[i] for i in others], [examples[i] for i in others], FIRST, seed)
        for i in range(len(examples)):
            if parts[i] == part:
                scores[i] = evaluate(trees, columns[i])
    return scores


def prepared(examples: Sequence[Example], form: Form, seed: int) -> tuple[LineModel, list[npt.NDArray[np.float32]]]:
    """A model of linear scores alone, and the columns that the first trees are trained on.

    They see linear scores of models that have not seen the page's site: out of fold, over hosts within the training set.
    """
    kinds = (0, 1) if form == "dom" else (1,)
    hashed = {kind: [_hashed(example, kind) for example in examples] for kind in kinds}
    everything = range(len(examples))
    folds = [example.fold(form) for example in examples]
    scores: list[npt.NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(examples)
    for fold in range(FOLDS):
        others = [i for i in everything if folds[i] != fold]
        model = _linear(examples, hashed, others, form, seed)
        for i in everything:
            if folds[i] == fold:
                scores[i] = model.linear_scores(examples[i].scan)
    columns = [features(examples[i].scan, scores[i], form) for i in everything]
    return _linear(examples, hashed, everything, form, seed), columns


def _hashed(example: Example, kind: int) -> Hashed:
    scan = example.scan
    starts = np.zeros(len(scan.lines) + 1, np.int64)
    if kind == 0:
        out = np.empty(_attributes_of(scan, 0) + 1, np.uint32)
        f.attribute_hashes(scan.elements, scan.tokens, scan.lines, out, starts)
    else:
        out = np.empty(2 * len(scan.words) + 2 * len(scan.lines) + 1, np.uint32)
        f.word_hashes(scan.lines, scan.words, out, starts)
    return Hashed(out[: starts[-1]].copy(), starts)


def _attributes_of(scan: Scan, others: int) -> int:
    """Marks of all lines at most: an element's words count at most twice on each of the lines in it, its tag once, and there
    are `others` of each line."""
    sizes = np.zeros(len(scan.elements), np.int64)
    for e in range(1, len(sizes)):
        tokens = int(scan.elements[e, E.TOKEN1] - scan.elements[e, E.TOKEN0])
        sizes[e] = sizes[scan.elements[e, E.PARENT]] + 2 * tokens + 1
    return int(sizes[scan.lines[:, L.ELEMENT]].sum()) + others * len(scan.lines)


def _linear(
    examples: Sequence[Example], hashed: dict[int, list[Hashed]], chosen: Sequence[int], form: Form, seed: int
) -> LineModel:
    """A model of linear scores alone, rounded as they are stored."""
    labels = np.concatenate([examples[i].labels for i in chosen])
    weights = np.concatenate([examples[i].weights for i in chosen])
    fitted = {}
    for kind, data in hashed.items():
        joined = Hashed.joined([data[i] for i in chosen])
        coefficients, bias = linear.fit(joined, labels, weights, rate=RATES[kind], seed=seed)
        fitted[kind] = (coefficients.astype(np.float16).astype(np.float32), float(np.float32(bias)))
    none = np.zeros(0, np.int16)
    no_trees = Trees(none, np.zeros(0, np.float32), none, np.zeros(0, np.float32), np.zeros(1, np.int32))
    return LineModel(form, fitted.get(0), fitted[1], no_trees, no_trees)


def fit_trees(
    columns: Sequence[npt.NDArray[np.float32]], examples: Sequence[Example], parameters: dict[str, Any], seed: int
) -> Trees:
    """Boosted trees that tell content from clutter."""
    import lightgbm

    data = lightgbm.Dataset(
        np.concatenate(columns),
        np.concatenate([example.labels for example in examples]),
        weight=np.concatenate([example.weights for example in examples]),
    )
    booster = lightgbm.train({**parameters, "objective": "binary", "seed": seed % (1 << 31)}, data)
    return exported(booster.dump_model()["tree_info"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m classifiers.clutter.train", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds html/")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where the weights go (default: the shipped ones)")
    parser.add_argument("--form", choices=FORMS, action="append", help="train this form only")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    pages = load_pages(options.data)
    for form in options.form or FORMS:
        start = time.monotonic()
        examples = examples_of(pages, form)
        print(f"{form}: {sum(len(e.labels) for e in examples):,} lines of {len(examples):,} texts", file=sys.stderr)
        model = fit(examples, form, options.seed)
        digest = hashlib.sha256(b"".join(page.html + page.gold.encode() for page in pages)).hexdigest()
        meta = {"seed": options.seed, "pages": len(pages), "data": digest}
        model.save(options.out, meta)
        path = options.out / f"{form}.safetensors"
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        print(json.dumps({"file": path.name, "bytes": path.stat().st_size, "sha256": sha}))
        print(f"{form}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
