"""The report of the largest sites over Spark: one published file a task, small tables back."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline import sites, storage
from pipeline.config import SparkConfig
from pipeline.outputs import published_files
from pipeline.spark.run import map_each
from pipeline.spark.session import get_session
from pipeline.strict import UserError


def _count(path: str) -> sites.Counts:
    with storage.open_read(path) as f:
        return sites.count(pq.read_table(f, columns=sites.COUNT_COLUMNS))


def _look(domains: list[str], path: str) -> dict[str, Any]:
    with storage.open_read(path) as f:
        return sites.look(pq.read_table(f, columns=sites.LOOK_COLUMNS), domains)


def largest_sites(spark: SparkSession, output: str, top: int) -> tuple[sites.Counts, dict[str, dict[str, Any]]]:
    """Counts and looks of the `top` largest domains of an output.

    Domains are counted and chosen in Spark; only the chosen ones, at most `top`, come to the driver.
    """
    paths = [storage.join(output, f.path) for f in published_files(output)]

    def work(batches: Any) -> Any:
        import pyarrow as pa

        for batch in batches:
            for i in batch.column(0).to_pylist():
                found = _count(paths[i])
                columns: list[list[Any]] = [list(found), *map(list, zip(*found.values(), strict=True))]
                if found:
                    yield pa.RecordBatch.from_pydict(dict(zip(names, columns, strict=True)))

    names = ["domain", "documents", "kept", "characters", "kept_characters"]
    numbers = spark.range(0, len(paths), 1, max(1, len(paths)))
    counted = numbers.mapInArrow(work, "domain string, " + ", ".join(f"{n} long" for n in names[1:]))
    summed = counted.groupBy("domain").agg(*(F.sum(n).alias(n) for n in names[1:]))
    chosen = summed.orderBy(F.desc("characters"), "domain").limit(top).collect()
    counts = {r.domain: [r.documents, r.kept, r.characters, r.kept_characters] for r in chosen}
    looks = sites.merge_looks(map_each(spark, paths, functools.partial(_look, list(counts)), None))
    return counts, looks


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of jobs/sites.py."""
    parser = argparse.ArgumentParser(
        prog="spark-submit jobs/sites.py",
        description="Report the largest sites of an output: documents, characters, kept share, commonest lines, samples.",
        epilog="example: spark-submit jobs/sites.py --output out/rule_based --top 1000 --report sites.json",
    )
    parser.add_argument("--output", required=True, help="a stage's output folder")
    sites.add_arguments(parser)
    arguments = parser.parse_args(argv)
    try:
        spark = get_session("sites", SparkConfig())
        sites.finish(*largest_sites(spark, arguments.output, arguments.top), arguments)
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    return 0
