"""The console tool on all stages' outputs of all sample pages; `run` as a user starts it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pipeline.console.app import app
from pipeline.inspection.validate import validate_output
from pipeline.outputs import read_record
from pipeline.stage import STAGES
from pipeline.strict import UserError
from pipeline.tokenization.shards import read_manifest as read_shard_manifest
from tests.conftest import SAMPLE
from tests.spark.helpers import ROOT, rows

COMMANDS = sorted(c.callback.__name__.replace("_", "-") for c in app.registered_commands if c.callback is not None)


def call(*arguments: str) -> str:
    """Standard output of a command that ends well."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def mistake(*arguments: str) -> str:
    """What is said of a mistake."""
    with pytest.raises(UserError) as error:
        CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return str(error.value)


def test_help_names_every_command_with_an_example() -> None:
    shown = call("--help")
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", shown)
        assert f"corpusmill {name}" in call(name, "--help"), f"{name} --help has no example"
    assert {"run", "status", "explain", "sample", "whatif", "balance", "report", "estimate", "validate"} <= set(
        COMMANDS
    )
    assert {"rules", "sites", "unsafe-sites", "contamination", "inspect", "extract", "remove"} <= set(COMMANDS)
    assert "lists" in shown
    assert "--install-completion" in shown


def test_status_and_funnel(chain: Path) -> None:
    shown = call("status", str(chain))
    for stage in STAGES:
        assert re.search(rf"{stage}\s+finished\s+\d", shown)
    assert "duplicate_body" in call("funnel", str(chain))
    assert "no stage output here" in mistake("status", str(chain / "preparation" / "documents"))


def test_status_of_a_stopped_run_says_how_far_it_is(chain: Path, tmp_path: Path) -> None:
    shutil.copytree(chain / "preparation", tmp_path / "preparation")
    plan = {
        "fingerprint": {"stage": "preparation"},
        "files": [{"path": "a"}, {"path": "b"}, {"path": "c"}],
        "discard": False,
        "started": "",
    }
    work = tmp_path / "preparation" / "_work"
    receipts = work / "pass" / "round-0" / "receipts"
    receipts.mkdir(parents=True)
    (receipts / "1.json").write_text("{}")
    (work / "plan.json").write_text(json.dumps(plan))
    shown = call("status", str(tmp_path))
    assert re.search(r"preparation\s+stopped", shown)
    assert "round 1: 1 of 3 units done; the same command goes on from there" in shown
    assert re.search(r"tokenization\s+not begun", shown)
    result = CliRunner().invoke(app, ["validate", str(tmp_path)])
    assert result.exit_code == 1
    assert "stopped; round 1: 1 of 3 units done" in result.output


def test_run_compares_all_stages_before_it_begins(chain: Path, tmp_path: Path) -> None:
    shutil.copytree(chain / "model_based", tmp_path / "model_based")
    message = mistake(
        "run", str(SAMPLE / "odd"), "--out", str(tmp_path), "--configs", str(ROOT / "configs"), "--set",
        "model_based.steps.quality.min=0.9",
    )  # fmt: skip
    assert "was made by another configuration; nothing was run" in message
    assert "steps.quality.parameters.min" in message
    assert [p.name for p in tmp_path.iterdir()] == ["model_based"]


def test_sample_shows_pages_with_their_cut_lines(chain: Path) -> None:
    shown = call("sample", str(chain), "--step", "short_lines", "-n", "1")
    assert "dropped short_lines: too_many_short_lines" in shown
    assert "[extract_text]" in shown
    kept = call("sample", str(chain), "--stage", "model_based", "--kept", "--language", "zh", "-n", "2")
    assert kept.count("model_based kept") == 2
    assert "quality 0." in kept
    assert "there were dropped pages of" in mistake("sample", str(chain), "--step", "no_such_step")
    assert "no step 'shortlines' (did you mean 'short_lines'?)" in mistake("sample", str(chain), "--step", "shortlines")


def test_explain_whatif_balance_report_config(chain: Path, tmp_path: Path) -> None:
    row = next(r for r in rows(chain / "rule_based", "dropped").to_pylist() if r["drop_step"] == "word_count")
    assert "DROPPED too_few_words" in call("explain", str(chain), row["doc_id"])
    shown = call("whatif", str(chain / "rule_based"), "--set", "steps.word_count.min.en=200")
    assert "newly dropped" in shown
    assert "threshold" in call("whatif", str(chain / "rule_based"), "--curve", "word_count")
    picture = tmp_path / "shares.svg"
    config = str(ROOT / "configs" / "tokenization.yaml")
    shown = call("balance", str(chain / "tokenization"), "--config", config, "--picture", str(picture))
    assert "category" in shown
    assert picture.read_text().startswith("<svg")
    shutil.copytree(chain / "rule_based", tmp_path / "rule_based")
    shown = call("report", str(tmp_path / "rule_based"), "--number", "1")
    assert shown.strip() == str(tmp_path / "rule_based" / "report.html")
    stored = yaml.safe_load(call("config", str(chain), "--stage", "rule_based"))
    assert stored == read_record(str(chain / "rule_based")).config
    config, override = str(ROOT / "configs" / "rule_based.yaml"), f"input.paths=[{chain / 'preparation'}]"
    assert "core hours" in call("estimate", config, "--set", override, "--cores", "64")


def test_validate_finds_what_is_wrong_with_an_output(chain: Path, tmp_path: Path) -> None:
    assert "as it should be" in call("validate", str(chain))
    assert "as it should be" in call("validate", str(ROOT / "configs" / "preparation.yaml"))
    folder = tmp_path / "tokenization"
    shutil.copytree(chain / "tokenization", folder)
    kept = next((folder / "documents" / "verdict=kept").glob("*.parquet"))
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    (lost,) = (folder / "documents" / "verdict=dropped").glob("*.parquet")
    lost.unlink()
    shard = folder / read_shard_manifest(str(folder)).shards[0].path
    shard.write_bytes(shard.read_bytes()[:-9])
    record = json.loads((folder / "_run.json").read_text())
    record["passes"][0]["rows_in"] += 1
    (folder / "_run.json").write_text(json.dumps(record))
    problems = "\n".join(validate_output(str(folder)))
    for part in (
        f"{kept.name}: SHA-256",
        f"{lost.name}: the manifest names it, and it is not there",
        f"{record['passes'][0]['rows_in']} rows came in",
        shard.name,
    ):
        assert part in problems
    assert CliRunner().invoke(app, ["validate", str(folder)]).exit_code == 1


def test_validate_finds_a_list_that_is_not_there(tmp_path: Path) -> None:
    config = tmp_path / "preparation.yaml"
    config.write_text(
        "stage: preparation\ninput: {paths: [a]}\noutput: {path: out}\n"
        "steps:\n- {step: url_filter, domains: {adult: [missing.txt]}}\n"
    )
    result = CliRunner().invoke(app, ["validate", str(config)])
    assert result.exit_code == 1
    assert "missing.txt" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--from", "tokenisation"), "did you mean 'tokenization'?); the stages are: preparation, rule_based"),
        (("run", "--from", "tokenization", "--to", "rule_based"), "comes after --to rule_based"),
        (("run", "a.warc.gz", "--from", "rule_based"), "reads what the stage before wrote in 'out/run': leave 'a.warc.gz'"),
        (("run", "--set", "word_count.min=3"), "expected STAGE.key=value with a stage of this run: preparation"),
        (("run", "--profile", "quick"), "no profile 'quick' in"),
        (("run", "--configs", "tests"), "no preparation.yaml in tests"),
        (("validate", "missing.yaml"), "cannot read config 'missing.yaml': No such file"),
        (("report", "tests"), "no _run.json here"),
    ],
)  # fmt: skip
def test_mistakes_are_told(arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert message in mistake(*arguments)


@pytest.mark.long
def test_run_goes_through_the_stages_and_resumes(tmp_path: Path) -> None:
    """The installed command, from another folder; again, with nothing to do; a mistake is one line, exit code 2."""
    command = [str(Path(sys.executable).with_name("corpusmill")), "run"]
    page = str(SAMPLE / "pages" / "zh-cwce.warc.gz")
    options = ["--out", "out", "--to", "preparation", "--set", "preparation.spark.master=local[1]"]

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=300
        )

    done = start(page, *options)
    assert done.returncode == 0, done.stderr
    assert "[preparation]" in done.stderr
    assert "pages" in done.stdout
    assert (tmp_path / "out" / "report.html").exists()
    for name in ("_SUCCESS", "README.md", "report.html"):
        assert (tmp_path / "out" / "preparation" / name).exists()
    again = start(page, *options)
    assert again.returncode == 0
    assert again.stderr.count("nothing new") == 1
    wrong = start("missing.warc.gz", *options)
    assert wrong.returncode == 2
    assert re.search(r"^error: input 'missing.warc.gz' does not exist", wrong.stderr, re.M)
