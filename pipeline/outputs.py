"""Output folder of a stage: its files, the lease that lets one run write it, and the files that readers may trust.

documents/verdict=kept|dropped/part-g0000-00000-<pass>.parquet    the rows
_manifest.json     the generations: input files, published files with rows and SHA-256; readers trust this alone
_run.json          resolved config, fingerprints, versions, counts by step and reason, CPU seconds
_SUCCESS           written last, after conservation was checked; absent while a generation is being added
_lease.json        the run that holds the output, with its heartbeat
_state/            what later generations need to know of earlier ones (survivors' keys)
_work/             the unfinished generation: plan, receipts, chunks, marks; removed after success
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.schema import DOCUMENT, SCHEMA_VERSION
from pipeline.stage import STAGES
from pipeline.strict import UserError

MANIFEST = "_manifest.json"
_REMOVED = re.compile(r"(-removed-[kd]?[0-9a-f]+)+(?=\.parquet$)")
RUN = "_run.json"
SUCCESS = "_SUCCESS"
LEASE = "_lease.json"

Verdict = Literal["kept", "dropped"]


@dataclass(frozen=True)
class InputFile:
    """An input file of a generation. `fingerprint` tells whether it has changed since (size, hash of both ends)."""

    path: str
    fingerprint: dict[str, Any]
    generation: int
    file_no: int


@dataclass(frozen=True)
class PublishedFile:
    """A file of documents or of shards, relative to the output folder."""

    path: str
    verdict: Verdict
    rows: int
    bytes: int
    sha256: str
    generation: int


@dataclass
class StepCount:
    """Counts of one step in a unit, a pass or a whole run: rows, drops by reason, characters, CPU seconds."""

    rows_in: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    characters_in: int = 0
    characters_out: int = 0
    cpu_seconds: float = 0.0

    @property
    def kept(self) -> int:
        return self.rows_in - sum(self.dropped.values())

    def add(self, other: StepCount) -> None:
        self.rows_in += other.rows_in
        self.dropped.update(other.dropped)
        self.characters_in += other.characters_in
        self.characters_out += other.characters_out
        self.cpu_seconds += other.cpu_seconds

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "dropped": dict(sorted(self.dropped.items())), "kept": self.kept}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StepCount:
        return cls(**{**{k: v for k, v in data.items() if k != "kept"}, "dropped": Counter(data["dropped"])})


@dataclass(frozen=True)
class PassRecord:
    """One pass of a stage over its new input files, as `_run.json` holds it. Times are ISO 8601, UTC."""

    generations: list[int]
    started: str
    finished: str
    wall_seconds_of_last_run: float
    rows_in: int
    kept: int
    dropped: int
    steps: dict[str, StepCount]
    """By label, in the order of the configuration."""
    other_records: dict[str, int]
    """Records of crawl files that are no pages, by kind."""
    inputs: list[InputFile]
    removal_lists: dict[str, str]
    """SHA-256 by path."""
    machine: dict[str, Any]
    versions: dict[str, str]
    notes: dict[str, Any] = field(default_factory=dict)
    """Records of cross-document steps and the shards' writer, by label."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """Of the whole pass: document `steps`; `rows` read, made and written between them; `comparisons`; `publish`; `shards`. And
    `last_run`: all processes on the driver's machine in the last run of the pass, with the start of Spark and its workers; on one
    machine, if the pass was never killed, what it has beyond the others is in none of them."""

    def to_json(self) -> dict[str, Any]:
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "notes" or self.notes}
        steps = {label: count.to_json() for label, count in self.steps.items()}
        return {**data, "steps": steps, "inputs": [dataclasses.asdict(f) for f in self.inputs]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PassRecord:
        steps = {label: StepCount.from_json(count) for label, count in data["steps"].items()}
        return cls(**{**data, "steps": steps, "inputs": [InputFile(**f) for f in data["inputs"]]})


@dataclass(frozen=True)
class RunRecord:
    """The run record of a stage's output, `_run.json`: what was run, on what, and what became of the rows."""

    stage: str
    config: dict[str, Any]
    """The resolved config; `pipeline.config.parse` makes a `StageConfig` of it."""
    fingerprint: dict[str, Any]
    schema_version: int
    passes: list[PassRecord]
    removals: list[dict[str, Any]] = field(default_factory=list)
    """Later removals by take-downs."""

    @property
    def rows_in(self) -> int:
        return sum(p.rows_in for p in self.passes)

    @property
    def kept(self) -> int:
        return sum(p.kept for p in self.passes)

    @property
    def dropped(self) -> int:
        return self.rows_in - self.kept

    @property
    def last_pass(self) -> PassRecord:
        return self.passes[-1]

    @property
    def steps(self) -> dict[str, StepCount]:
        """Counts of each step, added over the passes."""
        total: dict[str, StepCount] = {}
        for one in self.passes:
            for label, count in one.steps.items():
                total.setdefault(label, StepCount()).add(count)
        return total

    @property
    def other_records(self) -> dict[str, int]:
        """Records that are no pages, by kind, added over the passes."""
        return dict(sorted(sum((Counter(p.other_records) for p in self.passes), Counter()).items()))

    def to_json(self) -> dict[str, Any]:
        data = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "removals" or self.removals
        }
        return {**data, "passes": [p.to_json() for p in self.passes]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunRecord:
        return cls(**{**data, "passes": [PassRecord.from_json(p) for p in data["passes"]]})

    def write(self, output: str) -> None:
        """Replace the record of an output folder, atomically."""
        storage.write_json(storage.join(output, RUN), self.to_json())


def has_record(folder: str) -> bool:
    """Whether a folder is a stage's output; it may also hold the outputs of several stages, or nothing of this."""
    return storage.exists(storage.join(folder, RUN))


def read_record(output: str) -> RunRecord:
    """Read the run record of a stage's output.

    :raises UserError: if the folder has none.
    """
    if not has_record(output):
        raise UserError(f"{output!r} is not a finished stage output: it has no {RUN}; run the stage first")
    return RunRecord.from_json(storage.read_json(storage.join(output, RUN)))


def read_run_records(path: str) -> dict[str, RunRecord]:
    """Read the run records of a stage's output, or of the stages under a folder, by output folder, in stage order.

    :raises UserError: if there is none.
    """
    outputs = [path] if has_record(path) else [storage.join(path, s) for s in STAGES if s in storage.names(path)]
    records = {output: read_record(output) for output in outputs if has_record(output)}
    if not records:
        raise UserError(f"{path!r}: no {RUN} here nor in {', '.join(STAGES)} under it; run a stage first")
    return records


@dataclass
class Manifest:
    """Record of what is published. Replaced as a whole, so that a reader sees all of a generation or nothing of it."""

    stage: str
    fingerprint: dict[str, Any]
    inputs: list[InputFile] = field(default_factory=list)
    files: list[PublishedFile] = field(default_factory=list)
    state: dict[str, list[str]] = field(default_factory=dict)
    """Per cross-document step the state files of all generations, relative to the output folder."""
    schema_version: int = SCHEMA_VERSION

    @property
    def generations(self) -> int:
        return 1 + max((f.generation for f in self.inputs), default=-1)

    def rows(self, verdict: Verdict) -> int:
        return sum(f.rows for f in self.files if f.verdict == verdict)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Manifest:
        if data["schema_version"] != SCHEMA_VERSION:
            raise UserError(
                f"the output has schema version {data['schema_version']}, this code reads {SCHEMA_VERSION}: "
                "make the output again (--set run.overwrite=true) or use the version that made it"
            )
        return cls(
            **{
                **data,
                "inputs": [InputFile(**f) for f in data["inputs"]],
                "files": [PublishedFile(**f) for f in data["files"]],
            }
        )


def read_manifest(output: str) -> Manifest | None:
    """The manifest of an output folder, or None if nothing has been published there."""
    path = storage.join(output, MANIFEST)
    return Manifest.from_json(storage.read_json(path)) if storage.exists(path) else None


def require_manifest(output: str) -> Manifest:
    """:raises UserError: if nothing has been published in that folder."""
    manifest = read_manifest(output)
    if manifest is None:
        raise UserError(f"{output!r} is not a finished stage output: it has no {MANIFEST}; run the stage first")
    return manifest


def as_first_named(path: str) -> str:
    """The name that a published file had before take-downs rewrote it (`pipeline/spark/removal.py` marks the new ones)."""
    return _REMOVED.sub("", path)


def gone_inputs(manifest: Manifest, inputs: Sequence[str]) -> list[str]:
    """Files that an output was made of and that its inputs, outputs of the stage before, do not publish any more: that stage was
    made again. Of inputs that are not named, or not there, nothing is said."""
    gone: list[str] = []
    for path in inputs:
        before = read_manifest(path)
        if before is not None:
            now = {as_first_named(storage.join(path, f.path)) for f in before.files}
            used = (f.path for f in manifest.inputs if f.path.startswith(path.rstrip("/") + "/"))
            gone += [p for p in used if as_first_named(p) not in now]
    return gone


def published_files(output: str, verdict: Verdict | None = None) -> list[PublishedFile]:
    return [f for f in require_manifest(output).files if verdict is None or f.verdict == verdict]


def read_documents(output: str, verdict: Verdict | None = None, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Published rows, one table a file, through the manifest. For inspection and tests; a cluster reads files in tasks."""
    for f in published_files(output, verdict):
        with storage.open_read(storage.join(output, f.path)) as source:
            yield pq.read_table(source, columns=columns)


def read_all(output: str, verdict: Verdict | None = None, columns: list[str] | None = None) -> pa.Table:
    """All published rows as one table; for outputs that fit in memory."""
    tables = list(read_documents(output, verdict, columns))
    if tables:
        return pa.concat_tables(tables)
    return DOCUMENT.empty_table().select(columns or DOCUMENT.names)


class LeaseLost(Exception):
    """Another run took the output over, since this one's heartbeat had stopped for too long."""


class Lease:
    """A lock on an output folder with a heartbeat, so that a killed run does not block its own rerun for long.

    A lease is dead when its heartbeat is older than `seconds`, or at once if its process ran on this host and is gone.
    """

    def __init__(self, output: str, seconds: float) -> None:
        self.path = storage.join(output, LEASE)
        self.seconds = seconds
        self.token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def _content(self) -> bytes:
        data = {
            "token": self.token,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": _process_start(os.getpid()),
            "heartbeat": time.time(),
        }
        return json.dumps(data).encode()

    def __enter__(self) -> Lease:
        try:
            free = storage.create(self.path, self._content())
        except OSError as e:
            folder = self.path.rpartition("/")[0]
            raise UserError(f"output.path {folder!r} cannot be written to: {e.strerror or e}") from e
        if not free:
            other = self._read()
            if other is not None and not self._is_dead(other):
                age = time.time() - float(other["heartbeat"])
                raise UserError(
                    f"another run holds this output: process {other['pid']} on {other['host']}, last heartbeat "
                    f"{age:.0f} s ago ({self.path}). Wait for it, or choose another output.path"
                )
            storage.write_bytes(self.path, self._content())
            time.sleep(0.2)  # two runs that found the same dead lease: the last writer has it
            now = self._read()
            if now is None or now["token"] != self.token:
                raise UserError(f"another run took over this output just now ({self.path})")
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        current = self._read()
        if current is not None and current["token"] == self.token:
            storage.remove(self.path)

    def check(self) -> None:
        """:raises LeaseLost: if this run no longer holds the output; called before anything is committed."""
        current = self._read()
        if self._lost.is_set() or current is None or current["token"] != self.token:
            raise LeaseLost(
                f"this run lost its lease {self.path}: another run took the output over; nothing was published"
            )

    def _read(self) -> dict[str, Any] | None:
        try:
            data: dict[str, Any] = storage.read_json(self.path)
        except (FileNotFoundError, ValueError):
            return None
        return data

    def _is_dead(self, other: dict[str, Any]) -> bool:
        if time.time() - float(other["heartbeat"]) > self.seconds:
            return True
        return bool(other["host"] == socket.gethostname()) and _process_start(int(other["pid"])) != other["started"]

    def _beat(self) -> None:
        while not self._stop.wait(self.seconds / 6):
            current = self._read()
            if current is not None and current["token"] != self.token:
                self._lost.set()
                return
            storage.write_bytes(self.path, self._content())


def holder(output: str, seconds: float = 60) -> dict[str, Any] | None:
    """The run that holds an output now: its host, process and heartbeat; None if none does."""
    lease = Lease(output, seconds)
    other = lease._read()
    return None if other is None or lease._is_dead(other) else other


def _process_start(pid: int) -> str | None:
    """Start time of a process of this host in clock ticks (a pid alone is reused); None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            return f.read().rsplit(b")", 1)[1].split()[19].decode()
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError:  # no /proc on this system: only the heartbeat decides
        return "unknown"


def difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Differences between two fingerprints, as lines `steps.language.parameters.min_score: 0.65 -> 0.8`."""
    lines: list[str] = []
    for key in sorted({*old, *new}):
        where = f"{prefix}.{key}" if prefix else key
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += difference(a, b, where)
        elif key not in old:
            lines.append(f"{where}: added")
        elif key not in new:
            lines.append(f"{where}: removed")
        elif a != b:
            lines.append(f"{where}: {a!r} -> {b!r}")
    if prefix == "steps" and not lines and list(old) != list(new):
        lines.append(f"steps: order {list(old)} -> {list(new)}")
    return lines
