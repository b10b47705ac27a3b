"""Fuzzy deduplication over Spark against the same thing done one document after the other."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from pipeline.rule_based.fuzzy_dedup import FuzzyDedup
from pipeline.rule_based.minhash import jaccard, sketch_similarity
from pipeline.schema import Document, from_table
from pipeline.strict import UserError
from tests.spark.helpers import prepared, reasons, rows, run, stage_config

ENGLISH = [
    f"{a}{b}{c}" for a in ("ba", "co", "di", "fu") for b in ("ra", "le", "ni", "so", "tu") for c in ("m", "n", "x")
]
CHINESE = list("山水田林江河湖海天地日月星辰风云雨雪春夏秋冬东南西北中红黄蓝白黑大小多少长短高低远近新旧快慢")


def document(chance: random.Random, chinese: bool) -> list[str]:
    words = CHINESE if chinese else ENGLISH
    return [chance.choice(words) for _ in range(chance.randrange(80, 200))]


def edited(words: list[str], share: float, chance: random.Random) -> list[str]:
    """Words with a share of them replaced by others of the same text."""
    return [chance.choice(words) if chance.random() < share else w for w in words]


def pages(seed: int, n: int) -> list[dict[str, Any]]:
    """Documents, near-duplicates of them at several distances, chains of edits, and short ones."""
    chance = random.Random(seed)
    base = random.Random(99)  # the same originals in every file, so that files hold copies of one another's pages
    originals = [document(base, chinese=i % 2 == 0) for i in range(12)]
    made = []
    for i in range(n):
        kind, words = chance.random(), document(chance, chinese=i % 2 == 0)
        if kind < 0.6:
            words = edited(chance.choice(originals), chance.choice([0.0, 0.005, 0.01, 0.02, 0.04, 0.08]), chance)
        elif kind < 0.65:
            words = ["short", "page"]
        joint = "" if words[0] in CHINESE else " "
        lines = [joint.join(words[k : k + 20]) for k in range(0, len(words), 20)]
        made.append({"url": f"http://d{i % 3}.example.com/{seed}/{i}", "text": "\n".join(lines)})
    return made


@pytest.fixture(scope="module")
def source(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("fuzzy")
    return prepared(spark, folder, {f"f{i}": pages(i, 60) for i in range(4)})


def config(source: list[str], output: Path, **parameters: Any) -> Any:
    sections = {k: parameters.pop(k) for k in ("spark", "run") if k in parameters}
    return stage_config("rule_based", source, output, steps=[{"step": "fuzzy_dedup", **parameters}], **sections)


def by_hand(docs: list[Document], step: FuzzyDedup) -> dict[str, str]:
    """doc_id of every dropped document and of its survivor, by going through the documents in order."""
    docs = sorted(docs, key=lambda d: (d.generation, -len(d.text or ""), d.doc_id, d.file_no, d.row_no))
    hasher = step.hasher()
    flat, offsets, n_tokens = hasher.shingles([d.text or "" for d in docs])
    signatures = hasher.signatures(flat, offsets)
    keys, sketches = hasher.band_keys(signatures), hasher.sketches(signatures)
    buckets: dict[int, list[int]] = {}
    parent: dict[int, int] = {}
    similar: list[tuple[int, int]] = []
    for i in range(len(docs)):
        if n_tokens[i] < step.min_tokens or offsets[i] == offsets[i + 1]:
            continue
        candidates: set[int] = set()
        for key in keys[i].tolist():
            members = buckets.setdefault(key, [])
            candidates.update(members[: step.candidates])
            members.append(i)
        for c in sorted(candidates):
            if step.verify == "sketch":
                similarity = sketch_similarity(sketches[i : i + 1], sketches[c : c + 1])[0]
            elif step.verify == "exact":
                similarity = jaccard(flat, offsets, np.array([i]), np.array([c]))[0]
            else:
                similarity = 1.0
            if similarity >= step.threshold:
                parent.setdefault(i, c)
                similar.append((i, c))
    root = {i: i for i in range(len(docs))}
    if step.keep == "component":
        changed = True
        while changed:
            changed = False
            for a, b in similar:
                least = min(root[a], root[b])
                changed |= root[a] != least or root[b] != least
                root[a] = root[b] = least
    else:
        for i in range(len(docs)):
            root[i] = root[parent[i]] if i in parent else i
    return {docs[i].doc_id: docs[r].doc_id for i, r in root.items() if r != i}


def dropped(output: Path) -> dict[str, str]:
    return {d.doc_id: d.duplicate_of or "" for d in from_table(rows(output, "dropped"))}


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        pytest.param(
            {"spark": {"partitions": 7}, "run": {"unit_records": 7}, "driver_edges": 0}, marks=pytest.mark.long
        ),
        {"verify": "exact", "band_groups": 3, "candidates": 2, "spark": {"partitions": 1}},
        pytest.param({"keep": "component", "bands": 64, "rows": 8}, marks=pytest.mark.long),
        pytest.param({"keep": "band", "verify": "none"}, marks=pytest.mark.long),
        pytest.param({"verify": "none", "bands": 32, "rows": 4, "candidates": 1}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_equal_to_one_document_after_the_other(
    spark: Any, source: str, tmp_path: Path, parameters: dict[str, Any]
) -> None:
    """Results that hung on the number of executors or on the order: marin#6798, #7177, text-dedup#28, dolma#111."""
    output = tmp_path / "out"
    record = run(config([source], output, **dict(parameters)), spark)
    step = FuzzyDedup(**{k: v for k, v in parameters.items() if k not in ("spark", "run")})
    wanted = by_hand(from_table(rows(output)), step)
    assert dropped(output) == wanted
    assert reasons(record, "fuzzy_dedup") == {"near_duplicate": len(wanted)}
    assert len(wanted) > 40
    notes = record["passes"][0]["notes"]["fuzzy_dedup"]
    assert notes["documents"] == 240
    assert notes["dropped"] == len(wanted)
    assert notes["largest_clusters"][0]["documents"] == 1 + max(list(wanted.values()).count(d) for d in wanted.values())


def test_dropped_documents_name_survivor_and_similarity(spark: Any, source: str, tmp_path: Path) -> None:
    """Nobody could see what a near-duplicate was a duplicate of: data-juicer#134, Curator#1381."""
    run(config([source], tmp_path / "out", verify="exact"), spark)
    docs = {d.doc_id: d for d in from_table(rows(tmp_path / "out"))}
    hasher = FuzzyDedup().hasher()
    chains = 0
    for doc in docs.values():
        if not doc.is_dropped:
            continue
        assert not docs[doc.duplicate_of or ""].is_dropped
        value, _, parent = (doc.drop_value or "").partition(" to ")
        chains += bool(parent)
        other = docs[parent or doc.duplicate_of or ""]
        flat, offsets, _ = hasher.shingles([doc.text or "", other.text or ""])
        exact = jaccard(flat, offsets, np.array([0]), np.array([1]))[0]
        assert value == f"{exact:.3f}"
        assert exact >= 0.8
    assert chains > 0


def test_short_documents_do_not_collapse_together(spark: Any, source: str, tmp_path: Path) -> None:
    """bigcode-dataset#35: documents of a few tokens were each other's near-duplicates."""
    run(config([source], tmp_path / "out"), spark)
    kept = rows(tmp_path / "out", "kept")["text"].to_pylist()
    given = rows(source)["text"].to_pylist()
    assert kept.count("short page") == given.count("short page") > 5


def test_pages_of_one_template_are_not_one_cluster(spark: Any, tmp_path: Path) -> None:
    """Transitive clusters removed too much: marin#6854, #6851. Collisions without verification do that."""
    chance = random.Random(5)
    template = document(chance, chinese=False)[:60]
    made = []
    for i in range(80):
        body = document(chance, chinese=False)[:40]
        made.append({"url": f"http://example.com/{i}", "text": " ".join([*template, *body])})
    source = prepared(spark, tmp_path, {"f": made})
    loose = {"bands": 64, "rows": 2}  # proposes about every pair
    record = run(config([source], tmp_path / "verified", **loose), spark)
    assert record["passes"][0]["notes"]["fuzzy_dedup"]["pairs_compared"] > 79
    assert reasons(record, "fuzzy_dedup") == {}
    record = run(config([source], tmp_path / "loose", **loose, keep="component", verify="none"), spark)
    assert reasons(record, "fuzzy_dedup") == {"near_duplicate": 79}


@pytest.mark.long
def test_alarms_tell_of_giant_clusters_and_of_domains_that_vanish(spark: Any, source: str, tmp_path: Path) -> None:
    """A dedup that removed 90 % and said nothing: dclm#83, #71, marin#6854."""
    limits = {"alarm_cluster": 5, "alarm_domain_documents": 10, "alarm_domain_share": 0.1}
    record = run(config([source], tmp_path / "out", **limits), spark)
    notes = record["passes"][0]["notes"]["fuzzy_dedup"]
    giant, *domains = notes["alarms"]
    assert "clusters have more than 5 documents, the largest" in giant
    assert domains
    assert all(a.startswith("domain example.com loses ") for a in domains)
    calm = run(config([source], tmp_path / "calm"), spark)["passes"][0]["notes"]["fuzzy_dedup"]
    assert calm["alarms"] == []


@pytest.mark.long  # test_rule_stage.py has the same of the whole stage
def test_a_then_b_equals_both_at_once_for_near_duplicates(spark: Any, source: str, tmp_path: Path) -> None:
    """New data needed all of the old ones again, in memory: datatrove#222, #235, Curator#723."""
    (tmp_path / "b").mkdir()
    b = prepared(spark, tmp_path / "b", {"g": pages(7, 60), "h": pages(8, 60)})
    (tmp_path / "c").mkdir()
    c = prepared(spark, tmp_path / "c", {"i": pages(9, 50)})
    output = tmp_path / "out"
    run(config([source], output), spark)
    first = rows(output)
    run(config([source, b], output), spark)
    second = rows(output)
    assert second.filter(pc.equal(second["generation"], 0)).equals(first)
    run(config([source, b, c], output, spark={"partitions": 3}), spark)
    third = rows(output)
    assert third.filter(pc.less(third["generation"], 2)).equals(second)
    run(config([source, b, c], output, run={"overwrite": True}), spark)
    assert rows(output).equals(third)
    late = [d for d in from_table(third) if d.generation == 2 and d.is_dropped]
    generation = {d.doc_id: d.generation for d in from_table(third)}
    assert 0 in {generation[d.duplicate_of or ""] for d in late}, "a new page is dropped for an old one"
    assert dropped(output) == by_hand(from_table(third), FuzzyDedup())


@pytest.mark.parametrize(
    "keep", [{"keep": "component"}, pytest.param({"keep": "band", "verify": "none"}, marks=pytest.mark.long)]
)
def test_ways_that_would_revoke_are_for_a_single_batch(
    spark: Any, source: str, tmp_path: Path, keep: dict[str, Any]
) -> None:
    b = prepared(spark, tmp_path, {"g": pages(7, 20)})
    run(config([source], tmp_path / "out", **keep), spark)
    with pytest.raises(UserError, match=r"fuzzy_dedup: keep: .* would revoke .*keep: parent"):
        run(config([source, b], tmp_path / "out", **keep), spark)


def test_a_mirror_in_the_other_script_is_a_near_duplicate(spark: Any, tmp_path: Path) -> None:
    """A later generation's too; and an output that was made without cannot go on with."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    simplified = "".join(random.Random(5).choices("风云东红黄蓝长远旧热车马鸟鱼书语诗词电脑网络", k=300))
    to_traditional = str.maketrans(
        "风云东红黄蓝长远旧热车马鸟鱼书语诗词电脑网络", "風雲東紅黃藍長遠舊熱車馬鳥魚書語詩詞電腦網絡"
    )
    a = prepared(spark, tmp_path / "a", {"f": [{"url": "http://a.example.com/", "text": simplified}]})
    mirror = {"url": "http://b.example.com/", "text": simplified.translate(to_traditional)}
    b = prepared(spark, tmp_path / "b", {"g": [mirror]})
    run(config([a], tmp_path / "out"), spark)
    run(config([a, b], tmp_path / "out"), spark)
    (late,) = [d for d in from_table(rows(tmp_path / "out")) if d.is_dropped]
    assert (late.url, late.drop_reason) == ("http://b.example.com/", "near_duplicate")
    run(config([a], tmp_path / "apart", unify_scripts=False), spark)
    with pytest.raises(UserError, match="unify_scripts"):
        run(config([a, b], tmp_path / "apart"), spark)
    run(config([a, b], tmp_path / "apart", unify_scripts=False), spark)
    assert not dropped(tmp_path / "apart")


def test_estimate_comes_before_anything_is_done(
    spark: Any, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a fuzzy dedup will take was known when it had died: data-prep-kit#152, Curator#471."""
    from pipeline.inspection.estimate import estimate, estimate_lines

    run_settings = {"estimate_only": True, "rows_in_process": 0}
    asked = config([source], tmp_path / "out", run=run_settings)
    assert run(asked, spark) == {}
    assert not (tmp_path / "out").exists()

    def shuffled(**parameters: Any) -> int:
        lines = estimate([config([source], tmp_path / "out", run=run_settings, **parameters)])
        return next(line.cost.shuffle_bytes for line in lines if line.what == "fuzzy_dedup")

    assert shuffled() > 240 * 128 * 16
    assert shuffled(bands=64) < shuffled()
    text = "\n".join(estimate_lines([asked], 2))
    assert "  fuzzy_dedup             240" in text
    assert "core hours" in text
