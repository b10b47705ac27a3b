"""Rows of token shards: what a document becomes, and where its rows come in the global shuffle. SHARDS.md specifies both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import Field

from pipeline.strict import Strict
from pipeline.tokenization.tokenizer import ENDS_LINE, STARTS_INSIDE, TokenIds

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

_DOCUMENT_COLUMNS = ("source", "url", "domain", "language", "category", "generation")
Hashes = npt.NDArray[np.uint64]


class ShardOptions(Strict):
    """Options of how documents become shards."""

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
    """Tell which documents are for validation, bool, shape (n,): those of a `share` of the registered domains.

    Decided by XXH3-64 of "validation/{seed}/{domain}", so all pages of a domain are on one side, in every generation; a
    document without a domain is decided by its doc_id.
    """
    hashes = _hashes([f"validation/{seed}/{domain or doc}" for domain, doc in zip(domains, doc_ids, strict=True)])
    return hashes < round(share * (1 << 64))
