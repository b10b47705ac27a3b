"""The shard format: rows, order, bytes, manifest, checks, and reading with pyarrow and datasets."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.console.app import main
from pipeline.strict import UserError
from pipeline.tokenization import shards
from pipeline.tokenization.shard_files import SPLITS, ShardHeader, ShardInfo, ShardWriter, write_shard
from pipeline.tokenization.shard_rows import (
    SHARD,
    ShardOptions,
    cut_document,
    is_validation,
    shard_number,
    shard_rows,
    shuffle_key,
    shuffle_order,
)
from pipeline.tokenization.shards import Manifest, read_shards, verify, write_manifest
from pipeline.tokenization.tokenizer import Tokenizer, load_tokenizer

TEXTS = [
    "Plain English text, with a literal <|endoftext|> in it.",
    "中文正文：第一段。\n第二段，含数字12,345。",
    "def f(x):\n\treturn x  # 代码\n",
    "👩‍👩‍👧‍👦 🇨🇳 ok",
    "",
]


@pytest.fixture(scope="module")
def qwen() -> Tokenizer:
    return load_tokenizer()


def documents(tokenizer: Tokenizer, n: int = 60) -> tuple[pa.Table, dict[str, str]]:
    """n documents of 12 domains (and some of none), and their texts by doc_id."""
    texts = {f"{i:032x}": f"{TEXTS[i % len(TEXTS)]}{i}" for i in range(n)}
    table = pa.table(
        {
            "doc_id": list(texts),
            "input_ids": pa.array(tokenizer.encode_batch(list(texts.values())), type=pa.list_(pa.int32())),
            "source": ["wiki"] * n,
            "url": [f"https://site{i % 12}.example/{i}" for i in range(n)],
            "domain": [None if i % 13 == 12 else f"site{i % 12}.example" for i in range(n)],
            "language": [("en", "zh", None)[i % 3] for i in range(n)],
            "generation": pa.array([0] * n, type=pa.int32()),
        }
    )
    return table, texts


OPTIONS = ShardOptions(seed=3, validation_share=0.2, row_group_tokens=200)


def header(tokenizer: Tokenizer, **changes: Any) -> ShardHeader:
    values = {
        "split": "train",
        "generation": 0,
        "shard": 0,
        "n_shards": 1,
        "seed": OPTIONS.seed,
        "eod_id": tokenizer.eod_id,
        "tokenizer_sha256": tokenizer.sha256,
        "config_sha256": "c" * 64,
    }
    return ShardHeader(**(values | changes))


def build(folder: Path, tokenizer: Tokenizer, n: int = 60, n_shards: int = 3, batch: int = 1000) -> Manifest:
    """A small shard folder, made as the stage makes it; documents are copied 1, 2, 1, 2 ... times."""
    table, _ = documents(tokenizer, n)
    held_out = is_validation(OPTIONS.seed, table["domain"].to_pylist(), table["doc_id"].to_pylist(), 0.2)
    copies = np.where(held_out, 1, 1 + np.arange(n) % 2).astype(np.int32)
    infos: list[ShardInfo] = []
    for split, mask, count in (("train", ~held_out, n_shards), ("validation", held_out, 1)):
        rows = shard_rows(table.filter(pa.array(mask)), copies[mask], OPTIONS, tokenizer.cut_scores)
        keys = shuffle_key(OPTIONS.seed, rows)
        numbers = shard_number(keys, count)
        for k in range(count):
            part = rows.filter(pa.array(numbers == k))
            part = part.take(shuffle_order(keys[numbers == k], part))
            head = header(tokenizer, split=split, shard=k, n_shards=count)
            pieces = [part.slice(i, batch) for i in range(0, part.num_rows, batch)]
            infos.append(write_shard(str(folder), head, pieces, OPTIONS.row_group_tokens))
    manifest = Manifest(tokenizer.as_dict(), "c" * 64, OPTIONS.seed, tuple(infos))
    write_manifest(str(folder), manifest, tokenizer)
    return manifest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, qwen: Tokenizer) -> Path:
    path = tmp_path_factory.mktemp("shards")
    build(path, qwen)
    return path


def test_everything_comes_back(folder: Path, qwen: Tokenizer) -> None:
    table, texts = documents(qwen)
    seen: Counter[str] = Counter()
    for split in SPLITS:
        for rows in read_shards(str(folder), split):
            assert rows.schema.equals(SHARD)
            for row in rows.to_pylist():
                seen[row["doc_id"]] += 1
                assert row["input_ids"][-1] == qwen.eod_id
                assert row["n_tokens"] == row["document_tokens"] == len(row["input_ids"])
                assert qwen.decode(row["input_ids"]) == texts[row["doc_id"]]
                i = int(row["doc_id"], 16)
                assert (row["url"], row["language"]) == (table["url"][i].as_py(), table["language"][i].as_py())
                assert row["category"] is None
    assert set(seen) == set(texts)
    assert set(seen.values()) == {1, 2}


def test_verify_accepts_and_counts(folder: Path) -> None:
    manifest = verify(str(folder))
    totals = manifest.totals()
    rows = pa.concat_tables(read_shards(str(folder), "train"))
    assert totals["train"]["rows"] == rows.num_rows
    assert totals["train"]["tokens"] == sum(rows["n_tokens"].to_pylist())
    assert set(totals["train"]["language_tokens"]) == {"en", "zh", "unknown"}
    assert sum(totals["train"]["language_tokens"].values()) == totals["train"]["tokens"]
    assert totals["validation"]["rows"] > 0
    assert [s.path for s in manifest.of("train")] == [f"train/shard-g0000-{k:05d}.parquet" for k in range(3)]


def test_same_rows_same_bytes_for_any_batches(folder: Path, qwen: Tokenizer, tmp_path: Path) -> None:
    build(tmp_path, qwen, batch=3)
    names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert [n for n in names if (folder / n).read_bytes() != (tmp_path / n).read_bytes()] == []


def test_file_layout(folder: Path, qwen: Tokenizer) -> None:
    manifest = shards.read_manifest(str(folder))
    for shard in manifest.shards:
        file = pq.ParquetFile(folder / shard.path)
        group = file.metadata.row_group(0)
        columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
        assert columns["input_ids.list.element"].encodings == ("RLE", "PLAIN")  # no dictionary
        assert {c.compression for c in columns.values()} == {"ZSTD"}
        assert json.loads(file.schema_arrow.metadata[b"corpusmill"]) == {
            "format": "corpusmill-shards",
            "schema_version": 1,
            "split": shard.split,
            "generation": 0,
            "shard": int(shard.path[-13:-8]),
            "n_shards": len(manifest.of(shard.split)),
            "seed": 3,
            "eod_id": qwen.eod_id,
            "tokenizer_sha256": qwen.sha256,
            "config_sha256": "c" * 64,
        }
        for i in range(file.num_row_groups):  # closed by the row that reaches 200 tokens
            sizes = file.read_row_group(i)["n_tokens"].to_pylist()
            assert sum(sizes[:-1]) < OPTIONS.row_group_tokens
            assert sum(sizes) >= OPTIONS.row_group_tokens or i == file.num_row_groups - 1


def test_datasets_reads_the_shards(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    listed = json.loads((folder / "manifest.json").read_text())["shards"]
    files = {s: [str(folder / x["path"]) for x in listed if x["split"] == s] for s in SPLITS}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))
    for split in SPLITS:
        expected = pa.concat_tables(read_shards(str(folder), split))
        assert loaded[split]["doc_id"][:] == expected["doc_id"].to_pylist()
        assert loaded[split]["input_ids"][:] == expected["input_ids"].to_pylist()


def test_a_shard_without_rows(qwen: Tokenizer, tmp_path: Path) -> None:
    info = write_shard(str(tmp_path), header(qwen), [SHARD.empty_table()], 100)
    assert (info.rows, info.tokens, info.row_groups) == (0, 0, 0)
    write_manifest(str(tmp_path), Manifest(qwen.as_dict(), "c" * 64, OPTIONS.seed, (info,)), qwen)
    verify(str(tmp_path))
    assert list(read_shards(str(tmp_path))) == []
    assert pq.read_table(tmp_path / info.path).schema.equals(SHARD)


# --- order and split ---


def test_hashes_are_fixed() -> None:
    # Published shards depend on them: a changed value is a new schema version.
    rows = pa.table({"doc_id": ["0" * 32, "0" * 32], "copy": [0, 1], "part": [0, 0]})
    assert shuffle_key(7, rows).tolist() == [18081667127472172778, 12901708737940718198]
    domains = [f"site{i}.example" for i in range(40)]
    assert np.flatnonzero(is_validation(7, domains, ["0" * 32] * 40, 0.1)).tolist() == [5, 27, 39]


def test_shard_numbers_are_equal_ranges_in_key_order() -> None:
    keys = np.sort(np.random.default_rng(0).integers(0, 2**64 - 1, 30_000, dtype=np.uint64))
    numbers = shard_number(keys, 7)
    assert (np.diff(numbers) >= 0).all()
    assert np.bincount(numbers).min() > 30_000 / 7 * 0.95
    assert shard_number(np.array([0, 2**64 - 1], dtype=np.uint64), 100_000).tolist() == [0, 99_999]


def test_shuffle_order_breaks_ties_by_row() -> None:
    rows = pa.table({"doc_id": ["b", "a", "a", "a"], "copy": [0, 1, 0, 0], "part": [0, 0, 1, 0]})
    assert shuffle_order(np.array([5, 5, 5, 5], dtype=np.uint64), rows).to_pylist() == [3, 2, 1, 0]
    assert shuffle_order(np.array([2**63, 2**64 - 1, 1, 0], dtype=np.uint64), rows).to_pylist() == [3, 2, 0, 1]


def test_validation_is_by_domain() -> None:
    domains = [f"site{i}.example" for i in range(20_000)]
    ids = [f"{i:032x}" for i in range(20_000)]
    chosen = is_validation(0, domains, ids, 0.05)
    assert chosen.mean() == pytest.approx(0.05, abs=0.007)
    assert np.array_equal(is_validation(0, domains, ids[::-1], 0.05), chosen)  # whatever the page
    assert not np.array_equal(is_validation(1, domains, ids, 0.05), chosen)
    assert (is_validation(0, domains, ids, 0.1) >= chosen).all()
    assert is_validation(0, [None] * 20_000, ids, 0.05).mean() == pytest.approx(0.05, abs=0.007)
    assert not is_validation(0, domains, ids, 0.0).any()


@pytest.mark.parametrize(("tokens", "count"), [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (5_000, 5)])
def test_shard_count(tokens: int, count: int) -> None:
    assert ShardOptions(shard_tokens=1_000).shard_count(tokens) == count


# --- long documents ---

LONG = "".join(f"第{i}行，some words and 𒀀 rare signs.\n" for i in range(60))


def test_long_documents_split_at_line_breaks_and_join_to_the_text(qwen: Tokenizer) -> None:
    options = ShardOptions(max_document_tokens=100)
    ids = qwen.encode(LONG)
    parts = cut_document(ids, options, qwen.cut_scores)
    texts = [qwen.decode(p) for p in parts]
    assert len(parts) > 5
    assert all(len(p) <= 100 and p[-1] == qwen.eod_id for p in parts)
    assert all(len(p) > 74 for p in parts[:-1])
    assert all(t.endswith("signs.\n") for t in texts)
    assert "".join(texts) == LONG
    assert np.array_equal(np.concatenate([*(p[:-1] for p in parts), ids[-1:]]), ids)


@pytest.mark.parametrize("limit", [16, 17, 18, 19])
def test_a_cut_is_never_inside_a_character(limit: int, qwen: Tokenizer) -> None:
    text = "𒀀𒀁𒀂" * 30
    parts = cut_document(qwen.encode(text), ShardOptions(max_document_tokens=limit), qwen.cut_scores)
    assert len(parts) > 5
    assert "".join(qwen.decode(p) for p in parts) == text


@pytest.mark.parametrize(
    ("mode", "limit", "lengths"),
    [
        ("split", 16, [16, 16, 11]),
        ("split", 41, [41]),
        ("split", 40, [40, 2]),
        ("cap", 16, [16]),
        ("cap", 41, [41]),
        ("keep", 16, [41]),
    ],
)
def test_long_document_modes(mode: Any, limit: int, lengths: list[int]) -> None:
    ids = np.array([*range(1, 41), 0], dtype=np.int32)
    options = ShardOptions(long_documents=mode, max_document_tokens=limit)
    parts = cut_document(ids, options, np.zeros(50, dtype=np.uint8))
    assert [len(p) for p in parts] == lengths
    assert all(p[-1] == 0 for p in parts)


def test_rows_of_copies_and_parts() -> None:
    table = pa.table(
        {
            "doc_id": ["a", "b", "c"],
            "input_ids": pa.array([[*range(1, 41), 0], [7, 0], [8, 0]], type=pa.list_(pa.int32())),
            "generation": pa.array([0, 0, 0], type=pa.int32()),
        }
    )
    scores = np.zeros(50, dtype=np.uint8)
    split = ShardOptions(max_document_tokens=31)
    rows = shard_rows(table, np.array([2, 0, 1], dtype=np.int32), split, scores)
    names = ["doc_id", "copy", "part", "n_parts", "n_tokens", "document_tokens"]
    assert [tuple(r.values()) for r in rows.select(names).to_pylist()] == [
        ("a", 0, 0, 2, 31, 41),
        ("a", 0, 1, 2, 11, 41),
        ("a", 1, 0, 2, 31, 41),
        ("a", 1, 1, 2, 11, 41),
        ("c", 0, 0, 1, 2, 2),
    ]
    assert rows["input_ids"].to_pylist()[1] == [*range(31, 41), 0]
    cap = ShardOptions(max_document_tokens=31, long_documents="cap")
    capped = shard_rows(table.slice(0, 1), np.array([1], dtype=np.int32), cap, scores)  # it says so by its counts
    assert [tuple(r.values()) for r in capped.select(names).to_pylist()] == [("a", 0, 0, 1, 31, 41)]
    nothing = shard_rows(table, np.zeros(3, dtype=np.int32), split, scores)
    assert nothing.num_rows == 0
    assert nothing.schema.equals(SHARD)


# --- what is wrong is named ---


def one_row(**changes: Any) -> pa.Table:
    row = {
        "doc_id": "d0",
        "copy": 0,
        "part": 0,
        "n_parts": 1,
        "input_ids": [5, 6, 151643],
        "n_tokens": 3,
        "document_tokens": 3,
        "source": None,
        "url": None,
        "domain": None,
        "language": "zh",
        "category": None,
        "generation": 0,
    }
    good = row | {"doc_id": "good"}
    return pa.Table.from_pylist([good, row | changes], schema=SHARD)


@pytest.mark.parametrize(
    ("changes", "split", "message"),
    [
        ({}, "train", None),
        ({"n_tokens": 4}, "train", "n_tokens is not the length of input_ids"),
        ({"input_ids": [], "n_tokens": 0}, "train", "input_ids is empty"),
        ({"input_ids": [5, 6, 7]}, "train", r"input_ids does not end in EOD \(151643\)"),
        ({"input_ids": [5, 151643, 151643]}, "train", r"input_ids holds EOD \(151643\) before its end"),
        ({"part": 1}, "train", "part is not in 0 ... n_parts-1"),
        ({"part": 1, "n_parts": 2}, "train", None),
        ({"document_tokens": 2}, "train", "document_tokens is below n_tokens"),
        ({"generation": 1}, "train", "generation is not 0"),
        ({"copy": -1}, "train", "copy is negative"),
        ({"copy": 1}, "train", None),
        ({"copy": 1}, "validation", "a validation row is a repeated copy"),
    ],
)
def test_the_writer_refuses_rows_that_break_the_format(
    changes: dict[str, Any], split: Any, message: str | None, qwen: Tokenizer, tmp_path: Path
) -> None:
    head = header(qwen, split=split)
    if message is None:
        assert write_shard(str(tmp_path), head, [one_row(**changes)], 100).rows == 2
        return
    with pytest.raises(ValueError, match=f"document 'd0': {message}; found .*'length': "):
        write_shard(str(tmp_path), head, [one_row(**changes)], 100)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []  # nothing half-written is left


def test_the_writer_names_wrong_columns(qwen: Tokenizer, tmp_path: Path) -> None:
    table = one_row().drop_columns(["url"]).append_column("text", pa.array(["a", "b"]))
    with pytest.raises(ValueError, match="expected the columns of SHARD, found no url; text unexpected"):
        write_shard(str(tmp_path), header(qwen), [table], 100)
    with pytest.raises(ValueError, match="found language int64, not string"):
        write_shard(str(tmp_path), header(qwen), [one_row().set_column(10, "language", pa.array([1, 2]))], 100)


def test_the_writer_takes_a_file_object_and_record_batches(qwen: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with path.open("wb") as f:
        writer = ShardWriter(f, header(qwen), 100)
        with pytest.raises(ValueError, match="the shard is not finished"):
            writer.info  # noqa: B018
        with writer:
            writer.write(one_row().to_batches()[0])
    assert writer.info.bytes == path.stat().st_size
    assert writer.info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert pq.read_table(path).num_rows == 2


def rewrite(folder: Path, change: Any) -> None:
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_a_shard_that_cannot_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    """Where its size is right, too, of which alone `read_shards` makes sure."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "train/shard-g0000-00001.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:-4] + b"xxxx")
    with pytest.raises(UserError, match=r"00001\.parquet: not a readable Parquet file: "):
        list(read_shards(str(tmp_path)))
    pq.write_table(pq.read_table(folder / path.relative_to(tmp_path)).drop_columns(["url"]), path)
    rewrite(tmp_path, lambda d: [s.update(bytes=path.stat().st_size) for s in d["shards"] if s["path"] in str(path)])
    with pytest.raises(UserError, match=r"00001\.parquet: no url"):
        list(read_shards(str(tmp_path)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "manifest.json").unlink(), "holds no finished shards: it has no manifest.json"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda f: rewrite(f, lambda d: d.pop("shards")), "is damaged: shards: Field required"),
        (
            lambda f: rewrite(f, lambda d: d.update(schema_version=2)),
            "version 2, expected 'corpusmill-shards' version 1",
        ),
        (lambda f: (f / "tokenizer.json").unlink(), "there is no tokenizer.json"),
        (lambda f: rewrite(f, lambda d: d["tokenizer"].pop("eod_id")), "tokenizer is damaged: eod_id: Field required"),
        (lambda f: rewrite(f, lambda d: d["shards"][0].update(split="x")), r"shards\.0\.split: .*, found 'x'"),
        (lambda f: rewrite(f, lambda d: d["tokenizer"].update(sha256="0")), "SHA-256 is .*, the manifest says 0"),
        (
            lambda f: (f / "train/shard-g0000-00001.parquet").unlink(),
            "00001.parquet: the manifest lists it, but there is",
        ),
        (
            lambda f: (f / "train/shard-g0000-00001.parquet").write_bytes(b"x"),
            "00001.parquet: 1 bytes, the manifest says",
        ),
        (lambda f: flip(f / "train/shard-g0000-00002.parquet"), "00002.parquet: SHA-256 is .*, the manifest says"),
        (lambda f: rewrite(f, lambda d: d["shards"][0].update(rows=1)), r"are \(\d+, .*\), the manifest says \(1, "),
        (lambda f: rewrite(f, lambda d: d["shards"][0].update(tokens=1)), "the manifest says"),
        (lambda f: rewrite(f, lambda d: d.update(seed=4)), "header: seed is 3, expected 4"),
        (lambda f: rewrite(f, lambda d: d.update(config_sha256="x")), "header: config_sha256 is 'ccc"),
    ],
)
def test_verify_names_what_is_wrong(damage: Any, message: str, folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(folder)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    verify(str(tmp_path))
    damage(tmp_path)
    with pytest.raises(UserError, match=message):
        verify(str(tmp_path))


def test_verify_finds_a_wrong_order_and_a_domain_on_both_sides(qwen: Tokenizer, tmp_path: Path) -> None:
    table, _ = documents(qwen, 8)
    rows = shard_rows(table, np.ones(8, dtype=np.int32), OPTIONS, qwen.cut_scores)
    order = shuffle_order(shuffle_key(OPTIONS.seed, rows), rows)
    straight, reverse = rows.take(order), rows.take(order[::-1])

    def publish(*pieces: tuple[ShardHeader, pa.Table]) -> None:
        infos = tuple(write_shard(str(tmp_path), head, [piece], 1_000) for head, piece in pieces)
        write_manifest(str(tmp_path), Manifest(qwen.as_dict(), "c" * 64, OPTIONS.seed, infos), qwen)

    publish((header(qwen), straight))
    verify(str(tmp_path))
    publish((header(qwen), reverse))
    with pytest.raises(UserError, match=r"comes after .* against the shuffle order"):
        verify(str(tmp_path))
    publish((header(qwen), pa.concat_tables([straight, straight])))
    with pytest.raises(UserError, match="against the shuffle order"):  # also finds repeated rows
        verify(str(tmp_path))
    publish((header(qwen, n_shards=9), straight))
    with pytest.raises(UserError, match="belongs to another of the 9 shards"):
        verify(str(tmp_path))
    publish((header(qwen), straight.slice(0, 4)), (header(qwen, split="validation"), straight.slice(4)))
    verify(str(tmp_path))
    publish((header(qwen), straight), (header(qwen, split="validation"), straight.slice(4)))
    with pytest.raises(UserError, match="4 domains are in training and in validation"):
        verify(str(tmp_path))


def test_files_outside_the_manifest_are_not_read(folder: Path, qwen: Tokenizer) -> None:
    rows = sum(t.num_rows for t in read_shards(str(folder)))
    stray = folder / "train/shard-g0000-00009.parquet"
    stray.write_bytes((folder / "train/shard-g0000-00000.parquet").read_bytes())
    try:
        assert sum(t.num_rows for t in read_shards(str(folder))) == rows
    finally:
        stray.unlink()


def test_manifest_grows_by_generations(folder: Path, qwen: Tokenizer) -> None:
    manifest = shards.read_manifest(str(folder))
    later = dataclasses.replace(manifest.shards[0], path="train/shard-g0001-00000.parquet", generation=1)
    assert manifest.extended([later]).shards == (*manifest.shards, later)
    with pytest.raises(ValueError, match=r"listed already: train/shard-g0000-00000\.parquet"):
        manifest.extended([manifest.shards[0]])
    other = dataclasses.replace(manifest, tokenizer={**manifest.tokenizer, "sha256": "0"})
    with pytest.raises(ValueError, match="the manifest's tokenizer is 0, found"):
        write_manifest(str(folder), other, qwen)


def test_urls_work_as_folders(qwen: Tokenizer) -> None:
    where = "memory://shards-test"
    info = write_shard(where, header(qwen), [one_row()], 100)
    write_manifest(where, Manifest(qwen.as_dict(), "c" * 64, OPTIONS.seed, (info,)), qwen)
    assert [t.num_rows for t in read_shards(where)] == [2]
    assert storage.exists(f"{where}/tokenizer.json")


# --- the command ---


def test_inspect(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder), "-n", "3"]) == 0
    out = capsys.readouterr().out
    assert "verified; tokenizer qwen" in out
    assert "train: 3 shards, " in out
    assert " zh " in out
    first = next(iter(read_shards(str(folder)))).slice(0, 1).to_pylist()[0]
    _, texts = documents(load_tokenizer())
    assert f"--- {first['doc_id']} copy {first['copy']}, part 1 of 1" in out
    assert texts[first["doc_id"]] in out
    assert out.count("\n--- ") == 3


def test_inspect_of_a_folder_without_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: '{tmp_path}' holds no finished shards")
    assert captured.err.count("\n") == 1


def test_torch_is_not_imported() -> None:
    code = "import sys, pipeline.inspection.shards, pipeline.tokenization.mixture; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
