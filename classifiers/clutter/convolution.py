"""Train the convolution of the line model, with torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from extraction.line_model.convolution import (
    CLIP,
    DILATIONS,
    KERNEL,
    N_NUMBERS,
    POOL_AFTER,
    WIDTH,
    Floats,
    Parameters,
    layout,
)

EPOCHS = 12
BATCH = 16
MAX_LINES = 1500
"""Lines of a page that training looks at."""


def fit(
    columns: Sequence[Floats],
    labels: Sequence[Floats],
    weights: Sequence[Floats],
    lengths: Sequence[npt.NDArray[np.int32]],
    page_weights: Sequence[float],
    names: Sequence[str],
    seed: int,
) -> Parameters:
    """Train on pages. The loss is logistic over lines, as for the trees, plus one minus the F1 of what is kept of
    each page, over words and with probabilities for choices."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(2)
    plain, numbered = layout(names)
    joined = np.concatenate([x[:, plain] for x in columns])
    mean, scale = joined.mean(0), 1.0 / (joined.std(0) + 1e-3)
    del joined
    net = _net(len(plain), len(numbered))
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.05)
    steps = EPOCHS * (len(columns) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.15)
    random = np.random.default_rng(seed)
    sizes = np.array([len(y) for y in labels])

    def batch(pages: npt.NDArray[np.int64]) -> list[Any]:
        n = min(int(sizes[pages].max()), MAX_LINES)
        x = np.zeros((len(pages), n, len(plain)), np.float32)
        numbers = np.zeros((len(pages), n, len(numbered)), np.int64)
        targets = np.zeros((4, len(pages), n), np.float32)  # label, weight, words, mask
        for row, page in enumerate(pages):
            page_columns = columns[page][:n]
            m = len(page_columns)
            x[row, :m] = np.clip((page_columns[:, plain] - mean) * scale, -CLIP, CLIP)
            numbers[row, :m] = np.clip(page_columns[:, numbered], 0, N_NUMBERS - 1)
            targets[:, row, :m] = labels[page][:n], weights[page][:n], lengths[page][:n], np.ones(m)
        share = np.array([page_weights[page] for page in pages], np.float32)
        return [torch.from_numpy(part) for part in (x, numbers, *targets, share)]

    net.train()
    for _ in range(EPOCHS):
        order = np.argsort(sizes + random.normal(scale=60, size=len(sizes)), kind="stable")
        batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
        random.shuffle(batches)
        for pages in batches:
            x, numbers, label, weight, words, mask, share = batch(pages)
            logits = net(x, numbers, words, mask)
            by_line = torch.nn.functional.binary_cross_entropy_with_logits(logits, label, reduction="none")
            p = torch.sigmoid(logits) * mask
            f1 = 2 * (p * label * words).sum(1) / ((p * words).sum(1) + (label * words).sum(1) + 1)
            loss = ((by_line * weight).sum(1) / 100 + (1 - f1) * share).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    state = {name: tensor.detach().numpy() for name, tensor in net.state_dict().items()}
    out = {
        "plain": np.array(plain, np.float32),
        "numbered": np.array(numbered, np.float32),
        "mean": mean,
        "scale": scale,
        "in.weight": state["inner.weight"].T,
        "in.bias": state["inner.bias"],
        "embedding": np.stack([state[f"embeddings.{i}.weight"] for i in range(len(numbered))])
        if numbered
        else np.zeros((0, N_NUMBERS, WIDTH)),
        "pool.weight": state["pool.weight"].T,
        "pool.bias": state["pool.bias"],
        "out.weight": state["outer.weight"][0],
        "out.bias": state["outer.bias"],
    }
    layers = range(len(DILATIONS))
    out["conv.weight"] = np.stack([state[f"convolutions.{i}.weight"].transpose(2, 1, 0) for i in layers])
    out["conv.bias"] = np.stack([state[f"convolutions.{i}.bias"] for i in layers])
    out["norm.weight"] = np.stack([state[f"norms.{i}.weight"] for i in layers])
    out["norm.bias"] = np.stack([state[f"norms.{i}.bias"] for i in layers])
    return {name: np.ascontiguousarray(array, np.float32) for name, array in out.items()}


def _net(n_plain: int, n_numbered: int) -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):  # type: ignore[misc, unused-ignore]  # torch is not there for all
        def __init__(self) -> None:
            super().__init__()
            self.embeddings = nn.ModuleList([nn.Embedding(N_NUMBERS, WIDTH) for _ in range(n_numbered)])
            self.inner = nn.Linear(n_plain, WIDTH)
            self.convolutions = nn.ModuleList(
                [nn.Conv1d(WIDTH, WIDTH, KERNEL, padding=d * (KERNEL // 2), dilation=d) for d in DILATIONS]
            )
            self.norms = nn.ModuleList([nn.LayerNorm(WIDTH) for _ in DILATIONS])
            self.pool = nn.Linear(2 * WIDTH, WIDTH)
            self.outer = nn.Linear(WIDTH, 1)
            self.dropout = nn.Dropout(0.1)

        def forward(self, x: Any, numbers: Any, words: Any, mask: Any) -> Any:
            h = self.inner(x)
            for i, embedding in enumerate(self.embeddings):
                h = h + embedding(numbers[..., i])
            inside = mask[..., None]
            h = torch.relu(h) * inside
            for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
                out = convolution((norm(h) * inside).transpose(1, 2)).transpose(1, 2)
                h = (h + self.dropout(torch.relu(out))) * inside
                if i + 1 == POOL_AFTER:
                    weight = words / words.sum(1, keepdim=True).clamp(min=1)
                    of_text = (h * weight[..., None]).sum(1)
                    of_lines = h.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
                    h = (h + self.pool(torch.cat([of_text, of_lines], -1))[:, None]) * inside
            return self.outer(h)[..., 0]

    return Net()
