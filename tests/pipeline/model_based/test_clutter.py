"""The clutter step: scores of extraction taken as they are, others computed; what is cut is kept."""

from __future__ import annotations

from typing import Any

import pytest

from extraction.line_model.model import load
from extraction.text import lines
from pipeline.lines import restore_lines
from pipeline.model_based.clutter import Clutter, rows_as_one
from pipeline.schema import Document, Drop

PROSE = [
    "The river rises in the hills, and flows for ninety miles to the sea, past seven towns and a mill.",
    "In spring, when the snow melts, it floods the lower meadows; farmers have built dykes against it.",
    "Fishermen tell that the water was once so clear that one could count the stones on its bed.",
]
CHINESE = [
    "这条河发源于山区，流经七座城镇和一座磨坊，最后注入大海。沿岸的居民世代以捕鱼为生。",
    "每年春天积雪融化的时候，河水都会淹没下游的草地，农民们为此修筑了堤坝。",
    "老人们说，从前的河水清澈见底，连水下的石头都数得清楚。",
]


def doc(text: str, scores: list[int] | None = None, **more: Any) -> Document:
    n = len(lines(text))
    return Document(
        doc_id="0" * 32,
        source_file="a",
        text=text,
        line_tags=["p"] * n,
        line_link_share=[0.0] * n,
        line_scores=scores,
        **more,
    )


@pytest.mark.parametrize(
    ("prose", "clutter"),
    [
        (PROSE, ["Home | About | Contact", "Share on Facebook", "Copyright © 2024 All Rights Reserved"]),
        (CHINESE, ["首页 | 新闻中心 | 联系我们", "上一篇：返回列表", "版权所有 粤ICP备05070829号"]),
    ],
)
def test_plain_lines_are_scored_by_their_words(prose: list[str], clutter: list[str]) -> None:
    before = doc("\n".join([clutter[0], *prose, *clutter[1:]]))
    after = Clutter(min_score=0.2)(before)
    assert isinstance(after, Document)
    assert lines(after.text or "") == prose
    assert len(after.line_scores or []) == len(prose)
    removed = after.removed_lines or []
    assert [r["text"] for r in removed] == clutter
    assert all(r["step"] == "clutter" and 0 <= r["score"] < 0.2 * 65535 for r in removed)
    back = restore_lines(after)
    assert back.text == before.text
    assert len(back.line_scores or []) == len(prose) + 3


def test_thresholds_by_language() -> None:
    before = doc(
        "\n".join([*CHINESE, "Copyright © 2024 All Rights Reserved 京ICP备05070829号", "上一篇：返回列表"]),
        language="zh",
    )
    scores = load("text").score_lines(lines(before.text or "")).tolist()
    low, high = sorted(scores[3:])
    assert low < high < 0.2 * 65535 < min(scores[:3])
    between = (low + high) / 2 / 65535
    for step, n in (
        (Clutter(min_score={"default": 0.9, "zh": between}), 4),
        (Clutter(min_score=0.2), 3),
        (Clutter(min_score=0.0), 5),
    ):
        after = step(before)
        assert isinstance(after, Document)
        assert len(lines(after.text or "")) == n
    assert Clutter().min_score == {"default": 0.15, "zh": 0.2}


def test_scores_of_extraction_are_taken() -> None:
    before = doc("a\nb\nc", [60000, 20000, 40000])
    assert Clutter()(before) == before
    after = Clutter(min_extracted_score=0.5)(before)
    assert isinstance(after, Document)
    assert (after.text, after.line_scores) == ("a\nc", [60000, 40000])
    assert (after.removed_lines or [])[0] == {
        "step": "clutter", "line": 1, "text": "b", "tag": "p", "link_share": 0.0, "score": 20000, "kind": None
    }  # fmt: skip


def test_a_line_at_the_threshold_stays() -> None:
    step = Clutter(min_extracted_score=0.5, min_share=0)
    assert step(doc("a\nb", [32768, 60000])) == doc("a\nb", [32768, 60000])
    after = step(doc("a\nb", [32767, 60000]))
    assert isinstance(after, Document)
    assert after.text == "b"


@pytest.mark.parametrize(
    ("step", "text", "scores", "verdict"),
    [
        (Clutter(min_extracted_score=0.5), "aaaa\nbbbb\nc", [0, 0, 60000], Drop("clutter_share", value=1 / 11)),
        (Clutter(min_extracted_score=0.5, min_share=0.05), "aaaa\nbbbb\nc", [0, 0, 60000], None),
        (Clutter(min_extracted_score=0.5), "aaaa", [0], Drop("clutter_length", value=0)),
        (Clutter(min_chars=5), "aaaa", [60000], Drop("clutter_length", value=4)),
        (Clutter(min_chars=4), "aaaa", [60000], None),
        (Clutter(), "", None, Drop("clutter_length", value=0)),
        (Clutter(min_extracted_score=0.5), "首页\n甲乙丙丁戊己庚辛", [0, 60000], None),
    ],
)
def test_documents_of_which_too_little_is_left(
    step: Clutter, text: str, scores: list[int] | None, verdict: Drop | None
) -> None:
    outcome = step(doc(text, scores))
    assert outcome == verdict if verdict else isinstance(outcome, Document)


def test_a_row_of_numbers_stays_or_goes_with_its_header() -> None:
    texts = ["A text.", "Open\tHigh", "10\t11", "Behind.", "1\t2", "Alone"]
    tags = ["p", "tr", "tr", "p", "tr", "li"]
    scores = [60000, 50000, 10, 40000, 20, 30000]
    assert rows_as_one(scores, texts, tags) == [60000, 49994, 49994, 40000, 20, 30000]
    assert rows_as_one(scores, texts, None) == scores
    assert rows_as_one([], [], []) == []


@pytest.mark.parametrize("prose", [PROSE, CHINESE])
def test_tables_of_plain_lines_are_whole_or_gone(prose: list[str]) -> None:
    header = "Height of the water\tWidth of the river" if prose is PROSE else "水的高度\t河的宽度"
    text = "\n".join([*prose, header, "10\t11", *prose])
    tags = ["p"] * len(prose) + ["tr"] * 2 + ["p"] * len(prose)
    for threshold in (0.02, 0.1, 0.3, 0.6, 0.9):
        after = Clutter(min_score=threshold, min_share=0.0)(doc(text).evolve(line_tags=tags))
        left = lines(after.text or "") if isinstance(after, Document) else []
        assert (header in left) == ("10\t11" in left)
