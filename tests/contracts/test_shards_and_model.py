"""What the pipeline writes is what the model reads, and SHARDS.md is all that either needs."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa

from model.data.shards import open_shards
from pipeline.tokenization import shard_files, shard_rows, shards
from pipeline.tokenization.tokenizer import load_tokenizer
from tests.model.made_shards import Made, documents, write_shards


def test_shards_written_to_the_specification_pass_the_check(tmp_path: Path) -> None:
    made = [*documents(50, 1), *documents(20, 2, generation=1), Made([1, 2], "zh", "web", "recipe", split="validation")]
    shards.verify(str(write_shards(tmp_path, made, row_group_tokens=300)))


def test_the_model_reads_what_the_pipeline_writes(tmp_path: Path) -> None:
    tokenizer = load_tokenizer()
    texts = [f"Text number {i}. 第{i}篇正文。" * (i % 7 + 1) for i in range(40)]
    encoded = tokenizer.encode_batch(texts)
    table = pa.table(
        {
            "doc_id": [f"{i:032x}" for i in range(40)],
            "input_ids": pa.array(encoded, type=pa.list_(pa.int32())),
            "language": ["en", "zh"] * 20,
            "generation": pa.array([0] * 40, type=pa.int32()),
        }
    )
    options = shard_rows.ShardOptions(row_group_tokens=500)
    rows = shard_rows.shard_rows(table, np.ones(40, dtype=np.int32), options, tokenizer.cut_scores)
    rows = rows.take(shard_rows.shuffle_order(shard_rows.shuffle_key(0, rows), rows))
    header = shard_files.ShardHeader("train", 0, 0, 1, 0, tokenizer.eod_id, tokenizer.sha256, "c" * 64)
    info = shard_files.write_shard(str(tmp_path), header, [rows], options.row_group_tokens)
    shards.write_manifest(str(tmp_path), shards.Manifest(tokenizer.as_dict(), "c" * 64, 0, (info,)), tokenizer)

    read = open_shards(str(tmp_path))
    read.verify()
    (shard,) = read.split("train")
    assert shard.row_groups > 1
    found = []
    for group in range(shard.row_groups):
        ids, offsets = read.tokens(shard, group)
        found += [ids[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    assert found == rows["input_ids"].to_pylist()
    assert read.vocabulary["a"] == tokenizer.encode("a")[0]
    assert (read.eod_id, read.vocab_size) == (tokenizer.eod_id, tokenizer.vocab_size)
