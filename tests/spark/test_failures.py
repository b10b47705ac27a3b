"""What goes wrong leaves nothing that looks complete, and the command line says what to do."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import dump
from pipeline.console.app import main
from pipeline.console.run import stage_job
from pipeline.inspection.status import status
from pipeline.inspection.validate import validate_output
from pipeline.outputs import read_manifest
from pipeline.progress import Progress
from pipeline.spark.removal import remove_from_output
from pipeline.spark.stages import run_stage
from pipeline.strict import UserError
from tests.spark.helpers import ROOT, prepared, rows, run, stage_config


@pytest.mark.long
def test_full_disk_leaves_no_output_that_looks_complete(spark: Any, sample_inputs: list[str], tmp_path: Path) -> None:
    """The operating system refuses to let files grow past 128 KiB, as a full disk would: writes of chunks fail."""
    config = stage_config("preparation", sample_inputs[:1], tmp_path / "out", spark={"master": "local[2]"})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(dump(config)))
    command = [sys.executable, "tests/spark/killed_run.py", "preparation", str(tmp_path / "config.yaml")]
    # Only files of the output are large; Spark's own stay small since no row passes through the JVM.
    limited = ["bash", "-c", 'ulimit -f 128 && exec "$@"', "bash", *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(limited, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr[-3000:]
    assert "failed: OSError: [Errno 27] File too large" in done.stderr
    assert "the same command resumes where it stopped" in done.stderr
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    assert read_manifest(str(tmp_path / "out")) is None
    assert not list((tmp_path / "out").rglob(".tmp-*"))
    record = run(config, spark)  # with room again, it ends
    assert rows(tmp_path / "out").num_rows == record["passes"][0]["rows_in"]


def test_dead_worker_fails_the_stage_and_a_rerun_ends_it(spark: Any, sample_inputs: list[str], tmp_path: Path) -> None:
    module = tmp_path / "dying.py"
    module.write_text(DYING)
    spark.sparkContext.addPyFile(str(module))
    flag = tmp_path / "flag"
    flag.touch()
    inputs = [str(Path(sample_inputs[0]) / "wcxb-listing.warc.gz")]
    options: dict[str, Any] = {"modules": ["dying"], "steps": [{"step": "die_once", "flag": str(flag)}]}
    config = stage_config("preparation", inputs, tmp_path / "out", **options)
    with pytest.raises(Exception, match="Python worker exited unexpectedly"):
        run(config, spark)
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    assert read_manifest(str(tmp_path / "out")) is None
    assert run(config, spark)["passes"][0]["kept"] == 22


DYING = '''
import os, signal
from typing import Literal
from pipeline.steps import DocumentStep

class DieOnce(DocumentStep):
    """Kills its worker while a file is there."""

    step: Literal["die_once"] = "die_once"
    flag: str

    def __call__(self, doc):
        if os.path.exists(self.flag):
            os.remove(self.flag)
            os.kill(os.getpid(), signal.SIGKILL)
        return doc
'''


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["input.paths=[nowhere.warc.gz]"], "error: input 'nowhere.warc.gz'"),
        (["input.paths=[]"], "error: input.paths is empty"),
        (["steps=[{step: langage}]"], "did you mean 'language'"),
        (["steps.language.min_score=7"], "steps.language.min_score: Input should be less than or equal to 1, found 7"),
        (["steps.url_filter.allow=[nowhere.txt]"], "error: steps.url_filter: there is no file 'nowhere.txt'"),
        (["output.path=/dev/null/out"], "error: output.path '/dev/null/out' cannot be written to: Not a directory"),
        (["removal_lists=[nowhere.txt]"], "error: removal list: "),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    overrides: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(ROOT / "configs/preparation.yaml"), "--set", f"output.path={tmp_path}/out"]
    for override in overrides:
        arguments += ["--set", override]
    assert main(arguments, stage_job("preparation")) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in last
    assert not (tmp_path / "out" / "_lease.json").exists()


def test_an_input_of_another_stage_is_said(spark: Any, tmp_path: Path) -> None:
    source = prepared(spark, tmp_path, {"a": [{"url": "http://example.org/", "text": "A river rises in the hills."}]})
    stream = io.StringIO()
    config = stage_config("model_based", [source], tmp_path / "out", steps=[])
    run_stage(config, spark, Progress("model_based", stream))
    assert f"note: input '{source}' is of the stage preparation, not of rule_based" in stream.getvalue()


def test_stage_before_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--config", str(ROOT / "configs/rule_based.yaml"), "--set", f"input.paths=[{tmp_path}]"]
    assert main([*arguments, "--set", f"output.path={tmp_path}/out"], stage_job("rule_based")) == 2
    assert "is not a finished stage output: it has no _manifest.json; run the stage first" in capsys.readouterr().err


def test_a_stage_whose_input_was_made_again_stops_until_it_is_made_again_too(spark: Any, tmp_path: Path) -> None:
    """Else its old rows would stay beside the new ones of the same documents."""
    rows_of = [{"url": f"http://example.org/{i}", "text": f"River {i} rises in the hills. " * i} for i in range(1, 6)]
    first = tmp_path / "rule_based"
    source = prepared(spark, tmp_path, {"a": rows_of})
    run(stage_config("rule_based", [source], first, steps=[]), spark)
    later = stage_config("model_based", [str(first)], tmp_path / "model_based", steps=[])
    run(later, spark)
    few = [{"step": "word_count", "min": {"default": 12}}]
    run(stage_config("rule_based", [source], first, steps=few, run={"overwrite": True}), spark)
    with pytest.raises(UserError, match=r"the stage before was made again\. Make this output again too"):
        run(later, spark)
    assert status(str(tmp_path / "model_based"), None).state == "stale"
    assert "which its input does not publish any more" in validate_output(str(tmp_path / "model_based"))[0]
    again = stage_config("model_based", [str(first)], tmp_path / "model_based", steps=[], run={"overwrite": True})
    assert run(again, spark)["passes"][0]["rows_in"] == rows(first, "kept").num_rows == 4
    assert status(str(tmp_path / "model_based"), None).state == "finished"
    assert validate_output(str(tmp_path / "model_based")) == []


def test_a_file_that_a_take_down_rewrote_is_not_a_new_one(spark: Any, tmp_path: Path) -> None:
    rows_of = [{"url": f"http://example.org/{i}", "text": f"River {i} rises in the hills."} for i in range(3)]
    source = prepared(spark, tmp_path, {"a": rows_of})
    config = stage_config("rule_based", [source], tmp_path / "rule_based", steps=[])
    run(config, spark)
    (tmp_path / "gone.txt").write_text("http://example.org/1\n")
    assert remove_from_output(spark, source, [str(tmp_path / "gone.txt")])["kept"] == 1
    stream = io.StringIO()
    record = run_stage(config, spark, Progress("rule_based", stream))
    assert "nothing new" in stream.getvalue()
    assert record is not None
    assert len(record.passes) == 1
