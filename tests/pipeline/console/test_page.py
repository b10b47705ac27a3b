"""The text of a saved page, as the console prints it."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.console.app import main

PROSE = [
    "The river rises in the hills, and flows for ninety miles to the sea, past seven towns and a mill.",
    "In spring, when the snow melts, it floods the lower meadows; farmers have built dykes against it.",
    "这条河发源于山区，流经七座城镇和一座磨坊，最后注入大海。沿岸的居民世代以捕鱼为生。",
]
PAGE = (
    '<html lang="en"><head><title>T</title></head><body><nav class="menu"><ul><li><a href="/">Home</a></li></ul></nav>'
    f'<article class="post-content"><h1>The river</h1>{"".join(f"<p>{p}</p>" for p in PROSE)}</article>'
    '<div id="footer"><a href="/p">Privacy policy</a></div></body></html>'
)


def test_text_and_every_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "page.html"
    file.write_text(PAGE)
    assert main(["extract", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == ["The river", *PROSE]
    assert main(["extract", str(file), "--lines"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("- 0.")
    assert lines[0].endswith("li    1.00 navigation    Home")
    assert lines[1].startswith("+ ")


def test_another_engine_and_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(PAGE.encode())))
    assert main(["extract", "-", "--lines", "--engine", "trafilatura"]) == 0
    out = capsys.readouterr().out
    assert "+      h1    0.00               The river" in out
    assert f"p     0.00               {PROSE[2]}" in out


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
    assert main(["extract", "x", "--engine", "trafilature"]) == 2
    assert "no engine 'trafilature' (did you mean 'trafilatura'?); there are: lines" in capsys.readouterr().err


def test_help_loads_nothing_of_what_commands_need() -> None:
    code = "import sys, pipeline.console.app; print({'numpy', 'pyarrow', 'pyspark', 'trafilatura'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
