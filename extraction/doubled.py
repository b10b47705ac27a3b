"""Undo an encoding that was applied twice: UTF-8 or GBK that somebody read as Latin-1 or Windows-1252, UTF-8 read as GBK.

Such a page is valid UTF-8, so that nothing else sees it: "â€™" stands for "’", "ÖÐ¹ú" for "中国", "涓浗" for "中国". It is mended
before anything else, since later cleaning removes some of the characters that the way back needs (U+0080 to U+009F). Only what
is certain is mended: runs that are whole in the right encoding, on pages where they outnumber other accented letters. What is
left is for the rule `mojibake`.
"""

from __future__ import annotations

import html as entities
import re

from extraction.plausible import plausibility

CP1252 = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_TO_BYTE = {c: c.encode("cp1252")[0] for c in CP1252}
_RUN = re.compile(f"[\x80-\xff{CP1252}]{{2,}}")
_SUSPECT = re.compile(
    rb"\xc3[\x82-\xb4](?:\xc2[\x80-\xbf]|\xe2[\x80-\x84].|\xc5[\x92-\xbe]|\xc6\x92|\xcb[\x86\x9c])"
    rb"|\xc3[\x80-\xbf](?:\xc3[\x80-\xbf]|\xc2[\xa1-\xbf]){3}"
)
_ENTITIES = re.compile(rb"&(?:acirc;&euro;|Atilde;&|Acirc;&)")
_ENTITY_RUN = re.compile("(?:&(?:[A-Za-z]{2,8}|#(?:1[2-9]\\d|2[0-4]\\d|25[0-5]|8\\d{3}|3\\d\\d|402|710|732));){2,}")
_ALONE = re.compile(f"(?<![\x80-\xff{CP1252}])[À-ÖØ-öø-ÿ](?![\x80-\xff{CP1252}])")
_LETTER = re.compile("[À-ÖØ-öø-ÿŒŠŽœšžŸ]")
_GBK_SUSPECT = re.compile("|".join("锛銆鐨").encode())  # of "，", "。" and "的"
_GBK_RUN = re.compile("[\u00a1-\uffe5]{2,}")

LEAST_RUNS = 2
"""Runs of a page that must be whole, if none of them is a character of three bytes or more."""

GBK_LEAST, GBK_WHOLE, GBK_PLAUSIBLE = 8, 0.9, 0.5
"""Characters that GBK must give, share of the runs that must be whole, and how well they must read (`plausibility`)."""


def mended(html: bytes) -> tuple[bytes, str | None]:
    """A page in UTF-8 with its second encoding undone, and what it was read as: `cp1252`, `gb18030` or None (nothing undone).

    The bytes come back as they were where nothing is certain.
    """
    first = _SUSPECT.search(html)
    if first or _ENTITIES.search(html):
        text = html.decode("utf-8", "replace")
        as_utf8 = _undone(text)
        if as_utf8 is not None:
            return as_utf8.encode("utf-8", "surrogatepass"), "cp1252"
        as_gbk = _undone_gbk(text) if first else None
        if as_gbk is not None:
            return as_gbk.encode("utf-8", "surrogatepass"), "cp1252"
    if len(_GBK_SUSPECT.findall(html)) > LEAST_RUNS:
        from_gbk = _undone_from_gbk(html.decode("utf-8", "replace"))
        if from_gbk is not None:
            return from_gbk.encode("utf-8", "surrogatepass"), "gb18030"
    return html, None


def _bytes(run: str) -> bytes:
    return bytes(_TO_BYTE.get(c) or ord(c) for c in run)


def _undone(text: str) -> str | None:
    """A text whose runs of UTF-8 read as Windows-1252 are read rightly, or None where that is not certain."""
    right = other = long = 0

    def one(match: re.Match[str]) -> str:
        nonlocal right, other, long
        run = match[0]
        plain = entities.unescape(run) if run[0] == "&" else run
        if run[0] == "&" and not _RUN.fullmatch(plain):
            return run
        try:
            out = _bytes(plain).decode("utf-8")
        except UnicodeDecodeError:
            other += bool(_LETTER.search(plain))
            return run
        right += 1
        long += len(plain) >= 3 * len(out)
        return out

    changed = _RUN.sub(one, text)
    if _ENTITIES.search(text.encode("utf-8", "replace")):
        changed = _ENTITY_RUN.sub(one, changed)
    alone = len(_ALONE.findall(text))
    if right + long >= LEAST_RUNS and right > other + alone:
        again = _undone(changed) if _SUSPECT.search(changed.encode("utf-8", "replace")) else None
        return again or changed
    return None


def _undone_gbk(text: str) -> str | None:
    """A text whose runs of GBK read as Latin-1 are read rightly, or None where that is not certain."""
    right: list[str] = []
    other = 0

    def one(match: re.Match[str]) -> str:
        nonlocal other
        try:
            out = _bytes(match[0]).decode("gb18030")
        except UnicodeDecodeError:
            other += 1
            return match[0]
        right.append(out)
        return out

    changed = _RUN.sub(one, text)
    read = "".join(right)
    alone = len(_ALONE.findall(text))
    if len(read) < GBK_LEAST or len(right) <= GBK_WHOLE * (len(right) + other + alone):
        return None
    return changed if plausibility(read, "gb18030") >= GBK_PLAUSIBLE else None


def _undone_from_gbk(text: str) -> str | None:
    """A text whose runs of UTF-8 read as GBK are read rightly, or None where that is not certain."""
    right: list[str] = []
    before: list[str] = []
    other = 0

    def one(match: re.Match[str]) -> str:
        nonlocal other
        try:
            out = match[0].encode("gb18030").decode("utf-8")
        except UnicodeDecodeError:
            other += len(match[0])
            return match[0]
        right.append(out)
        before.append(match[0])
        return out

    changed = _GBK_RUN.sub(one, text)
    read, was = "".join(right), "".join(before)
    if len(read) < GBK_LEAST or len(was) <= GBK_WHOLE * (len(was) + other):
        return None
    good = plausibility(read, "gb18030")
    return changed if good >= GBK_PLAUSIBLE and good > plausibility(was, "gb18030") else None
