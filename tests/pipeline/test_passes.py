"""A pass of a stage without Spark: killed between any two writes, the same call ends in the same output."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.config import StageConfig, parse
from pipeline.executor import MARK_ROWS, Task, bucket_of, live_rows, run_unit
from pipeline.outputs import Lease, RunRecord, read_all, read_manifest, read_record
from pipeline.passes import Comparison, Marked, Pass, StageFailed, find_inputs, plan_pass, require_finished
from pipeline.progress import Progress
from pipeline.publish import publish_group
from pipeline.steps import DuplicateStep
from pipeline.strict import UserError
from pipeline.units import Done, Groups, Units, read_receipts

TEXTS = {
    "a": ["The river floods the meadow.", "河水每年春天漫过草地。", "The river floods the meadow."],
    "b": ["河水每年春天漫过草地！", "A mill stands by the river.", ""],
    "c": ["A mill stands by the river.", "村口的老磨坊在春天重新修好了。"],
}


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the code may catch it."""


class InProcess:
    """An engine that does everything in this process, one unit after the other."""

    def run_units(self, task: Task, units: Units) -> Done:
        for unit in units:
            run_unit(task, unit)
        return Done.together([read_receipts(task.receipts, [unit.unit_id for unit in units])])

    def publish(self, task: Task, groups: Groups, output: str) -> Done:
        for group in groups:
            publish_group(task, group, output)
        return Done.together([read_receipts(task.receipts, [group.unit_id for group in groups])])

    def cpu_seconds(self) -> float:
        return time.process_time()

    def compare(self, comparison: Comparison) -> Marked:
        step = comparison.step
        assert isinstance(step, DuplicateStep)
        seen: dict[str, str] = {}
        for path in comparison.state:
            seen.update(json.loads(storage.read_bytes(path)))
        new: dict[str, str] = {}
        marks: list[dict[str, Any]] = []
        columns = [*step.columns, "doc_id", "file_no", "row_no"]
        for unit in comparison.units:
            for table in live_rows(comparison.work, unit, columns, comparison.earlier_mark_folders):
                for key, row in zip(step.keys(table).to_pylist(), table.to_pylist(), strict=True):
                    first = seen.setdefault(key, row["doc_id"])
                    if first == row["doc_id"]:
                        new[key] = first
                    else:
                        place = {"file_no": row["file_no"], "row_no": row["row_no"]}
                        marks.append({**place, "reason": step.reason, "value": key, "duplicate_of": first})
        for bucket in {bucket_of(m["file_no"]) for m in marks}:
            rows = [m for m in marks if bucket_of(m["file_no"]) == bucket]
            with storage.open_atomic(storage.join(comparison.folder, f"bucket-{bucket:06d}.parquet")) as f:
                pq.write_table(pa.Table.from_pylist(rows, MARK_ROWS), f)
        state = storage.join(comparison.work, "state", comparison.label, "keys.json")
        storage.write_bytes(state, json.dumps(new).encode())
        return Marked(len(marks), [state], 0.0, {})

    def write_shards(self, work: str, units: Units, record: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError("this stage writes no shards")


def config_of(folder: Path, **sections: Any) -> StageConfig:
    data: dict[str, Any] = {
        "stage": "preparation",
        "input": {"paths": [str(folder / "crawl")]},
        "output": {"path": str(folder / "out")},
        "steps": [{"step": "raw_dedup"}, {"step": "exact_dedup"}],
        "run": {"unit_records": 2},
    }
    return parse({**data, **sections})


def write_crawl(folder: Path, names: str) -> None:
    (folder / "crawl").mkdir(parents=True, exist_ok=True)
    for name in names:
        rows = [{"url": f"http://{name}.example/{i}", "text": text} for i, text in enumerate(TEXTS[name])]
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "crawl" / f"{name}.jsonl").write_text(content, encoding="utf-8")


def run_pass(config: StageConfig) -> RunRecord | None:
    """What `pipeline.spark.stages.run_stage` does, in this process."""
    progress = Progress(config.stage, io.StringIO())
    inputs = find_inputs(config, progress)
    with Lease(config.output.path, 60) as lease:
        plan = plan_pass(config, inputs, progress)
        return None if plan is None else Pass(config, plan, InProcess(), progress, lease).run()


def result(output: Path) -> dict[str, Any]:
    """Everything of an output that may not depend on kills: files by name with their bytes, and what the record counts."""
    paths = [p for p in sorted(output.rglob("*")) if p.is_file() and p.name not in ("_run.json", "_lease.json")]
    record = read_record(str(output))
    counts = [
        (p.generations, p.rows_in, p.kept, p.dropped, {k: (c.rows_in, dict(c.dropped)) for k, c in p.steps.items()})
        for p in record.passes
    ]
    return {"counts": counts, **{str(p.relative_to(output)): p.read_bytes() for p in paths}}


class Writes:
    """Counts the changes of files under a folder, and kills the pass before one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, output: Path) -> None:
        self.output, self.n, self.kill_at = str(output), 0, -1
        create, remove, open_atomic = storage.create, storage.remove, storage.open_atomic

        def counted_create(path: str, data: bytes) -> bool:
            with self._counted(path):
                return create(path, data)

        def counted_remove(path: str) -> None:
            with self._counted(path):
                remove(path)

        @contextlib.contextmanager
        def counted_open(path: str) -> Iterator[Any]:
            with self._counted(path), open_atomic(path) as f:
                yield f

        monkeypatch.setattr(storage, "create", counted_create)
        monkeypatch.setattr(storage, "remove", counted_remove)
        monkeypatch.setattr(storage, "open_atomic", counted_open)
        monkeypatch.setattr(storage.os, "fsync", lambda fd: None)

    @contextlib.contextmanager
    def _counted(self, path: str) -> Iterator[None]:
        if path.startswith(self.output) and not path.endswith("_lease.json"):
            self.n += 1
            if self.n == self.kill_at:
                raise Killed
        yield

    def arm(self, kill_at: int = -1) -> None:
        """Begin to count; kill before that change, never by default."""
        self.n, self.kill_at = 0, kill_at


@pytest.fixture
def crawl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Writes]:
    write_crawl(tmp_path, "ab")
    return tmp_path, Writes(monkeypatch, tmp_path / "out")


def killed_everywhere(folder: Path, writes: Writes, begin: Callable[[], None], **sections: Any) -> int:
    """Kill `begin`, then a pass, at every write in turn; each rerun must end in the undisturbed result.

    :returns: the number of writes.
    """
    config, output = config_of(folder, **sections), folder / "out"
    begin()
    writes.arm()
    run_pass(config)
    total, expected = writes.n, result(output)
    for n in range(1, total + 1):
        shutil.rmtree(output)
        begin()
        writes.arm(n)
        with pytest.raises(Killed):
            run_pass(config)
        writes.arm()
        run_pass(config)
        assert result(output) == expected, f"killed before write {n} of {total}"
    return total


def test_killed_at_any_write_a_rerun_ends_in_the_same_output(crawl: tuple[Path, Writes]) -> None:
    folder, writes = crawl
    assert killed_everywhere(folder, writes, lambda: None) > 10
    record = read_record(str(folder / "out"))
    assert (record.rows_in, record.kept) == (6, 3)
    assert record.steps["raw_dedup"].dropped == {"duplicate_body": 1}
    assert record.steps["exact_dedup"].dropped == {"duplicate_text": 1}


def test_a_killed_second_generation_leaves_the_first_as_it_is(crawl: tuple[Path, Writes]) -> None:
    folder, writes = crawl
    first: list[bytes] = []

    def begin() -> None:
        writes.arm()
        (folder / "crawl" / "c.jsonl").unlink(missing_ok=True)
        run_pass(config_of(folder))
        first[:] = parts(folder / "out")
        write_crawl(folder, "c")

    killed_everywhere(folder, writes, begin)
    assert parts(folder / "out")[: len(first)] == first
    manifest = read_manifest(str(folder / "out"))
    assert manifest is not None
    assert manifest.generations == 2
    assert read_all(str(folder / "out"), "kept").num_rows == 4  # of c only the page that a and b do not have


def parts(output: Path) -> list[bytes]:
    manifest = read_manifest(str(output))
    assert manifest is not None
    return [(output / f.path).read_bytes() for f in sorted(manifest.files, key=lambda f: (f.generation, f.path))]


def test_a_killed_overwrite_ends_as_a_fresh_run(crawl: tuple[Path, Writes]) -> None:
    folder, writes = crawl
    changed = config_of(folder, steps=[{"step": "raw_dedup"}])

    def begin() -> None:
        writes.arm()
        run_pass(changed)

    begin()
    with pytest.raises(UserError, match=r"made by another configuration: steps\.exact_dedup: added"):
        run_pass(config_of(folder))
    again = {"unit_records": 2, "overwrite": True}
    killed_everywhere(folder, writes, begin, run=again)


def test_an_output_with_a_killed_pass_takes_no_removals(crawl: tuple[Path, Writes]) -> None:
    """A take-down sweeps what the manifest does not name: files that the rerun of the pass counts on."""
    folder, writes = crawl
    output = str(folder / "out")
    run_pass(config_of(folder))
    assert require_finished(output).generations == 1
    write_crawl(folder, "c")
    writes.arm(8)
    with pytest.raises(Killed):
        run_pass(config_of(folder))
    with pytest.raises(
        UserError, match=r"has a pass over 1 files that began .* run the stage again first, then remove"
    ):
        require_finished(output)
    writes.arm()
    run_pass(config_of(folder))
    assert require_finished(output).generations == 2


def test_rows_that_do_not_add_up_are_not_committed(crawl: tuple[Path, Writes], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = crawl

    class Loses(InProcess):
        def publish(self, task: Task, groups: Groups, output: str) -> Done:
            done = super().publish(task, groups, output)
            files = [dataclasses.replace(f, rows=0) for f in done.sums.files]
            return Done(done.table, dataclasses.replace(done.sums, files=files))

    monkeypatch.setitem(globals(), "InProcess", Loses)
    with pytest.raises(StageFailed, match="6 rows came in, but 0 were published; nothing is committed"):
        run_pass(config_of(folder))
    assert read_manifest(str(folder / "out")) is None
