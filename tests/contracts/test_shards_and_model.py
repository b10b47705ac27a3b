"""What the pipeline writes is what the model reads, and SHARDS.md is all that either needs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from model.data.shards import open_shards
from pipeline.tokenization import shard_files, shard_rows, shards
from pipeline.tokenization.tokenizer import load_tokenizer
from tests.contracts.test_commands import ROOT, files_of
from tests.model.made_shards import EOD, Made, documents, write_shards


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
    ids_read = []
    for group in range(shard.row_groups):
        ids, offsets = read.tokens(shard, group)
        ids_read += [ids[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    assert ids_read == rows["input_ids"].to_pylist()
    assert read.vocabulary["a"] == tokenizer.encode("a")[0]
    assert (read.eod_id, read.vocab_size) == (tokenizer.eod_id, tokenizer.vocab_size)


def test_the_converter_of_the_recipes_writes_every_token_in_order(tmp_path: Path) -> None:
    """A shard format is one file that knows the public reader alone."""
    recipe = files_of((ROOT / "docs" / "recipes.md").read_text(encoding="utf-8"))["mine/to_npy.py"]
    namespace: dict[str, Any] = {"__name__": "to_npy"}
    exec(recipe, namespace)
    made = [*documents(50, 1), *documents(20, 2, generation=1), Made([1, 2], split="validation")]
    folder, out = str(write_shards(tmp_path / "shards", made, row_group_tokens=300)), str(tmp_path / "train.npy")
    rows = [ids for t in shards.read_shards(folder) for ids in t["input_ids"].to_pylist()]
    assert namespace["convert"](folder, out) == sum(map(len, rows)) == sum(len(m.ids) + 1 for m in made[:-1])
    written = np.load(out)
    assert written.dtype == np.int32
    assert written.tolist() == list(itertools.chain(*rows))
    assert (written == EOD).sum() == 70
