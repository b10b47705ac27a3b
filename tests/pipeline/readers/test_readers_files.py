"""Finding input files, fingerprints, and reading from other file systems."""

from __future__ import annotations

import functools
import gzip
import http.server
import importlib.util
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipeline.readers.inputs import InputError, InputOptions, fingerprint, list_inputs, read_records
from pipeline.strict import UserError

ROW = json.dumps({"url": "http://example.com/", "text": "文本 text"}).encode() + b"\n"
BLOCK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>page</p>"
WARC = (
    b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://example.com/\r\n"
    b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n%b\r\n\r\n" % (len(BLOCK), BLOCK)
)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = [
        "b.warc.gz", "a.warc", "sub/c.jsonl", "sub/d.parquet", "sub/deep/e.arc.gz", "sub/f.warc.wet.gz", "sub/g.ndjson.zst",
        "notes.md", "sub/_work/h.jsonl", ".cache/i.jsonl", "_run.json", "sub/_part.parquet", "[odd] name.warc",
    ]  # fmt: skip
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


ALL = [
    "[odd] name.warc", "a.warc", "b.warc.gz", "sub/c.jsonl", "sub/d.parquet", "sub/deep/e.arc.gz", "sub/f.warc.wet.gz",
    "sub/g.ndjson.zst",
]  # fmt: skip

PATHS = [
    (["."], ALL),
    (["sub", "sub/", "./sub/c.jsonl"], ALL[3:]),
    (["a.warc", "b.warc.gz", "./a.warc"], ["a.warc", "b.warc.gz"]),
    (["notes.md"], ["notes.md"]),  # named: read, whatever it is called
    (["*.warc*"], ["[odd] name.warc", "a.warc", "b.warc.gz"]),
    (["[odd] name.warc"], ["[odd] name.warc"]),
    (["**/*.arc.gz"], ["sub/deep/e.arc.gz"]),
    (["sub/?.jsonl"], ["sub/c.jsonl"]),
]


@pytest.mark.parametrize(("paths", "expected"), PATHS)
def test_local_paths(tree: Path, paths: list[str], expected: list[str]) -> None:
    assert list_inputs(paths) == sorted(expected)
    absolute = [str(tree / p) for p in paths]
    assert list_inputs(absolute) == sorted(str(tree / e) for e in expected)
    assert list_inputs([f"file://{p}" for p in absolute]) == sorted(str(tree / e) for e in expected)


def test_linked_files_and_folders(tree: Path) -> None:
    elsewhere = tree.parent / f"{tree.name}-elsewhere"
    (elsewhere / "more").mkdir(parents=True)
    for name in ("x.jsonl", "more/y.warc"):
        (elsewhere / name).write_bytes(b"x")
    (tree / "sub/link.jsonl").symlink_to(elsewhere / "x.jsonl")
    (tree / "sub/folder").symlink_to(elsewhere)
    (tree / "sub/again").symlink_to(elsewhere / "more")  # lies in a folder that is walked anyway
    (tree / "sub/loop").symlink_to(tree)
    (elsewhere / "back").symlink_to(tree / "sub")
    found = list_inputs(["."])
    assert sorted(set(found) - set(ALL)) == ["sub/again/y.warc", "sub/folder/x.jsonl", "sub/link.jsonl"]
    assert set(ALL) <= set(found)


def test_names_as_they_come(tree: Path) -> None:
    names = ["a b%20c.jsonl", "lang=zh/数据.jsonl", "q?[1]*.jsonl", "c4.00000-of-01024.json.gz", "d.json.zst"]
    others = ["dataset_info.json", "e.json.txt.bak"]
    for name in names + others:
        (tree / "n" / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / "n" / name).write_bytes(b"{}")
    assert list_inputs(["n"]) == sorted(f"n/{name}" for name in names)
    (tree / "n/.hidden.jsonl").write_bytes(b"{}")
    for name in [*names, ".hidden.jsonl"]:
        assert list_inputs([str(tree / "n" / name)]) == [str(tree / "n" / name)]
        assert list_inputs([f"file://{tree / 'n' / name}"]) == [str(tree / "n" / name)]


def test_list_files(tree: Path) -> None:
    lines = "# a comment\nsub/c.jsonl\n\n  a.warc \r\nsub/c.jsonl\n"
    (tree / "warc.paths").write_text(lines)
    (tree / "warc.paths.gz").write_bytes(gzip.compress(lines.encode()))
    (tree / "list.txt").write_text(str(tree / "a.warc"))
    for name in ("warc.paths", "warc.paths.gz"):
        assert list_inputs([name]) == ["a.warc", "sub/c.jsonl"]
        assert list_inputs([str(tree / name)]) == [str(tree / "a.warc"), str(tree / "sub/c.jsonl")]
        assert list_inputs([name], "s3://commoncrawl/") == ["s3://commoncrawl/a.warc", "s3://commoncrawl/sub/c.jsonl"]
    assert list_inputs(["list.txt"], "s3://commoncrawl") == [str(tree / "a.warc")]
    assert list_inputs(["*.paths*", "list.txt"]) == sorted(["a.warc", "sub/c.jsonl", str(tree / "a.warc")])


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "input.paths is empty"),
        (["gone.warc.gz"], "'gone.warc.gz' does not exist"),
        (["a.warc", "gone/"], "'gone' does not exist"),
        (["*.xyz"], r"glob '\*.xyz' matches no file"),
        (["sub/_work/none"], "does not exist"),
        (["empty"], "folder 'empty' holds no input file; known names: .warc"),
        (["bad.paths"], "names 'gone.warc', which does not exist; set input.list_prefix"),
        (["none.paths"], "names no file"),
        (["cut.paths.gz"], "'cut.paths.gz' is cut"),
        (["damaged.paths.gz"], "'damaged.paths.gz' cannot be decompressed"),
        (["memory://gone/x.warc"], "'memory://gone/x.warc' does not exist"),
        (["nosuch://x/y"], "nosuch"),
    ],
)
def test_what_is_not_there(tree: Path, paths: list[str], message: str) -> None:
    (tree / "empty").mkdir()
    (tree / "bad.paths").write_text("gone.warc\n")
    (tree / "none.paths").write_text("# nothing\n")
    (tree / "cut.paths.gz").write_bytes(gzip.compress(b"a.warc\n")[:-4])
    (tree / "damaged.paths.gz").write_bytes(gzip.compress(b"a.warc\n")[:-8] + b"\xff" * 8)
    with pytest.raises(InputError, match=message) as caught:
        list_inputs(paths)
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)


def test_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "x"
    content = bytearray(b"a" * 300_000)
    path.write_bytes(content)
    first = fingerprint(str(path))
    assert first["size"] == 300_000
    for at, size, changed in (
        (0, 300_000, True),
        (299_999, 300_000, True),
        (0, 299_999, True),
        (150_000, 300_000, False),
    ):
        other = content[:size]
        other[at] ^= changed or 1  # the middle is not looked at
        path.write_bytes(other)
        assert (fingerprint(str(path)) != first) == changed
    path.write_bytes(b"")
    assert fingerprint(str(path))["size"] == 0


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    yield fs
    if fs.exists("/corpus"):
        fs.rm("/corpus", recursive=True)


def test_memory_file_system(memory: Any, tmp_path: Path) -> None:
    files = {
        "a.warc.gz": gzip.compress(WARC) * 3,
        "sub/b.jsonl": ROW * 2,
        "sub/_x/c.jsonl": ROW,
        "d.txt": b"a.warc.gz\n",
    }
    for name, data in files.items():
        memory.pipe_file(f"/corpus/{name}", data)
    expected = ["memory://corpus/a.warc.gz", "memory://corpus/sub/b.jsonl"]
    paths = list_inputs(["memory://corpus"])
    assert [f.replace("memory:///", "memory://") for f in paths] == expected
    assert len(list_inputs(["memory://corpus/**/*.jsonl"])) == 2
    assert list_inputs(["memory://corpus/d.txt"]) == ["memory://corpus/a.warc.gz"]
    assert list_inputs(["memory://corpus/a.warc.gz"]) == ["memory://corpus/a.warc.gz"]
    for path in paths:
        rows = list(read_records(path, InputOptions(), skipped=Counter()))
        assert [r.drop for r in rows] == [None] * len(rows)
        local = tmp_path / path.rsplit("/", 1)[-1]
        local.write_bytes(files[path.split("corpus/")[1]])
        same = list(read_records(str(local), InputOptions(), skipped=Counter()))
        assert [r.doc.doc_id for r in rows] == [r.doc.doc_id for r in same]
        assert [r.doc.offset for r in rows] == [r.doc.offset for r in same]
        part = read_records(path, InputOptions(), start_record=1, start_offset=rows[1].doc.offset, skipped=Counter())
        assert list(part) == rows[1:]
        assert fingerprint(path) == fingerprint(str(local))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.skipif(importlib.util.find_spec("aiohttp") is None, reason="fsspec reads HTTP with aiohttp")
def test_http(tmp_path: Path) -> None:
    """The server knows no ranges, so the file is copied to disk first."""
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(WARC) * 3)
    (tmp_path / "warc.paths").write_text("a.warc.gz\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        base = f"http://127.0.0.1:{server.server_port}/"
        assert list_inputs([base + "warc.paths"]) == [base + "a.warc.gz"]
        assert list_inputs([str(tmp_path / "warc.paths")], base) == [base + "a.warc.gz"]
        rows = list(read_records(base + "a.warc.gz", InputOptions(), skipped=Counter()))
        assert [r.doc.html for r in rows] == [b"<p>page</p>"] * 3
        assert fingerprint(base + "a.warc.gz") == fingerprint(str(tmp_path / "a.warc.gz"))
        (gone,) = read_records(base + "gone.warc.gz", InputOptions(), skipped=Counter())
        assert gone.drop is not None
        assert gone.drop.reason == "unreadable"
        with pytest.raises(InputError, match="does not exist"):
            list_inputs([base + "gone.warc.gz"])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Failing:
    """A file on a disk that fails after some bytes."""

    def __init__(self, data: bytes, good: int) -> None:
        self._data, self._good, self._at = data, good, 0

    def seekable(self) -> bool:
        return True

    def seek(self, at: int, whence: int = 0) -> int:
        self._at = at
        return at

    def read(self, n: int = -1) -> bytes:
        if self._at >= self._good:
            raise OSError(5, "Input/output error")
        out = self._data[self._at : self._at + n]
        self._at += len(out)
        return out

    def __enter__(self) -> _Failing:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("name", ["x.warc", "x.warc.gz", "x.jsonl", "x.arc"])
def test_a_failing_disk_is_no_damaged_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller must be able to try again: a row would make the loss final."""
    data = {"x.warc": WARC * 2000, "x.warc.gz": gzip.compress(WARC) * 2000, "x.jsonl": ROW * 10_000}.get(
        name, b"filedesc://x 1.2.3.4 20140216050221 text/plain 0\n\n" * 10_000
    )
    assert len(data) > 200_000
    monkeypatch.setattr("pipeline.storage.open_read", lambda _: _Failing(data, 150_000))
    with pytest.raises(OSError, match="Input/output error"):
        list(read_records(name, InputOptions(), skipped=Counter()))
