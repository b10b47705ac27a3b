"""One small model: the same number of places of any corpus, then the loss of each held-out document.

Documents are laid one after the other, each after an end-of-document token, and cut at each sequence; a document sees itself
alone.
A corpus that is used up begins again in another order. The order is a hash of (seed, round, text), so that models of one
seed have documents that two corpora share in the same order.

Shapes: N sequences, T places, D documents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from model.architecture.config import ModelOptions
from model.base.arrays import IGNORE, Floats, Int64s
from model.base.config import Options
from model.base.errors import ConfigError, TrainError
from model.base.hashing import order
from model.training.config import BalanceOptions, OptimizerOptions, RunConfig
from model.training.schedule import learning_rate


class Recipe(Options):
    """Options of how each of the models is trained: all alike."""

    sequence_length: int = Field(256, ge=8)
    sequences: int = Field(8, ge=1, description="of a step")
    rate: float = Field(2e-3, gt=0, description="the highest")
    warm_up: float = Field(0.05, gt=0, lt=1, description="share of the tokens in which the rate rises from 0")
    final: float = Field(0.1, gt=0, le=1, description="of the highest rate at the end, by a cosine")
    optimizer: OptimizerOptions = OptimizerOptions()
    balance: BalanceOptions = BalanceOptions()
    precision: Literal["fp32", "bf16"] = "fp32"
    experts: Literal["grouped_mm", "batched_mm", "eager"] = "grouped_mm"


@dataclass(frozen=True)
class Tokenised:
    """Tokens of documents: document d is `ids[offsets[d] : offsets[d + 1]]`, without marks.

    :ivar digests: `(D,)`, of the texts; what orders depend on.
    :ivar languages: `(D,)` strings.
    """

    ids: npt.NDArray[np.int32]
    offsets: Int64s
    digests: Int64s
    languages: npt.NDArray[np.str_]


@dataclass(frozen=True)
class Places:
    """Sequences that a model reads.

    :ivar rounds: how often the documents of each language were read; below 1, a part of them.
    """

    ids: Int64s
    positions: Int64s
    rounds: dict[str, float]


def steps_of(recipe: Recipe, tokens: float) -> int:
    """Count the steps of a run.

    :raises ConfigError: not one step.
    """
    steps = int(tokens // (recipe.sequences * recipe.sequence_length))
    if steps < 1:
        raise ConfigError(
            f"{tokens:,.0f} tokens are no step of {recipe.sequences} sequences of {recipe.sequence_length:,}"
        )
    return steps


def places(
    corpus: Tokenised, shares: Mapping[str, float] | None, sequences: int, length: int, eod: int, seed: int, salt: int
) -> Places:
    """Lay a corpus into the sequences of a run.

    :param shares: language -> share of the sequences; None: the languages as the corpus has them.
    :raises ConfigError: a language of which the corpus has nothing.
    """
    kinds = {"": 1.0} if shares is None else dict(shares)
    total, given, taken = sum(kinds.values()), 0, 0.0
    ids, positions, when, rounds = [], [], [], {}
    for language, share in kinds.items():
        taken += share
        number = round(sequences * taken / total) - given
        given += number
        chosen = np.flatnonzero(corpus.languages == language) if language else np.arange(len(corpus.languages))
        if not len(chosen):
            raise ConfigError(f"no document of language {language!r}")
        flat, place, rounds[language or "all"] = _laid(corpus, chosen, number * length, eod, seed, salt)
        # The stream's own restarts, and one at each sequence: places count from the later of the two.
        within = np.arange(number * length) % length
        ids.append(flat.reshape(number, length))
        positions.append(np.minimum(place, within).reshape(number, length))
        when.append((np.arange(number) + 0.5) / max(1, number))
    mixed = np.argsort(np.concatenate(when), kind="stable")
    return Places(np.concatenate(ids)[mixed], np.concatenate(positions)[mixed], rounds)


def _laid(corpus: Tokenised, chosen: Int64s, wanted: int, eod: int, seed: int, salt: int) -> tuple[Any, Any, float]:
    """Lay documents one after the other, in rounds, until there are as many places as wanted.

    :returns: ids, places within the document, rounds.
    """
    lengths = np.diff(corpus.offsets)[chosen] + 1
    flat = np.empty(wanted, dtype=np.int64)
    place = np.empty(wanted, dtype=np.int64)
    done = turn = 0
    while done < wanted:
        for d in order(seed, salt, turn, corpus.digests[chosen]):
            count = min(int(lengths[d]), wanted - done)
            if count == 0:
                break
            begin = corpus.offsets[chosen[d]]
            flat[done] = eod
            flat[done + 1 : done + count] = corpus.ids[begin : begin + count - 1]
            place[done : done + count] = np.arange(count)
            done += count
        turn += 1
    return flat, place, wanted / int(lengths.sum())


def run_config(model: ModelOptions, recipe: Recipe, steps: int, seed: int) -> RunConfig:
    """Give the run's options the form that training has; it reads no shards."""
    tokens = steps * recipe.sequences * recipe.sequence_length
    train = {
        **{"seed": seed, "tokens": tokens, "sequence_length": recipe.sequence_length, "threads": 1},
        **{"micro_batch": recipe.sequences, "batches": [{"sequences": recipe.sequences}]},
        "stages": [
            {"name": "warm-up", "until_tokens": tokens * recipe.warm_up, "rate": recipe.rate},
            {"name": "decay", "until_tokens": tokens, "rate": recipe.rate * recipe.final, "shape": "cosine"},
        ],
        **{"optimizer": recipe.optimizer.model_dump(), "balance": recipe.balance.model_dump()},
        **{"precision": recipe.precision, "experts": recipe.experts},
    }
    data = {"out": "", "model": model.model_dump(), "data": {"shards": ""}, "train": train}
    return RunConfig.model_validate(data)


def train(config: RunConfig, read: Places, say: Callable[[str], None] = lambda _: None) -> tuple[Any, dict[str, Any]]:
    """Train a model on `read`, and tell how that went.

    :raises TrainError: the loss is no longer a number.
    """
    import torch

    from model.architecture.router import Balance
    from model.training.ranks import Place
    from model.training.setup import optimizer_for, prepare

    t = config.train
    model = prepare(config, Place(0, 1, torch.device("cpu")))
    balance = Balance(model)
    optimizer, factors = optimizer_for(model, config)
    losses: list[tuple[float, int]] = []
    began = shown = time.perf_counter()
    steps = len(read.ids) // t.micro_batch
    for step in range(steps):
        part = slice(step * t.micro_batch, (step + 1) * t.micro_batch)
        ids, positions = torch.from_numpy(read.ids[part]), torch.from_numpy(read.positions[part])
        labels = ids.masked_fill(positions == 0, IGNORE)
        targets = int((labels != IGNORE).sum())
        balance.begin(torch.ones_like(ids, dtype=torch.bool), t.balance.sequence_loss / t.micro_batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=t.precision == "bf16"):
            total, _ = model(input_ids=ids, labels=labels, position_ids=positions)
        balance.end()
        (total / max(1, targets)).backward()
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), t.optimizer.clip))
        losses.append((float(total.detach()), targets))
        if not (np.isfinite(norm) and np.isfinite(losses[-1][0])):
            raise TrainError(f"step {step + 1:,}: loss {losses[-1][0]}, gradient norm {norm}")
        rate = learning_rate(t.stages, (step + 1) * t.micro_batch * t.sequence_length)
        for group, factor in zip(optimizer.param_groups, factors, strict=True):
            group["lr"] = rate * factor
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        balance.update(balance.take()[0], t.balance.bias_rate)
        now = time.perf_counter()
        if now - shown >= 20:
            shown = now
            speed = (step + 1) * t.micro_batch * t.sequence_length / (now - began)
            loss = losses[-1][0] / max(1, targets)
            say(f"step {step + 1:,} of {steps:,}, loss {loss:.3f}, {speed:,.0f} tokens/s")
    last = losses[-max(1, steps // 10) :]
    return model, {
        "steps": steps,
        "tokens": steps * t.micro_batch * t.sequence_length,
        "targets": sum(n for _, n in losses),
        "training_loss": sum(x for x, _ in last) / max(1, sum(n for _, n in last)),
        "seconds": time.perf_counter() - began,
    }


def nats(
    model: Any,
    heldout: Tokenised,
    length: int,
    eod: int,
    languages: Collection[str] | None = None,
    rows: int = 16,
) -> Floats:
    """Compute the loss of each document, `(D,)`, all of its tokens counted; NaN for those of other languages than asked for.

    The first token follows an end-of-document token; a document longer than a sequence is cut, each piece beginning with the last
    token of the one before it, which is not counted twice. In FP32.
    """
    import torch

    pieces = []
    asked = [d for d, language in enumerate(heldout.languages) if languages is None or language in languages]
    for d in asked:
        tokens = np.concatenate([[eod], heldout.ids[heldout.offsets[d] : heldout.offsets[d + 1]]]).astype(np.int64)
        pieces += [(d, tokens[b : b + length]) for b in range(0, len(tokens) - 1, length - 1)]
    pieces.sort(key=lambda piece: -len(piece[1]))
    out = np.full(len(heldout.digests), np.nan)
    out[asked] = 0.0
    model.train(False)
    with torch.no_grad():
        for begin in range(0, len(pieces), rows):
            batch = pieces[begin : begin + rows]
            width = len(batch[0][1])
            ids = np.full((len(batch), width), eod, dtype=np.int64)
            labels = np.full((len(batch), width), IGNORE, dtype=np.int64)
            positions = np.tile(np.arange(width), (len(batch), 1))
            for i, (_, tokens) in enumerate(batch):
                ids[i, : len(tokens)] = tokens
                labels[i, 1 : len(tokens)] = tokens[1:]
            inputs = {"input_ids": ids, "labels": labels, "position_ids": positions}
            _, losses = model(**{k: torch.from_numpy(v) for k, v in inputs.items()})
            np.add.at(out, [d for d, _ in batch], losses.double().sum(1).numpy())
    model.train()
    return out
