"""Reading shards: what is there is read, what is wrong is refused with its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.base.errors import ShardError
from model.data.shards import flat, open_shards
from tests.model.made_shards import EOD, Made, documents, write_shards


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = [*documents(60, 1), *documents(20, 2, generation=1, language="zh"), Made([5, 6], None, split="validation")]
    return write_shards(tmp_path_factory.mktemp("shards"), made, row_group_tokens=300)


def test_manifest_and_tokens(folder: Path) -> None:
    shards = open_shards(str(folder))
    assert (shards.eod_id, shards.vocab_size, shards.seed) == (EOD, EOD + 1, 0)
    train = shards.split("train")
    assert [s.generation for s in train] == [0, 0, 1, 1]
    for shard in train:
        rows = tokens = 0
        for group in range(shard.row_groups):
            ids, offsets = shards.tokens(shard, group)
            assert (ids.dtype, offsets[0], offsets[-1]) == (np.int32, 0, len(ids))
            assert (ids[offsets[1:] - 1] == EOD).all()
            assert (ids == EOD).sum() == len(offsets) - 1
            rows, tokens = rows + len(offsets) - 1, tokens + len(ids)
        assert (rows, tokens) == (shard.rows, shard.tokens)
    assert shards.language_tokens("train").keys() == {"en", "zh"}
    assert shards.language_tokens("validation") == {"unknown": 3}
    assert shards.vocabulary["a"] == 36
    shards.verify()


def test_a_uri_is_a_folder_too(folder: Path) -> None:
    assert len(open_shards(folder.as_uri()).shards) == 6


def test_slices_of_a_column_are_flat_from_their_begin(folder: Path) -> None:
    shards = open_shards(str(folder))
    table = shards.table(shards.split("train")[0], 0, ["input_ids"])
    whole, offsets = flat(table["input_ids"])
    part, begins = flat(table.slice(1)["input_ids"])
    assert np.array_equal(part, whole[offsets[1] :])
    assert begins[0] == 0


def changed(folder: Path, tmp_path: Path, **values: object) -> str:
    """Copy the manifest with other values, beside links to the files."""
    for path in folder.iterdir():
        if path.name != "manifest.json":
            (tmp_path / path.name).symlink_to(path)
    manifest = json.loads((folder / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | values))
    return str(tmp_path)


def test_other_versions_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="version 2; this reads 'corpusmill-shards', version 1"):
        open_shards(changed(folder, tmp_path, schema_version=2))


def test_another_format_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="of format 'other'"):
        open_shards(changed(folder, tmp_path, format="other"))


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"no manifest\.json"):
        open_shards(str(tmp_path))


def test_a_wrong_hash_is_found_on_demand(folder: Path, tmp_path: Path) -> None:
    listed = json.loads((folder / "manifest.json").read_text())["shards"]
    listed[1]["sha256"] = "0" * 64
    shards = open_shards(changed(folder, tmp_path, shards=listed))
    shards.tokens(shards.split("train")[1], 0)
    with pytest.raises(ShardError, match=listed[1]["path"]):
        shards.verify()


def test_a_shard_of_another_manifest_is_refused(folder: Path, tmp_path: Path) -> None:
    listed = json.loads((folder / "manifest.json").read_text())["shards"]
    listed[0]["rows"] += 1
    tokenizer = json.loads((folder / "manifest.json").read_text())["tokenizer"] | {"eod_id": 7}
    shards = open_shards(changed(folder, tmp_path, shards=listed))
    with pytest.raises(ShardError, match="the manifest says"):
        shards.tokens(shards.split("train")[0], 0)
    (tmp_path / "manifest.json").unlink()
    for path in tmp_path.iterdir():
        path.unlink()
    shards = open_shards(changed(folder, tmp_path, tokenizer=tokenizer))
    with pytest.raises(ShardError, match="eod_id is 300, the manifest's is 7"):
        shards.tokens(shards.split("train")[1], 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shards": None}, r"manifest\.json: shards: .*, found None"),
        ({"seed": "x"}, r"manifest\.json: seed: .*, found 'x'"),
        ({"tokenizer": {}}, r"manifest\.json: tokenizer\.eod_id: Field required"),
    ],
)
def test_a_damaged_manifest_names_the_key(
    folder: Path, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    with pytest.raises(ShardError, match=message):
        open_shards(changed(folder, tmp_path, **values))


@pytest.mark.parametrize("text", ["{", "[]", "\ud800"])
def test_a_manifest_that_is_no_json_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(ShardError, match=r"manifest\.json: cannot be read"):
        open_shards(str(tmp_path))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "made", documents(9, 1), n_shards=1)
    shards = open_shards(str(folder))
    (shard,) = shards.split("train")
    path = folder / shard.path
    data = path.read_bytes()
    for damaged in (b"", data[:-4], data[:4] + data[9:]):
        path.write_bytes(damaged)
        with pytest.raises(ShardError, match=shard.path):
            shards.tokens(shard, 0)
    path.unlink()
    for read in (shards.verify, lambda: shards.tokens(shard, 0)):
        with pytest.raises(ShardError, match=shard.path):
            read()


def test_a_damaged_byte_gives_no_other_tokens(tmp_path: Path) -> None:
    """Pages have a checksum, so that a run need not read every file twice."""
    folder = write_shards(tmp_path / "made", documents(9, 1), n_shards=1)
    shards = open_shards(str(folder))
    (shard,) = shards.split("train")
    path = folder / shard.path
    data = path.read_bytes()
    whole = shards.tokens(shard, 0)[0].tolist()
    refused = 0
    for at in range(0, len(data), 11):
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        try:
            assert shards.tokens(shard, 0)[0].tolist() == whole, at
        except ShardError:
            refused += 1
    assert refused > 20


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "made", documents(9, 1), n_shards=1)
    shards = open_shards(str(folder))
    (shard,) = shards.split("train")
    table = pq.read_table(folder / shard.path)
    size = table.num_rows
    changes = {
        "there is no column input_ids": table.drop_columns(["input_ids"]),
        "input_ids is list<element: string>": _with(table, "input_ids", pa.array([["x"]] * size)),
        "input_ids is null in 1 rows": _with(
            table, "input_ids", pa.array([[1]] * (size - 1) + [None], pa.list_(pa.int32()))
        ),
    }
    for message, other in changes.items():
        pq.write_table(other, folder / shard.path, row_group_size=size)
        with pytest.raises(ShardError, match="row groups|" + message.split("<")[0]):
            shards.tokens(shard, 0)


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def test_an_unknown_split_names_those_there(folder: Path) -> None:
    with pytest.raises(ShardError, match="no shards of split 'test'; splits there: train, validation"):
        open_shards(str(folder)).split("test")
