"""Sites of which too many pages are unsafe: the Spark part of `unsafe_sites`.

Pages and flagged pages are counted by site and generation. A document is judged by its site's counts up to and with its own
generation: so later files change nothing that is published.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from pipeline import storage
from pipeline.model_based.safety import UnsafeSites
from pipeline.spark.run import CrossContext, compute_marks

ROWS = pa.schema(
    [
        pa.field("domain", pa.string(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("file_no", pa.int64(), nullable=False),
        pa.field("row_no", pa.int64(), nullable=False),
        pa.field("flagged", pa.int64(), nullable=False),
    ]
)
STATE = pa.schema(
    [
        ROWS.field("domain"),
        ROWS.field("generation"),
        pa.field("pages", pa.int64(), nullable=False),
        pa.field("flagged", pa.int64(), nullable=False),
    ]
)


@compute_marks.register
def unsafe_site_marks(step: UnsafeSites, context: CrossContext) -> tuple[DataFrame | None, list[str]]:
    """Marks for all documents of unsafe sites; state: pages and flagged pages by site and generation."""

    def project(rows: pa.Table) -> pa.Table:
        table = rows.select(["domain", "generation", "file_no", "row_no"])
        table = table.append_column("flagged", pc.cast(step.flags(rows), pa.int64()))
        return table.filter(pc.is_valid(table["domain"]))

    def judged(batches):  # type: ignore[no-untyped-def]
        for batch in batches:
            columns = (batch.column(name).to_pylist() for name in ("domain", "pages", "flagged"))
            reasons = [step.verdict(*row) for row in zip(*columns, strict=True)]
            values = [
                f"{step.lower_bound(pages, flagged):.3f}: {flagged} of {pages} pages"
                for pages, flagged in zip(
                    batch.column("pages").to_pylist(), batch.column("flagged").to_pylist(), strict=True
                )
            ]
            out = batch.select(["domain", "generation"]).append_column("reason", pa.array(reasons, pa.string()))
            yield out.append_column("value", pa.array(values, pa.string())).filter(pc.is_valid(out.column("reason")))

    rows = context.rows([*step.columns, "generation"], project, ROWS)
    new = rows.groupBy("domain", "generation").agg(F.count("*").alias("pages"), F.sum("flagged").alias("flagged"))
    counts = new.unionByName(context.read_state(STATE)) if context.state else new
    so_far = Window.partitionBy("domain").orderBy("generation").rowsBetween(Window.unboundedPreceding, 0)
    sums = counts.select(
        "domain",
        "generation",
        F.sum("pages").over(so_far).alias("pages"),
        F.sum("flagged").over(so_far).alias("flagged"),
    )
    schema = sums.select("domain", "generation").schema.add("reason", StringType()).add("value", StringType())
    bad = sums.mapInArrow(judged, schema)
    marks = rows.join(bad, ["domain", "generation"]).select("file_no", "row_no", "reason", "value")
    return marks, context.write(new, storage.join(context.work, "state", context.label))


__all__ = ["unsafe_site_marks"]
