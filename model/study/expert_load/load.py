"""Load of experts by groups of documents, and how far a group is from all documents, beside chance.

Load (dots.llm1's report, expert specialisation, figure 5): load(E, D) = tokens of D that are routed to E / tokens of D, for each
layer; its sum over the experts is the number that a token chooses, K, and even load is K over the number of experts. Every token
of a document counts, its end mark too.

**Is it more than chance?** Documents differ, so any part of a corpus has another load than the whole. The distance of a group
from all documents is the total variation of their shares of choices, 1/2 sum |p - q|: the part of its choices that would have to
go to other experts. Beside it stands the distance of random groups of as many documents (labels dealt anew, `PERMUTATIONS`
times): their mean, and the 95th percentile, which only one random group in twenty is above.

One process, one device or (an export on several GPUs) layers dealt to them. In memory: the tokens asked for (`--tokens`), and
choices of at most `UNITS` units of documents; where there are more documents, several of one group make a unit.

Shapes: D documents, U units, G groups, L layers with experts, E experts, K chosen ones, P permutations, N places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from model.base.arrays import Floats, Int64s
from model.study.expert_load.models import Loaded
from model.training.evaluation import Laid

OTHERS = "(others)"
UNITS = 2048
PERMUTATIONS = 200
TOP = 12
"""Groups that are told apart: those of most tokens."""


@dataclass(frozen=True)
class Groups:
    """Groups of documents by a column's value.

    :ivar names: values of most tokens first; `OTHERS` at the end, if there are more.
    :ivar unit_D: the unit of each document; group_U: the group of each unit. A unit is of one group.
    """

    column: str
    names: list[str]
    unit_D: Int64s
    group_U: Int64s

    @property
    def group_D(self) -> Int64s:
        """Group of each document."""
        return self.group_U[self.unit_D]


def group(column: str, values: Sequence[str], tokens_D: Int64s, *, top: int = TOP, units: int = UNITS) -> Groups:
    """Assign documents to groups and units.

    :param values: of each document.
    :param tokens_D: its tokens, which decide what the `top` values are.
    :param units: at most so many, but for one in each group.
    """
    kinds, kind_D = np.unique(np.array(values, dtype=object), return_inverse=True)
    tokens = np.bincount(kind_D, tokens_D, len(kinds))
    order = np.lexsort((np.arange(len(kinds)), -tokens))  # most tokens first, then by name
    names = [str(kinds[k]) for k in order[:top]]
    rank = np.empty(len(kinds), dtype=np.int64)
    rank[order] = np.minimum(np.arange(len(kinds)), top)
    if len(kinds) > top:
        names.append(OTHERS)
    group_D = rank[kind_D]
    sizes = np.bincount(group_D, minlength=len(names))
    each = np.maximum(1, sizes * min(1.0, units / len(values))).astype(np.int64)
    first = np.cumsum(each) - each
    place = np.empty(
        len(values), dtype=np.int64
    )  # of a document within its group, in the order of the shards, which is random
    by_group = np.argsort(group_D, kind="stable")
    place[by_group] = np.arange(len(values)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Groups(column, names, first[group_D] + place % each[group_D], np.repeat(np.arange(len(names)), each))


@torch.no_grad()
def count(model: Loaded, laid: Laid, groupings: Sequence[Groups], batch: int = 1) -> list[Int64s]:
    """Run the model over documents, and count the choices.

    :param batch: sequences at once.
    :returns: choices by unit, layer and expert, `(U, L, E)`, for each grouping.
    """
    sums = [torch.zeros(len(model.routers), len(g.group_U), model.experts, dtype=torch.int64) for g in groupings]
    # The row after the last is of padding, whose owner is -1.
    units = [torch.from_numpy(np.append(g.unit_D, -1)) for g in groupings]
    owners = torch.zeros(0, dtype=torch.int64)

    def hook(layer: int) -> Any:
        def counted(_: nn.Module, __: Any, out: tuple[torch.Tensor, ...]) -> None:
            chosen_NK = out[2].cpu()
            used = owners >= 0
            chosen = chosen_NK[used]
            for total, unit_D in zip(sums, units, strict=True):
                cells = unit_D[owners[used]][:, None] * model.experts + chosen
                total[layer].view(-1).scatter_add_(0, cells.flatten(), torch.ones(cells.numel(), dtype=torch.int64))

        return counted

    hooks = [r.register_forward_hook(hook(i)) for i, r in enumerate(model.routers)]
    try:
        for begin in range(0, len(laid.input_ids), batch):
            rows = laid.rows(begin, min(batch, len(laid.input_ids) - begin))
            owners = torch.from_numpy(rows["owners"]).flatten()
            ids, positions = (torch.from_numpy(rows[k]).to(model.device) for k in ("input_ids", "position_ids"))
            with torch.autocast(model.device.type, torch.bfloat16, enabled=model.autocast):
                model.body(input_ids=ids, position_ids=positions, use_cache=False)
    finally:
        for h in hooks:
            h.remove()
    return [np.asarray(s.permute(1, 0, 2).contiguous().numpy()) for s in sums]


@dataclass(frozen=True)
class Summary:
    """Summary: loads of the groups of one column.

    :ivar load_GLE: tokens routed to an expert / tokens; NaN for a group without any.
    :ivar distance_GL: total variation of a group's choices from all documents'.
    :ivar chance_GL: the mean of random groups of as many units, and high_GL their 95th percentile.
    """

    groups: Groups
    tokens_G: Int64s
    documents_G: Int64s
    load_GLE: Floats
    load_LE: Floats
    distance_GL: Floats
    chance_GL: Floats
    high_GL: Floats


def total_variation(choices: Floats, all_LE: Floats) -> Floats:
    """Compute 1/2 sum |p - q| over the experts.

    :param choices: `(..., L, E)`, counts; NaN where a row has none.
    :param all_LE: counts to be held to.
    """
    sums = choices.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = choices / sums
    q = all_LE / np.maximum(1, all_LE.sum(-1, keepdims=True))
    return np.asarray(np.abs(p - q).sum(-1) / 2)


def summarise(
    groups: Groups, counts_ULE: Int64s, tokens_D: Int64s, permutations: int = PERMUTATIONS, seed: int = 0
) -> Summary:
    """Compute loads, and how far groups are from the whole, beside chance."""
    number = len(groups.names)
    counts = counts_ULE.astype(np.float64)
    units, layers, experts = counts.shape
    flat = counts.reshape(units, -1)

    def by_group(group_U: Int64s) -> Floats:
        member_GU = (group_U[None] == np.arange(number)[:, None]).astype(np.float64)
        return np.asarray((member_GU @ flat).reshape(number, layers, experts))

    counts_GLE, all_LE = by_group(groups.group_U), counts.sum(0)
    tokens_G = np.bincount(groups.group_D, tokens_D, number).astype(np.int64)
    rng = np.random.default_rng(seed)
    random = np.stack([total_variation(by_group(rng.permutation(groups.group_U)), all_LE) for _ in range(permutations)])
    with np.errstate(invalid="ignore", divide="ignore"):
        load_GLE = counts_GLE / np.where(tokens_G, tokens_G, np.nan)[:, None, None]
    return Summary(
        groups=groups,
        tokens_G=tokens_G,
        documents_G=np.bincount(groups.group_D, minlength=number),
        load_GLE=load_GLE,
        load_LE=all_LE / max(1, int(tokens_D.sum())),
        distance_GL=total_variation(counts_GLE, all_LE),
        chance_GL=random.mean(0),
        high_GL=np.quantile(random, 0.95, axis=0),
    )
