"""The page classifiers: quality in five folds by site, agreement of annotators, speed.

    python benchmarks/page_classifiers.py [--data DIR]

Quality is what `python -m classifiers.<name>.evaluate` prints. Beside it, in the same folds, stands what other pipelines
use for such tasks: fastText's supervised classifier, on words (a Chinese character is a word). Speed is CPU time of one
process, batches of 256 annotated pages as preparation leaves them, the fastest of five passes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine
import numpy as np
import numpy.typing as npt

from classifiers import agreement, evaluation, registry
from classifiers.features import Features
from classifiers.labelled import PAGES, WCXB_TYPES, LabelledPage, batch_of, load_pages
from classifiers.metrics import accuracy, auc, interval, macro_f1
from classifiers.quality.labels import is_good
from classifiers.quality.train import chosen as with_text
from classifiers.training import views_of

ROWS = 256
PASSES = 5


def fasttext_folds(pages: Sequence[LabelledPage], labels: Sequence[int], classes: int) -> npt.NDArray[np.float64]:
    """Probabilities of pages by fastText, from title and text, float64 (n, classes)."""
    texts = [f"{page.extraction.title or ''} {page.extraction.text}".lower() for page in pages]
    words = [" ".join(evaluation.WORD.findall(text)) for text in texts]
    return evaluation.fasttext_folds(words, labels, classes, evaluation.outer_folds(pages))


def fasttext_web_type(pages: Sequence[LabelledPage]) -> dict[str, Any]:
    wcxb = [page for page in pages if page.wcxb_type]
    true = np.array([WCXB_TYPES.index(page.wcxb_type or "") for page in wcxb])
    said = fasttext_folds(wcxb, true.tolist(), len(WCXB_TYPES)).argmax(1)
    return {
        "accuracy": round(accuracy(said, true), 4),
        "macro_f1": round(macro_f1(said, true, range(len(WCXB_TYPES))), 4),
    }


def fasttext_quality(pages: Sequence[LabelledPage]) -> dict[str, list[float]]:
    chosen = [pages[i] for i in with_text(pages)]
    good = np.array([is_good(page.annotation["quality"]) for page in chosen if page.annotation])
    p = fasttext_folds(chosen, good.astype(int).tolist(), 2)[:, 1]
    out = {}
    for language, code in evaluation.LANGUAGES.items():
        of = evaluation.of_language(chosen, code)
        groups = [chosen[i].group for i in of]
        out[language] = [round(auc(p[of], good[of]), 4), *interval(auc, (p[of], good[of]), groups)]
    return out


def speed(name: str, pages: Sequence[LabelledPage]) -> dict[str, float]:
    """Documents, and megabytes of text, a CPU second."""
    model = registry.load(name)
    batches = [batch_of(pages[i : i + ROWS]) for i in range(0, len(pages), ROWS)]
    seconds, _ = machine.fastest(lambda: [model.scores(batch) for batch in batches], passes=PASSES)
    size = sum(len(page.extraction.text.encode()) for page in pages)
    return {
        "pages": len(pages),
        "documents_per_cpu_s": round(len(pages) / seconds, 1),
        "mb_per_cpu_s": round(size / 1e6 / seconds, 2),
        "mean_bytes": round(size / len(pages)),
    }


def fasttext_speed(pages: Sequence[LabelledPage]) -> float:
    """Documents a CPU second of lid.176, the fastText classifier that preparation uses: words and prediction."""
    import fasttext

    from pipeline.preparation import language

    model = fasttext.load_model(str(Path(language.__file__).parent / "weights" / "lid.176.ftz"))
    texts = [page.extraction.text.replace("\n", " ") for page in pages]
    seconds, _ = machine.fastest(lambda: [model.predict(text, k=1) for text in texts], passes=PASSES)
    return round(len(pages) / seconds, 1)


@functools.cache
def labelled(data: Path, file: str) -> tuple[list[LabelledPage], list[Features]]:
    """Pages of a file of annotations, and their features as each kind of input shows them."""
    pages = load_pages(data, name=file)
    return pages, views_of(pages)


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/ and warc/")
    options = parser.parse_args()
    annotated = [page for page in labelled(options.data, PAGES)[0] if page.annotation]
    reference, agreed = fasttext_speed(annotated), agreement.report()
    peers = {"web_type": fasttext_web_type, "quality": fasttext_quality}
    for name in registry.NAMES:
        if Path(__file__).with_name(f"{name}.py").exists():  # it has a benchmark of its own
            continue
        pages, views = labelled(options.data, registry.part(name, "train").FILE)
        result = {"evaluation": registry.part(name, "evaluate").evaluate(pages, views, options.data)}
        result |= {"speed": speed(name, [page for page in pages if page.annotation])}
        result |= {"lid_176_documents_per_cpu_s": reference, "agreement": agreed}
        if name in peers:
            result["fasttext"] = peers[name](pages)
        machine.save(name, result)


if __name__ == "__main__":
    main()
