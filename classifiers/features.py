"""What the small classifiers see of a page: hashed words of four fields, and numbers about its lines. numpy and numba alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from classifiers.base import Batch
from extraction.kernels import FNV_START, compiled, fnv1a, is_cjk_or_supplementary, utf8_point, utf8_size
from extraction.lines import scan_text
from extraction.lines import tags as t
from extraction.lines.columns import L

FIELDS = ("address", "title", "signals", "text")
BITS = 17
MAX_WORDS = 2000
"""Words of a text that are hashed: the beginning of a page tells what it is."""

MAX_CHARACTERS = 40_000
"""Characters of a text that are looked at."""

KINDS = ("p", "li", "quote", "code", "tr", "h1", "h2", "h3", "h4", "h5", "h6")
LINE_COLUMNS = (
    "lines", "characters", "length", "CJK", "stop words", "upper case", "digits", "signs", "commas", "sentence ends", "pipes",
    "lines that end as a sentence", "prose lines", "characters in prose", "short lines",
    "length 10 %", "length 25 %", "length 50 %", "length 75 %", "length 90 %", "longest", "spread",
    "link share", "link lines", "characters in links", "known tags",
    "p", "li", "quote", "code", "tr", "headings", "characters in code", "characters in li", "characters in tr",
    "repeated lines", "characters in repeated lines", "different words", "different words in 300", "repeated 4-grams",
    "commonest word", "lines that end with a colon", "lines that begin with a digit", "first line", "last line",
    "longest run of prose", "length per heading", "words hashed",
)  # fmt: skip
PAGE_COLUMNS = (
    "address known", "address depth", "address length", "address digits", "query", "root", "hyphens", "file", "year in address",
    "title known", "title length", "signals known", "schema types", "og type",
)  # fmt: skip
COLUMNS = (*LINE_COLUMNS, *PAGE_COLUMNS)
"""Names of the dense columns."""

_KIND = {name: i for i, name in enumerate(KINDS)}
_MASK = (1 << BITS) - 1
_LOWER, _UPPER, _DIGIT, _LEAD, _TRAIL = t.LOWER, t.UPPER, t.DIGIT, t.LEAD, t.TRAIL


@dataclass(frozen=True, slots=True)
class Features:
    """n pages. `dense` float32 (n, len(COLUMNS)); `hashes` uint32: those of field f of page i are
    `hashes[starts[4 * i + f]:starts[4 * i + f + 1]]`, without repetition, each below 2**BITS."""

    dense: npt.NDArray[np.float32]
    hashes: npt.NDArray[np.uint32]
    starts: npt.NDArray[np.int64]


def features_of(batch: Batch) -> Features:
    """Features of a batch, page by page."""
    n = len(batch)
    nothing: list[Any] = [None] * n
    urls, titles = batch.urls or nothing, batch.titles or nothing
    all_signals = batch.page_signals or nothing
    dense = np.zeros((n, len(COLUMNS)), np.float32)
    pieces: list[bytes] = []
    lines: list[str] = []
    counts = np.zeros(n + 1, np.int64)
    for i, text in enumerate(batch.texts):
        url, title, signals = urls[i], titles[i], all_signals[i]
        text = text[:MAX_CHARACTERS]
        text_lines = text.split("\n")
        lines += text_lines
        counts[i + 1] = len(text_lines)
        pieces += [address_words(url), (title or "").encode("utf-8", "replace"), signal_words(signals)]
        pieces.append(text.encode("utf-8", "replace"))
        dense[i, len(LINE_COLUMNS) :] = page_numbers(url, title, signals)
    scan = scan_text(lines)
    first = np.cumsum(counts)
    kinds, links = _per_line(batch, counts[1:])
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    data = np.frombuffer(b"".join(pieces), np.uint8)
    hashes = np.empty(2 * (MAX_WORDS + 1) * 4 * n if n else 1, np.uint32)
    starts = np.zeros(4 * n + 1, np.int64)
    words = np.zeros((n, 5), np.float32)
    _hash_words(data, ends, t.CLASSES, hashes, starts, words)
    _line_numbers(scan.lines, first, kinds, links, words, dense)
    return Features(dense, hashes[: starts[-1]].copy(), starts)


def joined(parts: Sequence[Features]) -> Features:
    """Features of several batches, one after the other."""
    starts = [parts[0].starts[:1]]
    for part in parts:
        starts.append(part.starts[1:] + starts[-1][-1])
    dense = np.concatenate([part.dense for part in parts])
    return Features(dense, np.concatenate([part.hashes for part in parts]), np.concatenate(starts))


def _per_line(batch: Batch, counts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Kind and link share of every line; -1 and 0 where they are not known, or are of fewer lines. Paragraphs alone, without a
    link, are what preparation makes of a text without HTML: their kinds count as not known."""
    kinds: list[int] = []
    links: list[float] = []
    tags, shares = batch.line_tags, batch.line_link_share
    for i, n in enumerate(counts.tolist()):
        own_tags = tags[i] if tags is not None else None
        own_links = shares[i] if shares is not None else None
        own_links = own_links[:n] if own_links is not None and len(own_links) >= n else [0.0] * n
        own_kinds = [_KIND.get(tag, 0) for tag in own_tags[:n]] if own_tags is not None and len(own_tags) >= n else []
        kinds += own_kinds if own_kinds and (any(own_kinds) or any(own_links)) else [-1] * n
        links += own_links
    return np.array(kinds, np.int8), np.array(links, np.float32)


def address_words(url: str | None) -> bytes:
    """An address as words: those of the host and those of the path apart, and its form."""
    if not url:
        return b""
    host, _, path = url.partition("://")[2].partition("/")
    path, _, query = path.partition("?")
    host = host.lower().removeprefix("www.")
    parts = path.split("/")
    last = parts[-1]
    words = ["at" + w for w in host.replace("-", ".").split(".")[:-1]]
    words += ["in" + p for p in parts[:-1]]
    words += [path.replace("/", " ").replace("-", " ").replace("_", " ")]
    if query:
        words += ["ask" + q.partition("=")[0] for q in query.split("&")]
    words.append("file" + last.rpartition(".")[2] if "." in last else "nofile")
    return " ".join(words).encode("utf-8", "replace")


def signal_words(signals: Mapping[str, Any] | None) -> bytes:
    """Signals of a page as words: {"og_type": "video.movie"} is b"ogvideomovie"."""
    if not signals:
        return b""
    words = [f"schema{name}" for name in signals.get("schema_types") or ()]
    if signals.get("og_type"):
        words.append("og" + str(signals["og_type"]).replace(":", "").replace(".", ""))
    return " ".join(words).encode("utf-8", "replace")


def page_numbers(url: str | None, title: str | None, signals: Mapping[str, Any] | None) -> list[float]:
    """Numbers of the columns PAGE_COLUMNS."""
    out = [0.0] * 9
    if url:
        path, _, query = url.partition("://")[2].partition("/")[2].partition("?")
        parts = path.split("/")
        digits = sum(c.isdigit() for c in path)
        out = [
            1.0,
            float(len([p for p in parts if p])),
            float(len(path)),
            float(digits),
            float(bool(query)),
            float(not path),
            float(max(p.count("-") for p in parts)),
            float("." in parts[-1]),
            float(any(len(p) == 4 and p[:2] in ("19", "20") and p.isdigit() for p in parts)),
        ]
    signals = signals or {}
    return [
        *out,
        float(bool(title)),
        float(len(title or "")),
        float(bool(signals)),
        float(len(signals.get("schema_types") or ())),
        float(bool(signals.get("og_type"))),
    ]


@numba.njit
def _finished(value: Any) -> Any:
    """Spread a hash over all its bits: FNV leaves the upper ones of short words alike."""
    value = np.uint32(value)
    value ^= value >> np.uint32(16)
    value = np.uint32(value * np.uint32(2246822507))
    value ^= value >> np.uint32(13)
    value = np.uint32(value * np.uint32(3266489909))
    return value ^ (value >> np.uint32(16))


@compiled("in:u1 in:i8 in:u1 io:u4 io:i8 io:f4*")
def _hash_words(data, ends, classes, out, starts, numbers):  # type: ignore[no-untyped-def]
    """Hashes of words and pairs of neighbours of each piece, four pieces (FIELDS) a page; a CJK character is a word.

    `numbers` (pages, 5): of the text: share of different words, the same in its first 300, share of 4-grams that came
    before, share of the commonest word, number of words.
    """
    words = np.empty(MAX_WORDS, np.uint32)
    k = 0
    begin = 0
    for piece in range(len(ends)):
        field = piece % 4
        n = 0
        p = begin
        end = ends[piece]
        begin = end
        h = FNV_START
        inside = False
        while p < end and n < MAX_WORDS:
            c = np.int64(data[p])
            kind = classes[data[p]]
            if kind == _LOWER or kind == _UPPER:
                h = fnv1a(h, c | 32)
                inside = True
                p += 1
                continue
            if kind == _DIGIT:
                h = fnv1a(h, 48)
                inside = True
                p += 1
                continue
            if kind == _LEAD:
                size = utf8_size(c)
                if p + size > end:
                    break
                if size == 2:
                    h = fnv1a(fnv1a(h, c), data[p + 1])
                    inside = True
                    p += size
                    continue
                if inside:
                    words[n] = h
                    n += 1
                    inside = False
                    h = FNV_START
                if n < MAX_WORDS and is_cjk_or_supplementary(utf8_point(data, p, size)):
                    for q in range(p, p + size):
                        h = fnv1a(h, data[q])
                    words[n] = h
                    n += 1
                    h = FNV_START
                p += size
                continue
            if inside:
                words[n] = h
                n += 1
                inside = False
                h = FNV_START
            p += 1
        if inside and n < MAX_WORDS:
            words[n] = h
            n += 1
        starts[piece] = k
        for i in range(n):
            out[k + i] = _finished(fnv1a(words[i], 7 + field)) & np.uint32(_MASK)
        for i in range(1, n):
            out[k + n + i - 1] = _finished(fnv1a(fnv1a(_finished(words[i - 1]), words[i]), 77 + field)) & np.uint32(
                _MASK
            )
        total = max(0, 2 * n - 1)
        if field == 3 and n > 0:
            numbers[piece // 4, 4] = n
            first = np.sort(words[: min(n, 300)])
            different = 1
            for i in range(1, len(first)):
                different += first[i] != first[i - 1]
            numbers[piece // 4, 1] = different / len(first)
            whole = np.sort(words[:n])
            different = longest = run = 1
            for i in range(1, n):
                if whole[i] == whole[i - 1]:
                    run += 1
                else:
                    different += 1
                    run = 1
                longest = max(longest, run)
            numbers[piece // 4, 0] = different / n
            numbers[piece // 4, 3] = longest / n
            if n > 8:
                grams = np.empty(n - 3, np.uint32)
                for i in range(n - 3):
                    grams[i] = fnv1a(fnv1a(fnv1a(_finished(words[i]), words[i + 1]), words[i + 2]), words[i + 3])
                grams = np.sort(grams)
                repeated = 0
                for i in range(1, len(grams)):
                    repeated += grams[i] == grams[i - 1]
                numbers[piece // 4, 2] = repeated / len(grams)
        if total:
            hashes = np.sort(out[k : k + total])
            kept = 0
            for i in range(total):
                if i == 0 or hashes[i] != hashes[i - 1]:
                    out[k + kept] = hashes[i]
                    kept += 1
            k += kept
    starts[len(ends)] = k


@compiled("in:i4* in:i8 in:i1 in:f4 in:f4* io:f4*")
def _line_numbers(lines, first, kinds, links, words, out):  # type: ignore[no-untyped-def]
    """Fill LINE_COLUMNS of each page; its lines are [first[i], first[i + 1])."""
    for page in range(len(first) - 1):
        a, b = first[page], first[page + 1]
        n = b - a
        x = out[page]
        length = np.empty(n, np.float64)
        sums = np.zeros(12, np.float64)
        prose = prose_characters = ended = short = colons = digits = linked = link_characters = headings = 0.0
        run = longest_run = 0.0
        by_kind = np.zeros(6, np.float64)
        of_kind = np.zeros(6, np.float64)
        known = 0.0
        hashes = np.empty(n, np.int64)
        for i in range(n):
            line = lines[a + i]
            characters = float(line[L.CHARACTERS])
            words_of_line = line[L.WORDS] + 0.6 * line[L.CJK]
            length[i] = words_of_line
            sums[0] += characters
            sums[1] += words_of_line
            sums[2] += line[L.CJK]
            sums[3] += line[L.STOP_WORDS]
            sums[4] += line[L.UPPER]
            sums[5] += line[L.DIGITS]
            sums[6] += line[L.PUNCTUATION] + line[L.CJK_PUNCTUATION]
            sums[7] += line[L.COMMAS]
            sums[8] += line[L.SENTENCE_ENDS]
            sums[9] += line[L.PIPES]
            sums[10] += line[L.WORDS]
            ended += line[L.LAST] == 3
            colons += line[L.LAST] == 4
            digits += line[L.FIRST] == _DIGIT
            short += words_of_line < 5
            if line[L.SENTENCE_ENDS] + line[L.COMMAS] > 0 and words_of_line >= 10 and links[a + i] < 0.5:
                prose += 1
                prose_characters += characters
                run += 1
                longest_run = max(longest_run, run)
            else:
                run = 0.0
            sums[11] += links[a + i]
            linked += links[a + i] > 0.5
            link_characters += links[a + i] * characters
            kind = kinds[a + i]
            if kind >= 0:
                known = 1.0
                kind = min(kind, 5)
                by_kind[kind] += 1
                of_kind[kind] += characters
                headings += kind == 5
            hashes[i] = np.int64(line[L.HASH]) << 32 | a + i
        characters = max(1.0, sums[0])
        total = max(1.0, sums[1])
        hashes = np.sort(hashes)
        repeated = repeated_characters = 0.0
        for i in range(1, n):
            if hashes[i] >> 32 == hashes[i - 1] >> 32:
                repeated += 1
                repeated_characters += lines[hashes[i] & 0xFFFFFFFF, L.CHARACTERS]
        ordered = np.sort(length)
        mean = sums[1] / n
        spread = 0.0
        for i in range(n):
            spread += (length[i] - mean) ** 2
        x[0] = np.log1p(float(n))
        x[1] = np.log1p(sums[0])
        x[2] = np.log1p(sums[1])
        x[3] = sums[2] / characters
        x[4] = sums[3] / max(1.0, sums[10])
        x[5] = sums[4] / characters
        x[6] = sums[5] / characters
        x[7] = sums[6] / characters
        x[8] = sums[7] / total
        x[9] = sums[8] / total
        x[10] = sums[9] / characters
        x[11] = ended / n
        x[12] = prose / n
        x[13] = prose_characters / characters
        x[14] = short / n
        x[15] = np.log1p(ordered[n // 10])
        x[16] = np.log1p(ordered[n // 4])
        x[17] = np.log1p(ordered[n // 2])
        x[18] = np.log1p(ordered[3 * n // 4])
        x[19] = np.log1p(ordered[9 * n // 10])
        x[20] = np.log1p(ordered[n - 1])
        x[21] = np.sqrt(spread / n) / (mean + 1.0)
        x[22] = sums[11] / n
        x[23] = linked / n
        x[24] = link_characters / characters
        x[25] = known
        for kind in range(6):
            x[26 + kind] = by_kind[kind] / n
        x[32] = of_kind[3] / characters
        x[33] = of_kind[1] / characters
        x[34] = of_kind[4] / characters
        x[35] = repeated / n
        x[36] = repeated_characters / characters
        x[37] = words[page, 0]
        x[38] = words[page, 1]
        x[39] = words[page, 2]
        x[40] = words[page, 3]
        x[41] = colons / n
        x[42] = digits / n
        x[43] = np.log1p(length[0])
        x[44] = np.log1p(length[n - 1])
        x[45] = longest_run / n
        x[46] = np.log1p(sums[1] / (headings + 1.0))
        x[47] = np.log1p(words[page, 4])


def field_hashes(
    features: Features, rows: Sequence[int], field: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Hashes of one field of some pages, one after the other, and where each begins; for training."""
    spans = [(features.starts[4 * i + field], features.starts[4 * i + field + 1]) for i in rows]
    starts = np.cumsum([0, *(b - a for a, b in spans)]).astype(np.int64)
    parts = [features.hashes[a:b] for a, b in spans]
    return (np.concatenate(parts) if parts else np.zeros(0, np.uint32)), starts
