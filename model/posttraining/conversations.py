"""Data of post-training: JSON lines of conversations, of prompts with a check, and of preferences.

    {"messages": [{"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "5"}], "source": "sums"}
    {"messages": [{"role": "user", "content": "2 + 3?"}], "check": {"kind": "arithmetic", "answer": "5"}, "source": "sums"}
    {"prompt": [{"role": "user", ...}], "chosen": [{"role": "assistant", ...}], "rejected": [{"role": "assistant", ...}]}

A system message may come first; then user and assistant in turn, user first. A conversation ends with the assistant, a prompt
with the user. `id` may be given; else it is a hash of the messages. Each error names file and line. No torch here.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from model.base.config import Options
from model.base.errors import ConversationError
from model.base.files import write_text
from model.base.hashing import digest64, uniform
from model.verification.verify import Check

Role = Literal["system", "user", "assistant"]


class Message(Options):
    """Message of a conversation."""

    role: Role
    content: str = Field(min_length=1)


def _turns(messages: Sequence[Message], last: Role) -> None:
    """Check the turns of messages.

    :raises ValueError: the roles do not follow one another as they should.
    """
    roles = [m.role for m in messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    expected: list[Role] = ["user", "assistant"]
    for i, role in enumerate(turns):
        if role != expected[i % 2]:
            raise ValueError(f"message {i + 1 + len(roles) - len(turns)}: found {role}, expected {expected[i % 2]}")
    if not turns or turns[-1] != last:
        raise ValueError(f"found {turns[-1] if turns else 'nothing'} at the end, expected {last}")


def identity(messages: Iterable[Message]) -> str:
    """Hash roles and contents to 16 hex characters."""
    text = json.dumps([[m.role, m.content] for m in messages], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Conversation(Options):
    """Conversation that supervised fine-tuning learns from."""

    id: str = Field("", description="empty: a hash of the messages")
    source: str = Field("unknown", min_length=1)
    messages: tuple[Message, ...]

    @field_validator("messages")
    @classmethod
    def _alternate(cls, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        _turns(messages, "assistant")
        return messages

    @property
    def key(self) -> str:
        """Id, given or hashed."""
        return self.id or identity(self.messages)


class Prompt(Options):
    """Prompt: what is asked, and how an answer is judged."""

    id: str = Field("", description="empty: a hash of the messages")
    source: str = Field("unknown", min_length=1)
    messages: tuple[Message, ...]
    check: Check

    @field_validator("messages")
    @classmethod
    def _alternate(cls, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        _turns(messages, "user")
        return messages

    @property
    def key(self) -> str:
        """Id, given or hashed."""
        return self.id or identity(self.messages)


class Preference(Options):
    """Preference: one prompt with a better answer and a worse one."""

    id: str = ""
    source: str = Field("unknown", min_length=1)
    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...] = Field(min_length=1, max_length=1, description="one message of the assistant")
    rejected: tuple[Message, ...] = Field(min_length=1, max_length=1)

    @model_validator(mode="after")
    def _answers(self) -> Preference:
        _turns(self.prompt, "user")
        for name, answer in (("chosen", self.chosen), ("rejected", self.rejected)):
            if answer[0].role != "assistant":
                raise ValueError(f"{name}: found {answer[0].role}, expected assistant")
        if self.chosen == self.rejected:
            raise ValueError("chosen and rejected are the same")
        return self


Row = TypeVar("Row", bound=Options)


def read(kind: type[Row], files: Sequence[str | Path]) -> list[Row]:
    """Read all rows of some files, in order; empty lines are passed over.

    :raises ConversationError: no such file, a line that is not such a row, or no row at all.
    """
    rows: list[Row] = []
    for name in files:
        try:
            text = Path(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ConversationError(f"{name}: no such file") from None
        except (UnicodeDecodeError, IsADirectoryError) as error:
            raise ConversationError(f"{name}: found {error}, expected UTF-8 text") from None
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise ConversationError(f"{name}:{number}: found no JSON ({error})") from None
            if not isinstance(value, dict):
                raise ConversationError(f"{name}:{number}: found {type(value).__name__}, expected an object")
            try:
                rows.append(kind.model_validate(value))
            except ValidationError as error:
                what = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
                raise ConversationError(f"{name}:{number}: {what}") from None
    if not rows:
        raise ConversationError(f"{', '.join(map(str, files))}: found no {kind.__name__.lower()}, expected some")
    return rows


def write(path: Path, rows: Iterable[Options | dict[str, Any]]) -> None:
    """Write JSON lines, whole or not at all."""
    values = (row if isinstance(row, dict) else row.model_dump(mode="json", exclude_defaults=True) for row in rows)
    write_text(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


class ConversationOptions(Options):
    """Options of the data: which conversations, how often."""

    files: tuple[str, ...] = Field(min_length=1)
    upsample: dict[str, float] = Field(
        default_factory=dict,
        description='source -> how often its conversations are taken, "*" for the others, else 1; of 2.5 each comes twice, '
        "and by a hash of (seed, id) every other a third time",
    )
    seed: int = Field(0, ge=0)
    long: Literal["drop", "cut"] = Field(
        "drop", description="what is longer than a sequence: left out, or cut at its end; both are counted"
    )

    @field_validator("upsample")
    @classmethod
    def _factors(cls, upsample: dict[str, float]) -> dict[str, float]:
        for source, factor in upsample.items():
            if not (factor >= 0 and math.isfinite(factor)):
                raise ValueError(f"{source}: found {factor}, expected a number >= 0")
        return upsample

    def factor(self, source: str) -> float:
        """Find how often conversations of a source are taken."""
        return self.upsample.get(source, self.upsample.get("*", 1.0))


def copies(seed: int, key: str, factor: float) -> int:
    """Count how often a conversation comes: the factor, its fraction decided by a hash of (seed, id)."""
    return int(factor) + int(float(uniform(seed, digest64(f"upsample/{key}"))[0]) < factor - int(factor))


def upsampled(rows: Sequence[Conversation], options: ConversationOptions) -> list[Conversation]:
    """Repeat conversations as often as their sources' factors say, copies side by side.

    :raises ConversationError: a factor for a source that no conversation has, or nothing is left.
    """
    known = {r.source for r in rows}
    missing = sorted(set(options.upsample) - known - {"*"})
    if missing:
        raise ConversationError(
            f"upsample: found {', '.join(missing)}, expected sources of the files: {', '.join(sorted(known))}"
        )
    out = [r for r in rows for _ in range(copies(options.seed, r.key, options.factor(r.source)))]
    if not out:
        raise ConversationError("upsample: nothing is left of the conversations")
    return out
