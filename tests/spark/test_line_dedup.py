"""Line-wise deduplication: the surplus occurrences of each line go, whatever the partitioning and however hot the line."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from pipeline.lines import restore_lines
from pipeline.rule_based.line_dedup import LineDedup
from pipeline.schema import from_table
from pipeline.spark import line_dedup
from tests.spark.helpers import prepared, reasons, rows, run, stage_config

NAVIGATION = ["首页 | 新闻 | 体育", "Home > News", "版权所有 © 2024", "Sign up for our newsletter!", "★ ★ ★"]


def pages(seed: int, n: int) -> list[dict[str, Any]]:
    """Pages with lines of their own and, at head and tail, lines that many share."""
    chance = random.Random(seed)
    made = []
    for i in range(n):
        story = [f"Story {seed}-{i}-{j}: {chance.random()}" for j in range(chance.randrange(0, 14))]
        head = [line for line in NAVIGATION if chance.random() < 0.6]
        tail = [line.upper() for line in NAVIGATION if chance.random() < 0.4]
        text = "\n".join([*head, *story, "", *tail]) or "empty"
        made.append({"url": f"http://s{i % 7}.example.com/{seed}/{i}", "text": text})
    return made


def expected(documents: list[dict[str, Any]], limit: int) -> dict[str, list[int]]:
    """By doc_id the numbers of the lines that go, by counting one after the other."""
    seen: Counter[bytes] = Counter()
    gone: dict[str, list[int]] = defaultdict(list)
    step = LineDedup(max_occurrences=limit)
    order = sorted(documents, key=lambda d: (d["generation"], d["doc_id"], d["file_no"], d["row_no"]))
    for doc in order:
        import pyarrow as pa

        _, numbers, keys = step.occurrences(pa.table({"text": [doc["text"]]}))
        for number, key in zip(numbers, keys, strict=True):
            seen[key] += 1
            if seen[key] > limit:
                gone[doc["doc_id"]].append(number)
    return dict(gone)


STEPS = [{"step": "line_dedup", "max_occurrences": 5}]


def cuts(output: Path) -> dict[str, list[int]]:
    cut_lines = {}
    for doc in from_table(rows(output)):
        if doc.drop_reason == "no_text_left":
            cut_lines[doc.doc_id] = list(range((doc.text or "").count("\n") + 1))
        elif doc.removed_lines:
            assert {r["step"] for r in doc.removed_lines} == {"line_dedup"}
            cut_lines[doc.doc_id] = [r["line"] for r in doc.removed_lines]
    return cut_lines


@pytest.fixture(scope="module")
def source(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("lines")
    return prepared(spark, folder, {f"f{i}": pages(i, 40) for i in range(4)})


def test_surplus_occurrences_are_cut_and_can_be_put_back(spark: Any, source: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    record = run(stage_config("rule_based", [source], output, steps=STEPS), spark)
    originals = {d.doc_id: d for d in from_table(rows(source))}
    published = from_table(rows(output))
    as_input = [
        {"generation": d.generation, "doc_id": d.doc_id, "file_no": d.file_no, "row_no": d.row_no}
        | {"text": originals[d.doc_id].text}
        for d in published
    ]
    wanted = expected(as_input, 5)
    cut_lines = cuts(output)
    assert {k for k, v in cut_lines.items() if v} == set(wanted)
    for doc in published:
        original = originals[doc.doc_id]
        if doc.drop_reason != "no_text_left":
            assert cut_lines.get(doc.doc_id, []) == wanted.get(doc.doc_id, [])
        assert restore_lines(doc).text == original.text
        if doc.doc_id not in wanted:
            assert doc.text == original.text, "a document with nothing to cut is untouched"
    count = record["passes"][0]["steps"]["line_dedup"]
    assert count["characters_out"] < count["characters_in"]
    assert reasons(record, "line_dedup").get("no_text_left", 0) > 0


@pytest.mark.parametrize("hot", [0, 12, 10**9])
def test_hot_lines_take_another_way_to_the_same_result(spark: Any, hot: int) -> None:
    """1e8 occurrences of one line must not meet in one task (the ways for hot and for other lines are both exact)."""
    chance = random.Random(3)
    data = [
        (bytes([min(int(chance.expovariate(0.15)), 60)]), chance.randrange(3), 0, f"{i:032x}", i // 50, i, 0)
        for i in range(2000)
    ]
    frame = spark.createDataFrame(
        data, "key binary, generation int, time long, doc_id string, file_no long, row_no long, line int"
    )
    counts = frame.groupBy("key").agg(F.count("*").alias("n"))
    earlier = spark.createDataFrame([(bytes([k]), n) for k in range(60) for n in (k % 4, 2)], "key binary, n long")
    for old in (None, earlier):
        taken: Counter[bytes] = Counter()
        if old is not None:
            taken.update({bytes([k]): k % 4 + 2 for k in range(60)})
        wanted = set()
        for key, *_, file_no, row_no, line in sorted(data, key=lambda d: d[1:]):
            taken[key] += 1
            if taken[key] > 5:
                wanted.add((file_no, row_no, line))
        held: list[Any] = []
        surplus = line_dedup.surplus(frame, counts, old, 5, hot, held).collect()
        assert {tuple(r) for r in surplus} == wanted
        assert len(surplus) == len(wanted) > 1000
        for frame_held in held:
            frame_held.unpersist()


def test_a_then_b_equals_both_at_once_for_lines(spark: Any, tmp_path: Path) -> None:
    files = {f"f{i}": pages(i, 30) for i in range(3)}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a = prepared(spark, tmp_path / "a", {"f1": files["f1"]})
    b = prepared(spark, tmp_path / "b", {k: v for k, v in files.items() if k != "f1"})
    steps = [{"step": "line_dedup", "max_occurrences": 45}]
    output = tmp_path / "out"
    run(stage_config("rule_based", [a], output, steps=steps), spark)
    first = rows(output)
    assert not any(cuts(output).values()), "A alone has no line over the limit"
    run(stage_config("rule_based", [a, b], output, steps=steps), spark)
    both = rows(output)
    assert both.filter([g == 0 for g in both["generation"].to_pylist()]).equals(first)
    assert sum(len(v) for v in cuts(output).values()) > 50
    again = stage_config("rule_based", [a, b], output, steps=steps, run={"overwrite": True})
    run(again, spark)
    assert rows(output).equals(both)
