"""Outcome of other thresholds, from the stored values of an output made with `output.audit`.

Nothing is run again: each document's first rule out of bounds is found under the stored and under the changed thresholds.
Left out, since they compare documents or change text: what line and fuzzy deduplication would do with documents that come
back, and steps that cut lines, whose thresholds cannot be changed here.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xxhash

from pipeline.config import StageConfig, apply_override, parse
from pipeline.outputs import read_documents, read_record
from pipeline.steps import Rule
from pipeline.strict import UserError, near, no_such

COLUMNS = ["doc_id", "url", "language", "text", "drop_step", "drop_reason", "rule_values"]
SNIPPET = 80


@dataclass
class Change:
    """Documents whose fate changes by one rule: newly dropped by it, or dropped by it before and now kept by all rules."""

    rule: str
    newly_dropped: Counter[str] = field(default_factory=Counter)
    newly_kept: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)


@dataclass
class Outcome:
    """Outcome of a change of thresholds."""

    documents: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    kept_before: Counter[str] = field(default_factory=Counter)
    kept_after: Counter[str] = field(default_factory=Counter)
    characters_before: Counter[str] = field(default_factory=Counter)
    characters_after: Counter[str] = field(default_factory=Counter)
    changes: dict[str, Change] = field(default_factory=dict)


def stored_config(output: str) -> StageConfig:
    """Read the config of an output made in audit mode. :raises UserError: if there is none, or it was made without."""
    config = parse(read_record(output).config, origin="stored config")
    if not config.output.audit:
        raise UserError(
            f"{output!r} holds no values of rules: make it with --set output.audit=true, then every threshold can be tried"
        )
    return config


def changed_rules(config: StageConfig, overrides: Sequence[str]) -> dict[str, tuple[Rule, Rule]]:
    """Rules as stored and as changed, by label, those that differ.

    :raises UserError: if there is no override, or one is for something else than a rule's bounds.
    """
    if not overrides:
        raise UserError("say what to change, such as --set steps.word_count.min.en=30 (or --curve word_count)")
    data = config.model_dump(mode="json")
    rules = [label for label, step in zip(config.labels(), config.steps, strict=True) if isinstance(step, Rule)]
    for override in overrides:
        parts = override.partition("=")[0].split(".")
        if len(parts) < 3 or parts[0] != "steps" or parts[1] not in rules or parts[2] not in ("min", "max"):
            raise UserError(
                f"--set {override!r}: expected steps.RULE.min or steps.RULE.max, with a language or without; other changes need "
                f"a run. The rules are: {', '.join(rules)}{near(parts[1] if len(parts) > 1 else override, rules)}"
            )
        apply_override(data, override)
    changed = parse(data, origin="changed config")
    pairs = zip(config.labels(), config.steps, changed.steps, strict=True)
    return {
        label: (old, new)
        for label, old, new in pairs
        if isinstance(old, Rule) and isinstance(new, Rule) and (old.min, old.max) != (new.min, new.max)
    }


def rows(output: str, config: StageConfig) -> Iterator[tuple[dict[str, Any], dict[str, float | None]]]:
    """Rows that reached the stage's rules, file by file, with what its steps measured, in their order.

    Values that earlier stages measured are left out: the rows have passed those.
    """
    labels = config.labels()
    for table in read_documents(output, columns=COLUMNS):
        for row in table.to_pylist():
            stored = {v["rule"]: v["value"] for v in row["rule_values"] or ()}
            values = {label: stored[label] for label in labels if label in stored}
            if values:
                yield row, values


def outcome(output: str, overrides: Sequence[str], examples: int = 3) -> Outcome:
    """Go through an output with changed thresholds."""
    config = stored_config(output)
    changed = changed_rules(config, overrides)
    rules = {label: s for label, s in zip(config.labels(), config.steps, strict=True) if isinstance(s, Rule)}
    result = Outcome(changes={label: Change(label) for label in changed})
    for row, values in rows(output, config):
        language, size = row["language"] or "unknown", len(row["text"] or "")

        def first(which: int, values: dict[str, Any] = values, row: dict[str, Any] = row) -> str | None:
            for label, value in values.items():  # in the order of the steps
                if label not in rules:
                    if value:
                        return label
                    continue
                judge = changed[label][which] if label in changed else rules[label]
                if judge.judge(value, row["language"]) is not None:
                    return label
            return None

        before, after = first(0), first(1)
        # A row that a comparison or a cutting step dropped stays dropped: only rules are asked again.
        elsewhere = row["drop_step"] is not None and (
            row["drop_step"] not in values or row["drop_reason"] == "step_error"
        )
        result.documents[language] += 1
        result.characters[language] += size
        if before is None and not elsewhere:
            result.kept_before[language] += 1
            result.characters_before[language] += size
        if after is None and not elsewhere:
            result.kept_after[language] += 1
            result.characters_after[language] += size
        if elsewhere or (before is None) == (after is None):
            continue
        label = after or before
        assert label is not None
        change = result.changes.get(label)
        if change is None:
            continue
        kind = "newly dropped" if after is not None else "newly kept"
        (change.newly_dropped if after is not None else change.newly_kept)[language] += 1
        heap = change.examples.setdefault(kind, [])
        shown = f"{values[label]:.6g}  {' '.join((row['text'] or '').split())[:SNIPPET]}"
        item = (-xxhash.xxh3_64_intdigest(row["doc_id"].encode()), row["url"] or row["doc_id"], shown)
        heapq.heappush(heap, item)
        if len(heap) > examples:
            heapq.heappop(heap)
    return result


NOTE = (
    "Rules alone were asked again, on the text as it was: what steps that compare documents (deduplication, pii_domains, "
    "unsafe_sites) would do with the changed set is left out."
)


def outcome_data(result: Outcome) -> dict[str, Any]:
    """The counts of an outcome as plain data."""
    changes = {c.rule: {"newly_kept": c.newly_kept, "newly_dropped": c.newly_dropped} for c in result.changes.values()}
    return {"kept_before": result.kept_before, "kept_after": result.kept_after, "changes": changes, "note": NOTE}


def outcome_lines(config: StageConfig, overrides: Sequence[str], result: Outcome) -> list[str]:
    """An outcome for people."""
    lines = [
        f"{'language':<10} {'documents':>12} {'kept before':>14} {'kept after':>14} {'characters before':>18} {'after':>14}"
    ]
    lines += [
        f"{k:<10} {n:>12,} {result.kept_before[k]:>14,} {result.kept_after[k]:>14,} "
        f"{result.characters_before[k]:>18,} {result.characters_after[k]:>14,}"
        for k, n in sorted(result.documents.items())
    ]
    for label, (old, new) in changed_rules(config, overrides).items():
        change = result.changes[label]
        bounds = [
            f"{n} {getattr(old, n)} -> {getattr(new, n)}" for n in ("min", "max") if getattr(old, n) != getattr(new, n)
        ]
        lines += ["", f"{label} ({old.unit}): {'; '.join(bounds)}"]
        for kind, counts in (("newly kept", change.newly_kept), ("newly dropped", change.newly_dropped)):
            languages = ", ".join(f"{n:,} {k}" for k, n in sorted(counts.items())) or "none"
            lines.append(f"  {kind}: {languages}")
            for _, url, shown in sorted(change.examples.get(kind, []), reverse=True):
                lines += [f"    {shown}", f"      {url}"]
    return [*lines, "", NOTE]


def curve(output: str, label: str, points: int = 11) -> list[str]:
    """Share of documents on the dropped side of a rule at a grid of thresholds, by language."""
    config = stored_config(output)
    rules = {name: s for name, s in zip(config.labels(), config.steps, strict=True) if isinstance(s, Rule)}
    if label not in rules:
        raise no_such("rule, in this output", label, rules)
    values: dict[str, list[float]] = {}
    for row, measured in rows(output, config):
        if measured.get(label) is not None:
            values.setdefault(row["language"] or "unknown", []).append(measured[label] or 0.0)
    rule = rules[label]
    lines = [f"{label} ({rule.unit}); stored: min {rule.min}, max {rule.max}; all documents, each rule by itself"]
    for language, measured_values in sorted(values.items()):
        ordered = np.sort(np.array(measured_values))
        grid = np.unique(np.quantile(ordered, np.linspace(0, 1, points)))
        lines.append(f"  {language}: {len(ordered):,} documents")
        lines.append(f"    {'threshold':>12} {'below it':>10} {'above it':>10}")
        for threshold in grid:
            below = np.searchsorted(ordered, threshold, "left") / len(ordered)
            above = 1 - np.searchsorted(ordered, threshold, "right") / len(ordered)
            lines.append(f"    {threshold:>12.6g} {below:>10.1%} {above:>10.1%}")
    return lines
