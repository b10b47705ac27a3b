"""Counts of the rules in a text, computed once for all of them.

A *word* is a run of letters with their marks, and digits, with inner apostrophes, hyphens, points and underscores ("don't",
"3.14"), or, in Chinese, a token of rjieba that begins with a letter or digit; punctuation is no word. A *line* is what stands
between newlines and is not blank; a *paragraph* what stands between blank lines.

Characters are code points. n-grams are of words, as in Gopher's table A1 (Rae et al. 2021); their characters are counted without
what stands between the words.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from importlib import resources

import numpy as np
import numpy.typing as npt
import rjieba
import yaml

from extraction.characters import HAN_AND_COMPATIBILITY
from extraction.kernels import compiled, is_wide_sentence_end
from pipeline.schema import Document

_MARKS_OF_LETTERS = "".join(
    chr(c)
    for c in range(0x300, 0x1E900)
    if unicodedata.category(chr(c)) in ("Mn", "Mc") and not 0x20D0 <= c < 0x2100 and not 0xFE00 <= c < 0xFE10
)
"""Vowels of Indic scripts and Thai, points of Hebrew and Arabic, accents: parts of a word that are no letters for `re`. Marks of
symbols, such as the selector of an emoji, are none."""

_PART = rf"[^\W_]++(?:[{_MARKS_OF_LETTERS}\u200c\u200d]++[^\W_]*+)*+"
_WORD = re.compile(rf"{_PART}(?:['’.\-_]{_PART})*")
_HAN = re.compile(f"[{HAN_AND_COMPATIBILITY}]")
_PARAGRAPHS = re.compile(r"\n{2,}")
LONGEST_TEXT = 2_000_000
"""Characters that are counted: a longer text is judged by its beginning."""


REMEMBERED = 32_000_000
"""Characters of texts whose statistics are kept for the next rule: a batch of usual pages has a twentieth of it."""

_recent: dict[tuple[str, str | None], TextStatistics] = {}
_recent_size = 0


def statistics(text: str, language: str | None) -> TextStatistics:
    """The statistics of a text. A batch of documents goes through all rules, so what one rule counted the next one finds."""
    global _recent_size
    stats = _recent.get((text, language))
    if stats is None:
        if _recent_size > REMEMBERED:
            forget()
        stats = _recent[text, language] = TextStatistics(text, language)
        _recent_size += len(text)
    return stats


def prose_statistics(doc: Document) -> TextStatistics:
    """The statistics of a document's lines that are not code, if it has others: short lines, lines that repeat and lines
    without a full stop say nothing of a program."""
    text = doc.text or ""
    if doc.line_tags and "code" in doc.line_tags:
        lines = text.split("\n")
        if len(lines) == len(doc.line_tags):
            text = "\n".join(line for line, tag in zip(lines, doc.line_tags, strict=True) if tag != "code") or text
    return statistics(text, doc.language)


_NOTE = re.compile(r"[\[［〔]\d{1,4}(?:\s*[-–,，、]\s*\d{1,4})*[\]］〕]")


LONGEST_NOTE = 200
"""Characters of a mark of footnotes, such as `[3]` or `[3, 7-9]`."""


def ends_sentence(line: str, signs: tuple[str, ...]) -> bool:
    """Whether a line ends with one of the signs; marks of footnotes (`[12]`) and a bracket may stand behind it."""
    if line.endswith(signs):
        return True
    if line.endswith(("]", "］", "〕")):
        return _without_notes(line).endswith(signs)
    return line.endswith((")", "）")) and line[:-1].rstrip().endswith(signs)


def _without_notes(line: str) -> str:
    """A line without the marks of footnotes at its end. They are looked for from there, so that no run of spaces or of marks is
    looked at twice."""
    end = len(line)
    while end and line[end - 1] in "]］〕":
        start = max(line.rfind(bracket, max(0, end - LONGEST_NOTE), end) for bracket in "[［〔")
        if start < 0 or not _NOTE.fullmatch(line, start, end):
            break
        end = start
        while end and line[end - 1].isspace():
            end -= 1
    return line[:end]


def forget() -> None:
    """Forget the statistics of all texts."""
    global _recent_size
    _recent.clear()
    _recent_size = 0


class TextStatistics:
    """Counts of one text, each made when it is first asked for."""

    def __init__(self, text: str, language: str | None) -> None:
        self.text = text[:LONGEST_TEXT]
        self.language = language

    @cached_property
    def lines(self) -> list[str]:
        """Lines that are not blank, without white space at their ends."""
        return [line for line in map(str.strip, self.text.split("\n")) if line]

    @cached_property
    def paragraphs(self) -> list[str]:
        text = self.text.strip()
        if "\n\n" not in text:
            return [text] if text else []
        return _PARAGRAPHS.split(text)

    @cached_property
    def is_chinese(self) -> bool:
        """Whether words come from Chinese segmentation: by the language, or a fifth of the first 1,000 characters are Han."""
        if self.language is not None:
            return self.language == "zh"
        head = self.text[:1000]
        return len(_HAN.findall(head)) * 5 > len(head)

    @cached_property
    def words(self) -> list[str]:
        if self.is_chinese:
            return [t for t in rjieba.cut(self.text) if t[0].isalnum()]
        return _WORD.findall(self.text)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Characters of each word."""
        return np.fromiter(map(len, self.words), np.int64, len(self.words))

    @cached_property
    def vocabulary(self) -> set[str]:
        """Distinct words, as they are written."""
        return set(self.words)

    @cached_property
    def lower(self) -> str:
        """The text in lower case."""
        return self.text.lower()

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """Digits (full-width ones too), ends of sentences before white space or in Chinese, characters of the longest stretch
        without a space or newline."""
        out = np.zeros(3, np.int64)
        _count(np.frombuffer(self.text.encode("utf-32-le", "surrogatepass"), np.uint32), out)
        return int(out[0]), int(out[1]), int(out[2])

    @cached_property
    def duplicate_lines(self) -> tuple[int, int]:
        """Lines that repeat an earlier one, and their characters."""
        return _duplicates(self.lines)

    @cached_property
    def duplicate_paragraphs(self) -> tuple[int, int]:
        return _duplicates(self.paragraphs)

    @cached_property
    def repeated_ngrams(self) -> npt.NDArray[np.float64]:
        """Shares of the text's characters, shape (9,): in the commonest 2-, 3- and 4-gram (if it occurs twice), then in
        5- to 10-grams that occurred before, overlaps counted once."""
        # Hashes of strings differ from process to process; only their equality is used.
        ids = np.fromiter(map(hash, self.words), np.int64, len(self.words))
        shares = np.zeros(9)
        _repeated(ids.view(np.uint64), self.lengths, shares)
        return np.minimum(shares / max(1, len(self.text)), 1.0)


def _duplicates(pieces: Sequence[str]) -> tuple[int, int]:
    seen: set[str] = set()
    count = characters = 0
    for piece in pieces:
        if piece in seen:
            count += 1
            characters += len(piece)
        else:
            seen.add(piece)
    return count, characters


@compiled("in:u4 io:i8")
def _count(codes, out):  # type: ignore[no-untyped-def]
    n = len(codes)
    digits = ends = longest = start = 0
    for i in range(n):
        c = codes[i]
        if c == 32 or c == 10:
            longest = max(longest, i - start)
            start = i + 1
        elif 48 <= c <= 57 or 0xFF10 <= c <= 0xFF19:
            digits += 1
        elif is_wide_sentence_end(c):
            ends += 1
        elif (c == 46 or c == 33 or c == 63) and i + 1 < n:
            after = codes[i + 1]
            # the mark may be followed by a quotation mark, or a point by a parenthesis
            closed = i + 2 < n and codes[i + 2] == 32 and (after == 34 or after == 0x201D or (after == 41 and c == 46))
            if after == 32 or closed:
                ends += 1
    out[0] = digits
    out[1] = ends
    out[2] = max(longest, n - start)


@compiled("in:u8 in:i8 io:f8")
def _repeated(ids, lengths, out):  # type: ignore[no-untyped-def]
    n_tokens = len(ids)
    size = 16
    while size < 2 * n_tokens + 2:
        size *= 2
    mask = np.uint64(size - 1)
    keys = np.zeros(size, np.uint64)
    counts = np.zeros(size, np.int64)
    stamps = np.zeros(size, np.int64)
    hashes = ids.copy()
    for n in range(2, 11):
        last = n_tokens - n + 1
        for i in range(last):  # the hash of n words from that of the first n - 1
            h = (hashes[i] ^ (hashes[i] >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
            hashes[i] = h ^ ids[i + n - 1]
        best = 1
        best_at = -1
        repeated = 0
        i = 0
        while i < last:
            h = hashes[i]
            slot = (h * np.uint64(11400714819323198485)) >> np.uint64(20) & mask
            while stamps[slot] == n and keys[slot] != h:
                slot = (slot + np.uint64(1)) & mask
            if stamps[slot] != n:
                stamps[slot] = n
                keys[slot] = h
                counts[slot] = 1
                i += 1
                continue
            counts[slot] += 1
            if n <= 4:
                if counts[slot] > best:
                    best = counts[slot]
                    best_at = i
                i += 1
            else:
                for j in range(n):
                    repeated += lengths[i + j]
                i += n
        if n <= 4:
            if best_at >= 0:
                characters = 0
                for j in range(n):
                    characters += lengths[best_at + j]
                out[n - 2] = characters * best
        else:
            out[n - 2] = repeated


@functools.cache
def word_list(name: str) -> dict[str, list[str]]:
    """A list of `word_lists/` by language."""
    text = resources.files("pipeline.rule_based").joinpath("word_lists", f"{name}.yaml").read_text(encoding="utf-8")
    words: dict[str, list[str]] = {k: [str(w) for w in v] for k, v in yaml.safe_load(text).items()}
    return words
