"""The console tool: every question about a run, and the run itself on one machine. On a cluster: spark-submit jobs/<stage>.py."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

import pipeline
from pipeline import storage
from pipeline.config import StageConfig, load, parse
from pipeline.inspection.funnel import print_funnel, read_records
from pipeline.outputs import difference, read_manifest
from pipeline.stage import STAGES
from pipeline.strict import UserError

app = typer.Typer(
    name="corpusmill",
    help="Crawled pages (WARC) to clean, deduplicated, balanced, tokenized shards - and what happened to every page on the way.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
out = Console(highlight=False)
ROOT = Path(pipeline.__file__).parent

Output = Annotated[str, typer.Argument(help="a stage's output, or a folder with the outputs of several stages")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="override a key of the config; values are YAML (repeatable)"),
]


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        print(pipeline.__version__)
        raise typer.Exit


def config_path(folder: Path | None, profile: str | None, stage: str) -> Path:
    """The YAML of a stage: that of the profile if it has one.

    :raises UserError: if there is none, or no such profile.
    """
    # Those of the place, those in the package, those of the checkout that an editable installation points to.
    here = folder or next(f for f in (Path("configs"), ROOT / "configs", ROOT.parent / "configs") if f.is_dir())
    if profile is not None and not (here / profile).is_dir():
        known = sorted(p.name for p in here.iterdir() if p.is_dir())
        raise UserError(f"no profile {profile!r} in {here}; there are: {', '.join(known) or 'none'}")
    candidates = [here / profile / f"{stage}.yaml"] if profile else []
    for candidate in [*candidates, here / f"{stage}.yaml"]:
        if candidate.is_file():
            return candidate
    raise UserError(f"no {stage}.yaml in {here}")


@app.command()
def run(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT]...", help="crawl files, folders, globs, lists or URLs; default: those of the config"
        ),
    ] = None,
    output: Annotated[str, typer.Option("--out", help="folder for the outputs of all stages")] = "out/run",
    profile: Annotated[
        str | None, typer.Option(help="a folder of configs that replace the usual ones: report, demo")
    ] = None,
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
    for stage in (first, last):
        if stage not in STAGES:
            raise UserError(f"no stage {stage!r}; the stages are: {', '.join(STAGES)}")
    names = list(STAGES)
    chosen = names[names.index(first) : names.index(last) + 1]
    if not chosen:
        raise UserError(f"--from {first} comes after --to {last}; the order is: {', '.join(STAGES)}")
    if inputs and not STAGES[first].reads_crawl:
        raise UserError(f"--from {first} reads what the stage before wrote in {output!r}: leave {inputs[0]!r} out")
    overrides: dict[str, list[str]] = {stage: [] for stage in chosen}
    for one in sets or []:
        stage, _, rest = one.partition(".")
        if stage not in overrides:
            raise UserError(f"--set {one!r}: expected STAGE.key=value with a stage of this run: {', '.join(chosen)}")
        overrides[stage].append(rest)
    loaded = []
    for stage in chosen:
        before = STAGES[stage].before
        paths = list(inputs or []) if before is None else [storage.join(output, before)]
        own = [f"input.paths={json.dumps(paths)}"] if paths else []
        own.append(f"output.path={json.dumps(storage.join(output, stage))}")
        loaded.append(load(config_path(configs, profile, stage), [*own, *overrides[stage]], stage))
    for config in loaded:  # before anything is published, not when its turn comes
        _check_same(config)
    _prepare_spark()
    from pipeline.inspection.report.page import write_report
    from pipeline.spark.stages import run_and_tell  # Spark is imported by what needs it alone

    for config in loaded:
        code = run_and_tell(config)
        if code:
            raise typer.Exit(code)
    out.print(f"\nreport: {write_report(output)}", soft_wrap=True)


def _check_same(one: StageConfig) -> None:
    """:raises UserError: if the stage's output is there already, made by another configuration, and may not be made again."""
    manifest = read_manifest(one.output.path)
    if manifest is None or one.run.overwrite:
        return
    changes = difference(manifest.fingerprint, json.loads(json.dumps(one.fingerprint())))
    if changes:
        shown = "".join(f"\n  {change}" for change in changes[:8])
        more = f"\n  and {len(changes) - 8} more" if len(changes) > 8 else ""
        raise UserError(
            f"{one.output.path!r} was made by another configuration; nothing was run.{shown}{more}\n"
            f"To make it again: --set {one.stage}.run.overwrite=true; to keep it: another --out; a demo's: --profile demo"
        )


def _prepare_spark() -> None:
    """A quiet Spark, and the Java of the checkout where the machine has none."""
    java = ROOT.parent / ".java"
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None and (java / "bin" / "java").exists():
        os.environ["JAVA_HOME"] = str(java)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    log = ROOT / "spark" / "log4j2.properties"
    os.environ.setdefault(
        "PYSPARK_SUBMIT_ARGS",
        f"--driver-java-options -Dlog4j2.configurationFile={log} --driver-memory 4g pyspark-shell",
    )


@app.command()
def status(path: Output) -> None:
    """Where the stages are: finished, running, or stopped on the way.

    Example: `corpusmill status out/demo`
    """
    from pipeline.inspection.status import statuses

    table = Table("stage", "state", "pages in", "kept", "generations", "finished (UTC)", box=None, header_style="bold")
    for column in table.columns:
        column.no_wrap = True
    colours = {"finished": "green", "stale": "red", "running": "cyan", "stopped": "yellow", "not begun": "dim"}
    found = statuses(path)
    for s in found:
        numbers = [f"{s.rows_in:,}", f"{s.kept:,}", str(s.generations)] if s.generations else ["", "", ""]
        table.add_row(s.stage, Text(s.state, style=colours[s.state]), *numbers, s.finished[:16].replace("T", " "))
    out.print(table)
    for s in found:
        if s.told:
            out.print(f"{s.stage}: {s.told}", markup=False, soft_wrap=True)


@app.command()
def funnel(path: Output) -> None:
    """What happened to every page, step by step, in a table.

    Example: `corpusmill funnel out/demo`
    """
    print_funnel(read_records(path))


@app.command()
def explain(
    target: Annotated[str, typer.Argument(help="an output, a folder of outputs, or a saved HTML page")],
    page: Annotated[str | None, typer.Argument(help="of an output: URL or doc_id")] = None,
    config: Annotated[Path | None, typer.Option(help="of a saved page: the stage's YAML")] = None,
    url: Annotated[str | None, typer.Option(help="of a saved page: the address to take it for")] = None,
    text: Annotated[bool, typer.Option("--text", help="print the text too")] = False,
) -> None:
    """Why was this page kept or dropped? Replays the steps on it, from the crawl file.

    Examples:

        corpusmill explain out/demo http://example.com/

        corpusmill explain page.html --config configs/preparation.yaml --text
    """
    from pipeline.inspection import explain as module

    arguments = [target, *([page] if page else [])]
    for name, value in (("--config", config), ("--url", url)):
        arguments += [name, str(value)] if value is not None else []
    raise typer.Exit(module.main([*arguments, *(["--text"] if text else [])]))


@app.command()
def sample(
    path: Output,
    stage: Annotated[str | None, typer.Option(help="of this stage alone")] = None,
    step: Annotated[str | None, typer.Option(help="dropped by this step")] = None,
    reason: Annotated[str | None, typer.Option(help="dropped for this reason")] = None,
    kept: Annotated[bool | None, typer.Option("--kept/--dropped", help="kept or dropped pages alone")] = None,
    language: Annotated[str | None, typer.Option(help="of this language")] = None,
    domain: Annotated[str | None, typer.Option(help="of this domain")] = None,
    category: Annotated[str | None, typer.Option(help="of this category")] = None,
    n: Annotated[int, typer.Option("-n", help="pages of each reason")] = 3,
    seed: Annotated[int, typer.Option(help="draws the pages")] = 0,
) -> None:
    """Read some pages, kept or dropped, with the lines that were cut struck through in their places.

    Examples:

        corpusmill sample out/demo --step short_lines

        corpusmill sample out/demo/model_based --kept --language zh -n 2
    """
    from pipeline.inspection.report.data import Gap, sampled_rows
    from pipeline.inspection.report.page import stage_outputs

    found = 0
    where = {"language": language, "domain": domain, "category": category, "drop_step": step, "drop_reason": reason}
    chosen = {k: v for k, v in where.items() if v is not None}
    for output in stage_outputs(path):
        for s in sampled_rows(output, chosen, kept, n, seed):
            if stage is not None and s.stage != stage:
                break
            found += 1
            verdict = "[green]kept[/]" if s.kept else f"[red]dropped[/] {escape(f'{s.step}: {s.reason}')}"
            out.rule(f"{s.stage} {verdict}", align="left")
            value = f" · {s.value}" if s.value else ""
            facts = [s.language, s.category, *(f"{name} {score:.2f}" for name, score in s.scores)]
            out.print(
                Text(
                    f"{s.title or ''}\n{s.url or ''}\n{s.doc_id} {' · '.join(f for f in facts if f)}{value}",
                    style="bold",
                )
            )
            for line in s.shown:
                if isinstance(line, Gap):
                    out.print(Text(f"⋯ {line.lines:,} lines", style="dim"))
                else:
                    score = "     " if line.score is None else f"{line.score:.2f} "
                    told = Text(score, style="dim").append(line.text, style="strike red" if line.cut_by else "")
                    out.print(told.append(f"  [{line.cut_by}]" if line.cut_by else "", style="dim"), soft_wrap=True)
    if not found:
        raise UserError(f"no such page in {path!r}; {_reasons(path)}")


def _reasons(path: str) -> str:
    from pipeline.inspection.funnel import total_steps

    found = {
        f"{label}: {reason}"
        for r in read_records(path)
        for label, c in total_steps(r).items()
        for reason in c["dropped"]
    }
    return f"there were dropped pages of {'; '.join(sorted(found))}" if found else "no page was dropped"


@app.command()
def whatif(
    output: Annotated[str, typer.Argument(help="a stage's output, made with output.audit=true")],
    sets: Sets = None,
    curve: Annotated[
        str | None, typer.Option(metavar="RULE", help="shares of documents at a grid of thresholds")
    ] = None,
    examples: Annotated[int, typer.Option(help="examples of each kind")] = 3,
) -> None:
    """What would another threshold keep and drop? No page is scored again.

    Examples:

        corpusmill whatif out/demo/rule_based --set steps.word_count.min.en=200

        corpusmill whatif out/demo/rule_based --curve word_count
    """
    from pipeline.inspection import whatif as module

    arguments = [output, *(a for s in sets or [] for a in ("--set", s)), "--examples", str(examples)]
    raise typer.Exit(module.main([*arguments, *(["--rule", curve, "--curve"] if curve else [])]))


@app.command()
def balance(
    output: Annotated[str | None, typer.Argument(help="count this output; default: what the config names")] = None,
    config: Annotated[Path | None, typer.Option(help="the tokenization stage's YAML (default: the usual one)")] = None,
    sets: Sets = None,
    picture: Annotated[Path | None, typer.Option(help="draw the shares to this SVG")] = None,
) -> None:
    """What would the mixture be? Shares before, wished for and after; nothing is written.

    Example: `corpusmill balance out/demo/tokenization --set steps.shards.mixture.weights.balance.news=0.5`
    """
    from pipeline.inspection import balance as module

    arguments = ["--dry-run", "--config", str(config or config_path(None, None, "tokenization"))]
    arguments += [a for s in sets or [] for a in ("--set", s)] + (["--picture", str(picture)] if picture else [])
    raise typer.Exit(module.main([*([output] if output else []), *arguments]))


@app.command()
def report(
    path: Output,
    seed: Annotated[int, typer.Option(help="draws the samples")] = 0,
    samples: Annotated[int, typer.Option(help="kept pages, and dropped ones of each reason")] = 10,
) -> None:
    """Write report.html: one page that shows what was kept, dropped and cut, and why.

    Example: `corpusmill report out/demo`
    """
    from pipeline.inspection.report.page import write_report

    out.print(write_report(path, seed, samples), soft_wrap=True)


@app.command()
def estimate(
    config: Annotated[Path, typer.Argument(help="a stage's YAML")],
    sets: Sets = None,
    cores: Annotated[int, typer.Option(help="cores of the cluster")] = os.cpu_count() or 1,
) -> None:
    """What will the comparisons of documents need: core hours, shuffle and disk, before they start.

    Example: `corpusmill estimate configs/rule_based.yaml --cores 64`
    """
    from pipeline.inspection.estimate import estimate_lines

    print("\n".join(estimate_lines(load(config, sets or []), cores)))


@app.command()
def validate(
    path: Annotated[str, typer.Argument(help="a config (YAML), a stage's output, or a folder of outputs")],
    sets: Sets = None,
) -> None:
    """Is it as it should be? A config: keys, values, files. An output: files, SHA-256, schema, counts.

    Examples:

        corpusmill validate configs/rule_based.yaml

        corpusmill validate out/demo
    """
    from pipeline.inspection.report.page import stage_outputs
    from pipeline.inspection.status import statuses
    from pipeline.inspection.validate import validate_config, validate_output

    problems: list[str] = []
    if path.endswith((".yaml", ".yml")):
        problems = validate_config(path, sets or [])
        checked = f"config {path}"
    else:
        files = 0

        def count(_: str) -> None:
            nonlocal files
            files += 1

        for output in stage_outputs(path):
            problems += [f"{output}: {p}" for p in validate_output(output, count)]
        problems += [f"{s.output}: {s.state}; {s.told}" for s in statuses(path) if s.state in ("stopped", "running")]
        checked = f"{files:,} files of {path}"
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)
    if problems:
        raise typer.Exit(1)
    out.print(f"{checked}: as it should be", soft_wrap=True)


@app.command()
def config(path: Output, stage: Annotated[str | None, typer.Option(help="of this stage alone")] = None) -> None:
    """Print the configuration that an output was made with, as YAML that a job takes.

    Example: `corpusmill config out/demo --stage rule_based > mine.yaml`
    """
    for record in read_records(path):
        if stage is None or record["stage"] == stage:
            print(yaml.safe_dump(_shown(record), allow_unicode=True, sort_keys=False))


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    from pipeline.config import shown

    return shown(parse(record["config"], origin="stored config"))


def main() -> None:
    """Entry point: a mistake of the user's is one line and exit code 2."""
    try:
        app()
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
