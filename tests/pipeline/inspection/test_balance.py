"""`pipeline.inspection.balance`: what is counted of which output, how tokens are estimated, what is printed and drawn."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.config import StageConfig, dump, load, parse
from pipeline.console.app import main
from pipeline.inspection import balance
from pipeline.outputs import InputFile, Manifest, PublishedFile
from pipeline.schema import Document, to_table
from pipeline.storage import write_json
from pipeline.strict import UserError
from pipeline.tokenization.plan import Count

ROOT = Path(__file__).resolve().parents[3]
CONFIG = str(ROOT / "configs" / "tokenization.yaml")


def document(i: int, **values: Any) -> Document:
    return Document(doc_id=f"{i:032x}", source_file="a", **values)


PAGES = [
    *(document(i, language="en", category="recipe", text="a" * 464, domain="a.com") for i in range(30)),
    *(document(i, language="zh", category="statute", text="春" * 380, domain="b.com") for i in range(30, 40)),
    *(document(i, language=None, category=None, text="b" * 400, domain="c.com") for i in range(40, 50)),
]


def output(
    folder: Path, docs: list[Document], stage: str = "model_based", inputs: Any = (), sha256: str = "0" * 64
) -> str:
    """An output of files of kept and of dropped rows, ten rows a row group."""
    manifest = Manifest(stage=stage, fingerprint={}, inputs=list(inputs))
    for verdict in ("kept", "dropped"):
        chosen = [d for d in docs if d.is_dropped == (verdict == "dropped")]
        name = f"documents/verdict={verdict}/part.parquet"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(to_table(chosen), folder / name, row_group_size=10)
        manifest.files.append(PublishedFile(name, verdict, len(chosen), 0, sha256, 0))  # type: ignore[arg-type]
    write_json(str(folder / "_manifest.json"), manifest.to_json())
    return str(folder)


def config(source: str, to: Path, *overrides: str, validation_share: float = 0.0) -> StageConfig:
    return load(
        CONFIG,
        [
            f"input.paths=[{source}]",
            f"output.path={to}",
            f"steps.shards.validation_share={validation_share}",
            *overrides,
        ],
    )


def tokens_of(counted: balance.Counted) -> dict[str | None, Count]:
    return {cell[0]: n for cell, n in counted.counts[0].items()}


def test_tokens_are_estimated_by_language_from_a_stage_without_tokens(tmp_path: Path) -> None:
    dropped = document(99, language="en", category="recipe", text="c" * 9_999, drop_step="quality")
    source = output(tmp_path / "in", [*PAGES, dropped])
    counted = balance.count(config(source, tmp_path / "out"))
    assert counted.estimated
    # 464 bytes at 4.65 a token, 1,140 at 3.80, 400 at 4, and the end of the document
    assert tokens_of(counted) == {
        "recipe": Count(30, 30 * 101),
        "statute": Count(10, 10 * 301),
        None: Count(10, 10 * 101),
    }
    assert counted.line() == f"counts of {source}: tokens estimated from bytes"


def test_counted_tokens_are_taken_where_the_output_is_of_this_input(tmp_path: Path) -> None:
    source = output(tmp_path / "in", PAGES)
    file = f"{source}/documents/verdict=kept/part.parquet"
    made = [
        document(0, language="en", category="recipe", n_tokens=7, copies=2, domain="a.com"),
        document(1, language="en", category="recipe", n_tokens=8, domain="a.com", drop_step="shards"),
        document(2, language="en", category="recipe", n_tokens=9, domain="a.com", drop_step="tokenize"),
    ]
    inputs = [InputFile(file, {"sha256": "0" * 64, "rows": 50}, 0, 0)]
    out = tmp_path / "out"
    output(out, made, "tokenization", inputs)
    counted = balance.count(config(source, out))
    assert (counted.estimated, tokens_of(counted)) == (False, {"recipe": Count(2, 15)})  # no copies: took part, too
    assert counted.line() == f"counts of {out}: tokens as counted"
    output(tmp_path / "in", PAGES, sha256="1" * 64)  # the input has changed since
    assert balance.count(config(source, out)).outputs == [source]
    assert balance.count(config(source, out), str(out)).outputs == [str(out)]


def test_validation_documents_take_no_part(tmp_path: Path) -> None:
    source = output(tmp_path / "in", [document(i, language="en", text="a", domain=f"{i}.com") for i in range(400)])
    counted = balance.count(config(source, tmp_path / "out", validation_share=0.25))
    assert 270 < tokens_of(counted)[None].documents < 330


def test_of_a_large_output_every_nth_row_group_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [document(i, language="en", category="recipe", text="a" * 464) for i in range(400)]
    source = output(tmp_path / "in", pages)
    whole = balance.count(config(source, tmp_path / "out"))
    monkeypatch.setattr(balance, "SAMPLE_BYTES", 10_000)
    part = balance.count(config(source, tmp_path / "out"))
    assert part.every > 1
    assert part.line().endswith(f"; from 1 row group in {part.every}")
    assert part.counts == whole.counts  # all pages are alike, so the part says what the whole does


def test_empty_output(tmp_path: Path) -> None:
    source = output(tmp_path / "in", [])
    plans = balance.plans_of(config(source, tmp_path / "out"), balance.count(config(source, tmp_path / "out")))
    assert plans[0].tokens_after == 0


def test_a_changed_weight_is_seen_in_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = output(tmp_path / "in", PAGES)
    lines = []
    for weight in (1, 3):
        arguments = [
            "balance",
            source,
            "--config",
            CONFIG,
            "--set",
            f"steps.shards.mixture.weights.category.statute={weight}",
        ]
        assert main([*arguments, "--set", "steps.shards.mixture.shares.language=null"]) == 0
        printed = capsys.readouterr().out.splitlines()
        (line,) = [li for li in printed if li.startswith("category statute")]
        lines.append(line.split())
        for name in ("language zh", "group food", "category (none)"):
            assert any(li.startswith(name) for li in printed)
        assert printed[-1].startswith("to write it: spark-submit")
    before, after = lines
    assert before[4:6] == after[4:6]
    odds = [share / (100 - share) for share in (float(before[8]), float(after[8]))]  # of shares after, in per cent
    assert odds[1] == pytest.approx(3 * odds[0], rel=1e-2)


def test_the_command_that_writes_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = output(tmp_path / "in", PAGES)
    out = tmp_path / "out"
    override = f"output.path={out}"
    assert main(["balance", source, "--config", CONFIG, "--set", override]) == 0
    command = f"spark-submit jobs/tokenization.py --config {CONFIG} --set '{override}'"
    assert capsys.readouterr().out.splitlines()[-1] == f"to write it: {command}"
    output(out, [], "tokenization")
    assert main(["balance", source, "--config", CONFIG, "--set", override]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"to write it: {command} --set 'run.overwrite=true'"


def test_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = output(tmp_path / "in", PAGES)
    file = tmp_path / "mixture.svg"
    assert main(["balance", source, "--config", CONFIG, "--picture", str(file)]) == 0
    assert f"picture: {file}" in capsys.readouterr().out
    texts = [e.text for e in ElementTree.parse(file).iter() if e.tag.endswith("text")]
    assert {"before", "target", "after", "language", "group", "category", "recipe", "food", "(none)"} <= set(texts)
    made = config(source, tmp_path / "out")
    (plan,) = balance.plans_of(made, balance.count(made)).values()
    (recipe,) = [s for s in plan.shares if s.value == "recipe"]
    assert f"{100 * (recipe.share_before or 0):.1f} % → {100 * (recipe.share_after or 0):.1f} %" in texts
    widths = [float(e.attrib["width"]) for e in ElementTree.parse(file).iter() if e.attrib.get("height") == "7"]
    assert max(widths) == 480
    assert len(widths) == 3 * sum(bool(s.documents or s.target) for s in plan.shares)


def test_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["balance", str(tmp_path), "--config", CONFIG]) == 2
    assert "is not a finished stage output" in capsys.readouterr().err
    assert main(["balance", "x", "--config", str(ROOT / "configs" / "model_based.yaml")]) == 2
    assert "is for stage 'model_based'" in capsys.readouterr().err
    assert main(["balance", "x", "--config", CONFIG, "--set", "steps.shards.mixture.weights.group.fod=2"]) == 2
    assert "unknown group 'fod'; did you mean 'food'" in capsys.readouterr().err
    other = parse({**dump(load(CONFIG)), "stage": "model_based", "steps": []})
    with pytest.raises(UserError, match="the mixture is in that of tokenization"):
        balance.shards_of(other)
