"""Decontamination: n-grams that a document shares with test sets.

A test set's items are cut into n-grams of words (spaced scripts) or of characters (Chinese), over text without punctuation, case
and line breaks (`extraction.text.identity_form`). What a document shares with an item is found by hash and then compared as text.
"""

from __future__ import annotations

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import fsspec
import numpy as np
import numpy.typing as npt
import regex
from pydantic import Field

from extraction.kernels import FNV64_START, compiled, fnv1a_64
from extraction.text import lines
from pipeline.lines import cut_lines
from pipeline.rule_based.minhash_text import identity_forms, mix64
from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep
from pipeline.strict import Strict

Mode = Literal["words", "characters"]
MODES: tuple[Mode, Mode] = ("words", "characters")
_HAN = regex.compile(r"\p{Han}")


class TestSet(Strict):
    """A file of test items: JSONL, one object a line."""

    __test__: ClassVar[bool] = False  # the name is no invitation to pytest

    path: str = Field(description="file or URL, also .gz, .zst")
    name: str = Field(description="what reports call it")
    fields: list[str] = Field(description="fields whose texts, joined, are the item")
    id: str | None = Field(None, description="field with the item's id; the line number if not given")


class Decontaminate(DocumentStep):
    """Drop documents that hold n-grams of test items, or cut the lines that do.

    13 words are GPT-3's (Brown et al. 2020, appendix C); 20 characters say about as much in Chinese. An item that is shorter is
    looked for as a whole, from `shortest_words` or `shortest_characters` on; shorter ones are not searchable and are
    reported. n-grams of more than `max_items` items are instructions that they share, and do not count. What was found is
    kept in `findings`: the item, the line, the number of n-grams.
    """

    step: Literal["decontaminate"] = "decontaminate"
    source: ClassVar[str] = "GPT-3 (Brown et al. 2020), appendix C"
    test_sets: list[TestSet] = Field(default_factory=list, description="without any the step does nothing")
    action: Literal["drop", "cut"] = Field("drop", description="drop the document, or cut the lines that overlap")
    words: int = Field(13, gt=1, description="words of an n-gram")
    characters: int = Field(20, gt=1, description="characters of an n-gram of Chinese items")
    shortest_words: int = Field(8, gt=0, description="words that an item needs to be searched for as a whole")
    shortest_characters: int = Field(14, gt=0, description="characters that a Chinese item needs")
    min_share: float = Field(
        0, ge=0, le=1, description="share of an item's n-grams that must be there; 0: one is enough"
    )
    max_items: int = Field(10, gt=0, description="n-grams in more items are left out")

    @property
    def idle(self) -> bool:
        return not self.test_sets

    def resources(self) -> list[str]:
        return [s.path for s in self.test_sets]

    def check(self) -> None:
        index(self.model_dump_json())

    def load(self) -> None:
        index(self.model_dump_json())

    def __call__(self, doc: Document) -> Document | Drop:
        if not self.test_sets or not doc.text:
            return doc
        hits = index(self.model_dump_json()).search(doc.text)
        if not hits:
            return doc
        findings = [
            {"step": self.step, "name": hit.item.name, "line": line, "count": n}
            for hit in hits
            for line, n in sorted(hit.lines.items())
        ]
        counted = [hit for hit in hits if len(hit.positions) >= self.min_share * hit.item.searchable]
        doc = doc.evolve(findings=[*(doc.findings or ()), *findings])
        if not counted:
            return doc
        if self.action == "drop":
            return Drop("contaminated", value=counted[0].item.name)
        cut = cut_lines(doc, self.step, {line for hit in counted for line in hit.lines})
        return cut if (cut.text or "").strip() else Drop("no_text_left", value=counted[0].item.name)


@dataclass
class Item:
    """A test item and its units (words or characters)."""

    name: str
    mode: Mode
    units: list[bytes]
    n: int
    searchable: int = 0
    """n-grams that count."""


@dataclass
class Hit:
    """Overlap of a document with an item: which of its n-grams, and on which lines how many of them begin or go on."""

    item: Item
    positions: set[int] = field(default_factory=set)
    lines: Counter[int] = field(default_factory=Counter)


@dataclass
class _Table:
    """The n-grams of one mode and length: sorted hashes, and of each where it stands (item, position)."""

    hashes: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    filter: npt.NDArray[np.uint8]
    """One byte for each value of the hashes' lowest bits: 0 if none has them."""


class Index:
    """The n-grams of all items of some test sets. About 50 bytes an n-gram."""

    def __init__(self, step: Decontaminate) -> None:
        self.items: list[Item] = []
        self.sets: Counter[str] = Counter()
        self.not_searchable: dict[str, list[str]] = defaultdict(list)
        for test_set in step.test_sets:
            for name, text in _read(test_set):
                self.sets[test_set.name] += 1
                mode: Mode = "characters" if 2 * len(_HAN.findall(text)) > len(text.replace(" ", "")) else "words"
                units = _units_of(text, mode)
                n, shortest = (
                    (step.words, step.shortest_words)
                    if mode == "words"
                    else (step.characters, step.shortest_characters)
                )
                if len(units) < min(n, shortest):
                    self.not_searchable[test_set.name].append(name)
                else:
                    self.items.append(Item(name, mode, units, min(n, len(units))))
        self.tables = {
            key: self._table(*key, step.max_items) for key in sorted({(item.mode, item.n) for item in self.items})
        }

    def _table(self, mode: Mode, n: int, max_items: int) -> _Table:
        hashes, numbers, positions = [], [], []
        for number, item in enumerate(self.items):
            if (item.mode, item.n) != (mode, n):
                continue
            data = np.frombuffer(b"".join(item.units), np.uint8)
            ends = np.cumsum([len(u) for u in item.units])
            of_units = np.empty(len(item.units), np.uint64)
            _hash_units(data, np.concatenate([[0], ends[:-1]]).astype(np.int64), ends.astype(np.int64), of_units)
            of_item = np.empty(len(item.units) - n + 1, np.uint64)
            _ngrams(of_units, n, of_item)
            hashes.append(of_item)
            numbers.append(np.full(len(of_item), number, np.int64))
            positions.append(np.arange(len(of_item)))
        h, i, p = np.concatenate(hashes), np.concatenate(numbers), np.concatenate(positions)
        order = np.lexsort((p, i, h))
        h, i, p = h[order], i[order], p[order]
        new = np.concatenate([[True], h[1:] != h[:-1]])
        group = np.cumsum(new) - 1
        # Distinct items of each n-gram; what too many share is left out.
        first = np.concatenate([[True], (h[1:] != h[:-1]) | (i[1:] != i[:-1])])
        wanted = (np.bincount(group, weights=first) <= max_items)[group]
        h, i, p = h[wanted], i[wanted], p[wanted]
        for number in i.tolist():
            self.items[number].searchable += 1
        new = np.concatenate([[True], h[1:] != h[:-1]]) if len(h) else np.zeros(0, bool)
        starts = np.append(np.flatnonzero(new), len(h)).astype(np.int64)
        bits = max(10, len(starts).bit_length() + 4)
        filter_ = np.zeros(1 << bits, np.uint8)
        filter_[(h & np.uint64((1 << bits) - 1)).astype(np.int64)] = 1
        return _Table(h[new], starts, i, p, filter_)

    @property
    def bytes(self) -> int:
        """Memory of the tables."""
        return sum(a.nbytes for t in self.tables.values() for a in (t.hashes, t.starts, t.items, t.positions, t.filter))

    def search(self, text: str) -> list[Hit]:
        """Items of which a text holds n-grams, those with most of them first."""
        hits: dict[int, Hit] = {}
        for mode in MODES:
            keys = [key for key in self.tables if key[0] == mode]
            if not keys or (mode == "characters" and not _HAN.search(text)):
                continue
            data, begins, ends, unit_lines = _document_units(text, mode)
            of_units = np.empty(len(begins), np.uint64)
            _hash_units(data, begins, ends, of_units)
            for key in keys:
                self._search_table(key, data, (begins, ends, unit_lines, of_units), hits)
        return sorted(hits.values(), key=lambda h: (-len(h.positions), h.item.name))

    def _search_table(self, key: tuple[Mode, int], data: Any, units: Any, hits: dict[int, Hit]) -> None:
        table, n = self.tables[key], key[1]
        begins, ends, unit_lines, of_units = units
        if len(of_units) < n or not len(table.hashes):
            return
        grams = np.empty(len(of_units) - n + 1, np.uint64)
        _ngrams(of_units, n, grams)
        likely = np.flatnonzero(table.filter[(grams & np.uint64(len(table.filter) - 1)).astype(np.int64)])
        at = np.searchsorted(table.hashes, grams[likely])
        at[at == len(table.hashes)] = 0
        same = table.hashes[at] == grams[likely]
        for start, slot in zip(likely[same].tolist(), at[same].tolist(), strict=True):
            here = [data[begins[k] : ends[k]].tobytes() for k in range(start, start + n)]
            for k in range(table.starts[slot], table.starts[slot + 1]):
                number, position = int(table.items[k]), int(table.positions[k])
                item = self.items[number]
                if item.units[position : position + n] != here:  # another text with this hash
                    continue
                hit = hits.setdefault(number, Hit(item))
                hit.positions.add(position)
                hit.lines.update({int(line) for line in unit_lines[start : start + n]})


@functools.lru_cache(maxsize=2)
def index(step: str) -> Index:
    """The worker process's one index of a step (as JSON).

    :raises ValueError: if a file is not as it must be, with file and line.
    """
    return Index(Decontaminate.model_validate_json(step))


def _read(test_set: TestSet) -> Iterator[tuple[str, str]]:
    """Name and text of the items of a file."""
    with fsspec.open(test_set.path, "rb", compression="infer") as f:
        for number, line in enumerate(f, 1):
            if not line.strip():
                continue
            where = f"{test_set.path}, line {number}"
            try:
                row = json.loads(line)
            except ValueError as e:
                raise ValueError(f"{where}: not JSON: {e}") from e
            if not isinstance(row, dict):
                raise ValueError(f"{where}: expected an object, found {type(row).__name__}")
            missing = [n for n in [*test_set.fields, *([test_set.id] if test_set.id else [])] if n not in row]
            if missing:
                raise ValueError(f"{where}: no field {', '.join(map(repr, missing))}; found {', '.join(row)}")
            text = " ".join(_text(row[n]) for n in test_set.fields)
            yield f"{test_set.name}:{row[test_set.id] if test_set.id else number}", text


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return "" if value is None else str(value)


def _units_of(text: str, mode: Mode) -> list[bytes]:
    data, begins, ends, _ = _document_units(text, mode)
    return [data[a:b].tobytes() for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]


def _document_units(text: str, mode: Mode) -> tuple[Any, Any, Any, Any]:
    """Normalised text as UTF-8, and of each unit its begin, its end and its line."""
    data, offsets = identity_forms(lines(text))
    begins = np.empty(len(data), np.int64)
    ends = np.empty(len(data), np.int64)
    unit_lines = np.empty(len(data), np.int64)
    count = np.zeros(1, np.int64)
    _split(data, offsets, mode == "characters", begins, ends, unit_lines, count)
    n = int(count[0])
    return data, begins[:n], ends[:n], unit_lines[:n]


@compiled("in:u1 in:i8 b1 io:i8 io:i8 io:i8 io:i8")
def _split(data, offsets, by_character, begins, ends, unit_lines, count):  # type: ignore[no-untyped-def]
    n = 0
    for line in range(len(offsets) - 1):
        i, stop = offsets[line], offsets[line + 1]
        while i < stop:
            if data[i] == 32:
                i += 1
                continue
            start = i
            if by_character:
                i += 1
                while i < stop and data[i] & 0xC0 == 0x80:
                    i += 1
            else:
                while i < stop and data[i] != 32:
                    i += 1
            begins[n], ends[n], unit_lines[n] = start, i, line
            n += 1
    count[0] = n


@compiled("in:u1 in:i8 in:i8 io:u8")
def _hash_units(data, begins, ends, out):  # type: ignore[no-untyped-def]
    for k in range(len(begins)):
        h = FNV64_START
        for i in range(begins[k], ends[k]):
            h = fnv1a_64(h, data[i])
        out[k] = mix64(h)


@compiled("in:u8 i8 io:u8")
def _ngrams(units, n, out):  # type: ignore[no-untyped-def]
    base = np.uint64(0x9E3779B97F4A7C15)
    power = np.uint64(1)
    for _ in range(n):
        power *= base
    h = np.uint64(0)
    for i in range(len(units)):
        h = h * base + units[i]
        if i >= n:
            h -= power * units[i - n]
        if i >= n - 1:
            out[i - n + 1] = mix64(h)


__all__ = ["Decontaminate", "Hit", "Index", "Item", "TestSet", "index"]
