"""One page through the steps: the verdict first, then what decided, then the steps that changed something."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.console.app import main
from tests.outputs import document, make_output

STEPS = [
    {"step": "c4_javascript"},
    {"step": "word_count", "min": {"en": 5, "zh": 3}, "max": None},
    {"step": "fuzzy_dedup"},
]
DOCUMENTS = [
    document(1, "Please enable JavaScript now\none two three four five six", "en"),
    document(2, "北京", "zh"),
    document(3, "one two three four five", "en", drop_step="fuzzy_dedup", drop_reason="near_duplicate"),
]


@pytest.fixture
def output(tmp_path: Path) -> str:
    return make_output(tmp_path / "out", [DOCUMENTS], STEPS)


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["explain", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_of_a_dropped_page_the_deciding_step_comes_with_value_and_bound(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explained(capsys, output, "https://example.com/2") == [
        "verdict: dropped by word_count (rule_based): too_few_words, value 1",
        "  bound: ≥ 3 (words)",
        "https://example.com/2",
        f"doc_id {2:032x}, record 0 at offset None of a",
        "rule_based (generation 0)",
        "  word_count DROPPED too_few_words, value 1",
        "2 more steps: --all",
    ]


def test_of_a_kept_page_the_steps_that_changed_it_are_told(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = explained(capsys, output, f"{1:032x}")
    assert lines[0] == "verdict: kept by rule_based"
    assert lines[4:] == ["  c4_javascript kept: text of 27 characters in 1 lines", "2 more steps: --all"]
    lines = explained(capsys, output, f"{1:032x}", "--all", "--text")
    assert "  word_count    kept: 6, ≥ 5 (words)" in lines
    assert "  fuzzy_dedup   kept" in lines
    assert lines[-1].endswith("| one two three four five six")


def test_verdicts_of_comparisons_are_those_of_the_output(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = explained(capsys, output, "https://example.com/3")
    assert lines[0] == "verdict: dropped by fuzzy_dedup (rule_based): near_duplicate"
    assert "  fuzzy_dedup DROPPED near_duplicate (from the output)" in lines


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("http://EXAMPLE.com/2/", "did you mean one of: https://example.com/2"),
        (f"{2:032x}"[:31], f"did you mean one of: {1:032x}, {2:032x}, {3:032x}"),
        ("example.com/3", "did you mean one of: https://example.com/3"),
        ("nowhere", "give a URL as it was crawled, or a doc_id of 32 hex digits"),
    ],
)
def test_a_page_that_is_not_there_is_answered_with_near_ones(
    output: str, target: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", output, target]) == 2
    assert f"no document {target!r} in {output!r}; {hint}" in capsys.readouterr().err


def test_a_value_that_no_page_has_is_answered_with_the_known_ones(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", output, "--language", "zhh"]) == 2
    assert "no language 'zhh' (did you mean 'zh'?); there are pages of: en, zh" in capsys.readouterr().err
    assert main(["sample", output, "--language", "zh", "--kept"]) == 2
    assert f"no kept page in {output!r} has all of: language 'zh'" in capsys.readouterr().err
    assert main(["sample", output, "--stage", "rulebased"]) == 2
    assert "no stage 'rulebased' (did you mean 'rule_based'?)" in capsys.readouterr().err
