"""Progress of a stage: lines where nobody watches, one bar in a terminal."""

from __future__ import annotations

import io
import re
import time

from pipeline.progress import Progress, _message, _time


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def stage(progress: Progress) -> None:
    """A stage of two phases; of the first, one of four units is found finished and two more are done."""
    with progress.whole(2):
        with progress.phase("extract"), progress.units(4, 1, lambda: (2, 300)):
            time.sleep(0.5)
        with progress.phase("publish"):
            progress.say("published")


def test_lines_tell_units_pages_and_time_left() -> None:
    out = io.StringIO()
    stage(Progress("preparation", out, every=0.1))
    lines = out.getvalue().splitlines()
    assert any(
        re.fullmatch(
            r"\[preparation\] 1/2 extract: 3 of 4 units, 300 pages, [\d,]+ pages/s, \d+ s, about \d+ s left", line
        )
        for line in lines
    )
    assert "[preparation] published" in lines
    assert re.fullmatch(r"\[preparation\] 1/2 extract: 4 of 4 units, 1 of them found finished, 0\.\d s", lines[-2])


def test_a_terminal_shows_one_bar() -> None:
    out = Terminal()
    stage(Progress("preparation", out, every=0.1))
    shown = out.getvalue()
    assert "━" in shown
    assert "1/2 extract: 3 of 4 units, 300 pages" in shown
    assert "2/2 publish" in shown
    assert "[preparation] published" in shown


def test_nothing_is_promised_before_something_is_done() -> None:
    assert _message(2, 10, 2, 0, 30.0) == "2 of 10 units, 30 s"
    assert _message(4, 10, 2, 800, 40.0) == "4 of 10 units, 800 pages, 20 pages/s, 40 s, about 2 min left"
    assert [_time(s) for s in (119, 120, 7200)] == ["119 s", "2 min", "2.0 h"]
