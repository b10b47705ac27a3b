"""Models of an ablation, each trained and held to the held-out text in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from model.architecture.config import ModelOptions
from model.base.errors import ConfigError
from model.base.files import write_text
from model.study.ablation.config import AblationConfig, Group
from model.study.ablation.data import Data, say, stored
from model.study.ablation.proxy import Recipe, nats, places, run_config, steps_of, train

VERSION = 1
"""Version of the computation: raised when the same options give other numbers."""


@dataclass(frozen=True)
class Job:
    """Job: one model to train, with all that its numbers depend on."""

    group: Group
    corpus: str
    salt: int
    seed: int
    model: ModelOptions
    recipe: Recipe
    folder: Path
    eod: int
    digests: tuple[str, str, str]

    @property
    def name(self) -> str:
        """Name of the file of the run."""
        return f"{self.group.name}--{self.corpus}--seed{self.seed}"

    @property
    def key(self) -> str:
        """Hash of all that the run's numbers depend on."""
        parts = {
            "version": VERSION,
            "group": self.group.model_dump(exclude={"name", "corpora"}),
            "salt": self.salt,
            "seed": self.seed,
            "model": self.model.model_dump(),
            "recipe": self.recipe.model_dump(),
            "corpus, held-out text, tokenizer": self.digests,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def run(job: Job) -> dict[str, Any]:
    """Train a model and hold it to the text, on one core."""
    import torch

    torch.set_num_threads(1)
    corpus, heldout = stored(job.folder, f"{job.corpus}.corpus"), stored(job.folder, "heldout")
    r = job.recipe
    steps = steps_of(r, job.group.tokens)
    read = places(corpus, job.group.shares, steps * r.sequences, r.sequence_length, job.eod, job.seed, job.salt)
    config = run_config(job.model, r, steps, job.seed)
    model, summary = train(config, read, lambda text: say(f"{job.name}: {text}"))
    losses = nats(model, heldout, r.sequence_length, job.eod, job.group.shares)
    return {
        **{"key": job.key, "group": job.group.name, "corpus": job.corpus, "seed": job.seed, "rounds": read.rounds},
        **summary,
        **{
            "parameters": sum(p.numel() for p in model.parameters()),
            "nats": [None if np.isnan(x) else float(x) for x in losses],
        },
    }


def jobs_of(config: AblationConfig, data: Data) -> list[Job]:
    """List the jobs seed by seed, so that a part is a smaller experiment. A corpus without a language of a group is left out."""
    model = ModelOptions.model_validate(
        config.model.model_dump() | {"vocab_size": data.vocabulary + 1, "eos_token_id": data.eod}
    )
    return [
        Job(
            group=group,
            corpus=name,
            salt=config.corpora[name].salt,
            seed=seed,
            model=model,
            recipe=config.recipe,
            folder=data.folder,
            eod=data.eod,
            digests=(data.digests[name], data.digests[""], data.tokenizer),
        )
        for seed in config.seeds
        for group in config.groups
        for name in group.corpora or config.corpora
        if all(data.counts[name][language].kept for language in group.shares or ())
    ]


def _each(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Run jobs, and give each with its result as it ends."""
    if processes == 1:
        yield from ((job, run(job)) for job in jobs)
        return
    # Cores are shared out by processes; threads that wait by spinning would take them from one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(run, job): job for job in jobs}
        yield from ((waiting[future], future.result()) for future in as_completed(waiting))


def run_all(config: AblationConfig, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Train the models that are not stored yet, and give all runs.

    :raises ConfigError: runs/ holds one of another kind.
    """
    folder = Path(config.out) / "runs"
    stored_runs: dict[str, dict[str, Any]] = {}
    for job in jobs:
        path = folder / f"{job.name}.json"
        if path.exists():
            run_ = json.loads(path.read_text())
            if run_["key"] != job.key:
                raise ConfigError(
                    f"{path} was made with other options, corpora or held-out text; choose another out, or remove {folder}"
                )
            stored_runs[job.name] = run_
    todo = [job for job in jobs if job.name not in stored_runs]
    say(f"{len(jobs)} models, {len(stored_runs)} there already, {len(todo)} to train, {config.processes} at a time")
    began = time.perf_counter()
    for done, (job, result) in enumerate(_each(todo, config.processes), 1):
        write_text(folder / f"{job.name}.json", json.dumps(result) + "\n")
        stored_runs[job.name] = result
        left = (time.perf_counter() - began) / done * (len(todo) - done) / 60
        say(
            f"{job.name}: training loss {result['training_loss']:.3f}, {result['seconds']:.0f} s; {done} of {len(todo)}, "
            f"about {left:.0f} min left"
        )
    return [stored_runs[job.name] for job in jobs]
