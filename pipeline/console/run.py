"""Commands that run stages, change outputs, or ask before a run."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import pipeline
from pipeline.console.options import ConfigFile, Sets, console, print_lines
from pipeline.stage import STAGES
from pipeline.strict import UserError, no_such

if TYPE_CHECKING:
    from pipeline.config import StageConfig

ROOT = Path(pipeline.__file__).parent


def config_path(folder: Path | None, profile: str | None, stage: str) -> Path:
    """Find the YAML of a stage: that of the profile if it has one.

    :raises UserError: if there is none, or no such profile.
    """
    from pipeline.config import shipped_configs

    here = folder or (Path("configs") if Path("configs").is_dir() else shipped_configs())
    if profile is not None and not (here / profile).is_dir():
        raise no_such(f"profile, in {here}", profile, sorted(p.name for p in here.iterdir() if p.is_dir()))
    candidates = [here / profile / f"{stage}.yaml"] if profile else []
    for candidate in [*candidates, here / f"{stage}.yaml"]:
        if candidate.is_file():
            return candidate
    raise UserError(f"no {stage}.yaml in {here}")


def run(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT]...", help="crawl files, folders, globs, lists or URLs; default: those of the config"
        ),
    ] = None,
    output: Annotated[str, typer.Option("--out", help="folder for the outputs of all stages")] = "out/run",
    profile: Annotated[str | None, typer.Option(help="configs that replace the usual ones: report, demo")] = None,
    configs: Annotated[
        Path | None, typer.Option(help="folder of configs (default: ./configs, else the shipped ones)")
    ] = None,
    first: Annotated[str, typer.Option("--from", help="first stage")] = "preparation",
    last: Annotated[str, typer.Option("--to", help="last stage")] = "tokenization",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STAGE.KEY=VALUE", help="override a key of one stage's config; values are YAML"),
    ] = None,
) -> None:
    """Run the stages in order on this machine: resumes what was interrupted, adds input files that are new.

    Examples:

        corpusmill run crawl/ more.warc.gz --out out/mine

        corpusmill run --out out/mine --from rule_based --set rule_based.steps.word_count.min.en=30
    """
    from pipeline import storage
    from pipeline.config import load

    for stage in (first, last):
        if stage not in STAGES:
            raise no_such("stage", stage, STAGES, "the stages are")
    names = list(STAGES)
    chosen = names[names.index(first) : names.index(last) + 1]
    if not chosen:
        raise UserError(f"--from {first} comes after --to {last}; the order is: {', '.join(STAGES)}")
    if inputs and not STAGES[first].reads_crawl:
        raise UserError(f"--from {first} reads what the stage before wrote in {output!r}: leave {inputs[0]!r} out")
    overrides: dict[str, list[str]] = {stage: [] for stage in chosen}
    for one in sets or []:
        stage, _, override = one.partition(".")
        if stage not in overrides:
            raise UserError(f"--set {one!r}: expected STAGE.key=value with a stage of this run: {', '.join(chosen)}")
        overrides[stage].append(override)
    loaded = []
    for stage in chosen:
        before = STAGES[stage].before
        paths = list(inputs or []) if before is None else [storage.join(output, before)]
        places = [f"input.paths={json.dumps(paths)}"] if paths else []
        places.append(f"output.path={json.dumps(storage.join(output, stage))}")
        loaded.append(load(config_path(configs, profile, stage), [*places, *overrides[stage]], stage))
    for config in loaded:  # before anything is published, not when its turn comes
        _check_same(config)
    prepare_spark()
    for config in loaded:
        code = run_and_tell(config)
        if code:
            raise typer.Exit(code)
    from pipeline.inspection.report.page import write_report

    console.print(f"\nreport: {write_report(output)}", soft_wrap=True)


def _check_same(config: StageConfig) -> None:
    """:raises UserError: if the stage's output is there already, made by another configuration, and may not be made again."""
    from pipeline.outputs import difference, read_manifest

    manifest = read_manifest(config.output.path)
    if manifest is None or config.run.overwrite:
        return
    changes = difference(manifest.fingerprint, json.loads(json.dumps(config.fingerprint())))
    if changes:
        shown = "".join(f"\n  {change}" for change in changes[:8])
        more = f"\n  and {len(changes) - 8} more" if len(changes) > 8 else ""
        raise UserError(
            f"{config.output.path!r} was made by another configuration; nothing was run.{shown}{more}\n"
            f"To make it again: --set {config.stage}.run.overwrite=true; to keep it: another --out; "
            "a demo's: --profile demo"
        )


def prepare_spark() -> None:
    """Set up a quiet Spark, and the Java of the checkout where the machine has none. Under spark-submit both are there."""
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return
    java = ROOT.parent / ".java"
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None and (java / "bin" / "java").exists():
        os.environ["JAVA_HOME"] = str(java)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    log = ROOT / "spark" / "log4j2.properties"
    os.environ.setdefault(
        "PYSPARK_SUBMIT_ARGS",
        f"--driver-java-options -Dlog4j2.configurationFile={log} --driver-memory 4g pyspark-shell",
    )


def stage_job(stage: str) -> Callable[[Path, list[str] | None], None]:
    """Make the command of jobs/<stage>.py: one stage, on the Spark that spark-submit started."""

    def job(config: ConfigFile, sets: Sets = None) -> None:
        import yaml

        from pipeline.config import load, shown

        loaded = load(config, sets or [], stage)
        print(yaml.safe_dump(shown(loaded), allow_unicode=True, sort_keys=False), file=sys.stderr)
        raise typer.Exit(run_and_tell(loaded))

    job.__doc__ = f"""Run the {stage} stage: resumes what was interrupted, and adds input files that are new.

    Example: `spark-submit jobs/{stage}.py --config configs/{stage}.yaml --set output.path=out/mine`
    """
    return job


def run_and_tell(config: StageConfig) -> int:
    """Run a stage, print its funnel, write its report, say what went wrong.

    :returns: the exit code: 0 done, 1 failed (the same command resumes), 2 a mistake of the user's.
    """
    from pipeline.inspection.funnel import print_funnel
    from pipeline.outputs import LeaseLost
    from pipeline.passes import StageFailed
    from pipeline.spark.stages import run_stage

    try:
        record = run_stage(config)
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except (StageFailed, LeaseLost) as e:
        print(f"failed: {e}", file=sys.stderr)
        return 1
    except Exception as e:
        traceback.print_exc()
        told = [f"failed: {_cause(e)}", *_full_disks(config, str(e))]
        print("\n".join([*told, "Nothing was published; the same command resumes where it stopped."]), file=sys.stderr)
        return 1
    if record is not None:
        print_funnel([record])
        if config.run.report:
            _write_report(config.output.path)
    return 0


def _write_report(output: str) -> None:
    """Write the page and the card. The output is published already, so a failure here is said and changes nothing."""
    from pipeline.inspection.report.page import write_report

    try:
        print(f"report: {write_report(output)}", file=sys.stderr)
    except Exception as e:
        print(f"report: not written: {_cause(e)} (corpusmill report {output})", file=sys.stderr)


def _full_disks(config: StageConfig, error: str) -> list[str]:
    """Name the folders of a stage whose disk is full, if that is what an error is about."""
    if os.strerror(errno.ENOSPC) not in error:
        return []
    spark = config.spark.conf.get("spark.local.dir") or os.environ.get("SPARK_LOCAL_DIRS") or tempfile.gettempdir()
    places = {"output": config.output.path, **{f"Spark's folder {i}": p for i, p in enumerate(spark.split(","), 1)}}
    lines = []
    for name, path in places.items():
        here = Path(path.removeprefix("file://")).absolute()
        here = next((p for p in (here, *here.parents) if p.exists()), Path("/"))
        usage = shutil.disk_usage(here)
        full = " <- full" if usage.free < max(100e6, 0.01 * usage.total) else ""
        lines.append(f"  {name} {path}: {usage.free / 1e9:,.1f} of {usage.total / 1e9:,.1f} GB free on its disk{full}")
    return [
        *lines,
        "  (disks of this machine; on a cluster look at the executors' too. spark.conf: spark.local.dir moves Spark's folder)",
    ]


def _cause(error: Exception) -> str:
    """Find the line of a Spark error that says what happened in the Python worker."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if "Error" in line and not line.startswith(("at ", "org.", "File "))]
    return (causes or lines or [type(error).__name__])[-1]


def remove(
    outputs: Annotated[list[str], typer.Argument(help="outputs of stages")],
    lists: Annotated[list[str], typer.Option("--list", metavar="FILE", help="URLs, domains, doc_ids (repeatable)")],
) -> None:
    """Take pages out of finished outputs and shards, and write their reports again.

    A list has one entry a line: `url:...`, `domain:...`, `doc_id:...`, or the same without prefix; `#` is a comment.

    Example: `corpusmill remove out/demo/preparation out/demo/tokenization --list takedowns.txt`
    """
    prepare_spark()
    from pipeline.spark.removal import remove_from_outputs

    print_lines(remove_from_outputs(outputs, lists))


def estimate(
    configs: Annotated[
        list[Path], typer.Argument(metavar="CONFIG...", help="YAML of one stage, or of several in order")
    ],
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="override a key of the first config; values are YAML"),
    ] = None,
    cores: Annotated[int, typer.Option(help="cores of the cluster")] = os.cpu_count() or 1,
    pages: Annotated[int | None, typer.Option(help="pages that the first stage gets, whatever its input is")] = None,
) -> None:
    """Estimate what stages need, before they start: core hours, shuffle, disk, step by step.

    Times are those of earlier runs on this machine, where there are any. A stage whose input is not there yet gets what the one
    before it is likely to keep.

    Examples:

        corpusmill estimate configs/rule_based.yaml --cores 64

        corpusmill estimate configs/{preparation,rule_based,model_based,tokenization}.yaml --pages 3000000000 --cores 1000
    """
    from pipeline.config import load
    from pipeline.inspection.estimate import estimate_lines

    loaded = [load(config, (sets or []) if i == 0 else []) for i, config in enumerate(configs)]
    print_lines(estimate_lines(loaded, cores, pages))


def validate(
    path: Annotated[str, typer.Argument(help="a config (YAML), a stage's output, or a folder of outputs")],
    sets: Sets = None,
) -> None:
    """Is it as it should be? A config: keys, values, files. An output: files, SHA-256, schema, counts of rows and of
    input bytes.

    Examples:

        corpusmill validate configs/rule_based.yaml

        corpusmill validate out/demo
    """
    from pipeline.inspection.status import statuses
    from pipeline.inspection.validate import validate_config, validate_output
    from pipeline.outputs import read_run_records

    problems: list[str] = []
    if path.endswith((".yaml", ".yml")):
        problems = validate_config(path, sets or [])
        checked = f"config {path}"
    else:
        files: list[str] = []
        for output, record in read_run_records(path).items():
            if record.byte_count is not None:
                console.print(f"{output}: {record.byte_count.line()}", soft_wrap=True)
            problems += [f"{output}: {p}" for p in validate_output(output, files.append)]
        problems += [f"{s.output}: {s.state}; {s.message}" for s in statuses(path) if s.state in ("stopped", "running")]
        checked = f"{len(files):,} files of {path}"
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)
    if problems:
        raise typer.Exit(1)
    console.print(f"{checked}: as it should be", soft_wrap=True)
