"""Input files to records: WARC, WET, ARC, JSONL and Parquet, from local paths and any fsspec URL. No Spark.

`list_inputs` finds the files, `read_records` reads one of them, or a range of it, as a stream of `Record`s: memory is
bounded by the largest record, not by the file.

What counts as a record ("in"): response, resource, conversion and revisit records of archives, lines of JSONL, rows of
Parquet. They are numbered 0, 1, 2, ... in file order. Each comes out, also what cannot go on, with a drop reason:

    unreadable            damaged bytes in which no record could be recognised, or a file that could not be opened
    truncated_record      the file ends before the record does
    too_large             body over max_record_bytes, as stored or decoded
    revisit               the record only refers to an earlier capture
    no_http_header        a response without a status line
    bad_http              a status line that cannot be parsed, or a header without an end
    bad_content_encoding  gzip, deflate, brotli or zstd data that are damaged
    empty_body            no content, though the status says success
    bad_row               a line that is no JSON object, a row without html and text, a value of a wrong type

Status codes and media types are not judged here.
"""

from __future__ import annotations

import glob
import hashlib
import io
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pipeline import storage
from pipeline.readers.archive import is_arc_header, read_archive
from pipeline.readers.base import ColumnNames, InputError, InputOptions, Record, unreadable
from pipeline.readers.rows import read_jsonl, read_parquet
from pipeline.readers.streams import Broken, Decoded, codec_of, open_input

__all__ = ["ColumnNames", "InputError", "InputOptions", "Record", "fingerprint", "list_inputs", "read_records"]

Format = Literal["warc", "arc", "jsonl", "parquet"]

_COMPRESSED = r"(?:\.gz|\.zst|\.lz4)?"
_NAMES: list[tuple[re.Pattern[str], Format]] = [
    (re.compile(rf"\.(?:warc|wet|wat|warc\.wet|warc\.wat){_COMPRESSED}", re.IGNORECASE), "warc"),
    (re.compile(rf"\.arc{_COMPRESSED}", re.IGNORECASE), "arc"),
    (re.compile(rf"\.(?:(?:jsonl|ndjson|jsonlines){_COMPRESSED}|json\.(?:gz|zst|lz4))", re.IGNORECASE), "jsonl"),
    (re.compile(r"\.(?:parquet|pq)", re.IGNORECASE), "parquet"),
]
_LIST = re.compile(r"\.(?:paths|txt|list)(?:\.gz)?$", re.IGNORECASE)
_KNOWN = ".warc .wet .wat .arc .jsonl .ndjson (each also .gz, .zst, .lz4), .json.gz and .parquet"
_ENDS = 1 << 16
_MAX_LIST_LINE = 1 << 14


def _format_by_name(path: str) -> Format | None:
    for pattern, kind in _NAMES:
        if re.search(f"(?:{pattern.pattern})$", path, re.IGNORECASE):
            return kind
    return None


# --- finding files ---------------------------------------------------------------------------------------------------


def list_inputs(paths: Sequence[str], list_prefix: str = "") -> list[str]:
    """Input files of a config's paths: sorted, each once.

    A path is a file, a folder (searched recursively, through links too, for files with known suffixes; names that begin
    with `.` or `_` are left out), a glob (`*`, `**`, `?`, `[...]`), a list file (`.paths`, `.txt`, `.list`, also `.gz`: one path
    a line, blank lines and `#` comments aside) or a URL of any of these. Relative lines of a list stand below
    `list_prefix`, or below the list's own folder if it is empty. Remote files named by a list are not looked up (a
    crawl has 90,000); one that is not there becomes an `unreadable` row.

    :raises InputError: if something is not there, or a folder, glob or list names no input file.
    """
    if not paths:
        raise InputError("input.paths is empty; name files, folders, globs, list files or URLs")
    files: set[str] = set()
    for path in paths:
        files.update(_expand(path, list_prefix))
    return sorted(files)


def _expand(path: str, list_prefix: str) -> list[str]:
    if storage.is_local(path):
        return _expand_local(os.path.normpath(path.removeprefix("file://")), list_prefix)
    try:
        return _expand_remote(path, list_prefix)
    except ImportError as e:
        raise InputError(f"input {path!r}: {' '.join(str(e).split())}") from e
    except ValueError as e:
        if isinstance(e, InputError):
            raise
        raise InputError(f"input {path!r}: {' '.join(str(e).split())}") from e
    except OSError as e:
        raise InputError(f"input {path!r} cannot be looked up: {type(e).__name__}: {' '.join(str(e).split())}") from e


def _expand_local(path: str, list_prefix: str) -> list[str]:
    if os.path.isdir(path):
        inside = [os.path.normpath(os.path.join(folder, name)) for folder, names in _folders(path) for name in names]
        return _known(path, inside)
    if os.path.isfile(path):
        return _listed(path, list_prefix) if _LIST.search(path) else [path]
    if glob.has_magic(path):
        matches = [m for m in glob.glob(path, recursive=True) if os.path.isfile(m)]
        return _matched(path, matches, list_prefix)
    raise InputError(f"input {path!r} does not exist; check input.paths (relative paths start at {os.getcwd()!r})")


def _folders(path: str) -> Iterator[tuple[str, list[str]]]:
    """A folder and all visible ones below it, with the names of their files; those behind links last, and each once."""
    seen: set[str] = set()
    waiting = [path]
    while waiting:
        links: list[str] = []
        for top in waiting:
            for folder, below, names in os.walk(top):
                real = os.path.realpath(folder)
                if real in seen or not _visible(os.path.relpath(folder, path)):
                    below.clear()
                    continue
                seen.add(real)
                yield folder, names
                links += (link for name in below if os.path.islink(link := os.path.join(folder, name)))
        waiting = sorted(links)


def _expand_remote(url: str, list_prefix: str) -> list[str]:
    fs, p = storage.filesystem(url)
    if glob.has_magic(p) and not fs.exists(p):
        matches = [fs.unstrip_protocol(m) for m in fs.glob(p) if fs.isfile(m)]
        return _matched(url, matches, list_prefix)
    if fs.isfile(p):
        return _listed(url, list_prefix) if _LIST.search(url) else [url]
    if fs.isdir(p):
        inside = [name for name in fs.find(p) if _visible(name.removeprefix(p))]
        return _known(url, [fs.unstrip_protocol(name) for name in inside])
    raise InputError(f"input {url!r} does not exist; check input.paths and your access rights")


def _visible(path: str) -> bool:
    return not any(part.startswith((".", "_")) and part != "." for part in path.split("/"))


def _known(folder: str, files: list[str]) -> list[str]:
    known = [f for f in files if _format_by_name(f) and _visible(f.rsplit("/", 1)[-1])]
    if not known:
        raise InputError(f"folder {folder!r} holds no input file; known names: {_KNOWN}")
    return known


def _matched(pattern: str, matches: list[str], list_prefix: str) -> list[str]:
    if not matches:
        raise InputError(f"glob {pattern!r} matches no file; check input.paths")
    out: list[str] = []
    for match in matches:
        out += _listed(match, list_prefix) if _LIST.search(match) else [match]
    return out


def _listed(path: str, list_prefix: str) -> list[str]:
    """Paths that a list file names."""
    base = list_prefix or path.rpartition("/")[0]
    out = []
    with open_input(path) as f:
        data = Decoded(f, codec_of(f.read(16), path))
        try:
            while line := data.readline(_MAX_LIST_LINE):
                name = line.decode("utf-8", "replace").strip().removeprefix("\ufeff")
                if not name or name.startswith("#"):
                    continue
                if "://" not in name and not name.startswith("/"):
                    name = storage.join(base, name) if base else name
                if storage.is_local(name):
                    name = os.path.normpath(name.removeprefix("file://"))
                    if not os.path.isfile(name):
                        raise InputError(
                            f"list {path!r} names {name!r}, which does not exist; "
                            "set input.list_prefix to what its lines lack"
                        )
                out.append(name)
        except Broken as e:
            raise InputError(f"list {path!r} cannot be decompressed: {e}") from e
        if data.cut is not None:
            raise InputError(f"list {path!r} is cut: it ends inside its compressed data; fetch it again")
    if not out:
        raise InputError(f"list {path!r} names no file")
    return out


def fingerprint(path: str) -> dict[str, Any]:
    """`{"size": bytes, "ends": md5}` of the first and last 64 KiB: tells a changed file at the cost of two small reads.

    :raises OSError: if the file cannot be read.
    """
    if storage.is_local(path):
        with storage.open_read(path) as f:
            size = f.seek(0, os.SEEK_END)
            f.seek(0)
            head = f.read(_ENDS)
            f.seek(max(size - _ENDS, 0))
            tail = f.read(_ENDS)
    else:
        fs, p = storage.filesystem(path)
        known = fs.size(p)
        if known is None:  # an HTTP server that does not say
            with open_input(path) as f:
                known = f.seek(0, os.SEEK_END)
        size = int(known)
        head = fs.cat_file(p, start=0, end=min(size, _ENDS))[:_ENDS] if size else b""
        tail = fs.cat_file(p, start=max(size - _ENDS, 0), end=size)[-_ENDS:] if size else b""
    return {"size": size, "ends": hashlib.md5(head + tail, usedforsecurity=False).hexdigest()}


# --- reading ---------------------------------------------------------------------------------------------------------


def read_records(
    path: str,
    options: InputOptions,
    *,
    start_record: int = 0,
    start_offset: int | None = None,
    stop_record: int | None = None,
    skipped: Counter[str],
) -> Iterator[Record]:
    """Records [start_record, stop_record) of a file, in order: exactly the rows that a full read gives them.

    :param start_offset: the `offset` that an earlier read gave for `start_record`; None reads from the beginning
        (Parquet: from the row group) and passes over what comes before.
    :param skipped: counts WARC records that are no input, by type, and blank lines. In a range: those met on the way.
    :raises OSError: if reading fails for another reason than the file's content (a lost connection, a bad disk): the
        caller should try again. A file that is not there or may not be read gives an `unreadable` row instead.
    """
    records = _numbered(path, options, start_record, start_offset, skipped)
    for record in records:
        if stop_record is not None and record.doc.record_no >= stop_record:
            return
        yield record
        if stop_record is not None and record.doc.record_no + 1 >= stop_record:
            return


def _numbered(
    path: str, options: InputOptions, start_record: int, start_offset: int | None, skipped: Counter[str]
) -> Iterator[Record]:
    try:
        f = open_input(path)
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as e:
        if start_record == 0:
            yield unreadable(path, 0, options, f"cannot open: {type(e).__name__}: {e.strerror or e}")
        return
    with f:
        head = f.read(_ENDS)
        kind = _format(head, path, options)
        if kind is None or (not head and kind != "jsonl"):  # a crawl file without a byte is a failed download
            if start_record == 0:
                beginning = repr(head[:40]) if head else "an empty file"
                message = f"unknown format: found {beginning}, expected {_KNOWN}; or set input.format"
                yield unreadable(path, 0, options, message)
            return
        if kind == "parquet":
            yield from read_parquet(f, path, options, start_record)
            return
        codec = codec_of(head, path)
        # Without an offset everything before the range is read and passed over.
        first = start_record if start_offset is not None else 0
        passed = skipped if first == start_record else Counter[str]()
        if kind == "jsonl":
            rows = read_jsonl(f, path, codec, options, first, start_offset or 0, passed)
        else:
            rows = read_archive(
                f,
                path,
                codec,
                kind == "arc",
                options,
                start_record=first,
                start_offset=start_offset or 0,
                skipped=passed,
            )
        yield from itertools.islice(rows, start_record - first, None)


def _format(head: bytes, path: str, options: InputOptions) -> Format | None:
    """The format that the options name, or that of the first bytes, or that of the name."""
    if options.format == "wet":
        return "warc"
    if options.format != "auto":
        return options.format
    if head.startswith(b"PAR1"):
        return "parquet"
    try:
        start = Decoded(io.BytesIO(head), codec_of(head, path)).read(1 << 12)
    except Broken:
        start = b""
    text = start.lstrip(b"\xef\xbb\xbf\r\n\t \0")
    if text[:5].upper() == b"WARC/":
        return "warc"
    if text.startswith(b"{"):
        return "jsonl"
    if text.startswith(b"filedesc:") or is_arc_header(text.partition(b"\n")[0] + b"\n"):
        return "arc"
    return _format_by_name(path)
