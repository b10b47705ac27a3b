"""Expert load of a trained model by language, source, category or domain; or over the course of its training.

    python -m model.analyse out/model/tiny --shards out/demo/tokenization --split train --by language --by category
    python -m model.analyse out/model/tiny/export --shards out/demo/tokenization
    python -m model.analyse --checkpoints out/model/tiny out/model/tiny-unbalanced

Load (dots.llm1's report, expert specialisation, figure 5): load(E, D) = tokens of D that are routed to E / tokens of D, for each
layer; its sum over the experts is the number that a token chooses, K, and even load is K over the number of experts. Every token
of a document counts, its end mark too.

**Is it more than chance?** Documents differ, so any part of a corpus has another load than the whole. The distance of a group
from all documents is the total variation of their shares of choices, 1/2 sum |p - q|: the part of its choices that would have to
go to other experts. Beside it stands the distance of random groups of as many documents (labels dealt anew, `PERMUTATIONS`
times): their mean, and the 95th percentile, which only one random group in twenty is above.

    analysis/load.json              model, manifest's hash, loads, distances, machine, commit
    analysis/load-language.svg      heat maps (model/pictures.py)
    analysis/training.json, .svg    with --checkpoints

One process, one device or (an export on several GPUs) layers dealt to them. In memory: the tokens asked for (`--tokens`), and
choices of at most `UNITS` units of documents; where there are more documents, several of one group make a unit.

Shapes: D documents, U units, G groups, L layers with experts, E experts, K chosen ones, P permutations, N places.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
import yaml
from pydantic import ValidationError
from torch import nn
from torch.distributed.checkpoint import state_dict_loader
from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict
from transformers import Dots1Config, Dots1ForCausalLM

from model import checkpoint, metrics
from model.config import RunConfig
from model.evaluate import GROUPS, Laid, lay
from model.moe import build, initialise
from model.pictures import Panel, heat_maps
from model.shards import MANIFEST, Int64s, ShardError, open_shards

Floats = npt.NDArray[np.float64]

OTHERS = "(others)"
UNITS = 2048
PERMUTATIONS = 200
TOP = 12
"""Groups that are told apart: those of most tokens."""
BINS = 48
"""Columns of a picture over training, at most: the steps of one are summed."""
PICTURED_LAYERS = 6


class AnalysisError(ValueError):
    """What cannot be analysed: what was found, what was expected."""


# --- models -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """A model to look into.

    :ivar body: what gives hidden states; the head is not needed.
    :ivar layers: numbers of the layers with experts, and their routers.
    """

    body: nn.Module
    layers: list[int]
    routers: list[nn.Module]
    experts: int
    chosen: int
    vocabulary: int
    sequence_length: int
    device: torch.device
    autocast: bool
    about: dict[str, Any]


def open_model(folder: Path, device: torch.device, precision: str, sequence_length: int | None = None) -> Loaded:
    """The last checkpoint of a run, one of its checkpoints, or a model in Hugging Face's format.

    :param precision: `fp32`, or `bf16` (of products in a run; of the weights in an export).
    :raises AnalysisError: it is none of these, or not of this architecture.
    """
    if (folder / checkpoint.STATE).exists():
        return _from_checkpoint(folder, device, precision, sequence_length)
    if (folder / "config.yaml").exists():
        found = checkpoint.folders(folder)
        if not found:
            raise AnalysisError(f"{folder}: a run without a complete checkpoint")
        return _from_checkpoint(found[-1], device, precision, sequence_length)
    if (folder / "config.json").exists():
        return _from_export(folder, device, precision, sequence_length)
    raise AnalysisError(
        f"{folder}: expected a run (config.yaml, checkpoints/), one of its checkpoints, or an export (config.json)"
    )


def _from_checkpoint(place: Path, device: torch.device, precision: str, sequence_length: int | None) -> Loaded:
    run = place.parent.parent
    try:
        config = RunConfig.model_validate(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")))
    except (OSError, ValidationError) as error:
        raise AnalysisError(f"{run / 'config.yaml'}: {' '.join(str(error).split())}") from None
    t = config.train
    model = build(config.model.dots1(), attention=t.attention, experts=t.experts)
    model.to_empty(device=device)
    initialise(model, 0, config.model.initializer_range)  # rotary frequencies; the weights are replaced
    weights = get_model_state_dict(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state_dict_loader.load({"model": weights}, checkpoint_id=place, no_dist=True)
    set_model_state_dict(model, weights)
    state = json.loads((place / checkpoint.STATE).read_text(encoding="utf-8"))
    about = {"path": str(place), "trained_tokens": state["tokens"], "step": state["step"]}
    return _loaded(model, device, precision == "bf16", sequence_length or t.sequence_length, about)


def _from_export(folder: Path, device: torch.device, precision: str, sequence_length: int | None) -> Loaded:
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind != "dots1":
        raise AnalysisError(f"{folder}: a model of type {kind!r}, expected 'dots1'")
    spread: dict[str, Any] = {"device_map": "auto"} if device.type == "cuda" else {}
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    model = Dots1ForCausalLM.from_pretrained(folder, dtype=dtype, **spread)
    length = sequence_length or min(8192, model.config.max_position_embeddings)
    return _loaded(model, device, False, length, {"path": str(folder)})


def _loaded(
    model: Dots1ForCausalLM, device: torch.device, autocast: bool, sequence_length: int, about: dict[str, Any]
) -> Loaded:
    found = [(i, layer.mlp.gate) for i, layer in enumerate(model.model.layers) if hasattr(layer.mlp, "gate")]
    if not found:
        raise AnalysisError(f"{about['path']}: no layer with experts")
    config: Dots1Config = model.config
    if sequence_length > config.max_position_embeddings:
        raise AnalysisError(
            f"sequences of {sequence_length:,}, the model has {config.max_position_embeddings:,} positions"
        )
    model.train(False)
    return Loaded(
        body=model.model,
        layers=[i for i, _ in found],
        routers=[router for _, router in found],
        experts=int(config.n_routed_experts or 0),
        chosen=int(config.num_experts_per_tok or 0),
        vocabulary=config.vocab_size,
        sequence_length=sequence_length,
        device=device,
        autocast=autocast,
        about=about | {"layers": len(found), "experts": config.n_routed_experts, "chosen": config.num_experts_per_tok},
    )


# --- groups and counting ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Groups:
    """The documents by a column's value.

    :ivar names: values of most tokens first; `OTHERS` at the end, if there are more.
    :ivar unit_D: the unit of each document; group_U: the group of each unit. A unit is of one group.
    """

    column: str
    names: list[str]
    unit_D: Int64s
    group_U: Int64s

    @property
    def group_D(self) -> Int64s:
        return self.group_U[self.unit_D]


def group(column: str, values: Sequence[str], tokens_D: Int64s, *, top: int = TOP, units: int = UNITS) -> Groups:
    """Documents to groups and units.

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
    """Run the model over documents.

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


# --- statistics -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """Loads of the groups of one column.

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
    """1/2 sum |p - q| over the experts.

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
) -> Found:
    """Loads, and how far groups are from the whole, beside chance."""
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
    return Found(
        groups=groups,
        tokens_G=tokens_G,
        documents_G=np.bincount(groups.group_D, minlength=number),
        load_GLE=load_GLE,
        load_LE=all_LE / max(1, int(tokens_D.sum())),
        distance_GL=total_variation(counts_GLE, all_LE),
        chance_GL=random.mean(0),
        high_GL=np.quantile(random, 0.95, axis=0),
    )


# --- what is said -----------------------------------------------------------------------------------------------------


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Rows of a table as text, the first `left` columns to the left."""
    widths = [max(_width(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for i, cell in enumerate(row):
            space = " " * (widths[i] - _width(cell))
            cells.append(cell + space if i < left else space + cell)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    """Columns on a terminal: Chinese takes two."""
    return sum(2 if "\u1100" <= c <= "\uffdc" else 1 for c in text)


def table(model: Loaded, found: Found, shown: int = 6, top: int = 10) -> str:
    """Spread of each layer, distances of the largest groups, and the experts that belong most to one group."""
    names, even = found.groups.names, model.chosen / model.experts
    few = names[:shown]
    rows = [["layer", "least", "most", *few]]
    for place, layer in enumerate(model.layers):
        load = found.load_LE[place] / even
        row = [str(layer), f"{load.min():.2f}", f"{load.max():.2f}"]
        for g in range(len(few)):
            far, high = found.distance_GL[g, place], found.high_GL[g, place]
            row.append("-" if not np.isfinite(far) else f"{far:.1%} ({high:.1%}){'*' if far > high else ' '}")
        rows.append(row)
    for name, numbers in (("tokens", found.tokens_G), ("documents", found.documents_G)):
        rows.insert(1, [name, "", "", *(f"{n:,} " for n in numbers[:shown].tolist())])
    cut = len(names) - len(few)
    text = [
        f"by {found.groups.column}: load of the least and the most busy expert / even load ({even:.4f}), of all documents;",
        "distance of groups from all documents (95th percentile of random groups of as many documents), * above it"
        + (f"; {cut} more groups in load.json" if cut else ""),
        aligned(rows),
    ]
    if len(names) == 1:
        return "\n".join([*text, f"one group alone, {names[0]}: nothing to compare"])
    best = specialists(found, top)
    experts = [["layer", "expert", found.groups.column, "load", "of all", "ratio"]]
    for place, expert, g in best:
        load, all_ = found.load_GLE[g, place, expert], found.load_LE[place, expert]
        ratio = f"{load / all_:.2f}" if all_ else "-"
        experts.append([str(model.layers[place]), str(expert), names[g], f"{load:.3f}", f"{all_:.3f}", ratio])
    if best:
        text += [
            "",
            "experts with most of one group's load beyond that of all, where the group is above chance",
            aligned(experts, left=3),
        ]
    return "\n".join(text)


def specialists(found: Found, top: int) -> list[tuple[int, int, int]]:
    """Layer's place, expert, and group: those whose load exceeds that of all documents by most; one group an expert.

    Groups whose distance in the layer is not above chance are left out: some expert always differs most.
    """
    real_GL = found.distance_GL > found.high_GL
    extra_GLE = np.where(real_GL[..., None], found.load_GLE - found.load_LE[None], 0.0)
    most_LE, group_LE = extra_GLE.max(0), extra_GLE.argmax(0)
    order = np.argsort(-most_LE, axis=None, kind="stable")[:top]
    places = zip(*np.unravel_index(order, most_LE.shape), strict=True)
    return [(int(i), int(e), int(group_LE[i, e])) for i, e in places if most_LE[i, e] > 0]


def _numbers(values: Floats, digits: int = 5) -> Any:
    """Nested lists, None for NaN."""
    cleaned = np.round(values, digits).astype(object)
    cleaned[~np.isfinite(values)] = None
    return cleaned.tolist()


def as_json(model: Loaded, found: Found) -> dict[str, Any]:
    """The numbers of one column."""

    names = found.groups.names
    return {
        "all": {"load": _numbers(found.load_LE)},
        "groups": {
            name: {
                "tokens": int(found.tokens_G[g]),
                "documents": int(found.documents_G[g]),
                "distance": _numbers(found.distance_GL[g]),
                "distance_by_chance": _numbers(found.chance_GL[g]),
                "distance_by_chance_95": _numbers(found.high_GL[g]),
                "load": _numbers(found.load_GLE[g]),
            }
            for g, name in enumerate(names)
        },
        "specialists": [
            {"layer": model.layers[i], "expert": e, "group": names[g]} for i, e, g in specialists(found, 50)
        ],
    }


def picture(model: Loaded, found: Found) -> str:
    """Groups x experts for each layer where there are few layers, else layers x experts for each group; all documents first."""
    ratios = np.concatenate([found.load_LE[None], found.load_GLE]) / (model.chosen / model.experts)
    names = ["all", *found.groups.names]
    if len(names) == 2:
        names, ratios = names[1:], ratios[1:]
    experts = [str(e) for e in range(model.experts)]
    short = [n if len(n) <= 28 else n[:27] + "…" for n in names]
    if len(model.layers) <= 8:
        panels = [Panel(f"layer {n}", ratios[:, i], short, experts) for i, n in enumerate(model.layers)]
        return heat_maps(panels, per_row=2 if model.experts <= 32 else 1, x_title="expert")
    layers = [str(n) for n in model.layers]
    panels = [Panel(n, ratios[g], layers, experts) for g, n in enumerate(short)]
    return heat_maps(panels, per_row=2, x_title="expert", y_title="layer")


# --- over training ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Course:
    """Load over a run, of its recorded steps (each tenth), summed into bins of as many tokens.

    :ivar share_BLE: choices of an expert / even, by bin; NaN where nothing was counted.
    """

    name: str
    layers: list[int]
    until_B: Floats
    share_BLE: Floats
    recorded: int


def course(run: Path, until: float, bins: int = BINS) -> Course:
    """Read `experts.jsonl`.

    :param until: tokens at the end of the last bin.
    :raises AnalysisError: no recorded step.
    """
    lines = [x for x in metrics.read(run, "experts") if x["tokens"] <= until]
    if not lines or not lines[0]["layers"]:
        raise AnalysisError(f"{run}: no loads in experts.jsonl; expected a run of model.train with experts")
    load_SLE = np.array([x["load"] for x in lines], dtype=np.float64)
    tokens_S = np.array([x["tokens"] for x in lines], dtype=np.float64)
    # A batch that grows puts fewer recorded steps into as many tokens: no bin narrower than the widest gap, so none is empty.
    bins = max(1, min(bins, int(until / np.diff(tokens_S, prepend=0.0).max())))
    place_S = np.minimum((tokens_S / until * bins).astype(np.int64), bins - 1)
    sums_BLE = np.zeros((bins, *load_SLE.shape[1:]))
    np.add.at(sums_BLE, place_S, load_SLE)
    total = sums_BLE.sum(-1, keepdims=True)
    share = np.divide(sums_BLE * load_SLE.shape[2], total, out=np.full_like(sums_BLE, np.nan), where=total > 0)
    return Course(run.name, lines[0]["layers"], np.arange(1, bins + 1) * until / bins, share, len(lines))


def last_tokens(run: Path) -> float:
    lines = metrics.read(run, "experts")
    if not lines:
        raise AnalysisError(f"{run}: no experts.jsonl; expected a run of model.train")
    return float(lines[-1]["tokens"])


def course_table(courses: Sequence[Course]) -> str:
    """Each run and layer at the beginning, in the middle and at the end: the mean of a fifth of the bins."""
    rows = [["run", "layer"]]
    for part in ("first fifth", "middle", "last fifth"):
        rows[0] += [f"{part}: least", "most", "below 0.1"]
    for c in courses:
        bins = len(c.share_BLE)
        fifth = max(1, bins // 5)
        middle = (bins - fifth) // 2
        begins = [0, middle, bins - fifth]
        for place, layer in enumerate(c.layers):
            row = [c.name, str(layer)]
            for begin in begins:
                share = c.share_BLE[begin : begin + fifth, place].mean(0)
                row += [f"{share.min():.2f}", f"{share.max():.2f}", str(int((share < 0.1).sum()))]
            rows.append(row)
    return aligned(rows, left=2)


def course_picture(courses: Sequence[Course]) -> str:
    """Experts x tokens: a row a layer, a column a run."""
    layers = courses[0].layers
    chosen = np.unique(np.linspace(0, len(layers) - 1, min(PICTURED_LAYERS, len(layers))).round().astype(int))
    panels = []
    for i in chosen.tolist():
        for c in courses:
            labels = [_short(t) for t in c.until_B]
            experts = [str(e) for e in range(c.share_BLE.shape[2])]
            panels.append(Panel(f"{c.name}, layer {c.layers[i]}", c.share_BLE[:, i].T, experts, labels))
    return heat_maps(panels, per_row=len(courses), x_title="tokens", y_title="expert", width=384)


def _short(tokens: float) -> str:
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if tokens >= size:
            return f"{tokens / size:.3g}{unit}"
    return f"{tokens:.0f}"


# --- command ----------------------------------------------------------------------------------------------------------


def machine(device: torch.device) -> dict[str, Any]:
    """Where it ran, and the commit of this package where there is one (`+` if the work tree differs)."""
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    here = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            run = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return run.stdout.strip()

    commit = git("rev-parse", "HEAD")
    return found | {"commit": commit and commit + ("+" if git("status", "--porcelain", "--", ".") else "")}


def analyse(options: argparse.Namespace) -> None:
    """Loads by column: the table, `load.json`, and a picture a column."""
    folder: Path = options.model[0]
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    precision = options.precision or ("bf16" if cuda else "fp32")
    shards = open_shards(options.shards)
    model = open_model(folder, device, precision, options.sequence_length)
    laid = lay(shards, options.split, model.sequence_length, options.tokens)
    largest = int(laid.input_ids.max())
    if largest >= model.vocabulary:
        raise AnalysisError(f"{options.shards} has ids up to {largest:,}, the model {model.vocabulary:,} rows")
    documents = len(laid.columns["language"])
    tokens_D = np.bincount(laid.owners[laid.owners >= 0], minlength=documents)
    columns = list(dict.fromkeys(options.by or ["language"]))
    groupings = [group(c, laid.columns[c], tokens_D, top=options.top) for c in columns]
    print(
        f"{model.about['path']}: {len(model.layers)} layers of {model.experts} experts, top {model.chosen}; {options.split} of "
        f"{options.shards}: {documents:,} documents, {int(tokens_D.sum()):,} tokens; {precision}, "
        f"{'on ' + torch.cuda.get_device_name() if cuda else 'no GPU here: on the CPU'}",
        flush=True,
    )
    began = time.perf_counter()
    counts = count(model, laid, groupings, max(1, options.batch_tokens // model.sequence_length))
    seconds = time.perf_counter() - began
    out: Path = options.out or folder.with_name(folder.name + "-analysis")
    out.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {
        "model": model.about,
        "data": {
            "shards": options.shards,
            "manifest_sha256": hashlib.sha256(shards.read(MANIFEST)).hexdigest(),
            "split": options.split,
            "documents": documents,
            "tokens": int(tokens_D.sum()),
            "sequence_length": model.sequence_length,
        },
        "precision": precision,
        "seconds": round(seconds, 1),
        "permutations": options.permutations,
        "machine": machine(device),
        "layers": model.layers,
        "by": {},
    }
    for old in out.glob("load-*.svg"):  # load.json is replaced: pictures of another call would not be of it
        old.unlink()
    for grouping, counted in zip(groupings, counts, strict=True):
        found = summarise(grouping, counted, tokens_D, options.permutations)
        result["by"][grouping.column] = as_json(model, found)
        (out / f"load-{grouping.column}.svg").write_text(picture(model, found), encoding="utf-8")
        print(f"\n{table(model, found)}")
    (out / "load.json").write_text(json.dumps(result, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{int(tokens_D.sum()) / seconds:,.0f} tokens/s; {out}/load.json, {out}/load-*.svg")


def follow(options: argparse.Namespace) -> None:
    """Load over training of one run or several, to the tokens that all have."""
    runs: list[Path] = options.model
    until = min(last_tokens(r) for r in runs)
    courses = [course(r, until) for r in runs]
    if len({tuple(c.layers) for c in courses}) > 1:
        raise AnalysisError(f"runs of other layers with experts: {', '.join(f'{c.name} {c.layers}' for c in courses)}")
    out: Path = options.out or runs[0].with_name(runs[0].name + "-analysis")
    out.mkdir(parents=True, exist_ok=True)
    print(f"load / even load to {until:,.0f} tokens, which all have; {courses[0].recorded} recorded steps\n")
    print(course_table(courses))
    result = {
        "machine": machine(torch.device("cpu")),
        "until_tokens": until,
        "runs": [
            {
                "path": str(r),
                "layers": c.layers,
                "recorded_steps": c.recorded,
                "until_tokens": c.until_B.round().tolist(),
                "load_to_even": _numbers(c.share_BLE, 4),
            }
            for r, c in zip(runs, courses, strict=True)
        ],
    }
    (out / "training.json").write_text(json.dumps(result, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "training.svg").write_text(course_picture(courses), encoding="utf-8")
    print(f"\n{out}/training.json, {out}/training.svg")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m model.analyse", description=(__doc__ or "").partition("\n\n")[0], allow_abbrev=False
    )
    parser.add_argument("model", nargs="+", type=Path, help="a run, one of its checkpoints, or an export")
    parser.add_argument("--shards", help="folder of manifest.json, or a URI")
    parser.add_argument("--split", choices=("train", "validation"), default="validation", help="validation")
    parser.add_argument("--by", action="append", choices=GROUPS, help="column; may be given several times; language")
    parser.add_argument(
        "--tokens", type=int, default=2_000_000, help="documents that begin within the first so many; 2,000,000"
    )
    parser.add_argument("--top", type=int, default=TOP, help=f"groups of most tokens; the rest is {OTHERS}; {TOP}")
    parser.add_argument("--permutations", type=int, default=PERMUTATIONS, help=f"for chance; {PERMUTATIONS}")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="fp32 on a CPU, bf16 on a GPU")
    parser.add_argument("--sequence-length", type=int, help="the run's own; of an export, at most 8,192")
    parser.add_argument("--batch-tokens", type=int, default=8192, help="places at once; 8192")
    parser.add_argument("--threads", type=int, help="of torch on a CPU")
    parser.add_argument("--out", type=Path, help="folder; MODEL-analysis beside the model")
    parser.add_argument(
        "--checkpoints",
        action="store_true",
        help="load over the course of one or several runs, from their experts.jsonl; needs no shards",
    )
    options = parser.parse_args(arguments)
    if not options.checkpoints and options.shards is None:
        parser.error("--shards is missing (or --checkpoints, for the course of training)")
    if not options.checkpoints and len(options.model) > 1:
        parser.error(f"one model at a time, found {len(options.model)} (several with --checkpoints alone)")
    for name in ("tokens", "top", "permutations", "batch_tokens"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: expected at least 1, found {getattr(options, name)}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        if options.checkpoints:
            follow(options)
        else:
            analyse(options)
    except (AnalysisError, ShardError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
