"""What encloses an element of a scan: the nearest table, row, cell and container of code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from extraction.characters import fnv1a_of
from extraction.kernels import compiled
from extraction.lines import tags as t
from extraction.lines.columns import E, K, L
from extraction.lines.markup import find
from extraction.lines.scan import Scan
from extraction.lines.tags import T


class NearColumns(NamedTuple):
    """Columns of `near`: an element of that kind around an element, or itself; 0 without one."""

    TABLE: int = 0
    ROW: int = 1
    CELL: int = 2
    CODE: int = 3  # outermost <code>
    CLASS: int = 4  # nearest block whose class or id speaks of code
    ITEM: int = 5  # list item, or <dd>, <dt>
    QUOTE: int = 6


N = NearColumns()

_CODE_WORDS = (
    "blob code codeblock codehilite crayon geshi gutter highlight highlighter hljs lineno linenos linenumber listing "
    "prettyprint programlisting snippet sourcecode syntax syntaxhighlighter verbatim"
).split()
_OF_CLASS = 0x9E3779B1  # what the scanner marks the sub-words of class and id with
_WORDS = t.table({}, 128)
for _word in _CODE_WORDS:
    _key = fnv1a_of(_word.encode()) ^ _OF_CLASS
    _slot = _key % len(_WORDS)
    while _WORDS[_slot, 1]:
        _slot = (_slot + 1) % len(_WORDS)
    _WORDS[_slot] = _key, 1
_FILTER = np.zeros(4096, np.bool_)  # by the last bits of a hash: one look for nearly all words
_FILTER[_WORDS[_WORDS[:, 1] > 0, 0] % len(_FILTER)] = True
_FILTER_MASK = len(_FILTER) - 1

_TABLE, _TR, _CODE, _LI, _DD, _DT, _QUOTE, _BODY, _HTML = (
    t.TAG[name] for name in "table tr code li dd dt blockquote body html".split()
)
_TRAITS, _F_CODE = t.TRAITS, t.FLAG["code"]


CODE, TABLES = 1, 2
"""What `what_may_be` tells of a page."""


def what_may_be(page: Scan) -> int:
    """CODE if there may be blocks of code, TABLES if there may be tables of data: most pages have neither, and this is told
    in a hundredth of the time of a scan."""
    return int(_what_may_be(page.flags, page.tokens, page.lines))


@compiled("in:i8 in:u4 in:i4*")
def _what_may_be(flags: Any, tokens: Any, lines: Any) -> Any:
    what = 0
    for i in range(len(lines)):
        kind = lines[i, L.KIND]
        if kind == K.CODE or flags[lines[i, L.ELEMENT]] & _F_CODE:
            what |= CODE
        elif kind == K.ROW or (i > 0 and lines[i, L.ROW] >= 0 and lines[i, L.ROW] == lines[i - 1, L.ROW]):
            what |= TABLES
    for k in range(len(tokens)):
        if what & CODE:
            break
        if _FILTER[tokens[k] & _FILTER_MASK] and find(_WORDS, tokens[k]) != 0:
            what |= CODE
    return what


def near(page: Scan) -> npt.NDArray[np.int32]:
    """Find what encloses each element, int32 (elements, len(N))."""
    out = np.zeros((len(page.elements), len(N)), np.int32)
    _near(page.elements, page.tokens, out)
    return out


@compiled("in:i4* in:u4 io:i4*")
def _near(elements: Any, tokens: Any, out: Any) -> None:
    for e in range(1, len(elements)):
        element = elements[e]
        mine = out[e]
        around = out[element[E.PARENT]]
        tag = element[E.TAG]
        trait = _TRAITS[tag]
        for column in range(len(mine)):
            mine[column] = around[column]
        if tag == _TABLE:
            mine[N.TABLE] = e
            mine[N.ROW] = mine[N.CELL] = 0
        elif tag == _TR:
            mine[N.ROW] = e
            mine[N.CELL] = 0
        elif trait & T.CELL:
            mine[N.CELL] = e
        elif tag == _CODE:
            if mine[N.CODE] == 0:
                mine[N.CODE] = e
        elif tag == _LI or tag == _DD or tag == _DT:
            mine[N.ITEM] = e
        elif tag == _QUOTE:
            mine[N.QUOTE] = e
        if trait & T.BLOCK and tag != _BODY and tag != _HTML:
            for k in range(element[E.TOKEN0], element[E.TOKEN1]):
                if find(_WORDS, tokens[k]) != 0:
                    mine[N.CLASS] = e
                    break
