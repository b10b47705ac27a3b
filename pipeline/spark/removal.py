"""Apply removal lists to finished outputs and shards: takedowns after the fact.

    spark-submit jobs/remove.py --list takedowns.txt out/demo/preparation out/demo/tokenization

A matching row becomes (or stays) a dropped row without text, step `removal`; a matching row of a shard is cut out and the
shard's manifest says so. Files without a match are not touched. The manifest changes as a whole, after the new files are
there and before the old ones go; killed anywhere, the same command ends the work.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from pipeline import storage
from pipeline.config import SparkConfig
from pipeline.executor import REMOVAL, VERDICTS, documents_writer, removal_list
from pipeline.inspection.report.page import REPORT, write_report
from pipeline.outputs import Lease, PublishedFile, read_record
from pipeline.passes import commit, load_removal_lists, require_finished, succeed
from pipeline.schema import DOCUMENT
from pipeline.spark.run import map_each
from pipeline.spark.session import get_session
from pipeline.steps import file_sha256
from pipeline.tokenization import shard_files, shards
from pipeline.tokenization.shard_rows import SHARD

TEXT_COLUMNS = ("title", "text", "line_tags", "line_link_share", "line_scores", "page_signals", "removed_lines")


def remove_from_output(
    spark: SparkSession, output: str, lists: Sequence[str], lease_seconds: float = 60
) -> dict[str, int]:
    """Apply removal lists to one finished output.

    :returns: rows removed from kept and from dropped files, and from shards.
    :raises UserError: if the folder holds no finished output, a killed pass is not ended, or a list is not readable.
    """
    load_removal_lists(lists)
    tag = hashlib.sha256("".join(file_sha256(p) for p in lists).encode()).hexdigest()[:8]
    with Lease(output, lease_seconds) as lease:
        manifest = require_finished(output)
        work = [_Rewrite(output, tuple(lists), tag, f) for f in manifest.files]
        results = map_each(spark, work, _Rewrite.run, None)
        files: list[PublishedFile] = []
        removed = {"kept": 0, "dropped": 0, "shards": 0}
        for old, result in zip(manifest.files, results, strict=True):
            if result is None:
                files.append(old)
                continue
            files += [PublishedFile(**f) for f in result["files"]]
            removed[old.verdict] += result["removed"]
        if storage.exists(storage.join(output, shards.MANIFEST)):
            removed["shards"] = _remove_from_shards(spark, output, tuple(lists), tag, lease)
        if any(removed.values()):
            lease.check()
            for page in reports(output):  # they quote pages
                storage.remove(page)
            record = read_record(output)
            entry = {"lists": {p: file_sha256(p) for p in lists}, "removed": removed}
            if entry not in record.removals[-1:]:  # there already: of a run that was killed before the manifest
                record = dataclasses.replace(record, removals=[*record.removals, entry])
            commit(output, lease, record, dataclasses.replace(manifest, files=files))
        else:
            succeed(output, manifest)  # its counts, where a take-down was killed before it
        folders = [f"documents/verdict={v}" for v in VERDICTS]
        _sweep(output, folders, {f.path for f in files})
    return removed


def reports(output: str) -> list[str]:
    """The report of an output, and that of the run which it is a part of, as far as they are there."""
    pages = [storage.join(output, REPORT), storage.join(output.rstrip("/").rpartition("/")[0] or ".", REPORT)]
    return [page for page in pages if storage.exists(page)]


@dataclasses.dataclass(frozen=True)
class _Rewrite:
    """One published file and the lists to apply to it."""

    output: str
    lists: tuple[str, ...]
    tag: str
    file: PublishedFile

    def run(self) -> dict[str, Any] | None:
        """Write the file again without what the lists name. :returns: the new files, or None if nothing matched."""
        path = storage.join(self.output, self.file.path)
        with storage.open_read(path) as f:
            keys = pq.read_table(f, columns=["doc_id", "url", "text", "drop_step"])
        matches = removal_list(self.lists).match(keys["doc_id"].to_pylist(), keys["url"].to_pylist())
        if self.file.verdict == "dropped":  # what was removed before stays as it is
            done = pc.and_(pc.equal(keys["drop_step"], REMOVAL), pc.is_null(keys["text"])).to_pylist()
            matches = [None if d else m for m, d in zip(matches, done, strict=True)]
        hits = pa.array([m is not None for m in matches], pa.bool_())
        n = pc.sum(hits).as_py()
        if not n:
            return None
        with storage.open_read(path) as f:
            table = pq.read_table(f)
        gone = _removed_rows(table.filter(hits), [m for m in matches if m is not None])
        remaining = table.filter(pc.invert(hits))
        files = [
            self._write(
                self.file.verdict, remaining if self.file.verdict == "kept" else pa.concat_tables([remaining, gone])
            )
        ]
        if self.file.verdict == "kept":
            files.append(self._write("dropped", gone))
        return {"removed": n, "files": [dataclasses.asdict(f) for f in files]}

    def _write(self, verdict: Any, table: pa.Table) -> PublishedFile:
        name = self.file.path.rsplit("/", 1)[-1].removesuffix(".parquet")
        marked = f"{name}-removed-{self.file.verdict[0]}{self.tag}"
        path = f"documents/verdict={verdict}/{marked}.parquet"
        with storage.open_atomic(storage.join(self.output, path)) as f:
            with documents_writer(f, DOCUMENT) as writer:
                writer.write_table(table.cast(DOCUMENT))
            return PublishedFile(path, verdict, table.num_rows, f.size, f.sha256, self.file.generation)


def _removed_rows(table: pa.Table, entries: list[str]) -> pa.Table:
    """Rows as dropped ones: identity stays, text and what was made of it goes."""
    n = table.num_rows
    values = {
        **{name: pa.nulls(n, DOCUMENT.field(name).type) for name in (*TEXT_COLUMNS, "duplicate_of")},
        "drop_step": pa.array([REMOVAL] * n, pa.string()),
        "drop_reason": pa.array(["removed"] * n, pa.string()),
        "drop_value": pa.array(entries, pa.string()),
    }
    for name, column in values.items():
        table = table.set_column(table.schema.get_field_index(name), DOCUMENT.field(name), column)
    return table


def _remove_from_shards(spark: SparkSession, output: str, lists: tuple[str, ...], tag: str, lease: Lease) -> int:
    """Cut the rows that the lists name out of the shards. :returns: rows removed."""
    manifest = shards.read_manifest(output)
    results = map_each(spark, [_RewriteShard(output, lists, tag, s) for s in manifest.shards], _RewriteShard.run, None)
    infos = [
        old if result is None else shard_files.ShardInfo(**result)
        for old, result in zip(manifest.shards, results, strict=True)
    ]
    lease.check()
    if tuple(infos) != manifest.shards:
        changed = dataclasses.replace(manifest, shards=tuple(infos))
        shards.write_manifest(output, changed, shards.shard_tokenizer(output, manifest))
    _sweep(output, shard_files.SPLITS, {i.path for i in infos})
    return sum(old.rows - new.rows for old, new in zip(manifest.shards, infos, strict=True))


@dataclasses.dataclass(frozen=True)
class _RewriteShard:
    """One shard and the lists to apply to it."""

    output: str
    lists: tuple[str, ...]
    tag: str
    shard: shard_files.ShardInfo

    def run(self) -> dict[str, Any] | None:
        """Write the shard again without what the lists name. :returns: its new entry, or None if nothing matched."""
        path = storage.join(self.output, self.shard.path)
        with storage.open_read(path) as f:
            keys = pq.read_table(f, columns=["doc_id", "url"])
        matches = removal_list(self.lists).match(keys["doc_id"].to_pylist(), keys["url"].to_pylist())
        if not any(matches):
            return None
        remaining = pa.array([m is None for m in matches], pa.bool_())
        new_path = f"{self.shard.path.removesuffix('.parquet')}-removed-{self.tag}.parquet"
        with storage.open_read(path) as source, pq.ParquetFile(source) as parquet:
            header = shard_files.read_header(parquet)
            # The size of a row group is a setting of the run that made the shard: the largest one found tells it.
            sizes = [
                pc.sum(parquet.read_row_group(i, columns=["n_tokens"])["n_tokens"]).as_py()
                for i in range(parquet.num_row_groups)
            ]
            with (
                storage.open_atomic(storage.join(self.output, new_path)) as sink,
                shard_files.ShardWriter(sink, header, max(sizes)) as writer,
            ):
                start = 0
                for i in range(parquet.num_row_groups):
                    table = parquet.read_row_group(i)
                    writer.write(table.filter(remaining.slice(start, table.num_rows)).cast(SHARD))
                    start += table.num_rows
        return dataclasses.asdict(dataclasses.replace(writer.info, path=new_path))


def _sweep(output: str, folders: Sequence[str], named: set[str]) -> None:
    """Delete files that the manifest does not name: what a removal replaced must not stay on the disk."""
    for folder in folders:
        for name in storage.names(storage.join(output, folder)):
            if f"{folder}/{name}" not in named:
                storage.remove(storage.join(output, folder, name))


def remove_from_outputs(outputs: Sequence[str], lists: Sequence[str]) -> list[str]:
    """Apply removal lists to finished outputs, and write their reports again without what was removed.

    :returns: what was done, a line each.
    :raises UserError: if a folder holds no finished output, or a list is not readable; nothing is removed then.
    """
    load_removal_lists(lists)
    for output in outputs:
        require_finished(output)
    spark = get_session("remove", SparkConfig())
    pages = list(dict.fromkeys(page for output in outputs for page in reports(output)))
    lines = []
    for output in outputs:
        removed = remove_from_output(spark, output, lists)
        lines.append(f"{output}: removed {', '.join(f'{n} of {k}' for k, n in removed.items())}")
    return lines + [f"report: {write_report(page.removesuffix(REPORT).rstrip('/') or '.')}" for page in pages]
