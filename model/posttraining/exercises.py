"""Made exercises that a verifier can judge, for trying post-training: arithmetic in English and Chinese, small programs.

    python -m model.exercises --out out/model/exercises

    conversations.jsonl    questions with answers, for model.sft: of `--answered` of the training questions
    prompts.jsonl          all training questions with their checks, for model.rft
    heldout.jsonl          other questions with their checks, for model.answer
    summary.json           how many, by source

Held out is by operands, in either order: if 3 and 5 are held out, no training question of any kind adds, subtracts or compares
3 and 5, in either language. Programs are held out by operation and constant. Everything is decided by hashes of (seed,
operands): the same on every machine. This is no measure of a language model: the questions have a few fixed forms.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.conversations import Conversation, Message, Prompt, write
from model.hashing import uniform
from model.verify import Arithmetic, Code

NAMES = ("f", "g", "h", "solve")


@dataclass(frozen=True)
class Exercise:
    """:ivar operands: what decides on which side it is."""

    source: str
    operands: str
    question: str
    answer: str
    check: Arithmetic | Code

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.source}/{self.question}".encode()).hexdigest()[:16]

    def prompt(self) -> Prompt:
        return Prompt(
            id=self.key, source=self.source, messages=(Message(role="user", content=self.question),), check=self.check
        )

    def conversation(self) -> Conversation:
        messages = (Message(role="user", content=self.question), Message(role="assistant", content=self.answer))
        return Conversation(id=self.key, source=self.source, messages=messages)


def exercises(largest: int) -> Iterator[Exercise]:
    """All there are with operands 0 to `largest`."""

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
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return float(uniform(seed, number)[0])


def split(
    seed: int, largest: int, held_out: float, answered: float
) -> tuple[list[Conversation], list[Prompt], list[Prompt]]:
    """
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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.exercises",
        description="Made exercises: conversations, prompts with checks, held-out prompts.",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder")
    parser.add_argument("--largest", type=int, default=9, metavar="N", help="operands are 0 to N (default: 9)")
    parser.add_argument("--held-out", type=float, default=0.2, metavar="SHARE", help="of the operands (default: 0.2)")
    parser.add_argument(
        "--answered", type=float, default=0.5, metavar="SHARE", help="of training questions (default: 0.5)"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for name in ("held_out", "answered"):
        share = getattr(options, name)
        if not 0 <= share <= 1:
            print(f"error: --{name.replace('_', '-')}: found {share}, expected 0 to 1", file=sys.stderr)
            return 2
    if options.largest < 1 or options.seed < 0:
        print(
            f"error: found --largest {options.largest} --seed {options.seed}, expected 1 and 0 or more", file=sys.stderr
        )
        return 2
    conversations, prompts, held_out = split(options.seed, options.largest, options.held_out, options.answered)
    write(options.out / "conversations.jsonl", conversations)
    write(options.out / "prompts.jsonl", prompts)
    write(options.out / "heldout.jsonl", held_out)
    counts: dict[str, Any] = {
        "conversations": dict(sorted(Counter(c.source for c in conversations).items())),
        "prompts": dict(sorted(Counter(p.source for p in prompts).items())),
        "heldout": dict(sorted(Counter(p.source for p in held_out).items())),
    }
    (options.out / "summary.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    for name, by in counts.items():
        print(f"{name}: {sum(by.values()):,} ({', '.join(f'{k} {v}' for k, v in by.items())})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
