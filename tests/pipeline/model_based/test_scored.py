"""Steps that ask page classifiers: scores are stored, of dropped documents too, and a bound on them decides."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from classifiers.base import Batch
from classifiers.category.labels import GROUP_OF
from classifiers.registry import load
from extraction.result import SCALE
from pipeline.config import parse
from pipeline.model_based.category import Category
from pipeline.model_based.quality import Quality
from pipeline.model_based.safety import Safety, UnsafeSites
from pipeline.model_based.scoring import Asking, Scored, of_classifier
from pipeline.model_based.web_type import WebType
from pipeline.schema import Document, Drop
from pipeline.steps import discover
from pipeline.strict import UserError

ARTICLE = "\n".join(
    [
        "How the mill on the river was saved",
        "The old mill at the bend of the river had been empty for thirty years when the council decided to pull it down.",
        "Ruth Carter, who had worked there as a girl, wrote to the newspaper, and within a month four hundred people had signed.",
        "The wheel was repaired in 1998 with oak from the estate, and it grinds flour again on the first Sunday of each month.",
        "Its history goes back to 1623, when a charter allowed the abbey's tenants to dam the stream above the bridge.",
    ]
    * 2
)
LISTING = "\n".join(f"Item {i} – read more" for i in range(30))
CHINESE = "\n".join(
    [
        "老磨坊的故事",
        "河湾处的老磨坊已经闲置了三十年，镇里原本打算把它拆掉，后来却因为一封读者来信改变了主意。",
        "写信的人年轻时曾在那里工作，她在信中回忆了水车转动的声音，也讲述了磨坊一六二三年建成以来的历史。",
        "一个月之内，四百多位居民在请愿书上签了名。一九九八年，工匠们用本地的橡木修好了水车。",
    ]
    * 2
)
ASKING = [step() for step in discover("model_based").values() if issubclass(step, Asking)]
SCORED = [step for step in ASKING if isinstance(step, Scored)]


def doc(text: str | None, **more: Any) -> Document:
    return Document(doc_id="0" * 32, source_file="a", text=text, language="en", **more)


def scores_of(verdict: Document | Drop, classifier: str) -> dict[str, float]:
    scored = verdict.document if isinstance(verdict, Drop) else verdict
    assert scored is not None
    return of_classifier(scored, classifier)


@pytest.mark.parametrize("step", SCORED)
def test_scores_are_what_the_classifier_says(step: Any) -> None:
    docs = [doc(ARTICLE, url="http://example.com/news/mill", title="The mill"), doc(LISTING), doc(CHINESE)]
    want = load(step.classifier).scores(
        Batch(
            texts=[d.text or "" for d in docs],
            urls=[d.url for d in docs],
            titles=[d.title for d in docs],
        )
    )
    labels = load(step.classifier).labels
    for verdict, row in zip(step.process(docs), want.tolist(), strict=True):
        assert scores_of(verdict, step.classifier) == {n: s / SCALE for n, s in zip(labels, row, strict=True)}
    # One at a time they are the same.
    assert [step(d) for d in docs] == step.process(docs)


def test_dropped_documents_keep_their_scores_and_the_bound_tells_which_go() -> None:
    p = scores_of(Quality(min=None)(doc(ARTICLE)), "quality")["good"]
    kept, dropped = Quality(min=p - 0.01)(doc(ARTICLE)), Quality(min=min(1.0, p + 0.01))(doc(ARTICLE))
    assert isinstance(kept, Document)
    assert isinstance(dropped, Drop)
    assert dropped.reason == "low_quality"
    assert dropped.value == pytest.approx(p)
    assert scores_of(dropped, "quality") == scores_of(kept, "quality")


def test_bounds_go_by_language() -> None:
    step = Quality(min={"default": 1.0, "zh": 0.0})
    assert isinstance(step(doc(ARTICLE)), Drop)
    assert isinstance(step(doc(CHINESE).evolve(language="zh")), Document)


def test_stored_scores_are_taken_unless_asked_otherwise() -> None:
    stored = [
        {"classifier": "quality", "label": "poor", "score": SCALE},
        {"classifier": "quality", "label": "good", "score": 0},
        {"classifier": "other", "label": "x", "score": 7},
    ]
    page = doc(ARTICLE, scores=stored)
    assert isinstance(Quality(min=0.01)(page), Drop)
    again = Quality(min=0.0, rescore=True)(page)
    assert scores_of(again, "quality")["good"] > 0
    assert scores_of(again, "other") == {"x": 7 / SCALE}
    assert len(again.scores or []) == 3  # type: ignore[union-attr]


@pytest.mark.parametrize("text", [None, "", " \n\t"])
@pytest.mark.parametrize("step", ASKING)
def test_a_document_without_text_is_left_alone(step: Any, text: str | None) -> None:
    assert step(doc(text)) == doc(text)


def test_web_type_keeps_what_the_config_says() -> None:
    listing = doc(LISTING, url="http://example.com/tag/items", title="Items")
    p = scores_of(WebType()(listing), "web_type")
    first = max(p, key=lambda label: p[label])
    assert first not in WebType().keep
    verdict = WebType()(listing)
    assert isinstance(verdict, Drop)
    assert verdict.reason == first
    assert isinstance(WebType(keep=[first], min=p[first] - 0.01)(listing), Document)


def test_an_unknown_type_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ValidationError, match="article"):
        WebType(keep=["blog"])


def test_safety_tells_the_class_and_drops_only_when_asked() -> None:
    page = doc(
        "Casino bonus! Play online slots, poker and roulette at the best online casino. Free spins, sports betting.\n"
        * 5,
        title="Best online casino – free spins, sports betting",
        url="http://casino-slots.example.com/",
    )
    assert isinstance(Safety()(page), Document)
    verdict = Safety(max=0.5)(page)
    assert isinstance(verdict, Drop)
    assert verdict.reason == "gambling"
    assert verdict.value > 0.5  # type: ignore[operator]


def test_measured_values_are_what_the_bound_compares() -> None:
    for step in SCORED:
        (verdict,) = step.process([doc(ARTICLE)])
        scored = verdict.document if isinstance(verdict, Drop) else verdict
        assert scored is not None
        assert step.measure(scored) == step.measure(doc(ARTICLE))


def test_another_model_must_exist() -> None:
    with pytest.raises((ValueError, OSError)):
        Quality(model="no/such/folder/anywhere").check()


class TestVerdictsOnSites:
    step = UnsafeSites()

    def test_few_pages_are_not_judged(self) -> None:
        assert self.step.verdict("a.com", 4, 4) is None
        assert self.step.verdict("a.com", 5, 5) == "unsafe_site"

    def test_the_bound_is_wilsons(self) -> None:
        # Newcombe 1998, table I: 81 of 263, 95 % two-sided (97.5 % one-sided): 0.2553 to 0.3662
        assert UnsafeSites(confidence=0.975).lower_bound(263, 81) == pytest.approx(0.2553, abs=5e-5)
        assert self.step.lower_bound(100, 0) == pytest.approx(0.0, abs=1e-12)

    def test_more_pages_make_the_same_share_surer(self) -> None:
        assert self.step.lower_bound(10, 4) < self.step.lower_bound(1000, 400) < 0.4

    def test_reviewed_lists_decide(self, tmp_path: Any) -> None:
        allow, block = tmp_path / "allow.txt", tmp_path / "block.txt"
        allow.write_text("# reviewed\nwww.good.com\n\n")
        block.write_text("bad.co.uk  # reviewed\n")
        step = UnsafeSites(allow=[str(allow)], block=[str(block)])
        assert step.verdict("good.com", 100, 100) is None
        assert step.verdict("bad.co.uk", 1, 0) == "listed_site"
        assert step.verdict("other.com", 100, 100) == "unsafe_site"
        wrong = tmp_path / "wrong.txt"
        wrong.write_text("bad.co.uk\nnot a site\n")
        with pytest.raises(ValueError, match=r"line 2: 'not a site'"):
            UnsafeSites(block=[str(wrong)]).check()

    def test_a_site_in_both_lists_is_an_error(self, tmp_path: Any) -> None:
        both = tmp_path / "both.txt"
        both.write_text("a.com\n")
        with pytest.raises(ValueError, match=r"a\.com"):
            UnsafeSites(allow=[str(both)], block=[str(both)]).check()

    def test_it_needs_the_scores(self) -> None:
        config = {"stage": "model_based", "input": {"paths": ["a"]}, "output": {"path": "b"}}
        with pytest.raises(UserError, match="needs the step 'safety' before it"):
            parse({**config, "steps": [{"step": "unsafe_sites"}]})
        with pytest.raises(UserError, match="needs the step 'safety' before it"):
            parse({**config, "steps": [{"step": "unsafe_sites"}, {"step": "safety"}]})
        parse({**config, "steps": [{"step": "safety"}, {"step": "unsafe_sites"}]})


def test_category_sets_the_likeliest_class_and_stores_ten() -> None:
    step = Category()
    docs = [doc(ARTICLE), doc(None), doc(CHINESE), doc(LISTING)]
    verdicts = step.process(docs)
    assert verdicts == [step(d) for d in docs]  # alone they are the same
    assert verdicts[1] == docs[1]
    for before, after in zip(docs[::2], verdicts[::2], strict=True):
        assert isinstance(after, Document)
        stored = [s for s in after.scores or () if s["classifier"] == "category"]
        model = load("category")
        (all_scores,) = model.scores(Batch([before.text or ""], urls=[None], titles=[None])).tolist()
        assert [s["score"] for s in stored] == sorted(all_scores, reverse=True)[:10]
        assert after.category == stored[0]["label"] == model.labels[all_scores.index(max(all_scores))]
        assert after.category in GROUP_OF
        # Stored scores are taken: the text may be another one by then.
        assert step(after.evolve(text=LISTING)) == after.evolve(text=LISTING)
