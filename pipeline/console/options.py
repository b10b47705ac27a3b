"""The options that several commands share, and how they print."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline.strict import UserError

console = Console(highlight=False)

Outputs = Annotated[str, typer.Argument(metavar="PATH", help="a stage's output, or a folder of outputs")]
Output = Annotated[str, typer.Argument(help="a stage's output")]
ConfigFile = Annotated[Path, typer.Option("--config", help="the stage's YAML")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="override a key of the config; values are YAML (repeatable)"),
]
StageName = Annotated[str | None, typer.Option("--stage", help="of this stage alone")]
Seed = Annotated[int, typer.Option("--seed", help="draws the pages")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def number(of: str) -> Any:
    """Make the option `--number`, which says how many of something are shown."""
    return typer.Option("--number", "-n", min=0, help=of)


def print_lines(lines: Sequence[str]) -> None:
    print("\n".join(lines))


def print_data(data: Any, as_json: bool, lines: Callable[[], Sequence[str]]) -> None:
    """Print data as JSON, or its lines for people."""
    print_lines([json.dumps(data, indent=1, ensure_ascii=False)] if as_json else lines())


@contextlib.contextmanager
def mistakes_in_files(*others: type[Exception]) -> Iterator[None]:
    """Turn what cannot be read or understood in files that the user names, or another error, into a `UserError`."""
    mistakes: tuple[type[Exception], ...] = (ValueError, OSError, *others)
    try:
        yield
    except mistakes as e:
        raise UserError(str(e)) from e
