"""Which items of test sets were found in an output, where, and what was done.

    python -m pipeline.inspection.contamination out/demo/rule_based
    python -m pipeline.inspection.contamination out/rule_based --json > contamination.json

Read from the `findings` of the documents; test sets themselves are read again for the items that could not be searched for.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from pipeline import storage
from pipeline.config import parse
from pipeline.outputs import RUN, read_documents
from pipeline.rule_based.decontamination import Decontaminate, index
from pipeline.strict import UserError

COLUMNS = ["doc_id", "url", "drop_step", "drop_value", "removed_lines", "findings"]


def report(output: str) -> dict[str, Any]:
    """Counts by test set and the hits, as plain data.

    :raises UserError: if the output is not finished, or its stage had no such step with test sets.
    """
    path = storage.join(output, RUN)
    if not storage.exists(path):
        raise UserError(f"{output!r} is not a finished stage output: it has no {RUN}; run the stage first")
    config = parse(storage.read_json(path)["config"], origin="stored config")
    steps = [s for s in config.steps if isinstance(s, Decontaminate) and s.test_sets]
    if not steps:
        raise UserError(f"{output!r} was made without the step decontaminate and test sets for it")
    names = {s.step for s in steps}
    labels = [label for label, s in zip(config.labels(), config.steps, strict=True) if s in steps]
    hits: list[dict[str, Any]] = []
    for table in read_documents(output, columns=COLUMNS):
        for row in table.to_pylist():
            if row["drop_step"] in labels and row["drop_value"]:
                hits.append({"item": row["drop_value"], "done": "dropped", "lines": [], **_page(row)})
                continue
            cut = {r["line"] for r in row["removed_lines"] or () if r["step"] in names}
            by_item: dict[str, list[int]] = {}
            for finding in row["findings"] or ():
                if finding["step"] in names:
                    by_item.setdefault(finding["name"], []).append(finding["line"])
            for item, lines in sorted(by_item.items()):
                done = "cut" if set(lines) <= cut else "kept"
                hits.append({"item": item, "done": done, "lines": sorted(lines), **_page(row)})
    hits.sort(key=lambda h: (h["item"], h["doc_id"]))
    sets: dict[str, dict[str, Any]] = {}
    for step in steps:
        found = index(step.model_dump_json())
        for name, items in found.sets.items():
            mine = [h for h in hits if h["item"].startswith(f"{name}:")]
            sets[name] = {
                "items": items,
                "not_searchable": found.not_searchable.get(name, []),
                "items_hit": len({h["item"] for h in mine}),
                "documents_hit": len({h["doc_id"] for h in mine}),
            }
    return {"sets": sets, "hits": hits}


def _page(row: dict[str, Any]) -> dict[str, Any]:
    return {"doc_id": row["doc_id"], "url": row["url"]}


def report_lines(found: dict[str, Any]) -> list[str]:
    """The report for people."""
    lines = [f"{'test set':<24} {'items':>8} {'too short':>10} {'hit':>8} {'documents':>10}"]
    for name, counts in found["sets"].items():
        lines.append(
            f"{name:<24} {counts['items']:>8,} {len(counts['not_searchable']):>10,} {counts['items_hit']:>8,} "
            f"{counts['documents_hit']:>10,}"
        )
    for hit in found["hits"]:
        where = f", lines {', '.join(str(n + 1) for n in hit['lines'])}" if hit["lines"] else ""
        lines += [f"{hit['item']}: {hit['done']}{where}", f"    {hit['doc_id']} {hit['url']}"]
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.inspection.contamination",
        description=(__doc__ or "").split("\n\n")[0],
        epilog="\n".join((__doc__ or "").splitlines()[2:4]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", help="a stage's output folder")
    parser.add_argument("--json", action="store_true", help="all of it as JSON")
    arguments = parser.parse_args(argv)
    try:
        found = report(arguments.output)
    except (UserError, ValueError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1, ensure_ascii=False) if arguments.json else "\n".join(report_lines(found)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
