"""Write docs/console.md, the commands of `corpusmill` with their options, from the code: part of `make golden`."""

from __future__ import annotations

import inspect
from typing import Any

import typer

from pipeline.console.app import COMMANDS, app

HEAD = """# The console

`corpusmill` runs the chain on one machine and answers questions about a run. `corpusmill COMMAND --help` shows the same in a
terminal; `corpusmill --install-completion` completes names in your shell. On a cluster the stages are jobs
([cluster](cluster.md)).

Exit codes: 0 done, 1 failed (the same command continues), 2 a mistake in the command, a config or a path. `make golden` writes
this page from the code; a test holds it to the code.
"""


def _options(command: Any) -> list[str]:
    rows = []
    for parameter in command.params:
        names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
        if parameter.param_type_name == "argument":
            names = f"`{parameter.metavar or parameter.name.upper()}`"
        if getattr(parameter, "help", None):
            rows.append(f"| {names} | {parameter.help.replace('|', ', ')} |")
    return ["| | |", "|---|---|", *rows, ""] if rows else []


def _section(name: str, command: Any) -> list[str]:
    """Text of one command: its help, with the examples as code, and a table of its arguments and options."""
    lines = [f"### {name}", ""]
    for block in inspect.cleandoc(command.help or "").split("\n\n"):
        lines += [block if block.startswith("    ") else " ".join(block.split()), ""]
    return lines + _options(command)


def pages() -> dict[str, str]:
    """The page: path in the repository to text."""
    tool: Any = typer.main.get_command(app)
    by_panel = {panel: [f.__name__.replace("_", "-") for f in functions] for panel, functions in COMMANDS.items()}
    lines = [HEAD]
    for panel, names in by_panel.items():
        lines += [f"## {panel}", ""]
        for name in names:
            lines += _section(name, tool.commands[name])
    for name, command in tool.commands["lists"].commands.items():
        lines += _section(f"lists {name}", command)
    return {"docs/console.md": "\n".join(lines)}
