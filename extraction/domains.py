"""Host and registered domain of a URL, without network and without exceptions.

Hosts come out in one form: lower case, internationalised names in punycode (UTS 46, non-transitional), no port, no
user, no trailing dot. So a block-list entry, a URL from a crawl and a URL from a table meet in the same string.

The registered domain follows the public-suffix list that tldextract packages, its private section included: blogs under
`blogspot.com` or `github.io` belong to different people, and a split or cap by domain must be able to tell them apart.
What the list does not know falls under its default rule "*": `a.b.local` is `b.local`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
import urllib.parse

import idna
import tldextract

MAX_HOST = 253
"""Longest host name that DNS can hold, in characters (RFC 1035, 2.3.4); a longer one is no host."""

_CACHED_HOSTS = 1 << 15  # about 10 MB; a Common Crawl file holds some 30,000 hosts

# The common case, tried first: 0.5 us against 2 us for the general way.
_PLAIN = re.compile(r"https?://([a-z0-9_-]+(?:\.[a-z0-9_-]+)+)(?=[/?#]|$)")
_SPECIAL = re.compile(r"(?:https?|ftps?|wss?):[/\\]*", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_HOST_PORT = re.compile(r"[^/?#\\@]*:[0-9]*(?:[/?#\\]|$)")
_END = re.compile(r"[/?#\\]")
_PORT = re.compile(r":[^:\]]*$")
_REMOVED = str.maketrans("", "", "\t\n\r")  # URL parsers drop these anywhere
_FORBIDDEN = re.compile('[\x00-\x20#/:<>?@\\[\\\\\\]^|%\x7f"]')
_IPV6 = re.compile(r"\[[0-9a-f:.]*:[0-9a-f:.]*(?:%[0-9a-z._~-]+)?\]")
_IPV4 = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}")
_EMPTY_LABELS = re.compile(r"\.{2,}")

_suffixes = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True)


def host_of(url: str | None) -> str | None:
    """Host of a URL, or of a bare `host[:port][/path]` as lists have them: lower case, punycode.

    IPv4 addresses stay as they are, IPv6 addresses keep their brackets. None if there is no host (`urn:`, `data:`,
    `dns:`, relative paths) or none that could exist (spaces, over 253 characters).
    """
    if not url:
        return None
    plain = _PLAIN.match(url)
    if plain:
        host = plain[1]
        return host if len(host) <= MAX_HOST else None
    authority = _authority(url)
    if not authority or len(authority) > 4 * MAX_HOST:  # not worth a place in the cache
        return None
    return _host(authority)


def registered_domain(url: str | None) -> str | None:
    """The part of the host that somebody registered: `news.bbc.co.uk` gives `bbc.co.uk`.

    Addresses, single names (`localhost`) and hosts that are public suffixes themselves are returned whole. None if the
    URL has no host.
    """
    host = host_of(url)
    return None if host is None else domain_of_host(host)


@functools.lru_cache(maxsize=_CACHED_HOSTS)
def domain_of_host(host: str) -> str:
    """Registered domain of a host that `host_of` returned."""
    if host[0] == "[" or _IPV4.fullmatch(host):
        return host
    parts = _suffixes.extract_str(host)
    if parts.suffix:
        return f"{parts.domain}.{parts.suffix}" if parts.domain else host
    return ".".join(host.split(".")[-2:])


def _authority(url: str) -> str:
    """What stands between scheme and path: `user:password@host:port`. Empty if there is none."""
    url = url[:8192].strip(" \t\r\n\f\v\x00<>\"'").translate(_REMOVED)
    special = _SPECIAL.match(url)
    if special:
        url = url[special.end() :]
    elif url.startswith(("//", "\\\\")):
        url = url[2:]
    else:
        scheme = _SCHEME.match(url)
        if scheme and url.startswith("//", scheme.end()):
            url = url[scheme.end() + 2 :]
        elif scheme and not _HOST_PORT.match(url):
            return ""
    end = _END.search(url)
    return url[: end.start()] if end else url


@functools.lru_cache(maxsize=_CACHED_HOSTS)
def _host(authority: str) -> str | None:
    host = authority.rpartition("@")[2]
    if host.startswith("["):
        host = host[: host.find("]") + 1].lower()
        return host if len(host) <= MAX_HOST and _IPV6.fullmatch(host) else None
    host = _PORT.sub("", host)
    if "%" in host:
        host = urllib.parse.unquote(host, errors="replace")
    host = _ascii(host)
    host = _EMPTY_LABELS.sub(".", host).strip(".")
    if not host or len(host) > MAX_HOST or _FORBIDDEN.search(host):
        return None
    return host


def _ascii(host: str) -> str:
    """A host in lower-case ASCII. Where IDNA 2008 forbids a character (emoji, symbols) browsers resolve the name all
    the same: such labels are NFKC-folded and then punycoded."""
    if host.isascii():
        return host.lower()
    try:
        return idna.encode(host, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):  # also empty and over-long labels
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", host).casefold())
        for dot in "\u3002\uff0e\uff61":
            folded = folded.replace(dot, ".")
        return ".".join(_ascii_label(label) for label in folded.split("."))


def _ascii_label(label: str) -> str:
    if label.isascii():
        return label
    # Lone surrogates cannot be punycoded; they come from undecodable bytes.
    label = label.encode("utf-8", "replace").decode("utf-8")
    return "xn--" + label.encode("punycode").decode("ascii").lower()
