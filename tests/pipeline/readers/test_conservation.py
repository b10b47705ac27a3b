"""Every byte of an input file is accounted for, and damage to one record costs no other, wherever and however it is done.

A file holds sound pages ("canaries") around one that is mutated. Each time, all canaries are read as they are, the bytes add
up, and a page that is not read any more has a row that says so.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.outputs import ByteCount
from pipeline.readers import archive as archive_reader
from pipeline.readers.base import Account
from pipeline.readers.inputs import InputOptions, Record, read_records
from pipeline.readers.streams import Codec, Decoded

CODECS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".zst unsized": zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress,
    ".lz4": lambda data: lz4.frame.compress(data, content_checksum=True, store_size=False),
}
PAGES = 9
SAMPLE = Path(__file__).resolve().parents[3] / "data" / "sample"


def page(n: int) -> bytes:
    noise = random.Random(n).choices("abcdefghij klmnop", k=40 * n)
    return f"<html><body><p>Canary {n}. {''.join(noise)}</p></body></html>".encode()


def address(n: int) -> str:
    return f"http://www.example.com/{n}"


def http(n: int) -> bytes:
    length = f"Content-Length: {len(page(n))}\r\n" if n % 2 else ""
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{length}\r\n".encode() + page(n)


def chunked(n: int) -> bytes:
    body = page(n)
    pieces = [body[i : i + 50] for i in range(0, len(body), 50)] + [b""]
    packed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n" + packed


def warc(kind: str, block: bytes, n: int) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{n:036d}>\r\nWARC-Date: 2024-05-06T07:08:09Z\r\n"
        f"WARC-Target-URI: http://www.example.com/{n}\r\nContent-Type: application/http\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def arc(n: int) -> bytes:
    block = http(n)
    return f"http://www.example.com/{n} 10.0.0.1 20240506070809 text/html {len(block)}\n".encode() + block + b"\n"


ARC_NAMES = b"1 0 Example\nURL IP-address Archive-date Content-type Archive-length\n"
ARC_HEAD = b"filedesc://x.arc 0.0.0.0 20240506070809 text/plain %d\n" % len(ARC_NAMES) + ARC_NAMES + b"\n"


def records(kind: str) -> list[tuple[int | None, bytes]]:
    """The records of a file, each with the number of the page that it holds."""
    numbers = range(PAGES)
    if kind == "warc":
        made: list[tuple[int | None, bytes]] = [(None, warc("warcinfo", b"software: made\r\n", 99))]
        for n in numbers:
            made += [
                (None, warc("request", b"GET / HTTP/1.1\r\n\r\n", 100 + n)),
                (n, warc("response", chunked(n) if n % 3 == 0 else http(n), n)),
            ]
        return made
    if kind == "arc":
        return [(None, ARC_HEAD), *((n, arc(n)) for n in numbers)]
    return [(n, json.dumps({"url": address(n), "html": page(n).decode()}).encode() + b"\n") for n in numbers]


class Form(NamedTuple):
    kind: str
    codec: str
    members: int
    """Records in a member; 0: all in one."""

    def __str__(self) -> str:
        return f"{self.kind}{self.codec} {self.members or 'all'}"

    @property
    def name(self) -> str:
        return f"x.{self.kind}{self.codec.split()[0] if self.codec else ''}"

    def groups(self, parts: list[bytes]) -> list[bytes]:
        step = self.members or len(parts)
        return [b"".join(parts[i : i + step]) for i in range(0, len(parts), step)]

    def pack(self, parts: list[bytes]) -> list[bytes]:
        return [CODECS[self.codec](group) for group in self.groups(parts)]


FORMS = [
    Form("warc", "", 0),
    Form("warc", ".gz", 1),
    Form("warc", ".gz", 3),
    Form("warc", ".gz", 0),
    Form("warc", ".zst", 1),
    Form("warc", ".zst", 0),
    Form("warc", ".zst unsized", 1),
    Form("warc", ".lz4", 1),
    Form("arc", "", 0),
    Form("arc", ".gz", 1),
    Form("arc", ".gz", 0),
    Form("jsonl", "", 0),
    Form("jsonl", ".gz", 1),
    Form("jsonl", ".gz", 3),
    Form("jsonl", ".gz", 0),
    Form("jsonl", ".zst", 1),
    Form("jsonl", ".zst", 0),
]
NAMES = [str(form) for form in FORMS]


def read(path: Path) -> tuple[list[Record], ByteCount, Counter[str]]:
    """Records, bytes, and counts of other records. Damaged first bytes may name another format, so ARC and JSONL are named."""
    options = InputOptions(format="arc" if ".arc" in path.name else "jsonl" if ".jsonl" in path.name else "auto")
    count, skipped = ByteCount(), Counter[str]()
    return list(read_records(str(path), options, skipped=skipped, count=count)), count, skipped


def check(path: Path, canaries: Iterable[int | None], what: object, parts: int = 0) -> ByteCount:
    """All canaries are there as they were, the bytes add up, and what is no record has a row. Of `parts` records, none is gone
    without a trace: each is a row or counted."""
    rows, count, skipped = read(path)
    found = {(row.doc.html, row.doc.url) for row in rows if row.drop is None}
    missing = [n for n in canaries if n is not None and (page(n), address(n)) not in found]
    assert not missing, (what, missing, [row.drop for row in rows if row.drop])
    assert count.problems() == [], what
    assert (count.files, count.stored) == (1, path.stat().st_size), what
    assert [row.doc.record_no for row in rows] == list(range(len(rows))), what
    told = {row.drop.reason for row in rows if row.drop is not None}
    assert not count.skipped or "unreadable" in told, what
    assert not count.damaged or "unreadable" in told, what
    assert len(rows) + skipped.total() >= parts, what
    return count


# --- sound files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_the_bytes_of_a_sound_file(tmp_path: Path, form: Form) -> None:
    parts = records(form.kind)
    path = tmp_path / form.name
    path.write_bytes(b"".join(form.pack([data for _, data in parts])))
    count = check(path, range(PAGES), form, len(parts))
    assert count.read == sum(len(data) for _, data in parts)
    end = {"warc": 4, "arc": 1, "jsonl": 0}[form.kind]
    assert count.pages == sum(len(data) - end for n, data in parts if n is not None)
    assert sum(count.other.values()) == sum(len(data) - end for n, data in parts if n is None)
    assert count.between == end * len(parts)
    assert (count.skipped, count.damaged) == (0, 0)


# --- a record is mutated ------------------------------------------------------------------------------------------------

LINES = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n\n",
    b"  \r\n",
    b"\0" * 50,
    b"garbage",
    b"garbage\r\n",
    b"WARC",
    b"WARC/1.0",
    b"<html>\n" * 9,
]
LENGTH = {"warc": rb"(?i)(?<=\r\nContent-Length: )\d+(?=\r\n\r\n)", "arc": rb"(?<= )\d+(?=\n)", "jsonl": rb"(?!)"}


def of_bytes(data: bytes, noise: random.Random) -> bytes:
    """Damage anywhere."""
    a = noise.randrange(len(data))
    b = min(len(data), a + noise.choice([1, 1, 2, 4, 10, 40, 200, 3000]))
    match noise.randrange(6):
        case 0:
            return data[:a] + bytes([data[a] ^ 1 << noise.randrange(8)]) + data[a + 1 :]
        case 1:
            return data[:a] + noise.randbytes(b - a) + data[b:]
        case 2:
            return data[:a] + noise.randbytes(b - a) + data[a:]
        case 3:
            return data[:a] + data[b:]
        case 4:
            return data[:a] + data[a:b] + data[a:]
        case _:
            return data[:a] + bytes(b - a) + data[b:]


def of_length(data: bytes, kind: str, noise: random.Random) -> bytes:
    """Another length, of the record or of a chunk of its body."""

    def lie(match: re.Match[bytes]) -> bytes:
        n = int(match[0])
        lies = [n + noise.randint(-n, n), n + noise.choice([-4, -2, -1, 1, 2, 3, 4, 5, 8]), 10 * n, 10**12, 10**20, 0]
        return noise.choice([b"%d" % max(0, noise.choice(lies)), b"-%d" % n, b"", b"x", b" %d " % n, b"0x%x" % n])

    pattern = noise.choice([LENGTH[kind], rb"(?<=\r\n)[0-9]{1,3}(?=\r\n)", rb"\d+"])
    return re.sub(pattern, lie, data, count=1)


def of_header(data: bytes, noise: random.Random) -> bytes:
    """Lines of the headers that are gone, doubled, folded, moved or ended otherwise."""
    lines = data[:700].split(b"\r\n")
    at = noise.randrange(len(lines))
    match noise.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case 2:
            lines.insert(
                at, noise.choice([b"", b"no field", b" folded", b": nothing", b"x" * 70_000, b"\xff\xfe: \xe4\xb8"])
            )
        case 3:
            noise.shuffle(lines)
        case 4:
            lines[at] = lines[at].swapcase()
        case _:
            return data[:700].replace(b"\r\n", noise.choice([b"\n", b"\r", b"\n\r\n"])) + data[700:]
    return b"\r\n".join(lines) + data[700:]


def mutated(data: bytes, kind: str, noise: random.Random) -> bytes:
    """A record or line, damaged in one of many ways. The line end that separates a line from the next stays."""
    body, end = (data[:-1], b"\n") if kind == "jsonl" else (data, b"")
    match noise.randrange(6):
        case 0:
            body = of_length(body, kind, noise)
        case 1:
            body = of_header(body, noise)
        case 2:
            body = noise.choice(LINES) + body if kind != "jsonl" else noise.choice(LINES) + b"\n" + body
        case 3:
            body += noise.choice(LINES)
        case _:
            for _ in range(noise.randint(1, 3)):
                body = of_bytes(body, noise) or b"x"
    return body + end


def one_mutated_record(path: Path, form: Form, seed: int) -> None:
    noise = random.Random(seed)
    parts = records(form.kind)
    at = noise.randrange(len(parts))
    victim, data = parts[at]
    parts[at] = (victim, mutated(data, form.kind, noise))
    path.write_bytes(b"".join(form.pack([data for _, data in parts])))
    others = [n for n, _ in parts if n != victim]
    count = check(path, others, (form, seed, parts[at]), len(parts) - (form.kind == "arc"))
    assert count.read == sum(len(data) for _, data in parts), (form, seed)


# --- a compressed member is mutated, or something stands between two ------------------------------------------------------


def one_mutated_member(path: Path, form: Form, seed: int) -> None:
    noise = random.Random(seed)
    parts = records(form.kind)
    members = form.pack([data for _, data in parts])
    at = noise.randrange(len(members))
    members[at] = of_bytes(members[at], noise)
    path.write_bytes(b"".join(members))
    step = form.members or len(parts)
    check(path, [n for i, (n, _) in enumerate(parts) if i // step != at], (form, seed, at))


def something_between(path: Path, form: Form, seed: int) -> None:
    noise = random.Random(seed)
    parts = records(form.kind)
    members = form.pack([data for _, data in parts])
    garbage = noise.choice([*LINES, noise.randbytes(noise.choice([1, 2, 3, 50, 70_000])), bytes(70_000)])
    line_end = b"\n" if form.kind == "jsonl" else b""
    if not form.codec:
        garbage += line_end
    elif noise.random() < 0.5:
        garbage = CODECS[form.codec](noise.choice([b"", garbage + line_end]))
    at = noise.randint(1, len(members))  # the first bytes say what kind of file it is
    members.insert(at, garbage)
    path.write_bytes(b"".join(members))
    check(path, [n for n, _ in parts], (form, seed, at, garbage[:50]), len(parts))


def one_cut(path: Path, form: Form, seed: int) -> None:
    noise = random.Random(seed)
    parts = records(form.kind)
    members = form.pack([data for _, data in parts])
    data = b"".join(members)
    ends = list(itertools.accumulate(map(len, members)))
    cut = noise.choice([noise.randrange(1, len(data)), max(1, noise.choice(ends) - noise.randrange(12))])
    path.write_bytes(data[:cut])
    whole = sum(cut >= end for end in ends)
    step = form.members or len(parts)
    check(path, [n for n, _ in parts[: whole * step]], (form, seed, cut))
    if cut not in ends and form.codec:
        rows, _, _ = read(path)
        assert {row.drop.reason for row in rows if row.drop} & {"unreadable", "truncated_record"}, (form, seed, cut)


MUTATIONS = [
    *((one_mutated_record, form) for form in FORMS),
    *((one_mutated_member, form) for form in FORMS if form.codec),
    *((something_between, form) for form in FORMS if form.members or not form.codec),
    *((one_cut, form) for form in FORMS),
]
MUTATION_NAMES = [f"{call.__name__} {form}" for call, form in MUTATIONS]


@pytest.mark.parametrize(("call", "form"), MUTATIONS, ids=MUTATION_NAMES)
def test_damage_costs_no_other_record(tmp_path: Path, call: Callable[[Path, Form, int], None], form: Form) -> None:
    for seed in range(12):
        call(tmp_path / form.name, form, seed)


@pytest.mark.long
@pytest.mark.parametrize(("call", "form"), MUTATIONS, ids=MUTATION_NAMES)
def test_more_damage_costs_no_other_record(tmp_path: Path, call: Callable[[Path, Form, int], None], form: Form) -> None:
    for seed in range(1000, 1150):
        call(tmp_path / form.name, form, seed)


def test_a_cut_costs_nothing_before_it_wherever_it_is(tmp_path: Path) -> None:
    """The bytes add up, whatever is left of a file's last record."""
    parts = [data for _, data in records("warc")][-4:]
    for form in (FORMS[0], FORMS[1]):
        members = form.pack(parts) if form.members else parts
        before = b"".join(members[:-1])
        path = tmp_path / form.name
        for cut in range(0, len(members[-1]), 1 if form.codec else 5):
            path.write_bytes(before + members[-1][:cut])
            check(path, [PAGES - 2], (form, cut))


# --- Parquet --------------------------------------------------------------------------------------------------------------


def parquet(compression: str, rows: int = 24, group: int = 6) -> tuple[bytes, list[tuple[int, int]]]:
    """A file, and where its row groups lie."""
    table = pa.table({"url": [address(n) for n in range(rows)], "html": [page(n % PAGES) for n in range(rows)]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=group, compression=compression, use_dictionary=False)
    metadata = pq.ParquetFile(buffer).metadata
    places = []
    for i in range(metadata.num_row_groups):
        chunks = [metadata.row_group(i).column(j) for j in range(2)]
        begin = min(c.data_page_offset for c in chunks)
        places.append((begin, begin + sum(c.total_compressed_size for c in chunks)))
    return buffer.getvalue(), places


def one_mutated_group(path: Path, compression: str, seed: int) -> None:
    noise = random.Random(seed)
    data, places = parquet(compression)
    at = noise.randrange(len(places))
    begin, end = places[at]
    a = noise.randrange(begin, end)
    b = min(end, a + noise.choice([1, 4, 40, 3000]))
    path.write_bytes(data[:a] + noise.randbytes(b - a) + data[b:])
    rows, count, _ = read(path)
    found = {(row.doc.html, row.doc.url, row.doc.record_no) for row in rows if row.drop is None}
    assert {(page(n % PAGES), address(n), n) for n in range(24) if n // 6 != at} <= found, (compression, seed)
    assert (len(rows), count.footer_rows, count.footer_rows_read) == (24, 24, 24)
    assert count.problems() == []
    assert (count.skipped > 0) == any(row.drop is not None and row.drop.reason == "unreadable" for row in rows)
    for start in (0, 5, 6, 17):
        part = read_records(str(path), InputOptions(), start_record=start, skipped=Counter())
        assert list(part) == rows[start:]


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_a_damaged_row_group_costs_no_other(tmp_path: Path, compression: str) -> None:
    for seed in range(25):
        one_mutated_group(tmp_path / "x.parquet", compression, seed)


@pytest.mark.long
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_more_damaged_row_groups_cost_no_other(tmp_path: Path, compression: str) -> None:
    for seed in range(1000, 1400):
        one_mutated_group(tmp_path / "x.parquet", compression, seed)


def test_one_value_that_is_no_text_costs_one_row(tmp_path: Path) -> None:
    data, _ = parquet("none")
    path = tmp_path / "x.parquet"
    path.write_bytes(data.replace(address(7).encode(), b"\xff" + address(7).encode()[1:], 1))
    rows, count, _ = read(path)
    assert [row.doc.record_no for row in rows if row.drop is not None] == [7]
    assert [row.drop.reason for row in rows if row.drop is not None] == ["bad_row"]
    assert len(rows) == 24
    assert count.problems() == []


def test_a_parquet_file_with_a_damaged_footer(tmp_path: Path) -> None:
    """Whatever the footer says: no exception, the bytes add up, and a row tells what is missing."""
    data, places = parquet("snappy")
    path = tmp_path / "x.parquet"
    noise = random.Random(4)
    for _ in range(200):
        at = noise.randrange(places[-1][1], len(data))
        path.write_bytes(data[:at] + noise.randbytes(noise.choice([1, 1, 3])) + data[at + 1 :])
        rows, count, _ = read(path)
        assert count.problems() == []
        assert [row.doc.record_no for row in rows] == list(range(len(rows)))
        assert len(rows) >= 24 or any(row.drop is not None for row in rows)
    path.write_bytes(data[:-20])
    rows, count, _ = read(path)
    assert ([row.drop and row.drop.reason for row in rows], count.skipped) == (["unreadable"], len(data) - 20)


# --- other files ------------------------------------------------------------------------------------------------------------


def test_the_bytes_of_the_sample_add_up() -> None:
    for path in sorted(p for p in SAMPLE.rglob("*") if re.search(r"arc|jsonl|parquet", p.name) and p.is_file()):
        rows, count, _ = read(path)
        assert count.problems() == [], path
        assert count.stored == path.stat().st_size
        assert bool(count.skipped) <= any(row.drop and row.drop.reason == "unreadable" for row in rows), path


def test_files_without_a_record(tmp_path: Path) -> None:
    for name, data in {"x.warc.gz": b"", "x.bin": b"\x00\x01" * 50, "x.jsonl": b"", "y.jsonl": b"\n\n"}.items():
        path = tmp_path / name
        path.write_bytes(data)
        _, count, _ = read(path)
        assert (count.problems(), count.files, count.stored, count.read) == ([], 1, len(data), len(data))
        assert (count.skipped, count.between) == ((len(data), 0) if name == "x.bin" else (0, len(data)))
    _, count, _ = read(tmp_path / "gone.warc.gz")
    assert count == ByteCount()


def test_a_skippable_frame_that_the_file_cuts_has_a_row(tmp_path: Path) -> None:
    path = tmp_path / "x.warc.zst"
    members = [CODECS[".zst"](data) for _, data in records("warc")]
    frame = b"\x50\x2a\x4d\x18" + (100).to_bytes(4, "little") + bytes(100)
    for cut, told in ((0, []), (40, ["unreadable"])):
        path.write_bytes(b"".join([*members, frame[: len(frame) - cut]]))
        rows, count, _ = read(path)
        assert [row.drop.reason for row in rows if row.drop] == told
        assert count.problems() == []


# --- the account can fail ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS[:4], ids=NAMES[:4])
def test_what_fastwarc_leaves_out_is_found(tmp_path: Path, form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it passed over records without a word, what stands between two would not be line ends alone."""
    whole = archive_reader.ArchiveIterator

    def leaky(*arguments: Any, **options: Any) -> Iterator[Any]:
        return (record for i, record in enumerate(whole(*arguments, **options)) if i % 5 != 4)

    parts = records("warc")
    path = tmp_path / form.name
    path.write_bytes(b"".join(form.pack([data for _, data in parts])))
    monkeypatch.setattr(archive_reader, "ArchiveIterator", leaky)
    check(path, range(PAGES), form, len(parts))


LEAKS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a line is lost": lambda patch: patch.setattr(Decoded, "readline", _lossy(Decoded.readline)),
    "a page is not counted": lambda patch: patch.setattr(Account, "page", lambda self: self._passed()),
    "damage is not counted": lambda patch: patch.setattr(Account, "skipped", lambda self: self._passed()),
}


def _lossy(whole: Callable[[Decoded, int], bytes]) -> Callable[[Decoded, int], bytes]:
    def readline(self: Decoded, limit: int) -> bytes:
        line = whole(self, limit)
        self._pos -= line.startswith(b"WARC-Date")
        return line

    return readline


@pytest.mark.parametrize("leak", LEAKS)
def test_an_account_that_does_not_add_up_says_so(tmp_path: Path, leak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [data for _, data in records("warc")]
    parts[4] = parts[4][:-30]  # its length covers the beginning of the next
    path = tmp_path / "x.warc"
    path.write_bytes(b"".join([*parts[:9], b"garbage\n", *parts[9:]]))
    assert read(path)[1].problems() == []
    LEAKS[leak](monkeypatch)
    assert any("accounted for" in problem for problem in read(path)[1].problems())


@pytest.mark.parametrize("codec", ["plain", "gzip"])
def test_where_a_header_begins_is_proved_by_its_fields(codec: Codec) -> None:
    fields = [(b"WARC-Type", b"response"), (b"Content-Length", b"5")]
    for header, expected in (
        (b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 5\r\n\r\n", 52),
        (b"WARC/1.0\r\nWARC-Type:response \r\nContent-Length:  5\r\n\r\n", 53),
        (b"WARC/1.0\r\nWARC-Type: request\r\nContent-Length: 5\r\n\r\n", 0),
        (b"WARC/1.0\r\nWARC-Type: response\r\n\r\nContent-Length: 5\r\n\r\n", 0),
        (b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 5\r\n", 0),
        (b"\r\nWARC/1.0\r\nWARC-Type: response\r\nContent-Length: 5\r\n\r\n", 0),
    ):
        packed = gzip.compress(header + b"hello") if codec == "gzip" else header + b"hello"
        assert archive_reader._begins_at(packed, codec, fields) == expected
    merged = b"WARC/1.0\r\nWARC-TyWARC/1.0\r\nWARC-Type: response\r\nContent-Length: 5\r\n\r\n"
    packed = gzip.compress(merged) if codec == "gzip" else merged
    assert archive_reader._begins_at(packed, codec, [(b"WARC-TyWARC/1.0", b""), *fields]) is None
