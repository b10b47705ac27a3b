"""What two engines keep together: `python benchmarks/engine_union.py [--data DIR] [--texts FILE]`.

Every page of zh-web and en-web goes through the document steps of configs/preparation.yaml (engine `lines`) and of
configs/report/preparation.yaml (engine `trafilatura`), then through those of configs/rule_based.yaml; `report` is the
second after the step `clutter` of configs/model_based.yaml. Steps that compare documents take no part. A page's address is
kept from the rules where it is made up. Tokens are those of the shipped tokenizer.

`unseen` counts the pages of sites of which no page taught the line model. Of the pages that one engine alone keeps,
`engine_union.jsonl` says for twenty of each set, the first by the hash of their record ids, what they are: read by a
language model. `--texts` writes the texts of all that one engine alone keeps, those twenty first.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
import xxhash
from gold import rows

from classifiers.clutter.pages import annotation_rows
from pipeline.config import StageConfig, load
from pipeline.inspection.explain import explain_steps
from pipeline.readers.inputs import read_records
from pipeline.schema import Document
from pipeline.tokenization.tokenizer import Tokenizer, load_tokenizer

SETS = ("zh-web", "en-web")
CONFIGS = {"lines": "preparation.yaml", "trafilatura": "report/preparation.yaml"}
CLUTTER = "clutter"
READ = 20
"""Pages of a group that were read."""

READINGS = Path(__file__).with_suffix(".jsonl")


@dataclass
class Page:
    """A page, and what each way of extraction leaves of it."""

    record_id: str
    url: str
    unseen: bool
    fates: dict[str, Document] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    """Of the ways that keep the page."""

    @property
    def alone(self) -> str | None:
        """The one engine of the two that keeps the page."""
        kept = [way for way in CONFIGS if way in self.tokens]
        return kept[0] if len(kept) == 1 else None

    @property
    def order(self) -> int:
        return xxhash.xxh3_64_intdigest(self.record_id.encode())


def configs() -> dict[str, list[StageConfig]]:
    """Stages of each way."""
    folder = machine.ROOT / "configs"
    rules = load(folder / "rule_based.yaml")
    return {way: [load(folder / name), rules] for way, name in CONFIGS.items()}


def clutter() -> StageConfig:
    """Stage 3 with the step `clutter` alone."""
    config = load(machine.ROOT / "configs" / "model_based.yaml")
    steps = [step for label, step in zip(config.labels(), config.steps, strict=True) if label == CLUTTER]
    return config.model_copy(update={"steps": steps})


def pages(data: Path, name: str) -> Iterator[Page]:
    """Every page of a set with its fates."""
    taught = {row.get("site") for row in annotation_rows("regions")}
    ways, last, tokenizer = configs(), clutter(), load_tokenizer()
    source = ways["lines"][0].input.model_copy(update={"source": name})
    records = read_records(str(data / "html" / f"{name}.warc.gz"), source, skipped=Counter())
    for record, row in zip(records, rows(data / "html" / f"{name}.pages.jsonl.gz"), strict=True):
        page = Page(row["record_id"], row["url"], row["site"] not in taught)
        doc = record.doc if row["url_known"] else record.doc.evolve(url=None, domain=None)
        for way, stages in ways.items():
            page.fates[way] = through(stages, doc)
        page.fates["report"] = through([last], page.fates["trafilatura"])
        page.tokens = kept_tokens(page, tokenizer)
        yield page


def through(stages: list[StageConfig], doc: Document) -> Document:
    """The document after the steps of these stages, or marked as dropped."""
    for stage in stages:
        if not doc.is_dropped:
            _, doc = explain_steps(stage, doc)
    return doc


def kept_tokens(page: Page, tokenizer: Tokenizer) -> dict[str, int]:
    return {way: len(tokenizer.encode(doc.text or "")) for way, doc in page.fates.items() if not doc.is_dropped}


def counted(chosen: list[Page]) -> dict[str, Any]:
    """Pages and tokens of each way, of both engines, of one alone; with the reason why the other lost the page."""
    both = [page for page in chosen if all(way in page.tokens for way in CONFIGS)]
    out: dict[str, Any] = {
        "pages": len(chosen),
        "neither": sum(not any(way in page.tokens for way in CONFIGS) for page in chosen),
        "ways": {way: _sizes(chosen, way) for way in (*CONFIGS, "report")},
        "both": {way: _sizes(both, way) for way in CONFIGS},
    }
    for way, other in (("lines", "trafilatura"), ("trafilatura", "lines")):
        alone = [page for page in chosen if page.alone == way]
        reasons: dict[str, Counter[str]] = {}
        for page in alone:
            lost = page.fates[other]
            reason = f"{lost.drop_step}: {lost.drop_reason}"
            reasons.setdefault(reason, Counter()).update(pages=1, tokens=page.tokens[way])
        ordered = sorted(reasons.items(), key=lambda item: (-item[1]["tokens"], item[0]))
        out[f"{way} alone"] = _sizes(alone, way) | {
            "languages": dict(Counter(str(page.fates[way].language) for page in alone).most_common()),
            "lost_by_the_other": {reason: dict(counts) for reason, counts in ordered},
        }
    return out


def _sizes(chosen: list[Page], way: str) -> dict[str, int]:
    kept = [page.tokens[way] for page in chosen if way in page.tokens]
    return {"pages": len(kept), "tokens": sum(kept)}


def first_alone(chosen: list[Page], way: str) -> list[Page]:
    """Pages that one engine alone keeps, in the order in which they are read."""
    return sorted((page for page in chosen if page.alone == way), key=lambda page: page.order)


def write_texts(path: Path, by_set: dict[str, list[Page]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for name, chosen in by_set.items():
            for way in CONFIGS:
                for number, page in enumerate(first_alone(chosen, way)):
                    other = page.fates[next(o for o in CONFIGS if o != way)]
                    row = {
                        **{"set": name, "kept_by": way, "number": number, "record_id": page.record_id, "url": page.url},
                        "other": f"{other.drop_step}: {other.drop_reason}, {other.drop_value}",
                        **{"tokens": page.tokens[way], "text": page.fates[way].text, "other_text": other.text},
                    }
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read(by_set: dict[str, list[Page]]) -> dict[str, dict[str, dict[str, int]]]:
    """How many of the pages that were read are of each kind: set, engine that kept them, kind."""
    kinds = {row["record_id"]: row["kind"] for row in map(json.loads, READINGS.read_text("utf-8").splitlines())}
    return {
        name: {
            way: dict(
                Counter(kinds.get(page.record_id, "not read") for page in first_alone(chosen, way)[:READ]).most_common()
            )
            for way in CONFIGS
        }
        for name, chosen in by_set.items()
    }


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/")
    parser.add_argument("--texts", type=Path, help="write what one engine alone keeps, as JSONL")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    by_set: dict[str, list[Page]] = {}
    for name in SETS:
        by_set[name] = list(pages(arguments.data, name))
        machine.tell(f"{name}: {len(by_set[name])} pages")
    if arguments.texts:
        write_texts(arguments.texts, by_set)
    machine.save(
        "engine_union",
        {
            "sets": {
                name: {"all": counted(chosen), "unseen": counted([page for page in chosen if page.unseen])}
                for name, chosen in by_set.items()
            },
            "read": read(by_set),
        },
    )


if __name__ == "__main__":
    main()
