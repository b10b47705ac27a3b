"""The steps that compare texts take traditional and simplified characters for the same, unless they are told not to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from extraction.text import identity_form
from pipeline.model_based.embedding import CorpusEmbedder, document_frequencies, weights_of
from pipeline.model_based.semantic_dedup import SemanticDedup
from pipeline.preparation.exact_dedup import ExactDedup
from pipeline.rule_based.fuzzy_dedup import FuzzyDedup
from pipeline.rule_based.line_dedup import LineDedup
from pipeline.rule_based.minhash import jaccard
from pipeline.schema import Document

SIMPLIFIED = (
    "网络上的繁体页面和简体页面说的常常是同一件事。\n服务器按读者的语言换字，每个字都有对应的写法，发现头发的人除外。"
)
TRADITIONAL = (
    "網絡上的繁體頁面和簡體頁面說的常常是同一件事。\n服務器按讀者的語言換字，每個字都有對應的寫法，發現頭髮的人除外。"
)
OTHER = "網絡上的繁體頁面和簡體頁面說的常常不是同一件事。\n服務器按作者的語言換字，每個詞都有別的寫法，沒有什麼例外。"
STEPS: list[Any] = [ExactDedup, LineDedup, FuzzyDedup, SemanticDedup]


def similarity(step: Any, a: str, b: str) -> float:
    """How alike the keys of two texts are that a step makes: 1 is equal."""
    if isinstance(step, ExactDedup):
        return float(
            len({step.prepare(Document(doc_id="0" * 32, source_file="-", text=text)).text_digest for text in (a, b)})
            == 1
        )
    if isinstance(step, LineDedup):
        of_texts = [set(step.occurrences(pa.table({"text": [text]}))[2]) for text in (a, b)]
        return len(of_texts[0] & of_texts[1]) / len(of_texts[0] | of_texts[1])
    if isinstance(step, FuzzyDedup):
        flat, offsets, _ = step.hasher().shingles([a, b])
        return float(jaccard(flat, offsets, np.array([0]), np.array([1]))[0])
    texts = step.read([a, b])
    words, n = document_frequencies(texts)
    one, two = CorpusEmbedder(weights_of(words, n, len(texts)), 384).embed(texts).astype(np.float64)
    return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))


@pytest.mark.parametrize("step", STEPS)
def test_a_mirror_in_the_other_script_has_the_same_keys(step: Any) -> None:
    assert similarity(step(), SIMPLIFIED, TRADITIONAL) == pytest.approx(1)
    assert similarity(step(), SIMPLIFIED, OTHER) < 0.95
    assert similarity(step(unify_scripts=False), SIMPLIFIED, TRADITIONAL) < 0.75
    assert similarity(step(unify_scripts=False), TRADITIONAL, TRADITIONAL) == pytest.approx(1)


@pytest.mark.parametrize("step", STEPS)
def test_keys_of_simplified_text_are_the_same_either_way(step: Any) -> None:
    """So outputs of simplified and English pages do not change with the option, but for the fingerprint."""
    english = (
        "Plain English text, with a name or two: Café Ωmega, naïve.\nAnd a second line, longer than the first one is."
    )
    for text in (SIMPLIFIED, english):
        assert keys(step(), text) == keys(step(unify_scripts=False), text)
    assert keys(step(), TRADITIONAL) != keys(step(unify_scripts=False), TRADITIONAL)


def keys(step: Any, text: str) -> Any:
    if isinstance(step, ExactDedup):
        return step.prepare(Document(doc_id="0" * 32, source_file="-", text=text)).text_digest
    if isinstance(step, LineDedup):
        return step.occurrences(pa.table({"text": [text]}))
    if isinstance(step, FuzzyDedup):
        return [part.tolist() for part in step.hasher().shingles([text])]
    return step.read([text])


def test_lines_are_compared_by_their_identity() -> None:
    """`line_dedup` unifies the lines of a document at once."""
    text = "\n".join(["「萬國碼」", "", "ＡＢＣ 樂", "Plain,  text", "★", "漢\x85字", "\ud800 后後"])
    for unify in (False, True):
        forms = LineDedup(unify_scripts=unify).candidates(text)
        assert forms == [(i, identity_form(text.split("\n")[i], unify)) for i in (0, 2, 3, 5, 6)]
    assert LineDedup().candidates("★\n") == []


@pytest.mark.parametrize("step", STEPS)
def test_the_option_is_part_of_the_fingerprint(step: Any) -> None:
    assert step().fingerprint() != step(unify_scripts=False).fingerprint()
    assert step().fingerprint()["parameters"]["unify_scripts"] is True
