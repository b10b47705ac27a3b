"""Public label sets as training texts: `mappings.tsv` says which classes a label may be. Topic lexicons as texts of random
words; what `labels.yaml` says of the classes; texts that a language model wrote to the definitions (`written.jsonl.gz`)."""

from __future__ import annotations

import csv
import gzip
import importlib.resources
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from classifiers.category.labels import CATEGORIES, GROUP_OF, LABELS

PER_LABEL = {
    "20newsgroups": 80, "brown-genres": 80, "cic": 3, "csldcp": 70, "dbpedia-219": 60,
    "iflytek": 40, "iflytek-dataclue": 20, "nlpcc-headlines": 150, "tnews": 150,
}  # fmt: skip
"""Texts of a label that are taken, at most, by hash."""

_COMPUTING = tuple(label for label in LABELS if GROUP_OF[label] in ("programming", "computing"))
LEXICONS: dict[str, tuple[str, ...]] = {
    "IT": _COMPUTING,
    "animal": ("entry_species", "popsci_life", "pets"),
    "caijing": ("investing", "news_economy", "opinion_economy", "personal_finance"),
    "car": ("vehicle_review", "vehicle_care", "news_cars"),
    "chengyu": ("words_idioms",),
    "diming": ("entry_place", "destination_guide", "travelogue"),
    "food": ("recipe", "food_knowledge", "restaurant_review"),
    "law": ("statute", "court_case", "legal_explainer", "paper_law_politics"),
    "lishimingren": ("history_narrative", "historical_document"),
    "medical": ("disease_treatment", "paper_medicine"),
    "poem": ("poetry_lyrics", "literary_appreciation"),
}
"""THUOCL's topics, and the classes that their words speak for."""

LEXICON_TEXTS, LEXICON_WORDS, LEXICON_SIZE = 40, 40, 4000
Labelled = tuple[list[str], npt.NDArray[np.float32]]
"""n texts; float32 (n, 200): 1 for each class that a text may be."""


def mappings() -> dict[str, dict[str, tuple[str, ...]]]:
    """Classes of each label of each set; labels that say nothing of the classes are not in it."""
    text = (importlib.resources.files(__package__) / "mappings.tsv").read_text(encoding="utf-8")
    out: dict[str, dict[str, tuple[str, ...]]] = {}
    for row in csv.DictReader(text.splitlines(), delimiter="\t"):
        if row["classes"] != "-":
            out.setdefault(row["set"], {})[row["label"]] = tuple(row["classes"].split(" "))
    return out


def _rows(data: Path, name: str) -> Iterator[dict[str, str]]:
    with gzip.open(data / "labels" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as f:
        yield from map(json.loads, f)


def public_texts(data: Path) -> Iterator[str]:
    """Read all texts of all sets."""
    for name in PER_LABEL:
        yield from (row["text"] for row in _rows(data, name))


def public_rows(data: Path) -> Iterator[tuple[str, str, str]]:
    """Set, label and text of the texts of the sets that are taken, as many of a label as PER_LABEL says."""
    for name, of in sorted(mappings().items()):
        taken: Counter[str] = Counter()
        rows = sorted(_rows(data, name), key=lambda row: xxhash.xxh3_64_intdigest(row["text"].encode()))
        for row in rows:
            if row["label"] in of and taken[row["label"]] < PER_LABEL[name]:
                taken[row["label"]] += 1
                yield name, row["label"], row["text"]


def public(data: Path) -> Labelled:
    """Texts of `public_rows`, and the classes that each may be."""
    of, rows = mappings(), list(public_rows(data))
    return [text for _, _, text in rows], _marks([of[name][label] for name, label, _ in rows])


def lexicons(data: Path, seed: int) -> Labelled:
    """Texts of random words of each topic."""
    random = np.random.default_rng(seed)
    texts, classes = [], []
    for topic, of in sorted(LEXICONS.items()):
        lines = (data / "labels" / "thuocl" / f"{topic}.tsv").read_text(encoding="utf-8").splitlines()
        words = [line.split("\t")[0].strip() for line in lines[:LEXICON_SIZE]]
        for _ in range(LEXICON_TEXTS):
            texts.append(" ".join(random.choice(words, LEXICON_WORDS)))
            classes.append(of)
    return texts, _marks(classes)


def definitions() -> tuple[list[str], list[str], npt.NDArray[np.float32]]:
    """Texts that say what labels.yaml says of each class, their titles (the name), and marks as in `Labelled`. Without
    the examples, of which many are titles of annotated pages."""
    texts, titles, classes = [], [], []
    for c in CATEGORIES:
        texts += [f"{c.en}. {c.definition['en']}. {c.includes}", f"{c.zh}。{c.definition['zh']}", c.definition["zh"]]
        titles += [c.en, c.zh, c.zh]
        classes += [(c.id,)] * 3
    return texts, titles, _marks(classes)


def written() -> tuple[list[str], list[str], npt.NDArray[np.float32]]:
    """Texts that a language model wrote to the definitions, their titles, and marks as in `Labelled`."""
    with (importlib.resources.files(__package__) / "written.jsonl.gz").open("rb") as f:
        rows = [json.loads(line) for line in gzip.decompress(f.read()).decode().split("\n") if line]
    return [row["text"] for row in rows], [row["title"] for row in rows], _marks([(row["category"],) for row in rows])


def _marks(classes: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
    place = {label: i for i, label in enumerate(LABELS)}
    out = np.zeros((len(classes), len(LABELS)), np.float32)
    for row, labels in zip(out, classes, strict=True):
        row[[place[label] for label in labels]] = 1
    return out
