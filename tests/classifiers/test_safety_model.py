"""The lexicon of the safety classifier: what it finds, what it leaves alone, and its file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from classifiers.base import Batch
from classifiers.registry import load
from classifiers.safety.labels import LABELS
from classifiers.safety.model import MAX_CHARACTERS, NUMBERS, LexiconModel
from classifiers.safety.train import fit, lexicon

CASINO_EN = (
    "Welcome to Lucky Star Casino. Play roulette, blackjack and baccarat for real money. New players get a deposit bonus, and a "
    "jackpot falls every day. Our betting odds are the best; slots and bingo pay out at once. Register, place your bets and win."
)
CASINO_ZH = "本站是正规网上赌场，提供百家乐、老虎机、真人娱乐和体育投注。注册送彩金，首存返水，六合彩开奖直播，博彩首选澳门银河。"
NEWS_EN = (
    "The city council voted on Tuesday to repair the bridge over the river, which was closed after the flood in March. "
    "Work begins in June and costs four million pounds, the mayor said; ferries will run until the bridge opens again."
)
NEWS_ZH = (
    "本报讯 市政府昨日宣布，因洪水受损的大桥将于六月开始维修，工程预计耗资四千万元，"
    "明年春天恢复通车。市长表示，期间将增开渡轮，方便居民出行。"
)
UNSAFE = {
    "gambling": [CASINO_EN, CASINO_ZH],
    "adult": [
        "Hot porn: xxx movies, hentai, milf and camgirls, nude and horny, for free.",
        "成人视频 色情 无码 人妻 约炮 啪啪啪 自拍偷拍 av在线",
    ],
    "spam": [
        "Viagra, cialis and levitra at a discount: buy now. Replica watches, cheap and guaranteed.",
        "代开发票，办证，刻章，高仿手表，贷款无抵押，请加微信。",
    ],
}
GAMBLING = LABELS.index("gambling") - 1
TITLE, ADDRESS, TEXT, DENSITY = range(len(NUMBERS))


@pytest.fixture(scope="module")
def model() -> LexiconModel:
    shipped = load("safety")
    assert isinstance(shipped, LexiconModel)
    return shipped


def small(**terms: Any) -> LexiconModel:
    """A model of few terms: `gambling={"en": {"casino": 2}}`."""
    return LexiconModel(LABELS, {label: terms.get(label, {}) for label in LABELS[1:]}, (1.0,) * 4, (-2.0,) * 3)


@pytest.mark.parametrize(("label", "text"), [(label, text) for label, texts in UNSAFE.items() for text in texts])
def test_unsafe_pages_are_found(label: str, text: str, model: LexiconModel) -> None:
    p = model.predict_proba([text])[0]
    assert model.predict([text]) == [label]
    assert 1 - p[0] >= 0.5
    assert p[LABELS.index(label)] >= 0.5


@pytest.mark.parametrize("text", [NEWS_EN, NEWS_ZH, "", "😀", "The lottery of names is a phrase."])
def test_plain_texts_are_safe(text: str, model: LexiconModel) -> None:
    assert model.predict([text]) == ["safe"]
    assert model.predict_proba([text])[0, 0] > 0.5


def test_title_and_address_tell_too(model: LexiconModel) -> None:
    pages = Batch(
        [NEWS_EN] * 3,
        titles=["The bridge", "Lucky Casino: roulette, slots", None],
        urls=[None, None, "https://casino.bet/"],
    )
    plain, title, address = 1 - model.predict_proba(pages)[:, 0]
    assert title > 0.5 > plain
    assert address > plain
    numbers = model.numbers(pages)
    assert (numbers[0] == 0).all()
    assert np.argwhere(numbers[1]).tolist() == [[GAMBLING, TITLE]]
    assert np.argwhere(numbers[2]).tolist() == [[GAMBLING, ADDRESS]]


@pytest.mark.parametrize(
    "text",
    [
        "Essex, Sussex and Middlesex",
        "Scunthorpe",
        "analysis, analyst, an analogue",
        "cockpit, peacock, Hancock",
        "The documented diction of an unsexed title, with a cumulative sum.",
        "Casinograd lies between Slotsholmen and Bettingen.",
        "adulthood and adultery",
    ],
)
def test_parts_of_english_words_are_no_hits(text: str, model: LexiconModel) -> None:
    assert (model.numbers(Batch([text], titles=[text], urls=[f"https://example.org/{text}"])) == 0).all()


@pytest.mark.parametrize(
    "text",
    [
        "casino",
        "CASINO",
        "(casino)",
        "the casino's",
        "a-casino-b",
        "x casino\ny",
        "casino casino",
        "/casino_1",
        "1.casino",
    ],
)
def test_whole_english_words_are_hits(text: str) -> None:
    numbers = small(gambling={"en": {"casino": 2.0}}).numbers([text])
    assert numbers[0, GAMBLING, TEXT] == pytest.approx(math.log1p(2))


def test_english_terms_of_several_words_are_hits() -> None:
    numbers = small(gambling={"en": {"free spins": 3.0}}).numbers(["Get free spins today"])
    assert numbers[0, GAMBLING, TEXT] == pytest.approx(math.log1p(3))


def test_chinese_terms_are_hits_anywhere() -> None:
    few_terms = small(gambling={"zh": {"赌场": 3.0, "pk10": 2.0}})
    for text, weight in (("网上赌场平台", 3), ("赌 场", 0), ("北京PK10开奖", 2), ("赌场赌场pk10", 5)):
        assert few_terms.numbers([text])[0, GAMBLING, TEXT] == pytest.approx(math.log1p(weight)), text


def test_the_numbers_by_hand() -> None:
    """Different terms count once; of the text the occurrences too, for each hundred words."""
    few_terms = small(gambling={"en": {"casino": 2.0, "bet": 1.0}}, adult={"zh": {"色情": 3.0}})
    text = "casino bet casino " + "river " * 97 + "色情"
    numbers = few_terms.numbers(Batch([text], titles=["Bet"], urls=["https://casino.org/casino?bet"]))[0]
    words = 100 + 1 + 0.6 * 2
    assert numbers[GAMBLING].tolist() == pytest.approx(
        [math.log1p(1), math.log1p(3), math.log1p(3), math.log1p(100 * 5 / words)]
    )
    assert numbers[LABELS.index("adult") - 1].tolist() == pytest.approx(
        [0, 0, math.log1p(3), math.log1p(100 * 3 / words)]
    )
    assert (numbers[LABELS.index("spam") - 1] == 0).all()
    p = few_terms.from_numbers(numbers[None])[0]
    raised = np.exp([0.0, *(numbers.sum(1) - 2)])
    assert p == pytest.approx(raised / raised.sum(), rel=1e-5)


def test_short_texts_count_as_fifty_words_and_long_ones_are_cut() -> None:
    few_terms = small(gambling={"en": {"casino": 2.0}})
    assert few_terms.numbers(["casino"])[0, GAMBLING, DENSITY] == pytest.approx(math.log1p(100 * 2 / 50))
    assert (few_terms.numbers(["x" * MAX_CHARACTERS + " casino"]) == 0).all()


def test_round_trip(model: LexiconModel) -> None:
    data = model.to_bytes()
    again = LexiconModel.from_bytes(data)
    assert again.to_bytes() == data
    assert again.sha256() == model.sha256()
    assert (again.labels, again.terms, again.meta) == (model.labels, model.terms, model.meta)
    texts = [NEWS_EN, NEWS_ZH, *(text for texts in UNSAFE.values() for text in texts)]
    assert again.predict_proba(texts).tobytes() == model.predict_proba(texts).tobytes()
    changed = LexiconModel(model.labels, model.terms, (0.0, *model.coefficients[1:]), model.biases, model.meta)
    assert changed.sha256() != model.sha256()


def test_the_shipped_terms_are_those_of_the_lexicon(model: LexiconModel) -> None:
    written = lexicon()
    assert model.terms == written
    assert tuple(written) == LABELS[1:]
    for languages in written.values():
        assert set(languages) == {"en", "zh"}
        for terms in languages.values():
            assert terms
            assert set(terms.values()) <= {1.0, 2.0, 3.0}
    assert all(model.numbers([term])[0].any() for languages in written.values() for term in languages["zh"])


def test_a_fitted_model_tells_what_it_was_shown(model: LexiconModel) -> None:
    texts = [NEWS_EN, NEWS_ZH, "", "A river.", "一条河。", *(text for texts in UNSAFE.values() for text in texts)]
    wanted = np.array([0] * 5 + [LABELS.index(label) for label, unsafe in UNSAFE.items() for _ in unsafe])
    numbers = model.numbers(texts)
    fitted = fit(numbers, wanted)
    assert fitted.from_numbers(numbers).argmax(1).tolist() == wanted.tolist()
    assert min(fitted.coefficients) >= 0
    assert fit(numbers, wanted).sha256() == fitted.sha256()
