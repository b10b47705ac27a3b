"""Traditional and simplified characters: what is told of a text, and one form of both."""

from __future__ import annotations

import hashlib
import importlib.resources
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.chinese import telling, unified
from extraction.text import identity_form, text_digest

FOLDER = importlib.resources.files("extraction.chinese")


def rows() -> list[list[str]]:
    table = (FOLDER / "characters.tsv").read_text(encoding="utf-8")
    return [row.split("\t") for row in table.splitlines()]


def test_the_table_is_the_one_that_the_notice_names() -> None:
    (sha256,) = re.findall(r"SHA-256 \| ([0-9a-f]{64})", (FOLDER / "NOTICE.md").read_text(encoding="utf-8"))
    assert hashlib.sha256((FOLDER / "characters.tsv").read_bytes()).hexdigest() == sha256


def test_each_row_says_something_and_simplified_forms_have_none() -> None:
    table = {character: (script, form) for character, script, form in rows()}
    assert len(table) == len(rows())
    assert all(len(character) == 1 and any(says) for character, says in table.items())
    for _, form in table.values():
        assert not form or table.get(form, ("", ""))[1] == ""
    assert not [character for character, (script, form) in table.items() if script == "Hans" and form]


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("这是简体中文的网页", "Hans"),
        ("這是繁體中文的網頁", "Hant"),
        ("我哋今日去咗街市買餸，佢話啲菜好平。", "Hant"),  # Cantonese
        ("我哋今日去咗街市买餸，佢话啲菜好平。", "Hans"),
        ("吴语维基百科是个自由个百科全书", "Hans"),
        ("學", "Hant"),
        ("学", "Hans"),
        ("人山人海", None),  # the same in both
        ("著名的床前明月光", None),  # `著` and `床` stand in both
        ("皇后在台北", None),
        ("维护说明 說", "Hans"),  # 3 of 4
        ("说明 說", None),  # 1 of 2
        ("维说 說", "Hans"),  # 2 of 3, the bound
        ("東京大学", None),  # Japanese: one of each
        ("株式会社山田製作所", None),
        ("秋葉原駅周辺観光案内図", None),
        ("我们去了渋谷駅附近吃饭，还买了很多东西。", "Hans"),
        ("Plain text, 2024", None),
        ("", None),
        ("\ud800学", "Hans"),
    ],
)
def test_script(text: str, script: str | None) -> None:
    assert telling(text).script == script


def test_telling_counts_each_kind() -> None:
    assert telling("萬國駅") == (0, 2, 1)
    assert telling("万国") == (1, 0, 0)  # `万` stands in traditional texts too


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("萬國", "万国"),
        ("万国", "万国"),
        ("裡裏", "里里"),
        ("衞生、衛生、卫生", "卫生、卫生、卫生"),
        ("看著、看着", "看着、看着"),
        ("頭髮發現", "头发发现"),
        ("乾隆", "干隆"),
        ("日本語の駅", "日本语の駅"),
        ("naïve café 𠀀 \ud800", "naïve café 𠀀 \ud800"),
        ("ascii", "ascii"),
        ("", ""),
    ],
)
def test_unified(text: str, expected: str) -> None:
    assert unified(text) == expected


@given(st.text(st.characters()))
def test_unified_keeps_the_length_and_is_idempotent(text: str) -> None:
    assert len(unified(text)) == len(text)
    assert unified(unified(text)) == unified(text)


def test_texts_that_differ_in_script_alone_have_one_identity_if_asked() -> None:
    traditional, simplified = "「萬國碼」是一種字元編碼。", "“万国码”是一种字元编码。"
    assert identity_form(traditional) != identity_form(simplified)
    assert identity_form(traditional, unify_scripts=True) == identity_form(simplified, unify_scripts=True)
    assert identity_form(simplified, unify_scripts=True) == identity_form(simplified)
    assert text_digest(traditional, unify_scripts=True) == text_digest(simplified)
    assert text_digest(traditional) != text_digest(simplified)
    assert identity_form("樂", unify_scripts=True) == "乐"  # U+F914, which NFD makes U+6A02
    other = "「萬國旗」是一種字元編碼。"
    assert text_digest(other, unify_scripts=True) != text_digest(simplified)
