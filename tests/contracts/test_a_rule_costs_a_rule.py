"""A new rule is two edits, its file and a line of the config; `make golden` does the rest. Examples that lie are caught."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pipeline.schema import Document
from pipeline.steps import Example, Examples, Rule, wrong_examples

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "out", "dist", "__pycache__")
EDITED = {"pipeline/rule_based/exclamations.py", "configs/rule_based.yaml"}
RULE = '''"""Pages that shout."""

from __future__ import annotations

from typing import ClassVar, Literal

from pipeline.schema import Document
from pipeline.steps import Example, Examples, Limits, Rule


class Exclamations(Rule):
    """Drop documents with more than one exclamation mark in ten characters."""

    step: Literal["exclamations"] = "exclamations"
    unit: ClassVar[str] = "marks per character"
    source: ClassVar[str] = "made for this test"
    above: ClassVar[str] = "shouting"
    max: Limits | None = {"default": 0.1}
    drops: ClassVar[Examples] = (Example("Buy!!! Now!!!", "en", "shouting", url="https://new.made.example/"),)
    keeps: ClassVar[Examples] = (Example("Oh! The ferry is late."), Example("他在北京学习汉语已经三年了！", "zh"))

    def measure(self, doc: Document) -> float | None:
        text = doc.text or ""
        return sum(map(text.count, "!！")) / len(text) if text else None
'''
CONTRACTS = ("test_rule_configs.py", "test_generated.py", "test_configuration_docs.py", "test_steps.py")


def changed(one: Path, other: Path) -> set[str]:
    """Files that differ between two copies of the repository, or are in one of them alone."""
    files = {
        f.relative_to(folder)
        for folder in (one, other)
        for f in folder.rglob("*")
        if f.is_file() and not LEFT_OUT(str(f.parent), f.relative_to(folder).parts)
    }
    contents = ((f, *(p.read_bytes() if p.exists() else None for p in (one / f, other / f))) for f in files)
    return {str(f) for f, a, b in contents if a != b}


def test_a_new_rule_is_its_file_and_a_line(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=LEFT_OUT)
    (clone / "pipeline/rule_based/exclamations.py").write_text(RULE, encoding="utf-8")
    config = clone / "configs/rule_based.yaml"
    line = "  - {step: word_count}\n"
    config.write_text(config.read_text(encoding="utf-8").replace(line, f"{line}  - {{step: exclamations}}\n"))
    assert changed(ROOT, clone) == EDITED

    def run(*arguments: str) -> str:
        command = [sys.executable, "-P", "-m", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(clone)}
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    said = run("scripts.golden", "--no-demo")
    assert [s.split(" (")[0] for s in said.splitlines() if "changed" in s] == ["changed: docs/configuration.md"]
    assert changed(ROOT, clone) == {*EDITED, "docs/configuration.md"}
    said = run("pytest", "-q", *(f"tests/contracts/{t}" for t in CONTRACTS), "-k", "not test_steps or exclamations")
    assert " passed" in said


class Size(Rule):
    """The length of the text; without a default name, so that it is not registered."""

    step: str
    unit: ClassVar[str] = "characters"
    source: ClassVar[str] = "made for this test"
    below: ClassVar[str] = "too_short"

    def measure(self, doc: Document) -> float | None:
        return 1 / len(doc.text) if doc.text == "" else len(doc.text or "")


@pytest.mark.parametrize(
    ("kind", "example", "problem"),
    [
        ("drops", Example("long enough"), "size: drops[0] is kept as it is: "),
        ("drops", Example("abc", reason="too_long"), "size: drops[0] 'too_long' is dropped as 'too_short': "),
        ("drops", Example(""), "size: drops[0] is dropped as 'step_error': "),
        ("keeps", Example("abc"), "size: keeps[0] is dropped as 'too_short': "),
        ("changes", Example("long enough", left="long"), "size: changes[0] 'long' is kept as it is: "),
        ("drops", Example("abc", reason="too_short"), None),
        ("drops", Example("abc"), None),
        ("keeps", Example("long enough"), None),
    ],
)
def test_an_example_that_lies_is_caught(
    monkeypatch: pytest.MonkeyPatch, kind: str, example: Example, problem: str | None
) -> None:
    examples: Examples = (example,)
    monkeypatch.setattr(Size, kind, examples)
    step: Any = Size(step="size", min=5)
    problems = wrong_examples(step)
    assert [p.partition("Example(")[0] for p in problems] == ([] if problem is None else [problem])
