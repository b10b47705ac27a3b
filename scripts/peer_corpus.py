"""A peer's corpus of the pages that scripts/ablation_corpora.sh takes: datatrove, in the order and with the filters of FineWeb.

    python scripts/peer_corpus.py DATA [OUT]      OUT: out/ablation/corpora/datatrove.jsonl.gz

Trafilatura with precision favoured, fastText's language at 0.65, Gopher's repetition and quality filters, C4's without the rule
of terminal punctuation, FineWeb's: datatrove's own steps with its own defaults. English alone, for which they are made. What
differs from FineWeb: pages are read by FastWARC and the language told by the file lid.176.ftz (datatrove would fetch a larger
one); 60 seconds for a page's extraction instead of one, so that a busy machine loses none; no URL lists, no MinHash, no
masking of addresses.

Needs `pip install datatrove spacy`. Writes one JSON object a line: text, id, metadata with url and language; prints what each
step left.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import datatrove  # noqa: F401
except ImportError:
    raise SystemExit("error: datatrove is not installed: scripts/setup.sh bench") from None
import fasttext
from datatrove.data import Document
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "pipeline" / "preparation" / "weights" / "lid.176.ftz"
MIN_SCORE = 0.65


def pages(paths: list[Path]) -> Iterator[Document]:
    """HTML pages with status 200, decoded."""
    for path in paths:
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                url = record.headers.get("WARC-Target-URI") or ""
                if record.http_headers is None or record.http_headers.status_code != 200:
                    continue
                if "html" not in (record.http_content_type or ""):
                    continue
                body = record.reader.read()
                html = bytes_to_str(body, record.http_charset or detect_encoding(body) or "utf-8")
                yield Document(text=html, id=record.record_id, metadata={"url": url})


def counted(documents: Iterator[Document], counts: dict[str, int], name: str) -> Iterator[Document]:
    counts[name] = 0
    for document in documents:
        counts[name] += 1
        yield document


def english(documents: Iterator[Document]) -> Iterator[Document]:
    model = fasttext.load_model(str(WEIGHTS))
    for document in documents:
        labels, scores = model.predict(document.text.replace("\n", " "))
        language, score = labels[0].removeprefix("__label__"), float(scores[0])
        if language == "en" and score > MIN_SCORE:
            document.metadata |= {"language": language, "language_score": score}
            yield document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds html/ and warc/")
    parser.add_argument(
        "out", type=Path, nargs="?", default=ROOT / "out" / "ablation" / "corpora" / "datatrove.jsonl.gz"
    )
    options = parser.parse_args()
    paths = [options.data / "html" / f"{name}.warc.gz" for name in ("wcxb-dev", "zh-blogs")]
    # Not all files there are whole, on purpose; those of the stages' reader that FastWARC reads to the end.
    paths += sorted(
        p for p in (options.data / "warc").rglob("*.warc*") if not p.name.startswith(("clipped", "example-"))
    )
    began, counts = time.perf_counter(), dict[str, int]()
    stream = counted(pages(paths), counts, "pages")
    steps = {
        "trafilatura": Trafilatura(favour_precision=True, timeout=60),
        "language": None,
        "Gopher repetition": GopherRepetitionFilter(),
        "Gopher quality": GopherQualityFilter(),
        "C4": C4QualityFilter(filter_no_terminal_punct=False),
        "FineWeb": FineWebQualityFilter(),
    }
    for name, step in steps.items():
        stream = counted(english(stream) if step is None else step.run(stream), counts, name)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    part = options.out.with_name(options.out.name + ".part")
    with gzip.open(part, "wt", encoding="utf-8") as f:
        for document in stream:
            row = {"text": document.text, "id": document.id, "metadata": document.metadata}
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    part.rename(options.out)
    print(", ".join(f"{name} {n:,}" for name, n in counts.items()), f"in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
