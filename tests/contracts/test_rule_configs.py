"""The shipped rule-based configs: the demo's is the corpus's with tighter bounds, and no rule is forgotten."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import load
from pipeline.steps import DocumentStep, Rule, discover

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = {"c4_terminal_punctuation", "c4_short_lines", "c4_curly_brace"}
"""Steps that the shipped config leaves out; their docstrings say why."""


def test_demo_has_the_same_steps_in_the_same_order() -> None:
    corpus, demo = load(ROOT / "configs" / "rule_based.yaml"), load(ROOT / "configs" / "demo" / "rule_based.yaml")
    assert demo.labels() == corpus.labels()
    assert demo.output.audit
    assert not corpus.output.audit


def test_corpus_has_the_reports_values_and_every_rule_by_its_defaults() -> None:
    config = load(ROOT / "configs" / "rule_based.yaml")
    steps = {s.step: s for s in config.steps}
    known = discover("rule_based")
    missing = set(known) - set(steps) - LEFT_OUT
    assert not missing, f"add a line for each to configs/rule_based.yaml: {sorted(missing)}"
    assert not LEFT_OUT & set(steps)
    for name in LEFT_OUT:
        assert "Not in the shipped config" in (known[name].__doc__ or "")
    for name, step in steps.items():
        assert step == known[name].model_validate({"step": name}), f"{name} is not at its defaults"
    line, fuzzy = steps["line_dedup"], steps["fuzzy_dedup"]
    assert (line.head, line.tail, line.max_occurrences) == (5, 5, 200)  # type: ignore[attr-defined]
    assert (fuzzy.ngram, fuzzy.bands, fuzzy.rows) == (5, 128, 16)  # type: ignore[attr-defined]


def test_every_rule_says_what_it_measures_and_where_it_comes_from() -> None:
    for name, step in discover("rule_based").items():
        source = getattr(step, "source", "dots.llm1 C.2")
        assert source, name
        if issubclass(step, Rule):
            assert step.unit, name
            assert step.drops, f"{name}: show a document that it drops (`drops`)"
            assert step.keeps, f"{name}: show a document that it keeps (`keeps`)"
            made = step.model_validate({"step": name})
            assert isinstance(made, Rule)
            assert made.min or made.max, name
            for limits in (made.min, made.max):
                assert limits is None or {"en", "zh"} <= set(limits) or "default" in limits, (
                    f"{name}: no bound for a language"
                )
        elif issubclass(step, DocumentStep) and step.audited:
            assert step.source, name  # type: ignore[attr-defined]
            assert step.keeps, name
            assert step.drops or step.changes, name
