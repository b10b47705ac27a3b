"""Fine-tune a Hugging Face encoder as a page classifier.

    python -m classifiers.huggingface web_type --base CHECKPOINT --data DATA --out FOLDER
    - {step: web_type, model: FOLDER}                          in a stage's config

CHECKPOINT is a folder or a hub name. Takes torch and transformers (the extra `hf`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.base import Batch
from classifiers.checkpoint import MAX_TOKENS, META, ROWS, HuggingFaceClassifier, device, page_text
from classifiers.labelled import batch_of
from classifiers.registry import NAMES, part
from classifiers.small import Target, folds, temperature
from classifiers.training import SEED, Trainer, add_sources, chosen_pages


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
            chunk = order[start : start + rows]
            inputs = tokenizer(
                [texts[i] for i in chunk], truncation=True, max_length=limit, padding=True, return_tensors="pt"
            ).to(device())
            logits = model(**inputs).logits.float()
            wanted = torch.from_numpy(target.wanted[chunk]).to(logits.device)
            weight = torch.from_numpy(target.weights[chunk]).to(logits.device)
            loss: Any = (weight * -(wanted * torch.log_softmax(logits, -1)).sum(-1)).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(chunk)
        print(f"epoch {epoch + 1} of {epochs}: loss {total / len(texts):.4f}", file=sys.stderr, flush=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return HuggingFaceClassifier(str(out))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m classifiers.huggingface",
        description="Fine-tune a Hugging Face encoder as a page classifier, on the annotated pages.",
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--base", required=True, help="folder or hub name of an encoder")
    add_sources(parser)
    parser.add_argument("--out", type=Path, required=True, help="where the checkpoint goes")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=5e-5, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    trainer: Trainer = part(options.name, "train")
    pages = chosen_pages(parser, options, trainer)
    batch, target = batch_of(pages), trainer.target(pages)
    is_held_out = folds(target.groups, 5, "held out") == 0  # by site: for the temperature, and for a first look
    trained, held_out = np.flatnonzero(~is_held_out).tolist(), np.flatnonzero(is_held_out).tolist()
    model = fine_tune(
        options.base, batch.take(trained), target.take(trained), trainer.LABELS, options.out,
        epochs=options.epochs, rate=options.rate, seed=options.seed,
    )  # fmt: skip
    logits = model.logits(batch.take(held_out))
    divisor = temperature(logits, target.take(held_out))
    accuracy = float((logits.argmax(1) == target.wanted[held_out].argmax(1)).mean())
    meta = {
        "name": options.name,
        "base": options.base,
        "temperature": divisor,
        "pages": len(trained),
        "seed": options.seed,
    }
    (options.out / META).write_text(json.dumps(meta, indent=2) + "\n")
    print(json.dumps({"held_out_pages": len(held_out), "accuracy": round(accuracy, 4), "temperature": divisor}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
