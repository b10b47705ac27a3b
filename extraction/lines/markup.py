"""Bytes of a page: names of those that mean something in markup, and where names, values, comments and raw text end."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from extraction.kernels import FNV_START, fnv1a, helper
from extraction.lines import tags as t


class Bytes(NamedTuple):
    """Bytes that mean something."""

    TAB: int = 0x09
    NEWLINE: int = 0x0A
    RETURN: int = 0x0D
    SPACE: int = 0x20
    EXCLAMATION: int = 0x21
    DOUBLE_QUOTE: int = 0x22
    HASH: int = 0x23
    DOLLAR: int = 0x24
    PERCENT: int = 0x25
    AMPERSAND: int = 0x26
    APOSTROPHE: int = 0x27
    COMMA: int = 0x2C
    HYPHEN: int = 0x2D
    FULL_STOP: int = 0x2E
    SLASH: int = 0x2F
    DIGIT_0: int = 0x30
    DIGIT_5: int = 0x35
    DIGIT_9: int = 0x39
    COLON: int = 0x3A
    SEMICOLON: int = 0x3B
    LESS_THAN: int = 0x3C
    EQUALS: int = 0x3D
    GREATER_THAN: int = 0x3E
    QUESTION: int = 0x3F
    BRACKET_OPEN: int = 0x5B
    BACKSLASH: int = 0x5C
    BRACKET_CLOSE: int = 0x5D
    CARET: int = 0x5E
    UNDERSCORE: int = 0x5F
    LETTER_A: int = 0x61
    LETTER_B: int = 0x62
    LETTER_C: int = 0x63
    LETTER_E: int = 0x65
    LETTER_F: int = 0x66
    LETTER_J: int = 0x6A
    LETTER_K: int = 0x6B
    LETTER_M: int = 0x6D
    LETTER_P: int = 0x70
    LETTER_S: int = 0x73
    LETTER_T: int = 0x74
    LETTER_X: int = 0x78
    LETTER_Y: int = 0x79
    LETTER_Z: int = 0x7A
    VERTICAL_BAR: int = 0x7C
    DELETE: int = 0x7F
    LOWER_CASE: int = 0x20  # the bit that makes a letter a small one


B = Bytes()
_LOWER, _UPPER, _SPACE = t.LOWER, t.UPPER, t.SPACE
_CLASSES, _ATTRIBUTE_TABLE = t.CLASSES, t.ATTRIBUTE_TABLE
_NONE, _HIDD, _LD, _DISPLAY = (np.frombuffer(word, np.uint8) for word in (b"none", b"hidd", b"ld", b"display"))


def _words(text: str) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.int64]]]:
    """The bytes of words, one behind the other, and where they end."""
    words = [word.encode() for word in text.split()]
    return np.frombuffer(b"".join(words), np.uint8), np.cumsum([len(word) for word in words])


_BLOCKS, _BLOCK_ENDS = _words("block flex grid table list-item flow-root")
_FOR_READERS, _FOR_READERS_ENDS = _words(
    "sr-only visually-hidden visuallyhidden screen-reader screenreader a11y-hidden accessibly-hidden element-invisible "
    "assistive-text show-for-sr offscreen editsection mw-editsection mw-jump-link headerlink anchorjs-link"
)
_NOT = np.frombuffer(b"not-", np.uint8)
_LINK_SIGNS, _LINK_SIGN_ENDS = _words(
    "# ¶ § 🔗 🔗\ufe0f ⚓ ⚓\ufe0f &para; &#182; &#xb6; &sect; &#167; &#x1f517; &#35;"
)
_SIZE, _PLACE, _CLIP, _CLIP_PATH = 1, 2, 3, 4
_SIGHT = t.table(
    {"font-size": _SIZE, "clip": _CLIP, "clip-path": _CLIP_PATH}
    | dict.fromkeys(("left", "right", "top", "margin-left", "text-indent"), _PLACE),
    32,
)
_FAR, _FAR_ENDS = _words("-999 -1000 -2000 -3000 -5000 -10000 -20000 -32768")
_INSETS, _INSET_ENDS = _words("inset(50%) inset(100%)")
_MATH, _TEX, _FORMULA, _EQUATION, _KATEX, _MJX, _MWE = (
    np.frombuffer(word, np.uint8) for word in (b"math", b"tex", b"formula", b"equation", b"katex", b"mjx", b"mwe-math")
)
_MAX_ADDRESS = 80
_BLOCK = 64
_TOKEN_KINDS = 0x9E3779B1  # 2**32 by the golden ratio


@helper
def is_letter(byte: Any) -> Any:
    """Whether a byte is a letter of ASCII."""
    return B.LETTER_A <= byte | B.LOWER_CASE <= B.LETTER_Z


@helper
def is_digit(byte: Any) -> Any:
    """Whether a byte is a digit of ASCII."""
    return B.DIGIT_0 <= byte <= B.DIGIT_9


@helper
def find(table: Any, key: Any) -> Any:
    """Number of a hash in an open-addressed table, whose size is a power of two, or 0."""
    mask = len(table) - 1
    slot = np.int64(key) & mask
    while table[slot, 1] != 0:
        if table[slot, 0] == np.int64(key):
            return table[slot, 1]
        slot = (slot + 1) & mask
    return np.int64(0)


@helper
def find_byte(html: Any, i: Any, byte: Any) -> Any:
    """Place of a byte from `i` on, or the end of the page."""
    n = len(html)
    while i < n and html[i] != byte:
        i += 1
    return i


@helper
def find_far_byte(html: Any, i: Any, byte: Any) -> Any:
    """The same where it is far away: 64 bytes in a few instructions. Scripts and comments are half of a page."""
    wanted = np.uint8(byte)
    while i + _BLOCK <= len(html):
        block = html[i : i + _BLOCK]
        found = np.uint8(0)
        for k in range(_BLOCK):
            found = np.uint8(found | np.uint8(block[k] == wanted))
        if found:
            break
        i += _BLOCK
    return find_byte(html, i, byte)


@helper
def skip_space(html: Any, i: Any, end: Any) -> Any:
    """Place of the first byte from `i` on that is no white space, or `end`."""
    while i < end and _CLASSES[html[i]] == _SPACE:
        i += 1
    return i


@helper
def after_declaration(html: Any, i: Any, svg: Any) -> Any:
    """Behind the comment, doctype, instruction or (in SVG and MathML) CDATA section that begins at `i`."""
    n = len(html)
    if html[i + 1] == B.EXCLAMATION:
        if i + 3 < n and html[i + 2] == B.HYPHEN and html[i + 3] == B.HYPHEN:
            return _after_comment(html, i + 4)
        if svg and i + 2 < n and html[i + 2] == B.BRACKET_OPEN:
            j = i + 3
            while j + 2 < n and not (
                html[j] == B.BRACKET_CLOSE and html[j + 1] == B.BRACKET_CLOSE and html[j + 2] == B.GREATER_THAN
            ):
                j += 1
            return j + 3
    return find_byte(html, i, B.GREATER_THAN) + 1


@helper
def _after_comment(html: Any, j: Any) -> Any:
    """Behind the comment whose text begins at `j`."""
    n = len(html)
    if j < n and html[j] == B.GREATER_THAN:  # <!-->
        return j + 1
    if j + 1 < n and html[j] == B.HYPHEN and html[j + 1] == B.GREATER_THAN:  # <!--->
        return j + 2
    while True:
        j = find_far_byte(html, j, B.HYPHEN)
        if j + 2 >= n:
            return n
        if html[j] == B.HYPHEN and html[j + 1] == B.HYPHEN:
            if html[j + 2] == B.GREATER_THAN:
                return j + 3
            if html[j + 2] == B.EXCLAMATION and j + 3 < n and html[j + 3] == B.GREATER_THAN:
                return j + 4
        j += 1


@helper
def _name_ends(html: Any, j: Any) -> Any:
    return j >= len(html) or _CLASSES[html[j]] == _SPACE or html[j] == B.SLASH or html[j] == B.GREATER_THAN


@helper
def _in_lower_case(byte: Any) -> Any:
    return byte | B.LOWER_CASE if _CLASSES[byte] == _UPPER else byte


@helper
def tag_name(html: Any, j: Any) -> Any:
    """Hash of the tag's name at `j`, in lower case, and its end."""
    name = FNV_START
    while not _name_ends(html, j):
        name = fnv1a(name, _in_lower_case(html[j]))
        j += 1
    return name, j


@helper
def attribute(html: Any, j: Any) -> Any:
    """The attribute at `j`: its number (0 if it is not known), start and end of its value (0, 0 without one), and its end."""
    n = len(html)
    name = FNV_START
    start = j
    while j < n and (j == start or html[j] != B.EQUALS) and not _name_ends(html, j):
        name = fnv1a(name, _in_lower_case(html[j]))
        j += 1
    j = skip_space(html, j, n)
    value = value_end = 0
    if j < n and html[j] == B.EQUALS:
        value = skip_space(html, j + 1, n)
        if value < n and (html[value] == B.DOUBLE_QUOTE or html[value] == B.APOSTROPHE):
            value_end = find_byte(html, value + 1, html[value])
            value += 1
            j = value_end + 1
        else:
            value_end = value
            while value_end < n and _CLASSES[html[value_end]] != _SPACE and html[value_end] != B.GREATER_THAN:
                value_end += 1
            j = value_end
    return find(_ATTRIBUTE_TABLE, name), value, value_end, j


@helper
def end_of_end_tag(html: Any, j: Any) -> Any:
    """Place of the `>` of an end tag, or the end of the page: its attributes are skipped as those of a start tag are."""
    n = len(html)
    while j < n and html[j] != B.GREATER_THAN:
        if html[j] == B.EQUALS:
            j = skip_space(html, j + 1, n)
            if j < n and (html[j] == B.DOUBLE_QUOTE or html[j] == B.APOSTROPHE):
                j = find_byte(html, j + 1, html[j]) + 1
        else:
            j += 1
    return min(j, n)


@helper
def _after_name(html: Any, j: Any, name: Any) -> Any:
    """End of the name at `j` if its hash is `name`, else 0."""
    n = len(html)
    h = FNV_START
    while j < n and is_letter(html[j]):
        h = fnv1a(h, html[j] | B.LOWER_CASE)
        j += 1
    return j if h == name and _name_ends(html, j) else 0


@helper
def end_of_raw(html: Any, i: Any, name: Any, script: Any) -> Any:
    """Place of the `</name` that ends raw text, or the end of the page. A script inside `<!--` may hold a whole script."""
    n = len(html)
    escaped = False
    double = False
    while i < n:
        if not escaped:
            i = find_far_byte(html, i, B.LESS_THAN)
            if i >= n:
                break
        c = html[i]
        if c == B.LESS_THAN and i + 2 < n:
            if html[i + 1] == B.SLASH:
                if _after_name(html, i + 2, name) > 0:
                    if not double:
                        return i
                    double = False
            elif (
                script
                and html[i + 1] == B.EXCLAMATION
                and i + 3 < n
                and html[i + 2] == B.HYPHEN
                and html[i + 3] == B.HYPHEN
            ):
                escaped = True
                i += 2  # <!--> ends it at once
            elif script and escaped and _after_name(html, i + 1, name) > 0:
                double = True
        elif (
            script
            and escaped
            and c == B.HYPHEN
            and i + 2 < n
            and html[i + 1] == B.HYPHEN
            and html[i + 2] == B.GREATER_THAN
        ):
            escaped = False
            double = False
        i += 1
    return n


@helper
def whole_number(html: Any, i: Any, end: Any) -> Any:
    """A whole number of at most nine digits, or -1."""
    value = np.int64(0)
    j = i
    while j < end and is_digit(html[j]) and j - i < 9:
        value = value * 10 + html[j] - B.DIGIT_0
        j += 1
    return value if j > i else np.int64(-1)


@helper
def _reads(html: Any, p: Any, word: Any) -> Any:
    """Whether a word in lower case stands at `p`, in any case."""
    for k in range(len(word)):  # noqa: SIM110, numba has no generators in `all`
        if html[p + k] | B.LOWER_CASE != word[k]:
            return False
    return True


@helper
def hides(html: Any, start: Any, end: Any) -> Any:
    """Whether a style says display: none or visibility: hidden."""
    for p in range(start, end - 3):
        if _reads(html, p, _NONE):
            letter = B.LETTER_A  # displAy
        elif p + 5 < end and _reads(html, p, _HIDD):
            letter = B.LETTER_T  # visibiliTy
        else:
            continue
        q = p - 1
        while q > start and (html[q] == B.SPACE or html[q] == B.COLON):
            q -= 1
        if (
            q > start + 5
            and q < p - 1
            and html[q] | B.LOWER_CASE == B.LETTER_Y
            and html[q - 1] | B.LOWER_CASE == letter
        ):
            return True
    return False


@helper
def shows_as_block(html: Any, start: Any, end: Any) -> Any:
    """Whether a style says display: block or the like; not inline-block."""
    for p in range(start, end - 9):
        if not _begins(html, p, end, _DISPLAY):
            continue
        q = p + 7
        while q < end and (html[q] == B.SPACE or html[q] == B.COLON):
            q += 1
        if _begins_with_one(html, q, end, _BLOCKS, _BLOCK_ENDS):
            return True
    return False


@helper
def is_out_of_sight(html: Any, start: Any, end: Any) -> Any:
    """Whether a style leaves nothing to be seen: font-size: 0, left: -9999px, clip: rect(0, 0, 0, 0). Not opacity: 0, from which
    texts fade in."""
    p = skip_space(html, start, end)
    while p < end:
        name = FNV_START
        while p < end and html[p] != B.COLON and html[p] != B.SEMICOLON:
            if _CLASSES[html[p]] != _SPACE:
                name = fnv1a(name, _in_lower_case(html[p]))
            p += 1
        if p < end and html[p] == B.COLON:
            value = skip_space(html, p + 1, end)
            p = value
            while p < end and html[p] != B.SEMICOLON:
                p += 1
            what = find(_SIGHT, name)
            if (
                (what == _SIZE and _is_zero(html, value, p))
                or (what == _PLACE and _begins_with_one(html, value, p, _FAR, _FAR_ENDS))
                or (what == _CLIP and _is_no_more_than_a_pixel(html, value, p))
                or (what == _CLIP_PATH and _begins_with_one(html, value, p, _INSETS, _INSET_ENDS))
            ):
                return True
        p = skip_space(html, p + 1, end)
    return False


@helper
def _is_zero(html: Any, p: Any, end: Any) -> Any:
    """Whether a length begins with the number 0."""
    first = p
    while p < end and (html[p] == B.DIGIT_0 or html[p] == B.FULL_STOP):
        p += 1
    return p > first and not (p < end and is_digit(html[p]))


@helper
def _is_no_more_than_a_pixel(html: Any, p: Any, end: Any) -> Any:
    """Whether no number of a rectangle is above 1; `auto` is."""
    numbers = 0
    before = 0
    while p < end:
        c = html[p]
        if is_digit(c):
            if c > B.DIGIT_0 + 1 or is_digit(before):
                return False
            numbers += 1
        elif c | B.LOWER_CASE == B.LETTER_A:
            return False
        before = c
        p += 1
    return numbers >= 4


@helper
def is_link_sign(html: Any, p: Any, end: Any) -> Any:
    """Whether a text is one of the signs that documentation puts at headings as links to them."""
    while end > p and _CLASSES[html[end - 1]] == _SPACE:
        end -= 1
    first = 0
    for i in range(len(_LINK_SIGN_ENDS)):
        size = _LINK_SIGN_ENDS[i] - first
        same = size == end - p
        k = 0
        while same and k < size:
            same = html[p + k] == _LINK_SIGNS[first + k]
            k += 1
        if same:
            return True
        first = _LINK_SIGN_ENDS[i]
    return False


@helper
def is_for_readers(html: Any, start: Any, end: Any) -> Any:
    """Whether a class says that its text is not seen: for screen readers, or marks at headlines for editors and for links. A
    system's name may stand before it (`govuk-visually-hidden`), but no `not-`."""
    for p in range(start, end):
        begins = p == start or _CLASSES[html[p - 1]] == _SPACE
        begins = begins or html[p - 1] == B.HYPHEN or html[p - 1] == B.UNDERSCORE
        if (
            begins
            and _begins_with_one(html, p, end, _FOR_READERS, _FOR_READERS_ENDS)
            and not (p >= start + 4 and _begins(html, p - 4, p, _NOT))
        ):
            return True
    return False


@helper
def _begins_with_one(html: Any, p: Any, end: Any, words: Any, ends: Any) -> Any:
    """Whether the text [p, end) begins with one of the words, in any case."""
    first = 0
    for i in range(len(ends)):
        size = ends[i] - first
        same = p + size <= end
        k = 0
        while same and k < size:
            same = html[p + k] | B.LOWER_CASE == words[first + k]
            k += 1
        if same:
            return True
        first = ends[i]
    return False


@helper
def is_json_ld(html: Any, start: Any, end: Any) -> Any:
    """Whether a type is as long as application/ld+json and has the `ld` in its place."""
    return end - start >= 19 and _reads(html, start + 12, _LD)


@helper
def _begins(html: Any, p: Any, end: Any, word: Any) -> Any:
    """Whether the text [p, end) begins with a word in lower case, in any case."""
    return p + len(word) <= end and _reads(html, p, word)


@helper
def is_math_type(html: Any, start: Any, end: Any) -> Any:
    """Whether a type is one of MathJax's, math/..."""
    return _begins(html, start, end, _MATH)


@helper
def renders_formula(html: Any, start: Any, end: Any) -> Any:
    """Whether a class begins as those do that KaTeX, MathJax and MediaWiki give to formulas."""
    if start >= end:
        return False
    c = html[start] | B.LOWER_CASE
    if c == B.LETTER_K:
        return _begins(html, start, end, _KATEX)
    if c != B.LETTER_M:
        return False
    return (
        _begins(html, start, end, _MJX)
        or _begins(html, start, end, _MWE)
        or (_begins(html, start, end, _MATH) and end > start + 4 and html[start + 4] | B.LOWER_CASE == B.LETTER_J)
    )


@helper
def names_formula(html: Any, start: Any, end: Any) -> Any:
    """Whether the class of an image speaks of formulas."""
    for p in range(start, end):
        c = html[p] | B.LOWER_CASE
        if c == B.LETTER_T:
            if _begins(html, p, end, _TEX):
                return True
        elif c == B.LETTER_M:
            if _begins(html, p, end, _MATH):
                return True
        elif (c == B.LETTER_E and _begins(html, p, end, _EQUATION)) or (
            c == B.LETTER_F and _begins(html, p, end, _FORMULA)
        ):
            return True
    return False


@helper
def address_names_tex(html: Any, start: Any, end: Any) -> Any:
    """Whether the address of an image speaks of TeX (`tex`, or `=tx` as in Google's charts) or holds a backslash (`%5C`), in
    its first bytes: data may stand in an address. The first loop has no branch and passes over most addresses quickly."""
    address = html[start : min(end, start + _MAX_ADDRESS)]
    hits = 0
    for p in range(len(address) - 1):
        first, second = address[p], address[p + 1]
        letter = (first | B.LOWER_CASE == B.LETTER_E) | (first == B.LETTER_T)
        hits |= (letter & (second | B.LOWER_CASE == B.LETTER_X)) | ((first == B.PERCENT) & (second == B.DIGIT_5))
    if hits == 0:
        return False
    for p in range(len(address) - 2):
        first, second, third = address[p], address[p + 1] | B.LOWER_CASE, address[p + 2] | B.LOWER_CASE
        if first | B.LOWER_CASE == B.LETTER_T and second == B.LETTER_E and third == B.LETTER_X:
            return True
        if (first == B.EQUALS and second == B.LETTER_T and third == B.LETTER_X) or (
            first == B.PERCENT and address[p + 1] == B.DIGIT_5 and third == B.LETTER_C
        ):
            return True
    return False


@helper
def holds_tex(html: Any, start: Any, end: Any) -> Any:
    """Whether the text of an image may be TeX."""
    for p in range(start, end):  # noqa: SIM110, numba has no generators in `all`
        if html[p] == B.BACKSLASH or html[p] == B.CARET or (html[p] == B.DOLLAR and p == start):
            return True
    return False


@helper
def add_tokens(html: Any, start: Any, end: Any, kind: Any, tokens: Any, n: Any, room: Any) -> Any:
    """Append the hashes of the sub-words of an attribute of `kind`, at most `room`; the new number of tokens."""
    h = FNV_START
    length = 0
    before = 0
    added = 0
    for p in range(start, end + 1):
        k = _CLASSES[html[p]] if p < end else _SPACE
        if k != _LOWER and (k != _UPPER or before == _LOWER):
            if length >= 2 and added < room and n < len(tokens):
                tokens[n] = h ^ np.uint32(kind * _TOKEN_KINDS & 0xFFFFFFFF)
                n += 1
                added += 1
            h = FNV_START
            length = 0
        if k == _LOWER or k == _UPPER:
            h = fnv1a(h, html[p] | B.LOWER_CASE)
            length += 1
        before = k
    return n
