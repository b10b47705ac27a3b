"""Direct preference optimisation (arXiv:2305.18290) with an SFT term and an average of the weights, as Hunyuan-Large has them
(arXiv:2411.02265).

    python -m model.dpo --config configs/model/dpo.yaml

    loss = -log sigmoid(beta x (log-ratio of chosen - log-ratio of rejected)) + sft_weight x mean loss of the chosen tokens

The reference is the model at the start. After each step average = decay x average + (1 - decay) x weights, in FP32, beginning
with the start; `export/` is the average, `last/` the weights of the last step. Ids are made by chat.py, not by trl (why:
there). trl's collator pads on the right with an attention mask, under which the log-probabilities of Dots1 are those of each
answer alone (tested). The SFT term is the mean over the tokens of a micro-batch, then over micro-batches: with `micro_batch` 1
each answer weighs the same, however long.

A pair of which one side is longer than a sequence is left out, and counted.
"""

from __future__ import annotations

import contextlib
import copy
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from pydantic import Field
from torch import nn
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.dpo_config import DPOConfig as TrlConfig
from trl.trainer.dpo_trainer import DPOTrainer

from model.base.config import Options, dump
from model.base.errors import ConversationError
from model.base.files import write_text
from model.posttraining.chat import Chat
from model.posttraining.conversations import Preference, read
from model.posttraining.finetune import (
    FineTuneOptions,
    LogsSteps,
    Metrics,
    arguments,
    biases,
    check_biases,
    save,
    start,
    table,
    tokenizer_of,
)


class DpoConfig(Options):
    """Options of a run: what `python -m model.dpo --config FILE` reads."""

    out: str
    start: str = Field(description="folder of a fine-tuned model in Hugging Face's format; the reference too")
    files: tuple[str, ...] = Field(min_length=1, description="preferences")
    beta: float = Field(0.1, gt=0, description="strength of the tie to the reference")
    sft_weight: float = Field(0.1, ge=0, description="of the SFT term; the report gives none; 0: none")
    average: float | None = Field(0.99, ge=0, lt=1, description="decay a step; the report gives none; null: no average")
    train: FineTuneOptions = FineTuneOptions(epochs=1)


def prepare(
    rows: Sequence[Preference], chat: Chat, length: int
) -> tuple[dict[str, list[list[int]]], dict[str, dict[str, int]]]:
    """Encode preferences.

    :returns: trl's columns, and counts by source.
    :raises ConversationError: nothing is left.
    """
    columns: dict[str, list[list[int]]] = {"prompt_ids": [], "chosen_ids": [], "rejected_ids": []}
    counts: dict[str, dict[str, int]] = {}
    names = ("pairs", "dropped", "prompt_tokens", "chosen_tokens", "rejected_tokens")
    for row in rows:
        count = counts.setdefault(row.source, dict.fromkeys(names, 0))
        count["pairs"] += 1
        prompt = chat.prompt(row.prompt)
        chosen, rejected = chat.answer(row.chosen[0].content), chat.answer(row.rejected[0].content)
        if len(prompt) + max(len(chosen), len(rejected)) > length:
            count["dropped"] += 1
            continue
        for name, ids in (("prompt", prompt), ("chosen", chosen), ("rejected", rejected)):
            columns[f"{name}_ids"].append(ids)
            count[f"{name}_tokens"] += len(ids)
    if not columns["prompt_ids"]:
        raise ConversationError(f"found no pair of at most {length} tokens, expected some (train.sequence_length)")
    return columns, counts


class Average(TrainerCallback):  # type: ignore[no-untyped-call]
    """Exponential moving average of all weights, FP32, on the device."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {n: p.detach().to(torch.float32, copy=True) for n, p in model.named_parameters()}

    @torch.no_grad()
    def on_step_end(self, args: Any, state: Any, control: Any, model: nn.Module | None = None, **more: Any) -> None:
        assert model is not None
        for name, parameter in model.named_parameters():
            average = self.weights[name]
            if average.device != parameter.device:
                average = self.weights[name] = average.to(parameter.device)
            average.lerp_(parameter.detach().float(), 1 - self.decay)

    def state(self, model: nn.Module) -> dict[str, torch.Tensor]:
        """Give the state of `model` with the averages in place of its parameters; buffers are its own."""
        return {n: self.weights.get(n, t) for n, t in model.state_dict().items()}


@contextlib.contextmanager
def old_names() -> Iterator[None]:
    """Silence a warning: trl 1.16 asks transformers 5.24 for a property by the name that it had before."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


class Trainer(LogsSteps, DPOTrainer):  # type: ignore[misc]
    """trl's trainer on ids that are made already."""

    def _prepare_dataset(self, dataset: Any, *extra: Any) -> Any:
        return dataset

    def compute_loss(self, model: Any, inputs: dict[str, Any], *extra: Any, **more: Any) -> Any:
        self.metrics.count(int(inputs["completion_mask"].sum()), int(inputs["attention_mask"].sum()))
        with old_names():
            return super().compute_loss(model, inputs, *extra, **more)  # type: ignore[no-untyped-call]

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Any]) -> Any:
        with old_names():
            return super().compute_ref_log_probs(model, inputs)  # type: ignore[no-untyped-call]


def trainer_for(
    config: DpoConfig, model: Any, chat: Chat, columns: dict[str, list[list[int]]], metrics: Metrics
) -> Trainer:
    """Make trl's trainer; the reference is a copy of `model` as it is now."""
    term = config.sft_weight > 0
    settings = arguments(
        TrlConfig,
        config.train,
        Path(config.out),
        beta=config.beta,
        loss_type=["sigmoid", "sft"] if term else ["sigmoid"],
        loss_weights=[1.0, config.sft_weight] if term else None,
    )
    trainer = Trainer(
        model=model,
        ref_model=copy.deepcopy(model),
        args=settings,
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer_of(chat),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.metrics = metrics
    return trainer


def run(config: DpoConfig, *, quiet: bool = False) -> dict[str, Any]:
    """Train, export average and last weights, and give the summary."""
    out = Path(config.out)
    rows = read(Preference, config.files)
    model, chat = start(config.start, config.train)
    columns, counts = prepare(rows, chat, config.train.sequence_length)
    if not quiet:
        print(table(counts), flush=True)
    write_text(out / "config.yaml", dump(config))
    metrics = Metrics(out, quiet=quiet)
    trainer = trainer_for(config, model, chat, columns, metrics)
    average = None if config.average is None else Average(model, config.average)
    if average is not None:
        trainer.add_callback(average)
    before = biases(model)
    trainer.train()
    check_biases(model, before)
    if average is None:
        save(model.state_dict(), config.start, chat, out / "export")
    else:
        save(average.state(model), config.start, chat, out / "export")
        save(model.state_dict(), config.start, chat, out / "last")
    last = metrics.lines[-max(1, len(metrics.lines) // 10) :]
    summary = {
        "steps": len(metrics.lines),
        "pairs": len(columns["prompt_ids"]),
        "targets": metrics.total_targets,
        "tokens": metrics.total_tokens,
        "loss": metrics.last_tenth(),
        "preferred": sum(x["preferred"] for x in last) / len(last),
        "margin": sum(x["margin"] for x in last) / len(last),
        "seconds": metrics.seconds,
        "sources": counts,
    }
    write_text(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    return summary
