"""Make the word vectors of the category classifier: English and Chinese words in one space.

    python -m classifiers.category.vectors --data DATA --encoder MODEL --chinese words.vector --dictionary cedict.txt.gz \\
        --out vectors.safetensors

An English word's vector is what a sentence encoder makes of the word alone; a Chinese word's what it makes of the word's English
glosses in a dictionary (CC-CEDICT's format), or, and on average with it, what a linear map makes of the word's vector in a
word2vec file: the map is fitted on words that are in both. Directions are those of the most variance of both languages
together; frequent words weigh less (a / (a + frequency); Arora et al., A Simple but Tough-to-Beat Baseline for Sentence
Embeddings, ICLR 2017). Four bits a number.
"""

from __future__ import annotations

import argparse
import gzip
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from classifiers.category.model import WordVectors
from classifiers.category.sets import public_texts
from classifiers.labelled import load_pages
from classifiers.words import WORD_LENGTH, keys_of

ENGLISH, CHINESE = 45_000, 60_000
"""Words of each language."""

DIMENSIONS = 128
FREQUENCY = 1e-3
"""Of a word that weighs half as much as a rare one."""

RIDGE = 3.0
BASIS = 20_000
"""Words of each language, the commonest, that decide on the directions."""

MAX_CHARACTERS = 20_000
_LATIN = re.compile(r"[a-z][a-z0-9+#]*(?:'[a-z]+)?")
_HAN = re.compile(r"[\u3400-\u9fff]+")
_NO_GLOSS = re.compile(r"(variant of|old variant|see |also written|CL:|surname )")
Floats = npt.NDArray[np.float32]


def glosses(path: Path) -> dict[str, str]:
    """English glosses of each Chinese word, simplified and traditional, from a dictionary in CC-CEDICT's format."""
    found: dict[str, list[str]] = defaultdict(list)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as f:
        for line in f:
            entry = re.match(r"(\S+) (\S+) \[.*?\] /(.*)/", line)
            if entry is None:
                continue
            own = [re.sub(r"\(.*?\)|\[.*?\]|[\u3400-\u9fff|]+", "", g).strip() for g in entry[3].split("/")]
            own = [g for g in own if g and not _NO_GLOSS.match(g)][:3]
            for word in sorted({entry[1], entry[2]}):
                if own and len(word) <= WORD_LENGTH and _HAN.fullmatch(word):
                    found[word] += own
    return {word: "; ".join(dict.fromkeys(own))[:120] for word, own in found.items()}


def word2vec(path: Path) -> dict[str, Floats]:
    """Vectors of length 1 of a word2vec file in its binary format, the commonest word first; Chinese words alone."""
    data = path.read_bytes()
    place = data.index(b"\n")
    n, size = (int(v) for v in data[:place].split())
    place += 1
    out = {}
    for _ in range(n):
        while data[place : place + 1] == b"\n":
            place += 1
        end = data.index(b" ", place)
        word = data[place:end].decode("utf-8", "replace")
        place = end + 1 + 4 * size
        if len(word) <= WORD_LENGTH and _HAN.fullmatch(word):
            vector = np.frombuffer(data, np.float32, size, end + 1)
            out[word] = vector / (np.linalg.norm(vector) + 1e-9)
    return out


def chinese_words(texts: Iterator[str], known: set[str]) -> Counter[str]:
    """How often known words occur, each run of characters cut greedily, the longest word first."""
    out: Counter[str] = Counter()
    for text in texts:
        for run in _HAN.findall(text):
            i = 0
            while i < len(run):
                length = next((n for n in range(WORD_LENGTH, 1, -1) if run[i : i + n] in known), 1)
                out[run[i : i + length]] += 1
                i += length
    return out


class Encoder:
    """A sentence encoder: the mean of its last hidden states, of length 1."""

    def __init__(self, name: str) -> None:
        import transformers

        self._tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        self._model = transformers.AutoModel.from_pretrained(name).eval()

    def __call__(self, texts: Sequence[str]) -> Floats:
        import torch

        out = np.zeros((len(texts), self._model.config.hidden_size), np.float32)
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))  # little padding
        with torch.no_grad():
            for k in range(0, len(order), 256):
                own = order[k : k + 256]
                batch = self._tokenizer(
                    [texts[i] for i in own], return_tensors="pt", padding=True, truncation=True, max_length=32
                )
                mask = batch["attention_mask"][..., None]
                mean = (self._model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
                out[own] = torch.nn.functional.normalize(mean, dim=1).numpy()
                if k % 10_240 == 0:
                    print(f"{k:,} of {len(order):,} words", file=sys.stderr, flush=True)
        return out


def build(data: Path, encoder: Encoder, chinese: Path, dictionary: Path) -> WordVectors:
    """The vectors, from what the options of the command name."""
    pages = [page.extraction.text[:MAX_CHARACTERS] for page in load_pages(data)]
    texts = pages + [text[:MAX_CHARACTERS] for text in public_texts(data)]
    latin: Counter[str] = Counter()
    for text in texts:
        latin.update(_LATIN.findall(text.lower()))
    english = [w for w, n in sorted(latin.items(), key=lambda e: (-e[1], e[0])) if n >= 3 and len(w) < 25][:ENGLISH]
    gloss, vectors = glosses(dictionary), word2vec(chinese)
    rank = {word: i for i, word in enumerate(vectors)}
    counts = chinese_words(iter(texts), set(gloss) | set(vectors))
    known = sorted(
        set(gloss) | set(vectors), key=lambda w: (-counts[w] if counts[w] > 2 else 0, rank.get(w, len(rank)), w)
    )[:CHINESE]
    told = [word for word in known if word in gloss]
    ours = encoder(english)
    glossed = dict(zip(told, encoder([gloss[w] for w in told]), strict=True))
    both = [word for word in told if word in vectors][:25_000]
    inputs = np.stack([np.append(vectors[w], np.float32(1)) for w in both]).astype(np.float64)
    wanted = np.stack([glossed[w] for w in both]).astype(np.float64)
    moved = np.linalg.solve(inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1]), inputs.T @ wanted)
    theirs = np.zeros((len(known), ours.shape[1]), np.float32)
    for i, word in enumerate(known):
        found = [glossed[word]] if word in glossed else []
        if word in vectors:
            found.append((np.append(vectors[word], np.float32(1)) @ moved).astype(np.float32))
        theirs[i] = np.mean(found, axis=0)
    ours = ours - ours[:BASIS].mean(0)
    theirs = theirs - theirs[:BASIS].mean(0)
    joint = np.concatenate([ours[:BASIS], theirs[:BASIS]])[::2].astype(np.float64)
    _, directions = np.linalg.eigh(joint.T @ joint)
    basis = directions[:, ::-1][:, :DIMENSIONS]
    parts = []
    for words, own, count in ((english, ours, latin), (known, theirs, counts)):
        turned = own @ basis
        turned /= np.linalg.norm(turned, axis=1, keepdims=True) + 1e-9
        share = np.array([count[w] + 0.3 for w in words])
        parts.append(turned * (FREQUENCY / (FREQUENCY + share / share.sum()))[:, None])
    keys = keys_of([*english, *known])
    _, first = np.unique(keys, return_index=True)
    first.sort()
    return WordVectors.of(keys[first], np.concatenate(parts).astype(np.float32)[first])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m classifiers.category.vectors",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds html/, warc/ and labels/")
    parser.add_argument(
        "--encoder", required=True, help="folder or hub name of a sentence encoder (shipped: all-MiniLM-L6-v2)"
    )
    parser.add_argument(
        "--chinese", type=Path, required=True, help="word2vec file, binary (shipped: of the package synonyms)"
    )
    parser.add_argument("--dictionary", type=Path, required=True, help="CC-CEDICT")
    parser.add_argument(
        "--out", type=Path, required=True, help="safetensors file to write; classifiers.category.train reads it"
    )
    options = parser.parse_args(arguments)
    found = build(options.data, Encoder(options.encoder), options.chinese, options.dictionary)
    tensors: dict[str, npt.NDArray[Any]] = {"keys": found.keys, "nibbles": found.nibbles, "scales": found.scales}
    options.out.write_bytes(safetensors.numpy.save(tensors))
    print(f"{options.out}: {len(found.keys):,} words")
    return 0


if __name__ == "__main__":
    sys.exit(main())
