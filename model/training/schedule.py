"""Learning rate, batch and rate of experts at a place of a run. No torch here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from model.training.config import Batch, Stage


def learning_rate(stages: Sequence[Stage], tokens: float) -> float:
    """Compute the rate of the step that ends at `tokens`; after the last stage, its rate."""
    begin, rate = 0.0, 0.0
    for stage in stages:
        if tokens <= stage.until_tokens:
            part = (tokens - begin) / (stage.until_tokens - begin)
            if stage.shape == "cosine":
                part = (1 - math.cos(math.pi * part)) / 2
            return rate + (stage.rate - rate) * part
        begin, rate = stage.until_tokens, stage.rate
    return rate


def expert_rate(batch_tokens: float, seen: float, noise_tokens: float) -> float:
    """Compute the rate of an expert that sees a part of the batch, as a factor of the rate of those that see all of it.

    Adam's best rate for a batch of B is 2 e / (sqrt(N / B) + sqrt(B / N)) with e its highest, at B = N (Li et al.,
    arXiv:2405.14578, which Hunyuan-Large, arXiv:2411.02265, 2.2.3, applies to the tokens of one expert). The factor goes
    from sqrt(seen), for batches far below N, to 1 / sqrt(seen), far above.

    :param batch_tokens: B, places of a step.
    :param seen: share of them that one expert sees on average: chosen / experts.
    :param noise_tokens: N, B_noise; a property of model and data, which nobody has measured here.
    """

    def best(tokens: float) -> float:
        return 2 / (math.sqrt(noise_tokens / tokens) + math.sqrt(tokens / noise_tokens))

    return best(batch_tokens * seen) / best(batch_tokens)


def stage_name(stages: Sequence[Stage], tokens: float) -> str:
    """Name the stage that the step that ends at `tokens` is in."""
    return next((s.name for s in stages if tokens <= s.until_tokens), stages[-1].name)


def batch_sequences(batches: Sequence[Batch], tokens: float) -> int:
    """Count the sequences of the global batch that begins after `tokens`."""
    return [b.sequences for b in batches if b.from_tokens <= tokens][-1]
