"""Type and quality decided together, from stored scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from extraction.result import SCALE
from pipeline.config import load, parse
from pipeline.model_based.type_and_quality import Alternative, TypeAndQuality
from pipeline.schema import Document, Drop
from pipeline.strict import UserError

ROOT = Path(__file__).resolve().parents[3]
DETAIL = Alternative(types=("article", "documentation"), type=0.5, quality=0.2)
FORUM = Alternative(types=("forum",), type=0.4, quality=0.8)
STEP = TypeAndQuality(alternatives={"default": [DETAIL, FORUM], "zh": [DETAIL]})


def page(good: float | None = None, language: str = "en", **types: float) -> Document:
    scores: list[dict[str, Any]] = [
        {"classifier": "web_type", "label": label, "score": round(p * SCALE)} for label, p in types.items()
    ]
    if good is not None:
        scores.append({"classifier": "quality", "label": "good", "score": round(good * SCALE)})
    return Document(doc_id="0" * 32, source_file="a", text="x", language=language, scores=scores)


@pytest.mark.parametrize(
    ("doc", "reason", "value"),
    [
        (page(0.3, article=0.6, listing=0.4), None, None),
        (page(0.3, article=0.3, documentation=0.3, listing=0.4), None, None),  # probabilities of types are added
        (page(0.1, article=0.9, listing=0.1), "low_quality", 0.5),
        (page(0.3, article=0.2, listing=0.8), "listing", 0.4),
        (page(0.9, article=0.2, forum=0.5, listing=0.3), None, None),
        (page(0.6, forum=0.9, listing=0.1), "low_quality", 0.75),
        (page(0.9, forum=0.2, tool=0.5, listing=0.3), "tool", 0.5),
        (page(0.9, "zh", article=0.2, forum=0.5, tool=0.1), "forum", 0.4),  # the alternatives of its language
        (page(None, article=0.1), None, None),  # not judged by both
        (page(0.1), None, None),
    ],
)
def test_a_document_stays_if_one_alternative_holds(doc: Document, reason: str | None, value: float | None) -> None:
    verdict = STEP(doc)
    if reason is None:
        assert verdict is doc
    else:
        assert isinstance(verdict, Drop)
        assert verdict.reason == reason
        assert verdict.value == pytest.approx(value, abs=1e-3)
        assert STEP.measure(doc) == verdict.value
        at_bound = TypeAndQuality.model_validate({"alternatives": STEP.alternatives, "min": verdict.value})
        assert at_bound(doc) is doc


def test_it_needs_the_steps_that_store_the_scores() -> None:
    steps = [{"step": "web_type"}, {"step": "type_and_quality"}]
    config = {
        "stage": "model_based",
        "input": {"paths": ["a"]},
        "output": {"path": "b"},
        "steps": steps,
    }
    with pytest.raises(UserError, match="needs the step 'quality' before it"):
        parse(config)
    steps.insert(1, {"step": "quality"})
    assert parse(config).steps[2] == TypeAndQuality()


@pytest.mark.parametrize(
    ("alternatives", "said"),
    [
        ({"zh": [DETAIL]}, "expected default too"),
        ({"default": []}, "alternatives.default is empty"),
        ({"default": [{"types": ["blog"], "type": 0.5, "quality": 0.5}]}, "unknown web types blog"),
    ],
)
def test_mistakes_are_named(alternatives: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAndQuality(alternatives=alternatives)


def test_the_shipped_bounds_are_those_that_were_chosen() -> None:
    result = json.loads((ROOT / "benchmarks/results/type_and_quality.json").read_text())
    for step in (TypeAndQuality(), *load(str(ROOT / "configs/model_based.yaml"), []).steps):
        if isinstance(step, TypeAndQuality):
            for language, name in (("default", "English"), ("zh", "Chinese")):
                detail, forum = step.alternatives[language]
                assert [detail.type, detail.quality, forum.type, forum.quality] == result[name]["chosen"]
