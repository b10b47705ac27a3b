"""Made exercises that a verifier can judge: arithmetic in English and Chinese, small programs.

Held out is by operands, in either order: if 3 and 5 are held out, no training question of any kind adds, subtracts or compares
3 and 5, in either language. Programs are held out by operation and constant. Everything is decided by hashes of (seed,
operands): the same on every machine. This is no measure of a language model: the questions have a few fixed forms.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.base.files import write_text
from model.base.hashing import digest64, uniform
from model.posttraining.conversations import Conversation, Message, Prompt, write
from model.verification.verify import Arithmetic, Code

NAMES = ("f", "g", "h", "solve")


@dataclass(frozen=True)
class Exercise:
    """Exercise with its answer and check.

    :ivar operands: what decides whether it is held out.
    """

    source: str
    operands: str
    question: str
    answer: str
    check: Arithmetic | Code

    @property
    def key(self) -> str:
        """Id: a hash of source and question."""
        return hashlib.sha256(f"{self.source}/{self.question}".encode()).hexdigest()[:16]

    def prompt(self) -> Prompt:
        """Give the question with its check."""
        return Prompt(
            id=self.key, source=self.source, messages=(Message(role="user", content=self.question),), check=self.check
        )

    def conversation(self) -> Conversation:
        """Give the question with its answer."""
        messages = (Message(role="user", content=self.question), Message(role="assistant", content=self.answer))
        return Conversation(id=self.key, source=self.source, messages=messages)


def exercises(largest: int) -> Iterator[Exercise]:
    """Make all exercises with operands 0 to `largest`."""

    def number(source: str, a: int, b: int, question: str, answer: str, value: int) -> Exercise:
        operands = f"numbers {min(a, b)} {max(a, b)}"
        return Exercise(source, operands, question, answer, Arithmetic(kind="arithmetic", answer=str(value)))

    for a in range(largest + 1):
        for b in range(largest + 1):
            yield number("add-en", a, b, f"What is {a} + {b}?", f"{a} + {b} = {a + b}", a + b)
            yield number("add-zh", a, b, f"{a}加{b}等于多少？", f"答案是{a + b}", a + b)
            if a >= b:
                yield number("subtract-en", a, b, f"What is {a} - {b}?", f"{a} - {b} = {a - b}", a - b)
                yield number("subtract-zh", a, b, f"{a}减{b}等于多少？", f"答案是{a - b}", a - b)
            if a != b:
                most = max(a, b)
                yield number("larger-en", a, b, f"Which is larger, {a} or {b}?", f"The answer is {most}", most)
                yield number("larger-zh", a, b, f"{a}和{b}哪个大？", f"答案是{most}", most)
    for name in NAMES:
        for sign, verb in (("+", "adds"), ("*", "multiplies by"), ("-", "subtracts")):
            for n in range(largest + 1):
                tests = "\n".join(f"assert {name}({x}) == {x} {sign} {n}" for x in (0, 1, 7, 100))
                yield Exercise(
                    "code-en",
                    f"code {sign} {n}",
                    f"Write {name}(x) in Python that {verb} {n}.",
                    f"```python\ndef {name}(x):\n    return x {sign} {n}\n```",
                    Code(kind="code", tests=tests),
                )
        for n in range(largest + 1):
            yield Exercise(
                "code-zh",
                f"code constant {n}",
                f"用Python写{name}()，返回{n}。",
                f"```python\ndef {name}():\n    return {n}\n```",
                Code(kind="code", tests=f"assert {name}() == {n}"),
            )


def _draw(seed: int, text: str) -> float:
    """Draw a number in [0, 1) for a text."""
    return float(uniform(seed, digest64(text))[0])


def split(
    seed: int, largest: int, held_out: float, answered: float
) -> tuple[list[Conversation], list[Prompt], list[Prompt]]:
    """Split the exercises.

    :param held_out: share of the operands.
    :param answered: share of the training questions that `conversations.jsonl` answers.
    :returns: conversations, training prompts, held-out prompts; each in an order of its own.
    """
    made = list(exercises(largest))
    out: set[str] = set()
    for kind in ("numbers", "code"):
        operands = sorted(
            {e.operands for e in made if e.operands.startswith(kind)}, key=lambda o: _draw(seed, f"held out/{o}")
        )
        out.update(operands[: round(held_out * len(operands))])
    train = [e for e in made if e.operands not in out]
    other = [e for e in made if e.operands in out]
    train.sort(key=lambda e: _draw(seed, f"order/{e.key}"))
    other.sort(key=lambda e: _draw(seed, f"order/{e.key}"))
    conversations = [e.conversation() for e in train if _draw(seed, f"answered/{e.key}") < answered]
    return conversations, [e.prompt() for e in train], [e.prompt() for e in other]


def write_exercises(out: Path, seed: int, largest: int, held_out: float, answered: float) -> dict[str, dict[str, int]]:
    """Write the files of `model.exercises`.

    :returns: rows of each file, by source.
    """
    conversations, prompts, other = split(seed, largest, held_out, answered)
    counts: dict[str, dict[str, int]] = {}
    files: dict[str, Sequence[Conversation | Prompt]] = {
        "conversations": conversations,
        "prompts": prompts,
        "heldout": other,
    }
    for name, rows in files.items():
        write(out / f"{name}.jsonl", rows)
        counts[name] = dict(sorted(Counter(row.source for row in rows).items()))
    write_text(out / "summary.json", json.dumps(counts, indent=1) + "\n")
    return counts
