"""Spikes of the loss."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


class Spikes:
    """Detector of losses far above those before them."""

    def __init__(self, window: int, deviations: float, history: Sequence[float] = ()) -> None:
        self.window, self.deviations = window, deviations
        self.history = list(history)[-window:]

    @property
    def limit(self) -> float:
        """Limit: median + k x MAD of the window; infinite until it is full."""
        if len(self.history) < self.window:
            return float("inf")
        median = statistics.median(self.history)
        return median + self.deviations * statistics.median(abs(x - median) for x in self.history)

    def add(self, loss: float) -> bool:
        """Tell whether `loss` is a spike; if not, it joins the window."""
        spike = not loss <= self.limit  # NaN is one too
        if not spike and loss < float("inf"):
            self.history = [*self.history, loss][-self.window :]
        return spike
