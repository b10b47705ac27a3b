"""Views for notebooks: documents with their cut lines, two texts side by side, a page's HTML beside its text, charts.

Everything from the web is escaped; HTML of a page is shown in a frame that runs no script and loads nothing.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from markupsafe import Markup, escape

from classifiers.registry import NAMES
from extraction.decode import decode
from pipeline import storage
from pipeline.config import parse
from pipeline.inspection.explain import find_row, read_again
from pipeline.inspection.report.data import Sample
from pipeline.inspection.report.page import environment
from pipeline.lines import marked_lines
from pipeline.outputs import has_record, read_documents, read_run_records
from pipeline.schema import Document
from pipeline.stage import STAGES
from pipeline.strict import UserError

SCALAR_COLUMNS = (
    "doc_id",
    "url",
    "domain",
    "title",
    "language",
    "language_score",
    "script",
    "category",
    "n_tokens",
    "copies",
    "drop_step",
    "drop_reason",
    "drop_value",
    "duplicate_of",
)


class Shown:
    """HTML for a notebook's cell."""

    def __init__(self, html: str) -> None:
        self.html = html

    def _repr_html_(self) -> str:
        return self.html


def run_folder(default: str = "out/demo") -> str:
    """Find the run that a notebook looks at: the environment variable CORPUSMILL_RUN, else `default`.

    :raises UserError: if there is none.
    """
    path = os.environ.get("CORPUSMILL_RUN", default)
    read_run_records(path)
    return path


def documents(run: str) -> pa.Table:
    """Read a row a document and stage, without texts: `SCALAR_COLUMNS`, `stage`, each classifier's number as `score_...`.

    For runs that fit in memory (about 1 kB a row); of larger ones look at a stage, or at some of its files.
    """
    tables = []
    for output, record in read_run_records(run).items():
        for table in read_documents(output, columns=[*SCALAR_COLUMNS, "rule_values"]):
            values = [{v["rule"]: v["value"] for v in row or ()} for row in table["rule_values"].to_pylist()]
            stage = pa.array([record.stage] * table.num_rows, pa.string())
            flat = table.select(list(SCALAR_COLUMNS)).append_column("stage", stage)
            for name in NAMES:
                flat = flat.append_column(f"score_{name}", pa.array([row.get(name) for row in values], pa.float64()))
            tables.append(flat)
    return pa.concat_tables(tables)


def output_of(run: str, stage: str) -> str:
    """Path of the output of a stage: `run` itself if it is one."""
    return run if has_record(run) else storage.join(run, stage)


def pages(samples: Sequence[Sample]) -> Shown:
    """Show documents as the report does: verdict, reason, scores, text with cut lines struck through."""
    macros = environment().get_template("macros.html.j2").make_module({"charts": {}})
    style = str(macros.colours(".corpusmill")) + str(macros.sample_style())  # type: ignore[attr-defined]
    shown = "".join(str(macros.page(s)) for s in samples)  # type: ignore[attr-defined]
    return Shown(f'<style>{style}</style><div class="corpusmill" style="text-align:left">{shown}</div>')


def scored_lines(doc: Document, bound: float = 0.5) -> Shown:
    """Show a text line by line, coloured by score: the redder, the likelier clutter; cut lines struck through."""
    rows = []
    for line in marked_lines(doc):
        score = line.score
        colour = (
            "" if score is None else f"background:hsl({120 * score:.0f} 60% 50% / {0.35 if score < bound else 0.12})"
        )
        text = (
            Markup("<del>{}</del> <small>{}</small>").format(line.text, line.cut_by)
            if line.cut_by
            else escape(line.text)
        )
        number = "" if score is None else f"{score:.2f}"
        rows.append(
            Markup('<tr style="{}"><td>{}</td><td style="text-align:left">{}</td></tr>').format(colour, number, text)
        )
    table = f"<table><tr><th>score</th><th style='text-align:left'>line</th></tr>{''.join(rows)}</table>"
    return Shown(f"<div style='max-height:600px;overflow:auto'>{table}</div>")


def html_beside_text(run: str, target: str) -> Shown:
    """Show a page's HTML, read again from its crawl file, beside the text that was taken from it.

    :param target: URL or `doc_id`.
    :raises UserError: if the page is in no output, or its crawl file is not there any more.
    """
    output, record = next(iter(read_run_records(run).items()))
    if not STAGES[record.stage].reads_crawl:
        raise UserError(
            "the HTML is in the crawl files that the preparation stage has read: name its output, or the run"
        )
    row = find_row(output, target)
    if row is None:
        raise UserError(f"{target!r} is in no output under {run!r}")
    doc, _ = read_again(parse(record.config, origin="stored config"), row)
    body = decode(doc.html or b"", doc.declared_charset).text
    frame = Markup('<iframe sandbox="" style="width:100%;height:520px;background:#fff" srcdoc="{}"></iframe>')
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    lines = Markup("").join(
        Markup("<p style='margin:.2em 0'>{}</p>").format(
            Markup("<del style='color:#b33'>{}</del>").format(line.text) if line.cut_by else line.text
        )
        for line in marked_lines(row)
    )
    halves = Markup("<div style='display:grid;grid-template-columns:1fr 1fr;gap:12px'>{}<div style='{}'>{}</div></div>")
    return Shown(halves.format(frame.format(policy + body), "height:520px;overflow:auto;text-align:left", lines))


def side_by_side(left: Document, right: Document) -> Shown:
    """Show two texts side by side: what differs is marked, lines that both have are faint."""
    a, b = ((doc.text or "").split("\n") for doc in (left, right))
    rows: list[Markup] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        for k in range(max(i2 - i1, j2 - j1)):
            cells = [lines[start + k] if start + k < stop else "" for lines, start, stop in ((a, i1, i2), (b, j1, j2))]
            style = "opacity:.55" if tag == "equal" else "background:hsl(30 90% 55% / .18)"
            rows.append(
                Markup("<tr style='{}'>{}</tr>").format(
                    style,
                    Markup("").join(
                        Markup("<td style='width:50%;text-align:left;vertical-align:top'>{}</td>").format(c)
                        for c in cells
                    ),
                )
            )
    head = Markup("").join(
        Markup("<th style='text-align:left'>{}</th>").format(doc.url or doc.doc_id) for doc in (left, right)
    )
    table = f"<table style='width:100%;table-layout:fixed'><tr>{head}</tr>{''.join(rows)}</table>"
    return Shown(f"<div style='max-height:600px;overflow:auto'>{table}</div>")


def boundaries(rows: Sequence[Mapping[str, Any]], decode_ids: Any, characters: int = 300) -> Shown:
    """Show shard rows as text, one after the other, with the place where a document ends marked.

    :param decode_ids: token ids to text.
    """
    parts = []
    for row in rows:
        text = decode_ids(row["input_ids"][:-1])
        middle = "" if len(text) <= 2 * characters else f" ⋯ {len(text) - 2 * characters:,} characters ⋯ "
        shown = text if not middle else text[:characters] + middle + text[-characters:]
        part = f"copy {row['copy']}, part {row['part'] + 1} of {row['n_parts']}"
        origin = f"{row['url'] or row['doc_id']} · {row['language']} · {part}"
        parts.append(
            Markup(
                "<p style='white-space:pre-wrap;text-align:left'>{}</p><p style='border-top:2px solid #cf6a24;color:#888'>{}</p>"
            ).format(shown, f"end of document: {origin} · {row['n_tokens']:,} tokens")
        )
    return Shown("".join(parts))


def chart(drawn: str) -> Shown:
    """Show a picture of `pipeline.inspection.report.charts` with colours for a notebook."""
    variables = (
        "--ink:#555;--soft:#888;--rule:#ccc;--kept:#2b7a8b;--dropped:#cf6a24;--c1:#2b7a8b;--c2:#b0508c;--c3:#d29a1e;"
        "--c4:#5a6fc0;--c5:#5d9440;--c6:#8a6d57"
    )
    return Shown(f'<div style="{variables}">{drawn}</div>')
