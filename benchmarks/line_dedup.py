"""Line-wise deduplication with one line on very many pages: no task may be given all of its occurrences.

    python benchmarks/line_dedup.py [--occurrences 100000000]

Rows are made by Spark (a key, a sort key): so many of one hot line, a tenth as many of lines that occur 1 to 2,000 times. The
shipped way is measured, and beside it the plain one (a row number over each line's occurrences) on a hundredth of the rows,
where one task gets all. What matters is the largest input of a single task.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import event_log
import machine
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from pipeline.config import SparkConfig
from pipeline.spark import line_dedup
from pipeline.spark.run import local_cpu_seconds
from pipeline.spark.session import get_session

LIMIT = 200


def occurrences(spark: Any, n: int) -> DataFrame:
    """`n` rows of a hot line and n / 10 of others, in the columns of the step."""
    rows = spark.range(0, n + n // 10, 1, 64)
    others = F.unhex(F.md5((F.col("id") % (n // 10_000 + 1)).cast("string")))
    return rows.select(
        F.when(F.col("id") % 11 != 0, F.unhex(F.md5(F.lit("hot")))).otherwise(others).alias("key"),
        F.lit(0).alias("generation"),
        F.lit(0).cast("long").alias("time"),
        F.md5(F.col("id").cast("string")).alias("doc_id"),
        F.expr("id div 100000").alias("file_no"),
        (F.col("id") % 100000).alias("row_no"),
        F.lit(0).alias("line"),
    )


def plain(rows: DataFrame) -> DataFrame:
    ranked = Window.partitionBy("key").orderBy(*line_dedup.ORDER)
    return rows.withColumn("rank", F.row_number().over(ranked)).where(F.col("rank") > LIMIT)


def shipped(rows: DataFrame) -> DataFrame:
    counts = rows.groupBy("key").agg(F.count("*").alias("n"))
    return line_dedup.surplus(rows, counts, None, LIMIT, line_dedup.HOT, [])


def measure(name: str, n: int, way: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as log:
        conf = {"spark.driver.memory": "6g", "spark.ui.enabled": "false", **event_log.conf(Path(log))}
        spark = get_session("benchmark", SparkConfig(master="local[2]", conf=conf))
        spark.conf.set("spark.sql.shuffle.partitions", "32")
        wall, cpu = time.monotonic(), local_cpu_seconds(spark)
        n_cut = way(occurrences(spark, n)).count()
        wall, cpu = time.monotonic() - wall, local_cpu_seconds(spark) - cpu
        spark.stop()
        counted = event_log.totals(Path(log))
    return {
        "way": name,
        "occurrences_of_hot_line": n,
        "rows": n + n // 10,
        "cut": n_cut,
        "wall_seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
        **counted,
    }


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--occurrences", type=int, default=100_000_000)
    arguments = parser.parse_args()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    n = arguments.occurrences
    small = max(n // 100, 100_000)
    runs = [measure("plain", small, plain), measure("shipped", small, shipped), measure("shipped", n, shipped)]
    machine.save("line_dedup", {"limit": LIMIT, "hot": line_dedup.HOT, "runs": runs})


if __name__ == "__main__":
    main()
