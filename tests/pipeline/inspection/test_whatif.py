"""What-if: verdicts under other thresholds, from the stored values of an output."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.console.app import main
from pipeline.inspection.whatif import NOTE, changed_rules, curve, outcome, outcome_lines, stored_config
from pipeline.schema import Document
from pipeline.strict import UserError
from tests.outputs import document, judge, make_output

STEPS = [
    {"step": "c4_javascript"},
    {"step": "word_count", "min": {"en": 5, "zh": 3}, "max": None},
    {"step": "hash_ratio", "max": 0.5},
    {"step": "word_count", "min": {"en": 2}, "max": None},
    {"step": "fuzzy_dedup"},
]


def documents() -> list[Document]:
    """English documents of 1 to 10 words, Chinese ones of 1 to 4, and some that other steps drop."""
    out = [document(n, " ".join(["word"] * n), "en") for n in range(1, 11)]
    out += [document(100 + n, " ".join(["北京"] * n), "zh") for n in range(1, 5)]
    out.append(document(200, "un deux", "fr"))
    out.append(document(201, "###### one two three", "en"))
    out.append(document(202, "Please enable JavaScript now", "en"))
    out.append(document(203, "a b c d e f", "en", drop_step="fuzzy_dedup", drop_reason="near_duplicate"))
    return out


@pytest.fixture
def output(tmp_path: Path) -> str:
    docs = documents()
    return make_output(tmp_path / "out", [docs[::2], docs[1::2]], STEPS)


@pytest.mark.parametrize(
    ("overrides", "kept", "dropped"),
    [
        (["steps.word_count.min.en=3"], {"word_count": {"en": 2}}, {}),
        (["steps.word_count.min.en=8"], {}, {"word_count": {"en": 3}}),
        (["steps.word_count.min.zh=2"], {"word_count": {"zh": 1}}, {}),
        (["steps.word_count.min={en: 3, zh: 4}"], {"word_count": {"en": 2}}, {"word_count": {"zh": 1}}),
        (["steps.word_count.min=3"], {"word_count": {"en": 2}}, {"word_count": {"fr": 1}}),
        (["steps.word_count.min.en=5"], {}, {}),
        (["steps.word_count.max.en=9"], {}, {"word_count": {"en": 1}}),
        (["steps.word_count#2.min.en=9"], {}, {"word_count#2": {"en": 4}}),
        (["steps.word_count.min.en=1"], {"word_count": {"en": 3}}, {}),
        (["steps.word_count.min.en=1", "steps.word_count#2.min.en=1"], {"word_count": {"en": 4}}, {}),
        (["steps.word_count.min.en=3", "steps.hash_ratio.max=5"], {"word_count": {"en": 3}}, {}),
        (["steps.hash_ratio.max=5"], {}, {}),
        (["steps.word_count.min.en=4", "steps.word_count#2.min.en=10"], {}, {"word_count#2": {"en": 5}}),
    ],
)
def test_documents_change_sides(
    output: str, overrides: list[str], kept: dict[str, dict[str, int]], dropped: dict[str, dict[str, int]]
) -> None:
    result = outcome(output, overrides)
    assert {c.rule: dict(c.newly_kept) for c in result.changes.values() if c.newly_kept} == kept
    assert {c.rule: dict(c.newly_dropped) for c in result.changes.values() if c.newly_dropped} == dropped
    assert result.documents == {"en": 13, "zh": 4, "fr": 1}
    assert result.kept_before == {"en": 6, "zh": 2, "fr": 1}
    for language in result.documents:
        change = sum(d.get(language, 0) for d in kept.values()) - sum(d.get(language, 0) for d in dropped.values())
        assert result.kept_after[language] == result.kept_before[language] + change


def test_characters_are_those_of_the_kept_documents(output: str) -> None:
    result = outcome(output, ["steps.word_count.min.en=10"])
    assert result.characters_before["en"] == sum(5 * n - 1 for n in range(5, 11))
    assert result.characters_after["en"] == 49
    assert result.characters["zh"] == sum(3 * n - 1 for n in range(1, 5))


def test_what_is_kept_under_other_thresholds_is_what_a_run_with_them_keeps(output: str) -> None:
    config = stored_config(output)
    for overrides in (["steps.word_count.min.en=7"], ["steps.word_count.min.zh=1", "steps.hash_ratio.max=3"]):
        changed = changed_rules(config, overrides)
        steps = [changed.get(label, (None, s))[1] for label, s in zip(config.labels(), config.steps, strict=True)]
        again = config.model_copy(update={"steps": steps})
        kept = [d.language for d in (judge(again, doc) for doc in documents()) if not d.is_dropped]
        result = outcome(output, overrides)
        assert {k: n for k, n in result.kept_after.items() if n} == {k: kept.count(k) for k in set(kept)}


def test_rows_that_never_came_to_the_rules_are_left_out(tmp_path: Path) -> None:
    output = make_output(tmp_path / "out", [documents()], STEPS)
    path = next((tmp_path / "out").glob("documents/verdict=dropped/*"))
    table = pq.read_table(path, partitioning=None)
    at = table.schema.get_field_index("rule_values")
    pq.write_table(table.set_column(at, table.field(at), pa.nulls(len(table), table.field(at).type)), path)
    result = outcome(output, ["steps.word_count.min.en=1"])
    assert result.documents == {"en": 6, "zh": 2, "fr": 1}
    assert result.kept_after == result.kept_before


def test_examples_are_the_same_whatever_the_order_of_rows(tmp_path: Path) -> None:
    docs = documents()
    one = make_output(tmp_path / "one", [docs], STEPS)
    two = make_output(tmp_path / "two", [docs[7:][::-1], docs[:7]], STEPS)
    overrides = ["steps.word_count.min.en=9"]
    reports = [outcome_lines(stored_config(o), overrides, outcome(o, overrides, examples=2)) for o in (one, two)]
    assert reports[0] == reports[1]
    assert sum("https://example.com/" in line for line in reports[0]) == 2
    many = outcome(one, overrides, examples=10)
    assert len(many.changes["word_count"].examples["newly dropped"]) == 4
    assert outcome(one, overrides, examples=0).changes["word_count"].examples["newly dropped"] == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("steps.word_count.step=x", "expected steps.RULE.min or steps.RULE.max"),
        ("steps.word_count=5", "expected steps.RULE.min or steps.RULE.max"),
        ("steps.c4_javascript.longest=5", "expected steps.RULE.min or steps.RULE.max"),
        ("steps.fuzzy_dedup.bands=5", "The rules are: word_count, hash_ratio, word_count#2"),
        ("steps.word_cuont.min=5", "The rules are: word_count, hash_ratio, word_count#2 (did you mean 'word_count'?)"),
        ("output.audit=false", "expected steps.RULE.min or steps.RULE.max"),
        ("steps.1.min=5", "expected steps.RULE.min or steps.RULE.max"),
        ("steps.word_count.min.en=many", "changed config: "),
        ("steps.word_count.min.en", "expects key=value"),
        ("steps.word_count.min.en.us=3", "which has no keys"),
        ("steps.word_count.min=[", "the value is not YAML"),
        ("steps.hash_ratio.min=0.1", "hash_ratio has no min"),
        ("nonsense", "expected steps.RULE.min or steps.RULE.max"),
    ],
)
def test_what_is_no_bound_of_a_rule_is_refused(
    output: str, override: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError) as error:
        outcome(output, [override])
    assert message in str(error.value)
    assert main(["whatif", output, "--set", override]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to change"),
        (["--curve", "c4_javascript"], "no rule 'c4_javascript' in this output; there are: word_count, "),
    ],
)
def test_wrong_options_are_one_line(
    output: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["whatif", output, *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_output_without_values_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = make_output(tmp_path / "out", [documents()], STEPS, audit=False)
    for arguments in (["--set", "steps.word_count.min.en=3"], ["--curve", "word_count"]):
        assert main(["whatif", output, *arguments]) == 2
        captured = capsys.readouterr()
        assert "holds no values of rules: make it with --set output.audit=true" in captured.err
        assert captured.err.count("\n") == 1


def test_folder_without_an_output_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["whatif", str(tmp_path / "none"), "--set", "steps.word_count.min.en=3"]) == 2
    captured = capsys.readouterr()
    assert "is not a finished stage output: it has no _run.json" in captured.err
    assert captured.err.count("\n") == 1


def test_report_for_people(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["whatif", output, "--set", "steps.word_count.min.en=3", "-n", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines[1:4]}
    assert table["zh"] == ["4", "2", "2", "19", "19"]
    assert table["en"][:3] == ["13", "6", "8"]
    assert "word_count (words): min {'en': 5.0, 'zh': 3.0} -> {'en': 3.0, 'zh': 3.0}" in lines
    assert "  newly kept: 2 en" in lines
    assert "  newly dropped: none" in lines
    assert sum("https://example.com/" in line for line in lines) == 1
    assert lines[-1] == NOTE


def test_report_as_json(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["whatif", output, "--set", "steps.word_count.min.zh=4", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["kept_before"] == {"en": 6, "zh": 2, "fr": 1}
    assert data["kept_after"] == {"en": 6, "zh": 1, "fr": 1}
    assert data["changes"] == {"word_count": {"newly_kept": {}, "newly_dropped": {"zh": 1}}}


def test_curve_counts_the_documents_beyond_each_threshold(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = curve(output, "word_count", points=4)
    at = lines.index("  zh: 4 documents")
    assert [line.split() for line in lines[at + 2 : at + 6]] == [
        ["1", "0.0%", "75.0%"],
        ["2", "25.0%", "50.0%"],
        ["3", "50.0%", "25.0%"],
        ["4", "75.0%", "0.0%"],
    ]
    assert main(["whatif", output, "--curve", "word_count"]) == 0
    assert "word_count (words); stored: min {'en': 5.0, 'zh': 3.0}, max None" in capsys.readouterr().out
