"""A Hugging Face checkpoint in place of a shipped model, through Spark; and the GPU that Spark gives a task."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from classifiers.base import Batch
from classifiers.registry import load
from pipeline.model_based.scoring import of_classifier
from pipeline.schema import from_table
from tests.spark.helpers import ROOT, prepared, reasons, rows, run, stage_config

TEXTS = ["the river floods the meadow", "buy cheap meadow now now", "河水漫过草地", "低价出售 草地", "river river"] * 6

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small encoder with a head for poor and good: random weights, but the real format."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tests.encoders import write_encoder

    folder = str(tmp_path_factory.mktemp("checkpoint"))
    words = sorted({word for text in TEXTS for word in text.split()} | {str(i) for i in range(len(TEXTS))})
    write_encoder(
        folder,
        words,
        "BertForSequenceClassification",
        seed=1,
        id2label={0: "poor", 1: "good"},
        label2id={"poor": 0, "good": 1},
        initializer_range=0.5,
    )
    return folder


def test_a_checkpoint_judges_through_spark_as_it_does_alone(spark: Any, checkpoint: str, tmp_path: Path) -> None:
    pages = [{"url": f"http://example.com/{i}", "text": f"{text} {i}"} for i, text in enumerate(TEXTS)]
    source = prepared(spark, tmp_path, {"a": pages[::2], "b": pages[1::2]})
    # The titles are unknown here, the addresses are not.
    want = load("quality", checkpoint).scores(Batch(texts=[p["text"] for p in pages], urls=[p["url"] for p in pages]))
    by_url = {page["url"]: row[1] / 65535 for page, row in zip(pages, want.tolist(), strict=True)}
    bound = sorted(by_url.values())[len(by_url) // 2]
    assert len(set(by_url.values())) > 5
    steps = [{"step": "quality", "model": checkpoint, "min": bound}]
    outputs = []
    for name, partitions in (("one", 1), ("many", 5)):
        config = stage_config("model_based", [source], tmp_path / name, steps=steps, spark={"partitions": partitions},
                              run={"unit_records": 4})  # fmt: skip
        record = run(config, spark)
        docs = from_table(rows(tmp_path / name))
        assert {d.url: of_classifier(d, "quality")["good"] for d in docs} == by_url
        assert {d.url for d in docs if d.drop_reason} == {u for u, p in by_url.items() if p < bound}
        assert reasons(record, "quality") == {"low_quality": sum(p < bound for p in by_url.values())}
        outputs.append(rows(tmp_path / name, without=("file_no", "row_no")))
    assert outputs[0].equals(outputs[1])


GPU_JOB = """
import os, sys
from pyspark.sql import SparkSession
from pipeline.spark.run import map_each
from tests.spark.test_huggingface import device_of
spark = SparkSession.builder.getOrCreate()
print("DEVICES", sorted(set(map_each(spark, list(range(8)), device_of, None))))
"""


def device_of(_: int) -> str:
    """The device that this worker process's models would take."""
    return os.environ.get("CORPUSMILL_DEVICE", "none")


@pytest.mark.long
def test_the_gpu_that_spark_gives_a_task_is_named_to_its_models(tmp_path: Path) -> None:
    """A cluster in one process tree, whose worker says by a discovery script that it has a GPU with the address 3."""
    script = tmp_path / "gpus.sh"
    script.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["3"]}\'\n')
    script.chmod(0o755)
    job = tmp_path / "job.py"
    job.write_text(GPU_JOB)
    import pyspark

    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
    }
    environment.pop("CORPUSMILL_DEVICE", None)
    amounts = {
        "spark.worker.resource.gpu.amount": "1",
        "spark.worker.resource.gpu.discoveryScript": str(script),
        "spark.executor.resource.gpu.amount": "1",
        "spark.task.resource.gpu.amount": "0.5",
    }
    submit = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", "local-cluster[1,2,1024]"]
    for key, value in amounts.items():
        submit += ["--conf", f"{key}={value}"]
    done = subprocess.run([*submit, str(job)], env=environment, capture_output=True, text=True, timeout=200)
    assert "DEVICES ['cuda:3']" in done.stdout, done.stderr[-3000:]
