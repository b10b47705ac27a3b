"""WARC, WET and ARC files: what every record becomes, ranges, and what damage does."""

from __future__ import annotations

import base64
import gzip
import hashlib
import random
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import brotli
import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.readers import archive as archive_reader
from pipeline.readers.inputs import InputOptions, Record, read_records

OPTIONS = InputOptions()
PAGE_EN = b"<html><body><p>The quick brown fox jumps over the lazy dog.</p></body></html>"
PAGE_ZH = "<html><body><p>敏捷的棕色狐狸跳过了懒狗。</p></body></html>".encode()
SAMPLE = sorted((Path(__file__).resolve().parents[3] / "data" / "sample").rglob("*arc*"))

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
}


def warc(kind: str, block: bytes, *, number: int = 0, length: object = None, **headers: str | None) -> bytes:
    """One WARC record; keyword `Target_URI` becomes the header WARC-Target-URI, None leaves a header out."""
    fields: dict[str, str | None] = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:00000000-0000-0000-0000-{number:012d}>",
        "WARC-Date": "2024-05-06T07:08:09Z",
        "WARC-Target-URI": f"https://www.example.com/{number}",
        "Content-Type": "application/http; msgtype=response" if kind in ("response", "revisit") else "text/plain",
    }
    for name, value in headers.items():
        fields["Content-Type" if name == "Content_Type" else "WARC-" + name.replace("_", "-")] = value
    lines = ["WARC/1.0", *(f"{k}: {v}" for k, v in fields.items() if v is not None)]
    lines.append(f"Content-Length: {len(block) if length is None else length}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + block + b"\r\n\r\n"


def http(body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK", content_type: str | None = "text/html") -> bytes:
    lines = [status, *([f"Content-Type: {content_type}"] if content_type is not None else []), *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read(path: Path, skipped: Counter[str] | None = None, **kwargs: int | None) -> list[Record]:
    counts = Counter[str]() if skipped is None else skipped
    return list(read_records(str(path), OPTIONS, skipped=counts, **kwargs))  # type: ignore[arg-type]


def read_one(tmp_path: Path, record: bytes, options: InputOptions = OPTIONS) -> Record:
    path = tmp_path / "one.warc"
    path.write_bytes(record)
    (row,) = read_records(str(path), options, skipped=Counter())
    return row


def reasons(rows: list[Record]) -> list[str | None]:
    return [row.drop.reason if row.drop else None for row in rows]


def mixed_records() -> list[bytes]:
    """Twelve records of all kinds, eight of them input."""
    return [
        warc("warcinfo", b"software: test\r\n", number=0, Target_URI=None),
        warc("request", b"GET / HTTP/1.1\r\n\r\n", number=1),
        warc("response", http(PAGE_EN), number=2),
        warc("metadata", b"fetchTime: 1\r\n", number=3),
        warc("response", http(PAGE_ZH, content_type="text/html; charset=UTF-8"), number=4),
        warc("revisit", http(b""), number=5, Refers_To="<urn:uuid:x>"),
        warc("resource", PAGE_EN, number=6, Content_Type="text/html"),
        warc("conversion", "纯文本 plain text".encode(), number=7),
        warc("continuation", b"...", number=8),
        warc("response", http(b"", status="HTTP/1.1 302 Found"), number=9),
        warc("response", http(gzip.compress(PAGE_ZH), "Content-Encoding: gzip"), number=10),
        warc("response", http(random.Random(1).randbytes(100_000), content_type="image/png"), number=11),
    ]


def test_every_kind_of_record(tmp_path: Path) -> None:
    path = tmp_path / "all.warc.gz"
    path.write_bytes(b"".join(map(gzip.compress, mixed_records())))
    skipped = Counter[str]()
    rows = read(path, skipped)
    assert [(r.doc.record_no, r.doc.record_type, r.doc.url) for r in rows] == [
        (0, "response", "https://www.example.com/2"),
        (1, "response", "https://www.example.com/4"),
        (2, "revisit", "https://www.example.com/5"),
        (3, "resource", "https://www.example.com/6"),
        (4, "conversion", "https://www.example.com/7"),
        (5, "response", "https://www.example.com/9"),
        (6, "response", "https://www.example.com/10"),
        (7, "response", "https://www.example.com/11"),
    ]
    assert reasons(rows) == [None, None, "revisit", None, None, None, None, None]
    assert skipped == {"warcinfo": 1, "request": 1, "metadata": 1, "continuation": 1}
    docs = [r.doc for r in rows]
    assert docs[0].html == PAGE_EN
    assert docs[0].domain == "example.com"
    assert docs[0].crawl_time == 1714979289000
    of_first = ("urn:uuid:00000000-0000-0000-0000-000000000002", docs[0].url, docs[0].raw_digest)
    assert docs[0].doc_id == hashlib.md5("\0".join(map(str, of_first)).encode()).hexdigest()
    assert docs[0].source == "web"
    assert docs[0].source_file == str(path)
    assert (docs[1].content_type, docs[1].declared_charset) == ("text/html", "utf-8")
    assert (docs[3].html, docs[3].http_status, docs[3].content_type) == (PAGE_EN, None, "text/html")
    assert (docs[4].html, docs[4].text) == (None, "纯文本 plain text")
    assert (docs[5].http_status, docs[5].raw_bytes) == (302, 0)
    assert docs[6].html == PAGE_ZH
    assert docs[6].raw_digest == hashlib.md5(PAGE_ZH).hexdigest() == docs[1].raw_digest
    assert docs[6].raw_bytes == len(PAGE_ZH)
    assert docs[7].content_type == "image/png"


RECORDS = [
    # name, record, reason, body of a live row
    ("plain", warc("response", http(PAGE_EN)), None, PAGE_EN),
    ("bare line feeds", warc("response", http(PAGE_EN).replace(b"\r\n", b"\n")), None, PAGE_EN),
    ("no content type in WARC", warc("response", http(PAGE_EN), Content_Type=None), None, PAGE_EN),
    ("html as WARC type", warc("response", http(PAGE_EN), Content_Type="text/html"), None, PAGE_EN),
    ("status without text", warc("response", http(PAGE_EN, status="HTTP/1.1 200")), None, PAGE_EN),
    ("404 with a body", warc("response", http(PAGE_EN, status="HTTP/1.0 404 Not Found")), None, PAGE_EN),
    ("dns", warc("response", b"www.example.com. 589 IN A 1.2.3.4", Content_Type="text/dns"), None, b"www.exa"),
    ("truncated by the crawler", warc("response", http(PAGE_EN[:40]), Truncated="length"), None, PAGE_EN[:40]),
    ("redirect without a body", warc("response", http(b"", status="HTTP/1.1 301 Moved")), None, b""),
    ("no header", warc("response", PAGE_EN), "no_http_header", None),
    ("status no number", warc("response", http(PAGE_EN, status="HTTP/1.1 OK")), "bad_http", None),
    ("header without end", warc("response", b"HTTP/1.1 200 OK\r\nServer: x"), "bad_http", None),
    ("empty", warc("response", http(b"")), "empty_body", None),
    ("empty block", warc("response", b""), "empty_body", None),
    ("empty conversion", warc("conversion", b""), "empty_body", None),
    ("revisit", warc("revisit", b""), "revisit", None),
    ("cut", warc("response", http(PAGE_EN))[:-60], "truncated_record", None),
    ("cut in the HTTP header", warc("response", http(b"x" * 99))[:-120], "truncated_record", None),
    ("bad gzip", warc("response", http(b"\x1f\x8b\x08\x00junk junk junk", "Content-Encoding: gzip")),
     "bad_content_encoding", None),
    ("bad length", warc("response", http(PAGE_EN), length="many"), "unreadable", None),
    ("negative length", warc("response", http(PAGE_EN), length="-5"), "unreadable", None),
]  # fmt: skip


@pytest.mark.parametrize(("record", "reason", "body"), [r[1:] for r in RECORDS], ids=[r[0] for r in RECORDS])
def test_one_record(tmp_path: Path, record: bytes, reason: str | None, body: bytes | None) -> None:
    row = read_one(tmp_path, record)
    assert reasons([row]) == [reason]
    assert row.doc.url == "https://www.example.com/0"
    assert row.doc.offset == 0
    if body is None:
        assert row.doc.html is None
    else:
        assert row.doc.html is not None
        assert row.doc.html.startswith(body)


URLS = [
    ("<http://example.com/>", "http://example.com/"),  # wget 1.19
    ("http://example.com/with spaces.html", "http://example.com/with spaces.html"),
    ("http://例子.中国/路径?查询=1", "http://例子.中国/路径?查询=1"),
    ("http://example.com/\udcff", "http://example.com/\ufffd"),
    (None, None),
]


@pytest.mark.parametrize(("written", "url"), URLS)
def test_odd_urls(tmp_path: Path, written: str | None, url: str | None) -> None:
    row = read_one(tmp_path, warc("response", http(PAGE_EN), Target_URI=written))
    assert row.doc.url == url
    assert row.drop is None


DATES = [
    ("2024-05-06T07:08:09Z", 1714979289000),
    ("2024-05-06T07:08:09.123456Z", 1714979289123),
    ("2024-05-06T09:08:09+02:00", 1714979289000),
    ("2024-05-06T05:08:09-0200", 1714979289000),
    ("2024-05-06 07:08:09", 1714979289000),
    ("20240506070809", 1714979289000),
    ("2024-05-06", 1714953600000),
    ("2024", 1704067200000),
    ("1969-12-31T23:59:59Z", -1000),
    ("2008-10-294T05:21:46-0700", None),  # ClueWeb09
    ("2024-13-01T00:00:00Z", None),
    ("yesterday", None),
    (None, None),
]


@pytest.mark.parametrize(("written", "time"), DATES)
def test_crawl_time(tmp_path: Path, written: str | None, time: int | None) -> None:
    assert read_one(tmp_path, warc("response", http(PAGE_EN), Date=written)).doc.crawl_time == time


def test_doc_id_without_record_id(tmp_path: Path) -> None:
    row = read_one(tmp_path, warc("response", http(PAGE_EN), Record_ID=None))
    digest = hashlib.md5(PAGE_EN).hexdigest()
    joined = f"https://www.example.com/0\x002024-05-06T07:08:09Z\x00{digest}"
    assert row.doc.doc_id == hashlib.md5(joined.encode()).hexdigest()


@pytest.mark.parametrize(("size", "reason"), [(1000, None), (1001, "too_large")])
def test_size_limit_is_inclusive(tmp_path: Path, size: int, reason: str | None) -> None:
    options = InputOptions(max_record_bytes=1000)
    row = read_one(tmp_path, warc("response", http(b"x" * size)), options)
    assert reasons([row]) == [reason]
    assert row.doc.raw_bytes == size
    packed = warc("response", http(gzip.compress(b"x" * size), "Content-Encoding: gzip"))
    assert reasons([read_one(tmp_path, packed, options)]) == [reason]


def test_too_large_body_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "large.warc.gz"
    large = warc("response", http(b"x" * 30_000_000), number=1)
    path.write_bytes(gzip.compress(large, 1) + gzip.compress(warc("response", http(PAGE_EN), number=2)))
    options = InputOptions(max_record_bytes=100_000)
    tracemalloc.start()
    rows = list(read_records(str(path), options, skipped=Counter()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reasons(rows) == ["too_large", None]
    assert rows[0].drop is not None
    assert rows[0].drop.value == 30_000_000
    assert (rows[0].doc.http_status, rows[0].doc.content_type) == (200, "text/html")
    assert peak < 5_000_000


# --- compression, offsets, ranges ----------------------------------------------------------------------------------------


def archive(tmp_path: Path, suffix: str, members: str = "record") -> Path:
    """The mixed records in one file: a member a record, three records a member, or one member."""
    records = mixed_records()
    step = {"record": 1, "three": 3, "one": len(records)}[members]
    groups = [b"".join(records[i : i + step]) for i in range(0, len(records), step)]
    path = tmp_path / f"{members}.warc{suffix}"
    path.write_bytes(b"".join(COMPRESS[suffix](g) for g in groups))
    return path


@pytest.mark.parametrize("members", ["record", "three", "one"])
@pytest.mark.parametrize("suffix", COMPRESS)
def test_ranges_equal_the_full_read(tmp_path: Path, suffix: str, members: str) -> None:
    path = archive(tmp_path, suffix, members)
    rows = read(path)
    assert len(rows) == 8
    known = [r.doc.record_no for r in rows if r.doc.offset is not None]
    assert known == {"record": list(range(8)), "three": [3, 5], "one": []}["record" if not suffix else members]
    for start in range(8):
        offset = rows[start].doc.offset
        assert read(path, start_record=start, start_offset=offset) == rows[start:]
        assert read(path, start_record=start) == rows[start:]
        assert read(path, start_record=start, start_offset=offset, stop_record=start + 2) == rows[start : start + 2]
    assert read(path, start_record=8) == []
    assert read(path, start_record=3, stop_record=3) == []


def test_rows_do_not_depend_on_compression(tmp_path: Path) -> None:
    def rows(path: Path) -> list[object]:
        return [(r.doc.evolve(offset=None, source_file=""), r.drop) for r in read(path)]

    plain = rows(archive(tmp_path, ""))
    for suffix in COMPRESS:
        for members in ("record", "three", "one"):
            assert rows(archive(tmp_path, suffix, members)) == plain


@pytest.mark.parametrize("packed", [False, True])
def test_zstd_dictionary(tmp_path: Path, packed: bool) -> None:
    """A .warc.zst may begin with a skippable frame that holds the dictionary of all others."""
    samples = [warc("response", http(PAGE_EN + str(i).encode()), number=i) for i in range(200)]
    dictionary = zstandard.train_dictionary(4096, samples)
    data = dictionary.as_bytes()
    if packed:
        data = zstandard.ZstdCompressor().compress(data)
    compressor = zstandard.ZstdCompressor(dict_data=dictionary)
    path = tmp_path / "dictionary.warc.zst"
    head = b"\x5d\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data
    path.write_bytes(head + b"".join(map(compressor.compress, mixed_records())))
    rows = read(path)
    assert len(rows) == 8
    assert rows[0].doc.html == PAGE_EN
    assert read(path, start_record=4, start_offset=rows[4].doc.offset) == rows[4:]


def test_name_may_lie(tmp_path: Path) -> None:
    for name in ("plain.warc.gz", "page.jsonl", "nothing"):
        path = tmp_path / name
        path.write_bytes(b"".join(mixed_records()))
        assert len(read(path)) == 8


@pytest.mark.parametrize("path", SAMPLE, ids=lambda p: p.name)
def test_sample_files(path: Path) -> None:
    rows = read(path)
    assert [r.doc.record_no for r in rows] == list(range(len(rows)))
    for start in {0, len(rows) // 2, max(len(rows) - 1, 0)}:
        if start < len(rows):
            part = read(path, start_record=start, start_offset=rows[start].doc.offset, stop_record=start + 3)
            assert part == rows[start : start + 3]


def test_the_two_readers_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [p for p in SAMPLE if ".arc" not in p.name] + [archive(tmp_path, suffix) for suffix in COMPRESS]
    for path in paths:
        skipped, again = Counter[str](), Counter[str]()
        rows = read(path, skipped)
        with monkeypatch.context() as patch:
            patch.setattr(archive_reader, "_begins_at", lambda *_: False)  # the careful reader takes over at once
            assert read(path, again) == rows
        assert skipped == again


# --- ARC -------------------------------------------------------------------------------------------------------------------


def arc(url: str, block: bytes, date: str = "20140216050221", length: object = None, kind: str = "text/html") -> bytes:
    return f"{url} 1.2.3.4 {date} {kind} {len(block) if length is None else length}\n".encode() + block + b"\n"


ARC_HEAD = arc(
    "filedesc://x.arc", b"1 0 Test\nURL IP-address Archive-date Content-type Archive-length\n", kind="text/plain"
)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_arc(tmp_path: Path, suffix: str) -> None:
    records = [
        ARC_HEAD,
        arc("dns:www.example.com", b"20140216050221\nwww.example.com. 1 IN A 1.2.3.4\n", kind="text/dns"),
        arc("http://example.com/a b&c=d e", http(PAGE_EN)),
        arc("http://example.com/2", http(PAGE_ZH), date="2014021605022199"),
        b"http://example.com/3 1.2.3.4 20140216050221 text/html 200 sum - 123 x.arc 3\nabc\n",
    ]
    path = tmp_path / f"x.arc{suffix}"
    path.write_bytes(b"".join(map(COMPRESS[suffix], records)))
    skipped = Counter[str]()
    rows = read(path, skipped)
    assert skipped == {"filedesc": 1}
    assert [r.doc.url for r in rows] == [
        "dns:www.example.com",
        "http://example.com/a b&c=d e",
        "http://example.com/2",
        "http://example.com/3",
    ]
    assert reasons(rows) == [None, None, None, "no_http_header"]
    assert [r.doc.crawl_time for r in rows] == [1392526941000] * 4
    assert [r.doc.content_type for r in rows] == ["text/dns", "text/html", "text/html", None]
    assert rows[2].doc.html == PAGE_ZH
    for start in range(4):
        assert rows[start].doc.offset is not None
        assert read(path, start_record=start, start_offset=rows[start].doc.offset) == rows[start:]


def test_arc_with_wrong_lengths(tmp_path: Path) -> None:
    path = tmp_path / "bad.arc"
    records = [
        arc("http://a.com/", b"", length=-1),
        arc("http://b.com/", http(PAGE_EN)),
        arc("http://c.com/", b"", length="x"),
    ]
    path.write_bytes(ARC_HEAD.replace(b" 66\n", b" -1\n") + b"".join(records))
    rows = read(path)
    assert [(r.doc.url, *reasons([r])) for r in rows] == [
        ("http://a.com/", "unreadable"),
        ("http://b.com/", None),
        ("http://c.com/", "unreadable"),
    ]


# --- damage ----------------------------------------------------------------------------------------------------------------


def test_files_that_are_none(tmp_path: Path) -> None:
    cases = {
        "missing.warc.gz": None,
        "empty.warc.gz": b"",
        "random.bin": random.Random(0).randbytes(5000),
        "x.txt": b"hello",
    }
    for name, content in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        (row,) = read(path)
        assert reasons([row]) == ["unreadable"]
        assert row.doc.source_file == str(path)
        assert read(path, start_record=1) == []


def numbered(n: int) -> list[bytes]:
    return [warc("response", http(PAGE_EN * 20 + str(i).encode()), number=i) for i in range(n)]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_reading_goes_on_after_damage(tmp_path: Path, suffix: str) -> None:
    members = [COMPRESS[suffix](r) for r in numbered(5)]
    members[2] = members[2][:3] + b"#" * (len(members[2]) - 3)  # the last line end too
    path = tmp_path / f"damaged.warc{suffix}"
    path.write_bytes(b"".join(members))
    rows = read(path)
    assert reasons(rows) == [None, None, "unreadable", None, None]
    assert [r.doc.url and r.doc.url[-1] for r in rows] == ["0", "1", None, "3", "4"]
    assert [r.doc.record_no for r in rows] == [0, 1, 2, 3, 4]
    assert rows[2].drop is not None
    assert f"reading goes on at byte {rows[3].doc.offset}" in str(rows[2].drop.value)
    for start in (1, 2, 3):
        assert read(path, start_record=start, start_offset=rows[start].doc.offset) == rows[start:]


@pytest.mark.parametrize(
    ("suffix", "at", "byte"),
    [
        (".gz", 3, b"\x04"),  # the flag of a further field, whose length is then taken from the data
        (".lz4", 16, b"\xff"),  # the length of the block
    ],
)
def test_a_member_that_tells_its_end_too_late_costs_no_other_record(
    tmp_path: Path, suffix: str, at: int, byte: bytes
) -> None:
    bodies = [random.Random(i).randbytes(150).hex().encode() for i in range(4)]
    members = [COMPRESS[suffix](warc("response", http(body), number=i)) for i, body in enumerate(bodies)]
    members[1] = members[1][:at] + byte + members[1][at + 1 :]
    path = tmp_path / f"late.warc{suffix}"
    path.write_bytes(b"".join(members))
    rows = read(path)
    assert reasons(rows) == [None, "unreadable", None, None]
    assert rows[1].drop is not None
    assert f"the end of the member is not found (member at byte {len(members[0])})" in str(rows[1].drop.value)
    assert [r.doc.url and r.doc.url[-1] for r in rows] == ["0", None, "2", "3"]
    path.write_bytes(b"".join(members[:2]))  # at the end of a file it is a cut, as a half download is
    rows = read(path)
    assert reasons(rows) == [None, "unreadable"]
    assert "the file ends inside the compressed member" in str(rows[1].drop and rows[1].drop.value)


def test_damage_late_in_a_member_keeps_the_records_identity(tmp_path: Path) -> None:
    body = random.Random(3).randbytes(400_000)
    members = [gzip.compress(warc("response", http(body), number=i)) for i in range(3)]
    members[1] = members[1][:-5] + b"\x00" + members[1][-4:]  # the checksum
    path = tmp_path / "late.warc.gz"
    path.write_bytes(b"".join(members))
    rows = read(path)
    assert reasons(rows) == [None, "unreadable", None]
    assert rows[1].doc.url == "https://www.example.com/1"


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".lz4"])
@pytest.mark.parametrize("before", [10, 30_000, 50_000])
def test_a_damaged_record_is_the_same_wherever_reading_began(tmp_path: Path, suffix: str, before: int) -> None:
    """What comes out of a member before its damage must not depend on how the file was cut into pieces."""
    chance = random.Random(before)
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress, ".lz4": lz4.frame.compress}[suffix]
    body = b"".join(b"%d " % chance.randrange(10**6) for _ in range(30_000))
    blocks = (chance.randbytes(before), body, b"x")
    members = [pack(warc("response", http(block), number=i)) for i, block in enumerate(blocks)]
    members[1] = members[1][:45_000] + b"\xff" * 100 + members[1][45_100:]
    path = tmp_path / f"damaged.warc{suffix}"
    path.write_bytes(b"".join(members))
    whole = read(path)
    assert reasons(whole)[0] is None
    assert any(reasons(whole))
    for start in range(len(whole)):
        assert read(path, start_record=start, start_offset=whole[start].doc.offset) == whole[start:]


@pytest.mark.parametrize(
    ("between", "lost"),
    [
        (gzip.compress(b"", mtime=0), []),  # fastwarc 2.0.1 ends here without an error
        (b"\0" * 1000, []),
        (gzip.compress(b"\r\n\r\n", mtime=0), []),
        (b"garbage", ["unreadable"]),
        (gzip.compress(b"garbage", mtime=0), ["unreadable"]),
    ],
)
def test_what_stands_between_members(tmp_path: Path, between: bytes, lost: list[str]) -> None:
    members = [gzip.compress(r) for r in numbered(4)]
    path = tmp_path / "between.warc.gz"
    path.write_bytes(members[0] + members[1] + between + members[2] + members[3])
    assert reasons(read(path)) == [None, None, *lost, None, None]
    path.write_bytes(b"".join(members) + between)
    assert reasons(read(path)) == [None] * 4 + lost


def test_padding_is_passed_over(tmp_path: Path) -> None:
    records = numbered(4)
    path = tmp_path / "padded.warc"
    path.write_bytes(records[0] + records[1] + bytes(20_000_000) + records[2] + records[3] + bytes(1_000_000))
    rows = read(path)
    assert reasons(rows) == [None] * 4
    assert read(path, start_record=2, start_offset=rows[2].doc.offset) == rows[2:]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_every_cut_is_told(tmp_path: Path, suffix: str) -> None:
    """Wherever a file ends too early, what was whole before is unchanged and one more row says that something is missing."""
    members = [
        COMPRESS[suffix](r) for r in (*numbered(2), warc("request", b"GET / HTTP/1.0\r\n\r\n"), *numbered(3)[2:])
    ]
    whole = b"".join(members)
    path = tmp_path / f"cut.warc{suffix}"
    path.write_bytes(whole)
    full = read(path)
    ends = [0, len(members[0]), sum(map(len, members[:2])), sum(map(len, members[:3])), len(whole)]
    for cut in range(1, len(whole), 3 if suffix else 7):
        path.write_bytes(whole[:cut])
        rows = read(path)
        complete = sum(cut >= end for end in (ends[1], ends[2], ends[4]))
        assert rows[:complete] == full[:complete]
        extra = reasons(rows[complete:])
        if cut in ends:
            assert extra == []
        elif suffix or cut not in range(ends[2] - 4, ends[2] + 1):
            assert len(extra) <= 2
            blank = not suffix and any(end - 4 <= cut < end for end in ends)  # only the empty lines are missing
            assert blank or set(extra) - {None}, cut


@pytest.mark.parametrize("record", ["WARC/1.0\nWARC-Type: response\nContent-Length: 5\n\nhello\n\n", "WARC/0.18\r\n"])
def test_headers_with_bare_line_feeds(tmp_path: Path, record: str) -> None:
    path = tmp_path / "lf.warc"
    path.write_bytes(record.encode() + b"".join(numbered(2)))
    rows = read(path)
    assert [r.doc.url and r.doc.url[-1] for r in rows if r.doc.url] == ["0", "1"]
    assert reasons(rows)[-2:] == [None, None]


def damaged(data: bytes, kind: str, at: int, size: int, seed: int) -> bytes:
    noise = random.Random(seed).randbytes(size)
    match kind:
        case "cut":
            return data[:at]
        case "flip":
            return data[:at] + bytes([data[at] ^ (1 << seed % 8)]) + data[at + 1 :]
        case "replace":
            return data[:at] + noise + data[at + size :]
        case "insert":
            return data[:at] + noise + data[at:]
        case _:
            return data[:at] + data[at + size :]


@settings(deadline=None, max_examples=250, derandomize=True)
@given(
    suffix=st.sampled_from(list(COMPRESS)),
    members=st.sampled_from(["record", "three", "one", "arc"]),
    kind=st.sampled_from(["cut", "flip", "replace", "insert", "delete"]),
    place=st.floats(0, 1, exclude_max=True),
    size=st.integers(1, 3000),
    seed=st.integers(0, 1000),
)
def test_any_damage(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    members: str,
    kind: str,
    place: float,
    size: int,
    seed: int,
) -> None:
    """No exception, no hang; rows before the damage unchanged; numbers without gaps; every range equals the full read."""
    folder = tmp_path_factory.mktemp("damage")
    if members == "arc":
        path = folder / f"x.arc{suffix}"
        records = [ARC_HEAD, *(arc(f"http://example.com/{i}", http(PAGE_EN * 9)) for i in range(6))]
        path.write_bytes(b"".join(map(COMPRESS[suffix], records)))
    else:
        path = archive(folder, suffix, members)
    data = path.read_bytes()
    full = read(path)
    at = int(place * len(data))
    path.write_bytes(damaged(data, kind, at, size, seed))
    rows = read(path)
    assert [r.doc.record_no for r in rows] == list(range(len(rows)))
    assert len({(r.doc.record_no, r.doc.doc_id) for r in rows}) == len(rows)
    whole = [i for i, r in enumerate(full[1:]) if r.doc.offset is not None and r.doc.offset <= at]
    safe = whole[-1] + 1 if whole else 0
    assert rows[:safe] == full[:safe]
    for start in range(len(rows)):
        part = read(path, start_record=start, start_offset=rows[start].doc.offset, stop_record=start + 2)
        assert part == rows[start : start + 2]


def test_brotli_and_deflate_bodies(tmp_path: Path) -> None:
    for name, packed in (
        ("br", brotli.compress(PAGE_ZH)),
        ("deflate", zlib.compress(PAGE_ZH)),
        ("zstd", zstandard.ZstdCompressor().compress(PAGE_ZH)),
    ):
        row = read_one(tmp_path, warc("response", http(packed, f"Content-Encoding: {name}")))
        assert row.doc.html == PAGE_ZH


# --- lengths that lie -------------------------------------------------------------------------------------------------


def archive_of(records: list[bytes], form: str) -> bytes:
    """The records, each in a member of its own, all in one, or as they are."""
    suffix, _, members = form.partition(" ")
    if members == "each":
        return b"".join(COMPRESS[suffix](record) for record in records)
    return COMPRESS[suffix](b"".join(records))


FORMS = ["", ".gz each", ".gz one", ".zst each", ".zst one", ".lz4 each"]
LIES = [
    "+1",
    "+4",
    "+5",
    "+7",
    "+20",
    "+100",
    "+700",
    "x2",
    "x10",
    "+5000000",
    "+1000000000",
    "-1",
    "-30",
    "all of the next",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lie", LIES)
def test_a_length_that_lies_costs_no_other_record(tmp_path: Path, form: str, lie: str) -> None:
    """Whatever a record says of its length, and whatever its kind: every other page is read, and as it is."""
    pages = [f"<html><body><p>Page {n} of the canaries. {'text ' * n}</p></body></html>".encode() for n in range(12)]
    blocks = [
        (
            kind,
            http(pages[n], f"Content-Length: {len(pages[n])}") if kind == "response" else b"GET / HTTP/1.1\r\n\r\n",
            n,
        )
        for n in range(12)
        for kind in ("request", "response")
    ]
    for liar in (2, 3, 12, 13, 22, 23):  # requests and responses, near both ends
        kind, block, number = blocks[liar]
        length = len(block)
        if lie == "all of the next":
            following = blocks[liar + 1] if liar + 1 < len(blocks) else None
            length += 4 + (len(warc(*following[:2], number=following[2])) if following else 0)
        elif lie[0] == "x":
            length *= int(lie[1:])
        else:
            length = max(0, length + int(lie))
        records = [warc(k, b, number=n, length=length if i == liar else None) for i, (k, b, n) in enumerate(blocks)]
        path = tmp_path / "lie.warc"
        path.write_bytes(archive_of(records, form))
        found = {row.doc.html for row in read(path) if row.drop is None}
        expected = {page for n, page in enumerate(pages) if (kind, n) != ("response", number)}
        assert expected <= found, (liar, sorted(expected - found))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lie", ["+1", "+3", "+20", "x2", "+1000000000", "-3"])
def test_a_length_that_lies_costs_no_other_record_of_arc(tmp_path: Path, form: str, lie: str) -> None:
    pages = [f"<html><body><p>Page {n} of the canaries.</p></body></html>".encode() for n in range(9)]
    for liar in (0, 4, 8):
        records = [
            b"filedesc://x.arc 0.0.0.0 20240506070809 text/plain 73\n1 0 Example\n"
            b"URL IP-address Archive-date Content-type Archive-length\n\n\n"
        ]
        for n, page in enumerate(pages):
            block = http(page)
            length = len(block)
            if n == liar:
                length = length * int(lie[1:]) if lie[0] == "x" else length + int(lie)
            records.append(
                f"http://www.example.com/{n} 10.0.0.1 20240506070809 text/html {length}\n".encode() + block + b"\n"
            )
        path = tmp_path / "lie.arc"
        path.write_bytes(archive_of(records, form))
        found = {row.doc.html for row in read(path) if row.drop is None}
        assert {page for n, page in enumerate(pages) if n != liar} <= found, (liar, len(found))


def test_a_page_may_tell_of_warc(tmp_path: Path) -> None:
    """A record may hold what looks like the header of another: its length is believed where its digest, or what stands behind
    it, proves it."""
    inner = warc("response", http(PAGE_EN), number=77)
    shown = b"<html><body><pre>\r\n\r\n" + inner + b"</pre><p>So much for the format.</p></body></html>"
    for form in FORMS:
        for digest in (None, "sha1:" + base64.b32encode(hashlib.sha1(http(shown)).digest()).decode()):
            path = tmp_path / "shown.warc"
            records = [
                warc("response", http(shown), number=1, Block_Digest=digest),
                warc("response", http(PAGE_ZH), number=2),
            ]
            path.write_bytes(archive_of(records, form))
            rows = read(path)
            assert [row.doc.html for row in rows] == [shown, PAGE_ZH], (form, digest)
            assert reasons(rows) == [None, None]


@pytest.mark.parametrize(
    ("line", "url", "date"),
    [
        ("http://www.example.com/a 10.0.0.1 2024050607 text/html {}", "http://www.example.com/a", 1714978800000),
        (
            "http://www.example.com/a 10.0.0.1 202405060708091234 text/html {}",
            "http://www.example.com/a",
            1714979289000,
        ),
        ("http://www.example.com/a 20240506070809 text/html {}", "http://www.example.com/a", 1714979289000),
        ("http://www.example.com/a 10.0.0.1 20240506070809 {}", "http://www.example.com/a", 1714979289000),
    ],
)
def test_dialects_of_arc(tmp_path: Path, line: str, url: str, date: int) -> None:
    block = http(PAGE_EN)
    path = tmp_path / "a.arc"
    path.write_bytes(
        b"filedesc://x.arc 0.0.0.0 20240506070809 text/plain 4\n1 0\n\n"
        + line.format(len(block)).encode()
        + b"\n"
        + block
        + b"\n"
    )
    (row,) = read(path)
    assert (row.drop, row.doc.html, row.doc.url, row.doc.crawl_time) == (None, PAGE_EN, url, date)


def test_an_arc_file_may_name_its_fields_in_another_order(tmp_path: Path) -> None:
    names = b"1 0 Example\nURL Archive-date Archive-length Content-type IP-address\n"
    records = [b"filedesc://x.arc 20240506070809 %d text/plain 0.0.0.0\n" % len(names) + names + b"\n"]
    first = f"filedesc://x.arc 0.0.0.0 20240506070809 text/plain {len(names)}\n".encode() + names + b"\n"
    for n, page in enumerate((PAGE_EN, PAGE_ZH)):
        block = http(page)
        records.append(
            f"http://www.example.com/{n} 20240506070809 {len(block)} text/html 10.0.0.1\n".encode() + block + b"\n"
        )
    path = tmp_path / "a.arc"
    path.write_bytes(first + b"".join(records[1:]))
    rows = read(path)
    assert [(row.drop, row.doc.html, row.doc.url) for row in rows] == [
        (None, PAGE_EN, "http://www.example.com/0"),
        (None, PAGE_ZH, "http://www.example.com/1"),
    ]


def test_small_letters_and_a_folded_length(tmp_path: Path) -> None:
    block = http(PAGE_EN)
    record = warc("response", block).replace(b"WARC/1.0", b"warc/1.0")
    folded = warc("response", http(PAGE_ZH), number=2).replace(b"Content-Length: ", b"Content-Length:\r\n ")
    path = tmp_path / "x.dat"
    path.write_bytes(record + folded)
    assert [(row.drop, row.doc.html) for row in read(path)] == [(None, PAGE_EN), (None, PAGE_ZH)]


def test_two_pages_may_have_one_record_id(tmp_path: Path) -> None:
    path = tmp_path / "x.warc"
    path.write_bytes(warc("response", http(PAGE_EN), number=1) + warc("response", http(PAGE_ZH), number=1) * 2)
    ids = [row.doc.doc_id for row in read(path)]
    assert (len(set(ids)), ids[1]) == (2, ids[2])


def test_records_that_other_readers_trip_over(tmp_path: Path) -> None:
    """WARC 1.1; addresses that are no UTF-8 or missing; a date that there is not; segments; empty blocks."""
    records = [
        (
            warc("response", http(PAGE_EN), Date="2024-05-06T07:08:09.123456Z").replace(b"WARC/1.0", b"WARC/1.1", 1),
            None,
        ),
        (warc("response", http(PAGE_EN), Target_URI="http://a.example/tag/\x08\udcff\udcc3 x"), None),
        (warc("response", http(PAGE_EN), Target_URI=None), None),
        (warc("response", http(PAGE_EN), Date="2009-03-65T08:43:19-0800"), None),
        (warc("response", http(PAGE_EN), Segment_Number="1"), None),  # the rest of it stands in a continuation record
        (warc("response", http(PAGE_EN), Truncated="length"), None),
        (warc("resource", PAGE_EN, Content_Type="text/html; charset=gbk"), None),  # no HTTP header
        (warc("response", b"a.example. 1 IN A 192.0.2.1", Target_URI="dns:a.example", Content_Type="text/dns"), None),
        (warc("response", http(PAGE_EN, status="HTTP/2 200")), None),
        (warc("response", b":status: 200\r\ncontent-type: text/html\r\n\r\n" + PAGE_EN), "no_http_header"),
        (warc("response", b""), "empty_body"),
        (warc("resource", b"", Content_Type="text/html"), "empty_body"),
        (warc("conversion", b""), "empty_body"),
    ]
    path = tmp_path / "x.warc"
    path.write_bytes(b"".join(record for record, _ in records))
    rows = read(path)
    assert reasons(rows) == [reason for _, reason in records]
    assert all(r.doc.html or r.drop for r in rows)
    assert [r.doc.url for r in rows[1:3]] == ["http://a.example/tag/\x08\ufffd\ufffd x", None]
    assert rows[0].doc.crawl_time is not None
    assert rows[0].doc.crawl_time % 1000 == 123
    assert rows[3].doc.crawl_time is None
    assert rows[7].doc.content_type == "text/dns"
