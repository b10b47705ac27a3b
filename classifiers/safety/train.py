"""Fit the safety model: `python -m classifiers.safety.train --data DATA [--out FOLDER]`.

The lexicon is written by hand (`lexicon.yaml`); what is learned, from the annotated pages, are four coefficients and
three biases.
"""

from __future__ import annotations

import argparse
import importlib.resources
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from classifiers.labelled import PAGES, LabelledPage, batch_of, data_digest
from classifiers.safety.labels import LABELS as LABELS
from classifiers.safety.model import NUMBERS, LexiconModel
from classifiers.small import Target
from classifiers.training import add_sources, annotated, chosen_pages, one_hot, save

NAME = "safety"
FILE = PAGES

PULL = 0.05
"""Strength of the pull of coefficients towards 1: there are few unsafe pages to learn from."""

LATER = 3
"""Round of annotation that nothing is learned from."""

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


def balanced(unsafe: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Weights of pages, (n,), which sum to a half over the unsafe and to a half over the safe ones."""
    weights: npt.NDArray[np.float64] = np.where(unsafe, 0.5 / max(1, unsafe.sum()), 0.5 / max(1, (~unsafe).sum()))
    return weights


def fit(numbers: npt.NDArray[np.float64], wanted: npt.NDArray[np.int64]) -> LexiconModel:
    """Multinomial logistic regression by gradient descent; unsafe and safe pages weigh the same in sum.

    :param numbers: (n, classes - 1, NUMBERS). :param wanted: class of each page.
    """
    classes = len(LABELS) - 1
    coefficients, biases = np.ones(len(NUMBERS)), np.full(classes, -4.0)
    weights = balanced(wanted > 0)
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


def chosen(pages: Sequence[LabelledPage]) -> list[int]:
    """Numbers of the annotated pages of the first rounds. Most unsafe pages of the third are texts with swapped names, in which
    no term of the lexicon stands: four coefficients cannot learn them, and fitted to them, they flag many more safe pages."""
    return [i for i in annotated(pages, NAME) if (pages[i].annotation or {}).get("round") != LATER]


def target(pages: Sequence[LabelledPage]) -> Target:
    """Annotated label of each page; unsafe and safe pages weigh the same in sum."""
    wanted = one_hot(pages, NAME, LABELS)
    weights = len(pages) * balanced(wanted[:, 0] == 0)
    return Target(wanted, weights.astype(np.float32), [page.group for page in pages])


def examples(pages: Sequence[LabelledPage]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Numbers (n, classes - 1, NUMBERS) and classes (n,) of annotated pages."""
    blank = LexiconModel(LABELS, lexicon(), (1.0,) * len(NUMBERS), (0.0,) * (len(LABELS) - 1))
    return blank.numbers(batch_of(pages)), one_hot(pages, NAME, LABELS).argmax(1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m classifiers.safety.train", description=__doc__.split("\n\n")[0])
    add_sources(parser)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "weights", help="default: the shipped weights"
    )
    options = parser.parse_args(arguments)
    pages = chosen_pages(parser, options, sys.modules[__name__])
    model = fit(*examples(pages))
    model.meta.update({"name": NAME, "pages": len(pages), "data": data_digest(pages)})
    save(model, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
