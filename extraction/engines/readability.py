"""readability's paragraph scoring (trafilatura's fork of readability-lxml) alone. Good on Chinese articles, poor on
all else."""

from __future__ import annotations

from extraction import engines
from extraction.engines import Page
from extraction.engines.trafilatura import readability_lines
from extraction.result import Line


class Engine(engines.TreeEngine):
    """Both profiles are the same."""

    def lines(self, page: Page) -> list[Line]:
        return readability_lines(page)
