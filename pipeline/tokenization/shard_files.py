"""Files of token shards: what each says of itself, and the writer, which checks every row. SHARDS.md specifies the format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import IO, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.tokenization.shard_rows import SHARD

FORMAT = "corpusmill-shards"
SCHEMA_VERSION = 1
"""Raised when a column, the order of rows or the manifest changes its meaning."""

METADATA_KEY = b"corpusmill"
Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = get_args(Split)

_DICTIONARY = ["copy", "part", "n_parts", "source", "domain", "language", "category", "generation"]
_STATISTICS = [name for name in SHARD.names if name != "input_ids"]


@dataclass(frozen=True)
class ShardHeader:
    """Facts that every shard file holds, as JSON under the metadata key `corpusmill`."""

    split: Split
    generation: int
    shard: int
    n_shards: int  # of this split and generation
    seed: int
    eod_id: int
    tokenizer_sha256: str
    config_sha256: str

    @property
    def path(self) -> str:
        """The file's name, relative to the output folder."""
        return f"{self.split}/shard-g{self.generation:04d}-{self.shard:05d}.parquet"

    def metadata(self) -> dict[bytes, bytes]:
        data = {"format": FORMAT, "schema_version": SCHEMA_VERSION, **asdict(self)}
        return {METADATA_KEY: json.dumps(data, sort_keys=True).encode()}


@dataclass(frozen=True)
class ShardInfo:
    """A written shard, as the manifest lists it."""

    path: str  # relative to the manifest
    split: Split
    generation: int
    rows: int
    tokens: int
    row_groups: int
    bytes: int
    sha256: str
    language_tokens: dict[str, int]  # "unknown" where there is no language


class ShardWriter:
    """Writes rows that come in shuffle order to one file. The bytes depend on the rows and the header alone.

    Use it as a context manager; `info` is there after the block.
    """

    def __init__(self, sink: IO[bytes] | storage.HashingFile, header: ShardHeader, row_group_tokens: int) -> None:
        self.header = header
        self.row_group_tokens = row_group_tokens
        self._sink = storage.HashingFile(sink)  # type: ignore[arg-type]  # needs no more than write()
        self._schema = SHARD.with_metadata(header.metadata())
        # Sizes and speeds of the alternatives: benchmarks/results/tokenization.json. Page version 2 would force the
        # delta encoding on token ids: more bytes.
        self._writer = pq.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=_DICTIONARY,
            write_statistics=_STATISTICS,
            data_page_version="1.0",
            write_page_checksum=True,
        )
        self._pending: list[pa.Table] = []
        self._pending_tokens = 0
        self._rows = self._tokens = self._row_groups = 0
        self._languages: dict[str, int] = {}
        self._info: ShardInfo | None = None

    def write(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Append rows of schema `SHARD`.

        :raises ValueError: if the columns differ, or a row does not hold what the format promises.
        """
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        if not table.schema.equals(SHARD, check_metadata=False):
            raise ValueError(f"expected the columns of SHARD, found {difference(table.schema)}")
        if problem := row_problem(table, self.header):
            raise ValueError(problem)
        ends = np.cumsum(table["n_tokens"].to_numpy(), dtype=np.int64)
        start = done = 0
        while start < len(ends):
            room = self.row_group_tokens - self._pending_tokens
            stop = min(int(np.searchsorted(ends, done + room)) + 1, len(ends))
            self._pending.append(table.slice(start, stop - start))
            self._pending_tokens += int(ends[stop - 1]) - done
            start, done = stop, int(ends[stop - 1])
            if self._pending_tokens >= self.row_group_tokens:
                self._flush()
        for language, tokens in language_tokens_of(table).items():
            self._languages[language] = self._languages.get(language, 0) + tokens

    def _flush(self) -> None:
        # One chunk a column: pages would otherwise be cut where the caller's batches end.
        group = pa.concat_tables(self._pending).combine_chunks().replace_schema_metadata(self._schema.metadata)
        self._writer.write_table(group, row_group_size=max(1, group.num_rows))
        self._rows += group.num_rows
        self._tokens += self._pending_tokens
        self._row_groups += 1
        self._pending, self._pending_tokens = [], 0

    @property
    def info(self) -> ShardInfo:
        """Facts of the written shard. :raises ValueError: before the block has ended without an error."""
        if self._info is None:
            raise ValueError(f"{self.header.path}: the shard is not finished")
        return self._info

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None and self._pending:
            self._flush()
        self._writer.close()
        if kind is None:
            self._info = ShardInfo(
                path=self.header.path,
                split=self.header.split,
                generation=self.header.generation,
                rows=self._rows,
                tokens=self._tokens,
                row_groups=self._row_groups,
                bytes=self._sink.size,
                sha256=self._sink.sha256,
                language_tokens=dict(sorted(self._languages.items())),
            )


def write_shard(
    folder: str, header: ShardHeader, rows: Iterator[pa.Table] | Sequence[pa.Table], row_group_tokens: int
) -> ShardInfo:
    """Write rows, given in shuffle order, to the header's file under `folder`; it appears whole or not at all."""
    with (
        storage.open_atomic(storage.join(folder, header.path)) as f,
        ShardWriter(f, header, row_group_tokens) as writer,
    ):
        for table in rows:
            writer.write(table)
    return writer.info


def language_tokens_of(table: pa.Table) -> dict[str, int]:
    groups = table.group_by("language").aggregate([("n_tokens", "sum")]).to_pylist()
    return {g["language"] or "unknown": int(g["n_tokens_sum"]) for g in groups}


def difference(schema: pa.Schema) -> str:
    """Say what is wrong with a schema."""
    wrong = [f"no {n}" for n in SHARD.names if n not in schema.names]
    wrong += [f"{f.name} unexpected" for f in schema if f.name not in SHARD.names]
    both = [(f, SHARD.field(f.name)) for f in schema if f.name in SHARD.names]
    wrong += [f"{f.name} {f.type}{_null(f)}, not {g.type}{_null(g)}" for f, g in both if f != g]
    return "; ".join(wrong) or f"another order: {schema.names}"


def _null(field: pa.Field) -> str:
    return "" if field.nullable else " not null"


def row_problem(table: pa.Table, header: ShardHeader) -> str | None:
    """Describe the first row that breaks a promise of the format; None if all hold."""
    ids = table["input_ids"].combine_chunks()
    values = pc.list_flatten(ids).to_numpy()
    sizes = pc.list_value_length(ids).to_numpy()
    number = {name: table[name].to_numpy() for name in ("n_tokens", "copy", "part", "n_parts", "document_tokens")}
    is_eod = values == header.eod_id
    seen = np.concatenate([[0], np.cumsum(is_eod)])
    ends = np.cumsum(sizes, dtype=np.int64)
    checks = {"n_tokens is not the length of input_ids": sizes != number["n_tokens"], "input_ids is empty": sizes == 0}
    filled = sizes > 0
    last = np.zeros(len(sizes), dtype=bool)
    last[filled] = is_eod[ends[filled] - 1]
    checks[f"input_ids does not end in EOD ({header.eod_id})"] = ~last
    checks[f"input_ids holds EOD ({header.eod_id}) before its end"] = last & (seen[ends] - seen[ends - sizes] > 1)
    checks["part is not in 0 ... n_parts-1"] = (number["part"] < 0) | (number["part"] >= number["n_parts"])
    checks["document_tokens is below n_tokens"] = number["document_tokens"] < sizes
    checks[f"generation is not {header.generation}"] = table["generation"].to_numpy() != header.generation
    checks["copy is negative"] = number["copy"] < 0
    if header.split == "validation":
        checks["a validation row is a repeated copy"] = number["copy"] > 0
    for what, bad in checks.items():
        if bad.any():
            row = int(np.argmax(bad))
            numbers = {k: int(v[row]) for k, v in number.items()} | {"length": int(sizes[row])}
            return f"{header.path}: document {table['doc_id'][row].as_py()!r}: {what}; found {numbers}"
    return None


def read_header(parquet: pq.ParquetFile) -> ShardHeader:
    """Read the facts that a shard file holds. :raises KeyError, TypeError: if it is no shard."""
    data = json.loads(parquet.schema_arrow.metadata[METADATA_KEY])
    return ShardHeader(**{k: v for k, v in data.items() if k not in ("format", "schema_version")})
