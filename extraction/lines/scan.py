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
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from extraction.kernels import FNV_START, compiled, fnv1a, helper
from extraction.lines import tags as t
from extraction.lines.columns import JOINED, MAX_CELL_LINES, MAX_DEPTH, MAX_TOKENS, NEW_CELL, NEW_LINE, SPACED, E, K, L
from extraction.lines.counts import add_to_hash, count_text, count_title_words
from extraction.lines.markup import (
    B,
    add_tokens,
    address_names_tex,
    after_declaration,
    attribute,
    end_of_end_tag,
    end_of_raw,
    find,
    find_byte,
    hides,
    holds_tex,
    is_digit,
    is_for_readers,
    is_json_ld,
    is_letter,
    is_link_sign,
    is_math_type,
    is_out_of_sight,
    names_formula,
    renders_formula,
    shows_as_block,
    skip_space,
    tag_name,
    whole_number,
)
from extraction.lines.tags import T


class Slots(NamedTuple):
    """Slots of the scanner's state: numbers of what there is so far, and what the bytes before say of those to come."""

    ELEMENTS: int = 0
    TOKENS: int = 1
    CHUNKS: int = 2
    LINES: int = 3
    WORDS: int = 4
    SPANS: int = 5  # scripts of JSON-LD
    OPEN: int = 6  # elements in the stack
    TOO_DEEP: int = 7  # open elements beyond it
    IN_HEAD: int = 8  # 1 until something stands in the body
    PLAIN: int = 9  # 1 behind <plaintext>
    NEW_LINE: int = 10  # 1 if the next text begins a line
    BEFORE: int = 11  # what stands before the next chunk: JOINED, SPACED, NEW_LINE
    BREAKS: int = 12  # <br>, images and form fields since the last line began
    IMAGES: int = 13
    INPUTS: int = 14
    INDENT: int = 15  # white space that <pre> began with, to be put before its first line; -1: none
    INDENT_END: int = 16
    FORMULAS: int = 17  # start tags that may show or carry a formula
    HEAD_TAGS: int = 18  # start tags of html, link and meta in the head
    CUSTOM: int = 21  # hash of the custom element that ended just before
    ITEM_TYPES: int = 20  # values of `itemtype`
    HEAD_ENDED: int = 19  # 1 behind </head> or <body>, wherever text stands


S = Slots()

MAX_JSON_LD = 64
MAX_UNSEEN = 200
"""Bytes of a text that is hidden within a line, at most; a longer one is the rest of a text, which a button shows."""

MAX_HEAD_TAGS, MAX_ITEM_TYPES = 1000, 200

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
_SUP, _META, _LINK = t.TAG["sup"], t.TAG["meta"], t.TAG["link"]
_NO_TAG = -1
(
    _AT_CLASS,
    _AT_ID,
    _AT_ROLE,
    _AT_PROPERTY,
    _AT_HIDDEN,
    _AT_HREF,
    _AT_ARIA,
    _AT_STYLE,
    _AT_TYPE,
    _AT_START,
    _AT_VALUE,
    _AT_TYPES,
) = (number for name, number in t.ATTRIBUTES.items() if name not in ("shadowrootmode", "shadowroot", "alt", "src"))
_AT_SHADOW, _AT_OLD_SHADOW = t.ATTRIBUTES["shadowrootmode"], t.ATTRIBUTES["shadowroot"]
_AT_ALT, _AT_SRC = t.ATTRIBUTES["alt"], t.ATTRIBUTES["src"]
_F_A, _F_PRE, _F_BOLD, _F_SVG, _F_SELECT, _F_LI, _F_CELL, _F_QUOTE = (
    t.FLAG[n] for n in ("a", "pre", "strong", "svg", "select", "li", "td", "blockquote")
)
_F_HEADING, _F_HIDDEN, _F_ARIA, _F_HREF, _INVISIBLE = t.IN_HEADING, t.HIDDEN, t.ARIA_HIDDEN, t.HREF, t.INVISIBLE
_UNSEEN, _AS_BLOCK, _F_TEMPLATE = t.UNSEEN, t.AS_BLOCK, t.FLAG["template"]
_OF_CODE = t.FLAG["pre"] | t.FLAG["code"]
_CLASSES, _TAG_TABLE, _TRAITS, _TAG_FLAGS, _SPACE = t.CLASSES, t.TAG_TABLE, t.TRAITS, t.TAG_FLAGS, t.SPACE


@dataclass(frozen=True, slots=True)
class Scan:
    """What `scan` found in a page.

    `elements` (n, len(E)) int32 in the order of their start tags, element 0 is the root; `flags` (n,) int64, the bits of
    `tags.FLAGS`, `tags.HIDDEN` and so on that hold in an element; `tokens` uint32, hashes of the sub-words of class, id, role and
    itemprop; `chunks` (m, 3) int32: first byte, end, what stands before; `lines` (l, len(L)) int32; `words` uint32, hashes;
    `title` the bytes of the first <title>; `json_ld` (k, 2) int32, the bytes of scripts of that type; `formulas` (f, 2) int32,
    first byte and `>` of start tags that may show or carry a formula (`extraction.formulas`); `head` (h, 2) int32, the same of
    <html>, <link> and <meta> before <body> and </head>, at most MAX_HEAD_TAGS; `item_types` (i, 2) int32, the bytes of values of
    `itemtype`, at most MAX_ITEM_TYPES.
    """

    elements: npt.NDArray[np.int32]
    flags: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.uint32]
    chunks: npt.NDArray[np.int32]
    lines: npt.NDArray[np.int32]
    words: npt.NDArray[np.uint32]
    title: tuple[int, int]
    json_ld: npt.NDArray[np.int32]
    formulas: npt.NDArray[np.int32]
    head: npt.NDArray[np.int32]
    item_types: npt.NDArray[np.int32]


def scan(html: bytes) -> Scan:
    """Scan a page.

    :param html: UTF-8; at most 2**31 - 1 bytes.
    """
    n = int(np.count_nonzero(np.frombuffer(html, np.uint8) == B.LESS_THAN)) + 2  # four times as fast as bytes.count
    n_bytes = len(html) // 2 + 2
    usual = n <= _USUAL_TAGS and n_bytes <= _USUAL_BYTES
    elements, flags, tokens, chunks, lines, words, formulas = _usual_arrays() if usual else _arrays(n, n_bytes)
    spans = np.zeros((MAX_JSON_LD + 1, 2), np.int32)  # the title first
    head, types = np.empty((MAX_HEAD_TAGS, 2), np.int32), np.empty((MAX_ITEM_TYPES, 2), np.int32)
    state = np.zeros(len(S), np.int64)
    _scan(
        np.frombuffer(html, np.uint8),
        elements,
        flags,
        tokens,
        chunks,
        lines,
        words,
        spans,
        formulas,
        head,
        types,
        state,
    )
    n_elements, n_tokens, n_chunks, n_lines, n_words, n_spans = state[: S.SPANS + 1].tolist()
    return Scan(
        elements[:n_elements].copy(),
        flags[:n_elements].copy(),
        tokens[:n_tokens].copy(),
        chunks[:n_chunks].copy(),
        lines[:n_lines].copy(),
        words[:n_words].copy(),
        (int(spans[0, 0]), int(spans[0, 1])),
        spans[1 : 1 + n_spans],
        formulas[: state[S.FORMULAS]].copy(),
        head[: state[S.HEAD_TAGS]],
        types[: state[S.ITEM_TYPES]],
    )


_USUAL_TAGS, _USUAL_BYTES = 20_000, 1_000_000
_local = threading.local()


def _arrays(n: int, n_bytes: int) -> tuple[npt.NDArray[Any], ...]:
    """Make room for the scan of a page of n - 2 times `<`."""
    return (
        np.empty((n, len(E)), np.int32),
        np.empty(n, np.int64),
        np.empty(n_bytes, np.uint32),
        np.empty((n, 3), np.int32),
        np.empty((n, len(L)), np.int32),
        np.empty(n_bytes, np.uint32),
        np.empty((n, 2), np.int32),
    )


def _usual_arrays() -> tuple[npt.NDArray[Any], ...]:
    """Get arrays that nearly all pages fit in, kept by each thread (12 MB): fresh memory costs as much as a scan."""
    arrays: tuple[npt.NDArray[Any], ...] | None = getattr(_local, "arrays", None)
    if arrays is None:
        arrays = _local.arrays = _arrays(_USUAL_TAGS, _USUAL_BYTES)
    return arrays


def scan_text(texts: Sequence[str]) -> Scan:
    """Scan plain lines: there are no elements, and only words are known. A line break within a line counts as a space."""
    pieces = [text.encode("utf-8", "replace") for text in texts]
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    data = np.frombuffer(b"".join(pieces), np.uint8)
    lines = np.zeros((len(pieces), len(L)), np.int32)
    words = np.empty(len(data) // 2 + 2 + len(pieces), np.uint32)
    n_words = _scan_text(data, ends, lines, words)
    elements, flags, tokens, chunks, _, _, formulas = _arrays(0, 0)
    no_spans = np.zeros((0, 2), np.int32)
    return Scan(elements, flags, tokens, chunks, lines, words[:n_words], (0, 0), no_spans, formulas, no_spans, no_spans)


# --- The stack of open elements --------------------------------------------------------------------------------------


@helper
def _up_to(elements: Any, stack: Any, state: Any, tag: Any, barrier: Any, other: Any, another: Any) -> Any:
    """Place in the stack of the innermost `tag` that nothing hides (of trait `barrier`, `other`, `another`); or 0."""
    q = state[S.OPEN] - 1
    while q > 0:
        open_tag = elements[stack[q], E.TAG]
        if open_tag == tag:
            return q
        if _TRAITS[open_tag] & barrier or open_tag == other or open_tag == another:
            return 0
        q -= 1
    return 0


@helper
def _close(stack: Any, state: Any, place: Any) -> None:
    """Close the element at `place` and what is in it; nothing for place 0."""
    if place > 0:
        state[S.OPEN] = place


@helper
def _close_format(elements: Any, flags: Any, stack: Any, state: Any, place: Any, bits: Any) -> None:
    """Close the formatting element at `place`. Blocks in it stay open and lose its `bits`: they are no longer in it."""
    last = state[S.OPEN] - 1
    crossed = False
    for q in range(place + 1, last + 1):
        if _TRAITS[elements[stack[q], E.TAG]] & T.SPECIAL:
            crossed = True
    if not crossed:
        state[S.OPEN] = place
        return
    for q in range(place, last):
        stack[q] = stack[q + 1]
        flags[stack[q]] &= ~bits
    state[S.OPEN] = last


@helper
def _break_line(state: Any, inside: Any, tag: Any) -> None:
    """Let the next text begin a line; within <pre> a line of its own, behind a <br> of a heading a word."""
    if inside & _F_PRE:
        state[S.BEFORE] = NEW_LINE
    elif tag == _BR and inside & _F_HEADING:
        state[S.BEFORE] = SPACED
    else:
        state[S.NEW_LINE] = 1


@helper
def _clear(row: Any) -> None:
    for column in range(len(row)):
        row[column] = 0


# --- Text ------------------------------------------------------------------------------------------------------------


@helper
def _begin_line(elements: Any, flags: Any, lines: Any, stack: Any, state: Any) -> None:
    """Add a line, with what it stands in."""
    line = lines[state[S.LINES]]
    state[S.LINES] += 1
    _clear(line)
    line[L.CHUNK0] = state[S.CHUNKS]
    line[L.WORD0] = state[S.WORDS]
    line[L.HASH] = np.int32(FNV_START)
    last = state[S.OPEN] - 1
    innermost = stack[last]
    line[L.ELEMENT] = innermost
    line[L.LISTS] = elements[innermost, E.LISTS]
    line[L.KIND] = K.P
    line[L.ROW] = -1
    block = -1
    decided = False
    if flags[innermost] & _F_PRE:
        line[L.KIND] = K.CODE
        decided = True
    for q in range(last, 0, -1):
        e = stack[q]
        tag = elements[e, E.TAG]
        if block < 0 and (_TRAITS[tag] & T.BLOCK or flags[e] & _AS_BLOCK):
            block = e
        if not decided:
            if _TRAITS[tag] & T.HEADING:
                line[L.KIND] = K.H1 + tag - _H1
                decided = True
            elif tag == _LI or tag == _DD or tag == _DT:
                line[L.KIND] = K.LI
                decided = True
            elif tag == _BLOCKQUOTE or tag == _Q:
                line[L.KIND] = K.QUOTE
                decided = True
            elif _TRAITS[tag] & T.CELL:
                decided = True
        if tag == _LI and line[L.MARKER] == 0 and elements[e, E.MARKED] == 0:
            elements[e, E.MARKED] = 1
            line[L.MARKER] = elements[e, E.INDEX] + 1 if elements[elements[e, E.PARENT], E.TAG] == _OL else -1
        if tag == _TR:
            line[L.ROW] = e
            break
        if block >= 0 and not flags[e] & (_F_CELL | _F_LI | _F_HEADING | _F_QUOTE):
            break  # nothing more to find
    line[L.BLOCK] = max(block, 0)


@helper
def _add_chunk(chunks: Any, lines: Any, state: Any, start: Any, end: Any, before: Any) -> None:
    """Add the bytes [start, end) to the last line."""
    chunk = chunks[state[S.CHUNKS]]
    chunk[0] = start
    chunk[1] = end
    chunk[2] = before
    state[S.CHUNKS] += 1
    lines[state[S.LINES] - 1, L.CHUNK1] = state[S.CHUNKS]


@helper
def _count(html: Any, lines: Any, words: Any, state: Any, start: Any, end: Any, link: Any, bold: Any) -> None:
    """Count the bytes [start, end) into the last line."""
    line = lines[state[S.LINES] - 1]
    state[S.WORDS] = count_text(html, start, end, line, words, state[S.WORDS], link, bold)
    line[L.WORD1] = state[S.WORDS]


@helper
def _text(
    html: Any, elements: Any, flags: Any, chunks: Any, lines: Any, words: Any, stack: Any, state: Any, start: Any
) -> Any:
    """The text at `start`, up to the next `<`; its end."""
    end = len(html) if state[S.PLAIN] else find_byte(html, start + 1, B.LESS_THAN)
    inside = flags[stack[state[S.OPEN] - 1]]
    first = skip_space(html, start, end)
    blank = first == end
    if blank and not inside & _F_PRE:
        if not state[S.NEW_LINE] and state[S.BEFORE] == JOINED:
            state[S.BEFORE] = SPACED
        return end
    if not blank:
        state[S.IN_HEAD] = 0
    if inside & _INVISIBLE or state[S.IN_HEAD]:
        return end
    if inside & _UNSEEN and end - start <= MAX_UNSEEN:
        return end
    if inside & _F_HEADING and inside & _F_A and is_link_sign(html, first, end):
        return end
    if not blank:
        state[S.CUSTOM] = 0
    if state[S.NEW_LINE]:
        if blank:
            state[S.INDENT] = start
            state[S.INDENT_END] = end
            return end
        _begin_line(elements, flags, lines, stack, state)
        line = lines[state[S.LINES] - 1]
        line[L.BREAKS] = state[S.BREAKS]
        line[L.IMAGES] = state[S.IMAGES]
        line[L.INPUTS] = state[S.INPUTS]
        line[L.FIRST] = _CLASSES[html[first]]
        state[S.BREAKS] = state[S.IMAGES] = state[S.INPUTS] = state[S.NEW_LINE] = 0
        state[S.BEFORE] = JOINED
        if inside & _F_PRE and state[S.INDENT] >= 0:
            _add_chunk(chunks, lines, state, state[S.INDENT], state[S.INDENT_END], JOINED)
        state[S.INDENT] = -1
    _add_chunk(chunks, lines, state, start, end, state[S.BEFORE])
    state[S.BEFORE] = JOINED
    _count(html, lines, words, state, start, end, inside & _F_A != 0, inside & _F_BOLD != 0)
    return end


# --- End tags --------------------------------------------------------------------------------------------------------


@helper
def _matching(elements: Any, stack: Any, state: Any, tag: Any, trait: Any, name: Any) -> Any:
    """Place in the stack of the element that an end tag ends, or 0."""
    if tag == 0 or trait & T.HEADING:
        barrier = T.SPECIAL if tag == 0 else T.SCOPE
        q = state[S.OPEN] - 1
        while q > 0:
            open_tag = elements[stack[q], E.TAG]
            if tag != 0 and _TRAITS[open_tag] & T.HEADING:
                return q
            if tag == 0 and open_tag == 0 and np.uint32(elements[stack[q], E.NAME]) == name:
                return q
            if _TRAITS[open_tag] & barrier:
                return 0
            q -= 1
        return 0
    if tag == _LI:
        return _up_to(elements, stack, state, tag, T.SCOPE, _OL, _UL)
    if tag == _P:
        return _up_to(elements, stack, state, tag, T.SCOPE, _BUTTON, _BUTTON)
    if tag == _TABLE:
        return _up_to(elements, stack, state, tag, 0, _TEMPLATE, _TEMPLATE)
    if trait & (T.CELL | T.ROW_GROUP) or tag == _TR or tag == _CAPTION:
        return _up_to(elements, stack, state, tag, 0, _TABLE, _TEMPLATE)
    if tag == _SVG or tag == _MATH or tag == _TEMPLATE or tag == _SELECT or tag == _FOREIGN:
        return _up_to(elements, stack, state, tag, 0, _NO_TAG, _NO_TAG)
    return _up_to(
        elements, stack, state, tag, T.SCOPE if trait & (T.SPECIAL | T.FORMAT) else T.SPECIAL, _NO_TAG, _NO_TAG
    )


@helper
def _end_tag(html: Any, elements: Any, flags: Any, stack: Any, state: Any, i: Any) -> Any:
    """The end tag at `i`; the place behind it."""
    if not is_letter(html[i + 2]):
        return find_byte(html, i + 2, B.GREATER_THAN) + 1
    name, j = tag_name(html, i + 2)
    tag = find(_TAG_TABLE, name)
    trait = _TRAITS[tag]
    j = end_of_end_tag(html, j)
    if j >= len(html):  # the end of the page within a tag: no tag
        return j
    if tag == _HEAD:
        state[S.IN_HEAD] = 0
        state[S.HEAD_ENDED] = 1
        return j + 1
    if tag == _BODY or tag == _HTML:
        state[S.NEW_LINE] = 1
        return j + 1
    if tag == _BR or tag == _P:
        state[S.IN_HEAD] = 0
    inside = flags[stack[state[S.OPEN] - 1]]
    if tag == _BR:
        state[S.BREAKS] += 1
        _break_line(state, inside, tag)
        return j + 1
    if state[S.TOO_DEEP] > 0 and not trait & T.VOID:
        state[S.TOO_DEEP] -= 1
        if trait & T.BLOCK:
            state[S.NEW_LINE] = 1
        return j + 1
    place = _matching(elements, stack, state, tag, trait, name)
    if trait & T.BLOCK and (place > 0 or tag == _P):  # of the others an end without a beginning means nothing
        state[S.INDENT] = -1
        if not inside & _F_PRE or (place > 0 and not flags[stack[place - 1]] & _F_PRE):
            state[S.NEW_LINE] = 1  # also at the end of <pre>, or of what holds it
        else:
            state[S.BEFORE] = NEW_LINE
    if place > 0 and flags[stack[place]] & _AS_BLOCK:
        state[S.NEW_LINE] = 1
    state[S.CUSTOM] = name if tag == 0 else 0
    if trait & T.FORMAT and place > 0:
        _close_format(elements, flags, stack, state, place, _TAG_FLAGS[tag] | (_F_HREF if tag == _A else 0))
    else:
        _close(stack, state, place)
    return j + 1


# --- Start tags ------------------------------------------------------------------------------------------------------


@helper
def _close_item(elements: Any, stack: Any, state: Any, tag: Any) -> None:
    """Close the item of the list that a new item follows."""
    q = state[S.OPEN] - 1
    while q > 0:
        open_tag = elements[stack[q], E.TAG]
        if (open_tag == _LI) if tag == _LI else (open_tag == _DD or open_tag == _DT):
            state[S.OPEN] = q
            return
        if _TRAITS[open_tag] & T.SPECIAL and open_tag != _ADDRESS and open_tag != _DIV and open_tag != _P:
            return
        q -= 1


@helper
def _close_cells(elements: Any, stack: Any, state: Any, tag: Any, trait: Any) -> None:
    """Close the cell, row or group of rows that a new part of the table follows."""
    of_cell = trait & T.CELL
    of_row = of_cell or tag == _TR
    outermost = 0
    q = state[S.OPEN] - 1
    while q > 0:
        open_tag = elements[stack[q], E.TAG]
        if open_tag == _TABLE or open_tag == _TEMPLATE:
            _close(stack, state, outermost)
            return
        if (
            _TRAITS[open_tag] & T.CELL
            or open_tag == _CAPTION
            or (open_tag == _TR and not of_cell)
            or (_TRAITS[open_tag] & T.ROW_GROUP and not of_row)
        ):
            outermost = q
        q -= 1


@helper
def _close_implied(elements: Any, flags: Any, stack: Any, state: Any, tag: Any, trait: Any) -> None:
    """Close what a start tag implies the end of."""
    last = state[S.OPEN] - 1
    inside = flags[stack[last]]
    if inside & _F_SVG and trait & T.BREAKOUT:
        q = last
        while q > 0 and flags[elements[stack[q], E.PARENT]] & _F_SVG and elements[stack[q], E.TAG] != _FOREIGN:
            q -= 1
        if q > 0 and elements[stack[q], E.TAG] != _FOREIGN:
            state[S.OPEN] = q
    if trait & T.CLOSES_P:
        _close(stack, state, _up_to(elements, stack, state, _P, T.SCOPE, _BUTTON, _BUTTON))
    innermost = elements[stack[state[S.OPEN] - 1], E.TAG]
    if trait & T.HEADING and _TRAITS[innermost] & T.HEADING:
        state[S.OPEN] -= 1
    elif tag == _LI or tag == _DD or tag == _DT:
        _close_item(elements, stack, state, tag)
    elif trait & T.CELL or tag == _TR or trait & T.ROW_GROUP or tag == _CAPTION:
        _close_cells(elements, stack, state, tag, trait)
    elif tag == _OPTION or tag == _OPTGROUP:
        while state[S.OPEN] > 1 and (innermost == _OPTION or (tag == _OPTGROUP and innermost == _OPTGROUP)):
            state[S.OPEN] -= 1
            innermost = elements[stack[state[S.OPEN] - 1], E.TAG]
    elif tag == _A:
        place = _up_to(elements, stack, state, _A, T.SCOPE, _A, _A)
        if place > 0:
            _close_format(elements, flags, stack, state, place, _F_A | _F_HREF)
    elif tag == _BUTTON:
        _close(stack, state, _up_to(elements, stack, state, _BUTTON, T.SCOPE, _NO_TAG, _NO_TAG))
    elif tag == _SELECT or ((tag == _INPUT or tag == _TEXTAREA) and inside & _F_SELECT):
        _close(stack, state, _up_to(elements, stack, state, _SELECT, 0, _NO_TAG, _NO_TAG))
    elif (tag == _RB or tag == _RP or tag == _RT or tag == _RTC) and (
        innermost == _RB or innermost == _RP or innermost == _RT or (innermost == _RTC and tag != _RT and tag != _RP)
    ):
        state[S.OPEN] -= 1
    state[S.OPEN] = max(state[S.OPEN], 1)


@helper
def _attributes(
    html: Any, elements: Any, flags: Any, tokens: Any, types: Any, state: Any, e: Any, tag: Any, trait: Any, j: Any
) -> Any:
    """The attributes of element `e` from `j` on: the place of its `>`, whether a `/` stands before it, whether it is a script
    of JSON-LD, whether it may carry a formula. The place is -1 if the page ends before."""
    n = len(html)
    parent = elements[e, E.PARENT]
    path = fnv1a(np.uint32(elements[parent, E.PATH]), tag + 7)
    seen = 0
    json_ld = formula = False
    while True:
        self_closing = False
        while j < n and (_CLASSES[html[j]] == _SPACE or html[j] == B.SLASH):
            self_closing = html[j] == B.SLASH
            j += 1
        if j >= n:
            return -1, False, False, False
        if html[j] == B.GREATER_THAN:
            break
        number, start, end, j = attribute(html, j)
        if number == 0 or seen >> number & 1:
            continue  # the first of two counts
        seen |= 1 << number
        if number > _AT_SRC:
            formula = True
        elif number <= _AT_PROPERTY:
            if number == _AT_CLASS:
                if not trait & (T.BLOCK | T.VOID) and is_for_readers(html, start, end):
                    flags[e] |= _UNSEEN
                formula |= names_formula(html, start, end) if tag == _IMG else renders_formula(html, start, end)
            if not trait & T.VOID:
                room = MAX_TOKENS - (state[S.TOKENS] - elements[e, E.TOKEN0])
                state[S.TOKENS] = add_tokens(html, start, end, max(1, number - 1), tokens, state[S.TOKENS], room)
                if number == _AT_CLASS:
                    p = skip_space(html, start, end)
                    while p < end and _CLASSES[html[p]] != _SPACE:
                        path = fnv1a(path, html[p])
                        p += 1
        elif number == _AT_HIDDEN or (number == _AT_STYLE and hides(html, start, end)):
            flags[e] |= _F_HIDDEN
            if not trait & T.BLOCK:
                flags[e] |= _UNSEEN
        elif number == _AT_STYLE:
            if not (trait & (T.BLOCK | T.VOID) or flags[e] & _OF_CODE):
                if is_out_of_sight(html, start, end):
                    flags[e] |= _UNSEEN
                elif shows_as_block(html, start, end):
                    flags[e] |= _AS_BLOCK
        elif number == _AT_SHADOW or number == _AT_OLD_SHADOW:
            flags[e] &= ~_F_TEMPLATE
        elif number == _AT_HREF and tag == _A:
            flags[e] |= _F_HREF
        elif number == _AT_ARIA and end - start == 4:  # true
            flags[e] |= _F_ARIA
        elif number == _AT_TYPE and tag == _SCRIPT:
            json_ld = is_json_ld(html, start, end)
            formula |= is_math_type(html, start, end)
        elif number == _AT_ALT:
            formula |= tag == _IMG and holds_tex(html, start, end)
        elif number == _AT_SRC:
            formula |= tag == _IMG and address_names_tex(html, start, end)
        elif number == _AT_TYPES:
            if state[S.ITEM_TYPES] < len(types):
                types[state[S.ITEM_TYPES], 0] = start
                types[state[S.ITEM_TYPES], 1] = end
                state[S.ITEM_TYPES] += 1
        elif number == _AT_START and tag == _OL:
            elements[e, E.COUNT] = max(0, whole_number(html, start, end) - 1)
        elif number == _AT_VALUE and tag == _LI:
            value = whole_number(html, start, end)
            if value > 0:
                elements[e, E.INDEX] = value - 1
                elements[parent, E.COUNT] = value
    elements[e, E.TOKEN1] = state[S.TOKENS]
    elements[e, E.PATH] = np.int32(path)
    return j, self_closing, json_ld, formula


@helper
def _drop_element(elements: Any, state: Any) -> None:
    """Take back the last element."""
    state[S.ELEMENTS] -= 1
    state[S.TOKENS] = elements[state[S.ELEMENTS], E.TOKEN0]


@helper
def _raw(
    html: Any, elements: Any, flags: Any, chunks: Any, lines: Any, words: Any, spans: Any, stack: Any, state: Any,
    e: Any, name: Any, json_ld: Any, start: Any,
) -> Any:  # fmt: skip
    """The content of element `e`, which is no markup, from `start` on; the place behind its end tag."""
    tag = elements[e, E.TAG]
    end = end_of_raw(html, start, name, tag == _SCRIPT)
    if tag == _TITLE and spans[0, 0] == 0:
        spans[0, 0] = start
        spans[0, 1] = end
    elif json_ld and state[S.SPANS] < len(spans) - 1:
        state[S.SPANS] += 1
        spans[state[S.SPANS], 0] = start
        spans[state[S.SPANS], 1] = end
    elif tag == _XMP and not flags[stack[state[S.OPEN] - 1]] & _INVISIBLE and end > start:
        stack[state[S.OPEN]] = e
        state[S.OPEN] += 1
        _begin_line(elements, flags, lines, stack, state)
        state[S.OPEN] -= 1
        _add_chunk(chunks, lines, state, start, end, JOINED)
        _count(html, lines, words, state, start, end, False, False)
    return find_byte(html, end, B.GREATER_THAN) + 1


@helper
def _start_tag(
    html: Any, elements: Any, flags: Any, tokens: Any, chunks: Any, lines: Any, words: Any, spans: Any, formulas: Any, head: Any,
    types: Any, stack: Any, state: Any, i: Any,
) -> Any:  # fmt: skip
    """The start tag at `i`; the place behind it, and behind its content if that is no markup."""
    name, j = tag_name(html, i + 1)
    tag = find(_TAG_TABLE, name)
    trait = _TRAITS[tag]
    if not trait & T.IN_HEAD:
        state[S.IN_HEAD] = 0
    if tag == _IMAGE:
        tag = np.int64(_IMG)
    _close_implied(elements, flags, stack, state, tag, trait)
    parent = stack[state[S.OPEN] - 1]
    inside = flags[parent]
    if trait & T.BLOCK:
        state[S.INDENT] = -1
        if tag == _BR:
            state[S.BREAKS] += 1
        _break_line(state, inside, tag)
    if tag == _IMG:
        state[S.IMAGES] += 1
    elif trait & T.VOID and tag != _BR:
        state[S.INPUTS] += 1

    e = state[S.ELEMENTS]
    state[S.ELEMENTS] += 1
    element = elements[e]
    _clear(element)
    element[E.TAG] = tag
    element[E.PARENT] = parent
    element[E.DEPTH] = elements[parent, E.DEPTH] + 1
    element[E.NAME] = np.int32(name)
    element[E.START] = i
    element[E.TOKEN0] = state[S.TOKENS]
    element[E.LISTS] = elements[parent, E.LISTS] + (1 if tag == _UL or tag == _OL or tag == _DL else 0)
    if tag == _LI or trait & T.CELL:
        element[E.INDEX] = elements[parent, E.COUNT]
        elements[parent, E.COUNT] += 1
    flags[e] = (inside & ~_AS_BLOCK) | _TAG_FLAGS[tag]
    j, self_closing, json_ld, formula = _attributes(html, elements, flags, tokens, types, state, e, tag, trait, j)
    if j < 0:  # the end of the page within a tag: no tag
        _drop_element(elements, state)
        return len(html)
    if flags[e] & _AS_BLOCK or (tag == 0 and state[S.CUSTOM] == name):
        state[S.NEW_LINE] = 1  # as a block; or one custom element after another: each is a paragraph
    state[S.CUSTOM] = 0
    if formula or tag == _MATH or (tag == _SUP and i > 0 and is_digit(html[i - 1])):
        formulas[state[S.FORMULAS], 0] = i
        formulas[state[S.FORMULAS], 1] = j
        state[S.FORMULAS] += 1
    if tag == _BODY:
        state[S.HEAD_ENDED] = 1
    elif (tag == _META or tag == _LINK or tag == _HTML) and not state[S.HEAD_ENDED] and state[S.HEAD_TAGS] < len(head):
        head[state[S.HEAD_TAGS], 0] = i
        head[state[S.HEAD_TAGS], 1] = j
        state[S.HEAD_TAGS] += 1
    if tag == _HEAD or tag == _HTML or (tag == _BODY and state[S.OPEN] > 1 and elements[stack[1], E.TAG] == _BODY):
        _drop_element(elements, state)
    elif trait & T.RAW and not (inside & _F_SVG and (tag == _TITLE or self_closing)):
        return _raw(html, elements, flags, chunks, lines, words, spans, stack, state, e, name, json_ld, j + 1)
    elif not (trait & T.VOID or (self_closing and flags[e] & _F_SVG)):
        if tag == _PLAINTEXT:
            state[S.PLAIN] = 1
        if state[S.OPEN] < MAX_DEPTH:
            stack[state[S.OPEN]] = e
            state[S.OPEN] += 1
        else:
            state[S.TOO_DEEP] += 1
    return j + 1


@helper
def _copy(line: Any, target: Any) -> None:
    for column in range(len(line)):
        target[column] = line[column]


# --- The page --------------------------------------------------------------------------------------------------------


@helper
def _is_markup(html: Any, i: Any) -> Any:
    """Whether the byte at `i` begins a tag, a comment or a declaration."""
    if html[i] != B.LESS_THAN or i + 1 >= len(html):
        return False
    c = html[i + 1]
    return is_letter(c) or (c == B.SLASH and i + 2 < len(html)) or c == B.EXCLAMATION or c == B.QUESTION


@compiled("in:u1 io:i4* io:i8 io:u4 io:i4* io:i4* io:u4 io:i4* io:i4* io:i4* io:i4* io:i8")
def _scan(html, elements, flags, tokens, chunks, lines, words, spans, formulas, head, types, state):  # type: ignore[no-untyped-def]
    stack = np.zeros(MAX_DEPTH + 1, np.int32)
    _clear(elements[0])
    elements[0, E.TAG] = _HTML
    elements[0, E.PARENT] = -1
    flags[0] = 0
    state[S.ELEMENTS] = state[S.OPEN] = state[S.IN_HEAD] = state[S.NEW_LINE] = 1
    state[S.BEFORE] = JOINED
    state[S.INDENT] = -1
    i = 0
    while i < len(html):
        if state[S.PLAIN] or not _is_markup(html, i):
            i = _text(html, elements, flags, chunks, lines, words, stack, state, i)
        elif html[i + 1] == B.SLASH:
            i = _end_tag(html, elements, flags, stack, state, i)
        elif html[i + 1] == B.EXCLAMATION or html[i + 1] == B.QUESTION:
            i = after_declaration(html, i, flags[stack[state[S.OPEN] - 1]] & _F_SVG)
        else:
            i = _start_tag(
                html, elements, flags, tokens, chunks, lines, words, spans, formulas, head, types, stack, state, i
            )
    n_lines = _merge_rows(elements, lines, chunks, _without_empty(lines, state[S.LINES]))
    count_title_words(html, np.int64(spans[0, 0]), np.int64(spans[0, 1]), lines, n_lines, words)
    state[S.LINES] = n_lines


@helper
def _without_empty(lines: Any, n_lines: Any) -> Any:
    """Take out lines of white space that was written as character references; the new number of lines."""
    out = 0
    for i in range(n_lines):
        if lines[i, L.CHARACTERS] > 0:
            if out != i:
                _copy(lines[i], lines[out])
            out += 1
    return out


@helper
def _is_row(elements: Any, lines: Any, start: Any, end: Any) -> Any:
    """Whether the lines [start, end) stand in two cells or more of text alone."""
    cells = 0
    in_cell = 0
    for i in range(start, end):
        block = lines[i, L.BLOCK]
        tag = elements[block, E.TAG]
        if (tag != _TD and tag != _TH) or lines[i, L.KIND] == K.CODE:
            return False
        if i > start and lines[i - 1, L.BLOCK] == block:
            in_cell += 1
            if in_cell > MAX_CELL_LINES:
                return False
        else:
            cells += 1
            in_cell = 1
    return cells > 1


@helper
def _merge_rows(elements: Any, lines: Any, chunks: Any, n_lines: Any) -> Any:
    """Make one line of the lines of a table's row where its cells hold text alone; the new number of lines."""
    out = 0
    i = 0
    while i < n_lines:
        end = i + 1
        if lines[i, L.ROW] >= 0:
            while end < n_lines and lines[end, L.ROW] == lines[i, L.ROW]:
                end += 1
        if end - i > 1 and _is_row(elements, lines, i, end):
            row = lines[out]
            _copy(lines[i], row)
            row[L.KIND] = K.ROW
            before = row[L.BLOCK]
            for j in range(i + 1, end):
                block = lines[j, L.BLOCK]
                empty = elements[block, E.INDEX] - elements[before, E.INDEX] - 1
                chunks[lines[j, L.CHUNK0], 2] = NEW_CELL + min(max(empty, 0), 99) if block != before else SPACED
                before = block
                row[L.CHUNK1] = lines[j, L.CHUNK1]
                row[L.WORD1] = lines[j, L.WORD1]
                row[L.LAST] = lines[j, L.LAST]
                add_to_hash(row, np.uint32(lines[j, L.HASH]))
                for column in range(L.CHARACTERS, L.FIRST):
                    row[column] += lines[j, column]
            out += 1
        else:
            for j in range(i, end):
                _copy(lines[j], lines[out])
                out += 1
        i = end
    return out


@compiled("in:u1 in:i8 io:i4* io:u4")
def _scan_text(text, ends, lines, words):  # type: ignore[no-untyped-def]
    start = 0
    n_words = np.int64(0)
    for i in range(len(ends)):
        line = lines[i]
        first = skip_space(text, start, ends[i])
        line[L.FIRST] = _CLASSES[text[first]] if first < ends[i] else 0
        line[L.ROW] = -1
        line[L.WORD0] = n_words
        line[L.HASH] = np.int32(FNV_START)
        n_words = count_text(text, start, ends[i], line, words, n_words, False, False)
        line[L.WORD1] = n_words
        start = ends[i]
    return n_words
