"""Commands that look at outputs. None needs Spark, and none changes an output but `report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipeline.console.options import (
    Json,
    Output,
    Outputs,
    Seed,
    Sets,
    StageName,
    console,
    mistakes_in_files,
    number,
    print_data,
    print_lines,
)
from pipeline.console.run import config_path, prepare_spark
from pipeline.strict import UserError, no_such

if TYPE_CHECKING:
    from pipeline.outputs import RunRecord

COLOURS = {"finished": "green", "stale": "red", "running": "cyan", "stopped": "yellow", "not begun": "dim"}


def status(path: Outputs) -> None:
    """Show the stages: finished, running, or stopped on the way.

    Example: `corpusmill status out/demo`
    """
    from pipeline.inspection.status import statuses

    table = Table("stage", "state", "pages in", "kept", "generations", "finished (UTC)", box=None, header_style="bold")
    for column in table.columns:
        column.no_wrap = True
    stages = statuses(path)
    for s in stages:
        numbers = [f"{s.rows_in:,}", f"{s.kept:,}", str(s.generations)] if s.generations else ["", "", ""]
        table.add_row(s.stage, Text(s.state, style=COLOURS[s.state]), *numbers, s.finished[:16].replace("T", " "))
    console.print(table)
    for s in stages:
        if s.message:
            console.print(f"{s.stage}: {s.message}", markup=False, soft_wrap=True)


def funnel(path: Outputs) -> None:
    """Tabulate, step by step, what happened to every page.

    Example: `corpusmill funnel out/demo`
    """
    from pipeline.inspection.funnel import print_funnel
    from pipeline.outputs import read_run_records

    print_funnel(list(read_run_records(path).values()))


def explain(
    target: Annotated[str, typer.Argument(help="an output, a folder of outputs, or a saved HTML page")],
    page: Annotated[str | None, typer.Argument(help="of an output: URL or doc_id")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="of a saved page: the stage's YAML")] = None,
    sets: Sets = None,
    url: Annotated[str | None, typer.Option(help="of a saved page: the address to take it for")] = None,
    everything: Annotated[bool, typer.Option("--all", help="every step, every rule with its value and bound")] = False,
    text: Annotated[bool, typer.Option("--text", help="print the text too, with the tag of each line")] = False,
) -> None:
    """Explain why a page was kept or dropped: replay the steps on it, from the crawl file.

    Examples:

        corpusmill explain out/demo http://example.com/

        corpusmill explain page.html --config configs/preparation.yaml --text
    """
    from pipeline.config import load
    from pipeline.inspection.explain import explain_file, explain_output, text_lines

    if page is not None:
        explanation = explain_output(target, page)
    elif Path(target).is_dir():
        raise UserError(f"{target!r} is a folder: say which page of it, by URL or doc_id")
    elif config is None:
        raise UserError("--config is needed to explain a file, for example --config configs/preparation.yaml")
    else:
        explanation = explain_file(target, load(config, sets or []), url)
    print_lines(explanation.lines(everything))
    if text and explanation.document.text is not None:
        print_lines(text_lines(explanation.document))


def sample(
    path: Outputs,
    stage: StageName = None,
    step: Annotated[str | None, typer.Option("--step", help="dropped by this step")] = None,
    reason: Annotated[str | None, typer.Option(help="dropped for this reason")] = None,
    kept: Annotated[bool | None, typer.Option("--kept/--dropped", help="kept or dropped pages alone")] = None,
    language: Annotated[str | None, typer.Option(help="of this language")] = None,
    domain: Annotated[str | None, typer.Option(help="of this domain")] = None,
    category: Annotated[str | None, typer.Option(help="of this category")] = None,
    n: Annotated[int, number("pages of each reason")] = 3,
    seed: Seed = 0,
) -> None:
    """Read some pages, kept or dropped, with the lines that were cut struck through in their places.

    Examples:

        corpusmill sample out/demo --step short_lines

        corpusmill sample out/demo/model_based --kept --language zh -n 2
    """
    from pipeline.inspection.report.data import Gap, no_such_pages, sampled_rows
    from pipeline.outputs import read_run_records

    filters = {"language": language, "domain": domain, "category": category, "drop_step": step, "drop_reason": reason}
    where = {column: value for column, value in filters.items() if value is not None}
    samples = []
    for output in _of_stage(read_run_records(path), stage):
        samples += sampled_rows(output, where, kept, n, seed)
    if not samples:
        raise no_such_pages(path, where, kept)
    for s in samples:
        verdict = "[green]kept[/]" if s.kept else f"[red]dropped[/] {escape(f'{s.step}: {s.reason}')}"
        console.rule(f"{s.stage} {verdict}", align="left")
        facts = [s.language, s.category, *(f"{name} {score:.2f}" for name, score in s.scores), s.value]
        origin = f"{s.doc_id} {' · '.join(fact for fact in facts if fact)}"
        console.print(Text(f"{s.title or ''}\n{s.url or ''}\n{origin}", style="bold"))
        for line in s.shown:
            if isinstance(line, Gap):
                console.print(Text(f"⋯ {line.lines:,} lines", style="dim"))
            else:
                score = "     " if line.score is None else f"{line.score:.2f} "
                shown = Text(score, style="dim").append(line.text, style="strike red" if line.cut_by else "")
                console.print(shown.append(f"  [{line.cut_by}]" if line.cut_by else "", style="dim"), soft_wrap=True)


def rules(
    output: Output,
    step: Annotated[str | None, typer.Option("--step", help="this step alone")] = None,
    n: Annotated[int, number("examples of each step")] = 2,
    markdown: Annotated[bool, typer.Option("--markdown", help="tables in Markdown")] = False,
) -> None:
    """List each step's drops, cuts and finds: thresholds, source, counts, examples.

    Examples:

        corpusmill rules out/demo/rule_based

        corpusmill rules out/demo/rule_based --step link_share -n 10
    """
    from pipeline.inspection import rules as module

    reports = module.report(output, n, step)
    print_lines((module.markdown if markdown else module.plain)(reports, n))


def whatif(
    output: Annotated[str, typer.Argument(help="a stage's output, made with output.audit=true")],
    sets: Sets = None,
    curve: Annotated[str | None, typer.Option(metavar="RULE", help="shares of documents by threshold")] = None,
    n: Annotated[int, number("examples of each kind")] = 3,
    as_json: Json = False,
) -> None:
    """Show what another threshold would keep and drop. No page is scored again.

    Examples:

        corpusmill whatif out/demo/rule_based --set steps.word_count.min.en=200

        corpusmill whatif out/demo/rule_based --curve word_count
    """
    from pipeline.inspection import whatif as module

    if curve is not None:
        print_lines(module.curve(output, curve))
        return
    outcome = module.outcome(output, sets or [], n)
    stored = module.stored_config(output)
    print_data(module.outcome_data(outcome), as_json, lambda: module.outcome_lines(stored, sets or [], outcome))


def balance(
    output: Annotated[str | None, typer.Argument(help="count this output; default: what the config names")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="default: the usual one of tokenization")] = None,
    sets: Sets = None,
    picture: Annotated[Path | None, typer.Option(help="draw the shares to this SVG")] = None,
) -> None:
    """Show the mixture: shares before, wished for and after; nothing is written.

    Example: `corpusmill balance out/demo/tokenization --set steps.shards.mixture.weights.balance.news=0.5`
    """
    from pipeline import storage
    from pipeline.config import load
    from pipeline.inspection import balance as module

    path = config or config_path(None, None, "tokenization")
    loaded = load(path, sets or [], "tokenization")
    counted = module.count(loaded, output)
    plans = module.plans_of(loaded, counted)
    print_lines(module.plan_lines(counted, plans))
    if picture is not None:
        storage.write_bytes(str(picture), module.picture(plans).encode())
        print(f"\npicture: {picture}")
    print(f"\nto write it: {module.writing_command(loaded, str(path), sets or [])}")


def report(
    path: Outputs,
    seed: Seed = 0,
    n: Annotated[int, number("kept pages, and dropped ones of each reason")] = 10,
    rows: Annotated[int | None, typer.Option(help="rows of a stage to read, of large outputs")] = None,
) -> None:
    """Write report.html: one page that shows what was kept, dropped and cut, and why.

    Example: `corpusmill report out/demo`
    """
    from pipeline.inspection.report.data import MAX_ROWS
    from pipeline.inspection.report.page import write_report

    console.print(write_report(path, seed, n, rows or MAX_ROWS), soft_wrap=True)


def sites(
    output: Output,
    top: Annotated[int, typer.Option(help="sites")] = 20,
    lines: Annotated[int, typer.Option(help="commonest lines of each site")] = 10,
    share: Annotated[float, typer.Option(help="share of a site's documents with a line to propose it")] = 0.3,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="write the report as JSON, too")] = None,
    as_json: Json = False,
    spark: Annotated[bool, typer.Option("--spark", help="count with Spark, as jobs/sites.py does")] = False,
) -> None:
    """The largest sites: documents, characters, kept share, the lines that their pages share, samples.

    Examples:

        corpusmill sites out/demo/rule_based --top 10

        spark-submit jobs/sites.py out/rule_based --top 1000 --out sites.json
    """
    from pipeline import storage
    from pipeline.inspection import sites as module

    if spark:
        prepare_spark()
        from pipeline.spark.sites import report as count_sites
    else:
        from pipeline.inspection.sites import sites as count_sites
    counted = count_sites(output, top, lines, share)
    if out is not None:
        storage.write_json(out, counted)
    print_data(counted, as_json, lambda: module.report_lines(counted, lines))


def unsafe_sites(
    output: Output,
    everything: Annotated[bool, typer.Option("--all", help="sites without a flagged page too")] = False,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="write the table here, tab-separated")] = None,
) -> None:
    """Sites, and how many of their pages were flagged as unsafe: review it, then list sites to allow or block.

    Example: `corpusmill unsafe-sites out/demo/model_based --all --out sites.tsv`
    """
    from pipeline import storage
    from pipeline.inspection import unsafe_sites as module

    judged = module.sites(output)
    rows = module.table(judged, everything)
    if out is not None:
        storage.write_bytes(out, "".join("\t".join(row) + "\n" for row in rows).encode())
    else:
        width = max(len(row[0]) for row in rows)
        for row in rows:
            print(f"{row[0]:<{width}} {row[1]:>10} {row[2]:>10} {row[3]:>7}  {row[4]}".rstrip())
    print(module.summary(judged), file=sys.stderr)


def contamination(output: Output, as_json: Json = False) -> None:
    """List items of test sets found, where, and what was done.

    Example: `corpusmill contamination out/demo/rule_based`
    """
    from pipeline.inspection import contamination as module

    with mistakes_in_files():
        findings = module.report(output)
    print_data(findings, as_json, lambda: module.report_lines(findings))


def inspect(
    output: Annotated[str, typer.Argument(help="a folder of token shards: the tokenization stage's output")],
    n: Annotated[int, number("rows to decode")] = 0,
    split: Annotated[Literal["train", "validation"], typer.Option(help="the split to decode from")] = "train",
) -> None:
    """Check token shards, count their tokens by language, decode some rows.

    Example: `corpusmill inspect out/demo/tokenization -n 2`
    """
    from pipeline.inspection.shards import report_lines

    print_lines(report_lines(output, n, split))


def config(
    path: Annotated[str, typer.Argument(help="a config (YAML), a stage's output, or a folder of outputs")],
    sets: Sets = None,
    stage: StageName = None,
    changed: Annotated[bool, typer.Option("--changed", help="only what differs from the defaults")] = False,
) -> None:
    """Print a whole configuration, of a file or of what made an output, as YAML that a job takes.

    Examples:

        corpusmill config configs/demo/rule_based.yaml --set output.audit=true

        corpusmill config out/demo --stage rule_based > mine.yaml
    """
    import yaml

    from pipeline.config import dump, load, parse, shown
    from pipeline.outputs import read_run_records

    if path.endswith((".yaml", ".yml")):
        configs = [load(path, sets or [], stage)]
    elif sets:
        raise UserError(f"--set goes with a config file; {path!r} is what was made")
    else:
        records = _of_stage(read_run_records(path), stage)
        configs = [parse(record.config, origin="stored config") for record in records.values()]
    data = [shown(c) if changed else dump(c) for c in configs]
    print(yaml.safe_dump_all(data, allow_unicode=True, sort_keys=False), end="")


def _of_stage(records: dict[str, RunRecord], stage: str | None) -> dict[str, RunRecord]:
    """Choose the records of one stage. :raises UserError: if there is none; `None` takes all."""
    chosen = {output: record for output, record in records.items() if stage in (None, record.stage)}
    if not chosen:
        raise no_such("stage", str(stage), [record.stage for record in records.values()], "there are outputs of")
    return chosen
