"""Shared parts of model/'s commands: `--config` and `--set`, and errors in one line with exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from model.base.config import Options, load_as
from model.base.errors import ModelError

Config = TypeVar("Config", bound=Options)


def config_parser(command: str, example: str, *, default: str | None = None, **more: Any) -> argparse.ArgumentParser:
    """Make a parser with `--config` and `--set`.

    :param command: name after `python -m model.`.
    :param example: file that the help names.
    :param default: file that is read without `--config`; None: the option is required.
    :param more: arguments of `ArgumentParser`.
    """
    parser = argparse.ArgumentParser(prog=f"python -m model.{command}", **more)
    parser.add_argument("--config", required=default is None, default=default, help=f"YAML, such as {example}")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value; YAML, such as train.seed=1"
    )
    return parser


def exit_code(work: Callable[[], object]) -> int:
    """Do the work of a command; the message of a `ModelError` goes to stderr.

    :returns: 0, or 2 after such an error.
    """
    try:
        work()
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def config_command(
    command: str,
    kind: type[Config],
    work: Callable[[Config], str],
    arguments: Sequence[str] | None,
    *,
    example: str | None = None,
    **more: Any,
) -> int:
    """Run a command whose only arguments are `--config` and `--set`, and print what `work` returns.

    :param kind: type of the config.
    :param example: file that the help names; None: `configs/model/COMMAND.yaml`.
    :returns: exit code.
    """
    parser = config_parser(command, example or f"configs/model/{command}.yaml", **more)
    options = parser.parse_args(arguments)
    return exit_code(lambda: print(work(load_as(kind, options.config, options.set))))
