"""One page through the steps, without Spark: the verdict, the step that decided, and what each step changed or measured.

Of an output the page is looked up by URL or `doc_id`, its HTML is read again from the crawl file, and the steps of every stage
are replayed with the configuration stored in the output. Verdicts of cross-document steps cannot be replayed for one page:
they are taken from the output.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from extraction.domains import registered_domain
from extraction.result import SCALE
from pipeline import storage
from pipeline.config import StageConfig, parse
from pipeline.executor import READ, loaded
from pipeline.inspection.rules import bounds, thresholds
from pipeline.lines import cut_lines, restore_lines
from pipeline.outputs import published_files, read_run_records
from pipeline.readers.inputs import read_records
from pipeline.removal import url_key
from pipeline.schema import VERDICT_COLUMNS, Document, Drop, from_table
from pipeline.steps import CrossDocumentStep, DocumentStep, Rule, apply_step
from pipeline.strict import UserError

NEAR_PAGES = 5
"""Pages that are named where the one asked for is not there."""


@dataclass(frozen=True)
class StepVerdict:
    """Verdict of one step on the page."""

    label: str
    verdict: str
    """`kept` or `DROPPED`, with the reason; or why the step was not asked."""
    effect: str = ""
    """Changes and findings of the step."""
    measured: str = ""
    """Value and bounds of a rule that kept the page."""

    def line(self, width: int) -> str:
        """The verdict in one line, with the label as wide as that."""
        effect = "; ".join(filter(None, (self.effect, self.measured)))
        return f"  {self.label:<{width}} {self.verdict}{': ' + effect if effect else ''}"


@dataclass(frozen=True)
class StageVerdicts:
    """Verdicts of one stage's steps on the page."""

    title: str
    config: StageConfig
    steps: list[StepVerdict]


@dataclass(frozen=True)
class Explanation:
    """Fate of one page, stage by stage."""

    page: list[str]
    """Description of the page, and its source."""
    stages: list[StageVerdicts]
    document: Document
    """The document as the last step left it."""

    def lines(self, everything: bool = False) -> list[str]:
        """The verdict, the step that decided, then the steps that changed or measured something.

        :param everything: tell of all steps, and of the value and bounds of each rule that kept the page.
        """
        chosen = {
            stage.title: [s for s in stage.steps if everything or s.effect or s.verdict.startswith("DROPPED")]
            for stage in self.stages
        }
        width = max((len(s.label) for steps in chosen.values() for s in steps), default=0)
        lines = [*self._verdict(), *self.page]
        for title, steps in chosen.items():
            lines += [title, *(s.line(width) for s in steps)]
        hidden = sum(len(stage.steps) - len(chosen[stage.title]) for stage in self.stages)
        return [*lines, f"{hidden} more steps: --all"] if hidden else lines

    def _verdict(self) -> list[str]:
        doc, last = self.document, self.stages[-1]
        if not doc.is_dropped:
            return [f"verdict: kept by {', '.join(s.config.stage for s in self.stages)}"]
        lines = [f"verdict: dropped by {doc.drop_step} ({last.config.stage}): {_reason(doc)}"]
        step = dict(zip(last.config.labels(), last.config.steps, strict=True)).get(doc.drop_step or "")
        if isinstance(step, Rule):
            return [*lines, f"  bound: {bounds(step, doc.language)}"]
        parameters = thresholds(step) if step is not None else ""
        return [*lines, f"  parameters: {parameters}"] if parameters else lines


def explain_steps(
    config: StageConfig, doc: Document, row: Document | None = None
) -> tuple[list[StepVerdict], Document]:
    """Replay a stage's steps on one document.

    :param row: the document's row in the stage's output, for the verdicts of cross-document steps.
    :returns: a verdict a step, and the document after the last step that kept it (or marked as dropped).
    """
    verdicts: list[StepVerdict] = []
    for label, step in zip(config.labels(), config.steps, strict=True):
        if doc.is_dropped:
            verdicts.append(StepVerdict(label, "not reached"))
        elif isinstance(step, CrossDocumentStep):
            verdict, doc = _compared(label, step, doc, row)
            verdicts.append(verdict)
        else:
            assert isinstance(step, DocumentStep)
            verdict, doc = _replayed(label, step, doc)
            verdicts.append(verdict)
    return verdicts, doc


def _compared(label: str, step: CrossDocumentStep, doc: Document, row: Document | None) -> tuple[StepVerdict, Document]:
    """The verdict of a step that compares documents, from the row of the output."""
    if row is None:
        return StepVerdict(label, "compares documents: no output to look it up in"), doc
    if row.drop_step == label:
        return StepVerdict(label, f"DROPPED {_reason(row)} (from the output)"), row
    cut = [r["line"] for r in row.removed_lines or () if r["step"] == step.step]
    effect = f"{len(cut)} lines cut (from the output)" if cut else ""
    return StepVerdict(label, "kept", effect), cut_lines(doc, step.step, cut)


def _replayed(label: str, step: DocumentStep, doc: Document) -> tuple[StepVerdict, Document]:
    """The verdict of a step that decides on each document by itself, from the step."""
    (verdict,) = apply_step(loaded(step), [doc])
    if isinstance(verdict, Drop):
        dropped = (verdict.document or doc).evolve(
            drop_step=label,
            drop_reason=verdict.reason,
            drop_value=verdict.value_text(),
            duplicate_of=verdict.duplicate_of,
        )
        return StepVerdict(label, f"DROPPED {_reason(dropped)}"), dropped
    value = step.measure(verdict) if isinstance(step, Rule) else None
    measured = f"{value:.6g}, {bounds(step, doc.language)}" if isinstance(step, Rule) and value is not None else ""
    return StepVerdict(label, "kept", _changes(doc, verdict), measured), verdict


def _reason(doc: Document) -> str:
    value = f", value {doc.drop_value}" if doc.drop_value is not None else ""
    original = f", same as {doc.duplicate_of}" if doc.duplicate_of else ""
    return f"{doc.drop_reason}{value}{original}"


def _changes(before: Document, after: Document) -> str:
    changes = []
    if after.text != before.text and after.text is not None:
        changes.append(f"text of {len(after.text):,} characters in {after.text.count(chr(10)) + 1:,} lines")
    for name in ("charset", "title", "language", "language_score", "script", "n_tokens"):
        value = getattr(after, name)
        if value is not None and value != getattr(before, name):
            changes.append(f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}")
    before_scores = {(s["classifier"], s["label"]) for s in before.scores or ()}
    new = [s for s in after.scores or () if (s["classifier"], s["label"]) not in before_scores]
    changes += [f"{s['label']} {s['score'] / SCALE:.2f}" for s in sorted(new, key=lambda s: -s["score"])[:3]]
    return "; ".join(changes)


def document_of_file(path: str, url: str | None) -> Document:
    """Read a page saved in a file as a document. :raises UserError: if it cannot be read."""
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


def explain_file(path: str, config: StageConfig, url: str | None = None) -> Explanation:
    """Run the document steps of a config on a saved HTML page.

    :param url: the address that URL rules see.
    :raises UserError: if the page cannot be read.
    """
    verdicts, doc = explain_steps(config, document_of_file(path, url))
    return Explanation([], [StageVerdicts(config.stage, config, verdicts)], doc)


def find_row(output: str, target: str) -> Document | None:
    """Find the row of a URL or `doc_id` in a stage's output; the kept one if there are several."""
    column = "doc_id" if len(target) == 32 and "/" not in target else "url"
    for f in sorted(published_files(output), key=lambda f: f.verdict != "kept"):
        with storage.open_read(storage.join(output, f.path)) as source:
            file = pq.ParquetFile(source)
            keys = file.read(columns=[column])[column]
            index = pc.index(keys, pa.scalar(target)).as_py()
            if index >= 0:
                return from_table(file.read().slice(index, 1))[0]
    return None


def near_pages(output: str, target: str) -> list[str]:
    """Find URLs and `doc_id`s of an output that a mistyped one may mean: a prefix, a part, or another form of the URL."""
    key, near = url_key(target), []
    for f in published_files(output):
        with storage.open_read(storage.join(output, f.path)) as source:
            table = pq.read_table(source, columns=["doc_id", "url"])
        for doc_id, url in zip(*(table[name].to_pylist() for name in ("doc_id", "url")), strict=True):
            if doc_id.startswith(target.lower()):
                near.append(doc_id)
            elif url and (target in url or (key is not None and url_key(url) == key)):
                near.append(url)
            if len(near) == NEAR_PAGES:
                return near
    return near


def read_again(config: StageConfig, row: Document) -> tuple[Document, Drop | None]:
    """Read the record that a row was made of from its crawl file, by offset. :raises UserError: if it is not there any more."""
    records = read_records(
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


def explain_output(path: str, target: str) -> Explanation:
    """Replay all stages under `path` for the page `target`.

    :raises UserError: if the page is in none of them; it names pages that may be meant.
    """
    page: list[str] = []
    stages: list[StageVerdicts] = []
    doc: Document | None = None
    records = read_run_records(path)
    for output, record in records.items():
        row = find_row(output, target)
        if row is None:
            if doc is None:
                continue
            break
        config = parse(record.config, origin="stored config")
        title, verdicts = str(config.stage), []
        if doc is None:
            title = f"{config.stage} (generation {row.generation})"
            page = [
                f"{row.url}",
                f"doc_id {row.doc_id}, record {row.record_no} at offset {row.offset} of {row.source_file}",
            ]
            doc, drop = _as_it_came(config, row)
            if drop:
                verdicts = [StepVerdict(READ, f"DROPPED {_reason(row)}")]
        replayed, doc = explain_steps(config, doc, row)
        stages.append(StageVerdicts(title, config, [*verdicts, *replayed]))
        if doc.is_dropped:
            break
    if doc is None:
        near = near_pages(next(iter(records)), target)
        hint = (
            f"did you mean one of: {', '.join(near)}"
            if near
            else "give a URL as it was crawled, or a doc_id of 32 hex digits"
        )
        raise UserError(f"no document {target!r} in {path!r}; {hint}")
    return Explanation(page, stages, doc)


def _as_it_came(config: StageConfig, row: Document) -> tuple[Document, bool]:
    """A row as it came to the stage: with its lines back, without verdict (masked data stays masked); dropped while read?"""
    if config.kind.reads_crawl:
        doc, drop = read_again(config, row)
        return (doc, False) if drop is None else (row, True)
    nothing = dict.fromkeys((*VERDICT_COLUMNS, "findings", "rule_values"))
    return restore_lines(row, [step.step for step in config.steps]).evolve(**nothing), False


def text_lines(doc: Document) -> list[str]:
    """Signals of a page, as JSON, and its text, each line with its tag."""
    lines = (doc.text or "").split("\n")
    tags = [*(doc.line_tags or ()), *[""] * len(lines)]
    signals = json.dumps(doc.page_signals, ensure_ascii=False)
    return [signals, *(f"{tag:>6} | {line}" for tag, line in zip(tags, lines, strict=False))]
