"""Language identification: speed, and what it is shown: `python benchmarks/language.py [--data DIR]`.

Pages are those of `DIR/html` with gold text. A page counts as right if it is kept (score >= 0.65) in the language of
its set: English for wcxb-dev (6 of whose pages are in other languages), Chinese for zh-gold and zh-blogs.

Mixed documents are made of a Chinese page of zh-gold and an English one of wcxb-dev, each of 1,000 characters or more: an
abstract (the first 800 characters of one) before or behind the text of the other, at most a third of the words; and three
words of one to two of the other. Right is a document in the language with more words. The stored share
of the other language is compared with its share of the words; under a tenth it is stored as none.

Times are CPU seconds of one process, the best of three passes over batches of 2,000.
"""

from __future__ import annotations

import functools
import re
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fasttext.FastText
import gold
import machine

from pipeline.preparation import language
from pipeline.preparation.language import MIXED, Language, visible
from pipeline.schema import Document, Drop

BATCH = 2_000
ABSTRACT = 800
LONG = 1_000
STEP = "the step"
_CJK_OR_WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff]|[^\\W\\d_\u3040-\u30ff\u3400-\u9fff]+")

Shown = Callable[[str], str]


def texts(data: Path) -> list[tuple[str, str, str]]:
    """Set, expected language and text of every page with text."""
    return [
        (name, expected, row[field])
        for name, file, field, expected in gold.SETS
        for row in gold.rows(data / "html" / file)
        if row[field].strip()
    ]


def one_line(text: str) -> str:
    return " ".join(text.split())


@functools.cache
def model() -> Any:
    weights = Path(language.__file__).parent / "weights" / "lid.176.ftz"
    return fasttext.FastText._FastText(model_path=str(weights))  # `load_model` prints a warning


def asked(step: Language, shown: Shown, head: int | None, second: int | None, batch: list[str]) -> list[str | None]:
    """The language each text is kept in if the model sees its first `head` characters, and `second` where it is unsure."""

    def best(some: list[str]) -> list[tuple[float, str]]:
        labels, scores = model().predict(some, k=1)
        return [(float(s[0]), code[0].removeprefix("__label__")) for code, s in zip(labels, scores, strict=True)]

    found = best([shown(text[:head]) for text in batch])
    if second:
        unsure = [i for i, (score, _) in enumerate(found) if score < step.min_score]
        for i, one in zip(unsure, best([shown(batch[i][:second]) for i in unsure]), strict=True):
            found[i] = one
    return [step.merge.get(code, code) if score >= step.min_score else None for score, code in found]


def kept(step: Language, batch: list[str]) -> list[str | None]:
    """The language that the step keeps each text in."""
    verdicts = step.process([Document(doc_id="0" * 32, source_file="-", text=text) for text in batch])
    return [None if isinstance(verdict, Drop) else verdict.language for verdict in verdicts]


def words(text: str) -> int:
    return len(_CJK_OR_WORD.findall(text))


def cut(text: str, n: int) -> str:
    """The first n words of a text."""
    return text[: [match.end() for match in _CJK_OR_WORD.finditer(text)][n - 1]]


def mixed(rows: list[tuple[str, str, str]]) -> dict[str, list[tuple[str, str, float]]]:
    """Text, language with more words and share of the other's words, of documents of each kind."""
    pages = {name: [t for n, _, t in rows if n == name and len(t) >= LONG] for name in ("zh-gold", "wcxb-dev")}
    out: dict[str, list[tuple[str, str, float]]] = {}

    def add(kind: str, before: str, behind: str, code: str, share: float) -> None:
        out.setdefault(kind, []).append((f"{before}\n{behind}", code, share))

    for chinese, english in zip(pages["zh-gold"], pages["wcxb-dev"], strict=False):
        for kind, code, text, other in (
            ("Chinese, English abstract", "zh", chinese, english),
            ("English, Chinese abstract", "en", english, chinese),
        ):
            abstract = other[:ABSTRACT]
            share = words(abstract) / (words(text) + words(abstract))
            if share <= 1 / 3:
                add(f"{kind} before", abstract, text, code, share)
                add(f"{kind} behind", text, abstract, code, share)
        n = min(words(chinese), words(english))
        add("three fifths Chinese, then English", cut(chinese, n), cut(english, 2 * n // 3), "zh", 0.4)
        add("three fifths English, then Chinese", cut(english, n), cut(chinese, 2 * n // 3), "en", 0.4)
    return out


def main() -> None:
    parser = machine.parser(__doc__, data="folder with html/*.jsonl.gz")
    rows = texts(parser.parse_args().data)
    step = Language()
    step.load()
    ways: dict[str, Callable[[list[str]], list[str | None]]] = {
        "whole text, as CCNet": lambda batch: asked(step, one_line, None, None, batch),
        "first 400 characters": lambda batch: asked(step, one_line, 400, None, batch),
        "first 400, without ASCII in mainly CJK text": lambda batch: asked(step, visible, 400, None, batch),
        "the same, 5,000 where unsure": lambda batch: asked(step, visible, 400, 5000, batch),
        STEP: lambda batch: kept(step, batch),
    }
    pages = [text for _, _, text in rows]
    results = {}
    for name, way in ways.items():
        seconds, languages = machine.fastest(
            lambda way=way: [v for i in range(0, len(pages), BATCH) for v in way(pages[i : i + BATCH])]
        )
        right: Counter[str] = Counter()
        wrong: Counter[str] = Counter()
        for (source, expected, _), code in zip(rows, languages, strict=True):
            if code in ("zh", "en"):
                (right if code == expected else wrong)[source] += 1
        results[name] = {
            "docs_per_s": round(len(pages) / seconds),
            "kept_in_the_expected_language": dict(right),
            "kept_in_the_other_language": dict(wrong),
        }
    count = Counter(source for source, _, _ in rows)
    machine.save(
        "language",
        {
            "data": {"pages_with_text": dict(count), "mean_characters": round(sum(map(len, pages)) / len(pages))},
            "shown": results,
            "mixed": {
                kind: of_mixed(step, ways["the same, 5,000 where unsure"], made) for kind, made in mixed(rows).items()
            },
        },
    )


def of_mixed(
    step: Language, before: Callable[[list[str]], list[str | None]], made: list[tuple[str, str, float]]
) -> dict[str, Any]:
    """How many documents of a kind are in the language with more words, and how far the stored shares are from the words'."""
    docs = step.process([Document(doc_id="0" * 32, source_file="-", text=text) for text, _, _ in made])
    found = [v.document if isinstance(v, Drop) else v for v in docs]
    errors = []
    for doc, (_, code, share) in zip(found, made, strict=True):
        assert doc is not None
        other = {"zh": "en", "en": "zh"}[code]
        share = share if share >= MIXED else 0.0
        errors.append(abs(share - sum(s["share"] for s in doc.languages or () if s["language"] == other)))
    return {
        "documents": len(made),
        "right": sum(doc is not None and doc.language == m[1] for doc, m in zip(found, made, strict=True)),
        "right_before": sum(b == m[1] for b, m in zip(before([m[0] for m in made]), made, strict=True)),
        "mean_error_of_the_share": round(statistics.fmean(errors), 3),
    }


if __name__ == "__main__":
    main()
