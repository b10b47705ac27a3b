"""The made pages of the sample, data/sample/made/pages.jsonl: pages for what the collections of real pages do not hold.

    python scripts/made_pages.py

They are examples of the steps (`Step.drops`, `Step.changes`): those with an address under made.example, of the steps that are
named here. Beside them stand near-duplicates: real texts of gold.jsonl.gz with words changed.
"""

from __future__ import annotations

import gzip
import html
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.steps import DocumentStep, Example, discover

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "sample"
PAGES = [
    "code_diff", "wiki_diff", "parked_domain", "mojibake", "login_wall", "consent_wall", "calendar", "title_pattern",
    "url_pattern", "c4_javascript", "c4_policy_lines", "hash_ratio", "ellipsis_ratio", "mean_word_length", "top_2_gram",
    "repeated_characters", "cut_unwanted_lines", "placeholder", "prompt_share", "character_runs",
]  # fmt: skip
"""Steps whose examples are pages of the sample, in the order of the file. A new step changes the sample only if named here."""

TEXTS = ["error_page", "keyword_stuffing", "c4_lorem_ipsum", "number_share"]
"""Steps whose examples are rows of text, as other extractors give it: the line model cuts such lines before a rule sees them."""

REARRANGED = {
    "https://developer.hashicorp.com/terraform/language/resources": "en",
    "http://cwce.invalid/77fa9435-93a8-401b-a264-a3f5909d5ea7.html": "zh",
}
"""Pages of the sample that all stages keep, whose clauses are put in another order."""


def examples(step: str) -> Iterator[Example]:
    """Examples of a step that are pages of the sample."""
    cls = discover()[step]
    assert issubclass(cls, DocumentStep)
    yield from (e for e in (*cls.drops, *cls.changes) if e.url and ".made.example/" in e.url)


def page(title: str, lines: list[str], language: str | None, tags: tuple[str, ...] | None = None) -> str:
    """HTML with a paragraph for each line; neighbouring lines with the tag `pre` are one block."""
    blocks = []
    for tag, group in itertools.groupby(zip(tags or ("p",) * len(lines), lines, strict=True), lambda pair: pair[0]):
        texts = [html.escape(line) for _, line in group]
        blocks += [f"<pre>{chr(10).join(texts)}</pre>"] if tag == "pre" else [f"<p>{text}</p>" for text in texts]
    name, body = html.escape(title), "\n".join(blocks)
    head = f'<html lang="{language}"><head><title>{name}</title></head>'
    return f"{head}<body><article><h1>{name}</h1>\n{body}\n</article></body></html>"


def edited(text: str, every: int, word: str) -> list[str]:
    """Lines of a text with every so many-th word (or eighth character) replaced."""
    lines = []
    for line in text.split("\n"):
        words = line.split(" ")
        if len(words) < 3 and len(line) > 3 * every:
            line = "".join(c if i % (6 * every) else word for i, c in enumerate(line, 1))
        else:
            line = " ".join(w if i % every else word for i, w in enumerate(words, 1))
        if line.strip():
            lines.append(line)
    return lines


def rearranged(text: str, language: str) -> list[str]:
    """Lines of a text with the clauses of each in another order: the same words, few of the same 5-grams."""
    joint, stop = ("", "。") if language == "zh" else (" ", ".")
    lines = []
    for line in text.split("\n"):
        clauses = [c.strip() for c in re.split(r"(?<=[,.;!?，。；！？])", line) if c.strip()]
        mixed = joint.join([*clauses[1::2], *clauses[::2]]).rstrip(",;，；")
        if mixed:
            lines.append(mixed if mixed[-1] in ".!?。！？" or len(clauses) < 2 else mixed + stop)
    return lines


def near_duplicates() -> Iterator[tuple[str, str]]:
    """URL and HTML of two edited copies of the first long article of each language, and of the rearranged pages."""
    with gzip.open(SAMPLE / "gold.jsonl.gz", "rt", encoding="utf-8") as f:
        gold = [json.loads(line) for line in f]
    articles = [g for g in gold if g["page_type"] == "article" and 2000 < len(g["main_content"]) < 6000]
    for language, word in (("en", "indeed"), ("zh", "亦")):
        text = next(g["main_content"] for g in articles if g["language"] == language)
        for i, every in enumerate((40, 90)):
            yield f"https://copy{i}.made.example/{language}", page("A copy", edited(text, every, word), language)
    texts = {g["url"]: g["main_content"] for g in gold}
    for url, language in REARRANGED.items():
        lines = rearranged(texts[url], language)
        yield f"https://rearranged.made.example/{language}", page("Rearranged", lines, language)


def pages() -> dict[str, str]:
    """All that this script writes: path in the repository to text."""
    rows = [
        {"url": e.url, "html": page(e.title or "", (e.text or "").split("\n"), e.language, e.line_tags)}
        for step in PAGES
        for e in examples(step)
    ]
    rows += [{"url": url, "html": text} for url, text in near_duplicates()]
    rows += [{"url": e.url, "text": e.text} for step in TEXTS for e in examples(step)]
    rows = [{**row, "crawl_time": "2024-05-01T00:00:00Z"} for row in rows]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return {"data/sample/made/pages.jsonl": lines}


if __name__ == "__main__":
    for path, text in pages().items():
        (ROOT / path).write_text(text, encoding="utf-8")
