"""HTTP headers and bodies as archives hold them."""

from __future__ import annotations

import gzip
import random
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.readers.base import media_type
from pipeline.readers.http import HttpError, Response, dechunk, decode_body, parse_header

HTML = "<html><p>Plain text. 普通文本。</p></html>".encode()
LONG = b"<p>" + bytes(random.Random(2).choices(b"abcdefgh \n", k=50_000))
LIMIT = 1_000_000

MEDIA_TYPES = [
    ("text/html", "text/html", None),
    ("Text/HTML; Charset=GBK", "text/html", "gbk"),
    ("text/html;charset=utf-8", "text/html", "utf-8"),
    ("text/html charset=gb2312", "text/html", "gb2312"),
    ('text/html; charset="UTF-8"', "text/html", "utf-8"),
    ("text/html; charset='big5'; x=y", "text/html", "big5"),
    ("text/html; charset = shift_jis", "text/html", "shift_jis"),
    ("text/html, text/html; charset=iso-8859-1", "text/html", "iso-8859-1"),
    ("application/xhtml+xml", "application/xhtml+xml", None),
    ('"text/html"', "text/html", None),
    ("text/html;", "text/html", None),
    ("text/html; charset=", "text/html", None),
    ("html", None, None),
    ("charset=utf-8", None, "utf-8"),
    ("", None, None),
    (None, None, None),
]


@pytest.mark.parametrize(("value", "kind", "charset"), MEDIA_TYPES)
def test_media_type(value: str | None, kind: str | None, charset: str | None) -> None:
    assert media_type(value) == (kind, charset)


HEADERS = [
    (b'HTTP/1.1 200\r\nContent-Type: text/html;;charset="utf-8;"\r\n\r\n', (200, "text/html", "utf-8")),
    (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nx", (200, "text/html", None)),
    (b"HTTP/1.0 404\n\nx", (404, None, None)),
    (b"HTTP/2 200\r\ncontent-type:text/html;charset=gbk\r\n\r\n", (200, "text/html", "gbk")),
    (b"http/1.1 302 Found\r\nCONTENT-TYPE: TEXT/HTML\r\n\r\n", (302, "text/html", None)),
    (b"HTTP/1.1 200 OK\r\nContent-Type: text/html;\r\n charset=gb2312\r\n\r\n", (200, "text/html", "gb2312")),
    (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n\r\n", (200, "text/html", None)),
    (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=big5\r\nContent-Type: ?\r\n\r\n",
        (200, "text/html", "big5"),
    ),
    (b"HTTP/1.1 200 OK\r\nX-Content-Type: text/plain\r\n\r\nContent-Type: a/b\r\n\r\n", (200, None, None)),
]


@pytest.mark.parametrize(("block", "expected"), HEADERS)
def test_header(block: bytes, expected: tuple[int, str | None, str | None]) -> None:
    response = parse_header(block)
    assert (response.status, response.content_type, response.charset) == expected


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"<html>", "no_http_header"),
        (b"", "no_http_header"),
        (b"GET / HTTP/1.1\r\n\r\n", "no_http_header"),
        (b"HTTP/1.1 OK\r\n\r\n", "bad_http"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "bad_http"),
        (b"HTTP/1.1 200 OK\r\nServer: x\r\n", "bad_http"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", "bad_http"),
    ],
)
def test_bad_header(block: bytes, reason: str) -> None:
    with pytest.raises(HttpError) as caught:
        parse_header(block)
    assert caught.value.reason == reason


CHUNKED = [
    (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
    (b"5;x=y\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", b"hello"),
    (b"  5 \r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"5\nhello\n0\n\n", b"hello"),
    (b"5\r\nhello\r\n", b"hello"),  # no last chunk
    (b"a\r\nhello", b"hello"),  # cut
    (b"0\r\n\r\n", b""),
    (b"", b""),
    (HTML, HTML),  # joined already
    (b"beef is meat", b"beef is meat"),
    (b"3\r\nnot really chunked", b"3\r\nnot really chunked"),
    (b"5\r\nhello\r\n<p>rest</p>", b"hello<p>rest</p>"),  # wrong later: nothing is lost
]


@pytest.mark.parametrize(("body", "joined"), CHUNKED)
def test_dechunk(body: bytes, joined: bytes) -> None:
    assert dechunk(body) == joined


def response(content: str = "", transfer: str = "") -> Response:
    header = f"HTTP/1.1 200 OK\r\nContent-Encoding: {content}\r\nTransfer-Encoding: {transfer}\r\n\r\n"
    return parse_header(header.encode())


def chunked(data: bytes, size: int = 1000) -> bytes:
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


def raw_deflate(data: bytes) -> bytes:
    d = zlib.compressobj(wbits=-15)
    return d.compress(data) + d.flush()


ENCODED = [
    ("gzip", gzip.compress(LONG, mtime=0)),
    ("x-gzip", gzip.compress(LONG[:20_000], mtime=0) + gzip.compress(LONG[20_000:], mtime=0)),
    ("GZIP", gzip.compress(LONG, mtime=0) + b"trailing junk"),
    ("deflate", zlib.compress(LONG)),
    ("deflate", raw_deflate(LONG)),
    ("br", brotli.compress(LONG)),
    ("zstd", zstandard.ZstdCompressor().compress(LONG)),
    ("deflate, gzip", gzip.compress(zlib.compress(LONG), mtime=0)),
    ("identity", LONG),
    ("utf-8", LONG),
    ("none, ,", LONG),
    # declared but undone before it was stored
    ("gzip", LONG),
    ("br", LONG),
    ("deflate", LONG),
    ("zstd", LONG),
]


@pytest.mark.parametrize(("name", "body"), ENCODED, ids=[f"{n}-{i}" for i, (n, _) in enumerate(ENCODED)])
def test_content_encoding(name: str, body: bytes) -> None:
    assert decode_body(response(name), body, LIMIT) == LONG
    assert decode_body(response(name, "chunked"), chunked(body), LIMIT) == LONG
    assert decode_body(response(transfer=f"{name}, chunked"), chunked(body), LIMIT) == LONG


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_body_cut_short_is_used_as_far_as_it_goes(name: str) -> None:
    data = random.Random(5).randbytes(400_000)  # several blocks of 128 kB: zstd gives whole blocks only
    compress = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.ZstdCompressor().compress,
    }[name]
    part = decode_body(response(name), compress(data)[:300_000], LIMIT)
    assert 200_000 < len(part) < 400_000
    assert data.startswith(part)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gzip", gzip.compress(LONG, mtime=0)[:200] + b"\xff" * 500),
        ("gzip", b"\x1f\x8b"),
        ("deflate", b"\x00\x01\x02 not deflate"),
        ("br", b"\xff\x00 not brotli" * 9),
        ("zstd", b"\x28\xb5\x2f\xfd\xff\xff\xff not zstd"),
    ],
)
def test_damaged_body(name: str, body: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        decode_body(response(name), body, LIMIT)
    assert caught.value.reason == "bad_content_encoding"
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize(("size", "fits"), [(100_000, True), (100_001, False), (50_000_000, False)])
def test_bombs(name: str, size: int, fits: bool) -> None:
    data = bytes(size)
    body = {
        "gzip": lambda: gzip.compress(data, 1),
        "deflate": lambda: zlib.compress(data, 1),
        "br": lambda: brotli.compress(data, quality=1),
        "zstd": lambda: zstandard.ZstdCompressor().compress(data),
    }[name]()
    if fits:
        assert decode_body(response(name), body, 100_000) == data
    else:
        with pytest.raises(HttpError) as caught:
            decode_body(response(name), body, 100_000)
        assert caught.value.reason == "too_large"


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    st.sampled_from(["gzip", "deflate", "br", "zstd", "chunked", "gzip, chunked"]),
    st.binary(max_size=300),
    st.integers(0, 7),
    st.integers(0, 300),
)
def test_any_body_decodes_or_has_a_reason(name: str, noise: bytes, which: int, cut: int) -> None:
    body = (ENCODED[which][1][:cut] if which < len(ENCODED) else b"") + noise
    kind = response(name.removesuffix("chunked"), "chunked" if "chunked" in name else "")
    reason, decoded = None, b""
    try:
        decoded = decode_body(kind, body, 10_000)
    except HttpError as e:
        reason = e.reason
    assert reason in (None, "bad_content_encoding", "too_large")
    assert len(decoded) <= 10_000


@pytest.mark.parametrize(
    ("block", "status", "body"),
    [
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>",
            200,
            b"<p>",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n", 404, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n<p>", 100, b"<p>"),
        (b"HTTP/1.0 200 OK\nServer: x\nContent-type: text/html\n<html>\n<p>a: b</p>", 200, b"<html>\n<p>a: b</p>"),
    ],
)
def test_interim_headers_and_one_without_an_end(block: bytes, status: int, body: bytes) -> None:
    found = parse_header(block)
    assert (found.status, block[found.body_at :]) == (status, body)


HTML = b"<html><body>" + b"<p>One after the other.</p>" * 30
ZSTD = zstandard.ZstdCompressor().compress(HTML)


@pytest.mark.parametrize(
    ("declared", "kind", "body"),
    [
        ("br", "text/html", gzip.compress(HTML, mtime=0)),
        ("gzip", "text/html", ZSTD),
        ("zstd", "text/html", gzip.compress(HTML, mtime=0)),
        ("deflate", "text/html", gzip.compress(HTML, mtime=0)),
        ("gzip", "text/html", gzip.compress(gzip.compress(HTML, mtime=0), mtime=0)),
        ("gzip", "text/html", gzip.compress(ZSTD, mtime=0)),
        ("br", None, brotli.compress(gzip.compress(HTML, mtime=0))),
        ("", "text/html", gzip.compress(HTML, mtime=0)),
        ("", "application/xhtml+xml", ZSTD),
        ("identity", "text/html", gzip.compress(HTML, mtime=0)),
    ],
)
def test_the_first_bytes_tell_the_encoding(declared: str, kind: str | None, body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {declared}\r\n" + (f"Content-Type: {kind}\r\n" if kind else "")
    assert decode_body(parse_header(head.encode() + b"\r\n"), body, LIMIT) == HTML


def test_a_file_that_is_compressed_stays() -> None:
    body = gzip.compress(b"tar")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/gzip\r\n\r\n"
    assert decode_body(parse_header(head), body, LIMIT) == body
    assert decode_body(parse_header(head.replace(b"application/gzip", b"text/html")), body[:9], LIMIT) == body[:9]
    bomb = gzip.compress(bytes(LIMIT + 1))
    with pytest.raises(HttpError, match="more than"):
        decode_body(parse_header(head.replace(b"application/gzip", b"text/html")), bomb, LIMIT)


@pytest.mark.parametrize(
    ("body", "joined"),
    [
        (b"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", b"hello"),
        (b"\r\n5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n", b"hello there"),
        (b"\n\n5\nhello\n0\n", b"hello"),
        (b"\r\n<p>5</p>", b"\r\n<p>5</p>"),
        (b"\r\ncafe\r\n<p>", b"<p>"),
        (b"ffffffffffffffff\r\nhello", b"hello"),
    ],
)
def test_long_sizes_and_line_ends_before_the_first_chunk(body: bytes, joined: bytes) -> None:
    assert dechunk(body) == joined


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ("gzip, identity", gzip.compress(HTML, mtime=0)),
        ("GZIP;q=1.0", gzip.compress(HTML, mtime=0)),
        ('"gzip"', gzip.compress(HTML, mtime=0)),
        ("x-gzip", gzip.compress(HTML, mtime=0)),
        ("br;q=1.0", brotli.compress(HTML)),
        ("'br'", brotli.compress(HTML)),
        ("x-deflate", zlib.compress(HTML)),
        ("deflate, br", brotli.compress(zlib.compress(HTML))),
        ("utf-8", HTML),
        ("", HTML),
    ],
)
def test_names_of_encodings_as_servers_write_them(value: str, body: bytes) -> None:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: " + value.encode() + b"\r\n\r\n" + body
    response = parse_header(block)
    assert decode_body(response, block[response.body_at :], LIMIT) == HTML
