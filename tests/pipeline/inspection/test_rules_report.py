"""The report on what each step did, as text and as Markdown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.config import StageConfig, dump, parse
from pipeline.inspection.rules import main, markdown, plain, report, source, thresholds, what
from pipeline.outputs import Manifest, PublishedFile, Verdict
from pipeline.rule_based.c4 import C4Javascript
from pipeline.rule_based.gopher_quality import HashRatio, StopWords, WordCount
from pipeline.schema import Document, Drop, to_table
from pipeline.steps import DocumentStep, Rule, Step
from pipeline.storage import write_json

STEPS = [
    {"step": "c4_javascript"},
    {"step": "word_count", "min": {"en": 5, "zh": 3}, "max": None},
    {"step": "hash_ratio", "max": 0.5},
    {"step": "pii"},
]


def make_output(folder: Path, parts: list[list[Document]], *, audit: bool = True) -> str:
    """An output folder with a file for the kept and one for the dropped rows of each part, made without Spark."""
    data = {
        "stage": "rule_based",
        "input": {"paths": ["in"]},
        "output": {"path": str(folder), "audit": audit},
        "steps": STEPS,
    }
    config = parse(data)
    manifest = Manifest(stage="rule_based", fingerprint=config.fingerprint())
    verdicts: tuple[Verdict, ...] = ("kept", "dropped")
    for number, part in enumerate(parts):
        judged = [judge(config, doc) if audit else doc for doc in part]
        for verdict in verdicts:
            rows = [d for d in judged if d.is_dropped == (verdict == "dropped")]
            name = f"documents/verdict={verdict}/part-g0000-{number:05d}-0.parquet"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(to_table(rows), folder / name)
            manifest.files.append(PublishedFile(name, verdict, len(rows), 0, "0" * 64, 0))
    write_json(str(folder / "_manifest.json"), manifest.to_json())
    write_json(str(folder / "_run.json"), {"stage": "rule_based", "config": dump(config), "passes": []})
    return str(folder)


def judge(config: StageConfig, doc: Document) -> Document:
    """The document with the verdict of the first step that drops it, and the values of all: what an audit stores."""
    values: list[dict[str, Any]] = []
    for label, step in zip(config.labels(), config.steps, strict=True):
        if not isinstance(step, DocumentStep):
            continue
        verdict = step(doc)
        value = step.measure(doc) if isinstance(step, Rule) else float(isinstance(verdict, Drop))
        values.append({"rule": label, "value": value})
        if isinstance(verdict, Document):
            doc = verdict
        elif not doc.is_dropped:
            doc = doc.evolve(drop_step=label, drop_reason=verdict.reason, drop_value=verdict.value_text())
    return doc.evolve(rule_values=values)


def document(number: int, text: str, language: str | None, **more: Any) -> Document:
    url = f"https://example.com/{number}"
    return Document(
        doc_id=f"{number:032x}", source_file="a", row_no=number, url=url, text=text, language=language, **more
    )


SHOUT = "Please enable JavaScript | now"


def documents() -> list[Document]:
    """English documents of 1 to 8 words, Chinese ones of 1 to 4, and some with lines to cut and things to find."""
    out = [document(n, " ".join(["word"] * n), "en") for n in range(1, 9)]
    out += [document(100 + n, " ".join(["北京"] * n), "zh") for n in range(1, 5)]
    found = [
        {"step": "pii", "name": "email", "line": 0, "count": 2},
        {"step": "pii", "name": "phone", "line": None, "count": 1},
    ]
    out.append(document(200, "one two three four five six", "en", findings=found))
    out.append(document(201, f"{SHOUT}\none two three four five six\n{SHOUT}", "en"))
    out.append(document(202, SHOUT, "en"))
    out.append(document(203, "##### a <script>alert(1)</script> | `b`", "en"))
    out.append(document(204, "一二三 #####", "zh"))
    return out


@pytest.fixture
def output(tmp_path: Path) -> str:
    docs = documents()
    return make_output(tmp_path / "out", [docs[::2], docs[1::2]])


def test_counts_of_every_step(output: str) -> None:
    reports = {r.label: r for r in report(output)}
    assert list(reports) == ["c4_javascript", "word_count", "hash_ratio", "pii"]
    assert reports["word_count"].dropped["too_few_words"] == sum(
        d.drop_step == "word_count" for d in judged(documents())
    )
    assert reports["c4_javascript"].dropped == {"no_text_left": 1}
    assert (reports["c4_javascript"].cut_lines, reports["c4_javascript"].cut_documents) == (2, 1)
    assert reports["pii"].found == 3
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
    found = report(make_output(tmp_path / "out", [docs], audit=False))
    assert not any(r.alone for r in found)
    assert {r.label: sum(r.dropped.values()) for r in found}["word_count"] > 0


def test_examples_are_the_same_whatever_the_order_of_rows(tmp_path: Path) -> None:
    docs = documents()
    one, two = make_output(tmp_path / "one", [docs]), make_output(tmp_path / "two", [docs[5:][::-1], docs[:5]])
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
    ("step", "told"),
    [
        (WordCount(min={"en": 5, "zh": 3}, max=None), "≥ 5 en, 3 zh (words)"),
        (WordCount(min=5, max={"en": 100_000}), "≥ 5; ≤ 100000 (words)"),
        (HashRatio(max=0.1), "≤ 0.1 (hash signs per word)"),
        (C4Javascript(longest=300), "longest 300"),
    ],
)
def test_thresholds(step: Step, told: str) -> None:
    assert thresholds(step) == told


def test_source_and_first_sentence() -> None:
    assert source(StopWords()).startswith("Gopher (Rae et al. 2021)")
    assert what(HashRatio()).startswith("Drop documents with more than one hash sign in ten words.")
    assert "\n" not in what(StopWords())


def test_command(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([output]) == 0
    told = capsys.readouterr().out
    assert "word_count: " in told
    assert main([output, "--step", "pii", "--examples", "1"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("pii: 3 found")
    assert "word_count" not in told
    assert main([output, "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("| step |")


def test_mistakes_are_one_line(tmp_path: Path, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        ([output, "--step", "word_cuont"], "no step 'word_cuont' in this output; there are: c4_javascript, word_count"),
        ([str(tmp_path / "none")], "is not a finished stage output: it has no _run.json; run the stage first"),
    ):
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert message in captured.err
        assert captured.err.count("\n") == 1
