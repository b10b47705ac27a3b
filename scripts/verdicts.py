"""Write docs/verdicts.md: forty annotated pages and what the page classifiers say of them, right and wrong as they fall.

    python scripts/verdicts.py --data DATA

The pages are of the final fold, and the models are trained without it: they have seen no page of their sources. Twenty English
and twenty Chinese ones, drawn by a hash of seed and record id.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from classifiers.evaluation import development, final_fold
from classifiers.labelled import LabelledPage, batch_of, is_worth_keeping, load_pages
from classifiers.quality import train as quality
from classifiers.quality.labels import DIMENSIONS, is_good
from classifiers.safety import train as safety
from classifiers.training import views_of
from classifiers.web_type import train as web_type
from classifiers.web_type.labels import LABELS
from extraction.result import SCALE
from pipeline.model_based.type_and_quality import TypeAndQuality
from pipeline.schema import Document, Drop

SEED = 5
NUMBER = 20
UNSAFE = 0.5
"""The shipped bound of a flagged page (configs/model_based.yaml)."""

EXCERPT = 170
OUT = Path(__file__).resolve().parent.parent / "docs" / "verdicts.md"

HEAD = f"""# Forty pages and their verdicts

What the page classifiers say of forty annotated pages, and what the annotation says: twenty English and twenty Chinese
ones of the final fold, drawn by a hash with a fixed seed. The models were trained without the final fold, so they have seen no
page of their sources (`python scripts/verdicts.py --data DATA`). Right and wrong as they fall.

- **type**: the likeliest of the twelve and its probability.
- **quality**: probability to be good. Annotated: {", ".join(DIMENSIONS)}, 0 to 3 each.
- **decision**: of the step `type_and_quality` with its shipped bounds. By the annotation, a page is worth keeping if it is
  good, safe, and an article, documentation, an encyclopaedia entry or a thread.
- **unsafe**: probability of adult, gambling or spam; a page is flagged from {UNSAFE}.

✗ marks an answer that the annotation contradicts; of quality one on the other side of 0.5.
"""


def drawn(pages: list[LabelledPage], rows: list[int]) -> list[int]:
    """Rows of the pages that are shown."""
    out = []
    for language in ("en", "zh"):
        of = [i for i in rows if pages[i].language == language and pages[i].extraction.text.strip()]
        out += sorted(of, key=lambda i: xxhash.xxh3_64_intdigest(f"{SEED} {pages[i].record_id}".encode()))[:NUMBER]
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


def decision(page: LabelledPage, kinds: npt.NDArray[np.float64], good: float) -> str:
    """What the step type_and_quality says, as told: `kept`, or the reason."""
    scores = [
        {"classifier": "web_type", "label": n, "score": round(p * SCALE)} for n, p in zip(LABELS, kinds, strict=True)
    ]
    scores.append({"classifier": "quality", "label": "good", "score": round(good * SCALE)})
    doc = Document(doc_id=page.record_id, source_file=page.source, text="x", language=page.language, scores=scores)
    verdict = TypeAndQuality()(doc)
    return f"dropped: {verdict.reason}" if isinstance(verdict, Drop) else "kept"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds html/ and warc/")
    options = parser.parse_args()
    pages = load_pages(options.data)
    views = views_of(pages)
    probabilities = {}
    for trainer in (web_type, quality):
        judged, p = final_fold(trainer, pages, views)
        probabilities[trainer.NAME] = dict(zip(judged, p[0], strict=True))
    rows = drawn(pages, [i for i in probabilities["web_type"] if i in probabilities["quality"]])
    shown = [pages[i] for i in rows]
    lexicon = safety.fit(*safety.examples([pages[i] for i in development(pages, safety.chosen(pages))]))
    unsafe = 1 - lexicon.predict_proba(batch_of(shown))[:, 0]
    blocks, wrong = [], {"type": 0, "quality": 0, "decision": 0, "unsafe": 0}
    for n, (i, page) in enumerate(zip(rows, shown, strict=True)):
        row = page.annotation
        assert row is not None
        kinds, good = probabilities["web_type"][i], float(probabilities["quality"][i][1])
        verdict, said = decision(page, kinds, good), LABELS[int(np.argmax(kinds))]
        worth = is_worth_keeping(row)
        bad = {
            "type": said != row["web_type"],
            "quality": (good >= 0.5) != is_good(row["quality"]),
            "decision": (verdict == "kept") != worth,
            "unsafe": (unsafe[n] >= UNSAFE) != (row["safety"] != "safe"),
        }
        for key, value in bad.items():
            wrong[key] += bool(value)
        mark = {key: " ✗" if value else "" for key, value in bad.items()}
        blocks.append(
            f"**{n + 1}.** {(page.url or page.source)[:100]} · {(page.extraction.title or '(no title)')[:80].strip()}\n\n"
            f"> {excerpt(page)}\n\n"
            f"| | said | annotated |\n|---|---|---|\n"
            f"| type{mark['type']} | {said} {kinds.max():.2f} | {row['web_type']} |\n"
            f"| quality{mark['quality']} | {good:.2f} "
            f"| {' '.join(map(str, row['quality']))}, {'good' if is_good(row['quality']) else 'poor'} |\n"
            f"| decision{mark['decision']} | {verdict} | {'worth keeping' if worth else 'not worth keeping'} |\n"
            f"| unsafe{mark['unsafe']} | {unsafe[n]:.2f} | {row['safety']} |\n"
        )
    summary = (
        f"Of {len(shown)} pages: the type is another than the annotated one on {wrong['type']}, quality is on the wrong side on "
        f"{wrong['quality']}; wrongly kept or dropped {wrong['decision']}; wrongly flagged or not {wrong['unsafe']}.\n"
    )
    text = "\n".join([HEAD, summary, "## English\n", *blocks[:NUMBER], "## Chinese\n", *blocks[NUMBER:]])
    OUT.write_text(text, encoding="utf-8")
    print(summary)


if __name__ == "__main__":
    main()
