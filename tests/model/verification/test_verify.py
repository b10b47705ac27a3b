"""What counts as the same answer, and what does not."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import pytest
from pydantic import TypeAdapter, ValidationError

from model.verification.sandbox import SandboxOptions
from model.verification.verify import Arithmetic, Check, Code, code_of, final_number, verify

NUMBERS = [
    ("5", 5),
    ("The sum is 5.", 5),
    ("2 + 3 = 5", 5),
    ("7 - 2", 2),
    ("7 -2", 2),
    ("7-2", 2),
    ("= -5", -5),
    ("-5", -5),
    ("it is −5", -5),
    ("负5", -5),
    ("(3)-5", 5),
    ("+5", 5),
    ("1,234", 1234),
    ("1,234,567.5", Fraction(2469135, 2)),
    ("1, 2, 3", 3),
    ("12,34", 34),
    ("0.5", Fraction(1, 2)),
    (".5", Fraction(1, 2)),
    ("1/2", Fraction(1, 2)),
    ("1 / 2", Fraction(1, 2)),
    ("2/4", Fraction(1, 2)),
    ("-1/2", Fraction(-1, 2)),
    ("1 1/2", Fraction(3, 2)),
    ("1又1/2", Fraction(3, 2)),
    (r"\frac{1}{2}", Fraction(1, 2)),
    (r"-\dfrac{1}{2}", Fraction(-1, 2)),
    ("50%", Fraction(1, 2)),
    (r"50\%", Fraction(1, 2)),
    ("50 %", Fraction(1, 2)),
    ("５０％", Fraction(1, 2)),
    ("１２３", 123),
    ("一共是１２个苹果。", 12),
    ("1e3", 1000),
    (r"so \boxed{7}, because 3 + 4", 7),
    (r"\boxed{1} then \boxed{\frac{3}{4}}", Fraction(3, 4)),
    (r"\boxed{1{,}024}", 1024),
    (r"$\boxed{x}$ is 5", None),
    ("答案是 5。因为 2 加 3", 5),
    ("答案：５", 5),
    ("答案为负3，不是4", -3),
    ("The answer is 5 (from 2 and 3).", 5),
    ("The answer is 2 + 3 = 5, of course 6", 5),
    ("Answer: 12/4 = 3", 3),
    ("The answer is 4. No: the answer is 5", 5),
    ("#### 72", 72),
    ("the answer is unknown, perhaps 4", 4),
    ("no number", None),
    ("", None),
    ("1/0", None),
    ("9" * 300, None),
    ("1e999", 999),
]


@pytest.mark.parametrize(("text", "value"), NUMBERS)
def test_final_number(text: str, value: Fraction | int | None) -> None:
    assert final_number(text) == value


def test_long_texts_end_soon() -> None:
    for text in (
        "1" * 200_000,
        "1,111" * 50_000,
        "- " * 100_000,
        "1/" * 100_000,
        r"\boxed{" * 30_000,
        "答案是 1 = " * 20_000,
    ):
        final_number(text)


@pytest.mark.parametrize(
    ("answer", "text", "status"),
    [
        ("5", "2 + 3 = 5", "correct"),
        ("5", "2 + 3 = 6", "wrong"),
        ("5", "五", "no_answer"),
        ("1/3", "0.333333", "wrong"),
        ("1/3", "2/6", "correct"),
        ("50%", "0.5", "correct"),
        ("50%", "50", "wrong"),
        ("1024", "１，０２４", "correct"),
    ],
)
def test_arithmetic(answer: str, text: str, status: str) -> None:
    assert verify(Arithmetic(kind="arithmetic", answer=answer), text).status == status


def test_code_of() -> None:
    assert code_of("a = 1") == "a = 1"
    assert code_of("first\n```python\na = 1\n```\nthen\n```\na = 2\n```\nend") == "a = 2\n"
    assert code_of("cut off\n```python\na = 1") == "a = 1"


def test_code_is_judged_by_its_tests() -> None:
    check, options = Code(kind="code", tests="assert double(4) == 8"), SandboxOptions(isolation="best")
    answers = {
        "```python\ndef double(x):\n    return 2 * x\n```": "correct",
        "def double(x):\n    return x + 2": "wrong",
        "def triple(x):\n    return 3 * x": "wrong",
        "def double(x)": "error",
        "raise SystemExit(0)": "error",
        "": "no_answer",
        "```python\n```": "no_answer",
    }
    assert {text: verify(check, text, options).status for text in answers} == answers


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"kind": "arithmetic", "answer": "many"}, "expected a number, found 'many'"),
        ({"kind": "code", "tests": "assert ("}, "tests are no Python"),
        ({"kind": "poem", "answer": "1"}, "'arithmetic', 'code'"),
        ({"kind": "arithmetic", "answer": "1", "more": 2}, "Extra inputs"),
    ],
)
def test_what_a_check_refuses(check: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("(", r"\(")):
        TypeAdapter(Check).validate_python(check)


def test_no_torch() -> None:
    code = "import sys, model.verification.verify, model.verification.sandbox; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
