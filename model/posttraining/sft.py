"""Supervised fine-tuning (the report's first phase): upsampled sources, several conversations in one sequence, loss on answers.

    python -m model.sft --config configs/model/sft.yaml
    python -m model.sft --config configs/model/sft.yaml --set start=out/model/tiny/export --set train.rate=1e-3

Whole conversations are packed into sequences by trl (best fit, decreasing). trl's collator lays the sequences of a micro-batch
one after the other, restarts the positions at each conversation and gives no attention mask; its trainer sets
`use_cache=False`. That is what keeps conversations apart in transformers' Dots1 with sdpa (tested: logits and loss equal those of
each alone). As the rows of a micro-batch become one, attention costs its square: raise `batch`, not `micro_batch`.

What is longer than a sequence is dropped, or cut (`data.long`), before trl sees it; trl would cut it without a word.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from datasets import Dataset
from pydantic import Field
from transformers import PrinterCallback
from trl.trainer.sft_config import SFTConfig as TrlConfig
from trl.trainer.sft_trainer import SFTTrainer

from model.architecture.head import head_loss
from model.base.arrays import IGNORE
from model.base.config import Options, dump
from model.base.errors import ConversationError
from model.base.files import write_text
from model.posttraining.chat import Chat, Encoded
from model.posttraining.conversations import Conversation, ConversationOptions, read, upsampled
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


class SftConfig(Options):
    """Options of a run: what `python -m model.sft --config FILE` reads."""

    out: str = Field(description="folder of metrics and export")
    start: str = Field(description="folder of a model in Hugging Face's format: an export")
    data: ConversationOptions
    train: FineTuneOptions = FineTuneOptions()


def prepare(
    rows: Sequence[Conversation], chat: Chat, options: ConversationOptions, length: int
) -> tuple[list[Encoded], dict[str, dict[str, int]]]:
    """Encode upsampled conversations, and deal with those longer than a sequence.

    :returns: what is trained on, and counts by source: conversations read, copies of them, dropped, cut, tokens and answer
        tokens of what is left, tokens that were cut off.
    :raises ConversationError: nothing is left.
    """
    counts: dict[str, dict[str, int]] = {}
    names = ("conversations", "copies", "dropped", "cut", "tokens", "answer_tokens", "tokens_cut_off")
    for row in rows:
        counts.setdefault(row.source, dict.fromkeys(names, 0))["conversations"] += 1
    out: list[Encoded] = []
    for row in upsampled(rows, options):
        count = counts[row.source]
        count["copies"] += 1
        encoded = chat.encode(row.messages)
        if len(encoded.ids) > length:
            whole, encoded = len(encoded.ids), encoded.cut(length)
            if options.long == "drop" or encoded.answers == 0:
                count["dropped"] += 1
                continue
            count["cut"] += 1
            count["tokens_cut_off"] += whole - length
        count["tokens"] += len(encoded.ids)
        count["answer_tokens"] += encoded.answers
        out.append(encoded)
    if not out:
        raise ConversationError(
            f"found no conversation of at most {length} tokens, expected some (train.sequence_length)"
        )
    return out, counts


class Trainer(LogsSteps, SFTTrainer):  # type: ignore[misc]
    """trl's trainer, which counts what is learned. On a CPU the head computes logits of answers alone, as trl does on GPUs."""

    def compute_loss(self, model: Any, inputs: dict[str, Any], *extra: Any, **more: Any) -> Any:
        valid = inputs["labels"][:, 1:] != IGNORE
        self.metrics.count(int(valid.sum()), inputs["input_ids"].numel())
        if inputs["input_ids"].device.type != "cpu":
            return super().compute_loss(model, inputs, *extra, **more)  # type: ignore[no-untyped-call]
        hidden = model.model(input_ids=inputs["input_ids"], position_ids=inputs["position_ids"], use_cache=False)
        total, _ = head_loss(
            hidden.last_hidden_state[:, :-1][valid], model.lm_head.weight, inputs["labels"][:, 1:][valid]
        )
        items = more.get("num_items_in_batch")
        return total / (valid.sum().clamp(min=1) if items is None else items)


def trainer_for(config: SftConfig, model: Any, chat: Chat, encoded: Sequence[Encoded], metrics: Metrics) -> Trainer:
    """Make trl's trainer on what `prepare` made."""
    rows = {
        "input_ids": [e.ids for e in encoded],
        "labels": [[i if a else IGNORE for i, a in zip(e.ids, e.answer, strict=True)] for e in encoded],
    }
    settings = arguments(
        TrlConfig, config.train, Path(config.out), packing=True, packing_strategy="bfd", shuffle_dataset=True
    )
    trainer = Trainer(
        model=model, args=settings, train_dataset=Dataset.from_dict(rows), processing_class=tokenizer_of(chat)
    )
    trainer.remove_callback(PrinterCallback)
    trainer.metrics = metrics
    return trainer


def run(config: SftConfig, *, quiet: bool = False) -> dict[str, Any]:
    """Train, export, and give the summary.

    :raises ConversationError, ChatError, FineTuneError: what cannot be used.
    """
    out = Path(config.out)
    rows = read(Conversation, config.data.files)
    model, chat = start(config.start, config.train)
    encoded, counts = prepare(rows, chat, config.data, config.train.sequence_length)
    if not quiet:
        print(table(counts), flush=True)
    write_text(out / "config.yaml", dump(config))
    metrics = Metrics(out, quiet=quiet)
    trainer = trainer_for(config, model, chat, encoded, metrics)
    before = biases(model)
    sequences = len(cast(Dataset, trainer.train_dataset))
    trainer.train()
    check_biases(model, before)
    save(model.state_dict(), config.start, chat, out / "export")
    summary = {
        "steps": len(metrics.lines),
        "sequences": sequences,
        "filled": sum(len(e.ids) for e in encoded) / (sequences * config.train.sequence_length),
        "targets": metrics.total_targets,
        "tokens": metrics.total_tokens,
        "loss": metrics.last_tenth(),
        "seconds": metrics.seconds,
        "sources": counts,
    }
    write_text(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    return summary
