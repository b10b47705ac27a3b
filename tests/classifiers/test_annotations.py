"""The shipped annotations keep what their README and the guides say."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from classifiers import agreement
from classifiers.labelled import ANNOTATIONS, read_annotations
from classifiers.quality import labels as quality
from classifiers.safety.labels import LABELS as SAFETY
from classifiers.web_type.labels import DETAIL
from classifiers.web_type.labels import LABELS as WEB_TYPES
from extraction.domains import registered_domain

LANGUAGES = ("en", "zh")
GUIDES = Path("classifiers")
Row = dict[str, Any]


@pytest.fixture(scope="module")
def first() -> list[Row]:
    return read_annotations(ANNOTATIONS / "pages.jsonl")


@pytest.fixture(scope="module")
def second() -> list[Row]:
    return read_annotations(ANNOTATIONS / "second.jsonl")


def key(row: Row) -> tuple[str, str]:
    return row["source"], row["id"]


def test_there_are_enough_pages_in_both_languages(first: list[Row]) -> None:
    languages = Counter(row["language"] for row in first)
    assert set(languages) == set(LANGUAGES)
    assert len(first) >= 1200
    assert languages["zh"] >= 0.45 * len(first)


def test_every_page_stands_there_once(first: list[Row], second: list[Row]) -> None:
    assert len({key(row) for row in first}) == len(first)
    assert len({key(row) for row in second}) == len(second)


def test_labels_are_those_of_the_guides(first: list[Row], second: list[Row]) -> None:
    for row in [*first, *second]:
        assert row["web_type"] in WEB_TYPES, key(row)
        assert row["safety"] in SAFETY, key(row)
        assert len(row["quality"]) == len(quality.DIMENSIONS), key(row)
        assert all(type(value) is int and 0 <= value <= 3 for value in row["quality"]), key(row)
        assert row["web_type_evidence"].strip(), key(row)
        assert row["quality_evidence"].strip(), key(row)
    assert {row["web_type"] for row in first} == set(WEB_TYPES)
    assert {row["safety"] for row in first} == set(SAFETY)


def test_second_annotations_are_of_pages_that_have_a_first(first: list[Row], second: list[Row]) -> None:
    language = {key(row): row["language"] for row in first}
    assert len(second) >= 200
    assert all(language.get(key(row)) == row["language"] for row in second)
    assert {row["language"] for row in second} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_neither_verdict_is_rare(language: str, first: list[Row]) -> None:
    good = [quality.is_good(row["quality"]) for row in first if row["language"] == language]
    share = sum(good) / len(good)
    assert 0.25 <= share <= 0.75


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_site_is_more_than_a_tenth(language: str, first: list[Row]) -> None:
    """By registered domain; of pages without an address by package or repository."""
    sites = Counter(
        registered_domain(row["url"]) or row["url"] if row["url"] else row.get("repository") or row["source"]
        for row in first
        if row["language"] == language
    )
    site, pages = sites.most_common(1)[0]
    assert pages <= 0.1 * sites.total(), site


def test_pages_without_an_address_are_kept_beside_the_annotations(first: list[Row]) -> None:
    with gzip.open(ANNOTATIONS / "packages.jsonl.gz", "rt", encoding="utf-8") as file:
        kept = {key(row): row["html"] for row in map(json.loads, file)}
    wanted = {key(row) for row in first if not row["source"].endswith((".warc.gz", ".warc"))}
    assert wanted == {key(row) for row in first if row["url"] is None and "repository" not in row}
    assert wanted <= set(kept)
    assert all(kept[page].strip() for page in wanted)


def test_the_readme_is_of_these_files(first: list[Row], second: list[Row]) -> None:
    text = (ANNOTATIONS / "README.md").read_text(encoding="utf-8")
    digests = {name: value for value, name in re.findall(r"^ +([0-9a-f]{64})  (\S+)$", text, re.M)}
    files = {p.name for p in ANNOTATIONS.iterdir() if p.suffix != ".md"}
    assert files == set(digests)
    for name, value in digests.items():
        assert hashlib.sha256((ANNOTATIONS / name).read_bytes()).hexdigest() == value, name
    for rows, said in (
        (first, r"([\d,]+) pages, ([\d,]+) of them Chinese"),
        (second, r"of ([\d,]+) of them, ([\d,]+) Chin"),
    ):
        counts = re.search(said, text)
        assert counts is not None
        assert [int(n.replace(",", "")) for n in counts.groups()] == [
            len(rows),
            sum(r["language"] == "zh" for r in rows),
        ]


def test_the_guide_to_quality_counts_as_the_code_does() -> None:
    text = (GUIDES / "quality" / "GUIDE.md").read_text(encoding="utf-8")
    examples = re.findall(r"\| ([0-3](?: [0-3]){4}) \| ([01]\.\d\d) \|$", text, re.M)
    assert len(examples) >= 5
    for numbers, said in examples:
        assert f"{quality.score([int(n) for n in numbers.split()]):.2f}" == said, numbers
    assert re.findall(r"^\| `(\w+)`", text, re.M) == list(quality.DIMENSIONS)
    assert f"at least {quality.GOOD}" in text


def test_what_good_is() -> None:
    assert quality.score([3, 3, 3, 3, 3]) == 1.0
    assert quality.score([0, 0, 0, 0, 0]) == 0.0
    assert quality.is_good([2, 2, 2, 2, 2]) is False
    assert quality.is_good([2, 2, 2, 2, 3]) is True  # 14 of 18
    assert quality.is_good([3, 3, 3, 3, 1]) is False  # 14 of 18, but nothing is learned
    assert quality.is_good([3, 2, 2, 2, 2]) is False  # 13 of 18


@pytest.mark.parametrize(("name", "labels"), [("web_type", WEB_TYPES), ("safety", SAFETY)])
def test_the_guides_define_these_labels(name: str, labels: tuple[str, ...]) -> None:
    text = (GUIDES / name / "GUIDE.md").read_text(encoding="utf-8")
    table = text.split("## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == list(labels)
    assert set(DETAIL) < set(WEB_TYPES)


def kappas(figures: Row) -> list[float]:
    return [*(figures[name] for name in ("web_type", "keep", "good", "safety")), *figures["dimensions"].values()]


def test_agreement_of_the_two_annotations(second: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    report = agreement.report()
    assert report["all"]["pages"] == len(second)
    assert report["English"]["pages"] + report["Chinese"]["pages"] == len(second)
    for figures in report.values():
        assert all(0 < value <= 1 for value in kappas(figures))
        assert 0.5 < figures["auc_of_second_score"] <= 1
    assert agreement.main() == 0
    assert json.loads(capsys.readouterr().out) == report


def test_equal_annotations_agree_wholly(second: list[Row]) -> None:
    figures = agreement.agreement([(row, row) for row in second])
    assert kappas(figures) == [1.0] * (4 + len(quality.DIMENSIONS))
    assert figures["share_good"][0] == figures["share_good"][1]
    other = [{**row, "web_type": second[i - 1]["web_type"]} for i, row in enumerate(second)]
    assert agreement.agreement(list(zip(second, other, strict=True)))["web_type"] < 0.5
