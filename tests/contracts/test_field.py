"""docs/field.md: every report was tried with a result, and every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "field.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if re.match(r"\| \S+/\S+#\d", line)
]
REPORT = re.compile(r"[\w.-]+/[\w.-]+#\d+")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)))


def test_rows_are_whole() -> None:
    for row in ROWS:
        assert len(row) == 4, row
        assert re.match(r"(?:right|mended|left: .{20,})", row[2]), row
        assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`", row[3]), row
    assert len({report for row in ROWS for report in REPORT.findall(row[0])}) >= 40


@pytest.mark.parametrize(("file", "test"), TESTS)
def test_the_tests_that_the_page_names_exist(file: str, test: str) -> None:
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
