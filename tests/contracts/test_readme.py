"""The README's first screen."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_first_screen_sells_then_shows() -> None:
    """In the first 30 lines: what it is, the two commands, a picture that is there, peers beside it."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    first = "\n".join(lines[:30])
    commands = [line.split("#")[0].strip() for line in lines if line.startswith("    ")]
    assert commands[:2] == ["make demo", "make test"]
    picture = first.partition("](docs/pictures/")[2].partition(")")[0]
    assert (ROOT / "docs" / "pictures" / picture).stat().st_size > 10_000
    assert "| measured | corpusmill | beside it |" in first
