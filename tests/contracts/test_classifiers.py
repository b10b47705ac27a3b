"""Every classifier has the same shape: labels, train, predict, evaluate, weights, card, guide; weights are as told."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from classifiers.registry import NAMES, load
from classifiers.small import SmallModel

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted([*ROOT.glob("classifiers/*/weights/NOTICE.md"), *ROOT.glob("extraction/*/weights/NOTICE.md")])
HASHED = [*SHIPPED, *(ROOT / "classifiers").glob("**/annotations/README.md")]
TEN_MB = 10_000_000


@pytest.mark.parametrize("name", NAMES)
def test_shape(name: str) -> None:
    folder = ROOT / "classifiers" / name
    for file in ("train.py", "predict.py", "evaluate.py", "labels.py", "CARD.md", "GUIDE.md", "weights/NOTICE.md"):
        assert (folder / file).is_file(), file
    predict = importlib.import_module(f"classifiers.{name}.predict")
    model = predict.load()
    assert model is load(name)
    assert model.labels == predict.LABELS
    p = model.predict_proba(["The river floods the meadow in spring.", "河水每年春天漫过草地。", ""])
    assert p.dtype == np.float32
    assert p.shape == (3, len(model.labels))
    assert np.allclose(p.sum(1), 1, atol=1e-5)
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert f"<!-- results:{name} -->" in card, "the figures of a card come from a committed result"
    defined = "".join(path.read_text(encoding="utf-8") for path in [folder / "GUIDE.md", *folder.glob("labels.yaml")])
    assert all(label in defined for label in model.labels)


@pytest.mark.parametrize("path", HASHED, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_those_whose_digests_are_told(path: Path) -> None:
    digests = {b: a for a, b in re.findall(r"^    ([0-9a-f]{64})  (\S+)$", path.read_text(encoding="utf-8"), re.M)}
    files = [p for p in path.parent.iterdir() if p.suffix not in (".md", ".py") and p.is_file()]
    assert set(digests) == {p.name for p in files} != set()
    for file in files:
        data = file.read_bytes()
        assert hashlib.sha256(data).hexdigest() == digests[file.name], file.name
        assert len(data) < TEN_MB


@pytest.mark.parametrize(
    "module", [f"{n}.{m}" for n in NAMES for m in ("train", "evaluate")] + ["annotate", "huggingface"]
)
def test_commands_say_what_they_do(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"classifiers.{module}", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"classifiers.{module}" in done.stdout


LABELS = """from classifiers.answer import one_of
LABELS = ("dry", "warm")
ANSWER = one_of(LABELS)
"""
STEP = """from typing import ClassVar, Literal
from pipeline.model_based.scoring import Scored
from pipeline.steps import Limits

class MadeUp(Scored):
    step: Literal["made_up"] = "made_up"
    below: ClassVar[str] = "dry"
    min: Limits | None = {"default": 1.0}

    def number(self, scores: dict[str, float]) -> float:
        return scores["warm"]
"""
USE = """import json, sys, classifiers, pipeline.model_based
classifiers.__path__.append(sys.argv[1])
pipeline.model_based.__path__.append(sys.argv[2])
from classifiers import annotate, registry
from pipeline.schema import Document
from pipeline.steps import discover

prompt = annotate.prompt(annotate.TASKS["made_up"], {"text": "Words."})[0]["content"]
drop = discover("model_based")["made_up"]()(Document(doc_id="0", source_file="a", text="Words."))
print(json.dumps([registry.NAMES, registry.load("made_up").labels, "The tones" in prompt, drop.reason]))
"""


def test_a_new_classifier_is_a_folder_and_a_step(tmp_path: Path) -> None:
    """Found by registry, annotation and pipeline; no list names it."""
    folder, step = tmp_path / "classifiers" / "made_up", tmp_path / "steps" / "made_up.py"
    quality = load("quality")
    assert isinstance(quality, SmallModel)
    dataclasses.replace(quality, labels=("dry", "warm")).save(folder / "weights")
    step.parent.mkdir()
    step.write_text(STEP)
    for name, text in (("__init__.py", ""), ("labels.py", LABELS), ("GUIDE.md", "The tones")):
        (folder / name).write_text(text)
    command = [sys.executable, "-c", USE, folder.parent, step.parent]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [sorted([*NAMES, "made_up"]), ["dry", "warm"], True, "dry"]
