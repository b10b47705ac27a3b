"""Lines that steps cut from a text, and how they are put back.

A step cuts by `cut_lines`, which records each line with the step, its number in the text as the step found it, its text and
what was known of it. `restore_lines` undoes the cuts from the last to the first.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from extraction.result import SCALE
from extraction.text import lines
from pipeline.schema import Document


def cut_lines(doc: Document, step: str, numbers: Collection[int]) -> Document:
    """The document without the lines of these numbers (from 0), which `removed_lines` then holds.

    The text becomes "" if every line goes. A document with nothing to cut is returned as it is.

    :raises IndexError: if there is no such line.
    """
    if not numbers:
        return doc
    old = lines(doc.text or "")
    gone = set(numbers)
    if min(gone) < 0 or max(gone) >= len(old):
        raise IndexError(f"cannot cut line {max(gone)} of a text of {len(old)} lines")
    tags, shares, scores = doc.line_tags, doc.line_link_share, doc.line_scores
    known = {"tag": tags, "link_share": shares, "score": scores}
    keep = [i for i in range(len(old)) if i not in gone]
    removed = [
        {"step": step, "line": i, "text": old[i], "kind": None}
        | {name: None if v is None else v[i] for name, v in known.items()}
        for i in sorted(gone)
    ]
    # A text has at least one line: where none is left, an empty one without tag stands for it.
    return doc.evolve(
        text="\n".join(old[i] for i in keep),
        line_tags=None if tags is None else [tags[i] for i in keep] or [""],
        line_link_share=None if shares is None else [shares[i] for i in keep] or [0.0],
        line_scores=None if scores is None else [scores[i] for i in keep] or [0],
        removed_lines=[*(doc.removed_lines or ()), *removed],
    )


@dataclass(frozen=True)
class MarkedLine:
    """A line of a text as it was before cuts: who cut it (None: it is still there), and its score, 0 to 1, if it has one."""

    text: str
    cut_by: str | None
    score: float | None


def marked_lines(doc: Document) -> list[MarkedLine]:
    """Lines of a text, those that steps cut back in their places."""
    whole = _restored(doc, 0)
    scores = whole.get("score") or [None] * len(whole["text"])
    return [
        MarkedLine(text, step, None if score is None else score / SCALE)
        for text, step, score in zip(whole["text"], whole["step"], scores, strict=True)
    ]


def restore_lines(doc: Document, steps: Collection[str] | None = None) -> Document:
    """The document with its removed lines back in place; what steps changed within lines stays changed.

    :param steps: undo only what was cut last, by these steps (by default all cuts). Cuts before them stay recorded.
    """
    cuts = _cuts(doc)
    stay = 0
    if steps is not None:
        stay = next((i + 1 for i in range(len(cuts) - 1, -1, -1) if cuts[i][0]["step"] not in steps), 0)
    if len(cuts) == stay:
        return doc
    whole = _restored(doc, stay)
    remaining = [removed for cut in cuts[:stay] for removed in cut]
    return doc.evolve(
        text="\n".join(whole["text"]),
        line_tags=whole.get("tag"),
        line_link_share=whole.get("link_share"),
        line_scores=whole.get("score"),
        removed_lines=remaining or None,
    )


def _cuts(doc: Document) -> list[list[dict[str, Any]]]:
    """Cuts in order, each step's in one run (a step that cuts is in a configuration once)."""
    return [list(group) for _, group in itertools.groupby(doc.removed_lines or (), key=lambda r: r["step"])]


def _restored(doc: Document, stay: int) -> dict[str, list[Any]]:
    """Columns of the lines with all cuts but the first `stay` undone: text, step that cut it, and what is known of it."""
    now = lines(doc.text or "")
    columns: dict[str, list[Any] | None] = {
        "text": now,
        "step": [None] * len(now),
        "tag": doc.line_tags,
        "link_share": doc.line_link_share,
        "score": doc.line_scores,
    }
    cuts = _cuts(doc)[stay:]
    if cuts and now == [""] and not (doc.line_tags and doc.line_tags[0]):  # no line was left
        columns = {name: None if values is None else [] for name, values in columns.items()}
    whole = {name: list(values) for name, values in columns.items() if values is not None}
    for cut in reversed(cuts):
        for removed in cut:  # ascending: each insertion puts the next number right
            for name, values in whole.items():
                values.insert(removed["line"], removed[name])
    return whole
