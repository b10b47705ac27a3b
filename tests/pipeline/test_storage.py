"""Files appear whole or not at all, locally and on another file system."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipeline import storage


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"


def test_round_trip(folder: str) -> None:
    path = storage.join(folder, "a/b.json")
    assert not storage.exists(path)
    assert storage.names(storage.join(folder, "a")) == []
    storage.write_json(path, {"字": 1})
    assert storage.read_json(path) == {"字": 1}
    assert storage.names(storage.join(folder, "a")) == ["b.json"]
    with storage.open_atomic(path) as f:
        f.write(b"new")
        size, digest = f.size, f.sha256
    assert storage.read_bytes(path) == b"new"
    assert (size, storage.size(path)) == (3, 3)
    assert digest == "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"
    storage.remove(storage.join(folder, "a"))
    storage.remove(storage.join(folder, "a"))
    assert not storage.exists(path)


def test_a_failed_write_leaves_the_old_file(folder: str) -> None:
    path = storage.join(folder, "file")
    storage.write_bytes(path, b"old")

    def write_half() -> None:
        with storage.open_atomic(path) as f:
            f.write(b"ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert storage.read_bytes(path) == b"old"
    assert storage.names(folder) == ["file"]


def test_the_first_creator_wins(folder: str) -> None:
    path = storage.join(folder, "receipt")
    assert storage.create(path, b"first")
    assert not storage.create(path, b"second")
    assert storage.read_bytes(path) == b"first"


def test_one_of_many_creators_wins(tmp_path: Path) -> None:
    path = str(tmp_path / "receipt")
    won: list[int] = []

    def attempt(i: int) -> None:
        if storage.create(path, str(i).encode()):
            won.append(i)

    threads = [threading.Thread(target=attempt, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [str(i).encode() for i in won] == [storage.read_bytes(path)]
    assert storage.names(str(tmp_path)) == ["receipt"]
