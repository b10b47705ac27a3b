"""Decontamination and personal data: speed, memory, and what of planted test items is found.

    python benchmarks/decontamination.py [--data DIR]

Test items are made at run time of sentences of gold pages: of half of the hosts, chosen by hash. They are planted into pages of
the other half: word for word, with other case, punctuation and line breaks, and with every tenth word (Chinese: twentieth
character) replaced. What is found in the pages without a planted item is a false positive, but for sentences that pages do share.
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import machine
import xxhash
from gold import gold_rows

from extraction.domains import registered_domain
from pipeline.rule_based.decontamination import Decontaminate, index
from pipeline.rule_based.pii import Pii
from pipeline.schema import Document, Drop


def items(rows: list[dict[str, Any]], language: str) -> list[str]:
    """Two lines of each page that are as long as a question with its text."""
    out = []
    for row in rows:
        if row["language"] == language:
            low, high = (120, 400) if language == "en" else (40, 160)
            lines = [line.strip() for line in row["main_content"].split("\n") if low <= len(line.strip()) <= high]
            out += lines[len(lines) // 2 :][:2]
    return list(dict.fromkeys(out))


def changed(text: str, way: str, language: str, chance: random.Random) -> str:
    if way == "case, punctuation, line breaks":
        text = text.upper().replace(",", " -").replace("，", "—").replace(".", "!").replace("。", "！！")
        middle = len(text) // 2
        cut = text.find(" ", middle) if language == "en" else middle
        return text[:cut] + "\n" + text[cut:]
    if way == "edited":
        units = text.split(" ") if language == "en" else list(text)
        every = 10 if language == "en" else 20
        for i in range(chance.randrange(every), len(units), every):
            units[i] = "other" if language == "en" else "某"
        return (" " if language == "en" else "").join(units)
    return text


def main() -> None:
    parser = machine.parser(__doc__, data="folder of pages", default=machine.data_or_sample())
    arguments = parser.parse_args()
    rows = gold_rows(arguments.data)
    halves: tuple[list[Any], list[Any]] = ([], [])
    for row in rows:
        host = registered_domain(row["url"]) or row["url"]
        halves[xxhash.xxh3_64_intdigest(host.encode()) & 1].append(row)
    result: dict[str, Any] = {"data": f"{len(rows)} gold pages", "languages": {}}
    with tempfile.TemporaryDirectory() as folder:
        for language in ("en", "zh"):
            questions = items(halves[0], language)
            path = Path(folder) / f"{language}.jsonl"
            path.write_text(
                "".join(json.dumps({"q": q}, ensure_ascii=False) + "\n" for q in questions), encoding="utf-8"
            )
            test_set = {"path": str(path), "name": language, "fields": ["q"]}
            step = Decontaminate.model_validate({"step": "decontaminate", "test_sets": [test_set]})
            step.load()
            item_index = index(step.model_dump_json())
            pages = [
                Document(doc_id=f"{i:032x}", source_file="gold", url=r["url"], text=r["main_content"])
                for i, r in enumerate(halves[1])
                if r["language"] == language
            ]
            step.process(pages[:20])  # compiles
            seconds, clean = machine.fastest(step.process, pages, passes=1)
            masked = Pii()
            masked.process(pages[:20])
            pii_seconds, _ = machine.fastest(masked.process, pages, passes=1)
            recall = {}
            chance = random.Random(0)
            for way in ("word for word", "case, punctuation, line breaks", "edited"):
                hits = 0
                for i, question in enumerate(questions):
                    page = pages[i % len(pages)]
                    planted = f"{page.text}\n{changed(question, way, language, chance)}\nThe end."
                    hits += isinstance(step(page.evolve(text=planted)), Drop)
                recall[way] = round(hits / len(questions), 4)
            grams = sum(len(t.items) for t in item_index.tables.values())
            result["languages"][language] = {
                "items": len(questions),
                "ngrams": grams,
                "bytes_per_ngram": round(item_index.bytes / grams, 1),
                "found_of_planted": recall,
                "clean_pages": len(pages),
                "clean_pages_dropped": [
                    {"url": p.url, "item": v.value} for p, v in zip(pages, clean, strict=True) if isinstance(v, Drop)
                ],
                "mean_characters": round(sum(len(p.text or "") for p in pages) / len(pages)),
                "decontaminate_documents_per_cpu_second": round(len(pages) / seconds),
                "pii_documents_per_cpu_second": round(len(pages) / pii_seconds),
            }
    machine.save("decontamination", result)


if __name__ == "__main__":
    main()
