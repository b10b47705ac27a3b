"""Mutated records beside sound ones, in files of every format, through the readers and the document steps of stage 1.

A case writes a file in which mutated records stand behind and between two sound ones. Mutated is the page, the HTTP header, the
record's own header, or its bytes as they lie in the file. What must hold:

- a unit of work ends with a receipt, and each record is a row, or counted as no input; rows = kept + dropped;
- no step fails (`step_error`);
- the two sound records come out as they do alone;
- text is as the schema says;
- the rows and counts are the same for batches of one row;
- a read that begins at a row's offset gives the rows that follow.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import functools
import gzip
import hashlib
import io
import itertools
import json
import random
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import brotli
import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from extraction.domains import registered_domain
from extraction.text import clean_characters
from pipeline import storage
from pipeline.config import StageConfig, dump, load, parse
from pipeline.executor import Task, run_unit
from pipeline.readers.inputs import list_inputs, read_records
from pipeline.schema import Document, from_table
from pipeline.steps import DuplicateStep
from pipeline.units import Receipt, Unit, receipt_path
from tests.fuzz import mutations
from tests.fuzz.runner import ROOT

Container = Literal["warc", "arc", "jsonl", "parquet"]
Where = Literal["page", "http", "header", "file"]

MUTATED = 4
"""Mutated records of a case; one in Parquet, where a column has one type for all rows."""

_ENGLISH = (
    "The mill on the upper river was built of grey stone, and its wheel turned until the winter of the great frost.",
    "Nobody in the village could say who had carved the letters over the door, or what the two smaller ones meant.",
    "In spring the water rose to the second step, and the miller moved the sacks to the loft until it had gone down.",
    "A surveyor who came through the valley drew a careful map of the weir, which is now kept in the county library.",
)
_CHINESE = (
    "村口的老磨坊是用灰色的石头砌成的，水车一直转到那年冬天河水结冰为止。",
    "没有人说得清门上的字是谁刻的，也没有人知道最后两个小字是什么意思。",
    "每年春天河水都会涨到第二级台阶，磨坊主人便把粮食搬到阁楼上去。",
    "后来有一位测量员路过这里，画了一张很仔细的地图，现在收藏在县里的图书馆。",
)


def _made(title: str, sentences: tuple[str, ...]) -> bytes:
    text = "".join(f"<p>{one} {two}</p>\n" for one, two in itertools.permutations(sentences, 2))
    return f"<!DOCTYPE html>\n<title>{title}</title>\n<article><h1>{title}</h1>\n{text}</article>\n".encode()


SOUND = (
    ("http://mill.example.com/old", _made("The old mill", _ENGLISH)),
    ("http://mofang.example.cn/lao", _made("老磨坊", _CHINESE)),
)


@functools.cache
def configs() -> tuple[StageConfig, StageConfig]:
    """Stage 1 in one round, its comparisons last, for large batches and for batches of one row."""
    config = load(ROOT / "configs" / "preparation.yaml")
    data = dump(config)
    kinds = dict(zip(config.labels(), config.steps, strict=True))
    data["steps"] = sorted(data["steps"], key=lambda s: isinstance(kinds[s["step"]], DuplicateStep))
    return parse(data), parse(data | {"run": data["run"] | {"batch_documents": 1}})


@functools.cache
def pages() -> list[Document]:
    """Pages of the sample, which are mutated: those of records and of rows, by digest."""
    config = configs()[0].input.model_copy()
    inputs = list_inputs([str(ROOT / "data" / "sample" / name) for name in ("pages", "crawl", "odd", "made")])
    found = {}
    for path in inputs:
        for record in read_records(path, config, skipped=Counter()):
            if record.doc.html and len(record.doc.html) < 150_000:
                found[record.doc.raw_digest or ""] = record.doc.evolve(source_file="")
    return [found[digest] for digest in sorted(found)]


def prepare() -> None:
    """Load what steps need, so that no case is charged with it."""
    for container in ("warc", "arc", "jsonl", "parquet"):
        expected(container)  # type: ignore[arg-type]
    pages()


def check(rng: random.Random, folder: Path) -> str:
    """One case. Returns a digest of the rows."""
    container: Container = rng.choices(("warc", "arc", "jsonl", "parquet"), (6, 2, 2, 1))[0]
    if container in ("warc", "arc"):
        name, data, promises = _archive_case(rng, container)
    else:
        name, data, promises = (_jsonl_case if container == "jsonl" else _parquet_case)(rng)
    path = folder / name
    path.write_bytes(data)
    rows, receipt = _run(path, folder / "a", configs()[0])
    again, receipt_again = _run(path, folder / "b", configs()[1])
    assert rows.equals(again), f"{name}: other rows in batches of one: {_difference(rows, again)}"
    assert _counts(receipt) == _counts(receipt_again), f"{name}: {_counts(receipt)} != {_counts(receipt_again)}"
    docs = from_table(rows)
    _check_counts(docs, receipt, promises)
    for doc in docs:
        _check_row(doc)
    _check_sound(container, docs, promises)
    _check_resumed(rng, path)
    return hashlib.md5(repr([(d.doc_id, d.text, d.drop_reason, d.drop_value) for d in docs]).encode()).hexdigest()


class Promises:
    """What a case may count on: `rows`, rows and skipped records together, or at least so many; `sound`, which of the sound
    records come out as they are."""

    def __init__(self, rows: int, *, exactly: bool = False, sound: tuple[int, ...] = (0, 1)) -> None:
        self.rows, self.exactly, self.sound = rows, exactly, sound


# --- checks ----------------------------------------------------------------------------------------------------------


def _run(path: Path, work: Path, config: StageConfig) -> tuple[pa.Table, Receipt]:
    """All rows of a file after the document steps, and the receipt of the unit."""
    task = Task(dump(config), str(work), 0)
    unit = Unit(str(path), 0, 0)
    run_unit(task, unit)
    receipt = Receipt.from_bytes(storage.read_bytes(receipt_path(task.receipts, unit.unit_id)))
    rows = pq.read_table(work / receipt.chunk)
    rows.validate(full=True)
    for step in config.steps:
        if isinstance(step, DuplicateStep):
            assert len(step.keys(rows)) == rows.num_rows
    return rows, receipt


def _counts(receipt: Receipt) -> dict[str, Any]:
    steps = {label: count.to_json() | {"cpu_seconds": 0} for label, count in receipt.steps.items()}
    return {
        "rows": receipt.rows, "live": receipt.live, "characters": receipt.characters, "steps": steps,
        "skipped": receipt.skipped,
        "errors": receipt.errors, "offsets": receipt.offsets,
    }  # fmt: skip


def _difference(one: pa.Table, other: pa.Table) -> str:
    names = [n for n in one.column_names if not one[n].equals(other[n])]
    return f"{one.num_rows} and {other.num_rows} rows, columns {', '.join(names)}"


def _check_counts(docs: list[Document], receipt: Receipt, promises: Promises) -> None:
    dropped = sum(d.is_dropped for d in docs)
    assert receipt.rows == len(docs) == receipt.live + dropped
    assert dropped == sum(sum(count.dropped.values()) for count in receipt.steps.values())
    assert [d.row_no for d in docs] == list(range(len(docs)))
    met = len(docs) + sum(receipt.skipped.values())
    assert met == promises.rows if promises.exactly else met >= promises.rows, (
        f"{met} rows and skipped records, expected {promises.rows}: {[(d.url, d.drop_reason, d.drop_value) for d in docs]}"
    )


def _check_row(doc: Document) -> None:
    assert len(doc.doc_id) == 32
    assert doc.drop_reason != "step_error", f"{doc.drop_step} failed: {doc.drop_value}"
    assert not doc.is_dropped or (doc.drop_reason and doc.drop_step)
    assert doc.domain == registered_domain(doc.url)
    if doc.line_tags is None:
        assert doc.is_dropped, "a kept row without lines"
        return
    assert doc.text
    n = len(doc.text.split("\n"))
    assert doc.text == clean_characters(doc.text), "text that is not NFC, or with control characters"
    assert len(doc.line_tags) == n
    assert doc.line_link_share is not None
    assert len(doc.line_link_share) == n
    assert all(0 <= share <= 1 for share in doc.line_link_share), doc.line_link_share
    assert doc.line_scores is None or len(doc.line_scores) == n
    for line in doc.removed_lines or ():
        assert line["line"] >= 0
        assert "\n" not in line["text"]
        assert line["text"] == clean_characters(line["text"])
    assert doc.title is None or doc.title.strip()
    if doc.text_digest is not None:
        assert doc.language_score is not None
        assert 0 <= doc.language_score <= 1


def _without_place(doc: Document) -> Document:
    return doc.evolve(source_file="", record_no=0, row_no=0, offset=None, removed_lines=list(doc.removed_lines or ()))


def _check_sound(container: Container, docs: list[Document], promises: Promises) -> None:
    there = {d.doc_id: _without_place(d) for d in docs}
    if container == "parquet":  # bytes are told no charset, strings are
        there = {key: d.evolve(declared_charset="utf-8") for key, d in there.items()}
    for number in promises.sound:
        sound = expected(container)[number]
        found = there.get(sound.doc_id)
        assert found is not None, (
            f"the sound record {sound.url} is lost: {[(d.url, d.offset, d.drop_reason, d.drop_value) for d in docs]}"
        )
        other = {
            field.name: (getattr(found, field.name), getattr(sound, field.name))
            for field in dataclasses.fields(Document)
            if getattr(found, field.name) != getattr(sound, field.name)
        }
        assert not other, f"the sound record {sound.url} has other columns (found, expected): {other}"


def _check_resumed(rng: random.Random, path: Path) -> None:
    """A read that begins at some row gives the same rows as one of the whole file."""
    options = configs()[0].input
    whole = list(read_records(str(path), options, skipped=Counter()))
    for start in sorted({0, rng.randrange(len(whole)), len(whole) - 1}) if whole else ():
        for from_offset in {None, whole[start].doc.offset}:
            rest = list(
                read_records(str(path), options, start_record=start, start_offset=from_offset, skipped=Counter())
            )
            assert rest == whole[start:], (
                f"read from row {start} at {from_offset}: {[r.drop or r.doc.url for r in rest]}, in the whole "
                f"{[r.drop or r.doc.url for r in whole[start:]]}"
            )


@functools.cache
def expected(container: Container) -> tuple[Document, Document]:
    """The rows of the sound records in a file of them alone."""
    import tempfile

    sound = [_sound(container, number) for number in (0, 1)]
    if container == "parquet":
        data = _parquet([json.loads(line) for line in sound], {})
    elif container == "jsonl":
        data = b"".join(sound)
    else:
        data = _beginning(container) + b"".join(sound)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"sound.{container}"
        path.write_bytes(data)
        rows, _ = _run(path, Path(folder) / "work", configs()[0])
        one, two = map(_without_place, from_table(rows))
    assert not one.is_dropped, one
    assert not two.is_dropped, two
    return one, two


# --- archives --------------------------------------------------------------------------------------------------------

_DATE = "2024-05-06T07:08:09Z"


def _block(body: bytes, content_type: str = "text/html; charset=utf-8") -> bytes:
    return b"HTTP/1.1 200 OK\r\nServer: made\r\nContent-Type: %b\r\n\r\n%b" % (content_type.encode(), body)


def _warc(fields: list[tuple[str, str]], block: bytes, end: str = "\r\n") -> bytes:
    lines = ["WARC/1.0", *(f"{name}: {value}" for name, value in fields), "", ""]
    return end.join(lines).encode("utf-8", "surrogateescape") + block + b"\r\n\r\n"


def _fields(url: str, block: bytes, kind: str = "response") -> list[tuple[str, str]]:
    name = hashlib.md5(url.encode("utf-8", "replace")).hexdigest()
    return [
        ("WARC-Type", kind),
        ("WARC-Record-ID", f"<urn:uuid:{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}>"),
        ("WARC-Date", _DATE),
        ("WARC-Target-URI", url),
        ("Content-Type", "application/http; msgtype=response"),
        ("WARC-Block-Digest", "sha1:" + base64.b32encode(hashlib.sha1(block).digest()).decode()),
        ("Content-Length", str(len(block))),
    ]


def _arc(url: str, block: bytes, length: str | None = None) -> bytes:
    return f"{url} 192.0.2.7 20240506070809 text/html {length or len(block)}\n".encode() + block + b"\n"


def _beginning(container: Container) -> bytes:
    if container == "arc":
        block = b"1 0 made\nURL IP-address Archive-date Content-type Archive-length\n"
        return _arc("filedesc://made.arc", block).replace(b"text/html", b"text/plain")
    return _warc([("WARC-Type", "warcinfo"), ("WARC-Date", _DATE), ("Content-Length", "14")], b"software: made")


def _sound(container: Container, number: int) -> bytes:
    url, body = SOUND[number]
    if container == "warc":
        return _warc(_fields(url, _block(body)), _block(body))
    if container == "arc":
        return _arc(url, _block(body))
    return json.dumps({"url": url, "html": body.decode(), "crawl_time": _DATE, "id": f"{number:032x}"}).encode() + b"\n"


_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, 6, mtime=0),
    ".zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    ".lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
}


def _archive_case(rng: random.Random, container: Container) -> tuple[str, bytes, Promises]:
    codec = rng.choice(list(_PACKERS))
    in_one = bool(codec) and rng.random() < 0.1  # all records in one compressed member
    wheres: list[Where] = rng.choices(("page", "http", "header", "file"), (6, 4, 2, 0 if in_one else 3), k=MUTATED)
    records = [_mutated_record(rng, container, where) for where in wheres]
    middle = rng.randrange(1, MUTATED)
    parts = [_beginning(container), _sound(container, 0), *records[:middle], _sound(container, 1), *records[middle:]]
    if in_one:
        packed = [_PACKERS[codec](b"".join(parts))]
    else:
        packed = [_PACKERS[codec](part) for part in parts]
        for number, where in enumerate(wheres, 2):
            number += number - 2 >= middle
            if where == "file":
                packed[number] = mutations.damaged(rng, packed[number])
                if not codec and not packed[number].endswith(b"\r\n\r\n" if container == "warc" else b"\n"):
                    packed[number] += b"\r\n\r\n"  # a record that does not begin a line cannot be told from text
        if rng.random() < 0.05:  # the file is cut
            packed[-1] = packed[-1][: rng.randrange(len(packed[-1]))]
            wheres[-1] = "file"
    exactly = set(wheres) <= {"page", "http"}
    rows = 3 + MUTATED if exactly else 2 + MUTATED - wheres.count("file")
    return f"case.{container}{codec}", b"".join(packed), Promises(rows, exactly=exactly)


def _mutated_record(rng: random.Random, container: Container, where: Where) -> bytes:
    doc, other = rng.choice(pages()), rng.choice(pages())
    body, url = doc.html or b"", doc.url or "http://example.com/"
    block = _block(body, rng.choice((doc.content_type or "text/html", "text/html", "application/xhtml+xml")))
    if where == "page":
        block = _block(mutations.page(rng, body, other.html or b""))
    elif where == "http":
        block = _http(rng, body)
    if where == "header":
        return _warc_header(rng, url, block) if container == "warc" else _arc_header(rng, url, block)
    return _warc(_fields(url, block), block) if container == "warc" else _arc(url.replace(" ", "%20"), block)


_TYPES = (
    "text/html", "text/html; charset=gbk", 'text/html;charset="utf-8"', "text/html; charset=", "text/html; charset=utf-16",
    "text/plain",
    "text/html; charset=" + "x" * 5000, "application/xhtml+xml", "application/octet-stream", "TEXT/HTML;CHARSET=BIG5",
    "text", "",
    "text/html; charset=\u00ff\u2028", "text/html; charset=idna", "text/html; charset=base64",
    "text/html; charset=unicode_escape",
    "text/html; charset=undefined", "text/html; charset=punycode", "text/html; charset=utf-7", "image/png",
    "text/html\0; charset=\0",
    "text/html; charset=iso-2022-jp", "text/html; charset=x-user-defined", "text/html; charset=replacement", "application/json",
)  # fmt: skip
_STATUS_LINES = (
    "HTTP/1.1 200 OK", "HTTP/1.0 200", "HTTP/2 200", "HTTP/1.1 404 Not Found", "HTTP/1.1 301", "HTTP/1.1 100 Continue",
    "HTTP/1.1  200  OK",
    "http/1.1 200 ok", "HTTP/1.1 9999999", "HTTP/1.1 -1", "HTTP/1.1 200OK", "HTTP 200 OK", "ICY 200 OK", "", "200 OK",
    "HTTP/1.1 000",
    "HTTP/1.1 \u0662\u0660\u0660", "HTTP/" + "1" * 70_000 + " 200", "<html>", "GET / HTTP/1.1",
    "HTTP/1.1 103\r\n\r\nHTTP/1.1 200 OK",
)  # fmt: skip

_FIELDS = (
    "Content-Length: -1", "Content-Length: 99999999999999999999", "X", ":", " folded", "X: " + "y" * 70_000, "A:\tb", "\0: \0",
    "Content-Type: text/html\r\n\tcharset=gbk", "Set-Cookie: a=b", "Content-Encoding: gzip", "Naïve: ü", "X: y\rZ: w",
)  # fmt: skip


def _encoded(rng: random.Random, body: bytes) -> tuple[str, bytes]:
    """A name of a content encoding, and the body in it: sound, damaged, another one, or a bomb."""
    name = rng.choice(
        (
            "gzip",
            "deflate",
            "br",
            "zstd",
            "x-gzip",
            "gzip, gzip",
            "identity",
            "compress",
            "gzip,br",
            "utf-8",
            "none",
            "",
        )
    )
    if rng.random() < 0.15:
        body = rng.choice((b"\0", b"<p>a</p>", b"<div>")) * rng.choice((1 << 20, 1 << 22, 1 << 24))
    if rng.random() < 0.1:
        return name, body
    for one in name.replace(" ", "").split(","):
        match one:
            case "gzip" | "x-gzip":
                body = gzip.compress(body, 1, mtime=0)
            case "deflate":
                body = zlib.compress(body, 1)[2 if rng.random() < 0.5 else 0 :]
            case "br":
                body = brotli.compress(body, quality=1)
            case "zstd":
                body = zstandard.compress(body, 1)
    if rng.random() < 0.5:
        body = mutations.damaged(rng, body)
    return name, body


def _chunked(rng: random.Random, body: bytes) -> bytes:
    parts = []
    at = 0
    while at < len(body) and len(parts) < 2000:
        size = int(2 ** rng.uniform(3, 15))
        told = size if rng.random() < 0.97 else rng.choice((0, size + 1, size - 1, 2**31, 2**64, -1))
        piece = body[at : at + size]
        told = len(piece) if told == size else told
        extension = rng.choice((b"", b"", b"", b";a=b", b" ", b";" + b"x" * 3000))
        parts += [
            b"%x%b\r\n" % (told, extension) if told >= 0 else b"-1\r\n",
            piece,
            rng.choice((b"\r\n",) * 30 + (b"\n", b"", b"xx")),
        ]
        at += size
    return b"".join(parts) + rng.choice((b"0\r\n\r\n", b"", b"0\r\nX: y\r\n\r\n", b"\r\n"))


def _http(rng: random.Random, body: bytes) -> bytes:
    """A block with an odd HTTP header, or an odd encoding of its body."""
    lines = [rng.choice(_STATUS_LINES) if rng.random() < 0.4 else "HTTP/1.1 200 OK"]
    encoding = None
    if rng.random() < 0.6:
        encoding, body = _encoded(rng, body)
    if rng.random() < 0.4:
        body = _chunked(rng, body)
        lines.append(
            f"Transfer-Encoding: {rng.choice(('chunked', 'chunked, identity', 'Chunked', 'gzip, chunked', 'x'))}"
        )
    if encoding is not None:
        lines.append(f"Content-Encoding: {encoding}")
    lines.append(f"Content-Type: {rng.choice(_TYPES)}")
    lines += rng.choices(_FIELDS, k=rng.choice((0, 0, 1, 5)))
    if rng.random() < 0.03:
        lines += [f"X-{i}: y" for i in range(20_000)]
    end = rng.choices(("\r\n", "\n", "\r", "\n\r"), (12, 3, 1, 1))[0]
    head = (end.join(lines) + rng.choices((end * 2, end, ""), (12, 2, 1))[0]).encode("utf-8", "replace")
    if rng.random() < 0.15:
        head = mutations.damaged(rng, head)
    return head + body


def _warc_header(rng: random.Random, url: str, block: bytes) -> bytes:
    fields = _fields(
        url,
        block,
        rng.choice(("response", "response", "resource", "conversion", "revisit", "metadata", "RESPONSE", "x", "")),
    )
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.randrange(len(fields))
        name, value = fields[place]
        match rng.randrange(8):
            case 0:
                del fields[place]
            case 1:
                fields[place] = (name, str(mutations.value(rng)).encode("utf-8", "replace").decode())
            case 2:
                fields[place] = (mutations.url(rng, name).encode("utf-8", "replace").decode(), value)
            case 3:
                fields.insert(place, (name, rng.choice((value, "", value * 2, value.upper()))))
            case 4:
                told = str(
                    rng.choice(
                        (0, len(block) - 1, len(block) + 1, len(block) + 2, 2 * len(block), 10**9, 10**15, 10**20, -1)
                    )
                )
                fields = [(n, told if n == "Content-Length" else v) for n, v in fields]
            case 5:
                fields.insert(place, ("X" * int(2 ** rng.uniform(1, 18)), "y" * int(2 ** rng.uniform(1, 18))))
            case 6:
                odd = mutations.url(rng, url).replace("\r", "").replace("\n", "").encode("utf-8", "replace").decode()
                fields = [(n, odd if n == "WARC-Target-URI" else v) for n, v in fields]
            case _:
                date = rng.choice(
                    (
                        "2024",
                        "20240506070809",
                        "2024-13-45",
                        "0000-00-00T00:00:00Z",
                        "9999-12-31T23:59:59.999999999+99:99",
                        "x",
                        "",
                    )
                )
                fields = [(n, date if n == "WARC-Date" else v) for n, v in fields]
        if not fields:
            fields = [("WARC-Type", "response")]
    return _warc(fields, block, rng.choices(("\r\n", "\n"), (9, 1))[0])


def _arc_header(rng: random.Random, url: str, block: bytes) -> bytes:
    line, rest = _arc(url.replace(" ", "%20"), block).split(b"\n", 1)
    words = line.split(b" ")
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(len(words))
        odd = str(mutations.value(rng, deep=False)).encode("utf-8", "replace").replace(b"\n", b" ")
        words[place] = rng.choice(
            (odd, b"", b"-", words[place] * 2, mutations.damaged(rng, words[place]).replace(b"\n", b""))
        )
    return b" ".join(words) + b"\n" + rest


# --- rows ------------------------------------------------------------------------------------------------------------


def _row(rng: random.Random) -> dict[str, Any]:
    doc, other = rng.choice(pages()), rng.choice(pages())
    body = mutations.page(rng, doc.html or b"", other.html or b"") if rng.random() < 0.5 else doc.html or b""
    row: dict[str, Any] = {"url": doc.url, "html": body.decode("utf-8", "replace"), "crawl_time": _DATE, "id": "x1"}
    if rng.random() < 0.4:
        row["text"] = mutations.odd_text(rng) + "\n" + _ENGLISH[0] + mutations.odd_text(rng)
        row["html"] = None
    for _ in range(rng.choice((0, 1, 1, 3))):
        row[rng.choice(("url", "html", "text", "crawl_time", "id", "language", "other"))] = mutations.value(rng)
    if rng.random() < 0.2:
        row["url"] = mutations.url(rng, str(row["url"]))
    return row


_LINES = (
    b"[" * 200_000, b'{"a":' * 100_000, b"[]", b'"x"', b"1" * 6000, b'{"html": 1' + b"0" * 5000 + b"}", b"nul", b"{",
        b"\xef\xbb\xbf{}",
    b'{"html":"\\ud800","url":"\\udfff"}', b'{"url":1,"html":"<p>a"}', b"NaN", b'{"html":NaN}', b"\x00", b"",
)  # fmt: skip


def _jsonl_case(rng: random.Random) -> tuple[str, bytes, Promises]:
    lines = []
    for _ in range(MUTATED):
        line = json.dumps(_row(rng), ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        match rng.randrange(5):
            case 0:
                line = mutations.damaged(rng, line)
            case 1:
                line = rng.choice(_LINES)
        lines.append(line + b"\n")
    data = b"".join([_sound("jsonl", 0), *lines[:2], _sound("jsonl", 1), *lines[2:]])
    codec = rng.choice(list(_PACKERS))
    packed = _PACKERS[codec](data)
    if rng.random() < 0.1:
        packed = mutations.damaged(rng, packed)
        return f"case.jsonl{codec}", packed, Promises(1 if packed.strip() else 0, sound=())
    return f"case.jsonl{codec}", packed, Promises(data.count(b"\n"), exactly=True)


_TEXTS = (
    pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.string()),
)  # fmt: skip
_TIMES = (
    pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.date32(), pa.date64(),
    pa.int64(), pa.float64(),
    pa.duration("s"), pa.time64("us"), pa.decimal128(30, 3), pa.bool_(), pa.list_(pa.int64()), pa.uint64(), pa.float16(),
    pa.null(),
)  # fmt: skip


def _parquet(rows: list[dict[str, Any]], types: dict[str, pa.DataType], **options: Any) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [pa.array([row.get(name) for row in rows], types.get(name)) for name in names]
    out = io.BytesIO()
    pq.write_table(pa.table(columns, names=names), out, **options)
    return out.getvalue()


def _time(rng: random.Random, kind: pa.DataType) -> pa.Array:
    """Three times of a type, among them the extremes."""
    numbers = [rng.choice((0, 1, -1, 2**31 - 1, -(2**31), 1_700_000_000)) for _ in range(3)]
    if pa.types.is_temporal(kind) and kind.bit_width == 64:
        most = 2**53 if kind == pa.timestamp("s") else 2**63 - 1  # Parquet knows no seconds
        numbers[1] = rng.choice((numbers[1], most, -most, 2**52))
    if kind == pa.null():
        return pa.nulls(3)
    if pa.types.is_list(kind):
        return pa.array([[n] for n in numbers], kind)
    if pa.types.is_decimal(kind):
        return pa.array([decimal.Decimal(n) for n in numbers], kind)
    if pa.types.is_floating(kind):
        return pa.array([float("nan"), float("inf"), 1.5]).cast(kind)
    if kind == pa.uint64():
        return pa.array([2**64 - 1, 0, 1], kind)
    if kind == pa.bool_():
        return pa.array([True, None, False])
    if pa.types.is_temporal(kind):
        return pa.array(numbers, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)
    return pa.array(numbers, kind)


def _parquet_case(rng: random.Random) -> tuple[str, bytes, Promises]:
    kinds = {name: rng.choice(_TEXTS) for name in ("url", "html", "id")}
    kinds = {
        name: kind for name, kind in kinds.items() if name == "html" or kind not in (pa.binary(), pa.large_binary())
    }
    odd = {k: v if isinstance(v, str | None) else None for k, v in _row(rng).items()}
    odd = {k: v.encode("utf-8", "replace").decode() if v is not None else None for k, v in odd.items()}
    rows = [json.loads(_sound("parquet", 0)), odd, json.loads(_sound("parquet", 1))]
    names = ["url", "html", "id", *(n for n in ("text", "language") if n in odd)]
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    columns = {name: column.cast(kinds[name]) if name in kinds else column for name, column in columns.items()}
    columns["crawl_time"] = pa.array([row.get("crawl_time") for row in rows])
    sound: tuple[int, ...] = (0, 1)
    if rng.random() < 0.3:  # bytes that are no UTF-8
        bad = [
            rows[0]["html"].encode(),
            mutations.damaged(rng, (odd.get("html") or "x").encode()),
            rows[2]["html"].encode(),
        ]
        columns["html"] = pa.array(bad, pa.binary())
        columns["html"] = columns["html"].view(pa.string())
    if rng.random() < 0.5:
        columns["crawl_time"], sound = _time(rng, rng.choice(_TIMES)), ()
    if rng.random() < 0.3:
        sound = ()
        name = rng.choice(("url", "html", "id", "language", "text"))
        columns[name] = rng.choice((pa.array([1, 2, 3]), pa.array([{"a": 1}] * 3), pa.array([["x"]] * 3), pa.nulls(3),
            pa.array([True] * 3),
            pa.array([datetime.date(1, 1, 1)] * 3), pa.array([0.5] * 3), pa.array([[("k", "v")]] * 3, pa.map_(pa.string(),
            pa.string()))))  # fmt: skip
    out = io.BytesIO()
    options = {
        "row_group_size": rng.choice((1, 2, 100)),
        "compression": rng.choice(("zstd", "snappy", "none", "gzip", "lz4")),
    }
    pq.write_table(pa.table(columns), out, use_dictionary=rng.random() < 0.5, **options)
    data = out.getvalue()
    if rng.random() < 0.4:
        data = mutations.damaged(rng, data)
        return "case.parquet", data, Promises(1, sound=())
    return "case.parquet", data, Promises(3, exactly=True, sound=sound)
