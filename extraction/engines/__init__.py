"""Engines: HTML text to main content. One file each; the file's name is the engine's name.

An engine is a subclass of `Engine`, or of `TreeEngine`, in a module of this folder, found by the module's name:

    class Engine(engines.TreeEngine):
        def lines(self, page: Page) -> list[Line]: ...
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import gc
import importlib
import pkgutil
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from extraction.decode import decode
from extraction.footnotes import without_footnote_marks
from extraction.prepare import Prepared, check_size, prepare
from extraction.result import Extraction, Line, assemble
from extraction.signals import page_signals
from extraction.text import unwrapped
from extraction.xhtml import as_html, is_xhtml, may_be_xhtml

_FORMULAS = ("<math", "math/tex", "MathJax", "mathjax", "katex", "latex", "data-tex", "mimetex")
"""What pages with formulas have: the scanner, which finds them, takes longer than a look for these."""

PROFILES = ("full", "fast")
Format = Literal["text", "markdown"]
Choice = Literal["auto", "keep", "cut"]


@dataclass(frozen=True, slots=True)
class Page:
    """A page to extract from: the decoded HTML with and without its scripts, and its URL if known."""

    html: str
    prepared: Prepared
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How to extract. All but `profile`, `formulas` and `footnote_marks` are for the engine `lines`.

    :param profile: `full`, or `fast`: nearly as good at less cost, where an engine can.
    :param formulas: `dollars` writes formulas as TeX, `$...$` or, set off, `$$...$$`; `off` leaves them as the page shows them.
    :param footnote_marks: `keep` leaves `[1]` and raised numbers of notes in the text, `cut` takes them out of the page first.
    :param format: `markdown` writes headings, lists, quotations, fenced code and tables as Markdown does, with blank lines.
    :param title: `prepend` lets the text begin with the page's headline, once; `separate` leaves it where the model keeps it.
    :param comments: `auto` as the model decides (threads of a forum stay, comments of readers under a text go), `keep` or `cut`
        all that it takes for comments.
    :param captions: the same for captions.
    :param bylines: the same for the author and date at the headline.
    :param headings: of the format `text`: `markdown` puts "#" before headings, by their level.
    :param list_markers: of the format `text`: put "- " or "1. " before the items of lists, indented by their depth.
    :param cut_lines: tell the lines that the engine cut.
    :raises ValueError: for an unknown profile or format; the message lists the known ones.
    """

    profile: str = "full"
    formulas: Literal["dollars", "off"] = "dollars"
    footnote_marks: Literal["keep", "cut"] = "keep"
    format: Format = "text"
    title: Literal["prepend", "separate"] = "prepend"
    comments: Choice = "auto"
    captions: Choice = "auto"
    bylines: Choice = "auto"
    headings: Literal["plain", "markdown"] = "plain"
    list_markers: bool = False
    cut_lines: bool = True

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise ValueError(f"unknown profile {self.profile!r}; expected one of: {', '.join(PROFILES)}")
        if self.format not in get_args(Format):
            raise ValueError(f"unknown format {self.format!r}; expected one of: {', '.join(get_args(Format))}")
        for name in ("comments", "captions", "bylines"):
            if getattr(self, name) not in get_args(Choice):
                raise ValueError(
                    f"unknown value {getattr(self, name)!r} of {name}; expected one of: {', '.join(get_args(Choice))}"
                )
        if self.title not in ("prepend", "separate"):
            raise ValueError(f"unknown value {self.title!r} of title; expected one of: prepend, separate")
        if self.footnote_marks not in ("keep", "cut"):
            raise ValueError(f"unknown value {self.footnote_marks!r} of footnote_marks; expected one of: keep, cut")


class Engine(abc.ABC):
    """Extracts the main content of pages. Holds no state between pages: the same page gives the same text at any
    time."""

    bounded: ClassVar[bool] = False
    """True if time and memory are bounded by the size of the page, whatever is in it: then no child process is needed."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def load(self) -> None:  # noqa: B027  # most need nothing
        """Load what the engine needs, once per worker process."""

    def weights(self) -> dict[str, str]:
        """Names and SHA-256 of weights that the results depend on."""
        return {}

    @abc.abstractmethod
    def extract(self, html: str, url: str | None = None) -> Extraction:
        """Main content of a decoded page, with title and signals.

        :raises TooLarge: if the page is beyond the guards.
        """

    def extract_bytes(
        self, html: bytes, declared_charset: str | None, url: str | None, content_type: str | None = None
    ) -> tuple[Extraction, str]:
        """Extract from a page as it came: what `extract` returns, and the encoding that the page had.

        :param content_type: media type of the HTTP header, if known: XHTML is read as XML.
        """
        decoded = decode(html, declared_charset)
        text = decoded.text
        if may_be_xhtml(text):
            data = text.encode("utf-8", "replace")
            text = as_html(data).decode("utf-8") if is_xhtml(data, content_type) else text
        return self.extract(text, url), decoded.charset


class TreeEngine(Engine):
    """An engine that parses the page into a tree, without its scripts."""

    @abc.abstractmethod
    def lines(self, page: Page) -> list[Line]:
        """The blocks of the main content, in page order; empty if there is none."""

    def extract(self, html: str, url: str | None = None) -> Extraction:
        """Extract as `Engine` says. Without garbage collection in between: it finds nothing in lxml's trees."""
        check_size(html)
        if self.options.footnote_marks == "cut":
            html = without_footnote_marks(html.encode("utf-8", "replace")).decode("utf-8", "replace")
        if self.options.formulas == "dollars" and any(mark in html for mark in _FORMULAS):
            from extraction.lines.formulas import scan_with_formulas

            html = scan_with_formulas(html.encode("utf-8", "replace"))[0].decode("utf-8", "replace")
        html = unwrapped(html)
        prepared = prepare(html)
        collecting = gc.isenabled()
        gc.disable()
        try:
            title, signals = page_signals(prepared)
            return dataclasses.replace(
                assemble(self.lines(Page(html, prepared, url))), title=title, page_signals=signals
            )
        finally:
            if collecting:
                gc.enable()


@functools.cache
def engine_names() -> tuple[str, ...]:
    """Names of the engines there are."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__)))


@functools.cache
def get_engine(name: str, options: Options = Options()) -> Engine:
    """The engine of that name.

    :raises ValueError: for an unknown name; the message lists the known ones.
    """
    if name not in engine_names():
        raise ValueError(f"unknown engine {name!r}; known engines: {', '.join(engine_names())}")
    engine = importlib.import_module(f"{__name__}.{name}").Engine(options)
    assert isinstance(engine, Engine)
    return engine
