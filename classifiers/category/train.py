"""Train the small category classifier: `python -m classifiers.category.train --data DATA [--out FOLDER]`.

It learns from the annotated pages, and, weighing less, from public label sets (`mappings.tsv`), topic lexicons, what
`labels.yaml` says of the classes and texts that a language model wrote to that. Of these a text may stand for one of several
classes: the loss is that of their sum. The same data and seed give the same weights on the same machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from classifiers.base import Batch
from classifiers.category import sets
from classifiers.category.labels import GROUP_OF, GROUPS
from classifiers.category.labels import LABELS as LABELS
from classifiers.category.model import FIELDS, Net, WordModel, WordVectors, compressed, standardised
from classifiers.features import features_of
from classifiers.labelled import CATEGORIES, LabelledPage, batch_of, data_digest
from classifiers.small import Target, folds, temperature
from classifiers.training import SEED, add_sources, annotated, chosen_pages, one_hot, save

NAME = "category"
FILE = CATEGORIES
WEIGHTS = Path(__file__).parent / "weights"
NETS, UNITS, EPOCHS, ROWS = 2, 256, 40, 64
"""Nets of UNITS hidden units, trained from one seed each; what is kept is their mean, as one net."""

RATE, DECAY, DROPOUT = 2e-3, 2e-3, 0.5
FIELD_DROPOUT = (0.4, 0.2, 0.2, 0.1)
"""Shares of pages that lose address, title, beginning, text: a page may come without any. Of the numbers: NUMBERS_DROPOUT."""

NUMBERS_DROPOUT, INPUT_DROPOUT = 0.2, 0.2
PLAIN = 0.25
"""Share of pages that are seen as a text without HTML: no title, and the numbers of lines of which nothing is known."""

LENT = 0.8
"""Share of the texts that are no pages which get the numbers about lines of a page drawn by chance: without numbers they would
be told from pages by that, and classes known from texts alone would not be found in pages."""

SITE_POWER = 0.2
"""A page weighs (pages of its site) ** -SITE_POWER, as a share of the mean."""

GROUP_WEIGHT = 0.5
"""Weight of the group's loss beside that of the class."""

HELD = 1
"""Parts of the sites, of five, that are held out in turn to choose the temperature."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Extra:
    """Texts beside the pages: their mean vectors, classes that each may be, the weight of all against the pages, and how many
    are drawn for each step."""

    means: Floats
    classes: Floats
    weight: float
    rows: int


def site_of(page: LabelledPage) -> str:
    """The site of a page. Translations of one manual are one: `libreoffice-help` of zh-cn and zh-tw."""
    return re.sub(r"-zh-(cn|tw)$", "", page.group)


def chosen(pages: Sequence[LabelledPage]) -> list[int]:
    """Numbers of the annotated pages with a text."""
    return [i for i in annotated(pages, NAME) if pages[i].extraction.text.strip()]


def target(pages: Sequence[LabelledPage]) -> Target:
    """The annotated class of each page, or two of them by halves, and what it weighs."""
    sites = [site_of(page) for page in pages]
    number = Counter(sites)
    weights = np.array([number[site] ** -SITE_POWER for site in sites], np.float32)
    wanted = one_hot(pages, NAME, LABELS)
    for row, page in zip(wanted, pages, strict=True):
        second = (page.annotation or {}).get("category2")
        if second and not row[LABELS.index(second)]:
            row /= 2
            row[LABELS.index(second)] = 0.5
    return Target(wanted, weights / weights.mean(), sites)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the net sees of n pages: mean vectors (n, fields * dimensions), numbers about lines (n, columns), and the same numbers
    where nothing is known beside the text."""

    means: Floats
    dense: Floats
    plain: Floats

    @classmethod
    def of(cls, pages: Sequence[LabelledPage], vectors: WordVectors) -> Inputs:
        batch = batch_of(pages)
        plain = features_of(batch.seen_as(())).dense
        return cls(vectors.means(batch), features_of(batch).dense, plain)

    def take(self, rows: npt.NDArray[np.int64]) -> Inputs:
        return Inputs(self.means[rows], self.dense[rows], self.plain[rows])


def extras(data: Path | None, vectors: WordVectors, seed: int) -> list[Extra]:
    """Read the texts to learn from beside the pages."""
    texts, titles, classes = sets.definitions()
    out = [Extra(vectors.means(Batch(texts, titles=titles)), classes, 0.4, 48)]
    texts, titles, classes = sets.written()
    out.append(Extra(vectors.means(Batch(texts, titles=titles)), classes, 1.5, 64))
    if data is not None:
        texts, classes = sets.public(data)
        out.append(Extra(vectors.means(Batch(texts)), classes, 0.15, 64))
        texts, classes = sets.lexicons(data, seed)
        out.append(Extra(vectors.means(Batch(texts)), classes, 0.075, 32))
    return out


def fit(inputs: Inputs, wanted: Target, extra: Sequence[Extra], seed: int) -> tuple[Net, float]:
    """Train a net, and choose its temperature on pages of sites that it had not seen."""
    parts = folds(wanted.groups, 5, f"temperature {seed}")
    logits, rows = [], []
    for part in range(HELD):
        trained, held_out = np.flatnonzero(parts != part), np.flatnonzero(parts == part)
        if len(trained) and len(held_out):
            net = _joined(inputs.take(trained), wanted.take(trained.tolist()), extra, seed)
            own = inputs.take(held_out)
            logits.append(net.logits(net.inputs(own.means, own.dense)).astype(np.float64))
            rows += held_out.tolist()
    net = _joined(inputs, wanted, extra, seed)
    return net, temperature(np.concatenate(logits), wanted.take(rows)) if rows else 1.0


def _joined(inputs: Inputs, wanted: Target, extra: Sequence[Extra], seed: int) -> Net:
    """Join NETS nets to one net, their mean."""
    nets = [_fit(inputs, wanted, extra, seed + number) for number in range(NETS)]

    def mean(name: str) -> npt.NDArray[np.float16]:
        out: npt.NDArray[np.float16] = np.mean([net.wide[name] for net in nets], axis=0).astype(np.float16)
        return out

    return Net(
        nets[0].centre,
        nets[0].spread,
        np.concatenate([net.hidden for net in nets], axis=1),
        np.concatenate([net.hidden_bias for net in nets]),
        (np.concatenate([net.wide["outer"] for net in nets]) / NETS).astype(np.float16),
        mean("outer_bias"),
        mean("skip"),
    )


def _fit(inputs: Inputs, wanted: Target, extra: Sequence[Extra], seed: int) -> Net:
    import torch
    from torch import nn

    means, dense = inputs.means, inputs.dense

    torch.manual_seed(seed)
    chance = torch.Generator().manual_seed(seed)
    centre = compressed(dense).mean(0).astype(np.float16)
    spread = (compressed(dense).std(0) + 1e-3).astype(np.float16)
    numbers = standardised(dense, centre.astype(np.float32), spread.astype(np.float32))
    width, columns = means.shape[1], numbers.shape[1]
    x = torch.tensor(np.concatenate([means, numbers], axis=1))
    plain = torch.tensor(standardised(inputs.plain, centre.astype(np.float32), spread.astype(np.float32)))
    y, heavy = torch.tensor((wanted.wanted > 0).astype(np.float32)), torch.tensor(wanted.weights)
    others = [
        (torch.tensor(np.pad(e.means, ((0, 0), (0, columns)))), torch.tensor(e.classes), e.weight, e.rows)
        for e in extra
    ]
    groups = torch.zeros(len(LABELS), len(GROUPS))
    place = {group.id: i for i, group in enumerate(GROUPS)}
    for i, label in enumerate(LABELS):
        groups[i, place[GROUP_OF[label]]] = 1
    hidden, outer, skip = nn.Linear(width + columns, UNITS), nn.Linear(UNITS, len(LABELS)), nn.Linear(
        width + columns, len(LABELS), bias=False
    )  # fmt: skip
    nn.init.zeros_(skip.weight)
    parameters = [p for layer in (hidden, outer, skip) for p in layer.parameters()]
    steps = max(1, len(x) // ROWS)
    optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * steps, pct_start=0.1)
    share = torch.tensor(FIELD_DROPOUT)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x), generator=chance)
        for step in range(steps):
            drawn_pages = order[step * ROWS : (step + 1) * ROWS]
            batch = x[drawn_pages].clone()
            fields = (torch.rand(len(drawn_pages), len(share), generator=chance) > share).float()
            as_plain = torch.rand(len(drawn_pages), 1, generator=chance) < PLAIN
            fields[:, FIELDS.index("title")] *= (~as_plain[:, 0]).float()
            batch[:, width:] = torch.where(as_plain, plain[drawn_pages], batch[:, width:])
            batch[:, :width] *= fields.repeat_interleave(width // len(share), 1)
            batch[:, width:] *= (torch.rand(len(drawn_pages), 1, generator=chance) > NUMBERS_DROPOUT).float()
            rows, classes, weights = [batch], [y[drawn_pages]], [heavy[drawn_pages] / len(drawn_pages)]
            for means_of, classes_of, weight, number in others:
                drawn = torch.randint(len(means_of), (number,), generator=chance)
                with_numbers = means_of[drawn]
                lent = torch.randint(len(x), (number,), generator=chance)
                lend = (torch.rand(number, 1, generator=chance) < LENT).float()
                with_numbers[:, width:] = x[lent, width:] * lend
                rows.append(with_numbers)
                classes.append(classes_of[drawn])
                weights.append(torch.full((number,), weight / number))
            seen = nn.functional.dropout(torch.cat(rows), INPUT_DROPOUT)
            inner = nn.functional.dropout(torch.relu(hidden(seen)), DROPOUT)
            p = torch.softmax(outer(inner) + skip(seen), 1)
            may = torch.cat(classes)
            of_group = ((may @ groups) > 0).float()
            loss = -(p * may).sum(1).clamp_min(1e-9).log()
            loss = loss - GROUP_WEIGHT * ((p @ groups) * of_group).sum(1).clamp_min(1e-9).log()
            optimizer.zero_grad()
            total: Any = (loss * torch.cat(weights)).sum()  # torch does not type backward
            total.backward()
            optimizer.step()
            schedule.step()

    trained = (hidden.weight.T, hidden.bias, outer.weight.T, outer.bias, skip.weight.T)
    arrays = [np.ascontiguousarray(tensor.detach().numpy().astype(np.float16)) for tensor in trained]
    return Net(centre, spread, *arrays)


def train(pages: Sequence[LabelledPage], vectors: WordVectors, data: Path | None, seed: int = SEED) -> WordModel:
    """Train on pages, all of which are annotated."""
    import torch

    torch.set_num_threads(1)  # sums in one order
    net, divisor = fit(Inputs.of(pages, vectors), target(pages), extras(data, vectors, seed), seed)
    return WordModel(LABELS, vectors, net, divisor)


def read_vectors(path: Path) -> WordVectors:
    """Vectors of a file of `classifiers.category.vectors`, or of a trained model."""
    tensors = safetensors.numpy.load(path.read_bytes())
    return WordVectors(tensors["keys"], tensors["nibbles"], tensors["scales"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m classifiers.category.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_sources(parser)
    parser.add_argument(
        "--vectors",
        type=Path,
        default=WEIGHTS / WordModel.FILE,
        help="word vectors (default: those of the shipped model)",
    )
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="default: in place of the shipped weights")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    start = time.monotonic()
    pages = chosen_pages(parser, options, sys.modules[__name__])
    model = train(pages, read_vectors(options.vectors), options.data, options.seed)
    meta = {"name": NAME, "seed": options.seed, "pages": len(pages), "data": data_digest(pages)}
    model = dataclasses.replace(model, meta=meta)
    save(model, options.out)
    print(f"category: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
