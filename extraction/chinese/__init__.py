"""Traditional and simplified characters: which script a Chinese text is in, and one form of both for comparison.

Both go by `characters.tsv` (NOTICE.md says where it comes from), a character at a time: `萬` is `Hant` and becomes `万`. Words
that decide how a character is simplified are not looked at (`乾隆` becomes `干隆`, `著名` becomes `着名`), nor words that differ
from region to region (`軟體`, `软件`). That is good enough to compare texts, not to publish them.
"""

from __future__ import annotations

import functools
import importlib.resources
import sys
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Script = Literal["Hans", "Hant"]
"""ISO 15924: simplified, traditional."""

MAJORITY = 2 / 3
"""Share of the telling characters that a text's script has at least. Nearly all Chinese pages have it (benchmarks/chinese.py);
Japanese, which simplified some characters and not others, seldom has."""

_HANS, _HANT, _JPAN = 1, 2, 3
_KINDS = {"": 0, "Hans": _HANS, "Hant": _HANT, "Jpan": _JPAN}


class Telling(NamedTuple):
    """Counts of a text's characters that stand in one script alone."""

    hans: int
    hant: int
    jpan: int
    """In Japanese alone."""

    @property
    def script(self) -> Script | None:
        """The script that most of the characters are of; None: there are none, or they disagree, as they do in Japanese."""
        bound = MAJORITY * sum(self)
        if not bound:
            return None
        return "Hans" if self.hans >= bound else "Hant" if self.hant >= bound else None


def telling(text: str) -> Telling:
    """Counts of the characters that tell scripts apart: `萬国駅` → one each."""
    kinds = _tables()[0].take(_points(text), mode="clip").tobytes()  # no code point is larger: quicker than to check it
    return Telling(kinds.count(_HANS), kinds.count(_HANT), kinds.count(_JPAN))


def unified(text: str) -> str:
    """A text in simplified characters, as long as it was: `萬國` → `万国`."""
    if text.isascii():
        return text
    return _tables()[1].take(_points(text), mode="clip").tobytes().decode("utf-32-le", "surrogatepass")


def _points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


@functools.cache
def _tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32]]:
    """Of each code point the kind, and the code point of its simplified form; shape (0x110000,) each."""
    kinds = np.zeros(sys.maxunicode + 1, np.uint8)
    simplified = np.arange(sys.maxunicode + 1, dtype=np.dtype("<u4"))
    rows = (importlib.resources.files("extraction.chinese") / "characters.tsv").read_text(encoding="utf-8")
    for row in rows.splitlines():
        character, script, form = row.split("\t")
        kinds[ord(character)] = _KINDS[script]
        if form:
            simplified[ord(character)] = ord(form)
    return kinds, simplified
