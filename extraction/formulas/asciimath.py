"""AsciiMath (https://asciimath.org) as TeX, by a table of its words.

A parser of the language's own grammar: simple expressions, scripts, fractions. Limits: colours, `class`, `id` and `cancel` are
read as text; brackets deeper than `MAX_DEPTH` are not matched, so that the parser is bounded; of matrices only rows of the
same length in brackets of the same kind are known.
"""

from __future__ import annotations

import itertools
import re

from extraction.formulas.symbols import FUNCTIONS

MAX_DEPTH = 40
MAX_MATRIX_DEPTH = 2
"""The cells of a matrix are read twice: in matrices in matrices that doubles with each."""

_SAME = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho sigma tau upsilon
phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega sum prod int oint times div circ bullet
star cdot ast oplus otimes odot vee wedge cap cup setminus ne neq le leq lt gt ge geq prec succ in notin subset supset
subseteq supseteq equiv cong approx propto neg implies iff forall exists bot top vdash models partial nabla emptyset
infty aleph therefore because ldots cdots vdots ddots quad qquad frown triangle diamond square lfloor rfloor lceil
rceil pm mp to rightarrow leftarrow uparrow downarrow leftrightarrow Rightarrow Leftarrow Leftrightarrow mapsto prime
langle rangle bigcup bigcap bigvee bigwedge
"""  # words that are the names of TeX too
_PAIRS = r"""
if \text{if}   and \text{and}   or \text{or}   sup \supset   ** \ast   * \cdot   *** \star   // /   \\ \backslash   xx
\times   -: \div   @ \circ   o+ \oplus   ox \otimes   o. \odot   ^^ \wedge   vv \vee   nn \cap   uu \cup   ^^^
\bigwedge   vvv \bigvee   nnn \bigcap   uuu \bigcup   != \ne   <= \le   >= \ge   -< \prec   >- \succ   !in \notin
sub \subset   sube \subseteq   supe \supseteq   -= \equiv   ~= \cong   ~~ \approx   ~ \sim   prop \propto   not \neg
=> \implies   <=> \iff   AA \forall   EE \exists   _|_ \bot   TT \top   |-- \vdash   |== \models   del \partial   grad
\nabla   +- \pm   -+ \mp   O/ \emptyset   oo \infty   :. \therefore   ... \ldots   /_ \angle   CC \mathbb{C}   NN
\mathbb{N}   QQ \mathbb{Q}   RR \mathbb{R}   ZZ \mathbb{Z}   uarr \uparrow   darr \downarrow   rarr \rightarrow   ->
\to   larr \leftarrow   harr \leftrightarrow   rArr \Rightarrow   lArr \Leftarrow   hArr \Leftrightarrow   |-> \mapsto
dx \mathrm{dx}   dy \mathrm{dy}   dz \mathrm{dz}   dt \mathrm{dt}   lcm \operatorname{lcm}   ' '   mod \bmod   lub
\operatorname{lub}   glb \operatorname{glb}
"""  # other words and their TeX
_COMMANDS = """
sqrt sqrt hat hat bar overline overline overline vec vec tilde tilde dot dot ddot ddot ul underline underline
underline obrace overbrace ubrace underbrace bb mathbf bbb mathbb cc mathcal tt mathtt fr mathfrak sf mathsf cancel
cancel
"""  # words that take an argument, and the commands of TeX
_words, _commands = _PAIRS.split(), _COMMANDS.split()
_WORDS = {
    "\\ ": r"\ ",
    **{name: f"\\{name}" for name in (*_SAME.split(), *FUNCTIONS)},
    **dict(zip(_words[::2], _words[1::2], strict=True)),
}
_UNARY = dict(zip(_commands[::2], _commands[1::2], strict=True))
_AROUND = {
    "abs": ("|", "|"),
    "norm": (r"\|", r"\|"),
    "floor": (r"\lfloor ", r" \rfloor"),
    "ceil": (r"\lceil ", r" \rceil"),
}
_BINARY = {"frac": "\\frac{%s}{%s}", "root": "\\sqrt[%s]{%s}", "stackrel": "\\overset{%s}{%s}", "overset": "\\overset{%s}{%s}",
           "underset": "\\underset{%s}{%s}"}  # fmt: skip
_OPEN = {"(": "(", "[": "[", "{": r"\{", "(:": r"\langle ", "<<": r"\langle ", "{:": ""}
_CLOSE = {")": ")", "]": "]", "}": r"\}", ":)": r" \rangle", ">>": r" \rangle", ":}": ""}
_LITERAL = sorted(
    {*_WORDS, *_UNARY, *_AROUND, *_BINARY, *_OPEN, *_CLOSE, "text", "mbox", "/", "_", "^"},
    key=lambda word: (-len(word), word),
)
_TOKEN = re.compile(
    r"\s*(?:(\"[^\"]*\"|(?:text|mbox)\s*\([^)]*\))|(\d+(?:\.\d+)?)|(\\?(?:"
    + "|".join(map(re.escape, _LITERAL))
    + r"))|(\\?\S))"
)
_KNOWN = frozenset(_LITERAL)
_SPACES = ("\\ ", "\\")
_KINDS = {("[", "]"): "bmatrix", ("(", ")"): "pmatrix", ("|", "|"): "vmatrix", ("{", ":}"): "cases",
          ("{:", ":}"): "matrix"}  # fmt: skip


def to_tex(text: str) -> str:
    """TeX of a formula in AsciiMath."""
    return " ".join(_Parser(text).expression(0).split())


class _Parser:
    """A place in the tokens; every method reads on from it."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        for quoted, number, word, other in _TOKEN.findall(text):
            kind, token = next(
                (k, t) for k, t in zip("qnwo", (quoted, number, word, other), strict=True) if t or k == "o"
            )
            self.tokens.append((kind, token.removeprefix("\\") if token[1:] in _KNOWN else token))
        while self.tokens and self.tokens[-1][1] in _SPACES:
            self.tokens.pop()
        self.tokens = list(itertools.dropwhile(lambda token: token[1] in _SPACES, self.tokens))
        self.at = 0

    def _next(self) -> str:
        """The next token if it is a word of the language, else nothing."""
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "w":
            return self.tokens[self.at][1]
        return ""

    def expression(self, depth: int, until: frozenset[str] = frozenset()) -> str:
        """Intermediate expressions up to one of the closing brackets."""
        parts: list[str] = []
        while self.at < len(self.tokens) and self._next() not in until:
            part, bare = self._scripted(depth)
            if self._next() == "/":
                self.at += 1
                below, bare_below = self._scripted(depth)
                part = f"\\frac{{{bare}}}{{{bare_below}}}" if below else f"{part} /"
            parts.append(part)
        return " ".join(part for part in parts if part)

    def _scripted(self, depth: int) -> tuple[str, str]:
        """A simple expression with its scripts; and the same without the brackets around it, if it is that alone."""
        base, bare = self._simple(depth)
        scripts = ""
        for mark in ("_", "^"):
            if self._next() == mark:
                self.at += 1
                scripts += f"{mark}{{{self._simple(depth)[1]}}}"
        return (base + scripts, base + scripts) if scripts else (base, bare)

    def _simple(self, depth: int) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            return "", ""
        kind, token = self.tokens[self.at]
        self.at += 1
        if kind == "q":
            inside = token[1:-1] if token[0] == '"' else token[token.index("(") + 1 : -1]
            tex = f"\\text{{{inside}}}"
        elif kind == "n" or kind == "o":
            tex = token if token != "\\" else "\\ "
        elif depth >= MAX_DEPTH:
            tex = _WORDS.get(token, _OPEN.get(token, _CLOSE.get(token, "")))
        elif token in _OPEN:
            return self._bracket(token, depth)
        elif token in _UNARY:
            tex = f"\\{_UNARY[token]}{{{self._simple(depth + 1)[1]}}}"
        elif token in _AROUND:
            opening, closing = _AROUND[token]
            tex = f"{opening}{self._simple(depth + 1)[1]}{closing}"
        elif token in _BINARY:
            first, second = self._simple(depth + 1)[1], self._simple(depth + 1)[1]
            tex = _BINARY[token] % (first, second)
        else:
            tex = _WORDS.get(token, _CLOSE.get(token, token))
        return tex, tex

    def _bracket(self, opening: str, depth: int) -> tuple[str, str]:
        start = self.at
        inside = self.expression(depth + 1, frozenset(_CLOSE))
        closing = self._next()
        end = self.at
        if closing:
            self.at += 1
        matrix = self._matrix(opening, closing, start, end, depth)
        if matrix:
            return matrix, matrix
        return f"{_OPEN[opening]}{inside}{_CLOSE.get(closing, '')}", inside

    def _matrix(self, opening: str, closing: str, start: int, end: int, depth: int) -> str:
        """The tokens [start, end) as a matrix, if they are rows in brackets with commas between; else nothing."""
        kind = _KINDS.get((opening, closing))
        tokens = self.tokens
        if (
            kind is None
            or depth > MAX_MATRIX_DEPTH
            or start >= end
            or tokens[start][1] not in "(["
            or tokens[end - 1][1] not in ")]"
        ):
            return ""
        rows: list[list[list[tuple[str, str]]]] = []
        level = 0
        for token in tokens[start:end]:
            if token[1] in _OPEN:
                level += 1
                if level == 1:
                    rows.append([[]])
                    continue
            elif token[1] in _CLOSE:
                level -= 1
                if level == 0:
                    continue
            if level == 0:
                if token[1] != ",":
                    return ""
            elif level == 1 and token[1] == ",":
                rows[-1].append([])
            else:
                rows[-1][-1].append(token)
        if len({len(row) for row in rows}) != 1 or (len(rows) < 2 and len(rows[0]) < 2):
            return ""
        lines = [" & ".join(self._cell(cell, depth) for cell in row) for row in rows]
        body = r" \\ ".join(lines)
        return f"\\begin{{{kind}}} {body} \\end{{{kind}}}"

    def _cell(self, tokens: list[tuple[str, str]], depth: int) -> str:
        whole, at = self.tokens, self.at
        self.tokens, self.at = tokens, 0
        tex = self.expression(depth + 1)
        self.tokens, self.at = whole, at
        return tex
