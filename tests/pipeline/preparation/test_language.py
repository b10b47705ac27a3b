"""Language identification."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.preparation.language import Language, prose, visible
from pipeline.schema import Document, Drop

ZH = "人工智能是计算机科学的一个分支，它企图了解智能的实质，并生产出一种新的能以人类智能相似的方式做出反应的智能机器。"
ZH_TRADITIONAL = "維基百科是一個內容自由、公開編輯且多語言的網路百科全書協作計畫，任何人都可以編輯其中的條目。"
EN = "Photosynthesis is the process by which plants turn the light of the sun into chemical energy that they store."
JA = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
FR = "Longtemps, je me suis couché de bonne heure. Parfois, à peine ma bougie éteinte, mes yeux se fermaient si vite."
WU = "吴语维基百科是个自由个百科全书，阿拉侬侪好来改个。"
CODE = "for (int i = 0; i < n; i++) { sum += a[i] * b[i]; } return sum; // public static void main(String[] args)\n"


def doc(text: str | None, tags: list[str] | None = None) -> Document:
    return Document(doc_id="0" * 32, source_file="-", text=text, line_tags=tags)


def run(text: str | None, **options: object) -> Document | Drop:
    (verdict,) = Language.model_validate(options).process([doc(text)])
    return verdict


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ZH, "zh"),
        (ZH_TRADITIONAL, "zh"),
        (WU, "zh"),
        (EN, "en"),
        (EN.upper(), "en"),
        (ZH + "\n" + CODE, "zh"),
        ("标题\n\n" + ZH + "\n" + EN[:40], "zh"),
        (EN + "\n" + ZH[:12], "en"),
        (EN * 10_000, "en"),
    ],
)
def test_kept(text: str, language: str) -> None:
    verdict = run(text)
    assert isinstance(verdict, Document)
    assert verdict.language == language
    assert verdict.language_score is not None
    assert 0.65 <= verdict.language_score <= 1
    assert verdict.evolve(language=None, language_score=None) == doc(text)


@pytest.mark.parametrize(
    ("text", "reason", "value"),
    [
        (JA, "language", "ja 1.00"),
        (FR, "language", "fr 0.98"),
        ("", "language", "und 0.00"),
        (None, "language", "und 0.00"),
        ("😀 🎉 🎉", "language", "und 0.00"),
        ("ok", "low_language_score", "en 0.63"),
    ],
)
def test_dropped(text: str | None, reason: str, value: str) -> None:
    assert run(text) == Drop(reason, value=value)


def test_the_bound_is_inclusive() -> None:
    verdict = run(WU)
    assert isinstance(verdict, Document)
    score = verdict.language_score
    assert score is not None
    assert isinstance(run(WU, min_score=score), Document)
    drop = run(WU, min_score=score + 1e-6)
    assert isinstance(drop, Drop)
    assert drop.reason == "low_language_score"


def test_languages_and_merging_are_settings() -> None:
    kept = run(FR, languages=["fr"])
    assert isinstance(kept, Document)
    assert kept.language == "fr"
    assert run(EN, languages=["fr"]) == Drop("language", value="en 0.98")
    alone = run(WU, merge={})
    assert isinstance(alone, Drop)
    assert alone.reason == "language"
    assert str(alone.value).startswith("wuu ")


def test_results_do_not_depend_on_the_batch() -> None:
    texts = [ZH, "", EN, JA, WU, "ok", FR, EN[:30] + CODE * 20 + EN * 20, "\ud800\x00 abc", ZH_TRADITIONAL]
    step = Language()
    docs = [doc(t) for t in texts]
    together = step.process(docs)
    assert together == [step.process([d])[0] for d in docs]
    assert together[::-1] == step.process(docs[::-1])
    assert step.process([]) == []


def test_an_uncertain_head_gets_a_second_look() -> None:
    text = "Smith Jones Garcia Rossi " * 20 + EN * 8
    assert len(text) > 400
    first = run(text, second_look=400)
    assert isinstance(first, Drop)
    assert first.reason in ("low_language_score", "language")
    second = run(text)
    assert isinstance(second, Document)
    assert second.language == "en"


def test_code_is_not_shown_if_there_is_anything_else() -> None:
    text = f"print(1)\n{ZH}\nprint(2)"
    assert prose(doc(text, ["code", "p", "code"]), 1000) == ZH
    assert prose(doc(text, ["code", "code", "code"]), 1000) == text
    assert prose(doc(text, ["code"]), 1000) == text
    assert prose(doc(text), 8) == "print(1)"
    assert prose(doc(None), 8) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\t c", "a b c"),
        ("数据 hello world yes", "数据 hello world yes"),
        ("数据库 MySQL 5.7 的安装", "数据库 的安装"),
        ("see 数据 in the English text", "see 数据 in the English text"),
        ("日本語の Python 入門", "日本語の 入門"),
        ("한국어 a b", "한국어"),
        ("naïve café", "naïve café"),
        ("a\x00b\ud800c", "a b c"),
        ("ALL IN CAPITALS 1", "all in capitals 1"),
        ("NOT All", "NOT All"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_config() -> None:
    step = Language(languages=["zh"], min_score=0.5)
    assert Language.model_validate(step.model_dump(mode="json")) == step
    with pytest.raises(ValidationError, match="at least 1 item"):
        Language(languages=[])
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Language(min_score=65)


def test_the_fingerprint_holds_the_weights() -> None:
    assert Language().fingerprint()["resources"] == {
        "lid.176.ftz": "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
    }
