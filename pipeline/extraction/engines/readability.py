"""readability's paragraph scoring (trafilatura's fork of readability-lxml) alone. Good on Chinese articles, poor on
all else."""

from __future__ import annotations

from pipeline.extraction import engines
from pipeline.extraction.engines import Page
from pipeline.extraction.engines.trafilatura import readability_lines
from pipeline.extraction.result import Line


class Engine(engines.TreeEngine):
    """Both profiles are the same."""

    def lines(self, page: Page) -> list[Line]:
        return readability_lines(page)
