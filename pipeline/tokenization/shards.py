"""Token shards as a whole: the manifest, reading, verifying. SHARDS.md specifies the format.

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
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.steps import file_sha256
from pipeline.strict import UserError, read_as
from pipeline.tokenization import shard_files
from pipeline.tokenization.shard_files import FORMAT, METADATA_KEY, SCHEMA_VERSION, SPLITS, ShardInfo, Split
from pipeline.tokenization.shard_rows import SHARD, shard_number, shuffle_key
from pipeline.tokenization.tokenizer import Tokenizer

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class TokenizerFacts:
    """What a manifest must tell of the tokenizer: `Tokenizer.as_dict`."""

    name: str
    sha256: str
    vocab_size: int
    eod_token: str
    eod_id: int
    added_tokens: Any


@dataclass(frozen=True)
class Manifest:
    """The shards that readers may trust, and what made them."""

    tokenizer: Mapping[str, Any]  # Tokenizer.as_dict()
    config_sha256: str
    seed: int
    shards: tuple[ShardInfo, ...]

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
    data = storage.read_mapping(path)
    version = (data.get("format"), data.get("schema_version"))
    if version != (FORMAT, SCHEMA_VERSION):
        raise UserError(
            f"{path!r} is {version[0]!r} version {version[1]!r}, expected {FORMAT!r} version {SCHEMA_VERSION}"
        )
    manifest = read_as(Manifest, data, path)
    about = read_as(TokenizerFacts, manifest.tokenizer, f"{path}: tokenizer")
    return replace(manifest, tokenizer=asdict(about))


def shard_tokenizer(folder: str, manifest: Manifest) -> Tokenizer:
    """The tokenizer that lies beside the shards. :raises UserError: if it is not the one that the manifest names."""
    if problem := _tokenizer_problem(folder, manifest):
        raise UserError(f"{folder!r}: {problem}")
    about = manifest.tokenizer
    data = storage.read_bytes(storage.join(folder, TOKENIZER))
    return Tokenizer(data, about["name"], about["eod_token"], about["added_tokens"])


def read_shards(folder: str, split: Split = "train", columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of a split in shard order, one table a row group, read through the manifest alone.

    :raises UserError: if a shard is missing, has another size than the manifest says, other columns, or cannot be read.
    """
    for shard in read_manifest(folder).of(split):
        path = storage.join(folder, shard.path)
        if problem := _file_problem(path, shard):
            raise UserError(problem)
        try:
            with storage.open_read(path) as f, pq.ParquetFile(f, page_checksum_verification=True) as parquet:
                if not parquet.schema_arrow.equals(SHARD, check_metadata=False):
                    raise UserError(f"{shard.path}: {shard_files.difference(parquet.schema_arrow)}")
                for i in range(parquet.num_row_groups):
                    yield parquet.read_row_group(i, columns=columns, use_threads=False)
        except (pa.ArrowException, OSError) as e:
            raise UserError(_not_readable(shard, e)) from e


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
        except (pa.ArrowException, OSError) as e:
            problem = _not_readable(shard, e)
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
    try:
        digest, listed = file_sha256(path), manifest.tokenizer["sha256"]
    except OSError as e:
        return f"{TOKENIZER} cannot be read: {e.strerror or e}"
    return None if digest == listed else f"{TOKENIZER}: SHA-256 is {digest}, the manifest says {listed}"


def _not_readable(shard: ShardInfo, error: Exception) -> str:
    return f"{shard.path}: not a readable Parquet file: {' '.join(str(error).split())}"


def _file_problem(path: str, shard: ShardInfo) -> str | None:
    if not storage.exists(path):
        return f"{shard.path}: the manifest lists it, but there is no such file"
    size = storage.size(path)
    return None if size == shard.bytes else f"{shard.path}: {size:,} bytes, the manifest says {shard.bytes:,}"


def _shard_problem(path: str, shard: ShardInfo, manifest: Manifest, domains: set[str]) -> str | None:
    """Say what is wrong with one shard, or None; its domains are added to `domains`."""
    if problem := _file_problem(path, shard):
        return problem
    digest = file_sha256(path)
    if digest != shard.sha256:
        return f"{shard.path}: SHA-256 is {digest}, the manifest says {shard.sha256}"
    with storage.open_read(path) as f, pq.ParquetFile(f, page_checksum_verification=True) as parquet:
        if not parquet.schema_arrow.equals(SHARD, check_metadata=False):
            return f"{shard.path}: {shard_files.difference(parquet.schema_arrow)}"
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
        header = shard_files.read_header(parquet)
        rows = tokens = 0
        languages: dict[str, int] = {}
        before: tuple[int, str, int, int] | None = None
        for i in range(parquet.num_row_groups):
            table = parquet.read_row_group(i, use_threads=False)
            if problem := shard_files.row_problem(table, header):
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
            for language, n in shard_files.language_tokens_of(table).items():
                languages[language] = languages.get(language, 0) + n
            domains.update(d for d in table["domain"].unique().to_pylist() if d is not None)
        counted = (rows, tokens, parquet.num_row_groups, dict(sorted(languages.items())))
    listed = (shard.rows, shard.tokens, shard.row_groups, shard.language_tokens)
    if counted != listed:
        return f"{shard.path}: rows, tokens, row groups, tokens by language are {counted}, the manifest says {listed}"
    return None
