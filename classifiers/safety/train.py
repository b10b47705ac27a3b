"""Fit the safety model: `python -m classifiers.safety.train --data DATA [--out FOLDER]`.

The lexicon is written by hand (`lexicon.yaml`); what is learned, from the annotated pages, are four coefficients and
three biases.
"""

from __future__ import annotations

import argparse
import importlib.resources
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from classifiers.base import LEXICON_FILE
from classifiers.labelled import LabelledPage, batch_of, data_digest, load_pages
from classifiers.safety.labels import LABELS
from classifiers.safety.model import NUMBERS, LexiconModel

PULL = 0.05
"""Strength of the pull of coefficients towards 1: there are few unsafe pages to learn from."""

STEPS = 4000
RATE = 0.3


def lexicon() -> dict[str, dict[str, dict[str, float]]]:
    """Weight of each term, by class and language."""
    text = (importlib.resources.files("classifiers.safety") / "lexicon.yaml").read_text(encoding="utf-8")
    return {
        label: {
            language: {" ".join(str(t).lower().split()): float(w) for w, terms in weights.items() for t in terms}
            for language, weights in languages.items()
        }
        for label, languages in yaml.safe_load(text).items()
    }


def fit(numbers: npt.NDArray[np.float64], wanted: npt.NDArray[np.int64]) -> LexiconModel:
    """Multinomial logistic regression by gradient descent; unsafe and safe pages weigh the same in sum.

    :param numbers: (n, classes - 1, NUMBERS). :param wanted: class of each page.
    """
    classes = len(LABELS) - 1
    coefficients, biases = np.ones(len(NUMBERS)), np.full(classes, -4.0)
    unsafe = wanted > 0
    weights = np.where(unsafe, 0.5 / max(1, unsafe.sum()), 0.5 / max(1, (~unsafe).sum()))
    target = np.eye(classes + 1)[wanted]
    for _ in range(STEPS):
        logits = np.concatenate([np.zeros((len(numbers), 1)), numbers @ coefficients + biases], axis=1)
        raised = np.exp(logits - logits.max(1, keepdims=True))
        gradient = ((raised / raised.sum(1, keepdims=True) - target) * weights[:, None])[:, 1:]
        coefficients -= RATE * (np.einsum("nc,ncf->f", gradient, numbers) + PULL * (coefficients - 1))
        coefficients = np.maximum(coefficients, 0)
        biases -= RATE * (gradient.sum(0) + PULL * (biases + 4.0))
    return LexiconModel(
        LABELS, lexicon(), tuple(np.round(coefficients, 4).tolist()), tuple(np.round(biases, 4).tolist())
    )


def model_of(pages: Sequence[LabelledPage]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Numbers and classes of annotated pages."""
    blank = LexiconModel(LABELS, lexicon(), (1.0,) * len(NUMBERS), (0.0,) * (len(LABELS) - 1))
    wanted = [LABELS.index(page.annotation["safety"]) for page in pages if page.annotation]
    return blank.numbers(batch_of(pages)), np.array(wanted, np.int64)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m classifiers.safety.train", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds html/ and warc/")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "weights", help="default: the shipped weights"
    )
    options = parser.parse_args(arguments)
    pages = [page for page in load_pages(options.data) if page.annotation]
    model = fit(*model_of(pages))
    model.meta.update({"name": "safety", "pages": len(pages), "data": data_digest(pages)})
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / LEXICON_FILE).write_bytes(model.to_bytes())
    told = {"file": LEXICON_FILE, "coefficients": model.coefficients, "biases": model.biases, "sha256": model.sha256()}
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
