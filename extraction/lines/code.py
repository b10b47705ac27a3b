"""Blocks of code in a scan: which lines they are, their language, and their text without line numbers.

Preformatted elements are code. So is, where its content looks it, what highlighters and old pages put elsewhere: lines of
code in the rows of a table, in a <div> each, or between <br> with no-break spaces for the indentation. The text is written
from the bytes of the block again, since in code all white space counts, and numbers of lines are told by the elements
that they stand in. Every block is read once: linear in the size of the page.
"""

from __future__ import annotations

import html as references
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from extraction.kernels import FNV_START, compiled, fnv1a, helper
from extraction.lines import tags as t
from extraction.lines.columns import E, K, L
from extraction.lines.markup import (
    B,
    after_declaration,
    attribute,
    end_of_end_tag,
    end_of_raw,
    find,
    find_byte,
    hides,
    is_digit,
    is_letter,
    tag_name,
)
from extraction.lines.near import N
from extraction.lines.part import texts_of_part
from extraction.lines.scan import Scan
from extraction.lines.tags import T

MAX_TAG = 1000
"""Bytes of a start tag in which a language or a style is looked for."""

MAX_AROUND = 4
"""Elements around a block (those of tables aside) whose class may name its language."""

MAX_UNITS = 2000
"""Places of a page that are looked at as blocks of code, or as tables; the page of the sample with most has 310. Each costs up
to 0.3 ms, so that what lies behind them on a page of data stays lines as others are."""

MAX_STEPS = 24
"""Elements looked at for a language in all, so that deep nesting costs no more."""

PROSE = 0.2
"""Share of stop words among the words of a block from which it is prose, whatever its class says."""


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """Lines [first, last) of a scan that are one block of code.

    Its content lies in the bytes [start, end) of the page. `preformatted`: line ends of the source count. `language` as the
    page names it, in lower case, or "". `markup` is False where tags are text.
    """

    first: int
    last: int
    start: int
    end: int
    preformatted: bool
    language: str
    markup: bool = True


def code_blocks(html: bytes, page: Scan, around: npt.NDArray[np.int32]) -> list[CodeBlock]:
    """Find the blocks of code of a page, in its order.

    :param around: `near.near` of the page.
    """
    lines = page.lines
    of_code = lines[:, L.KIND] == K.CODE
    near_lines = around[lines[:, L.ELEMENT]]
    container = near_lines[:, N.CLASS]
    of_cell = (container > 0) & (around[container, N.CELL] == container)
    keys = np.where(of_cell, around[container, N.TABLE], container)
    keys = np.where(keys > 0, keys, near_lines[:, N.CODE])
    keys[of_code] = -1 - np.flatnonzero(of_code)  # each <pre> by itself
    if not keys.any():
        return []
    ends = np.flatnonzero(np.diff(keys, append=0 if keys[-1] else 1)) + 1
    starts = np.concatenate(([0], ends[:-1]))
    links = np.add.reduceat(2 * lines[:, L.LINK_CHARACTERS] - lines[:, L.CHARACTERS], starts)
    headings = np.maximum.reduceat(lines[:, L.KIND], starts) >= K.H1
    text = (keys[starts] > 0) & ((links > 0) | headings)
    blocks: list[CodeBlock] = []
    first = looked = 0
    for last, is_text in zip(ends.tolist(), text.tolist(), strict=True):
        key = 0 if is_text else int(keys[first])
        looked += key != 0
        if looked > MAX_UNITS:
            break
        block = None
        if key < 0:
            block = _preformatted(html, page, first, blocks)
        elif key > 0:
            block = _other(html, page, around, key, first, last)
        if block is not None:
            blocks.append(block)
        first = last
    return blocks


# --- Preformatted elements -------------------------------------------------------------------------------------------


def _preformatted(html: bytes, page: Scan, line: int, blocks: list[CodeBlock]) -> CodeBlock:
    """The block of a line of preformatted text. A gutter before it, in the same row or of as many numbers, goes into it."""
    top = int(page.lines[line, L.ELEMENT])
    while page.flags[page.elements[top, E.PARENT]] & t.FLAG["pre"]:
        top = int(page.elements[top, E.PARENT])
    end = _end(page, line)
    start = _behind_tag(html, int(page.elements[top, E.START]), _start(page, line))
    first = line
    if blocks and blocks[-1].last == line and _is_gutter_of(html, page, blocks[-1], line):
        first = blocks.pop().first
    row = page.lines[line, L.ROW]
    bound = blocks[-1].last if blocks else 0
    while row >= 0 and first > bound and page.lines[first - 1, L.ROW] == row and _is_number(page, first - 1):
        first -= 1
    first -= _numbers_before(html, page, first, bound, end)
    markup = page.elements[top, E.TAG] not in _VERBATIM
    return CodeBlock(first, line + 1, start, end, True, _language(html, page, line, top), markup)


_VERBATIM = frozenset((t.TAG["xmp"], t.TAG["plaintext"]))


def _is_number(page: Scan, line: int) -> bool:
    return bool(page.lines[line, L.DIGITS] == page.lines[line, L.CHARACTERS])


def _numbers_before(html: bytes, page: Scan, line: int, bound: int, end: int) -> int:
    """Items of a list from 1 on that stand right before the block at `line`, as many as it has lines; or 0."""
    n = 0
    while line - n > bound and page.lines[line - n - 1, L.KIND] == K.LI and _is_number(page, line - n - 1):
        n += 1
    if n < 2 or abs(html.count(b"\n", _start(page, line), end) + 1 - n) > 1:
        return 0
    texts = [text for _, text in texts_of_part(html, page, line - n, line)]
    return n if texts == [str(number) for number in range(1, n + 1)] else 0


def _is_gutter_of(html: bytes, page: Scan, block: CodeBlock, line: int) -> bool:
    """Whether a block holds the numbers of the lines of the one at `line`, and nothing else."""
    if block.last != block.first + 1 or not _is_number(page, block.first):
        return False
    row = page.lines[line, L.ROW]
    if row >= 0 and row == page.lines[block.first, L.ROW]:
        return True
    numbers = _text(html, block).split()
    first = int(numbers[0]) if numbers and len(numbers[0]) < 7 else 0
    if numbers != [str(number) for number in range(first, first + len(numbers))]:
        return False
    top = page.lines[line, L.CHUNK0]
    n_lines = html.count(b"\n", int(page.chunks[top, 0]), _end(page, line)) + 1
    return abs(n_lines - len(numbers)) <= 1 and len(numbers) > 1


def _start(page: Scan, line: int) -> int:
    return int(page.chunks[page.lines[line, L.CHUNK0], 0])


def _end(page: Scan, line: int) -> int:
    return int(page.chunks[page.lines[line, L.CHUNK1] - 1, 1])


def _behind_tag(html: bytes, start: int, limit: int) -> int:
    """Behind the start tag at `start`, but at most `limit`."""
    return int(_end_of_tag(np.frombuffer(html, np.uint8), start, limit))


# --- Code elsewhere --------------------------------------------------------------------------------------------------

_SIGNS = re.compile(
    r"[;{}(\[,\\>]$|\)$|^\s*(?:def|class|import|from|#\s?include|function|var|let|const|return|if|for|while|else|elif|public|"
    r"private|static|echo|print|select|insert|update|use|using|package|fn|func|int|void|sudo|git|npm|pip|"
    r"<\?php|<[a-z/!])\b|^\s*(?:[$#>]\s|>>>|//|/\*|\*/|--|[}\])@])|[\w\])]\s*(?:[-+*/:]?=|=>|->)\s*\S|\w\(.*\)|::",
    re.IGNORECASE,
)
_INDENTED = re.compile(rb"(?:<br[^<>]*>|\n|>)(?:\s|<[^<>]*>)*(?:&nbsp;|&#160;|&#xa0;|\xc2\xa0){2}", re.IGNORECASE)
_PRE_STYLE = re.compile(rb"white-space\s*:\s*(?:pre|break-spaces)\b", re.IGNORECASE)
_CLOSED = re.compile(rb"(?:\s|&nbsp;|<br[^<>]*>|</(?!code)[a-z]+\s*>)*</code", re.IGNORECASE)


def _other(html: bytes, page: Scan, around: npt.NDArray[np.int32], key: int, first: int, last: int) -> CodeBlock | None:
    """The block of the lines [first, last), which stand in the container `key` without headings, if they are code."""
    lines = page.lines[first:last]
    words = int(lines[:, L.WORDS].sum())
    opener = _tag(html, int(page.elements[key, E.START]))
    sure = _PRE_STYLE.search(opener) is not None or (opener[:5].lower() == b"<code" and named_language(opener) != "")
    if not sure and words > 8 and lines[:, L.STOP_WORDS].sum() > PROSE * words:
        return None
    start, end = int(page.elements[key, E.START]), _end(page, last - 1)
    before = _end(page, first - 1) if first else 0
    start = max(_behind_tag(html, start, _start(page, first)), before)
    raw = html[start:end]
    tag = page.elements[key, E.TAG]
    if tag == t.TAG["table"]:
        pre = False
        wanted = _is_numbered_table(html, page, around, first, last)
    else:
        pre = _PRE_STYLE.search(opener) is not None
        wanted = _looks_like_code(html, page, opener, raw, pre, first, last)
        if wanted and tag == t.TAG["code"]:
            wanted = _CLOSED.match(html, end, end + MAX_TAG) is not None
        pre = pre or (wanted and last - first == 1 and b"\n" in raw.strip())
    if not wanted:
        return None
    return CodeBlock(first, last, start, end, pre, _language(html, page, first, key))


def _looks_like_code(html: bytes, page: Scan, opener: bytes, raw: bytes, pre: bool, first: int, last: int) -> bool:
    language = named_language(opener)
    named = language != "" and language not in _PLAIN
    is_code = opener[:5].lower() == b"<code"
    source_lines = raw.count(b"\n", len(raw) - len(raw.lstrip()), len(raw.rstrip())) + 1
    if last - first == 1:  # white space of the source alone says little: where it is wrapped, so is inline code
        if pre or (named and (source_lines > 1 or (is_code and b"block" in opener))):
            return True
        if not is_code or source_lines < 3:
            return False
        texts = re.sub(rb"<[^<>]*>", b"", raw).decode("utf-8", "replace").split("\n")
        indents = {len(text) - len(text.lstrip()) for text in texts[1:] if text.strip()}
        return len(indents) > 1 and share_of_signs(texts) >= 0.6
    kinds = set(page.lines[first:last, L.KIND].tolist())
    if len(kinds) > 1 or K.ROW in kinds:
        return False
    if pre or _INDENTED.search(raw):
        return True
    texts = [text for _, text in texts_of_part(html, page, first, last)]
    return share_of_signs(texts) >= (0.3 if named or is_code else 0.6)


def share_of_signs(texts: list[str]) -> float:
    """Share of the lines that end, begin or are built as lines of code."""
    filled = [text.rstrip() for text in texts if text and not text.isspace()]
    return sum(1 for text in filled if _SIGNS.search(text[:500])) / max(1, len(filled))


def _is_numbered_table(html: bytes, page: Scan, around: npt.NDArray[np.int32], first: int, last: int) -> bool:
    """Whether a table has one cell of code in each row, and in the others nothing but numbers or signs of a difference."""
    rows = [text.split("\t") for _, text in texts_of_part(html, page, first, last)]
    if any(cell.strip() not in ("", "+", "-") and not cell.strip().isdecimal() for row in rows for cell in row[:-1]):
        return False
    numbered = any(len(row) > 1 for row in rows) or any(row[0].strip().isdecimal() for row in rows)
    code = [row[-1] for row in rows if not row[-1].strip().isdecimal()]
    cells = {int(around[e, N.CELL]) for e in page.lines[first:last, L.ELEMENT].tolist()}
    in_classes = b"".join(_tag(html, int(page.elements[cell, E.START])) for cell in list(cells)[:20] if cell)
    if b"blob-code" in in_classes or b"blob-num" in in_classes:
        return bool(code)
    return share_of_signs(code) >= (0.3 if numbered else 0.6)


# --- Languages -------------------------------------------------------------------------------------------------------

_ATTRIBUTE = re.compile(rb"([a-z][a-z0-9-]*)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.IGNORECASE)
_NAMED = re.compile(
    r"(?:^|\s)(?:language|lang|highlight-source|highlight-text|code-lang)[-:]\s?([\w+#.-]+)"
    r"|(?:^|\s)brush:\s*([\w+#.-]+)|(?:^|\s)(?:highlight|src|code|wp-block-code|enlighter|hljs|codehilite)-([\w+#.-]+)"
)
_BESIDE = frozenset(
    ("sourcecode", "hljs", "highlight", "prettyprint", "code", "brush:", "programlisting", "geshi", "src")
)
_PLAIN = frozenset(("text", "txt", "plain", "plaintext"))
_NO_LANGUAGE = frozenset(("none", "nohighlight", "no-highlight", "default", "auto", "undefined", "unknown", "null"))
_KNOWN = frozenset(
    (
        "abap ada apache applescript arduino asm assembly autohotkey awk bash basic bat batch bibtex c c# c++ clojure cmake "
        "cmd cobol coffeescript console cpp crystal csharp csp css csv cuda cython d dart diff django docker dockerfile elixir "
        "elm erlang excel f# fortran fsharp gherkin git glsl go golang gradle graphql groovy haml handlebars haskell hcl hlsl "
        "html html5 http ini java javascript jinja js json json5 jsonc jsx julia kotlin latex lean less lisp llvm lua make "
        "makefile markdown mathematica matlab md mermaid mysql nasm nginx nim nix objc objective-c objectivec ocaml octave "
        "pascal patch perl pgsql php plaintext plain plsql postgresql powershell prolog properties protobuf ps1 puppet py "
        "pycon python python3 r rb reason regex rs ruby rust sas scala scheme scss sh shell sh-session shell-session smalltalk "
        "solidity sql stata svelte svg swift systemverilog tcl terraform tex text toml ts tsx twig txt typescript vb vba vbnet "
        "verilog vhdl vim vue wasm x86asm xml yaml yml zig zsh"
    ).split()
)


def _tag(html: bytes, start: int) -> bytes:
    """The start tag at `start`, its first MAX_TAG bytes."""
    end = html.find(b">", start, start + MAX_TAG)
    return html[start : end if end > 0 else start + MAX_TAG]


def named_language(opener: bytes) -> str:
    """The language that a start tag names, or ""."""
    words = ""
    for name, double, single, bare in _ATTRIBUTE.findall(opener):
        value = (double or single or bare).decode("utf-8", "replace").strip().lower()
        match name.lower():
            case b"class":
                words = value
            case b"data-lang" | b"data-language" | b"data-code-language" | b"data-enlighter-language":
                if value and len(value) < 30:
                    return "" if value in _NO_LANGUAGE else str(value.split()[0])
            case b"lang" if value in _KNOWN and len(value) > 2 and opener[:4].lower() == b"<pre":
                return str(value)
    found = _NAMED.search(words)
    if found is not None:
        sure, perhaps = str(found[1] or found[2] or ""), str(found[3] or "")
        language = (sure or perhaps).strip(".-")
        if language in _NO_LANGUAGE:
            return ""
        if sure or language in _KNOWN:
            return language
    each = words.split()
    if not _BESIDE.isdisjoint(each) or opener[:4].lower() in (b"<pre", b"<cod"):
        return next((word for word in each if word in _KNOWN and word not in _BESIDE), "")
    return ""


def _language(html: bytes, page: Scan, line: int, top: int) -> str:
    """The language of a block: named by the element of its first text, or one around it up to `top` and a little
    beyond."""
    e = int(page.lines[line, L.ELEMENT])
    above = steps = 0
    beyond = False
    while e > 0 and above < MAX_AROUND and steps < MAX_STEPS and page.elements[e, E.TAG] not in _OUTER:
        steps += 1
        if page.elements[e, E.TAG] != _SPAN:  # in a <span> stands a piece of code, perhaps in a language within it
            language = named_language(_tag(html, int(page.elements[e, E.START])))
            if language:
                return language
        beyond = beyond or e == top
        if beyond and page.elements[e, E.TAG] not in _OF_TABLES:
            above += 1
        e = int(page.elements[e, E.PARENT])
    return ""


_SPAN = t.TAG["span"]
_OF_TABLES = frozenset(t.TAG[name] for name in "table tbody thead tr td th".split())
_OUTER = frozenset(t.TAG[name] for name in "html body main article section".split())


# --- Text ------------------------------------------------------------------------------------------------------------

_GUTTER_START, _GUTTER_END, _AFTER_NUMBER, _BLOCK_AFTER_NUMBER = 1, 2, 3, 4
_GUTTER = re.compile(rb"\x01[\s\d.:|\x03\x04]*(?:\x02|\Z)")
_NUMBERED = re.compile(rb"\s*(\d+)[\x03\x04]")


def code_lines(html: bytes, block: CodeBlock) -> list[str]:
    """The lines of a block, with their indentation, without line numbers; no blank line first or last."""
    text = _text(html, block)
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    first, last = 0, len(lines)
    while first < last and not lines[first]:
        first += 1
    while first < last and not lines[last - 1]:
        last -= 1
    return lines[first:last]


def _text(html: bytes, block: CodeBlock) -> str:
    if not block.markup:
        return html[block.start : block.end].decode("utf-8", "replace")
    out = np.empty(block.end - block.start + 8, np.uint8)
    n = _write_code(np.frombuffer(html, np.uint8), block.start, block.end, block.preformatted, out)
    raw = out[:n].tobytes()
    if b"\x01" in raw:
        raw = _GUTTER.sub(b"", raw).replace(b"\x01", b"").replace(b"\x02", b"")
    if b"\x03" in raw or b"\x04" in raw:
        raw = _without_numbers(raw)
    text = raw.decode("utf-8", "replace")
    return references.unescape(text) if "&" in text else text


def _without_numbers(raw: bytes) -> bytes:
    """Take out numbers that stand in an element of their own at the beginning of every line, each one more than the last."""
    lines = raw.split(b"\n")
    found = [_NUMBERED.match(line) for line in lines if line.strip()]
    numbers = [int(number[1][:9]) for number in found if number]
    if (
        len(numbers) > 1
        and len(numbers) == len(found)
        and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    ):
        lines = [_NUMBERED.sub(b"", line, count=1) for line in lines]
        indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
        apart = min(indents, default=0) == 1  # a space between number and code
        return b"\n".join(line[1:] if apart else line for line in lines)
    return raw.replace(b"\x03", b"").replace(b"\x04", b"\n")


def _words(names: str) -> npt.NDArray[np.int64]:
    return t.table(dict.fromkeys(names.split(), 1), 64)


_GUTTER_WORDS = _words(
    "ln lnt lnum lnos linenos lineno linenumber linenumbers linenodiv number num gl hljs-ln-n hljs-ln-numbers blob-num "
    "blob-num-addition blob-num-deletion blob-num-context crayon-num line-num pre-numbering"
)
_IN_GUTTER, _IN_LINENO, _IN_LINE_N, _USER_SELECT, _DISPLAY = (
    np.frombuffer(word, np.uint8) for word in (b"gutter", b"lineno", b"line-n", b"user-select", b"display")
)
_BR, _TD, _TH, _SCRIPT, _BUTTON, _SELECT, _SVG = (t.TAG[name] for name in "br td th script button select svg".split())
_AT_CLASS, _AT_HIDDEN, _AT_STYLE = (t.ATTRIBUTES[name] for name in ("class", "hidden", "style"))
_CLASSES, _TAG_TABLE, _TRAITS, _SPACE = t.CLASSES, t.TAG_TABLE, t.TRAITS, t.SPACE
_IS_GUTTER, _IS_HIDDEN, _IS_BLOCK = 1, 2, 4
_MAX_SPANS = 62


@helper
def _holds(html: Any, start: Any, end: Any, word: Any) -> Any:
    """Place behind a word in lower case within [start, end), in any case; or 0."""
    for p in range(start, end - len(word) + 1):
        k = 0
        while k < len(word) and (html[p + k] | B.LOWER_CASE) == (word[k] | B.LOWER_CASE):
            k += 1
        if k == len(word):
            return p + k
    return 0


@helper
def _is_gutter_class(html: Any, start: Any, end: Any) -> Any:
    h = FNV_START
    for p in range(start, end + 1):
        if p == end or _CLASSES[html[p]] == _SPACE:
            if find(_GUTTER_WORDS, h) != 0:
                return True
            h = FNV_START
        else:
            h = fnv1a(h, html[p] | B.LOWER_CASE if is_letter(html[p]) else html[p])
    return (
        _holds(html, start, end, _IN_GUTTER) > 0
        or _holds(html, start, end, _IN_LINENO) > 0
        or _holds(html, start, end, _IN_LINE_N) > 0
    )


@helper
def _value_after(html: Any, p: Any, end: Any) -> Any:
    """First letter of the value behind a property's name, in lower case."""
    while p < end and (html[p] == B.COLON or _CLASSES[html[p]] == _SPACE):
        p += 1
    return html[p] | B.LOWER_CASE if p < end else 0


@helper
def _what(html: Any, j: Any, end: Any) -> Any:
    """What the attributes from `j` on say of an element, and the place behind its tag."""
    what = 0
    while True:
        while j < end and (_CLASSES[html[j]] == _SPACE or html[j] == B.SLASH):
            j += 1
        if j >= end:
            return what, end
        if html[j] == B.GREATER_THAN:
            return what, j + 1
        number, start, stop, j = attribute(html, j)
        if number == _AT_CLASS:
            if _is_gutter_class(html, start, stop):
                what |= _IS_GUTTER
        elif number == _AT_HIDDEN:
            what |= _IS_HIDDEN
        elif number == _AT_STYLE:
            if hides(html, start, stop):
                what |= _IS_HIDDEN
            p = _holds(html, start, stop, _USER_SELECT)
            if p > 0 and _value_after(html, p, stop) == 0x6E:  # none
                what |= _IS_GUTTER
            p = _holds(html, start, stop, _DISPLAY)
            if p > 0:
                letter = _value_after(html, p, stop)
                if letter == B.LETTER_B or letter == B.LETTER_F or letter == 0x67:  # block, flex, grid
                    what |= _IS_BLOCK


@compiled("in:u1 i8 i8")
def _end_of_tag(html: Any, start: Any, limit: Any) -> Any:
    _, j = tag_name(html, start + 1)
    _, j = _what(html, j, limit)
    return min(j, limit)


@helper
def _is_number_so_far(out: Any, start: Any, n: Any) -> Any:
    """Whether a line so far is a number of at most a few digits."""
    if n == start or n - start > 12:
        return False
    digits = 0
    for p in range(start, n):
        if is_digit(out[p]):
            digits += 1
        elif out[p] != B.SPACE:
            return False
    return digits > 0


@compiled("in:u1 i8 i8 b1 io:u1")
def _write_code(html, start, end, preformatted, out):  # type: ignore[no-untyped-def]
    """Write the text of the bytes [start, end) with a byte below 5 where a gutter begins and ends, and where an element
    ends behind a number that a line begins with: the number of bytes. Character references stay as they are."""
    n = line = 0  # bytes written; where the line began
    fresh = False  # nothing since a block began
    ended = False  # a block just ended the line: a line end of the source is the same one
    between = False  # behind a cell
    skipped = gutter = np.uint32(0)  # name of the element that is left out, of the gutter; how many of it are open
    n_skipped = n_gutter = 0
    spans = np.int64(0)  # one bit for each open <span>: whether it is a block
    n_spans = 0
    i = start
    while i < end:
        c = html[i]
        is_end = c == B.LESS_THAN and i + 2 < end and html[i + 1] == B.SLASH
        if c == B.LESS_THAN and i + 1 < end and (html[i + 1] == B.EXCLAMATION or html[i + 1] == B.QUESTION):
            i = after_declaration(html, i, False)
            continue
        if c != B.LESS_THAN or not (is_end or (i + 1 < end and is_letter(html[i + 1]))):
            stop = min(find_byte(html, i + 1, B.LESS_THAN), end)
            if n_skipped > 0:
                i = stop
                continue
            while i < stop:
                c = html[i]
                i += 1
                if c == B.RETURN:
                    if i < len(html) and html[i] == B.NEWLINE:
                        continue
                    c = np.uint8(B.NEWLINE)
                if _CLASSES[c] == _SPACE and (not preformatted or between):
                    broken = c == B.NEWLINE
                    first = i - 1
                    while i < stop and _CLASSES[html[i]] == _SPACE:
                        broken = broken or html[i] == B.NEWLINE or html[i] == B.RETURN
                        i += 1
                    if between or (broken and n == line):
                        continue
                    if broken:
                        out[n] = B.SPACE
                        n += 1
                    else:
                        for p in range(first, i):
                            out[n] = html[p]
                            n += 1
                    fresh = False
                    continue
                if c < 5:
                    continue
                fresh = False
                if c == B.NEWLINE:
                    if not (ended and n == line):
                        out[n] = c
                        n += 1
                        line = n
                    ended = False
                    continue
                between = False
                out[n] = c
                n += 1
            continue
        name, j = tag_name(html, i + (2 if is_end else 1))
        tag = find(_TAG_TABLE, name)
        trait = _TRAITS[tag]
        if is_end:
            i = end_of_end_tag(html, j) + 1
            if n_skipped > 0:
                if name == skipped:
                    n_skipped -= 1
                continue
            in_gutter = n_gutter > 0
            block = trait & T.BLOCK != 0 and tag != _TD and tag != _TH
            if tag == _SPAN and n_spans > 0:
                n_spans -= 1
                if n_spans < _MAX_SPANS:
                    block = spans >> n_spans & 1 != 0
            if tag == _TD or tag == _TH:
                between = True
            if block:
                if _is_number_so_far(out, line, n):
                    out[n] = _BLOCK_AFTER_NUMBER
                    n += 1
                elif n > line or (fresh and not in_gutter):
                    out[n] = B.NEWLINE
                    n += 1
                    line = n
                    ended = True
                fresh = False
            elif _is_number_so_far(out, line, n):
                out[n] = _AFTER_NUMBER
                n += 1
            if in_gutter and name == gutter:
                n_gutter -= 1
                if n_gutter == 0:
                    out[n] = _GUTTER_END
                    n += 1
            continue
        what, i = _what(html, j, end)
        if n_skipped > 0:
            if name == skipped and not trait & T.VOID:
                n_skipped += 1
            continue
        if tag == _BR:
            out[n] = B.NEWLINE
            n += 1
            line = n
            ended = fresh = False
            continue
        if trait & T.VOID:
            continue
        if trait & T.RAW:
            i = find_byte(html, end_of_raw(html, i, name, tag == _SCRIPT), B.GREATER_THAN) + 1
            continue
        if tag == _BUTTON or tag == _SELECT or tag == _SVG or what & _IS_HIDDEN:
            skipped = name
            n_skipped = 1
            continue
        block = trait & T.BLOCK != 0
        if tag == _SPAN:
            block = what & _IS_BLOCK != 0
            if n_spans < _MAX_SPANS:
                spans = spans & ~(np.int64(1) << n_spans) | np.int64(block) << n_spans
            n_spans += 1
        if tag == _TD or tag == _TH:
            between = False
        elif block:
            if _is_number_so_far(out, line, n):
                out[n] = _BLOCK_AFTER_NUMBER
                n += 1
            elif (
                n > line
                and out[n - 1] != _AFTER_NUMBER
                and out[n - 1] != _BLOCK_AFTER_NUMBER
                and out[n - 1] != _GUTTER_END
            ):
                out[n] = B.NEWLINE
                n += 1
                line = n
                ended = True
            fresh = True
        if n_gutter > 0:
            if name == gutter:
                n_gutter += 1
        elif what & _IS_GUTTER:
            gutter = name
            n_gutter = 1
            out[n] = _GUTTER_START
            n += 1
    return n


MIN_SIGNS = 0.5
"""Share of lines that look like code, from which a text that says nothing of itself is code."""

_STOP_WORDS = re.compile(r"\b(?:the|of|and|to|a|is|you|that|your|or|be|this|by|any|we)\b", re.IGNORECASE)
_LATIN_WORD = re.compile(r"[a-z]+", re.IGNORECASE)
_HAN = re.compile(r"[\u4e00-\u9fff]")


def reads_as_prose(text: str) -> bool:
    """Tell whether more than PROSE of a text's words are those that English sentences are full of."""
    words = _LATIN_WORD.findall(text)
    return len(words) > 8 and len(_STOP_WORDS.findall(text)) > PROSE * len(words)


def looks_like_code(text: str) -> bool:
    """Tell whether most lines of a text, two or more, look like code, and it is not mostly Chinese."""
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and share_of_signs(lines) >= MIN_SIGNS and 4 * len(_HAN.findall(text)) <= len(text)
