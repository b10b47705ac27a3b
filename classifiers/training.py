"""Shared parts of `python -m classifiers.<name>.train --data DATA [--out FOLDER]`; command of the small classifiers."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from classifiers.base import INPUTS, StoredClassifier
from classifiers.corpus import annotated_pages
from classifiers.features import Features, features_of
from classifiers.labelled import LabelledPage, batch_of, data_digest, load_pages
from classifiers.small import Floats, Settings, SmallModel, Target, fit

SEED = 20261123


class Trainer(Protocol):
    """A module `classifiers.<name>.train`: what the classifier learns from, and what it learns."""

    NAME: str
    FILE: str
    """Name of the file of shipped annotations."""

    @property
    def LABELS(self) -> tuple[str, ...]: ...

    def chosen(self, pages: Sequence[LabelledPage]) -> list[int]:
        """Numbers of the pages to learn from."""

    def target(self, pages: Sequence[LabelledPage]) -> Target:
        """Wanted probabilities of chosen pages, and what each page weighs."""


class SmallTrainer(Trainer, Protocol):
    """The module of a classifier whose model is that of `classifiers.small`."""

    SETTINGS: Settings


def annotated(pages: Sequence[LabelledPage], name: str) -> list[int]:
    """Numbers of the pages that are annotated for a classifier."""
    return [i for i, page in enumerate(pages) if name in (page.annotation or ())]


def one_hot(pages: Sequence[LabelledPage], name: str, labels: Sequence[str]) -> Floats:
    """Annotated label of each page as a row of zeros and a one, float32 (n, classes)."""
    numbers = [labels.index(page.annotation[name]) for page in pages if page.annotation]
    return np.eye(len(labels), dtype=np.float32)[numbers]


def views_of(pages: Sequence[LabelledPage]) -> list[Features]:
    """Features of pages as each kind of input shows them, in the order of INPUTS."""
    batch = batch_of(pages)
    return [features_of(batch.seen_as(columns)) for columns in INPUTS.values()]


def train(
    trainer: SmallTrainer, pages: Sequence[LabelledPage], views: Sequence[Features], seed: int = SEED
) -> SmallModel:
    """Train the small model on pages, all of which the trainer has chosen."""
    return fit(views, trainer.target(pages), trainer.LABELS, trainer.SETTINGS, seed)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what to train on."""
    parser.add_argument("--data", type=Path, help="folder that holds html/ and warc/: the shipped annotations")
    parser.add_argument("--labels", type=Path, help="annotations of your own, by classifiers.annotate")
    parser.add_argument("--pages", help="the pages that they are of: Parquet folder or file, or JSONL")


def chosen_pages(parser: argparse.ArgumentParser, options: argparse.Namespace, trainer: Trainer) -> list[LabelledPage]:
    """Read the pages that the options name, as far as the trainer learns from them."""
    if (options.labels is None) != (options.pages is None) or (options.data is None and options.labels is None):
        parser.error("expected --data, or --labels with --pages, or all three")
    pages = load_pages(options.data, name=trainer.FILE) if options.data else []
    if options.labels:
        pages += annotated_pages(options.pages, options.labels)
    pages = [pages[i] for i in trainer.chosen(pages)]
    print(f"{trainer.NAME}: {len(pages):,} pages of {len({p.group for p in pages}):,} sites", file=sys.stderr)
    return pages


def save(model: StoredClassifier, folder: Path) -> None:
    """Write a trained model into a folder, and print name, size and SHA-256 of the file as JSON."""
    path = model.save(folder)
    print(json.dumps({"file": model.FILE, "bytes": path.stat().st_size, "sha256": model.sha256()}))


def main(trainer: SmallTrainer, arguments: Sequence[str] | None = None) -> int:
    name = trainer.NAME
    parser = argparse.ArgumentParser(
        prog=f"python -m classifiers.{name}.train",
        description=f"Train the small {name} classifier on the annotated pages; the same data and seed give the same weights.",
    )
    add_sources(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent / name / "weights",
        help="where the weights go (default: in place of the shipped ones)",
    )
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    start = time.monotonic()
    pages = chosen_pages(parser, options, trainer)
    model = train(trainer, pages, views_of(pages), options.seed)
    model.meta.update({"name": name, "seed": options.seed, "pages": len(pages), "data": data_digest(pages)})
    save(model, options.out)
    print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return 0
