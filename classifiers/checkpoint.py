"""Any Hugging Face sequence classifier as a page classifier. `classifiers.huggingface` fine-tunes one.

Takes torch and transformers (the extra `hf`). Runs on a GPU where `CORPUSMILL_DEVICE` names one or torch finds one, else on
one thread of the CPU.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.base import DEVICE, Batch, Classifier, Probabilities, digest
from classifiers.small import softmax

MAX_TOKENS = 512
ROWS = 16
"""Rows that go through the model at a time. Always so many, filled up with empty ones: the arithmetic of a row must
not depend on how many there are beside it."""

BUCKETS = (32, 64, 128, 256, 512)
"""Lengths, in tokens, that rows are padded to: again whatever else is there."""

META = "corpusmill.json"
Ints = npt.NDArray[np.int64]


def page_text(batch: Batch, row: int) -> str:
    """Text that the model reads of a page: address, title and text, a line break between them."""
    url = batch.urls[row] if batch.urls is not None else None
    title = batch.titles[row] if batch.titles is not None else None
    return "\n".join(part for part in (url, title, batch.texts[row]) if part)


def device() -> str:
    """Name of the device: `$CORPUSMILL_DEVICE`, else a GPU if there is one, else the CPU."""
    import torch

    return os.environ.get(DEVICE) or ("cuda" if torch.cuda.is_available() else "cpu")


def padded(ids: Sequence[Sequence[int]], limit: int, pad: int) -> Iterator[tuple[list[int], Ints, Ints]]:
    """Token ids of texts in blocks as a model takes them, the short ones first.

    :param ids: of each text, at most `limit`.
    :param pad: id that fills a row up.
    :returns: numbers of at most ROWS texts; their ids and mask, int64 (ROWS, one of BUCKETS or `limit`).
    """
    sizes = [next((size for size in BUCKETS if len(row) <= size <= limit), limit) for row in ids]
    for size in sorted(set(sizes)):
        alike = [i for i, other in enumerate(sizes) if other == size]
        for start in range(0, len(alike), ROWS):
            rows = alike[start : start + ROWS]
            tokens, mask = np.full((ROWS, size), pad, np.int64), np.zeros((ROWS, size), np.int64)
            mask[:, 0] = 1
            for place, i in enumerate(rows):
                tokens[place, : len(ids[i])] = ids[i]
                mask[place, : len(ids[i])] = 1
            yield rows, tokens, mask


class HuggingFaceClassifier(Classifier):
    """A checkpoint: `labels` are its `id2label`; the file that `classifiers.huggingface` writes beside it holds a temperature.

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
        """Divisor of the logits."""
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
        """SHA-256 of the weights if they lie in a folder; of name and configuration if they come from a hub."""
        files = sorted(Path(self.path).glob("*.safetensors"))
        if files:
            return digest("".join(digest(file.read_bytes()) for file in files).encode())
        return digest(json.dumps([self.path, self._config.to_dict()], sort_keys=True, default=str).encode())

    def predict_proba(self, pages: Batch | Sequence[str]) -> Probabilities:
        return softmax(self.logits(pages) / self.temperature)

    def logits(self, pages: Batch | Sequence[str]) -> Any:
        """Logits before the temperature, float64 (n, classes)."""
        import torch

        torch.set_num_threads(1)  # one a worker; and what is added up in which order shall not depend on the machine
        batch = Batch.of(pages)
        texts = [page_text(batch, i)[: 8 * self.max_tokens] for i in range(len(batch))]
        ids = self._tokenizer(texts, truncation=True, max_length=self.max_tokens)["input_ids"] if texts else []
        out = np.zeros((len(ids), len(self.labels)))
        device = self._model.device
        for rows, tokens, mask in padded(ids, self.max_tokens, self._tokenizer.pad_token_id or 0):
            with torch.no_grad():
                logits = self._model(
                    input_ids=torch.from_numpy(tokens).to(device), attention_mask=torch.from_numpy(mask).to(device)
                ).logits
            out[rows] = logits[: len(rows)].double().cpu().numpy()
        return out
