"""JSONL and Parquet rows."""

from __future__ import annotations

import datetime
import decimal
import gzip
import hashlib
import io
import json
import random
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.readers.inputs import ColumnNames, InputOptions, Record, read_records
from pipeline.readers.rows import make_row
from pipeline.schema import Drop, from_table, to_table

OPTIONS = InputOptions(source="test")
ID = "0123456789abcdef0123456789abcdef"


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def read(path: Path, options: InputOptions = OPTIONS, **kwargs: int | None) -> list[Record]:
    return list(read_records(str(path), options, skipped=Counter(), **kwargs))  # type: ignore[arg-type]


def reasons(rows: list[Record]) -> list[str | None]:
    return [row.drop.reason if row.drop else None for row in rows]


ROWS: list[tuple[Any, str | None]] = [
    ({"url": "http://例子.中国/", "html": "<p>你好</p>"}, None),
    ({"url": "http://example.com/", "text": "plain 文本"}, None),
    ({"html": "<p>no url</p>"}, None),
    ({"url": None, "html": None, "text": "x"}, None),
    ({"url": "http://a.com/", "html": "", "text": "used instead"}, None),
    ({"url": "http://a.com/", "html": "<p>", "text": "not used"}, None),
    ({"url": "http://a.com/", "text": "x", "id": 17, "language": "en", "crawl_time": "2024-05-06T07:08:09Z"}, None),
    ({"url": "http://a.com/", "text": "x", "id": 17.5}, None),
    ({"url": "http://a.com/", "text": "x\ud800"}, None),
    ({"url": "http://a.com/", "html": ""}, "empty_body"),
    ({"url": "http://a.com/", "text": ""}, "empty_body"),
    ({"url": "http://a.com/"}, "bad_row"),
    ({}, "bad_row"),
    ({"url": 3, "html": "x"}, "bad_row"),
    ({"url": "http://a.com/", "html": ["x"]}, "bad_row"),
    ({"url": "http://a.com/", "text": 3}, "bad_row"),
    ({"url": "http://a.com/", "text": "x", "id": True}, "bad_row"),
    ({"url": "http://a.com/", "text": "x", "crawl_time": {}}, "bad_row"),
    (["url", "html"], "bad_row"),
    (3, "bad_row"),
    (None, "bad_row"),
]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".lz4"])
def test_jsonl(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.jsonl{suffix}"
    lines = [json.dumps(row).encode() for row, _ in ROWS] + [b"{not json", b'{"html": "a\xffb"}', b"[" * 100_000]
    data = b"\xef\xbb\xbf" + b"\n".join([*lines[:2], b"", b"  \r", *lines[2:]])
    compress = {
        "": bytes,
        ".gz": gzip.compress,
        ".zst": zstandard.ZstdCompressor().compress,
        ".lz4": lz4.frame.compress,
    }
    path.write_bytes(compress[suffix](data))
    skipped = Counter[str]()
    rows = list(read_records(str(path), OPTIONS, skipped=skipped))
    assert reasons(rows) == [r for _, r in ROWS] + ["bad_row", "bad_row", "bad_row"]
    assert skipped == {"blank_line": 2}
    assert [r.doc.record_no for r in rows] == list(range(len(rows)))
    assert rows[-2].drop == Drop("bad_row", "not UTF-8: b'\\xffb\"}' at byte 11 of the line; expected UTF-8")
    for start in range(len(rows)):
        offset = rows[start].doc.offset
        assert (offset is not None) == (not suffix or start == 0)
        assert read(path, start_record=start, start_offset=offset) == rows[start:]
        assert read(path, start_record=start, stop_record=start + 2) == rows[start : start + 2]
    to_table([r.doc for r in rows])  # every string can be stored


def test_a_row(tmp_path: Path) -> None:
    doc = make_row(ROWS[0][0], "x.jsonl", 5, 7, OPTIONS).doc
    html = "<p>你好</p>".encode()
    assert (doc.html, doc.text, doc.raw_bytes, doc.raw_digest) == (html, None, len(html), md5(html))
    assert (doc.content_type, doc.declared_charset, doc.record_type) == ("text/html", "utf-8", "row")
    assert (doc.source, doc.source_file, doc.record_no, doc.offset) == ("test", "x.jsonl", 5, 7)
    assert (doc.url, doc.domain) == ("http://例子.中国/", "xn--fsqu00a.xn--fiqs8s")
    assert doc.doc_id == md5(f"test\0\0http://例子.中国/\0{md5(html)}".encode())
    doc = make_row(ROWS[1][0], "x.jsonl", 0, None, OPTIONS).doc
    assert (doc.html, doc.text, doc.content_type) == (None, "plain 文本", "text/plain")
    assert doc.raw_digest == md5("plain 文本".encode())
    doc = make_row(ROWS[6][0], "x.jsonl", 0, None, OPTIONS).doc
    assert (doc.language, doc.crawl_time) == ("en", 1714979289000)
    assert doc.doc_id == md5(f"test\x0017\0http://a.com/\0{md5(b'x')}".encode())


@pytest.mark.parametrize(
    ("value", "kept"), [(ID, True), (ID.upper(), False), (ID[:-1], False), (ID + "\n", False), ("g" * 32, False)]
)
def test_doc_id(value: str, kept: bool) -> None:
    doc = make_row({"text": "x", "id": value}, "x", 0, None, OPTIONS).doc
    assert (doc.doc_id == value) == kept
    assert len(doc.doc_id) == 32


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2024-05-06T07:08:09Z", 1714979289000),
        (1714979289, 1714979289000),
        (1714979289.5, 1714979289500),
        (1714979289000, 1714979289000),
        (float("nan"), None),
        (10**30, None),
        ("soon", None),
        (None, None),
    ],
)
def test_crawl_time(value: Any, time: int | None) -> None:
    assert make_row({"text": "x", "crawl_time": value}, "x", 0, None, OPTIONS).doc.crawl_time == time


def test_column_names(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"link": "http://a.com/", "raw_content": "x", "html": "not this"}))
    options = InputOptions(columns=ColumnNames(url="link", html=None, text="raw_content"))
    (row,) = read(path, options)
    assert (row.doc.url, row.doc.text, row.doc.html) == ("http://a.com/", "x", None)


def test_long_lines_are_not_held(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl.gz"
    options = InputOptions(max_record_bytes=1000)
    lines = [
        b'{"text": "a"}',
        b'{"text": "' + b"x" * 30_000_000 + b'"}',
        b'{"text": "' + b"x" * 1001 + b'"}',
        b'{"text": "b"}',
    ]
    path.write_bytes(gzip.compress(b"\n".join(lines), 1))
    tracemalloc.start()
    rows = read(path, options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reasons(rows) == [None, "too_large", "too_large", None]
    assert [r.drop.value for r in rows if r.drop] == [30_000_013, 1001]
    assert peak < 8_000_000


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".lz4"])
def test_cut_jsonl(tmp_path: Path, suffix: str) -> None:
    compress = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress, ".lz4": lz4.frame.compress}[suffix]
    noise = random.Random(4)
    lines = [json.dumps({"text": noise.randbytes(3000).hex()}) for _ in range(100)]
    path = tmp_path / f"cut.jsonl{suffix}"
    data = compress("\n".join(lines).encode())
    path.write_bytes(data)
    full = read(path)
    path.write_bytes(data[: len(data) * 2 // 3])
    rows = read(path)
    assert 30 < len(rows) < 100
    assert reasons(rows)[-1] == "unreadable"
    assert rows[:30] == full[:30]


def write_parquet(path: Path, columns: dict[str, Any], row_group: int = 10) -> None:
    pq.write_table(pa.table(columns), path, row_group_size=row_group)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    when = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=datetime.UTC)
    n = 35
    write_parquet(
        path,
        {
            "url": pa.array([f"http://example.com/{i}" for i in range(n)]).dictionary_encode(),
            "html": pa.array([f"<p>第{i}页".encode("gbk") for i in range(n)], type=pa.large_binary()),
            "crawl_time": pa.array([when] * n, type=pa.timestamp("ns", "UTC")),
            "id": pa.array([f"{i:032x}" for i in range(n)]),
            "other": pa.array(range(n)),
        },
    )
    rows = read(path)
    assert reasons(rows) == [None] * n
    assert rows[3].doc.html == "<p>第3页".encode("gbk")
    assert rows[3].doc.declared_charset is None
    assert rows[3].doc.crawl_time == 1714979289123
    assert rows[3].doc.doc_id == f"{3:032x}"
    for start in (0, 1, 9, 10, 11, 34):
        assert read(path, start_record=start) == rows[start:]
        assert read(path, start_record=start, stop_record=start + 12) == rows[start : start + 12]
    assert read(path, start_record=n) == []


def test_parquet_text_and_nulls(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_parquet(path, {"url": ["http://a.com/", None, "http://c.com/"], "text": ["文本", "y", None]})
    rows = read(path)
    assert reasons(rows) == [None, None, "bad_row"]
    assert [r.doc.text for r in rows] == ["文本", "y", None]


def test_parquet_without_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_parquet(path, {"link": ["http://a.com/"], "body": ["x"]})
    (row,) = read(path)
    assert row.drop is not None
    assert row.drop.reason == "unreadable"
    assert "no column 'html' or 'text' (input.columns); found link, body" in str(row.drop.value)
    options = InputOptions(columns=ColumnNames(url="link", text="body"))
    assert reasons(read(path, options)) == [None]


def test_parquet_of_a_wrong_type(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_parquet(path, {"url": ["http://a.com/"], "html": [[1, 2]]})
    assert reasons(read(path)) == ["bad_row"]


def test_empty_files(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", {"url": pa.array([], pa.string()), "html": pa.array([], pa.string())})
    (tmp_path / "x.jsonl").write_bytes(b"")
    assert read(tmp_path / "x.parquet") == []
    assert read(tmp_path / "x.jsonl") == []


def test_bad_parquet(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    buffer = io.BytesIO()
    pq.write_table(pa.table({"url": ["http://a.com/"] * 50, "text": ["text " * 100] * 50}), buffer, row_group_size=10)
    data = buffer.getvalue()
    noise = random.Random(6)
    for _ in range(60):
        at = noise.randrange(len(data))
        path.write_bytes(data[:at] + noise.randbytes(20) + data[at + 20 :])
        rows = read(path)
        assert [r.doc.record_no for r in rows] == list(range(len(rows)))
        assert len(rows) == 50 or reasons(rows)[-1] == "unreadable"
        path.write_bytes(data[:at])
        assert reasons(read(path)) == ["unreadable"]


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    st.dictionaries(
        st.sampled_from(["url", "html", "text", "id", "crawl_time", "language", "x"]),
        st.one_of(st.none(), st.text(), st.binary(), st.integers(), st.floats(), st.booleans(), st.lists(st.text())),
    )
)
def test_any_row(row: dict[str, Any]) -> None:
    record = make_row(row, "x.jsonl", 0, 0, OPTIONS)
    (stored,) = from_table(to_table([record.doc]))
    assert stored == record.doc.evolve(html=None)
    assert (record.drop is None) == (record.doc.html is not None or record.doc.text is not None)


def test_gaps_that_pandas_writes_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"text": "a", "url": NaN, "html": NaN, "id": NaN, "language": NaN, "crawl_time": NaN}\n'
        '{"text": NaN}\n{"text": "b", "url": 3.5}\n'
    )
    rows = read(path)
    assert reasons(rows) == [None, "bad_row", "bad_row"]
    assert (rows[0].doc.text, rows[0].doc.url, rows[0].doc.language) == ("a", None, None)


def test_a_name_with_dots_leads_into_a_field(tmp_path: Path) -> None:
    data = [
        {"text": "a", "metadata": {"url": "http://a.com/", "page": {"lang": "en"}}},
        {"text": "b", "metadata": None},
        {"text": "c", "metadata": {"url": None, "page": None}},
    ]
    options = InputOptions(columns=ColumnNames(url="metadata.url", language="metadata.page.lang"))
    (tmp_path / "x.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*data, {"text": "d", "metadata": "x"}])
    )
    pq.write_table(pa.Table.from_pylist(data), tmp_path / "x.parquet")
    expected = [("a", "http://a.com/", "en"), ("b", None, None), ("c", None, None)]
    for name, more in (("x.jsonl", [("d", None, None)]), ("x.parquet", [])):
        rows = read(tmp_path / name, options)
        assert [(r.doc.text, r.doc.url, r.doc.language) for r in rows] == expected + more
    flat = tmp_path / "flat.parquet"  # a column whose own name has a dot
    pq.write_table(pa.table({"text": ["a"], "metadata.url": ["http://a.com/"]}), flat)
    assert [r.doc.url for r in read(flat, options)] == ["http://a.com/"]


def test_parquet_strings_without_an_annotation(tmp_path: Path) -> None:
    """Hive, Impala and old Spark write strings as bytes."""
    path = tmp_path / "x.parquet"
    table = {
        "text": pa.array(["文本".encode(), b"\xff\xfe", None], pa.binary()),
        "url": pa.array([b"http://a.com/", b"http://b.com/", b"http://c.com/"], pa.binary()),
        "language": pa.array([b"zh", None, None], pa.binary()),
        "html": pa.array([None, None, "<p>页</p>".encode("gbk")], pa.binary()),
    }
    pq.write_table(pa.table(table), path)
    rows = read(path)
    assert reasons(rows) == [None, "bad_row", None]
    assert [(r.doc.text, r.doc.url, r.doc.language) for r in rows[:1]] == [("文本", "http://a.com/", "zh")]
    assert rows[2].doc.html == "<p>页</p>".encode("gbk")  # bytes of a page stay


def test_ids_of_other_types(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    ids = {
        "decimal": pa.array([decimal.Decimal(12), decimal.Decimal(13)], pa.decimal128(10, 0)),
        "uuid": pa.array([bytes(16), bytes(15) + b"\x01"], pa.binary(16)),
        "bytes": pa.array([b"a", b"b"], pa.binary()),
    }
    for values in ids.values():
        pq.write_table(pa.table({"text": ["x", "x"], "id": values}), path)
        rows = read(path)
        assert reasons(rows) == [None, None]
        assert rows[0].doc.doc_id != rows[1].doc.doc_id


@pytest.mark.parametrize("old", [True, False])
def test_parquet_times_are_utc(tmp_path: Path, old: bool) -> None:
    noon = datetime.datetime(2024, 1, 1, 12)
    for kind in (pa.timestamp("ns"), pa.timestamp("us", "Asia/Shanghai")):
        pq.write_table(
            pa.table({"text": ["a"], "crawl_time": pa.array([noon], kind)}),
            tmp_path / "x.parquet",
            use_deprecated_int96_timestamps=old,
        )
        (row,) = read(tmp_path / "x.parquet")
        assert row.doc.crawl_time == 1_704_110_400_000


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_parquet_strings_of_every_layout(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": pa.array(["一", "一", None]).cast(kind)}), path)
    rows = read(path)
    assert [r.doc.text for r in rows] == ["一", "一", None]
    assert reasons(rows) == [None, None, "bad_row"]


def test_zstd_with_a_long_window(tmp_path: Path) -> None:
    """`zstd --long=31`, of which the usual decoder says that the frame requires too much memory."""
    for log in (27, 28, 31):
        parameters = zstandard.ZstdCompressionParameters(window_log=log, enable_ldm=False)
        frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        path = tmp_path / "x.jsonl.zst"
        path.write_bytes(frame.compress(b'{"text": "a"}\n') + frame.flush())
        assert [r.doc.text for r in read(path)] == ["a"]


def test_line_separators_within_a_value_part_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes('{"text": "a\u2028b\x85c"}\n{"text": "d"}'.encode())
    assert [r.doc.text for r in read(path)] == ["a\u2028b\x85c", "d"]
