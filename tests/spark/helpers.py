"""What the Spark tests share: configs on small inputs, and outputs as comparable sets of rows."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import StageConfig, dump, load, parse
from pipeline.outputs import Manifest, PublishedFile, read_all
from pipeline.progress import Progress
from pipeline.schema import DOCUMENT, Document, to_table
from pipeline.spark.stages import run_stage
from pipeline.stage import STAGES
from pipeline.steps import file_sha256
from pipeline.storage import write_json

ROOT = Path(__file__).resolve().parents[2]
EARLIER = {name: stage.before for name, stage in STAGES.items() if stage.before}


def stage_config(stage: str, inputs: list[str], output: Path | str, /, **sections: Any) -> StageConfig:
    """The config of the demo for a stage on other inputs, with keys of sections replaced: `run={"overwrite": True}`."""
    demo = ROOT / "configs" / "demo" / f"{stage}.yaml"
    data = dump(load(demo if demo.exists() else ROOT / "configs" / f"{stage}.yaml"))
    data["input"]["paths"] = inputs
    data["output"]["path"] = str(output)
    for section, values in sections.items():
        if isinstance(values, dict):
            data[section].update(values)
        else:
            data[section] = values
    return parse(data)


def run(config: StageConfig, spark: Any) -> dict[str, Any]:
    """Run a stage. :returns: its run record, as stored; empty where only an estimate was asked for."""
    record = run_stage(config, spark, Progress(config.stage, io.StringIO()))
    return record.to_json() if record is not None else {}


def run_chain(base: Path, inputs: list[str], spark: Any, **sections: Any) -> Path:
    """All stages, one after the other, each into its folder under `base`."""
    for stage in STAGES:
        source = inputs if stage == "preparation" else [str(base / EARLIER[stage])]
        run(stage_config(stage, source, base / stage, **sections), spark)
    return base


def rows(output: Path | str, verdict: Any = None, without: tuple[str, ...] = ()) -> pa.Table:
    """All published rows, sorted by what identifies them, so that two outputs can be compared as sets."""
    table = read_all(str(output), verdict)
    order = [("generation", "ascending"), ("source_file", "ascending"), ("record_no", "ascending")]
    return table.sort_by(order).drop_columns(list(without))


def prepared(spark: Any, folder: Path, files: dict[str, list[dict[str, Any]]]) -> str:
    """An output of the preparation stage that holds these rows (url, text, crawl_time) as they are, a file each."""
    paths = []
    for name, content in files.items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8")
        paths.append(str(path))
    output = folder / "prepared"
    # One published file for each input file, so that later stages can take them one after the other.
    run(stage_config("preparation", paths, output, steps=[], output={"file_characters": 1}), spark)
    return str(output)


def model_based(folder: Path, files: dict[str, list[dict[str, Any]]]) -> str:
    """An output of the model_based stage that holds these kept documents (text, language, category, scores ...), a file each."""
    output = folder / "model_based"
    manifest = Manifest(stage="model_based", fingerprint={})
    for name, content in files.items():
        path = output / "documents" / "verdict=kept" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        docs = [
            Document(
                doc_id=hashlib.md5(f"{name}{i}".encode()).hexdigest(), source_file=name, record_no=i, row_no=i, **row
            )
            for i, row in enumerate(content)
        ]
        pq.write_table(to_table(docs).select(DOCUMENT.names), path, row_group_size=50)
        published = f"documents/verdict=kept/{name}.parquet"
        manifest.files.append(PublishedFile(published, "kept", len(docs), 0, file_sha256(str(path)), 0))
    write_json(str(output / "_manifest.json"), manifest.to_json())
    return str(output)


def reasons(record: dict[str, Any], label: str) -> dict[str, int]:
    """Drops by reason of one step, over all passes of a run record."""
    total: dict[str, int] = {}
    for one in record["passes"]:
        for reason, n in one["steps"].get(label, {"dropped": {}})["dropped"].items():
            total[reason] = total.get(reason, 0) + n
    return total


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]
