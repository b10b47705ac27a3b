"""Print the text of a page: `python -m extraction PAGE.html [--engine NAME] [--lines]`."""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from extraction import extract
from extraction.engines import PROFILES, engine_names
from extraction.prepare import TooLarge
from extraction.result import Extraction
from extraction.text import lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m extraction", description="Print the text of an HTML page.")
    parser.add_argument("page", help="an HTML file, or - for standard input")
    parser.add_argument("--engine", default="lines", choices=engine_names())
    parser.add_argument("--profile", default="full", choices=PROFILES)
    parser.add_argument("--headings", default="plain", choices=("plain", "markdown"), help="of the engine lines")
    parser.add_argument(
        "--list-markers", action="store_true", help="of the engine lines: '-' or '1.' before items of lists"
    )
    parser.add_argument(
        "--lines",
        action="store_true",
        help="every line, those that were cut too (marked -), with its score, its tag and its share of link characters",
    )
    arguments = parser.parse_args()
    try:
        html = sys.stdin.buffer.read() if arguments.page == "-" else Path(arguments.page).read_bytes()
        found = extract(
            html,
            engine=arguments.engine,
            profile=arguments.profile,
            headings=arguments.headings,
            list_markers=arguments.list_markers,
        )
    except (OSError, TooLarge) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if arguments.lines:
        for mark, score, tag, share, text in all_lines(found):
            value = "    " if score is None else f"{score / 65535:4.2f}"
            print(f"{mark} {value} {tag:5} {share:4.2f} {text}")
    else:
        print(found.text)
    return 0


def all_lines(found: Extraction) -> list[tuple[str, int | None, str, float, str]]:
    """Mark ("+" kept, "-" cut), score, tag, link share and text of the lines of a page, in its order."""
    scores = found.line_scores or itertools.repeat(None)
    kept = zip(scores, found.line_tags, found.line_link_share, lines(found.text), strict=False)
    cut = {c["line"]: ("-", c["score"], c["tag"], c["link_share"], c["text"]) for c in found.cut_lines or ()}
    out: list[tuple[str, int | None, str, float, str]] = []
    for score, tag, share, text in kept:
        while len(out) in cut:
            out.append(cut[len(out)])
        out.append(("+", score, tag, share, text))
    out += [cut[number] for number in sorted(cut) if number >= len(out)]
    return out


if __name__ == "__main__":
    sys.exit(main())
