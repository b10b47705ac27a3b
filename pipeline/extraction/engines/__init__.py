"""Engines: HTML text to main content. One file each; the file's name is the engine's name.

An engine is a subclass of `Engine` in a module of this folder, found by the module's name:

    class Engine(engines.Engine):
        def extract(self, page: Page) -> Extraction: ...
"""

from __future__ import annotations

import abc
import functools
import importlib
import pkgutil
from dataclasses import dataclass

from pipeline.extraction.prepare import Prepared
from pipeline.extraction.result import Extraction, Line, assemble
from pipeline.extraction.signals import page_signals

PROFILES = ("full", "fast")


@dataclass(frozen=True, slots=True)
class Page:
    """A page to extract from: the decoded HTML with and without its scripts, and its URL if known."""

    html: str
    prepared: Prepared
    url: str | None = None


class Engine(abc.ABC):
    """Extracts the main content of pages. Holds no state between pages: the same page gives the same text at any
    time."""

    def __init__(self, profile: str = "full") -> None:
        if profile not in PROFILES:
            raise ValueError(f"unknown profile {profile!r}; expected one of: {', '.join(PROFILES)}")
        self.profile = profile

    @abc.abstractmethod
    def lines(self, page: Page) -> list[Line]:
        """The blocks of the main content, in page order; empty if there is none."""

    def extract(self, page: Page) -> Extraction:
        """Main content with title and signals."""
        title, signals = page_signals(page.prepared)
        text, tags, shares = assemble(self.lines(page))
        return Extraction(text, tags, shares, title, signals)


@functools.cache
def engine_names() -> tuple[str, ...]:
    """Names of the engines there are."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__)))


@functools.cache
def get_engine(name: str, profile: str = "full") -> Engine:
    """The engine of that name.

    :raises ValueError: for an unknown name or profile; the message lists the known ones.
    """
    if name not in engine_names():
        raise ValueError(f"unknown engine {name!r}; known engines: {', '.join(engine_names())}")
    engine = importlib.import_module(f"{__name__}.{name}").Engine(profile)
    assert isinstance(engine, Engine)
    return engine
