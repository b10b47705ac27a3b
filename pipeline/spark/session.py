"""The SparkSession of a stage."""

from __future__ import annotations

import os
import sys

from pyspark.sql import SparkSession

from pipeline.config import SparkConfig
from pipeline.strict import UserError

# Set unless the config or spark-submit says otherwise.
DEFAULTS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.python.worker.faulthandler.enabled": "true",
    "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
    # A cross-document step's keys are few bytes a row: let Spark choose the partitions of small jobs.
    "spark.sql.adaptive.enabled": "true",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.catalogImplementation": "in-memory",
}


def get_session(name: str, config: SparkConfig) -> SparkSession:
    """The session that spark-submit prepared, or a local one.

    :raises UserError: if no Java can be started.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(f"corpusmill {name}")
    if config.master is not None:
        builder = builder.master(config.master)
    settings = dict(DEFAULTS)
    if config.partitions is not None:
        settings["spark.sql.shuffle.partitions"] = str(config.partitions)
        settings["spark.sql.adaptive.coalescePartitions.enabled"] = "false"
    for key, value in {**settings, **config.conf}.items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except Exception as e:
        if "JAVA_GATEWAY" in str(e) or "Java" in str(e):
            raise UserError(
                "Spark could not start Java 17 or later: set JAVA_HOME, or run scripts/setup.sh, which installs one "
                f"from PyPI where none is found ({e})"
            ) from e
        raise
    return session
