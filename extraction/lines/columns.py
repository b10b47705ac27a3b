"""What a scan knows of elements, lines and chunks: names of the columns of its arrays, bounds, kinds.

Constants are named tuples: compiled code takes their fields as numbers, and they are part of its fingerprint.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_DEPTH = 512
"""Open elements; what is nested deeper belongs to the deepest of them. Browsers have the same bound."""

MAX_TOKENS = 20
"""Sub-words of attributes kept for an element."""

MAX_WORDS = 24
"""Words kept of a line (of each cell, in a row)."""

MAX_CELL_LINES = 3
"""A row with a cell of more lines than this is layout."""


class ElementColumns(NamedTuple):
    """Columns of `Scan.elements`."""

    TAG: int = 0
    PARENT: int = 1
    DEPTH: int = 2
    TOKEN0: int = 3  # tokens [TOKEN0, TOKEN1)
    TOKEN1: int = 4
    PATH: int = 5  # hash of the tags and first classes from the root to here
    NAME: int = 6  # hash of the name, for tags that are not known
    INDEX: int = 7  # li: number in its list; td, th: number in its row; from 0
    COUNT: int = 8  # ol, ul: number of the next item; tr: cells so far
    LISTS: int = 9  # lists around it
    MARKED: int = 10  # li: whether one of its lines has the marker
    START: int = 11  # first byte of its start tag


E = ElementColumns()


class LineColumns(NamedTuple):
    """Columns of `Scan.lines`."""

    CHUNK0: int = 0  # chunks [CHUNK0, CHUNK1)
    CHUNK1: int = 1
    ELEMENT: int = 2  # innermost element of the beginning
    BLOCK: int = 3  # innermost block element
    ROW: int = 4  # innermost tr, or -1
    KIND: int = 5  # one of `Kinds`
    MARKER: int = 6  # first line of a list item: n + 1 in an ordered list, -1 in another; else 0
    LISTS: int = 7  # lists around it
    CHARACTERS: int = 8  # code points, white space aside
    LINK_CHARACTERS: int = 9
    LINKS: int = 10  # chunks in links
    WORDS: int = 11  # Latin words
    STOP_WORDS: int = 12
    LOWER: int = 13
    UPPER: int = 14
    DIGITS: int = 15
    PUNCTUATION: int = 16
    CJK: int = 17
    CJK_PUNCTUATION: int = 18
    COMMAS: int = 19
    SENTENCE_ENDS: int = 20
    PIPES: int = 21
    BOLD: int = 22  # characters in b or strong
    BREAKS: int = 23  # <br> before it
    IMAGES: int = 24  # images before it
    INPUTS: int = 25  # form fields and other empty elements before it
    FIRST: int = 26  # class of its first character
    LAST: int = 27  # of its last: 1 letter, 2 digit, 3 end of a sentence, 4 colon, 5 other sign, 6 CJK, 7 other
    WORD0: int = 28  # words [WORD0, WORD1)
    WORD1: int = 29
    TITLE: int = 30  # of these, how many stand in <title>
    HASH: int = 31  # of all its words


L = LineColumns()


class Kinds(NamedTuple):
    """Kinds of lines."""

    P: int = 0
    LI: int = 1
    QUOTE: int = 2
    CODE: int = 3
    ROW: int = 4
    H1: int = 5  # H1 + n is the heading of level n + 1


K = Kinds()
TAGS = ("p", "li", "quote", "code", "tr", "h1", "h2", "h3", "h4", "h5", "h6")
"""Names of the kinds."""

JOINED, SPACED, NEW_LINE, NEW_CELL = 0, 1, 2, 3
"""What stands before a chunk; NEW_CELL + n: n empty cells too."""
