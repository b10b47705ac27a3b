"""One pass over the bytes of a page: its block-level lines, with counts, and the elements that they stand in.

The rules are those of the HTML standard for tokens and for building a tree, but no tree is built: a stack of open
elements is all there is, at most `MAX_DEPTH` deep, so that every step is bounded and the pass is linear in the size of
the page. Where that differs from a browser's tree: formatting that a block cut off is not opened again behind it; text
between the cells of a table stays where it is. Memory: about 200 bytes for each `<` of the page and 4 for each of its
bytes, most of it never touched.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from extraction.kernels import compiled
from extraction.lines import tags as t

MAX_DEPTH = 512
"""Open elements; what is nested deeper belongs to the deepest of them. Browsers have the same bound."""

MAX_TOKENS = 20
"""Sub-words of attributes kept for an element."""

MAX_WORDS = 24
"""Words kept of a line (of each cell, in a row)."""

MAX_CELL_LINES = 3
"""A row with a cell of more lines than this is layout."""

# Columns of `elements`.
(
    E_TAG,
    E_PARENT,
    E_DEPTH,
    E_TOKEN0,  # tokens [E_TOKEN0, E_TOKEN1)
    E_TOKEN1,
    E_PATH,  # hash of the tags and first classes from the root to here
    E_NAME,  # hash of the name, for tags that are not known
    E_INDEX,  # li: number in its list; td, th: number in its row; from 0
    E_COUNT,  # ol, ul: number of the next item; tr: cells so far
    E_LISTS,  # lists around it
    E_MARKED,  # li: whether one of its lines has the marker
) = range(11)
E_COLUMNS = 11

# Columns of `lines`.
(
    L_CHUNK0,  # chunks [L_CHUNK0, L_CHUNK1)
    L_CHUNK1,
    L_ELEMENT,  # innermost element of the beginning
    L_BLOCK,  # innermost block element
    L_ROW,  # innermost tr, or -1
    L_KIND,  # K_...
    L_MARKER,  # first line of a list item: n + 1 in an ordered list, -1 in another; else 0
    L_LISTS,  # lists around it
    L_CHARACTERS,  # code points, white space aside
    L_LINK_CHARACTERS,
    L_LINKS,  # chunks in links
    L_WORDS,  # Latin words
    L_STOP_WORDS,
    L_LOWER,
    L_UPPER,
    L_DIGITS,
    L_PUNCTUATION,
    L_CJK,
    L_CJK_PUNCTUATION,
    L_COMMAS,
    L_SENTENCE_ENDS,
    L_PIPES,
    L_BOLD,  # characters in b or strong
    L_BREAKS,  # <br> before it
    L_IMAGES,  # images before it
    L_INPUTS,  # form fields and other empty elements before it
    L_FIRST,  # class of its first character
    L_LAST,  # of its last: 1 letter, 2 digit, 3 end of a sentence, 4 colon, 5 other sign, 6 CJK, 7 other
    L_WORD0,  # words [L_WORD0, L_WORD1)
    L_WORD1,
    L_TITLE,  # of these, how many stand in <title>
    L_HASH,  # of all its words
) = range(32)
L_COLUMNS = 32

K_P, K_LI, K_QUOTE, K_CODE, K_ROW, K_H1 = 0, 1, 2, 3, 4, 5  # K_H1 + n is the heading of level n + 1
TAGS = ("p", "li", "quote", "code", "tr", "h1", "h2", "h3", "h4", "h5", "h6")
"""Names of the kinds."""

JOINED, SPACED, NEW_LINE, NEW_CELL = 0, 1, 2, 3
"""What stands before a chunk; NEW_CELL + n: n empty cells too."""

FNV = np.uint32(16777619)
FNV_START = np.uint32(2166136261)

# Plain numbers for the compiled code.
_A, _BODY, _BR, _BUTTON, _DD, _DT, _DL, _HEAD, _HTML, _IMG, _LI, _OL, _OPTION, _OPTGROUP, _P = (
    t.TAG[n] for n in "a body br button dd dt dl head html img li ol option optgroup p".split()
)
_RB, _RP, _RT, _RTC, _SCRIPT, _SELECT, _SVG, _MATH, _TABLE, _TD, _TEXTAREA, _TH, _TITLE, _TR, _UL, _XMP, _PLAINTEXT = (
    t.TAG[n] for n in "rb rp rt rtc script select svg math table td textarea th title tr ul xmp plaintext".split()
)
_ADDRESS, _DIV, _BLOCKQUOTE, _Q, _IMAGE, _INPUT, _FOREIGN, _CAPTION, _TEMPLATE, _H1 = (
    t.TAG[n] for n in "address div blockquote q image input foreignobject caption template h1".split()
)
_AT_CLASS, _AT_ID, _AT_ROLE, _AT_PROPERTY, _AT_HIDDEN, _AT_HREF, _AT_ARIA, _AT_STYLE, _AT_TYPE, _AT_START, _AT_VALUE = (
    range(1, 12)
)
_BLOCK, _VOID, _RAW, _CLOSES_P, _FORMAT, _SPECIAL, _SCOPE = (
    t.BLOCK,
    t.VOID,
    t.RAW,
    t.CLOSES_P,
    t.FORMAT,
    t.SPECIAL,
    t.SCOPE,
)
_IN_HEAD, _BREAKOUT, _IS_HEADING, _IS_CELL, _ROW_GROUP = t.IN_HEAD, t.BREAKOUT, t.HEADING, t.CELL, t.ROW_GROUP
_F_A, _F_PRE, _F_BOLD, _F_SVG, _F_SELECT, _F_LI, _F_CELL, _F_QUOTE = (
    t.FLAG[n] for n in ("a", "pre", "strong", "svg", "select", "li", "td", "blockquote")
)
_F_HEADING, _F_HIDDEN, _F_ARIA, _F_HREF, _INVISIBLE = t.IN_HEADING, t.HIDDEN, t.ARIA_HIDDEN, t.HREF, t.INVISIBLE
_LOWER, _UPPER, _DIGIT, _SPACE, _PUNCTUATION, _LEAD, _TRAIL = 1, 2, 3, 4, 5, 6, 7
MAX_JSON_LD = 64


@dataclass(frozen=True, slots=True)
class Scan:
    """What `scan` found in a page.

    `elements` (n, E_COLUMNS) int32 in the order of their start tags, element 0 is the root; `flags` (n,) int64, the bits of
    `tags.FLAGS`, `tags.HIDDEN` and so on that hold in an element; `tokens` uint32, hashes of the sub-words of class, id, role and
    itemprop; `chunks` (m, 3) int32: first byte, end, what stands before; `lines` (l, L_COLUMNS) int32; `words` uint32, hashes;
    `title` the bytes of the first <title>; `json_ld` (k, 2) int32, the bytes of scripts of that type.
    """

    elements: npt.NDArray[np.int32]
    flags: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.uint32]
    chunks: npt.NDArray[np.int32]
    lines: npt.NDArray[np.int32]
    words: npt.NDArray[np.uint32]
    title: tuple[int, int]
    json_ld: npt.NDArray[np.int32]


def scan(html: bytes) -> Scan:
    """The lines of a page.

    :param html: UTF-8; at most 2**31 - 1 bytes.
    """
    buffer = np.frombuffer(html, np.uint8)
    n = html.count(b"<") + 2
    n_bytes = len(html) // 2 + 2
    usual = n <= _USUAL_TAGS and n_bytes <= _USUAL_BYTES
    elements, flags, tokens, chunks, lines, words = _usual_arrays() if usual else _arrays(n, n_bytes)
    spans = np.zeros((MAX_JSON_LD + 1, 2), np.int32)  # the title first
    counts = np.zeros(6, np.int64)
    _scan(
        buffer, t.TAG_TABLE, t.ATTRIBUTE_TABLE, t.STOP_TABLE, t.CLASSES, t.TRAITS, t.TAG_FLAGS,
        elements, flags, tokens, chunks, lines, words, spans, counts,
    )  # fmt: skip
    n_elements, n_tokens, n_chunks, n_lines, n_words, n_spans = counts.tolist()
    return Scan(
        elements[:n_elements].copy(),
        flags[:n_elements].copy(),
        tokens[:n_tokens].copy(),
        chunks[:n_chunks].copy(),
        lines[:n_lines].copy(),
        words[:n_words].copy(),
        (int(spans[0, 0]), int(spans[0, 1])),
        spans[1 : 1 + n_spans],
    )


_USUAL_TAGS, _USUAL_BYTES = 20_000, 1_000_000
_local = threading.local()


def _arrays(n: int, n_bytes: int) -> tuple[npt.NDArray[Any], ...]:
    """Room for the scan of a page of n - 2 times `<`."""
    return (
        np.empty((n, E_COLUMNS), np.int32),
        np.empty(n, np.int64),
        np.empty(n_bytes, np.uint32),
        np.empty((n, 3), np.int32),
        np.empty((n, L_COLUMNS), np.int32),
        np.empty(n_bytes, np.uint32),
    )


def _usual_arrays() -> tuple[npt.NDArray[Any], ...]:
    """The same for nearly all pages, kept by each thread (12 MB): fresh memory for every page costs as much as the scan."""
    found: tuple[npt.NDArray[Any], ...] | None = getattr(_local, "arrays", None)
    if found is None:
        found = _local.arrays = _arrays(_USUAL_TAGS, _USUAL_BYTES)
    return found


def scan_text(lines: Sequence[str]) -> Scan:
    """Plain lines as a scan without elements: only their words are known. A line break within a line counts as a space."""
    pieces = [line.encode("utf-8", "replace") for line in lines]
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    text = np.frombuffer(b"".join(pieces), np.uint8)
    found = np.zeros((len(pieces), L_COLUMNS), np.int32)
    words = np.empty(len(text) // 2 + 2 + len(pieces), np.uint32)
    n_words = _scan_text(text, ends, t.STOP_TABLE, t.CLASSES, found, words)
    nothing = np.zeros((0, E_COLUMNS), np.int32)
    return Scan(
        nothing,
        np.zeros(0, np.int64),
        np.zeros(0, np.uint32),
        np.zeros((0, 3), np.int32),
        found,
        words[:n_words],
        (0, 0),
        np.zeros((0, 2), np.int32),
    )


@numba.njit
def _clear(row: Any) -> None:
    for column in range(len(row)):
        row[column] = 0


@numba.njit
def _mix(value: Any, byte: Any) -> Any:
    return np.uint32((np.uint32(value) ^ np.uint32(byte)) * FNV)


@numba.njit
def _find(table: Any, value: Any) -> Any:
    """Number of a hash in an open-addressed table, whose size is a power of two, or 0."""
    mask = len(table) - 1
    slot = np.int64(value) & mask
    while table[slot, 1] != 0:
        if table[slot, 0] == np.int64(value):
            return table[slot, 1]
        slot = (slot + 1) & mask
    return np.int64(0)


@numba.njit
def _find_byte(html: Any, start: Any, byte: Any) -> Any:
    """Place of a byte from `start` on, or the end."""
    n = len(html)
    i = start
    while i < n and html[i] != byte:
        i += 1
    return i


@numba.njit
def _after_comment(html: Any, i: Any) -> Any:
    """Behind the comment that begins at `i` with `<!--`."""
    n = len(html)
    j = i + 4
    if j < n and html[j] == 62:  # <!-->
        return j + 1
    if j + 1 < n and html[j] == 45 and html[j + 1] == 62:  # <!--->
        return j + 2
    while j + 2 < n:
        if html[j] == 45 and html[j + 1] == 45:
            if html[j + 2] == 62:
                return j + 3
            if html[j + 2] == 33 and j + 3 < n and html[j + 3] == 62:
                return j + 4
        j += 1
    return n


@numba.njit
def _name_ends(html: Any, classes: Any, j: Any) -> Any:
    return j >= len(html) or classes[html[j]] == _SPACE or html[j] == 47 or html[j] == 62


@numba.njit
def _is_name(html: Any, classes: Any, j: Any, value: Any) -> Any:
    """End of the name at `j` if its hash is `value`, else 0."""
    n = len(html)
    h = FNV_START
    while j < n and (classes[html[j]] == _LOWER or classes[html[j]] == _UPPER):
        h = _mix(h, html[j] | 32)
        j += 1
    return j if h == value and _name_ends(html, classes, j) else 0


@numba.njit
def _end_of_raw(html: Any, classes: Any, i: Any, name: Any, script: Any) -> Any:
    """Place of the `</name` that ends raw text, or the end of the page. A script inside `<!--` may hold a whole script."""
    n = len(html)
    escaped = False
    double = False
    while i < n:
        c = html[i]
        if c == 60 and i + 2 < n:
            if html[i + 1] == 47:
                if _is_name(html, classes, i + 2, name) > 0:
                    if not double:
                        return i
                    double = False
            elif script and html[i + 1] == 33 and i + 3 < n and html[i + 2] == 45 and html[i + 3] == 45:
                escaped = True
                i += 2  # <!--> ends it at once
            elif script and escaped and _is_name(html, classes, i + 1, name) > 0:
                double = True
        elif script and escaped and c == 45 and i + 2 < n and html[i + 1] == 45 and html[i + 2] == 62:
            escaped = False
            double = False
        i += 1
    return n


@numba.njit
def _number(html: Any, i: Any, end: Any) -> Any:
    """A whole number of at most nine digits, or -1."""
    value = np.int64(0)
    j = i
    while j < end and 48 <= html[j] <= 57 and j - i < 9:
        value = value * 10 + html[j] - 48
        j += 1
    return value if j > i else np.int64(-1)


@numba.njit
def _hides(html: Any, start: Any, end: Any) -> Any:
    """Whether a style says display: none or visibility: hidden."""
    for p in range(start, end - 3):
        c = html[p] | 32
        if c == 110 and html[p + 1] | 32 == 111 and html[p + 2] | 32 == 110 and html[p + 3] | 32 == 101:
            vowel = 97  # displAy
        elif (
            c == 104 and p + 5 < end and html[p + 1] | 32 == 105 and html[p + 2] | 32 == 100 and html[p + 3] | 32 == 100
        ):
            vowel = 116  # visibiliTy
        else:
            continue
        q = p - 1
        while q > start and (html[q] == 32 or html[q] == 58):
            q -= 1
        if q > start + 5 and q < p - 1 and html[q] | 32 == 121 and html[q - 1] | 32 == vowel:
            return True
    return False


@numba.njit
def _add_tokens(html: Any, classes: Any, start: Any, end: Any, kind: Any, tokens: Any, n: Any, room: Any) -> Any:
    """Append the hashes of the sub-words of an attribute; the new number of tokens."""
    h = FNV_START
    length = 0
    before = 0
    added = 0
    for p in range(start, end + 1):
        k = classes[html[p]] if p < end else _SPACE
        if k != _LOWER and (k != _UPPER or before == _LOWER):
            if length >= 2 and added < room and n < len(tokens):
                tokens[n] = h ^ np.uint32(kind * 0x9E3779B1 & 0xFFFFFFFF)
                n += 1
                added += 1
            h = FNV_START
            length = 0
        if k == _LOWER or k == _UPPER:
            h = _mix(h, html[p] | 32)
            length += 1
        before = k
    return n


@numba.njit
def _end_word(line: Any, words: Any, n_words: Any, h: Any, stop: Any) -> Any:
    line[L_WORDS] += 1
    if _find(stop, h) > 0:
        line[L_STOP_WORDS] += 1
    if n_words - line[L_WORD0] < MAX_WORDS:
        words[n_words] = h
        n_words += 1
    line[L_HASH] = np.int32(_mix(np.uint32(line[L_HASH]), h))
    return n_words


@numba.njit
def _entity(html: Any, p: Any, end: Any) -> Any:
    """Code point and end of the character reference at `p`. A named one counts as `;`, one that is white space as a space."""
    q = p + 1
    if q < end and html[q] == 35:
        q += 1
        base = 10
        if q < end and html[q] | 32 == 120:
            base = 16
            q += 1
        value = np.int64(0)
        s = q
        while q < end and q - s < 8:
            c = html[q]
            if 48 <= c <= 57:
                digit = c - 48
            elif base == 16 and 97 <= c | 32 <= 102:
                digit = (c | 32) - 87
            else:
                break
            value = value * base + digit
            q += 1
        if q == s:
            return np.int64(38), p + 1
        if q < end and html[q] == 59:
            q += 1
        if value == 160 or value == 12288 or 8192 <= value <= 8203:
            value = np.int64(32)
        return value, q
    s = q
    while q < end and q - s < 32 and (97 <= html[q] | 32 <= 122 or 48 <= html[q] <= 57):
        q += 1
    if q == s:
        return np.int64(38), p + 1
    length = q - s
    # nbsp, ensp, emsp, thinsp
    space = 4 <= length <= 6 and html[s + length - 1] == 112 and html[s + length - 2] == 115
    if q < end and html[q] == 59:
        q += 1
    elif length > 6 or (
        space and html[s + 1] != 98
    ):  # "&copyright=..." in a text: some short names may lack the semicolon
        return np.int64(38), p + 1
    if space:
        return np.int64(32), q
    return np.int64(59), q


@numba.njit
def _count(
    html: Any, classes: Any, stop: Any, start: Any, end: Any, line: Any, words: Any, n_words: Any, link: Any, bold: Any
) -> Any:
    """Count the characters and words of a piece of text into its line; the new number of words."""
    characters = lower = low = up = digits = signs = cjk = wide = commas = ends = pipes = 0
    h = FNV_START
    in_word = False
    last = np.int64(0)
    before = np.uint32(0)  # hash of the CJK character before
    p = start
    while p < end:
        c = np.int64(html[p])
        k = classes[html[p]]
        size = 1
        if k == _LOWER:  # most characters: the rest of the loop for these alone
            if not in_word:
                in_word = True
                h = FNV_START
            start_of_run = p
            h = _mix(h, c)
            p += 1
            while p < end and classes[html[p]] == _LOWER:
                h = _mix(h, html[p])
                p += 1
            lower += p - start_of_run
            last = np.int64(1)
            before = np.uint32(0)
            continue
        if k == _SPACE:
            if in_word:
                n_words = _end_word(line, words, n_words, h, stop)
                in_word = False
            before = np.uint32(0)
            p += 1
            while p < end and classes[html[p]] == _SPACE:
                p += 1
            continue
        if k == _TRAIL:  # of no character
            p += 1
            continue
        if k == _LEAD:
            size = 2 if c < 0xE0 else 3 if c < 0xF0 else 4
            if p + size > end:
                break
            if size == 2:
                c = (c & 31) << 6 | (html[p + 1] & 63)
            elif size == 3:
                c = (c & 15) << 12 | (np.int64(html[p + 1]) & 63) << 6 | (html[p + 2] & 63)
            else:
                c = (
                    (c & 7) << 18
                    | (np.int64(html[p + 1]) & 63) << 12
                    | (np.int64(html[p + 2]) & 63) << 6
                    | (html[p + 3] & 63)
                )
        elif c == 38:
            c, q = _entity(html, p, end)
            size = q - p
            k = classes[c] if c < 128 else _LEAD
        p += size
        if k == _SPACE or c == 0xA0 or c == 0x3000 or 0x2000 <= c <= 0x200B:
            if in_word:
                n_words = _end_word(line, words, n_words, h, stop)
                in_word = False
            before = np.uint32(0)
            continue
        characters += 1
        if k == _LOWER or k == _UPPER or k == _DIGIT or (k == _LEAD and c < 0x2000):
            if not in_word:
                in_word = True
                h = FNV_START
            if k == _DIGIT:
                digits += 1
                h = _mix(h, 48)
                last = np.int64(2)
            else:
                if k == _UPPER:
                    up += 1
                    c |= 32
                else:
                    low += 1
                h = _mix(h, c & 255)
                if c > 255:
                    h = _mix(h, c >> 8)
                last = np.int64(1)
            before = np.uint32(0)
            continue
        if in_word and c != 39 and c != 0x2019:
            n_words = _end_word(line, words, n_words, h, stop)
            in_word = False
        if 0x3400 <= c < 0xA000 or 0x3040 <= c < 0x3100 or 0xAC00 <= c < 0xD7B0 or 0x20000 <= c < 0x32000:
            cjk += 1
            last = np.int64(6)
            h = _mix(_mix(_mix(FNV_START, c & 255), c >> 8 & 255), c >> 16)
            line[L_HASH] = np.int32(_mix(np.uint32(line[L_HASH]), h))
            if before != 0 and n_words - line[L_WORD0] < MAX_WORDS:
                words[n_words] = _mix(h, before)
                n_words += 1
            before = h
            continue
        before = np.uint32(0)
        if 0x3000 <= c < 0x3020 or 0xFF00 <= c < 0xFF66:
            wide += 1
            if c == 0x3002 or c == 0xFF01 or c == 0xFF1F or c == 0xFF1B:
                ends += 1
                last = np.int64(3)
            elif c == 0xFF0C or c == 0x3001:
                commas += 1
                last = np.int64(5)
            elif c == 0xFF1A:
                last = np.int64(4)
            else:
                last = np.int64(5)
        elif c < 128 or 0x2000 <= c < 0x2070:
            signs += 1
            last = np.int64(5)
            if c == 44:
                commas += 1
            elif c == 46 or c == 33 or c == 63 or c == 0x2026:
                ends += 1
                last = np.int64(3)
            elif c == 58:
                last = np.int64(4)
            elif c == 124 or c == 47 or c == 62:
                pipes += 1
        else:
            last = np.int64(7)
    if in_word:
        n_words = _end_word(line, words, n_words, h, stop)
    characters += lower
    low += lower
    line[L_CHARACTERS] += characters
    if link:
        line[L_LINK_CHARACTERS] += characters
        line[L_LINKS] += 1
    if bold:
        line[L_BOLD] += characters
    line[L_LOWER] += low
    line[L_UPPER] += up
    line[L_DIGITS] += digits
    line[L_PUNCTUATION] += signs
    line[L_CJK] += cjk
    line[L_CJK_PUNCTUATION] += wide
    line[L_COMMAS] += commas
    line[L_SENTENCE_ENDS] += ends
    line[L_PIPES] += pipes
    if last > 0:
        line[L_LAST] = last
    return n_words


@numba.njit
def _up_to(elements: Any, traits: Any, stack: Any, sp: Any, tag: Any, barrier: Any, other: Any, another: Any) -> Any:
    """Place in the stack of the innermost `tag` that nothing hides (of trait `barrier`, `other`, `another`); or 0."""
    q = sp - 1
    while q > 0:
        found = elements[stack[q], E_TAG]
        if found == tag:
            return q
        if traits[found] & barrier or found == other or found == another:
            return 0
        q -= 1
    return 0


@numba.njit
def _begin_line(line: Any, elements: Any, flags: Any, traits: Any, stack: Any, sp: Any) -> Any:
    """Fill in what a new line stands in."""
    top = stack[sp - 1]
    line[L_ELEMENT] = top
    line[L_LISTS] = elements[top, E_LISTS]
    line[L_KIND] = K_P
    line[L_ROW] = -1
    block = -1
    decided = False
    if flags[top] & _F_PRE:
        line[L_KIND] = K_CODE
        decided = True
    q = sp - 1
    while q > 0:
        e = stack[q]
        tag = elements[e, E_TAG]
        if block < 0 and traits[tag] & _BLOCK:
            block = e
        if not decided:
            if traits[tag] & _IS_HEADING:
                line[L_KIND] = K_H1 + tag - _H1
                decided = True
            elif tag == _LI or tag == _DD or tag == _DT:
                line[L_KIND] = K_LI
                decided = True
            elif tag == _BLOCKQUOTE or tag == _Q:
                line[L_KIND] = K_QUOTE
                decided = True
            elif traits[tag] & _IS_CELL:
                decided = True
        if tag == _LI and line[L_MARKER] == 0 and elements[e, E_MARKED] == 0:
            elements[e, E_MARKED] = 1
            parent = elements[e, E_PARENT]
            line[L_MARKER] = elements[e, E_INDEX] + 1 if elements[parent, E_TAG] == _OL else -1
        if tag == _TR:
            line[L_ROW] = e
            break
        if block >= 0 and not flags[e] & (_F_CELL | _F_LI | _F_HEADING | _F_QUOTE):
            break  # nothing more to find
        q -= 1
    line[L_BLOCK] = block if block >= 0 else 0


@numba.njit
def _merge_rows(elements: Any, lines: Any, chunks: Any, n_lines: Any) -> Any:
    """Make one line of the lines of a table's row where its cells hold text alone; the new number of lines."""
    out = 0
    i = 0
    while i < n_lines:
        row = lines[i, L_ROW]
        stop = i + 1
        if row >= 0:
            while stop < n_lines and lines[stop, L_ROW] == row:
                stop += 1
        plain = stop - i > 1
        cells = 0
        in_cell = 0
        for j in range(i, stop):
            block = lines[j, L_BLOCK]
            tag = elements[block, E_TAG]
            if (tag != _TD and tag != _TH) or lines[j, L_KIND] == K_CODE:
                plain = False
                break
            if j > i and lines[j - 1, L_BLOCK] == block:
                in_cell += 1
                if in_cell > MAX_CELL_LINES:
                    plain = False
                    break
            else:
                cells += 1
                in_cell = 1
        if plain and cells > 1:
            lines[out] = lines[i]
            lines[out, L_KIND] = K_ROW
            before = lines[out, L_BLOCK]
            for j in range(i + 1, stop):
                block = lines[j, L_BLOCK]
                gap = elements[block, E_INDEX] - elements[before, E_INDEX]
                first = lines[j, L_CHUNK0]
                chunks[first, 2] = NEW_CELL + min(max(gap - 1, 0), 99) if block != before else SPACED
                before = block
                lines[out, L_CHUNK1] = lines[j, L_CHUNK1]
                lines[out, L_WORD1] = lines[j, L_WORD1]
                lines[out, L_LAST] = lines[j, L_LAST]
                lines[out, L_HASH] = np.int32(_mix(np.uint32(lines[out, L_HASH]), np.uint32(lines[j, L_HASH])))
                for column in range(L_CHARACTERS, L_FIRST):
                    lines[out, column] += lines[j, column]
            out += 1
        else:
            for j in range(i, stop):
                lines[out] = lines[j]
                out += 1
        i = stop
    return out


@numba.njit
def _title_words(
    html: Any, classes: Any, stop: Any, start: Any, end: Any, lines: Any, n_lines: Any, words: Any
) -> None:
    """Count in each line the words that the title has."""
    line = np.zeros(L_COLUMNS, np.int32)
    own = np.zeros(MAX_WORDS + 1, np.uint32)
    n = _count(html, classes, stop, start, min(end, start + 2000), line, own, np.int64(0), False, False)
    if n == 0:
        return
    table = np.zeros(64, np.uint32)
    for i in range(n):
        slot = np.int64(own[i]) % 64
        while table[slot] != 0 and table[slot] != own[i]:
            slot = (slot + 1) % 64
        table[slot] = own[i]
    for i in range(n_lines):
        found = 0
        for w in range(lines[i, L_WORD0], lines[i, L_WORD1]):
            slot = np.int64(words[w]) % 64
            while table[slot] != 0:
                if table[slot] == words[w]:
                    found += 1
                    break
                slot = (slot + 1) % 64
        lines[i, L_TITLE] = found


@numba.njit
def _without_empty(lines: Any, n_lines: Any) -> Any:
    """Take out lines of white space that was written as character references."""
    out = 0
    for i in range(n_lines):
        if lines[i, L_CHARACTERS] > 0:
            if out != i:
                lines[out] = lines[i]
            out += 1
    return out


@numba.njit
def _has_body(elements: Any, stack: Any, sp: Any) -> Any:
    """Whether <body> is open."""
    return sp > 1 and elements[stack[1], E_TAG] == _BODY


@compiled("in:u1 in:i8* in:i8* in:i8* in:u1 in:i4 in:i8 io:i4* io:i8 io:u4 io:i4* io:i4* io:u4 io:i4* io:i8")
def _scan(  # type: ignore[no-untyped-def]
    html, tag_table, attribute_table, stop, classes, traits, tag_flags,
    elements, flags, tokens, chunks, lines, words, spans, counts,
):  # fmt: skip
    n = len(html)
    stack = np.zeros(MAX_DEPTH + 1, np.int32)
    _clear(elements[0])
    flags[0] = 0
    elements[0, E_TAG] = _HTML
    elements[0, E_PARENT] = -1
    n_elements = 1
    sp = 1
    too_deep = 0  # open elements beyond the stack
    n_tokens = 0
    n_chunks = 0
    n_lines = 0
    n_words = 0
    n_spans = 0
    has_title = False
    in_head = True
    new_line = True
    before = JOINED  # of the next chunk
    breaks = 0
    images = 0
    inputs = 0
    plain = False
    held = -1
    held_end = -1
    i = 0
    while i < n:
        c = html[i]
        k = classes[html[i + 1]] if i + 1 < n else np.uint8(0)
        markup = (
            c == 60
            and not plain
            and (k == _LOWER or k == _UPPER or (i + 1 < n and (html[i + 1] == 33 or html[i + 1] == 63)))
        ) or (c == 60 and not plain and i + 2 < n and html[i + 1] == 47)
        if not markup:
            start = i
            i = n if plain else _find_byte(html, i + 1, 60)
            inside = flags[stack[sp - 1]]
            a = start
            while a < i and classes[html[a]] == _SPACE:
                a += 1
            code = inside & _F_PRE != 0
            if a == i and not code:
                if not new_line and before == JOINED:
                    before = SPACED
                continue
            if a < i:
                in_head = False
            if inside & _INVISIBLE or in_head:
                continue
            if new_line and a == i:  # <pre> that begins with white space alone: the indentation of what follows
                held = start
                held_end = i
                continue
            if new_line:
                line = lines[n_lines]
                _clear(line)
                n_lines += 1
                line[L_CHUNK0] = n_chunks
                line[L_WORD0] = n_words
                line[L_HASH] = np.int32(FNV_START)
                line[L_BREAKS] = breaks
                line[L_IMAGES] = images
                line[L_INPUTS] = inputs
                line[L_FIRST] = classes[html[a]]
                breaks = 0
                images = 0
                inputs = 0
                _begin_line(line, elements, flags, traits, stack, sp)
                new_line = False
                before = JOINED
                if code and held >= 0:
                    chunks[n_chunks, 0] = held
                    chunks[n_chunks, 1] = held_end
                    chunks[n_chunks, 2] = JOINED
                    n_chunks += 1
                held = -1
            line = lines[n_lines - 1]
            chunks[n_chunks, 0] = start
            chunks[n_chunks, 1] = i
            chunks[n_chunks, 2] = before
            before = JOINED
            n_chunks += 1
            line[L_CHUNK1] = n_chunks
            n_words = _count(
                html, classes, stop, start, i, line, words, n_words, inside & _F_A != 0, inside & _F_BOLD != 0
            )
            line[L_WORD1] = n_words
            continue
        c = html[i + 1]
        if c == 33 or c == 63:
            if c == 33 and i + 3 < n and html[i + 2] == 45 and html[i + 3] == 45:
                i = _after_comment(html, i)
            elif c == 33 and flags[stack[sp - 1]] & _F_SVG and i + 2 < n and html[i + 2] == 91:  # <![CDATA[
                j = i + 3
                while j + 2 < n and not (html[j] == 93 and html[j + 1] == 93 and html[j + 2] == 62):
                    j += 1
                i = j + 3
            else:
                i = _find_byte(html, i, 62) + 1
            continue
        closing = c == 47
        j = i + 2 if closing else i + 1
        if closing and classes[html[j]] != _LOWER and classes[html[j]] != _UPPER:
            i = _find_byte(html, j, 62) + 1
            continue
        name = FNV_START
        while not _name_ends(html, classes, j):
            name = _mix(name, html[j] + 32 if classes[html[j]] == _UPPER else html[j])
            j += 1
        tag = _find(tag_table, name)
        trait = traits[tag]

        if closing:
            # attributes of end tags are skipped as those of start tags are
            while j < n and html[j] != 62:
                if html[j] == 61:
                    j += 1
                    while j < n and classes[html[j]] == _SPACE:
                        j += 1
                    if j < n and (html[j] == 34 or html[j] == 39):
                        j = _find_byte(html, j + 1, html[j])
                        if j == n:
                            break
                        j += 1
                else:
                    j += 1
            i = j + 1
            if j >= n:
                continue  # the end of the page within a tag: no tag
            if tag == _HEAD:
                in_head = False
                continue
            if tag == _BODY or tag == _HTML:
                new_line = True
                continue
            code = flags[stack[sp - 1]] & _F_PRE != 0
            if tag == _BR or tag == _P:
                in_head = False
            if tag == _BR:
                breaks += 1
                if code:
                    before = NEW_LINE
                elif flags[stack[sp - 1]] & _F_HEADING:
                    before = SPACED
                else:
                    new_line = True
                continue
            if too_deep > 0 and not trait & _VOID:
                too_deep -= 1
                new_line = new_line or trait & _BLOCK != 0
                continue
            q = 0
            if tag == 0:
                q = sp - 1
                while q > 0 and (elements[stack[q], E_TAG] != 0 or np.uint32(elements[stack[q], E_NAME]) != name):
                    if traits[elements[stack[q], E_TAG]] & _SPECIAL:
                        q = 0
                        break
                    q -= 1
            elif trait & _IS_HEADING:
                q = sp - 1
                while q > 0 and not traits[elements[stack[q], E_TAG]] & _IS_HEADING:
                    if traits[elements[stack[q], E_TAG]] & _SCOPE:
                        q = 0
                        break
                    q -= 1
            elif tag == _LI:
                q = _up_to(elements, traits, stack, sp, tag, _SCOPE, _OL, _UL)
            elif tag == _P:
                q = _up_to(elements, traits, stack, sp, tag, _SCOPE, _BUTTON, _BUTTON)
            elif tag == _TABLE:
                q = _up_to(elements, traits, stack, sp, tag, 0, _TEMPLATE, _TEMPLATE)
            elif trait & (_IS_CELL | _ROW_GROUP) or tag == _TR or tag == _CAPTION:
                q = _up_to(elements, traits, stack, sp, tag, 0, _TABLE, _TEMPLATE)
            elif tag == _SVG or tag == _MATH or tag == _TEMPLATE or tag == _SELECT or tag == _FOREIGN:
                q = _up_to(elements, traits, stack, sp, tag, 0, -1, -1)
            elif trait & _SPECIAL or trait & _FORMAT:
                q = _up_to(elements, traits, stack, sp, tag, _SCOPE, -1, -1)
            else:
                q = _up_to(elements, traits, stack, sp, tag, _SPECIAL, -1, -1)
            if trait & _BLOCK and (q > 0 or tag == _P):  # of the others an end without a beginning means nothing
                held = -1
                if not code or (q > 0 and not flags[stack[q - 1]] & _F_PRE):
                    new_line = True  # also at the end of <pre>, or of what holds it
                else:
                    before = NEW_LINE
            if q == 0:
                continue
            crossed = False
            if trait & _FORMAT:
                for r in range(q + 1, sp):
                    if traits[elements[stack[r], E_TAG]] & _SPECIAL:
                        crossed = True
            if crossed:  # the blocks in it stay open, and are no longer in it
                bit = tag_flags[tag] | (_F_HREF if tag == _A else 0)
                for r in range(q, sp - 1):
                    stack[r] = stack[r + 1]
                    flags[stack[r]] &= ~bit
                sp -= 1
            else:
                sp = q
            continue

        # --- start tag: what it closes
        if in_head and not trait & _IN_HEAD:
            in_head = False
        inside = flags[stack[sp - 1]]
        if tag == _IMAGE:
            tag = np.int64(_IMG)
        if inside & _F_SVG and trait & _BREAKOUT:
            q = sp - 1
            while q > 0 and flags[elements[stack[q], E_PARENT]] & _F_SVG and elements[stack[q], E_TAG] != _FOREIGN:
                q -= 1
            if q > 0 and elements[stack[q], E_TAG] != _FOREIGN:
                sp = q
        if trait & _CLOSES_P:
            q = _up_to(elements, traits, stack, sp, _P, _SCOPE, _BUTTON, _BUTTON)
            if q > 0:
                sp = q
        if trait & _IS_HEADING and traits[elements[stack[sp - 1], E_TAG]] & _IS_HEADING:
            sp -= 1
        elif tag == _LI or tag == _DD or tag == _DT:
            q = sp - 1
            while q > 0:
                found = elements[stack[q], E_TAG]
                if (found == _LI) if tag == _LI else (found == _DD or found == _DT):
                    sp = q
                    break
                if traits[found] & _SPECIAL and found != _ADDRESS and found != _DIV and found != _P:
                    break
                q -= 1
        elif trait & _IS_CELL or tag == _TR or trait & _ROW_GROUP or tag == _CAPTION:
            q = sp - 1
            keep = 0
            while q > 0:
                found = elements[stack[q], E_TAG]
                if found == _TABLE or found == _TEMPLATE:
                    break
                if (
                    traits[found] & _IS_CELL
                    or found == _CAPTION
                    or (found == _TR and not trait & _IS_CELL)
                    or (traits[found] & _ROW_GROUP and not trait & _IS_CELL and tag != _TR)
                ):
                    keep = q
                q -= 1
            if q > 0 and keep > 0:
                sp = keep
        elif tag == _OPTION or tag == _OPTGROUP:
            while sp > 1 and (
                elements[stack[sp - 1], E_TAG] == _OPTION
                or (tag == _OPTGROUP and elements[stack[sp - 1], E_TAG] == _OPTGROUP)
            ):
                sp -= 1
        elif tag == _A:
            q = _up_to(elements, traits, stack, sp, _A, _SCOPE, _A, _A)
            if q > 0:
                crossed = False
                for r in range(q + 1, sp):
                    if traits[elements[stack[r], E_TAG]] & _SPECIAL:
                        crossed = True
                if crossed:
                    for r in range(q, sp - 1):
                        stack[r] = stack[r + 1]
                        flags[stack[r]] &= ~(_F_A | _F_HREF)
                    sp -= 1
                else:
                    sp = q
        elif tag == _BUTTON:
            q = _up_to(elements, traits, stack, sp, _BUTTON, _SCOPE, -1, -1)
            if q > 0:
                sp = q
        elif tag == _SELECT or ((tag == _INPUT or tag == _TEXTAREA) and inside & _F_SELECT):
            q = _up_to(elements, traits, stack, sp, _SELECT, 0, -1, -1)
            if q > 0:
                sp = q
        elif tag == _RB or tag == _RP or tag == _RT or tag == _RTC:
            found = elements[stack[sp - 1], E_TAG]
            if found == _RB or found == _RP or found == _RT or (found == _RTC and tag != _RT and tag != _RP):
                sp -= 1
        if sp < 1:
            sp = 1
        inside = flags[stack[sp - 1]]
        code = inside & _F_PRE != 0
        if trait & _BLOCK:
            held = -1
            if tag == _BR:
                breaks += 1
            if code:
                before = NEW_LINE
            elif tag == _BR and inside & _F_HEADING:
                before = SPACED
            else:
                new_line = True
        if tag == _IMG:
            images += 1
        elif trait & _VOID and tag != _BR:
            inputs += 1

        # --- the element
        parent = stack[sp - 1]
        e = n_elements
        n_elements += 1
        _clear(elements[e])
        elements[e, E_TAG] = tag
        elements[e, E_PARENT] = parent
        elements[e, E_DEPTH] = elements[parent, E_DEPTH] + 1
        elements[e, E_NAME] = np.int32(name)
        elements[e, E_TOKEN0] = n_tokens
        elements[e, E_LISTS] = elements[parent, E_LISTS] + (1 if tag == _UL or tag == _OL or tag == _DL else 0)
        if tag == _LI or trait & _IS_CELL:
            elements[e, E_INDEX] = elements[parent, E_COUNT]
            elements[parent, E_COUNT] += 1
        bits = inside | tag_flags[tag]
        path = _mix(np.uint32(elements[parent, E_PATH]), tag + 7)
        seen = 0
        json_ld = False
        self_closing = False
        ended = False
        while j < n:
            while j < n and (classes[html[j]] == _SPACE or html[j] == 47):
                self_closing = html[j] == 47
                j += 1
            if j >= n:
                break
            if html[j] == 62:
                ended = True
                break
            self_closing = False
            h = FNV_START
            a = j
            while j < n and (j == a or html[j] != 61) and not _name_ends(html, classes, j):
                h = _mix(h, html[j] + 32 if classes[html[j]] == _UPPER else html[j])
                j += 1
            while j < n and classes[html[j]] == _SPACE:
                j += 1
            v0 = 0
            v1 = 0
            if j < n and html[j] == 61:
                j += 1
                while j < n and classes[html[j]] == _SPACE:
                    j += 1
                if j < n and (html[j] == 34 or html[j] == 39):
                    v0 = j + 1
                    v1 = _find_byte(html, j + 1, html[j])
                    j = v1 + 1
                else:
                    v0 = j
                    while j < n and classes[html[j]] != _SPACE and html[j] != 62:
                        j += 1
                    v1 = j
            attribute = _find(attribute_table, h)
            if attribute == 0 or seen >> attribute & 1:
                continue  # the first of two counts
            seen |= 1 << attribute
            if attribute <= _AT_PROPERTY:
                if not trait & _VOID:
                    room = MAX_TOKENS - (n_tokens - elements[e, E_TOKEN0])
                    n_tokens = _add_tokens(html, classes, v0, v1, max(1, attribute - 1), tokens, n_tokens, room)
                    if attribute == _AT_CLASS:
                        p = v0
                        while p < v1 and classes[html[p]] == _SPACE:
                            p += 1
                        while p < v1 and classes[html[p]] != _SPACE:
                            path = _mix(path, html[p])
                            p += 1
            elif attribute == _AT_HIDDEN:
                bits |= _F_HIDDEN
            elif attribute == _AT_HREF:
                bits |= _F_HREF if tag == _A else 0
            elif attribute == _AT_ARIA:
                if v1 - v0 == 4:  # true
                    bits |= _F_ARIA
            elif attribute == _AT_STYLE:
                if _hides(html, v0, v1):
                    bits |= _F_HIDDEN
            elif attribute == _AT_TYPE:
                if tag == _SCRIPT and v1 - v0 >= 19 and html[v0 + 12] | 32 == 108 and html[v0 + 13] | 32 == 100:
                    json_ld = True  # application/ld+json
            elif attribute == _AT_START and tag == _OL:
                elements[e, E_COUNT] = max(0, _number(html, v0, v1) - 1)
            elif attribute == _AT_VALUE and tag == _LI:
                value = _number(html, v0, v1)
                if value > 0:
                    elements[e, E_INDEX] = value - 1
                    elements[parent, E_COUNT] = value
        if not ended:
            n_elements -= 1  # the end of the page within a tag: no tag
            n_tokens = elements[e, E_TOKEN0]
            break
        i = j + 1
        elements[e, E_TOKEN1] = n_tokens
        elements[e, E_PATH] = np.int32(path)
        flags[e] = bits
        if tag == _HEAD or tag == _HTML or (tag == _BODY and _has_body(elements, stack, sp)):
            n_elements -= 1
            n_tokens = elements[e, E_TOKEN0]
            continue
        if trait & _VOID or (self_closing and (bits & _F_SVG)):
            continue
        if trait & _RAW and not (inside & _F_SVG and tag == _TITLE):
            stop_at = _end_of_raw(html, classes, i, name, tag == _SCRIPT)
            if tag == _TITLE and not has_title:
                has_title = True
                spans[0, 0] = i
                spans[0, 1] = stop_at
            elif json_ld and n_spans < len(spans) - 1:
                n_spans += 1
                spans[n_spans, 0] = i
                spans[n_spans, 1] = stop_at
            elif tag == _XMP and not inside & _INVISIBLE and stop_at > i:
                line = lines[n_lines]
                _clear(line)
                n_lines += 1
                stack[sp] = e
                line[L_CHUNK0] = n_chunks
                line[L_WORD0] = n_words
                line[L_HASH] = np.int32(FNV_START)
                _begin_line(line, elements, flags, traits, stack, sp + 1)
                chunks[n_chunks, 0] = i
                chunks[n_chunks, 1] = stop_at
                chunks[n_chunks, 2] = JOINED
                n_chunks += 1
                line[L_CHUNK1] = n_chunks
                n_words = _count(html, classes, stop, i, stop_at, line, words, n_words, False, False)
                line[L_WORD1] = n_words
            i = _find_byte(html, stop_at, 62) + 1
            continue
        if tag == _PLAINTEXT:
            plain = True
        if sp < MAX_DEPTH:
            stack[sp] = e
            sp += 1
        else:
            too_deep += 1
    n_lines = _without_empty(lines, n_lines)
    n_lines = _merge_rows(elements, lines, chunks, n_lines)
    _title_words(html, classes, stop, np.int64(spans[0, 0]), np.int64(spans[0, 1]), lines, n_lines, words)
    counts[0] = n_elements
    counts[1] = n_tokens
    counts[2] = n_chunks
    counts[3] = n_lines
    counts[4] = n_words
    counts[5] = n_spans


@compiled("in:u1 in:i8 in:i8* in:u1 io:i4* io:u4")
def _scan_text(text, ends, stop, classes, lines, words):  # type: ignore[no-untyped-def]
    start = 0
    n_words = np.int64(0)
    for i in range(len(ends)):
        line = lines[i]
        a = start
        while a < ends[i] and classes[text[a]] == _SPACE:
            a += 1
        line[L_FIRST] = classes[text[a]] if a < ends[i] else 0
        line[L_ROW] = -1
        line[L_WORD0] = n_words
        line[L_HASH] = np.int32(FNV_START)
        n_words = _count(text, classes, stop, start, ends[i], line, words, n_words, False, False)
        line[L_WORD1] = n_words
        start = ends[i]
    return n_words
