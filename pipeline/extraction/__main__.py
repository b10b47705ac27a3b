"""Print the text of a page: `python -m pipeline.extraction PAGE.html [--engine NAME] [--profile full|fast]
[--lines]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline.extraction import extract
from pipeline.extraction.engines import PROFILES, engine_names
from pipeline.extraction.prepare import TooLarge
from pipeline.text import lines


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.extraction", description="Print the text of an HTML page."
    )
    parser.add_argument("page", help="an HTML file, or - for standard input")
    parser.add_argument("--engine", default="trafilatura", choices=engine_names())
    parser.add_argument("--profile", default="full", choices=PROFILES)
    parser.add_argument(
        "--lines", action="store_true", help="before each line its tag and its share of link characters"
    )
    arguments = parser.parse_args()
    try:
        html = sys.stdin.buffer.read() if arguments.page == "-" else Path(arguments.page).read_bytes()
        found = extract(html, engine=arguments.engine, profile=arguments.profile)
    except (OSError, TooLarge) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if arguments.lines:
        for text, tag, share in zip(lines(found.text), found.line_tags, found.line_link_share, strict=False):
            print(f"{tag:5} {share:4.2f} {text}")
    else:
        print(found.text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
