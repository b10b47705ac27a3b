"""Comparisons of few documents in one process, without Spark: the marks and the state are those that Spark makes.

Starting a dozen Spark jobs takes 10 to 30 CPU seconds however few rows there are. What both ways share (keys, orders, records) is
defined in the modules here.
"""

from __future__ import annotations

from pipeline.comparison import domains, equal, lines, mixture, similar  # noqa: F401 (they register themselves)
from pipeline.comparison.base import compare_in_process

__all__ = ["compare_in_process"]
