"""The line model and the engine `lines`, against trafilatura in the same run: `python benchmarks/clutter.py [--data DIR]`.

Quality by five folds over hosts, as `classifiers/clutter/evaluate.py` describes: what is judged on a page is a model that has
not seen its site. Word F1 (WCXB's) on English pages, F1 of 4-character grams on Chinese ones. trafilatura 2.3 with its
defaults, on the same decoded pages.

The form `text` is judged as the report uses its model: on the lines that trafilatura (this project's engine of that name) keeps.

Speed: bytes to text, decoding counted for both, CPU seconds of one process; the engine's is the fastest of three passes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import machine
import numpy as np
import numpy.typing as npt
import trafilatura

from classifiers.clutter.evaluate import JUDGED, by_kind, chosen_lines, cross_validated, line_quality, page_f1
from classifiers.clutter.examples import Example, examples_of, load_pages
from classifiers.clutter.train import SEED
from extraction import extract
from extraction.line_model.model import FORMS, Scores, load, sha256
from extraction.result import SCALE
from pipeline.model_based.clutter import Clutter
from pipeline.steps import bound

LOSS = 0.015

BARS = {
    "wcxb-dev": 0.88,
    "article": 0.955,
    "documentation": 0.92,
    "service": 0.86,
    "forum": 0.83,
    "listing": 0.73,
    "collection": 0.70,
    "product": 0.68,
    "zh-gold": 0.88,
    "zh article": 0.92,
    "gain over trafilatura": 0.045,
    "line AUC, English": 0.96,
    "line AUC, Chinese": 0.96,
}


def peers(examples: Sequence[Example]) -> dict[str, Any]:
    """F1 of other extractors on the same pages."""
    systems: dict[str, Callable[[str], str]] = {
        "trafilatura default": lambda html: trafilatura.extract(html) or "",
        "engine trafilatura": lambda html: extract(html, engine="trafilatura").text,
        "all lines": lambda html: "",
    }
    out = {}
    for name, system in systems.items():
        if name == "all lines":
            values = [e.f1("\n".join(e.texts), e.page.gold) for e in examples]
        else:
            values = [e.f1(system(e.page.html.decode("utf-8", "replace")), e.page.gold) for e in examples]
        out[name] = by_kind(examples, np.array(values))
        machine.tell(name)
    return out


def text_form(examples: Sequence[Example], scores: Sequence[Scores]) -> dict[str, Any]:
    """Effect of the form `text` on the lines that trafilatura kept."""
    step = Clutter()
    out: dict[str, Any] = {}
    for language, chinese in (("English", False), ("Chinese", True)):
        chosen = [
            (e, s.astype(np.float64) / SCALE)
            for e, s in zip(examples, scores, strict=True)
            if e.page.is_chinese is chinese and e.view == "extracted" and e.page.source in JUDGED and e.page.gold
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
        kinds = sorted({e.page.kind for e, _ in chosen})
        below = p < shipped
        out[language] = {
            "pages": len(chosen),
            "clutter_words_share": round(float((words * ~content).sum() / words.sum()), 4),
            "at_1.5_percent_loss": {
                "threshold": round(float(p[order][at]), 4),
                "clutter_dropped": round(float(dropped[at]), 4),
            },
            "as_shipped": {
                "threshold": shipped,
                "content_lost": round(float((words * (content & below)).sum() / (words * content).sum()), 4),
                "clutter_dropped": round(float((words * (~content & below)).sum() / (words * ~content).sum()), 4),
                "pages_better": int((cut > whole + 1e-9).sum()),
                "pages_worse": int((cut < whole - 1e-9).sum()),
            },
            "f1": {
                kind: [round(float(v[[e.page.kind == kind for e, _ in chosen]].mean()), 4) for v in (whole, cut)]
                for kind in kinds
            }
            | {"all": [round(float(whole.mean()), 4), round(float(cut.mean()), 4)]},
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


def value(table: dict[str, float], kind: str) -> float:
    return next(v for name, v in table.items() if name.startswith(f"{kind} ("))


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/ and warc/")
    parser.add_argument(
        "--texts", type=Path, help="write what is kept of each page, by the model that did not see its site, as JSONL"
    )
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    pages = load_pages(arguments.data)
    examples = examples_of(pages, "dom")
    machine.tell(f"{len(pages)} pages")
    scores = cross_validated(examples, "dom", SEED, machine.tell)
    kept, floors = chosen_lines(examples, scores)
    values = page_f1(examples, kept)
    if arguments.texts:
        with arguments.texts.open("w", encoding="utf-8") as file:
            for e, keep in zip(examples, kept, strict=True):
                text = "\n".join(t for t, k in zip(e.texts, keep, strict=True) if k)
                file.write(
                    json.dumps(
                        {"record_id": e.page.record_id, "source": e.page.source, "text": text}, ensure_ascii=False
                    )
                    + "\n"
                )
    judged = [i for i, e in enumerate(examples) if e.page.source in JUDGED]
    dom: dict[str, Any] = {"f1": by_kind(examples, values), "floor_chosen_in_folds": floors}
    for language, chinese in (("English", False), ("Chinese", True)):
        chosen = [i for i in judged if examples[i].page.is_chinese is chinese]
        dom[f"lines, {language}"] = line_quality([examples[i] for i in chosen], [scores[i] for i in chosen])
    others = peers([examples[i] for i in judged])
    texts = examples_of(pages, "text")
    text_scores = cross_validated(texts, "text", SEED, machine.tell)
    result = {
        "data": {
            source: {
                "pages": len(of_source),
                "lines": sum(len(e.labels) for e in of_source),
                "hosts": len({e.page.group for e in of_source}),
            }
            for source in dict.fromkeys(e.page.source for e in examples)
            for of_source in [[e for e in examples if e.page.source == source]]
        },
        "dom": dom,
        "peers": others,
        "text": text_form(texts, text_scores),
        "weights": {form: {"sha256": sha256(form), "trees": len(load(form).trees.roots) - 1} for form in FORMS},
        "versions": {"trafilatura": trafilatura.__version__},
    }
    english, chinese_table = dom["f1"]["wcxb-dev"], dom["f1"]["zh-gold"]
    measured = {
        "wcxb-dev": value(english, "all"),
        **{
            kind: value(english, kind)
            for kind in ("article", "documentation", "service", "forum", "listing", "collection", "product")
        },
        "zh-gold": value(chinese_table, "all"),
        "zh article": value(chinese_table, "article"),
        "gain over trafilatura": round(
            value(english, "all") - value(others["trafilatura default"]["wcxb-dev"], "all"), 4
        ),
        "line AUC, English": dom["lines, English"]["auc"],
        "line AUC, Chinese": dom["lines, Chinese"]["auc"],
    }
    result["bars"] = {name: {"measured": measured[name], "bar": bar} for name, bar in BARS.items()}
    machine.save("clutter", result)
    for name, bar in BARS.items():
        machine.tell(f"  {'ok  ' if measured[name] >= bar else 'MISS'} {name}: {measured[name]} (bar {bar})")


if __name__ == "__main__":
    main()
