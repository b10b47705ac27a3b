"""Documents, and those of them that a step hits, counted by registered domain and generation.

A document is judged by its domain's counts up to and with its own generation: so later files change nothing that is published.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from pipeline.spark.run import CrossContext

ROWS = pa.schema(
    [
        pa.field("domain", pa.string(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("file_no", pa.int64(), nullable=False),
        pa.field("row_no", pa.int64(), nullable=False),
        pa.field("hit", pa.int64(), nullable=False),
    ]
)


def domain_counts(
    context: CrossContext, columns: tuple[str, ...], hits: Callable[[pa.Table], pa.Array], names: tuple[str, str]
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """:param columns: what `hits` needs of a document; it gives a boolean (n,).
    :param names: of the columns of counts: documents, and hits.
    :returns: the documents that have a domain, as `ROWS`; counts of the new documents by domain and generation, which are the
        state to write; counts up to and with each generation, older state included.
    """
    documents, hit = names
    state = pa.schema(
        [
            ROWS.field("domain"),
            ROWS.field("generation"),
            pa.field(documents, pa.int64(), nullable=False),
            pa.field(hit, pa.int64(), nullable=False),
        ]
    )

    def project(rows: pa.Table) -> pa.Table:
        table = rows.select(["domain", "generation", "file_no", "row_no"])
        table = table.append_column("hit", pc.cast(hits(rows), pa.int64()))
        return table.filter(pc.is_valid(table["domain"]))

    rows = context.rows([*columns, "generation"], project, ROWS)
    new = rows.groupBy("domain", "generation").agg(F.count("*").alias(documents), F.sum("hit").alias(hit))
    counts = new.unionByName(context.read_state(state)) if context.state else new
    so_far = Window.partitionBy("domain").orderBy("generation").rowsBetween(Window.unboundedPreceding, 0)
    sums = counts.select("domain", "generation", *[F.sum(name).over(so_far).alias(name) for name in names])
    return rows, new, sums


__all__ = ["domain_counts"]
