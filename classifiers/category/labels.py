"""The 200 classes of `labels.yaml`, their 23 groups, and the groups for balancing."""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from typing import Any

import yaml

from classifiers.answer import one_of


@dataclass(frozen=True, slots=True)
class Group:
    """A group of classes.

    :param en: name in English; `zh` in Chinese.
    :param balance: the group for balancing that its classes are in: encyclopaedic, teaching, fiction ...
    """

    id: str
    en: str
    zh: str
    balance: str


@dataclass(frozen=True, slots=True)
class Category:
    """A class: something that a person who balances a corpus would turn up or down.

    :param definition: in English (`en`) and in Chinese (`zh`).
    :param includes: what belongs, beyond the definition; `excludes` what does not, and where it goes.
    :param example: the beginning or title of a page, in English (`en`) and in Chinese (`zh`), as found on pages or made up: some
        are those of annotated pages, so nothing is trained on them.
    """

    id: str
    group: str
    en: str
    zh: str
    definition: dict[str, str]
    includes: str
    excludes: str
    example: dict[str, str]


def _read() -> tuple[tuple[Group, ...], tuple[Category, ...]]:
    text = (importlib.resources.files(__package__) / "labels.yaml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where it was built
    rows: list[dict[str, Any]] = yaml.load(text, loader)["groups"]
    groups = tuple(Group(**{name: row[name] for name in Group.__slots__}) for row in rows)
    return groups, tuple(Category(group=row["id"], **entry) for row in rows for entry in row["classes"])


GROUPS, CATEGORIES = _read()
LABELS = tuple(c.id for c in CATEGORIES)
GROUP_OF = {c.id: c.group for c in CATEGORIES}
BALANCE_OF = {c.id: next(g.balance for g in GROUPS if g.id == c.group) for c in CATEGORIES}
ANSWER = one_of(
    LABELS, "".join(f"- {c.id}: {c.definition['en']} Also: {c.includes}. Not: {c.excludes}.\n" for c in CATEGORIES)
)
