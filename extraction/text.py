"""Definitions of text: its stored form, its form for comparison, its lines. There are no others.

`clean` makes the text that is stored; `identity_form` and `text_digest` make what identity removal compares
(dots.llm1 C.1).
"""

from __future__ import annotations

import hashlib
import string
import unicodedata

import regex

from extraction.chinese import unified

# Removed: C0 and C1 controls (but tab and the line ends), soft hyphen, zero-width space, word joiner and invisible
# operators, byte order mark, marks and overrides of writing direction, interlinear anchors, the object replacement
# character, lone surrogates, noncharacters. Kept: the two joiners U+200C and U+200D (Persian, Indic scripts and emoji
# need them), variation selectors, U+FFFD (it is evidence of a broken page) and private use (GB 18030 maps real
# characters there).
_NOISE = regex.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff0-\ufffc\ufffe\uffff\ufdd0-\ufdef\ud800-\udfff]+"
)
_NEWLINE = regex.compile("\r\n|[\r\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_WIDE_SPACE = "\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_WIDE_INDENT = regex.compile(f"(?m)^[ \t]*[{_WIDE_SPACE}][ \t{_WIDE_SPACE}]*")
_WIDE = regex.compile(f"[{_WIDE_SPACE}]")
_TRAILING = regex.compile("(?m)(?<![ \t])[ \t]++$")  # linear: a run is looked at once
_BLANK_LINES = regex.compile("\n{3,}")

_PUNCTUATION = regex.compile(r"\p{P}+")
_ASCII_PUNCTUATION = "".join(c for c in string.punctuation if _PUNCTUATION.fullmatch(c)).encode()


def clean_characters(text: str) -> str:
    """NFC, without the characters that carry nothing; every kind of line end becomes a newline. Spaces stay as they
    are.

    NFC comes last: removing a zero-width character can bring a letter and its accent together.
    """
    if text.isascii() and text.isprintable():
        return text
    return unicodedata.normalize("NFC", _NOISE.sub("", _NEWLINE.sub("\n", text)))


def clean(text: str) -> str:
    r"""The form in which text is stored. Idempotent.

    Characters as in `clean_characters`; wide and fixed spaces become plain ones; white space at the ends of lines
    goes, as do blank lines at the ends of the text and all but one of several in the middle. Spaces and tabs at the
    start of a line stay, since code needs them, unless the indentation has wide spaces (as Chinese paragraphs do,
    "\u3000\u3000"); runs of spaces within a line stay too.
    """
    text = clean_characters(text)
    text = _WIDE.sub(" ", _WIDE_INDENT.sub("", text))
    text = _BLANK_LINES.sub("\n\n", _TRAILING.sub("", text))
    return text.strip("\n")


_UNSPACED = "[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef\U00020000-\U0003ffff]"
_WRAPPED = regex.compile(f"(?<={_UNSPACED})[^\\S\r\n]*+(?:\r\n|[\r\n])\\s*+(?={_UNSPACED})")


def unwrapped(text: str) -> str:
    """A text, or the source of a page, in which no line ends between two Han characters or kana: it was wrapped there."""
    result: str = _WRAPPED.sub("", text)
    return result


def lines(text: str) -> list[str]:
    """The lines of a text: what `line_tags` and `line_link_share` run parallel to. At least one, which may be empty."""
    return text.split("\n")


def identity_form(text: str, unify_scripts: bool = False) -> str:
    r"""The normalised text that digests are taken of (dots.llm1 C.1).

    In the order of the report: drop all punctuation (Unicode category P; symbols such as `+` or `=` stay), NFD, lower
    case, collapse white space. NFD stands before lower case because lower-casing a composed letter can differ from
    lower-casing its parts ("İ"); punctuation goes first because NFD turns a few signs into punctuation (U+037E, the
    Greek question mark, into ";"), which would then depend on the form the page was written in. Dropped means
    dropped: "a-b" becomes "ab".

    :param unify_scripts: traditional characters become simplified ones (`extraction.chinese`), after NFD, which replaces
        compatibility characters: `萬國` and `万国` become one.
    """
    if text.isascii():  # the same by a table: 10 times faster
        return " ".join(text.encode().translate(None, _ASCII_PUNCTUATION).decode().lower().split())
    form = unicodedata.normalize("NFD", _PUNCTUATION.sub("", text))
    return " ".join((unified(form) if unify_scripts else form).lower().split())


def text_digest(text: str, unify_scripts: bool = False) -> str:
    """MD5 of `identity_form`, 32 hex characters (dots.llm1 C.1). An identity, not a protection."""
    form = identity_form(text, unify_scripts).encode("utf-8", "surrogatepass")
    return hashlib.md5(form, usedforsecurity=False).hexdigest()
