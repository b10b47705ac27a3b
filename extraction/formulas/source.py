"""TeX as pages carry it, and what tells it from other text."""

from __future__ import annotations

import re

_PERCENT = re.compile(r"(?<!\\)%")
_WRAPPER = re.compile(r"\{\s*\\(?:display|text|script)style\b\s*(.*)\}", re.DOTALL)
_DELIMITED = re.compile(r"\$\$(.*)\$\$|\$([^$]*)\$|\\\((.*)\\\)|\\\[(.*)\\\]", re.DOTALL)
_COMMANDS = (
    "begin|d?frac|tfrac|sqrt|sum|prod|int|iint|oint|lim|left|right|bigl?|cdots?|ldots|times|infty|partial|nabla|operatorname|math[a-z]+|"
    "text(?:bf|rm|it|style)?|displaystyle|alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|lambda|mu|nu|xi|pi|rho|sigma|tau|"
    "v?phi|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Sigma|Phi|Psi|Omega|leq?|geq?|neq?|approx|equiv|sim|in|subset|cup|cap|to|"
    "rightarrow|Rightarrow|implies|iff|forall|exists|pm|mp|log|ln|sin|cos|tan|exp|vec|hat|bar|tilde|overline|underline|binom|quad|langle"
)
_COMMAND = re.compile(rf"\\(?:{_COMMANDS})(?![a-zA-Z])")


def clean_tex(tex: str) -> str:
    """TeX on one line, without comments, delimiters and the wrapper `{\\displaystyle ...}` of Wikipedia."""
    if "]]>" in tex:  # "% <![CDATA[", as the content of a script in XHTML
        tex = tex.replace("<![CDATA[", "").replace("]]>", "")
    if "%" in tex:
        tex = "\n".join(map(_without_comment, tex.split("\n")))
    tex = " ".join(tex.split())
    delimited = _DELIMITED.fullmatch(tex)
    if delimited:
        tex = next(group for group in delimited.groups() if group is not None).strip()
    wrapped = _WRAPPER.fullmatch(tex)
    if wrapped and _balanced(wrapped[1]):
        tex = wrapped[1].strip()
    return tex


def _without_comment(line: str) -> str:
    percent = _PERCENT.search(line)
    return line[: percent.start()] if percent else line


def _balanced(tex: str) -> bool:
    """Whether no brace closes one that stands before the text."""
    depth = 0
    for mark in re.finditer(r"\\.|[{}]", tex):
        depth += {"{": 1, "}": -1}.get(mark[0], 0)
        if depth < 0:
            return False
    return depth == 0


def looks_like_tex(text: str) -> bool:
    """Whether a text that may be anything (the `alt` of an image) is a formula."""
    return "\\" in text and _COMMAND.search(text) is not None
