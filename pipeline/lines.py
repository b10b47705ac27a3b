"""Lines that steps cut from a text, and how they are put back.

A step cuts by `cut_lines`, which records each line with the step, its number in the text as the step found it, its text and
what was known of it. `restore_lines` undoes the cuts from the last to the first.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection

from pipeline.schema import Document
from pipeline.text import lines


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
    tags, shares = doc.line_tags, doc.line_link_share
    keep = [i for i in range(len(old)) if i not in gone]
    removed = [
        {
            "step": step,
            "line": i,
            "text": old[i],
            "tag": None if tags is None else tags[i],
            "link_share": None if shares is None else shares[i],
        }
        for i in sorted(gone)
    ]
    # A text has at least one line: where none is left, an empty one without tag stands for it.
    return doc.evolve(
        text="\n".join(old[i] for i in keep),
        line_tags=None if tags is None else [tags[i] for i in keep] or [""],
        line_link_share=None if shares is None else [shares[i] for i in keep] or [0.0],
        removed_lines=[*(doc.removed_lines or ()), *removed],
    )


def restore_lines(doc: Document) -> Document:
    """The document with its removed lines back in place; what steps changed within lines stays changed."""
    text = doc.text
    tags, shares = doc.line_tags, doc.line_link_share
    # Cuts are recorded in order, each step's in one run (a step that cuts is in a configuration once).
    cuts = [list(group) for _, group in itertools.groupby(doc.removed_lines or (), key=lambda r: r["step"])]
    now = lines(text) if text is not None else []
    for cut in reversed(cuts):
        if now == [""] and not (tags and tags[0]):  # no line was left
            now, tags, shares = [], None if tags is None else [], None if shares is None else []
        now = list(now)
        tags, shares = None if tags is None else list(tags), None if shares is None else list(shares)
        for removed in cut:  # ascending: each insertion puts the next number right
            now.insert(removed["line"], removed["text"])
            if tags is not None:
                tags.insert(removed["line"], removed["tag"])
            if shares is not None:
                shares.insert(removed["line"], removed["link_share"])
    return doc.evolve(text="\n".join(now) if cuts else text, line_tags=tags, line_link_share=shares, removed_lines=None)
