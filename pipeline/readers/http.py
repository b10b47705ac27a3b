"""HTTP responses as crawlers stored them: header, chunks and content encodings taken off, as leniently as browsers do.

Archived headers often describe what the server sent and not what was stored (chunks already joined, gzip already
undone), so a body that does not look as declared is taken as it is; only one that looks so and then turns out damaged
is an error.
"""

from __future__ import annotations

import io
import re
import zlib
from typing import NamedTuple

import brotli
import zstandard

from pipeline.readers.base import media_type

MAX_HEADER = 1 << 16
"""Bytes in which the header of a response must end. Browsers and servers stop far earlier (8 to 256 kB in all)."""

_STATUS = re.compile(rb"\s*HTTP(?:/[\d.]+)?[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_FIELDS = re.compile(rb"(?:[!-9;-~]+[ \t]*:[^\r\n]*(?:\r?\n|\Z)(?:[ \t]+[^\r\n]*(?:\r?\n|\Z))*)*")
_HEADERS = re.compile(
    rb"^(content-type|content-encoding|transfer-encoding)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE
)
_FOLDED = re.compile(rb"\r?\n[ \t]+")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,32})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LINE_ENDS = re.compile(rb"[\r\n]*")
_LINE_END = re.compile(rb"\r?\n")


_ENCODINGS = frozenset(("gzip", "deflate", "br", "zstd"))
_TEXTUAL = re.compile(r"^text/|html|xml|json")
_MAX_WRAPPERS = 3


class HttpError(ValueError):
    """A response that is not one. `reason` is the drop reason, the message what was found."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Response(NamedTuple):
    """The header of a response, and where its body begins in the block."""

    status: int
    content_type: str | None
    charset: str | None
    transfer_encodings: list[str]
    content_encodings: list[str]
    body_at: int


def parse_header(block: bytes) -> Response:
    """Parse the header at the start of `block`: the last one, where interim ones (100, 103) stand before it. A header that no
    empty line ends, ends where its fields do.

    :raises HttpError: `no_http_header` if the block does not begin with a status line, `bad_http` if the header has no
        end.
    """
    response = _header_at(block, 0)
    while 100 <= response.status < 200 and _STATUS.match(block, response.body_at):
        response = _header_at(block, response.body_at)
    return response


def _header_at(block: bytes, at: int) -> Response:
    status = _STATUS.match(block, at)
    if status is None:
        if block[at : at + 5].upper() == b"HTTP/":
            raise HttpError("bad_http", f"status line {_shown(block[at:])}")
        raise HttpError("no_http_header", f"found {_shown(block[at:])}, expected HTTP/1.1 200 OK or the like")
    end = _HEADER_END.search(block, status.end(), at + MAX_HEADER)
    if end is not None:
        head, body_at = block[at : end.start()], end.end()
    else:
        line_end = block.find(b"\n", status.end(), at + MAX_HEADER) + 1
        fields = _FIELDS.match(block, line_end, at + MAX_HEADER) if line_end else None
        body_at = fields.end() if fields else 0
        if fields is None or body_at == line_end or body_at >= min(len(block), at + MAX_HEADER):
            raise HttpError("bad_http", f"no empty line in the first {min(len(block) - at, MAX_HEADER)} bytes")
        head = block[at:body_at]
    if b"\n " in head or b"\n\t" in head:
        head = _FOLDED.sub(b" ", head)
    kind = charset = None
    encodings: dict[bytes, list[str]] = {b"transfer-encoding": [], b"content-encoding": []}
    for name, raw in _HEADERS.findall(head):
        value = raw.decode("latin-1")
        if name.lower() == b"content-type":  # of several the last that can be parsed counts
            new_kind, new_charset = media_type(value)
            kind, charset = new_kind or kind, new_charset or charset
        else:
            encodings[name.lower()] += filter(None, map(_encoding_name, value.split(",")))
    return Response(
        int(status[1]), kind, charset, encodings[b"transfer-encoding"], encodings[b"content-encoding"], body_at
    )


def _encoding_name(token: str) -> str:
    """The name of an encoding without parameters, quotes and the old prefix: `br;q=1.0`, `"gzip"`, `x-deflate`."""
    return token.partition(";")[0].strip(" \t\"'").lower().removeprefix("x-")


def decode_body(response: Response, body: bytes, limit: int) -> bytes:
    """The body with transfer and content encodings undone. A body that ends too early is used as far as it goes.

    :raises HttpError: `bad_content_encoding` if the data are damaged, `too_large` if they decode to more than `limit`
        bytes.
    """
    for name in reversed(response.transfer_encodings):
        body = dechunk(body) if name == "chunked" else _decode(name, body, limit)
    for name in reversed(response.content_encodings):
        body = _decode(name, body, limit)
    if response.content_type is None or _TEXTUAL.search(response.content_type):
        body = _unwrapped(body, limit)
    if len(body) > limit:
        raise HttpError("too_large", str(len(body)))
    return body


def _unwrapped(body: bytes, limit: int) -> bytes:
    """A page that is still compressed: encoded twice under one header, or under none. What cannot be undone stays."""
    for _ in range(_MAX_WRAPPERS):
        name = _encoding_of(body)
        if name is None:
            break
        try:
            body = _decode(name, body, limit)
        except HttpError as e:
            if e.reason == "too_large":
                raise
            break
    return body


def _encoding_of(body: bytes) -> str | None:
    """The encoding that the first bytes tell."""
    if body.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    return "zstd" if body.startswith(b"\x28\xb5\x2f\xfd") else None


def dechunk(body: bytes) -> bytes:
    """The joined chunks of a chunked body. Line ends may stand before the first.

    A body that does not begin with a whole chunk is taken as it is: many crawlers join the chunks and keep the header.
    Where a later chunk is wrong, the chunks up to it are joined and the rest is taken as it is: nothing that was
    received is lost.
    """
    parts: list[bytes] = []
    first = _LINE_ENDS.match(body)
    at = first.end() if first else 0
    while True:
        size = _CHUNK_SIZE.match(body, at)
        if size is None:
            return b"".join(parts) + body[at:] if parts else body
        length = min(int(size[1], 16), len(body) + 1)
        if length == 0:
            return b"".join(parts)
        data = body[size.end() : size.end() + length]
        end = _LINE_END.match(body, size.end() + length)
        if end is None and size.end() + length < len(body):
            return b"".join(parts) + body[at:] if parts else body
        parts.append(data)
        if end is None or end.end() >= len(body):
            return b"".join(parts)
        at = end.end()


def _decode(name: str, body: bytes, limit: int) -> bytes:
    """Undo one encoding: that of the first bytes if they tell one, whatever its name. Names that are none (`identity`, `utf-8`,
    `none`) change nothing."""
    if not body:
        return body
    if name in _ENCODINGS:
        name = _encoding_of(body) or name
    try:
        match name:
            case "gzip":
                return _gunzip(body, limit) if body.startswith(b"\x1f\x8b") else body
            case "deflate":
                return _inflate(body, limit)
            case "br":
                return _unbrotli(body, limit)
            case "zstd":
                return _unzstd(body, limit) if body.startswith(b"\x28\xb5\x2f\xfd") else body
            case _:
                return body
    except (zlib.error, brotli.error, zstandard.ZstdError) as e:
        if name in ("br", "deflate") and body.lstrip()[:1] == b"<":  # these have no magic number: look for markup
            return body
        raise HttpError("bad_content_encoding", f"{name}: {e}; the body begins with {_shown(body)}") from e


def _checked(name: str, data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise HttpError("too_large", f"{name}: more than {limit}")
    if not data:
        raise HttpError("bad_content_encoding", f"{name}: ends before the first byte")
    return data


def _gunzip(body: bytes, limit: int) -> bytes:
    """One or more gzip members; what follows the last is ignored, as browsers do."""
    out = b""
    while True:
        d = zlib.decompressobj(31)
        try:
            out += d.decompress(body, limit + 1 - len(out))
        except zlib.error:
            if not out:
                raise
            return out
        body = d.unused_data
        if not d.eof or len(out) > limit or not body.startswith(b"\x1f\x8b"):
            return _checked("gzip", out, limit)


def _inflate(body: bytes, limit: int) -> bytes:
    """`deflate` means the zlib format (RFC 9110, 8.4.1.2), but many servers send the bare stream."""
    try:
        return _checked("deflate", zlib.decompressobj(15).decompress(body, limit + 1), limit)
    except zlib.error:
        return _checked("deflate", zlib.decompressobj(-15).decompress(body, limit + 1), limit)


def _unbrotli(body: bytes, limit: int) -> bytes:
    d, parts, size = brotli.Decompressor(), [], 0
    data = body
    while size <= limit:
        out = d.process(data, output_buffer_limit=min(1 << 20, limit + 1 - size))
        parts.append(out)
        size += len(out)
        data = b""
        if d.is_finished() or (not out and d.can_accept_more_data()):
            break
    return _checked("br", b"".join(parts), limit)


def _unzstd(body: bytes, limit: int) -> bytes:
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body), read_across_frames=True)
    return _checked("zstd", reader.read(limit + 1), limit)


def _shown(data: bytes) -> str:
    return repr(data[:40])
