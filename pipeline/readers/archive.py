"""WARC, WET and ARC files.

Healthy WARC files are read by fastwarc (2.x), natively. What fastwarc 2.0.1 cannot do, or does without a word, is done
by a second, slower reader here, which takes over at the last record that fastwarc has proved to be where it says:

- ARC files ("Invalid WARC header").
- The end: a file cut inside a record header, or an empty gzip member in its middle, ends fastwarc's iteration without
  an error, so every file's end is looked at again from its last record on (one member).
- Damage: after one bad byte fastwarc gives up the rest of the file. Here reading goes on at the next record that is
  whole, and what lies between is one `unreadable` row that names the bytes.
- Offsets: where one compressed member holds several records fastwarc reports the place of another member. The second
  reader gives the offset of records that begin a member and None for others.
- Headers with bare line feeds (swallowed up to the next CRLF CRLF) and missing lengths (taken as 0).
"""

from __future__ import annotations

import collections
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from fastwarc.warc import ArchiveIterator, WarcRecordType

from pipeline.readers.base import (
    InputOptions,
    Record,
    clean,
    domain_of,
    joined_md5,
    md5,
    media_type,
    milliseconds,
    unreadable,
)
from pipeline.readers.http import MAX_HEADER, HttpError, decode_body, parse_header
from pipeline.readers.streams import Broken, Codec, Decoded
from pipeline.schema import Document, Drop

INPUT_TYPES = ("response", "resource", "conversion", "revisit")
"""WARC record types that become rows; all others are only counted."""

_TYPES = (*INPUT_TYPES, "warcinfo", "request", "metadata", "continuation")

MAX_LINE = 1 << 16
_MAX_WARC_HEADER = 1 << 18
_WINDOW = 1 << 12
_WARC = re.compile(rb"WARC/\d+\.\d+[ \t]*\r?\n")
_WARC_AT_END = re.compile(rb"WARC/\d+\.\d+[ \t]*\r?\n\Z")
_LENGTH = re.compile(r"[0-9]{1,15}")
_BLANKS = re.compile(rb"[\r\n\0 \t]*")


class Part(NamedTuple):
    """A record as it lies in the file, or a stretch of bytes (`kind` None) that holds none."""

    kind: str | None
    offset: int | None
    header: Callable[[str], str | None]
    length: int = 0
    block: bytes = b""
    error: str | None = None


def read_archive(
    f: IO[bytes],
    path: str,
    codec: Codec,
    is_arc: bool,
    options: InputOptions,
    *,
    start_record: int,
    start_offset: int,
    skipped: Counter[str],
) -> Iterator[Record]:
    """Rows of an archive from the record at `start_offset` on, which gets the number `start_record`.

    :raises OSError: if the file cannot be read (a damaged file is not an error: it gives `unreadable` rows).
    """
    if is_arc:
        parts = _careful(Decoded(f, codec, start_offset), options, _arc_header)
    else:
        parts = _warc_parts(f, codec, options, start_offset)
    number = start_record
    for part in parts:
        if part.kind is None:
            yield unreadable(path, number, options, part.error or "")
        elif part.kind in INPUT_TYPES:
            yield _record(part, path, number, options)
        else:
            skipped[part.kind] += 1
            continue
        number += 1


def _wanted(length: int, options: InputOptions) -> int:
    """Bytes of a block to read: all of it, or of one that is too large its HTTP header."""
    return length if length <= options.max_record_bytes + MAX_HEADER else MAX_HEADER


# --- fastwarc --------------------------------------------------------------------------------------------------------


class _Watched(io.RawIOBase):
    """The stream that fastwarc reads: it knows the bytes read last and tells a failing disk from a damaged file."""

    def __init__(self, f: IO[bytes], start: int) -> None:
        super().__init__()
        f.seek(start)
        self._f = f
        self._start = self._end = start
        self._last: collections.deque[bytes] = collections.deque(maxlen=3)
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            chunk = self._f.read(size)
        except Exception as e:
            self.failure = e
            raise
        self._end += len(chunk)
        self._last.append(chunk)
        return chunk

    def tell(self) -> int:
        return self._start

    def window(self, offset: int) -> bytes:
        """Up to 4 kB from an offset that was read lately."""
        held = b"".join(self._last)
        at = offset - (self._end - len(held))
        return held[at : at + _WINDOW] if at >= 0 else b""


def _warc_parts(f: IO[bytes], codec: Codec, options: InputOptions, start: int) -> Iterator[Part]:
    """fastwarc as long as all is well; from the last proven record on, the careful reader."""
    proven = start
    last: Part | None = None  # the record at `proven`, if it was handed out
    stream = _Watched(f, start)
    try:
        for record in ArchiveIterator(stream, parse_http=False, max_header_len=MAX_LINE):
            kind = record.record_type
            headers = record.headers
            length = record.content_length
            if kind == WarcRecordType.unknown or (headers.get("Content-Length") or "").strip() != str(length):
                break
            offset = record.stream_pos
            if not _begins_at(stream.window(offset), codec, headers.to_tuples()):
                break
            block = b""
            if kind & _INPUT:
                wanted = _wanted(length, options)
                block = record.reader.read(wanted)
                while len(block) < wanted and (more := record.reader.read(wanted - len(block))):
                    block += more
            proven, last = offset, Part(str(kind), offset, headers.get, length, block)
            yield last
    except OSError as e:
        if stream.failure is not None:
            raise stream.failure from e
    data = Decoded(f, codec, proven)
    again = _careful(data, options, _warc_header)
    if last is not None and (first := next(again, None)) is not None:
        if first.kind is None and last.kind not in INPUT_TYPES:
            # fastwarc also hands out a record whose header the end of the file cuts. If it was input, its row says so.
            yield first
        elif len(first.block) < len(last.block):
            # The end of the file cuts a member of which the two decoders can save different amounts (seen with lz4).
            yield _cut(data)
    yield from again


_INPUT = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion | WarcRecordType.revisit


def _begins_at(window: bytes, codec: Codec, headers: tuple[tuple[str, str], ...]) -> bool:
    """Does a record with these headers begin here? Asked as it will be used: by reading from here."""
    if codec == "plain":
        return window.startswith(b"WARC/")
    try:
        record = next(iter(ArchiveIterator(io.BytesIO(window), parse_http=False, max_header_len=MAX_LINE)), None)
    except OSError:
        return False
    return record is not None and record.stream_pos == 0 and record.headers.to_tuples() == headers


# --- the careful reader ----------------------------------------------------------------------------------------------


class _Header(NamedTuple):
    kind: str
    get: Callable[[str], str | None]
    length: int | None
    error: str | None = None


def _careful(data: Decoded, options: InputOptions, parse: Callable[[Decoded, bytes], _Header | None]) -> Iterator[Part]:
    """All records that can be recognised, and a part without a kind for every stretch of bytes that holds none."""
    lost: Part | None = None  # what was damaged last; handed out once it is known where reading goes on
    fresh = True  # a record may begin here: at the start of a line or of a compressed member
    cut_is_recorded = False  # a row says already that the file is cut
    while True:
        header: _Header | None = None
        offset: int | None = None
        line = b""
        try:
            fresh |= data.skip_all(_BLANKS)
            offset = data.offset()
            line = data.readline(MAX_LINE)
            if line and (fresh or offset is not None):
                header = parse(data, line)
            fresh = line.endswith(b"\n")
        except Broken as e:
            lost = lost or Part(None, None, _nothing, error=f"{e} (member at byte {e.at})")
            fresh = data.recover(e)
            if fresh:
                continue
            line = b""
        if header is None and line:
            # A damaged record may have lost the line end before the next one.
            inner = _WARC_AT_END.search(line)
            if inner and inner.start():
                data.unread(len(line) - inner.start())
                fresh = True
            lost = lost or Part(None, None, _nothing, error=f"no record: found {line[:40]!r} {_place(data, offset)}")
            continue
        if lost is not None:
            yield lost._replace(error=f"{lost.error}; {_resumed(offset) if header else 'nothing after it can be read'}")
            lost, cut_is_recorded = None, True
        if header is None:
            if data.cut is not None and not cut_is_recorded:
                yield _cut(data)
            return
        cut_is_recorded = False
        fresh = True
        is_input = header.kind in INPUT_TYPES
        if header.length is None:
            if is_input:
                lost = Part(header.kind, offset, header.get, error=header.error)
            else:
                yield Part(header.kind, offset, header.get)
                lost = Part(None, None, _nothing, error=f"{header.kind} record: {header.error}")
            continue
        block = b""
        try:
            block = data.read(_wanted(header.length, options) if is_input else 0)
            passed = len(block) + data.skip(header.length - len(block))
        except Broken as e:
            message = f"{e} (member at byte {e.at})"
            if is_input:
                lost = Part(header.kind, offset, header.get, header.length, error=message)
            else:
                yield Part(header.kind, offset, header.get)
                lost = Part(None, None, _nothing, error=message)
            if not data.recover(e):
                yield lost._replace(error=f"{message}; nothing after it can be read")
                return
            continue
        yield Part(header.kind, offset, header.get, header.length, block)
        if passed < header.length:
            cut_is_recorded = True
            if not is_input:  # an input record has a row that says so
                yield Part(None, None, _nothing, error=f"the file ends inside a {header.kind} record")


def _cut(data: Decoded) -> Part:
    return Part(None, None, _nothing, error=f"the file ends inside the compressed member at byte {data.cut}")


def _place(data: Decoded, offset: int | None) -> str:
    return f"in the member at byte {data.member}" if offset is None else f"at byte {offset}"


def _resumed(offset: int | None) -> str:
    return "reading goes on in the same member" if offset is None else f"reading goes on at byte {offset}"


def _nothing(_: str) -> str | None:
    return None


def _warc_header(data: Decoded, line: bytes) -> _Header | None:
    """The header that begins with `line`, or None if none does or the file ends in it."""
    if not _WARC.fullmatch(line):
        return None
    fields: dict[str, str] = {}
    name, size = "", len(line)
    while True:
        line = data.readline(MAX_LINE)
        size += len(line)
        if not line.endswith(b"\n") or size > _MAX_WARC_HEADER:
            return None
        text = line.rstrip(b"\r\n")
        if not text:
            break
        if text[:1] in b" \t" and name:
            fields[name] += " " + text.decode("utf-8", "replace").strip()
            continue
        key, colon, value = text.partition(b":")
        if colon:
            name = key.decode("utf-8", "replace").strip().lower()
            fields.setdefault(name, value.decode("utf-8", "replace").strip())
    kind = fields.get("warc-type", "").lower()
    if kind not in _TYPES:
        kind = "unknown"
    length = fields.get("content-length", "")

    def get(field: str) -> str | None:
        return fields.get(field.lower())

    if not _LENGTH.fullmatch(length):
        return _Header(kind, get, None, f"Content-Length {length[:40]!r}, expected a number of bytes")
    return _Header(kind, get, int(length))


# url ip date type length, or (version 2) url ip date type status checksum location offset file length; URLs may hold
# spaces.
_ARC_1 = re.compile(rb"(\S.*) ([0-9a-fA-F.:]+|unknown|-) (\d{8,18}) (\S+(?:; ?\S+)*) (\S+)\r?\n")
_ARC_2 = re.compile(rb"(\S.*) ([0-9a-fA-F.:]+|unknown|-) (\d{8,18}) (\S+(?:; ?\S+)*) (?:\S+ ){4}\S+ (\S+)\r?\n")


def is_arc_header(line: bytes) -> bool:
    return bool(_ARC_1.fullmatch(line) or _ARC_2.fullmatch(line))


def _arc_header(data: Decoded, line: bytes) -> _Header | None:
    """The one-line header of an ARC record, its fields under the names that WARC gives them."""
    match = _ARC_2.fullmatch(line) or _ARC_1.fullmatch(line)
    if match is None or b":" not in match[1]:
        return None
    url, _, date, kind, length = (g.decode("utf-8", "replace") for g in match.groups())
    is_http = url[:5].lower() in ("http:", "https")
    fields = {
        "WARC-Target-URI": url,
        "WARC-Date": date[:14],
        "Content-Type": "application/http" if is_http else kind,
    }
    name = "filedesc" if url.startswith("filedesc:") else "response"
    if name == "filedesc" and not _LENGTH.fullmatch(length):
        # Its block is a line with the version, one with the field names, and an empty one.
        while data.readline(MAX_LINE).strip():
            pass
        length = "0"
    if not _LENGTH.fullmatch(length):
        return _Header(name, fields.get, None, f"record length {length[:40]!r}, expected a number of bytes")
    return _Header(name, fields.get, int(length))


# --- rows ------------------------------------------------------------------------------------------------------------


def _record(part: Part, path: str, number: int, options: InputOptions) -> Record:
    """The row of one record."""
    get = part.header
    record_id = (get("WARC-Record-ID") or "").strip().strip("<>").strip()
    date = get("WARC-Date")
    url = clean((get("WARC-Target-URI") or "").strip().strip("<>").strip()) or None
    declared = get("Content-Type")
    status = kind = charset = None
    body: bytes | None = None
    size: int | None = None
    drop: Drop | None = None
    is_http = part.kind in ("response", "revisit") and (
        "application/http" in (declared or "").lower() or part.block[:5].upper() == b"HTTP/"
    )
    at = 0
    response = None
    if not is_http:
        kind, charset = media_type(declared)
    elif part.block:
        try:
            response = parse_header(part.block)
            status, kind, charset, at = response.status, response.content_type, response.charset, response.body_at
        except HttpError as e:
            drop = Drop(e.reason, clean(str(e)))
    if part.error is not None:
        drop = Drop("unreadable", clean(part.error))
    elif part.kind == "revisit":
        drop = Drop(
            "revisit", clean(get("WARC-Refers-To") or get("WARC-Refers-To-Target-URI") or "").strip("<>") or None
        )
    elif len(part.block) < min(part.length, _wanted(part.length, options)):
        drop = Drop("truncated_record", f"{len(part.block)} of {part.length} bytes")
    elif drop is not None:
        pass
    elif part.length - at > options.max_record_bytes:
        size = part.length - at
        drop = Drop("too_large", size)
    else:
        body = part.block[at:]
        if response is not None:
            try:
                body = decode_body(response, body, options.max_record_bytes)
            except HttpError as e:
                body, drop = None, Drop(e.reason, clean(str(e)))
    digest = None
    if body is not None:
        size, digest = len(body), md5(body)
        if not body and (status is None or 200 <= status < 300):  # a redirect is dropped for its status
            drop = Drop("empty_body", 0)
    live = body if drop is None else None
    doc = Document(
        doc_id=joined_md5(record_id) if record_id else joined_md5(url, date, digest),
        url=url,
        domain=domain_of(url),
        source=options.source,
        source_file=path,
        record_no=number,
        offset=part.offset,
        crawl_time=milliseconds(date),
        record_type=part.kind,
        http_status=status,
        content_type=kind,
        declared_charset=charset,
        raw_bytes=size,
        raw_digest=digest,
        html=live if part.kind != "conversion" else None,
        text=live.decode("utf-8", "replace") if live is not None and part.kind == "conversion" else None,
    )
    return Record(doc, drop)
