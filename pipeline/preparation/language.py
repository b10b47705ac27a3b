"""Language identification with lid.176, the fastText model of CCNet (dots.llm1 C.1: keep confidence >= 0.65).

What the model is shown decides as much as the model. fastText averages over character n-grams, so a Chinese page about
programming is outvoted by its code. Measured on gold text by `benchmarks/language.py` (1,209 pages of WCXB-dev, 6 not
in English; 81 of zh-gold; 1,015 of four Chinese programming blogs), pages kept in their language at 0.65:

    shown to the model                                          WCXB-dev  zh-gold  zh-blogs
    the whole text, as CCNet does                                   1192       81       694
    the first 400 characters                                        1178       80       888
    the same without ASCII, where CJK characters outnumber words    1178       80       968
    the same, and 5,000 characters where the score is < 0.65        1194       81       977

The last was what this step did; it is seven times as fast as the first. Since then the beginning decides no longer alone: a
Chinese paper with an English abstract is Chinese. Where two scripts are mixed, the lines of the one with more words (a Han
character counts as one) are shown; of long texts, pieces of the middle and the end too. What is written in Han characters
alone, most of them common ones, is Chinese, whatever the model says: it takes short posts for Catalan, and text with
zero-width characters for Japanese.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from extraction.characters import CJK
from extraction.plausible import COMMON_SIMPLIFIED, COMMON_TRADITIONAL
from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep, Example, Examples

UNDETERMINED = "und"
"""Language of a text without a letter (ISO 639-2); its score is 0."""

_LABEL = len("__label__")
_CJK = re.compile(f"[{CJK}]")
_LATIN_WORD = re.compile("[A-Za-z]+")
_ASCII_RUN = re.compile("[!-~]+")
_UNFIT = re.compile("[\x00\ud800-\udfff]")  # what the C++ side cannot take
_LETTER = re.compile(r"[^\W\d_]")
_ZERO_WIDTH = re.compile("[\u200b-\u200f\u2060\ufeff\xad]+")
_HAN = re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]")
_OF_JAPAN_OR_KOREA = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uac00-\ud7a3\u1100-\u11ff]")
_COMMON = frozenset(COMMON_SIMPLIFIED + COMMON_TRADITIONAL)

HAN_SCORE = 0.99
"""Score of a text that its characters prove to be Chinese."""

MIXED = 0.1
"""Share of the words in a second script from which a text is one of two scripts."""

PIECE, LONG = 200, 1200
"""Characters of a piece of the middle, and of the end, that the model is shown of texts longer than so many."""


class Language(DocumentStep):
    """Set `language` and `language_score`, of dropped documents too; drop what is in none of `languages` or too uncertain.

    The drop's value is the language found and its score, such as `fr 0.98`.
    """

    version: ClassVar[int] = 3

    step: Literal["language"] = "language"
    languages: list[str] = Field(["zh", "en"], min_length=1, description="codes of lid.176 to keep (ISO 639)")
    min_score: float = Field(0.65, ge=0, le=1, description="inclusive lower bound of the score (dots.llm1 C.1)")
    merge: dict[str, str] = Field(
        {"wuu": "zh", "yue": "zh"},
        description="codes that count as another; the scores of the three best codes are added",
    )
    head: int = Field(400, gt=0, description="characters shown to the model")
    second_look: int = Field(5000, gt=0, description="characters shown to it where the score stays below `min_score`")
    drops: ClassVar[Examples] = (
        Example("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。", None, "language"),
        Example("2024-01-01 12:00 100%", None, "language"),
        Example("ok", None, "low_language_score"),
    )
    keeps: ClassVar[Examples] = (
        Example(
            "The river rises in the hills and flows for ninety miles to the sea, past seven towns and a mill.", None
        ),
        Example("維基百科是一個內容自由、公開編輯且多語言的網路百科全書協作計畫，任何人都可以編輯其中的條目。", None),
        Example("吴语维基百科是个自由个百科全书，阿拉侬侪好来改个。", None),  # Wu counts as Chinese
    )

    def fingerprint(self) -> dict[str, Any]:
        weights = importlib.resources.files("pipeline.preparation") / "weights" / "lid.176.ftz"
        return super().fingerprint() | {"resources": {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()}}

    def load(self) -> None:
        _model()

    def process(self, docs: list[Document]) -> list[Document | Drop]:
        identified = self.identify([prose(doc, self.second_look) for doc in docs])
        out: list[Document | Drop] = []
        for doc, (language, score) in zip(docs, identified, strict=True):
            value = f"{language} {score:.2f}"
            doc = doc.evolve(language=language, language_score=score)
            if language not in self.languages:
                out.append(Drop("language", value=value, document=doc))
            elif score < self.min_score:
                out.append(Drop("low_language_score", value=value, document=doc))
            else:
                out.append(doc)
        return out

    def identify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """Language and score (0..1) of each text; ties go to the code that sorts last."""
        texts = [of_one_script(_ZERO_WIDTH.sub("", text)) for text in texts]
        pieces = [self._pieces(text) for text in texts]
        found = iter(self._predict([piece for of_text in pieces for piece in of_text]))
        identified = [_together([next(found) for _ in of_text], of_text) for of_text in pieces]
        unsure = [i for i, (_, s) in enumerate(identified) if s < self.min_score and len(texts[i]) > self.head]
        again = self._predict([texts[i][: self.second_look] for i in unsure])
        for i, result in zip(unsure, again, strict=True):
            identified[i] = _together([result], [texts[i]])
        return [
            ("zh", HAN_SCORE)
            if code not in ("wuu", "yue") and score < HAN_SCORE and is_chinese(text)
            else (code, score)
            for text, (code, score) in zip(texts, identified, strict=True)
        ]

    def _pieces(self, text: str) -> list[str]:
        """What the model is shown of a text."""
        if len(text) <= max(LONG, self.head):
            return [text[: self.head]]
        middle = len(text) // 2
        return [text[: self.head], text[middle : middle + PIECE], text[-PIECE:]]

    def _predict(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Codes and scores of each text, of the three that the model finds likeliest; empty for a text without a letter."""
        shown = [visible(t) for t in texts]
        out: list[dict[str, float]] = [{} for _ in texts]
        asked = [i for i, t in enumerate(shown) if _LETTER.search(t)]
        labels, scores = _model().predict([shown[i] for i in asked], k=3)
        for i, names, values in zip(asked, labels, scores, strict=True):
            for name, value in zip(names, values, strict=True):
                code = self.merge.get(name[_LABEL:], name[_LABEL:])
                out[i][code] = out[i].get(code, 0.0) + float(value)
        return out


def _together(scores: Sequence[dict[str, float]], pieces: Sequence[str]) -> tuple[str, float]:
    """The language that most of the pieces, by their length, are in, and its mean score in those."""
    shares: dict[str, float] = {}
    best = [max(((s, c) for c, s in of_piece.items()), default=None) for of_piece in scores]
    for piece, top in zip(pieces, best, strict=True):
        if top is not None:
            shares[top[1]] = shares.get(top[1], 0.0) + len(piece) * top[0]
    if not shares:
        return UNDETERMINED, 0.0
    code = max((share, code) for code, share in shares.items())[1]
    mass = sum(len(piece) for piece, top in zip(pieces, best, strict=True) if top is not None and top[1] == code)
    return code, min(1.0, shares[code] / mass)


def of_one_script(text: str) -> str:
    """The lines of a text that are in the script with more words, where another has a tenth of them or more. A CJK character
    counts as a word."""
    if text.isascii():
        return text
    cjk, words = len(_CJK.findall(text)), len(_LATIN_WORD.findall(text))
    if min(cjk, words) < MIXED * (cjk + words):
        return text
    kept = []
    for line in text.split("\n"):
        of_line = len(_CJK.findall(line)) - len(_LATIN_WORD.findall(line))
        if (of_line > 0) is (cjk > words):
            kept.append(line)
    return "\n".join(kept) or text


def is_chinese(text: str) -> bool:
    """Whether a text is Chinese by its characters alone: Han, no kana and no Hangul, a third of them common; more of them than
    Latin words. What a wrong encoding makes of bytes has rare ones."""
    han = _HAN.findall(text[:LONG])
    return (
        len(han) > 3
        and not _OF_JAPAN_OR_KOREA.search(text)
        and sum(map(_COMMON.__contains__, han)) >= len(han) / 3
        and len(han) > len(_LATIN_WORD.findall(text[:LONG]))
    )


def prose(doc: Document, characters: int) -> str:
    """The first `characters` of a document's text, without the lines tagged as code if there are others."""
    text = doc.text or ""
    if doc.line_tags and "code" in doc.line_tags:
        lines = text.split("\n")
        if len(lines) == len(doc.line_tags):
            kept = [line for line, tag in zip(lines, doc.line_tags, strict=True) if tag != "code"]
            text = "\n".join(kept) or text
    return text[:characters]


def visible(text: str) -> str:
    """Text as the model is shown it: one line; without ASCII where CJK characters (kana and hangul too) outnumber words."""
    text = _UNFIT.sub(" ", text)
    if not text.isascii() and len(_CJK.findall(text)) > len(_LATIN_WORD.findall(text)):
        text = _ASCII_RUN.sub(" ", text)
    if text.isupper():  # the model takes an English sentence in capitals for Chinese (0.48)
        text = text.lower()
    return " ".join(text.split())


@functools.lru_cache(maxsize=1)
def _model() -> Any:
    import fasttext.FastText

    weights = importlib.resources.files("pipeline.preparation") / "weights" / "lid.176.ftz"
    with importlib.resources.as_file(weights) as path:
        return fasttext.FastText._FastText(model_path=str(path))  # `load_model` prints a warning for every load
