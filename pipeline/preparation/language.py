"""Language identification with lid.176, the fastText model of CCNet (dots.llm1 C.1: keep confidence >= 0.65).

What the model is shown decides as much as the model. fastText averages over character n-grams, so a Chinese page about
programming is outvoted by its code; and a beginning may be in another language than the rest. `benchmarks/language.py`
measures what this step does beside simpler ways, docs/preparation.md has the table. So the model is shown:

- the lines that have more CJK characters than words, or those that have not, whichever weigh more: a Chinese paper with an
  English abstract is Chinese. Lines of code weigh most of all, but the model is unsure of them: then the others decide;
- of these the beginning, and of long texts pieces of the middle and the end too: most of the pieces decide;
- without ASCII, where CJK characters outnumber words; where it stays unsure, the first 5,000 characters.

What is written in Han characters alone, most of them common ones, is Chinese, whatever the model says: it takes short posts for
Catalan. Japanese titles are written in Han characters alone too; most have simplified characters beside traditional ones, and
are left to the model.

The shares of languages (`languages`) come from the same pieces, and from one piece more of the lines that did not decide. A
document has one language all the same; rules, mixture and configs go by it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import itertools
import re
import statistics
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from extraction.characters import CJK
from extraction.chinese import Script, telling
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
_ZERO_WIDTH = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\xad"
_HAN = re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]")
_OF_JAPAN_OR_KOREA = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uac00-\ud7a3\u1100-\u11ff]")
_COMMON = frozenset(COMMON_SIMPLIFIED + COMMON_TRADITIONAL)

CHINESE = ("zh", "wuu", "yue")
"""Codes of lid.176 that are Chinese: the script of their texts is told."""

HAN_SCORE = 0.99
"""Score of a text that its characters prove to be Chinese."""

JAPANESE = 0.95
"""Score from which a text in Han characters alone, some of them traditional, is Japanese all the same."""

MIXED = 0.1
"""Share of a text's words from which lines in a second script count as a part of it."""

PIECE, LONG = 200, 1200
"""Characters of a piece of the middle, and of the end, that the model is shown of texts longer than so many; and of a piece of
the second script."""


WINDOWS = 25
"""Pieces that stand for a longer text than the model is ever shown of: an abstract has the share in them that it has in all."""


class Identified(NamedTuple):
    """What is known of a text's languages."""

    language: str
    score: float
    shares: dict[str, float]
    """Of each language that was found, the largest first; they add up to 1."""
    script: Script | None


Counts = npt.NDArray[np.int64]
_OF_CJK, _OF_WORD, _LINE_END = 1, 2, 3


class _Found(NamedTuple):
    """What the pieces of a part say: its language, the score, the share of each language."""

    language: str
    score: float
    shares: dict[str, float]


class Language(DocumentStep):
    """Set language, score, shares of languages and script, of dropped documents too; drop what is in none of `languages` or too
    uncertain.

    The drop's value is the language found and its score, such as `fr 0.98`.
    """

    version: ClassVar[int] = 4

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
        for doc, (language, score, shares, script) in zip(docs, identified, strict=True):
            value = f"{language} {score:.2f}"
            languages = [{"language": code, "share": share} for code, share in shares.items()]
            doc = doc.evolve(language=language, language_score=score, languages=languages, script=script)
            if language not in self.languages:
                out.append(Drop("language", value=value, document=doc))
            elif score < self.min_score:
                out.append(Drop("low_language_score", value=value, document=doc))
            else:
                out.append(doc)
        return out

    def identify(self, texts: Sequence[str]) -> list[Identified]:
        """Languages and script of each text; ties go to the code that sorts last."""
        parts = [parts_of(without_zero_width(text)) for text in texts]
        pieces = [self._pieces(part.first) for part in parts]
        seconds = [part.second[:PIECE] for part in parts]
        found = iter(self._predict([piece for of_text in pieces for piece in of_text] + [s for s in seconds if s]))
        of_first = [self._together([next(found) for _ in of_text]) for of_text in pieces]
        of_second = [self._together([next(found)]) if second else None for second in seconds]
        unsure = [i for i, one in enumerate(of_first) if one.score < self.min_score and len(parts[i].first) > self.head]
        again = self._predict([parts[i].first[: self.second_look] for i in unsure])
        for i, result in zip(unsure, again, strict=True):
            of_first[i] = self._together([result])
        return [self._of_parts(*three) for three in zip(parts, of_first, of_second, strict=True)]

    def _of_parts(self, parts: Parts, first: _Found, second: _Found | None) -> Identified:
        """The languages of a text: those of its first part and that of the second.

        The first part decides, unless the model is unsure of it and sure of the second: code has more words than the text
        around it.
        """
        first = proven(first, parts.first)
        text, deciding, shares = parts.first, first, first.shares
        if second is not None:
            second = proven(second, parts.second)
            if first.score < self.min_score <= second.score:
                text, deciding = parts.second, second
            shares = {}
            for part, share in ((first, 1 - parts.share), (second, parts.share)):
                for code, of_part in part.shares.items():
                    is_known = code in (deciding.language, UNDETERMINED) or part.score >= self.min_score
                    known = code if is_known else UNDETERMINED
                    shares[known] = shares.get(known, 0.0) + share * of_part
        largest = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
        script = telling(text).script if deciding.language in CHINESE else None
        return Identified(deciding.language, deciding.score, dict(largest), script)

    def _pieces(self, text: str) -> list[str]:
        """What the model is shown of a text."""
        if len(text) <= max(LONG, self.head):
            return [text[: self.head]]
        middle = len(text) // 2
        return [text[: self.head], text[middle : middle + PIECE], text[-PIECE:]]

    def _together(self, pieces: Sequence[dict[str, float]]) -> _Found:
        """The language that most of the pieces are in, its mean score in those, and the share of the pieces in each language.

        A piece in another language whose score is too low is `und`.
        """
        scores: dict[str, list[float]] = {}
        for of_piece in pieces:
            if of_piece:
                score, code = max((s, c) for c, s in of_piece.items())
                scores.setdefault(code, []).append(score)
        if not scores:
            return _Found(UNDETERMINED, 0.0, {UNDETERMINED: 1.0})
        _, language = max((sum(of_code), code) for code, of_code in scores.items())
        n = sum(map(len, scores.values()))
        shares: dict[str, float] = {}
        for code, of_code in scores.items():
            known = code if code == language or statistics.fmean(of_code) >= self.min_score else UNDETERMINED
            shares[known] = shares.get(known, 0.0) + len(of_code) / n
        return _Found(language, min(1.0, statistics.fmean(scores[language])), shares)

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


def proven(found: _Found, text: str) -> _Found:
    """What was found of a text, or Chinese if its characters prove that, and those of a traditional text do only where the model
    is not sure that it is Japanese (`新着情報`)."""
    if found.language in CHINESE[1:] or found.score >= HAN_SCORE or not is_chinese(text):
        return found
    if found.language != "ja" or found.score < JAPANESE or not telling(text).hant:
        return _Found("zh", HAN_SCORE, {"zh": 1.0})
    return found


class Parts(NamedTuple):
    """The lines of a text that have more CJK characters than words, and those that have not: first those that weigh more."""

    first: str
    second: str
    share: float
    """Share of the text's words that is in the second part; a CJK character counts as a word."""


def parts_of(text: str) -> Parts:
    """The parts of a text. The second is empty if it has less than `MIXED` of the words."""
    if text.isascii():
        return Parts(text, "", 0.0)
    cjk, words = _words_of_lines(text)
    n_cjk, n_words = int(cjk.sum()), int(words.sum())
    if not n_cjk or not n_words:
        return Parts(text, "", 0.0)
    is_first = (cjk > words) == (n_cjk > n_words)
    if not is_first.any():
        return Parts(text, "", 0.0)
    lines = text.split("\n")
    first = "\n".join(itertools.compress(lines, is_first))
    share = float((cjk + words)[~is_first].sum()) / (n_cjk + n_words)
    if share < MIXED:
        return Parts(first, "", 0.0)
    return Parts(first, "\n".join(itertools.compress(lines, ~is_first)), share)


def _words_of_lines(text: str) -> tuple[Counts, Counts]:
    """CJK characters, and words of other scripts, of each line of a text."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    kinds = _kinds().take(points, mode="clip")  # which is quicker than to check that there is no larger one
    of_word = kinds == _OF_WORD
    begins = of_word.copy()
    begins[1:] &= ~of_word[:-1]
    bounds = np.concatenate(([0], np.flatnonzero(kinds == _LINE_END), [len(kinds)]))
    cjk, words = (
        np.diff(np.searchsorted(np.flatnonzero(places), bounds)).astype(np.int64)
        for places in (kinds == _OF_CJK, begins)
    )
    return cjk, words


@functools.cache
def _kinds() -> npt.NDArray[np.uint8]:
    """Kind of each code point, shape (0x110000,): letter of another script, CJK character, line end, other."""
    kinds = np.zeros(sys.maxunicode + 1, np.uint8)
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    for pattern, kind in ((_LETTER, _OF_WORD), (_CJK, _OF_CJK), (re.compile("\n"), _LINE_END)):
        for match in pattern.finditer(everything):
            kinds[match.start() : match.end()] = kind
    return kinds


def is_chinese(text: str) -> bool:
    """Whether a text is Chinese by its characters alone: Han, no kana and no Hangul, a third of them common; more of them than
    Latin words; all simplified or all traditional: Japanese has some of each. What a wrong encoding makes of bytes has rare
    ones."""
    han = _HAN.findall(text[:LONG])
    told = telling(text)
    return (
        len(han) > 3
        and not _OF_JAPAN_OR_KOREA.search(text)
        and sum(map(_COMMON.__contains__, han)) >= len(han) / 3
        and len(han) > len(_LATIN_WORD.findall(text[:LONG]))
        and not told.jpan
        and not (told.hans and told.hant)
    )


def without_zero_width(text: str) -> str:
    """A text without the characters that have no width: `中\u200b文` → `中文`."""
    if not text.isascii():
        for character in _ZERO_WIDTH:
            text = text.replace(character, "")
    return text


def prose(doc: Document, characters: int) -> str:
    """A document's text, without the lines tagged as code if there are others; of more than so many characters `WINDOWS` pieces
    spread evenly, which have about so many together."""
    text = doc.text or ""
    if doc.line_tags and "code" in doc.line_tags:
        lines = text.split("\n")
        if len(lines) == len(doc.line_tags):
            kept = [line for line, tag in zip(lines, doc.line_tags, strict=True) if tag != "code"]
            text = "\n".join(kept) or text
    if len(text) <= characters:
        return text
    size = max(1, characters // WINDOWS)
    starts = (
        (2 * i + 1) * len(text) // (2 * WINDOWS) - size // 2 for i in range(WINDOWS)
    )  # each amid what it stands for
    return "\n".join(text[start : start + size] for start in starts)


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
