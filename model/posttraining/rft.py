"""Rejection-sampling fine-tuning (the report's second phase): sample answers, keep the right ones, fine-tune on them.

    python -m model.rft --config configs/model/rft.yaml

1. `sample.answers` answers to each prompt, in chunks of `sample.chunk` prompts; each is judged by its prompt's check
   (model/verification/verify.py). A chunk is written whole or not at all: `samples/chunk-000000.jsonl`. The same command after a
   kill goes on with the next chunk. A chunk's draws come from (seed, chunk), so the samples are those of an uninterrupted run.
2. Right answers that ended by themselves, equal ones once, at most `keep.most` a prompt, chosen by a hash of (seed, prompt,
   answer): no prompt has more weight than that, however easy. They are `accepted.jsonl`.
3. For DPO, beside each kept answer a wrong one of the same prompt, where there is one: `pairs.jsonl`.
4. Fine-tuning on `accepted.jsonl`, and on `also` (model/posttraining/sft.py).

    out/
      samples/plan.json, chunk-*.jsonl      what is sampled from what; answers with verdicts
      accepted.jsonl, pairs.jsonl           conversations; preferences
      acceptance.json                       by source: prompts, prompts solved, answers, right, different, kept; verdicts
      config.yaml, metrics.jsonl, summary.json, export/     of the fine-tuning
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import Field

from model.base.config import Options, dump
from model.base.errors import ConversationError, FineTuneError
from model.base.files import write_text
from model.posttraining import sft
from model.posttraining.answers import by_source, judge, sample
from model.posttraining.conversations import (
    Conversation,
    ConversationOptions,
    Message,
    Preference,
    Prompt,
    read,
    write,
)
from model.posttraining.finetune import FineTuneOptions, start, table
from model.verification.sandbox import SandboxOptions, describe
from model.verification.verify import Verdict


class SampleOptions(Options):
    """Options of what is drawn. The report gives none of these."""

    prompts: tuple[str, ...] = Field(min_length=1, description="files")
    answers: int = Field(8, ge=1, description="to each prompt")
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    new_tokens: int = Field(512, ge=1, description="longest answer; one that has not ended by then is not kept")
    batch: int = Field(16, ge=1, description="prompts generated for at once")
    chunk: int = Field(256, ge=1, description="prompts a file; what a kill loses at most")
    seed: int = Field(0, ge=0)


class KeepOptions(Options):
    """Options of what is kept."""

    most: int = Field(4, ge=1, description="answers kept of a prompt")
    pairs: int = Field(2, ge=0, description="preferences written of a prompt")


class RftConfig(Options):
    """Options of a run: what `python -m model.rft --config FILE` reads."""

    out: str
    start: str = Field(description="folder of a model in Hugging Face's format")
    sample: SampleOptions
    keep: KeepOptions = KeepOptions()
    sandbox: SandboxOptions = SandboxOptions()
    workers: int = Field(1, ge=1, description="sandboxes at one time")
    also: tuple[str, ...] = Field(
        (), description="files of conversations that are fine-tuned on beside the accepted ones"
    )
    upsample: dict[str, float] = Field(default_factory=dict, description="as in model/posttraining/sft.py")
    train: FineTuneOptions = FineTuneOptions()


def plan(config: RftConfig, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Describe what the samples depend on: options, prompts, the model's files."""
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(prompt.model_dump_json().encode() + b"\n")
    files = hashlib.sha256()
    for path in sorted(Path(config.start).glob("*")):
        if path.suffix in (".safetensors", ".json", ".jinja"):
            files.update(path.name.encode())
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    files.update(block)
    return {
        "sample": config.sample.model_dump(mode="json", exclude={"prompts"}),
        "sandbox": config.sandbox.model_dump(mode="json"),
        "prompts": digest.hexdigest(),
        "model": files.hexdigest(),
    }


def _check_prompts(prompts: Sequence[Prompt]) -> None:
    """Refuse two prompts of one id."""
    seen: set[str] = set()
    for prompt in prompts:
        if prompt.key in seen:
            raise ConversationError(f"found two prompts with the id {prompt.key}, expected one of each")
        seen.add(prompt.key)


def sampled(config: RftConfig, prompts: Sequence[Prompt], *, quiet: bool = False) -> list[dict[str, Any]]:
    """Sample answers to all prompts; what earlier calls have written is read.

    :returns: by prompt `id`, `source`, and `answers`: each with `text`, `ended`, `status`, `detail`.
    :raises FineTuneError: the folder holds samples of something else.
    """
    folder = Path(config.out) / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = plan(config, prompts)
    if (folder / "plan.json").exists():
        written = json.loads((folder / "plan.json").read_text())
        for key in wanted:
            if written.get(key) != wanted[key]:
                raise FineTuneError(
                    f"{folder} holds samples of another {key}: {written.get(key)}, now {wanted[key]}; "
                    "choose another out, or remove it"
                )
    else:
        write(folder / "plan.json", [wanted])
    s = config.sample
    chunks = [prompts[i : i + s.chunk] for i in range(0, len(prompts), s.chunk)]
    rows: list[dict[str, Any]] = []
    loaded: tuple[Any, Any] | None = None
    for number, chunk in enumerate(chunks):
        path = folder / f"chunk-{number:06d}.jsonl"
        if not path.exists():
            if loaded is None:
                loaded = start(config.start, config.train)
                if torch.cuda.is_available():
                    cast(torch.nn.Module, loaded[0]).cuda()
            model, chat = loaded
            answers = sample(
                model,
                chat,
                chunk,
                answers=s.answers,
                temperature=s.temperature,
                top_p=s.top_p,
                new_tokens=s.new_tokens,
                batch=s.batch,
                seed=(s.seed, number),
            )
            verdicts = judge(
                chunk, [[t for t, _ in of_prompt] for of_prompt in answers], config.sandbox, config.workers
            )
            write(path, [_row(*x) for x in zip(chunk, answers, verdicts, strict=True)])
            if not quiet:
                print(f"sampled chunk {number + 1:,} of {len(chunks):,}", flush=True)
        rows += [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return rows


def _row(prompt: Prompt, answers: Sequence[tuple[str, bool]], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Make the row of a prompt in a file of samples."""
    judged = [
        {"text": text, "ended": ended, "status": v.status, "detail": v.detail}
        for (text, ended), v in zip(answers, verdicts, strict=True)
    ]
    return {"id": prompt.key, "source": prompt.source, "answers": judged}


def _order(seed: int, key: str, text: str) -> str:
    """Hash an answer, by which answers are ordered."""
    return hashlib.sha256(f"{seed}/{key}/{text}".encode()).hexdigest()


def chosen(
    config: RftConfig, prompts: Sequence[Prompt], rows: Sequence[dict[str, Any]]
) -> tuple[list[Conversation], list[Preference], dict[str, dict[str, Any]]]:
    """Choose accepted conversations and preferences, and count by source."""
    seed = config.sample.seed
    accepted: list[Conversation] = []
    pairs: list[Preference] = []
    counts: dict[str, dict[str, Any]] = {}
    names = ("prompts", "prompts_solved", "answers", "right", "different", "kept")
    for prompt, row in zip(prompts, rows, strict=True):
        right = [a["text"].strip() for a in row["answers"] if a["status"] == "correct" and a["ended"]]
        wrong = [a["text"].strip() for a in row["answers"] if a["status"] != "correct" and a["ended"]]
        different = sorted({t for t in right if t}, key=lambda t: _order(seed, prompt.key, t))
        kept = different[: config.keep.most]
        rejected = sorted({t for t in wrong if t}, key=lambda t: _order(seed, prompt.key, t))
        for text in kept:
            messages = (*prompt.messages, Message(role="assistant", content=text))
            accepted.append(Conversation(source=prompt.source, messages=messages))
        for better, worse in list(zip(kept, rejected, strict=False))[: config.keep.pairs]:
            pairs.append(
                Preference(
                    source=prompt.source,
                    prompt=prompt.messages,
                    chosen=(Message(role="assistant", content=better),),
                    rejected=(Message(role="assistant", content=worse),),
                )
            )
        for source in (prompt.source, "all"):
            count = counts.setdefault(source, dict.fromkeys(names, 0))
            count["prompts"] += 1
            count["prompts_solved"] += bool(kept)
            count["answers"] += len(row["answers"])
            count["right"] += sum(a["status"] == "correct" for a in row["answers"])
            count["different"] += len(different)
            count["kept"] += len(kept)
    verdicts = by_source(prompts, [[Verdict(a["status"]) for a in row["answers"]] for row in rows])
    for source, count in counts.items():
        count["verdicts"] = {k: v for k, v in sorted(verdicts[source].items()) if k != "answers"}
    return accepted, pairs, {s: counts[s] for s in [*sorted(s for s in counts if s != "all"), "all"]}


def run(config: RftConfig, *, quiet: bool = False) -> dict[str, Any]:
    """Sample, keep, fine-tune.

    :raises ConversationError: prompts that cannot be used, or no answer was right.
    """
    out = Path(config.out)
    prompts = read(Prompt, config.sample.prompts)
    _check_prompts(prompts)
    if not quiet and any(p.check.kind == "code" for p in prompts):
        print(describe(), flush=True)
    rows = sampled(config, prompts, quiet=quiet)
    accepted, pairs, counts = chosen(config, prompts, rows)
    write(out / "acceptance.json", [counts])
    write(out / "pairs.jsonl", pairs)
    if not quiet:
        print(acceptance(counts), flush=True)
    if not accepted:
        raise ConversationError(
            f"found no right answer among {counts['all']['answers']:,}, expected some to fine-tune on"
        )
    write(out / "accepted.jsonl", accepted)
    data = ConversationOptions(
        files=(str(out / "accepted.jsonl"), *config.also), upsample=config.upsample, seed=config.sample.seed
    )
    summary = sft.run(sft.SftConfig(out=config.out, start=config.start, data=data, train=config.train), quiet=quiet)
    write_text(out / "config.yaml", dump(config))
    return summary


def acceptance(counts: dict[str, dict[str, Any]]) -> str:
    """Format counts by source as a table."""
    shown = {s: {k: v for k, v in c.items() if k != "verdicts"} for s, c in counts.items()}
    lines = table({s: c for s, c in shown.items() if s != "all"} | {"~all": shown["all"]}).replace("~all", "all ")
    rates = ", ".join(f"{s} {c['right'] / max(1, c['answers']):.1%}" for s, c in counts.items())
    return f"{lines}\nright: {rates}"
