"""The dimensions of quality and the score made of them, defined in GUIDE.md."""

from collections.abc import Sequence

LABELS = ("poor", "good")
DIMENSIONS = ("fluency", "coherence", "redundancy", "repetition", "information")
GOOD = 0.75


def score(dimensions: Sequence[int]) -> float:
    """One score from five numbers of 0 to 3, in the order of DIMENSIONS; 0 to 1."""
    return (sum(dimensions) + dimensions[4]) / 18


def is_good(dimensions: Sequence[int]) -> bool:
    """Whether the guide calls the text good."""
    return score(dimensions) >= GOOD - 1e-9 and dimensions[4] >= 2
