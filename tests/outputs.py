"""Outputs of stages made without Spark, for tests of what looks at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.config import StageConfig, dump, parse
from pipeline.executor import VERDICTS
from pipeline.outputs import Manifest, PublishedFile, RunRecord
from pipeline.schema import SCHEMA_VERSION, Document, Drop, to_table
from pipeline.steps import DocumentStep, Rule
from pipeline.storage import write_json


def write_record(folder: Path, config: StageConfig) -> None:
    """Write the run record of a run of this config over no files."""
    RunRecord(config.stage, dump(config), config.fingerprint(), SCHEMA_VERSION, []).write(str(folder))


def make_output(
    folder: Path, parts: list[list[Document]], steps: list[dict[str, Any]] | None = None, *, audit: bool = True
) -> str:
    """Make an output of the rule_based stage, with a file for the kept and one for the dropped rows of each part."""
    data = {
        "stage": "rule_based",
        "input": {"paths": ["in"]},
        "output": {"path": str(folder), "audit": audit},
        "steps": steps or [],
    }
    config = parse(data)
    manifest = Manifest(stage="rule_based", fingerprint=config.fingerprint())
    for number, part in enumerate(parts):
        judged = [judge(config, doc) if audit else doc for doc in part]
        for verdict in VERDICTS:
            rows = [d for d in judged if d.is_dropped == (verdict == "dropped")]
            name = f"documents/verdict={verdict}/part-g0000-{number:05d}-0.parquet"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(to_table(rows), folder / name)
            manifest.files.append(PublishedFile(name, verdict, len(rows), 0, "0" * 64, 0))
    write_json(str(folder / "_manifest.json"), manifest.to_json())
    write_record(folder, config)
    return str(folder)


def judge(config: StageConfig, doc: Document) -> Document:
    """The document with the verdict of the first step that drops it, and the values of all: what an audit stores."""
    values: list[dict[str, Any]] = []
    for label, step in zip(config.labels(), config.steps, strict=True):
        if not isinstance(step, DocumentStep):
            continue
        verdict = step(doc)
        value = step.measure(doc) if isinstance(step, Rule) else float(isinstance(verdict, Drop))
        values.append({"rule": label, "value": value})
        if isinstance(verdict, Document):
            doc = verdict
        elif not doc.is_dropped:
            doc = doc.evolve(drop_step=label, drop_reason=verdict.reason, drop_value=verdict.value_text())
    return doc.evolve(rule_values=values)


def document(number: int, text: str, language: str | None, **more: Any) -> Document:
    url = f"https://example.com/{number}"
    return Document(
        doc_id=f"{number:032x}", source_file="a", row_no=number, url=url, text=text, language=language, **more
    )
