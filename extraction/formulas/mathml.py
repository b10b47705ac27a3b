"""Presentation MathML as TeX, by a table of its elements.

One pass over the tags, from the innermost element outwards; nothing recurses. What is nested deeper than `MAX_DEPTH` counts as
one row. Limits: alignment of columns, sizes, colours and spacing are not kept; fences get no `\\left` and `\\right`; labels of
equations stand behind them, in their parentheses; `maction` and `semantics` show their first child; elementary
arithmetic (`mstack`, `mlongdiv`) and content MathML are read as rows.
"""

from __future__ import annotations

import html as references
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from extraction.formulas.symbols import FUNCTIONS, VARIANTS, sign

MAX_DEPTH = 100

_TOKEN = re.compile(r"<(/?)(?:\w++:)?+([a-zA-Z][\w-]*+)([^<>]*+)>|([^<]++)|<")
_ATTRIBUTE = re.compile(r"(?<![\w-])([\w-]++)\s*+=\s*+(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_LEAVES = frozenset({"mi", "mn", "mo", "mtext", "ms"})
_EMPTY = frozenset({"mspace", "mprescripts", "none", "mglyph", "maligngroup", "malignmark"})
_SKIPPED = frozenset({"annotation", "annotation-xml"})
_OVER = {
    "¯": "overline", "‾": "overline", "_": "overline", "ˉ": "bar", "^": "hat", "ˆ": "hat", "~": "tilde", "˜": "tilde", "→": "vec",
    "⇀": "vec", "˙": "dot", "¨": "ddot", "⏞": "overbrace", "ˇ": "check", "˘": "breve", "´": "acute", "`": "grave", "⃗": "vec",
}  # fmt: skip
_UNDER = {"_": "underline", "¯": "underline", "‾": "underline", "⏟": "underbrace", "̲": "underline"}
_LIMITS = re.compile(
    r"\\(?:sum|prod|coprod|i*int|oint|big[a-z]+|lim(?:inf|sup)?|max|min|sup|inf|det|gcd|Pr|operatorname\{[^}]*\})\s*\Z"
)
_COMMAND_END = re.compile(r"\\[a-zA-Z]+\Z")
_TIGHT = frozenset("()[]|!/.,;:'") | {
    r"\{",
    r"\}",
    r"\langle",
    r"\rangle",
    r"\lceil",
    r"\rceil",
    r"\lfloor",
    r"\rfloor",
}
_FENCES = {
    ("(", ")"): "pmatrix",
    ("[", "]"): "bmatrix",
    ("|", "|"): "vmatrix",
    (r"\{", ""): "cases",
    (r"\Vert", r"\Vert"): "Vmatrix",
}
_MATRIX, _END_MATRIX = r"\begin{matrix}", r"\end{matrix}"


@dataclass(slots=True)
class _Node:
    name: str
    attributes: dict[str, str]
    children: list[str] = field(default_factory=list)
    signs: list[str] = field(default_factory=list)  # of each child: the bare character, if it is one


def to_tex(mathml: str) -> str:
    """TeX of `<math>` or of what stands in it; empty if there is nothing to show."""
    mathml = without_comments(mathml)
    stack = [_Node("math", {})]
    beyond = skipped = 0
    for token in _TOKEN.finditer(mathml):
        closing, name, attributes, text = token.groups()
        if text is not None:
            if not skipped and (stack[-1].name in _LEAVES or text.strip()):
                _add_text(stack[-1], text)
            continue
        if name is None:
            continue
        name = name.lower()
        if name in _SKIPPED:
            skipped = 0 if closing else 1
        elif skipped:
            continue
        elif closing:
            if beyond:
                beyond -= 1
            elif name not in _EMPTY:
                _close(stack, name)
        elif name in _EMPTY or attributes.endswith("/"):
            _put(stack[-1], _Node(name, _attributes(attributes)))
        elif len(stack) >= MAX_DEPTH:
            beyond += 1
        else:
            stack.append(_Node(name, _attributes(attributes)))
    while len(stack) > 1:
        _put(stack[-2], stack.pop())
    return " ".join(_joined(stack[0].children).split())


def without_comments(markup: str) -> str:
    """Markup without its comments, up to one that has no end."""
    kept: list[str] = []
    at = 0
    while (start := markup.find("<!--", at)) >= 0 and (end := markup.find("-->", start)) >= 0:
        kept.append(markup[at:start])
        at = end + 3
    return "".join(kept) + markup[at:]


def _attributes(text: str) -> dict[str, str]:
    return {m[1].lower(): references.unescape(m[2] or m[3] or m[4] or "") for m in _ATTRIBUTE.finditer(text)}


def _close(stack: list[_Node], name: str) -> None:
    """End the innermost element of that name and what is in it; an end without a beginning means nothing."""
    if not any(node.name == name for node in stack[1:]):
        return
    while True:
        node = stack.pop()
        _put(stack[-1], node)
        if node.name == name:
            return


def _add_text(node: _Node, text: str) -> None:
    text = references.unescape(text)
    node.children.append(text if node.name in _LEAVES else "".join(map(sign, text.strip())))
    node.signs.append(text.strip())


def _put(parent: _Node, node: _Node) -> None:
    """Give an element that ended to the one around it."""
    tex = _tex(node)
    if tex or node.name not in ("mrow", "mo", "mspace", "mstyle", "mpadded"):
        parent.children.append(tex)
        parent.signs.append(node.signs[0] if len(node.signs) == 1 else "")


def _joined(parts: list[str]) -> str:
    """A row: matrices take the fences around them, and no command runs into a letter."""
    out: list[str] = []
    for part in parts:
        if not part:
            continue
        out.append(part)
        if len(out) > 2 and out[-2].startswith(_MATRIX) and (out[-3].strip(), part.strip()) in _FENCES:
            fence = out[-3].strip(), part.strip()
            out[-3:] = [_fenced(out[-2], _FENCES[fence])]
    if len(out) > 1 and out[-1].startswith(_MATRIX) and (out[-2].strip(), "") in _FENCES:
        out[-2:] = [_fenced(out[-1], "cases")]
    pieces: list[str] = []
    for part in out:
        if pieces and part[0].isalnum() and _COMMAND_END.search(pieces[-1][-32:]):
            pieces.append(" ")
        pieces.append(part)
    return "".join(pieces)


def _fenced(matrix: str, kind: str) -> str:
    if not matrix.endswith(_END_MATRIX):
        return matrix
    return f"\\begin{{{kind}}}{matrix[len(_MATRIX) : -len(_END_MATRIX)]}\\end{{{kind}}}"


def _tex(node: _Node) -> str:
    """TeX of an element whose children are TeX already."""
    name, children = node.name, node.children
    if name in _LEAVES:
        return _leaf(name, "".join(children), node.attributes)
    handler = _HANDLERS.get(name)
    if handler is not None:
        return handler(node)
    return _joined(children)


def _leaf(name: str, text: str, attributes: dict[str, str]) -> str:
    words = " ".join(text.split())
    if name in ("mtext", "ms"):
        if len(words) < 2:  # a space, or a sign that needs no font
            return "".join(map(sign, words)) or " "
        return f"\\text{{{words}}}"
    if not words:
        return ""
    variant = VARIANTS.get(attributes.get("mathvariant", ""))
    if name == "mo":
        tex = "".join(map(sign, words)) if len(words) == 1 or not words.isalpha() else _named(words)
        return tex if tex in _TIGHT or not tex else f" {tex} "
    if name == "mi" and len(words) > 1 and words.isalpha():
        return f"\\{variant}{{{words}}}" if variant else _named(words)
    tex = "".join(map(sign, words))
    if variant and (words.isascii() or variant != "mathrm") and name == "mi":
        return f"\\{variant}{{{tex}}}"
    return tex


def _named(words: str) -> str:
    return (
        f"\\{words}"
        if words in FUNCTIONS
        else f"\\operatorname{{{words}}}"
        if words.isascii()
        else f"\\text{{{words}}}"
    )


def _child(node: _Node, n: int) -> str:
    return node.children[n].strip() if n < len(node.children) else ""


def _frac(node: _Node) -> str:
    above, below = _child(node, 0), _child(node, 1)
    if node.attributes.get("linethickness", "").strip(" pxemt") in ("0", "0.0"):
        return f"{{{above} \\atop {below}}}"
    return f"\\frac{{{above}}}{{{below}}}"


def _base(node: _Node) -> str:
    base = _child(node, 0)
    return base if len(base) < 2 or re.fullmatch(r"\\[a-zA-Z]+|\w+|\\math\w+\{\w\}|[)\]]", base) else f"{{{base}}}"


def _limited(node: _Node, base: str, under: str, over: str) -> str:
    return f"{base}{f'_{{{under}}}' if under else ''}{f'^{{{over}}}' if over else ''}"


def _under_over(node: _Node) -> str:
    base = _child(node, 0)
    under = _child(node, 1) if node.name != "mover" else ""
    over = _child(node, 1) if node.name == "mover" else _child(node, 2)
    if _LIMITS.search(base[-40:]) or (under and over) or re.search(r"\\(?:over|under)brace\{", base[:12]):
        return _limited(node, base, under, over)
    bare = node.signs[1] if len(node.signs) > 1 else ""
    if over:
        return f"\\{_OVER[bare]}{{{base}}}" if bare in _OVER else f"\\overset{{{over}}}{{{base}}}"
    if under:
        return f"\\{_UNDER[bare]}{{{base}}}" if bare in _UNDER else f"\\underset{{{under}}}{{{base}}}"
    return base


def _multiscripts(node: _Node) -> str:
    children = [child.strip() for child in node.children]
    split = children.index(_PRESCRIPTS) if _PRESCRIPTS in children else len(children)
    after, before = children[1:split], children[split + 1 :]
    ahead = "".join(_limited(node, "", *pair) for pair in zip(before[::2], before[1::2], strict=False))
    behind = "".join(_limited(node, "", *pair) for pair in zip(after[::2], after[1::2], strict=False))
    return f"{'{}' if ahead else ''}{ahead}{children[0] if children else ''}{behind}"


_PRESCRIPTS = "\x00"


def _fence(node: _Node) -> str:
    opening, closing = node.attributes.get("open", "("), node.attributes.get("close", ")")
    separators = "".join(node.attributes.get("separators", ",").split())
    inside: list[str] = []
    for i, child in enumerate(node.children):
        if i and separators:
            inside.append(f"{sign(separators[min(i - 1, len(separators) - 1)])} ")
        inside.append(child)
    return _joined(["".join(map(sign, opening)), *inside, "".join(map(sign, closing))])


def _table(node: _Node) -> str:
    rows = [row.strip() for row in node.children]
    if len(rows) == 1 and " & " not in rows[0]:
        return rows[0]
    columns = node.attributes.get("columnalign", "")
    aligned = node.attributes.get("displaystyle") == "true" or ("right" in columns and "left" in columns)
    kind = "aligned" if aligned else "matrix"
    body = r" \\ ".join(rows)
    return f"\\begin{{{kind}}} {body} \\end{{{kind}}}"


def _enclose(node: _Node) -> str:
    content = _joined(node.children).strip()
    for notation, command in (
        ("top", "overline"),
        ("bottom", "underline"),
        ("radical", "sqrt"),
        ("box", "boxed"),
        ("strike", "cancel"),
    ):
        if notation in node.attributes.get("notation", ""):
            return f"\\{command}{{{content}}}"
    return content


def _space(node: _Node) -> str:
    width = re.match(r"([\d.]+)em", node.attributes.get("width", ""))
    return r" \quad " if width and float(width[1] if width[1].count(".") < 2 else 0) >= 1 else " "


_HANDLERS: dict[str, Callable[[_Node], str]] = {
    "mfrac": _frac,
    "msqrt": lambda node: f"\\sqrt{{{_joined(node.children).strip()}}}",
    "mroot": lambda node: f"\\sqrt[{_child(node, 1)}]{{{_child(node, 0)}}}",
    "msub": lambda node: f"{_base(node)}_{{{_child(node, 1)}}}",
    "msup": lambda node: f"{_base(node)}^{{{_child(node, 1)}}}",
    "msubsup": lambda node: f"{_base(node)}_{{{_child(node, 1)}}}^{{{_child(node, 2)}}}",
    "munder": _under_over,
    "mover": _under_over,
    "munderover": _under_over,
    "mmultiscripts": _multiscripts,
    "mprescripts": lambda node: _PRESCRIPTS,
    "mfenced": _fence,
    "mtable": _table,
    "mtr": lambda node: " & ".join(child.strip() for child in node.children),
    "mlabeledtr": lambda node: " & ".join(child.strip() for child in node.children[1:]) + f" \\quad {_child(node, 0)}",
    "mtd": lambda node: _joined(node.children) or " ",
    "menclose": _enclose,
    "mspace": _space,
    "mphantom": lambda node: " ",
    "semantics": lambda node: _child(node, 0),
    "maction": lambda node: _child(node, 0),
}
