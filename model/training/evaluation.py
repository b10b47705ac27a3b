"""Loss of a split by document, language, source, category and domain.

Whole documents, in the order of the shards, laid one after the other and cut at each sequence; positions restart, so a piece is
predicted from itself alone and its first token not at all. The loss does not depend on ranks or batch size beyond rounding.

Shapes: S sequences, T places, D documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.base.arrays import IGNORE, Int64s
from model.data.shards import Shards, Split

GROUPS = ("language", "source", "category", "domain")
DOMAINS = 50
"""Values of a column that are reported: those of most targets."""


@dataclass(frozen=True)
class Laid:
    """Documents of a split, laid into sequences.

    :ivar owners: `(S, T)`, the number of the document of each place, -1 for padding.
    :ivar columns: the values of each document, by column.
    """

    input_ids: Int64s
    labels: Int64s
    position_ids: Int64s
    owners: Int64s
    columns: dict[str, list[str]]

    def rows(self, begin: int, count: int) -> dict[str, Int64s]:
        """Cut out a batch of `count` sequences, padding where the split has ended."""
        out = {}
        for name in ("input_ids", "labels", "position_ids", "owners"):
            part = getattr(self, name)[begin : begin + count]
            fill = {"labels": IGNORE, "owners": -1}.get(name, 0)
            out[name] = np.concatenate([part, np.full((count - len(part), *part.shape[1:]), fill, dtype=np.int64)])
        return out


def lay(shards: Shards, split: Split, sequence_length: int, tokens: int | None = None) -> Laid:
    """Read a split, or the documents that begin within its first `tokens`."""
    ids: list[npt.NDArray[Any]] = []
    columns: dict[str, list[str]] = {c: [] for c in GROUPS}
    taken = 0
    for row_ids, values in _documents(shards, split):
        if tokens is not None and taken >= tokens:
            break
        ids.append(row_ids)
        taken += len(row_ids)
        for column, value in values.items():
            columns[column].append("unknown" if value is None else value)
    lengths = np.array([len(i) for i in ids], dtype=np.int64)
    flat = np.concatenate(ids).astype(np.int64)
    owners = np.repeat(np.arange(len(ids)), lengths)
    places = np.arange(len(flat))
    starts = np.maximum(np.repeat(np.cumsum(lengths) - lengths, lengths), places // sequence_length * sequence_length)
    positions = places - starts
    labels = np.where(positions == 0, IGNORE, flat)
    padding = -len(flat) % sequence_length

    def shaped(a: Int64s, fill: int) -> Int64s:
        return np.concatenate([a, np.full(padding, fill, dtype=np.int64)]).reshape(-1, sequence_length)

    return Laid(shaped(flat, shards.eod_id), shaped(labels, IGNORE), shaped(positions, 0), shaped(owners, -1), columns)


def _documents(shards: Shards, split: Split) -> Iterator[tuple[npt.NDArray[Any], dict[str, str | None]]]:
    """Read token ids and columns of the documents of a split."""
    for shard in shards.split(split):
        for group in range(shard.row_groups):
            ids, offsets = shards.tokens(shard, group)
            table = shards.table(shard, group, GROUPS)
            values = {c: table[c].to_pylist() for c in GROUPS}
            for row in range(len(table)):
                yield ids[offsets[row] : offsets[row + 1]], {c: values[c][row] for c in GROUPS}


def grouped(laid: Laid, loss_D: npt.NDArray[np.float64], targets_D: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Compute mean losses by group, in nats a token.

    :param loss_D: summed loss of each document.
    :param targets_D: tokens predicted in each.
    """

    def mean(chosen: npt.NDArray[Any]) -> dict[str, Any]:
        targets = float(targets_D[chosen].sum())
        loss = float(loss_D[chosen].sum()) / targets if targets else None
        return {"loss": loss, "targets": int(targets), "documents": int(chosen.sum())}

    out: dict[str, Any] = {"all": mean(np.ones(len(loss_D), dtype=bool))}
    for column in GROUPS:
        values = np.array(laid.columns[column], dtype=object)
        losses = {str(v): mean(values == v) for v in sorted(set(laid.columns[column]))}
        largest = sorted(losses, key=lambda v: (-losses[v]["targets"], v))[:DOMAINS]
        out[column] = {v: losses[v] for v in largest}
    return out


def unigram_entropy(counts: npt.NDArray[np.int64]) -> float:
    """Compute the nats a token of the best model that ignores context, fitted to the very tokens that it is held to."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())
