"""Any Hugging Face sequence classifier as a page classifier, and the command that fine-tunes one.

    python -m classifiers.huggingface web_type --base CHECKPOINT --data DATA --out FOLDER
    - {step: web_type, model: FOLDER}                          in a stage's config

CHECKPOINT is a folder or a hub name. Takes torch and transformers (the extra `hf`); runs on a GPU where
`CORPUSMILL_DEVICE` names one or torch finds one, else on one thread of the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.base import DEVICE, Batch, Classifier, Probabilities, digest
from classifiers.small import Target, softmax

MAX_TOKENS = 512
ROWS = 16
"""Rows that go through the model at a time. Always so many, filled up with empty ones: the arithmetic of a row must
not depend on how many there are beside it."""

BUCKETS = (32, 64, 128, 256, 512)
"""Lengths, in tokens, that rows are padded to: again whatever else is there."""

META = "corpusmill.json"


def page_text(batch: Batch, row: int) -> str:
    """What the model reads of a page: its address, its title, its text."""
    url = batch.urls[row] if batch.urls is not None else None
    title = batch.titles[row] if batch.titles is not None else None
    return "\n".join(part for part in (url, title, batch.texts[row]) if part)


def device() -> str:
    """`$CORPUSMILL_DEVICE`, else a GPU if there is one, else the CPU."""
    import torch

    return os.environ.get(DEVICE) or ("cuda" if torch.cuda.is_available() else "cpu")


class HuggingFaceClassifier(Classifier):
    """A checkpoint: `labels` are its `id2label`. `corpusmill.json` beside it, if it was made by this module, holds a temperature.

    :param path: folder, or hub name.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.labels = tuple(self._config.id2label[i] for i in range(self._config.num_labels))

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self.path)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.path)

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModelForSequenceClassification

        model = AutoModelForSequenceClassification.from_pretrained(self.path, dtype=torch.float32)
        return model.to(device()).eval()

    @cached_property
    def temperature(self) -> float:
        file = Path(self.path) / META
        return float(json.loads(file.read_text())["temperature"]) if file.is_file() else 1.0

    @cached_property
    def max_tokens(self) -> int:
        """Tokens of a page that are read: what the checkpoint can take, at most MAX_TOKENS."""
        limits = (
            MAX_TOKENS,
            getattr(self._config, "max_position_embeddings", MAX_TOKENS),
            self._tokenizer.model_max_length,
        )
        return int(min(limits))

    def sha256(self) -> str:
        """Of the weights if they lie in a folder; of name and configuration if they come from a hub."""
        files = sorted(Path(self.path).glob("*.safetensors"))
        if files:
            return digest("".join(digest(file.read_bytes()) for file in files).encode())
        return digest(json.dumps([self.path, self._config.to_dict()], sort_keys=True, default=str).encode())

    def predict_proba(self, pages: Batch | Sequence[str]) -> Probabilities:
        return softmax(self.logits(pages) / self.temperature)

    def logits(self, pages: Batch | Sequence[str]) -> Any:
        """Float64 (n, classes)."""
        import torch

        torch.set_num_threads(1)  # one a worker; and what is added up in which order shall not depend on the machine
        batch = Batch.of(pages)
        texts = [page_text(batch, i)[: 8 * self.max_tokens] for i in range(len(batch))]
        ids: list[list[int]] = (
            self._tokenizer(texts, truncation=True, max_length=self.max_tokens)["input_ids"] if texts else []
        )
        sizes = [next((b for b in BUCKETS if len(row) <= b <= self.max_tokens), self.max_tokens) for row in ids]
        pad = self._tokenizer.pad_token_id or 0
        out = np.zeros((len(ids), len(self.labels)))
        for size in sorted(set(sizes)):
            rows = [i for i, s in enumerate(sizes) if s == size]
            for start in range(0, len(rows), ROWS):
                own = rows[start : start + ROWS]
                tokens = np.full((ROWS, size), pad, np.int64)
                mask = np.zeros((ROWS, size), np.int64)
                mask[:, 0] = 1
                for place, i in enumerate(own):
                    tokens[place, : len(ids[i])] = ids[i]
                    mask[place, : len(ids[i])] = 1
                with torch.no_grad():
                    where = self._model.device
                    found = self._model(
                        input_ids=torch.from_numpy(tokens).to(where), attention_mask=torch.from_numpy(mask).to(where)
                    ).logits
                out[own] = found[: len(own)].double().cpu().numpy()
        return out


def fine_tune(
    base: str,
    batch: Batch,
    target: Target,
    labels: Sequence[str],
    out: Path,
    *,
    epochs: int = 3,
    rate: float = 5e-5,
    rows: int = ROWS,
    seed: int = 0,
) -> HuggingFaceClassifier:
    """Fine-tune a checkpoint's encoder, with a new head, on weighted soft labels; write it to `out`.

    One device, AdamW, linear decay after a tenth of warm-up. The same data and seed give the same weights on the same kind of
    machine.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(os.cpu_count() or 1)  # the random numbers of dropout are dealt out over threads
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(
        base,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        ignore_mismatched_sizes=True,
        dtype=torch.float32,
    ).to(device())
    limit = min(MAX_TOKENS, getattr(model.config, "max_position_embeddings", MAX_TOKENS), tokenizer.model_max_length)
    texts = [page_text(batch, i)[: 8 * limit] for i in range(len(batch))]
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    steps = epochs * -(-len(texts) // rows)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / max(1, steps // 10), (steps - step) / steps)
    )
    random = np.random.default_rng(seed)
    model.train()
    for epoch in range(epochs):
        order, total = random.permutation(len(texts)), 0.0
        for start in range(0, len(order), rows):
            own = order[start : start + rows]
            inputs = tokenizer(
                [texts[i] for i in own], truncation=True, max_length=limit, padding=True, return_tensors="pt"
            ).to(device())
            logits = model(**inputs).logits.float()
            wanted = torch.from_numpy(target.wanted[own]).to(logits.device)
            weight = torch.from_numpy(target.weights[own]).to(logits.device)
            loss: Any = (weight * -(wanted * torch.log_softmax(logits, -1)).sum(-1)).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(own)
        print(f"epoch {epoch + 1} of {epochs}: loss {total / len(texts):.4f}", file=sys.stderr, flush=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return HuggingFaceClassifier(str(out))


def main(arguments: Sequence[str] | None = None) -> int:
    from classifiers.labelled import batch_of
    from classifiers.registry import NAMES
    from classifiers.small import folds, temperature
    from classifiers.training import SEED, add_sources, sources, trainer

    parser = argparse.ArgumentParser(
        prog="python -m classifiers.huggingface",
        description="Fine-tune a Hugging Face encoder as a page classifier, on the annotated pages.",
    )
    parser.add_argument("name", choices=[name for name in NAMES if name != "safety"])
    parser.add_argument("--base", required=True, help="folder or hub name of an encoder")
    add_sources(parser)
    parser.add_argument("--out", type=Path, required=True, help="where the checkpoint goes")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=5e-5, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    its = trainer(options.name)
    pages = sources(parser, options, its)
    pages = [pages[i] for i in its.chosen(pages)]
    batch, target = batch_of(pages), its.target(pages)
    held = folds(target.groups, 5, "held out") == 0  # by site: for the temperature, and for a first look
    rest, own = np.flatnonzero(~held).tolist(), np.flatnonzero(held).tolist()
    model = fine_tune(
        options.base, batch.take(rest), target.take(rest), its.LABELS, options.out,
        epochs=options.epochs, rate=options.rate, seed=options.seed,
    )  # fmt: skip
    logits = model.logits(batch.take(own))
    found = temperature(logits, target.take(own))
    accuracy = float((logits.argmax(1) == target.wanted[own].argmax(1)).mean())
    meta = {"name": options.name, "base": options.base, "temperature": found, "pages": len(rest), "seed": options.seed}
    (options.out / META).write_text(json.dumps(meta, indent=2) + "\n")
    print(json.dumps({"held_out_pages": len(own), "accuracy": round(accuracy, 4), "temperature": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
