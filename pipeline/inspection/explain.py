"""One page through the steps, without Spark: each verdict with its value.

    python -m pipeline.inspection.explain page.html --config configs/preparation.yaml
    python -m pipeline.inspection.explain out/demo https://example.org/page
    python -m pipeline.inspection.explain out/demo 0123456789abcdef0123456789abcdef --text

With an output (a stage's, or a folder with several stages) the page is looked up by URL or `doc_id`, its HTML is read again
from the crawl file, and the steps of every stage are replayed with the configuration stored in the output. Verdicts of
cross-document steps cannot be replayed for one page: they are taken from the output.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from extraction.domains import registered_domain
from extraction.result import SCALE
from pipeline import storage
from pipeline.config import StageConfig, load, parse
from pipeline.executor import loaded
from pipeline.inspection.funnel import read_records
from pipeline.lines import cut_lines, restore_lines
from pipeline.outputs import published_files
from pipeline.readers.inputs import read_records as read_crawl
from pipeline.schema import VERDICT_COLUMNS, Document, Drop, from_table
from pipeline.steps import CrossDocumentStep, DocumentStep, apply_step
from pipeline.strict import UserError


def explain_steps(config: StageConfig, doc: Document, found: Document | None = None) -> tuple[list[str], Document]:
    """Replay a stage's steps on one document.

    :param found: the document's row in the stage's output, for the verdicts of cross-document steps.
    :returns: a line a step, and the document after the last step that kept it (or marked as dropped).
    """
    lines = []
    for label, step in zip(config.labels(), config.steps, strict=True):
        if doc.is_dropped:
            lines.append(f"  {label:<16} not reached")
            continue
        if isinstance(step, CrossDocumentStep):
            if found is None:
                lines.append(f"  {label:<16} compares documents: no output to look it up in")
            elif found.drop_step == label:
                lines.append(f"  {label:<16} DROPPED {_verdict(found)} (from the output)")
                doc = found
            else:
                cut = [r["line"] for r in found.removed_lines or () if r["step"] == step.step]
                told = f": {len(cut)} lines cut" if cut else ""
                lines.append(f"  {label:<16} kept{told} (from the output)")
                doc = cut_lines(doc, step.step, cut)
            continue
        assert isinstance(step, DocumentStep)
        before = doc
        (verdict,) = apply_step(loaded(step), [doc])
        if isinstance(verdict, Drop):
            doc = (verdict.document or doc).evolve(
                drop_step=label,
                drop_reason=verdict.reason,
                drop_value=verdict.value_text(),
                duplicate_of=verdict.duplicate_of,
            )
            lines.append(f"  {label:<16} DROPPED {_verdict(doc)}")
        else:
            doc = verdict
            lines.append(f"  {label:<16} kept{_changes(before, doc)}")
    return lines, doc


def _verdict(doc: Document) -> str:
    value = f", value {doc.drop_value}" if doc.drop_value is not None else ""
    same = f", same as {doc.duplicate_of}" if doc.duplicate_of else ""
    return f"{doc.drop_reason}{value}{same}"


def _changes(before: Document, after: Document) -> str:
    told = []
    if after.text != before.text and after.text is not None:
        told.append(f"text of {len(after.text):,} characters in {after.text.count(chr(10)) + 1:,} lines")
    for name in ("charset", "title", "language", "language_score", "n_tokens"):
        value = getattr(after, name)
        if value is not None and value != getattr(before, name):
            told.append(f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}")
    before_scores = {(s["classifier"], s["label"]) for s in before.scores or ()}
    new = [s for s in after.scores or () if (s["classifier"], s["label"]) not in before_scores]
    told += [f"{s['label']} {s['score'] / SCALE:.2f}" for s in sorted(new, key=lambda s: -s["score"])[:3]]
    return f": {'; '.join(told)}" if told else ""


def document_of_file(path: str, url: str | None) -> Document:
    """A page saved in a file, as a document. :raises UserError: if it cannot be read."""
    try:
        body = Path(path).read_bytes()
    except OSError as e:
        raise UserError(f"cannot read {path!r}: {e.strerror or e}") from e
    return Document(
        doc_id="0" * 32,
        source_file=path,
        url=url,
        domain=registered_domain(url),
        record_type="row",
        html=body,
        raw_bytes=len(body),
    )


def find_row(output: str, target: str) -> Document | None:
    """The row of a URL or `doc_id` in a stage's output; the kept one if there are several."""
    column = "doc_id" if len(target) == 32 and "/" not in target else "url"
    for f in sorted(published_files(output), key=lambda f: f.verdict != "kept"):
        with storage.open_read(storage.join(output, f.path)) as source:
            file = pq.ParquetFile(source)
            keys = file.read(columns=[column])[column]
            index = pc.index(keys, pa.scalar(target)).as_py()
            if index >= 0:
                return from_table(file.read().slice(index, 1))[0]
    return None


def read_again(config: StageConfig, row: Document) -> tuple[Document, Drop | None]:
    """The record a row was made of, read from its crawl file by offset. :raises UserError: if it is not there any more."""
    records = read_crawl(
        row.source_file,
        config.input,
        start_record=row.record_no,
        start_offset=row.offset,
        stop_record=row.record_no + 1,
        skipped=Counter(),
    )
    record = next(iter(records), None)
    if record is None or record.doc.doc_id != row.doc_id:
        raise UserError(
            f"record {row.record_no} of {row.source_file!r} is not {row.doc_id} any more: the file was moved or changed"
        )
    return record.doc.evolve(generation=row.generation, file_no=row.file_no, row_no=row.row_no), record.drop


def explain_output(path: str, target: str) -> tuple[list[str], Document]:
    """Replay all stages under `path` for the page `target`.

    :raises UserError: if the page is in none of them.
    """
    lines: list[str] = []
    doc: Document | None = None
    for record in read_records(path):
        config = parse(record["config"], origin="stored config")
        output = path if storage.exists(storage.join(path, "_run.json")) else storage.join(path, config.stage)
        row = find_row(output, target)
        if row is None:
            if doc is None:
                continue
            break
        if doc is None:
            lines += [
                f"{row.url}",
                f"doc_id {row.doc_id}, record {row.record_no} at offset {row.offset} of {row.source_file}",
            ]
            lines += [f"{config.stage} (generation {row.generation})"]
            # As it came to the stage: with its lines back, without verdict (masked data stays masked).
            nothing = dict.fromkeys((*VERDICT_COLUMNS, "findings", "rule_values"))
            doc = restore_lines(row, [step.step for step in config.steps]).evolve(**nothing)
            if config.kind.reads_crawl:
                doc = row
                doc, drop = read_again(config, row)
                if drop is not None:
                    doc = row
                    lines.append(f"  {'read':<16} DROPPED {_verdict(row)}")
        else:
            lines.append(config.stage)
        told, doc = explain_steps(config, doc, row)
        lines += told
        if doc.is_dropped:
            break
    if doc is None:
        raise UserError(
            f"no document {target!r} in {path!r}: give a URL as it was crawled, or a doc_id of 32 hex characters"
        )
    lines.append(f"verdict: {'dropped by ' + str(doc.drop_step) if doc.is_dropped else 'kept'}")
    return lines, doc


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.inspection.explain",
        description=(__doc__ or "").split("\n\n")[0],
        epilog="\n".join((__doc__ or "").splitlines()[2:5]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", help="an HTML file, or an output folder")
    parser.add_argument("target", nargs="?", help="with an output: the page's URL or doc_id")
    parser.add_argument("--config", help="with a file: the stage's YAML")
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="as in the jobs"
    )
    parser.add_argument("--url", help="with a file: the URL that URL rules should see")
    parser.add_argument("--text", action="store_true", help="print the text too, with the tag of each line")
    arguments = parser.parse_args(argv)
    try:
        if arguments.target is not None:
            lines, doc = explain_output(arguments.path, arguments.target)
        else:
            if os.path.isdir(arguments.path):
                raise UserError(f"{arguments.path!r} is a folder: say which page of it, by URL or doc_id")
            if arguments.config is None:
                raise UserError("--config is needed to explain a file, for example --config configs/preparation.yaml")
            config = load(arguments.config, arguments.overrides)
            lines, doc = explain_steps(config, document_of_file(arguments.path, arguments.url))
            lines = [
                config.stage,
                *lines,
                f"verdict: {'dropped by ' + str(doc.drop_step) if doc.is_dropped else 'kept'}",
            ]
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    if arguments.text and doc.text is not None:
        print(json.dumps(doc.page_signals, ensure_ascii=False))
        tags: list[Any] = doc.line_tags or []
        for i, line in enumerate(doc.text.split("\n")):
            print(f"{tags[i] if i < len(tags) else '':>6} | {line}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
