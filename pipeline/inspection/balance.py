"""Preview a mixture of an output: shares before, wished for and after, by class, group and language, in seconds.

Solves the same plan as the tokenization job, without Spark, from columns of what the config's output already holds (its counted
tokens, if it was made of this input), else of its input. There tokens are estimated from the bytes of the text. Of large outputs
every n-th row group is read.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.config import StageConfig
from pipeline.outputs import PublishedFile, read_manifest, require_manifest
from pipeline.stage import STAGES
from pipeline.strict import UserError
from pipeline.tokenization.document_steps import Shards
from pipeline.tokenization.plan import NONE, Cell, Count, Plan, cells_of
from pipeline.tokenization.shard_rows import is_validation
from pipeline.tokenization.solver import solve

BYTES_PER_TOKEN = {"en": 4.65, "zh": 3.80}  # measured with the shipped vocabulary: benchmarks/results/tokenization.json
OTHER_BYTES_PER_TOKEN = 4.0
SAMPLE_BYTES = 300_000_000  # of columns, uncompressed, that are read: seconds

Counts = dict[int, dict[Cell, Count]]
"""Documents and tokens of each cell, by generation."""


@dataclass(frozen=True)
class Counted:
    """Counts of outputs, and how they were taken."""

    counts: Counts
    outputs: list[str]
    estimated: bool  # tokens from bytes
    every: int  # one row group in so many was read

    def line(self) -> str:
        """Say in one line what was counted, and how."""
        how = "tokens estimated from bytes" if self.estimated else "tokens as counted"
        part = "" if self.every == 1 else f"; from 1 row group in {self.every}"
        return f"counts of {', '.join(self.outputs)}: {how}{part}"


def count(config: StageConfig, output: str | None = None) -> Counted:
    """Count the cells of the config's mixture in an output: that one, else the config's own output, else its input.

    :raises UserError: if there is no such output.
    """
    step = shards_of(config)
    outputs = [output] if output is not None else [config.output.path] if _is_current(config) else config.input.paths
    manifests = {path: require_manifest(path) for path in outputs}
    estimated = any(not STAGES[m.stage].writes_shards for m in manifests.values())
    label = config.labels()[config.steps.index(step)]
    columns = [*step.columns, "language", *(["text"] if estimated else ["n_tokens", "drop_step"])]
    pieces = [
        (path, f)
        for path, manifest in manifests.items()
        for f in manifest.files
        if f.rows and (f.verdict == "kept" or not estimated)
    ]
    groups, every = _row_groups(pieces, columns)
    totals: dict[tuple[int, Cell], list[int]] = {}
    read = 0
    for path, numbers in groups.items():
        with storage.open_read(path) as source:
            file = pq.ParquetFile(source)
            for i in numbers:
                rows = file.read_row_group(i, columns=list(dict.fromkeys(columns)))
                read += rows.num_rows
                _add(totals, rows, step, label, estimated)
    scale = sum(f.rows for _, f in pieces) / read if read else 1.0
    counts: Counts = {} if totals else {0: {}}
    for (generation, cell), (documents, tokens) in totals.items():
        counts.setdefault(generation, {})[cell] = Count(round(documents * scale), round(tokens * scale))
    return Counted(dict(sorted(counts.items())), outputs, estimated, every)


def shards_of(config: StageConfig) -> Shards:
    """Find the step that has the mixture. :raises UserError: if the config is of another stage."""
    for step in config.steps:
        if isinstance(step, Shards):
            return step
    raise UserError(f"the config is for stage {config.stage!r}; the mixture is in that of tokenization")


def _is_current(config: StageConfig) -> bool:
    """Whether the config's output was made of all of its input, and of nothing else."""
    made = read_manifest(config.output.path)
    inputs = {path: read_manifest(path) for path in config.input.paths}
    if made is None or not STAGES[made.stage].writes_shards or not all(inputs.values()):
        return False
    wanted = {storage.join(p, f.path): f.sha256 for p, m in inputs.items() if m for f in m.files if f.verdict == "kept"}
    return {f.path: f.fingerprint.get("sha256") for f in made.inputs} == wanted


def _row_groups(
    pieces: Sequence[tuple[str, PublishedFile]], columns: Sequence[str]
) -> tuple[dict[str, list[int]], int]:
    """The row groups to read of each file, and one in how many these are."""
    groups: list[tuple[str, int]] = []
    size = 0
    for folder, f in pieces:
        path = storage.join(folder, f.path)
        with storage.open_read(path) as source:
            metadata = pq.ParquetFile(source).metadata
        for i in range(metadata.num_row_groups):
            group = metadata.row_group(i)
            groups.append((path, i))
            for c in map(group.column, range(group.num_columns)):
                size += c.total_uncompressed_size if c.path_in_schema.split(".")[0] in columns else 0
    every = max(1, math.ceil(size / SAMPLE_BYTES))
    chosen: dict[str, list[int]] = {}
    for path, i in groups[::every]:
        chosen.setdefault(path, []).append(i)
    return chosen, every


def _add(totals: dict[tuple[int, Cell], list[int]], rows: pa.Table, step: Shards, label: str, estimated: bool) -> None:
    """Add the documents that take part in the mixture. What the job would call one generation is one, 0, if estimated."""
    if not estimated:  # a document of no copies takes part too
        live = pc.is_null(rows["drop_step"])
        rows = rows.filter(pc.or_(live, pc.fill_null(pc.equal(rows["drop_step"], label), False)))
    domains, ids = rows["domain"].to_pylist(), rows["doc_id"].to_pylist()
    rows = rows.filter(pa.array(~is_validation(step.seed, domains, ids, step.validation_share), pa.bool_()))
    axes = step.mixture.table(rows)
    tokens = _estimated(rows) if estimated else rows["n_tokens"]
    generation = pa.nulls(len(rows), pa.int32()).fill_null(0) if estimated else rows["generation"]
    keyed = axes.append_column("generation", generation).append_column("tokens", tokens)
    summed = keyed.group_by([*axes.column_names, "generation"]).aggregate([("tokens", "count"), ("tokens", "sum")])
    numbers = (summed[n].to_pylist() for n in ("generation", "tokens_count", "tokens_sum"))
    for cell, generation_no, documents, n in zip(cells_of(summed.select(axes.column_names)), *numbers, strict=True):
        of_cell = totals.setdefault((generation_no, cell), [0, 0])
        of_cell[0] += documents
        of_cell[1] += n


def _estimated(rows: pa.Table) -> pa.Array:
    """Tokens of the texts, with the end-of-document token, n of them."""
    sizes = pc.fill_null(pc.binary_length(rows["text"]), 0).to_numpy()
    factors = [BYTES_PER_TOKEN.get(language, OTHER_BYTES_PER_TOKEN) for language in rows["language"].to_pylist()]
    return pa.array(np.round(sizes / np.array(factors, dtype=np.float64)).astype(np.int64) + 1)


def plans_of(config: StageConfig, counted: Counted) -> dict[int, Plan]:
    """Solve the plan of each generation, as the job does."""
    mixture = shards_of(config).mixture
    return {g: solve(mixture, mixture.axes, cells) for g, cells in counted.counts.items()}


def plan_lines(counted: Counted, plans: dict[int, Plan]) -> list[str]:
    """The shares of each generation's plan as tables, under a line that says what was counted."""
    lines = [counted.line()]
    for generation, plan in plans.items():
        lines += ["", *([f"generation {generation}"] if len(plans) > 1 else []), plan.table()]
    return lines


# --- picture ----------------------------------------------------------------------------------------------------------

_BARS = (("before", "#9aa5b1"), ("target", "#e0a526"), ("after", "#2f6f9f"))
_LEFT, _WIDTH, _BAR, _GAP = 210, 480, 7, 9  # pixels


def picture(plans: dict[int, Plan]) -> str:
    """The shares of the largest plan as an SVG of bars, for each axis: before, target and after of each value."""
    plan = max(plans.values(), key=lambda plan: plan.tokens_before)
    body: list[str] = []
    y = 30
    for i, (name, colour) in enumerate(_BARS):
        body.append(f'<rect x="{_LEFT + 90 * i}" y="10" width="10" height="10" fill="{colour}"/>')
        body.append(f'<text x="{_LEFT + 90 * i + 15}" y="19">{name}</text>')
    for axis in reversed(plan.axes):
        values = sorted(
            (s for s in plan.shares if s.axis == axis and (s.documents or s.target)), key=lambda s: -s.tokens_before
        )
        most = max((x or 0.0 for s in values for x in (s.share_before, s.target, s.share_after)), default=0.0)
        y += 26
        body.append(f'<text x="8" y="{y}" font-weight="bold">{html.escape(axis)}</text>')
        y += 8
        for s in values:
            shares = (s.share_before, s.target, s.share_after)
            body.append(f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{html.escape(s.value or NONE)}</text>')
            for (_, colour), share in zip(_BARS, shares, strict=True):
                width = (share or 0.0) / most * _WIDTH if most else 0.0
                body.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>')
                y += _BAR
            percent = " → ".join("" if x is None else f"{100 * x:.1f} %" for x in (s.share_before, s.share_after))
            last = max(x or 0.0 for x in shares) / most * _WIDTH if most else 0.0
            body.append(f'<text x="{_LEFT + last + 8:.1f}" y="{y - 7}">{percent}</text>')
            y += _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 130}" height="{y + 10}" '
        'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>'
    )
    return "\n".join([head, *body, "</svg>\n"])


def writing_command(config: StageConfig, path: str, overrides: Sequence[str]) -> str:
    """The command that writes the mixture of the config in file `path`; over an output that is there already."""
    made = read_manifest(config.output.path)
    again = ["run.overwrite=true"] if made is not None and not config.run.overwrite else []
    sets = "".join(f" --set '{o}'" for o in [*overrides, *again])
    return f"spark-submit jobs/tokenization.py --config {path}{sets}"
