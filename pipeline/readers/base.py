"""Shared parts of the readers of all formats: the options, the row they make, its identity."""

from __future__ import annotations

import datetime
import hashlib
import re
from typing import Literal, NamedTuple

from pydantic import Field

from extraction.domains import registered_domain
from pipeline.schema import Document, Drop
from pipeline.strict import Strict, UserError


class InputError(UserError, ValueError):
    """An input that is not there; one line that says what was looked for and what to do."""


class Record(NamedTuple):
    """One input record. `drop` is set if it cannot go on; `doc` then has all that is known, but no body."""

    doc: Document
    drop: Drop | None = None


class ColumnNames(Strict):
    """Names of the fields of JSONL and Parquet rows; null, or a name that a file lacks, means that there is none. A dot leads
    into a field: `metadata.url`."""

    url: str | None = Field("url", description="the page's address")
    html: str | None = Field("html", description="text or bytes of a page; goes before `text` where a row has both")
    text: str | None = Field("text", description="text that was extracted elsewhere; taken as it is")
    id: str | None = Field("id", description="32 lower-case hexadecimal digits are kept as doc_id, others are hashed")
    crawl_time: str | None = Field(
        "crawl_time", description="ISO 8601, a timestamp, or seconds or milliseconds since 1970"
    )
    language: str | None = Field("language", description="a language code that the rows bring along")


class InputOptions(Strict):
    """Options for reading input."""

    format: Literal["auto", "warc", "arc", "wet", "jsonl", "parquet"] = Field(
        "auto", description="auto: by the first bytes of each file, else by its name"
    )
    source: str = Field("web", description="name of the data set, stored in every row")
    columns: ColumnNames = ColumnNames()
    max_record_bytes: int = Field(
        10_000_000,
        gt=0,
        description="a larger body (compressed or decoded) is dropped as too_large and never held in memory",
    )
    list_prefix: str = Field(
        "",
        description="put before relative lines of list files, e.g. https://data.commoncrawl.org/; "
        "empty: the folder of the list",
    )


_TIME = re.compile(
    r"(\d{4})(?:-?(\d\d)(?:-?(\d\d)"
    r"(?:[T ]?(\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?)?)?)?\s*(?:Z|UTC|([+-])(\d\d):?(\d\d))?",
    re.IGNORECASE,
)


def milliseconds(text: str | None) -> int | None:
    """Milliseconds since 1970 (UTC) of an ISO 8601 date of any precision or of ARC's 14 digits; None if it is neither.

    A time without a zone is UTC, as WARC and ARC say.
    """
    match = _TIME.fullmatch(text.strip()) if text else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = match.groups()
    try:
        when = datetime.datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), min(int(second or 0), 59),
            tzinfo=datetime.UTC,
        )  # fmt: skip
    except ValueError:
        return None
    zone = (int(zone_hours) * 60 + int(zone_minutes)) * 60_000 if sign else 0
    return int(when.timestamp()) * 1000 + int((fraction or "0").ljust(3, "0")[:3]) - (-zone if sign == "-" else zone)


# Real headers hold "text/html;charset=gbk", "text/html charset=utf-8", "text/html, text/html" and quoted or empty
# values.
_MEDIA_TYPE = re.compile(r"^[\s\"']*([a-z0-9!#$&^_.+*-]+/[a-z0-9!#$&^_.+*-]+)", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([a-z0-9][a-z0-9._:+-]*)", re.IGNORECASE)


def media_type(value: str | None) -> tuple[str | None, str | None]:
    """Media type and charset of a Content-Type header, both lower case, None where there is none."""
    if not value:
        return None, None
    kind, charset = _MEDIA_TYPE.match(value), _CHARSET.search(value)
    return kind[1].lower() if kind else None, charset[1].lower() if charset else None


def clean(value: str) -> str:
    """The string without lone surrogates, which no UTF-8 column can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace").decode()
    return value


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def joined_md5(*parts: str | None) -> str:
    """MD5 of the parts joined by NUL; None counts as empty."""
    return md5("\0".join(p or "" for p in parts).encode("utf-8", "replace"))


def unreadable(path: str, record_no: int, options: InputOptions, message: str) -> Record:
    """The row that stands for a part of a file (or a whole file) in which no record could be recognised.

    Its id is made of the file's name and the row's number: the same wherever the file lies.
    """
    name = path.rstrip("/").rsplit("/", 1)[-1]
    doc = Document(
        doc_id=joined_md5("unreadable", options.source, name, str(record_no)),
        source=options.source,
        source_file=path,
        record_no=record_no,
    )
    return Record(doc, Drop("unreadable", clean(message)))


def domain_of(url: str | None) -> str | None:
    return registered_domain(url) if url else None
