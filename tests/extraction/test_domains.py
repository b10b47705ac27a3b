"""Hosts and registered domains of ordinary, Chinese and absurd URLs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction.domains import MAX_HOST, host_of, registered_domain

CASES = [
    # url, host, registered domain
    ("http://www.bbc.co.uk/news", "www.bbc.co.uk", "bbc.co.uk"),
    ("https://news.example.com?q=1", "news.example.com", "example.com"),
    ("HTTP://User:pa@ss@News.BBC.co.uk:8080/x", "news.bbc.co.uk", "bbc.co.uk"),
    ("http://www.sina.com.cn/", "www.sina.com.cn", "sina.com.cn"),
    ("https://例子.中国/路径", "xn--fsqu00a.xn--fiqs8s", "xn--fsqu00a.xn--fiqs8s"),
    ("https://www.例子.中国/", "www.xn--fsqu00a.xn--fiqs8s", "xn--fsqu00a.xn--fiqs8s"),
    ("http://%E4%BE%8B%E5%AD%90.com/", "xn--fsqu00a.com", "xn--fsqu00a.com"),
    ("http://XN--FSQU00A.com/", "xn--fsqu00a.com", "xn--fsqu00a.com"),
    ("http://www。例子。com/", "www.xn--fsqu00a.com", "xn--fsqu00a.com"),
    ("http://straße.de/", "xn--strae-oqa.de", "xn--strae-oqa.de"),
    ("http://☃.net/", "xn--n3h.net", "xn--n3h.net"),
    ("http://someone.github.io/", "someone.github.io", "someone.github.io"),  # private suffix: each blog is a domain
    ("http://github.io/", "github.io", "github.io"),
    ("http://co.uk/", "co.uk", "co.uk"),
    ("http://localhost:8000/", "localhost", "localhost"),
    ("http://a.b.local/", "a.b.local", "b.local"),  # unknown suffix: the list's default rule
    ("http://192.168.0.1:80/", "192.168.0.1", "192.168.0.1"),
    ("http://[2001:DB8::1]:443/", "[2001:db8::1]", "[2001:db8::1]"),
    ("http://www.example.com./", "www.example.com", "example.com"),
    ("http://a..example.com/", "a.example.com", "example.com"),
    ("http://under_score.example.com/", "under_score.example.com", "example.com"),
    ("//cdn.example.com/x.js", "cdn.example.com", "example.com"),
    ("http:\\\\example.com\\x", "example.com", "example.com"),
    ("http:/example.com/x", "example.com", "example.com"),
    (" <http://www.example.org/> ", "www.example.org", "example.org"),
    ("http://exa\tmple.com/", "example.com", "example.com"),
    ("example.com", "example.com", "example.com"),
    ("example.com:8080/x", "example.com", "example.com"),
    ("ftp://ftp.example.com/pub", "ftp.example.com", "example.com"),
    (None, None, None),
    ("", None, None),
    ("/relative/path", None, None),
    ("http://", None, None),
    ("http://@/", None, None),
    ("http://[::1", None, None),
    ("http://[" + "1" * (MAX_HOST - 4) + "::]", "[" + "1" * (MAX_HOST - 4) + "::]", "[" + "1" * (MAX_HOST - 4) + "::]"),
    ("http://[" + "1" * (MAX_HOST - 3) + "::]", None, None),
    ("http://two words.com/", None, None),
    ("dns:www.example.com", None, None),
    ("mailto:a@example.com", None, None),
    ("urn:uuid:1", None, None),
    ("data:text/html,x", None, None),
    ("http://\ud800.com/", None, None),
    ("http://" + "a" * 60 + ("." + "a" * 60) * 3 + ".com", "a" * 60 + ("." + "a" * 60) * 3 + ".com", "a" * 60 + ".com"),
    ("http://" + "a." * (MAX_HOST // 2) + "com", None, None),
    ("x" * 1_000_000, None, None),
]


@pytest.mark.parametrize(("url", "host", "domain"), CASES, ids=[ascii(c[0])[:40] for c in CASES])
def test_host_and_domain(url: str | None, host: str | None, domain: str | None) -> None:
    assert (host_of(url), registered_domain(url)) == (host, domain)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.one_of(st.text(), st.from_regex(r"https?://[^/]{1,30}/.*"), st.text("a.:/@[]%x中。-\x00 ")))
def test_any_string_has_a_host_in_one_form_or_none(url: str) -> None:
    host = host_of(url)
    domain = registered_domain(url)
    assert (host is None) == (domain is None)
    if host is not None and domain is not None:
        assert host.isascii()
        assert host == host.lower()
        assert host_of(f"http://{host}/") == host  # normalising again changes nothing
        assert host == domain or host.endswith("." + domain)
