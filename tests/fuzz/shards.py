"""Mutated folders of shards, and outputs of a stage: what reads them says what is wrong, or reads what was written.

One file of a sound folder is damaged, cut, lost or exchanged, or the manifest says something else. What must hold:

- `corpusmill validate` (`validate_output`) gives problems or a `UserError`, unless no byte has changed that counts;
- `Shards.verify` raises `ShardError` where a file is not that of its SHA-256;
- a reader of the model (`open_shards`, `Source`) raises a `ModelError`, or reads; behind `verify`, it reads what was written.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import itertools
import json
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from model.base.errors import ModelError
from model.data.config import DataOptions
from model.data.shards import open_shards
from model.data.source import Source
from model.data.stream import Lane
from pipeline.config import dump, load
from pipeline.executor import VERDICTS, documents_writer
from pipeline.inspection.validate import validate_output
from pipeline.outputs import Manifest, PassRecord, PublishedFile, RunRecord, StepCount
from pipeline.schema import DOCUMENT, SCHEMA_VERSION, Document, to_table
from pipeline.steps import file_sha256
from pipeline.storage import write_json
from pipeline.strict import UserError
from pipeline.tokenization.shards import read_shards
from tests.fuzz import mutations
from tests.fuzz.runner import ROOT
from tests.model.made_shards import documents, write_shards

Tokens = dict[str, list[list[int]]]


@functools.cache
def _sound() -> Path:
    """A finished output of the tokenization stage: two shards of each of two splits, and the table of documents."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-sound-"))
    made = [*documents(12, 1), *documents(9, 2, generation=1), *documents(4, 3, split="validation", language="zh")]
    write_shards(folder, made, row_group_tokens=200)
    config = load(ROOT / "configs" / "tokenization.yaml")
    data = dump(config) | {"input": dump(config)["input"] | {"paths": []}}
    fingerprint: dict[str, Any] = {}
    manifest = Manifest("tokenization", fingerprint)
    for verdict, n in zip(VERDICTS, (25, 3), strict=True):
        name = f"documents/verdict={verdict}/part-g0000-00000-0.parquet"
        (folder / name).parent.mkdir(parents=True)
        docs = [
            Document(doc_id=f"{i:032x}", source_file="a", row_no=i, url=f"https://example.com/{i}") for i in range(n)
        ]
        docs = [d.evolve(drop_step="shards", drop_reason="downsampled") if verdict == "dropped" else d for d in docs]
        with (folder / name).open("wb") as f, documents_writer(f, DOCUMENT) as writer:
            writer.write_table(to_table(docs).select(DOCUMENT.names))
        size = (folder / name).stat().st_size
        manifest.files.append(PublishedFile(name, verdict, n, size, file_sha256(str(folder / name)), 0))
    write_json(str(folder / "_manifest.json"), manifest.to_json())
    steps = {"tokenize": StepCount(28), "shards": StepCount(28)}
    steps["shards"].dropped["downsampled"] = 3
    one = PassRecord([0], "", "", 0.0, 28, 25, 3, steps, {}, [], {}, {}, {})
    RunRecord("tokenization", data, fingerprint, SCHEMA_VERSION, [one]).write(str(folder))
    assert not validate_output(str(folder)), validate_output(str(folder))
    return folder


@functools.cache
def _written() -> Tokens:
    return {split: _read_by_pipeline(_sound(), split) for split in ("train", "validation")}


def prepare() -> None:
    assert _read_by_model(_sound()) == _written()


def check(rng: random.Random, folder: Path) -> str:
    """One case. Returns a digest of what was said."""
    out = folder / "out"
    shutil.copytree(_sound(), out)
    names = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    name = rng.choice([n for n in names if "shard-" in n] if rng.random() < 0.5 else names)
    told = _mutated(rng, out, name, names)
    changed = {n for n in names if not (out / n).is_file() or (out / n).read_bytes() != (_sound() / n).read_bytes()}
    said = [_validated(out, changed - told), _verified(out, changed), _read(out, changed), _streamed(out)]
    for split, rows in _written().items():  # the pipeline's own reader, which looks at sizes
        try:
            found = _read_by_pipeline(out, split)
        except UserError as e:
            said.append(_one_line(e))
        else:
            assert found == rows or changed, split
    return hashlib.md5(repr(said).replace(str(folder), "").encode("utf-8", "replace")).hexdigest()


def _one_line(error: Exception) -> str:
    message = str(error)
    assert message.strip()
    assert "\n" not in message, message
    assert len(message) < 4000, f"{len(message)} characters: {message[:500]}"
    return message


def _validated(out: Path, changed: set[str]) -> str:
    try:
        problems = validate_output(str(out))
    except UserError as e:
        return _one_line(e)
    data = {n for n in changed if n.endswith((".parquet", "tokenizer.json"))}
    assert problems or not data, f"validated, though {data} changed"
    assert not any("\n" in p for p in problems), problems
    return repr(problems)


def _verified(out: Path, changed: set[str]) -> str:
    try:
        shards = open_shards(str(out))
        shards.verify()
        found = _read_by_model(out)
    except ModelError as e:
        return _one_line(e)
    if "manifest.json" not in changed:
        assert found == _written(), "verified, and other tokens than were written"
    return "read"


def _read(out: Path, changed: set[str]) -> str:
    """What is read without `verify`: each page has its checksum."""
    try:
        found = _read_by_model(out)
    except ModelError as e:
        return _one_line(e)
    by_bytes = all((out / n).is_file() and (out / n).stat().st_size == (_sound() / n).stat().st_size for n in changed)
    assert found == _written() or not by_bytes or "manifest.json" in changed, "other tokens than were written"
    return "read"


def _streamed(out: Path) -> str:
    """What training reads, without `verify`."""
    try:
        source = Source(DataOptions(shards=str(out), lanes=2, window_tokens=512, epochs=1), "train", 32)
        taken = list(itertools.islice(iter(Lane(source, 0).take, None), 20))
        assert all(len(one.input_ids) == 32 for one in taken)
        assert all((one.input_ids >= 0).all() for one in taken)
    except ModelError as e:
        return _one_line(e)
    return "streamed"


def _read_by_model(folder: Path) -> Tokens:
    shards = open_shards(str(folder))
    rows: Tokens = {}
    for split in ("train", "validation"):
        rows[split] = []
        for shard in shards.split(split):
            for group in range(shard.row_groups):
                ids, offsets = shards.tokens(shard, group)
                rows[split] += [ids[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    return rows


def _read_by_pipeline(folder: Path, split: Any) -> list[list[int]]:
    return [row for table in read_shards(str(folder), split, ["input_ids"]) for row in table["input_ids"].to_pylist()]


# --- mutations -------------------------------------------------------------------------------------------------------


def _mutated(rng: random.Random, out: Path, name: str, names: list[str]) -> set[str]:
    """Damage a file. Returns it where the manifests tell its new SHA-256: what it holds is then wrong by no checksum."""
    path = out / name
    data = path.read_bytes()
    if name.endswith(".json") and rng.random() < 0.8:
        _changed_json(rng, path)
        return set()
    match rng.randrange(7):
        case 0:
            path.unlink()
        case 1:
            path.write_bytes((out / rng.choice([n for n in names if n.endswith(path.suffix)])).read_bytes())
        case 2:
            path.unlink()
            path.mkdir()
        case 3 if name.endswith(".parquet"):
            _changed_rows(rng, path)
            if rng.random() < 0.7:
                return _told(out, name)
        case _:
            path.write_bytes(mutations.damaged(rng, data))
            if rng.random() < 0.3 and not name.endswith("manifest.json"):
                return _told(out, name)
    return set()


def _changed_json(rng: random.Random, path: Path) -> None:
    data = json.loads(path.read_bytes())
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.choice(mutations.paths(data))
        if not place or not (paths := mutations.paths(data)):
            break
        above, key = mutations.at(data, place[:-1]), place[-1]
        match rng.randrange(4):
            case 0 | 1:
                above[key] = mutations.value(rng)
            case 2:
                del above[key]
            case _:
                above[key] = copy.deepcopy(mutations.at(data, rng.choice(paths)))
        if not data:
            break
    path.write_text(json.dumps(data))


def _changed_rows(rng: random.Random, path: Path) -> None:
    """Write the rows of a file again: fewer, twice, in another order, or without a column."""
    table = pq.read_table(path)
    n = table.num_rows
    match rng.randrange(5):
        case 0:
            table = table.slice(0, rng.randrange(n + 1))
        case 1:
            table = table.take([rng.randrange(n) for _ in range(n)] if n else [])
        case 2:
            table = table.drop_columns([rng.choice(table.column_names)])
        case 3:
            table = table.replace_schema_metadata(None)
        case _:
            name, other = rng.choice(table.column_names), rng.choice(table.column_names)
            table = table.set_column(table.column_names.index(name), name, table[other])
    pq.write_table(table, path, row_group_size=rng.choice((1, 5, 1000)))


def _told(out: Path, name: str) -> set[str]:
    """Let the manifests tell the size and the SHA-256 that a file has now: damage from before these were taken."""
    facts = {"bytes": (out / name).stat().st_size, "sha256": file_sha256(str(out / name))}
    for manifest, listed in (("manifest.json", "shards"), ("_manifest.json", "files")):
        data = json.loads((out / manifest).read_bytes())
        for one in data[listed]:
            if one["path"] == name:
                one |= facts
        (out / manifest).write_text(json.dumps(data))
    return {name}
