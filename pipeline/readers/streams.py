"""Bytes of an input file: opened wherever it lies, decompressed member by member.

`Decoded` is for what a plain decompressing stream hides and a corpus reader must know: where in the file each
compressed member begins (to come back to a record by offset), whether the file ends inside a member (a cut download),
and what stands after a damaged member (one bad byte must not cost the rest of a 1 GB file).
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Literal, Protocol

import lz4.frame
import zstandard

from pipeline import storage

Codec = Literal["plain", "gzip", "zstd", "lz4"]

MAGIC: dict[Codec, bytes] = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd", "lz4": b"\x04\x22\x4d\x18"}
SUFFIXES: dict[str, Codec] = {".gz": "gzip", ".zst": "zstd", ".lz4": "lz4"}

_CHUNK = 1 << 16
_ZSTD_CHUNK = 1 << 13  # as the decoder takes small pieces, the rest is copied often
_PIECE: dict[Codec, int] = {"gzip": 1 << 14, "zstd": 1 << 10, "lz4": 1 << 12}
"""Bytes that a decoder gets at once, counted from the beginning of the member: where it fails, what comes out before is the same
wherever reading began. zstd can blow 4 bytes up to 128 kB and has no limit of its output: 32 MB a piece; lz4 1 MB."""

_MAX_OUT = 1 << 18
_ZSTD_DICTIONARY = b"\x5d\x2a\x4d\x18"  # a skippable frame that carries the dictionary of a .warc.zst
_MAX_DICTIONARY = 1 << 24
_MAX_WINDOW = 1 << 31  # what `zstd --long=31` writes; only a file that asks for it costs the memory
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_TEXT = bytes(range(0x20, 0x7F)) + b"\t\r\n"


def open_input(path: str) -> IO[bytes]:
    """A seekable file. What cannot seek (HTTP servers without ranges) is first copied to a temporary file on disk.

    :raises OSError: if the file cannot be opened.
    """
    f = storage.open_read(path)
    if f.seekable():
        return f
    copy = tempfile.TemporaryFile()  # noqa: SIM115  closed by the caller
    with f:
        shutil.copyfileobj(f, copy, 1 << 20)
    copy.seek(0)
    return copy


def codec_of(head: bytes, path: str) -> Codec:
    """Compression of a file, by its first bytes; by its name only where these are neither a magic nor text."""
    for codec, magic in MAGIC.items():
        if head.startswith(magic):
            return codec
    if head.startswith(_ZSTD_DICTIONARY):
        return "zstd"
    if not head[:8].strip(_TEXT):
        return "plain"
    for suffix, codec in SUFFIXES.items():
        if path.lower().endswith(suffix):
            return codec
    return "plain"


class Broken(Exception):
    """A member cannot be decompressed. `at` is its offset in the file."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at


_DECODE_ERRORS = (zlib.error, zstandard.ZstdError, RuntimeError, EOFError)


class _Decoder(Protocol):
    eof: bool

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        """Decoded bytes, and input that was not used."""


class _Gzip:
    def __init__(self) -> None:
        self._d = zlib.decompressobj(31)
        self.eof = False

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        out = self._d.decompress(data, _MAX_OUT)
        self.eof = self._d.eof
        return out, self._d.unused_data if self.eof else self._d.unconsumed_tail


class _Lz4:
    def __init__(self) -> None:
        self._d = lz4.frame.LZ4FrameDecompressor()
        self.eof = False

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        out: bytes = self._d.decompress(data)  # at most 255 bytes out for one in
        self.eof = self._d.eof
        return out, (self._d.unused_data or b"") if self.eof else b""


class _Zstd:
    def __init__(self, dictionary: bytes | None) -> None:
        data = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        self._d = zstandard.ZstdDecompressor(dict_data=data, max_window_size=_MAX_WINDOW).decompressobj()
        self.eof = False

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        out = self._d.decompress(data)
        self.eof = self._d.eof
        return out, self._d.unused_data if self.eof else b""


class Decoded:
    """The decompressed content of a file from offset `start` on. `start` must be the beginning of a member, or any
    place of an uncompressed file.

    Reading methods raise `Broken` when they need bytes that cannot be decompressed; what was decompressed before them
    has been handed out by then. I/O errors pass through.
    """

    def __init__(self, f: IO[bytes], codec: Codec, start: int = 0) -> None:
        self.codec = codec
        self.cut: int | None = None
        """Offset of the member inside which the file ends; None if it does not."""
        self.decoded = 0
        """Bytes of the content so far, counted as they come out of the decoder."""
        self.damaged = 0
        """Bytes of the file in members that could not be decompressed to their end."""
        self._f = f
        self._dictionary = _zstd_dictionary(f) if codec == "zstd" else None
        self._decoder: _Decoder | None = None
        self._member = start
        self._starts: dict[int, int] = {}
        self._buffer = b""
        self._i = 0
        self._pos = 0  # of _buffer[0] in the decompressed stream
        self._restart(start)

    def _restart(self, at: int) -> None:
        self._f.seek(at)
        self._raw, self._raw_at = b"", at
        self._broken: Broken | None = None
        self._decoder = None
        self._pos += len(self._buffer)
        self._buffer, self._i = b"", 0
        if self.codec == "plain":
            self._shift = at - self._pos

    @property
    def position(self) -> int:
        """Bytes handed out so far (in the decompressed stream)."""
        return self._pos + self._i

    @property
    def stored_end(self) -> int:
        """How far the file was read: its size, once the end is reached."""
        return self._raw_at

    def offset(self, position: int | None = None) -> int | None:
        """Offset in the file to come back to a byte of the decompressed stream, the next one if `position` is None, if it is the
        first of a member; always for plain files. Positions do not decrease from call to call."""
        here = self.position if position is None else position
        if self.codec == "plain":
            return here + self._shift
        for old in [p for p in self._starts if p < here]:
            del self._starts[old]
        return self._starts.get(here)

    def some(self, limit: int) -> bytes:
        """The next bytes, as many as are there, `limit` at most; b"" at the end."""
        return b"" if self.at_end() else self._take(limit)

    @property
    def member(self) -> int:
        """Offset of the member that was decompressed last."""
        return self._member

    def at_end(self) -> bool:
        return self._i >= len(self._buffer) and not self._fill()

    def skip_all(self, characters: re.Pattern[bytes]) -> bool:
        """Pass over bytes that a pattern of the form `[...]*` matches. True if there were any."""
        begin = self.position
        while not self.at_end():
            match = characters.match(self._buffer, self._i)
            self._i = match.end() if match else self._i
            if self._i < len(self._buffer):
                break
        return self.position > begin

    def readline(self, limit: int) -> bytes:
        """The next line with its line feed, or its first `limit` bytes; b"" at the end."""
        while True:
            end = self._buffer.find(b"\n", self._i, self._i + limit) + 1
            if not end and len(self._buffer) - self._i >= limit:
                end = self._i + limit
            if end or not self._fill():
                break
        return self._take(end - self._i if end else len(self._buffer) - self._i)

    def unread(self, n: int) -> None:
        """Step back over the last `n` bytes of the line that `readline` has just given."""
        self._i -= n

    def put_back(self, data: bytes) -> None:
        """Step back over bytes that were handed out last, whichever method gave them."""
        self._pos += self._i - len(data)
        self._buffer, self._i = data + self._buffer[self._i :], 0

    def peek(self, n: int) -> bytes:
        """The next `n` bytes, which are still to come; fewer at the end or where a member is broken, which the next read says."""
        while len(self._buffer) - self._i < n:
            try:
                if not self._fill():
                    break
            except Broken as e:
                self._broken = e
                break
        return self._buffer[self._i : self._i + n]

    def read(self, n: int, ends: Callable[[bytes], bool] | None = None) -> bytes:
        """The next `n` bytes, fewer only at the end, or as `pieces` says."""
        return b"".join(self.pieces(n, ends))

    def pieces(self, n: int, ends: Callable[[bytes], bool] | None = None) -> Iterator[bytes]:
        """The next `n` bytes in pieces, fewer at the end, or where a member begins (not at once) whose first line is one that
        `ends` says yes to."""
        missing = n
        begin = self.position
        while missing and not self.at_end():
            here = self.position
            if ends is not None and here > begin and here in self._starts:
                line = self.peek(1 << 12)
                if ends(line[: line.find(b"\n") + 1]):
                    return
            border = min((start for start in self._starts if start > here), default=here + missing)
            piece = self._take(min(missing, border - here))
            missing -= len(piece)
            yield piece

    def recover(self, broken: Broken) -> bool:
        """Go on at the next place after a broken member where one seems to begin. False if there is none. What was decompressed
        of the member and not handed out is passed over."""
        place = self._next_member(broken.at + 1)
        at = self._f.seek(0, io.SEEK_END) if place is None else place
        self.damaged += at - broken.at
        self._restart(at)
        return place is not None

    def _next_member(self, at: int) -> int | None:
        """The first offset from `at` on where a member seems to begin. The file is left at another place."""
        magic = MAGIC[self.codec]
        self._f.seek(at)
        seen = b""
        while chunk := self._f.read(_CHUNK):
            seen += chunk
            place = seen.find(magic)
            if place >= 0:
                return at + place
            keep = len(magic) - 1
            at += len(seen) - keep
            seen = seen[-keep:]
        return None

    def _take(self, n: int) -> bytes:
        data = self._buffer[self._i : self._i + n]
        self._i += len(data)
        return data

    def _fill(self) -> bool:
        chunk = self._f.read(_CHUNK) if self.codec == "plain" else self._decode()
        if not chunk:
            return False
        if self.codec == "plain":
            self._raw_at += len(chunk)
        self.decoded += len(chunk)
        self._pos += self._i
        self._buffer = self._buffer[self._i :] + chunk
        self._i = 0
        return True

    def _decode(self) -> bytes:
        """The next decompressed bytes, never of two members; b"" at the end of the file."""
        if self._broken is not None:
            broken, self._broken = self._broken, None
            raise broken
        while True:
            if not self._raw:
                self._raw = self._f.read(_ZSTD_CHUNK if self.codec == "zstd" else _CHUNK)
            if self._decoder is None and not self._begin_member():
                return b""
            if not self._raw:
                if self._member_follows():
                    raise Broken(self._member, f"{self.codec}: the end of the member is not found")
                self.cut = self._member
                return b""
            assert self._decoder is not None
            piece = _PIECE[self.codec]
            piece -= (self._raw_at - self._member) % piece
            while len(self._raw) < piece and (more := self._f.read(_CHUNK)):
                self._raw += more
            before = len(self._raw)
            try:
                out, rest = self._decoder.decode(self._raw[:piece])
            except _DECODE_ERRORS as e:
                raise Broken(self._member, f"{self.codec}: {e}") from e
            self._raw = rest + self._raw[piece:]
            self._raw_at += before - len(self._raw)
            if self._decoder.eof:
                self._decoder = None
            if out:
                return out

    def _member_follows(self) -> bool:
        """Whether another member begins after the start of the one in which the file ends: that one is then not cut but damaged,
        in a length or where its end is told."""
        magic, at = MAGIC[self.codec], self._member + 1
        self._f.seek(at)
        seen = b""
        while chunk := self._f.read(_CHUNK):
            seen += chunk
            place = seen.find(magic)
            while place >= 0:
                with contextlib.suppress(*_DECODE_ERRORS):  # a magic may stand in a member by chance
                    if self._new_decoder().decode(seen[place:])[0]:
                        return True
                place = seen.find(magic, place + 1)
            seen = seen[-(len(magic) - 1) :]
        return False

    def _begin_member(self) -> bool:
        """Start a decoder at the next member; False at the end of the file. Padding with NULs is passed over."""
        while True:
            stripped = self._raw.lstrip(b"\0")
            self._raw_at += len(self._raw) - len(stripped)
            self._raw = stripped
            if len(self._raw) < 8:
                more = self._f.read(_CHUNK)
                self._raw += more
                if more:
                    continue
            if self.codec != "zstd" or len(self._raw) < 8 or not _SKIPPABLE.match(self._raw):
                break
            frame, end = self._raw_at, self._f.seek(0, io.SEEK_END)
            self._raw_at += 8 + int.from_bytes(self._raw[4:8], "little")
            self._raw = b""
            if self._raw_at > end:
                self.cut, self._raw_at = frame, end
                return False
            self._f.seek(self._raw_at)
        if not self._raw:
            return False
        self._member = self._raw_at
        magic = MAGIC[self.codec]
        if not self._raw.startswith(magic[: len(self._raw)]):
            raise Broken(self._member, f"{self.codec}: no member begins here, found {self._raw[:8]!r}")
        self._decoder = self._new_decoder()
        self._starts[self._pos + len(self._buffer)] = self._member
        return True

    def _new_decoder(self) -> _Decoder:
        if self.codec == "zstd":
            return _Zstd(self._dictionary)
        return _Gzip() if self.codec == "gzip" else _Lz4()


def _zstd_dictionary(f: IO[bytes]) -> bytes | None:
    """The dictionary that a .warc.zst carries in its first, skippable frame, itself compressed or not."""
    f.seek(0)
    head = f.read(8)
    if not head.startswith(_ZSTD_DICTIONARY) or len(head) < 8:
        return None
    data = f.read(min(int.from_bytes(head[4:], "little"), _MAX_DICTIONARY))
    if data.startswith(MAGIC["zstd"]):
        try:
            data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read(_MAX_DICTIONARY)
        except zstandard.ZstdError:
            return None
    return data
