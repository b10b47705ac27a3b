"""Is an answer right? Arithmetic by the exact value of its last number, code by tests in a sandbox (sandbox.py).

    verify(Arithmetic(kind="arithmetic", answer="1/2"), "so it is 50 %").status          # correct
    verify(Code(kind="code", tests="assert add(2, 3) == 5"), "```python\\ndef add(a, b): ...").status

A number is compared as a fraction: 0.5, 1/2, 50 % and ５０％ are the same, 0.33 and 1/3 are not. No torch here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, field_validator

from model.base.config import Options
from model.verification.sandbox import SandboxOptions, run

LONGEST = 200
"""Characters of a number; longer ones are no answer, and slow to read."""

_PLAIN = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_DIGITS = rf"(?:{_PLAIN})(?:[eE][+-]?\d{{1,2}}(?!\d))?"
NUMBER = re.compile(
    rf"""
    (?P<sign>(?<![\w)\]}}.])[-+]\s*|负\s*)?
    (?:
        \\d?t?frac\s*\{{\s*(?P<top>-?\s*(?:{_DIGITS}))\s*\}}\s*\{{\s*(?P<below>-?\s*(?:{_DIGITS}))\s*\}}
      | (?:(?P<whole>\d+)(?:又|\s+(?=\d+\s*/\s*\d)))?
        (?P<number>{_DIGITS})
        (?:\s*/\s*(?P<divisor>-?(?:{_DIGITS})))?
    )
    (?P<percent>\s*\\?%)?
    """,
    re.VERBOSE,
)
MARKS = re.compile(r"答案\s*(?:是|为|等于|[:=])|\banswer\s*(?:is|[:=])|####", re.IGNORECASE)
"""Marks before a final answer; the last one counts."""

FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


def plain(text: str) -> str:
    """Write full-width characters as ASCII and other minus signs as `-`; drop LaTeX's thin spaces and `\\,` in numbers."""
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"[\u2212\u2012\u2013\ufe63]", "-", text)
    return re.sub(r"(?<=\d)(?:\\[,!]|\{,\})(?=\d{3})", "", text).replace("$", "")


def _value(match: re.Match[str]) -> Fraction | None:
    """Compute the value of a matched number; None for a division by zero or too many digits."""

    def read(digits: str) -> Fraction:
        return Fraction(re.sub(r"[,\s]", "", digits))

    if len(match[0]) > LONGEST:
        return None
    try:
        if match["top"] is not None:
            value = read(match["top"]) / read(match["below"])
        else:
            value = read(match["number"])
            if match["divisor"] is not None:
                value /= read(match["divisor"])
            if match["whole"] is not None:
                value += int(match["whole"])
    except ZeroDivisionError:
        return None
    if match["sign"] and match["sign"].strip() != "+":
        value = -value
    return value / 100 if match["percent"] else value


def _signed(text: str) -> list[re.Match[str]]:
    """Find the numbers of a text. A sign with a number or bracket before it, spaces between or not, is a subtraction."""
    matches = []
    for match in NUMBER.finditer(text):
        if match["sign"] and match["sign"].strip() != "负" and re.search(r"[\d)\]}]\s*$", text[: match.start()]):
            match = NUMBER.match(text, match.start() + len(match["sign"])) or match
        matches.append(match)
    return matches


def final_number(text: str) -> Fraction | None:
    """Read the number that an answer ends in: in the last `\\boxed{}`, else after the last "答案是", "answer is" or "####" (the
    end of a chain of equations), else the last one.

    :returns: None where there is none, where it divides by zero or is longer than `LONGEST`.
    """
    text = plain(text)
    boxes = list(re.finditer(r"\\boxed\s*\{", text))
    if boxes:
        inside = _braces(text, boxes[-1].end())
        numbers = _signed(inside)
        return _value(numbers[-1]) if numbers else None
    marks = list(MARKS.finditer(text))
    if marks:
        conclusion = text[marks[-1].end() :]
        numbers = _signed(conclusion)
        if numbers:
            last = 0
            while last + 1 < len(numbers) and re.fullmatch(
                r"[\s*+\-/×÷().]*=\s*|\s*[*+\-×÷]\s*", conclusion[numbers[last].end() : numbers[last + 1].start()]
            ):
                last += 1
            return _value(numbers[last])
    numbers = _signed(text)
    return _value(numbers[-1]) if numbers else None


def _braces(text: str, begin: int) -> str:
    """Cut out what stands between an opened brace and the one that closes it."""
    depth = 1
    for place in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[begin:place]
    return text[begin:]


def code_of(text: str) -> str:
    """Cut out the last fenced block, else give all of the text."""
    blocks: list[str] = FENCE.findall(text)
    return blocks[-1] if blocks else text


class Arithmetic(Options):
    """Check of a number: right is an answer that ends in it."""

    kind: Literal["arithmetic"]
    answer: str = Field(description="a number, as `final_number` reads it: 1/2, 1,024, 50%")

    @field_validator("answer")
    @classmethod
    def _number(cls, answer: str) -> str:
        if final_number(answer) is None:
            raise ValueError(f"expected a number, found {answer!r}")
        return answer


class Code(Options):
    """Check of a program: right is one in whose namespace these statements run without an exception."""

    kind: Literal["code"]
    tests: str = Field(min_length=1, description="Python: assert add(2, 3) == 5")

    @field_validator("tests")
    @classmethod
    def _compiles(cls, tests: str) -> str:
        try:
            compile(tests, "tests", "exec")
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"tests are no Python: {error}") from None
        return tests


Check = Annotated[Arithmetic | Code, Field(discriminator="kind")]

Judged = Literal["correct", "wrong", "no_answer", "timeout", "error", "memory"]


@dataclass(frozen=True)
class Verdict:
    """Verdict on an answer.

    :ivar detail: what was found, or the exception.
    """

    status: Judged
    detail: str = ""


def verify(check: Arithmetic | Code, text: str, options: SandboxOptions | None = None) -> Verdict:
    """Judge an answer.

    :raises SandboxError: of code, where the isolation that `options` require is not to be had.
    """
    if isinstance(check, Arithmetic):
        number = final_number(text)
        if number is None:
            return Verdict("no_answer")
        return Verdict("correct" if number == final_number(check.answer) else "wrong", str(number)[:LONGEST])
    program = code_of(text)
    if not program.strip():
        return Verdict("no_answer")
    outcome = run(program, check.tests, options)
    status: Judged = {"passed": "correct", "failed": "wrong"}.get(outcome.status, outcome.status)  # type: ignore[assignment]
    return Verdict(status, outcome.detail)
