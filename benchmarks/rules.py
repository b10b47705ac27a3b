"""The quality rules: what of good text survives, how they agree with datatrove's, how fast they are.

    python benchmarks/rules.py [--data DIR]

Survival: the gold main texts of pages (human-made, so good by construction) go through every rule and line step of
configs/rule_based.yaml, in order; hosts are split in two by hash, the thresholds were chosen on the first half, the second is
reported as held out. Dropped shares of listing and collection pages are of their gold text too.

Agreement: rule by rule with datatrove's Gopher, C4 and FineWeb filters at equal thresholds, over the English gold texts;
datatrove stops at a document's first reason, so each of its rules is asked alone, all others switched off.

Speed: distinct real documents of about 5,000 bytes (gold texts joined and cut), all rules together and one by one.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import xxhash
from gold import gold_rows, page_texts

from extraction.domains import registered_domain
from pipeline.config import load
from pipeline.rule_based.c4 import C4ShortLines, C4TerminalPunctuation
from pipeline.rule_based.phrases_of import phrases_of
from pipeline.rule_based.statistics import TextStatistics, forget
from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep, Rule, apply_step, discover

ROOT = Path(__file__).resolve().parent.parent
GOOD = ("article", "documentation")
BYTES = 5_000
PASSES = 7


def gold_pages(data: Path) -> list[dict[str, Any]]:
    """Gold pages as documents, with page type and half."""
    return [
        {
            "type": row["page_type"],
            "language": row["language"],
            "held_out": bool(xxhash.xxh3_64_intdigest((registered_domain(row["url"]) or row["url"]).encode()) & 1),
            "doc": Document(
                doc_id=f"{i:032x}",
                source_file="gold",
                url=row["url"],
                title=row.get("title"),
                text=row["main_content"],
                language=row["language"],
            ),
        }
        for i, row in enumerate(gold_rows(data))
    ]


def rule_steps() -> list[DocumentStep]:
    """The rules and line steps of the shipped stage, in order."""
    config = load(ROOT / "configs" / "rule_based.yaml")
    steps = [s for s in config.steps if isinstance(s, DocumentStep) and s.audited]
    for step in steps:
        step.load()
    return steps


def survival(pages: list[dict[str, Any]], steps: list[DocumentStep]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    groups: dict[str, list[dict[str, Any]]] = {}
    for page in pages:
        half = "held out" if page["held_out"] else "tuned on"
        good = "article + documentation" if page["type"] in GOOD else page["type"]
        groups.setdefault(f"{page['language']}, {good}, {half}", []).append(page)
    for name, members in sorted(groups.items()):
        dropped: Counter[str] = Counter()
        cut = total = 0
        for page in members:
            doc: Document | Drop = page["doc"]
            total += len(page["doc"].text)
            for step in steps:
                assert isinstance(doc, Document)
                (doc,) = apply_step(step, [doc])
                if isinstance(doc, Drop):
                    dropped[f"{step.step}: {doc.reason}"] += 1
                    break
            if isinstance(doc, Document):
                cut += sum(len(line["text"]) for line in doc.removed_lines or ())
        out[name] = {
            "pages": len(members),
            "survive": round(1 - sum(dropped.values()) / len(members), 4),
            "characters_cut_from_survivors": round(cut / total, 5),
            "dropped": dict(dropped.most_common()),
        }
    return out


def agreement(pages: list[dict[str, Any]]) -> dict[str, Any]:
    """Drops by each rule of ours and of datatrove's alone, at the same threshold."""
    from datatrove.data import Document as TheirDocument
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    known = discover("rule_based")
    off_quality = dict.fromkeys(
        (
            "min_doc_words",
            "max_doc_words",
            "min_avg_word_length",
            "max_avg_word_length",
            "max_symbol_word_ratio",
            "max_bullet_lines_ratio",
            "max_ellipsis_lines_ratio",
            "max_non_alpha_words_ratio",
            "min_stop_words",
        )
    )
    off_repetition: dict[str, Any] = dict.fromkeys(
        ("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac")
    ) | {"top_n_grams": (), "dup_n_grams": ()}
    off_fineweb = {"line_punct_thr": 0, "short_line_thr": 1, "char_duplicates_ratio": 1, "new_line_ratio": 1e9}
    off_c4 = {
        "filter_no_terminal_punct": False,
        "min_num_sentences": -1,
        "min_words_per_line": -1,
        "max_word_length": -1,
        "filter_lorem_ipsum": False,
        "filter_javascript": False,
        "filter_curly_bracket": False,
        "filter_policy": False,
    }

    def quality(**on: Any) -> Any:
        return GopherQualityFilter(**(off_quality | on))

    def repetition(**on: Any) -> Any:
        return GopherRepetitionFilter(**(off_repetition | on))

    def rule(name: str, **bounds: Any) -> Any:
        return known[name].model_validate({"step": name, "min": None, "max": None} | bounds)

    pairs: list[tuple[Any, Any]] = [
        (rule("word_count", min=50, max=100_000), quality(min_doc_words=50, max_doc_words=100_000)),
        (rule("mean_word_length", min=3, max=10), quality(min_avg_word_length=3, max_avg_word_length=10)),
        (rule("hash_ratio", max=0.1), quality(max_symbol_word_ratio=0.1)),
        (rule("bullet_lines", max=0.9), quality(max_bullet_lines_ratio=0.9)),
        (rule("ellipsis_lines", max=0.3), quality(max_ellipsis_lines_ratio=0.3)),
        (rule("alphabetic_words", min=0.8), quality(max_non_alpha_words_ratio=0.8)),
        (rule("stop_words", min=2), quality(min_stop_words=2)),
        (rule("duplicate_lines", max=0.3), repetition(dup_line_frac=0.3)),
        (rule("duplicate_line_characters", max=0.2), repetition(dup_line_char_frac=0.2)),
        (rule("duplicate_paragraphs", max=0.3), repetition(dup_para_frac=0.3)),
        (rule("duplicate_paragraph_characters", max=0.2), repetition(dup_para_char_frac=0.2)),
    ]
    for n, share in ((2, 0.2), (3, 0.18), (4, 0.16)):
        pairs.append((rule(f"top_{n}_gram", max=share), repetition(top_n_grams=((n, share),))))
    for n in range(5, 11):
        share = 0.20 - n / 100
        pairs.append((rule(f"duplicate_{n}_grams", max=share), repetition(dup_n_grams=((n, share),))))
    pairs += [
        (rule("line_punctuation", min=0.12), FineWebQualityFilter(**(off_fineweb | {"line_punct_thr": 0.12}))),
        (rule("short_lines", max=0.67), FineWebQualityFilter(**(off_fineweb | {"short_line_thr": 0.67}))),
        (
            rule("line_duplicate_characters", max=0.01),
            FineWebQualityFilter(**(off_fineweb | {"char_duplicates_ratio": 0.01})),
        ),
        (rule("lines_per_word", max=0.3), FineWebQualityFilter(**(off_fineweb | {"new_line_ratio": 0.3}))),
        (rule("c4_curly_brace", max=0), C4QualityFilter(**(off_c4 | {"filter_curly_bracket": True}))),
        (rule("c4_sentences", min=5), C4QualityFilter(**(off_c4 | {"min_num_sentences": 5}))),
    ]
    out: dict[str, Any] = {}
    english = [p["doc"] for p in pages if p["language"] == "en"]
    chinese = [p["doc"] for p in pages if p["language"] == "zh"]
    for ours, theirs in pairs:
        counts: Counter[str] = Counter()
        examples: dict[str, list[str]] = {"only_ours": [], "only_datatrove": []}
        for doc in english:
            a = isinstance(ours(doc), Drop)
            b = theirs.filter(TheirDocument(text=doc.text, id=doc.doc_id)) is not True
            kind = {(True, True): "both", (True, False): "only_ours", (False, True): "only_datatrove"}.get(
                (a, b), "neither"
            )
            counts[kind] += 1
            if kind in examples and len(examples[kind]) < 2:
                examples[kind].append(f"{ours.measure(doc):.4g} {doc.url}")
        out[ours.step] = {**counts, "examples": {k: v for k, v in examples.items() if v}}
    chinese_dropped = {}
    for name, theirs in (
        ("GopherQualityFilter", GopherQualityFilter()),
        ("GopherRepetitionFilter", GopherRepetitionFilter()),
        ("FineWebQualityFilter", FineWebQualityFilter()),
        ("C4QualityFilter", C4QualityFilter()),
    ):
        kept = sum(theirs.filter(TheirDocument(text=d.text, id=d.doc_id)) is True for d in chinese)
        chinese_dropped[f"datatrove {name}, defaults"] = f"{kept} of {len(chinese)} kept"
    steps = [s for s in rule_steps() if isinstance(s, Rule)]
    kept = sum(all(isinstance(s(d), Document) for s in steps) for d in chinese)
    chinese_dropped["the rules here"] = f"{kept} of {len(chinese)} kept"
    lines: Counter[str] = Counter()
    for name, step in (("terminal_punctuation", C4TerminalPunctuation()), ("short_lines", C4ShortLines())):
        for doc in english:
            gone = step.unwanted(doc)
            lines[f"{name}_lines_cut"] += len(gone)
            lines[f"{name}_characters_cut"] += sum(len((doc.text or "").split("\n")[i]) for i in gone)
    lines["lines"] = sum((d.text or "").count("\n") + 1 for d in english)
    lines["characters"] = sum(len(d.text or "") for d in english)
    return {"english": out, "chinese": chinese_dropped, "c4_line_rules_on_english_gold": dict(lines)}


def documents(data: Path, language: str) -> list[Document]:
    """Distinct real documents of about BYTES bytes: gold texts and texts of weblogs, joined and cut, none used twice."""
    texts = [text for row, text in page_texts(data) if row.get("language") == language]
    out: list[Document] = []
    held: list[str] = []
    size = 0
    for text in texts:
        for line in text.split("\n"):
            held.append(line[:BYTES])
            size += len(line.encode()) + 1
            if size >= BYTES:
                name = f"{language}{len(out)}"
                out.append(
                    Document(
                        doc_id=f"{len(out):032x}",
                        source_file="made",
                        url=f"https://{name}.example/page",
                        title=held[0][:80],
                        text="\n".join(held),
                        language=language,
                        line_tags=["p"] * len(held),
                        line_link_share=[0.0] * len(held),
                    )
                )
                held, size = [], 0
    return out


def speed(docs: list[Document], steps: list[DocumentStep]) -> dict[str, Any]:
    """Documents a CPU second through all steps, and microseconds a document of each, in batches of 256: the fastest of 7 passes,
    since the machine's own speed drifts by a fifth."""

    def through(chosen: list[DocumentStep]) -> dict[str, float]:
        forget()
        phrases_of.cache_clear()
        seconds: dict[str, float] = {}
        for start in range(0, len(docs), 256):
            batch = docs[start : start + 256]
            for step in chosen:
                began = time.process_time()
                apply_step(step, batch)  # verdicts are not followed: every rule sees every document
                seconds[step.step] = seconds.get(step.step, 0) + time.process_time() - began
        return seconds

    through(steps)
    seconds = min((through(steps) for _ in range(PASSES)), key=lambda by_step: sum(by_step.values()))
    total = sum(seconds.values())
    began = time.process_time()
    for doc in docs:
        _ = TextStatistics(doc.text or "", doc.language).words
    segmentation = time.process_time() - began
    return {
        "documents": len(docs),
        "mean_characters": round(sum(len(d.text or "") for d in docs) / len(docs)),
        "documents_per_cpu_second": round(len(docs) / total),
        "share_of_finding_words": round(segmentation / total, 3),
        "microseconds_a_document": {
            k: round(v / len(docs) * 1e6, 1) for k, v in sorted(seconds.items(), key=lambda x: -x[1])
        },
    }


def main() -> None:
    parser = machine.parser(__doc__, data="folder of pages", default=machine.data_or_sample())
    parser.add_argument(
        "--part", choices=["survival", "agreement", "speed"], action="append", help="this part alone, printed"
    )
    arguments = parser.parse_args()
    data = arguments.data
    pages, steps = gold_pages(data), rule_steps()
    parts: dict[str, Callable[[], Any]] = {
        "survival": lambda: survival(pages, steps),
        "agreement": lambda: agreement(pages),
        "speed": lambda: {k: speed(documents(data, k), steps) for k in ("en", "zh")},
    }
    wanted = arguments.part or list(parts)
    result = {
        "data": f"{len(pages)} gold pages",
        "steps": [s.step for s in steps],
        **{name: parts[name]() for name in wanted},
    }
    if arguments.part:
        print(json.dumps(result, indent=1, ensure_ascii=False))
    else:
        machine.save("rules", result)


if __name__ == "__main__":
    main()
