"""The report of the largest sites over Spark: one published file a task; counting in Spark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

from pipeline import storage
from pipeline.config import SparkConfig
from pipeline.inspection import sites
from pipeline.outputs import published_files
from pipeline.spark.session import get_session


def _count(path: str) -> sites.Counts:
    with storage.open_read(path) as f:
        return sites.count(pq.read_table(f, columns=sites.COUNT_COLUMNS))


def _rows(domains: list[str], path: str) -> Iterator[tuple[str, str, str, int, str]]:
    """Rows of one file about the chosen sites: domain, kind, key, number, text."""
    with storage.open_read(path) as f:
        by_domain = sites.look(pq.read_table(f, columns=sites.LOOK_COLUMNS), domains)
    for domain, site in by_domain.items():
        yield from ((domain, "line", line, n, "") for line, n in site["lines"].items())
        yield from ((domain, "reason", reason, n, "") for reason, n in site["reasons"].items())
        # A sample's hash, halved: Spark's integers have a sign.
        yield from ((domain, "sample", url or "", hash_ >> 1, text) for hash_, url, text in site["samples"])


def largest_sites(
    spark: SparkSession, output: str, top: int, common: int
) -> tuple[sites.Counts, dict[str, dict[str, Any]]]:
    """Counts and looks of the `top` largest domains of an output.

    Domains are counted and chosen in Spark, their lines too; what comes to the driver is `top` rows, and `common` lines, the
    reasons and a few samples of each.
    """
    paths = [storage.join(output, f.path) for f in published_files(output)]
    numbers = spark.range(0, len(paths), 1, max(1, len(paths)))
    names = ["domain", "documents", "kept", "characters", "kept_characters"]

    def counting(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for i in batch.column(0).to_pylist():
                by_domain = _count(paths[i])
                if by_domain:
                    columns: list[list[Any]] = [list(by_domain), *map(list, zip(*by_domain.values(), strict=True))]
                    yield pa.RecordBatch.from_pydict(dict(zip(names, columns, strict=True)))

    counted = numbers.mapInArrow(counting, "domain string, " + ", ".join(f"{n} long" for n in names[1:]))
    summed = counted.groupBy("domain").agg(*(F.sum(n).alias(n) for n in names[1:]))
    chosen = summed.orderBy(F.desc("characters"), "domain").limit(top).collect()
    counts = {r.domain: [r.documents, r.kept, r.characters, r.kept_characters] for r in chosen}
    domains = list(counts)
    columns = ["domain", "kind", "key", "n", "text"]

    def looking(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for i in batch.column(0).to_pylist():
                rows = list(_rows(domains, paths[i]))
                if rows:
                    yield pa.RecordBatch.from_pydict(
                        dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
                    )

    seen = numbers.mapInArrow(looking, "domain string, kind string, key string, n long, text string")
    samples = seen.where("kind = 'sample'")
    together = seen.where("kind != 'sample'").groupBy("domain", "kind", "key").agg(F.sum("n").alias("n"))
    order = Window.partitionBy("domain", "kind").orderBy(F.desc("n"), "key")
    most = together.withColumn("place", F.row_number().over(order)).where(F.col("place") <= max(common, 20))
    least = Window.partitionBy("domain").orderBy("n", "key")
    first = samples.withColumn("place", F.row_number().over(least)).where(F.col("place") <= sites.SAMPLES)
    looks: dict[str, dict[str, Any]] = {d: {"lines": Counter(), "reasons": Counter(), "samples": []} for d in domains}
    for r in most.collect():
        looks[r.domain]["lines" if r.kind == "line" else "reasons"][r.key] = r.n
    for r in sorted(first.collect(), key=lambda r: (r.domain, r.place)):
        looks[r.domain]["samples"].append([r.n, r.key, r.text])
    return counts, looks


def report(output: str, top: int, common: int, share: float) -> list[dict[str, Any]]:
    """Report the largest sites of an output over Spark, as `pipeline.inspection.sites.sites` does on one machine.

    :raises UserError: if there is no finished output.
    """
    published_files(output)
    counts, looks = largest_sites(get_session("sites", SparkConfig()), output, top, common)
    return sites.report(counts, looks, top, common, share)
