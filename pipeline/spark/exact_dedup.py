"""Duplicates by equal key: the Spark part of every `DuplicateStep`.

Only (key, sort key, row key) shuffles, never text. The minimum of a hot key is taken by partial aggregation, so that a
million copies of one page do not meet in one task; the join back is against the keys that occur more than once, which
adaptive execution broadcasts or splits.
"""

from __future__ import annotations

import functools

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline import storage
from pipeline.comparison.equal import KEYS, ORDER, STATE, columns_of, keys_of
from pipeline.spark.run import CrossContext, compute_marks
from pipeline.steps import DuplicateStep


@compute_marks.register
def duplicates(step: DuplicateStep, context: CrossContext) -> tuple[DataFrame | None, list[str]]:
    """Marks for all but the first row of each key; state: key and `doc_id` of the first."""
    rows = context.rows(columns_of(step), functools.partial(keys_of, step), KEYS)
    seen = rows
    if context.state:
        old = context.read_state(STATE).select(
            "key",
            "generation",
            F.lit(-(2**62)).alias("time"),
            "doc_id",
            F.lit(-1).cast("bigint").alias("file_no"),
            F.lit(-1).cast("bigint").alias("row_no"),
        )
        seen = rows.unionByName(old)
    order = F.struct(*ORDER)
    first = seen.groupBy("key").agg(F.min(order).alias("first"), F.count("*").alias("n"))
    same = (F.col("first.file_no") == F.col("file_no")) & (F.col("first.row_no") == F.col("row_no"))
    repeated = first.where("n > 1").select("key", "first")
    marks = (
        rows.join(repeated, "key")
        .where(~same)
        .select(
            "file_no",
            "row_no",
            F.lit(step.reason).alias("reason"),
            F.col("key").alias("value"),
            F.col("first.doc_id").alias("duplicate_of"),
        )
    )
    new = first.where("first.file_no >= 0").select(
        "key", F.col("first.generation").alias("generation"), F.col("first.doc_id").alias("doc_id")
    )
    state = context.write(new, storage.join(context.work, "state", context.label))
    return marks, state
