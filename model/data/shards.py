"""Token shards as `pipeline/tokenization/SHARDS.md` (schema version 1) has them: the manifest, and row groups as numpy arrays.

    shards = open_shards("out/demo/tokenization")     # a folder or a URI that pyarrow.fs knows (s3://, hdfs://, gs://)
    for shard in shards.split("train"):
        for group in range(shard.row_groups):
            tokens_N, offsets = shards.tokens(shard, group)     # row r: tokens_N[offsets[r] : offsets[r + 1]]

Only the manifest says what may be read. Shapes: N tokens of a row group, R its rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from model.base.arrays import Int32s, Int64s
from model.base.errors import ShardError

FORMAT = "corpusmill-shards"
SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
METADATA_KEY = b"corpusmill"

Split = Literal["train", "validation"]

_TYPES = {
    **{"doc_id": pa.string(), "copy": pa.int32(), "part": pa.int32(), "n_tokens": pa.int32()},
    "input_ids": pa.list_(pa.int32()),
}
"""Types of columns that are never null; others are strings."""


@dataclass(frozen=True)
class Shard:
    """One file of a folder of shards, as the manifest lists it; counts in rows, tokens and bytes."""

    path: str
    split: str
    generation: int
    rows: int
    tokens: int
    row_groups: int
    bytes: int
    sha256: str
    language_tokens: Mapping[str, int]


@dataclass(frozen=True)
class _Tokenizer:
    eod_id: int
    eod_token: str
    vocab_size: int
    file: str
    sha256: str


@dataclass(frozen=True)
class _Manifest:
    seed: int
    tokenizer: _Tokenizer
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class Shards:
    """A folder of shards. `folder` is a path within `filesystem`; `eod_id` ends every row and occurs nowhere else."""

    filesystem: fs.FileSystem
    folder: str
    seed: int
    eod_id: int
    eod_token: str
    vocab_size: int
    tokenizer_file: str
    tokenizer_sha256: str
    shards: tuple[Shard, ...]

    def split(self, name: str) -> tuple[Shard, ...]:
        """List the shards of a split, in reading order.

        :raises ShardError: no shard is of this split.
        """
        shards = tuple(s for s in self.shards if s.split == name)
        if not shards:
            known = ", ".join(sorted({s.split for s in self.shards})) or "none"
            raise ShardError(f"{self.folder}: no shards of split {name!r}; splits there: {known}")
        return shards

    def language_tokens(self, name: str) -> dict[str, int]:
        """Count the tokens of each language in a split."""
        out: dict[str, int] = {}
        for shard in self.split(name):
            for language, tokens in shard.language_tokens.items():
                out[language] = out.get(language, 0) + tokens
        return out

    def open(self, shard: Shard) -> pq.ParquetFile:
        """Open the Parquet file of a shard, and hold its header to the manifest.

        :raises ShardError: another format, version, split or end-of-document token than the manifest's, or other row groups,
            or no readable file.
        """
        with _told(shard.path):
            file = pq.ParquetFile(
                f"{self.folder}/{shard.path}", filesystem=self.filesystem, page_checksum_verification=True
            )
            header = _mapping((file.schema_arrow.metadata or {}).get(METADATA_KEY, b"{}"))
        expected = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "split": shard.split,
            "eod_id": self.eod_id,
            "tokenizer_sha256": self.tokenizer_sha256,
        }
        for key, value in expected.items():
            if header.get(key) != value:
                raise ShardError(f"{shard.path}: {key} is {header.get(key)!r}, the manifest's is {value!r}")
        counts = (file.metadata.num_rows, file.num_row_groups)
        if counts != (shard.rows, shard.row_groups):
            raise ShardError(
                f"{shard.path}: {counts[0]} rows in {counts[1]} row groups, the manifest says {shard.rows} in {shard.row_groups}"
            )
        return file

    def table(self, shard: Shard, group: int, columns: Sequence[str]) -> pa.Table:
        """Read columns of one row group, by one thread."""
        with _told(shard.path), self.open(shard) as file:
            table = file.read_row_group(group, columns=list(columns), use_threads=False)
            for name in columns:
                _check(table, name)
            return table

    def tokens(self, shard: Shard, group: int) -> tuple[Int32s, Int64s]:
        """Read the token ids of one row group.

        :returns: ids `(N,)` int32, read-only, and where rows begin `(R + 1,)` int64.
        :raises ShardError: rows are not as long as they say.
        """
        table = self.table(shard, group, ["input_ids", "n_tokens"])
        ids, offsets = flat(table["input_ids"])
        check_lengths(shard, offsets, table["n_tokens"].to_numpy())
        return ids, offsets

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Vocabulary, token to id, from the tokenizer's file.

        :raises ShardError: the file is not the one of the manifest.
        """
        data = self.read(self.tokenizer_file)
        digest = hashlib.sha256(data).hexdigest()
        if digest != self.tokenizer_sha256:
            raise ShardError(f"{self.tokenizer_file}: SHA-256 {digest}, the manifest says {self.tokenizer_sha256}")
        return cast("dict[str, int]", json.loads(data)["model"]["vocab"])

    def verify(self) -> None:
        """Read all files and compare their SHA-256 with the manifest's: as long as reading everything once.

        :raises ShardError: the first file that differs.
        """
        for path, expected in [
            (self.tokenizer_file, self.tokenizer_sha256),
            *((s.path, s.sha256) for s in self.shards),
        ]:
            digest = hashlib.sha256()
            with _told(path), self.filesystem.open_input_stream(f"{self.folder}/{path}") as f:
                while part := f.read(1 << 22):
                    digest.update(part)
            if digest.hexdigest() != expected:
                raise ShardError(f"{path}: SHA-256 {digest.hexdigest()}, the manifest says {expected}")

    def read(self, path: str) -> bytes:
        """Read a file of the folder."""
        with _told(path), self.filesystem.open_input_stream(f"{self.folder}/{path}") as f:
            return bytes(f.read())


def open_shards(folder: str) -> Shards:
    """Read the manifest of a folder.

    :raises ShardError: no manifest there, a damaged one, another format, or another schema version.
    """
    filesystem, path = fs.FileSystem.from_uri(folder) if "://" in folder else (fs.LocalFileSystem(), folder)
    path = path.rstrip("/")
    try:
        with filesystem.open_input_stream(f"{path}/{MANIFEST}") as f, _told(f"{folder}/{MANIFEST}"):
            manifest = _mapping(f.read())
    except FileNotFoundError:
        raise ShardError(f"{folder}: no {MANIFEST}; give the folder that the tokenization stage wrote") from None
    except OSError as error:
        raise ShardError(f"{folder}/{MANIFEST}: cannot be read: {' '.join(str(error).split())}") from error
    version = (manifest.get("format"), manifest.get("schema_version"))
    if version != (FORMAT, SCHEMA_VERSION):
        raise ShardError(
            f"{folder}: {MANIFEST} is of format {version[0]!r}, version {version[1]!r}; "
            f"this reads {FORMAT!r}, version {SCHEMA_VERSION}"
        )
    with _told(f"{folder}/{MANIFEST}"):
        listed = TypeAdapter(_Manifest).validate_python(manifest)
    tokenizer = listed.tokenizer
    return Shards(
        filesystem=filesystem,
        folder=path,
        seed=listed.seed,
        eod_id=tokenizer.eod_id,
        eod_token=tokenizer.eod_token,
        vocab_size=tokenizer.vocab_size,
        tokenizer_file=tokenizer.file,
        tokenizer_sha256=tokenizer.sha256,
        shards=listed.shards,
    )


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Tell of a file that cannot be read, or does not hold what it should, by its name."""
    try:
        yield
    except ShardError:
        raise
    except ValidationError as error:
        first = error.errors()[0]
        where, found = ".".join(map(str, first["loc"])), repr(first["input"])[:100]
        raise ShardError(f"{path}: {where}: {first['msg']}, found {found}") from error
    except (OSError, ValueError, pa.ArrowException, RecursionError) as error:
        raise ShardError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error


def _mapping(data: bytes) -> dict[str, Any]:
    """Read a JSON object. :raises ValueError: it is none."""
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {type(value).__name__}")
    return value


def _check(table: pa.Table, name: str) -> None:
    """Hold a column to its type. :raises ShardError: it is missing, of another type, or null where it must not be."""
    if name not in table.column_names:
        raise ShardError(f"there is no column {name}")
    column, kind = table[name], _TYPES.get(name, pa.string())
    found = pa.list_(column.type.value_type) if pa.types.is_list(column.type) else column.type
    if found != kind:
        raise ShardError(f"{name} is {found}, expected {kind}")
    if name in _TYPES and column.null_count:
        raise ShardError(f"{name} is null in {column.null_count} rows")


def check_lengths(shard: Shard, offsets: Int64s, lengths: npt.NDArray[np.integer[Any]]) -> None:
    """Hold rows to their lengths: the footer of a file, which says where its pages are, has no checksum.

    :raises ShardError: they differ.
    """
    if not np.array_equal(np.diff(offsets), lengths):
        raise ShardError(f"{shard.path}: rows of input_ids are not as long as n_tokens says")


def flat(column: pa.ChunkedArray) -> tuple[Int32s, Int64s]:
    """Flatten a column of lists to one array of values, without a copy where it is one chunk.

    :returns: values `(N,)` int32, offsets `(R + 1,)` int64 that begin with 0.
    """
    if column.num_chunks == 1:
        lists = column.chunk(0)
    else:
        lists = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return lists.flatten().to_numpy(zero_copy_only=True), offsets - offsets[0]
