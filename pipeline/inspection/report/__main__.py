"""Write the report: python -m pipeline.inspection.report out/demo"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pipeline.inspection.report.data import MAX_ROWS
from pipeline.inspection.report.page import REPORT, write_report
from pipeline.strict import UserError


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.inspection.report",
        description=f"Write {REPORT} into a stage's output, or into a folder of stages for the whole run: one static page "
        "that shows what was kept, dropped and cut, and why.",
        epilog="example: python -m pipeline.inspection.report out/demo",
    )
    parser.add_argument("path", help="a stage's output, or a folder with the outputs of several stages")
    parser.add_argument("--seed", type=int, default=0, help="draws the samples (default 0)")
    parser.add_argument(
        "--samples", type=int, default=10, help="kept pages, and dropped ones of each reason (default 10)"
    )
    parser.add_argument(
        "--rows", type=int, default=MAX_ROWS, help=f"rows of a stage to read, of large outputs (default {MAX_ROWS:,})"
    )
    arguments = parser.parse_args(argv)
    try:
        print(write_report(arguments.path, arguments.seed, arguments.samples, arguments.rows))
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
