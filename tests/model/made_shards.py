"""Token shards written on the spot, to SHARDS.md alone: pyarrow and xxhash, nothing of the pipeline."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

EOD = 300
TEXT = pa.string()
COLUMNS = {
    **{"doc_id": TEXT, "copy": pa.int32(), "part": pa.int32(), "n_parts": pa.int32()},
    "input_ids": pa.list_(pa.field("element", pa.int32(), nullable=False)),
    **{"n_tokens": pa.int32(), "document_tokens": pa.int64()},
    **dict.fromkeys(("source", "url", "domain", "language", "category"), TEXT),
    "generation": pa.int32(),
}
NULLABLE = ("source", "url", "domain", "language", "category")
SCHEMA = pa.schema([pa.field(name, kind, nullable=name in NULLABLE) for name, kind in COLUMNS.items()])
DICTIONARY = ["copy", "part", "n_parts", "source", "domain", "language", "category", "generation"]


@dataclass(frozen=True)
class Made:
    """Document to write; `ids` without the EOD."""

    ids: Sequence[int]
    language: str | None = "en"
    source: str | None = None
    category: str | None = None
    generation: int = 0
    split: str = "train"


def documents(n: int, seed: int = 0, *, mean: float = 40, distinct: bool = True, **what: Any) -> list[Made]:
    """Make `n` documents of log-normal lengths; if `distinct`, no token id occurs twice (ids from 1,000 on)."""
    rng = np.random.default_rng(seed)
    sizes = np.clip(rng.lognormal(np.log(mean) - 0.5, 1.0, n), 1, 60 * mean).astype(int)
    starts = 1000 + np.cumsum(sizes) - sizes
    return [
        Made(range(a, a + k) if distinct else rng.integers(0, 256, k).tolist(), **what)
        for a, k in zip(starts.tolist(), sizes.tolist(), strict=True)
    ]


def write_shards(folder: Path, made: Sequence[Made], *, n_shards: int = 2, row_group_tokens: int = 1000) -> Path:
    """Write documents, one row each, and the manifest; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    vocabulary = {c: i for i, c in enumerate(letters)} | {f"<{i}>": i for i in range(len(letters), EOD)}
    tokenizer = json.dumps({"model": {"vocab": vocabulary}}).encode()
    (folder / "tokenizer.json").write_bytes(tokenizer)
    sha = hashlib.sha256(tokenizer).hexdigest()
    keyed = []
    for number, m in enumerate(made):
        doc_id = f"{number:032x}"
        keyed.append((xxhash.xxh3_64_intdigest(f"shuffle/0/{doc_id}/0/0".encode()), doc_id, m))
    keyed.sort(key=lambda k: k[:2])
    listed: list[dict[str, Any]] = []
    for split, generation in sorted({(m.split, m.generation) for m in made}):
        for shard in range(n_shards):
            rows = [
                (doc_id, m)
                for key, doc_id, m in keyed
                if (m.split, m.generation) == (split, generation) and ((key >> 32) * n_shards) >> 32 == shard
            ]
            header = {
                **{"format": "corpusmill-shards", "schema_version": 1, "split": split, "generation": generation},
                **{"shard": shard, "n_shards": n_shards, "seed": 0, "eod_id": EOD},
                **{"tokenizer_sha256": sha, "config_sha256": "c" * 64},
            }
            path = f"{split}/shard-g{generation:04d}-{shard:05d}.parquet"
            listed.append(_write(folder, path, header, rows, row_group_tokens))
    totals: dict[str, dict[str, Any]] = {}
    for split in ("train", "validation"):
        of_split = [s for s in listed if s["split"] == split]
        totals[split] = {
            "shards": len(of_split),
            **{k: sum(s[k] for s in of_split) for k in ("rows", "tokens", "bytes")},
        }
        languages = sorted({v for s in of_split for v in s["language_tokens"]})
        totals[split]["language_tokens"] = {v: sum(s["language_tokens"].get(v, 0) for s in of_split) for v in languages}
    manifest = {
        **{"format": "corpusmill-shards", "schema_version": 1, "config_sha256": "c" * 64, "seed": 0},
        "tokenizer": {
            **{"name": "made", "file": "tokenizer.json", "sha256": sha, "vocab_size": EOD + 1},
            **{"eod_token": "<eod>", "eod_id": EOD, "added_tokens": None},
        },
        "totals": totals,
        "shards": listed,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _write(
    folder: Path, path: str, header: dict[str, Any], rows: list[tuple[str, Made]], row_group_tokens: int
) -> dict[str, Any]:
    (folder / path).parent.mkdir(exist_ok=True)
    schema = SCHEMA.with_metadata({b"corpusmill": json.dumps(header).encode()})
    languages: dict[str, int] = {}
    groups: list[list[dict[str, Any]]] = []
    room = 0
    for doc_id, m in rows:
        if room <= 0:
            groups.append([])
            room = row_group_tokens
        n = len(m.ids) + 1
        room -= n
        languages[m.language or "unknown"] = languages.get(m.language or "unknown", 0) + n
        groups[-1].append(
            {
                **{"doc_id": doc_id, "copy": 0, "part": 0, "n_parts": 1, "input_ids": [*m.ids, EOD]},
                **{"n_tokens": n, "document_tokens": n, "source": m.source, "url": None, "domain": None},
                **{"language": m.language, "category": m.category, "generation": m.generation},
            }
        )
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": 3,
        "data_page_version": "1.0",
        "write_page_checksum": True,
    }
    with pq.ParquetWriter(folder / path, schema, use_dictionary=DICTIONARY, **options) as writer:
        for group in groups:
            writer.write_table(pa.Table.from_pylist(group, schema=schema), row_group_size=len(group))
    data = (folder / path).read_bytes()
    return {
        **{"path": path, "split": header["split"], "generation": header["generation"], "rows": len(rows)},
        **{"tokens": sum(languages.values()), "row_groups": len(groups), "bytes": len(data)},
        **{"sha256": hashlib.sha256(data).hexdigest(), "language_tokens": dict(sorted(languages.items()))},
    }
