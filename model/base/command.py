"""What the commands of model/ share: `--config` and `--set`, and errors in one line with exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from model.base.errors import ModelError


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
