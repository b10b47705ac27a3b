from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from extraction.text import lines
from pipeline.lines import restore_lines
from pipeline.preparation.extract_text import ExtractText
from pipeline.schema import Document, Drop

ENGLISH = "A page with enough English text to be taken for the content of the page by every engine. " * 4
CHINESE = "这是一篇中文文章，它的正文足够长，因此每个引擎都会把它当作网页的正文内容来抽取。" * 4


def html(text: str, codec: str = "utf-8") -> bytes:
    page = f"<html lang=zh><head><title>标题</title></head><body><article><h1>Head</h1><p>{text}</p></article></body></html>"
    return page.encode(codec)


def doc(n: int = 0, **fields: Any) -> Document:
    return Document(doc_id=f"{n:032x}", source_file="f", **fields)


@pytest.mark.parametrize(
    ("engine", "isolate"), [("trafilatura", None), ("trafilatura", False), ("lines", None), ("lines", True)]
)
def test_html_becomes_text(engine: str, isolate: bool | None) -> None:
    step = ExtractText(engine=engine, isolate=isolate)
    step.load()
    pages = [html(ENGLISH), html(CHINESE), html(CHINESE, "gbk"), b"<html><body></body></html>", html("<br>" * 40_000)]
    docs = [doc(i, html=p, declared_charset="gbk" if i == 2 else None) for i, p in enumerate(pages)]
    english, chinese, gbk, empty, large = step.process(docs)
    assert step.process(docs) == [english, chinese, gbk, empty, large]
    for verdict, text, charset in ((english, ENGLISH, "utf-8"), (chinese, CHINESE, "utf-8"), (gbk, CHINESE, "gb18030")):
        assert isinstance(verdict, Document)
        assert verdict.html is None
        if engine == "trafilatura":
            assert lines(verdict.text or "") == ["Head", text.strip()]
            assert verdict.line_tags == ["h1", "p"]
        else:  # whether "Head" belongs to it is the model's to say
            assert lines(verdict.text or "")[-1] == text.strip()
            assert (verdict.line_tags or [])[-1] == "p"
        assert set(verdict.line_link_share or []) == {0.0}
        assert verdict.charset == charset
        assert verdict.title == "标题"
        assert verdict.page_signals == {"canonical_url": None, "og_type": None, "schema_types": [], "html_lang": "zh"}
    assert empty == Drop("no_text", value=0)
    if engine == "trafilatura":
        assert large == Drop("too_many_tags", value=40_014)
    else:  # line breaks are nothing to it
        assert isinstance(large, Document)
    # a child process where the engine needs one, or where it is asked for
    assert (step.child_cpu_seconds() > 0) is (isolate or (isolate is None and engine == "trafilatura"))


def test_lines_that_the_engine_cut_are_kept_with_their_scores() -> None:
    menu = "<nav><ul><li><a href=/>Home</a><li><a href=/a>About us</a></ul></nav>"
    page = html(f"{ENGLISH}</p><p>{ENGLISH} Once more.").replace(b"<article>", menu.encode() + b"<article>")
    kept = ExtractText()(doc(html=page))
    assert isinstance(kept, Document)
    assert len(kept.line_scores or []) == len(lines(kept.text or "")) >= 2
    removed = kept.removed_lines or []
    assert [(r["step"], r["line"], r["text"], r["tag"]) for r in removed[:2]] == [
        ("extract_text", 0, "Home", "li"),
        ("extract_text", 1, "About us", "li"),
    ]
    assert all(r["score"] < min(kept.line_scores or []) for r in removed)
    whole = restore_lines(kept)
    assert lines(whole.text or "")[:3] == ["Home", "About us", "Head"]
    assert restore_lines(kept, ["line_dedup"]) == kept
    bare = ExtractText(cut_lines=False)(doc(html=page))
    assert isinstance(bare, Document)
    assert (bare.text, bare.removed_lines) == (kept.text, None)


def test_text_is_only_cleaned() -> None:
    step = ExtractText(isolate=False)
    verdict = step(doc(text="\ufeff第一段\r\n\r\n\r\n  code\u200b line\x00 \n", title="T"))
    assert isinstance(verdict, Document)
    assert verdict.text == "第一段\n\n  code line"
    assert verdict.line_tags == ["p"] * 3
    assert verdict.line_link_share == [0.0] * 3
    assert verdict.title == "T"
    assert step(doc(text=" \n")) == Drop("no_text", value=0)


@pytest.mark.parametrize(("n", "kept"), [(9, False), (10, True), (11, True)])
def test_min_chars(n: int, kept: bool) -> None:
    step = ExtractText(isolate=False, min_chars=10)
    assert isinstance(step(doc(text="字" * n)), Document if kept else Drop)


def test_a_deadline_is_a_recorded_drop() -> None:
    step = ExtractText(engine="trafilatura", deadline_seconds=0.5)
    attributes = " ".join(f'a{i}="x"' for i in range(100_000))
    slow, good = step.process([doc(1, html=f"<div {attributes}>x</div>".encode()), doc(2, html=html(ENGLISH))])
    assert slow == Drop("timeout", value=0.5)
    assert isinstance(good, Document)


def test_config() -> None:
    step = ExtractText(engine="resiliparse", profile="fast")
    assert ExtractText.model_validate_json(step.model_dump_json()) == step
    with pytest.raises(ValidationError, match="headings is an option of the engine lines, not of resiliparse"):
        ExtractText(engine="resiliparse", headings="markdown")
    assert "clutter/dom" in ExtractText().fingerprint()["resources"]
    with pytest.raises(ValidationError, match=r"unknown engine 'trafilatur'; known engines: .*trafilatura"):
        ExtractText(engine="trafilatur")
