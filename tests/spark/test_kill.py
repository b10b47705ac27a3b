"""SIGKILL of the whole process group at five moments, and a rerun: the same result, finished work not done again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import dump
from pipeline.outputs import published_files, read_manifest
from pipeline.tokenization.shards import verify
from tests.spark.helpers import ROOT, rows, run, stage_config

SEED = 20260101


class KilledRun:
    """A stage in a process group of its own."""

    def __init__(self, config: Path, moment: str | None = None, stage: str = "preparation") -> None:
        command = [sys.executable, str(ROOT / "tests/spark/killed_run.py"), stage, str(config)]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            command + ([moment] if moment else []),
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def kill_when(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert self.process.poll() is None, self.process.communicate()[0].decode()[-3000:]
            assert time.monotonic() < deadline, "the moment to kill never came"
            time.sleep(0.002)
        os.killpg(self.process.pid, signal.SIGKILL)
        self.wait_killed()

    def wait_killed(self) -> None:
        out = self.process.communicate(timeout=120)[0].decode()
        assert self.process.returncode == -signal.SIGKILL, out[-3000:]

    def finish(self) -> None:
        out = self.process.communicate(timeout=180)[0].decode()
        assert self.process.returncode == 0, out[-3000:]


def receipts(output: Path, round_no: int) -> dict[str, tuple[int, int]]:
    """Finished units: name -> (inode, time of writing)."""
    finished = {}
    for path in output.glob(f"_work/*/round-{round_no}/receipts/*.json"):
        if not path.name.startswith(".tmp-"):
            status = path.stat()
            finished[path.name] = (status.st_ino, status.st_mtime_ns)
    return finished


@pytest.mark.long
def test_killed_anywhere_a_rerun_ends_in_the_same_result(spark: Any, sample_inputs: list[str], tmp_path: Path) -> None:
    options: dict[str, Any] = {"run": {"unit_records": 7}, "spark": {"master": "local[2]"}}
    undisturbed = stage_config("preparation", sample_inputs, tmp_path / "undisturbed", **options)
    run(undisturbed, spark)
    output = tmp_path / "killed"
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(dump(stage_config("preparation", sample_inputs, output, **options))))
    chance = random.Random(SEED)
    finished: dict[str, tuple[int, int]] = {}

    def still_there() -> None:
        now = receipts(output, 1)
        assert {k: now[k] for k in finished} == finished  # neither written again nor gone
        finished.update(now)
        assert read_manifest(str(output)) is None
        assert not (output / "_SUCCESS").exists()

    # 1. the first pass over the files, after a seeded number of them
    files = chance.randrange(1, 12)
    KilledRun(config).kill_when(lambda: len(receipts(output, 0)) >= files)
    still_there()
    # 2. between a cross-document step's work and the note that it is done
    KilledRun(config, "raw_dedup/done.json").wait_killed()
    still_there()
    # 3. in the middle of the write of a chunk, after a seeded number of finished ones
    some = chance.randrange(3, 20)
    KilledRun(config).kill_when(
        lambda: len(receipts(output, 1)) >= some and any(output.glob("_work/*/round-1/chunks/.tmp-*"))
    )
    still_there()
    assert len(finished) >= some
    # 4. in the middle of the commit: files are published, the manifest does not name them yet
    KilledRun(config, "_manifest.json").wait_killed()
    still_there()
    assert any((output / "documents").rglob("*.parquet"))
    # 5. the manifest is there, the last word is not
    KilledRun(config, "_SUCCESS").wait_killed()
    assert not (output / "_SUCCESS").exists()
    # and to the end
    KilledRun(config).finish()
    assert (output / "_SUCCESS").exists()
    assert not (output / "_work").exists()
    assert rows(output).equals(rows(tmp_path / "undisturbed"))
    assert [(f.rows, f.sha256) for f in published_files(str(output))] == [
        (f.rows, f.sha256) for f in published_files(str(tmp_path / "undisturbed"))
    ]


@pytest.mark.long
def test_shards_survive_kills(spark: Any, sample_inputs: list[str], tmp_path: Path) -> None:
    base = tmp_path / "base"
    pages = [str(Path(sample_inputs[0]) / n) for n in ("wcxb-article-1.warc.gz", "zh-cwce.warc.gz")]
    run(stage_config("preparation", pages, base / "preparation"), spark)
    for stage, before in (("rule_based", "preparation"), ("model_based", "rule_based")):
        run(stage_config(stage, [str(base / before)], base / stage), spark)
    steps = dump(stage_config("tokenization", ["x"], "y"))["steps"]
    steps[1] |= {"shard_tokens": 10_000}
    options: dict[str, Any] = {"steps": steps, "spark": {"master": "local[2]"}}
    source = [str(base / "model_based")]
    run(stage_config("tokenization", source, tmp_path / "undisturbed", **options), spark)
    output = tmp_path / "killed"
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(dump(stage_config("tokenization", source, output, **options))))

    def shard_receipts() -> dict[str, int]:
        return {p.name: p.stat().st_ino for p in output.glob("_work/*/shards/0*.json")}

    KilledRun(config, "shards/done.json", "tokenization").wait_killed()
    KilledRun(config, stage="tokenization").kill_when(lambda: len(shard_receipts()) >= 2)
    finished = shard_receipts()
    assert not (output / "manifest.json").exists()
    KilledRun(config, "/_run.json", "tokenization").wait_killed()
    assert {k: shard_receipts()[k] for k in finished} == finished
    assert not (output / "_manifest.json").exists()
    KilledRun(config, "/_manifest.json", "tokenization").wait_killed()
    KilledRun(config, stage="tokenization").finish()
    assert rows(output).equals(rows(tmp_path / "undisturbed"))
    want = [(s.path, s.sha256) for s in verify(str(tmp_path / "undisturbed")).shards]
    assert len(want) > 3
    assert [(s.path, s.sha256) for s in verify(str(output)).shards] == want


@pytest.mark.long
def test_the_rule_based_stage_survives_kills(spark: Any, sample_inputs: list[str], tmp_path: Path) -> None:
    """Killed after each dedup step, in the writes of a round, in the commit: the same rows and bytes.

    What could not resume: datatrove#316, data-juicer#487, Curator#2416.
    """
    run(stage_config("preparation", sample_inputs, tmp_path / "preparation"), spark)
    source = [str(tmp_path / "preparation")]
    options: dict[str, Any] = {"run": {"unit_records": 7}, "spark": {"master": "local[2]"}}
    run(stage_config("rule_based", source, tmp_path / "undisturbed", **options), spark)
    output = tmp_path / "killed"
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(dump(stage_config("rule_based", source, output, **options))))
    steps = dump(stage_config("rule_based", source, output))["steps"]
    labels = [s["step"] for s in steps if s["step"] in ("line_dedup", "pii_domains", "fuzzy_dedup")]
    assert len(labels) == 3
    finished: dict[str, tuple[int, int]] = {}

    for label in labels:
        KilledRun(config, f"{label}/done.json", "rule_based").wait_killed()
        now = {
            f"{path.parent}/{name}": seen
            for r in range(4)
            for name, seen in receipts(output, r).items()
            for path in output.glob(f"_work/*/round-{r}/receipts/{name}")
        }
        assert {k: now[k] for k in finished} == finished  # neither written again nor gone
        assert len(now) > len(finished) or label != labels[0]
        finished = now
    some = len(receipts(output, 2))
    KilledRun(config, stage="rule_based").kill_when(lambda: len(receipts(output, 2)) > some + 2)
    KilledRun(config, "/_manifest.json", "rule_based").wait_killed()
    assert read_manifest(str(output)) is None
    KilledRun(config, stage="rule_based").finish()
    assert rows(output).equals(rows(tmp_path / "undisturbed"))
    assert [(f.rows, f.sha256) for f in published_files(str(output))] == [
        (f.rows, f.sha256) for f in published_files(str(tmp_path / "undisturbed"))
    ]


@pytest.mark.long
def test_semantic_dedup_survives_kills(spark: Any, sample_inputs: list[str], tmp_path: Path) -> None:
    """Killed while vectors are written and before the marks are committed: no document is embedded twice, the same bytes."""
    run(stage_config("preparation", sample_inputs, tmp_path / "preparation"), spark)
    source = [str(tmp_path / "preparation")]
    steps = [{"step": "semantic_dedup", "threshold": 0.6, "min_characters": 50, "cluster_documents": 20}]
    options: dict[str, Any] = {"steps": steps, "spark": {"master": "local[2]"}}
    run(stage_config("model_based", source, tmp_path / "undisturbed", **options), spark)
    output, config = tmp_path / "killed", tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(dump(stage_config("model_based", source, output, **options))))

    def vectors() -> dict[str, int]:
        return {p.name: p.stat().st_ino for p in output.glob("_work/*/vectors/semantic_dedup/0*.npy")}

    KilledRun(config, stage="model_based").kill_when(lambda: len(vectors()) >= 1)
    first = vectors()
    KilledRun(config, "semantic_dedup/done.json", "model_based").wait_killed()
    second = vectors()
    assert {k: second[k] for k in first} == first
    KilledRun(config, "/_manifest.json", "model_based").wait_killed()
    KilledRun(config, stage="model_based").finish()
    assert rows(output).equals(rows(tmp_path / "undisturbed"))
    assert len(rows(output, "dropped")) > 0
    assert [(f.rows, f.sha256) for f in published_files(str(output))] == [
        (f.rows, f.sha256) for f in published_files(str(tmp_path / "undisturbed"))
    ]
