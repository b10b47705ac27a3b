"""Every classifier has the same shape: labels, train, predict, evaluate, weights, card, guide; weights are as told."""

from __future__ import annotations

import hashlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from classifiers.registry import NAMES, load

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "classifiers").glob("*/weights/NOTICE.md"))
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
