"""Domains whose pages hold personal data: the Spark part of `pii_domains`."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline import storage
from pipeline.rule_based.pii import PiiDomains
from pipeline.spark.domain_counts import domain_counts
from pipeline.spark.run import CrossContext, compute_marks


@compute_marks.register
def pii_domain_marks(step: PiiDomains, context: CrossContext) -> tuple[DataFrame | None, list[str]]:
    """Marks for all documents of domains with too many hits; state: documents and hits by domain and generation."""
    rows, new, sums = domain_counts(context, step.columns, step.hits, ("documents", "hits"))
    share = F.col("hits") / F.col("documents")
    bad = sums.where((F.col("documents") >= step.min_documents) & (share > step.max_share))
    bad = bad.select("domain", "generation", share.alias("share"))
    marks = rows.join(bad, ["domain", "generation"]).select(
        "file_no", "row_no", F.lit("pii_domain").alias("reason"), F.format_string("%.3f", F.col("share")).alias("value")
    )
    return marks, context.write(new, storage.join(context.work, "state", context.label))


__all__ = ["pii_domain_marks"]
