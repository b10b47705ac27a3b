"""Generated files that need no run are what their generators make of the repository as it is."""

from __future__ import annotations

import json

import pytest

from scripts import golden, made_pages


@pytest.mark.parametrize("generator", golden.PAGES)
def test_generated_files_are_current(generator: str) -> None:
    assert golden.stale(golden.PAGES[generator]()) == []


def test_a_stale_file_is_named_with_the_command() -> None:
    (problem,) = golden.stale({"docs/funnel.md": "another\n"})
    assert problem.startswith("docs/funnel.md is stale, run `make golden`: ")
    assert golden.stale({}) == []


def test_what_changed_is_said_by_file() -> None:
    before = {"a": ["1", "2"], "b": ["1"]}
    assert golden.changes(before, {"a": ["1", "3", "4"], "b": ["1"], "c": ["1"]}) == [
        "changed: a (+2 -1 lines)",
        "changed: c (+1 -0 lines)",
    ]
    assert golden.changes(before, before) == []


def test_a_step_that_no_longer_acts_is_told() -> None:
    acts, silent = ({"rule_based": {"steps": {"x": {"dropped": d}}}} for d in ({"r": 1}, {}))
    assert golden.silenced(acts, silent) == golden.silenced(acts, {}) == ["rule_based.x"]
    assert golden.silenced(silent, acts) == golden.silenced(acts, acts) == []


def test_made_pages_have_addresses_of_their_own() -> None:
    (text,) = made_pages.pages().values()
    urls = [json.loads(line)["url"] for line in text.splitlines()]
    assert len(urls) == len(set(urls)) >= 20
    assert all(list(made_pages.examples(step)) for step in (*made_pages.PAGES, *made_pages.TEXTS))
