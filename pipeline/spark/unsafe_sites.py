"""Sites of which too many pages are unsafe: the Spark part of `unsafe_sites`."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql.types import StringType

from pipeline import storage
from pipeline.model_based.safety import UnsafeSites
from pipeline.spark.domain_counts import domain_counts
from pipeline.spark.run import CrossContext, compute_marks


@compute_marks.register
def unsafe_site_marks(step: UnsafeSites, context: CrossContext) -> tuple[DataFrame | None, list[str]]:
    """Marks for all documents of unsafe sites; state: pages and flagged pages by site and generation."""

    def judged(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            domains, pages, flagged = (batch.column(name).to_pylist() for name in ("domain", "pages", "flagged"))
            counts = list(zip(pages, flagged, strict=True))
            reasons = [step.verdict(domain, *counted) for domain, counted in zip(domains, counts, strict=True)]
            values = [step.value(*counted) for counted in counts]
            out = batch.select(["domain", "generation"]).append_column("reason", pa.array(reasons, pa.string()))
            yield out.append_column("value", pa.array(values, pa.string())).filter(pc.is_valid(out.column("reason")))

    rows, new, sums = domain_counts(context, step.columns, step.flags, ("pages", "flagged"))
    schema = sums.select("domain", "generation").schema.add("reason", StringType()).add("value", StringType())
    bad = sums.mapInArrow(judged, schema)
    marks = rows.join(bad, ["domain", "generation"]).select("file_no", "row_no", "reason", "value")
    return marks, context.write(new, storage.join(context.work, "state", context.label))


__all__ = ["unsafe_site_marks"]
