"""The commands in the order of `--help`, and the exit codes: 0 done, 1 failed, 2 a mistake of the user's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

import pipeline
from pipeline.console import look, page, run
from pipeline.strict import UserError

COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Run": (run.run, look.status, look.config, run.validate, run.estimate, run.remove),
    "Look at a run": (look.report, look.funnel, look.explain, look.sample, look.rules, look.sites, look.inspect),
    "Decide": (look.whatif, look.balance, look.unsafe_sites, look.contamination),
    "Files of your own": (page.extract,),
}

app = typer.Typer(
    name="corpusmill",
    help="Crawled pages (WARC) to clean, deduplicated, balanced, tokenized shards - and what happened to every page on the way.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for panel, commands in COMMANDS.items():
    for function in commands:
        app.command(rich_help_panel=panel)(function)
app.add_typer(page.lists, name="lists", rich_help_panel="Files of your own")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        print(pipeline.__version__)
        raise typer.Exit


def main(arguments: Sequence[str] | None = None, command: Callable[..., None] | None = None, **defaults: Any) -> int:
    """Run the tool, or one command of it as a job does; a mistake of the user's is one line.

    :param arguments: those of the command line where None.
    :param defaults: of the command's options, by parameter.
    :returns: the exit code.
    """
    tool = app
    if command is not None:
        tool = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
        tool.command()(command)
    try:
        tool(args=arguments, default_map=defaults)
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except SystemExit as e:
        return int(e.code or 0)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
