"""Corpora and held-out text as tokens, stored in `data/` of an ablation's folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from model.base.errors import ConfigError
from model.base.files import write_text
from model.study.ablation import corpora
from model.study.ablation.config import AblationConfig
from model.study.ablation.corpora import Counts, Document, Heldout
from model.study.ablation.proxy import Tokenised


@dataclass(frozen=True)
class Data:
    """Data that all runs share, as stored in data/.

    :ivar counts: corpus -> language -> what became of its documents.
    """

    folder: Path
    vocabulary: int
    tokenizer: str
    heldout: list[Document]
    digests: dict[str, str]  # of the corpora; '' is the held-out text
    counts: dict[str, dict[str, Counts]]
    tokens: dict[str, dict[str, int]]

    @property
    def eod(self) -> int:
        """Id of the end of a document, after those of the tokenizer."""
        return self.vocabulary


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def read_data(config: AblationConfig) -> Data:
    """Read, clean and tokenise everything.

    :raises ConfigError: nothing to read, no text of a language, or nothing left of a corpus.
    """
    h = config.heldout
    texts = corpora.draw(h.sources, config.languages, h.seed, h.max_bytes, h.min_bytes)
    heldout = Heldout(texts, config.overlap)
    say(f"held out: {len(texts):,} texts of {len(heldout.sites):,} sites")
    kept: dict[str, list[Document]] = {}
    counts: dict[str, dict[str, Counts]] = {}
    for name, source in config.corpora.items():
        kept[name], counts[name] = heldout.clean(corpora.documents(source), config.languages)
        if not kept[name]:
            dropped = json.dumps({k: asdict(v) for k, v in counts[name].items()})
            raise ConfigError(f"corpora.{name}: no document is left; {dropped}")
        for language, c in counts[name].items():
            say(
                f"{name}, {language}: {c.kept:,} of {c.read:,} documents, {c.bytes:,} bytes; dropped {c.of_heldout_site:,} of "
                f"held-out sites, {c.overlapping:,} that share text with them"
            )
    folder = Path(config.out) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    digests = {name: corpora.digest(texts_of_corpus) for name, texts_of_corpus in kept.items()}
    tokenizer = _tokenizer(config, kept, digests)
    used = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
    tokens: dict[str, dict[str, int]] = {}
    for name, documents in (kept | {"": texts}).items():
        tokenised = tokenise(tokenizer, sorted(documents, key=lambda d: d.digest) if name else documents)
        for part, array in asdict(tokenised).items():
            np.save(folder / f"{name or 'heldout'}{'.corpus' if name else ''}.{part}.npy", array, allow_pickle=False)
        lengths = np.diff(tokenised.offsets)
        tokens[name or "heldout"] = {
            language: int(lengths[tokenised.languages == language].sum()) for language in config.languages
        }
    return Data(
        folder,
        tokenizer.get_vocab_size(),
        used,
        texts,
        digests | {"": corpora.digest(texts)},
        counts,
        tokens,
    )


def _tokenizer(config: AblationConfig, kept: dict[str, list[Document]], digests: dict[str, str]) -> Tokenizer:
    """Read the tokenizer that the options name, or train one on equal bytes of each corpus."""
    if config.tokenizer.path is not None:
        if not Path(config.tokenizer.path).is_file():
            raise ConfigError(f"{config.tokenizer.path}: no such file; expected a tokenizer.json")
        return Tokenizer.from_file(config.tokenizer.path)
    path, made_of = Path(config.out) / "tokenizer.json", Path(config.out) / "data" / "tokenizer.json"
    key = {"digests": digests, "options": config.tokenizer.model_dump(), "languages": list(config.languages)}
    if path.exists() and made_of.exists() and json.loads(made_of.read_text()) == key:
        return Tokenizer.from_file(str(path))
    texts = []
    for language in config.languages:
        by_corpus = [[d for d in of_corpus if d.language == language] for of_corpus in kept.values()]
        each = min(
            [
                config.tokenizer.bytes,
                *(sum(len(d.text.encode()) for d in of_corpus) for of_corpus in by_corpus if of_corpus),
            ]
        )
        for of_corpus in by_corpus:
            left = int(each)
            for document in sorted(of_corpus, key=lambda d: d.digest):
                text = document.text.encode()[:left].decode(errors="ignore")
                texts.append(text)
                left -= len(document.text.encode())
                if left <= 0:
                    break
    tokenizer = train_tokenizer(texts, config.tokenizer.vocabulary)
    tokenizer.save(str(path))
    write_text(made_of, json.dumps(key))
    say(f"tokenizer: {tokenizer.get_vocab_size():,} tokens, of {sum(len(t.encode()) for t in texts):,} bytes")
    return tokenizer


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """Train a byte-level BPE without special tokens, so that no text can make the end-of-document token, the id after its."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def tokenise(tokenizer: Tokenizer, documents: Sequence[Document]) -> Tokenised:
    """Tokenise documents, in their order."""
    encoded = tokenizer.encode_batch([d.text for d in documents], add_special_tokens=False)
    lengths = [len(e.ids) for e in encoded]
    return Tokenised(
        np.concatenate([np.array(e.ids, dtype=np.int32) for e in encoded]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array([d.digest for d in documents], dtype=np.int64),
        np.array([d.language for d in documents], dtype=np.str_),
    )


def stored(folder: Path, name: str) -> Tokenised:
    """Read tokens that `read_data` stored."""
    return Tokenised(*(np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in Tokenised.__annotations__))
