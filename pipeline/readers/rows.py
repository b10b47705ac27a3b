"""JSONL and Parquet files with one page a row: a URL and HTML or text."""

from __future__ import annotations

import contextlib
import decimal
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.readers.base import (
    InputOptions,
    Record,
    clean,
    domain_of,
    joined_md5,
    md5,
    milliseconds,
    unreadable,
)
from pipeline.readers.streams import Broken, Codec, Decoded
from pipeline.schema import Document, Drop

_DOC_ID = re.compile(r"[0-9a-f]{32}")
_BATCH_ROWS = 64  # of 110-180 kB pages: about 10 MB at a time
_SECONDS_END = 100_000_000_000
"""Numbers below are seconds since 1970 (up to the year 5138), others milliseconds (from 1973)."""


def read_jsonl(
    f: IO[bytes],
    path: str,
    codec: Codec,
    options: InputOptions,
    start_record: int,
    start_offset: int,
    skipped: Counter[str],
) -> Iterator[Record]:
    """One row a line; blank lines are counted in `skipped`. A line that is too long is passed over unheld."""
    # A character of HTML takes at most six bytes in JSON (\u0000), three bytes of UTF-8 text as many.
    limit = 6 * options.max_record_bytes + (1 << 20)
    data = Decoded(f, codec, start_offset)
    number = start_record
    while True:
        try:
            offset = None if data.at_end() else data.offset()
            line = data.readline(limit)
            size = len(line)
            if size == limit and not line.endswith(b"\n"):
                line = b""
                while (more := data.readline(1 << 20)) and not more.endswith(b"\n"):
                    size += len(more)
                size += len(more)
        except Broken as e:
            yield unreadable(path, number, options, f"{e} (member at byte {e.at})")
            return
        if not size:
            break
        if size == len(line):
            try:
                text = line.decode("utf-8-sig" if number == 0 else "utf-8").strip()
            except UnicodeDecodeError as e:
                found = line[e.start : e.start + 8].rstrip()
                drop = Drop("bad_row", f"not UTF-8: {found!r} at byte {e.start} of the line; expected UTF-8")
                yield _dropped(path, number, offset, options, drop, line.decode("latin-1"))
                number += 1
                continue
            if not text:
                skipped["blank_line"] += 1
                continue
            yield _json_row(text, path, number, offset, options)
        else:
            yield _dropped(path, number, offset, options, Drop("too_large", size), "")
        number += 1
    if data.cut is not None:
        yield unreadable(path, number, options, f"the file ends inside the compressed member at byte {data.cut}")


def _json_row(text: str, path: str, number: int, offset: int | None, options: InputOptions) -> Record:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as e:
        message = f"not JSON: {e}; the line begins with {text[:40]!r}"
        return _dropped(path, number, offset, options, Drop("bad_row", clean(message)), text)
    if not isinstance(row, dict):
        message = f"expected an object, found {type(row).__name__}: {text[:40]!r}"
        return _dropped(path, number, offset, options, Drop("bad_row", clean(message)), text)
    return make_row(row, path, number, offset, options)


def read_parquet(f: IO[bytes], path: str, options: InputOptions, start_record: int) -> Iterator[Record]:
    """Rows by row group, a few at a time; groups before `start_record` are not read."""
    number = start_record
    try:
        file = pq.ParquetFile(f, pre_buffer=False, buffer_size=1 << 20)
        columns = options.columns
        there = file.schema_arrow.names
        names = [n for n in dict.fromkeys(columns.model_dump().values()) if n and (n in there or _is_inside(n, there))]
        if columns.html not in names and columns.text not in names:
            wanted = " or ".join(repr(n) for n in (columns.html, columns.text) if n)
            message = f"no column {wanted} (input.columns); found {', '.join(there)}"
            yield unreadable(path, number, options, message)
            return
        first = 0
        groups: list[int] = []
        for i in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(i).num_rows
            if groups or first + rows > start_record:
                groups.append(i)
            else:
                first += rows
        number = first
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, row_groups=groups, columns=names) if groups else ():
            for row in _python_rows(batch):
                if number >= start_record:
                    yield make_row(row, path, number, None, options)
                number += 1
    except (pa.ArrowException, OSError, ValueError) as e:
        if isinstance(e, OSError) and e.errno is not None:
            raise
        yield unreadable(path, max(number, start_record), options, f"parquet: {' '.join(str(e).split())}")


def _is_inside(name: str, columns: list[str]) -> bool:
    """Whether a name leads into a column, as `metadata.url` does."""
    return name not in columns and name.partition(".")[0] in columns


def _python_rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Rows as dictionaries, times as milliseconds."""
    columns = []
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_temporal(column.type):
            with contextlib.suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
                column = column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
        columns.append(column.to_pylist())
    names = batch.schema.names
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def make_row(row: dict[str, Any], path: str, number: int, offset: int | None, options: InputOptions) -> Record:
    """The record of one row given as a dictionary. HTML goes before text; `str` HTML is encoded as UTF-8."""
    names = options.columns
    values: dict[str, Any] = {
        field: _plain(field, _value(row, name)) if name is not None else None
        for field, name in names.model_dump().items()
    }
    html, text = values["html"], values["text"]
    body: bytes | None = None
    problem = None
    charset = None
    if isinstance(html, bytes) and (html or not text):
        body = html
    elif isinstance(html, str) and (html or not text):
        body, charset = html.encode("utf-8", "replace"), "utf-8"
    elif html is not None and not isinstance(html, str | bytes):
        problem = f"{names.html} is {type(html).__name__}, expected a string or bytes"
    elif isinstance(text, str):
        text = clean(text)
        body = text.encode()
    elif text is not None:
        problem = f"{names.text} is {type(text).__name__}, expected a string"
    else:
        problem = f"neither {names.html!r} nor {names.text!r}; found {', '.join(map(str, list(row)[:20])) or 'nothing'}"
    is_html = body is not None and body is not html and charset is None
    kind = None if body is None else "text/plain" if is_html else "text/html"
    for field, types in (("url", str), ("id", str | int | float), ("crawl_time", str | int | float), ("language", str)):
        if values[field] is not None and (not isinstance(values[field], types) or isinstance(values[field], bool)):
            problem = f"{getattr(names, field)} is {type(values[field]).__name__}"
            values[field] = None
    url = clean(values["url"].strip()) or None if values["url"] is not None else None
    row_id = clean(str(values["id"])) if values["id"] is not None else None
    digest = md5(body) if body is not None else None
    drop: Drop | None = None
    if problem is not None:
        drop = Drop("bad_row", clean(problem))
    elif body is not None and len(body) > options.max_record_bytes:
        drop = Drop("too_large", len(body))
    elif not body:
        drop = Drop("empty_body", 0)
    live = drop is None
    doc = Document(
        doc_id=row_id
        if row_id is not None and _DOC_ID.fullmatch(row_id)
        else joined_md5(options.source, row_id, url, digest),
        url=url,
        domain=domain_of(url),
        source=options.source,
        source_file=path,
        record_no=number,
        offset=offset,
        crawl_time=_time(values["crawl_time"]),
        record_type="row",
        content_type=kind,
        declared_charset=charset,
        raw_bytes=len(body) if body is not None else None,
        raw_digest=digest,
        language=clean(values["language"]) if values["language"] is not None else None,
        html=body if live and kind == "text/html" else None,
        text=text if live and kind == "text/plain" else None,
    )
    return Record(doc, drop)


def _value(row: dict[str, Any], name: str) -> Any:
    """The field of that name, or where there is none and the name has dots, what they lead to: `metadata.url`."""
    if name in row or "." not in name:
        return row.get(name)
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _plain(field: str, value: Any) -> Any:
    """A value as JSON would have it. NaN, which pandas writes for a gap, is none; Parquet files of Hive, Impala and old Spark
    hold strings as bytes, others hold ids as decimals or as 16 bytes. HTML stays bytes, and so does what is not UTF-8."""
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, decimal.Decimal):
        return str(value)
    if not isinstance(value, bytes) or field == "html":
        return value
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex() if field == "id" else value
    return text if field != "id" or text.isprintable() else value.hex()


def _time(value: Any) -> int | None:
    if isinstance(value, str):
        return milliseconds(value)
    if value is None or value != value or abs(value) >= 1000 * _SECONDS_END:
        return None
    return int(value * 1000) if abs(value) < _SECONDS_END else int(value)


def _dropped(path: str, number: int, offset: int | None, options: InputOptions, drop: Drop, text: str) -> Record:
    """A line that gave no row. Its id is made of its content, or of its place where the content was not kept."""
    name = path.rsplit("/", 1)[-1]
    doc = Document(
        doc_id=joined_md5(options.source, text) if text else joined_md5(options.source, name, str(number)),
        source=options.source,
        source_file=path,
        record_no=number,
        offset=offset,
        record_type="row",
    )
    return Record(doc, drop)
