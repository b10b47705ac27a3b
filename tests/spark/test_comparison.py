"""Comparisons in one process make the marks, the records and the state that Spark makes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.comparison import compare_in_process
from pipeline.comparison.similar import DOCUMENT_ID, ID_RECORD
from pipeline.packed import unpack, unpack_payloads
from pipeline.passes import Comparison, Marked
from pipeline.rule_based.fuzzy_pairs import PAYLOAD
from pipeline.spark.stages import SparkEngine
from tests.spark.helpers import run, stage_config
from tests.spark.test_fuzzy_dedup import pages
from tests.spark.test_semantic_dedup import pages as framed_pages

STEPS: dict[str, list[dict[str, Any]]] = {
    "preparation": [{"step": "record_dedup"}, {"step": "raw_dedup"}, {"step": "exact_dedup"}],
    "rule_based": [
        {"step": "line_dedup", "max_occurrences": 30},
        {"step": "pii"},
        {"step": "pii_domains", "min_documents": 2, "max_share": 0.1, "min_findings": 1},
        {
            "step": "fuzzy_dedup",
            "band_groups": 2,
            "alarm_cluster": 3,
            "alarm_domain_documents": 10,
            "alarm_domain_share": 0.1,
        },
    ],
    "model_based": [
        {"step": "safety"},
        {"step": "semantic_dedup", "min_characters": 50, "alarm_cluster": 3},
        {"step": "unsafe_sites", "min_pages": 2, "max_share": 0.0001, "page_score": 0.0001, "max_page": 1.0},
    ],
    "tokenization": [],
}
MARKED = {
    "record_dedup",
    "raw_dedup",
    "exact_dedup",
    "line_dedup",
    "pii_domains",
    "fuzzy_dedup",
    "unsafe_sites",
    "semantic_dedup",
}


def mail(page: dict[str, Any], i: int) -> dict[str, Any]:
    """Pages of three sites, those of one of them with an address each, and a common first line."""
    page = {**page, "url": page["url"].replace(".example.com", "-of-three.com")}
    if not page["url"].startswith("http://d1-"):
        return page
    return {**page, "text": f"Home | About us\n{page['text']}\nwrite to editor{i}@mail-of-the-site.com today"}


def seen(marked: Marked, folder: str) -> dict[str, Any]:
    """What a comparison leaves, without the order of rows in its state."""
    marks = [pq.read_table(p).to_pylist() for p in sorted(Path(folder).glob("bucket-*.parquet"))]
    tables = [pq.read_table(p) for p in marked.state]
    state: dict[str, Any] = {}
    for table in tables:
        names = ",".join(table.column_names)
        for row in table.to_pylist():
            if "kind" not in row:
                state.setdefault(names, []).append(tuple(row.values()))
            elif row["kind"] == DOCUMENT_ID:
                state.setdefault("ids", []).extend(unpack([row["data"]], ID_RECORD).tolist())
            elif marked.record.get("pairs_compared") is not None and row["kind"] == PAYLOAD:
                ranks, flat, offsets = unpack_payloads([row["data"]], np.uint8)
                bounds = zip(ranks.tolist(), offsets[:-1], offsets[1:], strict=True)
                state.setdefault("payloads", []).extend((r, flat[a:b].tobytes()) for r, a, b in bounds)
            else:  # how records are cut into blobs depends on the tasks; how many bytes they have does not
                key = f"kind {row['kind']}"
                state[key] = state.get(key, 0) + len(row["data"])
    sizes = {k: v for k, v in state.items() if isinstance(v, int)}
    return {
        "marks": marks,
        "rows": marked.rows,
        "record": marked.record,
        "state": {k: sorted(v) for k, v in state.items() if not isinstance(v, int)},
        "sizes": sizes,
    }


@pytest.fixture(scope="module")
def compared(spark: Any, chain: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """Every comparison of the stages done both ways on the same units: label -> what Spark left, what one process left."""
    folder = tmp_path_factory.mktemp("both")
    found: dict[str, tuple[Any, Any]] = {}

    class Both(SparkEngine):
        def compare(self, comparison: Comparison) -> Marked:
            here = dataclasses.replace(comparison, folder=storage.join(comparison.folder, "in-process"))
            local = compare_in_process(here)
            assert local is not None
            alone = seen(local, here.folder)
            marked = super().compare(comparison)
            found[comparison.label] = (seen(marked, comparison.folder), alone)
            return marked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.spark.stages.SparkEngine", Both)
        made = [mail(p, i) for i, p in enumerate([*pages(1, 40), *pages(2, 40), *framed_pages(3, 40)])]
        for n, part in enumerate((made[:60], made[60:])):
            # The last page stands in the file three times, under as many addresses, once with a blank line at its end.
            last, url = part[-1], part[-1]["url"]
            part += [{**last, "url": f"{url}/again"}, {**last, "url": f"{url}/more", "text": last["text"] + "\n\n"}]
            text = "".join(json.dumps(p, ensure_ascii=False) + "\n" for p in part)
            (folder / f"{n}.jsonl").write_text(text, encoding="utf-8")
        source = [str(folder / "0.jsonl"), str(folder / "1.jsonl")]
        for stage, steps in STEPS.items():
            if stage == "tokenization":
                config = stage_config(stage, [str(chain / "model_based")], folder / stage, run={"rows_in_process": 0})
            else:
                config = stage_config(stage, source, folder / stage, steps=steps, run={"rows_in_process": 0})
            run(config, spark)
            source = [str(folder / "preparation")]
    return found


@pytest.mark.parametrize("label", [*sorted(MARKED), "shards"])
def test_one_process_does_what_spark_does(compared: dict[str, tuple[Any, Any]], label: str) -> None:
    by_spark, alone = compared[label]
    for part in by_spark:
        assert alone[part] == by_spark[part], part
    if label in MARKED - {"record_dedup"}:
        assert by_spark["rows"] > 0, "the step marks nothing here: the test says nothing"
