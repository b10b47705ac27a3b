"""Normalised exactly as identity removal does, and cut into the tokens that jieba and white space give."""

from __future__ import annotations

import gzip
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction.text import identity_form
from pipeline.rule_based.minhash_text import identity_forms, segment, token_hashes

GOLD = Path(__file__).resolve().parents[3] / "data" / "sample" / "gold.jsonl.gz"


def forms(texts: list[str], unify_scripts: bool = False) -> list[str]:
    data, offsets = identity_forms(texts, unify_scripts)
    assert len(data) == offsets[-1]
    return [data[i:j].tobytes().decode("utf-8", "surrogatepass") for i, j in pairwise(offsets)]


def hashes(texts: list[str], segmenter: str = "rjieba") -> list[list[int]]:
    data, offsets = identity_forms(texts)
    tokens, starts = token_hashes(data, offsets, segment(data, offsets, segmenter))  # type: ignore[arg-type]
    return [tokens[i:j].tolist() for i, j in pairwise(starts)]


@pytest.fixture(scope="module")
def chinese() -> list[str]:
    with gzip.open(GOLD, "rt", encoding="utf-8") as lines:
        return [row["main_content"] for row in map(json.loads, lines) if row["language"] == "zh"]


@pytest.mark.parametrize(
    ("before", "behind"), [("", ""), ("\u0301", "\u0323"), ("e\u0323", ".\u0301A"), ("Α", "Α"), (" ", "b")]
)
def test_every_character_is_normalised_as_for_identity(before: str, behind: str) -> None:
    characters = [chr(p) for p in range(0x110000) if p < 0x20000 or p % 16 == 0 or 0x2F800 <= p <= 0x2FA20]
    texts = ["".join(f"{before}{c}{behind}x" for c in characters[i : i + 4]) for i in range(0, len(characters), 4)]
    for unify in (False, True):
        assert forms(texts, unify) == [identity_form(t, unify) for t in texts]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\n\u3000 ",
        "!?。",
        "  Café\u00a0 \u2014 İSTANBUL\n\n",
        "ΟΔΟΣ ΣΟΦΟΣ, ΟΔΟΣ",  # the capital sigma looks at its neighbours
        "e\u0323\u0301 e\u0301\u0323 e\u0301.\u0323",  # accents out of order, apart, parted by a stop
        "\u0301a\u0344\u0323",
        "한국어 텍스트",
        "中文，Ｆｕｌｌ　Ｗｉｄｔｈ",
        "繁體字、簡体字、ΣΟΦΟΣ",
        "\ud800 a\udfff",
        "a\0b \x1f c\x85d",
    ],
)
def test_odd_texts_are_normalised_as_for_identity(text: str) -> None:
    for unify in (False, True):
        assert forms(["a", text, "b"], unify) == ["a", identity_form(text, unify), "b"]


CHARACTERS = st.one_of(
    st.sampled_from(" \n\t.,-Aa1ΣσéÉ\u0301\u0323\u0345中文。\u3000İ가\u2019\U0001f600"), st.characters(codec=None)
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(CHARACTERS, max_size=30), max_size=5))
def test_any_texts_are_normalised_as_for_identity(texts: list[str]) -> None:
    assert forms(texts) == [identity_form(t) for t in texts]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello,  World!\n2024", "hello world 2024"),
        ("我们使用Python编程。", "我们 使用 python 编程"),
        ("我们\n使用 编程", "我们 使用 编程"),
        ("iPhone手机 3G网络", "iphone 手机 3g 网络"),
        ("二〇一〇年", "二 〇 一 〇 年"),
        ("ひらがなと漢字", "ひ ら か \u3099 な と 漢字"),  # NFD parts a letter and its voice mark
        ("ไทย ok", "ไ ท ย ok"),
        ("Привет мир", "привет мир"),
        ("ok\U0001f600ok 好\U0001f600", "ok\U0001f600ok 好 \U0001f600"),
        ("\U00020000\u3400a", "\U00020000 \u3400 a"),
        ("한국 말", "한국 말"),
    ],
)
def test_tokens(text: str, tokens: str) -> None:
    alone = hashes(tokens.split(" "))
    assert {len(h) for h in alone} == {1}
    assert hashes([text]) == [[h for (h,) in alone]]


def test_documents_do_not_run_into_one_another() -> None:
    assert hashes(["我们使用", "编程", "", "a", "b", "编程"]) == [
        hashes([t])[0] for t in ("我们使用", "编程", "", "a", "b", "编程")
    ]


def test_different_tokens_have_different_hashes(chinese: list[str]) -> None:
    data, offsets = identity_forms(chinese)
    words = {w for w in segment(data, offsets, "rjieba").tobytes().decode().split() if w}
    assert len(words) > 5000
    assert len({h for d in hashes([" \n ".join(sorted(words))]) for h in d}) >= 0.95 * len(words)
    numbers = [str(i) for i in range(200_000)]
    assert len(set(hashes([" ".join(numbers)])[0])) == len(numbers)


def test_jieba_and_rjieba_agree_on_normalised_text(chinese: list[str]) -> None:
    """Segmentation with jieba was the slowest part (jieba#329, data-juicer#30, #849): rjieba gives the same tokens."""
    data, offsets = identity_forms(chinese)
    ours, theirs = (segment(data, offsets, s).tobytes().decode() for s in ("rjieba", "jieba"))
    assert ours == theirs
    runs = re.findall("[\u4e00-\u9fd5]+", "\0".join(forms(chinese)))
    assert [line.replace(" ", "") for line in ours.split("\n")[:-1]] == runs
    assert hashes(chinese) == hashes(chinese, "jieba")
