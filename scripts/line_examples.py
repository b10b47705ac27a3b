"""Write docs/lines_examples.md and docs/pictures/page.svg: pages line by line, as the line model sees them.

    python scripts/line_examples.py --data DATA

The pages are of one fold of hosts; the model is trained on the others, as in the evaluation, so that none of these
pages taught it. Chosen by the hash of their record id: of each kind the first.
"""

from __future__ import annotations

import argparse
import html
from pathlib import Path

import numpy as np
import xxhash

from classifiers.clutter.examples import Example, examples_of, load_pages
from classifiers.clutter.train import fit
from extraction.line_model.model import Scores
from extraction.result import SCALE

FOLD = 0
WANTED = {
    ("wcxb-dev", "article"): 2,
    ("wcxb-dev", "documentation"): 2,
    ("wcxb-dev", "forum"): 2,
    ("wcxb-dev", "service"): 1,
    ("wcxb-dev", "listing"): 1,
    ("wcxb-dev", "collection"): 1,
    ("wcxb-dev", "product"): 1,
    ("zh-gold", "article"): 4,
    ("zh-gold", "forum"): 2,
    ("annotated", "documentation"): 4,
}
MAX_LINES = 60
MAX_CHARACTERS = 150
OUT = Path(__file__).resolve().parent.parent / "docs"

HEAD = """# Twenty pages, line by line

What the line model keeps (`+`) and cuts (`-`), with its score from 0 to 1. No page of these sites was among those that this model
was trained on (`python scripts/line_examples.py`). F1 is against the gold text. Long lines are cut off here, and from long pages
the middle is left out.
"""


def chosen(examples: list[Example]) -> list[Example]:
    out = []
    for (source, kind), count in WANTED.items():
        candidates = [e for e in examples if (e.page.source, e.page.kind) == (source, kind) and e.page.gold]
        if source == "annotated":
            candidates = [e for e in candidates if e.page.is_chinese]
        candidates.sort(key=lambda e: xxhash.xxh3_64_intdigest(e.page.record_id.encode()))
        out += candidates[:count]
    return out


def shown(example: Example, scores: Scores, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    lines = [
        f"{'+' if keep else '-'} {score / SCALE:.2f} {text.replace(chr(10), ' / ')[:MAX_CHARACTERS]}".rstrip()
        for text, score, keep in zip(example.texts, scores, kept, strict=True)
        if text
    ]
    if len(lines) > MAX_LINES:
        half = MAX_LINES // 2
        lines = [*lines[:half], f"  ({len(lines) - MAX_LINES} lines left out)", *lines[-half:]]
    f1 = example.f1("\n".join(t for t, k in zip(example.texts, kept, strict=True) if k), example.page.gold)
    whole = example.f1("\n".join(example.texts), example.page.gold)
    body = "\n".join(lines).replace("```", "'''")
    page = f"{example.page.language}, {example.page.kind}, {html.escape(example.page.group)}"
    outcome = f"kept {int(kept.sum())} of {len(kept)} lines, F1 {f1:.2f} (all lines: {whole:.2f})"
    return f"<details><summary>{page}: {outcome}</summary>\n\n```diff\n{body}\n```\n\n</details>\n"


def picture(example: Example, scores: Scores, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    """The lines of a page as bars: as long as their text, coloured by score; what is cut is grey."""
    step, height = 9, 7
    rows = [i for i, text in enumerate(example.texts) if text][:90]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {step * len(rows) + 10}" font-family="sans-serif"',
        ' font-size="7">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for row, i in enumerate(rows):
        y = 5 + row * step
        share = scores[i] / SCALE
        width = min(420, 3 + 2.2 * len(example.texts[i]))
        colour = f"hsl({round(120 * share)} 65% 45%)" if kept[i] else "#c8c8c8"
        text = html.escape(example.texts[i].replace("\n", " ")[:100])
        parts.append(f'<rect x="30" y="{y}" width="{width:.0f}" height="{height}" fill="{colour}"/>')
        parts.append(f'<text x="4" y="{y + 6}" fill="#555">{share:.2f}</text>')
        parts.append(f'<text x="460" y="{y + 6}" fill="{"#111" if kept[i] else "#999"}">{text}</text>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds html/")
    examples = examples_of(load_pages(parser.parse_args().data), "dom")
    model = fit([e for e in examples if e.page.fold != FOLD], "dom")
    unseen = chosen([e for e in examples if e.page.fold == FOLD])
    parts = [HEAD]
    for example in unseen:
        scores = model.score(example.scan)
        parts.append(shown(example, scores, model.choose(example.scan, scores)))
    (OUT / "lines_examples.md").write_text("\n".join(parts), encoding="utf-8")
    first = next(e for e in unseen if e.page.kind == "article" and 50 <= len(e.texts) <= 90)
    scores = model.score(first.scan)
    (OUT / "pictures").mkdir(exist_ok=True)
    (OUT / "pictures" / "page.svg").write_text(
        picture(first, scores, model.choose(first.scan, scores)), encoding="utf-8"
    )
    print(f"{len(unseen)} pages")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
