"""What a scan knows of elements, lines and chunks: names of the columns of its arrays, bounds, kinds."""

from __future__ import annotations

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
