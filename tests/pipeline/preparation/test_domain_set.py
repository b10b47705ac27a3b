"""The compact set of domains and URLs."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from pipeline.preparation.domain_set import KeySet, clean_domain, clean_url, fold_host, read_hashes, write_compiled


def make(folder: Path, **lists: str) -> dict[str, list[str]]:
    out = {}
    for category, text in lists.items():
        path = folder / f"{category}.txt"
        path.write_text(text, encoding="utf-8")
        out[category] = [str(path)]
    return out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("example.com", b"example.com"),
        ("  EXAMPLE.com \r", b"example.com"),
        ("example.com # why", b"example.com"),
        ("*.example.com", b"example.com"),
        (".example.com.", b"example.com"),
        ("赌场.中国", "赌场.中国".encode("idna")),
        ("bücher.de", b"xn--bcher-kva.de"),
        ("x_y.example.com", b"x_y.example.com"),
        ("xxx", b"xxx"),
        ("1.2.3.4", b"1.2.3.4"),
        ("blog.blogspot.co.uk", b"blog.blogspot.com"),
        ("", None),
        ("# only a comment", None),
    ],
)
def test_lines_of_a_domain_list(line: str, expected: bytes | None) -> None:
    assert clean_domain(line.encode()) == expected


@pytest.mark.parametrize("line", ["http://example.com/", "example.com/path", "two words", "a@b.com", "*"])
def test_a_line_that_is_no_domain_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"expected a domain such as example\.com, found"):
        clean_domain(line.encode())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("http://example.com/a/", b"example.com/a"),
        ("example.com/a", b"example.com/a"),
        ("https://例子.com/博彩", b"xn--fsqu00a.com/%E5%8D%9A%E5%BD%A9"),
        ("", None),
        ("# comment", None),
    ],
)
def test_lines_of_a_url_list(line: str, expected: bytes | None) -> None:
    assert clean_url(line.encode()) == expected


@pytest.mark.parametrize(
    ("host", "folded"),
    [
        (b"a.blogspot.fr", b"a.blogspot.com"),
        (b"a.blogspot.com.br", b"a.blogspot.com"),
        (b"a.blogspot.co.uk", b"a.blogspot.com"),
        (b"a.blogspot.com", b"a.blogspot.com"),
        (b"blogspot.example.com", b"blogspot.example.com"),
        (b"a.blogspot.example.com", b"a.blogspot.example.com"),
    ],
)
def test_blogs_have_one_host(host: bytes, folded: bytes) -> None:
    assert fold_host(host) == folded


def test_sub_domains_are_found_by_the_most_specific_entry(tmp_path: Path) -> None:
    domains = KeySet.load(make(tmp_path, adult="example.com\nxxx\n", malware="bad.example.com\n赌场.中国\n"), "domain")
    hosts = [
        "example.com",
        "www.example.com",
        "a.bad.example.com",
        "notexample.com",
        "example.com.evil.org",
        "site.xxx",
        "com",
        None,
        "x." + "赌场.中国".encode("idna").decode(),
    ]
    assert domains.find_domains(hosts) == {
        0: ("adult", "example.com"),
        1: ("adult", "example.com"),
        2: ("malware", "bad.example.com"),
        5: ("adult", "xxx"),
        8: ("malware", "赌场.中国".encode("idna").decode()),
    }


def test_a_key_of_two_categories_is_found_under_the_first_by_name(tmp_path: Path) -> None:
    lists = make(tmp_path, zeta="example.com\n", alpha="other.com\nexample.com\nexample.com\n")
    for order in (lists, dict(reversed(lists.items()))):
        domains = KeySet.load(order, "domain")
        assert len(domains) == 2
        assert domains.find_domains(["example.com"]) == {0: ("alpha", "example.com")}


def test_an_empty_set_finds_nothing() -> None:
    domains = KeySet.load({}, "domain")
    assert len(domains) == 0
    assert domains.find_domains(["example.com"]) == {}
    assert KeySet.load({}, "url").find([]).tolist() == []


def test_it_agrees_with_a_plain_set(tmp_path: Path) -> None:
    listed = [f"site{i * 7 % 9973}.example{i % 11}.com" for i in range(20_000)]
    domains = KeySet.load(make(tmp_path, adult="\n".join(listed)), "domain")
    assert len(domains) == len(set(listed))
    hosts = [f"www.site{i}.example{i % 13}.com" for i in range(10_000)]
    plain = set(listed)
    expected = {i for i, h in enumerate(hosts) if h.removeprefix("www.") in plain}
    assert set(domains.find_domains(hosts)) == expected
    assert 100 < len(expected) < 10_000


def test_eight_bytes_an_entry(tmp_path: Path) -> None:
    domains = KeySet.load(make(tmp_path, adult="".join(f"a{i}.com\n" for i in range(1000))), "domain")
    assert domains.keys.nbytes == 8 * 1000


def test_compiled_and_compressed_lists_equal_the_text(tmp_path: Path) -> None:
    text = "# a list\nb.com\na.com\n赌场.中国\n\nb.com\n".encode()
    (tmp_path / "l.txt").write_bytes(text)
    (tmp_path / "l.txt.gz").write_bytes(gzip.compress(text))
    (tmp_path / "l.txt.xz").write_bytes(lzma.compress(text))
    with (tmp_path / "l.npy").open("wb") as file:
        assert write_compiled(np.concatenate(list(read_hashes(str(tmp_path / "l.txt"), "domain"))), file, "domain") == 3
    sets = [KeySet.load({"x": [str(tmp_path / n)]}, "domain") for n in ("l.txt", "l.txt.gz", "l.txt.xz", "l.npy")]
    for other in sets[1:]:
        assert np.array_equal(sets[0].keys, other.keys)
    both = KeySet.load({"x": [str(tmp_path / "l.npy"), str(tmp_path / "l.txt")]}, "domain")
    assert np.array_equal(sets[0].keys, both.keys)


def test_a_compiled_list_says_what_it_holds(tmp_path: Path) -> None:
    path = str(tmp_path / "urls.npy")
    with open(path, "wb") as file:
        write_compiled(np.array([256], np.uint64), file, "url")
    with pytest.raises(
        ValueError, match=r"urls\.npy: expected a compiled list of .*domain_xxh3_v1.*found .*url_xxh3_v1"
    ):
        KeySet.load({"x": [path]}, "domain")
    assert len(KeySet.load({"x": [path]}, "url")) == 1


@pytest.mark.parametrize("content", [b"", b"example.com\n"])
def test_a_compiled_list_without_header_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npy: expected a compiled list"):
        KeySet.load({"x": [str(tmp_path / "x.npy")]}, "domain")


def test_a_truncated_compiled_list_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        write_compiled(np.arange(1, 100, dtype=np.uint64) << np.uint64(8), file, "domain")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="expected 792 bytes after the header, found 772"):
        KeySet.load({"x": [str(path)]}, "domain")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"good.com\nbad line\n", r"list\.txt, line 2: expected a domain such as example.com, found 'bad line'"),
        (b"good.com\n" * 40_000 + b"a/b\n", r"list\.txt, line 40001: "),
        (b"good.com\nb\xffd.com\n", r"list\.txt, line 2: "),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        KeySet.load({"x": [str(path)]}, "domain")


def test_too_many_categories() -> None:
    with pytest.raises(ValueError, match="expected at most 256 categories, found 257"):
        KeySet.load({f"c{i}": [] for i in range(257)}, "domain")
