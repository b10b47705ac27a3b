"""The line model's form `text`, as the report uses it: `python benchmarks/clutter_text.py [--data DIR]`.

Five folds over hosts, as in `benchmarks/line_model.py`. The lines are those that trafilatura (this project's engine of that name)
keeps of a page.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import machine
import numpy as np
import numpy.typing as npt

from classifiers.clutter.evaluate import cross_validated
from classifiers.clutter.examples import Example, examples_of, load_pages
from classifiers.clutter.train import SEED
from extraction.line_model.model import Scores, load, sha256
from extraction.result import SCALE
from pipeline.model_based.clutter import Clutter
from pipeline.steps import bound

LOSS = 0.015


def text_form(examples: Sequence[Example], scores: Sequence[Scores]) -> dict[str, Any]:
    """Effect of the form `text` on the lines that trafilatura kept."""
    step = Clutter()
    out: dict[str, Any] = {}
    for language, chinese in (("English", False), ("Chinese", True)):
        chosen = [
            (e, s.astype(np.float64) / SCALE)
            for e, s in zip(examples, scores, strict=True)
            if e.page.is_chinese is chinese
            and e.view == "extracted"
            and e.page.source in ("wcxb-dev", "aed-424", "zh-gold", "zh-pages")
            and e.page.gold
        ]
        p = np.concatenate([s for _, s in chosen])
        content = np.concatenate([e.labels for e, _ in chosen]) >= 0.5
        words = np.concatenate([e.lengths for e, _ in chosen]).astype(np.float64)
        order = np.argsort(p, kind="stable")
        lost = np.cumsum((words * content)[order]) / (words * content).sum()
        dropped = np.cumsum((words * ~content)[order]) / (words * ~content).sum()
        at = int(np.searchsorted(lost, LOSS, side="right")) - 1

        def f1(
            threshold: float, pairs: list[tuple[Example, npt.NDArray[np.float64]]] = chosen
        ) -> npt.NDArray[np.float64]:
            return np.array(
                [
                    e.f1("\n".join(t for t, v in zip(e.texts, s, strict=True) if v >= threshold), e.page.gold)
                    for e, s in pairs
                ]
            )

        shipped = bound(step.min_score, "zh" if chinese else "en") or 0.0
        whole, cut = f1(0.0), f1(shipped)
        out[language] = {
            "pages": len(chosen),
            "clutter_words_share": round(float((words * ~content).sum() / words.sum()), 4),
            "at_1.5_percent_loss": {
                "threshold": round(float(p[order][at]), 4),
                "clutter_dropped": round(float(dropped[at]), 4),
            },
            "as_shipped": {
                "threshold": shipped,
                "pages_better": int((cut > whole + 1e-9).sum()),
                "pages_worse": int((cut < whole - 1e-9).sum()),
            },
            "f1": {"all": [round(float(whole.mean()), 4), round(float(cut.mean()), 4)]},
            "curve": [
                {
                    "threshold": t,
                    "content_lost": round(float((words * (content & (p < t))).sum() / (words * content).sum()), 4),
                    "clutter_dropped": round(float((words * (~content & (p < t))).sum() / (words * ~content).sum()), 4),
                    "f1": round(float(f1(t).mean()), 4),
                }
                for t in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
            ],
        }
    return out


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/ and warc/")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    examples = examples_of(load_pages(arguments.data), "text")
    folds = cross_validated(examples, "text", SEED, machine.tell)
    model = load("text")
    machine.save(
        "clutter_text",
        {
            "text": text_form(examples, folds.scores(examples)),
            "weights": {"sha256": sha256("text"), "trees": [len(t.roots) - 1 for t in (model.trees, model.regions)]},
        },
    )


if __name__ == "__main__":
    main()
