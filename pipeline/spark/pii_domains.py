"""Domains whose pages hold personal data: the Spark part of `pii_domains`.

Documents and hits are counted by domain and generation. A document is judged by its domain's counts up to and with its own
generation: so later files change nothing that is published.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from pipeline import storage
from pipeline.rule_based.pii import PiiDomains
from pipeline.spark.run import CrossContext, compute_marks

ROWS = pa.schema(
    [
        pa.field("domain", pa.string(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("file_no", pa.int64(), nullable=False),
        pa.field("row_no", pa.int64(), nullable=False),
        pa.field("hit", pa.int64(), nullable=False),
    ]
)
STATE = pa.schema(
    [
        ROWS.field("domain"),
        ROWS.field("generation"),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("hits", pa.int64(), nullable=False),
    ]
)


@compute_marks.register
def pii_domain_marks(step: PiiDomains, context: CrossContext) -> tuple[DataFrame | None, list[str]]:
    """Marks for all documents of domains with too many hits; state: documents and hits by domain and generation."""

    def project(rows: pa.Table) -> pa.Table:
        table = rows.select(["domain", "generation", "file_no", "row_no"])
        table = table.append_column("hit", pc.cast(step.hits(rows), pa.int64()))
        return table.filter(pc.is_valid(table["domain"]))

    rows = context.rows([*step.columns, "generation"], project, ROWS)
    new = rows.groupBy("domain", "generation").agg(F.count("*").alias("documents"), F.sum("hit").alias("hits"))
    counts = new.unionByName(context.read_state(STATE)) if context.state else new
    so_far = Window.partitionBy("domain").orderBy("generation").rowsBetween(Window.unboundedPreceding, 0)
    sums = counts.select(
        "domain",
        "generation",
        F.sum("documents").over(so_far).alias("documents"),
        F.sum("hits").over(so_far).alias("hits"),
    )
    share = F.col("hits") / F.col("documents")
    bad = sums.where((F.col("documents") >= step.min_documents) & (share > step.max_share))
    bad = bad.select("domain", "generation", share.alias("share"))
    marks = rows.join(bad, ["domain", "generation"]).select(
        "file_no", "row_no", F.lit("pii_domain").alias("reason"), F.format_string("%.3f", F.col("share")).alias("value")
    )
    return marks, context.write(new, storage.join(context.work, "state", context.label))


__all__ = ["pii_domain_marks"]
