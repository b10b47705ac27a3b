"""Make every generated page, count and golden file again, and say what changed: `make golden`.

    python -m scripts.golden                  runs the demo once, into out/demo, for the counts and docs/rules.md
    python -m scripts.golden --demo out/demo  takes a demo that is finished
    python -m scripts.golden --no-demo        only what needs no run
    python -m scripts.golden --data DATA      also the pages of examples, which train on the source collections (half an hour)

A new generator is a function that returns path in the repository to text, named in `PAGES`.
"""

from __future__ import annotations

import argparse
import difflib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.tables import __main__ as tables
from pipeline.inspection import rules
from pipeline.outputs import read_run_records
from scripts import configuration, console_page, made_pages, sizing

ROOT = Path(__file__).resolve().parents[1]
COUNTS = "tests/golden/sample_counts.json"


def table_pages() -> dict[str, str]:
    """Pages with tables of the benchmarks' committed results: path in the repository to text."""
    return {str(p.relative_to(ROOT)): tables.filled(p.read_text(encoding="utf-8")) for p in tables.PAGES}


PAGES: dict[str, Callable[[], dict[str, str]]] = {
    "made_pages": made_pages.pages,
    "configuration": configuration.pages,
    "sizing": sizing.pages,
    "console": console_page.pages,
    "tables": table_pages,
}
"""Generators that need no run. `sizing` reads the counts of the demo."""

TRAINED = ("verdicts", "category_pages", "line_examples")
"""Scripts of pages that need the source collections."""

WATCHED = (
    "README.md",
    "docs/**/*.md",
    "docs/**/*.svg",
    "classifiers/*/CARD.md",
    "tests/golden/*.json",
    "data/sample/made/*",
)


def counts(output: Path) -> dict[str, dict[str, Any]]:
    """Rows in and drops by reason, per stage and step, of a demo's output."""
    out: dict[str, dict[str, Any]] = {}
    for record in read_run_records(str(output)).values():
        (one,) = record.passes
        steps = {k: {"in": c.rows_in, "dropped": dict(sorted(c.dropped.items()))} for k, c in one.steps.items()}
        out[record.stage] = {"in": one.rows_in, "kept": one.kept, "steps": steps}
    return out


def by_reason(dropped: dict[str, int], most: int | None = None) -> str:
    """`5 bad_row, 3 revisit`: the commonest reasons of drops first, at most so many of them."""
    ordered = sorted(dropped.items(), key=lambda x: (-x[1], x[0]))
    shown = ", ".join(f"{n:,} {reason}" for reason, n in ordered[:most])
    others = sum(n for _, n in ordered[most:]) if most is not None else 0
    return (f"{shown}, {others:,} for other reasons" if others else shown) or "-"


def funnel_table(golden: dict[str, dict[str, Any]]) -> str:
    """The table of docs/funnel.md: a row for each step."""
    lines = ["| stage | step | pages in | dropped, by reason |", "|---|---|---:|---|"]
    for stage, of_stage in golden.items():
        for label, step in of_stage["steps"].items():
            lines.append(f"| {stage} | {label} | {step['in']:,} | {by_reason(step['dropped'])} |")
        lines.append(f"| **{stage}** | kept | **{of_stage['kept']:,}** | of {of_stage['in']:,} |")
    return "\n".join(lines) + "\n"


def readme_table(golden: dict[str, dict[str, Any]]) -> str:
    """The table of the README: a row for each stage."""
    lines = ["| stage | pages in | kept | dropped, most of all |", "|---|---:|---:|---|"]
    for stage, of_stage in golden.items():
        dropped: Counter[str] = Counter()
        for step in of_stage["steps"].values():
            dropped.update(step["dropped"])
        lines.append(f"| {stage} | {of_stage['in']:,} | {of_stage['kept']:,} | {by_reason(dropped, 5)} |")
    return "\n".join(lines) + "\n"


def demo_pages(output: Path) -> dict[str, str]:
    """Files that are made from a demo's output: path in the repository to text."""
    golden = counts(output)
    steps = "\n" + "\n".join(rules.markdown(rules.report(str(output / "rule_based")))) + "\n\n"
    tables = {"README.md": readme_table(golden), "docs/funnel.md": funnel_table(golden), "docs/rules.md": steps}
    out = {COUNTS: json.dumps(golden, indent=1) + "\n"}
    for path, table in tables.items():
        mark = "rules" if path == "docs/rules.md" else "funnel"
        before, opening, following = (ROOT / path).read_text(encoding="utf-8").partition(f"<!-- {mark} -->\n")
        _, closing, after = following.partition(f"<!-- /{mark} -->")
        if not closing:
            raise ValueError(f"{path}: expected a place <!-- {mark} --> ... <!-- /{mark} --> for the table")
        out[path] = f"{before}{opening}{table}{closing}{after}"
    return out


def stale(pages: dict[str, str]) -> list[str]:
    """A message for each file that is not what it should be."""
    problems = []
    for path, text in pages.items():
        file = ROOT / path
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        changes = list(difflib.unified_diff(lines, text.splitlines(), n=0, lineterm=""))[3:]
        if changes:
            problems.append(
                f"{path} is stale, run `make golden`: {len(changes)} lines differ, first {changes[0][:200]!r}"
            )
    return problems


def write(pages: dict[str, str]) -> None:
    for path, text in pages.items():
        (ROOT / path).write_text(text, encoding="utf-8")


def snapshot() -> dict[str, list[str]]:
    """Lines of all files that may be generated, by path."""
    files = sorted({p for pattern in WATCHED for p in ROOT.glob(pattern)})
    return {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8").splitlines() for p in files}


def changes(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    """A line for each file that differs."""
    out = []
    for path in sorted({*before, *after}):
        signs = [line[0] for line in difflib.unified_diff(before.get(path, []), after.get(path, []), n=0, lineterm="")][
            2:
        ]
        if signs:
            out.append(f"changed: {path} (+{signs.count('+')} -{signs.count('-')} lines)")
    return out


def silenced(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Steps that dropped pages of the sample and do not any more."""
    return [
        f"{stage}.{label}"
        for stage, of_stage in before.items()
        for label, step in of_stage["steps"].items()
        if step["dropped"] and not after.get(stage, {}).get("steps", {}).get(label, {}).get("dropped")
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.golden", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--demo", type=Path, help="a finished demo's output, in place of a run")
    parser.add_argument("--no-demo", action="store_true", help="leave out what is made from the demo's output")
    parser.add_argument("--data", type=Path, help="folder of the source collections")
    options = parser.parse_args(argv)
    before, known = snapshot(), json.loads((ROOT / COUNTS).read_text(encoding="utf-8"))

    def run(*command: str) -> None:
        subprocess.run(command, cwd=ROOT, check=True)

    write(made_pages.pages())
    if not options.no_demo:
        if options.demo is None:
            run("scripts/demo.sh")
        write(demo_pages(options.demo or ROOT / "out" / "demo"))
    for make in PAGES.values():
        write(make())
    for script in TRAINED if options.data else ():
        run(sys.executable, "-m", f"scripts.{script}", "--data", str(options.data))
    print("\n".join(changes(before, snapshot())) or "nothing changed")
    for step in silenced(known, json.loads((ROOT / COUNTS).read_text(encoding="utf-8"))):
        print(f"warning: {step} dropped pages of the sample before and drops none now")
    if not options.data:
        print(f"left alone, without --data: what scripts/{{{','.join(TRAINED)}}}.py write")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
