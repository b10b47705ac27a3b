from __future__ import annotations

import time
import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction.text import clean, identity_form, lines, text_digest

ANY_TEXT = st.text(
    st.characters() | st.sampled_from(" \t\n\r\u3000\xa0\u200b\u0301e\ufeff\x00\ud800.。;\u037eİΣ"), max_size=80
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("a\r\nb\rc\x0bd\x0ce\u2028f\u2029g\x85h", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("nul\x00 bell\x07 esc\x1b del\x7f", "nul bell esc del"),
        ("soft\xadhyphen zero\u200bwidth \ufeffmark \u202eright", "softhyphen zerowidth mark right"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("e\u0301 Å \u212b", "é Å Å"),
        ("e\u200b\u0301", "é"),  # NFC after the removal
        ("葛\ufe00 可\u3000以\xa0吧", "葛\ufe00 可 以 吧"),
        ("\u3000\u3000第一段。\n\u3000\u3000第二段。", "第一段。\n第二段。"),
        ("def f():\n\treturn 1\n    x = 2   \n", "def f():\n\treturn 1\n    x = 2"),
        ("  indented first line", "  indented first line"),
        ("\n\n a\n\n\n\nb\n \n", " a\n\nb"),
        ("👩\u200d💻 می\u200cخواهم", "👩\u200d💻 می\u200cخواهم"),  # joiners mean something
        ("bad \ufffd stays", "bad \ufffd stays"),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_clean_is_idempotent_and_storable(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not regex.search(r"[\p{Cs}\x00-\x08\x0b-\x1f\x7f\u200b\ufeff]", once)
    once.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("Hello,  World!\n", "hello world"),
        ("a-b_c", "abc"),
        ("1 + 1 = $2", "1 + 1 = $2"),  # symbols are not punctuation
        ("你好，世界。（测试）", "你好世界测试"),
        ("Ça va? É", unicodedata.normalize("NFD", "ça va é")),
        ("İstanbul", "i\u0307stanbul"),
        ("wh\u037e y;", "wh y"),
        ("tab\tand\u3000wide", "tab and wide"),
    ],
)
def test_identity_form(text: str, expected: str) -> None:
    assert identity_form(text) == expected


@pytest.mark.parametrize("piece", [" ", "\t", "\n", "\u3000", " \n", "\u200b", "a "])
def test_clean_is_linear(piece: str) -> None:
    start = time.process_time()
    clean(piece * 300_000 + "x")
    assert time.process_time() - start < 3


@given(ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_identity_form_is_idempotent_and_the_same_for_composed_and_decomposed(text: str) -> None:
    form = identity_form(text)
    assert identity_form(form) == form
    assert not regex.search(r"\p{P}", form)
    assert identity_form(unicodedata.normalize("NFC", form)) == form


@given(st.text(st.characters(max_codepoint=127), max_size=80))
def test_the_fast_way_for_ascii_gives_the_same(text: str) -> None:
    assert identity_form(text) == identity_form(text + " é")[: -len(" e\u0301")].rstrip()


def test_digest_ignores_what_identity_ignores_and_nothing_else() -> None:
    assert text_digest("Hello, world!") == text_digest("hello  WORLD") == "5eb63bbbe01eeed093cb22bb8f5acdc3"
    assert text_digest("hello world 2") != text_digest("hello world")
    assert len(text_digest("\ud800")) == 32


def test_lines() -> None:
    assert lines("") == [""]
    assert lines("a\n\nb") == ["a", "", "b"]
