"""The command that trains a small page classifier: `python -m classifiers.<name>.train --data DATA [--out FOLDER]`."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from classifiers.base import SMALL_FILE
from classifiers.corpus import annotated_pages
from classifiers.features import Features, features_of
from classifiers.labelled import LabelledPage, batch_of, data_digest, load_pages
from classifiers.small import Settings, SmallModel, Target, fit

SEED = 20261123


class Labels(Protocol):
    """What a module `classifiers.<name>.train` says of its classifier."""

    LABELS: tuple[str, ...]
    FILE: str
    """Name of the file of shipped annotations."""

    def chosen(self, pages: Sequence[LabelledPage]) -> list[int]:
        """Numbers of the pages that it learns from."""

    def target(self, pages: Sequence[LabelledPage]) -> Target:
        """What is to be learned of these pages."""


class Trainer(Labels, Protocol):
    """The same of a classifier with the backend `classifiers.small`."""

    SETTINGS: Settings


def trainer(name: str) -> Trainer:
    """The trainer of a classifier with the backend `classifiers.small`."""
    module: Trainer = importlib.import_module(f"classifiers.{name}.train")
    return module


def train(name: str, pages: Sequence[LabelledPage], found: Features, seed: int = SEED) -> SmallModel:
    """Train on pages, all of which the trainer has chosen."""
    its = trainer(name)
    return fit(found, its.target(pages), its.LABELS, its.SETTINGS, seed)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Options that say what to train on."""
    parser.add_argument("--data", type=Path, help="folder that holds html/ and warc/: the shipped annotations")
    parser.add_argument("--labels", type=Path, help="annotations of your own, by classifiers.annotate")
    parser.add_argument("--pages", help="the pages that they are of: Parquet folder or file, or JSONL")


def sources(parser: argparse.ArgumentParser, options: argparse.Namespace, its: Labels) -> list[LabelledPage]:
    """The pages that the options name."""
    if (options.labels is None) != (options.pages is None) or (options.data is None and options.labels is None):
        parser.error("expected --data, or --labels with --pages, or all three")
    pages = load_pages(options.data, name=its.FILE) if options.data else []
    if options.labels:
        pages += annotated_pages(options.pages, options.labels)
    return pages


def main(name: str, arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=f"python -m classifiers.{name}.train",
        description=f"Train the small {name} classifier on the annotated pages; the same data and seed give the same weights.",
    )
    add_sources(parser)
    parser.add_argument("--out", type=Path, help="where the weights go (default: in place of the shipped ones)")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    start = time.monotonic()
    its = trainer(name)
    pages = sources(parser, options, its)
    pages = [pages[i] for i in its.chosen(pages)]
    print(f"{name}: {len(pages):,} pages of {len({p.group for p in pages}):,} sites", file=sys.stderr)
    model = train(name, pages, features_of(batch_of(pages)), options.seed)
    model.meta.update({"name": name, "seed": options.seed, "pages": len(pages), "data": data_digest(pages)})
    out = options.out or Path(__file__).parent / name / "weights"
    path = model.save(out)
    print(json.dumps({"file": SMALL_FILE, "bytes": path.stat().st_size, "sha256": model.sha256()}))
    print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return 0
