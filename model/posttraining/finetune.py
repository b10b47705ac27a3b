"""Shared parts of the three ways of post-training: options, the model, the schedule, metrics, export.

They rest on trl's trainers. The model is the stock `Dots1ForCausalLM`, with routers that compute in FP32 under autocast too
(model/architecture/router.py), weights in FP32. The experts' biases are buffers, no parameters: they stay as pre-training left
them, and balancing does not go on, nor is there a balance loss (the report says nothing of either; `check_biases` holds it).

    out/
      config.yaml      the options
      metrics.jsonl    a line a step: loss, rate, gradient norm, tokens learned (`targets`) and read (`tokens`)
      summary.json     what was read, cut and left out, by source; seconds
      export/          Hugging Face's format with tokenizer and chat template

A run that is killed begins again: its state is not saved. One process.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import datasets
import torch
import transformers
from pydantic import Field, model_validator
from transformers import Dots1ForCausalLM, GenerationConfig, PreTrainedTokenizerFast
from transformers.models.dots1.modeling_dots1 import Dots1MoE

from model.architecture.router import Router
from model.base.config import Options
from model.base.errors import ChatError, FineTuneError
from model.base.files import replacing
from model.base.tables import aligned
from model.posttraining.chat import TEMPLATE, Chat


def unfinished(out: str) -> None:
    """Refuse a folder that holds a finished run, which a new one would replace.

    :raises FineTuneError: it does.
    """
    if (Path(out) / "summary.json").exists():
        raise FineTuneError(f"{out} holds a finished run; choose another out, or remove it")


class FineTuneOptions(Options):
    """Options of how a model is fine-tuned. Rates and epochs are the report's; it does not give the rest."""

    seed: int = Field(0, ge=0, description="of the order")
    epochs: float = Field(2, gt=0)
    sequence_length: int = Field(8192, ge=8)
    micro_batch: int = Field(1, ge=1, description="sequences (of preferences: pairs) computed at once")
    batch: int = Field(32, ge=1, description="sequences (pairs) of a step; a multiple of micro_batch")
    rate: float = Field(5e-6, gt=0, description="after the warm-up")
    final_rate: float = Field(1e-6, ge=0, description="of the last step; a cosine lies between")
    warm_up: float = Field(0.03, ge=0, lt=1, description="share of the steps, linear from 0")
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(0.1, ge=0, description="of matrices")
    clip: float = Field(1.0, gt=0, description="of the gradient's norm")
    precision: Literal["fp32", "bf16"] = Field("bf16", description="of products; weights and routers are FP32")
    activation_checkpointing: bool = False
    attention: Literal["sdpa", "eager"] = "sdpa"
    experts: Literal["grouped_mm", "batched_mm", "eager"] = "grouped_mm"
    threads: int | None = Field(None, ge=1, description="of torch on a CPU; null: as many as cores")

    @model_validator(mode="after")
    def _fits(self) -> FineTuneOptions:
        if self.batch % self.micro_batch:
            raise ValueError(f"batch {self.batch} is no multiple of micro_batch {self.micro_batch}")
        if self.final_rate > self.rate:
            raise ValueError(f"final_rate {self.final_rate} is above rate {self.rate}")
        return self


def start(folder: str | Path, options: FineTuneOptions) -> tuple[Dots1ForCausalLM, Chat]:
    """Load a model to fine-tune, and its tokenizer.

    :raises FineTuneError: not one process, or no such model. :raises ChatError: its tokenizer cannot be used.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) != 1:
        raise FineTuneError(f"found {os.environ['WORLD_SIZE']} processes, expected one")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    datasets.disable_progress_bars()
    chat = Chat(folder)
    config = Path(folder) / "config.json"
    kind = json.loads(config.read_text()).get("model_type") if config.exists() else "no config.json"
    if kind != "dots1":
        raise FineTuneError(f"{folder}: found {kind}, expected a model of type dots1")
    model = Dots1ForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation=options.attention,
        experts_implementation=options.experts,
    )
    if chat.vocabulary > model.config.vocab_size:
        raise ChatError(
            f"{folder}: found {chat.vocabulary:,} tokens, expected at most the model's {model.config.vocab_size:,}"
        )
    if options.sequence_length > model.config.max_position_embeddings:
        raise FineTuneError(
            f"sequences of {options.sequence_length}, the model has {model.config.max_position_embeddings} positions"
        )
    routers_in_fp32(model)
    for settings in (model.config, model.generation_config):  # as trl would, with a warning
        settings.eos_token_id, settings.pad_token_id = chat.end, chat.eod
    return model, chat


def routers_in_fp32(model: Dots1ForCausalLM) -> None:
    """Put this project's routers, with the same weights, in place of the stock ones, whose product autocast takes to bf16."""
    for layer in model.model.layers:
        if isinstance(layer.mlp, Dots1MoE):
            router = Router(model.config)
            router.load_state_dict(layer.mlp.gate.state_dict())
            layer.mlp.gate = router.to(layer.mlp.gate.weight.device)


def biases(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Copy the experts' biases."""
    return {n: b.detach().cpu().clone() for n, b in model.named_buffers() if n.endswith("e_score_correction_bias")}


def check_biases(model: torch.nn.Module, before: dict[str, torch.Tensor]) -> None:
    """Hold the experts' biases to what they were.

    :raises FineTuneError: a bias moved, or is a parameter.
    """
    after = biases(model)
    moved = [n for n in before if n not in after or not torch.equal(before[n], after[n])]
    if moved:
        raise FineTuneError(f"found {moved[0]} changed, expected the experts' biases as they were")


def tokenizer_of(chat: Chat) -> PreTrainedTokenizerFast:
    """Make transformers' view of the tokenizer, for trl."""
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_file=str(chat.folder / "tokenizer.json"),
        eos_token=chat.special.id_to_token(chat.end),
        pad_token=chat.special.id_to_token(chat.eod),
        chat_template=TEMPLATE,
    )


def arguments(kind: Callable[..., Any], options: FineTuneOptions, out: Path, **more: Any) -> Any:
    """Make trl's configuration. `cosine_warmup_with_min_lr` has the first step above 0 and the last one at `final_rate`;
    `cosine_with_min_lr` has neither."""
    cuda = torch.cuda.is_available()
    return kind(
        output_dir=str(out),
        seed=options.seed,
        data_seed=options.seed,
        num_train_epochs=options.epochs,
        max_length=options.sequence_length,
        per_device_train_batch_size=options.micro_batch,
        gradient_accumulation_steps=options.batch // options.micro_batch,
        learning_rate=options.rate,
        lr_scheduler_type="cosine_warmup_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": options.final_rate / options.rate},
        warmup_steps=options.warm_up,
        adam_beta1=options.betas[0],
        adam_beta2=options.betas[1],
        weight_decay=options.weight_decay,
        max_grad_norm=options.clip,
        optim="adamw_torch",
        bf16=options.precision == "bf16",
        activation_checkpointing=options.activation_checkpointing,
        use_cpu=not cuda,
        dataloader_pin_memory=cuda,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **more,
    )


class Metrics:
    """Writer of metrics.jsonl, and of a line on the terminal every ten seconds."""

    NAMES: dict[str, str] = {  # noqa: RUF012
        "loss": "loss",
        "learning_rate": "rate",
        "grad_norm": "gradient_norm",
        "mean_token_accuracy": "token_accuracy",
        "rewards/accuracies": "preferred",
        "rewards/margins": "margin",
        "logps/chosen": "log_p_chosen",
        "logps/rejected": "log_p_rejected",
    }

    def __init__(self, out: Path, *, quiet: bool = False) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.file = out / "metrics.jsonl"
        self.file.write_text("", encoding="utf-8")
        self.began = self.last = time.perf_counter()
        self.quiet = quiet
        self.targets = self.tokens = 0
        self.total_targets = self.total_tokens = 0
        self.lines: list[dict[str, Any]] = []

    def count(self, targets: int, tokens: int) -> None:
        """Count a micro-batch: tokens whose loss counts, tokens read."""
        self.targets += targets
        self.tokens += tokens

    def write(self, step: int, steps: int, logs: dict[str, float]) -> None:
        """Write the line of a step."""
        self.total_targets += self.targets
        self.total_tokens += self.tokens
        line: dict[str, Any] = {"step": step, "targets": self.targets, "tokens": self.tokens}
        line |= {name: float(logs[key]) for key, name in self.NAMES.items() if key in logs}
        self.targets = self.tokens = 0
        self.lines.append(line)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        now = time.perf_counter()
        if not self.quiet and (now - self.last > 10 or step == steps):
            self.last = now
            print(f"step {step:,} of {steps:,}  loss {line['loss']:.4f}  rate {line['rate']:.2e}", flush=True)

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.began

    def last_tenth(self) -> float:
        """Compute the mean loss, by target, of the last tenth of the steps."""
        part = self.lines[-max(1, len(self.lines) // 10) :]
        return float(sum(x["loss"] * x["targets"] for x in part) / max(1, sum(x["targets"] for x in part)))


class LogsSteps:
    """Addition of both trainers to trl's: a line of metrics a step."""

    metrics: Metrics
    state: Any

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs, start_time)  # type: ignore[misc]
        if "loss" in logs:
            self.metrics.write(self.state.global_step, self.state.max_steps, logs)


def save(state: dict[str, torch.Tensor], base: str | Path, chat: Chat, folder: Path) -> Path:
    """Write a model that stock transformers loads and `transformers serve` chats with.

    :param state: all tensors by the stock model's names; saved in FP32.
    :param base: folder whose config.json the model has.
    :param folder: replaced, when the new one is whole.
    """
    config = transformers.Dots1Config.from_pretrained(base)
    config.eos_token_id = chat.end
    config.dtype = torch.float32
    with torch.device("meta"):
        model = Dots1ForCausalLM(config)
    cpu = {k: v.detach().to("cpu", torch.float32) if v.is_floating_point() else v.cpu() for k, v in state.items()}
    model.load_state_dict(cpu, assign=True)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=[chat.end, chat.eod], pad_token_id=chat.eod
    )
    with replacing(folder) as part:
        model.save_pretrained(part)
        chat.write(part)
    return folder


def table(counts: dict[str, dict[str, int]]) -> str:
    """Format counts by source, a line each."""
    names = list(next(iter(counts.values())))
    rows = [["source", *(n.replace("_", " ") for n in names)]]
    return aligned(rows + [[source, *(f"{count[n]:,}" for n in names)] for source, count in sorted(counts.items())])
