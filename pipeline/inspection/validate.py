"""Is a config, or an output, as it should be? Files, hashes, schema and counts of an output are read and compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.config import StageConfig, load
from pipeline.outputs import RUN, PassRecord, PublishedFile, gone_inputs, read_record, require_manifest
from pipeline.schema import DOCUMENT
from pipeline.stage import STAGES
from pipeline.steps import file_sha256
from pipeline.strict import UserError
from pipeline.tokenization import shards

Report = Callable[[str], None]


def validate_config(path: str, overrides: Sequence[str] = ()) -> list[str]:
    """Load a stage's YAML and ask every step for the files it names. :returns: problems, none if it is fine.

    :raises UserError: if it cannot be loaded at all.
    """
    return step_problems(load(path, overrides))


def step_problems(config: StageConfig) -> list[str]:
    """List what is wrong with the files that the steps of a config name."""
    problems = []
    for label, step in zip(config.labels(), config.steps, strict=True):
        missing = [path for path in step.resources() if not storage.exists(path)]
        problems += [
            f"steps.{label}: there is no file {path!r} (relative paths start at {os.getcwd()!r})" for path in missing
        ]
        if not missing:
            try:
                step.check()
            except (ValueError, OSError) as e:
                problems.append(f"steps.{label}: {e}")
    return problems


def validate_output(output: str, say: Report = lambda _: None) -> list[str]:
    """Compare an output with its manifest and its run record. :returns: problems, none if it is fine.

    :param say: told of each file that was read.
    :raises UserError: if there is no finished output.
    """
    manifest = require_manifest(output)
    problems: list[str] = []
    with ThreadPoolExecutor(4) as pool:  # hashing lets go of the interpreter
        for f, of_file in zip(
            manifest.files, pool.map(lambda f: _file_problems(output, f), manifest.files), strict=True
        ):
            say(f.path)
            problems += of_file
    record = read_record(output)
    if not STAGES[manifest.stage].reads_crawl:
        try:
            gone = gone_inputs(manifest, record.config["input"]["paths"])
        except (KeyError, TypeError, AttributeError):
            problems.append(f"{RUN}: its config has no input.paths")
        else:
            problems += [
                f"it was made of {path}, which its input does not publish any more: make it again" for path in gone
            ]
    kept, dropped = manifest.rows("kept"), manifest.rows("dropped")
    if record.rows_in != kept + dropped:
        problems.append(f"{record.rows_in:,} rows came in, but {kept:,} kept and {dropped:,} dropped are published")
    for one in record.passes:
        live = one.rows_in
        for label, count in one.steps.items():
            if count.rows_in != live:
                problems.append(f"step {label}: {count.rows_in:,} rows came in, expected {live:,}")
            live = count.kept
        if one.kept != live:
            problems.append(f"the last step kept {live:,} rows, the record says {one.kept:,}")
        problems += _byte_problems(one)
    if storage.exists(storage.join(output, shards.MANIFEST)):
        try:
            shards.verify(output)
        except UserError as e:
            problems.append(str(e))
    return problems


def _byte_problems(one: PassRecord) -> list[str]:
    """Is every byte of a pass's crawl files accounted for, and are the files as large as what was read?"""
    count = one.byte_count
    if count is None:
        return []
    problems = count.problems()
    sizes = sum(f.fingerprint["size"] for f in one.inputs)
    if count.files == len(one.inputs) and sizes != count.stored:  # else a row says that a file could not be opened
        problems.append(
            f"its {len(one.inputs)} input files have {sizes:,} bytes, but {count.stored:,} were there to read"
        )
    where = f"generations {', '.join(map(str, one.generations))}"
    return [f"{where}: {problem}" for problem in problems]


def _file_problems(output: str, f: PublishedFile) -> list[str]:
    path = storage.join(output, f.path)
    try:
        digest = file_sha256(path)
    except (FileNotFoundError, IsADirectoryError):
        return [f"{f.path}: the manifest names it, and it is not there"]
    if digest != f.sha256:
        return [f"{f.path}: SHA-256 {digest[:12]}..., the manifest says {f.sha256[:12]}..."]
    try:
        return _content_problems(path, f)
    except (pa.ArrowException, OSError) as e:
        return [f"{f.path}: not a readable Parquet file: {' '.join(str(e).split())}"]


def _content_problems(path: str, f: PublishedFile) -> list[str]:
    with storage.open_read(path) as source:
        file = pq.ParquetFile(source)
        problems = []
        if file.schema_arrow.remove_metadata() != DOCUMENT.remove_metadata():
            problems.append(f"{f.path}: its columns are not those of the document schema (pipeline/schema.py)")
        else:
            undecided = pc.sum(pc.is_null(file.read(columns=["drop_step"])["drop_step"])).as_py() or 0
            if undecided != (f.rows if f.verdict == "kept" else 0):
                problems.append(
                    f"{f.path}: {undecided:,} rows without a verdict that drops them, in files of {f.verdict} rows"
                )
        if file.metadata.num_rows != f.rows:
            problems.append(f"{f.path}: {file.metadata.num_rows:,} rows, the manifest says {f.rows:,}")
    return problems
