"""The dataset card of an output: README.md with the fields that Hugging Face's hub and `datasets` read."""

from __future__ import annotations

from typing import Any

import yaml

from pipeline import storage
from pipeline.inspection.report.data import NONE, StageData
from pipeline.inspection.rules import source, thresholds
from pipeline.steps import Rule, Step

CARD = "README.md"
SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "10B<n<100B")
LISTED = 25


def write_card(data: StageData) -> str:
    """Write the card into the output. :returns: its path."""
    target = storage.join(data.output, CARD)
    storage.write_bytes(target, card(data).encode())
    return target


def card(data: StageData) -> str:
    """Compose the card's text: YAML between dashes, then Markdown."""
    fields = yaml.safe_dump(_fields(data), allow_unicode=True, sort_keys=False, width=120)
    return "\n".join(["---", fields.rstrip(), "---", "", *_body(data), ""])


def _name(data: StageData) -> str:
    return data.output.rstrip("/").replace("\\", "/").rsplit("/", 1)[-1]


def _kept_languages(data: StageData) -> list[str]:
    kept = {name: n for (name, verdict), n in data.languages.items() if verdict == "kept" and name != NONE}
    return sorted(kept, key=lambda name: (-kept[name], name))


def _fields(data: StageData) -> dict[str, Any]:
    rows = sum(t["rows"] for t in data.tokens.values()) if data.tokens else data.record.kept
    languages = _kept_languages(data)
    documents = [
        {"split": verdict, "path": f"documents/verdict={verdict}/*.parquet"} for verdict in ("kept", "dropped")
    ]
    configs: list[dict[str, Any]] = [{"config_name": "documents", "data_files": documents}]
    if data.tokens:
        files = [{"split": split, "path": f"{split}/*.parquet"} for split, t in data.tokens.items() if t["shards"]]
        configs.insert(0, {"config_name": "shards", "data_files": files})
    configs[0]["default"] = True
    return {
        "pretty_name": _name(data),
        "language": languages,
        "multilinguality": "multilingual" if len(languages) > 1 else "monolingual",
        "license": "other",
        "license_name": "of-the-pages",
        "annotations_creators": ["machine-generated"],
        "language_creators": ["found"],
        "source_datasets": ["original"],
        "task_categories": ["text-generation"],
        "task_ids": ["language-modeling"],
        "size_categories": [SIZES[min(len(str(rows)) - 3, len(SIZES) - 1) if rows >= 1000 else 0]],
        "tags": ["corpusmill", "web-corpus", data.stage],
        "configs": configs,
    }


def _body(data: StageData) -> list[str]:
    record, last = data.record, data.record.last_pass
    lines = [
        f"# {_name(data)}",
        "",
        f"Web pages after the stage {data.stage} of corpusmill {last.versions['corpusmill']} (commit "
        f"{last.versions['commit']}), finished {last.finished}. This card was written with the output, from its records.",
        "",
        f"{record.rows_in:,} pages came in; {record.kept:,} were kept and {record.dropped:,} dropped.",
    ]
    if data.tokens:
        lines += ["", "| split | shards | rows | tokens | of them by language |", "|---|---:|---:|---:|---|"]
        for split, total in data.tokens.items():
            by_language = ", ".join(f"{n:,} {name}" for name, n in sorted(total["language_tokens"].items()))
            lines.append(f"| {split} | {total['shards']:,} | {total['rows']:,} | {total['tokens']:,} | {by_language} |")
    lines += [
        "",
        "## Files",
        "",
        "- `documents/verdict=kept/`, `documents/verdict=dropped/`: a row a page, with the step, the reason and the value that "
        "dropped it (`drop_step`, `drop_reason`, `drop_value`); Parquet.",
        *(["- `train/`, `validation/`: token shards; `tokenizer.json` made them."] if data.tokens else []),
        "- `_manifest.json`: the published files with rows and SHA-256; `_run.json`: configuration, versions, counts.",
        "- `report.html`: what each step did, with samples.",
        "",
        "## Languages",
        "",
        *_table(["language", "kept", "dropped"], _verdicts(data.languages)),
    ]
    if any(name != NONE for name, _ in data.categories):
        lines += ["", "## Categories", "", *_table(["category", "kept", "dropped"], _verdicts(data.categories))]
    if data.rows < data.rows_total:
        lines += ["", f"Languages and categories are of {data.rows:,} of {data.rows_total:,} rows."]
    lines += [
        "",
        "## Steps",
        "",
        "| step | bounds | source | in | kept | dropped, by reason |",
        "|---|---|---|---:|---:|---|",
    ]
    steps: dict[str, Step] = dict(zip(data.config.labels(), data.config.steps, strict=True))
    for label, count in record.steps.items():
        step = steps.get(label)
        bounds = thresholds(step) if isinstance(step, Rule) else ""
        reasons = ", ".join(f"{n:,} {r}" for r, n in sorted(count.dropped.items(), key=lambda x: (-x[1], x[0])))
        origin = source(step) if step is not None else ""
        lines.append(f"| {label} | {bounds} | {origin} | {count.rows_in:,} | {count.kept:,} | {reasons or '-'} |")
    lines += [
        "",
        "## Considerations",
        "",
        "The texts belong to those who wrote the pages; this card grants no licence to them. They were found on the web and can "
        "hold mistakes, bias, offence and personal data that the steps above did not find. Verdicts, scores and categories are "
        "those of rules and models, not of people. Pages can be taken out by address, domain or `doc_id`: `jobs/remove.py`.",
        "",
    ]
    return lines


def _verdicts(counts: Any) -> list[list[str]]:
    names = {name for name, _ in counts}
    ordered = sorted(names, key=lambda name: (-counts[(name, "kept")], -counts[(name, "dropped")], name))
    rows = [[name, f"{counts[(name, 'kept')]:,}", f"{counts[(name, 'dropped')]:,}"] for name in ordered[:LISTED]]
    if others := ordered[LISTED:]:
        kept, dropped = (sum(counts[(name, verdict)] for name in others) for verdict in ("kept", "dropped"))
        rows.append([f"{len(others):,} others", f"{kept:,}", f"{dropped:,}"])
    return rows


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|---|" + "---:|" * (len(head) - 1),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
