"""Which items of test sets were found in an output, where, and what was done.

Read from the `findings` of the documents; test sets themselves are read again for the items that could not be searched for.
"""

from __future__ import annotations

from typing import Any

from pipeline.config import parse
from pipeline.outputs import read_documents, read_record
from pipeline.rule_based.decontamination import Decontaminate, index
from pipeline.strict import UserError

COLUMNS = ["doc_id", "url", "drop_step", "drop_value", "removed_lines", "findings"]


def report(output: str) -> dict[str, Any]:
    """Counts by test set and the hits, as plain data.

    :raises UserError: if the output is not finished, or its stage had no such step with test sets.
    """
    config = parse(read_record(output).config, origin="stored config")
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
        test_sets = index(step.model_dump_json())
        for name, items in test_sets.sets.items():
            of_set = [h for h in hits if h["item"].startswith(f"{name}:")]
            sets[name] = {
                "items": items,
                "not_searchable": test_sets.not_searchable.get(name, []),
                "items_hit": len({h["item"] for h in of_set}),
                "documents_hit": len({h["doc_id"] for h in of_set}),
            }
    return {"sets": sets, "hits": hits}


def _page(row: dict[str, Any]) -> dict[str, Any]:
    return {"doc_id": row["doc_id"], "url": row["url"]}


def report_lines(findings: dict[str, Any]) -> list[str]:
    """The counts and hits of `report`, for people."""
    lines = [f"{'test set':<24} {'items':>8} {'too short':>10} {'hit':>8} {'documents':>10}"]
    for name, counts in findings["sets"].items():
        lines.append(
            f"{name:<24} {counts['items']:>8,} {len(counts['not_searchable']):>10,} {counts['items_hit']:>8,} "
            f"{counts['documents_hit']:>10,}"
        )
    for hit in findings["hits"]:
        where = f", lines {', '.join(str(n + 1) for n in hit['lines'])}" if hit["lines"] else ""
        lines += [f"{hit['item']}: {hit['done']}{where}", f"    {hit['doc_id']} {hit['url']}"]
    return lines
