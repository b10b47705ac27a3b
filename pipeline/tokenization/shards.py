"""Token shards: rows, their order, the files, the manifest. SHARDS.md specifies the format; this writes and reads it.

Writing, of documents with their tokens and copies:

    rows = shard_rows(table, copies, options, tokenizer.cut_scores)
    keys = shuffle_key(options.seed, rows)                  # which shard, and where in it
    shard_number(keys, n_shards)
    with storage.open_atomic(...) as f, ShardWriter(f, header, options.row_group_tokens) as writer:
        writer.write(rows.take(shuffle_order(keys, rows)))
    write_manifest(folder, Manifest(..., shards=[writer.info, ...]), tokenizer)

Reading:

    for table in read_shards(folder): ...                   # one table a row group
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import IO, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from pydantic import Field

from pipeline import storage
from pipeline.steps import file_sha256
from pipeline.strict import Strict, UserError
from pipeline.tokenization.tokenizer import ENDS_LINE, STARTS_INSIDE, TokenIds, Tokenizer

FORMAT = "corpusmill-shards"
SCHEMA_VERSION = 1
"""Raised when a column, the order of rows or the manifest changes its meaning."""

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
METADATA_KEY = b"corpusmill"

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = get_args(Split)

SHARD = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("copy", pa.int32(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("n_parts", pa.int32(), nullable=False),
        pa.field("input_ids", pa.list_(pa.field("element", pa.int32(), nullable=False)), nullable=False),
        pa.field("n_tokens", pa.int32(), nullable=False),
        pa.field("document_tokens", pa.int64(), nullable=False),
        pa.field("source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("language", pa.string()),
        pa.field("category", pa.string()),
        pa.field("generation", pa.int32(), nullable=False),
    ]
)

_DICTIONARY = ["copy", "part", "n_parts", "source", "domain", "language", "category", "generation"]
_STATISTICS = [name for name in SHARD.names if name != "input_ids"]
_DOCUMENT_COLUMNS = ("source", "url", "domain", "language", "category", "generation")
_UNKNOWN = "unknown"

Hashes = npt.NDArray[np.uint64]


class ShardOptions(Strict):
    """How documents become shards."""

    seed: int = Field(0, ge=0, description="of the shuffle, the validation split and the copies")
    shard_tokens: int = Field(
        100_000_000, gt=0, description="tokens a shard aims at: 100 million are about 170 MB (1.7 bytes a token)"
    )
    row_group_tokens: int = Field(
        1_000_000, gt=0, description="a row group is closed by the row that brings it to as many tokens"
    )
    validation_share: float = Field(0.005, ge=0, lt=1, description="share of registered domains kept out of training")
    long_documents: Literal["split", "cap", "keep"] = Field(
        "split", description="documents above max_document_tokens: several rows, the first part alone, or one long row"
    )
    max_document_tokens: int = Field(
        131_072, ge=16, description="tokens of the longest row, EOD included; 131,072 is four contexts of 32K"
    )

    def shard_count(self, tokens: int) -> int:
        """Number of shards for so many tokens, at least 1."""
        return max(1, -(-tokens // self.shard_tokens))


# --- rows -------------------------------------------------------------------------------------------------------------


def cut_document(ids: TokenIds, options: ShardOptions, cut_scores: npt.NDArray[np.uint8]) -> list[TokenIds]:
    """The rows of one document: token arrays of at most `max_document_tokens`, each ending in EOD.

    A cut falls into the last quarter of what fits: after the last line break there, else after a whole character.

    :param ids: the document's tokens with its EOD, shape (n_tokens,).
    :param cut_scores: `Tokenizer.cut_scores`, shape (vocab_size,).
    """
    limit = options.max_document_tokens
    if options.long_documents == "keep" or len(ids) <= limit:
        return [ids]
    parts = []
    start = 0
    while len(ids) - start > limit:
        room = limit - 1  # the part's own EOD takes one
        end = start + room
        around = cut_scores[ids[end - room // 4 - 1 : end + 1]]
        whole = (around[1:] & STARTS_INSIDE) == 0  # a cut before these tokens is not inside a character
        score = np.where(whole, 1 + (around[:-1] & ENDS_LINE), 0)
        size = room - int(np.argmax(score[::-1]))
        parts.append(np.append(ids[start : start + size], ids[-1]))
        start += size
        if options.long_documents == "cap":
            return parts
    return [*parts, ids[start:]]


def shard_rows(
    documents: pa.Table, copies: npt.NDArray[np.int32], options: ShardOptions, cut_scores: npt.NDArray[np.uint8]
) -> pa.Table:
    """Rows of schema `SHARD`: each document's parts, `copies` times, in the order of the documents.

    :param documents: columns `doc_id`, `input_ids` (each ending in EOD) and `generation`; `source`, `url`, `domain`,
        `language` and `category` are null where they are missing. n rows.
    :param copies: shape (n,); 0 leaves a document out.
    """
    ids = pc.list_flatten(documents["input_ids"]).to_numpy().astype(np.int32, copy=False)
    ends = np.cumsum(pc.list_value_length(documents["input_ids"]).to_numpy())
    parts: list[TokenIds] = []
    index: list[int] = []  # of the document, for each row
    place: list[tuple[int, int, int]] = []  # copy, part, n_parts, for each row
    lengths = []
    for i, end in enumerate(ends.tolist()):
        document = ids[ends[i - 1] if i else 0 : end]
        pieces = cut_document(document, options, cut_scores)
        for copy in range(int(copies[i])):
            parts += pieces
            index += [i] * len(pieces)
            place += [(copy, part, len(pieces)) for part in range(len(pieces))]
            lengths += [len(document)] * len(pieces)
    sizes = np.array([len(p) for p in parts], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    values = np.concatenate(parts) if parts else np.array([], dtype=np.int32)
    taken = documents.take(pa.array(index, type=pa.int64()))
    n = len(index)
    columns = {
        "doc_id": taken["doc_id"],
        **dict(zip(("copy", "part", "n_parts"), np.array(place, dtype=np.int32).reshape(n, 3).T, strict=True)),
        "input_ids": pa.ListArray.from_arrays(offsets, pa.array(values), type=SHARD.field("input_ids").type),
        "n_tokens": sizes,
        "document_tokens": np.array(lengths, dtype=np.int64),
        **{c: taken[c] if c in taken.column_names else pa.nulls(n, pa.string()) for c in _DOCUMENT_COLUMNS},
    }
    return pa.table([columns[name] for name in SHARD.names], schema=SHARD)


def _hashes(texts: Sequence[str]) -> Hashes:
    return np.array([xxhash.xxh3_64_intdigest(t.encode()) for t in texts], dtype=np.uint64)


def shuffle_key(seed: int, rows: pa.Table) -> Hashes:
    """XXH3-64 of "shuffle/{seed}/{doc_id}/{copy}/{part}", shape (n,): where a row comes in the global shuffle."""
    columns = (rows[name].to_pylist() for name in ("doc_id", "copy", "part"))
    return _hashes([f"shuffle/{seed}/{d}/{c}/{p}" for d, c, p in zip(*columns, strict=True)])


def shard_number(keys: Hashes, n_shards: int) -> npt.NDArray[np.int64]:
    """The shard of each key, 0 to n_shards - 1, shape (n,): equal ranges of the upper 32 bits."""
    return ((keys >> np.uint64(32)) * np.uint64(n_shards) >> np.uint64(32)).astype(np.int64)


def shuffle_order(keys: Hashes, rows: pa.Table) -> pa.Array:
    """Row numbers in order of (key, doc_id, copy, part), shape (n,): the order within a shard."""
    table = rows.select(["doc_id", "copy", "part"]).append_column("key", pa.array(keys))
    return pc.sort_indices(table, [(name, "ascending") for name in ("key", "doc_id", "copy", "part")])


def is_validation(
    seed: int, domains: Sequence[str | None], doc_ids: Sequence[str], share: float
) -> npt.NDArray[np.bool_]:
    """Which documents are for validation, shape (n,): those of a `share` of the registered domains.

    Decided by XXH3-64 of "validation/{seed}/{domain}", so all pages of a domain are on one side, in every generation; a
    document without a domain is decided by its doc_id.
    """
    hashes = _hashes([f"validation/{seed}/{domain or doc}" for domain, doc in zip(domains, doc_ids, strict=True)])
    return hashes < round(share * (1 << 64))


# --- files ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShardHeader:
    """What every shard file says of itself, as JSON under the metadata key `corpusmill`."""

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
            raise ValueError(f"expected the columns of SHARD, found {_difference(table.schema)}")
        if problem := _row_problem(table, self.header):
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
        for language, tokens in _language_tokens(table).items():
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
        """What was written. :raises ValueError: before the block has ended without an error."""
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


def _language_tokens(table: pa.Table) -> dict[str, int]:
    groups = table.group_by("language").aggregate([("n_tokens", "sum")]).to_pylist()
    return {g["language"] or _UNKNOWN: int(g["n_tokens_sum"]) for g in groups}


def _difference(schema: pa.Schema) -> str:
    """What is wrong with a schema, in words."""
    wrong = [f"no {n}" for n in SHARD.names if n not in schema.names]
    wrong += [f"{f.name} unexpected" for f in schema if f.name not in SHARD.names]
    both = [(f, SHARD.field(f.name)) for f in schema if f.name in SHARD.names]
    wrong += [f"{f.name} {f.type}{_null(f)}, not {g.type}{_null(g)}" for f, g in both if f != g]
    return "; ".join(wrong) or f"another order: {schema.names}"


def _null(field: pa.Field) -> str:
    return "" if field.nullable else " not null"


def _row_problem(table: pa.Table, header: ShardHeader) -> str | None:
    """The first row that breaks a promise of the format, in words; None if all hold."""
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
    """What a shard file says of itself. :raises KeyError, TypeError: if it is no shard."""
    data = json.loads(parquet.schema_arrow.metadata[METADATA_KEY])
    return ShardHeader(**{k: v for k, v in data.items() if k not in ("format", "schema_version")})


# --- manifest ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Manifest:
    """The shards that readers may trust, and what made them."""

    tokenizer: Mapping[str, Any]  # Tokenizer.as_dict()
    config_sha256: str
    seed: int
    shards: tuple[ShardInfo, ...] = field(default_factory=tuple)

    def of(self, split: Split) -> list[ShardInfo]:
        """The shards of a split, in reading order."""
        return [s for s in self.shards if s.split == split]

    def extended(self, shards: Sequence[ShardInfo]) -> Manifest:
        """With the shards of a further generation. :raises ValueError: if one is listed already."""
        twice = sorted({s.path for s in self.shards} & {s.path for s in shards})
        if twice:
            raise ValueError(f"shards that are listed already: {', '.join(twice)}")
        return Manifest(self.tokenizer, self.config_sha256, self.seed, (*self.shards, *shards))

    def totals(self) -> dict[str, dict[str, Any]]:
        """Per split: shards, rows, tokens, bytes and tokens by language."""
        out: dict[str, dict[str, Any]] = {}
        for split in SPLITS:
            shards = self.of(split)
            languages: dict[str, int] = {}
            for shard in shards:
                for language, tokens in shard.language_tokens.items():
                    languages[language] = languages.get(language, 0) + tokens
            out[split] = {
                "shards": len(shards),
                "rows": sum(s.rows for s in shards),
                "tokens": sum(s.tokens for s in shards),
                "bytes": sum(s.bytes for s in shards),
                "language_tokens": dict(sorted(languages.items())),
            }
        return out

    def as_dict(self) -> dict[str, Any]:
        """The content of manifest.json."""
        return {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "tokenizer": {**self.tokenizer, "file": TOKENIZER},
            "config_sha256": self.config_sha256,
            "seed": self.seed,
            "totals": self.totals(),
            "shards": [asdict(s) for s in self.shards],
        }


def write_manifest(folder: str, manifest: Manifest, tokenizer: Tokenizer) -> None:
    """Write tokenizer.json and then manifest.json, each as a whole: with the second the shards are published.

    :raises ValueError: if the manifest names another tokenizer.
    """
    if manifest.tokenizer["sha256"] != tokenizer.sha256:
        raise ValueError(f"the manifest's tokenizer is {manifest.tokenizer['sha256']}, found {tokenizer.sha256}")
    storage.write_bytes(storage.join(folder, TOKENIZER), tokenizer.data)
    storage.write_json(storage.join(folder, MANIFEST), manifest.as_dict())


def read_manifest(folder: str) -> Manifest:
    """The manifest of a shard folder.

    :raises UserError: if there is none, or it is of another format or schema version.
    """
    path = storage.join(folder, MANIFEST)
    if not storage.exists(path):
        raise UserError(f"{folder!r} holds no finished shards: it has no {MANIFEST}; run the tokenization stage first")
    try:
        data = storage.read_json(path)
        if (data["format"], data["schema_version"]) != (FORMAT, SCHEMA_VERSION):
            raise UserError(
                f"{path!r} is {data['format']!r} version {data['schema_version']}, expected {FORMAT!r} version "
                f"{SCHEMA_VERSION}"
            )
        tokenizer = {k: v for k, v in data["tokenizer"].items() if k != "file"}
        shards = tuple(ShardInfo(**s) for s in data["shards"])
        return Manifest(tokenizer, data["config_sha256"], data["seed"], shards)
    except (ValueError, KeyError, TypeError) as e:
        raise UserError(f"{path!r} is not a shard manifest: {e!r}") from e


def shard_tokenizer(folder: str, manifest: Manifest) -> Tokenizer:
    """The tokenizer that lies beside the shards. :raises UserError: if it is not the one that the manifest names."""
    if problem := _tokenizer_problem(folder, manifest):
        raise UserError(f"{folder!r}: {problem}")
    about = manifest.tokenizer
    data = storage.read_bytes(storage.join(folder, TOKENIZER))
    return Tokenizer(data, about["name"], about["eod_token"], about["added_tokens"])


def read_shards(folder: str, split: Split = "train", columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of a split in shard order, one table a row group, read through the manifest alone.

    :raises UserError: if a shard is missing or has another size than the manifest says.
    """
    for shard in read_manifest(folder).of(split):
        path = storage.join(folder, shard.path)
        if problem := _file_problem(path, shard):
            raise UserError(problem)
        with storage.open_read(path) as f, pq.ParquetFile(f) as parquet:
            for i in range(parquet.num_row_groups):
                yield parquet.read_row_group(i, columns=columns, use_threads=False)


def verify(folder: str) -> Manifest:
    """Check every shard against the manifest and the format: hashes, counts, header, rows, order, split.

    :raises UserError: naming every shard that is wrong, what was found and what was expected.
    """
    manifest = read_manifest(folder)
    tokenizer_problem = _tokenizer_problem(folder, manifest)
    problems = [tokenizer_problem] if tokenizer_problem else []
    domains: dict[Split, set[str]] = {split: set() for split in SPLITS}
    for shard in manifest.shards:
        try:
            problem = _shard_problem(storage.join(folder, shard.path), shard, manifest, domains[shard.split])
        except (pa.ArrowInvalid, OSError) as e:
            problem = f"{shard.path}: not a readable Parquet file: {' '.join(str(e).split())}"
        if problem:
            problems.append(problem)
    both = sorted(domains["train"] & domains["validation"])
    if both:
        problems.append(f"{len(both)} domains are in training and in validation: {', '.join(both[:5])}")
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise UserError(f"{folder!r} fails the check: {'; '.join(problems[:5])}{more}")
    return manifest


def _tokenizer_problem(folder: str, manifest: Manifest) -> str | None:
    path = storage.join(folder, TOKENIZER)
    if not storage.exists(path):
        return f"there is no {TOKENIZER}"
    digest, listed = file_sha256(path), manifest.tokenizer["sha256"]
    return None if digest == listed else f"{TOKENIZER}: SHA-256 is {digest}, the manifest says {listed}"


def _file_problem(path: str, shard: ShardInfo) -> str | None:
    if not storage.exists(path):
        return f"{shard.path}: the manifest lists it, but there is no such file"
    size = storage.size(path)
    return None if size == shard.bytes else f"{shard.path}: {size:,} bytes, the manifest says {shard.bytes:,}"


def _shard_problem(path: str, shard: ShardInfo, manifest: Manifest, domains: set[str]) -> str | None:
    """What is wrong with one shard, or None; its domains are added to `domains`."""
    if problem := _file_problem(path, shard):
        return problem
    digest = file_sha256(path)
    if digest != shard.sha256:
        return f"{shard.path}: SHA-256 is {digest}, the manifest says {shard.sha256}"
    with storage.open_read(path) as f, pq.ParquetFile(f) as parquet:
        if not parquet.schema_arrow.equals(SHARD, check_metadata=False):
            return f"{shard.path}: {_difference(parquet.schema_arrow)}"
        data = json.loads((parquet.schema_arrow.metadata or {}).get(METADATA_KEY, b"{}"))
        expected = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "split": shard.split,
            "generation": shard.generation,
            "seed": manifest.seed,
            "eod_id": manifest.tokenizer["eod_id"],
            "tokenizer_sha256": manifest.tokenizer["sha256"],
            "config_sha256": manifest.config_sha256,
        }
        wrong = [f"{k} is {data.get(k)!r}, expected {v!r}" for k, v in expected.items() if data.get(k) != v]
        if wrong:
            return f"{shard.path}: header: {', '.join(wrong)}"
        header = ShardHeader(**{k: v for k, v in data.items() if k not in ("format", "schema_version")})
        rows = tokens = 0
        languages: dict[str, int] = {}
        before: tuple[int, str, int, int] | None = None
        for i in range(parquet.num_row_groups):
            table = parquet.read_row_group(i, use_threads=False)
            if problem := _row_problem(table, header):
                return problem
            keys = shuffle_key(header.seed, table)
            if (shard_number(keys, header.n_shards) != header.shard).any():
                return f"{shard.path}: holds rows whose shuffle key belongs to another of the {header.n_shards} shards"
            names = [table[name].to_pylist() for name in ("doc_id", "copy", "part")]
            for place in zip(keys.tolist(), *names, strict=True):
                if before is not None and place <= before:
                    return f"{shard.path}: row {place[1:]} comes after {before[1:]}, against the shuffle order"
                before = place
            rows += table.num_rows
            tokens += pc.sum(table["n_tokens"]).as_py() or 0
            for language, n in _language_tokens(table).items():
                languages[language] = languages.get(language, 0) + n
            domains.update(d for d in table["domain"].unique().to_pylist() if d is not None)
        counted = (rows, tokens, parquet.num_row_groups, dict(sorted(languages.items())))
    listed = (shard.rows, shard.tokens, shard.row_groups, shard.language_tokens)
    if counted != listed:
        return f"{shard.path}: rows, tokens, row groups, tokens by language are {counted}, the manifest says {listed}"
    return None
