"""Characters and words of a piece of text, counted into its line."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from extraction.kernels import FNV_START, fnv1a, helper, is_cjk, is_wide_sentence_end, utf8_point, utf8_size
from extraction.lines import tags as t
from extraction.lines.columns import MAX_WORDS, L
from extraction.lines.markup import B, find, is_digit, is_letter

MAX_TITLE = 2000
"""Bytes of the title whose words are looked for in the lines."""

# What a line ends with, as L.LAST has it.
_LETTER_LAST, _DIGIT_LAST, _END_LAST, _COLON_LAST, _SIGN_LAST, _CJK_LAST, _OTHER_LAST = range(1, 8)

_LOWER, _UPPER, _DIGIT, _SPACE, _PUNCTUATION, _LEAD, _TRAIL = range(1, 8)  # as in `tags`
_CLASSES, _STOP_TABLE = t.CLASSES, t.STOP_TABLE
_RIGHT_QUOTE, _ELLIPSIS, _IDEOGRAPHIC_COMMA, _WIDE_COMMA, _WIDE_COLON = (ord(c) for c in "\u2019…、，：")


@helper
def add_to_hash(line: Any, h: Any) -> None:
    """Mix the hash of a word, or of another line, into the hash of a line."""
    line[L.HASH] = np.int32(fnv1a(np.uint32(line[L.HASH]), h))


@helper
def _end_word(line: Any, words: Any, n_words: Any, h: Any) -> Any:
    """Count a Latin word; the new number of words."""
    line[L.WORDS] += 1
    if find(_STOP_TABLE, h) > 0:
        line[L.STOP_WORDS] += 1
    if n_words - line[L.WORD0] < MAX_WORDS:
        words[n_words] = h
        n_words += 1
    add_to_hash(line, h)
    return n_words


@helper
def number_reference(html: Any, q: Any, end: Any) -> Any:
    """Code point (-1 if there is no digit) and end of the number behind `&#`, at most 8 digits."""
    hexadecimal = q < end and html[q] | B.LOWER_CASE == B.LETTER_X
    if hexadecimal:
        q += 1
    value = np.int64(0)
    start = q
    while q < end and q - start < 8:
        c = html[q]
        if is_digit(c):
            digit = c - B.DIGIT_0
        elif hexadecimal and B.LETTER_A <= c | B.LOWER_CASE <= B.LETTER_F:
            digit = (c | B.LOWER_CASE) - B.LETTER_A + 10
        else:
            break
        value = value * (16 if hexadecimal else 10) + digit
        q += 1
    return value if q > start else np.int64(-1), q


@helper
def _reference(html: Any, p: Any, end: Any) -> Any:
    """Code point and end of the character reference at `p`. A named one counts as `;`, one that is white space as a space."""
    q = p + 1
    if q < end and html[q] == B.HASH:
        value, q = number_reference(html, q + 1, end)
        if value < 0:
            return np.int64(B.AMPERSAND), p + 1
        if q < end and html[q] == B.SEMICOLON:
            q += 1
        if value == 0xA0 or value == 0x3000 or 0x2000 <= value <= 0x200B:
            value = np.int64(B.SPACE)
        return value, q
    start = q
    while q < end and q - start < 32 and (is_letter(html[q]) or is_digit(html[q])):
        q += 1
    length = q - start
    if length == 0:
        return np.int64(B.AMPERSAND), p + 1
    # nbsp, ensp, emsp, thinsp
    space = 4 <= length <= 6 and html[q - 1] == B.LETTER_P and html[q - 2] == B.LETTER_S
    if q < end and html[q] == B.SEMICOLON:
        q += 1
    elif length > 6 or (space and html[start + 1] != B.LETTER_B):
        # "&copyright=..." in a text: some short names may lack the semicolon
        return np.int64(B.AMPERSAND), p + 1
    return np.int64(B.SPACE if space else B.SEMICOLON), q


@helper
def _count_sign(line: Any, c: Any) -> Any:
    """Count a character that is neither letter, digit nor CJK; what it is as a line's last."""
    if 0x3000 <= c < 0x3020 or 0xFF00 <= c < 0xFF66:
        line[L.CJK_PUNCTUATION] += 1
        if is_wide_sentence_end(c):
            line[L.SENTENCE_ENDS] += 1
            return _END_LAST
        if c == _WIDE_COMMA or c == _IDEOGRAPHIC_COMMA:
            line[L.COMMAS] += 1
        return _COLON_LAST if c == _WIDE_COLON else _SIGN_LAST
    if c >= 128 and not 0x2000 <= c < 0x2070:
        return _OTHER_LAST
    line[L.PUNCTUATION] += 1
    if c == B.FULL_STOP or c == B.EXCLAMATION or c == B.QUESTION or c == _ELLIPSIS:
        line[L.SENTENCE_ENDS] += 1
        return _END_LAST
    if c == B.COMMA:
        line[L.COMMAS] += 1
    elif c == B.VERTICAL_BAR or c == B.SLASH or c == B.GREATER_THAN:
        line[L.PIPES] += 1
    return _COLON_LAST if c == B.COLON else _SIGN_LAST


@helper
def count_text(html: Any, p: Any, end: Any, line: Any, words: Any, n_words: Any, link: Any, bold: Any) -> Any:
    """Count the characters and words of the text [p, end) into its line; the new number of words."""
    characters = low = up = digits = cjk = 0
    h = FNV_START
    in_word = False
    last = 0
    before = np.uint32(0)  # hash of the CJK character before
    while p < end:
        c = np.int64(html[p])
        k = _CLASSES[html[p]]
        if k == _LOWER:  # most characters: the rest of the loop for these alone
            if not in_word:
                in_word = True
                h = FNV_START
            start_of_run = p
            h = fnv1a(h, c)
            p += 1
            while p < end and _CLASSES[html[p]] == _LOWER:
                h = fnv1a(h, html[p])
                p += 1
            characters += p - start_of_run
            low += p - start_of_run
            last = _LETTER_LAST
            before = np.uint32(0)
            continue
        size = 1
        if k >= _PUNCTUATION:  # or of several bytes
            if k == _TRAIL:  # of no character
                p += 1
                continue
            if k == _LEAD:
                size = utf8_size(c)
                if p + size > end:
                    break
                c = utf8_point(html, p, size)
            elif c == B.AMPERSAND:
                c, after = _reference(html, p, end)
                size = after - p
                k = _CLASSES[c] if c < 128 else np.uint8(_LEAD)
        p += size
        if k == _SPACE or c == 0xA0 or c == 0x3000 or 0x2000 <= c <= 0x200B:
            if in_word:
                n_words = _end_word(line, words, n_words, h)
                in_word = False
            before = np.uint32(0)
            while p < end and _CLASSES[html[p]] == _SPACE:
                p += 1
            continue
        characters += 1
        if k == _LOWER or k == _UPPER or k == _DIGIT or (k == _LEAD and c < 0x2000):
            if not in_word:
                in_word = True
                h = FNV_START
            if k == _DIGIT:
                digits += 1
                h = fnv1a(h, B.DIGIT_0)  # all digits are alike
                last = _DIGIT_LAST
            else:
                if k == _UPPER:
                    up += 1
                    c |= B.LOWER_CASE
                else:
                    low += 1
                h = fnv1a(h, c & 255)
                if c > 255:
                    h = fnv1a(h, c >> 8)
                last = _LETTER_LAST
            before = np.uint32(0)
            continue
        if in_word and c != B.APOSTROPHE and c != _RIGHT_QUOTE:
            n_words = _end_word(line, words, n_words, h)
            in_word = False
        if is_cjk(c):
            cjk += 1
            last = _CJK_LAST
            h = fnv1a(fnv1a(fnv1a(FNV_START, c & 255), c >> 8 & 255), c >> 16)
            add_to_hash(line, h)
            if before != 0 and n_words - line[L.WORD0] < MAX_WORDS:
                words[n_words] = fnv1a(h, before)
                n_words += 1
            before = h
        else:
            before = np.uint32(0)
            last = _count_sign(line, c)
    if in_word:
        n_words = _end_word(line, words, n_words, h)
    line[L.CHARACTERS] += characters
    if link:
        line[L.LINK_CHARACTERS] += characters
        line[L.LINKS] += 1
    if bold:
        line[L.BOLD] += characters
    line[L.LOWER] += low
    line[L.UPPER] += up
    line[L.DIGITS] += digits
    line[L.CJK] += cjk
    if last > 0:
        line[L.LAST] = last
    return n_words


@numba.njit
def count_title_words(html: Any, start: Any, end: Any, lines: Any, n_lines: Any, words: Any) -> None:
    """Count in each line the words that the title, [start, end), has."""
    line = np.zeros(len(L), np.int32)
    title = np.zeros(MAX_WORDS + 1, np.uint32)
    n = count_text(html, start, min(end, start + MAX_TITLE), line, title, np.int64(0), False, False)
    if n == 0:
        return
    table = np.zeros(64, np.uint32)
    for i in range(n):
        slot = np.int64(title[i]) % 64
        while table[slot] != 0 and table[slot] != title[i]:
            slot = (slot + 1) % 64
        table[slot] = title[i]
    for i in range(n_lines):
        known = 0
        for w in range(lines[i, L.WORD0], lines[i, L.WORD1]):
            slot = np.int64(words[w]) % 64
            while table[slot] != 0:
                if table[slot] == words[w]:
                    known += 1
                    break
                slot = (slot + 1) % 64
        lines[i, L.TITLE] = known
