"""The report on what each step did, as text and as Markdown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.config import parse
from pipeline.console.app import main
from pipeline.inspection.rules import bounds, markdown, plain, report, source, thresholds, what
from pipeline.rule_based.c4 import C4Javascript
from pipeline.rule_based.gopher_quality import HashRatio, StopWords, WordCount
from pipeline.schema import Document
from pipeline.steps import Step
from tests.outputs import document, judge, make_output

STEPS = [
    {"step": "c4_javascript"},
    {"step": "word_count", "min": {"en": 5, "zh": 3}, "max": None},
    {"step": "hash_ratio", "max": 0.5},
    {"step": "pii"},
]


SHOUT = "Please enable JavaScript | now"


def documents() -> list[Document]:
    """English documents of 1 to 8 words, Chinese ones of 1 to 4, and some with lines to cut and things to find."""
    out = [document(n, " ".join(["word"] * n), "en") for n in range(1, 9)]
    out += [document(100 + n, " ".join(["北京"] * n), "zh") for n in range(1, 5)]
    findings = [
        {"step": "pii", "name": "email", "line": 0, "count": 2},
        {"step": "pii", "name": "phone", "line": None, "count": 1},
    ]
    out.append(document(200, "one two three four five six", "en", findings=findings))
    out.append(document(201, f"{SHOUT}\none two three four five six\n{SHOUT}", "en"))
    out.append(document(202, SHOUT, "en"))
    out.append(document(203, "##### a <script>alert(1)</script> | `b`", "en"))
    out.append(document(204, "一二三 #####", "zh"))
    return out


@pytest.fixture
def output(tmp_path: Path) -> str:
    docs = documents()
    return make_output(tmp_path / "out", [docs[::2], docs[1::2]], STEPS)


def test_counts_of_every_step(output: str) -> None:
    reports = {r.label: r for r in report(output)}
    assert list(reports) == ["c4_javascript", "word_count", "hash_ratio", "pii"]
    assert reports["word_count"].dropped["too_few_words"] == sum(
        d.drop_step == "word_count" for d in judged(documents())
    )
    assert reports["c4_javascript"].dropped == {"no_text_left": 1}
    assert (reports["c4_javascript"].cut_lines, reports["c4_javascript"].cut_documents) == (2, 1)
    assert reports["pii"].findings == 3
    assert reports["pii"].dropped == {}


def judged(docs: list[Document]) -> list[Document]:
    config = parse({"stage": "rule_based", "input": {"paths": ["in"]}, "output": {"path": "out"}, "steps": STEPS})
    return [judge(config, d) for d in docs]


def test_alone_counts_are_those_whatever_was_dropped_before(output: str) -> None:
    reports = {r.label: r for r in report(output)}
    expected: dict[str, dict[str, int]] = {"word_count": {}, "hash_ratio": {}, "c4_javascript": {"en": 1}}
    for doc in judged(documents()):
        values = {v["rule"]: v["value"] for v in doc.rule_values or ()}
        language = doc.language or ""
        low = {"en": 5, "zh": 3}[language]
        expected["word_count"][language] = expected["word_count"].get(language, 0) + (values["word_count"] < low)
        expected["hash_ratio"][language] = expected["hash_ratio"].get(language, 0) + (values["hash_ratio"] > 0.5)
    for label, counts in expected.items():
        assert {k: n for k, n in reports[label].alone.items() if n} == {k: n for k, n in counts.items() if n}, label
    assert sum(reports["hash_ratio"].alone.values()) > sum(reports["hash_ratio"].dropped.values())


def test_output_without_audit_has_no_counts_of_rules_alone(tmp_path: Path) -> None:
    docs = [d.evolve(rule_values=None) for d in judged(documents())]
    reports = report(make_output(tmp_path / "out", [docs], STEPS, audit=False))
    assert not any(r.alone for r in reports)
    assert {r.label: sum(r.dropped.values()) for r in reports}["word_count"] > 0


def test_examples_are_the_same_whatever_the_order_of_rows(tmp_path: Path) -> None:
    docs = documents()
    one = make_output(tmp_path / "one", [docs], STEPS)
    two = make_output(tmp_path / "two", [docs[5:][::-1], docs[:5]], STEPS)
    assert plain(report(one, 2), 2) == plain(report(two, 2), 2)
    assert markdown(report(one, 2), 2) == markdown(report(two, 2), 2)


def test_examples_come_from_all_languages_in_turn(output: str) -> None:
    (words,) = (r for r in report(output, 4) if r.label == "word_count")
    chosen = words.chosen(4)
    assert [e.language for e in chosen] == ["en", "zh", "en", "zh"]
    assert all(e.reason == "too_few_words" and not e.alone for e in chosen)
    assert words.chosen(0) == []


def test_examples_of_documents_that_were_dropped_before_come_last_and_say_so(output: str) -> None:
    (hashes,) = (r for r in report(output, 5) if r.label == "hash_ratio")
    chosen = hashes.chosen(5)
    assert chosen
    assert [e.alone for e in chosen] == sorted(e.alone for e in chosen)
    assert any(e.alone for e in chosen)
    assert any("(dropped before)" in line for line in plain(report(output, 5), 5))


def test_examples_show_cut_lines_and_findings(output: str) -> None:
    reports = {r.label: r for r in report(output, 5)}
    assert ("cut", SHOUT) in [(e.reason, e.text) for e in reports["c4_javascript"].chosen(5)]
    values = {e.value for e in reports["pii"].chosen(5)}
    assert values == {"2 email, line 0", "1 phone"}


def cells(row: str) -> list[str]:
    """The cells of a row of a Markdown table: pipes behind a backslash are no borders."""
    return [c.strip() for c in re.split(r"(?<!\\)\|", row)[1:-1]]


def test_markdown_has_a_row_for_every_step_and_nothing_breaks_it(output: str) -> None:
    lines = markdown(report(output, 10), 10)
    split = lines.index("")
    first, second = lines[:split], lines[split + 1 :]
    assert [cells(row)[0] for row in first[2:]] == ["`c4_javascript`", "`word_count`", "`hash_ratio`", "`pii`"]
    assert {len(cells(row)) for row in first} == {5}
    assert {len(cells(row)) for row in second} == {3}
    text = "\n".join(lines)
    assert "<script>" not in text
    assert "&lt;script>" in text
    assert SHOUT.replace("|", "\\|") in text
    assert SHOUT not in text


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (WordCount(min={"en": 5, "zh": 3}, max=None), "≥ 5 en, 3 zh (words)"),
        (WordCount(min=5, max={"en": 100_000}), "≥ 5; ≤ 100000 (words)"),
        (HashRatio(max=0.1), "≤ 0.1 (hash signs per word)"),
        (C4Javascript(longest=300), "longest 300"),
    ],
)
def test_thresholds(step: Step, expected: str) -> None:
    assert thresholds(step) == expected


def test_bounds_of_one_language() -> None:
    words = WordCount(min={"en": 5, "zh": 3}, max={"default": 9})
    assert [bounds(words, language) for language in ("en", "zh", "fr")] == [
        "≥ 5; ≤ 9 (words)",
        "≥ 3; ≤ 9 (words)",
        "≤ 9 (words)",
    ]
    assert bounds(WordCount(min={"en": 5}, max=None), None) == "no bound (words)"


def test_source_and_first_sentence() -> None:
    assert source(StopWords()).startswith("Gopher (Rae et al. 2021)")
    assert what(HashRatio()).startswith("Drop documents with more than one hash sign in ten words.")
    assert "\n" not in what(StopWords())


def test_command(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", output]) == 0
    printed = capsys.readouterr().out
    assert "word_count: " in printed
    assert main(["rules", output, "--step", "pii", "--number", "1"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("pii: 3 found")
    assert "word_count" not in printed
    assert main(["rules", output, "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("| step |")


def test_mistakes_are_one_line(tmp_path: Path, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (
            [output, "--step", "word_cuont"],
            "no step 'word_cuont' in this output (did you mean 'word_count'?); there are: c4_javascript, word_count",
        ),
        ([str(tmp_path / "none")], "is not a finished stage output: it has no _run.json; run the stage first"),
    ):
        assert main(["rules", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert message in captured.err
        assert captured.err.count("\n") == 1
