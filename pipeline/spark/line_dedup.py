"""Line-wise deduplication: counting lines over the corpus (the Spark part of `line_dedup`).

Only (line key, sort key, line number) shuffles. A line that stands on 1e8 pages must not meet in one task: counts are
partial aggregates; the occurrences of a hot line are compared with its last permitted one, which a group limit finds from
the first few of every partition and which is sent to where the rows are.
"""

from __future__ import annotations

import functools

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from pipeline import storage
from pipeline.comparison.lines import OCCURRENCES, ORDER, STATE, columns_of, occurrences_of
from pipeline.rule_based.line_dedup import LineDedup
from pipeline.spark.run import CrossContext, compute_marks

HOT = 1_000_000
"""Occurrences (rows of about 100 bytes) of one line that one task may still sort. Lines above it are few, at most 1e-6 of
all occurrences, so their keys can be sent to every task."""


@compute_marks.register
def line_marks(step: LineDedup, context: CrossContext) -> tuple[DataFrame | None, list[str]]:
    """Marks that cut the surplus occurrences; state: how often each line occurred in this pass."""
    rows = context.rows(columns_of(step), functools.partial(occurrences_of, step), OCCURRENCES)
    earlier = context.read_state(STATE) if context.state else None
    counts = rows.groupBy("key").agg(F.count("*").alias("n"))
    cut = surplus(rows, counts, earlier, step.max_occurrences, HOT, context.persisted)
    marks = cut.groupBy("file_no", "row_no").agg(F.sort_array(F.collect_list("line")).alias("cut_lines"))
    return marks, context.write(counts, storage.join(context.work, "state", context.label))


def surplus(
    rows: DataFrame, counts: DataFrame, earlier: DataFrame | None, limit: int, hot: int, persisted: list[DataFrame]
) -> DataFrame:
    """The occurrences of each key past the first `limit`, those of earlier generations counted first.

    :param rows: columns `key` and `ORDER`.
    :param counts: columns `key`, `n`: how often each occurs in `rows`.
    :param earlier: the same of earlier generations; keys may repeat.
    :param hot: occurrences above which the rows of a key are not brought together.
    :param persisted: gets what is to be let go of later.
    :returns: columns `file_no`, `row_no`, `line`.
    """
    spark = rows.sparkSession
    # Row numbers are limited per partition before the shuffle only up to this many (the default is 1,000).
    spark.conf.set("spark.sql.optimizer.windowGroupLimitThreshold", str(max(1000, limit)))
    if earlier is None:
        over = counts.where(F.col("n") > limit).withColumn("allowed", F.lit(limit).cast("bigint"))
    else:
        old = earlier.groupBy("key").agg(F.sum("n").alias("old"))
        joined = counts.join(old, "key", "left").fillna({"old": 0})
        allowed = F.greatest(F.lit(limit) - F.col("old"), F.lit(0))
        over = joined.withColumn("allowed", allowed).where(F.col("n") > F.col("allowed"))
    over = over.select("key", "n", "allowed").persist(StorageLevel.DISK_ONLY)
    persisted.append(over)
    ranked = Window.partitionBy("key").orderBy(*ORDER)
    columns = ["file_no", "row_no", "line"]

    hot_keys = F.broadcast(over.where(F.col("n") > hot).select("key", "allowed"))
    # Without the anti-join the hot rows would shuffle too, to be thrown away by the join.
    warm = rows.join(hot_keys, "key", "left_anti").join(over.where(F.col("n") <= hot).select("key", "allowed"), "key")
    cut = warm.withColumn("rank", F.row_number().over(ranked)).where(F.col("rank") > F.col("allowed")).select(columns)

    hot_rows = rows.join(hot_keys, "key")
    firsts = hot_rows.withColumn("rank", F.row_number().over(ranked)).where(F.col("rank") <= limit)
    last = firsts.where(F.col("rank") == F.col("allowed")).select("key", F.struct(*ORDER).alias("last"))
    late = hot_rows.join(F.broadcast(last), "key", "left").where(
        F.col("last").isNull() | (F.struct(*ORDER) > F.col("last"))
    )
    return cut.unionByName(late.select(columns))


__all__ = ["line_marks", "surplus"]
