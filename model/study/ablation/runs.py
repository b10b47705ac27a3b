"""Which of two corpora teaches more? One small model, the same tokens, several seeds, held to clean text of other sites.

    python -m model.ablate --config configs/model/ablation.yaml
    python -m model.ablate --config configs/model/ablation.yaml --set 'seeds=[0,1]' --set out=out/ablation/two

Bits per byte of the held-out text, by language, and the differences between corpora with intervals (model/intervals.py). A corpus
is any folder of Parquet or JSONL with text, language and address: what a stage of the pipeline leaves, or another system's
output. From each corpus the documents of held-out sites, and those that share long runs with held-out text, are dropped and
counted.

    out/ablation/
      config.yaml                the options
      tokenizer.json             trained on equal bytes of each corpus, unless the options name one
      data/                      tokens of the corpora and of the held-out text
      runs/*.json                one trained model each: loss of each held-out document
      result.json, report.md, differences.svg

Kill it: the same command trains only what is not in runs/ yet. A run made with other options, corpora or held-out text is
refused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import Field, model_validator
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from model import ablation_report, corpora
from model.config import ConfigError, ModelOptions, Options, load_as
from model.corpora import Corpus, Counts, Document, Heldout, HeldoutSource, OverlapOptions
from model.proxy import Recipe, Tokenised, nats, places, run_config, steps_of, train

VERSION = 1
"""Of what a run computes: raised when the same options give other numbers."""


class HeldoutOptions(Options):
    """The text that models are held to."""

    sources: tuple[HeldoutSource, ...] = Field(min_length=1)
    seed: int = Field(0, ge=0, description="of the sites drawn")
    min_bytes: int = Field(200, ge=1, description="shorter texts are left out")
    max_bytes: int = Field(4096, ge=1, description="of a text, from its beginning: many texts rather than long ones")


class TokenizerOptions(Options):
    """Shared by all corpora. Bits per byte do not depend on its vocabulary; what a small model learns does."""

    path: str | None = Field(None, description="a tokenizer.json; null: a byte-level BPE is trained on the corpora")
    vocabulary: int = Field(8192, ge=257, description="of the trained one")
    bytes: float = Field(
        4e6, gt=0, description="of each corpus and language that it is trained on; all give as much as the smallest"
    )


class Group(Options):
    """Models that are compared with one another: what they are made of beside the corpus."""

    name: str = Field(pattern=r"^[\w.-]+$")
    tokens: float = Field(gt=0, description="that each model reads; a corpus with fewer is read again")
    shares: dict[str, float] | None = Field(
        None,
        description="language -> its share of the tokens, the same for every corpus, so that a language's amount is not "
        "mistaken for cleaning; null: the languages as each corpus has them",
    )
    corpora: tuple[str, ...] | None = Field(None, min_length=1, description="null: all")

    @model_validator(mode="after")
    def _positive(self) -> Group:
        if self.shares is not None and (not self.shares or min(self.shares.values()) <= 0):
            raise ValueError(f"shares must be above 0, found {self.shares}")
        return self


class IntervalOptions(Options):
    level: float = Field(0.95, gt=0, lt=1)
    draws: int = Field(10_000, ge=100)
    seed: int = Field(0, ge=0)


class AblationConfig(Options):
    """What `python -m model.ablate --config FILE` reads."""

    out: str
    corpora: dict[str, Corpus] = Field(min_length=1)
    heldout: HeldoutOptions
    languages: tuple[str, ...] = Field(min_length=1, description="that count; documents of others are not looked at")
    overlap: OverlapOptions = OverlapOptions()
    tokenizer: TokenizerOptions = TokenizerOptions()
    model: ModelOptions = Field(description="its vocabulary becomes the tokenizer's")
    recipe: Recipe = Recipe()
    groups: tuple[Group, ...] = Field(min_length=1)
    compare: tuple[tuple[str, str], ...] = Field(description="pairs [A, B]: B minus A is reported")
    seeds: tuple[int, ...] = Field((0, 1, 2, 3, 4), min_length=2)
    interval: IntervalOptions = IntervalOptions()
    processes: int = Field(1, ge=1, description="models trained at the same time, each on one core")

    @model_validator(mode="after")
    def _known(self) -> AblationConfig:
        known = set(self.corpora)
        for name in known:
            if not re.fullmatch(r"[\w.-]+", name) or name == "heldout":
                raise ValueError(f"corpora: {name!r} is no name for files; letters, digits, _ . - expected")
        for pair in self.compare:
            if not set(pair) <= known:
                raise ValueError(f"compare: {list(pair)}, known corpora: {', '.join(self.corpora)}")
        for group in self.groups:
            if not set(group.corpora or ()) <= known:
                raise ValueError(f"groups: {group.corpora}, known corpora: {', '.join(self.corpora)}")
            if not set(group.shares or ()) <= set(self.languages):
                raise ValueError(f"groups: shares of {sorted(group.shares or ())}, languages are {self.languages}")
            steps_of(self.recipe, group.tokens)
        if len({g.name for g in self.groups}) < len(self.groups) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("two groups of one name, or a seed twice")
        if self.recipe.sequence_length > self.model.max_position_embeddings:
            raise ValueError(
                f"sequences of {self.recipe.sequence_length}, the model has {self.model.max_position_embeddings} positions"
            )
        return self

    def dump(self) -> str:
        """YAML that `load` reads back."""
        return yaml.safe_dump(json.loads(self.model_dump_json()), sort_keys=False, allow_unicode=True)


def load(path: str | Path, overrides: Sequence[str] = ()) -> AblationConfig:
    """Read a file, then `key=value` overrides; keys are dotted, values YAML.

    :raises ConfigError: no such file, not a mapping, or values that the options do not take.
    """
    return load_as(AblationConfig, path, overrides)


@dataclass(frozen=True)
class Data:
    """What all runs share, as stored in data/.

    :ivar counts: corpus -> language -> what became of its documents.
    """

    folder: Path
    vocabulary: int
    tokenizer: str
    heldout: list[Document]
    digests: dict[str, str]  # of the corpora; '' is the held-out text
    counts: dict[str, dict[str, Counts]]
    tokens: dict[str, dict[str, int]]

    @property
    def eod(self) -> int:
        return self.vocabulary


def say(text: str) -> None:
    print(text, flush=True)


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    part.rename(path)


def read_data(config: AblationConfig) -> Data:
    """Read, clean and tokenise everything.

    :raises ConfigError: nothing to read, no text of a language, or nothing left of a corpus.
    """
    h = config.heldout
    texts = corpora.draw(h.sources, config.languages, h.seed, h.max_bytes, h.min_bytes)
    heldout = Heldout(texts, config.overlap)
    say(f"held out: {len(texts):,} texts of {len(heldout.sites):,} sites")
    kept: dict[str, list[Document]] = {}
    counts: dict[str, dict[str, Counts]] = {}
    for name, source in config.corpora.items():
        kept[name], counts[name] = heldout.clean(corpora.documents(source), config.languages)
        if not kept[name]:
            told = json.dumps({k: asdict(v) for k, v in counts[name].items()})
            raise ConfigError(f"corpora.{name}: no document is left; {told}")
        for language, c in counts[name].items():
            say(
                f"{name}, {language}: {c.kept:,} of {c.read:,} documents, {c.bytes:,} bytes; dropped {c.of_heldout_site:,} of "
                f"held-out sites, {c.overlapping:,} that share text with them"
            )
    folder = Path(config.out) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    digests = {name: corpora.digest(found) for name, found in kept.items()}
    tokenizer = _tokenizer(config, kept, digests)
    used = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
    tokens: dict[str, dict[str, int]] = {}
    for name, found in (kept | {"": texts}).items():
        tokenised = tokenise(tokenizer, sorted(found, key=lambda d: d.digest) if name else found)
        for part, array in asdict(tokenised).items():
            np.save(folder / f"{name or 'heldout'}{'.corpus' if name else ''}.{part}.npy", array, allow_pickle=False)
        lengths = np.diff(tokenised.offsets)
        tokens[name or "heldout"] = {
            language: int(lengths[tokenised.languages == language].sum()) for language in config.languages
        }
    return Data(
        folder,
        tokenizer.get_vocab_size(),
        used,
        texts,
        digests | {"": corpora.digest(texts)},
        counts,
        tokens,
    )


def _tokenizer(config: AblationConfig, kept: dict[str, list[Document]], digests: dict[str, str]) -> Tokenizer:
    if config.tokenizer.path is not None:
        if not Path(config.tokenizer.path).is_file():
            raise ConfigError(f"{config.tokenizer.path}: no such file; expected a tokenizer.json")
        return Tokenizer.from_file(config.tokenizer.path)
    path, made_of = Path(config.out) / "tokenizer.json", Path(config.out) / "data" / "tokenizer.json"
    key = {"digests": digests, "options": config.tokenizer.model_dump(), "languages": list(config.languages)}
    if path.exists() and made_of.exists() and json.loads(made_of.read_text()) == key:
        return Tokenizer.from_file(str(path))
    texts = []
    for language in config.languages:
        by_corpus = [[d for d in found if d.language == language] for found in kept.values()]
        each = min(
            [config.tokenizer.bytes, *(sum(len(d.text.encode()) for d in found) for found in by_corpus if found)]
        )
        for found in by_corpus:
            left = int(each)
            for document in sorted(found, key=lambda d: d.digest):
                text = document.text.encode()[:left].decode(errors="ignore")
                texts.append(text)
                left -= len(document.text.encode())
                if left <= 0:
                    break
    tokenizer = train_tokenizer(texts, config.tokenizer.vocabulary)
    tokenizer.save(str(path))
    _write(made_of, json.dumps(key))
    say(f"tokenizer: {tokenizer.get_vocab_size():,} tokens, of {sum(len(t.encode()) for t in texts):,} bytes")
    return tokenizer


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """A byte-level BPE without special tokens, so that no text can make the end-of-document token, which follows its ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def tokenise(tokenizer: Tokenizer, documents: Sequence[Document]) -> Tokenised:
    """Tokens of documents, in their order."""
    encoded = tokenizer.encode_batch([d.text for d in documents], add_special_tokens=False)
    lengths = [len(e.ids) for e in encoded]
    return Tokenised(
        np.concatenate([np.array(e.ids, dtype=np.int32) for e in encoded]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array([d.digest for d in documents], dtype=np.int64),
        np.array([d.language for d in documents], dtype=np.str_),
    )


def stored(folder: Path, name: str) -> Tokenised:
    return Tokenised(*(np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in Tokenised.__annotations__))


@dataclass(frozen=True)
class Job:
    """One model to train, with all that its numbers depend on."""

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
        return f"{self.group.name}--{self.corpus}--seed{self.seed}"

    @property
    def key(self) -> str:
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
    model, found = train(config, read, lambda text: say(f"{job.name}: {text}"))
    losses = nats(model, heldout, r.sequence_length, job.eod, job.group.shares)
    return {
        **{"key": job.key, "group": job.group.name, "corpus": job.corpus, "seed": job.seed, "rounds": read.rounds},
        **found,
        **{
            "parameters": sum(p.numel() for p in model.parameters()),
            "nats": [None if np.isnan(x) else float(x) for x in losses],
        },
    }


def jobs_of(config: AblationConfig, data: Data) -> list[Job]:
    """Seed by seed, so that a part of them is a smaller experiment. A corpus without a language of a group is not in it."""
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
    """Jobs with what they gave, as they end."""
    if processes == 1:
        yield from ((job, run(job)) for job in jobs)
        return
    # Cores are shared out by processes; threads that wait by spinning would take them from one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(run, job): job for job in jobs}
        yield from ((waiting[future], future.result()) for future in as_completed(waiting))


def run_all(config: AblationConfig, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """The runs, trained or found.

    :raises ConfigError: runs/ holds one of another kind.
    """
    folder = Path(config.out) / "runs"
    found: dict[str, dict[str, Any]] = {}
    for job in jobs:
        path = folder / f"{job.name}.json"
        if path.exists():
            run_ = json.loads(path.read_text())
            if run_["key"] != job.key:
                raise ConfigError(
                    f"{path} was made with other options, corpora or held-out text; choose another out, or remove {folder}"
                )
            found[job.name] = run_
    todo = [job for job in jobs if job.name not in found]
    say(f"{len(jobs)} models, {len(found)} there already, {len(todo)} to train, {config.processes} at a time")
    began = time.perf_counter()
    for done, (job, result) in enumerate(_each(todo, config.processes), 1):
        _write(folder / f"{job.name}.json", json.dumps(result) + "\n")
        found[job.name] = result
        left = (time.perf_counter() - began) / done * (len(todo) - done) / 60
        say(
            f"{job.name}: training loss {result['training_loss']:.3f}, {result['seconds']:.0f} s; {done} of {len(todo)}, "
            f"about {left:.0f} min left"
        )
    return [found[job.name] for job in jobs]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.ablate",
        description="Compare corpora: one small model, the same tokens, several seeds, bits per byte of held-out clean text.",
        epilog="An example with every key that is not a default: configs/model/ablation.yaml. What the numbers mean: "
        "docs/model_ablation.md.",
    )
    parser.add_argument("--config", required=True, help="YAML, such as configs/model/ablation.yaml")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value; YAML, such as 'seeds=[0,1]'"
    )
    options = parser.parse_args(arguments)
    try:
        config = load(options.config, options.set)
        out = Path(config.out)
        data = read_data(config)
        _write(out / "config.yaml", config.dump())
        runs = run_all(config, jobs_of(config, data))
        result = ablation_report.result(config, data, runs)
        _write(out / "result.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        _write(out / "report.md", ablation_report.markdown(result))
        _write(out / "differences.svg", ablation_report.picture(result))
        print(ablation_report.markdown(result))
        print(f"{out}/result.json, report.md, differences.svg")
    except (ConfigError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
