"""Compare loss and expert load of runs.

python -m model.metrics out/model/tiny out/model/tiny-unbalanced
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from model.base.command import exit_code
from model.study.comparison import compare


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m model.metrics", description="Loss and expert load of runs.")
    parser.add_argument("runs", nargs="+", type=Path, help="folders that model.train wrote")
    options = parser.parse_args(arguments)
    return exit_code(lambda: print(compare(options.runs)))


if __name__ == "__main__":
    raise SystemExit(main())
