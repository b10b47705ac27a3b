"""Report on each step of a stage's output: thresholds, source, what it dropped or cut, with examples.

Of an output made with `output.audit` it also says how many documents each rule would drop if it stood alone.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import xxhash

from pipeline.config import parse
from pipeline.outputs import read_documents, read_record
from pipeline.steps import Rule, Step, bound
from pipeline.strict import no_such

COLUMNS = [
    "doc_id",
    "url",
    "title",
    "language",
    "text",
    "drop_step",
    "drop_reason",
    "drop_value",
    "removed_lines",
    "findings",
    "rule_values",
]
SNIPPET = 70


@dataclass(frozen=True)
class Example:
    """One document, or one line of it, that a step acted on."""

    language: str | None
    url: str | None
    reason: str
    value: str | None
    text: str
    alone: bool = False
    """True if an earlier step had dropped the document already."""


@dataclass
class StepReport:
    """Report on one step."""

    label: str
    step: Step
    dropped: Counter[str] = field(default_factory=Counter)
    cut_lines: int = 0
    cut_documents: int = 0
    findings: int = 0
    alone: Counter[str] = field(default_factory=Counter)
    """Audit mode: documents out of bounds, by language, whatever the steps before it did."""
    examples: dict[tuple[str, bool], list[tuple[int, str, Example]]] = field(default_factory=dict)

    def add(self, key: str, example: Example, keep: int) -> None:
        """Keep the examples of the smallest hashes: the same whatever the order of rows, and none is preferred."""
        heap = self.examples.setdefault((example.language or "", example.alone), [])
        # The heap's first item is its smallest, the next to go: so hashes count negative
        # (a doc_id can repeat; repr settles it).
        item = (-xxhash.xxh3_64_intdigest(key.encode()), repr(example), example)
        heapq.heappush(heap, item)
        if len(heap) > keep:
            heapq.heappop(heap)

    def chosen(self, n: int) -> list[Example]:
        """`n` examples, the languages in turn; documents that another step dropped only where there are too few."""
        out: list[Example] = []
        for alone in (False, True):
            queues = [
                [e for *_, e in sorted(heap, key=lambda item: item[:2], reverse=True)]
                for (_, is_alone), heap in sorted(self.examples.items(), key=lambda x: x[0])
                if is_alone == alone
            ]
            while any(queues) and len(out) < n:
                for queue in queues:
                    if queue and len(out) < n:
                        out.append(queue.pop(0))
        return out


def report(output: str, examples: int = 2, step: str | None = None) -> list[StepReport]:
    """Go through an output, file by file.

    :param step: the label of the only step that is reported.
    :raises UserError: if there is no finished output, or no such step in it.
    """
    config = parse(read_record(output).config, origin="stored config")
    steps = dict(zip(config.labels(), config.steps, strict=True))
    if step is not None and step not in steps:
        raise no_such("step, in this output", step, steps)
    reports = {label: StepReport(label, step) for label, step in steps.items()}
    by_name = {step.step: label for label, step in steps.items()}
    for table in read_documents(output, columns=COLUMNS):
        for row in table.to_pylist():
            _add_row(row, reports, by_name, examples)
    return [one for one in reports.values() if step in (None, one.label)]


def _add_row(row: dict[str, Any], reports: dict[str, StepReport], by_name: dict[str, str], keep: int) -> None:
    doc_id, language = row["doc_id"], row["language"]

    def example(reason: str, value: str | None, text: str, alone: bool = False) -> Example:
        return Example(language, row["url"], reason, value, " ".join(text.split())[:SNIPPET], alone)

    if row["drop_step"] in reports:
        one = reports[row["drop_step"]]
        one.dropped[row["drop_reason"]] += 1
        shown = example(row["drop_reason"], row["drop_value"], row["text"] or "")
        one.add(doc_id, shown, keep)
    cut: Counter[str] = Counter()
    for line in row["removed_lines"] or ():
        label = by_name.get(line["step"])
        if label is not None:
            cut[label] += 1
            if line["text"].strip():
                reports[label].add(f"{doc_id} {line['line']}", example("cut", None, line["text"]), keep)
    for label, n in cut.items():
        reports[label].cut_lines += n
        reports[label].cut_documents += 1
    for finding in row["findings"] or ():
        label = by_name.get(finding["step"])
        if label is not None:
            one = reports[label]
            one.findings += finding["count"]
            where = "" if finding["line"] is None else f", line {finding['line']}"
            one.add(
                f"{doc_id} {finding['name']}",
                example("found", f"{finding['count']} {finding['name']}{where}", ""),
                keep,
            )
    for measured in row["rule_values"] or ():
        if measured["rule"] not in reports:  # an earlier stage measured it
            continue
        one = reports[measured["rule"]]
        if not isinstance(one.step, Rule):
            one.alone[language or ""] += int(measured["value"] or 0)
            continue
        reason = one.step.judge(measured["value"], language)
        if reason is not None:
            one.alone[language or ""] += 1
            if row["drop_step"] != measured["rule"]:
                one.add(doc_id, example(reason, f"{measured['value']:.6g}", row["text"] or "", alone=True), keep)


def thresholds(step: Step) -> str:
    """A rule's bounds of all languages, or the parameters of another step that are numbers, for people."""
    if isinstance(step, Rule):
        limits_shown = []
        for sign, limits in (("≥", step.min), ("≤", step.max)):
            if limits is not None:
                if set(limits) == {"default"} or len(set(limits.values())) == 1:
                    limits_shown.append(f"{sign} {next(iter(limits.values())):g}")
                else:
                    limits_shown.append(f"{sign} " + ", ".join(f"{v:g} {k}" for k, v in limits.items()))
        return f"{'; '.join(limits_shown)} ({step.unit})"
    numbers = {
        k: v
        for k, v in step.model_dump(mode="json").items()
        if isinstance(v, int | float) and not isinstance(v, bool) and not k.startswith(("alarm", "driver"))
    }
    return ", ".join(f"{k} {v:g}" for k, v in numbers.items())


def bounds(rule: Rule, language: str | None) -> str:
    """The bounds that a rule has for one language: `≥ 50 (words)`."""
    limits = (("≥", bound(rule.min, language)), ("≤", bound(rule.max, language)))
    return (
        f"{'; '.join(f'{sign} {value:g}' for sign, value in limits if value is not None) or 'no bound'} ({rule.unit})"
    )


def source(step: Step) -> str:
    """The paper or measurement that a step names as its origin."""
    return str(getattr(type(step), "source", ""))


def what(step: Step) -> str:
    """The first sentence of a step's docstring."""
    return " ".join((type(step).__doc__ or "").split("\n\n")[0].split())


def acted(one: StepReport) -> str:
    """Action of a step in a few words."""
    actions = [f"{n:,} {reason}" for reason, n in sorted(one.dropped.items(), key=lambda x: (-x[1], x[0]))]
    if one.cut_lines:
        actions.append(f"{one.cut_lines:,} lines cut in {one.cut_documents:,} documents")
    if one.findings:
        actions.append(f"{one.findings:,} found")
    if any(one.alone.values()):
        actions.append("alone " + " + ".join(f"{n:,} {k or 'unknown'}" for k, n in sorted(one.alone.items())))
    return "; ".join(actions) or "nothing"


def markdown(reports: Sequence[StepReport], examples: int = 2) -> list[str]:
    """A table with a row a step, then the examples."""
    lines = ["| step | what it does | keeps | source | on the sample |", "|---|---|---|---|---|"]
    for one in reports:
        cells = map(_cell, (what(one.step), thresholds(one.step), source(one.step), acted(one)))
        lines.append(f"| `{one.label}` | " + " | ".join(cells) + " |")
    lines += ["", "| step | example | why |", "|---|---|---|"]
    for one in reports:
        for e in one.chosen(examples):
            why = e.reason + (f" {e.value}" if e.value else "") + (" (dropped before)" if e.alone else "")
            lines.append(f"| `{one.label}` | {_cell(e.text or '-')} <br> {_cell(_shown(e.url))} | {_cell(why)} |")
    return lines


def _shown(url: str | None) -> str:
    url = url or ""
    return url if len(url) <= 80 else url[:77] + "..."


def _cell(text: str) -> str:
    """Text of a page as a cell of a table, with its own markup escaped."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def plain(reports: Sequence[StepReport], examples: int = 2) -> list[str]:
    """Reports and examples as lines for a terminal."""
    lines = []
    for one in reports:
        lines += [f"{one.label}: {acted(one)}", f"    {thresholds(one.step)}"]
        for e in one.chosen(examples):
            why = e.reason + (f" {e.value}" if e.value else "") + (" (dropped before)" if e.alone else "")
            lines += [f"    - {why}: {e.text}", f"      {e.url}"]
    return lines
