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

import base64
import collections
import hashlib
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import IO, NamedTuple, Protocol

from fastwarc.warc import ArchiveIterator, WarcRecordType

from pipeline.outputs import ByteCount
from pipeline.readers.base import (
    Account,
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
_SMALL = 1 << 20
_WARC = re.compile(rb"WARC/\d+\.\d+[ \t]*\r?\n", re.IGNORECASE)
_WARC_AT_END = re.compile(rb"WARC/\d+\.\d+[ \t]*\r?\n\Z", re.IGNORECASE)
_WARC_INSIDE = re.compile(
    rb"\n\r?\n(?=WARC/\d+\.\d+[ \t]*\r?\n(?:WARC-[A-Za-z-]+|Content-(?:Length|Type)):)", re.IGNORECASE
)
_WARC_BARE = re.compile(rb"WARC/\d+\.\d+[ \t]*\r?\n(?=(?:WARC-[A-Za-z-]+|Content-(?:Length|Type)):)")
"""The same where damage took what stands before it."""
_MAYBE_INSIDE = re.compile(rb"\n\r?\nWARC/", re.IGNORECASE)
_OVERLAP = 1 << 9
_LINE_ENDS = 4  # bytes behind a record
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
    count: ByteCount,
) -> Iterator[Record]:
    """Rows of an archive from the record at `start_offset` on, which gets the number `start_record`.

    :raises OSError: if the file cannot be read (a damaged file is not an error: it gives `unreadable` rows).
    """
    if is_arc:
        parts = _arc_parts(Decoded(f, codec, start_offset), options, count)
    else:
        parts = _warc_parts(f, codec, options, start_offset, count)
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


def _arc_parts(data: Decoded, options: InputOptions, count: ByteCount) -> Iterator[Part]:
    account = Account(count, data)
    yield from _careful(data, options, _ArcHeaders(), account)
    account.close()


def _wanted(length: int, options: InputOptions) -> int:
    """Bytes of a block to read: all of it, or of one that is too large its HTTP header."""
    return length if length <= options.max_record_bytes + MAX_HEADER else MAX_HEADER


# --- fastwarc --------------------------------------------------------------------------------------------------------


class _Watched(io.RawIOBase):
    """The stream that fastwarc reads: it knows the bytes read last and tells a failing disk from a damaged file.

    gzip is decompressed by fastwarc, which is twice as fast at it as Python's zlib: offsets are of the file. Other files are
    decompressed here: offsets are of their content.
    """

    def __init__(self, f: IO[bytes], codec: Codec, start: int) -> None:
        super().__init__()
        self._data = None if codec == "gzip" else Decoded(f, codec, start)
        self._start = self._end = start if self._data is None else 0
        f.seek(start)
        self._f = f
        self._last: collections.deque[bytes] = collections.deque(maxlen=3)
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            chunk = self._f.read(size) if self._data is None else self._data.some(size)
        except Broken as e:
            raise OSError("damaged") from e  # fastwarc stops at it
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
        at = offset - self._end + sum(map(len, self._last))
        found = b""
        for chunk in self._last if at >= 0 else ():
            found += chunk[at : at + _WINDOW - len(found)]
            at = max(0, at - len(chunk))
        return found

    def stored(self, offset: int) -> int | None:
        """Where in the file this offset is; None if nothing that can be decompressed begins there."""
        return offset if self._data is None else self._data.offset(offset)

    def size(self, begin: int, end: int) -> int:
        """Bytes of the content between two offsets, the last of which was read lately. Of gzip, what a member that ends there
        says it holds, modulo 2^32: the size, if one member lies between them."""
        return end - begin if self._data is not None else int.from_bytes(self.window(end - 4)[:4], "little")


def _warc_parts(f: IO[bytes], codec: Codec, options: InputOptions, start: int, count: ByteCount) -> Iterator[Part]:
    """fastwarc as long as all is well; from the last proven record on, the careful reader. Where a length was in doubt and
    the record behind it is found, fastwarc goes on from there."""
    proven: int | None = start
    while proven is not None:
        proven = yield from _warc_parts_from(f, codec, options, proven, count)


def _warc_parts_from(
    f: IO[bytes], codec: Codec, options: InputOptions, start: int, count: ByteCount
) -> Generator[Part, None, int | None]:
    """Returns where to begin again, or None at the end."""
    proven = start
    last: Part | None = None  # the record at `proven`; handed out once the next is proven
    last_offset = last_size = gap = 0
    doubtful = False
    stream = _Watched(f, codec, start)
    try:
        for record in ArchiveIterator(stream, parse_http=False, max_header_len=MAX_LINE):
            kind = record.record_type
            headers = record.headers
            length = record.content_length
            if kind == WarcRecordType.unknown or (headers.get("Content-Length") or "").strip() != str(length):
                break
            offset = record.stream_pos
            stored = stream.stored(offset)
            header = _begins_at(stream.window(offset), codec, headers.items_bytes())
            if stored is None or not header:
                doubtful = header is None
                break
            # Nothing but line ends stands between two records, and nothing before the first.
            if last is not None:
                gap = (stream.size(last_offset, offset) - last_size) % (1 << 32)
            if gap > _LINE_ENDS or (last is None and offset != stream.tell()):
                break
            is_input = bool(kind & _INPUT)
            # A length may lie, and cover the records behind: what is too large to be looked at is left to the careful reader.
            wanted = length if length <= (options.max_record_bytes + MAX_HEADER if is_input else _SMALL) else 0
            block = record.reader.read(wanted)
            while len(block) < wanted and (more := record.reader.read(wanted - len(block))):
                block += more
            if wanted < length or _MAYBE_INSIDE.search(block):
                doubtful = True
                break
            if last is not None:
                _count(count, last, last_size, gap)
                yield last
            proven, last = stored, Part(str(kind), stored, headers.get, length, block if is_input else b"")
            last_offset, last_size = offset, header + length
    except OSError as e:
        if stream.failure is not None:
            raise stream.failure from e
    data = Decoded(f, codec, proven)
    account = Account(count, data)
    sure = 1 if last is None else 2  # records before the one behind the doubtful one
    for number, part in enumerate(_careful(data, options, _WarcHeaders(), account)):
        if doubtful and number >= sure and part.kind is not None and part.offset is not None and part.error is None:
            account.hand_over()
            return part.offset
        yield part
    account.close()
    return None


_INPUT = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion | WarcRecordType.revisit


def _count(count: ByteCount, part: Part, size: int, gap: int) -> None:
    if part.kind in INPUT_TYPES:
        count.pages += size
    else:
        count.other[str(part.kind)] += size
    count.between += gap
    count.read += size + gap


def _begins_at(window: bytes, codec: Codec, fields: Sequence[tuple[bytes, bytes]]) -> int | None:
    """Length of the header with these fields if it begins here, which is asked as it will be used: by reading from here. 0 if
    it does not; None if it may run into the next record."""
    if codec == "gzip":
        try:
            window = zlib.decompressobj(31).decompress(window, _WINDOW)
        except zlib.error:
            return 0
    end = window.find(b"\r\n\r\n")
    first, *lines = window[: max(end, 0)].split(b"\r\n")
    if not _WARC.fullmatch(first + b"\n"):
        return 0
    if lines != [name + b": " + value for name, value in fields] and _stripped(lines) != list(fields):
        return 0
    return None if b"WARC/" in window[len(first) : end] else end + 4


def _stripped(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    parts = (line.partition(b":") for line in lines)
    return [(name.strip(), value.strip()) for name, _, value in parts]


# --- the careful reader ----------------------------------------------------------------------------------------------


class _Header(NamedTuple):
    kind: str
    get: Callable[[str], str | None]
    length: int | None
    error: str | None = None


def _held(header: _Header, options: InputOptions) -> int:
    """Bytes of a block to read."""
    length = header.length or 0
    if header.kind in INPUT_TYPES:
        return _wanted(length, options)
    return length if length <= _SMALL else 0


class _Headers(Protocol):
    """Headers of a format of archives."""

    framed: bool
    """Whether a line that begins a record is told from the end of one."""

    def inside(self, block: bytes) -> int | None:
        """Where a record seems to begin within the bytes of another."""

    def begins(self, line: bytes) -> bool:
        """Whether a record begins with this line."""

    def at_end(self, line: bytes) -> int:
        """Where within a line another one that begins a record seems to stand; 0 if none does."""

    def parse(self, data: Decoded, line: bytes) -> _Header | None:
        """The header that begins with `line`, or None if none does or the file ends in it."""


def _careful(data: Decoded, options: InputOptions, headers: _Headers, account: Account) -> Iterator[Part]:
    """All records that can be recognised, and a part without a kind for every stretch of bytes that holds none. The bytes of a
    record are accounted for when the next part is asked for."""
    lost: Part | None = None  # what was damaged last; handed out once it is known where reading goes on
    fresh = True  # a record may begin here: at the start of a line or of a compressed member
    cut_is_recorded = False  # a row says already that the file is cut
    while True:
        header: _Header | None = None
        offset: int | None = None
        line = b""
        try:
            fresh |= data.skip_all(_BLANKS)
            account.between()
            offset = data.offset()
            line = data.readline(MAX_LINE)
            if line and (fresh or offset is not None):
                header = headers.parse(data, line)
            fresh = line.endswith(b"\n")
        except Broken as e:
            lost = lost or Part(None, None, _nothing, error=f"{e} (member at byte {e.at})")
            fresh = data.recover(e)
            account.skipped()
            if fresh:
                continue
            line = b""
        if header is None and line:
            # A damaged record may have lost the line end before the next one.
            inner = headers.at_end(line)
            if inner:
                data.unread(len(line) - inner)
                fresh = True
            account.skipped()
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
                account.skipped()
                lost = Part(header.kind, offset, header.get, error=header.error)
            else:
                yield Part(header.kind, offset, header.get)
                account.other(header.kind)
                lost = Part(None, None, _nothing, error=f"{header.kind} record: {header.error}")
            continue
        block = b""
        try:
            block, passed = _block(data, header, headers, _held(header, options))
        except Broken as e:
            message = f"{e} (member at byte {e.at})"
            if is_input:
                lost = Part(header.kind, offset, header.get, header.length, error=message)
            else:
                yield Part(header.kind, offset, header.get)
                lost = Part(None, None, _nothing, error=message)
            is_found = data.recover(e)
            account.skipped()
            if not is_found:
                yield lost._replace(error=f"{message}; nothing after it can be read")
                return
            continue
        yield Part(header.kind, offset, header.get, header.length, block if is_input else b"")
        if is_input:
            account.page()
        else:
            account.other(header.kind)
        if passed < header.length:
            at_end = data.at_end()
            cut_is_recorded = at_end
            if not is_input:  # an input record has a row that says so
                what = "the file ends" if at_end else f"after {passed} of {header.length} bytes another record begins"
                yield Part(None, None, _nothing, error=f"{what} inside a {header.kind} record")


def _block(data: Decoded, header: _Header, headers: _Headers, wanted: int) -> tuple[bytes, int]:
    """The first `wanted` bytes of a record's block, and how many bytes it has: its length, or as many as stand before the end of
    the file or, where the length lies, before the next record.

    That a record begins inside is sure where a compressed member begins with it. Elsewhere, the length is believed if the
    block's digest is right, or if a record or the end follows what it covers and HTTP does not say otherwise.
    """
    assert header.length is not None
    block = data.read(wanted, headers.begins)
    inner, is_whole = _inner(data, headers, block)
    if inner is not None and not (
        len(block) == header.length and _is_believed(data, header, headers, block, inner, is_whole)
    ):
        data.put_back(block[inner:])
        return block[:inner], inner
    passed, seen = len(block), block[-_OVERLAP:]
    for piece in data.pieces(header.length - passed, headers.begins) if passed == wanted else ():
        held = len(seen)
        seen += piece
        inner, _ = _inner(data, headers, seen)
        if inner is not None:
            data.put_back(seen[inner:])
            return block, passed - held + inner
        passed += len(piece)
        seen = seen[-_OVERLAP:]
    return block, passed


def _inner(data: Decoded, headers: _Headers, block: bytes) -> tuple[int | None, bool]:
    """Where in a block that was read just now another record seems to begin, and whether its header does not reach beyond."""
    inner = headers.inside(block)
    if inner is not None:
        return inner, True
    tail = block[-_OVERLAP:]
    inner = headers.inside(tail + data.peek(_OVERLAP))
    return (len(block) - len(tail) + inner if inner is not None and inner < len(tail) else None), False


def _first(after: re.Match[bytes] | None, begin: re.Match[bytes] | None) -> int | None:
    """The first of two places: behind a match, and where one begins."""
    return min((*([after.end()] if after else ()), *([begin.start()] if begin else ())), default=None)


def _is_believed(data: Decoded, header: _Header, headers: _Headers, block: bytes, inner: int, is_whole: bool) -> bool:
    """Whether a block is as long as its header says, though a record seems to begin at byte `inner` of it."""
    if _is_right(header.get("WARC-Block-Digest"), block):
        return True
    if not is_whole or header.kind not in INPUT_TYPES:
        return False  # a block does not end within a header; requests and fields hold no records
    http = _HTTP_LENGTH.match(block)
    if http:
        end = http.end() + int(http[1])  # of the body, as HTTP says
        if 0 <= inner - end <= _LINE_ENDS:
            return False
        if 0 <= len(block) - end <= _LINE_ENDS:
            return True
    if not headers.framed:
        return False
    behind = data.peek(_WINDOW).lstrip(b"\r\n\0 \t")
    return not behind or headers.begins(behind[: behind.find(b"\n") + 1])


_HTTP_LENGTH = re.compile(
    rb"HTTP/[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*?content-length[ \t]*:[ \t]*(\d{1,15})[ \t]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n",
    re.IGNORECASE,
)


def _is_right(digest: str | None, block: bytes) -> bool:
    """Whether a digest as WARC has it (`sha1:` and base 32, or hexadecimal) is that of a block."""
    name, _, value = (digest or "").partition(":")
    name = name.strip().lower().replace("-", "")
    if name not in ("md5", "sha1", "sha256"):
        return False
    found = hashlib.new(name, block, usedforsecurity=False).digest()
    return value.strip().lower() in (found.hex(), base64.b32encode(found).decode().rstrip("=").lower())


def _cut(data: Decoded) -> Part:
    return Part(None, None, _nothing, error=f"the file ends inside the compressed member at byte {data.cut}")


def _place(data: Decoded, offset: int | None) -> str:
    return f"in the member at byte {data.member}" if offset is None else f"at byte {offset}"


def _resumed(offset: int | None) -> str:
    return "reading goes on in the same member" if offset is None else f"reading goes on at byte {offset}"


def _nothing(_: str) -> str | None:
    return None


class _WarcHeaders:
    framed = True

    def inside(self, block: bytes) -> int | None:
        return _first(_WARC_INSIDE.search(block), _WARC_BARE.search(block))

    def begins(self, line: bytes) -> bool:
        return bool(_WARC.fullmatch(line))

    def at_end(self, line: bytes) -> int:
        inner = _WARC_AT_END.search(line)
        return inner.start() if inner else 0

    def parse(self, data: Decoded, line: bytes) -> _Header | None:
        return _warc_header(data) if self.begins(line) else None


def _warc_header(data: Decoded) -> _Header | None:
    """The fields of a header, or None if the file ends in it."""
    fields: dict[str, str] = {}
    name, size, error = "", 0, None
    while True:
        line = data.readline(MAX_LINE)
        size += len(line)
        if not line.endswith(b"\n") or size > _MAX_WARC_HEADER:
            return None
        text = line.rstrip(b"\r\n")
        if not text:
            break
        begins = _WARC_AT_END.search(line)
        if begins:
            data.unread(len(line) - begins.start())
            error = "another record begins inside its header"
            break
        if text[:1] in b" \t" and name:
            fields[name] = f"{fields[name]} {text.decode('utf-8', 'replace').strip()}".strip()
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

    if error is None and not _LENGTH.fullmatch(length):
        error = f"Content-Length {length[:40]!r}, expected a number of bytes"
    return _Header(kind, get, None if error else int(length), error)


# url ip date type length, or (version 2) url ip date type status checksum location offset file length; URLs may hold
# spaces.
_ARC_1 = re.compile(rb"(\S.*) ([0-9a-fA-F.:]+|unknown|-) (\d{8,18}) (\S+(?:; ?\S+)*) (\S+)\r?\n")
_ARC_2 = re.compile(rb"(\S.*) ([0-9a-fA-F.:]+|unknown|-) (\d{8,18}) (\S+(?:; ?\S+)*) (?:\S+ ){4}\S+ (\S+)\r?\n")
# Dialects: without the address of the server or the type of the body.
_ARC_SHORT = re.compile(
    rb"([a-zA-Z][\w.+-]*:\S+)(?: (?:[0-9a-fA-F.:]+|unknown|-))? (\d{8,18})(?: (\S+/\S+|no-type|-))? (\d{1,15})\r?\n"
)
_ARC_NAMES = {
    b"url": "url", b"ip-address": "ip", b"archive-date": "date", b"content-type": "type", b"archive-length": "length",
    b"length": "length",
}  # fmt: skip
_ARC_FIRST = (b"url", b"ip-address", b"archive-date", b"content-type")
"""Fields that both versions begin with."""


_ARC_SCHEME = re.compile(
    rb"(?:https?|ftp|filedesc|metadata|whois|gopher|mms|rtsp)://|(?:dns|urn|screenshot|data):", re.IGNORECASE
)
_ARC_REST = (
    rb"\S{2,2000} (?:[0-9a-fA-F.:]+|unknown|-) \d{8,18} \S{1,200}(?:; ?\S{1,200})? (?:\S{1,200} ){0,5}\d{1,15}\r?\n"
)
_ARC_INSIDE = re.compile(rb"\n(?=[a-zA-Z][\w.+-]*:%b)" % _ARC_REST)
_ARC_BARE = re.compile(rb"https?://%b" % _ARC_REST)
_ARC_AT_END = re.compile(rb"https?://%b\Z" % _ARC_REST)
_ARC_CUT = re.compile(rb"\A\S+ (?:[0-9a-fA-F.:]{7,}|unknown|-) \d|[\0-\x1f]")
"""What is no URL, but the rest of a damaged header."""


def is_arc_header(line: bytes) -> bool:
    return bool(_ARC_1.fullmatch(line) or _ARC_2.fullmatch(line))


class _ArcHeaders:
    """Headers of ARC records: one line. A file whose first record names other fields than usual, or in another order, is read by
    these names."""

    framed = False  # "ttp://a.example/ ..." would pass for one

    def __init__(self) -> None:
        self._names: list[bytes] = []

    def inside(self, block: bytes) -> int | None:
        return _first(_ARC_INSIDE.search(block), _ARC_BARE.search(block))

    def begins(self, line: bytes) -> bool:
        return not self.at_end(line) and (is_arc_header(line) or self._named(line) is not None)

    def at_end(self, line: bytes) -> int:
        known = _ARC_SCHEME.match(line)
        inner = _ARC_AT_END.search(line, known.end() if known else 0)
        return inner.start() if inner and (not known or _ARC_CUT.search(line[: inner.start()])) else 0

    def parse(self, data: Decoded, line: bytes) -> _Header | None:
        """The header, its fields under the names that WARC gives them."""
        fields = None if self.at_end(line) else self._named(line) or _arc_fields(line)
        if fields is None:
            return None
        url, date, kind, length = fields
        is_http = url[:5].lower() in ("http:", "https")
        of_warc = {
            "WARC-Target-URI": url,
            "WARC-Date": date[:14],
            "Content-Type": "application/http" if is_http else kind,
        }
        name = "filedesc" if url.startswith("filedesc:") else "response"
        if name == "filedesc":
            length = self._described(data, length)
        if not _LENGTH.fullmatch(length):
            return _Header(name, of_warc.get, None, f"record length {length[:40]!r}, expected a number of bytes")
        return _Header(name, of_warc.get, int(length))

    def _described(self, data: Decoded, length: str) -> str:
        """Read the names of the fields in the first record: a line with the version, one with the names. The length that is left,
        0 where the record has none and ends with an empty line."""
        left = int(length) if _LENGTH.fullmatch(length) else None
        if left is not None:  # no further than the next record
            inner = self.inside(data.peek(min(left, MAX_LINE) + _OVERLAP))
            left = left if inner is None else min(left, inner)
        lines: list[bytes] = []
        while left is None or (left > 0 and len(lines) < 2):
            line = data.readline(min(MAX_LINE, left) if left else MAX_LINE)
            lines.append(line)
            if not line or (left is None and not line.strip()):
                break
            left = None if left is None else left - len(line)
        names = lines[1].lower().split() if len(lines) > 1 else []
        if {b"url", b"archive-date"} <= set(names) and tuple(names[:4]) != _ARC_FIRST:
            self._names = names
        return str(left or 0)

    def _named(self, line: bytes) -> tuple[str, str, str, str] | None:
        """URL, date, type and length of a header in the order that the file names."""
        if not self._names or not line.endswith(b"\n"):
            return None
        values = line.split()
        if len(values) != len(self._names):
            return None
        of = {
            _ARC_NAMES.get(name, ""): value.decode("utf-8", "replace")
            for name, value in zip(self._names, values, strict=True)
        }
        if ":" not in of["url"] or not of["date"].isdecimal() or not of.get("length", "").isdecimal():
            return None
        return of["url"], of["date"], of.get("type", ""), of["length"]


def _arc_fields(line: bytes) -> tuple[str, str, str, str] | None:
    """URL, date, type and length of a header."""
    match = _ARC_2.fullmatch(line) or _ARC_1.fullmatch(line)
    if match is not None and b":" in match[1]:
        url, _, date, kind, length = (g.decode("utf-8", "replace") for g in match.groups())
        return url, date, kind, length
    match = _ARC_SHORT.fullmatch(line)
    if match is None:
        return None
    url, date, kind, length = ((g or b"").decode("utf-8", "replace") for g in match.groups())
    return url, date, kind, length


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
        doc_id=joined_md5(record_id, url, digest) if record_id else joined_md5(url, date, digest),
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
