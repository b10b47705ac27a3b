"""Lists of web addresses and documents to remove from every stage and output (takedowns), or to keep.

One entry a line, in UTF-8; `#` starts a comment at the start of a line or after white space:

    url:https://example.com/private/page      this page
    domain:example.com                        every host at or under example.com
    doc_id:0123456789abcdef0123456789abcdef   this document
    https://example.com/private/page          the same three without their prefix
    example.com
    0123456789abcdef0123456789abcdef

URLs are compared by `url_key`, domains by host name: lower case, internationalised names in punycode.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

import fsspec

from extraction.domains import host_of

_PARTS = re.compile(r"(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?[/\\]{2,}([^/?#\\]*)([^?#]*)(\?[^#]*)?")
_PORT = re.compile(r":0*([0-9]+)$")
_DEFAULT_PORTS = {"80", "443"}
_UNRESERVED = frozenset((string.ascii_letters + string.digits + "-._~").encode())
_PLAIN = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@?-]*")
_SAFE = "/!$&'()*+,;=:@?"
_ESCAPES = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_DOC_ID = re.compile(r"[0-9a-fA-F]{32}")
_COMMENT = re.compile(r"(?:^|\s)#.*")


def url_key(url: str) -> str | None:
    """Key that URLs of the same page share: `host[:port]/path[?query]`, or None if the URL has no host.

    Equal are: http and https; host names in any case, in Unicode or punycode; with and without user name, default
    port (80, 443), fragment, empty query or slashes at the end of the path; percent-escapes in either case, of
    characters that need none (RFC 3986, 6.2.2), and characters that should have been escaped. Different are: `www.`
    and its parent, other ports, upper and lower case in path and query, the order of query parameters.
    """
    host = host_of(url)
    if host is None:
        return None
    parts = _PARTS.match(url.strip()) or _PARTS.match("//" + url.strip())
    if parts is None:
        return host + "/"
    _, authority, path, query = parts.groups()
    port = _PORT.search(authority)
    if port and port[1] not in _DEFAULT_PORTS:
        host = f"{host}:{port[1]}"
    tail = path.rstrip("/") + (query if query and query != "?" else "")
    if not _PLAIN.fullmatch(tail):
        tail = _escape(tail)
    return host + (tail if tail.startswith("/") else "/" + tail)


def _escape(text: str) -> str:
    """`text` with every escape in one form; what is no valid escape (a lone `%`) becomes one."""
    pieces = []
    end = 0
    for escape in _ESCAPES.finditer(text):
        pieces.append(quote(text[end : escape.start()].encode("utf-8", "surrogatepass"), safe=_SAFE))
        pieces += [chr(b) if b in _UNRESERVED else f"%{b:02X}" for b in unquote_to_bytes(escape[0])]
        end = escape.end()
    pieces.append(quote(text[end:].encode("utf-8", "surrogatepass"), safe=_SAFE))
    return "".join(pieces)


def entries(path: str, bad: Callable[[int, bytes], None] | None = None) -> Iterator[tuple[int, str]]:
    """Line number (from 1) and content of the lines of a UTF-8 list file that hold something.

    White space at both ends and comments are gone. `path` is an fsspec path or URL; .gz, .bz2, .xz and .zst are
    unpacked.

    :param bad: told of lines that are not UTF-8, which are passed over.
    :raises ValueError: with file name and line number, if a line is not UTF-8 and nothing is told of it.
    """
    with fsspec.open(path, "rb", compression="infer") as file:
        for number, raw in enumerate(file, 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                if bad is not None:
                    bad(number, raw)
                    continue
                raise ValueError(f"{path}, line {number}: expected UTF-8, found {raw[:80]!r}") from error
            if "#" in line:
                line = _COMMENT.sub("", line)
            line = line.strip()
            if line:
                yield number, line


def suffixes(host: str) -> Iterator[str]:
    """The host and every domain above it: `a.b.com`, `b.com`, `com`."""
    while True:
        yield host
        _, dot, host = host.partition(".")
        if not dot:
            return


@dataclass(frozen=True, slots=True)
class RemovalList:
    """Entries by kind, each mapped to the text that names it in a verdict (`domain:example.com`)."""

    doc_ids: Mapping[str, str] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    domains: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, paths: Iterable[str]) -> RemovalList:
        """Read list files (fsspec paths or URLs).

        :raises ValueError: with file name and line number, if a line is no entry.
        """
        tables: dict[str, dict[str, str]] = {"doc_id": {}, "url": {}, "domain": {}}
        for path in paths:
            for number, line in entries(path):
                try:
                    kind, key = parse_entry(line)
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from error
                tables[kind][key] = f"{kind}:{key}"
        return cls(tables["doc_id"], tables["url"], tables["domain"])

    def __len__(self) -> int:
        return len(self.doc_ids) + len(self.urls) + len(self.domains)

    def match(self, doc_ids: Sequence[str], urls: Sequence[str | None]) -> list[str | None]:
        """The entry that names each document, or None; by doc_id first, then URL, then the most specific domain.

        :param doc_ids: n ids.
        :param urls: their n URLs.
        :returns: n entries, as `kind:key`.
        :raises ValueError: if the two lengths differ.
        """
        if len(doc_ids) != len(urls):
            raise ValueError(f"expected as many URLs as doc_ids, found {len(urls)} and {len(doc_ids)}")
        return [self.doc_ids.get(i.lower()) or self.match_url(u) for i, u in zip(doc_ids, urls, strict=True)]

    def match_url(self, url: str | None) -> str | None:
        """The URL or domain entry that names a URL, or None."""
        if not url:
            return None
        if self.urls:
            key = url_key(url)
            entry = None if key is None else self.urls.get(key)
            if entry:
                return entry
        if self.domains:
            host = host_of(url)
            for domain in suffixes(host) if host else ():
                if domain in self.domains:
                    return self.domains[domain]
        return None


def parse_entry(line: str) -> tuple[str, str]:
    """Kind (`url`, `domain`, `doc_id`) and comparison key of an entry.

    :raises ValueError: if it is none; the message says what was expected.
    """
    kind, colon, value = line.partition(":")
    if not colon or kind not in ("url", "domain", "doc_id"):
        value = line
        kind = "url" if "://" in line else "doc_id" if _DOC_ID.fullmatch(line) else "domain"
    value = value.strip()
    if kind == "doc_id":
        if not _DOC_ID.fullmatch(value):
            raise ValueError(f"expected a doc_id of 32 hex characters, found {value!r}")
        return kind, value.lower()
    if kind == "url":
        key = url_key(value)
        if key is None:
            raise ValueError(f"expected a URL with a host, found {value!r}")
        return kind, key
    return kind, parse_domain(value)


def parse_domain(text: str) -> str:
    """A domain as hosts are written: lower case, punycode. A leading `*.` or `.` and a dot at the end are understood.

    :raises ValueError: if it is no domain of two or more labels: a whole top-level domain is too easily a slip.
    """
    name = text.removeprefix("*").removeprefix(".")
    host = None if re.search(r"[/?#@\s\\]", name) else host_of("http://" + name)
    if host is None or ":" in host or "." not in host:
        raise ValueError(f"expected a domain such as example.com, found {text!r}")
    return host
