"""The base of all rules, and all published rules together on real texts."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from pipeline.config import load
from pipeline.lines import restore_lines
from pipeline.rule_based.gopher_quality import HashRatio, WordCount
from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep, Rule, bound
from tests.pipeline.rule_based.helpers import document, reason

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ("gopher_quality", "gopher_repetition", "c4", "fineweb", "refinedweb")


class Size(Rule):
    """The length of the text; without a default name, so that it is not registered."""

    step: str
    unit: ClassVar[str] = "characters"
    source: ClassVar[str] = "made for this test"
    below: ClassVar[str] = "too_short"
    above: ClassVar[str] = "too_long"

    def measure(self, doc: Document) -> float | None:
        return None if doc.text is None else len(doc.text)


class Told(Size):
    """The same with evidence."""

    def evidence(self, doc: Document) -> str | None:
        return (doc.text or "")[:3]


@pytest.mark.parametrize(
    ("parameters", "language", "size", "expected"),
    [
        ({"min": 5}, "en", 5, None),
        ({"min": 5}, "en", 4, "too_short"),
        ({"min": 5}, "zh", 4, "too_short"),
        ({"min": 5}, None, 4, "too_short"),
        ({"max": 5}, "en", 5, None),
        ({"max": 5}, "en", 6, "too_long"),
        ({"min": 2, "max": 5}, "en", 3, None),
        ({"min": 2.5}, "en", 2, "too_short"),
        ({"min": {"en": 5, "zh": 3}}, "en", 4, "too_short"),
        ({"min": {"en": 5, "zh": 3}}, "zh", 4, None),
        ({"min": {"en": 5, "zh": 3}}, "zh", 2, "too_short"),
        ({"min": {"en": 5, "zh": 3}}, "fr", 0, None),
        ({"min": {"en": 5, "zh": 3}}, None, 0, None),
        ({"max": {"default": 2, "zh": 9}}, "fr", 3, "too_long"),
        ({"max": {"default": 2, "zh": 9}}, None, 3, "too_long"),
        ({"max": {"default": 2, "zh": 9}}, "zh", 3, None),
        ({"min": {"default": 5, "en": 0}}, "en", 0, None),
        ({"max": {"zh": 0}}, "zh", 1, "too_long"),
        ({"min": None, "max": None}, "en", 0, None),
    ],
)
def test_bounds_are_inclusive_and_by_language(
    parameters: dict[str, Any], language: str | None, size: int, expected: str | None
) -> None:
    assert reason(Size(step="size", **parameters), document("x" * size, language)) == expected


def test_document_that_stays_is_the_same_object() -> None:
    doc = document("xxx")
    assert Size(step="size", min=3)(doc) is doc


def test_rule_that_does_not_apply_drops_nothing() -> None:
    doc = document(None)
    assert Size(step="size", min=3)(doc) is doc
    assert Size(step="size", min=3).judge(None, "en") is None


def test_drop_has_the_value_and_what_made_it() -> None:
    assert Size(step="size", min=5)(document("四个字符")) == Drop("too_short", value=4)
    assert Told(step="told", min=5)(document("四个字符")) == Drop("too_short", value="4: 四个字")
    drop = Told(step="told", max={"default": 0.5})(document("x" * 12345678))
    assert isinstance(drop, Drop)
    assert drop.value_text() == "1.23457e+07: xxx"


@pytest.mark.parametrize(
    ("limits", "language", "expected"),
    [
        (None, "en", None),
        ({"en": 0.0, "default": 3.0}, "en", 0.0),
        ({"en": 1.0}, "zh", None),
        ({"en": 1.0, "default": 3.0}, None, 3.0),
        ({}, "en", None),
    ],
)
def test_bound(limits: dict[str, float] | None, language: str | None, expected: float | None) -> None:
    assert bound(limits, language) == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WordCount(minimum=3), r"unknown key 'minimum'.*known keys: .*min, max"),
        (lambda: WordCount(mim=3), r"unknown key 'mim' \(did you mean 'min'\?\)"),
        (lambda: HashRatio(min=0.1), r"hash_ratio has no min, only max"),
        (lambda: WordCount(min="many"), r"min"),
        (lambda: WordCount(min={"en": "many"}), r"min\.en"),
        (lambda: WordCount(min=True), r"min"),
        (lambda: WordCount(min=[1, 2]), r"min"),
    ],
)
def test_wrong_parameters_are_clear_errors(make: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make()


def test_bounds_survive_storing() -> None:
    step = WordCount(min={"en": 7, "default": 3}, max=None)
    assert WordCount.model_validate(step.model_dump(mode="json")) == step
    assert step.min == {"en": 7, "default": 3}
    assert WordCount(min=5).min == {"default": 5}
    assert WordCount(min=5).fingerprint() != WordCount(min=6).fingerprint()


@cache
def published() -> tuple[DocumentStep, ...]:
    """The published rules of the shipped config, in its order."""
    config = load(ROOT / "configs" / "rule_based.yaml")
    names = {f"pipeline.rule_based.{m}" for m in PUBLISHED}
    return tuple(s for s in config.steps if isinstance(s, DocumentStep) and type(s).__module__ in names)


def first_drop(doc: Document) -> str | None:
    for step in published():
        verdict = step(doc)
        if isinstance(verdict, Drop):
            return f"{step.step}: {verdict.reason} {verdict.value_text()}"
        doc = verdict
    return None


@cache
def gold(language: str) -> tuple[Document, ...]:
    with gzip.open(ROOT / "data" / "sample" / "gold.jsonl.gz", "rt", encoding="utf-8") as f:
        pages = [json.loads(line) for line in f]
    chosen = [p for p in pages if p["language"] == language and p["page_type"] == "article"]
    return tuple(document(p["main_content"], language).evolve(url=p["url"]) for p in chosen)


def test_chinese_documents_are_not_judged_by_latin_words() -> None:
    """Rules made for words between spaces drop nearly all Chinese pages (datatrove#202, #273, #289)."""
    docs = gold("zh")
    assert len(docs) > 50
    drops = [d for d in map(first_drop, docs) if d is not None]
    assert len(drops) <= len(docs) // 20, drops


def test_english_articles_stay() -> None:
    docs = gold("en")
    assert len(docs) > 50
    drops = [d for d in map(first_drop, docs) if d is not None]
    assert len(drops) <= len(docs) // 20, drops


def test_chinese_articles_keep_nearly_all_their_text() -> None:
    """C4's line filter keeps none of ten Chinese lines; here line steps may cut, but next to nothing of good text."""
    before = after = 0
    for doc in gold("zh"):
        before += len(doc.text or "")
        for step in published():
            verdict = step(doc)
            doc = doc if isinstance(verdict, Drop) else verdict
        after += len(doc.text or "")
    assert after >= 0.99 * before


ODD = {
    "none": None,
    "empty": "",
    "blank": " \n \n",
    "newlines": "\n" * 1000,
    "emoji": "😀👩‍👩‍👧‍👦🇨🇳" * 50,
    "points": "." * 1_000_000,
    "spaces": "a" + " " * 1_000_000 + "b",
    "one word": "a" * 1_000_000,
    "one line": "word " * 200_000,
    "Chinese line": "我们在北京学习汉语" * 110_000,
    "digits": "1" * 1_000_000,
    "numbers": "1.2," * 250_000,
    "upper case": "SHOUTING ALL DAY " * 60_000,
    "javascript": "java script " * 80_000,
    "dashes": "a-" * 500_000,
    "ellipses": "……" * 500_000,
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("language", ["en", "zh", None])
def test_odd_texts_get_a_verdict(name: str, language: str | None) -> None:
    doc = document(ODD[name], language)
    for step in published():
        verdict = step(doc)
        assert isinstance(verdict, Document | Drop)
        if isinstance(verdict, Document):
            assert restore_lines(verdict).text == doc.text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_verdicts_do_not_depend_on_the_batch(language: str) -> None:
    docs = list(gold(language)[:12])
    for step in published():
        assert step.process(docs) == [step(d) for d in docs] == step.process(docs[::-1])[::-1]
