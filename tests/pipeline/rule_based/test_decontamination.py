"""Decontamination: what counts as a hit, what is cut, which items cannot be searched for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import parse
from pipeline.console.app import main
from pipeline.inspection import contamination
from pipeline.lines import restore_lines
from pipeline.outputs import InputFile, Manifest, PublishedFile
from pipeline.rule_based.decontamination import Decontaminate, index
from pipeline.schema import DOCUMENT, Document, Drop, to_table
from pipeline.storage import write_json
from tests.outputs import write_record

ENGLISH = "What is the capital of the northern province that lies beyond the long river and the two hills?"
CHINESE = "下列关于光合作用的说法中，正确的是哪一项？植物在夜间只进行呼吸作用而不进行光合作用。"
ITEMS = [
    {"id": "en", "q": ENGLISH, "a": ["north", 3]},
    {"id": "zh", "q": CHINESE, "a": None},
    {"id": "short", "q": "Which river?", "a": ""},
    {"id": "whole", "q": "nine words stand here one after the other alone", "a": ""},
]


@pytest.fixture
def test_set(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "items.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as f:
        f.write("".join(json.dumps(i, ensure_ascii=False) + "\n" for i in ITEMS))
    return {"path": str(path), "name": "t", "fields": ["q"], "id": "id"}


def step(test_set: dict[str, Any], **options: Any) -> Decontaminate:
    made = Decontaminate.model_validate({"step": "decontaminate", "test_sets": [test_set], **options})
    made.load()
    return made


def document(text: str) -> Document:
    tags = ["p"] * (text.count("\n") + 1)
    return Document(doc_id="0" * 32, source_file="a", text=text, line_tags=tags, line_link_share=[0.0] * len(tags))


HITS = [
    (f"Intro.\n{ENGLISH}\nEnd.", "t:en"),
    ("so: WHAT IS THE CAPITAL -- of the northern\nprovince, that lies beyond the long river", "t:en"),
    (f"问题：{CHINESE}", "t:zh"),
    ("下列关于光合作用的说法中\n正确的是哪一项 植物在夜间只进行呼吸作用", "t:zh"),
    ("and nine words stand here, one after the other, alone!", "t:whole"),
]
MISSES = [
    "What is the capital of the northern province that lies",
    "What is the capital of a northern province that has been beyond the river of two hills",
    "下列关于光合作用的说法中，正确的是",
    "nine words stand here one after another",
    "Which river? Which river?",
    "",
]


@pytest.mark.parametrize(("text", "item"), HITS)
def test_drops_what_holds_an_ngram_of_an_item(text: str, item: str, test_set: dict[str, Any]) -> None:
    verdict = step(test_set)(document(text))
    assert isinstance(verdict, Drop)
    assert (verdict.reason, verdict.value) == ("contaminated", item)


@pytest.mark.parametrize("text", MISSES)
def test_keeps_what_does_not(text: str, test_set: dict[str, Any]) -> None:
    doc = document(text)
    assert step(test_set)(doc) is doc


def test_cuts_the_lines_that_overlap_and_says_which(test_set: dict[str, Any]) -> None:
    text = "前言\nWHAT is the capital of the northern\nprovince that lies beyond the long river\n后记"
    doc = step(test_set, action="cut")(document(text))
    assert isinstance(doc, Document)
    assert doc.text == "前言\n后记"
    assert [(r["step"], r["line"]) for r in doc.removed_lines or ()] == [("decontaminate", 1), ("decontaminate", 2)]
    assert {(f["name"], f["line"]) for f in doc.findings or ()} == {("t:en", 1), ("t:en", 2)}
    assert restore_lines(doc).text == text
    nothing_left = step(test_set, action="cut")(document(CHINESE))
    assert isinstance(nothing_left, Drop)
    assert nothing_left.reason == "no_text_left"


def test_below_the_share_it_is_told_and_kept(test_set: dict[str, Any]) -> None:
    text = "What is the capital of the northern province that lies beyond the long river"
    n = len(ENGLISH.split()) - 13 + 1
    at = step(test_set, min_share=2 / n)(document(text))
    assert isinstance(at, Drop), "two of its n-grams are there"
    above = step(test_set, min_share=2.1 / n)(document(text))
    assert isinstance(above, Document)
    assert above.text == text
    assert [f["name"] for f in above.findings or ()] == ["t:en"]


def test_instructions_that_many_items_share_do_not_count(tmp_path: Path) -> None:
    instruction = "Read the following text with care and then answer the question below in one short word:"
    items = [{"q": f"{instruction} item number {i} asks for thing {i * i}, which is in box {i + 7}"} for i in range(12)]
    path = tmp_path / "many.jsonl"
    path.write_text("".join(json.dumps(i) + "\n" for i in items))
    test_set = {"path": str(path), "name": "m", "fields": ["q"]}
    page = document(f"{instruction} here is a page about something else")
    assert isinstance(step(test_set)(page), Document)
    assert isinstance(step(test_set, max_items=12)(page), Drop)
    distinct = document("they say below in one short word: item number 3 asks for thing 9, which is in box 10 of all")
    assert isinstance(step(test_set)(distinct), Drop)


def test_items_that_are_too_short_are_counted(test_set: dict[str, Any]) -> None:
    items = index(step(test_set).model_dump_json())
    assert dict(items.not_searchable) == {"t": ["t:short"]}
    assert items.sets == {"t": 4}
    assert {i.name: i.n for i in items.items} == {"t:en": 13, "t:zh": 20, "t:whole": 9}
    assert items.bytes > 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"bad.jsonl, line 2: not JSON"),
        ("[1]", r"bad.jsonl, line 2: expected an object, found list"),
        ('{"x": 1}', r"bad.jsonl, line 2: no field 'q'; found x"),
    ],
)
def test_a_mistake_in_a_test_set_names_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"q": "fine"}\n' + line + "\n")
    made = Decontaminate.model_validate(
        {"step": "decontaminate", "test_sets": [{"path": str(path), "name": "b", "fields": ["q"]}]}
    )
    with pytest.raises(ValueError, match=message):
        made.check()


def test_fingerprint_knows_the_files(test_set: dict[str, Any]) -> None:
    before = step(test_set).fingerprint()
    Path(test_set["path"]).write_bytes(gzip.compress(b'{"id": "x", "q": "other", "a": 1}\n'))
    after = Decontaminate.model_validate({"step": "decontaminate", "test_sets": [test_set]}).fingerprint()
    assert before["resources"] != after["resources"]
    assert Decontaminate()(document(ENGLISH)).text == ENGLISH, "without test sets it does nothing"


def test_report_lists_items_documents_and_lines(
    test_set: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow.parquet as pq

    config = parse(
        {
            "stage": "rule_based",
            "input": {"paths": ["x"]},
            "output": {"path": str(tmp_path)},
            "steps": [{"step": "decontaminate", "test_sets": [test_set], "action": "cut"}],
        }
    )
    cutting = config.steps[0]
    assert isinstance(cutting, Decontaminate)
    kept = cutting(document(f"a\n{ENGLISH}\nb").evolve(url="http://example.org/1"))
    assert isinstance(kept, Document)
    gone = document(CHINESE).evolve(
        doc_id="1" * 32, drop_step="decontaminate", drop_reason="no_text_left", drop_value="t:zh"
    )
    files = []
    for verdict, doc in (("kept", kept), ("dropped", gone)):
        pq.write_table(to_table([doc]).select(DOCUMENT.names), tmp_path / f"{verdict}.parquet")
        files.append(PublishedFile(f"{verdict}.parquet", verdict, 1, 1, "", 0))  # type: ignore[arg-type]
    write_json(
        str(tmp_path / "_manifest.json"), Manifest("rule_based", {}, [InputFile("x", {}, 0, 0)], files).to_json()
    )
    write_record(tmp_path, config)
    report = contamination.report(str(tmp_path))
    assert report["sets"] == {"t": {"items": 4, "not_searchable": ["t:short"], "items_hit": 2, "documents_hit": 2}}
    assert [(h["item"], h["done"], h["lines"]) for h in report["hits"]] == [
        ("t:en", "cut", [1]),
        ("t:zh", "dropped", []),
    ]
    assert main(["contamination", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "t:en: cut, lines 2" in out
    assert main(["contamination", str(tmp_path / "nothing")]) == 2
    assert "is not a finished stage output" in capsys.readouterr().err
