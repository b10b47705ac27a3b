"""What every step must keep, over the registry: a new step is tested unasked."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pipeline.config import parse_step
from pipeline.schema import DOCUMENT, Document, Drop, from_table, to_table
from pipeline.steps import (
    CrossDocumentStep,
    DocumentStep,
    DuplicateStep,
    Step,
    apply_step,
    discover,
    known_steps,
    wrong_examples,
)

STEPS = {name: cls for name, cls in discover().items() if cls.__module__.startswith("pipeline.")}
PAGE = "<html><head><title>{0}</title></head><body><article><h1>{0}</h1><p>{1}</p></article></body></html>"
TEXTS = {
    "english": "The river rises in the hills and flows for ninety miles to the sea, past seven towns and a mill. " * 8,
    "chinese": "这条河发源于山区，流经七座城镇和一座磨坊，最后注入大海。沿岸的居民世代以捕鱼为生。" * 12,
    "empty": "",
    "emoji": "👩‍👩‍👧‍👦🇨🇳 e\u0301 \u202e",
    "one line of 1 MB": "word " * 200_000,
    "special tokens": "<|endoftext|><|im_start|> <script>alert(1)</script>",
}


def documents() -> list[Document]:
    docs = []
    for i, (name, text) in enumerate(TEXTS.items()):
        common: dict[str, Any] = {"source_file": "a.warc.gz", "row_no": i, "http_status": 200, "n_tokens": 1}
        url = f"https://example.org/{i}"
        html = PAGE.format(name, text).encode()
        docs.append(Document(doc_id=f"{i:032x}", url=url, html=html, content_type="text/html", **common))
        lines = text.count("\n") + 1
        docs.append(
            Document(
                doc_id=f"{i + 100:032x}",
                url=None,
                text=text,
                language="en",
                line_tags=["p"] * lines,
                line_link_share=[0.0] * lines,
                **common,
            )
        )
    return docs


def make(name: str) -> Step:
    return STEPS[name].model_validate({"step": name})


@pytest.mark.parametrize("name", STEPS)
def test_parameters_survive_storing(name: str) -> None:
    step = make(name)
    assert parse_step(step.model_dump(mode="json")) == step
    assert step.fingerprint() == parse_step(step.model_dump(mode="json")).fingerprint()


@pytest.mark.parametrize("name", STEPS)
def test_step_is_documented_and_closed(name: str) -> None:
    assert (STEPS[name].__doc__ or "").strip(), "say what the step drops"
    with pytest.raises(ValueError, match=r"unknown key 'no_such_key'.*known keys: step"):
        STEPS[name].model_validate({"step": name, "no_such_key": 1})


@pytest.mark.parametrize("name", [n for n, c in STEPS.items() if issubclass(c, DocumentStep)])
def test_document_step_is_pure(name: str) -> None:
    step = make(name)
    assert isinstance(step, DocumentStep)
    step.load()
    docs = documents()
    before = copy.deepcopy(docs)
    together = apply_step(step, docs)
    assert docs == before, "a step returns a changed copy"
    assert len(together) == len(docs)
    one_by_one = [apply_step(step, [doc])[0] for doc in reversed(docs)][::-1]
    for doc, a, b in zip(docs, together, one_by_one, strict=True):
        assert type(a) is type(b)
        if isinstance(a, Drop):
            assert a == b
            assert a.reason != "step_error", f"{name} fails on {doc.url}: {a.value}"
        else:
            assert isinstance(b, Document)
            assert to_table([a]).equals(to_table([b])), "the result depends on the batch"
            assert (a.doc_id, a.row_no, a.source_file) == (doc.doc_id, doc.row_no, doc.source_file)


@pytest.mark.parametrize(
    "name", [n for n, c in STEPS.items() if issubclass(c, DocumentStep) and (c.drops or c.keeps or c.changes)]
)
def test_examples_are_what_the_step_does(name: str) -> None:
    step = make(name)
    assert isinstance(step, DocumentStep)
    assert wrong_examples(step) == []


@pytest.mark.parametrize("name", [n for n, c in STEPS.items() if issubclass(c, DuplicateStep)])
def test_duplicate_step_gives_a_key_a_row(name: str) -> None:
    step = make(name)
    assert isinstance(step, DuplicateStep)
    docs = [step.prepare(d.evolve(raw_digest="0" * 32)) for d in documents() if d.text is not None]
    table = to_table(docs)
    keys = step.keys(table).to_pylist()
    assert len(keys) == len(docs)
    assert step.keys(table.slice(2, 1)).to_pylist() == keys[2:3]
    assert step.reason


def test_an_exception_drops_the_one_document_that_caused_it() -> None:
    class Picky(DocumentStep):
        """Fails on empty text."""

        step: str = "picky"

        def process(self, docs: list[Document]) -> list[Document | Drop]:
            return [d.evolve(title=(d.text or "")[:100].strip()[0]) for d in docs]

    docs = [d for d in documents() if d.text is not None]
    verdicts = apply_step(Picky(), docs)
    errors = [v for v in verdicts if isinstance(v, Drop)]
    assert [v.reason for v in errors] == ["step_error"]
    assert errors[0].value_text() == "IndexError: string index out of range"


def test_wrong_number_of_verdicts_is_an_error() -> None:
    class Loses(DocumentStep):
        """Loses a row."""

        step: str = "loses"

        def process(self, docs: list[Document]) -> list[Document | Drop]:
            return list(docs[1:])

    with pytest.raises(ValueError, match="step 'loses' returned 1 verdicts for 2 documents"):
        apply_step(Loses(), documents()[:2])


def test_every_kind_of_step_is_known() -> None:
    assert known_steps(["preparation"]) == sorted(n for n, c in STEPS.items() if ".preparation." in c.__module__)
    assert all(issubclass(c, DocumentStep | CrossDocumentStep) for c in STEPS.values())
    with pytest.raises(ValueError, match=r"unknown step 'langage' \(did you mean 'language'\?\); known steps: "):
        parse_step({"step": "langage"})


def test_document_and_schema_have_the_same_fields() -> None:
    fields = {f for f in Document.__dataclass_fields__ if f not in ("html", "input_ids")}
    assert fields == set(DOCUMENT.names)


def test_rows_survive_arrow_with_nulls_as_none() -> None:
    docs = [d.evolve(html=None, crawl_time=5, page_signals=None, language=None) for d in documents()]
    table = to_table(docs)
    assert from_table(table.select(DOCUMENT.names)) == docs
    assert all(d.drop_step is None and not d.is_dropped for d in from_table(table.select(DOCUMENT.names)))
