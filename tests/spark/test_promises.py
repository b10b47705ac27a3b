"""The runner's promises on all sample pages, with the shipped configuration."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.outputs import Lease, published_files, read_all, read_manifest
from pipeline.passes import StageFailed
from pipeline.strict import UserError
from tests.spark.helpers import ROOT, reasons, rows, run, stage_config

Outputs = dict[int, tuple[Path, dict[str, Any]]]


@pytest.fixture(scope="module")
def outputs(spark: Any, sample_inputs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """The preparation stage on all sample pages with 1, 2 and 7 partitions, input files in another order each time."""
    made: Outputs = {}
    files = sorted(str(p) for folder in sample_inputs for p in Path(folder).iterdir())
    for partitions in (1, 2, 7):
        output = tmp_path_factory.mktemp("promises") / f"p{partitions}"
        random.Random(partitions).shuffle(files)
        run_options = {"unit_records": 20 * partitions, "batch_documents": 3 * partitions}
        config = stage_config("preparation", list(files), output, spark={"partitions": partitions}, run=run_options)
        made[partitions] = (output, run(config, spark))
    return made


def test_rows_in_are_kept_or_dropped_per_step_and_per_stage(outputs: Outputs) -> None:
    output, record = outputs[2]
    (one,) = record["passes"]
    published = read_all(str(output))
    assert one["rows_in"] == published.num_rows == one["kept"] + one["dropped"] > 379
    live = one["rows_in"]
    for label, count in one["steps"].items():
        assert count["rows_in"] == live, label
        live = count["kept"]
        assert count["rows_in"] == count["kept"] + sum(count["dropped"].values()), label
    assert live == one["kept"]
    by_step = dict.fromkeys(one["steps"], 0)
    for step in read_all(str(output), "dropped", ["drop_step"])["drop_step"].to_pylist():
        by_step[step] += 1
    assert by_step == {label: sum(c["dropped"].values()) for label, c in one["steps"].items()}


def test_every_step_that_dropped_pages_of_the_sample_still_does(outputs: Outputs) -> None:
    """A step that never drops on pages chosen to contain what it is for is broken: it once was, unnoticed, with NaN."""
    _, record = outputs[2]
    known = json.loads((ROOT / "tests" / "golden" / "sample_counts.json").read_text(encoding="utf-8"))
    steps = known["preparation"]["steps"]
    assert {"record_filter", "url_filter", "raw_dedup", "extract_text", "language", "exact_dedup"} <= set(steps)
    silent = [label for label, counts in steps.items() if counts["dropped"] and not reasons(record, label)]
    assert silent == []


def test_same_rows_for_any_partitioning_and_file_order(outputs: Outputs) -> None:
    first, *others = (rows(output) for output, _ in outputs.values())
    for other in others:
        assert other.equals(first)


def test_same_bytes_for_any_partitioning(outputs: Outputs) -> None:
    digests = [sorted((f.path, f.sha256) for f in published_files(str(output))) for output, _ in outputs.values()]
    assert digests[0] == digests[1] == digests[2]


def test_dropped_rows_say_why(outputs: Outputs) -> None:
    output, _ = outputs[1]
    dropped = rows(output, "dropped").to_pylist()
    assert all(r["doc_id"] and r["source_file"] and r["drop_step"] and r["drop_reason"] for r in dropped)
    kept_ids = set(rows(output)["doc_id"].to_pylist())
    for r in dropped:
        if r["drop_step"] in ("raw_dedup", "exact_dedup", "record_dedup"):
            assert r["duplicate_of"] in kept_ids
    assert all(r["drop_step"] is None and r["text"] for r in rows(output, "kept").to_pylist())


def test_lines_are_described_one_by_one(outputs: Outputs) -> None:
    for r in rows(outputs[1][0], "kept").to_pylist():
        n = r["text"].count("\n") + 1
        assert len(r["line_tags"]) == len(r["line_link_share"]) == n, r["url"]


def test_finished_output_is_left_alone(spark: Any, outputs: Outputs) -> None:
    output, record = outputs[2]
    before = {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()}
    files = [f.path for f in read_manifest(str(output)).inputs]  # type: ignore[union-attr]
    again = run(stage_config("preparation", files, output), spark)
    assert again == record
    assert {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()} == before


def test_changed_step_stops_unless_overwrite(spark: Any, outputs: Outputs, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(outputs[2][0], output)
    files = [f.path for f in read_manifest(str(output)).inputs][:3]  # type: ignore[union-attr]
    changed = stage_config("preparation", files, output)
    data = changed.model_dump(mode="json")
    data["steps"][-2]["min_score"] = 0.9
    changed = stage_config("preparation", files, output, steps=data["steps"])
    with pytest.raises(UserError, match=r"steps.language.parameters.min_score: 0.65 -> 0.9.*run.overwrite=true"):
        run(changed, spark)
    assert rows(output).equals(rows(outputs[2][0]))
    forced = stage_config("preparation", files, output, steps=data["steps"], run={"overwrite": True})
    record = run(forced, spark)
    assert record["fingerprint"]["steps"]["language"]["parameters"]["min_score"] == 0.9
    assert len(record["passes"][0]["inputs"]) == 3


@pytest.fixture(scope="module")
def two_generations(
    spark: Any, sample_inputs: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, Any, Any]:
    """Files of generation A, then A and B: outputs after A, after A then B."""
    files = sorted(str(p) for folder in sample_inputs for p in Path(folder).iterdir())
    # B holds copies of A's bodies and texts (the same crawl in two formats, the same page thrice), A some of B's.
    b = [f for i, f in enumerate(files) if i % 3 == 1]
    a = [f for f in files if f not in b]
    base = tmp_path_factory.mktemp("generations")
    steps = _fast_steps()
    run(stage_config("preparation", a, base / "a", steps=steps), spark)
    shutil.copytree(base / "a", base / "ab")
    run(stage_config("preparation", [*b, *a], base / "ab", steps=steps), spark)
    return base / "a", base / "ab", a, b


def _fast_steps() -> list[dict[str, Any]]:
    """The shipped steps with the fast profile of extraction, where the text itself does not matter."""
    steps = stage_config("preparation", ["x"], "y").model_dump(mode="json")["steps"]
    for step in steps:
        if step["step"] == "extract_text":
            step["profile"] = "fast"
    return steps


def test_new_files_form_a_generation_and_revoke_nothing(two_generations: tuple[Path, Path, Any, Any]) -> None:
    a, ab, _, b = two_generations
    assert rows(ab).filter(_generation(rows(ab), 0)).equals(rows(a))
    manifest = read_manifest(str(ab))
    assert manifest is not None
    assert manifest.generations == 2
    assert sorted(f.path for f in manifest.inputs if f.generation == 1) == sorted(b)
    record = json.loads((ab / "_run.json").read_text())
    assert [p["generations"] for p in record["passes"]] == [[0], [1]]


def test_a_then_b_equals_both_at_once(spark: Any, two_generations: tuple[Path, Path, Any, Any], tmp_path: Path) -> None:
    _, ab, a, b = two_generations
    once = tmp_path / "once"
    shutil.copytree(ab, once)
    # Made again in one pass; the files keep the generations that they were given.
    config = stage_config("preparation", [*a, *b], once, steps=_fast_steps(), run={"overwrite": True})
    record = run(config, spark)
    assert record["passes"][0]["generations"] == [0, 1]
    assert rows(once).equals(rows(ab))
    late = rows(once, "dropped").to_pylist()
    crossing = [r for r in late if r["generation"] == 1 and r["duplicate_of"]]
    first = set(rows(once).filter(_generation(rows(once), 0))["doc_id"].to_pylist())
    assert any(r["duplicate_of"] in first for r in crossing)


def _generation(table: Any, n: int) -> Any:
    import pyarrow.compute as pc

    return pc.equal(table["generation"], n)


def test_changed_input_is_refused(spark: Any, tmp_path: Path, sample_inputs: list[str]) -> None:
    source = tmp_path / "in.warc.gz"
    shutil.copy(Path(sample_inputs[2]) / "jwarc-cc.warc.gz", source)
    run(stage_config("preparation", [str(source)], tmp_path / "out"), spark)
    shutil.copy(Path(sample_inputs[2]) / "whirlwind.warc.gz", source)
    with pytest.raises(UserError, match=r"has changed since generation 0 .*size"):
        run(stage_config("preparation", [str(source)], tmp_path / "out"), spark)


def test_second_run_on_one_output_stops(spark: Any, tmp_path: Path, sample_inputs: list[str]) -> None:
    config = stage_config("preparation", [str(Path(sample_inputs[2]) / "jwarc-cc.warc.gz")], tmp_path / "out")
    with Lease(str(tmp_path / "out"), 60), pytest.raises(UserError, match="another run holds this output: process"):
        run(config, spark)
    assert run(config, spark)["passes"][0]["rows_in"] == 1


def test_lease_of_a_dead_run_expires(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    dead = {"token": "x", "host": "elsewhere", "pid": 1, "started": "1", "heartbeat": time.time() - 61}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "_lease.json").write_text(json.dumps(dead))
    with Lease(output, 60) as lease:
        lease.check()
    alive = {**dead, "heartbeat": time.time() - 30}
    (tmp_path / "out" / "_lease.json").write_text(json.dumps(alive))
    with pytest.raises(UserError, match="process 1 on elsewhere"), Lease(output, 60):
        pass
    import socket

    # On this host a process that is gone, or another one under its number, frees the output at once.
    gone = {**alive, "host": socket.gethostname(), "pid": os.getpid(), "started": "0"}
    (tmp_path / "out" / "_lease.json").write_text(json.dumps(gone))
    with Lease(output, 60) as lease:
        lease.check()


def test_too_many_errors_fail_the_stage_and_name_examples(spark: Any, tmp_path: Path, sample_inputs: list[str]) -> None:
    module = tmp_path / "stumbling.py"
    module.write_text(STUMBLING)
    spark.sparkContext.addPyFile(str(module))
    inputs = [str(Path(sample_inputs[0]) / "wcxb-listing.warc.gz")]
    options: dict[str, Any] = {"modules": ["stumbling"], "steps": [{"step": "stumble", "over": "/"}]}
    with pytest.raises(
        StageFailed, match=r"rows failed in a step \(.*%, allowed .*stumble on http.*: ValueError: no luck"
    ):
        run(stage_config("preparation", inputs, tmp_path / "out", **options), spark)
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    assert read_manifest(str(tmp_path / "out")) is None
    allowed = stage_config("preparation", inputs, tmp_path / "out", **options, run={"max_error_fraction": 1.0})
    record = run(allowed, spark)
    errors = reasons(record, "stumble")
    assert errors == {"step_error": sum(errors.values())}
    assert sum(errors.values()) > 0
    texts = {r["drop_value"] for r in rows(tmp_path / "out", "dropped").to_pylist() if r["drop_reason"] == "step_error"}
    assert texts == {"ValueError: no luck with a /"}


STUMBLING = '''
from typing import Literal
from pipeline.steps import DocumentStep

class Stumble(DocumentStep):
    """A step of a user's own that fails on some pages."""

    step: Literal["stumble"] = "stumble"
    over: str

    def __call__(self, doc):
        if self.over in (doc.url or ""):
            raise ValueError(f"no luck with a {self.over}")
        return doc
'''
