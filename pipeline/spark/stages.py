"""Run stages on Spark: the engine of a pass.

The console and the jobs only call `run_stage`. Whatever is killed at any point, the same call resumes it.
"""

from __future__ import annotations

import os
from typing import Any

from pyspark.sql import SparkSession

from pipeline.comparison import compare_in_process
from pipeline.config import StageConfig
from pipeline.executor import Task
from pipeline.inspection.costs import remember
from pipeline.inspection.estimate import estimate_lines
from pipeline.inspection.validate import step_problems
from pipeline.outputs import Lease, RunRecord, read_record
from pipeline.passes import Comparison, Marked, Pass, find_inputs, load_removal_lists, plan_pass
from pipeline.progress import Progress
from pipeline.spark import (  # noqa: F401 (they register Spark parts)
    exact_dedup,
    fuzzy_dedup,
    line_dedup,
    pii_domains,
    semantic_dedup,
    unsafe_sites,
)
from pipeline.spark.run import (
    CrossContext,
    compute_marks,
    local_cpu_seconds,
    publish_groups,
    run_units,
    write_marks,
)
from pipeline.spark.session import get_session
from pipeline.spark.shards import write_shards
from pipeline.strict import UserError
from pipeline.units import Done, Groups, Units


def run_stage(
    config: StageConfig, spark: SparkSession | None = None, progress: Progress | None = None
) -> RunRecord | None:
    """Run a stage to its end, or resume it, or add what is new.

    :returns: the run record, as stored in `_run.json`; None if `run.estimate_only` is set.
    :raises UserError: if the output was made by another config, is held by another run, or the input is not there.
    :raises StageFailed: if more than `max_error_fraction` of the rows failed, or rows in != kept + dropped.
    """
    progress = progress or Progress(config.stage)
    load_removal_lists(config.removal_lists)  # a mistake in a list is told now, not in a task
    problems = step_problems(config)
    if problems:
        raise UserError("; ".join(problems))
    inputs = find_inputs(config, progress)
    if config.run.estimate_only:
        for line in estimate_lines([config], os.cpu_count() or 1):
            progress.say(line)
        return None
    with Lease(config.output.path, config.run.lease_seconds) as lease:
        plan = plan_pass(config, inputs, progress)
        if plan is None:
            progress.say("nothing new: every input file is in the output already")
            return read_record(config.output.path)
        engine = SparkEngine(config, spark or get_session(config.stage, config.spark), progress)
        record = Pass(config, plan, engine, progress, lease).run()
    remember(config, record)
    return record


SHUFFLE_BYTES_A_TASK = 128_000_000


class SparkEngine:
    """The engine of a pass on Spark: `pipeline.passes.Engine`."""

    def __init__(self, config: StageConfig, spark: SparkSession, progress: Progress) -> None:
        self.config, self.spark, self.progress = config, spark, progress
        if spark.sparkContext.uiWebUrl:
            progress.say(f"Spark UI while it runs: {spark.sparkContext.uiWebUrl}")

    def run_units(self, task: Task, units: Units) -> Done:
        return run_units(self.spark, task, units, self.progress, self.config.spark.partitions)

    def publish(self, task: Task, groups: Groups, output: str) -> Done:
        return publish_groups(self.spark, task, groups, output, self.progress, self.config.spark.partitions)

    def cpu_seconds(self) -> float:
        return local_cpu_seconds(self.spark)

    def compare(self, comparison: Comparison) -> Marked:
        if comparison.rows_in <= self.config.run.rows_in_process and not comparison.state:
            marked = compare_in_process(comparison)
            if marked is not None:
                return marked
        cpu = local_cpu_seconds(self.spark)
        partitions = self.config.spark.partitions
        context = CrossContext(
            spark=self.spark,
            label=comparison.label,
            work=comparison.work,
            units=comparison.units,
            earlier_mark_folders=comparison.earlier_mark_folders,
            state=comparison.state,
            partitions=partitions,
        )
        # What the step shuffles by its measured constants, in tasks of a size that sorts in memory; at least one task a core.
        shuffled = comparison.step.cost(comparison.rows_in, comparison.characters).shuffle_bytes
        enough = max(self.spark.sparkContext.defaultParallelism, -(-shuffled // SHUFFLE_BYTES_A_TASK))
        self.spark.conf.set("spark.sql.shuffle.partitions", partitions or enough)
        frame, state = compute_marks(comparison.step, context)
        rows = write_marks(frame, comparison.folder, partitions) if frame is not None else None
        context.close()
        return Marked(rows, state, local_cpu_seconds(self.spark) - cpu, context.record)

    def write_shards(self, work: str, units: Units, record: dict[str, Any]) -> dict[str, Any]:
        return write_shards(self.spark, self.config, work, units, record)
