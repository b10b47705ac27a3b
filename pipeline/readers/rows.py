"""JSONL and Parquet files with one page a row: a URL and HTML or text."""

from __future__ import annotations

import decimal
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.outputs import ByteCount
from pipeline.readers.base import (
    Account,
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
    count: ByteCount,
) -> Iterator[Record]:
    """One row a line; blank lines are counted in `skipped`. A line that is too long is passed over unheld. Behind damage,
    reading goes on with the next compressed member, whose first line may be the rest of one."""
    # A character of HTML takes at most six bytes in JSON (\u0000), three bytes of UTF-8 text as many.
    limit = 6 * options.max_record_bytes + (1 << 20)
    data = Decoded(f, codec, start_offset)
    account = Account(count, data)
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
            is_found = data.recover(e)
            account.skipped()
            goes_on = f"reading goes on at byte {data.stored_end}" if is_found else "nothing after it can be read"
            yield unreadable(path, number, options, f"{e} (member at byte {e.at}); {goes_on}")
            number += 1
            continue
        if not size:
            break
        if size == len(line):
            try:
                text = line.decode("utf-8-sig" if number == 0 else "utf-8").strip()
            except UnicodeDecodeError as e:
                found = line[e.start : e.start + 8].rstrip()
                account.page()
                drop = Drop("bad_row", f"not UTF-8: {found!r} at byte {e.start} of the line; expected UTF-8")
                yield _dropped(path, number, offset, options, drop, line.decode("latin-1"))
                number += 1
                continue
            if not text:
                skipped["blank_line"] += 1
                account.between()
                continue
            account.page()
            yield _json_row(text, path, number, offset, options)
        else:
            account.page()
            yield _dropped(path, number, offset, options, Drop("too_large", size), "")
        number += 1
    if data.cut is not None:
        yield unreadable(path, number, options, f"the file ends inside the compressed member at byte {data.cut}")
    account.close()


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


def read_parquet(
    f: IO[bytes], path: str, options: InputOptions, start_record: int, count: ByteCount
) -> Iterator[Record]:
    """Rows by row group, a few at a time; groups before `start_record` are not read.

    Damage costs no row of another group, and each row that the footer declares has its number: one that cannot be read is
    `unreadable`. Where the footer contradicts itself, rows are numbered as they come, and the last row says so.
    """
    count.stored_read = count.read = count.stored
    try:
        file = pq.ParquetFile(f, pre_buffer=False, buffer_size=1 << 20)
        columns = options.columns
        there = file.schema_arrow.names
        names = [n for n in dict.fromkeys(columns.model_dump().values()) if n and (n in there or _is_inside(n, there))]
        if columns.html not in names and columns.text not in names:
            wanted = " or ".join(repr(n) for n in (columns.html, columns.text) if n)
            there = ", ".join(file.schema_arrow.names)
            raise ValueError(f"no column {wanted} (input.columns); found {there}")
        groups = _groups(file, names, count.stored)
    except _PARQUET as e:
        count.skipped = count.stored
        yield unreadable(path, start_record, options, _parquet_error(e))
        return
    number = first = 0
    while groups.rows and first < len(groups.rows) and number + groups.rows[first] <= start_record:
        number += groups.rows[first]
        first += 1
    for row in _parquet_rows(file, names, groups, first, count):
        if number >= start_record:
            yield (
                unreadable(path, number, options, row)
                if isinstance(row, str)
                else make_row(row, path, number, None, options)
            )
        number += 1


_PARQUET = (pa.ArrowException, OSError, ValueError)


def _parquet_error(e: Exception) -> str:
    """:raises OSError: if it is none of the file's content."""
    if isinstance(e, OSError) and e.errno is not None:
        raise e
    return f"parquet: {' '.join(str(e).split())}"


class _Groups(NamedTuple):
    sizes: list[int]
    """Bytes of each row group."""
    rows: list[int] | None
    """Rows that the footer declares for each; None if it contradicts itself."""
    declared: int


def _groups(file: pq.ParquetFile, names: list[str], stored: int) -> _Groups:
    metadata = file.metadata
    rows, sizes = [], []
    agree = True
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        chunks = [group.column(j) for j in range(group.num_columns)]
        rows.append(group.num_rows)
        sizes.append(sum(c.total_compressed_size for c in chunks))
        agree &= all(c.num_values == group.num_rows for c in chunks if c.path_in_schema in names)
    agree &= sum(rows) == metadata.num_rows and min(rows, default=0) >= 0
    if min(sizes, default=0) < 0 or sum(sizes) > stored:
        sizes = [0] * len(rows)
    return _Groups(sizes, rows if agree else None, metadata.num_rows)


def _parquet_rows(
    file: pq.ParquetFile, names: list[str], groups: _Groups, first: int, count: ByteCount
) -> Iterator[dict[str, Any] | str]:
    """Rows from a group on; for one that cannot be read, why."""
    count.between = count.stored - sum(groups.sizes)
    count.footer_rows = sum(groups.rows or ())
    read = 0
    for i, size in enumerate(groups.sizes[first:], first):
        rows = groups.rows[i] if groups.rows is not None else None
        met, problem = 0, None
        try:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[i], columns=names):
                for row in _python_rows(batch):
                    problem = row if isinstance(row, str) else problem
                    yield row
                    met += 1
        except _PARQUET as e:
            problem = f"{_parquet_error(e)} (row group {i})"
            if rows is None:
                yield problem
        for _ in range(met, rows or 0):
            problem = problem or f"parquet: row group {i} holds {met} rows, the footer declares {rows}"
            yield problem
        read += met
        count.footer_rows_read += max(met, rows) if rows is not None else 0
        if problem is None:
            count.pages += size
        else:
            count.skipped += size
    if groups.rows is None:
        yield f"parquet: the footer contradicts itself: it declares {groups.declared} rows, {read} were read"


def _python_rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | str]:
    """Rows as dictionaries, times as milliseconds; for a row with a value that cannot be read, why."""
    try:
        columns = [_values(column) for column in batch.columns]
    except _PARQUET as e:
        if batch.num_rows == 1:
            yield _parquet_error(e)
        else:
            for i in range(batch.num_rows):
                yield from _python_rows(batch.slice(i, 1))
        return
    names = batch.schema.names
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def _is_inside(name: str, columns: list[str]) -> bool:
    """Whether a name leads into a column, as `metadata.url` does."""
    return name not in columns and name.partition(".")[0] in columns


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_temporal(column.type):
        return _times(column)
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:  # the bytes of such a string: as HTML they are decoded like any page
        values = [_as_text(value) for value in column.cast(pa.binary()).to_pylist()]
    return values


def _as_text(value: bytes | None) -> str | bytes | None:
    try:
        return value if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _times(column: pa.Array) -> list[Any]:
    """Milliseconds since 1970 of dates and timestamps, null beyond what those can hold. Of other times, such as durations, the
    type: no Python value holds all of them."""
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        return [column.type if is_valid else None for is_valid in column.is_valid().to_pylist()]
    try:
        return column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]
    except pa.ArrowInvalid:
        if len(column) == 1:
            return [None]
        return [value for i in range(len(column)) for value in _times(column.slice(i, 1))]


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
