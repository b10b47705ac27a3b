"""Which characters are Han, which are CJK, and the FNV hash of bytes: the definitions for regular expressions and Python.

`extraction.kernels` has those for compiled code. There are several, since weights were trained on, and stored fingerprints made
of, what each of them answers: a definition may get another name, never another answer. tests/extraction/test_characters.py
shows all answers side by side.
"""

from __future__ import annotations

HAN_BASIC = "\u4e00-\u9fff"
"""The basic block of unified ideographs. Parts of patterns' classes, as all below: `re.compile(f"[{HAN_BASIC}]")`."""

HAN = f"\u3400-\u4dbf{HAN_BASIC}"
"""With extension A: the language of a page (`engines.trafilatura`)."""

HAN_AND_COMPATIBILITY = rf"{HAN}\uf900-\ufaff"
"""With the compatibility ideographs: whether a text is segmented as Chinese (`rule_based.statistics`)."""

HAN_AND_HEXAGRAMS = "\u3400-\u9fff"
"""With the hexagrams that stand between the two blocks: words of classifiers, of which weights were made."""

CJK = rf"\u3040-\u30ff{HAN_AND_HEXAGRAMS}\uac00-\ud7af\uf900-\ufaff"
"""With kana, Hangul and the compatibility ideographs: texts of several languages, words of URLs."""

FNV_PRIME = 16777619
FNV_START = 2166136261


def fnv1a_of(data: bytes) -> int:
    """FNV-1a, 32 bits: `b"a"` → 0xE40C292C."""
    value = FNV_START
    for byte in data:
        value = (value ^ byte) * FNV_PRIME & 0xFFFFFFFF
    return value
