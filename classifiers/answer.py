"""Answers of an annotator about a page: each classifier's `labels.py` says the form of its `ANSWER`, and checks it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


class AnswerError(ValueError):
    """An answer that does not hold: what was found and what was expected."""


@dataclass(frozen=True)
class Answer:
    """The answer that is asked for.

    :param form: JSON that shows its keys and values; `evidence` is one of the keys.
    :param check: takes the parsed JSON, returns what is kept of it. Raises AnswerError.
    :param classes: a list of the classes, which the prompt gets after the guide.
    """

    form: str
    check: Callable[[dict[str, Any]], Any]
    classes: str = ""


def one_of(labels: Sequence[str], classes: str = "") -> Answer:
    """Answer that is one label of a set."""

    def check(answer: dict[str, Any]) -> Any:
        if answer.get("label") not in labels:
            raise AnswerError(f"label is {answer.get('label')!r}; expected one of {', '.join(labels)}")
        return answer["label"]

    return Answer('{"label": "...", "evidence": "..."}', check, classes)
