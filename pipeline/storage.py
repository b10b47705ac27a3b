"""Files that appear whole or not at all, on a local disk or any fsspec file system.

Local: written to a temporary name, flushed to disk, renamed. Object stores: one PUT at close is atomic by itself; calls are
retried with backoff.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from fsspec.core import url_to_fs

from pipeline.strict import UserError

T = TypeVar("T")
_RETRIES = 4


def is_local(path: str) -> bool:
    return "://" not in path or path.startswith("file://")


def local(path: str) -> Path:
    return Path(path.removeprefix("file://"))


def join(base: str, *parts: str) -> str:
    return "/".join([base.rstrip("/"), *parts])


def _retry(call: Callable[[], T]) -> T:
    """Run a remote call again on OSError, after 0.5, 1, 2 seconds. What is not there stays not there."""
    for attempt in range(_RETRIES):
        try:
            return call()
        except (FileNotFoundError, FileExistsError, PermissionError):
            raise
        except OSError:
            if attempt == _RETRIES - 1:
                raise
            time.sleep(0.5 * 2**attempt)
    raise AssertionError("unreachable")


def filesystem(path: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URL, and the path on it."""
    fs, p = url_to_fs(path)
    return fs, p


def exists(path: str) -> bool:
    """Tell whether a file or folder is there. :raises ValueError: if the path is a URL that cannot be read."""
    try:
        if is_local(path):
            return local(path).exists()
        fs, p = filesystem(path)
        return bool(_retry(lambda: fs.exists(p)))
    except ValueError as e:
        raise ValueError(f"{path!r} is not a URL: {e}") from e
    except OSError as e:
        if e.errno == errno.ENAMETOOLONG:
            return False
        raise


def names(folder: str) -> list[str]:
    """Sorted names in a folder; empty if there is no such folder. Temporary files are left out."""
    if is_local(folder):
        try:
            entries = os.listdir(local(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
    else:
        fs, p = filesystem(folder)
        try:
            entries = [e.rstrip("/").rsplit("/", 1)[-1] for e in _retry(lambda: fs.ls(p, detail=False, refresh=True))]
        except FileNotFoundError:
            return []
    return sorted(n for n in entries if not n.startswith(".tmp-"))


def size(path: str) -> int:
    if is_local(path):
        return local(path).stat().st_size
    fs, p = filesystem(path)
    return int(_retry(lambda: fs.size(p)))


def read_bytes(path: str) -> bytes:
    if is_local(path):
        return local(path).read_bytes()
    fs, p = filesystem(path)
    return bytes(_retry(lambda: fs.cat_file(p)))


def read_json(path: str) -> Any:
    return json.loads(read_bytes(path))


def read_mapping(path: str) -> dict[str, Any]:
    """The JSON object that a file holds. :raises UserError: if it holds none."""
    try:
        data = read_json(path)
    except (ValueError, RecursionError, IsADirectoryError) as e:
        raise UserError(f"{path} is damaged: {' '.join(str(e).split())}") from e
    if not isinstance(data, dict):
        raise UserError(f"{path} is damaged: expected an object, found {type(data).__name__}")
    return data


def open_read(path: str) -> IO[bytes]:
    """A seekable binary file for reading."""
    if is_local(path):
        return local(path).open("rb")
    fs, p = filesystem(path)
    return fs.open(p, "rb")  # type: ignore[no-any-return]


@contextlib.contextmanager
def open_atomic(path: str) -> Iterator[HashingFile]:
    """Write a file that appears under its name only when the block ends without an exception."""
    if not is_local(path):
        # Written to the local disk first: a remote file that is closed by an exception would be published half-written,
        # and a put from a file can be tried again.
        fs, p = filesystem(path)
        with tempfile.TemporaryDirectory() as folder:
            scratch = os.path.join(folder, "file")
            with open(scratch, "wb") as f:
                yield HashingFile(f)
            _retry(lambda: fs.put_file(scratch, p))
        return
    target = local(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".tmp-{uuid.uuid4().hex}"
    try:
        with temporary.open("wb") as f:
            yield HashingFile(f)
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class HashingFile:
    """A write-only file object that knows the size and SHA-256 of what went through it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._sha256 = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._raw.write(view)
        self._sha256.update(view)
        self.size += view.nbytes
        return view.nbytes

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._raw.flush()

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def write_bytes(path: str, data: bytes) -> None:
    """Replace a file's content, atomically."""
    if is_local(path):
        with open_atomic(path) as f:
            f.write(data)
        return
    fs, p = filesystem(path)
    _retry(lambda: fs.pipe_file(p, data))


def write_json(path: str, data: Any) -> None:
    write_bytes(path, (json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode())


def create(path: str, data: bytes) -> bool:
    """Make a file that does not exist yet, whole; False if somebody was faster. The first writer wins."""
    if is_local(path):
        target = local(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".tmp-{uuid.uuid4().hex}"
        try:
            with temporary.open("wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
            os.link(temporary, target)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        return True
    fs, p = filesystem(path)
    try:
        _retry(lambda: fs.pipe_file(p, data, mode="create"))
    except FileExistsError:
        return False
    except (TypeError, NotImplementedError, ValueError):  # a store without conditional PUT: look, then write
        if exists(path):
            return False
        _retry(lambda: fs.pipe_file(p, data))
    return True


def remove(path: str) -> None:
    """Remove a file or a folder with all in it; nothing happens if it is not there."""
    fs, p = filesystem(path)
    with contextlib.suppress(FileNotFoundError):
        _retry(lambda: fs.rm(p, recursive=True))
