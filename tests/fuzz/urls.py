"""Mutated URLs through what reads them: hosts, domains, keys, removal lists, the URL filter."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from extraction.domains import host_of, registered_domain
from pipeline.preparation.url_filter import UrlFilter, readable, tokens
from pipeline.removal import RemovalList, parse_entry, url_key
from pipeline.schema import Document
from pipeline.steps import apply_step
from tests.fuzz import mutations

_SEEDS = (
    "http://example.com/", "https://www.example.co.uk:8443/a/b.html?x=1&y=2#top", "http://例子.测试/路径?查询=值",
    "http://xn--fsqu00a.xn--0zwm56d/",
    "//example.com/a", "example.com/a b", "https://user:pass@sub.example.github.io/%e4%bd%a0%E5%A5%BD",
    "http://192.0.2.7:80/", "http://[2001:db8::1]/",
    "HTTP://EXAMPLE.COM", "http://bücher.example/straße", "ftp://ftp.example.org/x", "urn:isbn:0451450523",
    "http://example.com/casino-bonus/poker",
    "https://blog.example.blogspot.co.uk/2010/01/a.html", "http://www.aomenducheng.example/澳门赌场/百家乐器行",
    "data:text/html,<p>x", "http://a.b.local/?q=sex+tape",
    "https://example.com/essex/sussex?next=https%3A%2F%2Fother.example%2F%3Fa%3Db", "mailto:a@example.com",
    "http://localhost:8080/x", "dns:example.com",
)  # fmt: skip
_PER_CASE = 60


def prepare() -> None:
    UrlFilter().load()


def check(rng: random.Random, folder: Path) -> str:
    """One case, of many URLs. Returns a digest of what became of them."""
    urls = [mutations.url(rng, rng.choice(_SEEDS)) for _ in range(_PER_CASE)]
    shown = [check_url(url) for url in urls]
    step = UrlFilter(missing_url="drop", bad_url="drop")
    docs = [Document(doc_id=f"{i:032x}", source_file="x", url=url) for i, url in enumerate(urls)]
    together = apply_step(step, docs)
    for doc, verdict in zip(docs, together, strict=True):
        assert apply_step(step, [doc]) == [verdict], f"{doc.url!r}: another verdict alone"
        assert isinstance(verdict, Document) or verdict.reason != "step_error", f"{doc.url!r}: {verdict}"
    return hashlib.md5(repr((shown, together)).encode("utf-8", "surrogatepass")).hexdigest()


def check_url(url: str) -> tuple[str | None, ...]:
    """Hold one URL to what `extraction.domains` and `pipeline.removal` promise."""
    host, domain, key = host_of(url), registered_domain(url), url_key(url)
    if host is None:
        assert domain is None, url
        assert key is None, url
    else:
        assert host.isascii(), (url, host)
        assert host == host.lower(), (url, host)
        assert len(host) <= 253, (url, host)
        assert host_of(f"http://{host}/") == host, (url, host, host_of(f"http://{host}/"))
        assert domain is not None
        assert host == domain or host.endswith(f".{domain}"), (url, host, domain)
        assert registered_domain(f"http://{domain}/") == domain, (url, domain)
        assert key is not None
        assert key.startswith(host), (url, key)
        key.encode("ascii")
        assert url_key(f"http://{key}") == key, (url, key, url_key(f"http://{key}"))
    words = tokens(readable(url))
    assert all(words), url
    try:
        kind, entry = parse_entry(url)
    except ValueError as e:
        message = str(e)
        assert "expected" in message, (url, message)
    else:
        again = f"http://{entry}" if kind == "url" else entry
        if "'" not in entry:  # those at the ends of a URL are taken for quotes
            assert parse_entry(f"{kind}:{again}") == (kind, entry), (url, kind, entry)
        if kind == "url":
            assert RemovalList(urls={entry: entry}).match_url(url.removeprefix("url:").strip()) == entry, (url, entry)
    return host, domain, key
