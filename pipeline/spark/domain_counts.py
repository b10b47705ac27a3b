"""Documents, and those of them that a step hits, counted by registered domain and generation.

A document is judged by its domain's counts up to and with its own generation: so later files change nothing that is published.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from pipeline.comparison.domains import ROWS, rows_of, state_schema
from pipeline.spark.run import CrossContext


def domain_counts(
    context: CrossContext, columns: tuple[str, ...], hits: Callable[[pa.Table], pa.Array], names: tuple[str, str]
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """:param columns: what `hits` needs of a document; it gives a boolean (n,).
    :param names: of the columns of counts: documents, and hits.
    :returns: the documents that have a domain, as `ROWS`; counts of the new documents by domain and generation, which are the
        state to write; counts up to and with each generation, older state included.
    """
    documents, hit = names
    state = state_schema(names)
    rows = context.rows([*columns, "generation"], lambda table: rows_of(table, hits), ROWS)
    new = rows.groupBy("domain", "generation").agg(F.count("*").alias(documents), F.sum("hit").alias(hit))
    counts = new.unionByName(context.read_state(state)) if context.state else new
    so_far = Window.partitionBy("domain").orderBy("generation").rowsBetween(Window.unboundedPreceding, 0)
    sums = counts.select("domain", "generation", *[F.sum(name).over(so_far).alias(name) for name in names])
    return rows, new, sums


__all__ = ["domain_counts"]
