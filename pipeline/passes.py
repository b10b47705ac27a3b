"""One pass of a stage, from its plan to its commit. No Spark here: an `Engine` does the work of many documents.

    plan      which input files are new: they become the next generation
    round     document steps, fused, one task a unit of work -> chunk + receipt; then the marks of the cross-document steps
    publish   chunks and marks -> documents/verdict=kept|dropped, once
    check     rows in = kept + dropped, per step and for the stage
    commit    _run.json, _manifest.json, and last of all _SUCCESS

Killed at any point, the same call resumes it: what has a receipt, or finished marks, is not done again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Protocol

import pipeline
from pipeline import storage
from pipeline.config import Round, StageConfig, dump
from pipeline.executor import ERRORS, READ, REMOVAL, Task
from pipeline.outputs import (
    MANIFEST,
    RUN,
    SUCCESS,
    InputFile,
    Lease,
    Manifest,
    PassRecord,
    PublishedFile,
    RunRecord,
    StepCount,
    as_first_named,
    difference,
    gone_inputs,
    has_record,
    read_manifest,
    read_record,
    require_manifest,
)
from pipeline.progress import Progress
from pipeline.readers.inputs import fingerprint as input_fingerprint
from pipeline.readers.inputs import list_inputs
from pipeline.removal import RemovalList
from pipeline.steps import CrossDocumentStep, file_sha256
from pipeline.strict import UserError
from pipeline.units import Done, Groups, Units, after_round, crawl_units, groups_of, stage_units


class StageFailed(Exception):
    """The stage ran and may not be published: too many errors, or rows that do not add up."""


@dataclasses.dataclass
class Plan:
    """The pass under way: its files, and whether an old output must still be cleared away first."""

    fingerprint: dict[str, Any]
    files: list[InputFile]
    discard: bool = False
    started: str = ""

    @property
    def pass_id(self) -> str:
        """Names the pass by what it makes of what. A worker that outlives a killed run writes under its own pass's names
        alone, so it cannot slip a receipt or a file into a pass with another configuration."""
        what = json.dumps([self.fingerprint, [dataclasses.asdict(f) for f in self.files]], sort_keys=True)
        return hashlib.sha256(what.encode()).hexdigest()[:8]

    def save(self, path: str) -> None:
        storage.write_json(path, dataclasses.asdict(self))

    @classmethod
    def read(cls, path: str) -> Plan:
        data = storage.read_json(path)
        return cls(**{**data, "files": [InputFile(**f) for f in data["files"]]})


def load_removal_lists(paths: Sequence[str]) -> RemovalList:
    """:raises UserError: if a list cannot be read, or a line of it is no entry."""
    try:
        return RemovalList.load(paths)
    except (ValueError, OSError) as e:
        raise UserError(f"removal list: {e}") from e


def find_inputs(config: StageConfig, progress: Progress) -> dict[str, dict[str, Any]]:
    """Find the input files of a stage. :returns: path -> fingerprint.

    An input that is not of the stage before is taken, and said.
    """
    if config.kind.reads_crawl:
        paths = list_inputs(config.input.paths, config.input.list_prefix)
        with ThreadPoolExecutor(16) as pool:  # on an object store this is waiting, not work
            return dict(zip(paths, pool.map(input_fingerprint, paths), strict=True))
    files: dict[str, dict[str, Any]] = {}
    for path in config.input.paths:
        manifest = require_manifest(path)
        if manifest.stage != config.kind.before:
            progress.say(f"note: input {path!r} is of the stage {manifest.stage}, not of {config.kind.before}")
        for f in manifest.files:
            if f.verdict == "kept":
                files[storage.join(path, f.path)] = {"sha256": f.sha256, "rows": f.rows}
    return files


def unfinished_plan(output: str, manifest: Manifest | None) -> Plan | None:
    """Read the plan of a pass that was begun and is not in the manifest. :returns: None if there is none."""
    path = storage.join(output, "_work", "plan.json")
    if not storage.exists(path):
        return None
    plan = Plan.read(path)
    published = {(f.path, f.generation) for f in manifest.inputs} if manifest is not None else set()
    return None if not plan.discard and all((f.path, f.generation) in published for f in plan.files) else plan


def require_finished(output: str) -> Manifest:
    """Read the manifest of an output that no killed pass has left half made.

    :raises UserError: if nothing was published, or a pass has files there that its rerun will take for finished.
    """
    manifest = require_manifest(output)
    plan = unfinished_plan(output, manifest)
    if plan is not None:
        raise UserError(
            f"{output!r} has a pass over {len(plan.files)} files that began {plan.started} and has not ended: run the stage "
            "again first, then remove"
        )
    return manifest


def plan_pass(config: StageConfig, inputs: dict[str, dict[str, Any]], progress: Progress) -> Plan | None:
    """The pass to run: an unfinished one goes on; else new files make the next generation; None if there are none."""
    output = config.output.path
    path = storage.join(output, "_work", "plan.json")
    fingerprint = json.loads(json.dumps(config.fingerprint()))
    manifest = read_manifest(output)
    unfinished = unfinished_plan(output, manifest)
    if unfinished is None and manifest is not None and storage.exists(path):  # killed between manifest and _SUCCESS
        succeed(output, manifest)
        storage.remove(storage.join(output, "_work"))
    if unfinished is not None and unfinished.fingerprint == fingerprint:
        _check_unchanged(unfinished.files, inputs)
        progress.say(f"resuming a pass over {len(unfinished.files)} files that began {unfinished.started}")
        if unfinished.discard:
            _discard(output)
            unfinished.discard = False
            unfinished.save(path)
        return unfinished
    old = unfinished.fingerprint if unfinished else manifest.fingerprint if manifest else None
    changes = difference(old, fingerprint) if old is not None else []
    if changes and not config.run.overwrite:
        raise UserError(
            f"{output!r} was made by another configuration: {'; '.join(changes)}. To make it again: "
            "--set run.overwrite=true; to keep it: choose another output.path"
        )
    discard = bool(manifest) and (bool(changes) or config.run.overwrite)
    # A generation once given is kept when an output is made again, so that the result is the same as file by file.
    before = {f.path: f for f in (manifest.inputs if manifest else unfinished.files if unfinished else [])}
    if manifest is not None and not discard:
        _check_unchanged(manifest.inputs, inputs, only_known=True)
        gone = gone_inputs(manifest, config.input.paths) if not config.kind.reads_crawl else []
        if gone:
            raise UserError(
                f"{output!r} was made of {len(gone)} files that its input does not publish any more, such as {gone[0]!r}: "
                "the stage before was made again. Make this output again too (--set run.overwrite=true), or choose another "
                "output.path"
            )
        taken = {as_first_named(p) for p in before}  # a file that a take-down rewrote is not a new one
        new = sorted(p for p in inputs if as_first_named(p) not in taken)
        generation, file_no = manifest.generations, 1 + max((f.file_no for f in manifest.inputs), default=-1)
        files = [InputFile(p, inputs[p], generation, file_no + i) for i, p in enumerate(new)]
    else:
        last = 1 + max((f.generation for f in before.values()), default=-1)
        order = sorted((before[p].generation if p in before else last, p) for p in inputs)
        files = [InputFile(p, inputs[p], g, i) for i, (g, p) in enumerate(order)]
    if not files and manifest is not None:
        return None
    storage.remove(storage.join(output, "_work"))
    plan = Plan(fingerprint, files, discard, _now())
    plan.save(path)
    if discard:
        _discard(output)
        plan.discard = False
        plan.save(path)
    generations = sorted({f.generation for f in files})
    progress.say(f"{len(files)} input files, generation {', '.join(map(str, generations)) or 0}")
    return plan


def _check_unchanged(files: list[InputFile], inputs: dict[str, dict[str, Any]], only_known: bool = False) -> None:
    for f in files:
        now = inputs.get(f.path)
        if now is None and not only_known:
            raise UserError(f"input {f.path!r} belongs to the pass that is being resumed and is not there any more")
        if now is not None and now != f.fingerprint:
            raise UserError(
                f"input {f.path!r} has changed since generation {f.generation} was made of it: "
                f"{'; '.join(difference(f.fingerprint, now))}. Give new data new file names, or make the output again "
                "(--set run.overwrite=true)"
            )


def _discard(output: str) -> None:
    for name in (SUCCESS, MANIFEST, RUN):
        storage.remove(storage.join(output, name))
    for name in storage.names(output):
        if not name.startswith("_"):
            storage.remove(storage.join(output, name))
    storage.remove(storage.join(output, "_state"))


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Input of a cross-document step: the units of the round just done, and what earlier steps and generations decided."""

    label: str
    step: CrossDocumentStep
    work: str
    units: Units
    """Each with its chunk, or with the file of the stage before."""
    earlier_mark_folders: dict[str, str]
    """Folders of the marks of steps of the same round that come before this one, by label."""
    state: list[str]
    """State files of this step of earlier generations, full paths."""
    rows_in: int
    characters: int
    """Rows of the pass and about how much text they have: how finely the work is cut depends on it."""
    folder: str
    """Folder for the marks."""


@dataclasses.dataclass(frozen=True)
class Marked:
    """Result of a cross-document step.

    :param rows: rows marked; None if the step decides by its record alone.
    :param state: state files that this pass adds, full paths.
    :param record: what the step wants written into `_run.json`.
    """

    rows: int | None
    state: list[str]
    cpu_seconds: float
    record: dict[str, Any]


class Engine(Protocol):
    """Does the work of a pass: many units side by side. Spark's is `pipeline.spark.stages.SparkEngine`."""

    def run_units(self, task: Task, units: Units) -> Done:
        """Run the units of a round that have no receipt yet. :returns: what the receipts of all say."""

    def publish(self, task: Task, groups: Groups, output: str) -> Done:
        """Publish the groups that have no receipt yet. :returns: what the receipts of all say."""

    def compare(self, comparison: Comparison) -> Marked:
        """Decide which rows a cross-document step drops or cuts, and write the marks."""

    def write_shards(self, work: str, units: Units, record: dict[str, Any]) -> dict[str, Any]:
        """Write the token shards of the kept rows. :returns: their totals."""

    def cpu_seconds(self) -> float:
        """CPU seconds that the engine and its workers on this machine have used so far."""


CHARACTERS_A_ROW = 7_000
"""Of a page that stage 1 keeps, about; taken where nothing has been counted yet."""


class Pass:
    """One pass of a stage over the files of its plan."""

    def __init__(self, config: StageConfig, plan: Plan, engine: Engine, progress: Progress, lease: Lease) -> None:
        self.config, self.plan, self.engine, self.progress, self.lease = config, plan, engine, progress, lease
        self.output = config.output.path
        self.work = storage.join(self.output, "_work", plan.pass_id)
        self.manifest = read_manifest(self.output) or Manifest(config.stage, plan.fingerprint)
        self.counts: dict[str, StepCount] = {}
        self.skipped: Counter[str] = Counter()
        self.state: dict[str, list[str]] = {}
        self.notes: dict[str, Any] = {}
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self.rows_in = 0

    def run(self) -> RunRecord:
        """Run the rounds, publish, check and commit. :returns: the run record, as stored."""
        rounds = self.config.rounds()
        phases = sum(1 + len(r.cross) for r in rounds) + 1 + self.config.kind.writes_shards
        clock, cpu = time.monotonic(), self.engine.cpu_seconds()
        with self.progress.whole(phases):
            reads_crawl = self.config.kind.reads_crawl
            unit_records = self.config.run.unit_records
            units = crawl_units(self.plan.files) if reads_crawl else stage_units(self.plan.files, unit_records)
            marks: dict[str, str] = {}
            for n, round_ in enumerate(rounds):
                if n == 0 and self._only_compares(rounds):
                    self.rows_in = sum(int(f.fingerprint["rows"]) for f in self.plan.files)
                    characters = self.rows_in * CHARACTERS_A_ROW
                else:
                    steps = [label for label, _ in round_.steps] or ([READ] if n == 0 else [])
                    with self.progress.phase(_short(steps)):
                        done = self.engine.run_units(self._task(n, marks), units)
                    self._count(done, "rows")
                    if n == 0:
                        self.rows_in = done.sums.rows
                    self._check_errors(done)
                    characters = sum(done.table["characters"].to_pylist())
                    units = after_round(units, done, split=reads_crawl and n == 0 and len(rounds) > 1)
                    if n and not self.config.run.keep_work:  # all that they held is in this round's chunks
                        storage.remove(storage.join(self.work, f"round-{n - 1}", "chunks"))
                marks = self._marks(n, round_.cross, units, characters)
            groups = self._groups(units, done)
            self.lease.check()
            storage.remove(
                storage.join(self.output, SUCCESS)
            )  # from here on the folder holds more than the manifest says
            with self.progress.phase("publish"):
                published = self.engine.publish(self._task(len(rounds), marks), groups, self.output)
            self._count(published, "publish")
            files = published.sums.files
            self._check_rows(files)
            if self.config.kind.writes_shards:
                begun, shards_cpu = time.monotonic(), self.engine.cpu_seconds()
                with self.progress.phase("shards"):
                    notes = self.notes["shards"]
                    notes["totals"] = self.engine.write_shards(self.work, units, notes)
                self.cpu["shards"] = self.engine.cpu_seconds() - shards_cpu
                self.progress.say(f"shards: written, {time.monotonic() - begun:.1f} s")
            self.cpu["last_run"] = self.engine.cpu_seconds() - cpu
            return self._commit(files, time.monotonic() - clock)

    def _only_compares(self, rounds: Sequence[Round]) -> bool:
        """Whether the first round does nothing to the documents: the comparisons then read the files of the stage before."""
        first = rounds[0]
        return (
            not self.config.kind.reads_crawl
            and len(rounds) > 1
            and not first.steps
            and not self.config.removal_lists
            and all(type(step).prepare is CrossDocumentStep.prepare for _, step in first.cross)
        )

    def _groups(self, units: Units, done: Done) -> Groups:
        """The published files to be, by the characters that the last round counted."""
        characters = done.table["characters"].to_pylist()
        return groups_of(units, characters, self.config.output.file_characters, self.plan.pass_id)

    def _task(self, round_no: int, marks: dict[str, str]) -> Task:
        return Task(dump(self.config), self.work, round_no, marks)

    def _marks(
        self, n: int, cross: Sequence[tuple[str, CrossDocumentStep]], units: Units, characters: int
    ) -> dict[str, str]:
        """Marks of a round's cross-document steps, each finished once and for all. :returns: label -> folder."""
        marks: dict[str, str] = {}
        for label, step in cross:
            folder = storage.join(self.work, f"round-{n}", "marks", label)
            done = storage.join(folder, "done.json")
            with self.progress.phase(label):
                if storage.exists(done):
                    self.progress.say(f"{label}: found finished")
                else:
                    self.lease.check()
                    clock = time.monotonic()
                    state = [storage.join(self.output, p) for p in self.manifest.state.get(label, [])]
                    marked = self.engine.compare(
                        Comparison(label, step, self.work, units, dict(marks), state, self.rows_in, characters, folder)
                    )
                    result = {
                        "rows": marked.rows or 0,
                        "state": [p.removeprefix(self.output + "/") for p in marked.state],
                        "cpu_seconds": marked.cpu_seconds,
                        "record": marked.record,
                    }
                    storage.write_json(done, result)
                    for name in ("ranks", "vectors", "tables"):  # what the comparison wrote down for itself
                        storage.remove(storage.join(self.work, name, label))
                    outcome = "decided" if marked.rows is None else f"{marked.rows} rows marked"
                    self.progress.say(f"{label}: {outcome}, {time.monotonic() - clock:.1f} s")
                    for alarm in marked.record.get("alarms", ()):
                        self.progress.say(f"{label}: ALARM: {alarm}")
            result = storage.read_json(done)
            self.counts.setdefault(label, StepCount()).cpu_seconds += result["cpu_seconds"]
            self.cpu["comparisons"] += result["cpu_seconds"]
            self.state[label] = result["state"]
            if result["record"]:
                self.notes[label] = result["record"]
            marks[label] = folder
        return marks

    def _count(self, done: Done, name: str) -> None:
        for label, count in done.sums.steps.items():
            self.counts.setdefault(label, StepCount()).add(count)
            self.cpu["steps"] += count.cpu_seconds
        self.cpu[name] += done.sums.cpu_seconds
        self.skipped.update(done.sums.skipped)

    def _check_errors(self, done: Done) -> None:
        errors = sum(c.dropped.get(reason, 0) for c in self.counts.values() for reason in ERRORS)
        allowed = self.config.run.max_error_fraction
        if self.rows_in and errors / self.rows_in > allowed:
            causes = "; ".join(f"{e['step']} on {e['url']}: {e['error']}" for e in done.sums.errors)
            raise StageFailed(
                f"{errors} of {self.rows_in} rows failed in a step ({errors / self.rows_in:.2%}, allowed "
                f"run.max_error_fraction={allowed:.2%}); for example {causes}"
            )

    def _check_rows(self, files: list[PublishedFile]) -> None:
        """Check conservation: what came in is in the published files, and each step's rows add up."""
        published = sum(f.rows for f in files)
        if published != self.rows_in:
            raise StageFailed(f"{self.rows_in} rows came in, but {published} were published; nothing is committed")
        live, characters = self.rows_in, 0
        for label in self._labels():
            if label in self.config.idle():  # it took part in no round: every row passes
                self.counts[label] = StepCount(live, characters_in=characters, characters_out=characters)
            count = self.counts.get(label, StepCount())
            if count.rows_in != live:
                raise StageFailed(f"step {label}: {count.rows_in} rows came in, expected {live}; nothing is committed")
            live, characters = count.kept, count.characters_out
        kept = sum(f.rows for f in files if f.verdict == "kept")
        if kept != live:
            raise StageFailed(f"{live} rows passed the last step, but {kept} were published; nothing is committed")

    def _labels(self) -> list[str]:
        first = [READ] if self.config.kind.reads_crawl else []
        return [*first, *([REMOVAL] if self.config.removal_lists else []), *self.config.labels()]

    def _commit(self, files: list[PublishedFile], seconds: float) -> RunRecord:
        state: dict[str, list[str]] = {k: list(v) for k, v in self.manifest.state.items()}
        for label, paths in self.state.items():
            for path in paths:  # kept under a name of its own: _work/ goes away
                kept = f"_state/{label}/{path.rsplit('/', 1)[-1]}"
                storage.write_bytes(
                    storage.join(self.output, kept), storage.read_bytes(storage.join(self.output, path))
                )
                state.setdefault(label, []).append(kept)
        manifest = Manifest(
            stage=self.config.stage,
            fingerprint=self.plan.fingerprint,
            inputs=[*self.manifest.inputs, *self.plan.files],
            files=[*self.manifest.files, *files],
            state=state,
        )
        record = self._record(manifest, files, seconds)
        commit(self.output, self.lease, record, manifest)
        if not self.config.run.keep_work:
            storage.remove(storage.join(self.output, "_work"))
        return record

    def _record(self, manifest: Manifest, files: list[PublishedFile], seconds: float) -> RunRecord:
        earlier = read_record(self.output).passes if self.manifest.inputs and has_record(self.output) else []
        generations = sorted({f.generation for f in self.plan.files})
        one = PassRecord(
            generations=generations,
            started=self.plan.started,
            finished=_now(),
            wall_seconds_of_last_run=round(seconds, 3),
            rows_in=self.rows_in,
            kept=sum(f.rows for f in files if f.verdict == "kept"),
            dropped=sum(f.rows for f in files if f.verdict == "dropped"),
            steps={label: self.counts.get(label, StepCount()) for label in self._labels()},
            other_records=dict(sorted(self.skipped.items())),
            inputs=self.plan.files,
            removal_lists={p: file_sha256(p) for p in self.config.removal_lists},
            machine=machine(),
            versions=versions(),
            notes=self.notes,
            cpu_seconds={name: round(seconds, 3) for name, seconds in self.cpu.items()},
        )
        # A record of these generations is this pass's own, of a run that was killed before the manifest.
        passes = [*(p for p in earlier if p.generations != generations), one]
        return RunRecord(self.config.stage, dump(self.config), self.plan.fingerprint, manifest.schema_version, passes)


def commit(output: str, lease: Lease, record: RunRecord, manifest: Manifest) -> None:
    """Make new files of an output count: the record, the manifest as a whole, and last `_SUCCESS`.

    Readers trust the manifest alone, so a run that is killed before it is written has changed nothing for them.

    :raises LeaseLost: if another run took the output over.
    """
    lease.check()
    record.write(output)
    storage.write_json(storage.join(output, MANIFEST), manifest.to_json())
    succeed(output, manifest)


def succeed(output: str, manifest: Manifest) -> None:
    """Write `_SUCCESS`: all that the manifest names is there, and nothing is being added."""
    counts = {"generations": manifest.generations, "kept": manifest.rows("kept"), "dropped": manifest.rows("dropped")}
    storage.write_json(storage.join(output, SUCCESS), counts)


def _short(names: Sequence[str]) -> str:
    """Names of steps that run together, few enough for a line."""
    return " + ".join(names if len(names) <= 4 else [*names[:2], f"{len(names) - 3} more", names[-1]])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def machine() -> dict[str, Any]:
    """Machine that a record's numbers were taken on (the driver)."""
    return {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()}


def versions() -> dict[str, str]:
    """Versions of the code and of the libraries that results depend on."""
    names = ("pyspark", "pyarrow", "trafilatura", "lxml", "resiliparse", "FastWARC", "fasttext-numpy2", "tokenizers")
    table = {"corpusmill": pipeline.__version__, "commit": _code_commit(), "python": platform.python_version()}
    for name in names:
        try:
            table[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a zip without metadata
            table[name] = "unknown"
    return table


def _code_commit() -> str:
    """Commit of the checkout that the code runs from, with `+` if it was changed; `unknown` for an installed package."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    command = ["git", "-C", here, "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
