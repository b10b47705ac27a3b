"""Write docs/verdicts.md: forty annotated pages and what the page classifiers say of them, right and wrong as they fall.

    python scripts/verdicts.py --data DATA

The pages are of one fold of sites; the models are trained on the others, as in the evaluation, so that none of these sites taught
them. Twenty English and twenty Chinese ones, drawn by a hash of seed and record id.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xxhash

from classifiers.evaluation import outer_folds
from classifiers.labelled import LabelledPage, batch_of, load_pages
from classifiers.quality import train as quality
from classifiers.quality.labels import DIMENSIONS, is_good
from classifiers.safety.train import examples, fit
from classifiers.small import taken
from classifiers.training import train, views_of
from classifiers.web_type import train as web_type
from classifiers.web_type.labels import DETAIL

FOLD = 0
SEED = 5
NUMBER = 20
KEEP, GOOD, UNSAFE = 0.5, 0.2, 0.5
"""The shipped bounds (configs/model_based.yaml)."""

EXCERPT = 170
OUT = Path(__file__).resolve().parent.parent / "docs" / "verdicts.md"

HEAD = f"""# Forty pages and their verdicts

What the page classifiers say of forty annotated pages, and what the annotation says: twenty English and twenty Chinese
ones, drawn by a hash with a fixed seed from one fold of sites. No page of these sites was among those that these models
were trained on (`python scripts/verdicts.py --data DATA`). Right and wrong as they fall.

- **type**: the likeliest of the twelve and its probability; *kept* if article, documentation and encyclopedia together
  have {KEEP}.
- **quality**: probability to be good; the stage drops below {GOOD}. Annotated: {", ".join(DIMENSIONS)}, 0 to 3 each.
- **unsafe**: probability of adult, gambling or spam; a page is flagged from {UNSAFE}.

✗ marks a verdict that the annotation contradicts: the wrong side of the type's bound, a poor page over {GOOD} or a good
one below it, a flag on a safe page or none on an unsafe one. The bound of quality is meant to be loose: poor pages over
it are the price of good ones that stay.
"""


def drawn(pages: list[LabelledPage]) -> list[LabelledPage]:
    parts = outer_folds(pages)
    in_fold = [p for p, part in zip(pages, parts, strict=True) if part == FOLD and p.annotation]
    out = []
    for language in ("en", "zh"):
        of = [p for p in in_fold if p.language == language and p.extraction.text.strip()]
        of.sort(key=lambda p: xxhash.xxh3_64_intdigest(f"{SEED} {p.record_id}".encode()))
        out += of[:NUMBER]
    return out


def excerpt(page: LabelledPage) -> str:
    assert page.annotation is not None
    if page.annotation["safety"] != "safe":
        return "(left out)"
    text = " / ".join(line.strip() for line in page.extraction.text.split("\n") if line.strip())
    half = EXCERPT // 2
    start = max(len(text) // 2 - half // 2, EXCERPT)
    short = text if len(text) <= 2 * EXCERPT else f"{text[:EXCERPT]} … {text[start : start + half]}"
    return short.replace("|", "\\|").replace("`", "'").replace("<", "&lt;")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds html/ and warc/")
    options = parser.parse_args()
    pages = load_pages(options.data)
    parts = outer_folds(pages)
    views = views_of(pages)
    models = {}
    for trainer in (web_type, quality):
        rows = [i for i in trainer.chosen(pages) if parts[i] != FOLD]
        models[trainer.NAME] = train(trainer, [pages[i] for i in rows], taken(views, rows))
    annotated = [p for p, part in zip(pages, parts, strict=True) if p.annotation and part != FOLD]
    shown = drawn(pages)
    batch = batch_of(shown)
    kinds, good_text = models["web_type"].predict_proba(batch), models["quality"].predict_proba(batch)
    unsafe = fit(*examples(annotated)).predict_proba(batch)
    labels = models["web_type"].labels
    detail = [i for i, label in enumerate(labels) if label in DETAIL]
    word = {True: "kept", False: "dropped"}
    blocks, wrong, same = [], {"type": 0, "quality": 0, "unsafe": 0}, 0
    for n, page in enumerate(shown):
        row = page.annotation
        assert row is not None
        kept, good = bool(kinds[n, detail].sum() >= KEEP), bool(good_text[n, 1] >= GOOD)
        flagged = 1 - unsafe[n, 0] >= UNSAFE
        bad = {
            "type": kept != (row["web_type"] in DETAIL),
            "quality": good != is_good(row["quality"]),
            "unsafe": flagged != (row["safety"] != "safe"),
        }
        for key, value in bad.items():
            wrong[key] += bool(value)
        best = int(np.argmax(kinds[n]))
        same += labels[best] == row["web_type"]
        mark = {key: " ✗" if value else "" for key, value in bad.items()}
        blocks.append(
            f"**{n + 1}.** {(page.url or page.source)[:100]} · {(page.extraction.title or '(no title)')[:80].strip()}\n\n"
            f"> {excerpt(page)}\n\n"
            f"| | said | annotated |\n|---|---|---|\n"
            f"| type{mark['type']} | {labels[best]} {kinds[n, best]:.2f}; {word[kept]}: {kinds[n, detail].sum():.2f} "
            f"| {row['web_type']} |\n"
            f"| quality{mark['quality']} | {good_text[n, 1]:.2f}; {word[good]} "
            f"| {' '.join(map(str, row['quality']))}, {'good' if is_good(row['quality']) else 'poor'} |\n"
            f"| unsafe{mark['unsafe']} | {1 - unsafe[n, 0]:.2f} | {row['safety']} |\n"
        )
    summary = (
        f"Of {len(shown)} pages: the type is the annotated one on {same}; wrongly kept or dropped by type {wrong['type']}, "
        f"by quality {wrong['quality']}; wrongly flagged or not {wrong['unsafe']}.\n"
    )
    text = "\n".join([HEAD, summary, "## English\n", *blocks[:NUMBER], "## Chinese\n", *blocks[NUMBER:]])
    OUT.write_text(text, encoding="utf-8")
    print(summary)


if __name__ == "__main__":
    main()
