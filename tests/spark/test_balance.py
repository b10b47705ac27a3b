"""The mixture by class, on made documents: exact copies, the same for any partitioning, generations, a changed weight."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from classifiers.category.labels import LABELS
from pipeline.config import StageConfig, dump, parse
from pipeline.console.app import main
from pipeline.inspection.balance import count, plans_of
from pipeline.inspection.funnel import mixture_lines
from pipeline.outputs import RunRecord
from pipeline.spark.shards import _last_hashes, _signed
from pipeline.storage import read_json
from pipeline.strict import read_as
from pipeline.tokenization.plan import copy_hash, kth_least
from pipeline.tokenization.shards import read_shards, verify
from tests.spark.helpers import model_based, rows, run, stage_config

CLASSES = ("entry_person_arts", "recipe", "statute", "fiction_romance", "product_food", None)
MIXTURE: dict[str, Any] = {
    "preset": "report",
    "weights": {"category": {"recipe": 0.7}, "quality_band": {"<0.5": 0.6}},
    "shares": {"language": {"zh": 1, "en": 1}},
}


def pages(seed: int, n: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    out = []
    for i in range(n):
        score = rng.randrange(65_536)
        language = rng.choice(["zh", "en", "en"])
        out.append(
            {
                "domain": f"site{rng.randrange(60)}.com",
                "language": language,
                "category": rng.choice(CLASSES),
                "text": ("春天来了。" if language == "zh" else "Spring is here. ") * rng.randrange(1, 12) + str(i),
                "scores": [{"classifier": "quality", "label": "good", "score": score}] if score % 3 else None,
            }
        )
    return out


def tokenization(source: str, output: Path, mixture: dict[str, Any] = MIXTURE, **sections: Any) -> StageConfig:
    data = dump(stage_config("tokenization", [source], output, **sections))
    data["steps"][1] |= {"mixture": mixture, "validation_share": 0.05, "shard_tokens": 4_000}
    return parse(data)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return model_based(tmp_path_factory.mktemp("source"), {"a": pages(1, 300), "b": pages(2, 200)})


@pytest.fixture(scope="module")
def config(source: str, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> StageConfig:
    config = tokenization(source, tmp_path_factory.mktemp("once") / "tokenization")
    run(config, spark)
    return config


def record_of(config: StageConfig) -> dict[str, Any]:
    record: dict[str, Any] = read_json(str(Path(config.output.path) / "_run.json"))
    return record


def test_copies_of_a_class_are_those_of_the_plan_to_one_document(config: StageConfig) -> None:
    plan = record_of(config)["passes"][0]["notes"]["shards"]["plans"]["0"]
    assert plan["axes"] == ["category", "group", "balance", "language", "quality_band"]
    planned: Counter[str | None] = Counter()
    for cell in plan["cells"]:
        planned[cell["cell"][0]] += cell["rate"] * cell["documents"]
    written: Counter[str | None] = Counter()
    for table in read_shards(config.output.path, "train"):
        written.update(table["category"].to_pylist())
    assert set(written) == set(CLASSES)
    assert {c: abs(written[c] - planned[c]) <= 1 for c in CLASSES} == dict.fromkeys(CLASSES, True)
    assert {c["extra"] not in (0, c["documents"]) for c in plan["cells"]} == {True, False}
    shares = {s["value"]: s for s in plan["shares"] if s["axis"] == "category"}
    assert shares["entry_person_arts"]["share_after"] > shares["entry_person_arts"]["share_before"]
    assert shares["fiction_romance"]["share_after"] < shares["fiction_romance"]["share_before"]


@pytest.mark.parametrize("partitions", [pytest.param(1, marks=pytest.mark.long), 5])
def test_same_shards_for_any_partitioning(config: StageConfig, spark: Any, tmp_path: Path, partitions: int) -> None:
    again = tokenization(config.input.paths[0], tmp_path / "out", spark={"partitions": partitions})
    run(again, spark)
    first, second = (verify(c.output.path).shards for c in (config, again))
    assert len(first) > 3
    assert [(s.path, s.sha256) for s in second] == [(s.path, s.sha256) for s in first]


def test_a_then_b_is_both_with_their_generations(spark: Any, tmp_path: Path) -> None:
    source = model_based(tmp_path, {"a": pages(1, 120)})
    config = tokenization(source, tmp_path / "tokenization")
    run(config, spark)
    before = {s.path: s.sha256 for s in verify(config.output.path).shards}
    model_based(tmp_path, {"a": pages(1, 120), "b": pages(2, 80)})
    run(config, spark)
    after = {s.path: s.sha256 for s in verify(config.output.path).shards}
    assert before.items() < after.items()
    run(parse({**dump(config), "run": {"overwrite": True}}), spark)
    assert {s.path: s.sha256 for s in verify(config.output.path).shards} == after
    plans = record_of(config)["passes"][-1]["notes"]["shards"]["plans"]
    assert set(plans) == {"0", "1"}
    # what the job solves, solved without Spark from its output
    counted = count(config)
    assert not counted.estimated
    assert {str(g): plan.as_dict()["shares"] for g, plan in plans_of(config, counted).items()} == {
        g: plan["shares"] for g, plan in plans.items()
    }


def test_a_changed_weight_moves_the_shares(
    config: StageConfig, spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {**MIXTURE, "weights": {**MIXTURE["weights"], "category": {"recipe": 2.1}}}
    output = tmp_path / "tokenization"
    again = tokenization(config.input.paths[0], output, changed)
    record = run(again, spark)
    (first,), (second,) = (
        [p["notes"]["shards"]["plans"]["0"] for p in r["passes"]] for r in (record_of(config), record)
    )
    shares = [{s["value"]: s["share_after"] for s in p["shares"] if s["axis"] == "category"} for p in (first, second)]
    assert shares[1]["recipe"] > 1.5 * shares[0]["recipe"]
    assert all(shares[1][c] < shares[0][c] for c in CLASSES if c != "recipe")
    assert second["tokens_after"] == pytest.approx(first["tokens_after"], abs=1)
    ids = [rows(c.output.path)["doc_id"].to_pylist() for c in (config, again)]
    assert ids[0] == ids[1]  # no document comes or goes
    table = "\n".join(mixture_lines([read_as(RunRecord, record, "the record")]))
    assert "category recipe" in table
    assert "category (none)" in table
    assert "group food" in table
    assert main(["balance", str(output)]) == 0
    assert "tokens as counted" in capsys.readouterr().out


def test_last_hashes_are_the_kth_least_of_each_cell(spark: Any) -> None:
    ids = [f"{i:032x}" for i in range(5_000)]
    hashes = copy_hash(ids, 0)
    cells = [(LABELS[i % 3], None if i % 2 else "zh") for i in range(5_000)]
    validation = np.arange(5_000) % 11 == 0
    table = pa.table(
        {
            "validation": pa.array(validation),
            "generation": pa.array(np.arange(5_000) % 4 // 3, pa.int32()),
            "category": [c[0] for c in cells],
            "language": [c[1] for c in cells],
            "hash": pa.array(_signed(hashes)),
        }
    )
    of_cell: dict[Any, list[int]] = {}
    for i in np.flatnonzero(~validation).tolist():
        of_cell.setdefault((i % 4 // 3, cells[i]), []).append(i)
    ranks = dict(zip(sorted(of_cell, key=str), (1, 2, 7, 50, 333), strict=False))
    last = max(ranks, key=str)
    ranks[last] = len(of_cell[last])
    frame = spark.createDataFrame(
        table.to_pylist(), "validation boolean, generation int, category string, language string, hash long"
    )
    last_hashes = _last_hashes(spark, frame, ("category", "language"), ranks)
    assert last_hashes == {key: kth_least(hashes[of_cell[key]], k) for key, k in ranks.items()}
    assert _last_hashes(spark, frame, ("category", "language"), {}) == {}
