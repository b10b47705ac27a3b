"""The plan of the mixture in one process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.comparison.base import Rows, marks_in_process
from pipeline.tokenization.document_steps import Shards
from pipeline.tokenization.plan import Cell, Count, Plan, cells_of, copy_hash, kth_least
from pipeline.tokenization.shard_rows import is_validation
from pipeline.tokenization.solver import solve


def put_plans(record: dict[str, Any], plans: dict[int, Plan], validation_tokens: dict[str, int]) -> None:
    """Put what `Shards.decide` and the shards' writer need into a step's record."""
    record["plans"] = {str(g): plan.as_dict() for g, plan in plans.items()}
    record["tables"] = {str(g): plan.table() for g, plan in plans.items()}
    record["validation_tokens"] = validation_tokens


@marks_in_process.register
def plan_mixture(step: Shards, rows: Rows) -> tuple[pa.Table | None, list[str]] | None:
    """No marks: the plans, one a generation, go into the record, and `Shards.decide` applies them."""
    table = rows.read([*step.columns, "n_tokens"])
    axes = step.mixture.axes
    ids = table["doc_id"].to_pylist()
    hashes = copy_hash(ids, step.seed)
    validation = is_validation(step.seed, table["domain"].to_pylist(), ids, step.validation_share)
    members: dict[int, dict[Cell, list[int]]] = {}
    validation_tokens: dict[str, int] = {}
    tokens = table["n_tokens"].to_pylist()
    of_rows = zip(table["generation"].to_pylist(), cells_of(step.mixture.table(table)), strict=True)
    for i, (generation, cell) in enumerate(of_rows):
        of_generation = members.setdefault(generation, {})
        if validation[i]:
            key = str(generation)
            validation_tokens[key] = validation_tokens.get(key, 0) + tokens[i]
        else:
            of_generation.setdefault(cell, []).append(i)
    plans: dict[int, Plan] = {}
    for generation, cells in sorted(members.items()):
        counts = {cell: Count(len(at), sum(tokens[i] for i in at)) for cell, at in cells.items()}
        plan = solve(step.mixture, axes, counts)
        last = {cell: kth_least(hashes[np.array(cells[cell])], extra) for cell, extra in plan.sought().items()}
        plans[generation] = plan.with_hashes(last)
    put_plans(rows.record, plans, validation_tokens)
    return None, []
