"""HTML to text, with the structure that later stages work on (dots.llm1 C.1: trafilatura with own adjustments)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from extraction.engines import Options, engine_names, get_engine
from extraction.result import CUT_LINE, Rows
from extraction.sandbox import Sandbox
from extraction.text import clean, lines
from extraction.work import Job, Outcome, extract_bytes
from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep, Example, Examples

_OF_LINES = ("format", "title", "comments", "captions", "bylines", "headings", "list_markers", "cut_lines")
"""Options of the engine `lines` alone."""

_SENTENCE = "A page with enough English text to be taken for the content of the page by every engine. "


class ExtractText(DocumentStep):
    """Main content of HTML pages; text that came as text (WET, rows of JSONL and Parquet) is cleaned.

    Fills `charset`, `text`, `line_tags`, `line_link_share`, `title` and `page_signals`, with the engine `lines` also
    `line_scores`
    and, for the lines that it cut, `removed_lines`; and lets go of the HTML. Drops: `no_text`; `html_too_large` (characters),
    `too_many_tags`, `too_many_lines` (pages beyond what engines bear); `timeout` (the deadline), `out_of_memory` (the limit),
    `child_died` (signal) and `step_error` (message). A timeout is the one verdict that can differ between two runs.
    """

    needs_html: ClassVar[bool] = True
    version: ClassVar[int] = 4

    step: Literal["extract_text"] = "extract_text"
    engine: str = Field("lines", description="a module of extraction/engines")
    profile: Literal["full", "fast"] = Field("full", description="best text, or nearly as good at less cost")
    formulas: Literal["dollars", "off"] = Field(
        "dollars", description="dollars writes formulas as TeX, $...$ or $$...$$"
    )
    footnote_marks: Literal["keep", "cut"] = Field(
        "keep", description="marks of footnotes: [1], [1-2], raised numbers with a link; exponents stay"
    )
    format: Literal["text", "markdown"] = Field(
        "text",
        description="engine lines: markdown writes headings, lists, quotations, code and tables as Markdown does",
    )
    title: Literal["prepend", "separate"] = Field(
        "prepend", description="engine lines: the text begins with the headline, or has it where the model keeps it"
    )
    comments: Literal["auto", "keep", "cut"] = Field(
        "auto", description="engine lines: readers' comments; auto keeps threads of forums, and cuts those under a text"
    )
    captions: Literal["auto", "keep", "cut"] = Field("auto", description="engine lines: captions of pictures")
    bylines: Literal["auto", "keep", "cut"] = Field("auto", description="engine lines: author and date at the headline")
    headings: Literal["plain", "markdown"] = Field("plain", description="engine lines: markdown puts # before headings")
    list_markers: bool = Field(False, description='engine lines: put "- " or "1. " before the items of lists')
    cut_lines: bool = Field(True, description="engine lines: record the lines that it cut, with their scores")
    min_chars: int = Field(1, ge=1, description="characters below which a page counts as without text")
    deadline_seconds: float = Field(10.0, gt=0, description="CPU seconds a page may take")
    memory_mb: int = Field(2048, ge=256, description="address space of the child process, in MiB")
    recycle_pages: int = Field(5000, ge=1, description="pages after which the child process is replaced")
    isolate: bool | None = Field(
        None,
        description="extract in a child process, under deadline and memory limit; null: unless the engine is bounded by itself",
    )
    drops: ClassVar[Examples] = (
        Example(html=b"<html><body></body></html>", reason="no_text"),
        Example(" \n", reason="no_text"),
    )
    keeps: ClassVar[Examples] = (Example("Text that came as text."),)
    changes: ClassVar[Examples] = (
        Example(html=f"<article><p>{_SENTENCE * 4}</p></article>".encode(), left=(_SENTENCE * 4).strip()),
        Example("\ufeff第一段\r\n\r\n\r\n  code\u200b line\x00 \n", "zh", left="第一段\n\n  code line"),
    )

    _sandbox: Sandbox | None = PrivateAttr(None)

    @field_validator("engine")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in engine_names():
            raise ValueError(f"unknown engine {name!r}; known engines: {', '.join(engine_names())}")
        return name

    @model_validator(mode="after")
    def _options_of_the_engine(self) -> ExtractText:
        for name in _OF_LINES:
            if self.engine != "lines" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is an option of the engine lines, not of {self.engine}")
        return self

    def fingerprint(self) -> dict[str, Any]:
        return super().fingerprint() | {"resources": get_engine(self.engine, self._job.options).weights()}

    def load(self) -> None:
        if self._isolated:
            self._child().start()
        else:
            self._job.load()

    def child_cpu_seconds(self) -> float:
        return self._sandbox.cpu_seconds if self._sandbox is not None else 0.0

    def __call__(self, doc: Document) -> Document | Drop:
        if doc.html is None:
            return self._from_text(doc)
        if self._isolated:
            outcome = self._child().extract(doc.html, doc.declared_charset, doc.url, doc.content_type)
        else:
            outcome = extract_bytes(doc.html, doc.declared_charset, doc.url, self._job, doc.content_type)
        return self._verdict(doc, outcome)

    @property
    def _job(self) -> Job:
        options = Options(
            profile=self.profile,
            formulas=self.formulas,
            footnote_marks=self.footnote_marks,
            format=self.format,
            title=self.title,
            comments=self.comments,
            captions=self.captions,
            bylines=self.bylines,
            headings=self.headings,
            list_markers=self.list_markers,
            cut_lines=self.cut_lines,
        )
        return Job(self.engine, options)

    @property
    def _isolated(self) -> bool:
        return not get_engine(self.engine, self._job.options).bounded if self.isolate is None else self.isolate

    def _child(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = Sandbox(
                self._job,
                deadline_seconds=self.deadline_seconds,
                memory_mb=self.memory_mb,
                recycle_pages=self.recycle_pages,
            )
        return self._sandbox

    def _verdict(self, doc: Document, outcome: Outcome) -> Document | Drop:
        page = outcome.extraction
        if page is None:
            return Drop(outcome.reason or "step_error", value=outcome.value)
        if len(page.text) < self.min_chars:
            return Drop("no_text", value=len(page.text))
        return doc.evolve(
            html=None,
            charset=outcome.charset,
            text=page.text,
            line_tags=page.line_tags,
            line_link_share=page.line_link_share,
            line_scores=page.line_scores,
            removed_lines=self._removed(page.cut_lines) if page.cut_lines else None,
            title=page.title or doc.title,
            page_signals=dict(page.page_signals),
        )

    def _removed(self, cut: Sequence[dict[str, Any]]) -> Rows:
        columns = cut.columns if isinstance(cut, Rows) else {name: [line[name] for line in cut] for name in CUT_LINE}
        return Rows({"step": [self.step] * len(cut), **columns})

    def _from_text(self, doc: Document) -> Document | Drop:
        text = clean(doc.text or "")
        if len(text) < self.min_chars:
            return Drop("no_text", value=len(text))
        n = len(lines(text))
        return doc.evolve(text=text, line_tags=["p"] * n, line_link_share=[0.0] * n)
