"""Labelled lines: pages scanned, their lines aligned with the gold text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import xxhash

from classifiers.clutter.align import CONTENT, label
from classifiers.clutter.metrics import gram_f1, word_f1
from classifiers.clutter.pages import FOLDS, LabelledPage, load_annotated, load_gold, load_silver
from classifiers.clutter.reference import KEPT, kinds_of, reference_lines
from extraction import extract
from extraction.line_model.model import Form
from extraction.lines import Scan, scan_text, text_of
from extraction.lines.columns import L
from extraction.lines.formulas import scan_with_formulas

GOLD = ("wcxb-dev", "zh-gold", "aed-424", "readability-130", "zh-pages")
"""Sets with gold texts."""

BLOG_PAGES = 40
"""Pages of each Chinese blog that are trained on: more of the same theme teach nothing."""

CHINESE_WEIGHT = 3.0
"""Weight of a Chinese page of the sets that have few of them, over another's."""

View = Literal["page", "all lines", "extracted"]
"""A page as scanned; its lines as plain text; the lines that trafilatura keeps of it."""

SHORTENED = ("article", "news", "blog post", "post", "recipe")
"""Kinds of pages of which shortened copies are trained on, too."""

MIN_CONTENT, MAX_LEFT, SHORTENED_WEIGHT = 6, 4, 0.2
"""Lines of content that such a page has at least, those of them that are left at most, and its weight over the page's own."""

PAGE_WEIGHT = 100.0
"""Total weight of a page's lines."""

MAX_LINE_WEIGHT = 20.0


@dataclass(frozen=True, slots=True)
class Example:
    """The lines of a page with labels (0 or 1) and weights, each of shape (lines,).

    Lines weigh by their length, less than in proportion: what is judged is the text, but a short line in the wrong place is an
    eyesore too. All pages weigh the same, but for CHINESE_WEIGHT. `kinds` are letters of `reference.KINDS`, "" where the kind is
    not known; empty for pages without annotated regions.
    """

    page: LabelledPage
    scan: Scan
    view: View
    texts: list[str]
    labels: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    kinds: list[str]

    @property
    def teaches(self) -> bool:
        """Whether the page is fit for training. On 1.4 % of WCXB's pages nothing was marked, and most of them have content."""
        return len(self.labels) > 0 and (bool(self.page.gold) or self.page.source.startswith("annotated"))

    @property
    def page_weight(self) -> float:
        """Weight of the page in training."""
        few = self.page.is_chinese and self.page.source not in ("zh-blogs", "annotated regions")
        return CHINESE_WEIGHT if few else 1.0

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """Words of each line; a Chinese character is one."""
        lengths: npt.NDArray[np.int32] = self.scan.lines[:, L.WORDS] + self.scan.lines[:, L.CJK]
        return lengths

    @property
    def f1(self) -> Callable[[str, str], float]:
        """Measure by which a text of this page is judged."""
        return gram_f1 if self.page.language in ("zh", "ja") else word_f1

    def fold(self, salt: str) -> int:
        """0 to FOLDS - 1, by the page's group and the salt: for cross-validation inside of the training set."""
        return int(xxhash.xxh3_64_intdigest(f"{salt} {self.page.group}".encode()) % FOLDS)


def load_pages(data: Path) -> list[LabelledPage]:
    """Read every labelled page there is."""
    pages = [
        *(page for name in GOLD for page in load_gold(data, name)),
        *load_silver(data, BLOG_PAGES),
        *load_annotated(data),
    ]
    return pages


def examples_of(pages: Sequence[LabelledPage], form: Form) -> list[Example]:
    """Examples for one form. The form `text` sees each page twice: all its lines, as in a WET file, and the lines
    that trafilatura keeps of it."""
    whole = [of_page(page) for page in pages]
    if form == "dom":
        return whole
    out = []
    for example in whole:
        out.append(of_texts(example.page, "all lines", [text for line in example.texts for text in line.split("\n")]))
        text = extract(example.page.html.decode("utf-8", "replace"), engine="trafilatura").text
        if text:
            out.append(of_texts(example.page, "extracted", text.split("\n")))
    return out


def of_page(page: LabelledPage) -> Example:
    """Example of all lines of a page as the engine sees it."""
    html, scanned = scan_with_formulas(page.html)
    return _example(page, scanned, "page", line_texts(html, scanned))


def of_texts(page: LabelledPage, view: View, lines: Sequence[str]) -> Example:
    """Example of plain lines of a page: all of them, or those of a text that something else extracted."""
    return _example(page, scan_text(lines), view, list(lines))


def shortened(example: Example) -> Example | None:
    """The page with most of its text taken out, at SHORTENED_WEIGHT; None if it is no article of some length.

    Teasers around a short text look like the entries of a listing. Labelled pages have few short texts, and what stands around a
    long one is the same.
    """
    content = np.flatnonzero(example.labels > 0.5)
    if example.page.kind not in SHORTENED or len(content) < MIN_CONTENT:
        return None
    left = 1 + int(xxhash.xxh3_64_intdigest(example.page.record_id.encode()) % MAX_LEFT)
    mask = np.ones(len(example.labels), np.bool_)
    mask[content[left:]] = False
    scanned = dataclasses.replace(example.scan, lines=np.ascontiguousarray(example.scan.lines[mask]))
    return dataclasses.replace(
        example,
        scan=scanned,
        texts=[text for text, keep in zip(example.texts, mask.tolist(), strict=True) if keep],
        labels=example.labels[mask],
        weights=_weights(scanned) * np.float32(example.page_weight * SHORTENED_WEIGHT),
        kinds=[],
    )


def line_texts(html: bytes, scanned: Scan) -> list[str]:
    """The text of each line of a scan; "" for those of white space alone."""
    out: dict[int, str] = {}
    for number, text, _ in text_of(html, scanned):
        out[number] = f"{out[number]}\n{text}" if number in out else text
    return [out.get(number, "") for number in range(len(scanned.lines))]


def _example(page: LabelledPage, scanned: Scan, view: View, texts: list[str]) -> Example:
    labels = (label(texts, page.gold) >= CONTENT).astype(np.float32)
    kinds = kinds_of(texts, reference_lines(page.html.decode("utf-8", "replace")), page.regions) if page.regions else []
    for i, kind in enumerate(kinds):
        if kind:  # what was read of this very line is better than what alignment finds of its words
            labels[i] = kind in KEPT
    example = Example(page, scanned, view, texts, labels, _weights(scanned), kinds)
    example.weights[:] *= example.page_weight
    return example


def _weights(scanned: Scan) -> npt.NDArray[np.float32]:
    lengths = (scanned.lines[:, L.WORDS] + scanned.lines[:, L.CJK]).astype(np.float64)
    weights = (lengths + 1.5) ** 0.75
    out: npt.NDArray[np.float64] = np.clip(PAGE_WEIGHT * weights / max(weights.sum(), 1e-9), 0, MAX_LINE_WEIGHT)
    return out.astype(np.float32)
