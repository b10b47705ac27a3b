"""The definitions of Han, CJK and the rest, side by side: weights and stored fingerprints depend on each answer."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction import characters, kernels

CLASSES = ("HAN_BASIC", "HAN", "HAN_AND_COMPATIBILITY", "HAN_AND_HEXAGRAMS", "CJK")
COMPILED = (
    "is_han_of_jieba",
    "is_cjk",
    "is_cjk_or_supplementary",
    "is_unspaced",
    "is_unspaced_or_symbol",
    "is_wide_sentence_end",
)
# Columns in this order; x is yes.
ANSWERS = {
    0x0041: ".....|......",  # A
    0x0E01: ".....|...xx.",  # Thai
    0x1780: ".....|...xx.",  # Khmer
    0x3002: ".....|....xx",  # 。
    0x3005: ".....|....x.",  # 々
    0x3007: ".....|....x.",  # 〇
    0x3042: "....x|.xxxx.",  # あ
    0x3105: ".....|....x.",  # bopomofo
    0x3400: ".xxxx|.xxxx.",  # extension A
    0x4DC0: "...xx|.xxxx.",  # a hexagram
    0x4E00: "xxxxx|xxxxx.",  # 一
    0x9FD5: "xxxxx|xxxxx.",  # the last of jieba
    0x9FD6: "xxxxx|.xxxx.",
    0x9FFF: "xxxxx|.xxxx.",  # the last of the block
    0xAC00: "....x|.xx...",  # Hangul
    0xF900: "..x.x|....x.",  # a compatibility ideograph
    0xFF01: ".....|.....x",  # ！
    0xFF21: ".....|......",  # Ａ, full-width
    0x1F600: ".....|..x...",  # an emoji
    0x20000: ".....|.xxxx.",  # extension B
    0x32000: ".....|..xxx.",  # unassigned
}


@pytest.mark.parametrize("point", ANSWERS)
def test_answers(point: int) -> None:
    of_patterns = [bool(re.match(f"[{getattr(characters, name)}]", chr(point))) for name in CLASSES]
    of_compiled = [bool(getattr(kernels, name)(point)) for name in COMPILED]
    marks = "|".join("".join(".x"[answer] for answer in answers) for answers in (of_patterns, of_compiled))
    assert marks == ANSWERS[point]


def test_patterns_have_the_bounds_that_they_always_had() -> None:
    for name, size in zip(CLASSES, (20_992, 27_584, 28_096, 27_648, 39_536), strict=True):
        text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
        assert len(re.findall(f"[{getattr(characters, name)}]", text)) == size, name


@given(st.characters(min_codepoint=0x80, exclude_categories=["Cs"]))
def test_utf8(character: str) -> None:
    data = character.encode()
    assert kernels.utf8_size.py_func(data[0]) == len(data)
    assert kernels.utf8_point.py_func(data, 0, len(data)) == ord(character)


def test_fnv_is_the_published_one() -> None:
    """The vectors of draft-eastlake-fnv."""
    assert characters.fnv1a_of(b"foobar") == 0xBF9CF968
    narrow, wide = kernels.FNV_START, kernels.FNV64_START
    for byte in b"foobar":
        narrow, wide = kernels.fnv1a(narrow, byte), kernels.fnv1a_64(np.uint64(wide), byte)
    assert (narrow, wide) == (0xBF9CF968, 0x85944171F73967E8)
