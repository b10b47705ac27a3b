"""Documents of corpora to compare, and of the clean text that they are held to: Parquet or JSONL, whoever wrote it.

A corpus is judged by text that it must not hold. `Heldout.clean` drops from a corpus what is of a held-out site, and what shares
long runs of characters with a held-out text, and counts both. No torch here.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import json
import unicodedata
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import tldextract
import zstandard
from pydantic import Field, model_validator

from model.base.config import Options
from model.base.errors import ConfigError
from model.base.hashing import digest64, uniform

ENDINGS = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".json.gz", ".ndjson")

_suffixes = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True)


class Source(Options):
    """Source: files of documents. A column is a name, or a path of names with dots within nested ones: `metadata.url`."""

    paths: tuple[str, ...] = Field(min_length=1, description="files, folders (read to their leaves) or globs")
    text: str = Field("text", description="column of the text")
    url: str | None = Field(
        "url", description="column of the address; null: none, so no site is held apart, long runs alone"
    )
    language: str | None = Field("language", description="column of the language; null: `language_of_all`")
    language_of_all: str | None = Field(None, description="the language, where there is no column of it")

    @model_validator(mode="after")
    def _one_language(self) -> Source:
        if (self.language is None) == (self.language_of_all is None):
            raise ValueError("expected either a column `language`, or language: null and language_of_all")
        return self


class Corpus(Source):
    """Corpus that a model is trained on."""

    salt: int = Field(0, ge=0, description="another order of the documents: with the same paths, a control")


class HeldoutSource(Source):
    """Clean text that models are held to: whole sites of it, drawn by a hash of their name."""

    share: float = Field(1.0, gt=0, le=1, description="of the sites; pages of the others are not looked at")
    kind: str | None = Field(None, description="a column by whose values results are shown too, such as page types")


class OverlapOptions(Options):
    """Options of when a document holds too much of a held-out text. Runs are compared without case, spaces and punctuation."""

    characters: int = Field(50, ge=5, description="length of a run")
    max_share: float = Field(
        0.1, ge=0, le=1, description="of the document's runs, or of those of one held-out text, that are in both"
    )


@dataclass(frozen=True)
class Document:
    """Document of a corpus, or of the held-out text.

    :ivar site: registered domain, or the whole address where it has none (`site_of`)."""

    text: str
    language: str
    site: str
    kind: str = ""

    @cached_property
    def digest(self) -> int:
        """Digest of 63 bits of the text: what order and draws depend on, so that corpora have shared documents in one order."""
        return digest64(self.text) >> 1


def site_of(url: str | None) -> str:
    """Find the registered domain, the private part of the public suffix list included (blogs on one host are sites of their own).

    What has none is a site of its own: the whole address, or '' for no address.
    """
    if not url:
        return ""
    try:
        host = urllib.parse.urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return _suffixes(host).top_domain_under_public_suffix.lower() or url


def files(paths: Sequence[str]) -> list[Path]:
    """List the files to read, sorted.

    :raises ConfigError: a path with nothing to read.
    """
    matches: list[Path] = []
    for path in paths:
        places = [Path(p) for p in glob.glob(path, recursive=True)]
        inside = [f for p in places for f in (sorted(p.rglob("*")) if p.is_dir() else [p])]
        readable = [f for f in inside if f.is_file() and (f.name.endswith(ENDINGS) or f in places)]
        if not readable:
            raise ConfigError(f"{path}: nothing to read; expected a file, folder or glob of {', '.join(ENDINGS)}")
        matches += readable
    return sorted(set(matches))


def documents(source: Source, *, kind: str | None = None) -> Iterator[Document]:
    """Read documents with text, in the order of the files.

    :raises ConfigError: a file that lacks the columns.
    """
    for path in files(source.paths):
        for row in _rows(path, source, kind):
            text = _column(row, source.text, path)
            language = source.language_of_all or _column(row, str(source.language), path)
            url = _column(row, source.url, path) if source.url is not None else None
            if text:
                yield Document(
                    text, language or "unknown", site_of(url), str(_column(row, kind, path) or "") if kind else ""
                )


def _column(row: Mapping[str, Any], name: str, path: Path) -> Any:
    """Read a column of a row.

    :raises ConfigError: there is none.
    """
    value: Any = row
    for part in name.split("."):
        if value is None:
            return None
        if not isinstance(value, Mapping) or part not in value:
            raise ConfigError(f"{path}: no column {name!r}; columns there: {', '.join(sorted(row))}")
        value = value[part]
    return value


def _rows(path: Path, source: Source, kind: str | None) -> Iterator[dict[str, Any]]:
    """Read the rows of a file."""
    if path.name.endswith(".parquet"):
        wanted = {n.split(".")[0] for n in (source.text, source.language, source.url, kind) if n is not None}
        # partitioning=None: a folder called verdict=kept is no column
        with pq.ParquetFile(path) as file:
            there = set(file.schema_arrow.names)
            if not wanted <= there:
                missing = ", ".join(sorted(wanted - there))
                raise ConfigError(f"{path}: no column {missing}; columns there: {', '.join(sorted(there))}")
            for batch in file.iter_batches(columns=sorted(wanted)):
                yield from batch.to_pylist()
        return
    with _text(path) as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{path}:{number}: not JSON: {error}") from None
            if not isinstance(row, dict):
                raise ConfigError(f"{path}:{number}: expected an object, found {type(row).__name__}")
            yield row


def _text(path: Path) -> IO[str]:
    """Open a file of lines, decompressed."""
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8")
    if path.name.endswith(".zst"):
        return cast("IO[str]", zstandard.open(path, "rt", encoding="utf-8"))
    return path.open(encoding="utf-8")


def runs(text: str, characters: int) -> npt.NDArray[np.uint64]:
    """Hash all runs of so many letters and digits, compatibility forms folded (NFKC, case); none for a shorter text."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    points = np.frombuffer(folded.encode("utf-32-le"), dtype=np.uint32)
    distinct, where = np.unique(points, return_inverse=True)
    counted = np.array([chr(p).isalnum() for p in distinct], dtype=bool)
    points = points[counted[where]] if len(points) else points
    number = len(points) - characters + 1
    if number <= 0:
        return np.zeros(0, dtype=np.uint64)
    out = np.zeros(number, dtype=np.uint64)
    for i in range(characters):  # polynomial modulo 2^64, one character of all runs at a time
        out = out * np.uint64(0x9E3779B97F4A7C15) + points[i : i + number].astype(np.uint64)
    return out ^ (out >> np.uint64(29))


@dataclass
class Counts:
    """Counts of what became of a corpus's documents of one language; `bytes` and `characters` are of those kept."""

    read: int = 0
    of_heldout_site: int = 0
    overlapping: int = 0
    kept: int = 0
    bytes: int = 0
    characters: int = 0
    kept_with_shared_runs: int = 0


@dataclass
class Heldout:
    """Held-out text, and what of it a document holds.

    :ivar documents: of drawn sites, none twice, in an order that does not depend on that of the files.
    """

    documents: list[Document]
    overlap: OverlapOptions
    sites: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.sites = frozenset(d.site for d in self.documents if d.site)
        hashes = [np.unique(runs(d.text, self.overlap.characters)) for d in self.documents]
        owners = np.repeat(np.arange(len(hashes)), [len(h) for h in hashes])
        self._sizes = np.array([len(h) for h in hashes], dtype=np.int64)
        together = np.concatenate([np.zeros(0, dtype=np.uint64), *hashes])
        order = np.argsort(together, kind="stable")
        self._runs, self._owners = together[order], owners[order]

    def shared(self, text: str) -> tuple[float, int]:
        """Measure what a text shares with the held-out text.

        :returns: the larger of two shares, of the text's runs and of those of one held-out text; and the runs in both.
        """
        hashes = np.unique(runs(text, self.overlap.characters))
        begin, end = np.searchsorted(self._runs, hashes, "left"), np.searchsorted(self._runs, hashes, "right")
        hit = end > begin
        if not hit.any():
            return 0.0, 0
        places = np.concatenate([np.arange(b, e) for b, e in zip(begin[hit], end[hit], strict=True)])
        by_owner = np.bincount(self._owners[places], minlength=len(self._sizes))
        of_theirs = float((by_owner / np.maximum(1, self._sizes)).max())
        return max(float(hit.sum()) / len(hashes), of_theirs), int(hit.sum())

    def clean(
        self, documents: Iterator[Document], languages: Sequence[str]
    ) -> tuple[list[Document], dict[str, Counts]]:
        """Keep the documents of the languages that hold nothing of the held-out text, and count the others.

        :param languages: those of the held-out text; documents of others are not looked at.
        """
        kept: list[Document] = []
        counts = {language: Counts() for language in languages}
        for document in documents:
            if document.language not in counts:
                continue
            count = counts[document.language]
            count.read += 1
            if document.site in self.sites:
                count.of_heldout_site += 1
                continue
            share, common = self.shared(document.text)
            if share > self.overlap.max_share:
                count.overlapping += 1
                continue
            count.kept += 1
            count.kept_with_shared_runs += common > 0
            count.bytes += len(document.text.encode())
            count.characters += len(document.text)
            kept.append(document)
        return kept, counts


def draw(
    sources: Sequence[HeldoutSource], languages: Sequence[str], seed: int, max_bytes: int, min_bytes: int
) -> list[Document]:
    """Draw sites, and read their clean texts, cut to `max_bytes` of UTF-8 at a character, those below `min_bytes` left out.

    :raises ConfigError: a language without text.
    """
    texts: dict[int, Document] = {}
    for source in sources:
        for document in documents(source, kind=source.kind):
            name = digest64(document.site) >> 1
            if document.language not in languages or float(uniform(seed, name)[0]) >= source.share:
                continue
            text = document.text.encode()[:max_bytes].decode(errors="ignore")
            if len(text.encode()) >= min_bytes:
                cut = Document(text, document.language, document.site, document.kind)
                texts.setdefault(cut.digest, cut)
    for language in languages:
        if not any(d.language == language for d in texts.values()):
            raise ConfigError(f"no held-out text of language {language!r}")
    return [texts[k] for k in sorted(texts)]


def digest(documents: Sequence[Document]) -> str:
    """Hash texts and sites, whatever their order."""
    lines = sorted(f"{d.digest:016x} {d.language} {d.site} {d.kind}" for d in documents)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
