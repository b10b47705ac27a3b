"""Titles without the site's name."""

from __future__ import annotations

import pytest

from extraction import extract
from extraction.headline import without_site


@pytest.mark.parametrize(
    ("title", "site", "headline", "left"),
    [
        ("Floods in the north | Example News", "Example News", None, "Floods in the north"),
        ("Floods in the north - Example", None, "Floods in the north", "Floods in the north"),
        ("Example News: Floods", "Example News", None, "Example News: Floods"),
        ("Example News | Floods in the north", "Example News", None, "Floods in the north"),
        ("5月LPR按兵不动_经济_财经网", None, "5月LPR按兵不动", "5月LPR按兵不动"),
        ("悲壮！布伦森骨折_搜狐", "搜狐", None, "悲壮！布伦森骨折"),
        ("State-of-the-art pumps", "pumps", None, "State-of-the-art pumps"),
        ("A - B - C", None, None, "A - B - C"),
        ("News | Example News", "Example News", None, "News | Example News"),
        ("A | Example News", "Example News", None, "A | Example News"),  # too little is left
        ("Floods", "Floods", None, "Floods"),
        (None, "Example", "Floods", None),
        ("", "Example", "Floods", ""),
    ],
)
def test_the_site_goes_where_it_is_known(title: str, site: str | None, headline: str | None, left: str) -> None:
    assert without_site(title, site, headline) == left


PROSE = "".join(
    f"<p>The river rose by {i} metres in the night, said the mayor, and the lower town was under water by morning.</p>"
    for i in range(2, 9)
)
STORY = (
    "<html><head><title>Floods in the north | Example</title></head><body><div class=top><a href=/>Example</a></div>"
    f"<article class=post><p class=byline>By Ann Lee, 3 May 2019</p><h1>Floods in the north</h1>{PROSE}</article></body></html>"
)


def test_the_headline_stands_once_at_the_head() -> None:
    lines = extract(STORY).text.split("\n")
    assert lines[0] == "Floods in the north"
    assert lines.count("Floods in the north") == 1
    assert extract(STORY).title == "Floods in the north"
    twice = STORY.replace("<article class=post>", "<article class=post><h1>Floods in the north</h1>")
    assert extract(twice).text.split("\n").count("Floods in the north") == 1


def test_arrays_follow_the_headline_to_its_place() -> None:
    found = extract(STORY)
    n = len(found.text.split("\n"))
    assert n == len(found.line_tags) == len(found.line_link_share)
    assert found.line_scores is not None
    assert found.line_kinds is not None
    assert n == len(found.line_scores) == len(found.line_kinds)
    assert found.line_tags[0] == "h1"


def test_the_headline_is_first_in_markdown_too() -> None:
    lines = extract(STORY, format="markdown", bylines="keep").text.split("\n")
    assert lines[:3] == ["# Floods in the north", "", "By Ann Lee, 3 May 2019"]
    assert lines.count("# Floods in the north") == 1


def test_kinds_are_kept_or_cut_by_option() -> None:
    byline = "By Ann Lee, 3 May 2019"
    assert byline in extract(STORY, bylines="keep").text.split("\n")
    assert byline not in extract(STORY, bylines="cut").text.split("\n")
    with pytest.raises(ValueError, match="unknown value 'x' of comments; expected one of: auto, keep, cut"):
        extract(STORY, comments="x")
