"""One training run: steps, evaluations, checkpoints, the export at the end.

    out/model/tiny/
      config.yaml                 options of the run
      checkpoints/tokens-*/       model/training/checkpoint.py
      metrics.jsonl, ...          model/training/metrics.py
      summary.json                losses, unigram entropy of the tokens trained on, seconds
      export/                     model/training/export.py

More than one rank: each layer's parameters are sharded over all ranks (FSDP2), gradients reduced in FP32; experts too, or shared
among `train.expert_parallel` ranks, to which tokens travel (model/architecture/parallel.py). A step is the same batch for any
number of ranks; its loss is the mean over its targets, whatever the micro-batches.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
import yaml
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from model.architecture import recycling
from model.architecture.costs import training_flops
from model.architecture.parallel import clip
from model.architecture.router import Balance, worst_violation
from model.base.arrays import IGNORE
from model.base.config import dump
from model.base.errors import TrainError
from model.base.files import write_text
from model.data.loader import Batch, loader, merge
from model.data.shards import Shards, open_shards
from model.training import checkpoint, evaluation, metrics
from model.training.config import RunConfig
from model.training.export import export
from model.training.metrics import EXPERTS_EVERY, Progress, Writer
from model.training.ranks import Place
from model.training.run_folder import checkpoints
from model.training.schedule import batch_sequences, expert_rate, learning_rate, stage_name
from model.training.setup import of_experts, optimizer_for, prepare
from model.training.spikes import Spikes

MAX_LEFT_OUT = 10
"""Steps in a row without a finite loss and gradient, after which a run ends."""


class Trainer:
    """Trainer of one run on one rank."""

    def __init__(self, config: RunConfig, place: Place) -> None:
        """Open the shards, make the model, go on from the last checkpoint.

        :raises TrainError: the config does not fit the ranks, the shards, or what the folder holds.
        """
        self.config, self.place = config, place
        self.out = Path(config.out)
        self.shards: Shards = open_shards(config.data.shards)
        self._check()
        self.model = prepare(config, place)
        self.balance = Balance(self.model)
        self.optimizer, self.factors = optimizer_for(self.model, config)
        self.of_experts = of_experts(self.model, self.optimizer)
        self.step, self.tokens, self.seconds, self.left_out = 0, 0, 0.0, 0
        self.counts = np.zeros(config.model.vocab_size, dtype=np.int64)
        t = config.train
        self.spikes = Spikes(t.spikes.window, t.spikes.deviations)
        self.last_saved = self.last_evaluated = 0
        start = self._resume()
        self.loader = loader(
            config.data,
            "train",
            t.sequence_length,
            t.micro_batch,
            place.rank,
            place.world,
            t.workers,
            start=start,
            pin_memory=place.device.type == "cuda",
        )
        needed = self.loader.dataset.source.vocabulary
        if needed > config.model.vocab_size:
            raise TrainError(
                f"the data has ids up to {needed - 1:,}, the model {config.model.vocab_size:,} rows (model.vocab_size)"
            )
        self.flops = training_flops(config.model, t.sequence_length)
        self._laid: evaluation.Laid | None = None
        self.load, self.bias = self.balance.take()[0], self.balance.bias()

    @property
    def first(self) -> bool:
        """True on the rank that writes."""
        return self.place.rank == 0

    def _check(self) -> None:
        """Hold the config to the ranks, and to what the folder holds."""
        t = self.config.train
        if self.place.world % t.expert_parallel:
            raise TrainError(f"{self.place.world} ranks are no multiple of train.expert_parallel {t.expert_parallel}")
        experts = self.config.model.n_routed_experts
        if experts % t.expert_parallel:
            raise TrainError(f"{experts} experts are no multiple of train.expert_parallel {t.expert_parallel}")
        unit = self.place.world * t.micro_batch
        for batch in t.batches:
            if batch.sequences % unit:
                raise TrainError(
                    f"a batch of {batch.sequences} sequences is no multiple of {self.place.world} ranks x "
                    f"micro_batch {t.micro_batch}; change train.micro_batch or train.batches"
                )
        saved = self.out / "config.yaml"
        if not saved.exists():
            return
        written = RunConfig.model_validate(yaml.safe_load(saved.read_text()))  # older ones lack newer options
        old, new = yaml.safe_load(dump(written)), yaml.safe_load(dump(self.config))
        for key in ("model", "train.seed", "train.sequence_length", "train.optimizer"):
            before, now = old, new
            for name in key.split("."):
                before, now = before.get(name), now.get(name)
            if before != now:
                raise TrainError(
                    f"{self.out} holds a run with another {key}: {before}, now {now}; choose another out, or remove it"
                )

    def _resume(self) -> dict[str, Any] | None:
        """Go on from the last checkpoint, if there is one.

        :returns: the loader's state.
        """
        complete = checkpoints(self.out)
        if not complete:
            return None
        state = checkpoint.load(complete[-1], self.model, self.optimizer)
        self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
        self.last_saved, self.last_evaluated = self.tokens, state["last_evaluated"]
        self.left_out = state["left_out"]
        self.spikes.history = list(state["spikes"])
        if self.first:
            ids, numbers = state["counts"]
            self.counts[ids] = numbers
        start: dict[str, Any] = state["loader"]
        return start

    def save(self) -> None:
        """Write a checkpoint of this moment, between two steps."""
        states: list[Any] = [self.loader.state_dict()]
        if self.place.world > 1:
            states = [None] * self.place.world
            dist.all_gather_object(states, self.loader.state_dict())
        counts = self._all_counts()
        ids = np.flatnonzero(counts)
        state = {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "left_out": self.left_out,
            "last_evaluated": self.last_evaluated,
            "spikes": self.spikes.history,
            "counts": [ids.tolist(), counts[ids].tolist()],
            "loader": merge(states),
        }
        checkpoint.save(self.out, self.tokens, self.model, self.optimizer, state)
        self.last_saved = self.tokens
        if self.first:
            checkpoint.prune(self.out, self.config.train.keep_checkpoints)

    def sum(self, *values: float) -> list[float]:
        """Sum values over the ranks, in FP64."""
        if self.place.world == 1:
            return list(values)
        t = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(t)
        return [float(v) for v in t]

    def _all_counts(self) -> npt.NDArray[np.int64]:
        """Count how often each id was a target so far, on all ranks."""
        if self.place.world == 1:
            return self.counts
        shared = torch.from_numpy(self.counts.copy())
        dist.all_reduce(shared)
        return np.asarray(shared.numpy())

    def autocast(self) -> torch.autocast:
        """Give autocast in the run's precision."""
        return torch.autocast(self.place.device.type, torch.bfloat16, enabled=self.config.train.precision == "bf16")

    def train_step(self, batches: Sequence[Batch]) -> dict[str, Any]:
        """Do one step on the micro-batches of this rank.

        :returns: a line of metrics.
        """
        t, world = self.config.train, self.place.world
        sequences = len(batches) * t.micro_batch * world
        tokens = self.tokens + sequences * t.sequence_length
        rate = learning_rate(t.stages, tokens)
        local_targets = sum(int((b["labels"][:, 1:] != IGNORE).sum()) for b in batches)
        targets = int(self.sum(local_targets)[0])
        part = 0.0
        first = self.tokens // t.sequence_length + self.place.rank
        for number, batch in enumerate(batches):
            counted = ~((batch["labels"] == IGNORE) & (batch["input_ids"] == self.shards.eod_id))
            on_device = {k: v.to(self.place.device, non_blocking=True) for k, v in batch.items()}
            keys = recycling.keys(t.seed, first + (number * t.micro_batch + np.arange(t.micro_batch)) * world)
            # FSDP divides gradients by the number of ranks.
            self.balance.begin(
                counted.to(self.place.device),
                t.balance.sequence_loss * world / sequences,
                keys.to(self.place.device),
            )
            with self.autocast():
                total, _ = self.model(**on_device)
            self.balance.end()
            (total * (world / max(1, targets))).backward()
            part += float(total.detach())
        loss = self.sum(part)[0] / max(1, targets)
        norm = clip(self.model.parameters(), t.optimizer.clip)
        load, sequence_loss = self.balance.take()
        spike = self.spikes.add(loss)
        finite = bool(np.isfinite(loss) and np.isfinite(norm))
        skipped = not finite or targets == 0 or (spike and t.spikes.skip)
        seen = self.config.model.num_experts_per_tok / self.config.model.n_routed_experts
        noise = t.optimizer.expert_noise_tokens
        lowered = None if noise is None else expert_rate(sequences * t.sequence_length, seen, noise)
        if not skipped:
            for group, factor, experts in zip(self.optimizer.param_groups, self.factors, self.of_experts, strict=True):
                group["lr"] = rate * factor * (lowered if experts and lowered is not None else 1.0)
            self.optimizer.step()
            self.balance.update(load, t.balance.bias_rate)
        self.optimizer.zero_grad(set_to_none=True)
        self.left_out = 0 if finite else self.left_out + 1
        self.step, self.tokens = self.step + 1, tokens
        for batch in batches:
            trained = batch["labels"][:, 1:]
            self.counts += np.bincount(trained[trained != IGNORE].numpy(), minlength=len(self.counts))
        violation = worst_violation(load)
        bias = self.balance.bias()
        self.load, self.bias = load, bias
        return {
            "step": self.step,
            "tokens": self.tokens,
            "stage": stage_name(t.stages, tokens),
            "rate": rate,
            "sequences": sequences,
            "targets": targets,
            "loss": loss,
            "sequence_loss": float(sequence_loss.mean()) / sequences if len(sequence_loss) else 0.0,
            "gradient_norm": norm,
            "max_violation": float(violation.max()) if len(violation) else 0.0,
            "max_violation_mean": float(violation.mean()) if len(violation) else 0.0,
            "max_bias": float(bias.abs().max()) if bias.numel() else 0.0,
            **recycling.recycled(self.balance, load),
            **({} if lowered is None else {"expert_rate": lowered}),
            "spike": spike,
            "skipped": skipped,
        }

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """Compute the losses of the validation split; sequences are dealt to the ranks, each of which has as many batches."""
        t = self.config.train
        if self._laid is None:
            self._laid = evaluation.lay(self.shards, "validation", t.sequence_length, t.evaluation.tokens)
        laid = self._laid
        documents = len(laid.columns["language"])
        sums = np.zeros((2, documents))
        self.model.train(False)
        self.balance.forget()
        step = t.micro_batch * self.place.world
        for begin in range(0, len(laid.input_ids), step):
            rows = laid.rows(begin + self.place.rank * t.micro_batch, t.micro_batch)
            owners = rows.pop("owners")
            batch = {k: torch.from_numpy(v).to(self.place.device) for k, v in rows.items()}
            with self.autocast():
                _, losses = self.model(**batch)
            valid = rows["labels"] != IGNORE
            valid[:, 0] = False
            sums[0] += np.bincount(owners[valid], losses.cpu().numpy()[valid].astype(np.float64), documents)
            sums[1] += np.bincount(owners[valid], minlength=documents)
        self.model.train()
        if self.place.world > 1:
            shared = torch.from_numpy(sums)
            dist.all_reduce(shared)
            sums = shared.numpy()
        self.last_evaluated = self.tokens
        return {"step": self.step, "tokens": self.tokens, **evaluation.grouped(laid, sums[0], sums[1])}

    def steps(self) -> Iterator[list[Batch]]:
        """Give the micro-batches of each step to come, on this rank."""
        t = self.config.train
        batches = iter(self.loader)
        while self.tokens < t.tokens:
            wanted = batch_sequences(t.batches, self.tokens) // (t.micro_batch * self.place.world)
            micro_batches = []
            for batch in batches:
                micro_batches.append(batch)
                if len(micro_batches) == wanted:
                    break
            if not micro_batches:
                return
            yield micro_batches

    def run(self) -> dict[str, Any]:
        """Train to the end, and export.

        :returns: summary of the run, on the first rank.
        :raises TrainError: the loss is no longer a number, or another process trains into the folder.
        """
        with checkpoint.alone(self.out) if self.first else contextlib.nullcontext():
            return self._run()

    def _run(self) -> dict[str, Any]:
        t = self.config.train
        lines = self.out / "metrics.jsonl"
        begun = lines.exists() and lines.stat().st_size > 0
        writer = Writer(self.out, self.step, tensorboard=t.tensorboard) if self.first else None
        progress = Progress(t.tokens, self.tokens, shown=self.first)
        if self.first and self.step and self.tokens >= t.tokens:
            progress.say(f"nothing to train: {self.out} has {self.tokens:,} tokens, {t.tokens:,.0f} are asked for")
        elif self.first:
            write_text(self.out / "config.yaml", dump(self.config))
            if self.step:
                progress.say(f"going on after step {self.step:,}, {self.tokens:,} tokens")
            elif begun:
                progress.say("there is no checkpoint yet: from the beginning")
        began = self.step
        last = time.perf_counter()
        for batches in self.steps():
            line = self.train_step(batches)
            now = time.perf_counter()
            line["tokens_per_s"] = line["sequences"] * t.sequence_length / (now - last)
            if t.peak_tflops is not None:
                line["mfu"] = line["tokens_per_s"] * self.flops / (self.place.world * t.peak_tflops * 1e12)
            self.seconds += now - last
            if writer is not None:
                writer.write("metrics", line)
                if self.step % EXPERTS_EVERY == 1:
                    experts = {"layers": self.balance.layers, "load": self.load.tolist(), "bias": self.bias.tolist()}
                    writer.write("experts", {"step": self.step, "tokens": self.tokens} | experts)
                progress.show(line, now)
                if line["spike"] or line["skipped"]:
                    left = ", left out" if line["skipped"] else ""
                    progress.say(
                        f"step {self.step:,}: loss {line['loss']:.3f} is a spike (limit {self.spikes.limit:.3f}){left}"
                    )
            if self.left_out >= MAX_LEFT_OUT:
                raise TrainError(
                    f"{MAX_LEFT_OUT} steps in a row had no finite loss and gradient; the last is {self.step}"
                )
            done = self.tokens >= t.tokens
            due = t.evaluation.every_tokens
            if not done and due is not None and self.tokens // due > self.last_evaluated // due:
                self._evaluated(writer, progress)
            if (
                not done
                and t.checkpoint_tokens
                and self.tokens // t.checkpoint_tokens > self.last_saved // t.checkpoint_tokens
            ):
                self.save()
            last = time.perf_counter()
        if self.step > began:
            self._evaluated(writer, progress)
            self.save()
        summary = self._finish()
        progress.close()
        if writer is not None:
            writer.close()
        return summary

    def _evaluated(self, writer: Writer | None, progress: Progress) -> None:
        """Evaluate, where there is a validation split, and write the result."""
        if not any(s.split == "validation" and s.rows for s in self.shards.shards):
            return
        losses = self.evaluate()
        if writer is not None:
            writer.write("evaluation", losses)
            by = ", ".join(f"{k} {v['loss']:.3f}" for k, v in losses["language"].items() if v["loss"] is not None)
            progress.say(f"step {self.step:,}: validation loss {losses['all']['loss']:.3f} ({by})")

    def _finish(self) -> dict[str, Any]:
        """Write export and summary, unless both are there already, of this very moment."""
        summary_file, folder = self.out / "summary.json", self.out / "export"
        written: dict[str, Any] = json.loads(summary_file.read_text()) if summary_file.exists() else {}
        done = [written.get("step") == self.step and folder.exists()]
        if self.place.world > 1:
            dist.broadcast_object_list(done)  # what the first rank sees
        if done[0]:
            return written
        counts = self._all_counts()
        everything = StateDictOptions(full_state_dict=True, cpu_offload=True)
        state = cast("dict[str, torch.Tensor]", get_model_state_dict(self.model, options=everything))
        if not self.first:
            return {}
        export(state, self.config.model, self.shards, folder)
        summary = {
            "step": self.step,
            "tokens": self.tokens,
            "loss": metrics.last_tenth(metrics.read(self.out, "metrics")),
            "unigram_entropy": evaluation.unigram_entropy(counts),
            "seconds": self.seconds,
        }
        write_text(summary_file, json.dumps(summary, indent=1) + "\n")
        return summary
