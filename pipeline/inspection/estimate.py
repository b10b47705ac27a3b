"""Estimate what stages need, before they start: every step, the comparisons' shuffles, and what is in no step.

Times a row come from what was run on this machine (`pipeline.inspection.costs`), else from shipped figures; those of comparisons
over Spark, which do not grow by rows alone, from the steps' own constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config import StageConfig
from pipeline.inspection.costs import LEAST_ROWS, StageCosts, known_costs, step_costs
from pipeline.outputs import has_record, read_record
from pipeline.readers.inputs import fingerprint, list_inputs
from pipeline.steps import Cost, CrossDocumentStep
from pipeline.strict import UserError

SPARK_JOBS_SECONDS = 12.0
"""CPU seconds of a comparison's Spark jobs themselves, whatever there is to compare (benchmarks/growth.py)."""
BYTES_A_CHARACTER = 1.0
"""Upper bound of a stored row: 300 million characters are 100-300 MB (`output.file_characters`)."""


@dataclass(frozen=True)
class Size:
    """Documents and characters that a stage gets, and how that is known."""

    documents: int
    characters: int
    source: str


@dataclass(frozen=True)
class Line:
    """A line of the estimate."""

    stage: str
    what: str
    rows: int
    cost: Cost
    source: str


def input_size(config: StageConfig) -> Size:
    """What a stage's input holds: counted in the run record of the stage before; of crawl files, guessed from their bytes.

    :raises UserError: if an input is not finished.
    """
    if config.kind.reads_crawl:
        size = sum(int(fingerprint(p)["size"]) for p in list_inputs(config.input.paths, config.input.list_prefix))
        costs = known_costs().get(config.stage)
        if costs is None or not costs.input_bytes:
            raise UserError("nothing is known of how many pages so many bytes hold: say --pages")
        pages = round(size * costs.rows / costs.input_bytes)
        return Size(pages, 0, f"guessed from {_size(size)} of crawl files")
    documents = characters = 0
    for path in config.input.paths:
        record = read_record(path)
        documents += record.kept
        characters += sum(
            [count.characters_out for count in one.steps.values()][-1] for one in record.passes if one.steps
        )
    return Size(documents, characters, "counted")


def stage_lines(config: StageConfig, size: Size, costs: StageCosts | None) -> tuple[list[Line], Size]:
    """The lines of a stage, and what it is likely to keep."""
    rows, characters = size.documents, size.characters
    lines: list[Line] = []
    factor = size.documents / costs.rows if costs is not None and costs.rows else 0.0
    read = costs.steps.get("read") if costs is not None else None
    if config.kind.reads_crawl and read is not None:
        lines.append(Line(config.stage, "(read)", rows, Cost(read.cpu_seconds * factor, 0, 0), read.source))
        rows = round(rows * read.kept)
    for label, step in zip(config.labels(), config.steps, strict=True):
        if step.idle:
            continue
        known = step_costs(costs, step) if costs is not None else None
        measured = known is not None and known.rows >= LEAST_ROWS
        if isinstance(step, CrossDocumentStep):
            cost, source = _comparison(config, step, rows, characters)
        elif known is not None and measured:
            cost, source = Cost(known.cpu_seconds / known.rows * rows, 0, 0), known.source
        else:
            cost, source = Cost(0.0, 0, 0), "unknown"
        lines.append(Line(config.stage, label, rows, cost, source))
        if known is not None and known.rows:
            if known.characters_in == 0 and known.characters_out:  # the step that makes the text
                characters = round(known.characters_out / known.rows * rows)
            elif known.characters_in:
                characters = round(characters * known.characters_out / known.characters_in)
            rows = round(rows * known.kept)
    if costs is not None:
        copies = max(1, len(config.rounds()))
        disk = round((copies + 1) * max(characters, size.characters) * BYTES_A_CHARACTER)
        for what, seconds, stored in (
            ("(rows between steps)", costs.between_steps * factor, disk),
            ("(publish)", costs.publish * factor, 0),
            ("(shards)", costs.shards * factor, 0),
            ("(Spark, workers)", costs.fixed, 0),
        ):
            if seconds or stored:
                lines.append(Line(config.stage, what, size.documents, Cost(seconds, 0, stored), costs.source))
    return lines, Size(rows, characters, "estimated")


def _comparison(config: StageConfig, step: CrossDocumentStep, rows: int, characters: int) -> tuple[Cost, str]:
    cost = step.cost(rows, characters)
    if rows <= config.run.rows_in_process:
        return Cost(cost.cpu_seconds, 0, cost.disk_bytes), "its constants, in one process"
    return Cost(cost.cpu_seconds + SPARK_JOBS_SECONDS, cost.shuffle_bytes, cost.disk_bytes), "its constants"


def estimate(configs: Sequence[StageConfig], pages: int | None = None) -> list[Line]:
    """Lines of stages that follow one another: where a stage's input is not there, it gets what the one before is likely to keep.

    :param pages: documents that the first stage gets, if its input is not to be asked.
    :raises UserError: if the size of an input cannot be known.
    """
    known = known_costs()
    lines: list[Line] = []
    kept: Size | None = None
    for config in configs:
        there = config.kind.reads_crawl or all(has_record(p) for p in config.input.paths)
        if kept is None and pages is not None:
            size = Size(pages, 7_000 * pages if not config.kind.reads_crawl else 0, "given")
        elif kept is not None and not there:
            size = kept
        else:
            size = input_size(config)
        of_stage, kept = stage_lines(config, size, known.get(config.stage))
        lines += of_stage
    return lines


def estimate_lines(configs: Sequence[StageConfig], cores: int, pages: int | None = None) -> list[str]:
    """The estimate as a table, and what it means for so many cores."""
    lines = estimate(configs, pages)
    head = ("stage / step", "rows", "core hours", f"on {cores} cores", "shuffle", "disk", "from")
    table: list[tuple[str, ...]] = []
    for stage in dict.fromkeys(line.stage for line in lines):
        of_stage = [line for line in lines if line.stage == stage]
        table.append((stage, f"{of_stage[0].rows:,}", *_cells([line.cost for line in of_stage], cores), ""))
        table += [(f"  {x.what}", f"{x.rows:,}", *_cells([x.cost], cores), x.source) for x in of_stage]
    table.append(("all", "", *_cells([line.cost for line in lines], cores), ""))
    widths = [max(len(row[i]) for row in [head, *table]) for i in range(len(head))]
    out = []
    for row in [head, *table]:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1], strict=True)), row[-1]]
        out.append("  ".join(cells).rstrip())
    unknown = [f"{line.stage}.{line.what}" for line in lines if line.source == "unknown"]
    if unknown:
        out.append(f"not in it, since they were never run on this machine: {', '.join(unknown)}")
    out.append("memory: 4 GB for the driver and 3.5 GB a core, whatever the number of documents (docs/cluster.md)")
    return out


def _cells(costs: Sequence[Cost], cores: int) -> tuple[str, str, str, str]:
    seconds = sum(c.cpu_seconds for c in costs)
    shuffle, disk = sum(c.shuffle_bytes for c in costs), sum(c.disk_bytes for c in costs)
    hours = f"{seconds / 3600:,.2f}" if seconds >= 360 else f"{seconds / 3600:,.4f}"
    return hours, _time(seconds / cores), _size(shuffle) if shuffle else "", _size(disk) if disk else ""


def _size(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 1000 or unit == "TB":
            return f"{n:,.1f} {unit}" if unit != "B" else f"{n:,.0f} B"
        n /= 1000
    raise AssertionError


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
