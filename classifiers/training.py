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
from classifiers.features import Features, features_of
from classifiers.labelled import LabelledPage, batch_of, data_digest, load_pages
from classifiers.small import Settings, SmallModel, Target, fit

SEED = 20261123


class Trainer(Protocol):
    """What a module `classifiers.<name>.train` says of its classifier."""

    LABELS: tuple[str, ...]
    SETTINGS: Settings

    def chosen(self, pages: Sequence[LabelledPage]) -> list[int]:
        """Numbers of the pages that it learns from."""

    def target(self, pages: Sequence[LabelledPage]) -> Target:
        """What is to be learned of these pages."""


def trainer(name: str) -> Trainer:
    """The trainer of a classifier."""
    module: Trainer = importlib.import_module(f"classifiers.{name}.train")
    return module


def train(name: str, pages: Sequence[LabelledPage], found: Features, seed: int = SEED) -> SmallModel:
    """Train on pages, all of which the trainer has chosen."""
    its = trainer(name)
    return fit(found, its.target(pages), its.LABELS, its.SETTINGS, seed)


def main(name: str, arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=f"python -m classifiers.{name}.train",
        description=f"Train the small {name} classifier on the annotated pages; the same data and seed give the same weights.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds html/ and warc/")
    parser.add_argument("--annotations", type=Path, help="folder of the annotations (default: the shipped ones)")
    parser.add_argument("--out", type=Path, help="where the weights go (default: the shipped ones)")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    start = time.monotonic()
    its = trainer(name)
    pages = load_pages(options.data, *([options.annotations] if options.annotations else []))
    pages = [pages[i] for i in its.chosen(pages)]
    print(f"{name}: {len(pages):,} pages of {len({p.group for p in pages}):,} sites", file=sys.stderr)
    model = train(name, pages, features_of(batch_of(pages)), options.seed)
    model.meta.update({"name": name, "seed": options.seed, "pages": len(pages), "data": data_digest(pages)})
    out = options.out or Path(__file__).parent / name / "weights"
    path = model.save(out)
    print(json.dumps({"file": SMALL_FILE, "bytes": path.stat().st_size, "sha256": model.sha256()}))
    print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return 0
