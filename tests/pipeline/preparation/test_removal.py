"""Removal lists: what an entry names, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.removal import RemovalList, entries, parse_entry, url_key

ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("http://example.com/a", "https://example.com/a"),
        ("HTTP://EXAMPLE.com/a", "http://example.com/a"),
        ("http://example.com", "http://example.com/"),
        ("http://example.com/a/", "http://example.com/a"),
        ("http://example.com/a#part", "http://example.com/a"),
        ("http://example.com:80/a", "https://example.com:443/a"),
        ("http://user:pw@example.com/a", "http://example.com/a"),
        ("http://example.com/a?", "http://example.com/a"),
        ("http://example.com?q=1", "http://example.com/?q=1"),
        ("http://example.com/%7euser", "http://example.com/~user"),
        ("http://example.com/%e4%b8%ad", "http://example.com/中"),
        ("http://例子.com/a", "http://xn--fsqu00a.com/a"),
        ("example.com/a", "http://example.com/a"),
        ("//example.com/a", "http://example.com/a"),
        ("  http://example.com/a \n", "http://example.com/a"),
        ("http://example.com./a", "http://example.com/a"),
        ("http://example.com/100%", "http://example.com/100%25"),
        ("http://example.com/a b", "http://example.com/a%20b"),
    ],
)
def test_same_page(a: str, b: str) -> None:
    assert url_key(a) == url_key(b) is not None


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("http://www.example.com/a", "http://example.com/a"),
        ("http://example.com:8080/a", "http://example.com/a"),
        ("http://example.com/A", "http://example.com/a"),
        ("http://example.com/a?x=1&y=2", "http://example.com/a?y=2&x=1"),
        ("http://example.com/a%2Fb", "http://example.com/a/b"),
        ("http://example.com/a?q", "http://example.com/a"),
    ],
)
def test_other_page(a: str, b: str) -> None:
    assert url_key(a) != url_key(b)


@pytest.mark.parametrize("url", ["urn:wcxb:17", "mailto:a@b.com", "", "http://", "data:text/html,x"])
def test_no_host(url: str) -> None:
    assert url_key(url) is None


def test_url_key_of_odd_text_never_fails() -> None:
    assert url_key("http://example.com/\ud800😀\x00") == "example.com/%ED%A0%80%F0%9F%98%80%00"
    assert url_key("http://[::1]:99/x") == "[::1]:99/x"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("url:https://example.com/p", ("url", "example.com/p")),
        ("https://example.com/p", ("url", "example.com/p")),
        ("url:example.com/p", ("url", "example.com/p")),
        ("domain:Example.COM", ("domain", "example.com")),
        ("*.example.com", ("domain", "example.com")),
        ("example.com", ("domain", "example.com")),
        ("domain: 例子.com", ("domain", "xn--fsqu00a.com")),
        (f"doc_id:{ID.upper()}", ("doc_id", ID)),
        (ID, ("doc_id", ID)),
    ],
)
def test_entries_with_and_without_prefix(line: str, expected: tuple[str, str]) -> None:
    assert parse_entry(line) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("doc_id:123", "expected a doc_id of 32 hex characters, found '123'"),
        ("url:urn:x", "expected a URL with a host, found 'urn:x'"),
        ("com", "expected a domain such as example.com, found 'com'"),
        ("example.com/path", "expected a domain such as example.com, found 'example.com/path'"),
        ("two words.com", "expected a domain such as example.com"),
        ("domain:", "expected a domain such as example.com, found ''"),
        (ID[:-1], "expected a domain such as example.com"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "takedown.txt"
    path.write_text(f"# head\n\nexample.com\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"takedown\.txt, line 4: ") as error:
        RemovalList.load([str(path)])
    assert message in str(error.value)


def test_match(tmp_path: Path) -> None:
    path = tmp_path / "takedown.txt"
    path.write_text(
        f"﻿example.com   # everything of theirs\nurl:http://other.org/private/\n{ID}\ndomain:sub.deep.net\n",
        encoding="utf-8",
    )
    removal = RemovalList.load([str(path)])
    assert len(removal) == 4
    other = "f" * 32
    table: list[tuple[str, str | None, str | None]] = [
        (ID, None, f"doc_id:{ID}"),
        (ID.upper(), "http://x.org/", f"doc_id:{ID}"),
        (other, "https://www.example.com/x", "domain:example.com"),
        (other, "http://notexample.com/x", None),
        (other, "https://other.org/private#top", "url:other.org/private"),
        (other, "https://other.org/private/more", None),
        (other, "http://a.sub.deep.net/", "domain:sub.deep.net"),
        (other, "http://deep.net/", None),
        (other, "urn:wcxb:1", None),
        (other, None, None),
        (other, "", None),
    ]
    assert removal.match([i for i, _, _ in table], [u for _, u, _ in table]) == [e for _, _, e in table]


def test_an_empty_list_matches_nothing() -> None:
    removal = RemovalList.load([])
    assert len(removal) == 0
    assert removal.match([ID], ["http://example.com/"]) == [None]


def test_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="expected as many URLs as doc_ids, found 0 and 1"):
        RemovalList().match([ID], [])


def test_a_file_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    path.write_bytes("好.com\n".encode("gb18030"))
    with pytest.raises(ValueError, match=r"l\.txt, line 1: expected UTF-8"):
        list(entries(str(path)))


def test_a_fragment_is_no_comment(tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    path.write_text("http://a.com/#x\nhttp://b.com/ #x\n")
    assert list(entries(str(path))) == [(1, "http://a.com/#x"), (2, "http://b.com/")]
