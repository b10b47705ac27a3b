"""The category classifier: quality in five folds by site, speed.

    python benchmarks/category.py [--data DIR]

Quality is what `python -m classifiers.category.evaluate` prints, with its peers in the same folds. Speed is CPU time of one
process, batches of 256 annotated pages as preparation leaves them, the fastest of five passes. The picture of the confusion of
groups goes to docs/pictures.
"""

from __future__ import annotations

from pathlib import Path

import machine
from page_classifiers import fasttext_speed, speed

from classifiers.category import evaluate, train

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "pictures" / "category_groups.svg"


def main() -> None:
    options = machine.parser(__doc__, data="folder that holds html/, warc/ and labels/").parse_args()
    pages = evaluate.labelled(options.data)
    result = {"speed": speed("category", pages), "lid_176_documents_per_cpu_s": fasttext_speed(pages)}
    machine.tell("speed measured")
    vectors = train.read_vectors(train.WEIGHTS / train.WordModel.FILE)
    result["evaluation"], _ = evaluate.evaluate(pages, vectors, options.data)
    PICTURE.write_text(evaluate.picture(result["evaluation"]), encoding="utf-8")
    machine.save("category", result)


if __name__ == "__main__":
    main()
