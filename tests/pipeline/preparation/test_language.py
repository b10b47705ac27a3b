"""Language identification."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.preparation.language import Language, parts_of, prose, visible, without_zero_width
from pipeline.schema import Document, Drop
from pipeline.steps import bound

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
    assert verdict.evolve(language=None, language_score=None, languages=None, script=None) == doc(text)


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
    texts = [
        f"{EN}\n{ZH}",
        ZH,
        "",
        EN,
        JA,
        WU,
        "ok",
        FR,
        EN[:30] + CODE * 20 + EN * 20,
        "\ud800\x00 abc",
        ZH_TRADITIONAL,
    ]
    step = Language()
    docs = [doc(t) for t in texts]
    together = step.process(docs)
    assert together == [step.process([d])[0] for d in docs]
    assert together[::-1] == step.process(docs[::-1])
    assert step.process([]) == []


ZH_LINES = "\n".join(
    [ZH, ZH_TRADITIONAL.translate(str.maketrans("維網書個開編輯語協計畫條", "维网书个开编辑语协计划条"))] * 12
)
EN_LINES = "\n".join([EN, "The river rises in the hills and flows for ninety miles to the sea, past seven towns."] * 24)
ABSTRACT_EN = "Abstract\n" + "\n".join([EN] * 5)  # more than 400 characters
ABSTRACT_ZH = "摘要\n" + "\n".join([ZH] * 2)


def known(text: str, **options: object) -> Document:
    """A document with what is known of its languages, kept or not."""
    verdict = run(text, **options)
    found = verdict.document if isinstance(verdict, Drop) else verdict
    assert found is not None
    return found


def shares(document: Document) -> dict[str, float]:
    return {s["language"]: s["share"] for s in document.languages or ()}


@pytest.mark.parametrize(
    ("text", "language", "other", "share"),
    [
        (f"{ABSTRACT_EN}\n{ZH_LINES}", "zh", None, 0.0),  # 82 of 1,300 words: less than a tenth
        (f"{ABSTRACT_EN}\n{ABSTRACT_EN}\n{ZH_LINES}", "zh", "en", 0.12),
        (f"{ZH_LINES}\n{ABSTRACT_EN}\n{ABSTRACT_EN}", "zh", "en", 0.12),
        (f"{ABSTRACT_ZH}\n{EN_LINES}", "en", "zh", 0.12),
        (f"{EN_LINES}\n{ABSTRACT_ZH}", "en", "zh", 0.12),
        (f"{ABSTRACT_EN}\n" + f"{ZH_LINES}\n" * 30, "zh", None, 0.0),  # of 38,000 characters
        (f"{ABSTRACT_ZH}\n" + f"{EN_LINES}\n" * 10, "en", None, 0.0),
        (f"{EN_LINES}\n{ZH_LINES}", "zh", "en", 0.4),
        (f"{EN_LINES}\n{EN_LINES}\n{ZH_LINES}", "en", "zh", 0.43),
        (f"{ZH_LINES}\n{EN_LINES}\n{EN_LINES}", "en", "zh", 0.43),
        (f"{FR}\n{ZH}\n{ZH}", "zh", "fr", 0.17),
        (f"{JA}\n{EN_LINES[:300]}", "en", "ja", 0.37),
    ],
)
def test_a_document_in_two_languages(text: str, language: str, other: str | None, share: float) -> None:
    """The language with more words decides, wherever it stands; bounds are those of that language."""
    document = known(text)
    assert document.language == language
    found = shares(document)
    assert next(iter(found)) == language
    assert sum(found.values()) == pytest.approx(1)
    assert found.get(other or "", 0.0) == pytest.approx(share, abs=0.06)
    assert set(found) == {language, other} - {None}
    assert bound({"zh": 1, "en": 2, "ja": 3}, document.language) == {"zh": 1, "en": 2}[language]


def test_half_and_half_is_the_one_with_more_words_and_words_at_a_tie() -> None:
    han = "".join(ZH.split("，"))[:40]
    words = "The green light of the long day goes down over the hills and the sea"  # 15 words
    for text in (f"{words}\n{han[:15]}", f"{han[:15]}\n{words}"):
        assert shares(known(text)) == {"en": 0.5, "zh": 0.5}
        assert known(text).language == "en"
    assert known(f"{words}\n{han[:16]}").language == "zh"
    assert known(f"{han[:14]}\n{words}").language == "en"


def test_languages_of_one_script_are_told_by_the_pieces() -> None:
    text = "\n".join([FR] * 8 + [EN] * 24)
    assert known(text).language == "en"
    assert shares(known(text)) == {"en": pytest.approx(2 / 3), "fr": pytest.approx(1 / 3)}
    assert shares(known("\n".join([EN] * 40))) == {"en": 1.0}


def test_code_has_more_words_and_does_not_decide() -> None:
    text = "\n".join([CODE * 6, ZH, ZH])
    assert known(text).language == "zh"
    assert shares(known(text))["zh"] < 0.5
    assert set(shares(known(text))) == {"zh", "und"}
    assert known(f"{CODE * 6}\n{EN}").language != "zh"
    assert known(f"{EN_LINES}\n{ZH}").language == "en"  # of which the model is sure


def test_a_text_without_a_letter_is_all_undetermined() -> None:
    for text in ("", "2024-01-01 12:00", "😀"):
        assert shares(known(text)) == {"und": 1.0}
        assert known(text).script is None


@pytest.mark.parametrize(
    ("text", "language", "script"),
    [
        (ZH, "zh", "Hans"),
        (ZH_TRADITIONAL, "zh", "Hant"),
        (WU, "zh", "Hans"),
        ("我哋今日去咗街市買餸，佢話啲菜好平。", "zh", "Hant"),  # Cantonese
        ("\u200b".join("今日公告青岩镇菜市场"), "zh", "Hans"),
        ("\u200c".join("今日公告青巖鎮菜市場"), "zh", "Hant"),
        ("楼主威武，前排围观", "zh", "Hans"),
        ("人山人海", "zh", None),
        (f"{ZH_TRADITIONAL}\n{EN}", "zh", "Hant"),
        (f"{EN_LINES}\n{ZH_TRADITIONAL}", "en", None),
        (f"{ZH}\n{ZH_TRADITIONAL}", "zh", None),
        (JA, "ja", None),
        ("東京大学", "ja", None),  # titles in Han characters alone
        ("東京都千代田区役所", "ja", None),
        ("株式会社山田製作所", "ja", None),
        ("秋葉原駅周辺観光案内図", "ja", None),
        ("新着情報", "ja", None),
        ("北京大学", "zh", "Hans"),
        ("臺灣大學圖書館", "zh", "Hant"),
        (EN, "en", None),
    ],
)
def test_script(text: str, language: str, script: str | None) -> None:
    document = known(text)
    assert (document.language, document.script) == (language, script)


def test_the_script_of_cantonese_is_told_where_it_counts_as_a_language() -> None:
    text = "佢哋嘅嘢喺邊度㗎？我唔知呀，你去問下佢啦，佢實知嘅，個個都話佢識。"
    document = known(text, merge={}, languages=["yue", "zh"])
    assert document.language in ("yue", "zh")
    assert document.script == "Hant"


@pytest.mark.parametrize(
    ("text", "first", "second", "share"),
    [
        ("", "", "", 0.0),
        ("words alone", "words alone", "", 0.0),
        ("中文", "中文", "", 0.0),
        ("中文字\na b", "中文字", "a b", 0.4),
        ("a b\n\n中文字", "中文字", "a b\n", 0.4),
        ("a b c\n中文字", "a b c", "中文字", 0.5),
        ("中文 a b c\n中文字", "中文字", "中文 a b c", 5 / 8),  # a line is of one part
        ("中文 abc", "中文 abc", "", 0.0),
        ("a b 中", "a b 中", "", 0.0),
        ("Это русский текст\n中", "Это русский текст", "中", 0.25),
        ("中文中文中文中文中文\nab", "中文中文中文中文中文", "", 0.0),  # less than a tenth
        ("中文中文中文中文中\nab", "中文中文中文中文中", "ab", 0.1),
        ("中\ud800文\nab", "中\ud800文", "ab", 1 / 3),
    ],
)
def test_parts(text: str, first: str, second: str, share: float) -> None:
    parts = parts_of(text)
    assert parts[:2] == (first, second)
    assert parts.share == pytest.approx(share)


def test_characters_without_width_go() -> None:
    assert without_zero_width("中\u200b文\u200d\ufeff a\xadb") == "中文 ab"
    assert without_zero_width("plain") == "plain"


def test_an_uncertain_head_gets_a_second_look() -> None:
    text = "Smith Jones Garcia Rossi " * 20 + EN * 6
    assert 400 < len(text) <= 1200
    first = run(text[:400])
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
    assert prose(doc(text), len(text)) == text
    assert prose(doc(None), 8) == ""


def test_a_long_text_is_looked_at_from_end_to_end() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))
    pieces = prose(doc(text), 5000).split("\n")
    assert [len(piece) for piece in pieces] == [200] * 25
    assert [text.index(piece) for piece in pieces] == [300 + 800 * i for i in range(25)]


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
