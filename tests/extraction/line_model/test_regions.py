"""The decision over regions: pools of scores, expected F1 over lines that stand or fall together, kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.clutter.reference import KEPT, letters
from classifiers.clutter.reference import KINDS as LETTERS
from extraction.line_model.kinds import CONTENT, KINDS
from extraction.line_model.model import load, region_columns
from extraction.line_model.regions import COLUMNS, cut
from extraction.lines import Scan, scan, scan_text

TEXT = "".join(f"<p>Sentence {i}, with a comma, of the text that the page is about.</p>" for i in range(4))
TEASERS = "".join(f"<li><a href=/{i}>Another story, number {i}, of other things entirely</a></li>" for i in range(12))
PAGE = f"<body><article><h1>The title</h1>{TEXT}</article><ul class=related>{TEASERS}</ul></body>"


def page(html: str = PAGE) -> Scan:
    return scan(html.encode())


def probabilities(of: Scan, text: float, teasers: float) -> npt.NDArray[np.float64]:
    """`text` for the lines before the list, `teasers` for those of the list."""
    return np.array([text] * (len(of.lines) - 12) + [teasers] * 12)


def kept(of: Scan, p: npt.NDArray[np.float64], floor: float = 0.1) -> list[bool]:
    chosen: list[bool] = cut(of.elements, of.lines, p, floor).tolist()
    return chosen


def test_a_list_of_teasers_is_one_decision_and_not_as_many_as_it_has_lines() -> None:
    of = page()
    # Twelve lines at .45 are, one by one, 5.4 lines of content: enough to lower the bound below .45 if they were so.
    assert kept(of, probabilities(of, 0.99, 0.45)) == [True] * 5 + [False] * 12
    assert kept(of, probabilities(of, 0.99, 0.9)) == [True] * 17


def test_lines_below_the_floor_are_cut_whatever_the_rest() -> None:
    of = page()
    assert kept(of, probabilities(of, 0.05, 0.04)) == [False] * 17
    assert kept(of, probabilities(of, 0.2, 0.15), floor=0.18) == [True] * 5 + [False] * 12


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=17, max_size=17), st.floats(0, 0.5))
def test_the_cut_is_by_probability(values: list[float], floor: float) -> None:
    of = page()
    p = np.array(values)
    chosen = np.array(kept(of, p, floor))
    if chosen.any():
        assert p[chosen].min() >= floor
        assert not (p[~chosen] >= p[chosen].min()).any()
    assert chosen.tolist() == kept(of, p, floor)


def column(of: npt.NDArray[np.float32], name: str) -> list[float]:
    values: list[float] = of[:, COLUMNS.index(name)].tolist()
    return values


def test_scores_are_pooled_over_what_holds_a_line() -> None:
    of = page()
    scores = np.where(probabilities(of, 1, 0) > 0, 3.0, -3.0)
    x = region_columns(of, scores)
    assert np.isfinite(x).all()
    assert set(column(x, "score of the siblings, 0 up")[1:]) == {3.0, -3.0}
    assert set(column(x, "siblings, 0 up")[5:]) == {12}
    assert column(x, "is the longest run") == [1] * 5 + [-1] * 12
    assert column(x, "lines to the longest run") == [0] * 5 + list(range(1, 13))
    assert column(x, "lines since a sure one") == [0] * 5 + list(range(1, 13))
    assert column(x, "low lines since a sure one")[-1] == 12
    assert len(set(column(x, "content of the page"))) == 1


@pytest.mark.parametrize(
    "html", ["<p>one", "<table><tr><td>a<td>b</table>", "text", "<h1>T</h1>", "<p>" * 600 + "deep"]
)
def test_any_page_has_finite_columns(html: str) -> None:
    of = page(html)
    x = region_columns(of, np.linspace(-9, 9, len(of.lines)))
    assert np.isfinite(x).all()


def test_plain_lines_stand_in_one_region() -> None:
    of = scan_text(["One line, of text.", "Menu", "Another line, of text."])
    x = region_columns(of, np.array([2.0, -2.0, 2.0]))
    assert len(set(column(x, "score, 0 up"))) == 1
    assert np.isfinite(x).all()


def test_kinds_are_those_of_the_guide() -> None:
    assert tuple(LETTERS.values()) == KINDS
    assert tuple(LETTERS[letter] for letter in KEPT) == CONTENT


def test_regions_of_annotations_cover_every_line() -> None:
    assert letters("0-2 n,3 h,4-5 m") == "nnnhmm"
    for wrong in ("1 n", "0-2 n,4 h", "0 x"):
        with pytest.raises(ValueError, match="expected a range"):
            letters(wrong)


COMMENTS = "".join(
    f"<li class=comment><b class=comment-author>Reader {i}</b><p class=comment-body>I do not agree with this.</p></li>"
    for i in range(5)
)
STORY = (
    "<html><head><title>Floods in the north</title></head><body><nav class=menu>"
    "<ul><li><a href=/>Home</a><li><a href=/a>Sport</a>"
    "</ul></nav><article class=post><h1 class=entry-title>Floods in the north</h1>"
    + "".join(
        f"<p>The river rose by {i} metres in the night, said the mayor, and the lower town was under water by the morning.</p>"
        for i in range(2, 9)
    )
    + f"</article><section id=comments class=comments><h2>Comments (5)</h2><ol class=comment-list>{COMMENTS}</ol></section>"
    "<footer id=footer class=site-footer><p>Copyright 2024 Example. All rights reserved.</p></footer></body></html>"
)


def test_kinds_of_a_plain_story() -> None:
    of = page(STORY)
    _, numbers = load("dom").judge(of)
    kinds: list[Any] = [KINDS[number] for number in numbers.tolist()]
    assert kinds[0] == kinds[1] == "navigation"
    assert kinds[2] == "headline"
    assert set(kinds[3:10]) == {"main text"}
    assert "comments" in kinds[10:-1]
    assert kinds[-1] in ("legal", "boilerplate")
