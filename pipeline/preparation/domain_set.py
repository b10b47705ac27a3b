"""Millions of listed domains and URLs, by category, in 8 bytes each.

A key (a host name, or a URL in the form of `pipeline.removal.url_key`) is hashed with XXH3-64. A set is one sorted
array of uint64: the upper 56 bits are the hash, the lower 8 the category. So 5 million domains take 40 MB a worker,
and a batch of lookups is one vectorised binary search.

False positives: a key that is not listed is taken for listed with probability n / 2^56, for 5 million entries 7e-11 a
probe. A page has about three probes (one for each label of its host), so 2.3e9 pages give 0.5 false drops.

Compiled form: an `.npy` file (version 1.0, no pickle) of one sorted array, whose only field is named after the kind
of key and the hash (`KINDS`); the lower 8 bits are zero. 5 million entries load in 0.1 s of CPU, as text in 4 s
(benchmarks/url_filter.py). `corpusmill lists compile` makes it; list files of text are accepted
in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

import fsspec
import numpy as np
import numpy.typing as npt
import xxhash

from extraction.domains import host_of
from pipeline.removal import url_key

Kind = Literal["domain", "url"]
Hashes = npt.NDArray[np.uint64]

KINDS: dict[Kind, np.dtype[np.void]] = {
    "domain": np.dtype([("domain_xxh3_v1", "<u8")]),
    "url": np.dtype([("url_xxh3_v1", "<u8")]),
}
MAX_CATEGORIES = 256

_CATEGORY_BITS = np.uint64(8)
_HASH_MASK = np.uint64(0xFFFF_FFFF_FFFF_FF00)
_CHUNK_BYTES = 1 << 19
_DOMAIN = re.compile(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_BLOGSPOT = re.compile(rb"\.blogspot\.(?:com?\.)?[a-z]{2,3}$")

_hash = xxhash.xxh3_64_intdigest


def fold_host(host: bytes) -> bytes:
    """The host under which a site is listed: Blogger serves the same blog under 80 country domains
    (`x.blogspot.co.uk`, `x.blogspot.fr`), of which one, `x.blogspot.com`, is kept. Folding them shrinks the UT1 lists
    from 4.6 to 1.0 million."""
    return _BLOGSPOT.sub(b".blogspot.com", host) if b".blogspot." in host else host


def clean_domain(line: bytes) -> bytes | None:
    """Host name that a line of a domain list means, or None for a blank line or a comment (`#`).

    Internationalised names become punycode; a leading `*.` or `.` and a dot at the end are dropped. A single label is a
    top-level domain (`xxx`).

    :raises ValueError: if the line is no host name.
    """
    text = line.partition(b"#")[0].strip().lower()
    if not text:
        return None
    if not _DOMAIN.fullmatch(text):
        text = text.removeprefix(b"*").removeprefix(b".").removesuffix(b".")
        host = None
        if text and not re.search(rb"[/?@\\\s]", text):
            host = host_of("http://" + text.decode("utf-8"))
        if host is None:
            raise ValueError(
                f"expected a domain such as example.com, found {line.decode('utf-8', 'replace').strip()!r}"
            )
        text = host.encode("ascii")
    return fold_host(text)


def clean_url(line: bytes) -> bytes | None:
    """Comparison key of a line of a URL list, with or without scheme, or None for a blank line or a comment.

    :raises ValueError: if the line is no URL.
    """
    text = line.strip().decode("utf-8")
    if not text or text.startswith("#"):
        return None
    key = url_key(text)
    if key is None:
        raise ValueError(f"expected a URL such as https://example.com/page, found {text!r}")
    return key.encode("utf-8")


_CLEAN: dict[Kind, Callable[[bytes], bytes | None]] = {"domain": clean_domain, "url": clean_url}


def read_hashes(path: str, kind: Kind) -> Iterator[Hashes]:
    """Hashes of the entries of one list file: compiled (`.npy`), or text with one entry a line (.gz, .xz, .zst
    unpacked).

    :returns: arrays (n,) of uint64, together the entries in file order; lower 8 bits zero.
    :raises ValueError: with file name and line number, if a line is no entry; or if a compiled file is of another kind.
    """
    if path.endswith(".npy"):
        yield from _read_compiled(path, kind)
        return
    with fsspec.open(path, "rb", compression="infer") as file:
        for first, lines in _chunks(file):
            yield _hash_lines(lines, first, path, kind)


def _chunks(file: IO[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Number of the first line and lines, some megabytes at a time."""
    number = 1
    unfinished = b""
    while block := file.read(_CHUNK_BYTES):
        lines = (unfinished + block).split(b"\n")
        unfinished = lines.pop()
        yield number, lines
        number += len(lines)
    yield number, [unfinished]


def _hash_lines(lines: list[bytes], first: int, path: str, kind: Kind) -> Hashes:
    clean = _CLEAN[kind]
    hashes = []
    for number, line in enumerate(lines, first):
        try:
            key = clean(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
        except ValueError as error:  # also bad UTF-8
            raise ValueError(f"{path}, line {number}: {error}") from error
        if key is not None:
            hashes.append(_hash(key))
    return np.array(hashes, np.uint64) & _HASH_MASK


def _most_entries(path: str) -> int:
    """Most entries that a list file may hold: its lines, comments and all."""
    with fsspec.open(path, "rb", compression=None if path.endswith(".npy") else "infer") as file:
        if path.endswith(".npy"):
            return _header(file, path)[0]
        n = 1
        while block := file.read(_CHUNK_BYTES):
            n += block.count(b"\n")
        return n


def _read_compiled(path: str, kind: Kind) -> Iterator[Hashes]:
    with fsspec.open(path, "rb") as file:
        entries, dtype = _header(file, path)
        if dtype != KINDS[kind]:
            raise ValueError(f"{path}: expected a compiled list of {KINDS[kind]}, found {dtype}")
        n = 0
        while block := file.read(_CHUNK_BYTES):
            n += len(block)
            yield np.frombuffer(block[: len(block) // 8 * 8], np.uint64)
        if n != entries * 8:
            raise ValueError(f"{path}: expected {entries * 8} bytes after the header, found {n}")


def _header(file: IO[bytes], path: str) -> tuple[int, np.dtype[Any]]:
    """Number of entries and type of a compiled list; `file` is left at its first entry."""
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"npy format {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if len(shape) != 1:
            raise ValueError(f"an array of shape {shape}")
    except ValueError as error:
        raise ValueError(f"{path}: expected a compiled list (npy 1.0, one dimension), found: {error}") from error
    return int(shape[0]), dtype


def write_compiled(hashes: Hashes, file: IO[bytes], kind: Kind) -> int:
    """Write the compiled form of hashes in any order; returns the number of different entries."""
    unique = np.unique(hashes)
    np.save(file, unique.view(KINDS[kind]), allow_pickle=False)
    return len(unique)


def _without_repeats(keys: Hashes) -> Hashes:
    """First of the sorted keys with the same hash. Compared in blocks: a whole masked copy would double the memory."""
    first = np.ones(len(keys), np.bool_)
    for start in range(1, len(keys), 1 << 18):
        block = keys[start - 1 : start + (1 << 18)] & _HASH_MASK
        np.not_equal(block[1:], block[:-1], out=first[start : start + (1 << 18)])
    return keys if first.all() else keys[first]


@dataclass(frozen=True, slots=True)
class KeySet:
    """A set of hashed keys, each with the category that lists it."""

    keys: Hashes  # (n,) sorted; hash in the upper 56 bits, number of the category in the lower 8
    categories: tuple[str, ...]  # sorted; a key listed under several is found under the first of them

    @classmethod
    def load(cls, lists: Mapping[str, Sequence[str]], kind: Kind) -> KeySet:
        """Read the list files of each category.

        :param lists: category to paths or URLs of its files.
        :raises ValueError: for a bad line, a compiled file of another kind, or over 256 categories.
        """
        if len(lists) > MAX_CATEGORIES:
            raise ValueError(f"expected at most {MAX_CATEGORIES} categories, found {len(lists)}")
        categories = tuple(sorted(lists))
        files = [(number, path) for number, category in enumerate(categories) for path in lists[category]]
        # Every file is read twice, to be counted and to be hashed: parts put together would take the memory twice.
        keys = np.empty(sum(_most_entries(path) for _, path in files), np.uint64)
        end = 0
        for number, path in files:
            for hashes in read_hashes(path, kind):
                np.bitwise_or(hashes, np.uint64(number), out=keys[end : end + len(hashes)])
                end += len(hashes)
        keys = keys[:end]
        keys.sort()
        return cls(_without_repeats(keys), categories)

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, keys: Sequence[bytes]) -> npt.NDArray[np.int16]:
        """Numbers of the categories that list the keys, -1 where none does.

        :returns: (len(keys),) int16, indices into `categories`.
        """
        out = np.full(len(keys), -1, np.int16)
        if not len(keys) or not len(self.keys):
            return out
        wanted = np.fromiter(map(_hash, keys), np.uint64, len(keys)) & _HASH_MASK
        place = self.keys.searchsorted(wanted)
        place[place == len(self.keys)] = 0
        nearest = self.keys[place]
        hit = (nearest & _HASH_MASK) == wanted
        out[hit] = (nearest[hit] & ~_HASH_MASK).astype(np.int16)
        return out

    def find_domains(self, hosts: Sequence[str | None]) -> dict[int, tuple[str, str]]:
        """Which hosts are listed, themselves or by a domain above them.

        :param hosts: n host names as `host_of` gives them; None is not listed.
        :returns: index of each listed host, with the category and the most specific domain listed.
        """
        probes: list[bytes] = []
        owners: list[int] = []
        for i, host in enumerate(hosts):
            if host is None:
                continue
            name = fold_host(host.encode("utf-8", "replace"))
            while True:
                probes.append(name)
                owners.append(i)
                dot = name.find(b".")
                if dot < 0:
                    break
                name = name[dot + 1 :]
        numbers = self.find(probes)
        hits: dict[int, tuple[str, str]] = {}
        for j in np.flatnonzero(numbers >= 0).tolist():  # the first probe of a host is the most specific
            hits.setdefault(owners[j], (self.categories[numbers[j]], probes[j].decode("utf-8")))
        return hits
