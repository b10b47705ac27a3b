"""The dimensions of quality and the score made of them, defined in GUIDE.md."""

from collections.abc import Sequence
from typing import Any

from classifiers.answer import Answer, AnswerError

LABELS = ("poor", "good")
DIMENSIONS = ("fluency", "coherence", "redundancy", "repetition", "information")
GOOD = 0.75


def score(dimensions: Sequence[int]) -> float:
    """One score, 0 to 1, from five numbers of 0 to 3 in the order of DIMENSIONS: [3, 2, 3, 2, 1] is 12 / 18."""
    return (sum(dimensions) + dimensions[4]) / 18


def is_good(dimensions: Sequence[int]) -> bool:
    """Tell whether the guide calls the text good."""
    return score(dimensions) >= GOOD - 1e-9 and dimensions[4] >= 2


def _check(answer: dict[str, Any]) -> Any:
    values = [answer.get(name) for name in DIMENSIONS]
    if not all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 3 for v in values):
        raise AnswerError(
            f"the numbers are {values}; expected {', '.join(DIMENSIONS)}, each a whole number from 0 to 3"
        )
    return values


ANSWER = Answer("{" + ", ".join(f'"{name}": 0-3' for name in DIMENSIONS) + ', "evidence": "..."}', _check)
