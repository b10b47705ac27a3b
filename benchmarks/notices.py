"""Notices that `cut_unwanted_lines` cuts (`pipeline/rule_based/phrases/notices.yaml`):
`python benchmarks/notices.py [--data DIR]`.

Of the lines of pages with a gold main text, those that are notices, by kind, language, whether extraction kept them and whether
the gold text has them (without white space; as a part of it, so that a short line counts as gold too often). A line that is kept
and in the gold is a false cut.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import machine

from classifiers.clutter.pages import load_gold
from extraction import extract
from extraction.prepare import TooLarge
from extraction.result import all_lines
from pipeline.rule_based.refinedweb import notices

SETS = ("zh-gold", "zh-pages", "aed-424", "wcxb-dev", "readability-130")


def measure(data: Path) -> dict[str, Any]:
    """Count the notices of every page of `SETS`."""
    counts: dict[str, Counter[str]] = {}
    pages = Counter[str]()
    for name in SETS:
        for page in load_gold(data, name):
            try:
                extracted = all_lines(extract(page.html))
            except TooLarge:
                continue
            language = "zh" if page.is_chinese else "other"
            pages[language] += 1
            gold = "".join(page.gold.split())
            for kept in (True, False):
                lines = [line for line in extracted if line.kept is kept]
                text, tags = "\n".join(line.text for line in lines), tuple(line.tag for line in lines)
                for number, kind in notices(text, tags) if text else []:
                    in_gold = "".join(lines[number].text.split()) in gold
                    which = f"{'kept' if kept else 'cut'} by extraction, {'in' if in_gold else 'not in'} the gold"
                    counts.setdefault(f"{kind}, {language}", Counter())[which] += 1
    return {"pages": dict(pages), "lines": {kind: dict(of_kind) for kind, of_kind in sorted(counts.items())}}


def main() -> None:
    arguments = machine.parser(__doc__, data="folder of pages").parse_args()
    machine.save("notices", measure(arguments.data))


if __name__ == "__main__":
    main()
